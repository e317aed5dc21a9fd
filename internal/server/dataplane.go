package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/transfer"
)

// defaultConcurrency is the number of objects in flight when nobody said otherwise.
const defaultConcurrency = 64

// dataPlane is what moves objects: the engine with the connections that it uses.
type dataPlane struct {
	*engine.Engine
	transport *s3.Transport
}

// dataPlaneOptions say how objects are moved.
type dataPlaneOptions struct {
	store       *store
	egress      egress.Options
	concurrency int // 0 is automatic
	noWorkers   bool
	quota       oms.Quota
	groups      oms.GroupLimits
	userAgent   string
	log         *slog.Logger
	clock       func() time.Time
}

// newDataPlane wires the engine to store and network.
func newDataPlane(opts dataPlaneOptions) (*dataPlane, error) {
	guard, err := egress.New(opts.egress)
	if err != nil {
		return nil, err
	}
	concurrency := opts.concurrency
	if concurrency == 0 {
		concurrency = defaultConcurrency
	}
	transport := s3.NewTransport(s3.TransportOptions{Dial: guard.DialContext, IdlePerHost: 2*concurrency + 16})
	buckets := s3.NewOpener(s3.Options{Transport: transport, Clock: opts.clock, UserAgent: opts.userAgent})
	opener := cdn.NewOpener(buckets, cdn.Options{Transport: transport, Clock: opts.clock, UserAgent: opts.userAgent})
	e, err := engine.New(engine.Options{
		Owner:     newOwner(),
		Store:     opts.store,
		Sealer:    opts.store.sealer,
		Opener:    opener,
		Resources: transfer.NewResources(transfer.Bounds{Slots: concurrency}),
		Transfer:  transfer.Options{Workers: concurrency},
		Quota:     opts.quota,
		Groups:    opts.groups,
		Logger:    opts.log,
		Clock:     opts.clock,
		NoWorkers: opts.noWorkers,
	})
	if err != nil {
		return nil, err
	}
	return &dataPlane{Engine: e, transport: transport}, nil
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
