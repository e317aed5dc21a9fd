package db

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func aSchedule(name string, due time.Time) oms.Schedule {
	return oms.Schedule{
		ProjectID: "p", Name: name, Description: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Template: []byte("{}"),
		Enabled: true, NextDue: due, PlannedAt: due.Add(-time.Hour),
	}
}

func mustKeep(t *testing.T, db *DB, s oms.Schedule) oms.Schedule {
	t.Helper()
	if err := db.KeepSchedule(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return mustSchedule(t, db, s.Name)
}

func mustSchedule(t *testing.T, db *DB, name string) oms.Schedule {
	t.Helper()
	s, err := db.Schedule(t.Context(), "p", name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testSchedules(t *testing.T, db *DB, c *clock) {
	created, due := c.now(), c.now().Add(time.Hour)
	want := aSchedule("a", due)
	got := mustKeep(t, db, want)
	want.Revision, want.CreatedAt, want.UpdatedAt = got.Revision, created, created
	diff(t, "kept", got, want)

	// A new template leaves alone what is due, a new expression does not.
	c.advance(time.Minute)
	next := want
	next.Template, next.NextDue, next.PlannedAt = []byte(`{"a":1}`), due.Add(time.Hour), due
	got = mustKeep(t, db, next)
	want.Template, want.UpdatedAt, want.Revision = next.Template, c.now(), want.Revision+1
	diff(t, "another template", got, want)
	next.Cron = "0 4 * * *"
	want.Cron, want.NextDue, want.PlannedAt, want.Revision = next.Cron, next.NextDue, next.PlannedAt, want.Revision+1
	diff(t, "another expression", mustKeep(t, db, next), want)
	next.Enabled, next.NextDue, next.PlannedAt = false, time.Time{}, due.Add(time.Minute)
	want.Enabled, want.NextDue, want.PlannedAt, want.Revision = false, time.Time{}, next.PlannedAt, want.Revision+1
	diff(t, "disabled", mustKeep(t, db, next), want)

	mustKeep(t, db, aSchedule("A", due))
	list, err := db.Schedules(t.Context(), "p")
	if err != nil || len(list) != 2 || list[0].Name != "A" || list[1].Name != "a" {
		t.Errorf("list %+v, %v", list, err)
	}
	if list, err := db.Schedules(t.Context(), "q"); err != nil || len(list) != 0 {
		t.Errorf("another project: %d, %v", len(list), err)
	}
	for _, tt := range []struct {
		now, ahead time.Time
		want       int
	}{{due.Add(-1), due, 0}, {due, due, 1}, {due.Add(-time.Minute), due.Add(-time.Hour), 0}, {due.Add(-time.Minute), due.Add(-2 * time.Hour), 1}} {
		if list, err := db.DueSchedules(t.Context(), tt.now, tt.ahead, 5); err != nil || len(list) != tt.want {
			t.Errorf("%d are due at %s, %v", len(list), tt.now, err)
		}
	}
	_, err = db.Schedule(t.Context(), "q", "a")
	wantKind(t, err, oms.NotFound, "OMS.1009")
	wantKind(t, db.DeleteSchedule(t.Context(), "q", "a"), oms.NotFound, "OMS.1009")
	if err := db.DeleteSchedule(t.Context(), "p", "a"); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < oms.MaxSchedules; i++ {
		mustKeep(t, db, aSchedule("n"+strconv.Itoa(i), due))
	}
	wantKind(t, db.KeepSchedule(t.Context(), aSchedule("more", due)), oms.Conflict, "OMS.1003")
	mustKeep(t, db, aSchedule("n1", due))
}

// A due time makes one task, whoever else tries, and only when the one before has ended; a refusal leaves it due.
func testFirings(t *testing.T, db *DB, c *clock) {
	due := c.now()
	s := mustKeep(t, db, aSchedule("a", due))
	creation := &oms.TaskCreation{Task: waitingTask("p"), Seal: noSeal}
	fire := func(s oms.Schedule, create *oms.TaskCreation) (oms.Firing, error) {
		f := oms.Firing{Due: s.NextDue, At: c.now(), Outcome: oms.FiringCreated}
		s.NextDue, s.PlannedAt = s.NextDue.Add(time.Hour), c.now()
		return db.FireSchedule(t.Context(), s, f, create)
	}
	refusal := errors.New("no key")
	_, err := fire(s, &oms.TaskCreation{Task: waitingTask("p"), Seal: func(int64) (map[string][]byte, error) { return nil, refusal }})
	if !errors.Is(err, refusal) {
		t.Fatalf("got %v", err)
	}
	diff(t, "after a refusal", mustSchedule(t, db, "a"), s)

	first, err := fire(s, creation)
	if err != nil || first.TaskID == 0 || first.Outcome != oms.FiringCreated {
		t.Fatalf("got %+v, %v", first, err)
	}
	_, err = fire(s, creation)
	wantKind(t, err, oms.Conflict, "")
	now := mustSchedule(t, db, "a")
	want := s
	want.NextDue, want.PlannedAt, want.Revision = due.Add(time.Hour), c.now(), s.Revision+1
	want.LastTask, want.LastStatus, want.Firings = first.TaskID, oms.StatusWaiting, []oms.Firing{first}
	diff(t, "fired", now, want)

	again := now
	again.NextDue = due
	if f, err := fire(again, creation); err != nil || f != first {
		t.Errorf("a due time of the history: %+v, %v", f, err)
	}
	c.advance(time.Hour)
	skipped, err := fire(mustSchedule(t, db, "a"), creation)
	if err != nil || skipped.Outcome != oms.FiringSkipped || skipped.TaskID != 0 || skipped.Reason == "" {
		t.Errorf("while the task waits: %+v, %v", skipped, err)
	}
	if n := count(t.Context(), t, db, "tasks"); n != 1 {
		t.Errorf("%d tasks", n)
	}
	if err := db.DeleteTask(t.Context(), "p", first.TaskID, func(oms.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for range oms.MaxFirings {
		now = mustSchedule(t, db, "a")
		f, err := fire(now, creation)
		if err != nil || f.Outcome != oms.FiringCreated {
			t.Fatalf("got %+v, %v", f, err)
		}
		if err := db.DeleteTask(t.Context(), "p", f.TaskID, func(oms.Task) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	now = mustSchedule(t, db, "a")
	if len(now.Firings) != oms.MaxFirings || now.Firings[0].Due != now.NextDue.Add(-time.Hour) || now.LastStatus != 0 {
		t.Errorf("%d firings, the latest %+v; last status %s", len(now.Firings), now.Firings[0], now.LastStatus)
	}
	// To plan anew is no firing.
	now.NextDue = due
	if _, err := db.FireSchedule(t.Context(), now, oms.Firing{}, nil); err != nil {
		t.Fatal(err)
	}
	if got := mustSchedule(t, db, "a"); got.NextDue != due || len(got.Firings) != oms.MaxFirings {
		t.Errorf("planned anew: %+v", got)
	}
	if err := db.DeleteSchedule(t.Context(), "p", "a"); err != nil {
		t.Fatal(err)
	}
	if n := count(t.Context(), t, db, "schedule_firings"); n != 0 {
		t.Errorf("%d firings are left", n)
	}
}
