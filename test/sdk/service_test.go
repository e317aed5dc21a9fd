package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	v2 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2"

	"github.com/openoms/openoms/internal/testcloud"
)

// Keys of the service and of both stores.
const (
	apiAK, apiSK, project = "AKAPI", "SKAPI0123456789", "0123456789abcdef0123456789abcdef"
	srcAK, srcSK          = "AKSRC", "SKSRC0123456789"
	dstAK, dstSK          = "AKDST", "SKDST0123456789"
	password              = "Passw0rd-of-the-admin"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "oms-sdk")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "oms")
		build := exec.Command("go", "build", "-o", binary, "./cmd/oms")
		build.Dir = filepath.Join("..", "..")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build oms:", err)
			return 1
		}
		return m.Run()
	}())
}

// world is a service between two stores.
type world struct {
	t        *testing.T
	url, dir string // of the service; dir holds its data
	client   *v2.OmsClient
	srcCloud *testcloud.Cloud
	dstCloud *testcloud.Cloud
	src, dst *testcloud.Bucket
}

func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	w := &world{t: t}
	var srcURL, dstURL string
	w.srcCloud, srcURL = startCloud(t, srcAK, srcSK, "lab-a")
	w.dstCloud, dstURL = startCloud(t, dstAK, dstSK, "lab-b")
	w.src, w.dst = w.srcCloud.CreateBucket("source"), w.dstCloud.CreateBucket("destination")
	w.dir = t.TempDir()
	w.url = startService(t, w.dir, srcURL, dstURL, more...)
	w.client = newClient(t, w.url, apiAK, apiSK, project)
	return w
}

func startCloud(t *testing.T, ak, sk, region string) (*testcloud.Cloud, string) {
	t.Helper()
	c := testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: sk, Region: region})
	url, stop, err := c.Start(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, url
}

// startService runs the binary with both stores as regions, and more lines of configuration, and returns its URL.
func startService(t *testing.T, dir, srcURL, dstURL string, more ...string) string {
	t.Helper()
	return startConfigured(t, dir, fmt.Sprintf(`listen: 127.0.0.1:0
regions:
  - {cloud_type: AWS, region: lab-a, endpoint: %q, path_style: true}
  - {cloud_type: HuaweiCloud, region: lab-b, endpoint: %q, path_style: true}
limits: {running_tasks_per_project: 3, waiting_tasks_per_project: 20, created_tasks_per_day: 200}
`, srcURL, dstURL)+strings.Join(more, ""))
}

// startConfigured runs the binary with the configuration and its data below dir, and returns its URL.
func startConfigured(t *testing.T, dir, text string) string {
	t.Helper()
	config := filepath.Join(dir, "oms.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--config", config, "--data-dir", filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "OMS_BOOTSTRAP_AK="+apiAK, "OMS_BOOTSTRAP_SK="+apiSK, "OMS_BOOTSTRAP_PROJECT="+project, "OMS_BOOTSTRAP_PASSWORD="+password)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service ended with %v", err)
		}
		if t.Failed() {
			t.Logf("log of the service:\n%s", log.String())
		}
		for _, secret := range []string{apiSK, srcSK, dstSK, cdnKey, password} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log shows the secret %s", secret)
			}
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no first line: %v\n%s", err, log.String())
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("first line %q", line)
	}
	return url
}

// readerKey makes an access key that may only read, beside the running service.
func (w *world) readerKey() (ak, sk string) {
	w.t.Helper()
	out, err := exec.Command(binary, "key", "create", "--data-dir", filepath.Join(w.dir, "data"), "--project", project, "--role", "reader", "--json").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	var key struct {
		AK string `json:"ak"`
		SK string `json:"sk"`
	}
	if err := json.Unmarshal(out, &key); err != nil || key.SK == "" {
		w.t.Fatalf("%v: no key in the answer", err)
	}
	return key.AK, key.SK
}

// newClient is the SDK's client as a user makes it; project "" lets the SDK look it up.
func newClient(t *testing.T, url, ak, sk, project string) *v2.OmsClient {
	t.Helper()
	creds := basic.NewCredentialsBuilder().WithAk(ak).WithSk(sk)
	if project != "" {
		creds = creds.WithProjectId(project)
	} else {
		creds = creds.WithIamEndpointOverride(url)
	}
	built, err := creds.SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	hc, err := v2.OmsClientBuilder().WithRegion(region.NewRegion("cn-north-4", url)).WithCredential(built).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return v2.NewOmsClient(hc)
}

// within polls until ok, or fails.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
