package db

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
)

func TestSyncSQLite(t *testing.T) { testSyncSuite(t, openSQLite) }

// testSyncSuite is what every kind of database must pass for synchronization tasks.
func testSyncSuite(t *testing.T, open opener) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, db *DB, c *clock)
	}{
		{"create", testSyncCreate},
		{"list", testSyncList},
		{"change", testSyncChange},
		{"delete", testSyncDelete},
		{"lease", testSyncLease},
		{"events", testSyncEvents},
		{"events refused", testSyncEventsRefused},
		{"newer event", testSyncNewerEvent},
		{"retry", testSyncRetry},
		{"commit twice", testSyncCommitTwice},
		{"requeue", testSyncRequeue},
		{"statistics", testSyncStatistics},
		{"lists", testSyncLists},
		{"uploads", testSyncUploads},
		{"events at once", testSyncEventsAtOnce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			db := open(t, c.now)
			tt.run(t, db, c)
			if err := db.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// newSync is a task as the engine creates it.
func newSync(project, id string) oms.SyncTask {
	return oms.SyncTask{
		ID: id, ProjectID: project, Status: oms.SyncRunning, Generation: 1,
		Spec: oms.TaskSpec{
			Type: oms.TypeObject, Src: oms.SourceNode{Bucket: "photos"}, Dst: oms.DestinationNode{Bucket: "backup"}, Description: "é",
		},
	}
}

func noSyncSeal(oms.SyncTask) (map[string][]byte, error) { return nil, nil }

func mustSync(tb testing.TB, db *DB, project, id string) oms.SyncTask {
	tb.Helper()
	t, err := db.CreateSync(tb.Context(), newSync(project, id), 0, noSyncSeal)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func mustClaimSync(tb testing.TB, db *DB, owner string, t oms.SyncTask) oms.SyncLease {
	tb.Helper()
	l, held, err := db.ClaimSync(tb.Context(), owner, t.Number, t.Generation)
	if err != nil || !held {
		tb.Fatalf("claim: %v, %v", held, err)
	}
	return l
}

func mustAdd(tb testing.TB, db *DB, t oms.SyncTask, keys ...string) {
	tb.Helper()
	if err := db.AddSyncEvents(tb.Context(), t.ProjectID, t.ID, keys, 0); err != nil {
		tb.Fatal(err)
	}
}

// queueOf returns the keys that are due, in their order.
func queueOf(tb testing.TB, db *DB, number int64) (keys []string, events []oms.SyncEvent) {
	tb.Helper()
	events, err := db.SyncEvents(tb.Context(), number, 0, 1000)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range events {
		keys = append(keys, e.Key)
	}
	return keys, events
}

func mustCommitSync(tb testing.TB, db *DB, c oms.SyncCommit) {
	tb.Helper()
	if held, err := db.CommitSync(tb.Context(), c); err != nil || !held {
		tb.Fatalf("commit: held %v, %v", held, err)
	}
}

func pendingOf(tb testing.TB, db *DB, t oms.SyncTask) int64 {
	tb.Helper()
	t, err := db.Sync(tb.Context(), t.ProjectID, t.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return t.Pending
}

func testSyncCreate(t *testing.T, db *DB, c *clock) {
	var sealedFor oms.SyncTask
	want := newSync("p", "one")
	got, err := db.CreateSync(t.Context(), want, 2, func(s oms.SyncTask) (map[string][]byte, error) {
		sealedFor = s
		return map[string][]byte{"src": {1}, "dst": {0, 2}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want.Number, want.CreatedAt, want.UpdatedAt, want.StartedAt = got.Number, c.now(), c.now(), c.now()
	diff(t, "task", got, want)
	diff(t, "task given to seal", sealedFor, want)
	read, err := db.Sync(t.Context(), "", "one")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "task read again", read, want)
	sealed, err := db.SyncCredentials(t.Context(), got.Number)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "credentials", sealed, map[string][]byte{"src": {1}, "dst": {0, 2}})
	if texts, err := db.SealedTexts(t.Context(), 9); err != nil || len(texts) != 2 {
		t.Errorf("sealed texts: %v, %v, want two", texts, err)
	}
	if task := mustCreate(t, db, waitingTask("p")); task.ID <= got.Number {
		t.Errorf("task %d and synchronization task %d share numbers", task.ID, got.Number)
	}
	_, err = db.CreateSync(t.Context(), newSync("p", "one"), 2, noSyncSeal)
	wantKind(t, err, oms.Conflict, "")
	mustSync(t, db, "p", "two")
	_, err = db.CreateSync(t.Context(), newSync("p", "three"), 2, noSyncSeal)
	wantKind(t, err, oms.Conflict, "OMS.0077")
	if _, err := db.CreateSync(t.Context(), newSync("q", "three"), 2, noSyncSeal); err != nil {
		t.Error(err)
	}
}

func testSyncList(t *testing.T, db *DB, _ *clock) {
	for _, id := range []string{"a", "b", "c"} {
		mustSync(t, db, "p", id)
	}
	mustSync(t, db, "q", "d")
	stopSync(t, db, "b")
	tests := []struct {
		filter oms.SyncFilter
		want   string
		total  int64
	}{
		{oms.SyncFilter{ProjectID: "p", Limit: 10}, "cba", 3},
		{oms.SyncFilter{ProjectID: "p", Limit: 2, Offset: 1}, "ba", 3},
		{oms.SyncFilter{ProjectID: "p", Limit: 2, Offset: 9}, "", 3},
		{oms.SyncFilter{ProjectID: "p", Limit: 9, Status: oms.SyncRunning}, "ca", 2},
		{oms.SyncFilter{ProjectID: "p", Limit: 9, Status: oms.SyncStopped}, "b", 1},
		{oms.SyncFilter{ProjectID: "x", Limit: 9}, "", 0},
	}
	for _, tt := range tests {
		page, total, err := db.Syncs(t.Context(), tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, s := range page {
			got.WriteString(s.ID)
		}
		if got.String() != tt.want || total != tt.total {
			t.Errorf("%+v: got %s of %d, want %s of %d", tt.filter, got.String(), total, tt.want, tt.total)
		}
	}
	running, err := db.RunningSyncs(t.Context())
	if err != nil || len(running) != 3 || running[0].ID != "a" || running[2].ID != "d" {
		t.Errorf("running: %v, %v, want a, c, d", running, err)
	}
}

// stopSync stops a task without destroying anything.
func stopSync(tb testing.TB, db *DB, id string) {
	tb.Helper()
	_, err := db.ChangeSync(tb.Context(), "", id, func(s oms.SyncTask) (oms.SyncChange, error) {
		s.Status = oms.SyncStopped
		return oms.SyncChange{Task: s}, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func testSyncChange(t *testing.T, db *DB, c *clock) {
	was := mustSync(t, db, "p", "one")
	mustAdd(t, db, was, "k")
	want := was
	want.Status, want.Generation, want.Pending = oms.SyncStopped, 7, 1
	want.Error = &oms.ErrorReason{Code: "TRF.0151", Message: "m"}
	want.UpdatedAt, want.StartedAt = c.now().Add(time.Second), c.now().Add(time.Minute)
	want.Spec.Description = "other"
	got, err := db.ChangeSync(t.Context(), "p", "one", func(oms.SyncTask) (oms.SyncChange, error) {
		next := want
		next.ID, next.ProjectID, next.CreatedAt, next.Pending = "x", "x", time.Time{}, 9
		return oms.SyncChange{Task: next, Credentials: map[string][]byte{"src": {1}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "task", got, want)
	if _, err := db.SyncCredentials(t.Context(), was.Number); err != nil {
		t.Error(err)
	}
	refusal := oms.Errorf(oms.Conflict, "OMS.1036", "no")
	_, err = db.ChangeSync(t.Context(), "p", "one", func(oms.SyncTask) (oms.SyncChange, error) { return oms.SyncChange{}, refusal })
	if err != error(refusal) { //nolint:errorlint // it must be the very error
		t.Errorf("got %v, want the caller's error", err)
	}
	_, err = db.ChangeSync(t.Context(), "p", "one", func(s oms.SyncTask) (oms.SyncChange, error) {
		return oms.SyncChange{Task: s, Wipe: true, Credentials: map[string][]byte{"src": {1}}}, nil
	})
	if err != nil {
		t.Error(err)
	}
	_, err = db.SyncCredentials(t.Context(), was.Number)
	wantKind(t, err, oms.NotFound, "")
	for _, project := range []string{"q", ""} {
		id := "one"
		if project == "" {
			id = "unknown"
		}
		_, err = db.Sync(t.Context(), project, id)
		wantKind(t, err, oms.NotFound, "OMS.1009")
		_, err = db.ChangeSync(t.Context(), project, id, nil)
		wantKind(t, err, oms.NotFound, "OMS.1009")
		wantKind(t, db.DeleteSync(t.Context(), project, id, nil), oms.NotFound, "OMS.1009")
	}
}

func testSyncDelete(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "k", "l")
	mustCommitSync(t, db, oms.SyncCommit{
		Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{{Key: "k", Seq: 1}}, Counts: oms.SyncCounts{Successes: 1},
		Lists:  []oms.SyncList{{Kind: oms.ListSuccess, Entries: 1, Lines: []byte("k\n")}},
		Opened: []oms.Upload{{TaskID: task.Number, Key: "l", UploadID: "u", Parts: []oms.UploadedPart{{Number: 1}}}},
	})
	refusal := oms.Errorf(oms.Conflict, "OMS.1036", "no")
	if err := db.DeleteSync(t.Context(), "p", "one", func(oms.SyncTask) error { return refusal }); err != error(refusal) { //nolint:errorlint // it must be the very error
		t.Errorf("got %v, want the caller's error", err)
	}
	if err := db.DeleteSync(t.Context(), "p", "one", func(oms.SyncTask) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{
		"sync_tasks", "sync_events", "sync_statistics", "sync_lists", "sync_uploads", "sync_upload_parts", "sync_credentials",
	} {
		if n := count(t.Context(), t, db, table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	// What a run still has to say is refused and leaves nothing behind.
	if held, err := db.CommitSync(t.Context(), oms.SyncCommit{Lease: lease, Number: 2, Counts: oms.SyncCounts{Skips: 1}}); held || err != nil {
		t.Errorf("commit to a deleted task: held %v, %v", held, err)
	}
	if err := db.RequeueSyncEvents(t.Context(), task.Number, []string{"k"}); err != nil {
		t.Error(err)
	}
}

func testSyncLease(t *testing.T, db *DB, c *clock) {
	task := mustSync(t, db, "p", "one")
	first := mustClaimSync(t, db, "w", task)
	if _, held, err := db.ClaimSync(t.Context(), "v", task.Number, 1); held || err != nil {
		t.Errorf("a second worker claims: %v, %v", held, err)
	}
	if _, held, err := db.ClaimSync(t.Context(), "w", task.Number, 2); held || err != nil {
		t.Errorf("a claim of another generation: %v, %v", held, err)
	}
	_, _, err := db.ClaimSync(t.Context(), "", task.Number, 1)
	wantKind(t, err, oms.Invalid, "")
	// Its worker is silent for too long.
	c.advance(time.Minute)
	if err := db.Heartbeat(t.Context(), "v", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	second := mustClaimSync(t, db, "v", task)
	if second.Token <= first.Token {
		t.Errorf("token %d after %d", second.Token, first.Token)
	}
	if held, err := db.CommitSync(t.Context(), oms.SyncCommit{Lease: first, Number: 1}); held || err != nil {
		t.Errorf("commit under a lost lease: %v, %v", held, err)
	}
	if err := db.ReleaseSync(t.Context(), first); err != nil { // changes nothing
		t.Fatal(err)
	}
	mustCommitSync(t, db, oms.SyncCommit{Lease: second, Number: 1})
	if err := db.ReleaseSync(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	mustClaimSync(t, db, "w", task)
	if err := db.ReleaseAll(t.Context()); err != nil { // as at the start of the one process
		t.Fatal(err)
	}
	mustClaimSync(t, db, "x", task)
	stopSync(t, db, "one")
	if _, held, err := db.ClaimSync(t.Context(), "x", task.Number, 1); held || err != nil {
		t.Errorf("claim of a stopped task: %v, %v", held, err)
	}
}

// Names keep the order of their first event, each is there once, and every byte of them is kept.
func testSyncEvents(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "b", "a", "b")
	mustAdd(t, db, task, "", "\xff\x00/", "a")
	keys, events := queueOf(t, db, task.Number)
	diff(t, "queue", keys, []string{"b", "a", "", "\xff\x00/"})
	diff(t, "first event", events[0], oms.SyncEvent{Key: "b", Seq: 3, Pos: 1})
	diff(t, "second event", events[1], oms.SyncEvent{Key: "a", Seq: 6, Pos: 2})
	if n := pendingOf(t, db, task); n != 4 {
		t.Errorf("%d names are pending, want 4", n)
	}
	page, err := db.SyncEvents(t.Context(), task.Number, events[0].Pos, 2)
	if err != nil || len(page) != 2 || page[0].Key != "a" {
		t.Errorf("behind the first: %v, %v", page, err)
	}
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{{Key: "b", Seq: 3}, {Key: "", Seq: 4}}})
	keys, _ = queueOf(t, db, task.Number)
	diff(t, "queue", keys, []string{"a", "\xff\x00/"})
	if n := pendingOf(t, db, task); n != 2 {
		t.Errorf("%d names are pending, want 2", n)
	}
	mustAdd(t, db, task, "b")
	keys, _ = queueOf(t, db, task.Number)
	diff(t, "queue", keys, []string{"a", "\xff\x00/", "b"})
	// What waits when a lease begins may have been applied in part.
	if again := mustClaimSync(t, db, "w", task); again.Since < 7 {
		t.Errorf("lease since %d, want at least 7", again.Since)
	}
}

// A refused call stores nothing, whatever it held.
func testSyncEventsRefused(t *testing.T, db *DB, c *clock) {
	task := mustSync(t, db, "p", "one")
	add := func(project, id string, limit int64, keys ...string) error {
		return db.AddSyncEvents(t.Context(), project, id, keys, limit)
	}
	wantKind(t, add("p", "unknown", 0, "k"), oms.NotFound, "OMS.1009")
	wantKind(t, add("q", "one", 0, "k"), oms.NotFound, "OMS.1009")
	wantKind(t, add("", "one", 0, "k"), oms.NotFound, "OMS.1009")
	if err := add("p", "one", 3, "a", "b"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, add("p", "one", 3, "a", "c", "d"), oms.Throttled, "OMS.2004")
	keys, events := queueOf(t, db, task.Number)
	diff(t, "queue", keys, []string{"a", "b"})
	if events[0].Seq != 1 {
		t.Errorf("the refused event left its mark: %+v", events[0])
	}
	if err := add("p", "one", 2, "b", "a"); err != nil {
		t.Errorf("names that wait already need no room: %v", err)
	}
	stopSync(t, db, "one")
	wantKind(t, add("p", "one", 0, "k"), oms.Conflict, "OMS.1036")
	list, err := db.SyncStatistics(t.Context(), task.Number, oms.SpanHour, c.now().Add(-time.Hour), c.now().Add(time.Hour))
	if err != nil || len(list) != 1 || list[0].SyncCounts != (oms.SyncCounts{Requests: 4}) {
		t.Errorf("statistics: %+v, %v, want 4 requests", list, err)
	}
}

// An event that arrives while an older one of its name is applied is not lost, and comes behind the others.
func testSyncNewerEvent(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "a", "b")
	_, events := queueOf(t, db, task.Number)
	mustAdd(t, db, task, "a")
	mustAdd(t, db, task, "b")
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{
		{Key: "a", Seq: events[0].Seq}, {Key: "b", Seq: events[1].Seq, RetryAt: time.Unix(9e9, 0)},
	}})
	keys, after := queueOf(t, db, task.Number)
	diff(t, "queue", keys, []string{"a", "b"})
	for i, e := range after {
		if e.Pos <= events[1].Pos || !e.Again || e.Seq <= events[i].Seq {
			t.Errorf("the newer event is %+v, the older one was %+v", e, events[i])
		}
	}
	if n := pendingOf(t, db, task); n != 2 {
		t.Errorf("%d names are pending, want 2", n)
	}
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 2, Outcomes: []oms.SyncOutcome{{Key: "a", Seq: after[0].Seq}, {Key: "b", Seq: after[1].Seq}}})
	if n := pendingOf(t, db, task); n != 0 {
		t.Errorf("%d names are pending, want none", n)
	}
}

func testSyncRetry(t *testing.T, db *DB, c *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "a", "b", "c")
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{
		{Key: "a", Seq: 1, RetryAt: c.now().Add(time.Minute)}, {Key: "b", Seq: 2, RetryAt: c.now().Add(time.Second)},
	}})
	promote := func(want int) {
		t.Helper()
		if n, err := db.PromoteSyncEvents(t.Context(), task.Number); err != nil || n != want {
			t.Errorf("promoted %d, %v, want %d", n, err, want)
		}
	}
	queue := func(want ...string) {
		t.Helper()
		keys, _ := queueOf(t, db, task.Number)
		diff(t, "queue", keys, want)
	}
	queue("c")
	promote(0)
	c.advance(time.Second)
	promote(1)
	queue("c", "b")
	_, events := queueOf(t, db, task.Number)
	if e := events[1]; e.Attempts != 1 || !e.Again {
		t.Errorf("after a failure: %+v", e)
	}
	// A new event of a name that waits for its next attempt begins anew.
	mustAdd(t, db, task, "a")
	queue("c", "b", "a")
	_, events = queueOf(t, db, task.Number)
	if e := events[2]; e.Attempts != 0 || !e.Again {
		t.Errorf("after a new event: %+v", e)
	}
	c.advance(time.Hour)
	promote(0)
	if n := pendingOf(t, db, task); n != 3 {
		t.Errorf("%d names are pending, want 3", n)
	}
}

// A commit whose answer was lost is stored once (rule P7), and commits out of turn are refused.
func testSyncCommitTwice(t *testing.T, db *DB, c *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "a", "b")
	commit := oms.SyncCommit{
		Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{{Key: "a", Seq: 1}}, Counts: oms.SyncCounts{Successes: 1, Bytes: 5},
		Lists: []oms.SyncList{{Kind: oms.ListSuccess, Entries: 1, Lines: []byte("a\n")}},
	}
	mustCommitSync(t, db, commit)
	mustCommitSync(t, db, commit)
	list, err := db.SyncStatistics(t.Context(), task.Number, oms.SpanMonth, oms.SpanMonth.Begin(c.now()), c.now())
	if err != nil || len(list) != 1 || list[0].SyncCounts != (oms.SyncCounts{Requests: 2, Successes: 1, Bytes: 5}) {
		t.Errorf("statistics %+v, %v", list, err)
	}
	if n := pendingOf(t, db, task); n != 1 {
		t.Errorf("%d names are pending, want 1", n)
	}
	if entries, _, err := db.SyncListSize(t.Context(), task.Number); err != nil || entries != 1 {
		t.Errorf("%d entries in lists, %v, want 1", entries, err)
	}
	commit.Number = 3
	if held, err := db.CommitSync(t.Context(), commit); held || err != nil {
		t.Errorf("a commit out of turn: held %v, %v", held, err)
	}
}

func testSyncRequeue(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	mustAdd(t, db, task, "a")
	if err := db.RequeueSyncEvents(t.Context(), task.Number, []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	_, events := queueOf(t, db, task.Number)
	if len(events) != 2 || events[0].Seq != 2 || !events[0].Again || !events[1].Again {
		t.Errorf("queue %+v", events)
	}
	if n := pendingOf(t, db, task); n != 2 {
		t.Errorf("%d names are pending, want 2", n)
	}
}

func testSyncStatistics(t *testing.T, db *DB, c *clock) {
	task, other := mustSync(t, db, "p", "one"), mustSync(t, db, "p", "two")
	lease := mustClaimSync(t, db, "w", task)
	start := c.now() // 12:00:00.123
	mustAdd(t, db, task, "a", "a")
	mustAdd(t, db, other, "a")
	c.advance(6 * time.Minute)
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 1, Counts: oms.SyncCounts{Successes: 1, Failures: 2, Skips: 3, Bytes: 4}})
	c.advance(31 * 24 * time.Hour)
	mustAdd(t, db, task, "b")
	hour := start.Truncate(time.Hour)
	first, done := oms.SyncCounts{Requests: 2}, oms.SyncCounts{Successes: 1, Failures: 2, Skips: 3, Bytes: 4}
	late := oms.SyncCounts{Requests: 1}
	lateAt := hour.Add(31*24*time.Hour + 5*time.Minute)
	check := func(what string, span oms.SyncSpan, from, to time.Time, want ...oms.SyncStatistic) {
		t.Helper()
		got, err := db.SyncStatistics(t.Context(), task.Number, span, from, to)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, what, got, want)
	}
	end := c.now().Add(time.Hour)
	check("five minutes", oms.SpanFiveMinutes, hour, end,
		oms.SyncStatistic{At: hour, SyncCounts: first}, oms.SyncStatistic{At: hour.Add(5 * time.Minute), SyncCounts: done},
		oms.SyncStatistic{At: lateAt, SyncCounts: late})
	check("hours", oms.SpanHour, hour, end, oms.SyncStatistic{At: hour, SyncCounts: first.Add(done)},
		oms.SyncStatistic{At: lateAt.Truncate(time.Hour), SyncCounts: late})
	check("months", oms.SpanMonth, time.Time{}, end, oms.SyncStatistic{At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), SyncCounts: first.Add(done)},
		oms.SyncStatistic{At: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), SyncCounts: late})
	check("before the end only", oms.SpanHour, hour, lateAt.Truncate(time.Hour), oms.SyncStatistic{At: hour, SyncCounts: first.Add(done)})
	if err := db.PurgeSyncStatistics(t.Context(), lateAt, hour); err != nil {
		t.Fatal(err)
	}
	check("purged", oms.SpanFiveMinutes, hour, end, oms.SyncStatistic{At: lateAt, SyncCounts: late})
	check("not purged", oms.SpanHour, hour, hour.Add(time.Second), oms.SyncStatistic{At: hour, SyncCounts: first.Add(done)})
}

