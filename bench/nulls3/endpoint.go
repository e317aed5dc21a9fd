package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// op is what a request does, as far as requests are counted and slowed down apart.
type op int

const (
	opList op = iota
	opHead
	opGet
	opPut
	opPart
	opCopy
	opCreate
	opComplete
	opAbort
	opDelete
	opDeleteMany
	opBucket
	opOther
	ops
)

// String returns the name in /_stats.
func (o op) String() string {
	return [...]string{
		"list", "head", "get", "put", "upload_part", "copy", "mp_create", "mp_complete", "mp_abort", "delete", "delete_multi",
		"bucket", "other",
	}[o]
}

// Kinds of injected faults.
const (
	faultSlowDown = iota
	faultReset
	faultTruncated
	faults
)

// stats count since the start or the last /_reset.
type stats struct {
	ops         [ops]atomic.Int64
	bytesIn     atomic.Int64 // of bodies
	bytesOut    atomic.Int64
	connections atomic.Int64
	faults      [faults]atomic.Int64
	badChecksum atomic.Int64
	badLength   atomic.Int64
}

// endpointOptions say how an endpoint behaves.
type endpointOptions struct {
	latency    [ops]time.Duration
	errorRate  float64 // share of object and list requests that fail
	errorKinds []string
	bandwidth  int64 // bytes a second of each connection and direction; 0 is unlimited
	md5        bool  // compute the MD5 of what is stored, also where it is not known
	keep       bool  // keep the data of stored objects
	dump       int64 // so many request heads are printed
	dumpTo     io.Writer
}

// endpoint is one S3 address with its buckets and counters. Safe for concurrent use.
type endpoint struct {
	name     string
	opts     endpointOptions
	contents *contents
	source   *synth // what /_verify compares with
	stats    stats
	date     dateCache
	dumped   atomic.Int64
	nextID   atomic.Int64 // of an upload
	lastMeta atomic.Pointer[string]

	mu      sync.RWMutex
	buckets map[string]*bucket
	uploads map[string]*upload
}

func newEndpoint(name string, source *synth, opts endpointOptions) *endpoint {
	return &endpoint{
		name: name, opts: opts, contents: source.contents, source: source,
		buckets: map[string]*bucket{}, uploads: map[string]*upload{},
	}
}

// serve answers connections until the listener is closed. Connections that are open then end with ctx or their client.
func (e *endpoint) serve(ctx context.Context, ln *net.TCPListener) error {
	for {
		tcp, err := ln.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("endpoint %s: %w", e.name, err)
		}
		n := e.stats.connections.Add(1)
		c := &conn{
			endpoint: e, tcp: tcp, rbuf: make([]byte, 128<<10), wbuf: make([]byte, 0, 8<<10),
			rng: mix(uint64(n) * 7919),
		}
		go c.serve(ctx)
	}
}

// bucket returns nil when there is no such bucket.
func (e *endpoint) bucket(name string) *bucket {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.buckets[name]
}

// dump prints the head of the current request, if it is one of the first.
func (c *conn) dump() {
	if c.opts.dump > 0 && c.dumped.Add(1) <= c.opts.dump {
		_, _ = fmt.Fprintf(c.opts.dumpTo, "--- %s\n%s", c.name, c.head)
	}
}

// Ends of a request.
var (
	errInjected = errors.New("injected fault") // the connection is given up
	errAnswered = errors.New("answered")       // the answer was sent already
)

// begin counts a request, waits for its latency and decides whether it fails. truncate asks the caller to send half of
// the body and then errInjected. The latency of a body follows the body: see put.
func (c *conn) begin(ctx context.Context, o op) (truncate bool, err error) {
	c.stats.ops[o].Add(1)
	if d := c.opts.latency[o]; d > 0 && o != opPut && o != opPart {
		if err := pause(ctx, d); err != nil {
			return false, err
		}
	}
	if c.opts.errorRate <= 0 || c.random() >= c.opts.errorRate {
		return false, nil
	}
	kinds := c.opts.errorKinds
	switch kind := kinds[int(c.random()*float64(len(kinds)))%len(kinds)]; {
	case kind == "trunc" && o == opGet:
		c.stats.faults[faultTruncated].Add(1)
		return true, nil
	case kind == "reset":
		c.stats.faults[faultReset].Add(1)
		_ = c.tcp.SetLinger(0) // the client may have closed already
		return false, errInjected
	default:
		c.stats.faults[faultSlowDown].Add(1)
		if err := c.drain(ctx); err != nil {
			return false, err
		}
		if err := c.replyError(503, "SlowDown", "Please reduce your request rate."); err != nil {
			return false, err
		}
		return false, errAnswered
	}
}

// handle answers one request.
func (c *conn) handle(ctx context.Context) error {
	err := c.route(ctx)
	if errors.Is(err, errAnswered) {
		err = nil
	}
	if err == nil {
		err = c.drain(ctx)
	}
	return err
}

func (c *conn) route(ctx context.Context) error {
	path := strings.TrimPrefix(string(c.req.path), "/")
	if strings.HasPrefix(path, "_") {
		c.stats.ops[opOther].Add(1)
		return c.admin(path)
	}
	name, key, _ := strings.Cut(path, "/")
	switch {
	case name == "":
		c.stats.ops[opBucket].Add(1)
		return c.listBuckets()
	case key == "":
		return c.bucketRequest(ctx, name)
	}
	return c.objectRequest(ctx, name, key)
}
