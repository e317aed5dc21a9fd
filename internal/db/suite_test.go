package db

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func TestSQLite(t *testing.T) { testSuite(t, openSQLite) }

// testSuite is what every kind of database must pass.
func testSuite(t *testing.T, open opener) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, db *DB, c *clock)
	}{
		{"create task", testCreateTask},
		{"task round trip", testTaskRoundTrip},
		{"task ids", testTaskIDs},
		{"task names", testTaskNames},
		{"quota", testQuota},
		{"task not found", testTaskNotFound},
		{"list tasks", testTasks},
		{"pending tasks", testPendingTasks},
		{"tasks that may start", testMayStart},
		{"changed tasks", testChangedTasks},
		{"change task", testChangeTask},
		{"change tasks", testChangeTasks},
		{"fresh", testFresh},
		{"credentials", testCredentials},
		{"sealed texts", testSealedTexts},
		{"partial bytes", testPartialBytes},
		{"delete task", testDeleteTask},
		{"claim ranges", testClaimRanges},
		{"object lists", testObjectLists},
		{"steps of an object list", testObjectListSteps},
		{"claim at once", testClaimAtOnce},
		{"key order", testKeyOrder},
		{"commit", testCommit},
		{"commit lost", testCommitLost},
		{"commit refused", testCommitRefused},
		{"cut", testCut},
		{"failures", testFailures},
		{"causes", testCauses},
		{"connections", testConnections},
		{"schedules", testSchedules},
		{"firings of schedules", testFirings},
		{"uploads", testUploads},
		{"restores", testRestores},
		{"restore budget", testRestoreBudget},
		{"workers", testWorkers},
		{"worker clock", testWorkerClock},
		{"release all", testReleaseAll},
		{"bootstrap", testBootstrap},
		{"users and projects", testUsersAndProjects},
		{"access keys", testAccessKeys},
		{"tokens", testTokens},
		{"signatures", testSignatures},
		{"audit", testAudit},
		{"operating points", testOperatingPoints},
		{"listing hints", testListingHints},
		{"cancelled", testCancelled},
		{"readers beside a writer", testReadersBesideWriter},
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

func testCreateTask(t *testing.T, db *DB, c *clock) {
	var sealedFor int64
	want := waitingTask("p")
	got, err := db.CreateTask(t.Context(), want, oms.Quota{}, func(id int64) (map[string][]byte, error) {
		sealedFor = id
		return map[string][]byte{"src": {1, 0, 2}, "dst": {3}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	now := c.now()
	want.ID, want.Name = now.Unix()*taskIDStep, "photos-backup-1772366400123"
	want.CreatedAt, want.UpdatedAt, want.QueuedAt = now, now, now
	diff(t, "task", got, want)
	diff(t, "id given to seal", sealedFor, want.ID)
	diff(t, "task read again", mustTask(t, db, got.ID), want)
	sealed, err := db.Credentials(t.Context(), got.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "credentials", sealed, map[string][]byte{"src": {1, 0, 2}, "dst": {3}})

	// An error of seal leaves nothing behind, not even the id.
	refusal := errors.New("no key")
	_, err = db.CreateTask(t.Context(), waitingTask("p"), oms.Quota{}, func(int64) (map[string][]byte, error) { return nil, refusal })
	if err != refusal { //nolint:errorlint // it must be the very error
		t.Fatalf("got %v, want the error of seal", err)
	}
	if n := count(t.Context(), t, db, "tasks"); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
	diff(t, "next id", mustCreate(t, db, waitingTask("p")).ID, want.ID+1)

	// JSON would change these names (rule D3).
	bad := waitingTask("p")
	bad.Spec.Src.Keys = []string{"a\xff"}
	_, err = db.CreateTask(t.Context(), bad, oms.Quota{}, noSeal)
	wantKind(t, err, oms.Unsupported, "")
}

func testTaskRoundTrip(t *testing.T, db *DB, c *clock) {
	task := mustCreate(t, db, waitingTask("p"))
	no := false
	want := task
	want.Name, want.GroupID, want.GroupType = "n", "g", oms.GroupGroup
	want.Spec = oms.TaskSpec{
		Type: oms.TypeList,
		Src: oms.SourceNode{
			CloudType: oms.CloudAWS, Region: "r", Bucket: "b", AppID: "1", Keys: []string{"\x00", "<&>\u2028é"},
			ListFile: &oms.ListFile{Bucket: "lb", Key: "lk", Num: "3"},
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "x", PathStyle: true, Trusted: true},
		},
		Dst:          oms.DestinationNode{CloudType: oms.CloudHEC, Region: "q", Bucket: "d", SavePrefix: "pre/"},
		Description:  "words",
		MigrateSince: time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC),
		Bandwidth:    []oms.BandwidthWindow{{Start: 1, End: 2, Limit: oms.MinBandwidth}},
		CDN:          &oms.CDN{Domain: "d", Protocol: "https", AuthenticationType: "NONE"},
		SMN:          &oms.SMNConfig{TopicURN: "u", TriggerConditions: []string{"SUCCESS"}, Language: "en", TemplateName: "t"},

		MigrateMetadata: true, Restore: true, RecordFailures: true, RequesterPays: true, KMS: true,
		Overwrite: oms.FullOverwrite, StoragePolicy: oms.StorageIA, StorageClassSent: true,
		Consistency: oms.CheckCRC64, Priority: oms.PriorityHigh,
	}
	want.Status, want.Generation, want.FailedOnly, want.Planned, want.QueryOver = oms.StatusPausing, 9, true, true, true
	want.Error = &oms.ErrorReason{Code: "", Message: "m"}
	want.FailedList = oms.FailedList{Result: &no, Key: "k\xff\x00", Code: "OMS.0303"}
	want.Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want.UpdatedAt, want.QueuedAt, want.StartedAt = c.now().Add(1), c.now().Add(2*time.Microsecond), c.now().Add(3*time.Microsecond)
	want.UpdatedAt = want.UpdatedAt.Truncate(time.Microsecond)
	want.RunFor = 90*time.Minute + 1
	want.Found, want.FoundBytes, want.PartialBytes = 3000, 1<<40, 77

	stored := want
	stored.ID, stored.ProjectID, stored.CreatedAt = 1, "other", time.Time{} // never change
	stored.Counters, stored.Speed, stored.EndedAt = failed(3), 4, c.now()   // not stored
	got := mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task = stored })
	diff(t, "changed task", got, want)
	diff(t, "task read again", mustTask(t, db, task.ID), want)

	want.Error, want.FailedList = nil, oms.FailedList{}
	want.StartedAt, want.Epoch = time.Time{}, time.Time{}
	diff(t, "task without error", mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task = want }), want)
}

