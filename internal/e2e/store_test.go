package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// generated are two stores in a process of their own, built without the race detector.
type generated struct {
	t        *testing.T
	src, dst store
	in       io.Writer
	out      *bufio.Reader
}

// startGenerated runs teststore with n objects.
func startGenerated(t *testing.T, n int64, args ...string) *generated {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "teststore")
	if out, err := exec.Command("go", "build", "-o", bin, "./teststore").CombinedOutput(); err != nil {
		t.Fatalf("build teststore: %v\n%s", err, out)
	}
	g := &generated{
		t:   t,
		src: store{region: "lab-a", ak: storeAK, sk: storeSK, bucket: "source"},
		dst: store{region: "lab-b", ak: storeAK, sk: storeSK, bucket: "destination"},
	}
	args = append(args, "-n", strconv.FormatInt(n, 10), "-ak", storeAK, "-sk", storeSK, "-from", g.src.region, "-to", g.dst.region)
	cmd := exec.Command(bin, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("teststore ended with %v", err)
		}
		t.Logf("the stores used %s of CPU", cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	})
	g.in, g.out = in, bufio.NewReader(out)
	line, err := g.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ok bool
	if g.src.url, g.dst.url, ok = strings.Cut(strings.TrimSpace(line), " "); !ok {
		t.Fatalf("first line of teststore: %q", line)
	}
	return g
}

// storeReport is what teststore tells.
type storeReport struct {
	Differences []string `json:"differences"`
	Sizes       int64    `json:"sizes"`
	Puts        int64    `json:"puts"`
	Gets        int64    `json:"gets"`
}

// report compares the buckets.
func (g *generated) report() storeReport {
	g.t.Helper()
	if _, err := io.WriteString(g.in, "\n"); err != nil {
		g.t.Fatal(err)
	}
	line, err := g.out.ReadBytes('\n')
	if err != nil {
		g.t.Fatal(err)
	}
	var r storeReport
	if err := json.Unmarshal(line, &r); err != nil {
		g.t.Fatal(err)
	}
	return r
}
