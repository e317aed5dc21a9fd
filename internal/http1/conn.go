package http1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a connection. One request at a time uses it; only what is atomic or said so is touched by others.
type conn struct {
	end  *Endpoint
	nc   net.Conn // what is read and written: the socket, or TLS over it; its deadlines are set from elsewhere too
	tcp  *net.TCPConn
	peek peeker   // of the socket, below TLS
	hard lingerer // the socket, if it can be reset

	in       []byte // in[r:w] is read but not used
	r, w     int
	head     head
	received bool // since the request began
	reused   bool

	// done and slot are the client's: what ends the request, and where in Client.active.
	done <-chan struct{}
	slot int
	// interrupted is set when the request is over, before all deadlines become past.
	interrupted atomic.Bool
	readBy      time.Time // read deadline that is set; zero: none
	idleSince   time.Time

	// For requests whose answer is listened for while they are sent.
	writing  atomic.Bool
	cut      atomic.Bool          // the write was ended because there is an answer
	moving   atomic.Pointer[conn] // where the kernel takes the body from
	answered chan error           // of awaitHead
}

// past is a deadline that interrupts.
var past = time.Unix(1, 0)

// newConn takes nc, which is socket or TLS over it.
func newConn(e *Endpoint, nc, socket net.Conn) *conn {
	c := &conn{end: e, nc: nc, in: make([]byte, readBuffer)}
	if t, ok := nc.(*net.TCPConn); ok {
		c.tcp = t
	}
	if s, ok := socket.(lingerer); ok {
		c.hard = s
	}
	if s, ok := socket.(syscall.Conn); ok {
		c.peek.init(s)
	}
	return c
}

// drop closes the connection.
func (c *conn) drop() { _ = c.nc.Close() } // nothing is waiting to be written

// lingerer is what a connection is reset with.
type lingerer interface{ SetLinger(sec int) error }

// reset closes the connection in the middle of a request. The server must not take what it has of a body for the whole:
// an orderly end of the stream is all that some wait for, so it gets a reset.
func (c *conn) reset() {
	if c.hard != nil {
		_ = c.hard.SetLinger(0) // fails on closed connections only
	}
	c.drop()
}

// interrupt makes reads and writes fail, those that are waiting as well.
func (c *conn) interrupt() {
	c.interrupted.Store(true)
	_ = c.nc.SetDeadline(past) // fails on closed connections only
}

// readDeadline sets the read deadline; zero: none. An interruption stays one.
func (c *conn) readDeadline(t time.Time) {
	c.readBy = t
	_ = c.nc.SetReadDeadline(t) // fails on closed connections only
	if c.interrupted.Load() {
		_ = c.nc.SetReadDeadline(past) // as above
	}
}

// writeDeadline does the same for writing.
func (c *conn) writeDeadline(t time.Time) {
	_ = c.nc.SetWriteDeadline(t) // as above
	if c.interrupted.Load() {
		_ = c.nc.SetWriteDeadline(past) // as above
	}
}

// expectHead bounds the wait for a head. A deadline that is far enough away stays, which saves setting it for each
// request.
func (c *conn) expectHead(now time.Time) {
	limit := c.end.client.opts.HeaderTimeout
	if c.readBy.Sub(now) < limit {
		c.readDeadline(now.Add(limit + limit/4))
	}
}

// noDeadline lifts the bound: bodies may take their time.
func (c *conn) noDeadline() {
	if !c.readBy.IsZero() {
		c.readDeadline(time.Time{})
	}
}

// fill reads more into the buffer, which must have room.
func (c *conn) fill() error {
	for range 16 { // readers that return nothing without an error are allowed, but not for ever
		n, err := c.nc.Read(c.in[c.w:])
		c.w += n
		if n > 0 {
			c.received = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errNothing
}

// room makes room to fill.
func (c *conn) room() {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.in):
	case c.r > 0:
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	default:
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
}

// readHead reads the head of the answer into c.head, past interim answers.
func (c *conn) readHead() error {
	for range maxInterim + 1 {
		text, err := c.headText()
		if err != nil {
			return err
		}
		if err := c.head.parse(text); err != nil {
			return err
		}
		switch {
		case c.head.status >= 200:
			return nil
		case c.head.status == 101:
			return errSwitch
		}
	}
	return errManyInterim
}

// headText reads up to and with a blank line.
func (c *conn) headText() (string, error) {
	for known := 0; ; { // bytes in whole lines
		for {
			i := bytes.IndexByte(c.in[c.r+known:c.w], '\n')
			if i < 0 {
				break
			}
			line := c.in[c.r+known : c.r+known+i]
			if i == 0 || line[i-1] != '\r' {
				return "", errLineEnd
			}
			known += i + 1
			if known > maxHead {
				return "", errHeadSize
			}
			if i == 1 {
				text := string(c.in[c.r : c.r+known])
				c.r += known
				return text, nil
			}
		}
		if c.w-c.r > maxHead {
			return "", errHeadSize
		}
		c.room()
		if err := c.fill(); err != nil {
			return "", c.ended(err)
		}
	}
}

// ended tells the end of the stream within an answer from the one before it.
func (c *conn) ended(err error) error {
	if errors.Is(err, io.EOF) && c.received {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read reads body bytes into p; large reads go past the buffer.
func (c *conn) read(p []byte) (int, error) {
	if c.r == c.w {
		c.noDeadline()
		if len(p) >= directRead {
			return c.nc.Read(p)
		}
		c.room()
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in[c.r:c.w])
	c.r += n
	return n, nil
}

// line returns the next line without its CR LF, at most limit bytes long; it is valid until the next read.
func (c *conn) line(limit int) ([]byte, error) {
	for known := 0; ; {
		if i := bytes.IndexByte(c.in[c.r+known:c.w], '\n'); i >= 0 {
			i += known
			line := c.in[c.r : c.r+i]
			if i > limit {
				return nil, errChunkLine
			}
			if i == 0 || line[i-1] != '\r' {
				return nil, errLineEnd
			}
			c.r += i + 1
			return line[:i-1], nil
		}
		if known = c.w - c.r; known > limit {
			return nil, errChunkLine
		}
		c.noDeadline()
		c.room()
		if err := c.fill(); err != nil {
			return nil, c.ended(err)
		}
	}
}
