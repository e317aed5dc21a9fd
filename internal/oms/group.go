package oms

import (
	"slices"
	"time"
)

// GroupStatus is the state of a task group; the numbers are those of OMS v2, 5.3.
type GroupStatus int8

// The states.
const (
	GroupWaiting        GroupStatus = 0 // in line until fewer groups of the project are active
	GroupCreating       GroupStatus = 1 // the source is listed and tasks are created; those that exist run already
	GroupMonitoring     GroupStatus = 2 // all tasks exist
	GroupPaused         GroupStatus = 3
	GroupCreationFailed GroupStatus = 4 // the source could not be listed to its end
	GroupFailed         GroupStatus = 5 // some task failed and none is active
	GroupSucceeded      GroupStatus = 6
	GroupPausing        GroupStatus = 7
	GroupDeletePending  GroupStatus = 8 // its tasks wind down
	GroupDeleting       GroupStatus = 9 // its tasks are being deleted, then the group
)

// GroupStatuses returns all states.
func GroupStatuses() []GroupStatus {
	return []GroupStatus{
		GroupWaiting, GroupCreating, GroupMonitoring, GroupPaused, GroupCreationFailed, GroupFailed, GroupSucceeded,
		GroupPausing, GroupDeletePending, GroupDeleting,
	}
}

// String returns the state's name in words.
func (s GroupStatus) String() string {
	switch s {
	case GroupWaiting:
		return "waiting"
	case GroupCreating:
		return "creating"
	case GroupMonitoring:
		return "monitoring"
	case GroupPaused:
		return "paused"
	case GroupCreationFailed:
		return "creation failed"
	case GroupFailed:
		return "failed"
	case GroupSucceeded:
		return "succeeded"
	case GroupPausing:
		return "pausing"
	case GroupDeletePending:
		return "waiting for deletion"
	case GroupDeleting:
		return "deleting"
	}
	return "unknown"
}

// Active reports whether the group creates or runs tasks, or winds down.
func (s GroupStatus) Active() bool {
	return s == GroupCreating || s == GroupMonitoring || s == GroupPausing
}

// Pending reports whether the service itself moves the group on.
func (s GroupStatus) Pending() bool {
	return s.Active() || s == GroupWaiting || s == GroupDeletePending || s == GroupDeleting
}

// Group is tasks that are created together from one request and limited together. The service cuts the source into
// tasks by itself.
type Group struct {
	ID        string // lower-case UUID
	ProjectID string
	Spec      TaskSpec // of the whole source; Priority is that of its tasks. Changes in Bandwidth only.

	Status     GroupStatus
	Generation int64 // grows with every start and retry
	Error      *ErrorReason

	SplitOver bool   // all tasks exist
	SplitStep int64  // number of split commits so far
	Owner     string // process that splits it; "" none. Filled by the store.

	// Tasks with RestartFrom < id <= RestartTo are still to be looked at by this run; it starts those that Restart names.
	Restart                RestartMode
	RestartFrom, RestartTo int64

	LastTask   int64       // highest id of its tasks, 0 for none; filled by the store
	Totals     GroupTotals // of its tasks; filled by the store
	Gone       GroupTotals // of its tasks that were deleted; filled by the store
	FailedList FailedList  // what its failed tasks have recorded; filled by the store
	NoticeCode *string     // as that of a task; filled by the store
	// Open are objects and bytes that the listing has counted and no task has yet; filled by the store.
	Open, OpenBytes int64

	CreatedAt time.Time
	UpdatedAt time.Time
	StartedAt time.Time     // of the latest start; zero before the first
	RunFor    time.Duration // finished running periods; pauses excluded

	Speed int64 // bytes per second that its tasks move now; filled by the engine
}

// RestartMode says which of its tasks a run of a group starts.
type RestartMode string

// The modes; "" starts none.
const (
	RestartPaused RestartMode = "paused" // those that are paused go on
	RestartFailed RestartMode = "failed" // and what failed is tried again
	RestartAll    RestartMode = "all"    // and all others run over everything again
)

// TaskCounts are tasks by state. Retrying and pausing tasks count as running.
type TaskCounts struct {
	Waiting, Running, Paused, Failed, Succeeded int64
}

