// Package e2e drives the built binary from outside: over HTTP, between stores, with kill -9. It holds tests only.
package e2e
