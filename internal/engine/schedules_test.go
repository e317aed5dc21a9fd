package engine_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
)

// timetable is a lab with an engine whose clock stands until it is set. Tasks do not run; they wait until they are deleted.
type timetable struct {
	*lab
	*engine.Engine
	now  time.Time
	opts engine.ScheduleOptions
	fail error // of the compiler
}

func newTimetable(t *testing.T, cron, zone string) *timetable {
	t.Helper()
	tt := &timetable{lab: newLab(t), now: time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)}
	opts := tt.options("one")
	opts.Clock = func() time.Time { return tt.now }
	tt.Engine = tt.make(opts)
	tt.opts.Window = 24 * time.Hour
	tt.opts.Compile = func(context.Context, string, []byte) (oms.Task, oms.TaskCredentials, error) {
		return tt.task(nil), keys(), tt.fail
	}
	tt.keep(oms.Schedule{Cron: cron, Zone: zone, Enabled: true})
	return tt
}

func (tt *timetable) keep(s oms.Schedule) {
	tt.t.Helper()
	s.ProjectID, s.Name, s.Template = project, "s", []byte("{}")
	if err := tt.KeepSchedule(tt.t.Context(), s); err != nil {
		tt.t.Fatal(err)
	}
}

// at sets the clock, fires and returns what was recorded since, oldest first; tasks that it made have ended then.
func (tt *timetable) at(now time.Time) (fired []oms.Firing) {
	tt.t.Helper()
	fired = tt.leave(now)
	for _, f := range fired {
		if f.TaskID != 0 {
			if err := tt.Delete(tt.t.Context(), project, f.TaskID); err != nil {
				tt.t.Fatal(err)
			}
		}
	}
	return fired
}

// leave does the same and leaves the tasks waiting.
func (tt *timetable) leave(now time.Time) (fired []oms.Firing) {
	tt.t.Helper()
	before := map[time.Time]bool{}
	for _, f := range tt.schedule().Firings {
		before[f.Due] = true
	}
	tt.now = now
	for range 3 { // what is fired is not fired again
		tt.FireDue(tt.t.Context(), tt.opts)
	}
	for _, f := range tt.schedule().Firings {
		if !before[f.Due] {
			fired = append([]oms.Firing{f}, fired...)
		}
	}
	return fired
}

func (tt *timetable) schedule() oms.Schedule {
	tt.t.Helper()
	s, err := tt.Schedule(tt.t.Context(), project, "s")
	if err != nil {
		tt.t.Fatal(err)
	}
	return s
}

func (tt *timetable) want(got []oms.Firing, outcome oms.FiringOutcome, due time.Time) {
	tt.t.Helper()
	if len(got) != 1 || got[0].Outcome != outcome || !got[0].Due.Equal(due) || (got[0].TaskID != 0) != (outcome == oms.FiringCreated) || (got[0].Reason == "") != (outcome == oms.FiringCreated) {
		tt.t.Errorf("at %s: got %+v, want it to be %s at %s", tt.now, got, outcome, due)
	}
}

func (tt *timetable) quiet(got []oms.Firing) {
	tt.t.Helper()
	if len(got) != 0 {
		tt.t.Errorf("at %s: got %+v, want nothing", tt.now, got)
	}
}

