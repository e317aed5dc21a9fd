package cdn

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Options say how CDN hosts are reached.
type Options struct {
	// Transport carries every request; required. It guards where connections go and does not follow redirects.
	Transport http.RoundTripper
	// Clock gives the time that URLs are signed with; nil means time.Now.
	Clock func() time.Time
	// UserAgent is sent with every request; empty means "openoms".
	UserAgent string
}

// Opener opens buckets with another opener and puts their CDN host in front. It is safe for concurrent use.
type Opener struct {
	next storage.Opener
	opts Options
}

var (
	_ storage.Opener    = (*Opener)(nil)
	_ storage.Reader    = (*Reader)(nil)
	_ storage.CDNProber = (*Reader)(nil)
	_ storage.Brancher  = (*branching)(nil)
)

// NewOpener returns an Opener over next, which opens the buckets themselves; opts.Transport must be set.
func NewOpener(next storage.Opener, opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "openoms"
	}
	return &Opener{next: next, opts: opts}
}

// Open returns what the next opener returns for a bucket without CDN, else a Reader; the bucket behind it can be
// listed in parallel (storage.Brancher) if it could be by itself. Other abilities of the bucket are not passed on.
// Beyond the errors of the next opener, oms.Invalid for a host or key that cannot be used.
func (o *Opener) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	front := b.CDN
	b.CDN = nil
	origin, err := o.next.Open(ctx, b)
	if err != nil || front == nil {
		return origin, err
	}
	if front.Protocol != "http" && front.Protocol != "https" || !UsableHost(front.Domain) {
		return nil, oms.Errorf(oms.Invalid, "", "the CDN is not of the form https://host[:port]")
	}
	r := &Reader{
		origin: origin, opts: o.opts, cloud: b.CloudType, scheme: front.Protocol, host: strings.ToLower(front.Domain),
		sign: cdnsign.Request{
			Method: cdnsign.Method(front.AuthenticationType), Key: front.Key, Source: b.Credentials, Bucket: b.Name,
		},
	}
	if _, err := r.target("probe"); err != nil {
		return nil, err
	}
	if brancher, ok := origin.(storage.Brancher); ok {
		return &branching{Reader: r, Brancher: brancher}, nil
	}
	return r, nil
}

// branching is a Reader of a bucket that can show its branches.
type branching struct {
	*Reader
	storage.Brancher
}

// maxHost is the longest host name in bytes, with a port.
const maxHost = 255

// UsableHost reports whether the domain of a CDN is a host or host:port and nothing else.
func UsableHost(domain string) bool {
	if domain == "" || len(domain) > maxHost || strings.ContainsFunc(domain, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`/\?#@%<>"{}|^`+"`", c)
	}) {
		return false
	}
	u, err := url.Parse("https://" + domain + "/")
	return err == nil && u.Host == domain && u.Hostname() != "" && u.User == nil && !strings.HasSuffix(domain, ":")
}

// target returns the signed target for a key.
func (r *Reader) target(key string) (cdnsign.Target, error) {
	req := r.sign
	req.Scheme, req.Host, req.Path = r.scheme, r.host, escapePath("/"+key)
	req.At, req.Nonce = r.opts.Clock(), rand.Text()
	return cdnsign.Sign(req)
}

// escapePath percent-encodes every byte that is not unreserved or "/", as stores and signatures expect.
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(path)+len(path)/4)
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~/", c) >= 0 {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}
