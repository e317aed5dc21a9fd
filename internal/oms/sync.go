package oms

import (
	"time"
)

// SyncStatus is the state of a synchronization task, spelled as OMS v2, 5.7 does.
type SyncStatus string

// The states.
const (
	SyncRunning SyncStatus = "SYNCHRONIZING"
	SyncStopped SyncStatus = "STOPPED"
)

// SyncTask is a long-lived task that migrates the objects that events name, as the events arrive.
type SyncTask struct {
	ID        string // lower-case UUID
	Number    int64  // names the task inside the service; unique among tasks of every kind
	ProjectID string
	Spec      TaskSpec // Type is TypeObject; Src.Keys, Bandwidth, SMN and Priority are not used

	Status     SyncStatus
	Generation int64        // grows with every start
	Error      *ErrorReason // why the service stopped the task by itself; nil otherwise
	Pending    int64        // object names that are accepted and not applied yet

	CreatedAt time.Time
	UpdatedAt time.Time
	StartedAt time.Time // of the latest start
}

// ApplySync returns the task as it is after ev, which is EventStart, EventStop, or EventFailed with its reason, at the
// instant now. It does no I/O and reads no clock. An event that the state does not allow is a Conflict with OMS.1036.
func (t SyncTask) ApplySync(ev Event, now time.Time) (SyncTask, error) {
	switch {
	case ev.Type == EventStart && t.Status == SyncStopped:
		t.Status, t.Error, t.StartedAt = SyncRunning, nil, now
		t.Generation++
	case (ev.Type == EventStop || ev.Type == EventFailed) && t.Status == SyncRunning:
		t.Status, t.Error = SyncStopped, ev.Reason
	default:
		return t, t.conflict(ev.Type.String())
	}
	t.UpdatedAt = now
	return t, nil
}

// CheckDelete returns nil when the task may be deleted in its state: only when it is stopped (OMS.1036 otherwise).
func (t SyncTask) CheckDelete() error {
	if t.Status != SyncStopped {
		return t.conflict("delete")
	}
	return nil
}

// CheckEvents returns nil when the task takes events in its state: only while it synchronizes (OMS.1036 otherwise).
func (t SyncTask) CheckEvents() error {
	if t.Status != SyncRunning {
		return t.conflict("send events to")
	}
	return nil
}

func (t SyncTask) conflict(op string) error {
	return &Error{
		Op: op + " synchronization task", Key: t.ID, Kind: Conflict, Code: "OMS.1036",
		Msg: "the synchronization task is in state " + string(t.Status),
	}
}

// SyncFilter selects synchronization tasks of one project, newest first.
type SyncFilter struct {
	ProjectID string     // required
	Status    SyncStatus // "": all
	Limit     int        // page size
	Offset    int        // index of the first record
}

// SyncChange is the outcome of a guarded change of a synchronization task.
type SyncChange struct {
	Task SyncTask
	// Credentials replace the sealed credentials, by field; nil leaves them.
	Credentials map[string][]byte
	// Wipe destroys the sealed credentials.
	Wipe bool
}

// SyncLease is the right of one process to apply the events of a synchronization task. Every write of what came of
// them is conditional on it.
type SyncLease struct {
	Number int64
	Owner  string
	Token  int64
	// Since is the Pos up to which events waited when the lease began: they may have been applied in part before.
	Since int64
}

// SyncEvent is an object name that waits to be applied. Events of one name that arrive before it is taken up are one.
type SyncEvent struct {
	Key      string
	Seq      int64 // of the newest event of the name
	Pos      int64 // place in the queue
	Attempts int   // that failed
	Again    bool  // the destination may hold a copy that an earlier attempt left
}

// SyncOutcome says what became of an event that was taken up.
type SyncOutcome struct {
	Key string
	Seq int64 // of the event when it was taken up: a newer one of the same name stays
	// RetryAt is the next attempt; zero: the event is done.
	RetryAt time.Time
}

// SyncCounts are the statistics of a synchronization task over some period (OMS v2, 4.26).
type SyncCounts struct {
	Requests  int64 // object names received; one name twice counts twice
	Successes int64 // objects migrated
	Failures  int64 // objects that failed in the end
	Skips     int64 // objects that the destination had already
	Bytes     int64 // of objects migrated
}

// Add returns the sum of both.
func (c SyncCounts) Add(d SyncCounts) SyncCounts {
	c.Requests += d.Requests
	c.Successes += d.Successes
	c.Failures += d.Failures
	c.Skips += d.Skips
	c.Bytes += d.Bytes
	return c
}

// SyncSpan is the length of the periods of a statistic.
type SyncSpan int64

// The spans, in seconds; months have no fixed length. Stored.
const (
	SpanMonth       SyncSpan = 0
	SpanFiveMinutes SyncSpan = 300
	SpanHour        SyncSpan = 3600
)

// Begin returns the begin of the period that t lies in, in UTC.
func (s SyncSpan) Begin(t time.Time) time.Time {
	t = t.UTC()
	if s == SpanMonth {
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Truncate(time.Duration(s) * time.Second) // of time since the year 1, which began on a full hour
}

// SyncStatistic is what was counted in one period.
type SyncStatistic struct {
	At time.Time // begin of the period
	SyncCounts
}

// SyncSeries is the statistic of a synchronization task in periods of one length, oldest first, without the periods
// in which nothing happened.
type SyncSeries struct {
	Span   SyncSpan
	Points []SyncStatistic
}

// SyncListKind is one of the object lists of a synchronization task (OMS v2, 6.10).
type SyncListKind string

// The kinds. Stored.
const (
	ListSuccess SyncListKind = "success"
	ListSkip    SyncListKind = "skip"
	ListFailed  SyncListKind = "failed"
)

// SyncList is a piece of an object list that is not written to the destination yet.
type SyncList struct {
	Kind    SyncListKind
	Seq     int64     // orders the pieces of a list; set by the store
	At      time.Time // when the piece was stored; set by the store
	Entries int64
	Lines   []byte
}

// SyncCommit is what the process that holds the lease stores in one transaction.
type SyncCommit struct {
	Lease SyncLease
	// Number counts the commits under the lease from 1, without gaps: giving one again changes nothing (rule P7).
	Number   int64
	Outcomes []SyncOutcome
	Counts   SyncCounts // of Outcomes; Requests is 0
	Lists    []SyncList
	Opened   []Upload // TaskID is the task's Number in all three
	Parts    []PartDone
	Closed   []UploadRef
}
