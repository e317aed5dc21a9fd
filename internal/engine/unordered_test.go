package engine_test

import (
	"context"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// A source without order is read to its end and sorted: the task notices by itself, survives a pause, and its books
// hold (rules P3 and P4).
func TestSourceWithoutOrder(t *testing.T) {
	t.Parallel()
	for _, profile := range []testcloud.Profile{testcloud.Directory(), testcloud.UTF16(), testcloud.Unordered()} {
		t.Run(profile.Name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			profile.MaxKeys = 9
			l.src = testcloud.New(testcloud.Options{AccessKey: srcAK, SecretKey: secret, Profile: profile})
			url, stop, err := l.src.Start(context.Background(), "")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			l.srcURL, l.from = url, l.src.CreateBucket("photos")
			l.seed(30, 64<<10, "o/\uff21")
			l.seed(30, 64<<10, "o/\U0001f600")
			p := l.start(l.options("one"))
			id := p.create(slow)
			p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
			paused := p.pause(id)
			there := l.arrived()
			p.resume(id, oms.StartRequest{Credentials: keys()})
			l.forward(paused, p.until(id, "it runs", is(oms.StatusRunning), oms.StatusWaiting, oms.StatusRunning))
			if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
				t.Fatal(err)
			}
			if c := p.succeed(id).Counters; c.Listed != 60 || c.Migrated != 60 {
				t.Errorf("counted %+v", c)
			}
			l.same()
			l.sentOnce(there)
			late := false
			for _, r := range l.ranges(id) {
				late = late || r.Kind == oms.RangeLate && r.Done
			}
			if !late {
				t.Error("the task did not notice")
			}
		})
	}
}
