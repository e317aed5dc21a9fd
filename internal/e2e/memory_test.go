package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bounds of the memory test.
const (
	listedKeys   = 5_000_000
	memoryBudget = 256 << 20
)

// TestMemoryStaysFlat compares two buckets of five million equal objects: the service keeps no state per object.
func TestMemoryStaysFlat(t *testing.T) {
	src := generatedStore(t, listedKeys)
	dst := src
	src.bucket, dst.bucket = "source", "destination"
	s := newService(t, src, dst)
	s.start()
	id := s.create(src, dst, nil)
	task := s.wait(id, 5, 10*time.Minute)
	if task.TotalNum != listedKeys || task.SkippedNum != listedKeys || task.RealSize != 0 {
		t.Errorf("%d listed, %d skipped, %d bytes moved; want %d skipped", task.TotalNum, task.SkippedNum, task.RealSize, listedKeys)
	}
	peak := peakMemory(t, s.cmd.Process.Pid)
	t.Logf("peak memory of the service: %d MiB", peak>>20)
	if peak > memoryBudget {
		t.Errorf("the service used %d MiB of memory, want at most %d", peak>>20, memoryBudget>>20)
	}
}

// generatedStore runs teststore, built without the race detector.
func generatedStore(t *testing.T, n int64) store {
	t.Helper()
	const region = "lab-a"
	bin := filepath.Join(t.TempDir(), "teststore")
	if out, err := exec.Command("go", "build", "-o", bin, "./teststore").CombinedOutput(); err != nil {
		t.Fatalf("build teststore: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-n", strconv.FormatInt(n, 10), "-ak", storeAK, "-sk", storeSK, "-region", region)
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
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return store{url: strings.TrimSpace(line), region: region, ak: storeAK, sk: storeSK}
}
