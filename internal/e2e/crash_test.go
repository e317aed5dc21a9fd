package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// Sizes of the crash loop. Parts are what the data plane makes of the large objects.
const (
	smallObjects = 5000
	largeSize    = 300 << 20
	partSize     = 8 << 20
	kills        = 30
)

// seed returns the seed of a random test: OMS_TEST_SEED, or one of its own that is printed.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if v := os.Getenv("OMS_TEST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	t.Logf("seed %d (set OMS_TEST_SEED to repeat)", s)
	return s
}

// TestKillLoop kills the service at random moments (rules P1, P2, P3, P8, C2 and H5): it goes on by itself, nothing is
// lost, counted twice or sent again once it was finished, and no upload is left open.
func TestKillLoop(t *testing.T) {
	rnd := rand.New(rand.NewPCG(seed(t), 1))
	_, src, srcStore := cloud(t, "lab-a", "source")
	dstCloud, dst, dstStore := cloud(t, "lab-b", "destination")
	old := time.Now().Add(-time.Hour)
	for i := range smallObjects {
		src.PutAt(fmt.Sprintf("small/%02d/%05d", i%37, i), content(rnd.IntN(20_000), uint64(i)), testcloud.Attrs{}, old)
	}
	for i := range 2 {
		src.PutAt(fmt.Sprintf("large/%d", i), content(largeSize, uint64(i)), testcloud.Attrs{}, old)
	}
	// Slow enough that the kills meet every phase.
	dstCloud.Faults.On(testcloud.PutObject, testcloud.Delay(60*time.Millisecond))
	dstCloud.Faults.On(testcloud.UploadPart, testcloud.Delay(150*time.Millisecond))

	s := newService(t, srcStore, dstStore)
	s.start()
	id := s.create(srcStore, dstStore, nil)
	last := s.show(id)
	killed := 0
	var deaths []death
	for ; killed < kills; killed++ {
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
		began := time.Now()
		s.kill()
		deaths = append(deaths, death{began, time.Now()})
		s.start()
		task := s.show(id)
		mustNotGoBack(t, last, task)
		if last = task; task.Status == 5 {
			break
		}
	}
	if killed < 20 {
		t.Errorf("only %d kills before the task was done: the test does not test what it should", killed)
	}
	task := s.wait(id, 5, 2*time.Minute)
	if want := int64(smallObjects + 2); task.TotalNum != want || task.SuccessfulNum != want || task.SkippedNum != 0 || task.FailedNum != 0 {
		t.Errorf("counters after %d kills: %d listed, %d migrated, %d skipped, %d failed, want all %d migrated",
			killed, task.TotalNum, task.SuccessfulNum, task.SkippedNum, task.FailedNum, want)
	}
	if diff := testcloud.Compare(src, dst, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		t.Fatalf("the destination differs: %v", diff)
	}
	if open := dst.Uploads(); len(open) > 0 {
		t.Errorf("uploads left open: %v", open)
	}
	mustNotRepeat(t, dstCloud.Requests(), deaths)
}

// mustNotGoBack checks that no shown counter decreases over a crash (rule P3).
func mustNotGoBack(t *testing.T, before, after *omsv2.Task) {
	t.Helper()
	if after.SuccessfulNum < before.SuccessfulNum || after.FailedNum < before.FailedNum || after.SkippedNum < before.SkippedNum {
		t.Errorf("counters go back: %d/%d/%d, then %d/%d/%d", before.SuccessfulNum, before.FailedNum, before.SkippedNum,
			after.SuccessfulNum, after.FailedNum, after.SkippedNum)
	}
}

// death is when the service was killed: between these instants.
type death struct{ from, to time.Time }

// mustNotRepeat checks that nothing that the destination had taken was sent again: neither objects nor parts. A write that
// was on its way when the service was killed may be: the store may finish it after the next process has looked. And a
// write that has no answer yet may be sent a second time beside it.
func mustNotRepeat(t *testing.T, requests []testcloud.Request, deaths []death) {
	t.Helper()
	type piece struct{ key, part string }
	taken := map[piece]testcloud.Request{}
	for _, r := range requests {
		if r.Status != 200 || r.Op != testcloud.PutObject && r.Op != testcloud.UploadPart || len(r.Key) > 4 && r.Key[:4] == "oms/" {
			continue
		}
		q, err := url.ParseQuery(r.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		p := piece{r.Key, q.Get("partNumber")}
		before, again := taken[p]
		taken[p] = r
		if !again || r.At.Before(before.At.Add(before.Took)) {
			continue
		}
		underWay := func(d death) bool { return !d.to.Before(before.At) && !d.from.After(before.At.Add(before.Took)) }
		if !slices.ContainsFunc(deaths, underWay) {
			t.Errorf("%s part %q was taken at %s and sent again at %s", p.key, p.part, before.At, r.At)
		}
	}
	if want := smallObjects + 2*((largeSize+partSize-1)/partSize); len(taken) != want {
		t.Errorf("%d objects and parts were taken, want %d", len(taken), want)
	}
}
