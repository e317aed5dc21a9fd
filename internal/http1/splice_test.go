package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// sink is a server that takes what is put and remembers the last body.
type sink struct {
	*httptest.Server
	got []byte
	err error
}

func startSink(t *testing.T, start func(http.Handler) *httptest.Server) *sink {
	t.Helper()
	s := new(sink)
	s.Server = start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.got, s.err = io.ReadAll(r.Body) }))
	t.Cleanup(s.Close)
	return s
}

// opened asks the server at addr for a body.
func opened(ctx context.Context, t *testing.T, e *Endpoint) *Response {
	t.Helper()
	resp, err := e.Do(ctx, get())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Close() }) // closed twice mostly
	return resp
}

// TestMove checks that the answer to one request becomes the body of another byte by byte, whatever lies between, and
// that both connections can be used again.
func TestMove(t *testing.T) {
	for _, test := range []struct {
		name  string
		size  int
		start func(http.Handler) *httptest.Server
		frame string
	}{
		{"within the buffer", 20_000, httptest.NewServer, "length"},
		{"just beyond", inlineBody + 1, httptest.NewServer, "length"},
		{"large", 8<<20 + 3, httptest.NewServer, "length"},
		{"chunked", 1 << 20, httptest.NewServer, "chunks"},
		{"TLS", 1 << 20, httptest.NewTLSServer, "length"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := data(test.size)
			src := test.start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.frame == "length" {
					w.Header().Set("Content-Length", strconv.Itoa(len(want)))
				}
				_, _ = w.Write(want) // the client would tell
			}))
			t.Cleanup(src.Close)
			dst := startSink(t, test.start)
			c := newClient(t, Options{Dial: counted(t, 2), TLS: clientTLS(src)})
			if dst.Certificate() != nil {
				c.opts.TLS.RootCAs.AddCert(dst.Certificate())
			}
			from, to := endpointOf(t, c, src.URL), endpointOf(t, c, dst.URL)
			for range 3 {
				resp := opened(t.Context(), t, from)
				status, _, err := fetch(t.Context(), to, put(resp, int64(test.size)))
				if err != nil || status != 200 || dst.err != nil {
					t.Fatal(status, err, dst.err)
				}
				sameBytes(t, "moved", dst.got, want)
				if n, err := resp.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("behind the body: %d, %v", n, err)
				}
				_ = resp.Close() // tested elsewhere
			}
			c.CloseIdleConnections()
		})
	}
}

// stepped is a body that moves in steps.
type stepped struct {
	*Response
	step int64
}

func (s stepped) WriteTo(w io.Writer) (sum int64, err error) {
	for {
		n, err := s.Move(w, s.step)
		if sum += n; err != nil || n < s.step {
			return sum, err
		}
	}
}

// TestMoveInSteps checks that a body that moves in steps arrives whole, and that both connections can be used again.
func TestMoveInSteps(t *testing.T) {
	const size = 1<<20 + 7
	want := data(size)
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			src := start(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(size))
				_, _ = w.Write(want) // the client would tell
			}))
			t.Cleanup(src.Close)
			dst := startSink(t, start)
			c := newClient(t, Options{Dial: counted(t, 2), TLS: clientTLS(src)})
			if dst.Certificate() != nil {
				c.opts.TLS.RootCAs.AddCert(dst.Certificate())
			}
			from, to := endpointOf(t, c, src.URL), endpointOf(t, c, dst.URL)
			for _, step := range []int64{1000, readBuffer, 64 << 10, 300_000, size, size + 1} {
				resp := opened(t.Context(), t, from)
				status, _, err := fetch(t.Context(), to, put(stepped{resp, step}, size))
				if err != nil || status != 200 || dst.err != nil {
					t.Fatal(step, status, err, dst.err)
				}
				sameBytes(t, "moved", dst.got, want)
				if n, err := resp.Move(io.Discard, 1); n != 0 || err != nil {
					t.Errorf("behind the body: %d, %v", n, err)
				}
				_ = resp.Close() // tested elsewhere
			}
			c.CloseIdleConnections()
		})
	}
}

