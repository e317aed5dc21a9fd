//go:build unix

package http1

import (
	"errors"
	"syscall"
)

// peeker looks at a socket without waiting. The zero value sees nothing.
type peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // made once, so that a look allocates nothing
	n    int
	err  error
	buf  [1]byte
}

func (p *peeker) init(s syscall.Conn) {
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	p.raw = raw
	p.look = func(fd uintptr) bool {
		p.n, _, p.err = syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
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
	return errors.Is(p.err, syscall.EAGAIN) || errors.Is(p.err, syscall.EINTR)
}
