// Package sdk drives a running service with the cloud vendor's own Go SDK, unmodified. It is a module of its own, so
// that the SDK never becomes a dependency of the product.
package sdk