func testTaskIDs(t *testing.T, db *DB, c *clock) {
	var last int64
	for i, step := range []time.Duration{0, 0, time.Second, -time.Hour, 0, time.Microsecond, 3 * time.Hour} {
		c.advance(step)
		task := mustCreate(t, db, waitingTask("p"))
		if task.ID <= last || task.ID >= 1e15 {
			t.Fatalf("task %d: id %d after %d", i, task.ID, last)
		}
		last = task.ID
		if i == 4 { // the id of a deleted task is not given again, even with the clock set back
			if err := db.DeleteTask(t.Context(), "p", last, func(oms.Task) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func testTaskNames(t *testing.T, db *DB, _ *clock) {
	tests := []struct {
		src, list, dst, name string
		want                 string
	}{
		{"photos", "", "backup", "", "photos-backup-1772366400123"},
		{"photos", "", "backup", "", "photos-backup-1772366400124"},
		{"photos", "", "backup", "mine", "mine"},
		{"", "lists", "backup", "", "lists-backup-1772366400123"},
		{"a/../b", "", "c\\d\x00é", "", "a_.._b-c_d__-1772366400123"},
		{"..", "", ".", "", "__-_-1772366400123"},
		{strings.Repeat("x", 300), "", strings.Repeat("y", 300), "", strings.Repeat("x", 100) + "-" + strings.Repeat("y", 100) + "-1772366400123"},
	}
	for _, tt := range tests {
		task := waitingTask("p")
		task.Name = tt.name
		task.Spec.Src.Bucket, task.Spec.Dst.Bucket = tt.src, tt.dst
		if tt.list != "" {
			task.Spec.Src.ListFile = &oms.ListFile{Bucket: tt.list}
		}
		diff(t, "name", mustCreate(t, db, task).Name, tt.want)
	}
	diff(t, "name in another project", mustCreate(t, db, waitingTask("q")).Name, "photos-backup-1772366400123")
}

func testQuota(t *testing.T, db *DB, c *clock) {
	quota := oms.Quota{Running: 1, Waiting: 2, CreatedPerDay: 4}
	create := func(project string) (oms.Task, error) {
		return db.CreateTask(t.Context(), waitingTask(project), quota, noSeal)
	}
	var tasks []oms.Task
	must := func(project string) {
		t.Helper()
		task, err := create(project)
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	must("p")
	must("p")
	must("q") // counts for itself
	_, err := create("p")
	wantKind(t, err, oms.Conflict, "OMS.0077")

	mustChange(t, db, tasks[0].ID, func(c *oms.TaskChange) { c.Task.Status = oms.StatusRunning })
	must("p")
	for _, task := range tasks { // deleted tasks still count for the day
		if err := db.DeleteTask(t.Context(), "", task.ID, func(oms.Task) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	must("p")
	_, err = create("p")
	wantKind(t, err, oms.Conflict, "OMS.1021")
	c.advance(creationWindow - time.Microsecond)
	_, err = create("p")
	wantKind(t, err, oms.Conflict, "OMS.1021")
	c.advance(time.Microsecond)
	must("p")
	if n := count(t.Context(), t, db, "task_creations"); n != 1 {
		t.Errorf("%d creations are kept, want 1", n)
	}
	// No bounds at all.
	for range 5 {
		mustCreate(t, db, waitingTask("p"))
	}
}

func testTaskNotFound(t *testing.T, db *DB, _ *clock) {
	task := mustCreate(t, db, waitingTask("p"))
	change := func(oms.Task) (oms.TaskChange, error) {
		t.Error("change was called")
		return oms.TaskChange{}, nil
	}
	check := func(oms.Task) error {
		t.Error("check was called")
		return nil
	}
	for _, foreign := range []struct {
		project string
		id      int64
	}{{"q", task.ID}, {"p", task.ID + 1}, {"", 0}} {
		_, err := db.Task(t.Context(), foreign.project, foreign.id)
		wantKind(t, err, oms.NotFound, "OMS.1009")
		_, err = db.ChangeTask(t.Context(), foreign.project, foreign.id, change)
		wantKind(t, err, oms.NotFound, "OMS.1009")
		wantKind(t, db.ChangeTasks(t.Context(), foreign.project, "", []int64{foreign.id}, change), oms.NotFound, "OMS.1009")
		wantKind(t, db.DeleteTask(t.Context(), foreign.project, foreign.id, check), oms.NotFound, "OMS.1009")
	}
	_, err := db.Credentials(t.Context(), task.ID)
	wantKind(t, err, oms.NotFound, "")
	if list := mustClaim(t, db, "w", 12345, 1); list != nil {
		t.Errorf("claimed %v of an unknown task", list)
	}
}

func testTasks(t *testing.T, db *DB, _ *clock) {
	var ids []int64
	for i := range 5 {
		task := waitingTask("p")
		task.Name = fmt.Sprintf("Name%%_%d", i)
		if i%2 == 0 {
			task.GroupID = "g"
		}
		if i == 4 {
			task.Status = oms.StatusFailed
		}
		ids = append(ids, mustCreate(t, db, task).ID)
	}
	mustCreate(t, db, waitingTask("q"))
	mustChange(t, db, ids[0], func(c *oms.TaskChange) {
		c.Ranges = []oms.Range{{Seq: 1, Counters: failed(1)}, {Seq: 2, Counters: migrated(2, 10)}}
	})
	tests := []struct {
		name   string
		filter oms.TaskFilter
		want   []int // indices into ids
		total  int64
	}{
		{"all", oms.TaskFilter{ProjectID: "p", Limit: 10}, []int{4, 3, 2, 1, 0}, 5},
		{"first page", oms.TaskFilter{ProjectID: "p", Limit: 2}, []int{4, 3}, 5},
		{"last page", oms.TaskFilter{ProjectID: "p", Limit: 2, Offset: 4}, []int{0}, 5},
		{"beyond", oms.TaskFilter{ProjectID: "p", Limit: 2, Offset: 9}, nil, 5},
		{"no page", oms.TaskFilter{ProjectID: "p"}, nil, 5},
		{"group", oms.TaskFilter{ProjectID: "p", GroupID: "g", Limit: 10}, []int{4, 2, 0}, 3},
		{"status", oms.TaskFilter{ProjectID: "p", Status: oms.StatusFailed, Limit: 10}, []int{4}, 1},
		{"group and status", oms.TaskFilter{ProjectID: "p", GroupID: "g", Status: oms.StatusWaiting, Limit: 10}, []int{2, 0}, 2},
		{"name", oms.TaskFilter{ProjectID: "p", Name: "%_3", Limit: 10}, []int{3}, 1},
		{"name is no pattern", oms.TaskFilter{ProjectID: "p", Name: "N%3", Limit: 10}, nil, 0},
		{"name has a case", oms.TaskFilter{ProjectID: "p", Name: "name", Limit: 10}, nil, 0},
		{"other project", oms.TaskFilter{ProjectID: "r", Limit: 10}, nil, 0},
		{"no project", oms.TaskFilter{Limit: 10}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page, total, err := db.Tasks(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, task := range page {
				got = append(got, slices.Index(ids, task.ID))
				want := oms.Counters{}
				if task.ID == ids[0] {
					want = failed(1).Add(migrated(2, 10))
				}
				diff(t, "counters", task.Counters, want)
			}
			diff(t, "page", got, tt.want)
			diff(t, "total", total, tt.total)
		})
	}
}

func testPendingTasks(t *testing.T, db *DB, c *clock) {
	create := func(project string, p oms.Priority, s oms.Status) int64 {
		task := waitingTask(project)
		task.Spec.Priority, task.Status = p, s
		c.advance(time.Millisecond)
		return mustCreate(t, db, task).ID
	}
	low := create("p", oms.PriorityLow, oms.StatusRunning)
	create("p", oms.PriorityHigh, oms.StatusPaused)
	medium := create("q", oms.PriorityMedium, oms.StatusWaiting)
	create("p", oms.PriorityHigh, oms.StatusSucceeded)
	later := create("p", oms.PriorityMedium, oms.StatusRetrying)
	create("p", oms.PriorityHigh, oms.StatusFailed)
	high := create("q", oms.PriorityHigh, oms.StatusPausing)
	// Queued again: behind the others of its priority.
	mustChange(t, db, medium, func(ch *oms.TaskChange) { ch.Task.QueuedAt = c.now().Add(time.Second) })
	mustChange(t, db, low, func(ch *oms.TaskChange) { ch.Ranges = []oms.Range{{Seq: 1, Counters: failed(1)}} })

	all := oms.PendingFilter{Limit: 100}
	list, err := db.PendingTasks(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, task := range list {
		got = append(got, task.ID)
	}
	diff(t, "pending", got, []int64{high, later, medium, low})
	diff(t, "counters", list[3].Counters, failed(1))
	// The rank follows the priority when that changes.
	mustChange(t, db, low, func(ch *oms.TaskChange) { ch.Task.Spec.Priority = oms.PriorityHigh })
	if list, err = db.PendingTasks(t.Context(), all); err != nil || list[0].ID != low {
		t.Errorf("got %v, %v, want the task that became urgent", list, err)
	}
}

func testChangeTask(t *testing.T, db *DB, c *clock) {
	task := mustCreate(t, db, waitingTask("p"))
	refusal := &oms.Error{Kind: oms.Conflict, Code: "OMS.0066"}
	_, err := db.ChangeTask(t.Context(), "p", task.ID, func(got oms.Task) (oms.TaskChange, error) {
		diff(t, "task given", got, task)
		got.Status = oms.StatusFailed
		return oms.TaskChange{Task: got, Ranges: []oms.Range{{Seq: 1}}}, refusal
	})
	if err != error(refusal) { //nolint:errorlint // it must be the very error
		t.Fatalf("got %v, want the error of change", err)
	}
	diff(t, "task after a refusal", mustTask(t, db, task.ID), task)

	c.advance(time.Minute)
	got, err := db.ChangeTask(t.Context(), "p", task.ID, func(got oms.Task) (oms.TaskChange, error) {
		got, err := got.Apply(oms.Event{Type: oms.EventSchedule}, c.now())
		return oms.TaskChange{Task: got, Ranges: []oms.Range{{Seq: 7, TaskID: 99, Owner: "w", Token: 3, Counters: migrated(1, 5)}}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := task
	want.Status, want.UpdatedAt, want.StartedAt, want.Counters = oms.StatusRunning, c.now(), c.now(), migrated(1, 5)
	diff(t, "changed task", got, want)
	diff(t, "ranges", mustRanges(t, db, task.ID), []oms.Range{{TaskID: task.ID, Seq: 7, Owner: "w", Token: 3, Counters: migrated(1, 5)}})

	// A range that exists already undoes the whole change.
	_, err = db.ChangeTask(t.Context(), "p", task.ID, func(got oms.Task) (oms.TaskChange, error) {
		got.Status = oms.StatusFailed
		return oms.TaskChange{Task: got, Ranges: []oms.Range{{Seq: 8}, {Seq: 7}}}, nil
	})
	wantKind(t, err, oms.Conflict, "")
	diff(t, "task after a clash", mustTask(t, db, task.ID), want)

	// A panic does not leave the write lock behind.
	func() {
		defer func() { _ = recover() }()
		_, _ = db.ChangeTask(t.Context(), "p", task.ID, func(oms.Task) (oms.TaskChange, error) { panic("broken") })
	}()
	mustChange(t, db, task.ID, func(*oms.TaskChange) {})
}

func testChangeTasks(t *testing.T, db *DB, _ *clock) {
	var ids []int64
	for i := range 4 {
		task := waitingTask("p")
		if i < 2 {
			task.GroupID = "g"
		}
		ids = append(ids, mustCreate(t, db, task).ID)
	}
	foreign := waitingTask("q")
	foreign.GroupID = "g"
	ids = append(ids, mustCreate(t, db, foreign).ID)
	generations := func() (list []int64) {
		for _, id := range ids {
			list = append(list, mustTask(t, db, id).Generation)
		}
		return list
	}
	next := func(task oms.Task) (oms.TaskChange, error) {
		task.Generation++
		return oms.TaskChange{Task: task}, nil
	}
	steps := []struct {
		name, group string
		ids         []int64
		want        []int64
		kind        oms.Kind
	}{
		{"by id, one twice", "", []int64{ids[3], ids[0], ids[3]}, []int64{2, 1, 1, 2, 1}, 0},
		{"by group", "g", nil, []int64{3, 2, 1, 2, 1}, 0},
		{"none in the group", "h", nil, []int64{3, 2, 1, 2, 1}, oms.NotFound},
		{"one is foreign", "", []int64{ids[0], ids[4]}, []int64{3, 2, 1, 2, 1}, oms.NotFound},
		{"one is unknown", "", []int64{ids[0], 1}, []int64{3, 2, 1, 2, 1}, oms.NotFound},
	}
	for _, s := range steps {
		err := db.ChangeTasks(t.Context(), "p", s.group, s.ids, next)
		if oms.KindOf(err) != s.kind || s.kind == oms.NotFound && oms.CodeOf(err) != "OMS.1009" {
			t.Fatalf("%s: %v", s.name, err)
		}
		diff(t, s.name, generations(), s.want)
	}
	refusal := errors.New("not this one")
	err := db.ChangeTasks(t.Context(), "p", "", ids[:2], func(task oms.Task) (oms.TaskChange, error) {
		if task.ID == ids[1] {
			return oms.TaskChange{}, refusal
		}
		return next(task)
	})
	if err != refusal { //nolint:errorlint // it must be the very error
		t.Fatalf("got %v, want the error of change", err)
	}
	diff(t, "after a refusal", generations(), []int64{3, 2, 1, 2, 1})
}

func testFresh(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "m")
	r := mustClaim(t, db, "w", task.ID, 2)
	p := checkpointOf(r[0], "b", failed(1))
	p.Failures = []oms.Failure{{Key: "b"}}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}, Opened: []oms.Upload{{TaskID: task.ID, Key: "a", UploadID: "u"}}})

	got := mustChange(t, db, task.ID, func(c *oms.TaskChange) {
		c.Task.Generation++
		c.Fresh = true
		c.Ranges = []oms.Range{{Seq: 1, Generation: 2, Kind: oms.RangeKeys}}
	})
	diff(t, "counters", got.Counters, oms.Counters{})
	diff(t, "ranges", mustRanges(t, db, task.ID), []oms.Range{{TaskID: task.ID, Seq: 1, Generation: 2, Kind: oms.RangeKeys}})
	if n, err := db.CountFailures(t.Context(), task.ID); err != nil || n != 0 {
		t.Errorf("%d failures, %v, want none", n, err)
	}
	uploads, err := db.Uploads(t.Context(), task.ID)
	if err != nil || len(uploads) != 1 {
		t.Errorf("uploads %v, %v: they must stay until they are aborted (rule C2)", uploads, err)
	}
}

func testCredentials(t *testing.T, db *DB, _ *clock) {
	task := mustCreate(t, db, waitingTask("p"))
	set := func(fields map[string][]byte) {
		mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Credentials = fields })
	}
	want := func(fields map[string][]byte) {
		t.Helper()
		got, err := db.Credentials(t.Context(), task.ID)
		if fields == nil {
			wantKind(t, err, oms.NotFound, "")
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "credentials", got, fields)
	}
	want(nil)
	set(map[string][]byte{"src": {1}, "dst": {2}})
	set(nil)
	want(map[string][]byte{"src": {1}, "dst": {2}})
	set(map[string][]byte{"dst": {3}}) // replaces all fields
	want(map[string][]byte{"dst": {3}})
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Wipe = true })
	want(nil)
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Wipe, c.Credentials = true, map[string][]byte{"dst": {3}} })
	want(nil)
}

// Bytes held in parts shrink as the ranges pass them.
func testPartialBytes(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db)
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.PartialBytes = 100 })
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	for i, want := range []int64{70, 40, 10, 0} {
		mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(r, "k"+strconv.Itoa(i), migrated(1, 30))}})
		diff(t, "partial bytes", mustTask(t, db, task.ID).PartialBytes, want)
		got := mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.GroupID = "g" }) // no change of the bytes
		diff(t, "partial bytes after a change", got.PartialBytes, want)
	}
}

