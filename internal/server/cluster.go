package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/oms"
)

// clusterSetting names what servers leave in the database for workers.
const clusterSetting = "service"

// settingsPatience is how often a worker looks whether a server has left its settings.
const settingsPatience = time.Second

// clusterConfig is what workers need to know of the service's configuration: what tasks may reach and how many may run.
type clusterConfig struct {
	AllowPrivate bool
	Allow        []netip.Prefix
	Endpoints    []string // host:port
	Quota        oms.Quota
	Groups       oms.GroupLimits
	TimeZone     string // of traffic limits; Local is that of each machine
	Archives     Archives
}

// publish leaves the settings of this server for workers. Those of the server that started last count.
func publish(ctx context.Context, st *store, cfg Config, rules egress.Options) error {
	if cfg.Database == "" {
		return nil
	}
	text, err := json.Marshal(clusterConfig{
		AllowPrivate: cfg.AllowPrivate, Allow: cfg.Allow, Endpoints: rules.AllowEndpoints, Quota: cfg.Quota, Groups: cfg.Groups,
		TimeZone: cfg.TimeZone,
		Archives: cfg.Archives,
	})
	if err != nil {
		return err
	}
	return st.KeepSetting(ctx, clusterSetting, string(text))
}

// WorkerOptions are what a Worker needs. All fields are required.
type WorkerOptions struct {
	Config  Config // of which Database, MasterKeyFile, DataDir, Concurrency and Memory count
	Version string // of the program
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Worker moves objects for servers that share its database. Make it with NewWorker and end it with Close.
type Worker struct {
	plane *dataPlane
	store *store
}

// NewWorker opens the database and waits until a server has left its settings there; nothing is moved before Run.
func NewWorker(ctx context.Context, opts WorkerOptions) (*Worker, error) {
	cfg := opts.Config
	if cfg.Database == "" {
		return nil, oms.Errorf(oms.Invalid, "", "a worker shares the database of a server: name it with --database")
	}
	if err := cfg.Validate(); err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "%s", err.Error())
	}
	if err := harden(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(cfg.masterKeyFile()); err != nil {
		return nil, fmt.Errorf("master key: it is the file of the server whose database is shared: %w", err)
	}
	st, err := open(ctx, storeOptions{
		database: cfg.Database, dataDir: os.TempDir(), keyFile: cfg.masterKeyFile(), log: opts.Logger, clock: opts.Clock,
	})
	if err != nil {
		return nil, err
	}
	w := &Worker{store: st}
	if err := w.wire(ctx, cfg, opts); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Worker) wire(ctx context.Context, cfg Config, opts WorkerOptions) error {
	shared, err := w.settings(ctx, opts.Logger)
	if err != nil {
		return err
	}
	w.plane, err = newDataPlane(dataPlaneOptions{
		store:       w.store,
		egress:      egress.Options{AllowPrivate: shared.AllowPrivate, Allow: shared.Allow, AllowEndpoints: shared.Endpoints},
		concurrency: cfg.Concurrency, memory: cfg.Memory, quota: shared.Quota, groups: shared.Groups, zone: shared.TimeZone, cluster: true,
		archives:  shared.Archives,
		userAgent: "openoms/" + opts.Version, log: opts.Logger, clock: opts.Clock,
	})
	return err
}

// settings waits for what a server leaves for workers.
func (w *Worker) settings(ctx context.Context, log *slog.Logger) (c clusterConfig, err error) {
	ticker := time.NewTicker(settingsPatience)
	defer ticker.Stop()
	for told := false; ; told = true {
		text, err := w.store.Setting(ctx, clusterSetting)
		if err == nil {
			return c, json.Unmarshal([]byte(text), &c)
		}
		if !errors.Is(err, oms.NotFound) {
			return c, err
		}
		if !told {
			log.InfoContext(ctx, "waiting for a server to start on this database")
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-ticker.C:
		}
	}
}

// Run moves until ctx ends. Then it gives back what it has, within ten seconds.
func (w *Worker) Run(ctx context.Context) error { return w.plane.Run(ctx) }

// Close gives everything back. Run has returned, or was never called.
func (w *Worker) Close() error {
	if w.plane != nil {
		w.plane.closeIdle()
	}
	return w.store.close()
}
