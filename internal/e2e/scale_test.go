//go:build unix

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
)

// TestClusterScale prints how much faster four workers are than one, over stores that take 50 ms for each request, with a
// bound of slots for each worker. It measures only when OMS_TEST_SCALE=1: the machine must have nothing else to do.
func TestClusterScale(t *testing.T) {
	if os.Getenv("OMS_TEST_SCALE") != "1" {
		t.Skip("OMS_TEST_SCALE=1 measures")
	}
	const objects = 1500
	times := make(map[int]time.Duration)
	for _, workers := range []int{1, 4} {
		times[workers] = scale(t, workers, objects)
		t.Logf("%d workers: %d objects in %s, %.0f objects/s", workers, objects, times[workers].Round(10*time.Millisecond),
			objects/times[workers].Seconds())
	}
	t.Logf("4 workers are %.2f times as fast as one", times[1].Seconds()/times[4].Seconds())
}

// scale returns how long so many workers take.
func scale(t *testing.T, workers, objects int) time.Duration {
	t.Helper()
	srcCloud, src, srcStore := smallPages(t, "lab-a", "source")
	dstCloud, dst, dstStore := smallPages(t, "lab-b", "destination")
	old := time.Now().Add(-time.Hour)
	for i := range objects {
		src.PutAt(fmt.Sprintf("k/%06d", i), content(1000, uint64(i)), testcloud.Attrs{}, old)
	}
	srcCloud.Faults.On(testcloud.GetObject, testcloud.Delay(50*time.Millisecond))
	dstCloud.Faults.On(testcloud.PutObject, testcloud.Delay(50*time.Millisecond))
	c := newCluster(t, srcStore, dstStore, "2")
	for range workers {
		c.join()
	}
	began := time.Now()
	id := c.create(srcStore, dstStore, nil)
	c.finish(id, src, dst, int64(objects), 10*time.Minute)
	return time.Since(began)
}

// TestClusterKills prints how long it takes until what a killed worker held is held by others, over OMS_TEST_KILLS kills.
func TestClusterKills(t *testing.T) {
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("OMS_TEST_KILLS"), "0"))
	if err != nil || kills == 0 {
		t.Skip("OMS_TEST_KILLS=20 measures 20 kills")
	}
	objects := 1500 * kills
	_, src, srcStore := smallPages(t, "lab-a", "source")
	dstCloud, dst, dstStore := smallPages(t, "lab-b", "destination")
	old := time.Now().Add(-time.Hour)
	for i := range objects {
		src.PutAt(fmt.Sprintf("k/%06d", i), content(1000, uint64(i)), testcloud.Attrs{}, old)
	}
	dstCloud.Faults.On(testcloud.PutObject, testcloud.Delay(50*time.Millisecond))
	c := newCluster(t, srcStore, dstStore, "4")
	workers := []*member{c.join(), c.join()}
	id := c.create(srcStore, dstStore, nil)
	var took []time.Duration
	for range kills {
		for _, m := range workers {
			within(t, time.Minute, "all workers at work", func() bool { return len(c.holds(m)) > 0 })
		}
		victim := workers[0]
		held, began := c.holds(victim), time.Now()
		if err := victim.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.cmd.Wait()
		took = append(took, c.takenOver(victim, held, began))
		mustBeQuick(t, "kill -9", took[len(took)-1])
		workers = append(workers[1:], c.join())
	}
	slices.Sort(took)
	t.Logf("%d kills: median %s, maximum %s", kills, took[len(took)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
	c.finish(id, src, dst, int64(objects), 10*time.Minute)
}
