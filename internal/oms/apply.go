package oms

import (
	"strconv"
	"time"
)

// MaxWaiting is how long, unless an operator sets it otherwise, a task may wait before it fails with TRF.0003 and loses its keys (OMS v2, 5.2).
const MaxWaiting = 30 * 24 * time.Hour

// EventType is something that happens to a task.
type EventType uint8

// The events. Start and Stop come from users, the others from the engine.
const (
	EventStart     EventType = iota + 1 // run (again): paused and failed tasks
	EventSchedule                       // a worker takes the task up
	EventStop                           // pause: running tasks
	EventPaused                         // the workers have wound down
	EventSucceeded                      // everything is done and the books balance
	EventFailed                         // objects failed, or the run cannot go on
	EventExpired                        // waited longer than MaxWaiting
	EventHold                           // its group pauses: waiting and running tasks
	EventRerun                          // its group runs again: everything that is at rest
)

// Event is applied to a task by Apply.
type Event struct {
	Type       EventType
	FailedOnly bool         // EventStart: retry only the recorded failures
	Codes      []string     // with FailedOnly: only those with one of these codes, whether a list was written or not
	Reason     *ErrorReason // EventFailed: required
}

// Apply returns the task as it is after ev at the instant now. It does no I/O and reads no clock. An event that
// the state does not allow is a Conflict with the code of OMS v2, 5.2.
func (t Task) Apply(ev Event, now time.Time) (Task, error) {
	to, code := next(t.Status, ev.Type)
	if code != "" {
		return t, &Error{
			Op: ev.Type.String() + " task", Key: strconv.FormatInt(t.ID, 10), Kind: Conflict, Code: code,
			Msg: "the task is " + t.Status.String(),
		}
	}
	switch ev.Type {
	case EventStart, EventRerun:
		if ev.FailedOnly {
			if err := t.failedOnlyAllowed(ev.Codes); err != nil {
				return t, err
			}
		}
		if ev.FailedOnly || !t.FailedOnly || t.Status != StatusPaused {
			t.Spec.RetryCodes = ev.Codes
		}
		t.Generation++
		t.Error, t.QueuedAt = nil, now
		// A paused run over the failures goes on as what it was.
		t.FailedOnly = ev.FailedOnly || t.Status == StatusPaused && t.FailedOnly
	case EventSchedule:
		t.StartedAt = now
	case EventPaused, EventSucceeded, EventFailed:
		if t.Status.Active() {
			t.RunFor = t.Elapsed(now)
		}
		t.Error = ev.Reason
	case EventExpired:
		t.Error = &ErrorReason{Code: "TRF.0003", Message: "The task waited too long for execution. Start it again."}
	case EventStop, EventHold:
	}
	t.Status, t.UpdatedAt = to, now
	return t, nil
}

// failedOnlyAllowed returns nil when the failures can be retried alone. What names codes does not depend on the list in
// the destination bucket: failures are kept here, however many.
func (t Task) failedOnlyAllowed(codes []string) error {
	if len(codes) > 0 {
		if t.Status != StatusFailed || t.Counters.Failed == 0 {
			return Errorf(Conflict, "OMS.0167", "the task has no failed objects to retry")
		}
		return nil
	}
	if t.FailedList.Code == "OMS.0305" || t.FailedList.Code == "OMS.0308" {
		return Errorf(Conflict, "OMS.0308", "more than %d objects failed, the list is incomplete: start without migrate_failed_object", MaxRecordedFails)
	}
	if t.Status != StatusFailed || t.FailedList.Result == nil || !*t.FailedList.Result {
		return Errorf(Conflict, "OMS.0167", "the task has no list of failed objects")
	}
	return nil
}

// next returns the state after ev, or the OMS code of the refusal.
func next(s Status, ev EventType) (Status, string) {
	switch ev {
	case EventStart:
		switch s {
		case StatusPaused, StatusFailed:
			return StatusWaiting, ""
		case StatusSucceeded:
			return s, "OMS.0070"
		case StatusWaiting, StatusRunning, StatusRetrying, StatusPausing:
			return s, "OMS.0065"
		}
	case EventStop:
		switch s {
		case StatusRunning, StatusRetrying:
			return StatusPausing, ""
		case StatusSucceeded:
			return s, "OMS.0070"
		case StatusWaiting, StatusPaused, StatusFailed, StatusPausing:
			return s, "OMS.0066"
		}
	case EventSchedule:
		if s == StatusWaiting {
			return StatusRunning, ""
		}
	case EventPaused:
		if s == StatusPausing {
			return StatusPaused, ""
		}
	case EventSucceeded: // not while pausing: a client that asked for a pause sees 7, then 3
		if s == StatusRunning || s == StatusRetrying {
			return StatusSucceeded, ""
		}
	case EventFailed:
		if s == StatusRunning || s == StatusRetrying || s == StatusWaiting {
			return StatusFailed, ""
		}
	case EventExpired:
		if s == StatusWaiting {
			return StatusFailed, ""
		}
	case EventHold:
		switch s {
		case StatusWaiting:
			return StatusPaused, ""
		case StatusRunning, StatusRetrying:
			return StatusPausing, ""
		default:
		}
	case EventRerun:
		if s == StatusPaused || s == StatusFailed || s == StatusSucceeded {
			return StatusWaiting, ""
		}
	}
	return s, "OMS.0064"
}

// String returns the event's name.
func (e EventType) String() string {
	switch e {
	case EventStart:
		return "start"
	case EventSchedule:
		return "schedule"
	case EventStop:
		return "stop"
	case EventPaused:
		return "pause"
	case EventSucceeded:
		return "finish"
	case EventFailed:
		return "fail"
	case EventExpired:
		return "expire"
	case EventHold:
		return "hold"
	case EventRerun:
		return "rerun"
	}
	return "event " + strconv.Itoa(int(e))
}

// CheckDelete returns nil when the task may be deleted in its state: any but running, retrying and pausing,
// which are refused with OMS.0063.
func (t Task) CheckDelete() error {
	if t.Status.Active() {
		return Errorf(Conflict, "OMS.0063", "the task is %s, pause it first", t.Status)
	}
	return nil
}

// CheckBandwidth returns nil when the traffic limits may be changed: any state but succeeded (OMS.0086).
func (t Task) CheckBandwidth() error {
	if t.Status == StatusSucceeded {
		return Errorf(Conflict, "OMS.0086", "the task is finished, its traffic limits cannot be changed")
	}
	return nil
}

// CheckPriority returns nil when the priority may be changed: waiting, paused and failed tasks (OMS.1003
// otherwise).
func (t Task) CheckPriority() error {
	if t.Status == StatusWaiting || t.Status == StatusPaused || t.Status == StatusFailed {
		return nil
	}
	return Errorf(Conflict, "OMS.1003", "the priority of a task that is %s cannot be changed", t.Status)
}
