package oms

import "time"

// Checkpoint moves one range forward: its counters and failures are stored in the same transaction as its new
// position, and cover exactly the keys between the old and the new position (rule P1).
type Checkpoint struct {
	TaskID, Seq int64
	Generation  int64  // must still be the task's
	Owner       string // must still hold the lease
	Token       int64  // must still be the range's

	Cur      string     // new position; equal to the old one when nothing was passed
	Done     bool       // the range is finished
	Delta    Counters   // what became of the keys between the old and the new Cur
	Failures []Failure  // objects that failed among them: stored, replacing an older row of the same key
	Resolved []string   // keys whose failure row is removed, since they succeeded now
	Cut      *RangeTail // cuts the tail off
	Restores RestoreChanges
	Outcomes Outcomes // lines of object lists, and counts, of the keys between the old and the new Cur
}

// RangeTail is the part cut off a range: the victim ends at At, the new range is (At, old End].
type RangeTail struct {
	At  string // new End of the victim, Cur < At < End
	Seq int64  // of the new range; unique within the task
	// The new range is leased to the same owner with Token 1 at once.
}

// UploadRef names an upload of a task.
type UploadRef struct {
	TaskID   int64
	Key      string // source key
	UploadID string
}

// PartDone records a proved part.
type PartDone struct {
	Upload UploadRef
	Part   UploadedPart
}

// Commit is what one process stores in one transaction (group commit).
type Commit struct {
	Checkpoints []Checkpoint
	Opened      []Upload    // uploads about to receive their first part
	Parts       []PartDone  // parts proved since
	Closed      []UploadRef // uploads completed or aborted
	Progress    []RunProgress
}

// TaskFilter selects tasks of one project, newest first.
type TaskFilter struct {
	ProjectID string // required
	GroupID   string
	Status    Status // 0: all
	Name      string // substring; "" all
	Limit     int    // page size
	Offset    int    // index of the first record
}

// TaskChange is the outcome of a guarded change of a task.
type TaskChange struct {
	Task Task
	// Credentials replace the sealed credentials, by field ("src", "dst"); nil leaves them.
	Credentials map[string][]byte
	// Wipe destroys the sealed credentials.
	Wipe bool
	// Fresh drops ranges and failures of earlier runs: the next run plans anew and counts from zero.
	Fresh bool
	// Ranges are added to the task.
	Ranges []Range
	// Conflicts replace the name conflicts of the task; nil leaves them.
	Conflicts []NameConflict
}

// BatchUpdate changes limits and priority of several tasks at once, all or nothing (OMS v2, 4.10).
type BatchUpdate struct {
	GroupID   string  // all tasks of the group; exactly one of GroupID and IDs
	IDs       []int64 // at most 20
	Bandwidth []BandwidthWindow
	Priority  Priority // "" leaves it
}

// PendingFilter selects what the scheduler looks at.
type PendingFilter struct {
	Running int       // most active tasks of a project: of those that wait, no more are returned than may start; 0 means no bound
	Expired time.Time // tasks that wait since before this instant are returned in any case; zero means none
	Limit   int       // most tasks that wait and may start
}

// Quota bounds the tasks of a project; 0 means no bound.
type Quota struct {
	MaxWaiting time.Duration // how long a task may wait before it fails and loses its keys, see MaxWaiting

	Running       int // tasks migrating at the same time
	Waiting       int // OMS.0077 beyond
	CreatedPerDay int // OMS.1021 beyond

	SyncTasks  int // synchronization tasks; OMS.0077 beyond
	SyncEvents int // object names of one synchronization task that wait; OMS.2004 beyond
}

// AuditEntry is one line of the audit log (rule S12). The store adds time and hash chain.
type AuditEntry struct {
	Project, Actor, Action, Object, Remote, Result string
}
