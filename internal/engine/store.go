package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Store is what the engine keeps durably; package db implements it. Methods that change something return after
// the change is committed and synced (rule P6). Unknown and foreign tasks are oms.NotFound with OMS.1009.
type Store interface {
	SyncStore
	ListStore

	// CreateTask stores a new task with its sealed credentials (made by seal for the id that the store chose) and
	// returns it with ID and times filled. Quotas give OMS.0077 and OMS.1021.
	CreateTask(ctx context.Context, t oms.Task, quota oms.Quota, seal func(id int64) (map[string][]byte, error)) (oms.Task, error)
	// Task returns one task of the project with the counters summed over its ranges. Project "" is any (engine only).
	Task(ctx context.Context, project string, id int64) (oms.Task, error)
	// Tasks returns a page and the total number that match.
	Tasks(ctx context.Context, f oms.TaskFilter) ([]oms.Task, int64, error)
	// ChangedTasks returns the tasks of the project that are active or were updated at the instant or later.
	ChangedTasks(ctx context.Context, project string, since time.Time) ([]oms.Task, error)
	// ChangeTask reads the task, lets change decide, and stores the outcome in one transaction; an error of change
	// rolls back and is returned as it is.
	ChangeTask(ctx context.Context, project string, id int64, change func(oms.Task) (oms.TaskChange, error)) (oms.Task, error)
	// ChangeTasks does the same for several tasks, all or nothing: the ids, or all tasks of the group.
	ChangeTasks(ctx context.Context, project, group string, ids []int64, change func(oms.Task) (oms.TaskChange, error)) error
	// DeleteTask removes the task and all that belongs to it if check agrees.
	DeleteTask(ctx context.Context, project string, id int64, check func(oms.Task) error) error
	// PendingTasks returns the tasks of all projects that are active, and of those that are waiting the ones that may
	// start and the ones that have waited too long, by priority, then QueuedAt.
	PendingTasks(ctx context.Context, f oms.PendingFilter) ([]oms.Task, error)
	// Credentials returns the sealed credentials by field; oms.NotFound when there are none.
	Credentials(ctx context.Context, id int64) (map[string][]byte, error)

	// ClaimRanges leases at most limit unfinished free ranges of the task to owner: token + 1 each.
	ClaimRanges(ctx context.Context, owner string, id int64, limit int) ([]oms.Range, error)
	// Ranges returns all ranges of the task in order of Seq.
	Ranges(ctx context.Context, id int64) ([]oms.Range, error)
	// ReleaseRanges gives back all ranges of the task that owner holds.
	ReleaseRanges(ctx context.Context, owner string, id int64) error
	// Commit stores a group commit. lost holds the indices of checkpoints whose lease, token or generation no longer
	// holds; nothing of those was stored.
	Commit(ctx context.Context, c oms.Commit) (lost []int, err error)

	// Failures returns failures of the task after the key, in byte order; beforeGen > 0 limits to older runs.
	Failures(ctx context.Context, id int64, after string, limit int, beforeGen int64) ([]oms.Failure, error)
	// FindFailures returns the failures of the task that the filter selects, in byte order.
	FindFailures(ctx context.Context, id int64, f oms.FailureFilter) ([]oms.Failure, error)
	// Causes sums up the failures of the task that the filter selects by their codes, the most frequent first; After,
	// Before and Limit are not looked at.
	Causes(ctx context.Context, id int64, f oms.FailureFilter) ([]oms.Cause, error)
	// CountFailures returns how many failures the task has.
	CountFailures(ctx context.Context, id int64) (int64, error)
	// Uploads returns the open uploads of the task with their proved parts; id 0 means all tasks.
	Uploads(ctx context.Context, id int64) ([]oms.Upload, error)

	// KeepAssessment stores a new assessment, or the new state of one.
	KeepAssessment(ctx context.Context, a oms.Assessment) error
	// Assessment returns an assessment of the project; oms.NotFound with OMS.1009 when there is none.
	Assessment(ctx context.Context, project, id string) (oms.Assessment, error)

	// NameConflicts returns the source keys that the task could not name.
	NameConflicts(ctx context.Context, id int64) ([]oms.NameConflict, error)

	// RestoreWork returns what is to be done for the archived objects of the task, as owner sees it.
	RestoreWork(ctx context.Context, owner string, id int64, q oms.RestoreQuery) (oms.RestoreWork, error)
	// SpendRestore books a restore of size bytes on the project's budget of the day; false when there is no room.
	SpendRestore(ctx context.Context, project string, size int64, budget oms.RestoreBudget, now time.Time) (bool, error)

	// KeyBounds returns keys that divided the space evenly when it was last listed, none when that is not known.
	KeyBounds(ctx context.Context, s oms.KeySpace) ([]string, error)
	// KeepKeyBounds remembers such keys for the next listing of the space. How much is kept is bounded.
	KeepKeyBounds(ctx context.Context, s oms.KeySpace, bounds []string) error

	// Heartbeat tells that the worker lives, and frees the ranges of workers unseen for longer than dead.
	Heartbeat(ctx context.Context, owner string, dead time.Duration) error
	// RemoveWorker frees what the worker holds and forgets it.
	RemoveWorker(ctx context.Context, owner string) error

	GroupStore
	ConnectionStore
	ScheduleStore
	ClusterStore
}

// Sealer seals and opens credentials; package seal implements it.
type Sealer interface {
	Seal(plaintext []byte, aad string) ([]byte, error)
	Open(sealed []byte, aad string) ([]byte, error)
}
