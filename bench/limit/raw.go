package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// headBuffer holds an answer's head, and what came with it of its body.
const headBuffer = 16 << 10

// rawWorker copies with HTTP of its own over one connection to each side.
type rawWorker struct {
	*copier
	source, target *rawConn
	buf            []byte
}

func (w *rawWorker) close() {
	w.source.close()
	w.target.close()
}

// open connects at the first use.
func (w *rawWorker) open(ctx context.Context) (err error) {
	if w.target != nil {
		return nil
	}
	if w.source, err = dial(ctx, w.opts.src); err != nil {
		return err
	}
	if w.target, err = dial(ctx, w.opts.dst); err != nil {
		return err
	}
	w.buf = make([]byte, w.opts.buffer)
	return nil
}

func (w *rawWorker) copy(ctx context.Context, p piece) (string, error) {
	if err := w.open(ctx); err != nil {
		return "", err
	}
	key := escape(p.key)
	s, t := w.source, w.target
	if _, err := s.tcp.Write(w.getHead(key, p)); err != nil {
		return "", err
	}
	status, length, err := s.head()
	if err != nil {
		return "", err
	}
	if status != 200 && status != 206 || length != p.size {
		return "", fmt.Errorf("GET: %d, length %d of %d", status, length, p.size)
	}
	// What is buffered already goes out with the head, in one write: of a small object all.
	b := w.putHead(key, p)
	left := p.size
	small := w.opts.mode == "raw" && left <= 32<<10
	for left > 0 {
		if s.r == s.w {
			if !small {
				break
			}
			if err := s.fill(); err != nil {
				return "", err
			}
		}
		n := min(left, int64(s.w-s.r))
		b = append(b, s.in[s.r:s.r+int(n)]...)
		s.r += int(n)
		left -= n
	}
	t.out = b
	if _, err := t.tcp.Write(b); err != nil {
		return "", err
	}
	if err := w.move(left); err != nil {
		return "", err
	}
	if status, length, err = t.head(); err != nil {
		return "", err
	}
	if status != 200 {
		return "", fmt.Errorf("PUT: %d", status)
	}
	if err := t.skip(length); err != nil || p.upload == "" {
		return "", err
	}
	return string(t.etag), nil
}

func (w *rawWorker) getHead(key string, p piece) []byte {
	b := append(w.source.out[:0], "GET /src/"...)
	b = append(b, key...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, w.opts.src...)
	if p.upload != "" {
		b = append(b, "\r\nRange: bytes="...)
		b = strconv.AppendInt(b, p.from, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, p.from+p.size-1, 10)
	}
	w.source.out = append(b, "\r\n\r\n"...)
	return w.source.out
}

func (w *rawWorker) putHead(key string, p piece) []byte {
	b := append(w.target.out[:0], "PUT /dst/"...)
	b = append(b, key...)
	b = append(b, p.query()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, w.opts.dst...)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, p.size, 10)
	return append(b, "\r\n\r\n"...)
}

// move passes on what is left of a body.
func (w *rawWorker) move(left int64) error {
	if w.opts.mode == "splice" && left > 0 {
		n, err := w.target.tcp.ReadFrom(&io.LimitedReader{R: w.source.tcp, N: left})
		if err == nil && n != left {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	for left > 0 {
		n, err := w.source.tcp.Read(w.buf[:min(left, int64(len(w.buf)))])
		if err != nil {
			return err
		}
		if _, err := w.target.tcp.Write(w.buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// rawConn is a connection with a buffer for the heads of answers.
type rawConn struct {
	tcp  *net.TCPConn
	stop func() bool
	in   []byte
	r, w int    // what is unread of in
	out  []byte // the last request's head
	etag []byte // of the last answer
}

// dial connects; the connection breaks when ctx ends.
func dial(ctx context.Context, address string) (*rawConn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errors.New("not a TCP connection"), conn.Close())
	}
	return &rawConn{tcp: tcp, stop: context.AfterFunc(ctx, func() { _ = tcp.Close() }), in: make([]byte, headBuffer)}, nil
}

// close does nothing on a connection that was never made.
func (c *rawConn) close() {
	if c != nil && c.stop() {
		_ = c.tcp.Close()
	}
}

func (c *rawConn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if c.w == len(c.in) {
		copy(c.in, c.in[c.r:c.w])
		c.w -= c.r
		c.r = 0
	}
	if c.w == len(c.in) {
		return errors.New("head too large")
	}
	n, err := c.tcp.Read(c.in[c.w:])
	c.w += n
	return err
}

// head reads the head of an answer.
func (c *rawConn) head() (status int, length int64, err error) {
	var end int
	for {
		if end = bytes.Index(c.in[c.r:c.w], []byte("\r\n\r\n")); end >= 0 {
			break
		}
		if err := c.fill(); err != nil {
			return 0, 0, err
		}
	}
	line, rest, _ := bytes.Cut(c.in[c.r:c.r+end], []byte("\r\n"))
	c.r += end + 4
	if len(line) < 12 {
		return 0, 0, errors.New("short status line")
	}
	status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		switch name, value, _ := bytes.Cut(line, []byte(": ")); string(name) { // the case that nulls3 writes
		case "Content-Length":
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return 0, 0, err
			}
		case "ETag":
			c.etag = append(c.etag[:0], bytes.Trim(value, `"`)...)
		}
	}
	return status, length, nil
}

// skip reads over a body.
func (c *rawConn) skip(n int64) error {
	for n > 0 {
		if c.r == c.w {
			if err := c.fill(); err != nil {
				return err
			}
		}
		m := min(n, int64(c.w-c.r))
		c.r += int(m)
		n -= m
	}
	return nil
}
