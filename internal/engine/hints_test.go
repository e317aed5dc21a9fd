package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// The bounds of a listing are kept for the next task of the project on the same bucket, which cuts there; another
// project learns nothing.
func TestListingHints(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	shape := testcloud.Shape{Prefix: "k", Size: testcloud.FixedSize(1)}
	keys := testcloud.Numbers(20_000, shape)
	l.from = l.src.Generated("photos", keys, testcloud.GeneratedOptions{})
	l.to = l.dst.Generated("backup", testcloud.Present(keys, time.Hour), testcloud.GeneratedOptions{})
	p := l.start(l.options("one"))
	first := p.succeed(p.create(nil))
	space := oms.KeySpace{ProjectID: project, Endpoint: l.srcURL, Bucket: "photos"}
	bounds, err := l.db.KeyBounds(t.Context(), space)
	if err != nil || len(bounds) < 10 || !slices.IsSorted(bounds) {
		t.Fatalf("kept %d bounds, %v", len(bounds), err)
	}
	space.ProjectID = "another"
	if got, err := l.db.KeyBounds(t.Context(), space); err != nil || len(got) > 0 {
		t.Fatalf("another project got %d bounds, %v", len(got), err)
	}
	cutsAt := func(id int64) (at int) {
		for _, r := range l.ranges(id) {
			if slices.Contains(bounds, r.Start) {
				at++
			}
		}
		return at
	}
	second := p.create(nil)
	if task := p.succeed(second); task.Counters.Listed != first.Counters.Listed || task.Counters.Skipped != 20_000 {
		t.Fatalf("counted %+v", task.Counters)
	}
	if at := cutsAt(second); at < 5 {
		t.Errorf("the second task cut at %d of the bounds only", at)
	}
}