// Count adds n tasks in the state.
func (c *TaskCounts) Count(s Status, n int64) {
	switch s {
	case StatusWaiting:
		c.Waiting += n
	case StatusRunning, StatusRetrying, StatusPausing:
		c.Running += n
	case StatusPaused:
		c.Paused += n
	case StatusFailed:
		c.Failed += n
	case StatusSucceeded:
		c.Succeeded += n
	}
}

// All is the number of tasks.
func (c TaskCounts) All() int64 { return c.Waiting + c.Running + c.Paused + c.Failed + c.Succeeded }

// GroupTotals are the sums over tasks of a group.
type GroupTotals struct {
	Tasks             TaskCounts
	Found, FoundBytes int64 // objects and bytes of the tasks, as far as they are known
	Counters          Counters
}

// Elapsed returns the running time of the group up to now, pauses excluded.
func (g Group) Elapsed(now time.Time) time.Duration {
	if g.Status.Active() && !g.StartedAt.IsZero() && now.After(g.StartedAt) {
		return g.RunFor + now.Sub(g.StartedAt)
	}
	return g.RunFor
}

// Restarting reports whether tasks are still to be started by this run.
func (g Group) Restarting() bool { return g.RestartFrom < g.RestartTo }

// GroupEventType is something that happens to a group.
type GroupEventType uint8

// The events. Start, Stop, Retry and Delete come from users, the others from the engine.
const (
	GroupEventSchedule    GroupEventType = iota + 1 // its turn has come
	GroupEventStart                                 // go on: paused groups
	GroupEventStop                                  // pause: groups that create or run tasks
	GroupEventPaused                                // nothing of it runs any more
	GroupEventSplit                                 // all tasks exist
	GroupEventSplitFailed                           // the source cannot be listed
	GroupEventSucceeded                             // every task has succeeded
	GroupEventFailed                                // some task has failed and none is active
	GroupEventRetry                                 // run again: failed groups
	GroupEventDelete                                // remove it with its tasks
	GroupEventDeleting                              // nothing of it runs any more, for removal
)

// String returns the event's name.
func (e GroupEventType) String() string {
	switch e {
	case GroupEventSchedule:
		return "schedule"
	case GroupEventStart:
		return "start"
	case GroupEventStop:
		return "stop"
	case GroupEventPaused:
		return "pause"
	case GroupEventSplit:
		return "split"
	case GroupEventSplitFailed:
		return "fail to split"
	case GroupEventSucceeded:
		return "finish"
	case GroupEventFailed:
		return "fail"
	case GroupEventRetry:
		return "retry"
	case GroupEventDelete:
		return "delete"
	case GroupEventDeleting:
		return "remove"
	}
	return "unknown event"
}

// GroupEvent is applied to a group by Group.Apply.
type GroupEvent struct {
	Type    GroupEventType
	Restart RestartMode  // GroupEventRetry: required
	Reason  *ErrorReason // GroupEventSplitFailed, GroupEventFailed: required
}

// Apply returns the group as it is after ev at the instant now. It does no I/O and reads no clock. An event that the
// state does not allow is a Conflict with the code of OMS v2, 5.3.
func (g Group) Apply(ev GroupEvent, now time.Time) (Group, error) {
	to, code := g.next(ev.Type)
	if code != "" {
		return g, &Error{
			Op: ev.Type.String() + " task group", Key: g.ID, Kind: Conflict, Code: code,
			Msg: "the task group is " + g.Status.String(),
		}
	}
	if g.Status.Active() && !to.Active() {
		g.RunFor = g.Elapsed(now)
	}
	switch ev.Type {
	case GroupEventSchedule:
		g.StartedAt = now
	case GroupEventStart, GroupEventRetry:
		g.Generation++
		g.Error, g.StartedAt = nil, now
		switch {
		case ev.Type == GroupEventRetry:
			g.Restart = ev.Restart
		case !g.Restarting(): // a retry that was paused before it had reached all tasks begins again
			g.Restart = RestartPaused
		}
		g.RestartFrom, g.RestartTo = 0, g.LastTask
	case GroupEventSplitFailed, GroupEventFailed:
		g.Error = ev.Reason
	case GroupEventSplit:
		g.SplitOver = true
	case GroupEventStop, GroupEventPaused, GroupEventSucceeded, GroupEventDelete, GroupEventDeleting:
	}
	g.Status, g.UpdatedAt = to, now
	return g, nil
}