func testSyncLists(t *testing.T, db *DB, c *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	for i := range int64(3) {
		mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: i + 1, Lists: []oms.SyncList{
			{Kind: oms.ListSuccess, Entries: i + 1, Lines: []byte{byte(i), 0xff, 0}}, {Kind: oms.ListFailed, Entries: 1, Lines: []byte("x")},
		}})
		c.advance(time.Second)
	}
	if entries, size, err := db.SyncListSize(t.Context(), task.Number); err != nil || entries != 9 || size != 12 {
		t.Errorf("size: %d entries, %d bytes, %v, want 9, 12", entries, size, err)
	}
	list, err := db.SyncLists(t.Context(), task.Number, oms.ListSuccess, 0, 2)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	diff(t, "second piece", list[1], oms.SyncList{
		Kind: oms.ListSuccess, Seq: list[1].Seq, At: newClock().now().Add(time.Second), Entries: 2, Lines: []byte{1, 0xff, 0},
	})
	if err := db.DropSyncLists(t.Context(), task.Number, oms.ListSuccess, list[1].Seq); err != nil {
		t.Fatal(err)
	}
	list, err = db.SyncLists(t.Context(), task.Number, oms.ListSuccess, 0, 9)
	if err != nil || len(list) != 1 || list[0].Entries != 3 {
		t.Errorf("left: %+v, %v", list, err)
	}
	if list, err = db.SyncLists(t.Context(), task.Number, oms.ListFailed, 0, 9); err != nil || len(list) != 3 {
		t.Errorf("another kind: %+v, %v", list, err)
	}
}

