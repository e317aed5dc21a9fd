package db

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func TestSQLiteTaskGroups(t *testing.T) { testGroupSuite(t, openSQLite) }

// testGroupSuite is what every kind of database must pass for task groups.
func testGroupSuite(t *testing.T, open opener) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, db *DB, c *clock)
	}{
		{"round trip", testGroupRoundTrip},
		{"list", testGroups},
		{"daily quota", testGroupQuota},
		{"change", testChangeGroup},
		{"limits", testGroupLimits},
		{"split", testCommitSplit},
		{"split refused", testCommitSplitRefused},
		{"totals", testGroupTotals},
		{"tasks", testGroupTasks},
		{"step", testChangeGroupTasks},
		{"lease", testClaimGroup},
		{"remove", testRemoveGroup},
		{"waiting quota", testGroupTasksNotInQuota},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			tt.run(t, open(t, c.now), c)
		})
	}
}

// newGroup is a group as the engine creates it.
func newGroup(id, project string) oms.Group {
	spec := waitingTask(project).Spec
	spec.Src.Keys = []string{"a/", "b/"}
	spec.Bandwidth = []oms.BandwidthWindow{{Start: 1, End: 2, Limit: oms.MinBandwidth}}
	return oms.Group{ID: id, ProjectID: project, Spec: spec, Generation: 1}
}

// firstSpan is the span of the whole space of a prefix.
func firstSpan() []oms.GroupSpan { return []oms.GroupSpan{{Seq: 1}} }