func testSealedTexts(t *testing.T, db *DB, c *clock) {
	want := func(limit int, texts ...[]byte) {
		t.Helper()
		got, err := db.SealedTexts(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "sealed texts", got, texts)
	}
	want(9)
	task := mustCreate(t, db, waitingTask("p"))
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Credentials = map[string][]byte{"dst": {2}, "src": {1}} })
	want(9, []byte{2}, []byte{1})
	setup := testSetup("1", c.now())
	if _, err := db.Bootstrap(t.Context(), setup); err != nil {
		t.Fatal(err)
	}
	want(9, setup.Key.SealedSK, []byte{2}, []byte{1})
	want(2, setup.Key.SealedSK, []byte{2})
	if err := db.RevokeAccessKey(t.Context(), setup.Key.AK, c.now()); err != nil {
		t.Fatal(err)
	}
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Wipe = true })
	want(9)
}

func testDeleteTask(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "m")
	other := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)
	p := checkpointOf(r[0], "b", failed(1))
	p.Failures = []oms.Failure{{Key: "b"}}
	upload := oms.Upload{TaskID: task.ID, Key: "a", UploadID: "u", Parts: []oms.UploadedPart{{Number: 1}}}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}, Opened: []oms.Upload{upload}})
	mustChange(t, db, task.ID, func(c *oms.TaskChange) {
		c.Task.Status, c.Credentials = oms.StatusRunning, map[string][]byte{"src": {1}}
	})
	wantKind(t, db.DeleteTask(t.Context(), "p", task.ID, oms.Task.CheckDelete), oms.Conflict, "OMS.0063")
	mustTask(t, db, task.ID)

	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Status = oms.StatusPaused })
	if err := db.DeleteTask(t.Context(), "p", task.ID, oms.Task.CheckDelete); err != nil {
		t.Fatal(err)
	}
	_, err := db.Task(t.Context(), "p", task.ID)
	wantKind(t, err, oms.NotFound, "OMS.1009")
	for table, want := range map[string]int{"tasks": 1, "ranges": 1, "failures": 0, "credentials": 0, "uploads": 0, "upload_parts": 0} {
		if n := count(t.Context(), t, db, table); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
	}
	// What comes late for a deleted task is dropped and harms no other.
	o := mustClaim(t, db, "w", other.ID, 1)
	lost, err := db.Commit(t.Context(), oms.Commit{
		Checkpoints: []oms.Checkpoint{p, checkpointOf(o[0], "x", migrated(1, 1))},
		Opened:      []oms.Upload{upload},
		Parts:       []oms.PartDone{{Upload: oms.UploadRef{TaskID: task.ID, Key: "a", UploadID: "u"}, Part: oms.UploadedPart{Number: 2}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "lost", lost, []int{0})
	diff(t, "other task", mustTask(t, db, other.ID).Counters, migrated(1, 1))
	if n := count(t.Context(), t, db, "uploads") + count(t.Context(), t, db, "upload_parts"); n != 0 {
		t.Errorf("%d rows of uploads of a deleted task", n)
	}
}

func testClaimRanges(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "d", "k", "r")
	seqs := func(list []oms.Range) (s []int64) {
		for _, r := range list {
			s = append(s, r.Seq)
		}
		return s
	}
	if _, err := db.ClaimRanges(t.Context(), "", task.ID, 1); oms.KindOf(err) != oms.Invalid {
		t.Errorf("claim for nobody: %v", err)
	}
	for _, limit := range []int{0, -1} {
		if list := mustClaim(t, db, "w", task.ID, limit); list != nil {
			t.Errorf("limit %d: claimed %v", limit, list)
		}
	}
	first := mustClaim(t, db, "v", task.ID, 3)
	diff(t, "first", seqs(first), []int64{1, 2, 3})
	diff(t, "leased", first[1], oms.Range{
		TaskID: task.ID, Seq: 2, Generation: 1, Kind: oms.RangeKeys, Start: "d", Cur: "d", End: "k", Owner: "v", Token: 1,
	})
	diff(t, "rest", seqs(mustClaim(t, db, "w", task.ID, 3)), []int64{4})
	if list := mustClaim(t, db, "w", task.ID, 3); list != nil {
		t.Errorf("claimed %v, which are leased", list)
	}

	// Done ranges are never leased again; released ones are, with the next token and the run of now.
	done := checkpointOf(first[0], "d", migrated(1, 1))
	done.Done = true
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{done}})
	if err := db.ReleaseRanges(t.Context(), "v", task.ID); err != nil {
		t.Fatal(err)
	}
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Generation = 5 })
	again := mustClaim(t, db, "x", task.ID, 9)
	diff(t, "released", seqs(again), []int64{2, 3})
	if r := again[0]; r.Token != 2 || r.Generation != 5 || r.Owner != "x" || !r.Resumed() {
		t.Errorf("claimed again: %+v", r)
	}
	diff(t, "range of the other", mustRanges(t, db, task.ID)[3].Owner, "w")
	if err := db.ReleaseRanges(t.Context(), "", task.ID); err != nil {
		t.Fatal(err)
	}
}

