package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// Options configure a Client.
type Options struct {
	// Dial opens connections; required. It is where outgoing connections are guarded.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the client configuration; nil means TLS 1.2 at least and the system's authorities.
	TLS *tls.Config
	// IdlePerHost is how many idle connections are kept for each host; 0 means 256. It should not be less than the
	// number of requests in flight.
	IdlePerHost int
	// IdleTimeout is how long an idle connection is kept at least; 0 means one minute.
	IdleTimeout time.Duration
	// HandshakeTimeout bounds a TLS handshake; 0 means ten seconds.
	HandshakeTimeout time.Duration
	// HeaderTimeout bounds the wait for an answer after the request was sent; 0 means two minutes. It may come late
	// by a quarter.
	HeaderTimeout time.Duration
}

// Client keeps connections to hosts. It is safe for concurrent use and does nothing while there are neither requests
// nor idle connections.
type Client struct {
	opts   Options
	copies sync.Pool // *[]byte of copyBuffer

	mu       sync.Mutex
	idle     map[string][]*conn // by Endpoint.id, the one used last at the end
	reaper   *time.Timer        // closes what is idle for too long; nil while nothing is
	active   []*conn            // those that carry a request
	watching bool               // watch will look at them
}

// New returns a Client; opts.Dial must be set.
func New(opts Options) *Client {
	if opts.IdlePerHost == 0 {
		opts.IdlePerHost = 256
	}
	if opts.IdleTimeout == 0 {
		opts.IdleTimeout = time.Minute
	}
	if opts.HandshakeTimeout == 0 {
		opts.HandshakeTimeout = 10 * time.Second
	}
	if opts.HeaderTimeout == 0 {
		opts.HeaderTimeout = 2 * time.Minute
	}
	if opts.TLS == nil {
		opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &Client{opts: opts, idle: map[string][]*conn{}}
}

// Endpoint is a host to send requests to. It is safe for concurrent use; endpoints of the same scheme and host
// share their connections.
type Endpoint struct {
	client *Client
	id     string      // scheme and address
	addr   string      // host:port
	tls    *tls.Config // nil: plain
}

var errHost = errors.New("http1: the scheme or host cannot be used")

// Endpoint returns the endpoint of scheme "http" or "https" and host, with or without port. The host is ASCII: names
// in other scripts must come in their encoded form.
func (c *Client) Endpoint(scheme, host string) (*Endpoint, error) {
	name, port, err := splitHost(scheme, host)
	if err != nil {
		return nil, err
	}
	e := &Endpoint{client: c, addr: net.JoinHostPort(name, port)}
	e.id = scheme + "://" + e.addr
	if scheme == "https" {
		e.tls = c.opts.TLS.Clone()
		if e.tls.ServerName == "" {
			e.tls.ServerName = name
		}
		e.tls.DynamicRecordSizingDisabled = true // bodies are large
	}
	return e, nil
}

func splitHost(scheme, host string) (name, port string, err error) {
	switch scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return "", "", errHost
	}
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == '?' || c == '#' {
			return "", "", errHost
		}
	}
	if n, p, err := net.SplitHostPort(host); err == nil {
		name, port = n, p
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if name == "" || port == "" {
		return "", "", errHost
	}
	return name, port, nil
}

// CloseIdleConnections closes the connections that carry no request.
func (c *Client) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaper != nil {
		c.reaper.Stop()
		c.reaper = nil
	}
	for id, list := range c.idle {
		for _, k := range list {
			k.drop()
		}
		delete(c.idle, id)
	}
}

// take returns an idle connection that still seems to be alive, for a request that ends with done, or nil. The look at
// it is a system call, which is worth it: bytes that came late would be taken for the next answer.
func (c *Client) take(id string, done <-chan struct{}) *conn {
	for {
		k := c.pop(id, done)
		if k == nil {
			return nil
		}
		if k.peek.quiet() {
			return k
		}
		c.abandon(k)
	}
}

