//go:build unix

package server

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// harden keeps the memory of the process, which holds keys, out of core files (rule S13).
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}

// privileged reports whether the process runs with all rights.
func privileged() bool { return os.Geteuid() == 0 }
