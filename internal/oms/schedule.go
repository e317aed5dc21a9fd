package oms

import "time"

// Schedule creates tasks from a template at the times of a cron expression.
type Schedule struct {
	ProjectID   string
	Name        string // unique in the project
	Description string
	Cron        string // expression as it was given
	Zone        string // IANA name; "" is the zone of the service
	Template    []byte // body of CreateExtendedTask: JSON whose nodes name connections instead of keys
	Enabled     bool

	// What the store and the engine keep; callers leave it alone.
	Revision             int64     // changes with every firing and every change
	NextDue              time.Time // zero: never
	PlannedAt            time.Time // what the clock was when NextDue was computed
	LastTask             int64     // created last; 0 for none
	LastStatus           Status    // of LastTask; 0 when it does not exist any more
	CreatedAt, UpdatedAt time.Time
	Firings              []Firing // the latest MaxFirings, newest first; only where one schedule is asked for
}

// Bounds of schedules.
const (
	MaxSchedules = 100 // of a project
	MaxFirings   = 20  // kept of a schedule
)

// Firing is what became of one due time of a schedule.
type Firing struct {
	Due     time.Time
	At      time.Time // when it was dealt with
	Outcome FiringOutcome
	TaskID  int64  // 0 for none
	Code    string // of the refusal, when the outcome is FiringFailed; may be ""
	Reason  string // why there is no task; fit to be shown
}

// FiringOutcome says what became of a due time.
type FiringOutcome string

// The outcomes.
const (
	FiringCreated FiringOutcome = "created" // a task
	FiringSkipped FiringOutcome = "skipped" // the task of the time before still waited or ran
	FiringMissed  FiringOutcome = "missed"  // the service was away for too long
	FiringFailed  FiringOutcome = "failed"  // the task was refused
)

// StillBusy is the reason of skipped firings.
const StillBusy = "The task of the time before still waits or runs."

// TaskCreation is a task that is stored together with something else.
type TaskCreation struct {
	Task  Task
	Quota Quota
	Seal  func(id int64) (map[string][]byte, error) // credentials for the id that is chosen
}

// Unfinished reports whether a task of this status waits or runs.
func (s Status) Unfinished() bool { return s == StatusWaiting || s.Active() }
