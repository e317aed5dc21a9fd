package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/cron"
	"github.com/openoms/openoms/internal/oms"
)

// ScheduleStore keeps schedules; package db implements it. Unknown and foreign ones are oms.NotFound with OMS.1009.
type ScheduleStore interface {
	// KeepSchedule stores a schedule, in the place of one of that name. What is due stays when its times do.
	KeepSchedule(ctx context.Context, s oms.Schedule) error
	// Schedules returns those of the project in order of name, without their history.
	Schedules(ctx context.Context, project string) ([]oms.Schedule, error)
	// Schedule returns one with its history.
	Schedule(ctx context.Context, project, name string) (oms.Schedule, error)
	// DeleteSchedule removes one with its history.
	DeleteSchedule(ctx context.Context, project, name string) error
	// DueSchedules returns schedules that are due at now, and those that were planned later than ahead.
	DueSchedules(ctx context.Context, now, ahead time.Time, limit int) ([]oms.Schedule, error)
	// FireSchedule stores what becomes of a due time, with the task if there is one, and the next due time, all or nothing.
	// A schedule that has changed since it was read is oms.Conflict.
	FireSchedule(ctx context.Context, s oms.Schedule, f oms.Firing, create *oms.TaskCreation) (oms.Firing, error)
}

// ScheduleOptions say how due schedules are fired.
type ScheduleOptions struct {
	// Compile reads a template of the project and looks its connections up. Required.
	Compile func(ctx context.Context, project string, template []byte) (oms.Task, oms.TaskCredentials, error)
	// Window is how late a due time is still made up for, when the service was away; 0 or less means 24 hours.
	Window time.Duration
}

// Times of schedules.
const (
	fireEvery     = time.Second
	fireTimeout   = time.Minute // one firing with its look at the buckets
	firesAtOnce   = 8           // of a pass
	firesAPass    = 64
	latest        = 24 * time.Hour
	clockPatience = 48 * time.Hour // a schedule that was planned so far ahead of the clock was planned by a wrong one
)

// KeepSchedule stores a schedule, in the place of one of that name; its template is not looked at. Expressions and zones
// that are none are oms.Invalid with OMS.1003.
func (e *Engine) KeepSchedule(ctx context.Context, s oms.Schedule) error {
	times, err := cron.Parse(s.Cron)
	if err != nil {
		return oms.Errorf(oms.Invalid, "OMS.1003", "The field cron is no cron expression: %s.", oms.Clean(err.Error()))
	}
	zone, err := e.zoneOf(s)
	if err != nil {
		return oms.Errorf(oms.Invalid, "OMS.1003", "The field time_zone is not the name of a time zone such as Europe/Berlin.")
	}
	s.PlannedAt, s.NextDue = e.clock(), time.Time{}
	if s.Enabled {
		s.NextDue = times.Next(s.PlannedAt.In(zone))
	}
	if err := e.store.KeepSchedule(ctx, s); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "schedule stored", "project_id", s.ProjectID, "name", s.Name, "enabled", s.Enabled)
	return nil
}

// zoneOf returns the zone that the expression is read in.
func (e *Engine) zoneOf(s oms.Schedule) (*time.Location, error) {
	if s.Zone == "" {
		return e.opts.Zone, nil
	}
	return time.LoadLocation(s.Zone)
}

// Schedules returns the schedules of the project in order of name, without their history.
func (e *Engine) Schedules(ctx context.Context, project string) ([]oms.Schedule, error) {
	return e.store.Schedules(ctx, project)
}

// Schedule returns one with its history.
func (e *Engine) Schedule(ctx context.Context, project, name string) (oms.Schedule, error) {
	return e.store.Schedule(ctx, project, name)
}

// DeleteSchedule removes a schedule with its history. Its tasks stay.
func (e *Engine) DeleteSchedule(ctx context.Context, project, name string) error {
	if err := e.store.DeleteSchedule(ctx, project, name); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "schedule deleted", "project_id", project, "name", name)
	return nil
}

// RunSchedules creates the tasks of schedules when they are due, until ctx ends. Of several processes on one store one does
// it. A process without workers leaves it to others.
func (e *Engine) RunSchedules(ctx context.Context, opts ScheduleOptions) {
	if e.opts.NoWorkers {
		return
	}
	if opts.Window <= 0 {
		opts.Window = latest
	}
	ticker := time.NewTicker(fireEvery)
	defer ticker.Stop()
	for {
		e.fireDue(ctx, opts)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// fireDue fires what is due now.
func (e *Engine) fireDue(ctx context.Context, opts ScheduleOptions) {
	if !e.hasDuty(ctx, "fire schedules") {
		return
	}
	now := e.clock()
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	due, err := e.store.DueSchedules(call, now, now.Add(clockPatience), firesAPass)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			e.trouble.report(ctx, "look for schedules", err)
		}
		return
	}
	var firing sync.WaitGroup
	slots := make(chan struct{}, firesAtOnce)
	for _, s := range due {
		slots <- struct{}{}
		firing.Go(func() {
			defer func() { <-slots }()
			call, cancel := context.WithTimeout(ctx, fireTimeout)
			defer cancel()
			if err := e.fire(call, s, opts, now); err != nil && !errors.Is(err, oms.Conflict) && ctx.Err() == nil {
				e.trouble.report(ctx, "fire a schedule", err) // it stays due
			}
		})
	}
	firing.Wait()
}

