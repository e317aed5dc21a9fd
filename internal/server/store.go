package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
)

// store is an open data directory: database, master key and, for who serves it, the lock.
type store struct {
	*db.DB
	sealer *seal.Sealer
	dir    string
	lock   *db.DirLock // nil without the right to serve
}

// storeOptions say what to open.
type storeOptions struct {
	database string // URL; "" is the embedded database in dataDir
	dataDir  string
	keyFile  string
	log      *slog.Logger
	clock    func() time.Time
}

// openServing opens the data directory to serve it: no other process may, and what a dead one had leased is free.
func openServing(ctx context.Context, opts storeOptions) (*store, error) {
	if opts.database != "" { // others may serve it as well, and what they have leased is theirs
		if err := os.MkdirAll(opts.dataDir, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		return open(ctx, opts)
	}
	lock, err := db.Lock(opts.dataDir)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	s.lock = lock
	if err := s.ReleaseAll(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open opens the data directory, which exists, beside whoever serves it.
func open(ctx context.Context, opts storeOptions) (*store, error) {
	d, err := db.Open(ctx, db.Options{DataDir: opts.dataDir, URL: opts.database, Logger: opts.log, Clock: opts.clock})
	if err != nil {
		return nil, err
	}
	sealer, err := openSealer(ctx, d, opts)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &store{DB: d, sealer: sealer, dir: opts.dataDir}, nil
}

// sealedSample is how many stored texts are looked at to find out which master keys are needed.
const sealedSample = 1000

// openSealer loads the master key that the database was sealed with. A new one is made only for a database that
// holds nothing sealed: beside sealed rows it would leave them closed for good without anybody noticing.
func openSealer(ctx context.Context, d *db.DB, opts storeOptions) (*seal.Sealer, error) {
	stored, err := d.SealedTexts(ctx, sealedSample)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.Load(opts.keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if len(stored) > 0 {
			return nil, badKeyFile(opts, "the file is missing, but the database holds access keys or credentials that it sealed")
		}
		return seal.LoadOrCreate(opts.keyFile)
	}
	if err != nil {
		return nil, err
	}
	for _, text := range stored {
		if !sealer.Knows(text) {
			return nil, badKeyFile(opts, "the file lacks the key that access keys or credentials in the database are sealed with")
		}
	}
	return sealer, nil
}

// badKeyFile says that stored credentials cannot be opened, and what to do.
func badKeyFile(opts storeOptions, trouble string) error {
	return &oms.Error{
		Op: "master key", Key: opts.keyFile, Kind: oms.Invalid,
		Msg: trouble + ": restore it from a backup or name the right file",
	}
}

// close closes the database and gives the directory back.
func (s *store) close() error {
	err := s.Close()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Release())
	}
	return err
}

// checkPrivate refuses a file with a private key that others may read (rule S13).
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("private key: %w", err)
	}
	if !seal.Private(info) {
		return &oms.Error{
			Op: "private key", Key: path, Kind: oms.Denied,
			Msg: "others may read or change the file (" + info.Mode().Perm().String() + "): set its mode to 0600",
		}
	}
	return nil
}
