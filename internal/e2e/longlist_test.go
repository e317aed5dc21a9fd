package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/omsv2"
)

// Bounds of the test of long lists: a list of 10 million lines and 1 GB is read and cut within a minute of CPU.
const (
	listLines    = 200_000 // unless OMS_TEST_LIST_LINES says otherwise
	listLineCost = 6 * time.Microsecond
	listCost     = 2 * time.Second // of a task, whatever its list
)

// TestLongList gives the service a list file as long as there may be, with OMS_TEST_LIST_LINES=10000000: a malformed line
// near its end is found, with its number, before anything is copied; without it the list is read and cut, in little
// time and memory, and work begins.
func TestLongList(t *testing.T) {
	lines := envNumber(t, "OMS_TEST_LIST_LINES", listLines)
	stores := startGenerated(t, int64(lines), "-lists", "-half")
	s := newService(t, stores.src, stores.dst)
	s.level = "info"
	s.start()
	budget := listCost + time.Duration(lines)*listLineCost
	limit := time.Minute + 20*budget
	create := func(file string) int64 {
		return s.create(stores.src, stores.dst, func(r *omsv2.CreateTaskRequest) {
			r.TaskType, r.SrcNode.ObjectKey = "list", nil
			r.SrcNode.ListFile = &omsv2.ListFile{OBSBucket: "lists", ListFileKey: file}
			r.BandwidthPolicy = []omsv2.BandwidthPolicy{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
		})
	}
	pid := s.cmd.Process.Pid
	cpu := func(what string, from time.Duration) {
		used := processTime(t, pid) - from
		t.Logf("%s of %d lines: %.1f s of CPU, peak memory %d MiB", what, lines, used.Seconds(), peakMemory(t, pid)>>20)
		if used > budget {
			t.Errorf("%s took %s of CPU, want at most %s", what, used, budget)
		}
	}

	from := processTime(t, pid)
	bad := create("bad.txt")
	task := s.wait(bad, 4, limit)
	cpu("finding the malformed line", from)
	if task.ErrorReason.ErrorCode != "TRF.0016" || !strings.Contains(task.ErrorReason.ErrorMsg, "line "+strconv.Itoa(lines-1)) {
		t.Errorf("the malformed line %d is reported as %+v", lines-1, *task.ErrorReason)
	}
	if task.SuccessfulNum+task.SkippedNum+task.FailedNum != 0 {
		t.Errorf("%d objects were migrated, %d skipped, %d failed before the list was refused", task.SuccessfulNum, task.SkippedNum, task.FailedNum)
	}
	if puts := stores.report().Puts; puts > 3 { // of the probe of the destination
		t.Errorf("%d objects were written before the list was refused", puts)
	}

	from = processTime(t, pid)
	good := create("names.txt")
	within(t, limit, fmt.Sprintf("%d lines are counted", lines), func() bool {
		task = s.show(good)
		return task.TotalNum == int64(lines)
	})
	cpu("reading and cutting", from)
	within(t, limit, "something is migrated", func() bool { return s.show(good).SuccessfulNum > 0 })
	if err := s.client.StopTask(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	s.wait(good, 3, time.Minute)
	if peak := peakMemory(t, pid); peak > memoryBudget {
		t.Errorf("the service used %d MiB of memory, want at most %d", peak>>20, memoryBudget>>20)
	}
}
