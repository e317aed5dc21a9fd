package testcloud

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// send writes an answer, with whatever faults apply to its body. Nothing comes back: an error means that
// the client has left.
func (c *call) send(a answer) {
	h := c.w.Header()
	if len(c.fired) == 0 {
		if a.body != nil {
			h.Set("Content-Length", strconv.FormatInt(a.body.size(), 10))
		}
		c.writeHeader(a.status)
		if a.body != nil {
			c.copyBody(a.body)
		}
		return
	}
	for _, f := range c.fired {
		switch {
		case f.kind == kindHeader && f.text == "":
			h.Del(f.name)
		case f.kind == kindHeader:
			h.Set(f.name, f.text)
		case f.kind == kindLastModified && h.Get("Last-Modified") != "":
			h.Set("Last-Modified", f.name)
		}
	}
	if a.body == nil {
		c.writeHeader(a.status)
		return
	}
	if a.xml {
		a.body = c.mangleXML(a.body)
	}
	c.sendFaulty(a)
}

func (c *call) writeHeader(status int) {
	c.status = status
	c.w.WriteHeader(status)
}

// copyBody sends a body as fast as the client reads.
func (c *call) copyBody(body content) {
	if m, ok := body.(memory); ok {
		n, _ := c.w.Write(m)
		c.out += int64(n)
		return
	}
	n, _ := io.Copy(c.w, io.NewSectionReader(body, 0, body.size()))
	c.out += n
}

// script is how a body is sent under faults.
type script struct {
	body     content
	chunked  bool
	stopAt   int64 // bytes after which stop is called; negative: never
	stop     func()
	rate     int64
	extra    int64
	endless  bool
	declared int64
}

// scriptOf gathers the faults of a body.
func (c *call) scriptOf(body content) script {
	s := script{body: body, stopAt: -1, declared: body.size()}
	stop := func(at int64, how func()) {
		if s.stop == nil {
			s.stopAt, s.stop = at, how
		}
	}
	for _, f := range c.fired {
		switch f.kind {
		case kindFlip:
			s.body = flipped{s.body, f.n}
		case kindDeclare:
			s.body = resized{s.body, max(0, s.body.size()+f.n)}
			s.declared = s.body.size()
		case kindTruncate:
			stop(f.n, c.abort)
		case kindResetAfter:
			stop(f.n, c.reset)
		case kindStallAfter:
			stop(f.n, c.stall)
		case kindChunked:
			s.chunked = true
		case kindEndless:
			s.chunked, s.endless = true, true
		case kindExtra:
			s.extra = f.n
		case kindRate:
			s.rate = f.n
		default:
		}
	}
	return s
}

// sendFaulty sends a body by its script.
func (c *call) sendFaulty(a answer) {
	s := c.scriptOf(a.body)
	h := c.w.Header()
	h.Del("Content-Length")
	if !s.chunked {
		h.Set("Content-Length", strconv.FormatInt(s.declared, 10))
	}
	if s.extra > 0 && c.sendExtra(a.status, s) {
		return
	}
	c.writeHeader(a.status)
	flush := http.NewResponseController(c.w)
	_ = flush.Flush() // the header must be out before a fault in the body; an error shows at the next write
	step := int64(32 << 10)
	if s.rate > 0 {
		step = max(1, min(step, s.rate/10))
	}
	buf := make([]byte, step)
	size := s.body.size()
	for off := int64(0); off < size || s.endless; {
		n := step
		if off < size {
			n = min(n, size-off)
		}
		if s.stopAt >= 0 {
			n = min(n, s.stopAt-off)
		}
		if n <= 0 {
			break
		}
		clear(buf[:n])
		_, _ = s.body.ReadAt(buf[:n], off)
		m, err := c.w.Write(buf[:n])
		c.out += int64(m)
		off += int64(m)
		if err != nil || c.over() {
			c.abort()
		}
		if s.rate > 0 {
			_ = flush.Flush() // as above
			c.wait(time.Duration(n) * time.Second / time.Duration(s.rate))
		}
	}
	if s.stop != nil {
		_ = flush.Flush() // as above
		s.stop()
	}
}

