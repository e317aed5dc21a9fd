package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const (
	groupPage     = 100             // tasks of a group that are changed in one transaction
	drivePatience = 5 * time.Minute // for what one group needs at a time; what is left is done in the next pass
)

// groupRuns are the splits of this process, and the wake-up of the loop that drives groups.
type groupRuns struct {
	wakes chan struct{}

	mu   sync.Mutex
	runs map[string]*groupRun
}

func newGroupRuns() *groupRuns {
	return &groupRuns{wakes: make(chan struct{}, 1), runs: make(map[string]*groupRun)}
}

func (s *groupRuns) enter(r *groupRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[r.group.ID] = r
}

// leave is the inverse of enter.
func (s *groupRuns) leave(r *groupRun) {
	r.cancel(nil)
	s.mu.Lock()
	delete(s.runs, r.group.ID)
	s.mu.Unlock()
	close(r.done)
}

// of returns the split of the group in this process, or nil.
func (s *groupRuns) of(id string) *groupRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[id]
}

// all returns the splits of this process.
func (s *groupRuns) all() []*groupRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*groupRun, 0, len(s.runs))
	for _, r := range s.runs {
		list = append(list, r)
	}
	return list
}

// wakeGroups makes the loop look at the groups at once.
func (e *Engine) wakeGroups() { signal(e.groups.wakes) }

// driveGroups moves groups on until ctx ends, then stops the splits of this process. They live as long as life.
func (e *Engine) driveGroups(ctx, life context.Context) {
	ticker := time.NewTicker(passEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		e.passGroups(ctx, life)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-e.groups.wakes:
		}
	}
	splits := e.groups.all()
	for _, r := range splits {
		r.cancel(errStopping)
	}
	for _, r := range splits { // they store what they have listed and end, with life at the latest
		<-r.done
	}
}

// passGroups looks once at all groups that the service itself moves on.
func (e *Engine) passGroups(ctx, life context.Context) {
	if !e.hasDuty(ctx, "drive task groups") {
		return
	}
	before := e.groups.all() // what begins later cannot be missing in the list
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	list, err := e.store.PendingGroups(call)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			e.trouble.report(ctx, "look for task groups", err)
		}
		return
	}
	active := make(map[string]int)
	pending := make(map[string]oms.Group, len(list))
	for _, g := range list {
		pending[g.ID] = g
		if g.Status.Active() {
			active[g.ProjectID]++
		}
	}
	for _, r := range before {
		if g, ok := pending[r.group.ID]; !ok || g.Generation != r.group.Generation {
			r.cancel(errElsewhere)
		}
	}
	for _, g := range list {
		if ctx.Err() != nil {
			return
		}
		err := e.driveGroup(ctx, life, g, active)
		if gone, ok := errors.AsType[*keysGone](err); ok {
			reason := gone.reason()
			err = e.moveGroup(ctx, g, oms.GroupEvent{Type: failureOf(g.Status), Reason: &reason})
		}
		if err != nil && !final(err) && ctx.Err() == nil {
			e.trouble.report(ctx, "drive task group", err)
		}
	}
}

// failureOf returns the event by which a group fails in its state.
func failureOf(s oms.GroupStatus) oms.GroupEventType {
	if s == oms.GroupCreating {
		return oms.GroupEventSplitFailed
	}
	return oms.GroupEventFailed
}

// awaitGroups waits for the end of driveGroups, which stores what splits have listed.
func (e *Engine) awaitGroups(driven <-chan struct{}) error {
	timer := time.NewTimer(3 * splitPatience)
	defer timer.Stop()
	select {
	case <-driven:
		return nil
	case <-timer.C:
		return oms.Errorf(oms.Transient, "", "the split of a task group did not wind down in time")
	}
}

// driveGroup does what one group needs now.
func (e *Engine) driveGroup(ctx, life context.Context, g oms.Group, active map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, drivePatience)
	defer cancel()
	switch g.Status {
	case oms.GroupWaiting:
		if most := e.opts.Groups.Running; most > 0 && active[g.ProjectID] >= most {
			return nil
		}
		active[g.ProjectID]++
		return e.moveGroup(ctx, g, oms.GroupEvent{Type: oms.GroupEventSchedule})
	case oms.GroupCreating:
		return errors.Join(e.restartTasks(ctx, g), e.claimSplit(ctx, life, g))
	case oms.GroupMonitoring:
		return e.monitor(ctx, g)
	case oms.GroupPausing:
		return e.windDown(ctx, g, oms.GroupEventPaused)
	case oms.GroupDeletePending:
		return e.windDown(ctx, g, oms.GroupEventDeleting)
	case oms.GroupDeleting:
		return e.removeTasks(ctx, g)
	case oms.GroupPaused, oms.GroupCreationFailed, oms.GroupFailed, oms.GroupSucceeded:
	}
	return nil
}

