package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// testOptions are those of a service in a directory of its own.
func testOptions(t *testing.T) Options {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	return Options{Config: cfg, Version: "test", Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
}

// start runs a service until the test ends or stop is called, which returns what Run and Close did.
func start(t *testing.T, opts Options) (s *Server, stop func() error) {
	t.Helper()
	s, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return errors.Join(<-ended, s.Close())
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s, stop
}

// get asks with a client that keeps no connection.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

func TestStartAndStop(t *testing.T) {
	opts := testOptions(t)
	s, stop := start(t, opts)
	if first, file := s.FirstStart(); !first || file != filepath.Join(opts.Config.DataDir, "bootstrap.env") {
		t.Errorf("first start: got %v, %s", first, file)
	}
	for path, want := range map[string]int{"/": 200, "/readyz": 200, "/healthz": 200, "/metrics": 200, "/v2/x/tasks": 401, "/nothing/here": 404} {
		if got, body := get(t, plainClient(), s.URL()+path); got != want {
			t.Errorf("%s: got %d %s, want %d", path, got, body, want)
		}
	}
	if _, err := New(t.Context(), opts); !errors.Is(err, oms.Conflict) {
		t.Errorf("a second service on the directory: got %v, want oms.Conflict", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := plainClient().Get(s.URL()); err == nil { //nolint:bodyclose // there must be no answer
		t.Error("it still answers")
	}
	again, _ := start(t, opts)
	if first, _ := again.FirstStart(); first {
		t.Error("the second start is a first one")
	}
}

// A request that hangs does not hold up the stop, and a service that was never run can be closed.
func TestStopWithHangingRequest(t *testing.T) {
	s, stop := start(t, testOptions(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // the service has closed it
	if _, err := io.WriteString(conn, "POST /v2/x/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	never, err := New(t.Context(), testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// Rule S8: headers have a limit.
func TestHeaderLimit(t *testing.T) {
	s, _ := start(t, testOptions(t))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := plainClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", resp.StatusCode)
	}
}

func TestTLS(t *testing.T) {
	opts := testOptions(t)
	cert, key, pool := certificate(t)
	opts.Config.TLSCert, opts.Config.TLSKey = cert, key
	s, _ := start(t, opts)
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Errorf("URL %s", s.URL())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	if got, body := get(t, client, s.URL()+"/"); got != http.StatusOK || !strings.Contains(body, `"v2"`) {
		t.Errorf("got %d %s", got, body)
	}
	old := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}} //nolint:gosec // must be refused
	if _, err := old.Get(s.URL()); err == nil {                                                                                                         //nolint:bodyclose // there must be no answer
		t.Error("TLS 1.1 is accepted")
	}
}

// certificate writes a self-signed pair for 127.0.0.1.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, pool
}

func TestBootstrapFromEnvironment(t *testing.T) {
	opts := testOptions(t)
	opts.Initial = auth.Initial{AK: "first-ak", ProjectID: "lab"}
	s, _ := start(t, opts)
	_, file := s.FirstStart()
	got, err := auth.ReadBootstrapEnv(file)
	if err != nil || got.AK != "first-ak" || got.ProjectID != "lab" || got.SK.IsZero() || got.Password.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAddressInUse(t *testing.T) {
	s, _ := start(t, testOptions(t))
	opts := testOptions(t)
	opts.Config.Listen = strings.TrimPrefix(s.URL(), "http://")
	if _, err := New(t.Context(), opts); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v, want oms.Invalid", err)
	}
	opts.Config.Listen = "127.0.0.1:0" // the failed start gave the directory back
	if _, stop := start(t, opts); stop() != nil {
		t.Error("stop failed")
	}
}

func TestHostPorts(t *testing.T) {
	got, err := hostPorts([]oms.Endpoint{{URL: "http://a"}, {URL: "https://b"}, {URL: "http://127.0.0.1:9000"}, {URL: "https://[::1]:9"}})
	if err != nil || strings.Join(got, " ") != "a:80 b:443 127.0.0.1:9000 [::1]:9" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestOpenKeysBeforeFirstStart(t *testing.T) {
	opts := KeysOptions{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
	if _, err := OpenKeys(t.Context(), opts); !errors.Is(err, oms.NotFound) {
		t.Errorf("got %v, want oms.NotFound", err)
	}
}

// A master key that is lost or wrong is never replaced while the database holds what it sealed.
func TestMasterKeyLost(t *testing.T) {
	opts := testOptions(t)
	_, stop := start(t, opts)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(opts.Config.DataDir, "master.key")
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, text string) {
		t.Helper()
		_, err := New(t.Context(), opts)
		if !errors.Is(err, oms.Invalid) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: serve: got %v", what, err)
		}
		_, err = OpenKeys(t.Context(), KeysOptions{DataDir: opts.Config.DataDir, Logger: opts.Logger, Clock: opts.Clock})
		if !errors.Is(err, oms.Invalid) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: keys: got %v", what, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("lost", "missing")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the refused start left a key file: %v", err)
	}
	if _, err := seal.LoadOrCreate(file); err != nil {
		t.Fatal(err)
	}
	refused("another", "lacks the key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeys(t.Context(), KeysOptions{DataDir: opts.Config.DataDir, Logger: opts.Logger, Clock: opts.Clock})
	if err != nil {
		t.Fatal(err)
	}
	list, err := keys.ListKeys(t.Context())
	for _, k := range list {
		err = errors.Join(err, keys.RevokeKey(t.Context(), k.AK))
	}
	if err := errors.Join(err, keys.Close(), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	start(t, opts) // nothing is sealed any more: a new key does no harm
	if _, err := os.Stat(file); err != nil {
		t.Errorf("no new key: %v", err)
	}
}

// A checkpoint without a master key is refused while a task in it holds keys, and goes on with a new one otherwise.
func TestMasterKeyLostLocal(t *testing.T) {
	opts := LocalOptions{DataDir: filepath.Join(t.TempDir(), "data"), Version: "test", Logger: slog.New(slog.DiscardHandler), Clock: time.Now}
	file := filepath.Join(opts.DataDir, "master.key")
	reopen := func() (*Local, error) { return OpenLocal(t.Context(), opts) }
	l, err := reopen()
	if err != nil {
		t.Fatal(err)
	}
	task, err := l.store.CreateTask(t.Context(), oms.Task{ProjectID: "local", Status: oms.StatusWaiting, Generation: 1}, oms.Quota{},
		func(int64) (map[string][]byte, error) {
			sealed, err := l.store.sealer.Seal([]byte("x"), "x")
			return map[string][]byte{"src": sealed}, err
		})
	if err := errors.Join(err, l.Close(), os.Rename(file, file+".away")); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(); !errors.Is(err, oms.Invalid) || !strings.Contains(err.Error(), file) {
		t.Errorf("with stored keys: got %v", err)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	if l, err = reopen(); err != nil {
		t.Fatal(err)
	}
	err = l.Delete(t.Context(), "local", task.ID)
	if err := errors.Join(err, l.Close(), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	if l, err = reopen(); err != nil {
		t.Fatalf("without stored keys: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