// testClaimAtOnce lets many claim one at a time: no range may have two owners (rule C1).
func testClaimAtOnce(t *testing.T, db *DB, _ *clock) {
	cuts := make([]string, 39)
	for i := range cuts {
		cuts[i] = fmt.Sprintf("%02d", i)
	}
	task := newRanges(t, db, cuts...)
	var (
		mu    sync.Mutex
		owner = make(map[int64]string)
		wg    sync.WaitGroup
	)
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for {
				list, err := db.ClaimRanges(t.Context(), name, task.ID, 3)
				if err != nil || len(list) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				for _, r := range list {
					if was := owner[r.Seq]; was != "" {
						t.Errorf("range %d: leased to %s and %s", r.Seq, was, r.Owner)
					}
					owner[r.Seq] = r.Owner
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(owner) != 40 {
		t.Errorf("%d ranges were leased, want 40", len(owner))
	}
}

// testKeyOrder proves that keys are opaque bytes in byte order (rule D3).
func testKeyOrder(t *testing.T, db *DB, _ *clock) {
	keys := []string{"\x00", "\x01", " ", "/x", "10", "9", "A", "a", "a\x00", "a//b", "a/b", "e\u0301", "é", "\u2028", "\U0001f600", "\xfe", "\xff", "\xff\xff"}
	if !slices.IsSorted(keys) {
		t.Fatal("the keys must be in order")
	}
	task := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	p := checkpointOf(r, keys[len(keys)-1], failed(int64(len(keys))))
	for _, key := range slices.Backward(keys) {
		p.Failures = append(p.Failures, oms.Failure{Key: key})
	}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}})
	after, got := "", []string{}
	for {
		page, err := db.Failures(t.Context(), task.ID, after, 5, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, f := range page {
			got = append(got, f.Key)
		}
		after = got[len(got)-1]
	}
	diff(t, "keys", got, keys)
	for i, key := range keys {
		odd := mustCreate(t, db, waitingTask("p"))
		in := oms.Range{TaskID: odd.ID, Seq: 1, Prefix: key, Start: key, Cur: key, End: key + keys[i]}
		mustChange(t, db, odd.ID, func(c *oms.TaskChange) { c.Ranges = []oms.Range{in} })
		diff(t, "range", mustRanges(t, db, odd.ID), []oms.Range{in})
	}
}

func testCommit(t *testing.T, db *DB, c *clock) {
	task, second := newRanges(t, db, "m"), newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 2)
	s := mustClaim(t, db, "w", second.ID, 1)
	skipped := oms.Counters{Listed: 2, Skipped: 2, ListedBytes: 7, SkippedBytes: 7}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{
		checkpointOf(r[0], "b", migrated(2, 10)),
		checkpointOf(r[1], "p", skipped),
		checkpointOf(s[0], "z", migrated(3, 1)),
		checkpointOf(r[0], "c", skipped), // twice in one commit
		checkpointOf(r[0], "c", oms.Counters{}),
	}})
	done := checkpointOf(r[0], "c", oms.Counters{})
	done.Done = true
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{done}})

	want := []oms.Range{r[0], r[1]}
	want[0].Cur, want[0].Done, want[0].Owner, want[0].Counters = "c", true, "", migrated(2, 10).Add(skipped)
	want[1].Cur, want[1].Counters = "p", skipped
	diff(t, "ranges", mustRanges(t, db, task.ID), want)
	diff(t, "task", mustTask(t, db, task.ID).Counters, migrated(2, 10).Add(skipped).Add(skipped))
	diff(t, "second task", mustTask(t, db, second.ID).Counters, migrated(3, 1))

	// What failed is stored with the run and the instant, cleaned; what succeeds later is removed.
	long := strings.Repeat("é", 200)
	p := checkpointOf(r[1], "q", failed(3))
	p.Failures = []oms.Failure{
		{Key: "p1", TaskID: 99, Gen: 99, Size: 5, Kind: oms.Corrupt, Code: oms.FailConsistency, Message: "a\nb\x1b", At: 17},
		{Key: "p2", Message: long},
		{Key: "p3"},
	}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}})
	p = checkpointOf(r[1], "r", failed(1))
	p.Failures, p.Resolved = []oms.Failure{{Key: "p2", Kind: oms.Denied, Message: "again"}}, []string{"p3", "p4"}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}})
	diff(t, "failures", mustFailures(t, db, task.ID), []oms.Failure{
		{TaskID: task.ID, Key: "p1", Gen: 1, Size: 5, Kind: oms.Corrupt, Code: oms.FailConsistency, Message: "a?b?", At: 17},
		{TaskID: task.ID, Key: "p2", Gen: 1, Kind: oms.Denied, Message: "again", At: c.now().UnixMilli()},
	})
	mustCommit(t, db, oms.Commit{}) // nothing at all
}

// testCommitLost breaks each part of the lease: nothing of such a checkpoint may be stored (rule C1).
func testCommitLost(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "m")
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	base := checkpointOf(r, "b", failed(1))
	base.Failures, base.Resolved = []oms.Failure{{Key: "b"}}, []string{"kept"}
	base.Cut = &oms.RangeTail{At: "f", Seq: 9}
	kept := checkpointOf(r, "a", failed(1))
	kept.Failures = []oms.Failure{{Key: "kept"}}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{kept}})
	ranges, failures := mustRanges(t, db, task.ID), mustFailures(t, db, task.ID)

	tests := []struct {
		name   string
		spoil  func(p *oms.Checkpoint)
		before func()
	}{
		{"other owner", func(p *oms.Checkpoint) { p.Owner = "v" }, nil},
		{"no owner", func(p *oms.Checkpoint) { p.Owner = "" }, nil},
		{"older token", func(p *oms.Checkpoint) { p.Token-- }, nil},
		{"newer token", func(p *oms.Checkpoint) { p.Token++ }, nil},
		{"older run", func(p *oms.Checkpoint) { p.Generation-- }, nil},
		{"newer run", func(p *oms.Checkpoint) { p.Generation++ }, nil},
		{"other range", func(p *oms.Checkpoint) { p.Seq = 2 }, nil},
		{"no such range", func(p *oms.Checkpoint) { p.Seq = 8 }, nil},
		{"no such task", func(p *oms.Checkpoint) { p.TaskID++ }, nil},
		{"lost and broken too", func(p *oms.Checkpoint) { p.Token, p.Cur = 7, "" }, nil},
		{"the task was started again", func(*oms.Checkpoint) {}, func() {
			mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Generation++ })
		}},
		{"given back", func(p *oms.Checkpoint) { p.Generation = 2 }, func() {
			if err := db.ReleaseRanges(t.Context(), "w", task.ID); err != nil {
				t.Fatal(err)
			}
			ranges = mustRanges(t, db, task.ID)
		}},
		{"leased again to the same", func(p *oms.Checkpoint) { p.Generation = 2 }, func() {
			mustClaim(t, db, "w", task.ID, 1)
			ranges = mustRanges(t, db, task.ID)
		}},
	}
	for _, tt := range tests {
		if tt.before != nil {
			tt.before()
		}
		p := base
		tt.spoil(&p)
		lost, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{p}})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		diff(t, tt.name+": lost", lost, []int{0})
		diff(t, tt.name+": ranges", mustRanges(t, db, task.ID), ranges)
		diff(t, tt.name+": failures", mustFailures(t, db, task.ID), failures)
	}

	// A done range is nobody's any more.
	now := mustRanges(t, db, task.ID)[0]
	done := checkpointOf(now, "b", failed(1))
	done.Done = true
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{done}})
	lost, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(now, "c", failed(1))}})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "after done: lost", lost, []int{0})
	diff(t, "counters", mustTask(t, db, task.ID).Counters, failed(2))

	// Whoever its row names.
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Ranges = []oms.Range{{Seq: 7, Done: true, Owner: "w", Token: 1}} })
	lost, err = db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{
		checkpointOf(oms.Range{TaskID: task.ID, Seq: 7, Generation: 2, Owner: "w", Token: 1}, "c", failed(1)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "done and leased: lost", lost, []int{0})
}

