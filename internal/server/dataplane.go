package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/localfile"
	"github.com/openoms/openoms/internal/storage/urllist"
	"github.com/openoms/openoms/internal/storageclass"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds when the operator says nothing else.
const (
	mostRequests     = 512 // of a class (listing, reading, writing) in flight to a bucket; the guard finds out how many help
	spareConnections = 16  // kept beside those for reading and writing
)

// dataPlane is what moves objects: the engine with the connections that it uses and what decides how many.
type dataPlane struct {
	*engine.Engine
	connections *connections
	guard       *guard.Guard
	log         *slog.Logger
}

// dataPlaneOptions say how objects are moved.
type dataPlaneOptions struct {
	store       *store
	egress      egress.Options
	concurrency int   // 0 is automatic
	minRequests int   // of a kind in flight to a bucket; 0 is automatic
	memory      int64 // bytes of buffers; 0 is automatic
	partSize    int64 // bytes of the parts of large objects; 0 is automatic
	noWorkers   bool
	cluster     bool // other processes work on the same database
	quota       oms.Quota
	groups      oms.GroupLimits
	zone        string // "" is UTC
	archives    Archives
	userAgent   string
	urlList     string // path of the file that is LocalList; "" when there is none
	log         *slog.Logger
	clock       func() time.Time
}

// newDataPlane wires the engine to store and network.
func newDataPlane(opts dataPlaneOptions) (*dataPlane, error) {
	zone, err := time.LoadLocation(opts.zone)
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "time zone: %s", err.Error())
	}
	classes, err := storageclass.New(opts.archives.Classes)
	if err != nil {
		return nil, err
	}
	network, err := egress.New(opts.egress)
	if err != nil {
		return nil, err
	}
	requests := cmp.Or(opts.concurrency, mostRequests)
	lanes := guard.New(guard.Options{MinSlots: opts.minRequests, MaxSlots: requests, Memory: opts.store, Logger: opts.log, Clock: opts.clock})
	connections := newConnections(network, requests)
	var opener storage.Opener = urllist.NewOpener(connections.opener(opts.clock, opts.userAgent), urllist.Options{
		Transport: connections.web, Clock: opts.clock, UserAgent: opts.userAgent,
	})
	if opts.urlList != "" {
		list := LocalList()
		opener = localfile.NewOpener(opener, list.Bucket, list.Key, opts.urlList)
	}
	e, err := engine.New(engine.Options{
		Owner:     newOwner(),
		Store:     opts.store,
		Sealer:    opts.store.sealer,
		Opener:    opener,
		Resources: transfer.NewResources(transfer.Bounds{Slots: opts.concurrency, Memory: opts.memory, Guard: lanes}),
		Transfer:  transfer.Options{Workers: opts.concurrency, Walkers: walkers(opts.concurrency), PartSize: opts.partSize, Spool: transfer.Spool{Dir: opts.store.dir}, Restoring: opts.archives.restoring()},
		Quota:     opts.quota,
		Groups:    opts.groups,
		Zone:      zone,
		Restores:  opts.archives.Budget,
		Classes:   classes,
		Logger:    opts.log,
		Clock:     opts.clock,
		NoWorkers: opts.noWorkers,
		Cluster:   opts.cluster,
	})
	if err != nil {
		return nil, err
	}
	return &dataPlane{Engine: e, connections: connections, guard: lanes, log: opts.log}, nil
}

// mostWalkers is how many ranges of a task are listed at the same time when the operator says nothing else.
const mostWalkers = 64

// walkers returns how many ranges of a task are listed at the same time. A process that copies few objects at a time must
// not list more than it can use, since what it has listed is nobody else's.
func walkers(concurrency int) int {
	if concurrency == 0 {
		return mostWalkers
	}
	return min(max(concurrency, 2), mostWalkers)
}

// closeIdle closes the connections that nobody uses.
func (p *dataPlane) closeIdle() { p.connections.closeIdle() }

// Run moves until ctx ends. What earlier processes learned about the stores is used, and what this one learns is kept.
func (p *dataPlane) Run(ctx context.Context) error {
	if err := p.guard.Load(ctx); err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "what is known of the stores cannot be read; it is learned again", "err", err)
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var keeping errgroup.Group
	keeping.Go(func() error { return p.guard.Run(keep) })
	err := p.Engine.Run(ctx)
	stop() // after the last task, whose end is worth remembering too
	return errors.Join(err, keeping.Wait())
}

// newOwner names this process in leases.
func newOwner() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return "oms-" + hex.EncodeToString(b[:])
}

// hostPorts returns host:port of the endpoints, as the guard wants them.
func hostPorts(endpoints []oms.Endpoint) ([]string, error) {
	list := make([]string, 0, len(endpoints))
	for _, e := range endpoints {
		u, err := url.Parse(e.URL)
		if err != nil {
			return nil, fmt.Errorf("endpoint: %w", err)
		}
		port := u.Port()
		switch {
		case port != "":
		case u.Scheme == "http":
			port = "80"
		default:
			port = "443"
		}
		list = append(list, net.JoinHostPort(u.Hostname(), port))
	}
	return list, nil
}
