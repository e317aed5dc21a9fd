// Package versitygw runs the S3 server versitygw for tests that want a second opinion on the wire protocol.
package versitygw

import (
	"context"
	"errors"
	"go/build"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// The environment of the tests.
const (
	envBinary = "OMS_TEST_VERSITYGW" // path of the binary
	envStrict = "OMS_TEST_STRICT"    // "1": a missing binary fails the test
)

// The root user of every server.
const (
	AccessKey = "testkey"
	SecretKey = "testsecret-testsecret"
)

// Server is a running versitygw that keeps buckets as directories. It ends with the test.
type Server struct {
	URL string // http://127.0.0.1:port
	dir string
	n   atomic.Int64
}

// Start runs a server until the test ends. The binary is the one that OMS_TEST_VERSITYGW names, else the one in PATH or in
// the bin directory of GOPATH. Without one the test is skipped, or fails when OMS_TEST_STRICT is 1.
func Start(tb testing.TB) *Server {
	tb.Helper()
	bin, err := find()
	if err != nil {
		const hint = "versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
		if os.Getenv(envStrict) == "1" {
			tb.Fatal(hint)
		}
		tb.Skip(hint)
	}
	s := &Server{dir: tb.TempDir()}
	for range 5 { // the port that was free may be taken by the time the server wants it
		if err = s.run(tb, bin); err == nil {
			return s
		}
	}
	tb.Fatalf("versitygw does not start: %v", err)
	return nil
}

func find() (string, error) {
	if bin, ok := os.LookupEnv(envBinary); ok {
		return exec.LookPath(bin)
	}
	if bin, err := exec.LookPath("versitygw"); err == nil {
		return bin, nil
	}
	return exec.LookPath(filepath.Join(build.Default.GOPATH, "bin", "versitygw"))
}

// run starts the server on a free port and waits until it answers.
func (s *Server) run(tb testing.TB, bin string) error {
	tb.Helper()
	addr, err := freeAddr(tb.Context())
	if err != nil {
		return err
	}
	// The test's own context ends before its cleanups, which still want to close connections in order.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), bin, "--port", addr, "--quiet", "--keep-alive", "posix", s.dir)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey}
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

// answers waits until addr takes connections or the server has exited.
func answers(ctx context.Context, addr string, exited <-chan struct{}) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	var d net.Dialer
	for {
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case <-exited:
			return errors.New("the server has exited")
		case <-deadline:
			return errors.New("no answer within a minute")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Refuses tells the keys that versitygw's file system back end does not take, for storagetest.Refuses.
func Refuses(key string) bool {
	if strings.HasSuffix(key, "/") || strings.ContainsRune(key, 0) || key == "e/x" { // there is an object "e"
		return true
	}
	for part := range strings.SplitSeq(key, "/") {
		if len(part) > 255 {
			return true
		}
	}
	return key == "." || strings.HasPrefix(key, "..") || len(key) >= 1023
}

// Mangles tells the keys that versitygw keeps or lists as others, for storagetest.Mangles: paths are cleaned, and
// its listings cannot carry what XML cannot.
func Mangles(key string) bool {
	if Refuses(key) {
		return false
	}
	return path.Clean("/"+key) != "/"+key || strings.HasPrefix(key, "/") || !utf8.ValidString(key) ||
		strings.ContainsFunc(key, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\uffff' })
}

// MakeBucket returns the name of a new, empty bucket.
func (s *Server) MakeBucket(tb testing.TB) string {
	tb.Helper()
	name := "bucket-" + strconv.FormatInt(s.n.Add(1), 10)
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
		tb.Fatal(err)
	}
	return name
}

// Bucket tells an opener how to reach the bucket of that name.
func (s *Server) Bucket(name string) storage.Bucket {
	return storage.Bucket{
		CloudType:   oms.CloudAWS,
		Endpoint:    oms.Endpoint{URL: s.URL, Region: "us-east-1", PathStyle: true, Trusted: true},
		Name:        name,
		Credentials: oms.Credentials{AccessKey: AccessKey, SecretKey: oms.NewSecret(SecretKey)},
	}
}
