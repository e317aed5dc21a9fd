package oms

import "time"

// Status is the state of a task; the numbers are those of OMS v2, 5.1.
type Status int8

// The states. 0 (initialising) is never used.
const (
	StatusWaiting   Status = 1
	StatusRunning   Status = 2
	StatusPaused    Status = 3
	StatusFailed    Status = 4
	StatusSucceeded Status = 5
	StatusRetrying  Status = 6
	StatusPausing   Status = 7
)

// String returns the state's name in words.
func (s Status) String() string {
	switch s {
	case StatusWaiting:
		return "waiting"
	case StatusRunning:
		return "running"
	case StatusPaused:
		return "paused"
	case StatusFailed:
		return "failed"
	case StatusSucceeded:
		return "succeeded"
	case StatusRetrying:
		return "retrying"
	case StatusPausing:
		return "pausing"
	}
	return "unknown"
}

// Active reports whether a run is under way or winding down.
func (s Status) Active() bool {
	return s == StatusRunning || s == StatusRetrying || s == StatusPausing
}

// ErrorReason is why a task failed: a TRF code and a sentence.
type ErrorReason struct {
	Code    string
	Message string
}

// TaskSpec is what the user asked for; it does not change after creation except for Bandwidth, Priority and RetryCodes.
type TaskSpec struct {
	Type             TaskType          `json:"type"`
	Src              SourceNode        `json:"src"`
	Dst              DestinationNode   `json:"dst"`
	Description      string            `json:"description,omitempty"`
	MigrateSince     time.Time         `json:"migrate_since,omitzero"` // zero: no limit; older objects are skipped
	Bandwidth        []BandwidthWindow `json:"bandwidth,omitempty"`
	CDN              *CDN              `json:"cdn,omitempty"`
	SMN              *SMNConfig        `json:"smn,omitempty"`
	MigrateMetadata  bool              `json:"migrate_metadata,omitempty"` // false: Content-Type and Content-Encoding only
	Restore          bool              `json:"restore,omitempty"`
	RecordFailures   bool              `json:"record_failures,omitempty"` // lists of failed objects, and of metadata not carried
	RecordObjects    bool              `json:"record_objects,omitempty"`  // lists of migrated and of skipped objects
	RequesterPays    bool              `json:"requester_pays,omitempty"`
	KMS              bool              `json:"kms,omitempty"`
	Overwrite        OverwriteMode     `json:"overwrite"`
	StoragePolicy    StoragePolicy     `json:"storage_policy"`
	StorageClassSent bool              `json:"storage_class_sent,omitempty"` // the policy was given, so a class header is sent
	Consistency      ConsistencyCheck  `json:"consistency"`
	Priority         Priority          `json:"priority"`
	Slice            *KeySlice         `json:"slice,omitempty"` // only in tasks of groups; nil: all that is selected
	// RetryCodes limit the present run to failures with one of these codes; none means no limit.
	RetryCodes []string     `json:"retry_codes,omitempty"`
	Mode       TaskMode     `json:"mode,omitempty"`
	Filters    *Filters     `json:"filters,omitempty"` // nil: all that is selected
	Rename     []RenameRule `json:"rename,omitempty"`  // in order; then the save prefix is put before
}

// Task is one migration from a source node to a destination node.
type Task struct {
	ID        int64 // unique, increasing, below 10^15
	ProjectID string
	Name      string // {src bucket}-{dst bucket}-{unix ms}
	GroupID   string
	GroupType GroupType
	Spec      TaskSpec

	Status     Status
	Generation int64 // grows with every start; fences out late writers of older runs
	FailedOnly bool  // this run retries only the recorded failures
	Planned    bool  // the ranges of this run exist
	Error      *ErrorReason

	Counters   Counters // sum over the ranges, plus what earlier runs contribute; filled by the store when read
	QueryOver  bool     // the listing of the source has ended
	FailedList FailedList
	// NoticeCode tells what became of the message about the end of this run: nil when none was tried, "" when it was
	// sent, else why the latest attempt failed. Filled by the store.
	NoticeCode *string

	// SuccessListCode and SkipListCode say why a list is incomplete or was not written, "" when it was. Filled by the store.
	SuccessListCode, SkipListCode string

	// Epoch is the destination's clock when the first run over the whole space began, whole seconds: on resume an
	// equal object not older than it is this task's own work. Zero: unknown.
	Epoch time.Time

	CreatedAt time.Time
	UpdatedAt time.Time
	QueuedAt  time.Time     // when it last entered StatusWaiting
	StartedAt time.Time     // of the latest start; zero before the first
	RunFor    time.Duration // finished running periods; pauses excluded

	// Speed is what the task moves now, in bytes per second; filled by the engine for tasks it runs.
	Speed int64
	// Found are objects and bytes found by the listing so far. They are stored when a run ends; the engine fills them
	// for tasks it runs, and sees to it that they are at least those in Counters.
	Found, FoundBytes int64
	// PartialBytes are bytes of unfinished large objects that the destination holds in parts. They are stored when a
	// run ends and shrink as Counters grow; the engine fills them for tasks it runs.
	PartialBytes int64
	// EndedAt is when the run of an active task ended whose end is not stored yet, zero otherwise; filled by the engine.
	EndedAt time.Time
}

// FailedList tells what became of the failed-object list at the destination (OMS v2, 3.5).
type FailedList struct {
	Result *bool  // nil: none was written; true: failed objects can be retried alone
	Key    string // object name of the list in the destination bucket
	Code   string // OMS.0303 to OMS.0308: why the list could not be written
}

// StartRequest is what a start brings along: the keys, which are not kept between runs, and how far to go back.
type StartRequest struct {
	Credentials TaskCredentials
	FailedOnly  bool // retry only the recorded failures of a failed task
	// Codes limit a retry to failures with one of these codes; the others stay as they are. None means all.
	Codes []string
}

// Elapsed returns the running time of the task up to now, pauses excluded. It stands still after EndedAt.
func (t Task) Elapsed(now time.Time) time.Duration {
	if !t.EndedAt.IsZero() && now.After(t.EndedAt) {
		now = t.EndedAt
	}
	if t.Status.Active() && !t.StartedAt.IsZero() && now.After(t.StartedAt) {
		return t.RunFor + now.Sub(t.StartedAt)
	}
	return t.RunFor
}
