package httpapi

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

// auditTimeout bounds the write of an audit entry, which does not end with the client's patience.
const auditTimeout = 10 * time.Second

// The most refusals of unknown callers that are written one by one: the sender of such requests must not be able
// to fill the database. Beyond, they are counted, and the next entry tells the number.
const (
	strangersPerSecond = 10
	strangersAtOnce    = 200
)

// auditor writes the audit log (rule S12): every call that changes something or was refused.
type auditor struct {
	log       Audit
	strangers *limiter
	events    eventAudit
	unwritten atomic.Int64 // refusals of unknown callers since the last entry
}

func newAuditor(log Audit, clock func() time.Time) *auditor {
	return &auditor{log: log, strangers: newLimiter(RateLimit{PerSecond: strangersPerSecond, Burst: strangersAtOnce}, clock), events: eventAudit{clock: clock}}
}

// append adds the refusal of a caller that nobody knows, or any other entry.
func (a *auditor) append(ctx context.Context, e oms.AuditEntry) error {
	if e.Actor == "" && e.Result != resultOK {
		if a.strangers.take("") > 0 {
			a.unwritten.Add(1)
			return nil
		}
		if n := a.unwritten.Swap(0); n > 0 {
			e.Result += ", after " + strconv.FormatInt(n, 10) + " refusals of unknown callers that are not listed"
		}
	}
	if a.events.thin(&e) {
		return nil
	}
	return a.log.Append(ctx, e)
}

// resultOK is the result of a call that did what it should.
const resultOK = "ok"

// record appends a call of the API. The change is made already, so a failure is only logged.
func (s *service) record(ctx context.Context, w http.ResponseWriter, c *call, action string, err error) {
	entry := oms.AuditEntry{
		Project: c.id.ProjectID, Actor: actor(c.id), Action: action, Object: oms.Clean(c.object),
		Remote: remoteHost(c.r), Result: resultOK,
	}
	if err != nil {
		status, code, _ := classify(err)
		entry.Result = strconv.Itoa(status) + " " + code
	}
	s.appendEntry(ctx, w, entry)
}

// recordIAM appends an IAM call. Who called is known to the IAM handler only.
func (s *service) recordIAM(ctx context.Context, w *answer, r *http.Request, name string) {
	entry := oms.AuditEntry{Action: "iam " + r.Method + " " + name, Remote: remoteHost(r), Result: resultOK}
	if w.status >= http.StatusBadRequest {
		entry.Result = strconv.Itoa(w.status)
	}
	s.appendEntry(ctx, w, entry)
}

func (s *service) appendEntry(ctx context.Context, w http.ResponseWriter, e oms.AuditEntry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := s.audit.append(ctx, e); err != nil {
		s.log.ErrorContext(ctx, "audit entry not stored", "action", e.Action, "project_id", e.Project, "actor", e.Actor,
			"object", e.Object, "remote", e.Remote, "result", e.Result,
			"request_id", w.Header().Get(headerRequestID), "err", err)
	}
}

// actor names who called: the user, and the access key if one signed.
func actor(id auth.Identity) string {
	if id.Credential == auth.AccessKeyCredential {
		return id.UserName + "/" + id.AccessKey
	}
	return id.UserName
}

// remoteHost returns the address of the peer without its port.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