// moveGroup applies an event, if the group still is in the run and state that g shows.
func (e *Engine) moveGroup(ctx context.Context, g oms.Group, ev oms.GroupEvent) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	moved, err := e.store.ChangeGroup(ctx, "", g.ID, func(cur oms.Group) (oms.GroupChange, error) {
		if cur.Generation != g.Generation || cur.Status != g.Status {
			return oms.GroupChange{}, oms.Errorf(oms.Conflict, "", "task group %s has gone on", g.ID)
		}
		next, err := cur.Apply(ev, e.clock())
		return oms.GroupChange{Group: next, Wipe: !next.Status.Active()}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task group moved", "group_id", g.ID, "status", moved.Status.String())
	e.wakeGroups()
	return nil
}

// claimSplit splits the group here, unless somebody does already.
func (e *Engine) claimSplit(ctx, life context.Context, g oms.Group) error {
	if e.groups.of(g.ID) != nil || g.Owner != "" && g.Owner != e.opts.Owner {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	claimed, err := e.store.ClaimGroup(ctx, e.opts.Owner, g.ID, g.Generation)
	if err != nil || !claimed {
		return err
	}
	// The step of the split may have grown since the group was read.
	if g, err = e.store.Group(ctx, "", g.ID); err != nil {
		return err
	}
	e.launchSplit(life, g)
	return nil
}

// monitor ends a group whose tasks have all ended.
func (e *Engine) monitor(ctx context.Context, g oms.Group) error {
	if g.Restarting() {
		return e.restartTasks(ctx, g)
	}
	ev, over := g.Outcome()
	if !over {
		return nil
	}
	if ev != oms.GroupEventFailed {
		return e.moveGroup(ctx, g, oms.GroupEvent{Type: ev})
	}
	reasons, err := e.store.GroupReasons(ctx, g.ID, 2)
	if err != nil {
		return err
	}
	reason := oms.ErrorReason{Code: "TRF.0004", Message: "Some tasks of the group failed. Their reasons are shown with them."}
	if len(reasons) == 1 {
		reason = reasons[0]
	}
	return e.moveGroup(ctx, g, oms.GroupEvent{Type: ev, Reason: &reason})
}

// windDown stops what runs of a group, and applies the event when nothing does any more.
func (e *Engine) windDown(ctx context.Context, g oms.Group, done oms.GroupEventType) error {
	if r := e.groups.of(g.ID); r != nil {
		r.cancel(errPaused)
		return nil // its end wakes this loop
	}
	if g.Owner != "" && g.Owner != e.opts.Owner {
		return nil
	}
	if g.Totals.Tasks.Waiting+g.Totals.Tasks.Running == 0 {
		return e.moveGroup(ctx, g, oms.GroupEvent{Type: done})
	}
	return e.holdTasks(ctx, g)
}

// holdTasks pauses all tasks of a group that wait or run.
func (e *Engine) holdTasks(ctx context.Context, g oms.Group) error {
	for after := int64(0); ; {
		list, err := e.store.GroupTasks(ctx, oms.GroupTaskQuery{
			GroupID: g.ID, After: after, Limit: groupPage,
			Statuses: []oms.Status{oms.StatusWaiting, oms.StatusRunning, oms.StatusRetrying},
		})
		if err != nil || len(list) == 0 {
			return err
		}
		step := oms.GroupStep{GroupID: g.ID, Generation: g.Generation}
		for _, t := range list {
			step.Tasks = append(step.Tasks, t.ID)
			after = t.ID
		}
		err = e.store.ChangeGroupTasks(ctx, step, func(cur oms.Task) (*oms.TaskChange, error) {
			next, err := cur.Apply(oms.Event{Type: oms.EventHold}, e.clock())
			if err != nil {
				return nil, nil //nolint:nilerr,nilnil // it has come to rest meanwhile: nothing to change, and no error
			}
			return &oms.TaskChange{Task: next, Wipe: next.Status == oms.StatusPaused}, nil
		})
		if err != nil {
			return err
		}
		for _, t := range list {
			if r := e.running(t.ID); r != nil && t.Status.Active() {
				r.stop(errPaused)
			}
		}
		e.wake()
	}
}

// removeTasks deletes a page of the tasks of a group, and the group when it has none.
func (e *Engine) removeTasks(ctx context.Context, g oms.Group) error {
	if err := e.holdTasks(ctx, g); err != nil {
		return err
	}
	list, err := e.store.GroupTasks(ctx, oms.GroupTaskQuery{GroupID: g.ID, Limit: groupPage})
	if err != nil {
		return err
	}
	deleted := 0
	for _, t := range list {
		switch err := e.Delete(ctx, t.ProjectID, t.ID); {
		case err == nil || errors.Is(err, oms.NotFound):
			deleted++
		case !errors.Is(err, oms.Conflict): // one that runs is deleted when it has stopped
			return err
		}
	}
	if len(list) > 0 {
		if deleted > 0 {
			e.wakeGroups() // other groups have their turn between the pages
		}
		return nil
	}
	err = e.store.RemoveGroup(ctx, g.ID)
	if err == nil {
		e.log.InfoContext(ctx, "task group deleted", "group_id", g.ID)
	}
	return err
}
