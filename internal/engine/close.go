package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds of what is done for uploads that nobody will complete.
const (
	abortTries    = 3
	abortPatience = 10 * time.Second
)

// close ends a run whose ranges are all done: it checks the books, aborts leftover uploads and writes the list of
// failed objects.
func (e *Engine) close(ctx context.Context, t oms.Task, b buckets, abilities transfer.Abilities) (ending, error) {
	rs, err := e.ranges(ctx, t.ID)
	if err != nil {
		return ending{}, err
	}
	if err := checkBooks(t.Spec, rs); err != nil {
		e.log.ErrorContext(ctx, "THE BOOKS DO NOT BALANCE", "task_id", t.ID, "err", err)
		reason := oms.ReasonOf(oms.Source, nil)
		return ending{reason: &reason}, nil
	}
	if err := e.abortUploads(ctx, t, b.dst); err != nil {
		return ending{}, err
	}
	var sum oms.Counters
	for _, r := range rs {
		sum = sum.Add(r.Counters)
	}
	var failures int64
	err = e.persist(ctx, "count failures", func(ctx context.Context) (err error) {
		failures, err = e.store.CountFailures(ctx, t.ID)
		return err
	})
	if err != nil {
		return ending{}, err
	}
	if failures != sum.Failed {
		e.log.ErrorContext(ctx, "failures and their count differ", "task_id", t.ID, "recorded", failures, "counted", sum.Failed)
	}
	switch {
	case failures > 0 || sum.Failed > 0:
		return e.endFailed(ctx, t, b.dst, abilities, failures)
	case sum.Listed == 0 && t.Spec.Slice == nil && t.Spec.Filters == nil && !wholeBucket(t.Spec):
		return ending{reason: &oms.ErrorReason{Code: "TRF.0012", Message: "The source has no object of the chosen names or prefixes."}}, nil
	}
	return ending{}, nil
}

// endFailed is the end of a run with failed objects.
func (e *Engine) endFailed(ctx context.Context, t oms.Task, dst destination, abilities transfer.Abilities, failures int64) (ending, error) {
	end := ending{reason: &oms.ErrorReason{Code: "TRF.0004", Message: "Some objects could not be migrated."}}
	if t.Spec.Mode == oms.ModeVerify {
		end.reason.Message = "Some objects are missing at the destination, differ, or could not be compared."
	}
	if !t.Spec.RecordFailures || t.Spec.ReadOnly() {
		return end, nil
	}
	list, err := e.writeFailedList(ctx, t, dst, abilities, failures)
	if err != nil {
		return ending{}, err
	}
	end.list = list
	if list.Key != "" {
		end.reason.Message = "Some objects could not be migrated. They are listed in " + list.Key + " of the destination bucket."
	}
	return end, nil
}

// abortUploads drops the uploads that the run left open (rule C2): none of them will be completed. What cannot be
// aborted does not hold up the task. The error is why ctx ended, or the store's.
func (e *Engine) abortUploads(ctx context.Context, t oms.Task, dst destination) error {
	for try := 1; ; try++ {
		var left []oms.Upload
		err := e.persist(ctx, "read uploads", func(ctx context.Context) (err error) {
			left, err = e.store.Uploads(ctx, t.ID)
			return err
		})
		if err != nil || len(left) == 0 {
			return err
		}
		if try > abortTries {
			e.log.WarnContext(ctx, "uploads stay open at the destination", "task_id", t.ID, "uploads", len(left))
			return nil
		}
		call, cancel := context.WithTimeout(ctx, abortPatience)
		closed, abortErr := transfer.AbortUploads(call, dst, t.Spec, left)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if abortErr != nil {
			e.log.InfoContext(ctx, "aborting uploads", "task_id", t.ID, "try", try, "err", abortErr)
		}
		if len(closed) == 0 {
			continue
		}
		err = e.persist(ctx, "close uploads", func(ctx context.Context) error {
			_, err := e.store.Commit(ctx, oms.Commit{Closed: closed})
			return err
		})
		if err != nil {
			return err
		}
	}
}

// abortBeforeDelete aborts the uploads of a task that is about to be deleted, while its keys are there.
func (e *Engine) abortBeforeDelete(ctx context.Context, t oms.Task) error {
	left, err := e.store.Uploads(ctx, t.ID)
	if err != nil || len(left) == 0 {
		return err
	}
	aborted := 0
	if b, err := e.openBuckets(ctx, t); err == nil {
		call, cancel := context.WithTimeout(ctx, abortPatience)
		defer cancel()
		closed, err := transfer.AbortUploads(call, b.dst, t.Spec, left)
		if err != nil {
			e.log.InfoContext(ctx, "aborting uploads", "task_id", t.ID, "err", err)
		}
		aborted = len(closed)
	}
	if aborted < len(left) {
		e.log.WarnContext(ctx, "uploads of a deleted task stay open at the destination", "task_id", t.ID, "uploads", len(left)-aborted)
	}
	return nil
}
