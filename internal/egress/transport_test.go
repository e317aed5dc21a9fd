package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends a GET through a transport of a guard that is open for this machine.
func request(t *testing.T, url string, opts TransportOptions) (answer, error) {
	t.Helper()
	tr := newGuard(t, Options{AllowPrivate: true}).Transport(opts)
	t.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Client(tr).Do(req)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}, errors.Join(err, resp.Body.Close())
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// TestRedirect: the answer comes back, the other host hears nothing (rule S6).
func TestRedirect(t *testing.T) {
	other := listen(t, "127.0.0.1", 0)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+other.Addr().String()+"/", http.StatusFound)
	})
	got, err := request(t, s.URL, TransportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusFound {
		t.Errorf("got status %d, want 302", got.status)
	}
	if n := other.arrived(t); n != 0 {
		t.Errorf("%d connections followed the redirect, want none", n)
	}
}

// TestNoProxy: proxies of the environment are not used (rule S5).
func TestNoProxy(t *testing.T) {
	proxy := listen(t, "127.0.0.1", 0)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	tr := newGuard(t, Options{AllowPrivate: true}).Transport(TransportOptions{})
	if tr.Proxy != nil {
		t.Error("the transport asks for a proxy") // loopback targets never use one, so ask the field as well
	}
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := request(t, s.URL, TransportOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := proxy.arrived(t); n != 0 {
		t.Errorf("%d connections went to the proxy, want none", n)
	}
}

// TestContentEncoding: encodings are neither asked for nor undone (rule D10).
func TestContentEncoding(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("Accept-Encoding"); v != "" {
			t.Errorf("the request asks for encoding %q", v)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("not gzip at all"))
	})
	got, err := request(t, s.URL, TransportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.body != "not gzip at all" || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %q, encoding %q, want the bytes as sent", got.body, got.header.Get("Content-Encoding"))
	}
}

// TestTLS: HTTP/1.1 although the server has HTTP/2, and TLS 1.2 at least.
func TestTLS(t *testing.T) {
	start := func(newest uint16) (*httptest.Server, *tls.Config) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto)
		}))
		s.EnableHTTP2 = true
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // refused handshakes are expected
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: newest}       // an old server is the point
		s.StartTLS()
		t.Cleanup(s.Close)
		pool := x509.NewCertPool()
		pool.AddCert(s.Certificate())
		return s, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10} // must be raised
	}
	s, config := start(tls.VersionTLS13)
	got, err := request(t, s.URL, TransportOptions{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	if got.body != "HTTP/1.1" {
		t.Errorf("got %q, want HTTP/1.1", got.body)
	}
	if config.MinVersion != tls.VersionTLS10 {
		t.Error("the caller's configuration was changed")
	}
	old, config := start(tls.VersionTLS11)
	if _, err := request(t, old.URL, TransportOptions{TLS: config}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if _, err := request(t, s.URL, TransportOptions{}); err == nil {
		t.Error("an unknown authority was accepted")
	}
}

func TestHugeHeader(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
	})
	if _, err := request(t, s.URL, TransportOptions{}); err == nil {
		t.Error("a header over the cap was accepted")
	}
}

// TestBlockedRequest: through a client, too, the user reads no more than that the endpoint cannot be reached.
func TestBlockedRequest(t *testing.T) {
	inside := listen(t, "127.0.0.1", 0)
	tr := newGuard(t, Options{Ports: []uint16{inside.port}}).Transport(TransportOptions{})
	url := "http://" + inside.Addr().String() + "/"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Client(tr).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if want := `Get "` + url + `": endpoint cannot be reached`; err == nil || err.Error() != want || !errors.Is(err, ErrBlocked) {
		t.Errorf("got %v, want %s", err, want)
	}
	if n := inside.arrived(t); n != 0 {
		t.Errorf("%d connections arrived, want none", n)
	}
}
