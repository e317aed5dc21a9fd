package main

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"
)

// errIncomplete is a body that is not as long as its head says.
var errIncomplete = errors.New("body length differs from the decoded length")

// drain reads what is left of the body.
func (c *conn) drain(ctx context.Context) error {
	_, err := c.body(ctx, func([]byte) {})
	return err
}

// body hands the decoded request body to sink in pieces and returns its length. The second call does nothing.
func (c *conn) body(ctx context.Context, sink func([]byte)) (int64, error) {
	q := &c.req
	if q.bodyRead {
		return 0, nil
	}
	q.bodyRead = true
	if q.length <= 0 && !q.chunked {
		if q.awsChunked && q.decoded > 0 {
			return 0, errors.New("no body")
		}
		return 0, nil
	}
	if q.expect && c.r == c.w {
		if _, err := c.tcp.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return 0, err
		}
	}
	d := decoder{sink: sink, framed: q.awsChunked}
	read := c.plainBody
	if q.chunked {
		read = c.chunkedBody
	}
	if err := read(ctx, &d); err != nil {
		return d.got, err
	}
	if !q.awsChunked {
		return d.got, nil
	}
	if d.state != awsTrailer {
		return d.got, errors.New("aws-chunked body ended early")
	}
	for line := range bytes.SplitSeq(d.line, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if equalFold(bytes.TrimSpace(name), "x-amz-checksum-crc32c") {
			q.trailerCRC = bytes.Clone(bytes.TrimSpace(value))
		}
	}
	if q.decoded >= 0 && d.got != q.decoded {
		return d.got, errIncomplete
	}
	return d.got, nil
}

// plainBody reads a body of known length.
func (c *conn) plainBody(ctx context.Context, d *decoder) error { return c.take(ctx, c.req.length, d) }

// chunkedBody reads HTTP chunks.
func (c *conn) chunkedBody(ctx context.Context, d *decoder) error {
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(size), 16, 64)
		if err != nil {
			return err
		}
		if err := c.take(ctx, n, d); err != nil {
			return err
		}
		for {
			line, err := c.readLine()
			if err != nil {
				return err
			}
			if n > 0 || len(line) == 0 {
				break
			}
		}
		if n == 0 {
			return nil
		}
	}
}

// take reads n bytes of the body.
func (c *conn) take(ctx context.Context, n int64, d *decoder) error {
	for n > 0 {
		if c.r == c.w {
			if err := c.fill(); err != nil {
				return err
			}
		}
		m := min(n, int64(c.w-c.r))
		c.stats.bytesIn.Add(m)
		if err := d.feed(c.rbuf[c.r : c.r+int(m)]); err != nil {
			return err
		}
		c.r += int(m)
		n -= m
		if c.opts.bandwidth > 0 {
			if err := c.pace(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) readLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.rbuf[c.r:c.w], '\n'); i >= 0 {
			line := c.rbuf[c.r : c.r+i]
			c.r += i + 1
			return bytes.TrimRight(line, "\r"), nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// pace waits after n bytes until they may have passed.
func (c *conn) pace(ctx context.Context, n int64) error {
	now := time.Now()
	if c.paceStart.IsZero() || now.Sub(c.paceStart) > 2*time.Second {
		c.paceStart, c.paced = now, 0
	}
	c.paced += n
	due := time.Duration(float64(c.paced) / float64(c.opts.bandwidth) * float64(time.Second))
	if d := due - now.Sub(c.paceStart); d > time.Millisecond {
		return pause(ctx, d)
	}
	return nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// States of a decoder.
const (
	awsSize = iota
	awsData
	awsEnd
	awsTrailer
)

// decoder undoes aws-chunked framing, if there is any, given in pieces of any length.
type decoder struct {
	sink   func([]byte)
	framed bool
	got    int64 // bytes handed to sink
	state  int
	left   int64  // of the data or its end
	line   []byte // an unfinished size line, then the trailer
}

func (d *decoder) feed(p []byte) error {
	if !d.framed {
		d.give(p)
		return nil
	}
	for len(p) > 0 {
		switch d.state {
		case awsSize:
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				d.line = append(d.line, p...)
				if len(d.line) > 4096 {
					return errors.New("bad aws-chunk")
				}
				return nil
			}
			d.line = append(d.line, p[:i]...)
			p = p[i+1:]
			size, _, _ := bytes.Cut(d.line, []byte(";"))
			n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 64)
			if err != nil {
				return err
			}
			d.line = d.line[:0]
			d.left, d.state = n, awsData
			if n == 0 {
				d.state = awsTrailer
			}
		case awsData:
			m := min(d.left, int64(len(p)))
			d.give(p[:m])
			p = p[m:]
			d.left -= m
			if d.left == 0 {
				d.left, d.state = 2, awsEnd
			}
		case awsEnd:
			m := min(d.left, int64(len(p)))
			p = p[m:]
			d.left -= m
			if d.left == 0 {
				d.state = awsSize
			}
		default: // awsTrailer
			if len(d.line) < 8192 {
				d.line = append(d.line, p...)
			}
			return nil
		}
	}
	return nil
}

func (d *decoder) give(p []byte) {
	d.sink(p)
	d.got += int64(len(p))
}
