//go:build !unix

package server

import "io/fs"

// othersMay is for systems whose file modes say nothing about other users.
func othersMay(fs.FileInfo) bool { return false }

// harden does nothing on systems without core files.
func harden() error { return nil }

// privileged is unknown here.
func privileged() bool { return false }
