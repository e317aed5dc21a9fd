package http1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server runs a script for each connection.
type server struct {
	addr  string
	conns atomic.Int32
}

// serve starts a server on loopback; script gets each connection and its number from 1. Connections are closed when
// script returns, and all of them when the test ends.
func serve(tb testing.TB, script func(c net.Conn, n int)) *server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(s.conns.Add(1))
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }() // some scripts have closed it
				script(c, n)
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close() // ends Accept
		mu.Lock()
		for _, c := range open {
			_ = c.Close() // some are closed already
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

// answering returns a script that gives the raw answers in turn, one a request, the last one for ever.
func answering(raw ...string) func(net.Conn, int) {
	return func(c net.Conn, _ int) {
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			if _, err := io.WriteString(c, raw[min(i, len(raw)-1)]); err != nil {
				return
			}
		}
	}
}

func newClient(tb testing.TB, opts Options) *Client {
	tb.Helper()
	if opts.Dial == nil {
		opts.Dial = new(net.Dialer).DialContext
	}
	c := New(opts)
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

func endpoint(tb testing.TB, c *Client, addr string) *Endpoint {
	tb.Helper()
	e, err := c.Endpoint("http", addr)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func get() *Request { return &Request{Head: []byte("GET /k HTTP/1.1\r\nHost: h\r\n\r\n")} }

func put(body io.Reader, size int64) *Request {
	return &Request{
		Head: []byte("PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.FormatInt(size, 10) + "\r\n\r\n"),
		Body: body, Size: size,
	}
}

// fetch sends req and reads the answer up.
func fetch(ctx context.Context, e *Endpoint, req *Request) (status int, body []byte, err error) {
	resp, err := e.Do(ctx, req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Close() }() // always nil
	body, err = io.ReadAll(resp)
	return resp.Status, body, err
}

// data returns size bytes that differ from their neighbours.
func data(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// only hides the other abilities of a reader.
type only struct{ io.Reader }

// writerTo is a body that writes itself in pieces.
type writerTo struct {
	only
	data  []byte
	piece int
}

func (w writerTo) WriteTo(dst io.Writer) (n int64, err error) {
	for len(w.data) > 0 {
		k, err := dst.Write(w.data[:min(w.piece, len(w.data))])
		n, w.data = n+int64(k), w.data[k:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func sameBytes(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d other bytes, want %d", what, len(got), len(want))
	}
}