// next returns the state after ev, or the OMS code of the refusal.
func (g Group) next(ev GroupEventType) (GroupStatus, string) {
	s := g.Status
	going := GroupCreating
	if g.SplitOver {
		going = GroupMonitoring
	}
	gone := s == GroupDeletePending || s == GroupDeleting
	switch ev {
	case GroupEventStart:
		if s == GroupPaused {
			return going, ""
		}
		return s, unlessGone(gone, "OMS.1039")
	case GroupEventStop:
		if s == GroupCreating || s == GroupMonitoring {
			return GroupPausing, ""
		}
		return s, unlessGone(gone, "OMS.1038")
	case GroupEventRetry:
		if s == GroupCreationFailed || s == GroupFailed {
			return going, ""
		}
		return s, unlessGone(gone, "OMS.1040")
	case GroupEventDelete:
		return afterDelete(s)
	case GroupEventSchedule:
		if s == GroupWaiting {
			return GroupCreating, ""
		}
	case GroupEventPaused:
		if s == GroupPausing {
			return GroupPaused, ""
		}
	case GroupEventSplit:
		switch s {
		case GroupCreating:
			return GroupMonitoring, ""
		case GroupPausing: // a client that asked for a pause sees 7, then 3
			return s, ""
		default:
		}
	case GroupEventSplitFailed:
		if s == GroupCreating {
			return GroupCreationFailed, ""
		}
	case GroupEventSucceeded:
		if s == GroupMonitoring {
			return GroupSucceeded, ""
		}
	case GroupEventFailed:
		if s == GroupMonitoring {
			return GroupFailed, ""
		}
	case GroupEventDeleting:
		if s == GroupDeletePending {
			return GroupDeleting, ""
		}
	}
	return s, "OMS.1036"
}

// unlessGone returns the code of a refusal: OMS.1036 for a group that is being deleted.
func unlessGone(gone bool, code string) string { //nolint:revive // a state as a truth, not a mode
	if gone {
		return "OMS.1036"
	}
	return code
}

// afterDelete returns the state after a deletion was asked for. A group that is being deleted stays what it is; one
// that is active is refused with OMS.0063, which clients try again on.
func afterDelete(s GroupStatus) (GroupStatus, string) {
	switch s {
	case GroupWaiting, GroupPaused, GroupCreationFailed, GroupFailed, GroupSucceeded:
		return GroupDeletePending, ""
	case GroupDeletePending, GroupDeleting:
		return s, ""
	case GroupCreating, GroupMonitoring, GroupPausing:
	}
	return s, "OMS.0063"
}

// CheckBandwidth returns nil when the traffic limits may be changed: a group that is neither finished nor being
// deleted (OMS.1036 otherwise).
func (g Group) CheckBandwidth() error {
	switch g.Status {
	case GroupSucceeded, GroupDeletePending, GroupDeleting:
		return Errorf(Conflict, "OMS.1036", "the task group is %s, its traffic limits cannot be changed", g.Status)
	default:
		return nil
	}
}

// Outcome returns the event that ends a monitored group whose tasks are as counted, and whether there is one: every
// task has succeeded, or some failed and none is active. While a task that somebody paused is left, a group without
// failures goes on.
func (g Group) Outcome() (GroupEventType, bool) {
	tasks := g.Totals.Tasks
	switch {
	case g.Status != GroupMonitoring || g.Restarting() || tasks.Waiting+tasks.Running > 0:
		return 0, false
	case tasks.Failed > 0:
		return GroupEventFailed, true
	case tasks.Paused > 0:
		return 0, false
	}
	return GroupEventSucceeded, true
}

// KeySlice is a piece (After, UpTo] of the selected keys in byte order, as the split of a group cuts them. It lies in
// what the prefixes of its task select: After below the first of them, UpTo below the last; empty is no bound.
type KeySlice struct {
	After []byte `json:"after,omitempty"`
	UpTo  []byte `json:"up_to,omitempty"`
}

