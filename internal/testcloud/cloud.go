// Package testcloud is an object store inside the process, with an S3 face, for tests and the demo.
//
// A [Cloud] verifies SigV4 signatures, keeps objects in memory, lists by page and knows multipart
// uploads, server-side copies, checksums and archive classes. What differs between vendors is data in a
// [Profile]. A generated bucket holds a [Space] of any size without storing it: 10^8 keys cost nothing
// until they are listed. [Faults] script misbehaviour per operation and key, and the records
// ([Cloud.Requests], [Cloud.Count], [Bucket.Received]) say afterwards what was really asked.
//
// Keys are opaque bytes: no path is ever cleaned, "a//b", "..", control characters and invalid UTF-8
// are ordinary keys.
//
//	cloud := testcloud.New(testcloud.Options{AccessKey: "ak", SecretKey: "sk"})
//	url, stop, err := cloud.Start(ctx, "127.0.0.1:0")
//	cloud.CreateBucket("photos").Put("2024/a.jpg", data, testcloud.Attrs{})
//
// Everything is safe for concurrent use.
package testcloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Cloud. The zero value is an AWS-like store in us-east-1 that nobody may use until
// [Cloud.SetCredential] is called.
type Options struct {
	AccessKey    string           // the first credential; "" means none
	SecretKey    string           // its secret
	SessionToken string           // when set, requests must carry it as x-amz-security-token
	Region       string           // "" means us-east-1
	Domain       string           // hosts BUCKET.Domain are virtual-host style; "" means localhost
	Profile      Profile          // the zero value means AWS()
	Clock        func() time.Time // nil means time.Now
	Seed         uint64           // of the fault rules' dice
	RecordLimit  int              // requests remembered; 0 means 10 000, negative none
}

// A Cloud is one object store. Make it with [New].
type Cloud struct {
	// Faults is the scripted misbehaviour; empty at first.
	Faults *Faults

	profile Profile
	region  string
	domain  string
	clock   func() time.Time
	records *records
	creds   credentials
	google  tokenService
	ids     atomic.Uint64

	restoreAhead, restoreTakes atomic.Int64 // nanoseconds

	down  atomic.Bool
	pages sync.Pool     // of *page: buffers of listings
	done  chan struct{} // closed by Close: every stall and delay ends

	mu      sync.RWMutex
	closed  bool
	buckets map[string]*Bucket
}

// New returns an empty store.
func New(opts Options) *Cloud {
	if opts.Region == "" {
		opts.Region = "us-east-1"
	}
	if opts.Domain == "" {
		opts.Domain = "localhost"
	}
	if opts.Profile.Name == "" {
		opts.Profile = AWS()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.RecordLimit == 0 {
		opts.RecordLimit = 10_000
	}
	c := &Cloud{
		Faults:  newFaults(opts.Seed),
		profile: opts.Profile,
		region:  opts.Region,
		domain:  opts.Domain,
		clock:   opts.Clock,
		records: newRecords(opts.RecordLimit),
		done:    make(chan struct{}),
		buckets: map[string]*Bucket{},
	}
	if opts.AccessKey != "" {
		c.SetCredential(Credential{AccessKey: opts.AccessKey, SecretKey: opts.SecretKey, SessionToken: opts.SessionToken})
	}
	return c
}

// Profile returns the personality that the cloud was made with.
func (c *Cloud) Profile() Profile { return c.profile }

// Region returns the region that signatures must name.
func (c *Cloud) Region() string { return c.region }

// Handler returns the S3 face. Mount it at the root of a server and nowhere else, because keys are taken
// from the raw request URI; without [Cloud.Start], set the server's ConnState to [Cloud.ConnState] to have
// connections counted.
func (c *Cloud) Handler() http.Handler { return http.HandlerFunc(c.serve) }

// Start serves the cloud on addr ("" means 127.0.0.1:0) over HTTP/1.1 and unencrypted HTTP/2, and returns
// its URL. stop closes all connections, ends stalled requests and waits for the server; it may be called
// more than once. When ctx ends the cloud stops as well.
func (c *Cloud) Start(ctx context.Context, addr string) (url string, stop func(), err error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("testcloud: listen on %s: %w", addr, err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           c.Handler(),
		ConnState:         c.ConnState,
		ReadHeaderTimeout: time.Minute,
		MaxHeaderBytes:    256 << 10,
		Protocols:         &protocols,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			c.Close()
		}
	}()
	end := func() {
		c.Close()
		_ = srv.Close() // closes the listener and every connection; there is nobody to tell about an error
		<-served
	}
	unhook := context.AfterFunc(ctx, end)
	return "http://" + ln.Addr().String(), func() { unhook(); end() }, nil
}

// Close ends all delays and stalls, so that no handler outlives its server. Objects stay readable through
// the methods of their buckets.
func (c *Cloud) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.done)
	}
}

// Down makes the whole store unreachable: every request ends in a connection reset until [Cloud.Up].
func (c *Cloud) Down() { c.down.Store(true) }

// Up ends [Cloud.Down].
func (c *Cloud) Up() { c.down.Store(false) }

// CreateBucket returns the bucket of that name, making an empty one when there is none.
func (c *Cloud) CreateBucket(name string) *Bucket {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.buckets[name]
	if !ok {
		b = newBucket(c, name)
		c.buckets[name] = b
	}
	return b
}

// Bucket returns the bucket of that name, or nil.
func (c *Cloud) Bucket(name string) *Bucket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.buckets[name]
}

// RemoveBucket takes a bucket away with everything in it.
func (c *Cloud) RemoveBucket(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.buckets, name)
}

// bucketList returns all buckets by name.
func (c *Cloud) bucketList() []*Bucket {
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := slices.Sorted(maps.Keys(c.buckets))
	list := make([]*Bucket, len(names))
	for i, n := range names {
		list[i] = c.buckets[n]
	}
	return list
}
