package transfer

import (
	"context"
	"errors"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// visitor sees listed objects, page by page, from several goroutines.
type visitor func(page []storage.ListedObject) error

// Survey lists all objects below the task's prefixes, side by side as a migration would, and shows each of them to visit
// exactly once, in pages that come in any order and from several goroutines. Filters are not applied and nothing is
// written or stored. begin is called before the first page, and again when the source turns out to have no order and
// all is listed once more. An error of visit ends the survey. plan.Dst is not used and may be nil.
func Survey(ctx context.Context, plan Plan, res *Resources, opts Options, begin func(), visit func(page []storage.ListedObject) error) error {
	begin()
	ranges := surveyRanges(plan, oms.RangeKeys)
	err := survey(ctx, plan, res, opts, visit, ranges)
	if _, ok := errors.AsType[*Disorder](err); ok {
		begin()
		err = survey(ctx, plan, res, opts, visit, append(ranges, surveyRanges(plan, oms.RangeLate)...))
	}
	return err
}

// surveyRanges returns a range of the kind for each of the task's prefixes.
func surveyRanges(plan Plan, kind oms.RangeKind) []oms.Range {
	prefixes, _ := plan.Spec.Selection()
	var rs []oms.Range
	for i, p := range prefixes {
		seq := int64(2*i + 1)
		if kind == oms.RangeLate {
			seq++
		}
		rs = append(rs, oms.Range{TaskID: plan.TaskID, Kind: kind, Prefix: p, Seq: seq, Token: 1, Owner: plan.Owner})
	}
	return rs
}

func survey(ctx context.Context, plan Plan, res *Resources, opts Options, visit visitor, ranges []oms.Range) error {
	j := New(plan, noJournal{}, res, opts)
	j.visit = visit
	return j.Run(ctx, ranges, nil)
}

// noJournal is the Journal of a job that only looks.
type noJournal struct{}

func (noJournal) Checkpoint(context.Context, oms.Checkpoint) error             { return nil }
func (noJournal) OpenUpload(context.Context, oms.Upload) error                 { return nil }
func (noJournal) PartDone(context.Context, oms.PartDone) error                 { return nil }
func (noJournal) CloseUpload(context.Context, oms.UploadRef) error             { return nil }
func (noJournal) Failures(context.Context, string, int) ([]oms.Failure, error) { return nil, nil }
