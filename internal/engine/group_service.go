package engine

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/openoms/openoms/internal/oms"
)

// GroupStore is what the engine keeps of task groups; package db implements it. It follows the rules of Store.
type GroupStore interface {
	// CreateGroup stores a new group with its sealed credentials and the spans of its split, and returns it with times
	// filled. The daily quota gives OMS.1037.
	CreateGroup(ctx context.Context, g oms.Group, spans []oms.GroupSpan, limits oms.GroupLimits, sealed map[string][]byte) (oms.Group, error)
	// Group returns one group of the project with the sums over its tasks. Project "" is any (engine only).
	Group(ctx context.Context, project, id string) (oms.Group, error)
	// Groups returns a page, newest first, and the number that match.
	Groups(ctx context.Context, f oms.GroupFilter) ([]oms.Group, int64, error)
	// PendingGroups returns the groups of all projects that the service itself moves on, the oldest first, with the
	// numbers of their tasks.
	PendingGroups(ctx context.Context) ([]oms.Group, error)
	// ChangeGroup reads the group, lets change decide, and stores the outcome in one transaction; an error of change
	// rolls back and is returned as it is.
	ChangeGroup(ctx context.Context, project, id string, change func(oms.Group) (oms.GroupChange, error)) (oms.Group, error)
	// RemoveGroup removes a group that is being deleted and has no tasks any more.
	RemoveGroup(ctx context.Context, id string) error
	// GroupCredentials returns the sealed credentials by field; oms.NotFound when there are none.
	GroupCredentials(ctx context.Context, id string) (map[string][]byte, error)

	// GroupTasks returns tasks of a group in ascending order of id.
	GroupTasks(ctx context.Context, q oms.GroupTaskQuery) ([]oms.Task, error)
	// ChangeGroupTasks changes tasks of a group in one transaction if the group still is in the run that the step names,
	// an oms.Conflict otherwise. A change of nil leaves a task as it is.
	ChangeGroupTasks(ctx context.Context, step oms.GroupStep, change func(oms.Task) (*oms.TaskChange, error)) error
	// GroupReasons returns at most limit different reasons why tasks of the group failed.
	GroupReasons(ctx context.Context, id string, limit int) ([]oms.ErrorReason, error)

	// ClaimGroup makes owner the one who splits the group, and reports whether it did.
	ClaimGroup(ctx context.Context, owner, id string, generation int64) (bool, error)
	// ReleaseGroup gives the group back, if owner has it.
	ReleaseGroup(ctx context.Context, owner, id string) error
	// GroupSpans returns what the split of the group has not turned into tasks yet.
	GroupSpans(ctx context.Context, id string) ([]oms.GroupSpan, error)
	// CommitSplit stores a step of the split; oms.Conflict when the group is not at that step.
	CommitSplit(ctx context.Context, c oms.SplitCommit, seal func(id int64) (map[string][]byte, error)) error
}

// groupPlace is the place of a group's credentials.
func groupPlace(project, id string) place {
	return func(field string) string { return project + "|group|" + id + "|" + field + "|v1" }
}

// groupKeys opens the stored credentials of a group.
func (e *Engine) groupKeys(ctx context.Context, g oms.Group) (oms.TaskCredentials, error) {
	var sealed map[string][]byte
	err := e.persist(ctx, "read credentials of a task group", func(ctx context.Context) (err error) {
		sealed, err = e.store.GroupCredentials(ctx, g.ID)
		return err
	})
	if err != nil && !errors.Is(err, oms.NotFound) {
		return oms.TaskCredentials{}, err
	}
	return unsealAt(e.opts.Sealer, groupPlace(g.ProjectID, g.ID), sealed)
}

// listed reports whether tasks of the type read their objects from list files.
func listed(t oms.TaskType) bool { return t == oms.TypeList || t == oms.TypeURLList }

// CreateGroup stores a task group: ProjectID and Spec are given, endpoints resolved. It checks within ten seconds that
// both buckets can be reached (OMS.1014, OMS.1020), then the quota (OMS.1037). Its tasks are created in the background.
func (e *Engine) CreateGroup(ctx context.Context, g oms.Group, keys oms.TaskCredentials) (oms.Group, error) {
	if err := checkSpec(g.Spec); err != nil {
		return oms.Group{}, err
	}
	spec, err := e.learnBuckets(ctx, g.Spec, keys)
	if g.Spec = spec; err == nil {
		err = e.checkBuckets(ctx, g.Spec, keys)
	}
	if err != nil {
		e.log.InfoContext(ctx, "task group refused", "project_id", g.ProjectID, "err", err)
		return oms.Group{}, err
	}
	g.ID, g.Status, g.Generation = uuid.NewString(), oms.GroupWaiting, 1
	sealed, err := sealAt(e.opts.Sealer, groupPlace(g.ProjectID, g.ID), keys)
	if err != nil {
		return oms.Group{}, err
	}
	var spans []oms.GroupSpan
	if !listed(g.Spec.Type) {
		prefixes, _ := g.Spec.Selection()
		spans = firstSpans(prefixes)
	}
	if g, err = e.store.CreateGroup(ctx, g, spans, e.opts.Groups, sealed); err != nil {
		return oms.Group{}, err
	}
	e.log.InfoContext(ctx, "task group created", "group_id", g.ID)
	e.wakeGroups()
	return g, nil
}

