package http1

import (
	"errors"
	"io"
	"math"
	"strconv"
)

// framing is how the end of a body is found.
type framing uint8

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// Response is the answer to a request. It is used by one goroutine at a time, and Close must be called; reading a
// body to its end (the io.EOF) before lets its connection be used again.
type Response struct {
	Status int
	// Length is the Content-Length, -1 when the answer told none. Of an answer to HEAD it is that of the missing body.
	Length int64
	// Fields are those of the head. They are valid until Close, their strings stay.
	Fields Fields
	// Whole says that the request was sent to its end. When it is false, the server answered before; it cannot have
	// seen all of the body.
	Whole bool

	c     *conn // nil once closed
	frame framing
	left  int64 // of the body, or of the chunk
	first bool  // no chunk has been read yet
	done  bool  // the body has been read to its end
	err   error // of reading
}

var errClosed = errors.New("http1: read of a closed answer")

func newResponse(c *conn, headOnly, whole bool) *Response {
	h := &c.head
	r := &Response{Status: h.status, Length: h.length, Fields: h.fields, Whole: whole, c: c, first: true}
	switch {
	case headOnly || bodyless(h.status):
		r.frame = noBody
	case h.chunked:
		r.frame = byChunks
	case h.length >= 0:
		r.frame, r.left = byLength, h.length
	default:
		r.frame, h.close = byClose, true
	}
	r.done = r.frame == noBody || r.frame == byLength && r.left == 0
	return r
}

// Read implements io.Reader: io.EOF at the end that the head announced, io.ErrUnexpectedEOF at one before, a
// *Malformed when the body's own frame is broken.
func (r *Response) Read(p []byte) (n int, err error) {
	switch {
	case r.c == nil:
		return 0, errClosed
	case r.err != nil:
		return 0, r.err
	case r.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	switch r.frame {
	case byLength, noBody:
		n, err = r.some(p)
		r.done = r.left == 0
	case byChunks:
		n, err = r.readChunk(p)
	case byClose:
		n, err = r.c.read(p)
		r.done = errors.Is(err, io.EOF)
	}
	if err != nil {
		r.err = err
	}
	return n, err
}

// some reads up to left bytes; their missing is an error.
func (r *Response) some(p []byte) (int, error) {
	n, err := r.c.read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.left > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if r.left == 0 {
		err = nil // the next read tells
	}
	return n, err
}

// readChunk reads from the chunk, after reading its frame. The end of the body is looked for as soon as it may be
// there, so that a body of known size can be read to its end without knowing.
func (r *Response) readChunk(p []byte) (int, error) {
	if r.left == 0 {
		if err := r.nextChunk(); err != nil || r.done {
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
	}
	return r.some(p)
}

// nextChunk reads the end of the last chunk and the line before the next; after the last one, the trailer fields.
func (r *Response) nextChunk() error {
	if !r.first {
		end, err := r.c.line(1)
		if err != nil || len(end) > 0 {
			return frameError(err, errChunkEnd)
		}
	}
	r.first = false
	line, err := r.c.line(maxChunkLine)
	if err != nil {
		return err
	}
	if r.left, err = chunkSize(line); err != nil || r.left > 0 {
		return err
	}
	for total := 0; ; {
		line, err := r.c.line(maxHead)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			r.done = true
			return nil
		}
		if total += len(line); total > maxHead {
			return errHeadSize
		}
		if _, err := parseField(string(line)); err != nil {
			return err
		}
	}
}

// frameError returns the connection's error if there is one, else that of the frame.
func frameError(err, frame error) error {
	if _, ok := errors.AsType[*Malformed](err); ok || err == nil {
		return frame
	}
	return err
}

// chunkSize reads the line before a chunk; extensions are ignored.
func chunkSize(line []byte) (int64, error) {
	digits := 0
	var n int64
	for digits < len(line) {
		d, ok := unhex(line[digits])
		if !ok {
			break
		}
		if digits++; digits > maxChunkFrame {
			return 0, errChunkLine
		}
		n = n<<4 | int64(d)
	}
	rest := string(line[digits:])
	if digits == 0 || rest != "" && rest[0] != ';' && trim(rest) != "" || !validValue(rest) {
		return 0, errChunkLine
	}
	return n, nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Close gives the connection back if the body was read to its end and the server sent nothing more, else it closes
// it. Further calls do nothing.
func (r *Response) Close() error {
	c := r.c
	if c == nil {
		return nil
	}
	r.c, r.Fields = nil, nil
	switch {
	case !r.done || !r.Whole:
		c.end.client.abandon(c)
	case c.head.close || c.r != c.w:
		c.end.client.retire(c)
	default:
		c.end.client.keep(c)
	}
	return nil
}

// WriteError is an error of the writer that WriteTo was given, which tells it from those of reading.
type WriteError struct {
	Written int64
	Err     error
}

// Error implements error.
func (e *WriteError) Error() string {
	return "write after " + strconv.FormatInt(e.Written, 10) + " bytes: " + e.Err.Error()
}

// Unwrap returns the writer's error.
func (e *WriteError) Unwrap() error { return e.Err }

// WriteTo implements io.WriterTo: the rest of the body goes to w in large pieces, see Move.
func (r *Response) WriteTo(w io.Writer) (n int64, err error) { return r.Move(w, math.MaxInt64) }

// Move moves up to most bytes of the rest of the body to w in large pieces; fewer only at the end of the body. When w is
// a request's body on its way out, and neither side is TLS or chunked, the kernel moves the bytes from one socket to the
// other where it can, see Moves. Errors of w are *WriteError.
func (r *Response) Move(w io.Writer, most int64) (n int64, err error) {
	if r.c == nil {
		return 0, errClosed
	}
	if out, ok := w.(*bodyWriter); ok && r.frame == byLength && r.err == nil && r.c.tcp != nil && out.c.tcp != nil {
		if n, ok, err = r.splice(out, most); ok {
			return n, err
		}
	}
	client := r.c.end.client
	buf := client.copyBuf()
	defer client.copies.Put(buf)
	for n < most {
		k, err := r.Read((*buf)[:min(copyBuffer, most-n)])
		if k > 0 {
			m, werr := w.Write((*buf)[:k])
			n += int64(m)
			if werr != nil {
				return n, &WriteError{n, werr}
			}
		}
		if errors.Is(err, io.EOF) && r.done {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
