//go:build !unix

package server

// harden does nothing on systems without core files.
func harden() error { return nil }

// privileged is unknown here.
func privileged() bool { return false }
