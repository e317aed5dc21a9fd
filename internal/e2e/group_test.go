package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/omsv2"
)

// Bounds of the test of a large group.
const (
	groupObjects      = 100_000 // unless OMS_TEST_GROUP_OBJECTS says otherwise
	groupTasks        = 50      // about as many, whatever the number of objects
	groupStops        = 10
	groupMemoryBudget = 512 << 20
	groupRate         = 500 // objects a second that even a busy machine settles
)

// TestLargeGroup migrates a generated bucket, half of whose objects are at the destination already, by a group that is
// stopped and started ten times at random: the counters are exact, nothing that was finished is sent again, and the
// memory of the service stays within its budget. OMS_TEST_GROUP_OBJECTS=5000000 is the full size.
func TestLargeGroup(t *testing.T) {
	n := int64(envNumber(t, "OMS_TEST_GROUP_OBJECTS", groupObjects))
	rnd := rand.New(rand.NewPCG(seed(t), 3))
	stores := startGenerated(t, n, "-half")
	s := newService(t, stores.src, stores.dst)
	s.configure(fmt.Sprintf("limits: {objects_per_group_task: %d}\n", n/groupTasks))
	s.level = "info"
	s.start()
	began := time.Now()
	limit := time.Minute + time.Duration(n/groupRate)*time.Second

	id := s.createGroup(stores)
	g := s.stopAtRandom(id, rnd, n, limit)
	g = s.waitGroup(id, g, []int32{omsv2.GroupSucceeded}, limit, omsv2.GroupWaiting, omsv2.GroupCreating, omsv2.GroupMonitoring)
	took := time.Since(began)

	cpu, peak := processTime(t, s.cmd.Process.Pid), peakMemory(t, s.cmd.Process.Pid)
	t.Logf("%d objects in %d tasks: %.0f s, %.1f s of CPU (%.0f µs an object), peak memory %d MiB", n, g.TotalTaskNum,
		took.Seconds(), cpu.Seconds(), float64(cpu.Microseconds())/float64(n), peak>>20)
	if peak > groupMemoryBudget {
		t.Errorf("the service used %d MiB of memory, want at most %d", peak>>20, groupMemoryBudget>>20)
	}
	r := stores.report()
	if len(r.Differences) > 0 {
		t.Errorf("the destination differs: %v", r.Differences)
	}
	if g.TotalNum != n || g.CreateCompleteNum != n || g.SuccessNum != n/2 || g.SkipNum != n-n/2 || g.FailNum != 0 {
		t.Errorf("%d objects, %d in tasks, %d migrated, %d skipped, %d failed; want %d, half of them migrated", g.TotalNum,
			g.CreateCompleteNum, g.SuccessNum, g.SkipNum, g.FailNum, n)
	}
	if g.TotalSize != r.Sizes || g.CompleteSize != r.Sizes || g.CreateCompleteSize != r.Sizes {
		t.Errorf("%d bytes, %d done, %d in tasks; want %d", g.TotalSize, g.CompleteSize, g.CreateCompleteSize, r.Sizes)
	}
	if g.TotalTaskNum != g.CreateTaskNum || g.CompleteTaskNum != g.TotalTaskNum || g.TotalTaskNum < groupTasks || g.TotalTaskNum > 2*groupTasks {
		t.Errorf("%d tasks, %d created, %d succeeded; want about %d", g.TotalTaskNum, g.CreateTaskNum, g.CompleteTaskNum, groupTasks)
	}
	s.checkGroupTasks(id, g)
	// What was under way at a stop is sent again, and the service writes lists.
	if most := n/2 + groupStops*1000 + 3*g.TotalTaskNum; r.Puts < n/2 || r.Puts > most {
		t.Errorf("%d writes, want %d to %d", r.Puts, n/2, most)
	}
}