func testSyncUploads(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	lease := mustClaimSync(t, db, "w", task)
	mustAdd(t, db, task, "a")
	a := oms.Upload{TaskID: task.Number, Key: "a", UploadID: "u\xff", PartSize: 5, Size: 12, ETag: "e"}
	b := oms.Upload{TaskID: task.Number, Key: "b", UploadID: "v", Parts: []oms.UploadedPart{{Number: 1, ETag: "x", CRC32C: 1<<32 - 1}}}
	part := oms.UploadedPart{Number: 2, ETag: "p", CRC32C: 3}
	mustCommitSync(t, db, oms.SyncCommit{
		Lease: lease, Number: 1, Opened: []oms.Upload{a, b},
		Parts: []oms.PartDone{{Upload: a.Ref(), Part: part}, {Upload: oms.UploadRef{TaskID: task.Number, Key: "gone", UploadID: "x"}, Part: part}},
	})
	waiting, orphans, err := db.SyncUploads(t.Context(), task.Number)
	if err != nil {
		t.Fatal(err)
	}
	a.Parts = []oms.UploadedPart{part}
	diff(t, "uploads of waiting names", waiting, []oms.Upload{a})
	diff(t, "other uploads", orphans, []oms.Upload{b})
	mustCommitSync(t, db, oms.SyncCommit{Lease: lease, Number: 2, Closed: []oms.UploadRef{a.Ref(), b.Ref()}})
	if waiting, orphans, err = db.SyncUploads(t.Context(), task.Number); err != nil || len(waiting)+len(orphans) != 0 {
		t.Errorf("closed uploads are left: %v, %v, %v", waiting, orphans, err)
	}
}

