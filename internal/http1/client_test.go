package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const sound = ok200 + "Content-Length: 4\r\n\r\nbody"

// TestReuse checks which answers leave a connection that carries the next request.
func TestReuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer string
		read   bool // up to the end
		conns  int32
	}{
		{"length", sound, true, 1},
		{"chunks", ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n", true, 1},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", false, 1},
		{"empty", ok200 + "Content-Length: 0\r\n\r\n", false, 1},
		{"after interim answers", "HTTP/1.1 100 Continue\r\n\r\n" + sound, true, 1},
		{"error status", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", true, 1},
		{"rest of the body", sound, false, 2},
		{"close", ok200 + "Connection: keep-alive, Close\r\nContent-Length: 4\r\n\r\nbody", true, 2},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody", true, 2},
		{"bytes behind the answer", sound + "x", true, 2},
		{"answer behind the answer", sound + sound, true, 2},
		{"bytes behind chunks", ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nx", true, 2},
		{"bytes behind no body", "HTTP/1.1 204 No Content\r\n\r\nx", false, 2},
		{"body of 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\nx", false, 2},
		{"malformed", ok200 + "X: a\x00\r\n\r\n", false, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, answering(test.answer))
			e := endpoint(t, newClient(t, Options{}), s.addr)
			for range 2 {
				resp, err := e.Do(t.Context(), get())
				if _, bad := errors.AsType[*Malformed](err); bad {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if test.read {
					if _, err := io.ReadAll(resp); err != nil {
						t.Error(err)
					}
				}
				if err := resp.Close(); err != nil {
					t.Error(err)
				}
				if err := resp.Close(); err != nil {
					t.Error(err)
				}
				if _, err := resp.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
					t.Errorf("read after Close: %v", err)
				}
			}
			if got := s.conns.Load(); got != test.conns {
				t.Errorf("%d connections, want %d", got, test.conns)
			}
		})
	}
}

