//go:build unix

package seal

import (
	"io/fs"
	"os"
	"syscall"
)

// Private reports whether nobody but its owner may read or change a file of secrets. A file of root's that was given to
// a group of this process to read is private too: that is how orchestrators hand secrets to a process that is not root.
func Private(info fs.FileInfo) bool {
	owner := os.Geteuid()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	return private(info.Mode().Perm(), owner, os.Geteuid())
}

func private(mode fs.FileMode, owner, self int) bool {
	if owner == 0 && self != 0 {
		return mode&0o037 == 0
	}
	return mode&0o077 == 0
}
