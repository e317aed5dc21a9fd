package s3

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Options say how an Opener reaches the stores.
type Options struct {
	// Transport carries every request; required. It guards where connections go, must not follow redirects (no
	// RoundTripper does) and should come from NewTransport: a *Transport carries the frequent calls past net/http.
	Transport http.RoundTripper
	// Clock gives the time that requests are signed with; nil means time.Now.
	Clock func() time.Time
	// UserAgent is sent with every request; empty means "openoms".
	UserAgent string
}

// Opener opens buckets of all S3-like clouds. It is safe for concurrent use.
type Opener struct {
	opts Options
	bufs *buffers
}

// NewOpener returns an Opener; opts.Transport must be set.
func NewOpener(opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "openoms"
	}
	return &Opener{opts: opts, bufs: new(buffers)}
}

var (
	_ storage.Opener       = (*Opener)(nil)
	_ storage.Writer       = (*Bucket)(nil)
	_ storage.Brancher     = (*Bucket)(nil)
	_ storage.Browser      = (*Bucket)(nil)
	_ storage.Multiparter  = (*Bucket)(nil)
	_ storage.Relayer      = (*Bucket)(nil)
	_ storage.Copier       = (*Bucket)(nil)
	_ storage.BucketLister = (*Bucket)(nil)
	_ storage.Restorer     = (*Bucket)(nil)

	_ storage.FileSystemTeller = (*Bucket)(nil)
)

// Supports reports whether the cloud has an S3 face that this package speaks.
func Supports(cloud oms.CloudType) bool {
	_, ok := quirksOf(cloud)
	return ok
}

// Open returns a *Bucket, which has all optional abilities. Without credentials requests are not signed, as public
// buckets allow. An empty name gives a handle that can only list buckets. It fails with oms.Unsupported for a
// cloud without S3 face and with oms.Invalid for an endpoint or name that cannot be used.
func (o *Opener) Open(_ context.Context, b storage.Bucket) (storage.Reader, error) {
	q, ok := quirksOf(b.CloudType)
	if !ok {
		return nil, oms.Errorf(oms.Unsupported, "", "cloud type %q has no S3 interface", oms.Clean(string(b.CloudType)))
	}
	if b.FileSystem {
		q.fileSystem()
	}
	u, err := url.Parse(b.Endpoint.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, oms.Errorf(oms.Invalid, "", "the endpoint is not of the form https://host[:port]")
	}
	if !usableName(b.Name) {
		return nil, oms.Errorf(oms.Invalid, "", "bucket name %q cannot be used", oms.Clean(b.Name))
	}
	bk := &Bucket{
		opts: o.opts, bufs: o.bufs, quirks: q, name: b.Name,
		scheme: u.Scheme, endpointHost: u.Host, host: u.Host,
		anonymous: b.Credentials.IsZero(),
		base:      "/",
		fixed:     "User-Agent: " + o.opts.UserAgent + "\r\nAccept-Encoding: " + q.acceptEncoding + "\r\n",
		signer:    newSigner(b.Credentials, signingRegion(b.Endpoint.Region)),
		token:     b.Credentials.SecurityToken,
	}
	if b.RequesterPays {
		bk.payer = q.payerHeaders
	}
	if pathStyle(q, b, u) {
		bk.base = "/" + b.Name + "/"
	} else if b.Name != "" {
		bk.host = b.Name + "." + u.Host
	}
	if t, ok := o.opts.Transport.(*Transport); ok {
		bk.lean = t.endpoint(bk.scheme, bk.host)
	}
	return bk, nil
}

// signingRegion is the region of a signature; servers without regions mostly expect that of AWS.
func signingRegion(region string) string {
	if region == "" {
		return "us-east-1"
	}
	return region
}

// pathStyle decides where the bucket's name goes.
func pathStyle(q quirks, b storage.Bucket, u *url.URL) bool {
	switch {
	case b.Name == "":
		return false
	case net.ParseIP(u.Hostname()) != nil || q.pathOnly:
		return true
	case q.virtualOnly:
		return b.Endpoint.PathStyle && b.Endpoint.Trusted // an operator's own server in the cloud's place
	case u.Scheme == "https" && strings.Contains(b.Name, "."):
		return true // the certificate's wildcard covers one label
	}
	return b.Endpoint.PathStyle
}

// usableName refuses what would change the host or path beyond a name.
func usableName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !unreserved(c) {
			return false
		}
	}
	return name != "." && name != ".." && len(name) <= 255
}

// Bucket is an open bucket. It is safe for concurrent use and needs no closing.
type Bucket struct {
	opts         Options
	bufs         *buffers
	quirks       quirks
	name         string
	scheme       string
	endpointHost string // without the bucket
	host         string // with the bucket, in virtual host style
	base         string // "/bucket/" in path style, else "/"
	fixed        string // headers that every request has, as they are sent
	anonymous    bool
	signer       *signer
	token        oms.Secret
	payer        []string        // headers of requester-pays requests
	skew         atomic.Int64    // nanoseconds that the store's clock is ahead of ours
	lean         *http1.Endpoint // of host; nil: all calls go over opts.Transport
}

// String names the bucket; keys of the account are never shown.
func (b *Bucket) String() string { return "s3 bucket " + oms.Clean(b.name) }

// GoString is String, so that %#v shows no keys either.
func (b *Bucket) GoString() string { return b.String() }

// now is the store's time as far as we know it.
func (b *Bucket) now() time.Time { return b.opts.Clock().Add(time.Duration(b.skew.Load())) }

// adjustClock takes over the store's clock after it refused ours.
func (b *Bucket) adjustClock(hdr http1.Fields) {
	if at, err := http.ParseTime(hdr.Get("Date")); err == nil {
		b.skew.Store(int64(at.Sub(b.opts.Clock())))
	}
}

// regionIn returns the region of the bucket as the headers of an answer tell it.
func (b *Bucket) regionIn(hdr http1.Fields) string {
	for _, name := range b.quirks.regionHeaders {
		if v := hdr.Get(name); v != "" {
			return v
		}
	}
	return ""
}