// Calls at the same time lose nothing and share the order.
func testSyncEventsAtOnce(t *testing.T, db *DB, _ *clock) {
	task := mustSync(t, db, "p", "one")
	const callers, calls = 8, 25
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for j := range calls {
				key := strconv.Itoa(i) + "/" + strconv.Itoa(j)
				if err := db.AddSyncEvents(t.Context(), "p", "one", []string{key, "shared"}, 0); err != nil {
					t.Errorf("add: %v", err)
				}
			}
		})
	}
	all.Wait()
	_, events := queueOf(t, db, task.Number)
	if len(events) != callers*calls+1 || pendingOf(t, db, task) != callers*calls+1 {
		t.Errorf("%d events, want %d", len(events), callers*calls+1)
	}
	seen := make(map[int64]bool)
	for _, e := range events {
		if seen[e.Seq] || e.Seq > 2*callers*calls {
			t.Errorf("event %+v: its number is given twice or too large", e)
		}
		seen[e.Seq] = true
	}
}

// syncModel is what the store must hold of the events of one task: the simplest form of the same rules.
type syncModel struct {
	seq     int64
	rows    map[string]*oms.SyncEvent
	newest  map[string]int64 // seq of the newest event of a name
	applied map[string]int64 // seq up to which events of a name were applied
	due     map[string]time.Time
	counts  oms.SyncCounts
}

