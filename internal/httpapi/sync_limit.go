package httpapi

import (
	"strconv"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// eventsRate is how many times as many calls with events a project may send as others: each names few objects, the
// backlog of the task bounds them anyway (OMS.2004), and a project that sends many must still be able to stop.
const eventsRate = 10

// limiterOf returns what bounds the calls of an operation.
func (s *service) limiterOf(operation string) *limiter {
	if operation == eventsOperation {
		return s.eventLimiter
	}
	return s.limiter
}

// newEventLimiter returns the limiter of calls with events for that of the others.
func newEventLimiter(opts RateLimit, clock func() time.Time) *limiter {
	l := newLimiter(opts, clock)
	l.rate, l.burst = l.rate*eventsRate, l.burst*eventsRate
	return l
}

// Bounds of the audit entries of accepted events.
const (
	eventsEntryEvery = time.Minute
	maxEventSenders  = 10_000
)

// eventAudit thins out the audit entries of accepted events, which come by the hundred a second: the first call of a
// sender to a task is written, the others of the next minute are counted, and the next entry tells the number. The
// task's statistics have every name.
type eventAudit struct {
	clock func() time.Time

	mu      sync.Mutex
	senders map[oms.AuditEntry]eventSender
}

type eventSender struct {
	at        time.Time // of the last entry
	unwritten int64     // calls since
}

// thin reports whether e is not to be written, and else adds to it what was not.
func (a *eventAudit) thin(e *oms.AuditEntry) bool {
	if e.Action != eventsOperation || e.Result != resultOK {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now, s := a.clock(), a.senders[*e]
	if since := now.Sub(s.at); !s.at.IsZero() && since >= 0 && since < eventsEntryEvery {
		s.unwritten++
		a.senders[*e] = s
		return true
	}
	if a.senders == nil || len(a.senders) >= maxEventSenders {
		a.senders = make(map[oms.AuditEntry]eventSender)
	}
	a.senders[*e] = eventSender{at: now}
	if s.unwritten > 0 {
		e.Result += ", after " + strconv.FormatInt(s.unwritten, 10) + " equal calls that are not listed"
	}
	return false
}