// sendExtra writes the answer by hand, with more bytes than declared. It says whether it could.
func (c *call) sendExtra(status int, s script) bool {
	conn, rw, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // the client has all it will get
	c.status = status
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = c.w.Header().Write(&head) // a buffer takes everything
	head.WriteString("\r\n")
	_, _ = rw.Write(head.Bytes())
	n, _ := io.Copy(rw, io.NewSectionReader(s.body, 0, s.body.size()))
	m, _ := io.Copy(rw, strings.NewReader(strings.Repeat("x", int(s.extra))))
	_ = rw.Flush()
	c.out += n + m
	return true
}

// flipped is content with one bit changed.
type flipped struct {
	content
	off int64
}

func (f flipped) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.content.ReadAt(p, off)
	if at := f.off - off; at >= 0 && at < int64(n) {
		p[at] ^= 1
	}
	return n, err
}

// resized is content cut or extended by zeros.
type resized struct {
	content
	n int64
}

func (r resized) size() int64 { return r.n }

func (r resized) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.n {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.n-off)]
	clear(p)
	_, _ = r.content.ReadAt(p, off)
	return len(p), nil
}

// mangleXML applies the faults of documents.
func (c *call) mangleXML(body content) content {
	for _, f := range c.fired {
		switch f.kind {
		case kindXMLMalformed:
			body = slice(body, 0, body.size()*2/3)
		case kindXMLDoctype:
			body = c.swapHead(body, xmlHead+`<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>`+"\n")
		case kindXMLEncoding:
			body = c.swapHead(body, `<?xml version="1.0" encoding="UTF-16"?>`+"\n")
		case kindXMLDeep:
			body = memory(xmlHead + strings.Repeat("<a>", int(f.n)) + strings.Repeat("</a>", int(f.n)))
		case kindXMLHuge:
			body = resized{filler{xmlHead + "<ListBucketResult><Name>"}, f.n}
		default:
		}
	}
	return body
}

// swapHead replaces the XML declaration.
func (c *call) swapHead(body content, head string) content {
	n := min(int64(len(xmlHead)), body.size())
	return join([]content{memory(head), slice(body, n, body.size()-n)})
}

// filler is a head followed by the letter x without end.
type filler struct{ head string }

func (f filler) size() int64 { return int64(len(f.head)) }

func (f filler) ReadAt(p []byte, off int64) (int, error) {
	copy(p, "x")
	for done := 1; done < len(p); done *= 2 {
		copy(p[done:], p[:done])
	}
	if off < int64(len(f.head)) {
		copy(p, f.head[off:])
	}
	return len(p), nil
}

// wait pauses for d, or until the client leaves or the cloud closes.
func (c *call) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.r.Context().Done():
	case <-c.cloud.done:
	}
}

// over says whether the client has left or the cloud was closed.
func (c *call) over() bool {
	select {
	case <-c.cloud.done:
		return true
	case <-c.r.Context().Done():
		return true
	default:
		return false
	}
}

// stall waits until the client leaves or the cloud closes, then drops the connection. It does not return.
// The request body is read first: a server learns that its client has left only when nothing is unread.
func (c *call) stall() {
	n, _ := io.Copy(io.Discard, c.r.Body)
	c.in += n
	select {
	case <-c.r.Context().Done():
	case <-c.cloud.done:
	}
	c.abort()
}

// abort closes the connection, or resets the HTTP/2 stream. It does not return.
func (c *call) abort() { panic(http.ErrAbortHandler) }

// reset closes the connection with a TCP reset, or resets the HTTP/2 stream. It does not return.
func (c *call) reset() {
	conn, _, err := http.NewResponseController(c.w).Hijack()
	if err != nil {
		c.abort()
	}
	raw := conn
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // without it the close is orderly, which is a lesser fault
	}
	_ = raw.Close()
	c.abort()
}
