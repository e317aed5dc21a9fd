package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

const (
	// maxDrain is how much of a body that is too large is read, so that the client sees the refusal (rule S8).
	maxDrain = 12 << 20
	// operationTimeout bounds one operation; creating a task asks two stores.
	operationTimeout = 60 * time.Second
)

// headerRequestID is on every answer.
const headerRequestID = "X-Request-Id"

// guard is what every request passes first: a request id, headers that are right for every answer, paths in one
// spelling only, and a panic that ends the request but not the process.
func (s *service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &answer{ResponseWriter: rw}
		w.Header().Set(headerRequestID, newRequestID())
		w.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if p := recover(); p != nil {
				s.panicked(w, r, p)
			}
		}()
		// http.ServeMux would redirect other spellings, and clients sign the path that they send.
		if p := r.URL.EscapedPath(); !strings.HasPrefix(p, "/") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
			s.notFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// panicked logs a panic and answers, if nothing was sent yet.
func (s *service) panicked(w *answer, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it in the same way
		panic(p)
	}
	err := &panicError{value: fmt.Sprint(p), stack: debug.Stack()}
	if w.status != 0 {
		s.logFailure(w, r, err)
		panic(http.ErrAbortHandler)
	}
	s.writeError(w, r, err)
}

// panicError is a panic of a handler.
type panicError struct {
	value string
	stack []byte
}

func (e *panicError) Error() string { return "panic: " + oms.Clean(e.value) }

// answer remembers the status that was sent.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing was sent
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// newRequestID returns 32 random hex digits.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}

// operation serves one route: admit, limit, do, audit, answer.
func (s *service) operation(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.clock()
		ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
		defer cancel()
		c := &call{r: r, project: r.PathValue("project_id"), object: cmp.Or(r.PathValue("task_id"), oms.Clean(r.PathValue("sync_task_id")), oms.Clean(r.PathValue("group_id")))}
		result, err := s.do(ctx, w, rt, c)
		status := http.StatusOK
		if st, ok := result.(streamer); ok && err == nil {
			st.stream(w, r)
		} else if err != nil {
			status = s.writeError(w, r, err)
		} else {
			s.writeJSON(w, r, result)
		}
		if rt.auth.Action.Writes() && !isRateLimit(err) && !c.recorded || status == http.StatusUnauthorized || status == http.StatusForbidden {
			s.record(ctx, w, c, rt.name, err)
		}
		s.log.DebugContext(ctx, "request served", "operation", rt.name, "status", status,
			"request_id", w.Header().Get(headerRequestID), "project_id", c.id.ProjectID,
			"duration_ms", s.clock().Sub(began).Milliseconds())
	})
}

// do admits the request and runs the operation. A panic of the operation is its error.
func (s *service) do(ctx context.Context, w http.ResponseWriter, rt route, c *call) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it in the same way
				panic(p)
			}
			result, err = nil, &panicError{value: fmt.Sprint(p), stack: debug.Stack()}
		}
	}()
	if c.body, err = readBody(w, c.r, rt.maxBody); err != nil {
		return nil, err
	}
	if c.id, err = s.auth.Admit(ctx, c.r, c.body, rt.auth, c.project); err != nil {
		return nil, err
	}
	if rt.auth.Class == auth.Authenticated {
		if err := s.inProject(c); err != nil {
			return nil, err
		}
		if wait := s.limiterOf(rt.name).take(c.id.ProjectID); wait > 0 {
			return nil, &rateError{wait: wait}
		}
	}
	return rt.serve(s, ctx, c)
}

// inProject refuses a request whose path or header names another project than the credential. Auth checks the
// same; a caller that gets here otherwise is nobody.
func (s *service) inProject(c *call) error {
	if c.project == "" || c.id.ProjectID != c.project {
		return oms.Errorf(oms.Denied, auth.CodeNoRight, "The user does not have permission to perform this operation.")
	}
	for _, v := range c.r.Header.Values("X-Project-Id") {
		if v != c.project {
			return oms.Errorf(oms.Denied, auth.CodeNoRight, "X-Project-Id is not the project of the path.")
		}
	}
	return nil
}

// readBody reads at most limit bytes. A longer body is drained up to maxDrain, so that the client is not cut off
// before it reads the answer.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	in := http.MaxBytesReader(w, r.Body, maxDrain)
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(body)) <= limit {
		return body, nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); err == nil || tooLarge {
		return nil, &statusError{http.StatusRequestEntityTooLarge, oms.Errorf(oms.Invalid, "APIGW.0201",
			"The request body is longer than %d bytes.", limit)}
	}
	if oms.Canceled(err) {
		return nil, err
	}
	return nil, oms.Errorf(oms.Invalid, "OMS.0004", "The request body could not be read.")
}

// iam serves one of the IAM paths and audits what it changes or refuses.
func (s *service) iam(name string, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &answer{ResponseWriter: rw}
		ctx, cancel := context.WithTimeout(r.Context(), operationTimeout)
		defer cancel()
		serve(w, r.WithContext(ctx))
		changes := r.Method == http.MethodPost || r.Method == http.MethodDelete
		if changes && w.status < http.StatusBadRequest || w.status == http.StatusUnauthorized || w.status == http.StatusForbidden {
			s.recordIAM(ctx, w, r, name)
		}
	})
}
