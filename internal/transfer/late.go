package transfer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// sortSource lists what is left of a source without order, by tokens alone, one listing for each prefix, and sorts it:
// afterwards it can be read in order, from any position.
func (j *Job) sortSource(ctx context.Context) error {
	var prefixes []string
	for _, r := range slices.Concat(j.keys, j.late) {
		if !r.Done {
			prefixes = append(prefixes, r.Prefix)
		}
	}
	slices.Sort(prefixes)
	sorter := newSorter(j.opts.Spool)
	defer sorter.close()
	list := j.listing(srcList, j.plan.Src)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(j.opts.Walkers)
	for _, p := range slices.Compact(prefixes) {
		g.Go(func() error { return readAll(gctx, list, p, sorter.add) })
	}
	err := g.Wait()
	if err == nil {
		j.sorted, err = sorter.finish(ctx)
	}
	if _, stopped := errors.AsType[*Stopped](err); err != nil && !stopped && ctx.Err() == nil {
		err = j.stop(oms.Source, err)
	}
	return err
}

// readAll hands the pages of a listing in any order to take. It ends in an error when the tokens lead in a circle.
func readAll(ctx context.Context, list lister, prefix string, take func([]storage.ListedObject) error) error {
	opts := storage.ListOptions{Prefix: prefix, AnyOrder: true}
	mark, next, empty := "", 1, 0 // a token seen earlier, compared with all that follow up to the next mark
	for n := 1; ; n++ {
		page, err := list(ctx, opts)
		if err != nil {
			return err
		}
		if err := take(page.Objects); err != nil || !page.Truncated {
			return err
		}
		if empty++; len(page.Objects) > 0 {
			empty = 0
		}
		if page.Next == "" || page.Next == opts.Token || page.Next == mark || empty > maxEmptyPages {
			return &oms.Error{
				Op: "list", Kind: oms.Listing, Code: "LISTING_LOOP", Msg: "the tokens of the listing lead in a circle (page " + strconv.Itoa(n) + ")",
			}
		}
		if n == next {
			mark, next = page.Next, 2*next
		}
		opts.Token = page.Next
	}
}

// maxLateRows bounds the failures that are held while a passed range is redone.
const maxLateRows = 100_000

