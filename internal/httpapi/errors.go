package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Codes that this package answers with on its own account.
const (
	codeUnavailable = "OMS.2004"
	codeInternal    = "OMS.1001"
	codeRateLimit   = "APIGW.0308"
)

// retryAfter is what 503 answers advise, in seconds.
const retryAfter = "5"

// statusError gives an error another status than its code has.
type statusError struct {
	status int
	err    *oms.Error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// rateError refuses a request of a project that sends too many.
type rateError struct {
	wait time.Duration // until the next request is accepted
}

func (e *rateError) Error() string { return "too many requests" }

func isRateLimit(err error) bool {
	_, ok := errors.AsType[*rateError](err)
	return ok
}

// classify maps an error to the status, code and text of its answer: a code of the contract decides first, then
// the kind. Text of errors without such a code stays inside (rules S1, S7).
func classify(err error) (status int, code, msg string) {
	if isRateLimit(err) {
		return http.StatusTooManyRequests, codeRateLimit, "The throttling threshold has been reached. Try again later."
	}
	if e := contractError(err); e != nil {
		status = statusOf(e.Code)
		if own, ok := errors.AsType[*statusError](err); ok {
			status = own.status
		}
		msg = oms.Clean(e.Msg)
		if msg == "" {
			msg = textOf(e.Kind)
		}
		return status, e.Code, msg
	}
	switch kind := oms.KindOf(err); {
	case kind == oms.Transient || kind == oms.Throttled || kind == oms.Full || oms.Canceled(err):
		return http.StatusServiceUnavailable, codeUnavailable, "The service is temporarily unavailable. Try again later."
	case kind == oms.Invalid:
		return http.StatusBadRequest, "OMS.0064", textOf(kind)
	case kind == oms.NotFound:
		return http.StatusBadRequest, "OMS.1009", textOf(kind)
	case kind == oms.Conflict:
		return http.StatusBadRequest, "OMS.0064", textOf(kind)
	case kind == oms.Denied:
		return http.StatusForbidden, auth.CodeNoRight, textOf(kind)
	case kind == oms.Unsupported:
		return http.StatusBadRequest, "OMS.0061", textOf(kind)
	}
	return http.StatusInternalServerError, codeInternal, "Internal error."
}

// contractError returns the outermost *oms.Error in err's chain whose code is one of the contract, or nil.
func contractError(err error) *oms.Error {
	for e, ok := errors.AsType[*oms.Error](err); ok; e, ok = errors.AsType[*oms.Error](e.Err) {
		if strings.HasPrefix(e.Code, "OMS.") || strings.HasPrefix(e.Code, "APIGW.") || strings.HasPrefix(e.Code, "TRF.") {
			return e
		}
		if e.Err == nil {
			return nil
		}
	}
	return nil
}

// statusOf is the status of a contract code: 400 for all but a few (OMS v2, 1.7).
func statusOf(code string) int {
	switch code {
	case auth.CodeUnauthenticated:
		return http.StatusUnauthorized
	case auth.CodeReadOnly, auth.CodeNoRight, "APIGW.0302", "APIGW.0305":
		return http.StatusForbidden
	case "APIGW.0101":
		return http.StatusNotFound
	case "OMS.1008":
		return http.StatusMethodNotAllowed
	case codeRateLimit:
		return http.StatusTooManyRequests
	case codeInternal:
		return http.StatusInternalServerError
	case codeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// textOf is the sentence for a kind whose error has no text for the user.
func textOf(kind oms.Kind) string {
	switch kind {
	case oms.NotFound:
		return "The resource was not found."
	case oms.Conflict:
		return "The state of the resource does not allow the operation."
	case oms.Denied:
		return "The user does not have permission to perform this operation."
	case oms.Unsupported:
		return "This version of the service does not support the request."
	default:
		return "The request parameters are not valid."
	}
}

// writeError answers with err and returns the status. It is the only way an error leaves.
func (s *service) writeError(w http.ResponseWriter, r *http.Request, err error) int {
	status, code, msg := classify(err)
	e := contractError(err)
	full := e != nil && e.Code == codeUnavailable // a client sends too much, which is no failure of the service
	if status >= http.StatusInternalServerError && !full && !errors.Is(err, context.Canceled) {
		s.logFailure(w, r, err)
	}
	switch status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", seconds(err))
	}
	body, merr := json.Marshal(omsv2.ErrorResponse{ErrorCode: code, ErrorMsg: msg})
	if merr != nil { // two strings always marshal
		s.logFailure(w, r, merr)
	}
	send(w, status, body)
	return status
}

// seconds is the Retry-After of a rate limit, rounded up.
func seconds(err error) string {
	if e, ok := errors.AsType[*rateError](err); ok {
		return strconv.Itoa(max(1, int(math.Ceil(e.wait.Seconds()))))
	}
	return retryAfter
}

// logFailure logs an error that the client does not see.
func (s *service) logFailure(w http.ResponseWriter, r *http.Request, err error) {
	attrs := []any{
		"method", r.Method, "route", r.Pattern, "request_id", w.Header().Get(headerRequestID), "err", err,
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, "stack", string(p.stack))
	}
	s.log.ErrorContext(r.Context(), "request failed", attrs...)
}

// writeJSON answers 200 with v, or with an empty body when v is nil.
func (s *service) writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	if v == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	send(w, http.StatusOK, body)
}

// send writes a JSON body, which every JSON answer needs the content type for (OMS v2, 1.2).
func send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody to tell
}
