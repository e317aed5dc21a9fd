package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// conn is one connection: a small HTTP/1.1 loop with one goroutine, one read buffer and one write buffer, and no
// allocation for a request beyond what is stored.
type conn struct {
	*endpoint
	tcp  *net.TCPConn
	rbuf []byte
	r, w int // what is unread of rbuf
	wbuf []byte
	head []byte // the current request's head, which req points into
	rng  uint64
	req  request

	paceStart time.Time
	paced     int64 // bytes since paceStart
}

// request is a parsed head. Its slices are valid until the next one.
type request struct {
	method      string
	path, query []byte // raw
	length      int64  // of the body; -1: not said
	chunked     bool
	awsChunked  bool
	decoded     int64 // length of the body without aws-chunked framing; -1: not said
	expect      bool
	closing     bool
	byteRange   []byte
	contentMD5  []byte
	copySource  []byte
	copyRange   []byte
	ifMatch     []byte
	ifNoneMatch []byte
	crc32c      []byte
	trailerCRC  []byte
	meta        []byte // header lines to keep
	bodyRead    bool
}

// serve answers requests until the connection ends.
func (c *conn) serve(ctx context.Context) {
	defer func() { _ = c.tcp.Close() }()
	for {
		if err := c.readRequest(); err != nil {
			return
		}
		c.dump()
		if err := c.handle(ctx); err != nil || c.req.closing {
			return
		}
	}
}

// random returns a number from 0 to 1.
func (c *conn) random() float64 {
	c.rng = mix(c.rng)
	return float64(c.rng>>11) / (1 << 53)
}

// fill reads more into rbuf.
func (c *conn) fill() error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.rbuf):
	case c.r == 0:
		return errors.New("header too large")
	default:
		copy(c.rbuf, c.rbuf[c.r:c.w])
		c.w -= c.r
		c.r = 0
	}
	n, err := c.tcp.Read(c.rbuf[c.w:])
	if n > 0 {
		c.w += n
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// equalFold reports whether a is b, which is in lower case, in any case.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i, x := range a {
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != b[i] {
			return false
		}
	}
	return true
}

func hasPrefixFold(a []byte, b string) bool { return len(a) >= len(b) && equalFold(a[:len(b)], b) }

// methodName returns the usual methods without allocating.
func methodName(b []byte) string {
	for _, m := range [...]string{"GET", "PUT", "HEAD", "POST", "DELETE"} {
		if string(b) == m {
			return m
		}
	}
	return string(b)
}

// readRequest parses one request head. It is copied first, so that reading the body may reuse rbuf.
func (c *conn) readRequest() error {
	var end, seen int
	for {
		if i := bytes.Index(c.rbuf[c.r+seen:c.w], []byte("\r\n\r\n")); i >= 0 {
			end = seen + i
			break
		}
		seen = max(0, c.w-c.r-3)
		if err := c.fill(); err != nil {
			return err
		}
	}
	c.head = append(c.head[:0], c.rbuf[c.r:c.r+end+2]...)
	c.r += end + 4
	line, rest, _ := bytes.Cut(c.head, []byte("\r\n"))
	q := &c.req
	*q = request{length: -1, decoded: -1, meta: q.meta[:0]}
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first < 0 || last <= first {
		return errors.New("bad request line")
	}
	q.method = methodName(line[:first])
	q.path, q.query, _ = bytes.Cut(line[first+1:last], []byte("?"))
	q.closing = string(line[last+1:]) == "HTTP/1.0"
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && len(name) > 0 {
			q.header(name, bytes.TrimSpace(value))
		}
	}
	return nil
}

// header takes in one header line. It branches on the first letter, for most lines are of no interest.
func (q *request) header(name, v []byte) {
	switch name[0] | 0x20 {
	case 'c':
		q.contentHeader(name, v)
	case 't':
		if equalFold(name, "transfer-encoding") && equalFold(v, "chunked") {
			q.chunked = true
		}
	case 'e':
		if equalFold(name, "expect") {
			q.expect = true
		}
	case 'r':
		if equalFold(name, "range") {
			q.byteRange = v
		}
	case 'i':
		switch {
		case equalFold(name, "if-match"):
			q.ifMatch = v
		case equalFold(name, "if-none-match"):
			q.ifNoneMatch = v
		}
	case 'x':
		q.amzHeader(name, v)
	}
}

func (q *request) contentHeader(name, v []byte) {
	switch {
	case equalFold(name, "content-length"):
		q.length = number(v)
	case equalFold(name, "content-md5"):
		q.contentMD5 = v
	case equalFold(name, "content-encoding"):
		if bytes.Contains(v, []byte("aws-chunked")) {
			q.awsChunked = true
		} else {
			q.keep("Content-Encoding", v)
		}
	case equalFold(name, "content-type"):
		q.keep("Content-Type", v)
	case equalFold(name, "cache-control"):
		q.keep("Cache-Control", v)
	case equalFold(name, "content-disposition"):
		q.keep("Content-Disposition", v)
	case equalFold(name, "content-language"):
		q.keep("Content-Language", v)
	case equalFold(name, "connection"):
		q.closing = q.closing || equalFold(v, "close")
	}
}

func (q *request) amzHeader(name, v []byte) {
	switch {
	case equalFold(name, "x-amz-content-sha256"):
		q.awsChunked = q.awsChunked || hasPrefixFold(v, "streaming-")
	case equalFold(name, "x-amz-decoded-content-length"):
		q.decoded = number(v)
	case equalFold(name, "x-amz-copy-source"):
		q.copySource = v
	case equalFold(name, "x-amz-copy-source-range"):
		q.copyRange = v
	case equalFold(name, "x-amz-checksum-crc32c"):
		q.crc32c = v
	case hasPrefixFold(name, "x-amz-meta-"), equalFold(name, "x-amz-storage-class"):
		q.keep(string(name), v)
	}
}

// number reads a length; -1 when it is none.
func number(v []byte) int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// keep notes a header that is stored with the object.
func (q *request) keep(name string, v []byte) {
	q.meta = append(q.meta, name...)
	q.meta = append(q.meta, ": "...)
	q.meta = append(q.meta, v...)
	q.meta = append(q.meta, "\r\n"...)
}