// testCommitRefused gives checkpoints that break the books (rules P1, P2, P3): nothing of the commit is stored.
func testCommitRefused(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "m")
	r := mustClaim(t, db, "w", task.ID, 2)
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(r[0], "f", migrated(1, 1)), checkpointOf(r[1], "p", migrated(1, 1))}})
	before := mustRanges(t, db, task.ID)
	cut := func(r oms.Range, cur, at string, seq int64) oms.Checkpoint {
		p := checkpointOf(r, cur, oms.Counters{})
		if cur != "f" && cur != "p" {
			p.Delta = migrated(1, 1)
		}
		p.Cut = &oms.RangeTail{At: at, Seq: seq}
		return p
	}
	with := func(p oms.Checkpoint, change func(*oms.Checkpoint)) oms.Checkpoint {
		change(&p)
		return p
	}
	still := checkpointOf(r[0], "f", oms.Counters{})
	tests := []struct {
		name string
		bad  oms.Checkpoint
		kind oms.Kind
	}{
		{"back", checkpointOf(r[0], "e", migrated(1, 1)), oms.Invalid},
		{"back to the start", checkpointOf(r[0], "", oms.Counters{}), oms.Invalid},
		{"beyond the end", checkpointOf(r[0], "m\x00", migrated(1, 1)), oms.Invalid},
		{"objects do not balance", checkpointOf(r[0], "g", oms.Counters{Listed: 2, Migrated: 1}), oms.Invalid},
		{"bytes do not balance", checkpointOf(r[0], "g", oms.Counters{Listed: 1, Migrated: 1, ListedBytes: 1}), oms.Invalid},
		{"counters in place", checkpointOf(r[0], "f", migrated(1, 1)), oms.Invalid},
		{"moved bytes in place", checkpointOf(r[0], "f", oms.Counters{MovedBytes: 1}), oms.Invalid},
		{"failure in place", with(still, func(p *oms.Checkpoint) { p.Failures = []oms.Failure{{Key: "f"}} }), oms.Invalid},
		{"resolved in place", with(still, func(p *oms.Checkpoint) { p.Resolved = []string{"f"} }), oms.Invalid},
		{"cut behind", cut(r[0], "g", "f", 9), oms.Invalid},
		{"cut at the position", cut(r[0], "g", "g", 9), oms.Invalid},
		{"cut at the end", cut(r[0], "f", "m", 9), oms.Invalid},
		{"cut beyond the end", cut(r[0], "f", "n", 9), oms.Invalid},
		{"cut before the position of an open range", cut(r[1], "p", "o", 9), oms.Invalid},
		{"cut to a range that exists", cut(r[0], "f", "k", 2), oms.Conflict},
	}
	good := checkpointOf(r[1], "q", migrated(1, 1))
	for _, tt := range tests {
		lost, err := db.Commit(t.Context(), oms.Commit{
			Checkpoints: []oms.Checkpoint{good, tt.bad},
			Opened:      []oms.Upload{{TaskID: task.ID, Key: "k", UploadID: "u"}},
		})
		if oms.KindOf(err) != tt.kind || lost != nil {
			t.Fatalf("%s: lost %v, got %v, want %s", tt.name, lost, err, tt.kind)
		}
		diff(t, tt.name, mustRanges(t, db, task.ID), before)
	}
	if n := count(t.Context(), t, db, "uploads"); n != 0 {
		t.Errorf("%d uploads were stored by refused commits", n)
	}
}

func testCut(t *testing.T, db *DB, _ *clock) {
	task := mustCreate(t, db, waitingTask("p"))
	mustChange(t, db, task.ID, func(c *oms.TaskChange) {
		c.Ranges = []oms.Range{{Seq: 1, Generation: 1, Kind: oms.RangeKeys, Prefix: "", Start: "", End: ""}}
	})
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	p := checkpointOf(r, "b", migrated(1, 1))
	p.Cut = &oms.RangeTail{At: "m", Seq: 2}
	tail := oms.Range{TaskID: task.ID, Seq: 2, Generation: 1, Owner: "w", Token: 1}
	q := checkpointOf(tail, "n", migrated(2, 2)) // in the same commit, after the cut
	q.Cut = &oms.RangeTail{At: "t", Seq: 3}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p, q}})
	base := oms.Range{TaskID: task.ID, Generation: 1, Kind: oms.RangeKeys, Owner: "w", Token: 1}
	want := []oms.Range{base, base, base}
	want[0].Seq, want[0].Cur, want[0].End, want[0].Counters = 1, "b", "m", migrated(1, 1)
	want[1].Seq, want[1].Start, want[1].Cur, want[1].End, want[1].Counters = 2, "m", "n", "t", migrated(2, 2)
	want[2].Seq, want[2].Start, want[2].Cur = 3, "t", "t"
	diff(t, "ranges", mustRanges(t, db, task.ID), want)

	// The key of the cut itself belongs to the victim, which may end there in the same step.
	last := checkpointOf(want[0], "f", migrated(1, 1))
	last.Done, last.Cut = true, &oms.RangeTail{At: "f", Seq: 4}
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{last}})
	got := mustRanges(t, db, task.ID)
	want[0].Cur, want[0].End, want[0].Done, want[0].Owner, want[0].Counters = "f", "f", true, "", migrated(2, 1)
	rest := base
	rest.Seq, rest.Start, rest.Cur, rest.End = 4, "f", "f", "m"
	diff(t, "ranges after the last cut", got, append(want, rest))

	// The lost victim's tail does not exist either.
	p = checkpointOf(want[1], "o", migrated(1, 1))
	p.Token, p.Cut = 7, &oms.RangeTail{At: "q", Seq: 5}
	lost, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{
		p, checkpointOf(oms.Range{TaskID: task.ID, Seq: 5, Generation: 1, Owner: "w", Token: 1}, "r", migrated(1, 1)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "lost", lost, []int{0, 1})
	diff(t, "ranges after a lost cut", mustRanges(t, db, task.ID), got)
}

func testFailures(t *testing.T, db *DB, _ *clock) {
	task, other := newRanges(t, db), newRanges(t, db)
	add := func(id int64, cur string, keys ...string) {
		r := mustClaim(t, db, "w", id, 1)[0]
		p := checkpointOf(r, cur, failed(int64(len(keys))))
		for _, key := range keys {
			p.Failures = append(p.Failures, oms.Failure{Key: key})
		}
		mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}})
		if err := db.ReleaseRanges(t.Context(), "w", id); err != nil {
			t.Fatal(err)
		}
	}
	add(task.ID, "c", "a", "b", "c")
	add(other.ID, "z", "z")
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Generation = 2 })
	add(task.ID, "d", "b", "d")
	tests := []struct {
		name      string
		after     string
		limit     int
		beforeGen int64
		want      []string
	}{
		{"all", "", 10, 0, []string{"a", "b", "c", "d"}},
		{"after", "b", 10, 0, []string{"c", "d"}},
		{"limit", "a", 2, 0, []string{"b", "c"}},
		{"no limit is none", "", 0, 0, nil},
		{"negative limit is none", "", -1, 0, nil},
		{"older runs", "", 10, 2, []string{"a", "c"}},
		{"older runs, after", "a", 1, 2, []string{"c"}},
		{"before the first run", "", 10, 1, nil},
		{"beyond", "d", 10, 0, nil},
	}
	for _, tt := range tests {
		list, err := db.Failures(t.Context(), task.ID, tt.after, tt.limit, tt.beforeGen)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range list {
			got = append(got, f.Key)
		}
		diff(t, tt.name, got, tt.want)
	}
	if n, err := db.CountFailures(t.Context(), task.ID); err != nil || n != 4 {
		t.Errorf("%d failures, %v, want 4", n, err)
	}
}

// Of the tasks that wait only those that may start are read, by priority and age, and a project that has reached its bound
// does not hold up others.
func testMayStart(t *testing.T, db *DB, c *clock) {
	names := map[int64]string{}
	create := func(name, project string, p oms.Priority, s oms.Status) {
		task := waitingTask(project)
		task.Spec.Priority, task.Status = p, s
		c.advance(time.Millisecond)
		names[mustCreate(t, db, task).ID] = name
	}
	begin := c.now()
	create("p0", "p", oms.PriorityLow, oms.StatusRunning)
	create("p1", "p", oms.PriorityMedium, oms.StatusWaiting)
	create("p2", "p", oms.PriorityHigh, oms.StatusWaiting)
	create("p3", "p", oms.PriorityHigh, oms.StatusWaiting)
	create("q0", "q", oms.PriorityHigh, oms.StatusRunning)
	create("q1", "q", oms.PriorityHigh, oms.StatusPausing)
	create("q2", "q", oms.PriorityHigh, oms.StatusWaiting)
	create("r1", "r", oms.PriorityLow, oms.StatusWaiting)
	create("r2", "r", oms.PriorityHigh, oms.StatusPaused)
	tests := []struct {
		name   string
		filter oms.PendingFilter
		want   string
	}{
		{"no bound", oms.PendingFilter{Limit: 100}, "p2 p3 q0 q1 q2 p1 p0 r1"},
		{"two at a time", oms.PendingFilter{Limit: 100, Running: 2}, "p2 q0 q1 p0 r1"},
		{"three at a time", oms.PendingFilter{Limit: 100, Running: 3}, "p2 p3 q0 q1 q2 p0 r1"},
		{"one at a time", oms.PendingFilter{Limit: 100, Running: 1}, "q0 q1 p0 r1"},
		{"a limit", oms.PendingFilter{Limit: 1}, "p2 q0 q1 p0"},
		{"nothing may start", oms.PendingFilter{}, "q0 q1 p0"},
		{"waited too long", oms.PendingFilter{Expired: begin.Add(3 * time.Millisecond)}, "q0 q1 p1 p0"},
	}
	for _, tt := range tests {
		list, err := db.PendingTasks(t.Context(), tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]string, len(list))
		for i, task := range list {
			got[i] = names[task.ID]
		}
		diff(t, tt.name, strings.Join(got, " "), tt.want)
	}
}