// TestSyncModel compares random histories of events, results, retries, lost leases and restarts with the model. Above
// all: no event is lost, none is applied after a newer one of its name.
func TestSyncModel(t *testing.T) {
	c := newClock()
	db := openSQLite(t, c.now)
	tasks := 0
	rapid.Check(t, func(rt *rapid.T) {
		tasks++
		id := strconv.Itoa(tasks)
		task, err := db.CreateSync(t.Context(), newSync("p", id), 0, noSyncSeal)
		if err != nil {
			rt.Fatal(err)
		}
		claim := func() oms.SyncLease {
			l, held, err := db.ClaimSync(t.Context(), "w", task.Number, 1)
			if err != nil || !held {
				rt.Fatal(held, err)
			}
			return l
		}
		lease, number := claim(), int64(0)
		m := syncModel{rows: map[string]*oms.SyncEvent{}, newest: map[string]int64{}, applied: map[string]int64{}, due: map[string]time.Time{}}
		taken := map[string]oms.SyncEvent{}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", ""})
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				keys := rapid.SliceOfN(key, 1, 4).Draw(rt, "keys")
				limit := int64(rapid.IntRange(0, 4).Draw(rt, "limit"))
				fresh := map[string]bool{}
				for _, k := range keys {
					if m.rows[k] == nil {
						fresh[k] = true
					}
				}
				refused := limit > 0 && len(fresh) > 0 && len(m.rows)+len(fresh) > int(limit)
				err := db.AddSyncEvents(t.Context(), "p", id, keys, limit)
				if refused {
					wantKind(t, err, oms.Throttled, "OMS.2004")
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				m.counts.Requests += int64(len(keys))
				for _, k := range keys {
					m.seq++
					m.newest[k] = m.seq
					if m.rows[k] == nil {
						m.rows[k] = &oms.SyncEvent{Key: k}
					}
					m.rows[k].Seq, m.rows[k].Attempts = m.seq, 0
					delete(m.due, k)
				}
			},
			"take": func(rt *rapid.T) {
				events, err := db.SyncEvents(t.Context(), task.Number, 0, 10)
				if err != nil {
					rt.Fatal(err)
				}
				for _, e := range events {
					if _, busy := taken[e.Key]; busy {
						continue
					}
					if e.Seq != m.newest[e.Key] || e.Attempts != m.rows[e.Key].Attempts {
						rt.Fatalf("took %+v, want %+v", e, m.rows[e.Key])
					}
					taken[e.Key] = e
				}
			},
			"settle": func(rt *rapid.T) {
				commit := oms.SyncCommit{Lease: lease, Number: number + 1}
				for k, e := range taken {
					if rapid.Bool().Draw(rt, "leave") {
						continue
					}
					o := oms.SyncOutcome{Key: k, Seq: e.Seq}
					if rapid.Bool().Draw(rt, "retry") {
						o.RetryAt = c.now().Add(time.Second)
					}
					commit.Outcomes = append(commit.Outcomes, o)
				}
				commit.Counts.Successes = int64(len(commit.Outcomes))
				lost := rapid.IntRange(0, 5).Draw(rt, "lost") == 0
				if lost {
					commit.Lease.Token--
				}
				for range rapid.IntRange(1, 2).Draw(rt, "times") {
					if held, err := db.CommitSync(t.Context(), commit); err != nil || held == lost {
						rt.Fatal(held, err)
					}
				}
				if lost {
					return
				}
				number++
				m.counts.Successes += commit.Counts.Successes
				for _, o := range commit.Outcomes {
					delete(taken, o.Key)
					row := m.rows[o.Key]
					switch {
					case row.Seq != o.Seq: // a newer event has arrived
						row.Again = true
						delete(m.due, o.Key)
						m.seq++
					case o.RetryAt.IsZero():
						delete(m.rows, o.Key)
					default:
						row.Again = true
						row.Attempts++
						m.due[o.Key] = o.RetryAt
						m.seq++ // numbers may be left out
					}
					if o.RetryAt.IsZero() {
						m.applied[o.Key] = o.Seq
					}
				}
				m.seq = lastSeq(rt, t.Context(), db, task.Number, m.seq)
			},
			"restart": func(*rapid.T) {
				clear(taken)
				lease, number = claim(), 0
			},
			"wait": func(rt *rapid.T) {
				c.advance(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "ms")) * time.Millisecond)
				want := 0
				for k, at := range m.due {
					if !at.After(c.now()) {
						want++
						delete(m.due, k)
					}
				}
				if n, err := db.PromoteSyncEvents(t.Context(), task.Number); err != nil || n != want {
					rt.Fatalf("promoted %d, %v, want %d", n, err, want)
				}
				m.seq = lastSeq(rt, t.Context(), db, task.Number, m.seq+int64(want))
			},
			"": func(rt *rapid.T) {
				for k, newest := range m.newest {
					if m.applied[k] < newest && m.rows[k] == nil {
						rt.Fatalf("the newest event of %q is lost", k)
					}
				}
				events, err := db.SyncEvents(t.Context(), task.Number, 0, 10)
				if err != nil {
					rt.Fatal(err)
				}
				if len(events) != len(m.rows)-len(m.due) {
					rt.Fatalf("%d events are due, want %d", len(events), len(m.rows)-len(m.due))
				}
				for _, e := range events {
					if row := m.rows[e.Key]; row == nil || row.Seq != e.Seq || row.Again != e.Again || row.Attempts != e.Attempts {
						rt.Fatalf("event %+v, want %+v", e, row)
					}
				}
				got, err := db.Sync(t.Context(), "p", id)
				if err != nil || got.Pending != int64(len(m.rows)) {
					rt.Fatalf("%d pending, %v, want %d", got.Pending, err, len(m.rows))
				}
				months, err := db.SyncStatistics(t.Context(), task.Number, oms.SpanMonth, time.Time{}, c.now())
				var sum oms.SyncCounts
				for _, s := range months {
					sum = sum.Add(s.SyncCounts)
				}
				if err != nil || sum != m.counts {
					rt.Fatalf("counted %+v, %v, want %+v", sum, err, m.counts)
				}
			},
		})
	})
}