// redoPassed passes once more over what the ranges have passed, since a listing without order may have kept keys from
// them. It ends before any of them goes on: where they stand is what tells the two apart.
func (j *Job) redoPassed(ctx context.Context) error {
	for _, r := range j.late {
		if r.Done {
			continue
		}
		if err := j.redo(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// passed returns the parts of the key space below the prefix that ranges have passed, in order, with what they counted
// there. It is a Conflict when another worker holds one of them.
func (j *Job) passed(prefix string) ([]oms.Range, error) {
	var list []oms.Range
	for _, r := range j.keys {
		switch {
		case r.Prefix != prefix:
			continue
		case r.Owner != "" && r.Owner != j.plan.Owner:
			return nil, &oms.Error{Op: "redo ranges", Kind: oms.Conflict, Msg: "another worker still lists the bucket"}
		case !r.Done && r.Cur == r.Start:
			continue
		case !r.Done:
			r.End = r.Cur
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b oms.Range) int {
		return cmp.Or(strings.Compare(a.Start, b.Start), cmp.Compare(a.Seq, b.Seq))
	})
	return list, nil
}

// redo passes over all that was passed below the prefix of a late range.
func (j *Job) redo(ctx context.Context, late oms.Range) error {
	parts, err := j.passed(late.Prefix)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.End != "" && part.End <= late.Cur {
			continue
		}
		if late, err = j.redoPart(ctx, late, part); err != nil {
			return err
		}
	}
	s := newSpan(late)
	return s.window.end(ctx, j.journal)
}

// redoPart passes over one part and reports, when all of it is done, what there is in it beyond what was counted. It
// returns the late range as it is then.
func (j *Job) redoPart(ctx context.Context, late, part oms.Range) (oms.Range, error) {
	s := newSpan(late)
	s.resumed, s.window.tally = true, &tally{}
	s.r.Cur, s.r.End = part.Start, part.End
	recorded, err := j.recordedFailures(ctx, part)
	if err != nil {
		return late, err
	}
	s.failed = recorded
	dst := j.join(s)
	defer dst.cursor.close()
	last := late.Cur
	for after := part.Start; ; {
		page, err := j.sorted.list(ctx, storage.ListOptions{Prefix: part.Prefix, After: after})
		if err != nil {
			return late, err
		}
		objects := page.Objects
		for n := len(objects); n > 0 && part.End != "" && objects[n-1].Key > part.End; n-- {
			objects = objects[:n-1]
		}
		if len(objects) > 0 {
			if err := j.walkPage(ctx, s, j.withoutOwn(objects), dst); err != nil {
				return late, err
			}
			after = objects[len(objects)-1].Key
			last = after
		}
		if len(objects) < len(page.Objects) || !page.Truncated {
			break
		}
	}
	if err := s.window.drain(ctx); err != nil {
		return late, err
	}
	if late.Cur = last; part.End != "" {
		late.Cur = part.End
	}
	t := s.window.tally
	cp := oms.Checkpoint{
		Cur: late.Cur, Delta: t.beyond(part.Counters, recorded), Failures: t.failures, Resolved: t.resolved,
	}
	j.found.Add(cp.Delta.Listed)
	j.foundBytes.Add(cp.Delta.ListedBytes)
	return late, s.window.settle(ctx, j.journal, cp)
}

// failureRecorder is a Journal that also returns the failures of the present run.
type failureRecorder interface {
	RecordedFailures(ctx context.Context, after string, limit int) ([]oms.Failure, error)
}

// recordedFailures returns the failures recorded within a passed part: they are retried in passing.
func (j *Job) recordedFailures(ctx context.Context, part oms.Range) ([]oms.Failure, error) {
	recorder, ok := j.journal.(failureRecorder)
	if !ok || part.Counters.Failed == 0 {
		return nil, nil
	}
	var list []oms.Failure
	for after := part.Start; ; {
		some, err := recorder.RecordedFailures(ctx, after, batchItems)
		if err != nil {
			return nil, err
		}
		for _, f := range some {
			if part.End != "" && f.Key > part.End {
				return list, nil
			}
			list = append(list, f)
		}
		if len(some) == 0 {
			return list, nil
		}
		if after = list[len(list)-1].Key; len(list) > maxLateRows {
			return nil, j.stop(oms.Source, tooManyFailures())
		}
	}
}

func tooManyFailures() error {
	return &oms.Error{
		Op: "redo ranges", Kind: oms.Listing, Code: codeListing, Msg: "the bucket is not listed in order, and too many of its objects fail",
	}
}

// tally is what became of the keys of a part. Failures that were retried are in it as they are in a checkpoint: failed
// once less, and not listed again.
type tally struct {
	sum      oms.Counters
	failures []oms.Failure
	resolved []string
}

// add takes what a checkpoint would report.
func (t *tally) add(cp oms.Checkpoint) error {
	t.sum = t.sum.Add(cp.Delta)
	t.failures = append(t.failures, cp.Failures...)
	t.resolved = append(t.resolved, cp.Resolved...)
	if len(t.failures) > maxLateRows {
		return tooManyFailures()
	}
	return nil
}

// beyond returns what the tally adds to what was counted of the same part before, the recorded failures, which it
// retried, apart. Nothing but these failures is taken back, even if there are fewer keys now.
func (t *tally) beyond(counted oms.Counters, recorded []oms.Failure) (d oms.Counters) {
	var size int64
	for i := range recorded {
		size += recorded[i].Size
	}
	d.Listed, d.Migrated, d.Failed, d.Skipped = growth(
		[...]int64{t.sum.Listed, t.sum.Migrated, t.sum.Failed},
		[...]int64{counted.Listed - int64(len(recorded)), counted.Migrated})
	d.ListedBytes, d.MigratedBytes, d.FailedBytes, d.SkippedBytes = growth(
		[...]int64{t.sum.ListedBytes, t.sum.MigratedBytes, t.sum.FailedBytes},
		[...]int64{counted.ListedBytes - size, counted.MigratedBytes})
	d.MovedBytes = max(0, t.sum.MovedBytes-counted.MovedBytes)
	d.Findings = t.sum.Beyond(counted.Findings)
	return d
}

// growth returns books that balance: as many listed, migrated and failed as there are now beyond those before, and the
// rest skipped. Failed before is not counted in either.
func growth(now [3]int64, before [2]int64) (listed, migrated, failed, skipped int64) {
	failed = now[2]
	listed = max(0, now[0]-before[0], failed)
	migrated = min(max(0, now[1]-before[1]), listed-failed)
	return listed, migrated, failed, listed - failed - migrated
}
