package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/httpapi"
	"github.com/openoms/openoms/internal/notify"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/telemetry"
)

// Limits of the listener (rule S8) and of stopping, whose sum stays below ten seconds with the engine's eight.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeader         = 32 << 10
	requestPatience   = 1500 * time.Millisecond // requests under way when the service stops
	purgeEvery        = 5 * time.Minute
)

// Options are what a Server needs. All fields are required but Initial.
type Options struct {
	Config  Config
	Initial auth.Initial // first credentials; what is empty is generated at the first start
	Version string       // of the program
	Logger  *slog.Logger
	Clock   func() time.Time
}

// Server is a service that is ready to run. Make it with New and end it with Close.
type Server struct {
	log       *slog.Logger
	store     *store
	auth      *auth.Service
	plane     *dataPlane
	notifier  *notify.Notifier
	listener  net.Listener
	http      *http.Server
	url       string
	first     bool
	bootstrap string
	schedules engine.ScheduleOptions
	stopping  chan struct{} // closed when the service begins to stop
}

// New opens the data directory and the listener and wires everything; nothing is served or moved before Run. At a
// first start it makes the first credentials. Errors say what the operator can do.
func New(ctx context.Context, opts Options) (*Server, error) {
	cfg := opts.Config
	if err := cfg.Validate(); err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "%s", err.Error())
	}
	if err := harden(); err != nil {
		return nil, err
	}
	st, err := openServing(ctx, storeOptions{database: cfg.Database, dataDir: cfg.DataDir, keyFile: cfg.masterKeyFile(), log: opts.Logger, clock: opts.Clock})
	if err != nil {
		return nil, err
	}
	s := &Server{log: opts.Logger, store: st, bootstrap: filepath.Join(cfg.DataDir, "bootstrap.env"), stopping: make(chan struct{})}
	if err := s.wire(ctx, cfg, opts); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// wire makes everything above the store.
func (s *Server) wire(ctx context.Context, cfg Config, opts Options) error {
	regions, err := region.New(cfg.Regions)
	if err != nil {
		return err
	}
	s.auth = auth.New(auth.Options{Store: s.store, Sealer: s.store.sealer, Now: opts.Clock})
	if s.first, _, err = s.auth.Bootstrap(ctx, opts.Initial, s.bootstrap); err != nil {
		return err
	}
	if err := s.listen(ctx, cfg); err != nil {
		return err
	}
	rules, err := egressRules(cfg, regions, s.listener.Addr())
	if err != nil {
		return err
	}
	if err := publish(ctx, s.store, cfg, rules); err != nil {
		return err
	}
	s.plane, err = newDataPlane(dataPlaneOptions{
		cluster: cfg.Database != "",
		store:   s.store, egress: rules, concurrency: cfg.Concurrency, minRequests: cfg.MinConcurrency, memory: cfg.Memory, partSize: cfg.PartSize, noWorkers: cfg.NoWorkers, quota: cfg.Quota, groups: cfg.Groups, zone: cfg.TimeZone,
		archives:  cfg.Archives,
		userAgent: "openoms/" + opts.Version, log: opts.Logger, clock: opts.Clock,
	})
	if err != nil {
		return err
	}
	if s.notifier, err = newNotifier(cfg, s.store, rules, opts); err != nil {
		return err
	}
	api := httpapi.Options{
		Tasks: s.plane, Syncs: s.plane, Groups: s.plane, Regions: regions, Buckets: newInquiry(s.plane, regions, opts), Auth: s.auth, Audit: audit{s.store}, Logger: opts.Logger, Clock: opts.Clock,
		Ready:   s.store.Ready,
		Metrics: s.metrics(opts.Version),
		Version: opts.Version,
		Objects: s.plane, NoObjectLists: cfg.NoObjectLists,
		Stopping: s.stopping,
		Topics:   s.notifier,
	}
	s.schedules = engine.ScheduleOptions{Compile: httpapi.Compiler(api), Window: cfg.MissedWindow}
	s.http = &http.Server{
		Handler:           httpapi.New(api),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug), // broken handshakes and the like
	}
	s.http.RegisterOnShutdown(sync.OnceFunc(func() { close(s.stopping) }))
	return nil
}

