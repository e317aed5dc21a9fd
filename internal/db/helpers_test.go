package db

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// clock is a clock that only tests move. It is safe for concurrent use.
type clock struct{ us atomic.Int64 }

// start is when test clocks begin: with a fraction, so that rounding shows.
func newClock() *clock {
	c := new(clock)
	c.us.Store(time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// opener opens an empty database of one kind that the test closes.
type opener func(t *testing.T, now func() time.Time) *DB

// openSQLite is the opener of the embedded database.
func openSQLite(t *testing.T, now func() time.Time) *DB {
	t.Helper()
	return openDir(t, t.TempDir(), now)
}

func openDir(tb testing.TB, dir string, now func() time.Time) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), Options{DataDir: dir, Clock: now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

// noSeal seals nothing.
func noSeal(int64) (map[string][]byte, error) { return nil, nil }

// waitingTask is a task as the engine creates it.
func waitingTask(project string) oms.Task {
	return oms.Task{
		ProjectID: project, GroupType: oms.GroupNormal, Status: oms.StatusWaiting, Generation: 1,
		Spec: oms.TaskSpec{
			Type: oms.TypePrefix, Src: oms.SourceNode{Bucket: "photos", Keys: []string{"a/", "é"}},
			Dst: oms.DestinationNode{Bucket: "backup"}, Priority: oms.PriorityMedium,
		},
	}
}

func mustCreate(tb testing.TB, db *DB, task oms.Task) oms.Task {
	tb.Helper()
	task, err := db.CreateTask(tb.Context(), task, oms.Quota{}, noSeal)
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

// mustChange applies a change that the test decides without looking.
func mustChange(tb testing.TB, db *DB, id int64, change func(c *oms.TaskChange)) oms.Task {
	tb.Helper()
	task, err := db.ChangeTask(tb.Context(), "", id, func(task oms.Task) (oms.TaskChange, error) {
		c := oms.TaskChange{Task: task}
		change(&c)
		return c, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

// newRanges creates a task with free ranges over the whole key space, cut at the keys.
func newRanges(tb testing.TB, db *DB, cuts ...string) oms.Task {
	tb.Helper()
	return mustChange(tb, db, mustCreate(tb, db, waitingTask("p")).ID, func(c *oms.TaskChange) {
		start := ""
		for i, end := range append(cuts, "") {
			c.Ranges = append(c.Ranges, oms.Range{
				Seq: int64(i + 1), Generation: 1, Kind: oms.RangeKeys, Start: start, Cur: start, End: end,
			})
			start = end
		}
	})
}

func mustClaim(tb testing.TB, db *DB, owner string, id int64, limit int) []oms.Range {
	tb.Helper()
	list, err := db.ClaimRanges(tb.Context(), owner, id, limit)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func mustRanges(tb testing.TB, db *DB, id int64) []oms.Range {
	tb.Helper()
	list, err := db.Ranges(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func mustTask(tb testing.TB, db *DB, id int64) oms.Task {
	tb.Helper()
	task, err := db.Task(tb.Context(), "", id)
	if err != nil {
		tb.Fatal(err)
	}
	return task
}

func mustFailures(tb testing.TB, db *DB, id int64) []oms.Failure {
	tb.Helper()
	list, err := db.Failures(tb.Context(), id, "", 1000, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// mustCommit stores checkpoints none of which may be lost.
func mustCommit(tb testing.TB, db *DB, c oms.Commit) {
	tb.Helper()
	lost, err := db.Commit(tb.Context(), c)
	if err != nil || len(lost) > 0 {
		tb.Fatalf("commit: lost %v, %v", lost, err)
	}
}

// migrated are the counters of n migrated objects of size bytes each.
func migrated(n, size int64) oms.Counters {
	return oms.Counters{
		Listed: n, Migrated: n, ListedBytes: n * size, MigratedBytes: n * size, MovedBytes: n * size,
	}
}

// failed are the counters of n failed objects of unknown size.
func failed(n int64) oms.Counters { return oms.Counters{Listed: n, Failed: n} }

// checkpointOf moves a leased range to cur.
func checkpointOf(r oms.Range, cur string, delta oms.Counters) oms.Checkpoint {
	return oms.Checkpoint{TaskID: r.TaskID, Seq: r.Seq, Generation: r.Generation, Owner: r.Owner, Token: r.Token, Cur: cur, Delta: delta}
}

func wantKind(tb testing.TB, err error, kind oms.Kind, code string) {
	tb.Helper()
	if err == nil || oms.KindOf(err) != kind || oms.CodeOf(err) != code {
		tb.Fatalf("got error %v (%s, %q), want %s, %q", err, oms.KindOf(err), oms.CodeOf(err), kind, code)
	}
}

func diff(t fataler, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s: got (+), want (-):\n%s", what, d)
	}
}

// count returns the number of rows of a table.
func count(ctx context.Context, tb testing.TB, db *DB, table string) (n int) {
	tb.Helper()
	if err := db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// sqlTx keeps the suite free of the driver's names.
type sqlTx = sql.Tx

// newCancelled returns a context that has ended.
func newCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// newLive returns a context that the test ends.
func newLive(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// fataler is a test or a step of a property test.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}
