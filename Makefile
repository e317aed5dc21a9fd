# Needs Go and make; the race detector needs a C compiler as well. Everything that is built or
# installed goes to ./bin. `make help` lists the targets.

PKG      ?= ./...
FUZZTIME ?= 20s
CROSS    := linux/arm64 darwin/arm64 windows/amd64

# Pinned tools. A binary of exactly this version that is already installed is used as it is.
VERSITYGW     := github.com/versity/versitygw/cmd/versitygw@v1.8.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The version of the binary comes from its build info: the module version or the commit.
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags='-s -w'

.PHONY: build demo test race lint fuzz bench cross docs clean help $(CROSS)
.DEFAULT_GOAL := build

build: ## bin/oms for this machine
	$(BUILD) -o bin/oms ./cmd/oms

demo: build ## a whole service with two S3 servers and one migration, until Ctrl-C
	bin/oms demo

test: ## every test this machine can run; says what it left out and why
	@VERSITYGW=$(VERSITYGW) scripts/test

race: ## tests of PKG only, under the race detector
	CGO_ENABLED=1 go test -race -shuffle=on $(PKG)

lint: ## golangci-lint over PKG
	"$$(scripts/tool $(GOLANGCI_LINT))" run $(PKG)

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

bench: ## benchmarks of PKG
	go test -run='^$$' -bench=. -benchmem $(PKG)

cross: $(CROSS) ## builds for other platforms, each in its folder of ./bin

$(CROSS):
	GOOS=$(@D) GOARCH=$(@F) $(BUILD) -o bin/$(@D)-$(@F)/ ./cmd/oms

docs: ## regenerate generated pages and check the links between pages
	go generate ./...
	@scripts/links

clean: ## remove ./bin
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST)