// TestUnreadRest checks that a connection is not used again while the rest of a body is still to come.
func TestUnreadRest(t *testing.T) {
	s := serve(t, answering(ok200+"Content-Length: 10\r\n\r\nbegin"))
	e := endpoint(t, newClient(t, Options{}), s.addr)
	for range 2 {
		resp, err := e.Do(t.Context(), get())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		if err := resp.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := s.conns.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// blind keeps c from seeing that its idle connections are dead.
func blind(c *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, list := range c.idle {
		for _, k := range list {
			k.peek = peeker{}
		}
	}
}

// TestLateBytes checks that a connection on which the server spoke after its answer is not used again.
func TestLateBytes(t *testing.T) {
	spoken, more := make(chan struct{}), make(chan struct{})
	s := serve(t, func(c net.Conn, n int) {
		if n > 1 {
			answering(sound)(c, n)
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(c, sound) // the client would tell
		<-more
		_, _ = io.WriteString(c, sound) // as above
		close(spoken)
		_, _ = io.Copy(io.Discard, c) // until it is closed
	})
	c := newClient(t, Options{})
	e := endpoint(t, c, s.addr)
	if _, _, err := fetch(t.Context(), e, get()); err != nil {
		t.Fatal(err)
	}
	close(more)
	<-spoken
	if _, body, err := fetch(t.Context(), e, get()); err != nil || string(body) != "body" {
		t.Errorf("got %q, %v", body, err)
	}
	if got := s.conns.Load(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

// closing answers once and closes each connection but the last.
func closing(last int) func(net.Conn, int) {
	return func(c net.Conn, n int) {
		if n >= last {
			answering(sound)(c, n)
			return
		}
		r := bufio.NewReader(c)
		if req, err := http.ReadRequest(r); err == nil {
			_, _ = io.Copy(io.Discard, req.Body) // the client would tell
			_, _ = io.WriteString(c, sound)      // as above
		}
	}
}

// TestDeadConnection checks the replay after a kept connection turned out to be closed.
func TestDeadConnection(t *testing.T) {
	big := data(200_000)
	for _, test := range []struct {
		name string
		req  func() *Request
		look func(*Client)
	}{
		{"seen", get, func(*Client) {}},
		{"seen, body that cannot be sent twice", func() *Request { return put(only{bytes.NewReader(big)}, int64(len(big))) }, func(*Client) {}},
		{"not seen", get, blind},
		{"not seen, small body", func() *Request { return put(only{strings.NewReader("abc")}, 3) }, blind},
		{"not seen, large body that can seek", func() *Request { return put(bytes.NewReader(big), int64(len(big))) }, blind},
	} {
		t.Run(test.name, func(t *testing.T) {
			gone := make(chan struct{}, 1)
			script := closing(2)
			s := serve(t, func(c net.Conn, n int) {
				script(c, n)
				_ = c.Close() // before the test goes on
				gone <- struct{}{}
			})
			c := newClient(t, Options{})
			e := endpoint(t, c, s.addr)
			if _, _, err := fetch(t.Context(), e, get()); err != nil {
				t.Fatal(err)
			}
			<-gone
			test.look(c)
			status, body, err := fetch(t.Context(), e, test.req())
			if err != nil || status != 200 || string(body) != "body" {
				t.Errorf("got %d, %q, %v", status, body, err)
			}
		})
	}
}

// TestNoReplay checks that a request is sent once where sending it twice would be wrong.
func TestNoReplay(t *testing.T) {
	big := data(200_000)
	for _, test := range []struct {
		name  string
		begin string // of the second answer, before the connection is closed
		req   func() *Request
		want  error
	}{
		{"answer begun", "HTTP/1.1 200", get, io.ErrUnexpectedEOF},
		{"body used up", "", func() *Request { return put(only{bytes.NewReader(big)}, int64(len(big))) }, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, func(c net.Conn, n int) {
				r := bufio.NewReader(c)
				for i, raw := range []string{sound, test.begin} {
					req, err := http.ReadRequest(r)
					if err != nil {
						if n == 1 || i == 0 {
							t.Errorf("connection %d, request %d: %v", n, i, err)
						}
						return
					}
					_, _ = io.Copy(io.Discard, req.Body) // the client would tell
					_, _ = io.WriteString(c, raw)        // as above
				}
			})
			e := endpoint(t, newClient(t, Options{}), s.addr)
			if _, _, err := fetch(t.Context(), e, get()); err != nil {
				t.Fatal(err)
			}
			if _, _, err := fetch(t.Context(), e, test.req()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if got := s.conns.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	}
	t.Run("new connection", func(t *testing.T) {
		s := serve(t, func(net.Conn, int) {})
		_, _, err := fetch(t.Context(), endpoint(t, newClient(t, Options{}), s.addr), get())
		if err == nil {
			t.Error("no error")
		}
		if got := s.conns.Load(); got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// TestBodiesSent checks that bodies of all kinds and sizes arrive as they are, over plain connections and TLS, and that
// a connection carries all of them.
func TestBodiesSent(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || r.ContentLength != int64(len(got)) || len(r.TransferEncoding) > 0 {
			t.Errorf("%d of %d bytes: %v", len(got), r.ContentLength, err)
		}
		if !bytes.Equal(got, data(len(got))) {
			t.Errorf("%d other bytes", len(got))
		}
		w.WriteHeader(http.StatusOK)
	})
	for _, start := range []func(http.Handler) *httptest.Server{httptest.NewServer, httptest.NewTLSServer} {
		srv := start(handler)
		c := newClient(t, Options{Dial: counted(t, 1), TLS: clientTLS(srv)})
		scheme, host, _ := strings.Cut(srv.URL, "://")
		e, err := c.Endpoint(scheme, host)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 100, inlineBody - 1, inlineBody, inlineBody + 1, heardBody, heardBody + 1, copyBuffer + 1, 3 << 20} {
			d := data(size)
			for name, body := range map[string]io.Reader{
				"bytes": bytes.NewReader(d), "reader": only{bytes.NewReader(d)}, "longer": only{bytes.NewReader(data(size + 1000))},
				"pieces": writerTo{data: d, piece: 10_000}, "longer pieces": writerTo{data: data(size + 1000), piece: 30_000},
			} {
				if w, ok := body.(writerTo); ok {
					w.only = only{bytes.NewReader(w.data)}
					body = w
				}
				status, _, err := fetch(t.Context(), e, put(body, int64(size)))
				if err != nil || status != 200 {
					t.Errorf("%s of %d bytes: %d, %v", name, size, status, err)
				}
			}
		}
		c.CloseIdleConnections()
		srv.Close()
	}
}

// counted dials and fails the test beyond so many connections.
func counted(t *testing.T, most int) func(context.Context, string, string) (net.Conn, error) {
	var mu sync.Mutex
	n := 0
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > most {
			t.Errorf("%d connections", n)
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// TestBodyErrors checks that errors of a body are told apart from those of the connection.
func TestBodyErrors(t *testing.T) {
	broken := errors.New("broken")
	s := serve(t, answering(sound))
	for _, size := range []int64{100, inlineBody + 1, 1 << 20} {
		half := bytes.Repeat([]byte("x"), int(size/2))
		for name, test := range map[string]struct {
			body io.Reader
			want error
		}{
			"short":        {only{bytes.NewReader(half)}, io.ErrUnexpectedEOF},
			"short bytes":  {bytes.NewReader(half), io.ErrUnexpectedEOF},
			"error":        {io.MultiReader(bytes.NewReader(half), failing{broken}), broken},
			"error at end": {only{io.MultiReader(bytes.NewReader(half), failing{broken})}, broken},
			"empty reads":  {only{failing{nil}}, io.ErrNoProgress},
		} {
			if name == "empty reads" && size <= heardBody {
				continue // io.ReadFull goes on for ever, as it does everywhere
			}
			e := endpoint(t, newClient(t, Options{}), s.addr)
			_, _, err := fetch(t.Context(), e, put(test.body, size))
			if b, ok := errors.AsType[*BodyError](err); !ok || !errors.Is(b.Err, test.want) {
				t.Errorf("%s of %d bytes: got %v, want %v", name, size, err, test.want)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestEarlyAnswer checks that an answer that comes before the request has been sent is heard, whatever the server
// does then.
func TestEarlyAnswer(t *testing.T) {
	const refusal = "HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nbusy"
	const size = 32 << 20
	top, over := t, make(chan struct{})
	defer close(over)
	for name, then := range map[string]func(net.Conn){
		"wait":  func(net.Conn) { <-over },
		"close": func(net.Conn) {},
		"reset": func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }, //nolint:errcheck // it is one
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(top, func(c net.Conn, _ int) {
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"+refusal) // the client would tell
				then(c)
			})
			for what, body := range map[string]io.Reader{"bytes": bytes.NewReader(make([]byte, size)), "reader": only{bytes.NewReader(make([]byte, size))}} {
				c := newClient(t, Options{})
				resp, err := endpoint(t, c, s.addr).Do(t.Context(), put(body, size))
				if err != nil {
					if name == "reset" { // the reset may overtake the answer
						continue
					}
					t.Errorf("%s: %v", what, err)
					continue
				}
				got, err := io.ReadAll(resp)
				if resp.Status != 503 || resp.Whole || name != "reset" && (err != nil || string(got) != "busy") {
					t.Errorf("%s: got %d, whole %v, %q, %v", what, resp.Status, resp.Whole, got, err)
				}
				if err := resp.Close(); err != nil {
					t.Error(err)
				}
				if len(c.idle[endpoint(t, c, s.addr).id]) > 0 {
					t.Errorf("%s: the connection is kept", what)
				}
			}
		})
	}
}

// TestCancel checks that the end of a context ends every wait, and that the connection is not used again.
func TestCancel(t *testing.T) {
	const size = 64 << 20
	top := t
	over := make(chan struct{}) // lets the silent servers go
	defer close(over)
	silent := func(c net.Conn, _ int) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			<-over
		}
	}
	stuck := func(c net.Conn, _ int) {
		answering(ok200+"Content-Length: 100\r\n\r\nbegin")(c, 1)
	}
	for _, test := range []struct {
		name   string
		script func(net.Conn, int)
		req    func() *Request
	}{
		{"head", silent, get},
		{"head after a body", answering(""), func() *Request { return put(bytes.NewReader(make([]byte, 1<<20)), 1<<20) }},
		{"sending bytes", silent, func() *Request { return put(bytes.NewReader(make([]byte, size)), size) }},
		{"sending a stream", silent, func() *Request { return put(only{bytes.NewReader(make([]byte, size))}, size) }},
		{"body", stuck, get},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, Options{})
			e := endpoint(t, c, serve(top, test.script).addr)
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(30*time.Millisecond, cancel).Stop()
			resp, err := e.Do(ctx, test.req())
			if err == nil {
				_, err = io.ReadAll(resp)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("body: got %v", err)
				}
				_ = resp.Close() // the connection is gone
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if len(c.idle[e.id]) > 0 || len(c.active) > 0 {
				t.Errorf("%d connections kept, %d active", len(c.idle[e.id]), len(c.active))
			}
		})
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c := newClient(t, Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialed")
			return nil, io.EOF
		}})
		if _, err := endpoint(t, c, "h").Do(ctx, get()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("after", func(t *testing.T) { // what ends after the answer was read up leaves the connection alone
		s := serve(t, answering(sound))
		e := endpoint(t, newClient(t, Options{Dial: counted(t, 1)}), s.addr)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, _, err := fetch(ctx, e, get()); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	})
}

// TestHeaderTimeout checks the bound of the wait for an answer, before and after a body.
func TestHeaderTimeout(t *testing.T) {
	s := serve(t, answering(""))
	e := endpoint(t, newClient(t, Options{HeaderTimeout: 20 * time.Millisecond}), s.addr)
	for name, req := range map[string]*Request{"get": get(), "put": put(bytes.NewReader(make([]byte, 1<<20)), 1<<20)} {
		if _, _, err := fetch(t.Context(), e, req); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestSlowBody checks that the bound of the wait for a head does not bound the body.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{HeaderTimeout: time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer func() { _ = far.Close() }()                                  // over
				_, _ = http.ReadRequest(bufio.NewReader(far))                       // the client would tell
				_, _ = io.WriteString(far, ok200+"Content-Length: 10\r\n\r\nbegin") // as above
				time.Sleep(time.Hour)
				_, _ = io.WriteString(far, "ended") // as above
			}()
			return near, nil
		}})
		if _, body, err := fetch(t.Context(), endpoint(t, c, "h"), get()); err != nil || string(body) != "beginended" {
			t.Errorf("got %q, %v", body, err)
		}
		c.CloseIdleConnections()
	})
}

