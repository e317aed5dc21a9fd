package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// Request is an idempotent request. It may be used again when the call has returned.
type Request struct {
	// Head is everything up to and with the blank line, Host and Content-Length included; see AppendField. Small
	// bodies are appended to it on the way out: the caller takes Head back as a buffer, not as a text.
	Head []byte
	// Body yields at least Size bytes; nil when Size is 0. It is read, or written by its WriteTo where it has one,
	// in the goroutine of the caller, and not used after Do has returned. A Read that blocks must end when the
	// context does; an answer that comes meanwhile waits for it.
	Body io.Reader
	Size int64
	// HeadOnly says that the answer has no body: the method is HEAD.
	HeadOnly bool

	head   int   // length of Head without the body
	offset int64 // of Body at the start, where it can seek
}

// BodyError is the error of a request's body. Nothing is known about the answer.
type BodyError struct{ Err error }

// Error implements error.
func (e *BodyError) Error() string { return "request body: " + e.Err.Error() }

// Unwrap returns the error of the body.
func (e *BodyError) Unwrap() error { return e.Err }

// Do sends req and returns the head of the answer, whatever its status; the caller closes the answer. When a
// connection that was kept turns out to be closed before a byte of the answer came, the request is sent once more on
// a new one, provided that its body can be sent again. Errors: *BodyError, *Malformed, what dialing or TLS returned,
// that of a broken connection, os.ErrDeadlineExceeded when no answer came in time, and the context's.
func (e *Endpoint) Do(ctx context.Context, req *Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := req.load(); err != nil {
		return nil, err
	}
	now := time.Now()
	idle := e.client.take
	if req.loaded() && e.tls == nil {
		idle = e.client.pop // ask looks
	}
	for c := idle(e.id, ctx.Done()); ; {
		if c == nil {
			var err error
			if c, err = e.dial(ctx); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				return nil, err
			}
			now = time.Now()
			e.client.enter(c, ctx.Done())
		}
		resp, err := c.exchange(req, now)
		if err == nil {
			return resp, nil
		}
		e.client.abandon(c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errStale) {
			c = idle(e.id, ctx.Done())
			continue
		}
		if !c.reused || c.received || !brokenOff(err) || !req.rewind() {
			return nil, err
		}
		c = nil
	}
}

// brokenOff reports errors of a connection that the server had closed. A time-out is none.
func brokenOff(err error) bool {
	if _, ok := errors.AsType[*BodyError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*Malformed](err); ok {
		return false
	}
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// load appends a small body to the head, unless it writes itself and is worth it.
func (req *Request) load() error {
	req.head = len(req.Head)
	if s, ok := req.Body.(io.Seeker); ok {
		at, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			at = -1
		}
		req.offset = at
	}
	limit := int64(heardBody)
	if _, ok := req.Body.(io.WriterTo); ok {
		limit = inlineBody
	}
	if req.Size == 0 || req.Size > limit {
		return nil
	}
	req.Head = slices.Grow(req.Head, int(req.Size))[:req.head+int(req.Size)]
	if _, err := io.ReadFull(req.Body, req.Head[req.head:]); err != nil {
		return &BodyError{err}
	}
	return nil
}

// loaded reports whether Head holds all there is to send.
func (req *Request) loaded() bool { return int64(len(req.Head)-req.head) == req.Size }

// rewind makes req ready to be sent again; false when its body has been used.
func (req *Request) rewind() bool {
	if req.loaded() {
		return true
	}
	s, ok := req.Body.(io.Seeker)
	if !ok || req.offset < 0 {
		return false
	}
	_, err := s.Seek(req.offset, io.SeekStart)
	return err == nil
}

// exchange sends req and reads the head of its answer.
func (c *conn) exchange(req *Request, now time.Time) (*Response, error) {
	var whole bool
	var err error
	if req.loaded() {
		c.expectHead(now)
		whole, err = c.ask(req.Head)
	} else {
		whole, err = c.converse(req)
	}
	if err != nil {
		return nil, err
	}
	return newResponse(c, req.HeadOnly, whole), nil
}

// errStale says that a kept connection cannot be used.
var errStale = errors.New("http1: the server has closed the connection, or spoken unasked")

