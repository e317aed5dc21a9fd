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

// Client keeps connections to hosts. It is safe for concurrent use and runs no goroutine while it is idle.
type Client struct {
	opts   Options
	copies sync.Pool // *[]byte of copyBuffer

	mu    sync.Mutex
	idle  map[string][]*conn // by Endpoint.id, the one used last at the end
	timer *time.Timer        // closes what is idle for too long; nil while nothing is
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
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	for id, list := range c.idle {
		for _, k := range list {
			k.drop()
		}
		delete(c.idle, id)
	}
}

// take returns an idle connection that still seems to be alive, or nil.
func (c *Client) take(id string) *conn {
	for {
		k := c.pop(id)
		if k == nil || k.quiet() {
			return k
		}
		k.drop()
	}
}

func (c *Client) pop(id string) *conn {
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
	return k
}

// put keeps a connection for the next request.
func (c *Client) put(k *conn) {
	k.idleSince = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[k.end.id]
	if len(list) >= c.opts.IdlePerHost {
		k.drop()
		return
	}
	c.idle[k.end.id] = append(list, k)
	if c.timer == nil {
		c.timer = time.AfterFunc(c.opts.IdleTimeout, c.reap)
	}
}

// reap closes what has been idle for too long, and comes again while hosts are left.
func (c *Client) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil { // closed meanwhile
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
			continue
		}
		if n > 0 {
			c.idle[id] = append([]*conn(nil), list[n:]...)
		}
	}
	if len(c.idle) == 0 {
		c.timer = nil
		return
	}
	c.timer.Reset(c.opts.IdleTimeout / 2)
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