// What is under way is told however long ago it was updated; what is at rest when it was updated at the instant or later.
func testChangedTasks(t *testing.T, db *DB, c *clock) {
	set := func(status oms.Status, at time.Time) int64 {
		task := mustCreate(t, db, waitingTask("p"))
		mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Status, c.Task.UpdatedAt = status, at })
		return task.ID
	}
	now := c.now()
	set(oms.StatusSucceeded, now.Add(-time.Microsecond))
	set(oms.StatusWaiting, now.Add(-time.Hour))
	want := []int64{
		set(oms.StatusSucceeded, now), set(oms.StatusRunning, now.Add(-time.Hour)), set(oms.StatusPausing, now.Add(-time.Hour)),
		set(oms.StatusRetrying, now.Add(time.Hour)), set(oms.StatusPaused, now.Add(time.Hour)),
	}
	mustCreate(t, db, waitingTask("other"))
	list, err := db.ChangedTasks(t.Context(), "p", now)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, task := range list {
		got = append(got, task.ID)
	}
	diff(t, "changed", got, want)
}

func testConnections(t *testing.T, db *DB, c *clock) {
	keep := func(project, name, text string) error {
		return db.KeepConnection(t.Context(), oms.Connection{ProjectID: project, Name: name, CloudType: oms.CloudAWS, Description: text}, []byte(text))
	}
	for _, name := range []string{"b", "a"} {
		if err := keep("p", name, "first"); err != nil {
			t.Fatal(err)
		}
	}
	created := c.now()
	c.advance(time.Minute)
	if err := keep("p", "a", "second"); err != nil {
		t.Fatal(err)
	}
	want := oms.Connection{ProjectID: "p", Name: "a", CloudType: oms.CloudAWS, Description: "second", CreatedAt: created, UpdatedAt: c.now()}
	got, sealed, err := db.Connection(t.Context(), "p", "a")
	if err != nil || string(sealed) != "second" {
		t.Errorf("sealed %q, %v", sealed, err)
	}
	diff(t, "replaced", got, want)
	list, err := db.Connections(t.Context(), "p")
	if err != nil || len(list) != 2 || list[0] != want || list[1].Name != "b" {
		t.Errorf("list %+v, %v", list, err)
	}
	for _, foreign := range []string{"q", ""} {
		if list, err := db.Connections(t.Context(), foreign); err != nil || len(list) != 0 {
			t.Errorf("project %q has %d connections, %v", foreign, len(list), err)
		}
		if err := db.DeleteConnection(t.Context(), foreign, "a"); oms.CodeOf(err) != "OMS.1009" {
			t.Errorf("project %q deletes: %v", foreign, err)
		}
	}
	for i := range oms.MaxConnections {
		if err := keep("r", strconv.Itoa(i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := keep("r", "more", "x"); oms.CodeOf(err) != "OMS.1003" {
		t.Errorf("one too many: %v", err)
	}
	if err := keep("r", "7", "y"); err != nil {
		t.Errorf("replacing one of all: %v", err)
	}
	if err := db.DeleteConnection(t.Context(), "p", "a"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Connection(t.Context(), "p", "a"); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("deleted: %v", err)
	}
}

func testCauses(t *testing.T, db *DB, _ *clock) {
	task, other := newRanges(t, db), newRanges(t, db)
	mustClaim(t, db, "w", task.ID, 1)
	mustClaim(t, db, "w", other.ID, 1)
	failed := func(code string, size int64, at int64, keys ...string) (list []oms.Failure) {
		for _, key := range keys {
			list = append(list, oms.Failure{Key: key, Code: code, Size: size, At: at})
			at++
		}
		return list
	}
	all := slices.Concat(failed("B", 10, 100, "b\xff", "b\xff\xff", "c", "a/1", "a/2"), failed("A", 1<<40, 7, "a/3"), failed("C", 0, 9, "z"))
	for _, id := range []int64{task.ID, other.ID} {
		mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{{
			TaskID: id, Seq: 1, Generation: 1, Owner: "w", Token: 1, Cur: "zz",
			Delta: oms.Counters{Listed: int64(len(all)), Failed: int64(len(all))}, Failures: all,
		}}})
		all = all[:1]
	}
	tests := []struct {
		name   string
		filter oms.FailureFilter
		want   []string // code, count, bytes, first, last: samples
		keys   []string
	}{
		{
			"all",
			oms.FailureFilter{Limit: 100},
			[]string{"B 5 50 100 104: a/1 a/2 b\xff", "A 1 1099511627776 7 7: a/3", "C 1 0 9 9: z"},
			[]string{"a/1", "a/2", "a/3", "b\xff", "b\xff\xff", "c", "z"},
		},
		{"a prefix", oms.FailureFilter{Limit: 100, Prefix: "a/"}, []string{"B 2 20 103 104: a/1 a/2", "A 1 1099511627776 7 7: a/3"}, []string{"a/1", "a/2", "a/3"}},
		{"a prefix that ends in the last byte", oms.FailureFilter{Limit: 100, Prefix: "b\xff"}, []string{"B 2 20 100 101: b\xff b\xff\xff"}, []string{"b\xff", "b\xff\xff"}},
		{"a prefix of last bytes", oms.FailureFilter{Limit: 100, Prefix: "\xff"}, nil, nil},
		{"codes", oms.FailureFilter{Limit: 100, Codes: []string{"C", "A"}}, []string{"A 1 1099511627776 7 7: a/3", "C 1 0 9 9: z"}, []string{"a/3", "z"}},
		{"a code that is no SQL", oms.FailureFilter{Limit: 100, Codes: []string{"A' OR 'a' = 'a"}}, nil, nil},
		{"a page", oms.FailureFilter{Limit: 1, After: "a/1", Codes: []string{"B"}}, nil, []string{"a/2"}},
	}
	for _, tt := range tests {
		list, err := db.FindFailures(t.Context(), task.ID, tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, f := range list {
			keys = append(keys, f.Key)
		}
		diff(t, tt.name, keys, tt.keys)
		if tt.want == nil && tt.keys != nil {
			continue
		}
		causes, err := db.Causes(t.Context(), task.ID, tt.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range causes {
			samples := make([]string, len(c.Samples))
			for i, s := range c.Samples {
				samples[i] = s.Key
			}
			got = append(got, fmt.Sprintf("%s %d %d %d %d: %s", c.Code, c.Count, c.Bytes, c.First, c.Last, strings.Join(samples, " ")))
		}
		diff(t, tt.name, got, tt.want)
	}
}

func testUploads(t *testing.T, db *DB, _ *clock) {
	task, other := newRanges(t, db), newRanges(t, db)
	ref := func(id int64, key, upload string) oms.UploadRef {
		return oms.UploadRef{TaskID: id, Key: key, UploadID: upload}
	}
	part := func(r oms.UploadRef, n int) oms.PartDone {
		return oms.PartDone{Upload: r, Part: oms.UploadedPart{Number: n, ETag: fmt.Sprint("e", n), CRC32C: ^uint32(n)}}
	}
	first := oms.Upload{TaskID: task.ID, Key: "a\xff", UploadID: "u1", PartSize: 1 << 24, Size: 1 << 40, ETag: `"e\xfe"`}
	second := oms.Upload{TaskID: task.ID, Key: "a\xff", UploadID: "u2"}
	third := oms.Upload{TaskID: other.ID, Key: "a\xff", UploadID: "u1"}
	mustCommit(t, db, oms.Commit{
		Opened: []oms.Upload{second, first, third},
		Parts: []oms.PartDone{
			part(ref(task.ID, "a\xff", "u1"), 10), part(ref(task.ID, "a\xff", "u1"), 2), part(ref(other.ID, "a\xff", "u1"), 1),
			part(ref(task.ID, "a\xff", "none"), 1), // of no upload: dropped
		},
	})
	want := func(id int64, list ...oms.Upload) {
		t.Helper()
		got, err := db.Uploads(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "uploads", got, list)
	}
	first.Parts = []oms.UploadedPart{part(oms.UploadRef{}, 2).Part, part(oms.UploadRef{}, 10).Part}
	third.Parts = []oms.UploadedPart{part(oms.UploadRef{}, 1).Part}
	want(task.ID, first, second)
	want(0, first, second, third)

	// Sent again, an upload and its part are brought up to date; closed ones go with their parts.
	second.Size = 7
	second.Parts = []oms.UploadedPart{{Number: 1, ETag: "x", CRC32C: 5}}
	again := part(ref(task.ID, "a\xff", "u1"), 2)
	again.Part.ETag = "new"
	first.Parts[0].ETag = "new"
	mustCommit(t, db, oms.Commit{
		Opened: []oms.Upload{second}, Parts: []oms.PartDone{again},
		Closed: []oms.UploadRef{ref(other.ID, "a\xff", "u1"), ref(other.ID, "never", "u1")},
	})
	want(0, first, second)
	mustCommit(t, db, oms.Commit{Closed: []oms.UploadRef{ref(task.ID, "a\xff", "u1"), ref(task.ID, "a\xff", "u2")}})
	want(0)
	if n := count(t.Context(), t, db, "upload_parts"); n != 0 {
		t.Errorf("%d parts are left", n)
	}
}

// owners returns who holds the ranges of the task.
func owners(t *testing.T, db *DB, id int64) (list []string) {
	t.Helper()
	for _, r := range mustRanges(t, db, id) {
		list = append(list, r.Owner)
	}
	return list
}

func testWorkers(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db, "d", "k", "r")
	const dead = 10 * time.Second
	beat := func(owner string) {
		t.Helper()
		if err := db.Heartbeat(t.Context(), owner, dead); err != nil {
			t.Fatal(err)
		}
	}
	mustClaim(t, db, "v", task.ID, 1) // before any heartbeat of its own
	beat("w")
	diff(t, "a worker that just claimed", owners(t, db, task.ID), []string{"v", "", "", ""})
	mustClaim(t, db, "w", task.ID, 2)
	beat("v")
	diff(t, "a worker that claimed after its heartbeat", owners(t, db, task.ID), []string{"v", "w", "w", ""})
	c.advance(dead)
	beat("w")
	diff(t, "seen just in time", owners(t, db, task.ID), []string{"v", "w", "w", ""})
	c.advance(time.Microsecond)
	beat("w")
	diff(t, "unseen for too long", owners(t, db, task.ID), []string{"", "w", "w", ""})

	// The dead worker comes back: its lease is gone, but it may work again.
	if list := mustClaim(t, db, "v", task.ID, 1); len(list) != 1 || list[0].Token != 2 {
		t.Errorf("claimed %v", list)
	}
	if err := db.RemoveWorker(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	diff(t, "removed", owners(t, db, task.ID), []string{"v", "", "", ""})
	if n := count(t.Context(), t, db, "workers"); n != 1 {
		t.Errorf("%d workers, want 1", n)
	}
	// An owner that a change of the task names is known as well.
	mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Ranges = []oms.Range{{Seq: 9, Owner: "x", Token: 1}} })
	beat("v")
	diff(t, "named by a change", owners(t, db, task.ID), []string{"v", "", "", "", "x"})
	if err := db.Heartbeat(t.Context(), "", dead); oms.KindOf(err) != oms.Invalid {
		t.Errorf("heartbeat of nobody: %v", err)
	}
}

// testWorkerClock sets the clock: leases must neither be doubled nor last for ever.
func testWorkerClock(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db, "m")
	mustClaim(t, db, "v", task.ID, 1)
	mustClaim(t, db, "w", task.ID, 1)
	c.advance(-time.Hour)
	if err := db.Heartbeat(t.Context(), "w", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	diff(t, "an hour back", owners(t, db, task.ID), []string{"", "w"})
	c.advance(10 * 365 * 24 * time.Hour)
	if err := db.Heartbeat(t.Context(), "w", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	diff(t, "ten years on", owners(t, db, task.ID), []string{"", "w"})
}

func testReleaseAll(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "m")
	mustClaim(t, db, "v", task.ID, 1)
	mustClaim(t, db, "w", task.ID, 1)
	if err := db.ReleaseAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "owners", owners(t, db, task.ID), []string{"", ""})
	if n := count(t.Context(), t, db, "workers"); n != 0 {
		t.Errorf("%d workers are left", n)
	}
}

