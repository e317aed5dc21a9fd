package s3

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

// call is one request.
type call struct {
	op      string // for errors: "get object"
	method  string
	on      target
	account bool   // about the account, not the bucket
	key     string // "" is the bucket
	query   query  // in canonical form, which is also the one sent
	headers []header
	body    io.Reader // nil: none
	size    int64     // of body
	// frequent calls take the short way where there is one (lean.go).
	frequent bool

	space [8]header // of headers, as long as they fit
}

// add adds a header unless its value is empty.
func (c *call) add(name, value string) {
	if c.headers == nil {
		c.headers = c.space[:0]
	}
	if value != "" {
		c.headers = append(c.headers, header{name, value})
	}
}

// success reports whether the status is 2xx.
func success(status int) bool { return status >= 200 && status < 300 }

// do sends the request and returns the answer when its status is 2xx, else an error. The caller closes the body
// of the answer. c.body is not used after do has returned.
func (b *Bucket) do(ctx context.Context, c *call) (*answer, error) {
	if b.name == "" && !c.account {
		return nil, c.errorf(oms.Invalid, "", "no bucket is named")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a, err := b.send(ctx, c)
	if err != nil {
		return nil, err
	}
	if !success(a.status) {
		err := b.fail(c, a)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return a, nil
}

// send sends the request and returns the answer whatever its status.
func (b *Bucket) send(ctx context.Context, c *call) (*answer, error) {
	if c.frequent && b.lean != nil {
		return b.sendLean(ctx, c)
	}
	body, err := newSendBody(c.body, c.size)
	if err != nil {
		return nil, err
	}
	defer body.release()
	resp, err := b.opts.Transport.RoundTrip(b.request(ctx, c, body)) //nolint:bodyclose // it goes into the answer
	if err != nil {
		if cause := body.cause(); cause != nil && ctx.Err() == nil {
			return nil, cause
		}
		return nil, transportFailed(ctx, c, err)
	}
	return &answer{status: resp.StatusCode, length: resp.ContentLength, header: fieldsOf(resp.Header), body: resp.Body}, nil
}

// doEmpty sends the request, hands the headers of the answer to use, which may be nil, and uses up the body.
func (b *Bucket) doEmpty(ctx context.Context, c *call, use func(http1.Fields)) error {
	a, err := b.do(ctx, c)
	if err != nil {
		return err
	}
	defer a.body.Close()
	if use != nil {
		use(a.header)
	}
	if a.length != 0 {
		drain(a.body)
	}
	return nil
}

// request builds the signed request.
func (b *Bucket) request(ctx context.Context, c *call, body *sendBody) *http.Request {
	host, place := b.place(c)
	path := place.base + place.key
	raw := appendPath(make([]byte, 0, len(path)+len(path)/4), path)
	u := &url.URL{Scheme: b.scheme, Host: host, Path: path, RawPath: string(raw), RawQuery: string(c.query)}

	hdr := make(http.Header, len(c.headers)+8)
	values := make([]string, 0, len(c.headers)+8)
	set := func(name, value string) {
		values = append(values, value)
		hdr[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("User-Agent", b.opts.UserAgent)
	set("Accept-Encoding", b.quirks.acceptEncoding)
	for _, name := range b.payer {
		c.add(name, "requester")
	}
	if !b.anonymous {
		date := b.sign(c)
		signed := make([]header, 0, len(c.headers)+1)
		signed = append(signed, header{"Host", host})
		for _, h := range c.headers {
			if h.signed() {
				signed = append(signed, h)
			}
		}
		auth, _ := b.signer.appendAuthorization(nil, nil, c.method, raw, c.query, unsignedPayload, date, signed)
		set("Authorization", string(auth))
	}
	for _, h := range c.headers {
		set(h.name, h.value)
	}
	req := &http.Request{
		Method: c.method, URL: u, Host: host, Header: hdr, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if c.body != nil {
		body.attach(req)
	}
	return req.WithContext(ctx)
}

// path is where a request goes, not yet encoded.
type path struct{ base, key string }

// place returns the host and the path.
func (b *Bucket) place(c *call) (host string, p path) {
	if c.account {
		if d := b.quirks.serviceDomain; d != "" && strings.HasSuffix(b.endpointHost, d) {
			return b.quirks.serviceHost, path{base: "/"}
		}
		return b.endpointHost, path{base: "/"}
	}
	return b.host, path{b.base, c.key}
}

// sign adds the headers that a signature needs to c and returns its date.
func (b *Bucket) sign(c *call) (date string) {
	date = b.bufs.stamps.text(b.now())
	c.add("X-Amz-Content-Sha256", unsignedPayload)
	c.add("X-Amz-Date", date)
	c.add("X-Amz-Security-Token", b.token.Reveal())
	return date
}