// askPlainly sends a request in one piece and reads the head of its answer; whole is false when it was answered
// although it could not be sent.
func (c *conn) askPlainly(all []byte) (whole bool, err error) {
	if _, err := c.nc.Write(all); err != nil {
		return false, c.salvage(err)
	}
	return true, c.readHead()
}

// salvage reads the answer to a request that could not be sent whole, else it returns the error of sending.
func (c *conn) salvage(err error) error {
	c.readDeadline(time.Now().Add(lateAnswer))
	if c.readHead() != nil {
		return err
	}
	return nil
}

// converse sends a request and listens for its answer at the same time.
func (c *conn) converse(req *Request) (whole bool, err error) {
	c.noDeadline()
	c.cut.Store(false)
	c.writing.Store(true)
	if c.answered == nil {
		c.answered = make(chan error, 1)
	}
	go c.awaitHead()
	w := &bodyWriter{c: c, head: req.Head, left: req.Size}
	bodyErr := w.send(req.Body)
	c.writing.Store(false)
	switch {
	case bodyErr != nil:
		c.readDeadline(past)
	case w.err != nil:
		c.readDeadline(time.Now().Add(lateAnswer))
	default:
		c.expectHead(time.Now())
	}
	err = <-c.answered
	if src := c.moving.Swap(nil); src != nil && c.cut.Load() {
		src.readDeadline(time.Time{})
	}
	switch {
	case bodyErr != nil:
		return false, &BodyError{bodyErr}
	case err == nil:
		if c.cut.Load() {
			c.writeDeadline(time.Time{})
		}
		return w.err == nil, nil
	case w.err != nil && !c.cut.Load():
		return false, w.err
	}
	return false, err
}

// awaitHead reads the head of the answer in a goroutine of its own, and ends the sending of the body if it goes on.
func (c *conn) awaitHead() {
	err := c.readHead()
	if c.writing.Load() {
		c.cut.Store(true)
		c.writeDeadline(past)
		if src := c.moving.Load(); src != nil { // it may be waited for
			_ = src.nc.SetReadDeadline(past) // fails on closed connections only
		}
	}
	c.answered <- err
}

// bodyWriter sends the head and up to left bytes. It is what a body's WriteTo is given.
type bodyWriter struct {
	c    *conn
	head []byte // not sent yet
	left int64
	err  error // of the connection
}

// errFull tells a body that the rest of it is not wanted.
var errFull = errors.New("http1: the body is longer than announced")

// send sends the body and returns its error; that of the connection is in w.err.
func (w *bodyWriter) send(body io.Reader) error {
	var err error
	if b, ok := body.(io.WriterTo); ok {
		_, err = b.WriteTo(w)
	} else {
		err = w.copyFrom(body)
	}
	if w.err != nil || w.left == 0 {
		err = nil
	} else if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Write implements io.Writer.
func (w *bodyWriter) Write(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.left {
		p, err = p[:w.left], errFull
	}
	if len(w.head) > 0 {
		n, w.err = w.first(p)
	} else {
		n, w.err = w.c.nc.Write(p)
	}
	w.left -= int64(n)
	if w.err != nil {
		return n, w.err
	}
	return n, err
}

// first sends the head with p and returns how much of p was sent.
func (w *bodyWriter) first(p []byte) (int, error) {
	head := w.head
	w.head = nil
	if w.c.tcp != nil {
		vec := net.Buffers{head, p}
		n, err := vec.WriteTo(w.c.tcp)
		return max(int(n)-len(head), 0), err
	}
	k := min(len(p), max(recordBuffer-len(head), 0)) // as much as fits a record
	n, err := w.c.nc.Write(append(bytes.Clone(head), p[:k]...))
	if err != nil {
		return max(n-len(head), 0), err
	}
	n, err = w.c.nc.Write(p[k:])
	return k + n, err
}

// copyFrom sends what r yields, through one buffer.
func (w *bodyWriter) copyFrom(r io.Reader) error {
	buf := w.c.end.client.copyBuf()
	defer w.c.end.client.copies.Put(buf)
	for idle := 0; w.left > 0; {
		n, err := r.Read((*buf)[:min(copyBuffer, w.left)])
		if n > 0 {
			idle = 0
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == 0:
			if idle++; idle > 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}