// listen opens the listener, with TLS where it is configured.
func (s *Server) listen(ctx context.Context, cfg Config) error {
	var tlsConfig *tls.Config
	if cfg.TLSCert != "" {
		if err := checkPrivate(cfg.TLSKey); err != nil {
			return err
		}
		pair, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return oms.Errorf(oms.Invalid, "", "certificate and key: %s", err.Error())
		}
		tlsConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return &oms.Error{Op: "listen", Key: cfg.Listen, Kind: oms.Invalid, Err: err}
	}
	// A name such as localhost may stand for an address that others can reach.
	if err := checkListen(ln.Addr().String(), tlsConfig != nil); err != nil {
		return errors.Join(err, ln.Close())
	}
	s.listener, s.url = ln, "http://"+ln.Addr().String()
	if tlsConfig != nil {
		s.listener, s.url = tls.NewListener(ln, tlsConfig), "https://"+ln.Addr().String()
	}
	return nil
}

// egressRules says what tasks may reach.
func egressRules(cfg Config, regions *region.Table, own net.Addr) (egress.Options, error) {
	endpoints, err := hostPorts(regions.Trusted())
	if err != nil {
		return egress.Options{}, err
	}
	listener, err := netip.ParseAddrPort(own.String())
	if err != nil {
		return egress.Options{}, fmt.Errorf("address of the listener: %w", err)
	}
	return egress.Options{
		AllowPrivate: cfg.AllowPrivate, Allow: cfg.Allow, AllowEndpoints: endpoints,
		DenyListeners: []netip.AddrPort{listener},
	}, nil
}

// audit fits the store to the audit log of the API.
type audit struct{ store *store }

// Append implements httpapi.Audit.
func (a audit) Append(ctx context.Context, e oms.AuditEntry) error {
	return a.store.AppendAudit(ctx, e)
}

// stats are the engine's figures as metrics show them.
func (s *Server) stats() telemetry.TaskStats {
	e := s.plane.Stats()
	tasks := make(map[string]int, len(e.Tasks))
	for status, n := range e.Tasks {
		tasks[status.String()] = n
	}
	return telemetry.TaskStats{
		Tasks: tasks, Objects: e.Objects, Bytes: e.Bytes, InFlight: e.InFlight, Commits: e.Commits, CommitErrors: e.CommitErrors,
	}
}

// metrics serves all figures of the process.
func (s *Server) metrics(version string) http.Handler {
	r := telemetry.NewRegistry(version, s.stats)
	r.MustRegister(telemetry.NewSyncCollector(func() telemetry.SyncStats { return telemetry.SyncStats(s.plane.SyncStats()) }))
	return telemetry.Handler(r)
}

// URL returns scheme://host:port of the API.
func (s *Server) URL() string { return s.url }

// FirstStart reports whether New made the first credentials, and the file that holds them.
func (s *Server) FirstStart() (first bool, file string) { return s.first, s.bootstrap }

// Run serves and moves until ctx ends or something fails. Then it stops in order, within ten seconds: no new
// requests, requests under way, tasks to their checkpoints. It is called once; Close follows.
func (s *Server) Run(ctx context.Context) error {
	if privileged() {
		s.log.WarnContext(ctx, "the process runs as root; a user of its own is safer")
	}
	// What works outlives ctx until it is told to stop, in order.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed := make(chan error, 2)
	var workers, serving sync.WaitGroup
	workers.Go(func() {
		if err := s.plane.Run(work); err != nil {
			failed <- fmt.Errorf("stop workers: %w", err)
		}
	})
	workers.Go(func() { s.plane.RunSchedules(work, s.schedules) })
	workers.Go(func() { s.notifier.Run(work) })
	workers.Go(func() { s.purge(work) })
	serving.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	})
	var errs []error
	select {
	case <-ctx.Done():
		s.log.InfoContext(ctx, "stopping")
	case err := <-failed:
		errs = append(errs, err)
	}
	errs = append(errs, s.stopServing(work))
	serving.Wait()
	stop()
	workers.Wait()
	select {
	case err := <-failed:
		errs = append(errs, err)
	default:
	}
	return errors.Join(errs...)
}

// stopServing closes the listener, gives requests under way a moment and cuts off what is left.
func (s *Server) stopServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	if err := s.http.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		return s.http.Close()
	} else if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// purge deletes expired tokens and signatures now and then, until ctx ends.
func (s *Server) purge(ctx context.Context) {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.auth.PurgeExpired(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "expired tokens could not be deleted", "err", err)
		}
	}
}

// Close gives everything back. Run has returned, or was never called.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.plane != nil {
		s.plane.closeIdle()
	}
	return errors.Join(append(errs, s.store.close())...)
}
