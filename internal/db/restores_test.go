package db

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Objects that are put aside are rows and listed without an outcome; what ends them has one.
func testRestores(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db, "", "")
	rs := mustClaim(t, db, "w", task.ID, 10)
	keys, over := rs[0], rs[1]
	now := c.now()
	row := func(key string, size int64, at time.Time) oms.Restore {
		return oms.Restore{Key: key, Size: size, NotBefore: at}
	}
	work := func(q oms.RestoreQuery) oms.RestoreWork {
		t.Helper()
		w, err := db.RestoreWork(t.Context(), "w", task.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}

	cp := checkpointOf(keys, "k\xff", oms.Counters{Listed: 4, Migrated: 1, ListedBytes: 60, MigratedBytes: 10})
	_, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{cp}})
	wantKind(t, err, oms.Invalid, "") // without the rows the books do not balance
	a, b, k := row("a", 10, now), row("b", 20, now.Add(time.Minute)), row("k\xff", 20, now)
	cp.Restores.Aside = []oms.Restore{a, b, k}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{cp}})
	objects, bytes := mustTask(t, db, task.ID).Counters.Restoring()
	diff(t, "restoring", []int64{objects, bytes}, []int64{3, 50})

	w := work(oms.RestoreQuery{Now: now, Limit: 10})
	diff(t, "work", w, oms.RestoreWork{Due: []oms.Restore{a, k}, Left: 3, Next: b.NotBefore, Others: true})
	diff(t, "a page", work(oms.RestoreQuery{Now: now, After: a, Limit: 10}).Due, []oms.Restore{k})
	diff(t, "asked for", work(oms.RestoreQuery{Now: now, Asked: true, Limit: 10}), oms.RestoreWork{Left: 3, Others: true})

	a.Requests, a.AskedAt, a.NotBefore = 1, now, now.Add(time.Hour)
	wait := checkpointOf(over, "0", oms.Counters{})
	wait.Restores.Waits = []oms.Restore{a, row("gone", 1, now)}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{wait}})
	diff(t, "asked for", work(oms.RestoreQuery{Now: now.Add(time.Hour), Asked: true, Limit: 10}).Due, []oms.Restore{a})
	diff(t, "due", work(oms.RestoreQuery{Now: now, Limit: 10}).Due, []oms.Restore{k})

	end := checkpointOf(over, "1", oms.Counters{Migrated: 1, MigratedBytes: 10})
	end.Restores.Ended = []oms.Restore{a}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{end}})
	objects, bytes = mustTask(t, db, task.ID).Counters.Restoring()
	diff(t, "restoring", []int64{objects, bytes}, []int64{2, 40})
	same := checkpointOf(over, "1", oms.Counters{Migrated: 1, MigratedBytes: 20})
	same.Restores.Ended = []oms.Restore{b}
	_, err = db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{same}})
	wantKind(t, err, oms.Invalid, "") // as when an answer was lost and the commit is given again

	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Fresh = true })
	if n := count(t.Context(), t, db, "restores"); n != 0 {
		t.Errorf("%d rows are left of earlier runs", n)
	}
}

// The budget of a day is kept to the byte; one object may be larger than all of it.
func testRestoreBudget(t *testing.T, db *DB, c *clock) {
	spend := func(project string, size int64, b oms.RestoreBudget, want bool) {
		t.Helper()
		got, err := db.SpendRestore(t.Context(), project, size, b, c.now())
		if err != nil || got != want {
			t.Errorf("%s, %d bytes of %+v: got %v, %v, want %v", project, size, b, got, err, want)
		}
	}
	bytes := oms.RestoreBudget{Bytes: 100}
	spend("p", 60, bytes, true)
	spend("p", 41, bytes, false)
	spend("p", 40, bytes, true)
	spend("p", 1, bytes, false)
	spend("p", 0, bytes, true)
	spend("q", 500, bytes, true) // the first of its day
	spend("q", 1, bytes, false)
	spend("p", 7, oms.RestoreBudget{}, true)
	two := oms.RestoreBudget{Requests: 2}
	spend("r", 1<<40, two, true)
	spend("r", 1<<40, two, true)
	spend("r", 0, two, false)
	c.advance(24 * time.Hour)
	spend("p", 100, bytes, true)
	spend("r", 0, two, true)
	for range keptRestoreDays + 2 {
		c.advance(24 * time.Hour)
		spend("p", 1, bytes, true)
	}
	if n := count(t.Context(), t, db, "restore_days"); n > keptRestoreDays+5 {
		t.Errorf("%d days are kept", n)
	}
}
