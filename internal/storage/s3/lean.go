package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

// codeCut is the code of a success that was reported before the data had been sent.
const codeCut = "ANSWERED_EARLY"

// keptHead is the largest request buffer that is used again.
const keptHead = 128 * kib

// outgoing is a request under construction; its memory is used again.
type outgoing struct {
	req     http1.Request
	signed  []header
	scratch []byte
}

// outgoings keeps requests.
type outgoings struct{ pool sync.Pool }

func (o *outgoings) get() *outgoing {
	if r, ok := o.pool.Get().(*outgoing); ok {
		return r
	}
	return &outgoing{req: http1.Request{Head: make([]byte, 0, 2*kib)}}
}

func (o *outgoings) put(r *outgoing) {
	r.req.Body = nil
	if cap(r.req.Head) <= keptHead {
		o.pool.Put(r)
	}
}

// sendLean sends the request over a connection of package http1.
func (b *Bucket) sendLean(ctx context.Context, c *call) (*answer, error) {
	out := b.bufs.outgoing.get()
	defer b.bufs.outgoing.put(out)
	if err := b.writeHead(out, c); err != nil {
		return nil, err
	}
	out.req.Body, out.req.Size = c.body, c.size
	out.req.HeadOnly = c.method == http.MethodHead
	resp, err := b.lean.Do(ctx, &out.req)
	if err != nil {
		if body, ok := errors.AsType[*http1.BodyError](err); ok && ctx.Err() == nil {
			return nil, shortBody(body.Err, c.size)
		}
		return nil, transportFailed(ctx, c, err)
	}
	if !resp.Whole && success(resp.Status) {
		_ = resp.Close() // the connection is not worth keeping
		return nil, c.errorf(oms.Transient, codeCut, "the store reported success before it had the data")
	}
	return &answer{status: resp.Status, length: resp.Length, header: resp.Fields, body: resp}, nil
}

// CanRelay implements storage.Relayer: frequent calls go over plain connections of package http1.
func (b *Bucket) CanRelay() bool { return http1.Moves && b.lean != nil && b.scheme == "http" }

// shortBody is the error of a body that failed or ended early.
func shortBody(err error, size int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return oms.Errorf(oms.Transient, codeTruncated, "the data to send ended before its %s bytes", strconv.FormatInt(size, 10))
	}
	return err
}

// writeHead makes the signed head of the request. oms.Unsupported when a header cannot be sent.
func (b *Bucket) writeHead(out *outgoing, c *call) error {
	host, path := b.place(c)
	head := append(out.req.Head[:0], c.method...)
	head = append(head, ' ')
	at := len(head)
	head = appendPath(head, path.base)
	head = appendPath(head, path.key)
	end := len(head)
	if len(c.query) > 0 {
		head = append(head, '?')
		head = append(head, c.query...)
	}
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, host...)
	head = append(head, "\r\n"...)
	head = append(head, b.fixed...)
	for _, name := range b.payer {
		c.add(name, "requester")
	}
	if !b.anonymous {
		date := b.sign(c)
		signed := append(out.signed[:0], header{"Host", host})
		for _, h := range c.headers {
			if h.signed() {
				signed = append(signed, h)
			}
		}
		head = append(head, "Authorization: "...)
		// The path is read from the part of head that is not written to any more.
		head, out.scratch = b.signer.appendAuthorization(head, out.scratch, c.method, head[at:end], c.query, unsignedPayload, date, signed)
		head = append(head, "\r\n"...)
		out.signed = signed
	}
	for _, h := range c.headers {
		var ok bool
		if head, ok = http1.AppendField(head, h.name, h.value); !ok {
			out.req.Head = head
			return c.errorf(oms.Unsupported, "", "header "+oms.Clean(h.name)+" holds characters that cannot be sent")
		}
	}
	if c.body != nil {
		head = append(head, "Content-Length: "...)
		head = strconv.AppendInt(head, c.size, 10)
		head = append(head, "\r\n"...)
	}
	out.req.Head = append(head, "\r\n"...)
	return nil
}

// stamps gives the text of an instant for the x-amz-date header, made once a second.
type stamps struct{ last atomic.Pointer[stamp] }

type stamp struct {
	sec  int64
	text string
}

func (s *stamps) text(t time.Time) string {
	if last := s.last.Load(); last != nil && last.sec == t.Unix() {
		return last.text
	}
	next := &stamp{t.Unix(), amzDate(t)}
	s.last.Store(next)
	return next.text
}