// Due times make one task each; not before, not twice, not while one waits, and not while disabled.
func TestScheduleFires(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "0 * * * *", "")
	one := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	tt.quiet(tt.at(one.Add(-time.Microsecond)))
	tt.want(tt.at(one), oms.FiringCreated, one)
	tt.quiet(tt.at(one.Add(59 * time.Minute)))
	tt.want(tt.leave(one.Add(61*time.Minute)), oms.FiringCreated, one.Add(time.Hour))
	waiting := tt.schedule().LastTask
	tt.want(tt.at(one.Add(2*time.Hour)), oms.FiringSkipped, one.Add(2*time.Hour))
	if err := tt.Delete(t.Context(), project, waiting); err != nil {
		t.Fatal(err)
	}
	tt.want(tt.at(one.Add(3*time.Hour)), oms.FiringCreated, one.Add(3*time.Hour))

	tt.fail = oms.Errorf(oms.NotFound, "OMS.1009", "The connection does not exist.")
	got := tt.at(one.Add(4 * time.Hour))
	tt.want(got, oms.FiringFailed, one.Add(4*time.Hour))
	if got[0].Code != "OMS.1009" || got[0].Reason != "The connection does not exist." {
		t.Errorf("recorded as %+v", got[0])
	}
	tt.fail = &oms.Error{Kind: oms.Transient, Err: errors.New("away")} // it stays due
	tt.quiet(tt.at(one.Add(5 * time.Hour)))
	tt.fail = nil
	tt.want(tt.at(one.Add(5*time.Hour+time.Minute)), oms.FiringCreated, one.Add(5*time.Hour))

	tt.keep(oms.Schedule{Cron: "0 * * * *"})
	tt.quiet(tt.at(one.Add(8 * time.Hour)))
	tt.keep(oms.Schedule{Cron: "0 * * * *", Enabled: true})
	tt.quiet(tt.at(one.Add(8*time.Hour + time.Minute)))
	tt.want(tt.at(one.Add(9*time.Hour)), oms.FiringCreated, one.Add(9*time.Hour))
}

// What was due while the service was away is made up for once, if it is not too old.
func TestScheduleMissed(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "0 3 * * *", "Europe/Berlin")
	three := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	tt.want(tt.at(three.AddDate(0, 0, 2).Add(23*time.Hour)), oms.FiringCreated, three.AddDate(0, 0, 2)) // of three the last
	tt.quiet(tt.at(three.AddDate(0, 0, 2).Add(23 * time.Hour)))
	tt.opts.Window = time.Hour
	tt.want(tt.at(three.AddDate(0, 0, 4).Add(2*time.Hour)), oms.FiringMissed, three.AddDate(0, 0, 3))
	tt.want(tt.at(three.AddDate(0, 0, 5).Add(time.Hour)), oms.FiringCreated, three.AddDate(0, 0, 5))
}

// Clocks on the wall that change, at both ends of the summer.
func TestScheduleClockChanges(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "30 2 * * *", "Europe/Berlin")
	for _, at := range []time.Time{
		time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC),
	} {
		tt.at(at.Add(-20 * time.Minute)) // catches up
		var fired []oms.Firing
		for minute := range 4 * 60 {
			fired = append(fired, tt.at(at.Add(time.Duration(minute)*time.Minute))...)
		}
		due := at.Add(time.Hour) // the end of the gap
		if at.Month() == time.October {
			due = at.Add(30 * time.Minute) // the first 02:30
		}
		tt.want(fired, oms.FiringCreated, due)
	}
}

// A clock that jumps does not fire a due time twice, and one that was far ahead does not silence the schedule.
func TestScheduleClockJumps(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "0 * * * *", "")
	one := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	tt.want(tt.at(one.Add(time.Minute)), oms.FiringCreated, one)
	tt.quiet(tt.at(one.Add(-59 * time.Minute))) // an hour back
	tt.quiet(tt.at(one.Add(time.Minute)))       // the same hour again
	tt.want(tt.at(one.Add(time.Hour)), oms.FiringCreated, one.Add(time.Hour))
	tt.want(tt.at(one.Add(2*time.Hour+time.Minute)), oms.FiringCreated, one.Add(2*time.Hour)) // an hour ahead
	tt.quiet(tt.at(one.Add(time.Hour + time.Minute)))
	tt.quiet(tt.at(one.Add(2*time.Hour + time.Minute)))

	far := one.AddDate(10, 0, 0)
	tt.want(tt.at(far.Add(time.Minute)), oms.FiringCreated, far)
	tt.quiet(tt.at(one.Add(2*time.Hour + 2*time.Minute)))
	tt.want(tt.at(one.Add(3*time.Hour)), oms.FiringCreated, one.Add(3*time.Hour))
	tt.quiet(tt.at(one.Add(3 * time.Hour)))
}