// lastSeq returns the last number given, which may be at most bound.
func lastSeq(rt *rapid.T, ctx context.Context, db *DB, number, bound int64) (n int64) { //nolint:revive // the test comes first
	if err := db.reader.QueryRowContext(ctx, "SELECT last_seq FROM sync_tasks WHERE number = $1", number).Scan(&n); err != nil {
		rt.Fatal(err)
	}
	if n > bound {
		rt.Fatalf("last number %d, want at most %d", n, bound)
	}
	return n
}

// syncCrashDir turns TestSyncCrashChild into the process to be killed.
const syncCrashDir = "OPENOMS_DB_SYNC_CRASH_DIR"

// TestSyncCrashChild adds events and settles others for ever, if it is told where; alone it does nothing. It writes
// "add N" after events up to N were accepted and "done N" after those up to N were settled.
func TestSyncCrashChild(t *testing.T) {
	dir := os.Getenv(syncCrashDir)
	if dir == "" {
		return
	}
	db := openDir(t, dir, nil)
	if err := db.ReleaseAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	task, err := db.Sync(t.Context(), "p", "one")
	if err != nil {
		t.Fatal(err)
	}
	lease := mustClaimSync(t, db, "child", task)
	var out sync.Mutex
	say := func(what string, n int64) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(what, n)
	}
	go func() {
		cursor := int64(0)
		for number := int64(1); ; number++ {
			events, err := db.SyncEvents(t.Context(), task.Number, cursor, 7)
			if err != nil {
				panic(err)
			}
			c := oms.SyncCommit{Lease: lease, Number: number}
			last := int64(0)
			for _, e := range events {
				c.Outcomes = append(c.Outcomes, oms.SyncOutcome{Key: e.Key, Seq: e.Seq})
				c.Counts.Successes++
				cursor = e.Pos
				n, err := strconv.ParseInt(e.Key, 10, 64)
				if err != nil {
					panic(err)
				}
				last = n
			}
			if held, err := db.CommitSync(t.Context(), c); err != nil || !held {
				panic(fmt.Sprint(held, err))
			}
			if last > 0 {
				say("done", last)
			}
		}
	}()
	n, err := strconv.ParseInt(os.Getenv(syncCrashDir+"_NEXT"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for ; ; n += 10 {
		var keys []string
		for i := range int64(10) {
			keys = append(keys, strconv.FormatInt(n+i, 10))
		}
		mustAdd(t, db, task, keys...)
		say("add", n+9)
	}
}

// TestSyncKill kills a process that accepts and settles events, again and again. What it said it had accepted and not
// settled must be there, what it had settled must not, and requests = settled + pending (rules P6 and P1).
func TestSyncKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	db := openDir(t, dir, nil)
	task := mustSync(t, db, "p", "one")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	added, done := int64(0), int64(0)
	for round := range 12 {
		runSyncAndKill(t, dir, 1+rng.IntN(40), &added, &done)
		added = checkSyncCrashed(t, dir, task, round, added, done)
	}
}