func testSetup(n string, at time.Time) oms.Setup {
	return oms.Setup{
		User:    oms.User{ID: "u" + n, Name: "user" + n, PasswordHash: "h", Role: oms.RoleAdmin, CreatedAt: at},
		Project: oms.Project{ID: "p" + n, Name: "project" + n, CreatedAt: at},
		Key: oms.AccessKey{
			AK: "AK" + n, SealedSK: []byte{1, 0, 2}, UserID: "u" + n, ProjectID: "p" + n, Role: oms.RoleWriter,
			Status: oms.KeyActive, CreatedAt: at,
		},
	}
}

func testBootstrap(t *testing.T, db *DB, c *clock) {
	if some, err := db.HasUsers(t.Context()); err != nil || some {
		t.Fatalf("users in an empty database: %v, %v", some, err)
	}
	bad := testSetup("0", c.now())
	bad.Key.ProjectID = "none"
	created, err := db.Bootstrap(t.Context(), bad)
	wantKind(t, err, oms.NotFound, "")
	if some, err := db.HasUsers(t.Context()); created || err != nil || some {
		t.Fatalf("a failed bootstrap left users: %v, %v", some, err)
	}

	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		winner []string
	)
	for i := range 6 {
		wg.Go(func() {
			n := strconv.Itoa(i)
			created, err := db.Bootstrap(t.Context(), testSetup(n, c.now()))
			if err != nil {
				t.Error(err)
			}
			if created {
				mu.Lock()
				winner = append(winner, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(winner) != 1 {
		t.Fatalf("%d were told that they created the first user, want 1", len(winner))
	}
	want := testSetup(winner[0], c.now())
	user, err := db.User(t.Context(), want.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "user", user, want.User)
	projects, err := db.ProjectsOfUser(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "projects", projects, []oms.Project{want.Project})
	keys, err := db.AccessKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "keys", keys, []oms.AccessKey{want.Key})
	if some, err := db.HasUsers(t.Context()); err != nil || !some {
		t.Errorf("no users after bootstrap: %v", err)
	}
}

func testUsersAndProjects(t *testing.T, db *DB, c *clock) {
	ctx := t.Context()
	setup := testSetup("1", c.now())
	if _, err := db.Bootstrap(ctx, setup); err != nil {
		t.Fatal(err)
	}
	second := oms.User{ID: "u2", Name: "User1", Role: oms.RoleReader, CreatedAt: c.now()}
	if err := db.CreateUser(ctx, second); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.CreateUser(ctx, second), oms.Conflict, "")
	wantKind(t, db.CreateUser(ctx, oms.User{ID: "u3", Name: "User1"}), oms.Conflict, "")
	got, err := db.UserByName(ctx, "User1") // not user1
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "user by name", got, second)
	_, err = db.UserByName(ctx, "USER1")
	wantKind(t, err, oms.NotFound, "")
	_, err = db.User(ctx, "u9")
	wantKind(t, err, oms.NotFound, "")

	older := oms.Project{ID: "pz", Name: "z", CreatedAt: c.now().Add(-time.Hour)}
	same := oms.Project{ID: "pa", Name: "a", CreatedAt: c.now()}
	for _, p := range []oms.Project{same, older} {
		if err := db.CreateProject(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, db.CreateProject(ctx, oms.Project{ID: "pb", Name: "a"}), oms.Conflict, "")
	all, err := db.Projects(ctx)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "projects", all, []oms.Project{older, setup.Project, same})

	for range 2 {
		if err := db.AddMember(ctx, "pz", "u1"); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, db.AddMember(ctx, "none", "u1"), oms.NotFound, "")
	wantKind(t, db.AddMember(ctx, "pz", "none"), oms.NotFound, "")
	mine, err := db.ProjectsOfUser(ctx, "u1")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "projects of user", mine, []oms.Project{older, setup.Project})

	wantKind(t, db.SetPasswordHash(ctx, "none", "x"), oms.NotFound, "")
	if err := db.SetPasswordHash(ctx, "u2", "x"); err != nil {
		t.Fatal(err)
	}
	second.PasswordHash = "x"
	if got, err = db.User(ctx, "u2"); err != nil {
		t.Fatal(err)
	}
	diff(t, "user with password", got, second)
}