// Several processes that believe to have the duty make one task, and a crash before the store has taken it loses nothing.
func TestScheduleOnce(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "0 * * * *", "")
	one := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	tt.now = one
	crash, cancel := context.WithCancel(t.Context())
	dying := tt.opts
	dying.Compile = func(context.Context, string, []byte) (oms.Task, oms.TaskCredentials, error) {
		cancel()
		return tt.task(nil), keys(), nil
	}
	tt.FireDue(crash, dying)
	if n := len(tt.schedule().Firings); n != 0 {
		t.Fatalf("%d firings of one that died", n)
	}
	var all sync.WaitGroup
	var compiled atomic.Int64
	both := make(chan struct{})
	opts := tt.opts
	opts.Compile = func(context.Context, string, []byte) (oms.Task, oms.TaskCredentials, error) {
		if compiled.Add(1) == 2 {
			close(both)
		}
		<-both // nobody stores before both have read
		return tt.task(nil), keys(), nil
	}
	for range 2 {
		all.Go(func() { tt.FireDue(t.Context(), opts) })
	}
	all.Wait()
	_, total, err := tt.List(t.Context(), oms.TaskFilter{ProjectID: project, Limit: 10})
	if err != nil || total != 1 {
		t.Errorf("%d tasks, %v", total, err)
	}
	tt.want(tt.schedule().Firings, oms.FiringCreated, one)
}

// Processes on one store: one has the duty, those without workers never.
func TestScheduleDuty(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "0 * * * *", "")
	one := time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC)
	engines := make([]*engine.Engine, 2)
	for i, owner := range []string{"a", "b"} {
		opts := tt.clustered(owner)
		opts.Clock = func() time.Time { return tt.now }
		engines[i] = tt.make(opts)
	}
	var by []int
	opts := func(i int) engine.ScheduleOptions {
		return engine.ScheduleOptions{Compile: func(context.Context, string, []byte) (oms.Task, oms.TaskCredentials, error) {
			by = append(by, i)
			return oms.Task{}, oms.TaskCredentials{}, oms.Errorf(oms.Invalid, "OMS.1003", "no")
		}}
	}
	for hour := range 4 {
		tt.now = one.Add(time.Duration(hour) * time.Hour)
		engines[(hour+1)%2].FireDue(t.Context(), opts((hour+1)%2))
		engines[hour%2].FireDue(t.Context(), opts(hour%2))
	}
	if len(by) != 4 || by[0]+by[1]+by[2]+by[3] != 4 {
		t.Errorf("fired by %v", by)
	}
	idle := tt.clustered("c")
	idle.NoWorkers = true
	tt.make(idle).RunSchedules(t.Context(), tt.opts) // returns at once
}

// Expressions and zones that are none are refused.
func TestScheduleRefused(t *testing.T) {
	t.Parallel()
	tt := newTimetable(t, "@daily", "")
	for _, s := range []oms.Schedule{{Cron: "0 0 30 2 *"}, {Cron: "x"}, {Cron: "@daily", Zone: "Mars/Olympus"}, {Cron: "@daily", Zone: "../etc/passwd"}} {
		s.ProjectID, s.Name, s.Template = project, "x", []byte("{}")
		if err := tt.KeepSchedule(t.Context(), s); oms.CodeOf(err) != "OMS.1003" {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := tt.DeleteSchedule(t.Context(), project, "s"); err != nil {
		t.Fatal(err)
	}
	if list, err := tt.Schedules(t.Context(), project); err != nil || len(list) != 0 {
		t.Errorf("%d schedules, %v", len(list), err)
	}
}