// runSyncAndKill runs the child until it has said so many lines.
func runSyncAndKill(t *testing.T, dir string, lines int, added, done *int64) {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSyncCrashChild$")
	cmd.Env = append(os.Environ(), syncCrashDir+"="+dir, syncCrashDir+"_NEXT="+strconv.FormatInt(*added+1, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := 0
	for in := bufio.NewScanner(out); in.Scan(); {
		what, number, _ := strings.Cut(in.Text(), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Errorf("the child said %q", in.Text())
			continue
		}
		if what == "add" {
			*added = n
		} else {
			*done = max(*done, n)
		}
		if said++; said == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if said < lines {
		t.Fatalf("the child ended by itself after %d lines", said)
	}
}

// checkSyncCrashed compares what is stored with what was said, and returns the last event that was accepted.
func checkSyncCrashed(t *testing.T, dir string, task oms.SyncTask, round int, added, done int64) int64 {
	t.Helper()
	db, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	events, err := db.SyncEvents(t.Context(), task.Number, 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	months, err := db.SyncStatistics(t.Context(), task.Number, oms.SpanMonth, time.Time{}, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var sum oms.SyncCounts
	for _, m := range months {
		sum = sum.Add(m.SyncCounts)
	}
	pending := int64(len(events))
	if sum.Requests < added || sum.Successes < done || sum.Requests != sum.Successes+pending || pendingOf(t, db, task) != pending {
		t.Fatalf("round %d: accepted %d, settled %d were said; stored are %+v and %d events", round, added, done, sum, pending)
	}
	for i, e := range events { // events are settled in order, so what is left is the tail without a gap
		if want := strconv.FormatInt(sum.Successes+int64(i)+1, 10); e.Key != want {
			t.Fatalf("round %d: event %d is %s, want %s", round, i, e.Key, want)
		}
	}
	return sum.Requests
}
