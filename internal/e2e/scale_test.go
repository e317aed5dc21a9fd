//go:build unix

package e2e

import (
	"fmt"
	"os"
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
