package s3

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

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
}

// add adds a header unless its value is empty.
func (c *call) add(name, value string) {
	if value != "" {
		c.headers = append(c.headers, header{name, value})
	}
}

// success reports whether the status is 2xx.
func success(status int) bool { return status >= 200 && status < 300 }

// do sends the request and returns the answer when its status is 2xx, else an error. The caller closes the body
// of the answer. c.body is not used after do has returned.
func (b *Bucket) do(ctx context.Context, c *call) (*http.Response, error) {
	if b.name == "" && !c.account {
		return nil, c.errorf(oms.Invalid, "", "no bucket is named")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	body, err := newSendBody(c.body, c.size)
	if err != nil {
		return nil, err
	}
	defer body.release()
	resp, err := b.opts.Transport.RoundTrip(b.request(ctx, c, body))
	if err != nil {
		if cause := body.cause(); cause != nil && ctx.Err() == nil {
			return nil, cause
		}
		return nil, transportFailed(ctx, c, err)
	}
	if !success(resp.StatusCode) {
		err := b.fail(c, resp)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return resp, nil
}

// doEmpty sends the request and uses up the answer's body; its headers are returned.
func (b *Bucket) doEmpty(ctx context.Context, c *call) (http.Header, error) {
	resp, err := b.do(ctx, c)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	drain(resp.Body)
	return resp.Header, nil
}

// request builds the signed request.
func (b *Bucket) request(ctx context.Context, c *call, body *sendBody) *http.Request {
	host, path := b.place(c)
	u := &url.URL{Scheme: b.scheme, Host: host, Path: path, RawQuery: string(c.query)}
	u.RawPath = string(appendPath(make([]byte, 0, len(path)+len(path)/4), path))

	hdr := make(http.Header, len(c.headers)+8)
	values := make([]string, 0, len(c.headers)+8)
	set := func(name, value string) {
		values = append(values, value)
		hdr[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("User-Agent", b.opts.UserAgent)
	set("Accept-Encoding", b.quirks.acceptEncoding)
	if b.payer != "" {
		c.add(b.payer, "requester")
	}
	if !b.anonymous {
		set("Authorization", b.sign(c, host, u.RawPath))
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

// place returns the host and the path, not yet encoded.
func (b *Bucket) place(c *call) (host, path string) {
	if c.account {
		if d := b.quirks.serviceDomain; d != "" && strings.HasSuffix(b.endpointHost, d) {
			return b.quirks.serviceHost, "/"
		}
		return b.endpointHost, "/"
	}
	return b.host, b.base + "/" + c.key
}

// sign adds the headers of the signature to c and returns the Authorization header.
func (b *Bucket) sign(c *call, host, path string) string {
	date := amzDate(b.now())
	c.add("X-Amz-Content-Sha256", unsignedPayload)
	c.add("X-Amz-Date", date)
	c.add("X-Amz-Security-Token", b.token.Reveal())
	signed := make([]header, 0, len(c.headers)+1)
	signed = append(signed, header{"Host", host})
	for _, h := range c.headers {
		if h.signed() {
			signed = append(signed, h)
		}
	}
	return b.signer.authorization(c.method, path, string(c.query), unsignedPayload, date, signed)
}
