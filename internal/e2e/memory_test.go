package e2e

import (
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
	g := startGenerated(t, listedKeys)
	s := newService(t, g.src, g.dst)
	s.start()
	id := s.create(g.src, g.dst, nil)
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