// createGroup makes a group over the whole generated bucket.
func (s *service) createGroup(stores *generated) string {
	s.t.Helper()
	created, err := s.client.CreateTaskGroup(s.t.Context(), &omsv2.CreateTaskGroupRequest{
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: "AWS", Region: stores.src.region, AK: storeAK, SK: storeSK, Bucket: "source", ObjectKey: []string{""},
		},
		DstNode:                 &omsv2.DestinationNodeRequest{Region: stores.dst.region, AK: storeAK, SK: storeSK, Bucket: "destination"},
		EnableMetadataMigration: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return created.GroupID
}

// stopAtRandom stops and starts the group ten times, whenever so much of it is settled that the stops spread over the
// whole run. No state is shown that a client must not see (OMS v2, 5.3), no counter falls.
func (s *service) stopAtRandom(id string, rnd *rand.Rand, n int64, limit time.Duration) *omsv2.TaskGroup {
	s.t.Helper()
	last := &omsv2.TaskGroup{}
	for stop := range int64(groupStops) {
		at := n*stop/groupStops*9/10 + rnd.Int64N(n/groupStops/2)
		within(s.t, limit, fmt.Sprintf("%d objects are settled", at), func() bool {
			last = s.pollGroup(id, last, omsv2.GroupWaiting, omsv2.GroupCreating, omsv2.GroupMonitoring)
			return last.Status != omsv2.GroupWaiting && last.SuccessNum+last.SkipNum >= at
		})
		if err := s.client.StopTaskGroup(s.t.Context(), id); err != nil {
			s.t.Fatal(err)
		}
		last = s.waitGroup(id, last, []int32{omsv2.GroupPaused}, time.Minute, omsv2.GroupPausing)
		if last.ExecutingTaskNum != 0 || last.WaitingTaskNum != 0 {
			s.t.Errorf("a paused group has %d tasks that run and %d that wait", last.ExecutingTaskNum, last.WaitingTaskNum)
		}
		err := s.client.StartTaskGroup(s.t.Context(), id, &omsv2.StartTaskGroupRequest{SrcAK: storeAK, SrcSK: storeSK, DstAK: storeAK, DstSK: storeSK})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return last
}

// pollGroup looks at the group: its state must be one of the allowed ones, and its counters no less than they were.
func (s *service) pollGroup(id string, before *omsv2.TaskGroup, allowed ...int32) *omsv2.TaskGroup {
	s.t.Helper()
	g, err := s.client.ShowTaskGroup(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	if !slices.Contains(allowed, g.Status) {
		s.t.Fatalf("the group is in state %d, want one of %v: %+v", g.Status, allowed, g.ErrorReason)
	}
	if g.SuccessNum < before.SuccessNum || g.SkipNum < before.SkipNum || g.TotalNum < before.TotalNum || g.CreateTaskNum < before.CreateTaskNum {
		s.t.Fatalf("counters fell:\n%+v\n%+v", before, g)
	}
	return g
}

// waitGroup polls until the group is in one of the states; only those of allowed may be seen before.
func (s *service) waitGroup(id string, last *omsv2.TaskGroup, target []int32, limit time.Duration, allowed ...int32) *omsv2.TaskGroup {
	s.t.Helper()
	within(s.t, limit, fmt.Sprintf("group in state %v", target), func() bool {
		last = s.pollGroup(id, last, append(allowed, target...)...)
		return slices.Contains(target, last.Status)
	})
	return last
}

// checkGroupTasks adds up the tasks of the group: they are what the group shows.
func (s *service) checkGroupTasks(id string, g *omsv2.TaskGroup) {
	s.t.Helper()
	var sum omsv2.TaskGroup
	for offset := 0; ; {
		page, err := s.client.ListTasks(s.t.Context(), omsv2.ListTasksOptions{GroupID: id, Limit: 100, Offset: offset})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, task := range page.Tasks {
			if task.Status != 5 || task.GroupID != id || task.GroupType != "GROUP_TASK" || task.TotalNum > g.TotalNum/groupTasks {
				s.t.Errorf("task of the group: %+v", task)
			}
			sum.TotalNum += task.TotalNum
			sum.SuccessNum += task.SuccessfulNum
			sum.SkipNum += task.SkippedNum
			sum.TotalSize += task.TotalSize
		}
		if offset += len(page.Tasks); len(page.Tasks) == 0 {
			break
		}
	}
	if sum.TotalNum != g.TotalNum || sum.SuccessNum != g.SuccessNum || sum.SkipNum != g.SkipNum || sum.TotalSize != g.TotalSize {
		s.t.Errorf("the tasks have %d objects, %d migrated, %d skipped, %d bytes; the group shows %d, %d, %d, %d", sum.TotalNum,
			sum.SuccessNum, sum.SkipNum, sum.TotalSize, g.TotalNum, g.SuccessNum, g.SkipNum, g.TotalSize)
	}
}

// envNumber is the number that the environment gives, or byDefault.
func envNumber(t *testing.T, name string, byDefault int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%q is no number of objects", name, text)
	}
	return n
}

// processTime is the CPU time that the process has used, in user and system mode.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Skipf("no /proc to read the CPU time of the service from: %v", err)
	}
	const user, system, tick = 11, 12, 10 * time.Millisecond // fields behind the name, and their unit
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var sum time.Duration
	for _, i := range []int{user, system} {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum
}