// Group returns one group with the speed of its tasks; oms.NotFound with OMS.1009 when there is none.
func (e *Engine) Group(ctx context.Context, project, id string) (oms.Group, error) {
	g, err := e.store.Group(ctx, project, id)
	if err != nil {
		return oms.Group{}, err
	}
	g.Speed = e.groupSpeeds()[g.ID]
	return g, nil
}

// Groups returns a page, newest first, and the number of groups that match.
func (e *Engine) Groups(ctx context.Context, f oms.GroupFilter) ([]oms.Group, int64, error) {
	gs, total, err := e.store.Groups(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	speeds := e.groupSpeeds()
	for i := range gs {
		gs[i].Speed = speeds[gs[i].ID]
	}
	return gs, total, nil
}

// groupSpeeds returns what the groups' tasks that run in this process move, in bytes per second.
func (e *Engine) groupSpeeds() map[string]int64 {
	speeds := make(map[string]int64)
	for _, r := range e.snapshot() {
		if r.group != "" {
			speeds[r.group] += r.speed()
		}
	}
	return speeds
}

// StartGroup lets a paused group go on with new keys: its paused tasks, and the creation of the others.
func (e *Engine) StartGroup(ctx context.Context, project, id string, keys oms.TaskCredentials) error {
	return e.beginGroup(ctx, project, id, oms.GroupEvent{Type: oms.GroupEventStart}, keys)
}

// RetryGroup runs a failed group again with new keys: all its tasks over everything, or, with FailedOnly, what failed.
// A group whose tasks could not all be created goes on creating them.
func (e *Engine) RetryGroup(ctx context.Context, project, id string, req oms.StartRequest) error {
	ev := oms.GroupEvent{Type: oms.GroupEventRetry, Restart: oms.RestartAll}
	if req.FailedOnly {
		ev.Restart = oms.RestartFailed
	}
	return e.beginGroup(ctx, project, id, ev, req.Credentials)
}

// beginGroup begins a run of a group.
func (e *Engine) beginGroup(ctx context.Context, project, id string, ev oms.GroupEvent, keys oms.TaskCredentials) error {
	g, err := e.store.Group(ctx, project, id)
	if err != nil {
		return err
	}
	if _, err := g.Apply(ev, e.clock()); err != nil {
		return err
	}
	if err := completeKeys(g.Spec.Type, keys); err != nil {
		return err
	}
	if ev.Restart == oms.RestartFailed {
		if err := e.checkFailedOnly(ctx, id); err != nil {
			return err
		}
	}
	sealed, err := sealAt(e.opts.Sealer, groupPlace(g.ProjectID, id), keys)
	if err != nil {
		return err
	}
	g, err = e.store.ChangeGroup(ctx, project, id, func(cur oms.Group) (oms.GroupChange, error) {
		next, err := cur.Apply(ev, e.clock())
		return oms.GroupChange{Group: next, Credentials: sealed}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task group started", "group_id", id, "restart", string(g.Restart))
	e.wakeGroups()
	return nil
}

// completeKeys refuses a start without the keys that are needed, since none are kept (OMS v2, 5.6).
func completeKeys(t oms.TaskType, keys oms.TaskCredentials) error {
	switch {
	case keys.Dst.IsZero():
		return oms.Errorf(oms.Invalid, "OMS.1004", "The destination keys are mandatory: they are not kept.")
	case keys.Src.IsZero() && t != oms.TypeURLList:
		return oms.Errorf(oms.Invalid, "OMS.1004", "The source keys are mandatory: they are not kept.")
	}
	return nil
}

// StopGroup pauses a group that creates or runs tasks: it is pausing when StopGroup returns, and paused when none of
// its tasks runs any more.
func (e *Engine) StopGroup(ctx context.Context, project, id string) error {
	return e.applyGroup(ctx, project, id, oms.GroupEventStop)
}

// DeleteGroup removes a group that is not active, with its tasks. It is gone some seconds after DeleteGroup has
// returned. Objects and lists at the destination stay.
func (e *Engine) DeleteGroup(ctx context.Context, project, id string) error {
	return e.applyGroup(ctx, project, id, oms.GroupEventDelete)
}

// applyGroup applies an event that a user asked for; the scheduler does what follows from it.
func (e *Engine) applyGroup(ctx context.Context, project, id string, ev oms.GroupEventType) error {
	g, err := e.store.ChangeGroup(ctx, project, id, func(cur oms.Group) (oms.GroupChange, error) {
		next, err := cur.Apply(oms.GroupEvent{Type: ev}, e.clock())
		return oms.GroupChange{Group: next}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "task group changed", "group_id", id, "status", g.Status.String())
	e.wakeGroups()
	return nil
}

// SetGroupBandwidth replaces the traffic limits of a group that is not finished, and with them those of all its tasks
// that are not; running tasks follow at once.
func (e *Engine) SetGroupBandwidth(ctx context.Context, project, id string, ws []oms.BandwidthWindow) error {
	if err := oms.ValidateBandwidth(ws); err != nil {
		return err
	}
	_, err := e.store.ChangeGroup(ctx, project, id, func(cur oms.Group) (oms.GroupChange, error) {
		if err := cur.CheckBandwidth(); err != nil {
			return oms.GroupChange{}, err
		}
		cur.Spec.Bandwidth, cur.UpdatedAt = ws, e.clock()
		return oms.GroupChange{Group: cur, Limits: true}, nil
	})
	if err != nil {
		return err
	}
	e.wake() // the scheduler hands the limits to running tasks
	return nil
}
