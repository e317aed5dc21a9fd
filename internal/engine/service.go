package engine

import (
	"context"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Create stores and queues a task: ProjectID, GroupID, GroupType and Spec are given, endpoints resolved. It checks
// within ten seconds that both buckets can be reached (OMS.1014, OMS.1020), then the quota (OMS.0077, OMS.1021).
func (e *Engine) Create(ctx context.Context, t oms.Task, keys oms.TaskCredentials) (oms.Task, error) {
	c, err := e.prepare(ctx, t, keys)
	if err != nil {
		return oms.Task{}, err
	}
	t, err = e.store.CreateTask(ctx, c.Task, c.Quota, c.Seal)
	if err != nil {
		return oms.Task{}, err
	}
	e.log.InfoContext(ctx, "task created", "task_id", t.ID, "name", t.Name)
	e.wake()
	return e.withProgress(t, nil), nil
}

// prepare checks a new task and its buckets.
func (e *Engine) prepare(ctx context.Context, t oms.Task, keys oms.TaskCredentials) (oms.TaskCreation, error) {
	if err := prepareRules(&t.Spec); err != nil {
		return oms.TaskCreation{}, err
	}
	if err := checkSpec(t.Spec); err != nil {
		return oms.TaskCreation{}, err
	}
	spec, err := e.learnBuckets(ctx, t.Spec, keys)
	if t.Spec = spec; err == nil {
		err = e.checkBuckets(ctx, t.Spec, keys)
	}
	if err != nil {
		e.log.InfoContext(ctx, "task refused", "project_id", t.ProjectID, "err", err)
		return oms.TaskCreation{}, err
	}
	t.Status, t.Generation, t.QueuedAt = oms.StatusWaiting, 1, e.clock()
	return oms.TaskCreation{Task: t, Quota: e.opts.Quota, Seal: func(id int64) (map[string][]byte, error) {
		return sealAll(e.opts.Sealer, t.ProjectID, id, keys)
	}}, nil
}

// checkSpec refuses what no run could do.
func checkSpec(spec oms.TaskSpec) error {
	switch spec.Type {
	case oms.TypeList, oms.TypeURLList:
		if err := checkListFile(spec); err != nil {
			return err
		}
	case oms.TypeObject, oms.TypePrefix:
		if len(spaces(spec)) == 0 {
			return oms.Errorf(oms.Invalid, "OMS.1004", "no objects are selected")
		}
	default:
		return oms.Errorf(oms.Unsupported, "OMS.0061", "tasks of type %q are not supported", string(spec.Type))
	}
	// A task over its own destination would read what it writes (OMS v2, 8, row 28).
	sameStore := strings.EqualFold(spec.Src.Endpoint.URL, spec.Dst.Endpoint.URL)
	if sameStore && sourceBucket(spec.Src) == spec.Dst.Bucket && (len(spec.Rename) > 0 || spec.Dst.SavePrefix == "") && !apart(spec) {
		return oms.Errorf(oms.Invalid, "OMS.0058", "source and destination are the same objects")
	}
	return oms.ValidateBandwidth(spec.Bandwidth)
}

// Task returns one task with what its run shows at this moment; oms.NotFound with OMS.1009 when there is none.
func (e *Engine) Task(ctx context.Context, project string, id int64) (oms.Task, error) {
	r := e.running(id)
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return oms.Task{}, err
	}
	if e.opts.Cluster {
		return e.addShared(ctx, t)
	}
	return e.withProgress(t, r), nil
}

