# Needs Go and make; the race detector needs a C compiler as well. Everything that is built or
# installed goes to ./bin. `make help` lists the targets.

PKG      ?= ./...
FUZZTIME ?= 20s
COUNT    ?= 6
BENCH    ?= ./internal/storage/s3 ./internal/keyspace ./internal/transfer ./internal/db ./internal/guard
CROSS    := linux/arm64 darwin/arm64 windows/amd64

# Pinned tools. A binary of exactly this version that is already installed is used as it is.
VERSITYGW     := github.com/versity/versitygw/cmd/versitygw@v1.8.0
AZURITE       := 3.37.0
HELM          := helm.sh/helm/v3/cmd/helm@v3.22.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# The version of the binary comes from its build info: the module version or the commit.
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags='-s -w'

.PHONY: build demo test test-large race lint lint-bench fuzz bench bench-growth bench-report bench-build bench-go cross docs deploy clean help $(CROSS)
.DEFAULT_GOAL := build

build: ## bin/oms for this machine
	$(BUILD) -o bin/oms ./cmd/oms

demo: build ## a whole service with two S3 servers and one migration, until Ctrl-C
	bin/oms demo

test: ## every test this machine can run; says what it left out and why
	@VERSITYGW=$(VERSITYGW) AZURITE=$(AZURITE) scripts/test

race: ## tests of PKG only, under the race detector
	CGO_ENABLED=1 go test -race -shuffle=on $(PKG)

test-large: ## a group of 5 million objects, a list of 10 million lines, 200,000 names to synchronize; may take an hour
	OMS_TEST_GROUP_OBJECTS=5000000 OMS_TEST_LIST_LINES=10000000 OMS_TEST_SYNC_NAMES=200000 \
		go test -count=1 -timeout=3h -v -run='TestLargeGroup|TestLongList|TestSyncRate' ./internal/e2e

lint: ## golangci-lint over PKG
	"$$(scripts/tool $(GOLANGCI_LINT))" run $(PKG)

lint-bench: ## golangci-lint over the module of the benchmarks
	lint="$$(scripts/tool $(GOLANGCI_LINT))" && cd bench && "$$lint" run ./...

fuzz: ## every fuzz target for FUZZTIME
	@scripts/fuzz $(FUZZTIME)

bench: bench-build ## oms against a bare copier and the copy tools that are installed; ARGS=--help
	cd bench && ../bin/bench/bench --commit "$$(git describe --always --dirty=+)" $(ARGS)

bench-growth: bench-build ## how the cost of oms grows with keys, object sizes and slots; ARGS=--help
	cd bench && ../bin/bench/bench --growth --commit "$$(git describe --always --dirty=+)" $(ARGS)

bench-report: bench-build ## put the results FILE (bench/results/NAME.json) into docs/performance.md
	bin/bench/bench --report $(FILE) --doc docs/performance.md

bench-build: build
	cd bench && CGO_ENABLED=0 go build -trimpath -o ../bin/bench/ . ./nulls3 ./limit

bench-go: ## Go benchmarks of BENCH, COUNT times, for benchstat
	go test -run='^$$' -bench=. -benchmem -count=$(COUNT) $(BENCH)

cross: $(CROSS) ## builds for other platforms, each in its folder of ./bin

$(CROSS):
	GOOS=$(@D) GOARCH=$(@F) $(BUILD) -o bin/$(@D)-$(@F)/ ./cmd/oms

docs: ## regenerate generated pages and check the links between pages
	go generate ./...
	@scripts/links

deploy: ## check the files of deploy/ with the tools that are at hand
	@HELM=$(HELM) scripts/deploy

clean: ## remove ./bin
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)
