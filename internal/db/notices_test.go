package db

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// noticeLease is how long the tests claim for.
const noticeLease = time.Minute

// endedTask makes a task that asks for messages and lets it end.
func endedTask(t *testing.T, db *DB, status oms.Status, triggers ...string) oms.Task {
	t.Helper()
	task := waitingTask("p")
	task.Spec.SMN = &oms.SMNConfig{TopicURN: "urn:smn:r:p:t", TriggerConditions: triggers, Language: "en-us"}
	task = mustCreate(t, db, task)
	return end(t, db, task.ID, status)
}

func end(t *testing.T, db *DB, id int64, status oms.Status) oms.Task {
	t.Helper()
	return mustChange(t, db, id, func(c *oms.TaskChange) {
		c.Task.Status, c.Task.StartedAt = status, db.now().Add(-time.Minute)
		if status == oms.StatusFailed {
			c.Task.Error = &oms.ErrorReason{Code: "TRF.0004", Message: "Some."}
		}
	})
}

func claim(t *testing.T, db *DB) []oms.Notice {
	t.Helper()
	list, err := db.ClaimNotices(t.Context(), 10, noticeLease)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// codeOf is the outcome that the task shows: "-" when none is known.
func codeOf(t *testing.T, db *DB, id int64) string {
	t.Helper()
	task, err := db.Task(t.Context(), "p", id)
	must(t, err)
	if task.NoticeCode == nil {
		return "-"
	}
	return *task.NoticeCode
}

// The end and the message about it are one transaction, and only ends that were asked for have one.
func TestNoticeOfEnd(t *testing.T) {
	tests := []struct {
		name     string
		status   oms.Status
		triggers []string
		want     int
	}{
		{"success", oms.StatusSucceeded, []string{oms.TriggerSuccess}, 1},
		{"failure", oms.StatusFailed, []string{oms.TriggerSuccess, oms.TriggerFailure}, 1},
		{"success that nobody asked for", oms.StatusSucceeded, []string{oms.TriggerFailure}, 0},
		{"pause", oms.StatusPaused, []string{oms.TriggerSuccess, oms.TriggerFailure}, 0},
		{"running", oms.StatusRunning, []string{oms.TriggerSuccess, oms.TriggerFailure}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openSQLite(t, newClock().now)
			task := endedTask(t, db, tt.status, tt.triggers...)
			mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Spec.Description = "changed" }) // no new end
			got := claim(t, db)
			if len(got) != tt.want {
				t.Fatalf("got %d notices, want %d", len(got), tt.want)
			}
			if tt.want == 0 {
				return
			}
			want, _ := task.Notice()
			want.Tries = 1
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("notice (-want +got):\n%s", diff)
			}
		})
	}
}

// A claim is exclusive for the lease, what is not settled comes back, and attempts are counted before they are made.
func TestNoticeAttempts(t *testing.T) {
	clock := newClock()
	db := openSQLite(t, clock.now)
	task := endedTask(t, db, oms.StatusFailed, oms.TriggerFailure)
	first := claim(t, db)
	if len(first) != 1 || len(claim(t, db)) != 0 {
		t.Fatal("a claimed notice was not claimed alone")
	}
	if got := codeOf(t, db, task.ID); got != "-" {
		t.Errorf("before an outcome: got %s, want none", got)
	}
	clock.advance(noticeLease) // the process died
	second := claim(t, db)
	if len(second) != 1 || second[0].Tries != 2 {
		t.Fatalf("after the lease: got %+v, want the second attempt", second)
	}
	must(t, db.RetryNotice(t.Context(), second[0].NoticeRef, "OMS.0161", time.Hour))
	if got := codeOf(t, db, task.ID); got != "OMS.0161" {
		t.Errorf("after a failure: got %s, want OMS.0161", got)
	}
	clock.advance(time.Hour - time.Second)
	if got := claim(t, db); len(got) != 0 {
		t.Errorf("before the pause is over: got %d notices", len(got))
	}
	clock.advance(time.Second)
	third := claim(t, db)
	if len(third) != 1 || third[0].Tries != 3 || third[0].Code != "OMS.0161" {
		t.Fatalf("after the pause: got %+v", third)
	}
	must(t, db.RetryNotice(t.Context(), third[0].NoticeRef, "", 0))
	if got := codeOf(t, db, task.ID); got != "OMS.0161" {
		t.Errorf("after an attempt that was stopped: got %s, want OMS.0161", got)
	}
	must(t, db.SettleNotice(t.Context(), third[0].NoticeRef, ""))
	clock.advance(24 * time.Hour)
	if got := claim(t, db); len(got) != 0 || codeOf(t, db, task.ID) != "" {
		t.Errorf("after it was sent: got %d notices, code %q", len(got), codeOf(t, db, task.ID))
	}
	must(t, db.RetryNotice(t.Context(), third[0].NoticeRef, "OMS.0161", 0))
	if got := claim(t, db); len(got) != 0 {
		t.Error("a settled notice is due again")
	}
}