// fire deals with a schedule that is due. It is over when the store has taken it: until then the schedule stays due.
func (e *Engine) fire(ctx context.Context, s oms.Schedule, opts ScheduleOptions, now time.Time) error {
	times, err := cron.Parse(s.Cron)
	zone, zoneErr := e.zoneOf(s)
	if err := errors.Join(err, zoneErr); err != nil { // of a later version, or a zone that is no more
		f := oms.Firing{Due: s.NextDue, At: now, Outcome: oms.FiringFailed, Reason: "The cron expression or the time zone is not known."}
		s.NextDue, s.PlannedAt = time.Time{}, now
		return e.record(ctx, s, f, nil)
	}
	planned, wrong := s, s.PlannedAt.After(now.Add(clockPatience))
	planned.NextDue, planned.PlannedAt = times.Next(now.In(zone)), now
	if wrong {
		e.log.WarnContext(ctx, "schedule was planned by a clock that was ahead", "project_id", s.ProjectID, "name", s.Name, "planned_at", s.PlannedAt)
		return e.record(ctx, planned, oms.Firing{}, nil)
	}
	f := oms.Firing{Due: lastDue(times, s.NextDue.In(zone), now, opts.Window), At: now}
	switch {
	case f.Due.IsZero():
		f.Due, f.Outcome, f.Reason = s.NextDue, oms.FiringMissed, "The service was away for too long."
	case s.LastStatus.Unfinished():
		f.Outcome, f.Reason = oms.FiringSkipped, oms.StillBusy
	default:
		return e.create(ctx, planned, f, opts)
	}
	return e.record(ctx, planned, f, nil)
}

// lastDue returns the latest of first and what follows it that is due no later than now and no earlier than window before;
// zero when there is none.
func lastDue(times cron.Schedule, first, now time.Time, window time.Duration) (last time.Time) {
	at := first
	if early := now.Add(-window).In(first.Location()); at.Before(early) {
		at = times.Next(early.Add(-time.Nanosecond))
	}
	for ; !at.IsZero() && !at.After(now); at = times.Next(at) {
		last = at
	}
	return last
}

// create creates the task of a firing, or records why there is none. Trouble that may pass is an error.
func (e *Engine) create(ctx context.Context, s oms.Schedule, f oms.Firing, opts ScheduleOptions) error {
	refused := func(err error) error {
		refusal := refusalOf(err)
		if refusal == nil || ctx.Err() != nil {
			return err
		}
		f.Outcome, f.Code, f.Reason = oms.FiringFailed, refusal.Code, oms.Clean(refusal.Msg)
		if f.Reason == "" {
			f.Reason = refusal.Kind.String()
		}
		return e.record(ctx, s, f, nil)
	}
	t, keys, err := opts.Compile(ctx, s.ProjectID, s.Template)
	if err != nil {
		return refused(err)
	}
	c, err := e.prepare(ctx, t, keys)
	if err != nil {
		return refused(err)
	}
	f.Outcome = oms.FiringCreated
	if err := e.record(ctx, s, f, &c); err != nil {
		return refused(err)
	}
	return nil
}

// refusalOf returns the outermost error of err's chain that has a code which users are told; nil when there is none.
func refusalOf(err error) *oms.Error {
	for e, ok := errors.AsType[*oms.Error](err); ok; e, ok = errors.AsType[*oms.Error](e.Err) {
		if strings.HasPrefix(e.Code, "OMS.") {
			return e
		}
		if e.Err == nil {
			break
		}
	}
	return nil
}

// record stores a firing.
func (e *Engine) record(ctx context.Context, s oms.Schedule, f oms.Firing, c *oms.TaskCreation) error {
	f, err := e.store.FireSchedule(ctx, s, f, c)
	if err != nil || f.Outcome == "" {
		return err
	}
	e.log.InfoContext(ctx, "schedule fired", "project_id", s.ProjectID, "name", s.Name, "due", f.Due, "outcome", string(f.Outcome),
		"task_id", f.TaskID, "code", f.Code)
	if f.TaskID != 0 {
		e.wake()
	}
	return nil
}