// List returns a page, newest first, and the number of tasks that match.
func (e *Engine) List(ctx context.Context, f oms.TaskFilter) ([]oms.Task, int64, error) {
	runs := e.runsByID()
	ts, total, err := e.store.Tasks(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	for i := range ts {
		if e.opts.Cluster {
			if ts[i], err = e.addShared(ctx, ts[i]); err != nil {
				return nil, 0, err
			}
			continue
		}
		ts[i] = e.withProgress(ts[i], runs[ts[i].ID])
	}
	return ts, total, nil
}

// Changed returns the tasks of the project that are under way and those that changed at the instant or later, with what
// their runs show at this moment.
func (e *Engine) Changed(ctx context.Context, project string, since time.Time) ([]oms.Task, error) {
	runs := e.runsByID()
	ts, err := e.store.ChangedTasks(ctx, project, since)
	for i := range ts {
		ts[i] = e.withProgress(ts[i], runs[ts[i].ID])
	}
	return ts, err
}

// runsByID returns the runs of this process by their tasks.
func (e *Engine) runsByID() map[int64]*run {
	runs := make(map[int64]*run)
	for _, r := range e.snapshot() {
		runs[r.id] = r
	}
	return runs
}

// Start resumes a paused or restarts a failed task with new keys. A paused task goes on where it was. A failed one
// goes on as well if its run was cut short; else it runs over everything again, or, with FailedOnly, over its
// failures.
func (e *Engine) Start(ctx context.Context, project string, id int64, req oms.StartRequest) error {
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return err
	}
	if err := checkCDNKey(t.Spec, req.Credentials); err != nil {
		return err
	}
	fresh := false
	if t.Status == oms.StatusFailed && !req.FailedOnly {
		rs, err := e.store.Ranges(ctx, id)
		if err != nil {
			return err
		}
		fresh = !unfinished(rs)
	}
	sealed, err := sealAll(e.opts.Sealer, t.ProjectID, id, req.Credentials)
	if err != nil {
		return err
	}
	_, err = e.store.ChangeTask(ctx, project, id, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventStart, FailedOnly: req.FailedOnly, Codes: req.Codes}, e.clock())
		if err != nil {
			return oms.TaskChange{}, err
		}
		if cur.Generation != t.Generation {
			return oms.TaskChange{}, oms.Errorf(oms.Conflict, "OMS.0065", "the task was started by somebody else")
		}
		if cur.Status == oms.StatusFailed {
			next = restarted(next)
		}
		if fresh {
			next.Epoch, next.QueryOver = time.Time{}, false
			next.Found, next.FoundBytes, next.PartialBytes = 0, 0, 0
		}
		return oms.TaskChange{Task: next, Credentials: sealed, Fresh: fresh}, nil
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task started", "task_id", id, "failed_only", req.FailedOnly, "fresh", fresh)
	e.wake()
	return nil
}

// restarted returns a failed task as a new run begins it: its ranges are to be planned. What is known of the source
// stays as long as the ranges do.
func restarted(t oms.Task) oms.Task {
	t.Planned = false
	if !t.FailedOnly {
		t.FailedList = oms.FailedList{}
	}
	return t
}

// Stop pauses a running task: it is pausing when Stop returns, and paused within seconds.
func (e *Engine) Stop(ctx context.Context, project string, id int64) error {
	_, err := e.store.ChangeTask(ctx, project, id, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventStop}, e.clock())
		return oms.TaskChange{Task: next}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task pausing", "task_id", id)
	if r := e.running(id); r != nil {
		r.stop(errPaused)
	}
	e.wake()
	return nil
}

// Delete removes a task that is not running, with all that is stored of it. Objects and lists at the destination
// stay. Open uploads of a waiting task are aborted first; those of others cannot be, as their keys are gone.
func (e *Engine) Delete(ctx context.Context, project string, id int64) error {
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return err
	}
	if err := t.CheckDelete(); err != nil {
		return err
	}
	if err := e.abortBeforeDelete(ctx, t); err != nil {
		return err
	}
	if err := e.store.DeleteTask(ctx, project, id, oms.Task.CheckDelete); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task deleted", "task_id", id)
	return nil
}

// SetBandwidth replaces the traffic limits of a task that is not finished; a running task follows at once.
func (e *Engine) SetBandwidth(ctx context.Context, project string, id int64, ws []oms.BandwidthWindow) error {
	if err := oms.ValidateBandwidth(ws); err != nil {
		return err
	}
	t, err := e.store.ChangeTask(ctx, project, id, func(cur oms.Task) (oms.TaskChange, error) {
		if err := cur.CheckBandwidth(); err != nil {
			return oms.TaskChange{}, err
		}
		cur.Spec.Bandwidth, cur.UpdatedAt = ws, e.clock()
		return oms.TaskChange{Task: cur}, nil
	})
	if err != nil {
		return err
	}
	if r := e.running(id); r != nil {
		r.setWindows(t.Spec.Bandwidth, e.clock().In(e.opts.Zone))
	}
	e.wake() // a pass under way may have read the old limits
	return nil
}

// BatchUpdate changes limits, and the priority when one is given, of several tasks, all or nothing.
func (e *Engine) BatchUpdate(ctx context.Context, project string, u oms.BatchUpdate) error {
	if err := oms.ValidateBandwidth(u.Bandwidth); err != nil {
		return err
	}
	err := e.store.ChangeTasks(ctx, project, u.GroupID, u.IDs, func(cur oms.Task) (oms.TaskChange, error) {
		if err := cur.CheckBandwidth(); err != nil {
			return oms.TaskChange{}, err
		}
		if u.Priority != "" {
			if err := cur.CheckPriority(); err != nil {
				return oms.TaskChange{}, err
			}
			cur.Spec.Priority = u.Priority
		}
		cur.Spec.Bandwidth, cur.UpdatedAt = u.Bandwidth, e.clock()
		return oms.TaskChange{Task: cur}, nil
	})
	if err != nil {
		return err
	}
	e.wake() // the scheduler hands the limits to running tasks
	return nil
}
