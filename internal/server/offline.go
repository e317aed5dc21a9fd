package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
)

// KeysOptions say whose keys are managed. All fields are required but MasterKeyFile.
type KeysOptions struct {
	DataDir       string
	Database      string // URL; "" is the embedded one in DataDir
	MasterKeyFile string // "" is master.key in DataDir
	Logger        *slog.Logger
	Clock         func() time.Time
}

// Keys is the access management of a data directory without its service, which may run meanwhile.
type Keys struct {
	*auth.Service
	store *store
}

// OpenKeys opens the access management of a data directory; oms.NotFound when no service has started with it yet.
// The caller closes it.
func OpenKeys(ctx context.Context, opts KeysOptions) (*Keys, error) {
	cfg := Config{DataDir: opts.DataDir, MasterKeyFile: opts.MasterKeyFile}
	if opts.Database == "" {
		if exists, err := db.Exists(cfg.DataDir); err != nil {
			return nil, err
		} else if !exists {
			return nil, neverStarted(opts.DataDir)
		}
	} else if _, err := os.Stat(cfg.masterKeyFile()); err != nil { // a new one would be of no use
		return nil, fmt.Errorf("master key: %w", err)
	}
	st, err := open(ctx, storeOptions{database: opts.Database, dataDir: cfg.DataDir, keyFile: cfg.masterKeyFile(), log: opts.Logger, clock: opts.Clock})
	if err != nil {
		return nil, err
	}
	has, err := st.HasUsers(ctx)
	if err == nil && !has {
		err = neverStarted(opts.DataDir)
	}
	if err != nil {
		return nil, errors.Join(err, st.close())
	}
	return &Keys{Service: auth.New(auth.Options{Store: st, Sealer: st.sealer, Now: opts.Clock}), store: st}, nil
}

func neverStarted(dir string) error {
	return oms.Errorf(oms.NotFound, "", "no service has started with the data directory %q yet: run oms serve once", dir)
}

// Run moves until ctx ends; see engine.Engine.
func (l *Local) Run(ctx context.Context) error { return l.plane.Run(ctx) }

// Close gives the data directory back.
func (k *Keys) Close() error { return k.store.close() }

// LocalList returns the name that a list file on this machine goes by in tasks: that of no bucket.
func LocalList() oms.ListFile { return oms.ListFile{Bucket: "list on this machine", Key: "urls.txt"} }

// LocalOptions are what a Local needs. All fields are required but those whose zero is automatic.
type LocalOptions struct {
	DataDir     string
	Concurrency int            // objects in flight; 0 is automatic
	MinRequests int            // of a kind in flight to a bucket that are never given up; 0 is automatic
	Memory      int64          // bytes of buffers; 0 is automatic
	PartSize    int64          // bytes of the parts of large objects; 0 is automatic
	Endpoints   []oms.Endpoint // that the person at the keyboard named
	URLList     string         // path of the list file that tasks know as LocalList; "" when there is none
	Version     string         // of the program
	Logger      *slog.Logger
	Clock       func() time.Time
}

// Local is the engine without a listener, for one migration. It may reach private addresses: it acts for the
// person who started it.
type Local struct {
	*engine.Engine
	plane *dataPlane
	store *store
}

// OpenLocal opens the data directory, which nobody else may use meanwhile (oms.Conflict). Engine.Run moves; the
// caller closes the Local after that.
func OpenLocal(ctx context.Context, opts LocalOptions) (*Local, error) {
	if err := harden(); err != nil {
		return nil, err
	}
	endpoints, err := hostPorts(opts.Endpoints)
	if err != nil {
		return nil, err
	}
	cfg := Config{DataDir: opts.DataDir}
	st, err := openServing(ctx, storeOptions{dataDir: cfg.DataDir, keyFile: cfg.masterKeyFile(), log: opts.Logger, clock: opts.Clock})
	if err != nil {
		return nil, err
	}
	plane, err := newDataPlane(dataPlaneOptions{
		urlList: opts.URLList,
		store:   st, egress: egress.Options{AllowPrivate: true, AnyPort: true, AllowEndpoints: endpoints},
		concurrency: opts.Concurrency, minRequests: opts.MinRequests, memory: opts.Memory, partSize: opts.PartSize, quota: oms.Quota{Running: 1, Waiting: 1 << 30, CreatedPerDay: 1 << 30},
		userAgent: "openoms/" + opts.Version, log: opts.Logger, clock: opts.Clock,
	})
	if err != nil {
		return nil, errors.Join(err, st.close())
	}
	return &Local{Engine: plane.Engine, plane: plane, store: st}, nil
}

// Close gives the data directory back. Run has returned.
func (l *Local) Close() error {
	l.plane.closeIdle()
	return l.store.close()
}
