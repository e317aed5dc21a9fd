package egress

import (
	"crypto/tls"
	"net/http"
	"time"
)

// maxHeaderBytes caps the header of an answer (section 3 of the reliability rules).
const maxHeaderBytes = 64 << 10

// TransportOptions configure a transport. The zero value is for a few requests at a time.
type TransportOptions struct {
	MaxIdleConns        int           // idle connections in all; 0 means 100
	MaxIdleConnsPerHost int           // idle connections to one host; 0 means MaxIdleConns
	MaxConnsPerHost     int           // connections to one host; 0 means no limit
	IdleTimeout         time.Duration // an idle connection is closed; 0 means 60 s
	TLSTimeout          time.Duration // TLS handshake; 0 means 10 s
	// HeaderTimeout bounds the wait for the header of an answer after the request was sent; 0 means 2 min,
	// because stores assemble large objects before they answer.
	HeaderTimeout time.Duration
	BufferSize    int         // bytes of the read and of the write buffer of a connection; 0 means 64 KiB
	TLS           *tls.Config // own certificate authorities; nil means the system's. Cloned; at least TLS 1.2
}

// Transport returns a transport whose connections the guard makes. It speaks HTTP/1.1 only, because one
// HTTP/2 connection would carry all parts of a transfer; it uses no proxy (rule S5) and leaves content
// encodings alone (rule D10). The caller closes its idle connections.
func (g *Guard) Transport(opts TransportOptions) *http.Transport {
	idle := orInt(opts.MaxIdleConns, 100)
	config := &tls.Config{}
	if opts.TLS != nil {
		config = opts.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            g.DialContext,
		TLSClientConfig:        config,
		Protocols:              protocols,
		TLSHandshakeTimeout:    orDuration(opts.TLSTimeout, 10*time.Second),
		ResponseHeaderTimeout:  orDuration(opts.HeaderTimeout, 2*time.Minute),
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        orDuration(opts.IdleTimeout, time.Minute),
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    orInt(opts.MaxIdleConnsPerHost, idle),
		MaxConnsPerHost:        opts.MaxConnsPerHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		WriteBufferSize:        orInt(opts.BufferSize, 64<<10),
		ReadBufferSize:         orInt(opts.BufferSize, 64<<10),
		DisableCompression:     true,
	}
}

// Client returns a client that hands redirects to its caller instead of following them: signed requests must
// not leave for another host (rule S6). It sets no total timeout; requests carry a context.
func Client(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func orInt(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