// A new run shows nothing of the message about the run before, and rows do not pile up.
func TestNoticeOfEachRun(t *testing.T) {
	db := openSQLite(t, newClock().now)
	task := endedTask(t, db, oms.StatusFailed, oms.TriggerFailure)
	for run := range 3 {
		n := claim(t, db)
		if len(n) != 1 {
			t.Fatalf("run %d: got %d notices, want 1", run, len(n))
		}
		must(t, db.SettleNotice(t.Context(), n[0].NoticeRef, "OMS.0158"))
		if got := codeOf(t, db, task.ID); got != "OMS.0158" {
			t.Errorf("run %d: got %s, want OMS.0158", run, got)
		}
		mustChange(t, db, task.ID, func(c *oms.TaskChange) {
			c.Task.Generation++
			c.Task.Status = oms.StatusWaiting
		})
		if got := codeOf(t, db, task.ID); got != "-" {
			t.Errorf("run %d goes on: got %s, want none", run, got)
		}
		end(t, db, task.ID, oms.StatusFailed)
	}
	if got := rows(t, db); got != 1 {
		t.Errorf("got %d rows, want 1", got)
	}
}

// rows counts the stored messages.
func rows(t *testing.T, db *DB) (n int) {
	t.Helper()
	must(t, db.reader.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM notices").Scan(&n))
	return n
}

// A task may be deleted before its message is sent: it is sent all the same, and nothing stays.
func TestNoticeOfDeletedTask(t *testing.T) {
	db := openSQLite(t, newClock().now)
	agree := func(oms.Task) error { return nil }
	task := endedTask(t, db, oms.StatusSucceeded, oms.TriggerSuccess)
	must(t, db.DeleteTask(t.Context(), "p", task.ID, agree))
	n := claim(t, db)
	if len(n) != 1 || n[0].TaskID != task.ID {
		t.Fatalf("got %+v, want the message about the deleted task", n)
	}
	must(t, db.SettleNotice(t.Context(), n[0].NoticeRef, ""))
	task = endedTask(t, db, oms.StatusSucceeded, oms.TriggerSuccess)
	must(t, db.SettleNotice(t.Context(), claim(t, db)[0].NoticeRef, ""))
	must(t, db.DeleteTask(t.Context(), "p", task.ID, agree))
	if got := rows(t, db); got != 0 {
		t.Errorf("got %d rows, want none", got)
	}
}

// Groups have messages of their own.
func TestNoticeOfGroup(t *testing.T) {
	db := openSQLite(t, newClock().now)
	spec := waitingTask("p").Spec
	spec.SMN = &oms.SMNConfig{TopicURN: "urn:smn:r:p:t", TriggerConditions: []string{oms.TriggerFailure}}
	g, err := db.CreateGroup(t.Context(), oms.Group{ID: "g1", ProjectID: "p", Spec: spec, Status: oms.GroupWaiting, Generation: 1}, nil, oms.GroupLimits{}, nil)
	must(t, err)
	move := func(status oms.GroupStatus) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := db.ChangeGroup(ctx, "", g.ID, func(g oms.Group) (oms.GroupChange, error) {
				g.Status, g.Error = status, &oms.ErrorReason{Code: "TRF.0012"}
				return oms.GroupChange{Group: g}, nil
			})
			return err
		}
	}
	must(t, move(oms.GroupCreating)(t.Context()))
	must(t, move(oms.GroupCreationFailed)(t.Context()))
	n := claim(t, db)
	if len(n) != 1 || n[0].GroupID != "g1" || n[0].TaskID != 0 || n[0].Content.Name != "g1" || n[0].Content.Succeeded {
		t.Fatalf("got %+v, want the message about the group", n)
	}
	must(t, db.SettleNotice(t.Context(), n[0].NoticeRef, "OMS.0157"))
	g, err = db.Group(t.Context(), "p", "g1")
	must(t, err)
	if g.NoticeCode == nil || *g.NoticeCode != "OMS.0157" {
		t.Errorf("got %v, want OMS.0157", g.NoticeCode)
	}
}
