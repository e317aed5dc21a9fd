package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// Keys of the service and of the stores that the tests make.
const (
	apiAK, apiSK, project = "AKAPI", "SKAPI-canary-0001", "0123456789abcdef0123456789abcdef"
	storeAK, storeSK      = "AKSTORE", "SKSTORE-canary-0002"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "oms-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "oms")
		build := exec.Command("go", "build", "-o", binary, "../../cmd/oms")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build oms:", err)
			return 1
		}
		return m.Run()
	}())
}

// store is an S3 endpoint that a task can name as a region.
type store struct {
	url, region, ak, sk, bucket string
}

// service is `oms serve` on a data directory that outlives it.
type service struct {
	t      *testing.T
	dir    string
	config string
	cmd    *exec.Cmd
	url    string
	log    *lockedBuffer
	level  string   // of the log
	args   []string // further arguments of the command
	client *omsv2.Client
}

// lockedBuffer collects the log of all lives of a service.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newService configures a service between two stores; start starts it.
func newService(t *testing.T, src, dst store) *service {
	t.Helper()
	s := &service{t: t, dir: t.TempDir(), log: &lockedBuffer{}, level: "debug"}
	s.config = filepath.Join(s.dir, "oms.yaml")
	text := fmt.Sprintf(`listen: 127.0.0.1:0
regions:
  - {cloud_type: AWS, region: %s, endpoint: %q, path_style: true}
  - {cloud_type: HuaweiCloud, region: %s, endpoint: %q, path_style: true}
`, src.region, src.url, dst.region, dst.url)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd != nil {
			s.terminate()
		}
		if t.Failed() {
			t.Logf("log of the service:\n%s", tail(s.log.String(), 6000))
		}
		s.mustHideSecrets(storeSK, apiSK)
	})
	return s
}

// configure adds lines to the configuration. It is called before start.
func (s *service) configure(lines string) {
	s.t.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.WriteString(lines); err != nil {
		s.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// start runs the binary and waits until it listens.
func (s *service) start() {
	s.t.Helper()
	s.cmd = exec.Command(binary, "serve", "--config", s.config, "--data-dir", filepath.Join(s.dir, "data"), "--log-level", s.level)
	s.cmd.Args = append(s.cmd.Args, s.args...)
	s.cmd.Env = append(os.Environ(), "OMS_BOOTSTRAP_AK="+apiAK, "OMS_BOOTSTRAP_SK="+apiSK, "OMS_BOOTSTRAP_PROJECT="+project)
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatalf("no first line: %v\n%s", err, tail(s.log.String(), 3000))
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		s.t.Fatalf("first line %q", line)
	}
	s.url = url
	s.client = &omsv2.Client{Endpoint: url, ProjectID: project, AccessKey: apiAK, SecretKey: apiSK}
}

// kill ends the service as a crash does.
func (s *service) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// terminate asks the service to stop; it must exit with 0 within ten seconds.
func (s *service) terminate() {
	s.t.Helper()
	began := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the service ended with %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		s.t.Errorf("the service took %s to stop", d)
	}
	s.cmd = nil
}

// mustHideSecrets looks for secrets in the log and in every file of the data directory (rule S4).
func (s *service) mustHideSecrets(secrets ...string) {
	s.t.Helper()
	for _, secret := range secrets {
		if strings.Contains(s.log.String(), secret) {
			s.t.Errorf("the log shows %q", secret)
		}
		files, err := filepath.Glob(filepath.Join(s.dir, "data", "*"))
		if err != nil || len(files) == 0 {
			s.t.Errorf("no data directory to look into: %v", err)
		}
		for _, f := range files {
			if filepath.Base(f) == "bootstrap.env" {
				continue // where the operator finds the first key
			}
			data, err := os.ReadFile(f)
			if err == nil && bytes.Contains(data, []byte(secret)) {
				s.t.Errorf("%s holds %q", f, secret)
			}
		}
	}
}

// create makes a task over the whole bucket.
func (s *service) create(src, dst store, change func(*omsv2.CreateTaskRequest)) int64 {
	s.t.Helper()
	req := &omsv2.CreateTaskRequest{
		TaskType: "prefix",
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: "AWS", Region: src.region, AK: omsv2.Secret(src.ak), SK: omsv2.Secret(src.sk), Bucket: src.bucket, ObjectKey: []string{""},
		},
		DstNode:                 &omsv2.DestinationNodeRequest{Region: dst.region, AK: omsv2.Secret(dst.ak), SK: omsv2.Secret(dst.sk), Bucket: dst.bucket},
		EnableMetadataMigration: true,
	}
	if change != nil {
		change(req)
	}
	resp, err := s.client.CreateTask(s.t.Context(), req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.ID
}

// show returns the task; errors fail the test.
func (s *service) show(id int64) *omsv2.Task {
	s.t.Helper()
	task, err := s.client.ShowTask(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return task
}

// wait polls until the task is in the state, checking at each poll that the books balance.
func (s *service) wait(id int64, status int32, limit time.Duration) *omsv2.Task {
	s.t.Helper()
	var task *omsv2.Task
	within(s.t, limit, fmt.Sprintf("task in state %d", status), func() bool {
		task = s.show(id)
		if task.Status != status && (task.Status == 4 || task.Status == 5) {
			s.t.Fatalf("task ended in state %d, want %d: %+v %+v", task.Status, status, *task, task.ErrorReason)
		}
		return task.Status == status
	})
	return task
}

// within polls until ok, or fails.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// cloud starts a testcloud store with one bucket.
func cloud(t *testing.T, region, bucket string) (*testcloud.Cloud, *testcloud.Bucket, store) {
	t.Helper()
	c := testcloud.New(testcloud.Options{AccessKey: storeAK, SecretKey: storeSK, Region: region, RecordLimit: 200_000})
	url, stop, err := c.Start(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, c.CreateBucket(bucket), store{url: url, region: region, ak: storeAK, sk: storeSK, bucket: bucket}
}

// peakMemory returns the most resident memory the process ever had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Skipf("no /proc to read the memory of the service from: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc")
	return 0
}

// content returns n bytes that differ for each seed.
func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	x := seed*0x9e3779b97f4a7c15 + 0x1234567
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return b
}
