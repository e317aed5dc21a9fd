package azblob

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

// Versions of the protocol.
const (
	versionUsual = "2021-12-02"
	versionSeeks = "2026-02-06" // the first whose listings begin at a name
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// target says what a request was about, which decides what a bare 404 means.
type target uint8

const (
	onBlob target = iota
	onContainer
	onAccount
)

// call is one request.
type call struct {
	op      string // for errors: "get object"
	method  string
	on      target
	key     string
	query   []param
	headers []header
	body    io.Reader // nil: none
	size    int64     // of body
	version string    // "" means versionUsual
}

// add adds a header unless its value is empty.
func (c *call) add(name, value string) {
	if value != "" {
		c.headers = append(c.headers, header{name, value})
	}
}

// errorf returns an error about the call with a code of our own.
func (c *call) errorf(kind oms.Kind, code, msg string) error {
	return &oms.Error{Op: c.op, Key: c.key, Kind: kind, Code: code, Msg: msg}
}

// path returns where the request goes, as it is sent.
func (c *Container) path(q *call) string {
	b := append(make([]byte, 0, len(c.root)+len(c.name)+len(q.key)+16), c.root...)
	b = append(b, '/')
	if q.on == onAccount {
		return string(b)
	}
	b = append(b, c.name...)
	if q.on == onBlob {
		b = append(b, '/')
		b = appendEscaped(b, q.key, "/")
	}
	return string(b)
}

// request makes the signed head of the request.
func (c *Container) request(q *call) (*http1.Request, error) {
	path := c.path(q)
	version := q.version
	if version == "" {
		version = versionUsual
	}
	q.add("x-ms-date", c.now().UTC().Format(http.TimeFormat))
	q.add("x-ms-version", version)
	head := make([]byte, 0, 2*kib)
	head = append(head, q.method+" "+path...)
	sep := "?"
	if len(q.query) > 0 {
		head = append(head, sep+encode(q.query)...)
		sep = "&"
	}
	if !c.sas.IsZero() {
		head = append(head, sep+c.sas.Reveal()...)
	}
	head = append(head, " HTTP/1.1\r\nHost: "+c.host+"\r\nUser-Agent: "+c.agent+"\r\nAccept-Encoding: identity\r\n"...)
	if c.sas.IsZero() {
		head = append(head, "Authorization: "+c.signer.authorization(q.method, path, q.query, q.headers, q.size)+"\r\n"...)
	}
	for _, h := range q.headers {
		var ok bool
		if head, ok = http1.AppendField(head, h.name, h.value); !ok {
			return nil, q.errorf(oms.Unsupported, "", "header "+oms.Clean(h.name)+" holds characters that cannot be sent")
		}
	}
	if q.method == http.MethodPut {
		head = append(head, "Content-Length: "...)
		head = strconv.AppendInt(head, q.size, 10)
		head = append(head, "\r\n"...)
	}
	return &http1.Request{Head: append(head, "\r\n"...), Body: q.body, Size: q.size, HeadOnly: q.method == http.MethodHead}, nil
}

// do sends the request and returns the answer when its status is 2xx, else an error. The caller closes the answer.
// q.body is not used after do has returned.
func (c *Container) do(ctx context.Context, q *call) (*http1.Response, error) {
	switch {
	case c.name == "" && q.on != onAccount:
		return nil, q.errorf(oms.Invalid, "", "no container is named")
	case q.on == onBlob && q.key == "":
		return nil, q.errorf(oms.Invalid, "", "no key is named")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	req, err := c.request(q)
	if err != nil {
		return nil, err
	}
	resp, err := c.end.Do(ctx, req)
	if err != nil {
		if body, ok := errors.AsType[*http1.BodyError](err); ok && ctx.Err() == nil {
			return nil, shortBody(body.Err, q.size)
		}
		return nil, transportFailed(ctx, q, err)
	}
	ok := resp.Status >= 200 && resp.Status < 300
	if ok && resp.Whole {
		return resp, nil
	}
	defer end(resp)
	if ok {
		return nil, q.errorf(oms.Transient, codeCut, "the service reported success before it had the data")
	}
	err = c.fail(q, resp)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

// shortBody is the error of a body that failed or ended early.
func shortBody(err error, size int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return oms.Errorf(oms.Transient, codeTruncated, "the data to send ended before its %s bytes", strconv.FormatInt(size, 10))
	}
	return err
}

// doEmpty sends the request, hands the headers of the answer to use, which may be nil, and uses up the body.
func (c *Container) doEmpty(ctx context.Context, q *call, use func(http1.Fields)) error {
	resp, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer end(resp)
	if use != nil {
		use(resp.Fields)
	}
	drain(resp)
	return nil
}

// errTooLarge says that a document is larger than any that is read.
var errTooLarge = errors.New("more than 16 MiB")

// document sends the request and returns the body of the answer. Errors about it have the given kind and code.
func (c *Container) document(ctx context.Context, q *call, kind oms.Kind, code string) ([]byte, error) {
	resp, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	defer end(resp)
	body, err := io.ReadAll(io.LimitReader(resp, maxXMLBody+1))
	switch {
	case err != nil:
		return nil, transportFailed(ctx, q, err)
	case len(body) > maxXMLBody:
		return nil, &oms.Error{Op: q.op, Key: q.key, Kind: kind, Code: code, Err: errTooLarge}
	}
	return body, nil
}
