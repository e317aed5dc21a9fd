package azblob

import (
	"context"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// TransportOptions say how connections are made.
type TransportOptions struct {
	// Dial opens connections; required. It is where outgoing connections are guarded.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// IdlePerHost is how many idle connections are kept for each endpoint; 0 means 256. It should not be less than
	// the number of requests in flight.
	IdlePerHost int
	// HeaderTimeout bounds the wait for an answer after the request was sent; 0 means two minutes.
	HeaderTimeout time.Duration
}

// Transport keeps connections. It is safe for concurrent use.
type Transport struct{ client *http1.Client }

// NewTransport returns a transport; opts.Dial must be set.
func NewTransport(opts TransportOptions) *Transport {
	return &Transport{client: http1.New(http1.Options{Dial: opts.Dial, IdlePerHost: opts.IdlePerHost, HeaderTimeout: opts.HeaderTimeout})}
}

// CloseIdleConnections closes the connections that carry no request.
func (t *Transport) CloseIdleConnections() { t.client.CloseIdleConnections() }

// Options say how an Opener reaches the service.
type Options struct {
	// Transport carries every request; required.
	Transport *Transport
	// Clock gives the time that requests are signed with; nil means time.Now.
	Clock func() time.Time
	// UserAgent is sent with every request; empty means "openoms".
	UserAgent string
}

// Opener opens containers, and all other buckets with another opener. It is safe for concurrent use.
type Opener struct {
	next storage.Opener
	opts Options
}

// NewOpener returns an Opener over next; opts.Transport must be set.
func NewOpener(next storage.Opener, opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "openoms"
	}
	return &Opener{next: next, opts: opts}
}

var (
	_ storage.Opener       = (*Opener)(nil)
	_ storage.Writer       = (*Container)(nil)
	_ storage.Brancher     = (*Container)(nil)
	_ storage.Browser      = (*Container)(nil)
	_ storage.Multiparter  = (*Container)(nil)
	_ storage.BucketLister = (*Container)(nil)
)

// Open returns a *Container for Azure, else what the next opener returns. An empty name gives a handle that can only
// list containers. oms.Invalid for credentials, an endpoint or a name that cannot be used, oms.Denied for a connection
// string with another cloud.
func (o *Opener) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	if b.CloudType != oms.CloudAzure {
		if !b.Credentials.ConnectionString.IsZero() { // without it the next opener would ask as nobody
			return nil, oms.Errorf(oms.Denied, "", "a connection string opens Azure Blob Storage only")
		}
		return o.next.Open(ctx, b)
	}
	account, err := cloudkeys.ParseAzure(b.Credentials)
	if err != nil {
		return nil, err
	}
	at, err := account.Locate(b.Endpoint)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(at.URL)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return nil, oms.Errorf(oms.Invalid, "", "the endpoint is not of the form https://host[:port]")
	}
	if !usableName(b.Name) {
		return nil, oms.Errorf(oms.Invalid, "", "container name %q cannot be used", oms.Clean(b.Name))
	}
	end, err := o.opts.Transport.client.Endpoint(u.Scheme, u.Host)
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "the host of the endpoint cannot be used")
	}
	c := &Container{
		end: end, host: u.Host, name: b.Name, clock: o.opts.Clock, agent: o.opts.UserAgent,
		signer: signer{account: account.Name, key: account.Sign()}, sas: account.SAS,
	}
	if at.PathStyle {
		c.root = "/" + account.Name
	}
	return c, nil
}

// usableName refuses what would change the path beyond a name. "$root" and "$web" are containers.
func usableName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && (c != '$' || i > 0) {
			return false
		}
	}
	return len(name) <= 63
}

// Container is an open container. It is safe for concurrent use and needs no closing.
type Container struct {
	end    *http1.Endpoint
	host   string
	root   string // "/account" in path style, else ""
	name   string
	agent  string
	clock  func() time.Time
	signer signer
	sas    oms.Secret   // in place of the signer's key
	skew   atomic.Int64 // nanoseconds that the service's clock is ahead of ours
}

// String names the container; keys of the account are never shown.
func (c *Container) String() string { return "azure container " + oms.Clean(c.name) }

// GoString is String, so that %#v shows no keys either.
func (c *Container) GoString() string { return c.String() }

// now is the service's time as far as we know it.
func (c *Container) now() time.Time { return c.clock().Add(time.Duration(c.skew.Load())) }