func endpointOf(t *testing.T, c *Client, url string) *Endpoint {
	t.Helper()
	scheme, host, _ := strings.Cut(url, "://")
	e, err := c.Endpoint(scheme, host)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestMovePart checks that a body read in part gives the rest, and that more than the request wants stays behind.
func TestMovePart(t *testing.T) {
	want := data(1 << 20)
	src := serve(t, answering(ok200+"Content-Length: 1048576\r\n\r\n"+string(want)))
	dst := startSink(t, httptest.NewServer)
	c := newClient(t, Options{})
	resp := opened(t.Context(), t, endpoint(t, c, src.addr))
	head := make([]byte, 100_000)
	if _, err := io.ReadFull(resp, head); err != nil {
		t.Fatal(err)
	}
	if status, _, err := fetch(t.Context(), endpointOf(t, c, dst.URL), put(resp, 1<<20-100_000)); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	sameBytes(t, "rest", dst.got, want[100_000:])

	resp = opened(t.Context(), t, endpoint(t, c, src.addr))
	if status, _, err := fetch(t.Context(), endpointOf(t, c, dst.URL), put(resp, 300_000)); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	sameBytes(t, "beginning", dst.got, want[:300_000])
	c.CloseIdleConnections()
}

// TestMoveErrors checks that an error while bytes are moved is told of the side that failed.
func TestMoveErrors(t *testing.T) {
	const size = 8 << 20
	outer, over := t, make(chan struct{})
	defer close(over)
	source := func(bytes int, then func(net.Conn)) func(net.Conn, int) {
		return func(c net.Conn, _ int) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				return
			}
			_, _ = io.WriteString(c, ok200+"Content-Length: "+strconv.Itoa(size)+"\r\n\r\n") // the client would tell
			_, _ = c.Write(data(bytes))                                                      // as above
			then(c)
		}
	}
	wait := func(net.Conn) { <-over }
	reset := func(c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // then closing resets
		}
	}
	end := func(net.Conn) {}
	// taking reads part of a request before it goes on.
	taking := func(then func(net.Conn)) func(net.Conn, int) {
		return func(c net.Conn, _ int) {
			_, _ = io.CopyN(io.Discard, c, 1<<20) // the client would tell
			then(c)
		}
	}
	// ending takes all that the source has sent, head included, before it ends: then only the source is waited for.
	ending := func(c net.Conn, _ int) {
		_, _ = io.CopyN(io.Discard, c, size/2) // the client would tell
	}
	for _, test := range []struct {
		name     string
		src, dst func(net.Conn, int)
		ofBody   bool
		want     error
	}{
		{"source short", source(size/2, end), answering(sound), true, io.ErrUnexpectedEOF},
		{"source reset", source(size/2, reset), answering(sound), true, nil},
		{"destination ends", source(size, wait), taking(end), false, nil},
		{"destination resets", source(size, wait), taking(reset), false, nil},
		{"destination ends, source waits", source(size/2, wait), ending, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, Options{})
			resp := opened(t.Context(), t, endpoint(t, c, serve(outer, test.src).addr))
			_, _, err := fetch(t.Context(), endpoint(t, c, serve(outer, test.dst).addr), put(resp, size))
			body, ofBody := errors.AsType[*BodyError](err)
			if err == nil || ofBody != test.ofBody || test.want != nil && !errors.Is(body, test.want) {
				t.Errorf("got %v", err)
			}
			if n, err := resp.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, io.EOF) {
				t.Errorf("the source goes on: %d, %v", n, err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		refuse := taking(func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n") // the client would tell
			<-over
		})
		c := newClient(t, Options{})
		resp := opened(t.Context(), t, endpoint(t, c, serve(outer, source(size, wait)).addr))
		if status, _, err := fetch(t.Context(), endpoint(t, c, serve(outer, refuse).addr), put(resp, size)); err != nil || status != 503 {
			t.Errorf("got %d, %v", status, err)
		}
	})
	t.Run("source cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClient(t, Options{})
		resp := opened(ctx, t, endpoint(t, c, serve(outer, source(size/2, func(net.Conn) { cancel(); <-over })).addr))
		_, _, err := fetch(t.Context(), endpoint(t, c, serve(outer, answering(sound)).addr), put(resp, size))
		if _, ok := errors.AsType[*BodyError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
	t.Run("destination cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClient(t, Options{})
		resp := opened(t.Context(), t, endpoint(t, c, serve(outer, source(size, wait)).addr))
		_, _, err := fetch(ctx, endpoint(t, c, serve(outer, taking(func(net.Conn) { cancel(); <-over })).addr), put(resp, size))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// TestWriteTo checks that errors of a writer are told from those of reading.
func TestWriteTo(t *testing.T) {
	full := errors.New("full")
	s := serve(t, answering(ok200+"Content-Length: 4\r\n\r\nbody", ok200+"Content-Length: 40\r\nConnection: close\r\n\r\nbody"))
	e := endpoint(t, newClient(t, Options{}), s.addr)
	_, err := opened(t.Context(), t, e).WriteTo(failingWriter{full})
	if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }
