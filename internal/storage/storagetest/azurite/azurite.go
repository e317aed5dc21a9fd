// Package azurite runs Azurite, the emulator of Azure Storage by its vendor, for tests of package azblob.
package azurite

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// The environment of the tests.
const (
	envBinary = "OMS_TEST_AZURITE" // path of azurite-blob
	envStrict = "OMS_TEST_STRICT"  // "1": a missing emulator fails the test
)

// The account of every server.
const (
	Account = "openomstest"
	Key     = "dGVzdHNlY3JldC10ZXN0c2VjcmV0LXRlc3RzZWNyZXQ="
)

// Server is a running emulator that keeps everything in memory. It ends with the test.
type Server struct {
	URL string // http://127.0.0.1:port
	n   atomic.Int64
}

// Start runs an emulator until the test ends. The program is the one that OMS_TEST_AZURITE names, else azurite-blob in
// PATH. Without one the test is skipped, or fails when OMS_TEST_STRICT is 1.
func Start(tb testing.TB) *Server {
	tb.Helper()
	name, ok := os.LookupEnv(envBinary)
	if !ok {
		name = "azurite-blob"
	}
	bin, err := exec.LookPath(name)
	if err != nil {
		const hint = "azurite-blob is not installed: make test installs it, or npm install azurite"
		if os.Getenv(envStrict) == "1" {
			tb.Fatal(hint)
		}
		tb.Skip(hint)
	}
	s := &Server{}
	for range 5 { // the port that was free may be taken by the time the emulator wants it
		if err = s.run(tb, bin); err == nil {
			return s
		}
	}
	tb.Fatalf("azurite does not start: %v", err)
	return nil
}

// run starts the emulator on a free port and waits until it answers.
func (s *Server) run(tb testing.TB, bin string) error {
	tb.Helper()
	addr, err := freeAddr(tb.Context())
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	// The test's own context ends before its cleanups, which still want to close connections in order.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), bin, "--blobHost", "127.0.0.1", "--blobPort", port,
		"--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence")
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+Account+":"+Key)
	cmd.Dir = tb.TempDir()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // it is killed, or its silence is noticed
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-exited
	})
	if err := answers(tb.Context(), addr, exited); err != nil {
		return err
	}
	s.URL = "http://" + addr
	return nil
}

func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// answers waits until addr takes connections or the emulator has exited.
func answers(ctx context.Context, addr string, exited <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute) // it is slow to start on a busy machine
	var d net.Dialer
	for {
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case <-exited:
			return errors.New("the emulator has exited")
		case <-deadline:
			return errors.New("no answer within two minutes")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// MakeContainer returns the name of a new, empty container.
func (s *Server) MakeContainer(tb testing.TB) string {
	tb.Helper()
	name := "container-" + strconv.FormatInt(s.n.Add(1), 10)
	s.request(tb, http.MethodPut, "/"+name, "restype:container", http.StatusCreated)
	return name
}

// SetTier moves a blob of plain name to another access tier.
func (s *Server) SetTier(tb testing.TB, container, key, tier string) {
	tb.Helper()
	s.request(tb, http.MethodPut, "/"+container+"/"+key, "comp:tier", http.StatusOK, "x-ms-access-tier:"+tier)
}

// request makes a signed request with one parameter of the query. It shares no code with the client on purpose.
func (s *Server) request(tb testing.TB, method, path, query string, want int, headers ...string) {
	tb.Helper()
	date := time.Now().UTC().Format(http.TimeFormat)
	own := append(append([]string{}, headers...), "x-ms-date:"+date, "x-ms-version:2021-12-02")
	text := method + strings.Repeat("\n", 12) + strings.Join(own, "\n") + "\n/" + Account + "/" + Account + path + "\n" + query
	raw, err := base64.StdEncoding.DecodeString(Key)
	if err != nil {
		tb.Fatal(err)
	}
	mac := hmac.New(sha256.New, raw)
	_, _ = io.WriteString(mac, text) // never fails
	req, err := http.NewRequestWithContext(tb.Context(), method, s.URL+"/"+Account+path+"?"+strings.Replace(query, ":", "=", 1), nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range own {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", "SharedKey "+Account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // for the message only
		tb.Fatalf("azurite: %s %s: status %d: %s", method, path, resp.StatusCode, body)
	}
}

// Bucket tells an opener how to reach the container of that name.
func (s *Server) Bucket(name string) storage.Bucket {
	return storage.Bucket{
		CloudType:   oms.CloudAzure,
		Endpoint:    oms.Endpoint{URL: s.URL, Region: "lab", PathStyle: true, Trusted: true},
		Name:        name,
		Credentials: oms.Credentials{AccessKey: Account, SecretKey: oms.NewSecret(Key)},
	}
}
