package http1

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// tcpClosed is the state of a connection that is over, in the kernel's numbers.
const tcpClosed = 7

// errLost is what reading gives after a move failed: bytes were taken from the source that are nowhere now.
var errLost = errors.New("http1: the body was lost on its way to a writer")

// Moves says that the kernel can move a body from one plain connection to another.
const Moves = true

// splice moves up to most bytes of the rest of the body to out without bringing them into this process: first what is
// buffered, then from socket to socket.
func (r *Response) splice(out *bodyWriter, most int64) (n int64, handled bool, err error) {
	most = min(most, r.left)
	if from := out.c.moving.Load(); most > out.left || from != nil && from != r.c {
		return 0, false, nil // the general way cuts it, or takes a second source
	}
	if p := r.c.in[r.c.r:min(int64(r.c.w), int64(r.c.r)+most)]; len(p)+len(out.head) > 0 {
		k, err := out.Write(p)
		r.c.r += k
		n, r.left = int64(k), r.left-int64(k)
		if err != nil {
			return n, true, &WriteError{n, err}
		}
	}
	if n < most {
		r.c.noDeadline()
		out.c.moving.Store(r.c)
		if out.c.cut.Load() { // before it was known whom to interrupt
			r.c.readDeadline(past)
		}
		k, err := out.c.tcp.ReadFrom(&io.LimitedReader{R: r.c.tcp, N: most - n})
		n, r.left, out.left = n+k, r.left-k, out.left-k
		if err != nil {
			return n, true, r.blame(out, n, err)
		}
		if n < most {
			r.err = io.ErrUnexpectedEOF
			return n, true, r.err
		}
	}
	r.done = r.left == 0
	return n, true, nil
}

// blame finds out which side a failed move is about, and books the error there.
func (r *Response) blame(out *bodyWriter, n int64, err error) error {
	if r.failed(out, err) {
		r.err = err
		return err
	}
	out.err, r.err = err, errLost
	return &WriteError{n, err}
}

// failed reports whether the source is to blame: one that was interrupted, or whose connection is over.
func (r *Response) failed(out *bodyWriter, err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return r.c.interrupted.Load() && !out.c.cut.Load()
	}
	return over(r.c) && !over(out.c)
}

// over reports whether the kernel has given up a connection. One whose state cannot be told is not over.
func over(c *conn) bool {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return true // closed here
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State == tcpClosed
	})
	return closed || err != nil
}
