package engine

import (
	"context"
	"slices"

	"github.com/openoms/openoms/internal/oms"
)

// Failures returns at most limit failed objects of the task after the key, in byte order.
func (e *Engine) Failures(ctx context.Context, project string, id int64, after string, limit int) ([]oms.Failure, error) {
	return e.FindFailures(ctx, project, id, oms.FailureFilter{After: after, Limit: limit})
}

// FindFailures returns the failed objects of the task that the filter selects, in byte order. After is the name of an
// object.
func (e *Engine) FindFailures(ctx context.Context, project string, id int64, f oms.FailureFilter) ([]oms.Failure, error) {
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return nil, err
	}
	f.After = t.Spec.Type.AfterFailure(f.After)
	fs, err := e.store.FindFailures(ctx, id, f)
	rename(t, fs)
	return fs, err
}

// rename gives failures the names of their objects.
func rename(t oms.Task, fs []oms.Failure) {
	for i := range fs {
		fs[i].Key = t.Spec.Type.FailureName(fs[i].Key)
	}
}

// Causes sums up the failed objects of the task that the filter selects by their codes, the most frequent first.
func (e *Engine) Causes(ctx context.Context, project string, id int64, f oms.FailureFilter) ([]oms.Cause, error) {
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return nil, err
	}
	causes, err := e.store.Causes(ctx, id, f)
	for _, c := range causes {
		rename(t, c.Samples)
	}
	return causes, err
}

// Retry starts a failed task over its failures with one of the codes; none means all that there are. The other failures
// stay, and the task fails again while there are any. Codes that no failure has are refused with OMS.1003, a task
// without failures with OMS.0167. What is left of a run that was cut short is done as well.
func (e *Engine) Retry(ctx context.Context, project string, id int64, req oms.StartRequest) error {
	causes, err := e.Causes(ctx, project, id, oms.FailureFilter{Codes: req.Codes})
	if err != nil {
		return err
	}
	there := make([]string, len(causes))
	for i, c := range causes {
		there[i] = c.Code
	}
	for _, code := range req.Codes {
		if !slices.Contains(there, code) {
			return oms.Errorf(oms.Invalid, "OMS.1003", "no object of the task failed with the code %s", oms.Clean(code))
		}
	}
	if len(there) == 0 {
		return oms.Errorf(oms.Conflict, "OMS.0167", "the task has no failed objects to retry")
	}
	req.FailedOnly, req.Codes = true, there
	return e.Start(ctx, project, id, req)
}
