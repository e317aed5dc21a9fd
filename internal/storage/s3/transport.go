package s3

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/openoms/openoms/internal/http1"
)

// TransportOptions say how connections are made.
type TransportOptions struct {
	// Dial opens connections; required. It is where outgoing connections are guarded.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the client configuration; nil means the default one, TLS 1.2 at least.
	TLS *tls.Config
	// IdlePerHost is how many idle connections are kept for each endpoint; 0 means 256. It should not be less than
	// the number of requests in flight.
	IdlePerHost int
	// HeaderTimeout bounds the wait for an answer after the request was sent; 0 means two minutes.
	HeaderTimeout time.Duration
}

// Transport carries requests over HTTP/1.1 (one connection a request, so that one stalled object holds up no other),
// without proxy and compression (rule D10), with heads of at most 64 KiB. The calls that make up a migration (reads,
// writes, listings, HEAD) go over connections of package http1, all others over net/http, both with connections of
// their own. It is safe for concurrent use.
type Transport struct {
	general *http.Transport
	lean    *http1.Client
}

// NewTransport returns a transport made for moving objects; opts.Dial must be set.
func NewTransport(opts TransportOptions) *Transport {
	return &Transport{
		general: newGeneral(opts),
		lean: http1.New(http1.Options{
			Dial: opts.Dial, TLS: opts.TLS, IdlePerHost: opts.IdlePerHost, HeaderTimeout: opts.HeaderTimeout,
		}),
	}
}

// General returns the part that is net/http. An Opener with it as its Transport makes no use of package http1: both
// must behave alike.
func (t *Transport) General() http.RoundTripper { return t.general }

// RoundTrip implements http.RoundTripper over net/http.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.general.RoundTrip(r) }

// CloseIdleConnections closes the connections that carry no request.
func (t *Transport) CloseIdleConnections() {
	t.general.CloseIdleConnections()
	t.lean.CloseIdleConnections()
}

// endpoint returns nil for hosts that are left to net/http.
func (t *Transport) endpoint(scheme, host string) *http1.Endpoint {
	e, err := t.lean.Endpoint(scheme, host)
	if err != nil {
		return nil
	}
	return e
}

// newGeneral returns the transport of net/http. Its buffers hold the head and body of a small object, so that both
// take one system call; large reads of the caller go past them, and large bodies in memory are written without a copy.
func newGeneral(opts TransportOptions) *http.Transport {
	if opts.IdlePerHost == 0 {
		opts.IdlePerHost = 256
	}
	if opts.HeaderTimeout == 0 {
		opts.HeaderTimeout = 2 * time.Minute
	}
	if opts.TLS == nil {
		opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := opts.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return bulkConn{conn}, nil
		},
		TLSClientConfig:        opts.TLS,
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    opts.IdlePerHost,
		IdleConnTimeout:        time.Minute,
		ResponseHeaderTimeout:  opts.HeaderTimeout,
		MaxResponseHeaderBytes: 64 * kib,
		WriteBufferSize:        smallBody + 4*kib,
		ReadBufferSize:         smallBody + 4*kib,
		Protocols:              protocols,
	}
}

// bulkConn writes large bodies in large pieces.
type bulkConn struct{ net.Conn }

// bulkPiece is how much of a stream is read before it is written.
const bulkPiece = 256 * kib

// ReadFrom implements io.ReaderFrom, which the transport uses for what does not fit its buffer: a body in memory is
// written as it is, a stream in pieces of 256 KiB instead of 32.
func (c bulkConn) ReadFrom(r io.Reader) (int64, error) {
	if lr, ok := r.(*io.LimitedReader); ok {
		if body, ok := lr.R.(*sendBody); ok {
			n, handled, err := body.sendTo(c.Conn)
			if handled {
				lr.N -= n
				return n, err
			}
		}
		buf := make([]byte, min(lr.N+1, bulkPiece))
		return io.CopyBuffer(writerOnly{c.Conn}, r, buf)
	}
	return io.Copy(writerOnly{c.Conn}, r)
}

// writerOnly hides the other abilities of a connection.
type writerOnly struct{ io.Writer }
