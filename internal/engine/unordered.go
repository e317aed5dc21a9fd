package engine

import (
	"context"
	"slices"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// goOnUnordered lets the task go on after its source turned out to have no order: ranges of kind late say so and make
// good what the others may have missed.
func (e *Engine) goOnUnordered(ctx context.Context, t oms.Task, disorder *transfer.Disorder) error {
	if err := e.commits.flush(ctx); err != nil {
		return err
	}
	existing, err := e.ranges(ctx, t.ID)
	if err != nil {
		return err
	}
	if hasLate(existing) { // not even a listing without order works
		return &transfer.Stopped{Side: disorder.Side, Err: disorder}
	}
	numbers, err := e.numbers(ctx, t)
	if err != nil {
		return err
	}
	err = e.persist(ctx, "plan late ranges", func(ctx context.Context) error {
		existing, err := e.store.Ranges(ctx, t.ID)
		if err != nil || hasLate(existing) { // an attempt whose answer was lost
			return err
		}
		_, err = e.store.ChangeTask(ctx, "", t.ID, func(cur oms.Task) (oms.TaskChange, error) {
			if cur.Generation != t.Generation || !cur.Status.Active() {
				return oms.TaskChange{}, superseded(t.ID)
			}
			return oms.TaskChange{Task: cur, Ranges: lateRanges(t, existing, numbers)}, nil
		})
		return err
	})
	if err == nil {
		e.log.WarnContext(ctx, "the source does not list in byte order: its whole listing is read and sorted first",
			"task_id", t.ID, "err", disorder)
	}
	return err
}

// hasLate reports whether the task is known to have a source without order.
func hasLate(rs []oms.Range) bool {
	return slices.ContainsFunc(rs, func(r oms.Range) bool { return r.Kind == oms.RangeLate })
}

// lateRanges returns a late range for each key space of the task.
// numbers is what their Seq are counted from, 0: from the highest that exists.
func lateRanges(t oms.Task, existing []oms.Range, numbers int64) []oms.Range {
	seq := numbers
	for _, r := range existing {
		if numbers == 0 {
			seq = max(seq, r.Seq)
		}
	}
	added := slices.DeleteFunc(spaces(t.Spec), func(r oms.Range) bool { return r.Kind != oms.RangeKeys })
	for i := range added {
		seq++
		added[i].Kind = oms.RangeLate
		added[i].TaskID, added[i].Generation, added[i].Seq = t.ID, t.Generation, seq
	}
	return added
}