// pop is take without the look.
func (c *Client) pop(id string, done <-chan struct{}) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[id]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	k := list[last]
	list[last] = nil
	c.idle[id] = list[:last]
	c.activate(k, done)
	k.reused, k.received = true, false
	return k
}

// activate has the connection interrupted when done is closed. c is locked.
func (c *Client) activate(k *conn, done <-chan struct{}) {
	k.done, k.slot = done, len(c.active)
	c.active = append(c.active, k)
	if !c.watching {
		c.watching = true
		time.AfterFunc(lookEvery, c.watch)
	}
}

// enter is activate for new connections.
func (c *Client) enter(k *conn, done <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activate(k, done)
}

// deactivate ends that. c is locked.
func (c *Client) deactivate(k *conn) {
	last := len(c.active) - 1
	moved := c.active[last]
	c.active[k.slot], moved.slot = moved, k.slot
	c.active[last] = nil
	c.active = c.active[:last]
	k.done = nil
}

// watch interrupts the connections whose requests are over, and comes again while there are requests. One look at
// all of them every few milliseconds costs less than a watch over each.
func (c *Client) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.active {
		select {
		case <-k.done:
			k.interrupt()
		default:
		}
	}
	c.watching = len(c.active) > 0
	if c.watching {
		time.AfterFunc(lookEvery, c.watch)
	}
}

// abandon ends the request of a connection, which is not over, and resets it.
func (c *Client) abandon(k *conn) {
	c.mu.Lock()
	c.deactivate(k)
	c.mu.Unlock()
	k.reset()
}

// retire ends the request of a connection, which is over, and closes it.
func (c *Client) retire(k *conn) {
	c.mu.Lock()
	c.deactivate(k)
	c.mu.Unlock()
	k.drop()
}

// keep ends the request of a connection and keeps it for the next, unless it was interrupted or there are enough.
func (c *Client) keep(k *conn) {
	k.idleSince = time.Now()
	if !c.push(k) {
		k.drop()
	}
}

func (c *Client) push(k *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deactivate(k)
	list := c.idle[k.end.id]
	if k.interrupted.Load() || len(list) >= c.opts.IdlePerHost {
		return false
	}
	c.idle[k.end.id] = append(list, k)
	if c.reaper == nil {
		c.reaper = time.AfterFunc(c.opts.IdleTimeout, c.reap)
	}
	return true
}

// reap closes what has been idle for too long, and comes again while hosts are left.
func (c *Client) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaper == nil { // closed meanwhile
		return
	}
	limit := time.Now().Add(-c.opts.IdleTimeout)
	for id, list := range c.idle {
		n := 0
		for n < len(list) && list[n].idleSince.Before(limit) {
			list[n].drop()
			n++
		}
		if n == len(list) {
			delete(c.idle, id)
		} else if n > 0 {
			c.idle[id] = append([]*conn(nil), list[n:]...)
		}
	}
	if len(c.idle) == 0 {
		c.reaper = nil
		return
	}
	c.reaper.Reset(c.opts.IdleTimeout / 2)
}

// dial opens a connection.
func (e *Endpoint) dial(ctx context.Context) (*conn, error) {
	nc, err := e.client.opts.Dial(ctx, "tcp", e.addr)
	if err != nil {
		return nil, err
	}
	socket := nc
	if e.tls != nil {
		t := tls.Client(nc, e.tls)
		hctx, cancel := context.WithTimeout(ctx, e.client.opts.HandshakeTimeout)
		defer cancel()
		if err := t.HandshakeContext(hctx); err != nil {
			_ = nc.Close() // the handshake's error is the one to tell
			return nil, err
		}
		nc = t
	}
	return newConn(e, nc, socket), nil
}

// copyBuf returns a buffer of copyBuffer bytes, to be given back to e.client.copies.
func (c *Client) copyBuf() *[]byte {
	if b, ok := c.copies.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, copyBuffer)
	return &b
}
