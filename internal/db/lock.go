package db

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/openoms/openoms/internal/oms"
)

// lockName is the file in the data directory that the serving process holds locked.
const lockName = "oms.lock"

// DirLock is the right to serve a data directory. The operating system takes it back when the process ends in
// whatever way.
type DirLock struct{ file *flock.Flock }

// Lock makes this process the only one that serves the data directory, which is created when missing;
// Conflict when another one does. Programs that only read or change rows do not need it. The caller releases it.
func Lock(dataDir string) (*DirLock, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	f := flock.New(filepath.Join(dataDir, lockName), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if !ok {
		return nil, &oms.Error{
			Op: "lock data directory", Key: dataDir, Kind: oms.Conflict, Msg: "another process serves it: stop that one first or use another directory",
		}
	}
	return &DirLock{file: f}, nil
}

// Release gives the right back.
func (l *DirLock) Release() error { return l.file.Close() }