func testAccessKeys(t *testing.T, db *DB, c *clock) {
	ctx := t.Context()
	setup := testSetup("1", c.now())
	if _, err := db.Bootstrap(ctx, setup); err != nil {
		t.Fatal(err)
	}
	if err := db.CreateProject(ctx, oms.Project{ID: "p2", Name: "2", CreatedAt: c.now()}); err != nil {
		t.Fatal(err)
	}
	key := oms.AccessKey{
		AK: "AK0", SealedSK: []byte{9}, UserID: "u1", ProjectID: "p2", Role: oms.RoleReader, Status: oms.KeyActive,
		CreatedAt: c.now().Add(time.Microsecond),
	}
	if err := db.CreateAccessKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	wantKind(t, db.CreateAccessKey(ctx, key), oms.Conflict, "")
	if mine, err := db.ProjectsOfUser(ctx, "u1"); err != nil || len(mine) != 2 {
		t.Errorf("a key did not make its user a member: %v, %v", mine, err)
	}
	for _, bad := range []oms.AccessKey{{AK: "x", UserID: "none", ProjectID: "p2"}, {AK: "x", UserID: "u1", ProjectID: "none"}} {
		wantKind(t, db.CreateAccessKey(ctx, bad), oms.NotFound, "")
	}
	list, err := db.AccessKeys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "keys", list, []oms.AccessKey{setup.Key, key})

	for i := range 2 { // the second time changes nothing
		if err := db.RevokeAccessKey(ctx, "AK0", c.now().Add(time.Duration(i+1)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	key.Status, key.RevokedAt, key.SealedSK = oms.KeyRevoked, c.now().Add(time.Hour), nil
	got, err := db.AccessKey(ctx, "AK0")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "revoked", got, key)
	wantKind(t, db.RevokeAccessKey(ctx, "none", c.now()), oms.NotFound, "")
	_, err = db.AccessKey(ctx, "ak0")
	wantKind(t, err, oms.NotFound, "")
}

func testTokens(t *testing.T, db *DB, c *clock) {
	ctx := t.Context()
	if _, err := db.Bootstrap(ctx, testSetup("1", c.now())); err != nil {
		t.Fatal(err)
	}
	token := func(n byte) oms.Token {
		return oms.Token{
			Hash: [32]byte{0, n}, UserID: "u1", ProjectID: "p1", IssuedAt: c.now(), ExpiresAt: c.now().Add(time.Duration(n) * time.Microsecond),
		}
	}
	for n := range byte(4) {
		if err := db.SaveToken(ctx, token(n)); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, db.SaveToken(ctx, token(1)), oms.Conflict, "")
	stranger := token(9)
	stranger.UserID = "none"
	wantKind(t, db.SaveToken(ctx, stranger), oms.NotFound, "")

	got, err := db.Token(ctx, token(2).Hash)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "token", got, token(2))
	for range 2 {
		if err := db.DeleteToken(ctx, token(2).Hash); err != nil {
			t.Fatal(err)
		}
	}
	want := func(left ...byte) {
		t.Helper()
		var found []byte
		for n := range byte(4) {
			if _, err := db.Token(ctx, token(n).Hash); err == nil {
				found = append(found, n)
			} else {
				wantKind(t, err, oms.NotFound, "")
			}
		}
		diff(t, "tokens", found, left)
	}
	want(0, 1, 3)
	if err := db.PurgeExpired(ctx, c.now().Add(time.Microsecond)); err != nil { // 1 expires only now
		t.Fatal(err)
	}
	want(1, 3)
	if err := db.SetPasswordHash(ctx, "u1", "new"); err != nil {
		t.Fatal(err)
	}
	want()
}

func testSignatures(t *testing.T, db *DB, c *clock) {
	digest := [32]byte{7}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first int
	)
	for range 8 {
		wg.Go(func() {
			ok, err := db.UseSignature(t.Context(), digest, c.now().Add(time.Minute))
			if err != nil {
				t.Error(err)
			}
			if ok {
				mu.Lock()
				first++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != 1 {
		t.Errorf("%d uses of one signature were told that they are the first, want 1", first)
	}
	if err := db.PurgeExpired(t.Context(), c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if ok, err := db.UseSignature(t.Context(), digest, c.now()); err != nil || ok {
		t.Errorf("used again before it expired: %v, %v", ok, err)
	}

	// More rows than one batch.
	err := db.write(t.Context(), "fill", func(tx *sqlTx) error {
		for i := range 2*purgeBatch + 1 {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO signatures (digest, expires_at) VALUES ($1, $2)", fmt.Append(nil, "d", i), micros(c.now()))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PurgeExpired(t.Context(), c.now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := count(t.Context(), t, db, "signatures"); n != 1 {
		t.Errorf("%d signatures are left, want 1", n)
	}
}

func testAudit(t *testing.T, db *DB, c *clock) {
	ctx := t.Context()
	verify := func(want int64) {
		t.Helper()
		if n, err := db.VerifyAudit(ctx); err != nil || n != want {
			t.Fatalf("verified %d, %v, want %d", n, err, want)
		}
	}
	verify(0)
	const entries = 5
	for i := range entries {
		c.advance(time.Second)
		e := oms.AuditEntry{Project: "p", Actor: "u", Action: "oms:task:create", Object: fmt.Sprint("a\nb", i), Remote: "127.0.0.1", Result: "ok"}
		if err := db.AppendAudit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	verify(entries)
	var object string
	if err := db.reader.QueryRowContext(ctx, "SELECT object FROM audit WHERE seq = 1").Scan(&object); err != nil || object != "a?b0" {
		t.Errorf("stored %q, %v, want it cleaned", object, err)
	}

	// Every change of any field, a gap, a swap and a cut end show (rule S12).
	for _, tamper := range []string{
		"UPDATE audit SET actor = 'v' WHERE seq = 3",
		"UPDATE audit SET project = 'pu', actor = '' WHERE seq = 3", // the same bytes in other fields
		"UPDATE audit SET result = '' WHERE seq = 5",
		"UPDATE audit SET object = 'x' WHERE seq = 1",
		"UPDATE audit SET remote = 'x' WHERE seq = 2",
		"UPDATE audit SET action = 'x' WHERE seq = 2",
		"UPDATE audit SET at = at + 1 WHERE seq = 2",
		"UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 2",
		"DELETE FROM audit WHERE seq = 1",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 5",
		"DELETE FROM audit",
		"UPDATE audit SET seq = 9 WHERE seq = 5",
		"UPDATE sequences SET value = 4 WHERE name = 'audit'",
		"UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, 3); UPDATE audit SET seq = -seq WHERE seq < 0",
		"INSERT INTO audit SELECT 6, at, project, actor, action, object, remote, result, hash FROM audit WHERE seq = 5",
	} {
		undo := errors.New("undo")
		err := db.write(ctx, "tamper", func(tx *sqlTx) error {
			if _, err := tx.ExecContext(ctx, tamper); err != nil {
				return err
			}
			if n, err := verifyAudit(ctx, tx); !errors.Is(err, oms.Corrupt) {
				t.Errorf("%s: verified %d, %v, want corrupt", tamper, n, err)
			}
			return callerError{undo}
		})
		if !errors.Is(err, undo) {
			t.Fatalf("%s: %v", tamper, err)
		}
	}
	verify(entries)
}

func testCancelled(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	ctx, cancel := newCancelled(t)
	defer cancel()
	calls := map[string]func() error{
		"task":   func() error { _, err := db.Task(ctx, "p", task.ID); return err },
		"tasks":  func() error { _, _, err := db.Tasks(ctx, oms.TaskFilter{ProjectID: "p"}); return err },
		"create": func() error { _, err := db.CreateTask(ctx, waitingTask("p"), oms.Quota{}, noSeal); return err },
		"claim":  func() error { _, err := db.ClaimRanges(ctx, "w", task.ID, 1); return err },
		"commit": func() error {
			_, err := db.Commit(ctx, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(r, "a", migrated(1, 1))}})
			return err
		},
		"ready": func() error { return db.Ready(ctx) },
		"audit": func() error { return db.AppendAudit(ctx, oms.AuditEntry{}) },
	}
	for name, call := range calls {
		if err := call(); !oms.Canceled(err) {
			t.Errorf("%s: got %v, want the end of the context", name, err)
		}
	}
	// Ending in the middle of a transaction undoes it and harms nobody after.
	ctx, cancel = newLive(t)
	defer cancel()
	_, err := db.ChangeTask(ctx, "p", task.ID, func(got oms.Task) (oms.TaskChange, error) {
		cancel()
		got.Status = oms.StatusFailed
		return oms.TaskChange{Task: got}, nil
	})
	if !oms.Canceled(err) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	diff(t, "status", mustTask(t, db, task.ID).Status, oms.StatusWaiting)
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(r, "a", migrated(1, 1))}})
	if err := db.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// testReadersBesideWriter reads all the time while a writer commits: every reader sees books that balance, and
// counters that never go down (rules P1, P3).
func testReadersBesideWriter(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "b", "c", "d")
	leased := mustClaim(t, db, "w", task.ID, 4)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := db.Task(t.Context(), "p", task.ID)
				if err != nil {
					t.Error(err)
					return
				}
				page, total, err := db.Tasks(t.Context(), oms.TaskFilter{ProjectID: "p", Limit: 5})
				if err != nil || total != 1 || len(page) != 1 {
					t.Errorf("listed %d of %d, %v", len(page), total, err)
					return
				}
				for _, c := range []oms.Counters{got.Counters, page[0].Counters} {
					if !c.Balanced() || c.Listed < last || c.Listed%4 != 0 {
						t.Errorf("a reader saw %+v after %d", c, last)
						return
					}
					last = c.Listed
				}
			}
		})
	}
	const rounds = 40
	for i := range rounds {
		var c oms.Commit
		for _, r := range leased { // four ranges move in each commit
			c.Checkpoints = append(c.Checkpoints, checkpointOf(r, fmt.Sprintf("%s%03d", r.Start, i), migrated(1, 3)))
		}
		mustCommit(t, db, c)
	}
	close(stop)
	wg.Wait()
	diff(t, "counters", mustTask(t, db, task.ID).Counters, migrated(4*rounds, 3))
}
