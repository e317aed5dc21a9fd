package db

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// A point replaces the one of its endpoint, bucket and class; old ones are not returned, and the table is bounded.
func testOperatingPoints(t *testing.T, db *DB, c *clock) {
	t.Helper()
	point := func(class string, slots int) oms.OperatingPoint {
		return oms.OperatingPoint{
			Endpoint: "https://a.example", Bucket: "photos", Class: class, Slots: slots, Settled: true, Rate: 3499.5, PerSlot: 1e7,
			LearnedAt: c.now(),
		}
	}
	save := func(points ...oms.OperatingPoint) {
		t.Helper()
		if err := db.SaveOperatingPoints(t.Context(), points); err != nil {
			t.Fatal(err)
		}
	}
	check := func(since time.Time, limit int, want ...oms.OperatingPoint) {
		t.Helper()
		got, err := db.OperatingPoints(t.Context(), since, limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("points (-want +got):\n%s", diff)
		}
	}
	old := point("read", 64)
	save(old, point("write", 12))
	c.advance(time.Hour)
	newer := point("write", 200)
	save(newer)
	check(time.Time{}, 10, newer, old)
	check(time.Time{}, 1, newer)
	check(c.now(), 10, newer)

	c.advance(time.Hour)
	many := make([]oms.OperatingPoint, mostOperatingPoints)
	for i := range many {
		many[i] = point("list", 8)
		many[i].Bucket = strconv.Itoa(i)
	}
	save(many...)
	got, err := db.OperatingPoints(t.Context(), time.Time{}, 2*mostOperatingPoints)
	if err != nil || len(got) != mostOperatingPoints || got[0].Class != "list" || got[len(got)-1].Class != "list" {
		t.Errorf("%d points, %v: want the newest %d", len(got), err, mostOperatingPoints)
	}
}
