//go:build unix

package http1

import (
	"errors"
	"io"
	"syscall"
)

// peeker looks at a socket without waiting. The zero value sees nothing.
type peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // made once, as step is, so that a call allocates nothing
	n    int
	err  error
	buf  [1]byte

	// Of ask.
	step  func(fd uintptr) bool
	c     *conn
	out   []byte // nil once sent
	stale bool
}

func (p *peeker) init(s syscall.Conn) {
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	p.raw = raw
	p.look = func(fd uintptr) bool {
		for {
			p.n, _, p.err = syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if !errors.Is(p.err, syscall.EINTR) {
				return true
			}
		}
	}
}

// quiet reports whether the socket is open and nothing is there to be read.
func (p *peeker) quiet() bool {
	if p.raw == nil {
		return true
	}
	if err := p.raw.Read(p.look); err != nil {
		return false
	}
	return again(p.err)
}

// again reports that there is nothing to read yet.
func again(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// ask looks at the connection, sends all and reads the beginning of the answer into the buffer, with one system call
// less than one after the other: the poller, which is made ready before the look, then waits without a first read in
// vain. errStale when the server had closed a kept connection or sent something; nothing is sent then.
func (c *conn) ask(all []byte) (whole bool, err error) {
	p := &c.peek
	if p.raw == nil || c.tcp == nil {
		return c.askPlainly(all)
	}
	if p.step == nil {
		p.c, p.step = c, p.exchange
	}
	p.out, p.stale, p.n, p.err = all, false, 0, nil
	err = p.raw.Read(p.step)
	unsent := p.out != nil
	p.out = nil
	switch {
	case p.stale:
		return false, errStale
	case unsent && p.err != nil:
		return false, c.salvage(p.err)
	case p.err != nil:
		return true, p.err
	case err != nil:
		return true, err
	}
	c.r, c.w, c.received = 0, p.n, true
	return true, c.readHead()
}

// exchange is called when there may be something to read, at first at once; false waits.
func (p *peeker) exchange(fd uintptr) bool {
	if p.out != nil {
		if p.c.reused {
			if p.look(fd); !again(p.err) {
				p.stale = true
				return true
			}
		}
		if _, p.err = p.c.nc.Write(p.out); p.err != nil {
			return true
		}
		p.out = nil
		return false
	}
	for {
		p.n, p.err = syscall.Read(int(fd), p.c.in)
		switch {
		case errors.Is(p.err, syscall.EINTR):
			continue
		case p.err == nil && p.n == 0:
			p.err = io.EOF
		}
		return !again(p.err)
	}
}