// GroupPiece is a task that the split of a group has cut out: a piece of the key space, or a list file.
type GroupPiece struct {
	Keys           []string // prefixes, ascending
	Slice          KeySlice
	ListKey        string // object name of the list file; "" for pieces of the key space
	Objects, Bytes int64  // as measured by the split; 0 for list files
}

// GroupSpan is a stretch of a group's key space that the split has not turned into tasks yet. Positions are a number
// of a selected prefix, in ascending order, and a key below it. Together with the pieces of the tasks the spans of a
// group tile the whole space.
type GroupSpan struct {
	Seq int64 // unique within the group

	First int    // prefix in which it begins
	Start string // exclusive; "" is before every key of the prefix
	// Prefix is what is being listed: (Cur, End] of it is left; End "" is its end.
	Prefix   int
	Cur, End string
	// Objects and Bytes lie between Start and Cur.
	Objects, Bytes int64

	// Last and UpTo are where the span ends: at End, or behind it when the listing has passed what lies there.
	Last int
	UpTo string // inclusive; "" is behind every key of the prefix
	// TailObjects and TailBytes lie between End and UpTo.
	TailObjects, TailBytes int64
}

// SplitCommit moves the split of a group forward, all or nothing: spans as they are now, and the tasks cut out of them.
type SplitCommit struct {
	GroupID    string
	Generation int64       // must still be the group's
	Step       int64       // must still be the group's SplitStep, which grows by one
	Spans      []GroupSpan // new and changed ones
	Removed    []int64     // spans that are no more
	Pieces     []GroupPiece
	Over       bool // nothing is left
}

// Task returns the task of a piece of the group: all but id, name and times.
func (g Group) Task(p GroupPiece) Task {
	spec := g.Spec
	spec.SMN = nil // the group tells of its end, not each task
	if p.ListKey != "" {
		spec.Src.ListFile = &ListFile{Bucket: g.Spec.Src.ListFile.Bucket, Key: p.ListKey}
	} else {
		spec.Src.Keys = slices.Clone(p.Keys)
		spec.Slice = &KeySlice{After: p.Slice.After, UpTo: p.Slice.UpTo}
	}
	return Task{
		ProjectID: g.ProjectID, GroupID: g.ID, GroupType: GroupGroup, Spec: spec, Status: StatusWaiting, Generation: 1,
		Found: p.Objects, FoundBytes: p.Bytes,
	}
}

// GroupFilter selects groups of one project, newest first.
type GroupFilter struct {
	ProjectID string        // required
	Statuses  []GroupStatus // none: all
	Limit     int           // page size
	Offset    int           // index of the first record
}

// GroupChange is the outcome of a guarded change of a group.
type GroupChange struct {
	Group Group
	// Credentials replace the sealed credentials, by field; nil leaves them.
	Credentials map[string][]byte
	// Wipe destroys the sealed credentials.
	Wipe bool
	// Limits gives the traffic limits of the group's Spec to all its tasks that are not finished.
	Limits bool
}

// GroupTaskQuery selects tasks of a group, in ascending order of id.
type GroupTaskQuery struct {
	GroupID     string
	After, UpTo int64    // After < id <= UpTo; UpTo 0 is no bound
	Statuses    []Status // none: all
	Limit       int
}

// GroupStep changes tasks of a group, all or nothing.
type GroupStep struct {
	GroupID     string
	Generation  int64   // must still be the group's
	Tasks       []int64 // those that are gone are left out
	RestartFrom int64   // what the group's becomes, unless that is less than it is
}

// GroupLimits bound the groups of a project and size their tasks; 0 means no bound or, for sizes, the default.
type GroupLimits struct {
	Running       int   // groups creating or monitoring at the same time
	CreatedPerDay int   // OMS.1037 beyond
	TaskObjects   int64 // most objects of a task; 0 means DefaultTaskObjects
	TaskBytes     int64 // most bytes of a task, but for one larger object; 0 means DefaultTaskBytes
}

// Sizes of a group's tasks where none are configured (OMS v2, 8, row 40).
const (
	DefaultTaskObjects int64 = 100_000
	DefaultTaskBytes   int64 = 3_000_000_000_000
)
