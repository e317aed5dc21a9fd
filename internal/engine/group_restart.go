package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// restart says how a run of a group starts one of its tasks.
type restart struct {
	event oms.Event
	fresh bool // from the beginning
	was   oms.Task
}

// restartTasks starts the next tasks of those that this run of the group is to start.
func (e *Engine) restartTasks(ctx context.Context, g oms.Group) error {
	if !g.Restarting() {
		return nil
	}
	keys, err := e.groupKeys(ctx, g)
	if err != nil {
		return err
	}
	for g.Restarting() && ctx.Err() == nil {
		list, err := e.store.GroupTasks(ctx, oms.GroupTaskQuery{GroupID: g.ID, After: g.RestartFrom, UpTo: g.RestartTo, Limit: groupPage})
		if err != nil {
			return err
		}
		step := oms.GroupStep{GroupID: g.ID, Generation: g.Generation, RestartFrom: g.RestartTo}
		if len(list) == groupPage {
			step.RestartFrom = list[len(list)-1].ID
		}
		plans := make(map[int64]restart, len(list))
		for _, t := range list {
			if p, ok, err := e.restartOf(ctx, g.Restart, t); err != nil {
				return err
			} else if ok {
				plans[t.ID] = p
				step.Tasks = append(step.Tasks, t.ID)
			}
		}
		err = e.store.ChangeGroupTasks(ctx, step, func(cur oms.Task) (*oms.TaskChange, error) {
			return e.restartTask(cur, plans[cur.ID], keys)
		})
		if err != nil {
			return err
		}
		g.RestartFrom = step.RestartFrom
		e.wake()
	}
	return nil
}

// restartOf decides whether and how a task is started. See OMS v2, 4.15 and 4.17.
func (e *Engine) restartOf(ctx context.Context, mode oms.RestartMode, t oms.Task) (restart, bool, error) {
	p := restart{event: oms.Event{Type: oms.EventRerun}, was: t}
	switch t.Status {
	case oms.StatusPaused:
		return p, mode != "", nil
	case oms.StatusFailed:
		if mode != oms.RestartFailed && mode != oms.RestartAll {
			return p, false, nil
		}
		rs, err := e.store.Ranges(ctx, t.ID)
		if err != nil {
			return p, false, err
		}
		switch {
		case unfinished(rs): // its run was cut short: it goes on
		case mode == oms.RestartFailed && t.Counters.Failed > 0:
			p.event.FailedOnly = true
		default:
			p.fresh = true
		}
		return p, true, nil
	case oms.StatusSucceeded:
		p.fresh = true
		return p, mode == oms.RestartAll, nil
	case oms.StatusWaiting, oms.StatusRunning, oms.StatusRetrying, oms.StatusPausing:
	}
	return p, false, nil
}

// restartTask applies the plan to the task, if it still is as it was when the plan was made.
func (e *Engine) restartTask(cur oms.Task, p restart, keys oms.TaskCredentials) (*oms.TaskChange, error) {
	if cur.Generation != p.was.Generation || cur.Status != p.was.Status {
		return nil, nil //nolint:nilnil // somebody was faster: nothing to change, and no error
	}
	next, err := cur.Apply(p.event, e.clock())
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // it has no usable list of failures and stays failed
	}
	if cur.Status != oms.StatusPaused {
		next = restarted(next)
	}
	if p.fresh { // what was found stays, so that the totals of the group do
		next.Epoch, next.QueryOver, next.PartialBytes = time.Time{}, false, 0
	}
	sealed, err := sealAll(e.opts.Sealer, cur.ProjectID, cur.ID, keys)
	if err != nil {
		return nil, err
	}
	return &oms.TaskChange{Task: next, Credentials: sealed, Fresh: p.fresh}, nil
}

// checkFailedOnly refuses a retry of failures when some failed task of the group has no usable list of them: OMS.0167
// or OMS.0308.
func (e *Engine) checkFailedOnly(ctx context.Context, id string) error {
	for after := int64(0); ; {
		list, err := e.store.GroupTasks(ctx, oms.GroupTaskQuery{
			GroupID: id, After: after, Limit: groupPage, Statuses: []oms.Status{oms.StatusFailed},
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, t := range list {
			after = t.ID
			p, _, err := e.restartOf(ctx, oms.RestartFailed, t)
			if err != nil {
				return err
			}
			if _, err := t.Apply(p.event, e.clock()); err != nil {
				return err
			}
		}
	}
}