func mustCreateGroup(t *testing.T, db *DB, g oms.Group, sealed map[string][]byte) oms.Group {
	t.Helper()
	g, err := db.CreateGroup(t.Context(), g, firstSpan(), oms.GroupLimits{}, sealed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustGroup(t *testing.T, db *DB, id string) oms.Group {
	t.Helper()
	g, err := db.Group(t.Context(), "", id)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// splitting creates a group that is being split.
func splitting(t *testing.T, db *DB, id string) oms.Group {
	t.Helper()
	g := newGroup(id, "p")
	g.Status = oms.GroupCreating
	return mustCreateGroup(t, db, g, nil)
}

func testGroupRoundTrip(t *testing.T, db *DB, c *clock) {
	g := newGroup("g1", "p")
	g.Status, g.SplitOver, g.SplitStep, g.Restart = oms.GroupFailed, true, 7, oms.RestartFailed
	g.RestartFrom, g.RestartTo, g.RunFor = 3, 9, time.Minute
	g.StartedAt, g.Error = c.now().Add(-time.Hour), &oms.ErrorReason{Code: "TRF.0004", Message: "some"}
	got, err := db.CreateGroup(t.Context(), g, firstSpan(), oms.GroupLimits{}, map[string][]byte{"src": []byte("sealed")})
	if err != nil {
		t.Fatal(err)
	}
	g.CreatedAt, g.UpdatedAt = c.now(), c.now()
	diff(t, "created", got, g)
	diff(t, "read", mustGroup(t, db, "g1"), g)
	_, err = db.Group(t.Context(), "other", "g1")
	wantKind(t, err, oms.NotFound, "OMS.1009")
	_, err = db.Group(t.Context(), "p", "g2")
	wantKind(t, err, oms.NotFound, "OMS.1009")
	sealed, err := db.GroupCredentials(t.Context(), "g1")
	if err != nil || string(sealed["src"]) != "sealed" {
		t.Errorf("credentials %q, %v", sealed, err)
	}
	if spans, err := db.GroupSpans(t.Context(), "g1"); err != nil || !slices.Equal(spans, firstSpan()) {
		t.Errorf("spans %+v, %v", spans, err)
	}
	if texts, err := db.SealedTexts(t.Context(), 10); err != nil || len(texts) != 1 || string(texts[0]) != "sealed" {
		t.Errorf("sealed texts %q, %v", texts, err)
	}
}

func testGroups(t *testing.T, db *DB, c *clock) {
	for i, status := range []oms.GroupStatus{oms.GroupWaiting, oms.GroupCreating, oms.GroupFailed, oms.GroupWaiting, oms.GroupDeleting} {
		g := newGroup("g"+strconv.Itoa(i), "p")
		g.Status = status
		mustCreateGroup(t, db, g, nil)
		c.advance(time.Second)
	}
	mustCreateGroup(t, db, newGroup("foreign", "q"), nil)
	list := func(f oms.GroupFilter) (ids []string, total int64) {
		page, total, err := db.Groups(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page {
			ids = append(ids, g.ID)
		}
		return ids, total
	}
	tests := []struct {
		filter oms.GroupFilter
		want   []string
		total  int64
	}{
		{oms.GroupFilter{Limit: 10}, []string{"g4", "g3", "g2", "g1", "g0"}, 5},
		{oms.GroupFilter{Limit: 2, Offset: 1}, []string{"g3", "g2"}, 5},
		{oms.GroupFilter{Limit: 2, Offset: 99}, nil, 5},
		{oms.GroupFilter{Limit: 10, Statuses: []oms.GroupStatus{oms.GroupWaiting}}, []string{"g3", "g0"}, 2},
		{oms.GroupFilter{Limit: 10, Statuses: []oms.GroupStatus{oms.GroupSucceeded}}, nil, 0},
	}
	for _, tt := range tests {
		tt.filter.ProjectID = "p"
		if ids, total := list(tt.filter); !slices.Equal(ids, tt.want) || total != tt.total {
			t.Errorf("%+v: %v of %d, want %v of %d", tt.filter, ids, total, tt.want, tt.total)
		}
	}
	pending, err := db.PendingGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, g := range pending {
		ids = append(ids, g.ID)
	}
	if want := []string{"g0", "g1", "g3", "g4", "foreign"}; !slices.Equal(ids, want) {
		t.Errorf("pending %v, want %v", ids, want)
	}
}

// A deleted group still counts for the day it was created on (OMS.1037).
func testGroupQuota(t *testing.T, db *DB, c *clock) {
	limits := oms.GroupLimits{CreatedPerDay: 2}
	create := func(id, project string) error {
		g := newGroup(id, project)
		g.Status = oms.GroupDeleting
		_, err := db.CreateGroup(t.Context(), g, nil, limits, nil)
		return err
	}
	for _, id := range []string{"a", "b"} {
		if err := create(id, "p"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.RemoveGroup(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, create("c", "p"), oms.Conflict, "OMS.1037")
	if err := create("c", "q"); err != nil {
		t.Errorf("another project: %v", err)
	}
	c.advance(24 * time.Hour)
	if err := create("d", "p"); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func testChangeGroup(t *testing.T, db *DB, c *clock) {
	mustCreateGroup(t, db, newGroup("g", "p"), map[string][]byte{"src": []byte("one"), "dst": []byte("two")})
	boom := errors.New("boom")
	_, err := db.ChangeGroup(t.Context(), "p", "g", func(g oms.Group) (oms.GroupChange, error) {
		g.Status = oms.GroupPaused
		return oms.GroupChange{Group: g, Wipe: true}, boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("error of the change: %v", err)
	}
	if g := mustGroup(t, db, "g"); g.Status != oms.GroupWaiting {
		t.Errorf("a refused change was stored: %+v", g)
	}
	_, err = db.ChangeGroup(t.Context(), "q", "g", func(g oms.Group) (oms.GroupChange, error) { return oms.GroupChange{Group: g}, nil })
	wantKind(t, err, oms.NotFound, "OMS.1009")
	got, err := db.ChangeGroup(t.Context(), "p", "g", func(g oms.Group) (oms.GroupChange, error) {
		next, err := g.Apply(oms.GroupEvent{Type: oms.GroupEventSchedule}, c.now())
		return oms.GroupChange{Group: next, Credentials: map[string][]byte{"src": []byte("new")}}, err
	})
	if err != nil || got.Status != oms.GroupCreating || got.StartedAt != c.now() {
		t.Fatalf("changed %+v, %v", got, err)
	}
	if sealed, err := db.GroupCredentials(t.Context(), "g"); err != nil || len(sealed) != 1 || string(sealed["src"]) != "new" {
		t.Errorf("credentials %q, %v, want the new ones only", sealed, err)
	}
	if _, err := db.ChangeGroup(t.Context(), "", "g", func(g oms.Group) (oms.GroupChange, error) { return oms.GroupChange{Group: g, Wipe: true}, nil }); err != nil {
		t.Fatal(err)
	}
	_, err = db.GroupCredentials(t.Context(), "g")
	wantKind(t, err, oms.NotFound, "")
}

// Limits reach all tasks that are not finished, and no other ones.
func testGroupLimits(t *testing.T, db *DB, _ *clock) {
	g := splitting(t, db, "g")
	other := mustCreate(t, db, waitingTask("p"))
	commit := oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: []oms.GroupPiece{{Keys: []string{"a/"}}, {Keys: []string{"b/"}}}}
	if err := db.CommitSplit(t.Context(), commit, noSeal); err != nil {
		t.Fatal(err)
	}
	tasks := tasksOf(t, db, "g")
	mustChange(t, db, tasks[0].ID, func(c *oms.TaskChange) { c.Task.Status = oms.StatusSucceeded })
	ws := []oms.BandwidthWindow{{Start: 5, End: 6, Limit: oms.MaxBandwidth}}
	_, err := db.ChangeGroup(t.Context(), "p", "g", func(g oms.Group) (oms.GroupChange, error) {
		g.Spec.Bandwidth = ws
		return oms.GroupChange{Group: g, Limits: true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "a finished task", mustTask(t, db, tasks[0].ID).Spec.Bandwidth, g.Spec.Bandwidth)
	diff(t, "a waiting task", mustTask(t, db, tasks[1].ID).Spec.Bandwidth, ws)
	diff(t, "a task of its own", mustTask(t, db, other.ID).Spec.Bandwidth, other.Spec.Bandwidth)
}

func tasksOf(t *testing.T, db *DB, id string) []oms.Task {
	t.Helper()
	tasks, err := db.GroupTasks(t.Context(), oms.GroupTaskQuery{GroupID: id, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return tasks
}

func testCommitSplit(t *testing.T, db *DB, c *clock) {
	splitting(t, db, "g")
	span := oms.GroupSpan{
		Seq: 1, First: 0, Start: "a/\xff\x00", Prefix: 1, Cur: "b/x", End: "b/\xfe", Objects: 3, Bytes: 4, Last: 1, UpTo: "b/\xff", TailObjects: 5, TailBytes: 6,
	}
	commit := oms.SplitCommit{
		GroupID: "g", Generation: 1, Spans: []oms.GroupSpan{span, {Seq: 2}},
		Pieces: []oms.GroupPiece{{Keys: []string{"a/"}, Slice: oms.KeySlice{UpTo: []byte("a/\xff\x00")}, Objects: 10, Bytes: 20}},
	}
	var ids []int64
	err := db.CommitSplit(t.Context(), commit, func(id int64) (map[string][]byte, error) {
		ids = append(ids, id)
		return map[string][]byte{"src": []byte("s")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tasks := tasksOf(t, db, "g")
	if len(tasks) != 1 || !slices.Equal(ids, []int64{tasks[0].ID}) {
		t.Fatalf("tasks %+v, sealed for %v", tasks, ids)
	}
	task := tasks[0]
	diff(t, "slice", task.Spec.Slice, &oms.KeySlice{UpTo: []byte("a/\xff\x00")})
	if task.GroupID != "g" || task.GroupType != oms.GroupGroup || task.Status != oms.StatusWaiting || task.Found != 10 || task.FoundBytes != 20 ||
		task.ProjectID != "p" || task.QueuedAt != c.now() || task.Name == "" {
		t.Errorf("task %+v", task)
	}
	if _, err := db.Credentials(t.Context(), task.ID); err != nil {
		t.Error(err)
	}
	if spans, err := db.GroupSpans(t.Context(), "g"); err != nil || !slices.Equal(spans, []oms.GroupSpan{span, {Seq: 2}}) {
		t.Errorf("spans %+v, %v", spans, err)
	}
	if g := mustGroup(t, db, "g"); g.SplitStep != 1 || g.Open != 8 || g.OpenBytes != 10 || g.Totals.Found != 10 || g.LastTask != task.ID || g.Status != oms.GroupCreating {
		t.Errorf("group %+v", g)
	}
	last := oms.SplitCommit{GroupID: "g", Generation: 1, Step: 1, Removed: []int64{1, 2}, Over: true, Pieces: []oms.GroupPiece{{Keys: []string{"a/", "b/"}}, {Keys: []string{"b/"}}}}
	if err := db.CommitSplit(t.Context(), last, noSeal); err != nil {
		t.Fatal(err)
	}
	if g := mustGroup(t, db, "g"); g.Status != oms.GroupMonitoring || !g.SplitOver || g.SplitStep != 2 || g.Open != 0 || g.Totals.Tasks.Waiting != 3 {
		t.Errorf("group %+v", g)
	}
	names := map[string]bool{}
	for _, task := range tasksOf(t, db, "g") {
		names[task.Name] = true
	}
	if len(names) != 3 {
		t.Errorf("names %v, want three", names)
	}
}

// A step is stored once, and only while the group is being split, in its run (rule P7).
func testCommitSplitRefused(t *testing.T, db *DB, _ *clock) {
	good := oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: []oms.GroupPiece{{Keys: []string{"a/"}}}}
	splitting(t, db, "g")
	boom := errors.New("boom")
	err := db.CommitSplit(t.Context(), good, func(int64) (map[string][]byte, error) { return nil, boom })
	if !errors.Is(err, boom) {
		t.Fatalf("error of seal: %v", err)
	}
	if err := db.CommitSplit(t.Context(), good, noSeal); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.CommitSplit(t.Context(), good, noSeal), oms.Conflict, "")
	for name, change := range map[string]func(*oms.SplitCommit){
		"a later step":   func(c *oms.SplitCommit) { c.Step = 2 },
		"an older run":   func(c *oms.SplitCommit) { c.Generation = 0 },
		"a newer run":    func(c *oms.SplitCommit) { c.Generation = 2 },
		"another group":  func(c *oms.SplitCommit) { c.GroupID = "other" },
		"the first step": func(c *oms.SplitCommit) { c.Step = 0 },
	} {
		c := good
		c.Step = 1
		change(&c)
		if err := db.CommitSplit(t.Context(), c, noSeal); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
	for _, status := range oms.GroupStatuses() {
		id := "s" + strconv.Itoa(int(status))
		g := newGroup(id, "p")
		g.Status = status
		mustCreateGroup(t, db, g, nil)
		c := good
		c.GroupID, c.Over = id, true
		err := db.CommitSplit(t.Context(), c, noSeal)
		if stored := err == nil; stored != (status == oms.GroupCreating || status == oms.GroupPausing) {
			t.Errorf("in %s: %v", status, err)
		}
	}
	if g := mustGroup(t, db, "s7"); g.Status != oms.GroupPausing || !g.SplitOver {
		t.Errorf("a group that pauses while its split ends is %s, over %t", g.Status, g.SplitOver)
	}
	if n := len(tasksOf(t, db, "g")); n != 1 {
		t.Errorf("%d tasks, want one", n)
	}
}

// What a group shows is the sum over its tasks, and a deleted task still counts (OMS v2, 8, row 11).
func testGroupTotals(t *testing.T, db *DB, _ *clock) {
	splitting(t, db, "g")
	var pieces []oms.GroupPiece
	for range 4 {
		pieces = append(pieces, oms.GroupPiece{Keys: []string{"a/"}, Objects: 10, Bytes: 100})
	}
	if err := db.CommitSplit(t.Context(), oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: pieces}, noSeal); err != nil {
		t.Fatal(err)
	}
	tasks := tasksOf(t, db, "g")
	usable := true
	for i, status := range []oms.Status{oms.StatusSucceeded, oms.StatusFailed, oms.StatusPausing, oms.StatusPaused} {
		mustChange(t, db, tasks[i].ID, func(c *oms.TaskChange) {
			c.Task.Status = status
			c.Ranges = []oms.Range{{Seq: 1, Generation: 1, Kind: oms.RangeKeys}, {Seq: 2, Generation: 1, Kind: oms.RangeKeys, Start: "m", Cur: "m"}}
			if status == oms.StatusFailed {
				c.Task.FailedList = oms.FailedList{Result: &usable, Key: "list"}
				c.Task.Error = &oms.ErrorReason{Code: "TRF.0004", Message: "some"}
			}
		})
	}
	for i, n := range []int64{12, 3} { // one task found more than the split had measured
		r := mustClaim(t, db, "w", tasks[i].ID, 1)[0]
		mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(r, "k", migrated(n, 10))}})
	}
	want := oms.GroupTotals{
		Tasks: oms.TaskCounts{Running: 1, Paused: 1, Failed: 1, Succeeded: 1}, Found: 42, FoundBytes: 420, Counters: migrated(15, 10),
	}
	g := mustGroup(t, db, "g")
	diff(t, "totals", g.Totals, want)
	diff(t, "failed list", g.FailedList, oms.FailedList{Result: &usable, Key: "oms/task_group/g/failed_object_lists/"})
	if reasons, err := db.GroupReasons(t.Context(), "g", 5); err != nil || !slices.Equal(reasons, []oms.ErrorReason{{Code: "TRF.0004", Message: "some"}}) {
		t.Errorf("reasons %+v, %v", reasons, err)
	}
	if err := db.DeleteTask(t.Context(), "p", tasks[0].ID, func(oms.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	g = mustGroup(t, db, "g")
	diff(t, "gone", g.Gone, oms.GroupTotals{Tasks: oms.TaskCounts{Succeeded: 1}, Found: 12, FoundBytes: 120, Counters: migrated(12, 10)})
	diff(t, "left", g.Totals, oms.GroupTotals{
		Tasks: oms.TaskCounts{Running: 1, Paused: 1, Failed: 1}, Found: 30, FoundBytes: 300, Counters: migrated(3, 10),
	})
	pending, err := db.PendingGroups(t.Context())
	if err != nil || len(pending) != 1 || pending[0].Totals.Tasks != g.Totals.Tasks || pending[0].LastTask != tasks[3].ID {
		t.Errorf("pending %+v, %v", pending, err)
	}
}

func testGroupTasks(t *testing.T, db *DB, _ *clock) {
	splitting(t, db, "g")
	mustCreate(t, db, waitingTask("p"))
	pieces := make([]oms.GroupPiece, 5)
	for i := range pieces {
		pieces[i].Keys = []string{"a/"}
	}
	if err := db.CommitSplit(t.Context(), oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: pieces}, noSeal); err != nil {
		t.Fatal(err)
	}
	all := tasksOf(t, db, "g")
	if len(all) != 5 {
		t.Fatalf("%d tasks, want 5", len(all))
	}
	mustChange(t, db, all[2].ID, func(c *oms.TaskChange) { c.Task.Status = oms.StatusFailed })
	tests := []struct {
		query oms.GroupTaskQuery
		want  []oms.Task
	}{
		{oms.GroupTaskQuery{Limit: 2}, all[:2]},
		{oms.GroupTaskQuery{After: all[1].ID, UpTo: all[3].ID, Limit: 9}, all[2:4]},
		{oms.GroupTaskQuery{Statuses: []oms.Status{oms.StatusFailed, oms.StatusPaused}, Limit: 9}, all[2:3]},
		{oms.GroupTaskQuery{After: all[4].ID, Limit: 9}, nil},
	}
	for _, tt := range tests {
		tt.query.GroupID = "g"
		got, err := db.GroupTasks(t.Context(), tt.query)
		if err != nil || !slices.EqualFunc(got, tt.want, func(a, b oms.Task) bool { return a.ID == b.ID }) {
			t.Errorf("%+v: %d tasks, %v, want %d", tt.query, len(got), err, len(tt.want))
		}
	}
	if none, err := db.GroupTasks(t.Context(), oms.GroupTaskQuery{Limit: 9}); err != nil || len(none) != 0 {
		t.Errorf("no group: %d tasks, %v", len(none), err)
	}
}

func testChangeGroupTasks(t *testing.T, db *DB, _ *clock) {
	splitting(t, db, "g")
	own := mustCreate(t, db, waitingTask("p"))
	if err := db.CommitSplit(t.Context(), oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: []oms.GroupPiece{{Keys: []string{"a/"}}, {Keys: []string{"b/"}}}}, noSeal); err != nil {
		t.Fatal(err)
	}
	tasks := tasksOf(t, db, "g")
	hold := func(task oms.Task) (*oms.TaskChange, error) {
		if task.ID == tasks[1].ID {
			return nil, nil //nolint:nilnil // leaves the task
		}
		task.Status = oms.StatusPaused
		return &oms.TaskChange{Task: task}, nil
	}
	step := oms.GroupStep{GroupID: "g", Generation: 1, Tasks: []int64{tasks[0].ID, tasks[1].ID, own.ID, 999}, RestartFrom: 7}
	if err := db.ChangeGroupTasks(t.Context(), step, hold); err != nil {
		t.Fatal(err)
	}
	got := []oms.Status{mustTask(t, db, tasks[0].ID).Status, mustTask(t, db, tasks[1].ID).Status, mustTask(t, db, own.ID).Status}
	if want := []oms.Status{oms.StatusPaused, oms.StatusWaiting, oms.StatusWaiting}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if g := mustGroup(t, db, "g"); g.RestartFrom != 7 {
		t.Errorf("restart from %d, want 7", g.RestartFrom)
	}
	step.RestartFrom = 3
	if err := db.ChangeGroupTasks(t.Context(), step, hold); err != nil || mustGroup(t, db, "g").RestartFrom != 7 {
		t.Errorf("the position went back: %v", err)
	}
	boom := errors.New("boom")
	step.RestartFrom = 9
	err := db.ChangeGroupTasks(t.Context(), step, func(oms.Task) (*oms.TaskChange, error) { return nil, boom })
	if !errors.Is(err, boom) || mustGroup(t, db, "g").RestartFrom != 7 {
		t.Errorf("a refused step: %v", err)
	}
	step.Generation = 2
	wantKind(t, db.ChangeGroupTasks(t.Context(), step, hold), oms.Conflict, "")
}

// One process splits a group; it loses the group when it is gone (rule C1).
func testClaimGroup(t *testing.T, db *DB, c *clock) {
	splitting(t, db, "g")
	claim := func(owner string, generation int64) bool {
		t.Helper()
		ok, err := db.ClaimGroup(t.Context(), owner, "g", generation)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if claim("one", 2) || !claim("one", 1) || claim("two", 1) || !claim("one", 1) {
		t.Error("claims are not exclusive")
	}
	if _, err := db.ClaimGroup(t.Context(), "", "g", 1); err == nil {
		t.Error("a claim without an owner")
	}
	if err := db.ReleaseGroup(t.Context(), "two", "g"); err != nil || mustGroup(t, db, "g").Owner != "one" {
		t.Errorf("another one gave the group back: %v", err)
	}
	c.advance(time.Minute)
	if err := db.Heartbeat(t.Context(), "two", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if !claim("two", 1) {
		t.Error("the group of a dead worker cannot be claimed")
	}
	if err := db.RemoveWorker(t.Context(), "two"); err != nil || mustGroup(t, db, "g").Owner != "" {
		t.Errorf("a removed worker keeps its group: %v", err)
	}
	claim("three", 1)
	if err := db.ReleaseAll(t.Context()); err != nil || mustGroup(t, db, "g").Owner != "" {
		t.Errorf("after releasing all: %v", err)
	}
	claim("four", 1)
	if err := db.ReleaseGroup(t.Context(), "four", "g"); err != nil || mustGroup(t, db, "g").Owner != "" {
		t.Errorf("after the release: %v", err)
	}
	idle := newGroup("idle", "p")
	mustCreateGroup(t, db, idle, nil)
	if ok, err := db.ClaimGroup(context.Background(), "one", "idle", 1); ok || err != nil {
		t.Errorf("a group that is not split was claimed: %v", err)
	}
}

func testRemoveGroup(t *testing.T, db *DB, _ *clock) {
	splitting(t, db, "g")
	wantKind(t, db.RemoveGroup(t.Context(), "g"), oms.Conflict, "OMS.1036")
	if err := db.CommitSplit(t.Context(), oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: []oms.GroupPiece{{Keys: []string{"a/"}}}}, noSeal); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ChangeGroup(t.Context(), "", "g", func(g oms.Group) (oms.GroupChange, error) {
		g.Status = oms.GroupDeleting
		return oms.GroupChange{Group: g, Credentials: map[string][]byte{"src": []byte("s")}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.RemoveGroup(t.Context(), "g"), oms.Conflict, "OMS.1036") // it has a task
	if err := db.DeleteTask(t.Context(), "p", tasksOf(t, db, "g")[0].ID, func(oms.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.RemoveGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	_, err := db.Group(t.Context(), "", "g")
	wantKind(t, err, oms.NotFound, "OMS.1009")
	for _, table := range []string{"task_groups", "group_spans", "group_credentials"} {
		if n := count(t.Context(), t, db, table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// Tasks that the service made itself do not use up what a project may create and let wait.
func testGroupTasksNotInQuota(t *testing.T, db *DB, _ *clock) {
	splitting(t, db, "g")
	if err := db.CommitSplit(t.Context(), oms.SplitCommit{GroupID: "g", Generation: 1, Pieces: make([]oms.GroupPiece, 3)}, noSeal); err != nil {
		t.Fatal(err)
	}
	_, err := db.CreateTask(t.Context(), waitingTask("p"), oms.Quota{Waiting: 1, CreatedPerDay: 1}, noSeal)
	if err != nil {
		t.Errorf("a task beside three of a group: %v", err)
	}
}