// TestIdle checks that idle connections are bounded in number and time, and that a client without any is at rest.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open sync.WaitGroup
		c := New(Options{IdlePerHost: 2, IdleTimeout: time.Minute, Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			open.Go(func() { answering(sound)(far, 1) })
			return near, nil
		}})
		e := endpoint(t, c, "h")
		var answers []*Response
		for range 4 {
			resp, err := e.Do(t.Context(), get())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(resp); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, resp)
		}
		for _, resp := range answers {
			_ = resp.Close() // tested elsewhere
		}
		idle := func() int {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.idle[e.id])
		}
		if got := idle(); got != 2 {
			t.Errorf("%d idle connections, want 2", got)
		}
		time.Sleep(59 * time.Second)
		if got := idle(); got != 2 {
			t.Errorf("%d idle connections after 59 s, want 2", got)
		}
		time.Sleep(time.Minute)
		if got := idle(); got != 0 {
			t.Errorf("%d idle connections after two minutes", got)
		}
		open.Wait()
		if c.reaper != nil || c.watching || len(c.idle) > 0 {
			t.Error("the client is not at rest")
		}
	})
}

// TestManyAtOnce checks that many requests at once each get their own answer.
func TestManyAtOnce(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // the client would tell
		_, _ = w.Write(body)          // as above
	}))
	defer srv.Close()
	c := newClient(t, Options{})
	e := endpoint(t, c, strings.TrimPrefix(srv.URL, "http://"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				want := bytes.Repeat([]byte{byte(i), byte(j)}, 1+i*j*10)
				ctx, cancel := context.WithCancel(t.Context())
				_, got, err := fetch(ctx, e, put(bytes.NewReader(want), int64(len(want))))
				cancel()
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d %d: %d bytes of %d, %v", i, j, len(got), len(want), err)
				}
			}
		})
	}
	wg.Wait()
	c.CloseIdleConnections()
}

