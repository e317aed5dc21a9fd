package transfer_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
)

// old is before any test began, so that the destination's copies are newer.
var old = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

func attrs(i int) testcloud.Attrs { return testcloud.Attrs{} }

func TestRunCopiesEveryKeyAndSize(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	for i, k := range testcloud.KeyCorpus() {
		p.srcBucket.PutAt(k, fillBytes(i%5000, uint64(i)), attrs(i), old)
	}
	for i, n := range []int{0, 1, 4095, 4096, 4097, 8<<20 - 1, 8 << 20, 8<<20 + 1, 17 << 20} {
		p.srcBucket.PutAt(key(i), fillBytes(n, uint64(i)), attrs(i), old)
	}
	want := p.srcBucket.Len()
	r := newRun(t, p, wholeBucket())
	c := r.mustFinish(t)
	p.mustBeEqual(t)
	if c.Migrated != want || c.Listed != want || c.MovedBytes != c.ListedBytes {
		t.Fatalf("got %+v, want %d objects migrated", c, want)
	}
	again := newRun(t, p, wholeBucket()).mustFinish(t)
	if again.Skipped != want || again.MovedBytes != 0 {
		t.Fatalf("second run: got %+v, want all %d skipped", again, want)
	}
}

func TestRunSurvivesFaultyStores(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{Seed: 1}, testcloud.Options{Seed: 2})
	for i := range 500 {
		p.srcBucket.PutAt(key(i), fillBytes(i, uint64(i)), attrs(i), old)
	}
	p.srcBucket.PutAt("large", fillBytes(30<<20, 99), attrs(0), old)
	for _, c := range []*testcloud.Cloud{p.src, p.dst} {
		c.Faults.Add(testcloud.Rule{Probability: .05, Fault: testcloud.InternalError()})
		c.Faults.Add(testcloud.Rule{Probability: .05, Fault: testcloud.SlowDown()})
		c.Faults.Add(testcloud.Rule{Probability: .02, Fault: testcloud.Reset()})
		c.Faults.Add(testcloud.Rule{Probability: .01, Fault: testcloud.Truncate(10)})
	}
	c := newRun(t, p, wholeBucket()).mustFinish(t)
	p.mustBeEqual(t)
	if c.Migrated != 501 {
		t.Fatalf("got %+v, want 501 migrated", c)
	}
}
