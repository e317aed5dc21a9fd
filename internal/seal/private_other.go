//go:build !unix

package seal

import "io/fs"

// Private reports true: the modes of files say nothing about other users on this system.
func Private(fs.FileInfo) bool { return true }