func TestEndpoint(t *testing.T) {
	c := newClient(t, Options{})
	for _, test := range []struct{ scheme, host, addr string }{
		{"http", "h", "h:80"},
		{"https", "h", "h:443"},
		{"http", "h:9000", "h:9000"},
		{"http", "127.0.0.1:1", "127.0.0.1:1"},
		{"http", "[::1]", "[::1]:80"},
		{"https", "[::1]:9", "[::1]:9"},
		{"ftp", "h", ""},
		{"http", "", ""},
		{"http", ":80", ""},
		{"http", "a b", ""},
		{"http", "h/x", ""},
		{"http", "u@h", ""},
		{"http", "h\r\nX: y", ""},
		{"http", "ä.example", ""},
	} {
		e, err := c.Endpoint(test.scheme, test.host)
		switch {
		case test.addr == "" && err == nil:
			t.Errorf("%+v: no error", test)
		case test.addr != "" && (err != nil || e.addr != test.addr):
			t.Errorf("%+v: got %+v, %v", test, e, err)
		}
	}
}

// TestAppendField checks that nothing can be smuggled into a request.
func TestAppendField(t *testing.T) {
	for _, f := range []Field{
		{"", "x"}, {"a b", "x"}, {"a:", "x"}, {"a\r\n", "x"}, {"ä", "x"}, {"A", "x\r\nB: y"}, {"A", "x\n"}, {"A", "\x00"}, {"A", "\x7f"},
	} {
		if got, ok := AppendField([]byte("x"), f.Name, f.Value); ok || string(got) != "x" {
			t.Errorf("%q: got %q", f, got)
		}
	}
	if got, ok := AppendField(nil, "X-Meta", "ä\tb"); !ok || string(got) != "X-Meta: ä\tb\r\n" {
		t.Errorf("got %q, %v", got, ok)
	}
}

// TestCutOffBodyIsReset: a server must not take the part of a body that it has for the whole, so it does not see an
// orderly end of the stream.
func TestCutOffBodyIsReset(t *testing.T) {
	ended := make(chan error, 1)
	s := serve(t, func(c net.Conn, _ int) {
		r := bufio.NewReader(c)
		req, err := http.ReadRequest(r)
		if err != nil {
			ended <- err
			return
		}
		_, err = io.CopyN(io.Discard, req.Body, 1<<20)
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		ended <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	body, more := io.Pipe()
	go func() {
		_, _ = more.Write(make([]byte, 2<<20)) // ends with the request
		cancel()
		_ = more.CloseWithError(context.Canceled)
	}()
	_, err := endpoint(t, newClient(t, Options{}), s.addr).Do(ctx, put(body, 3<<20))
	if err == nil {
		t.Fatal("a request that was cut off succeeded")
	}
	_ = body.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
}
