package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// planRanges returns the ranges that the run of t adds to those that exist. A run over a fresh space gets a range
// per selected prefix and one for the exact names. A run that goes on, and one over failures only, gets ranges
// over the failures of earlier runs, where none is left over from before. lists are the list files of a fresh space.
func planRanges(t oms.Task, existing []oms.Range, lists []oms.ListSource) []oms.Range {
	var added []oms.Range
	if len(existing) == 0 {
		added = append(spaces(t.Spec), listRanges(lists)...)
	} else {
		for _, g := range failureGaps(existing) {
			added = append(added, oms.Range{Kind: oms.RangeFailures, Start: g.after, Cur: g.after, End: g.end})
		}
	}
	if t.Spec.Restore && !t.Spec.ReadOnly() && len(existing)+len(added) > 0 && !slices.ContainsFunc(existing, func(r oms.Range) bool { return r.Kind == oms.RangeRestores && !r.Done }) {
		added = append(added, oms.Range{Kind: oms.RangeRestores})
	}
	seq := int64(0)
	for _, r := range existing {
		seq = max(seq, r.Seq)
	}
	for i := range added {
		seq++
		added[i].TaskID, added[i].Generation, added[i].Seq = t.ID, t.Generation, seq
	}
	return added
}

// spaces returns the whole space of a task, a range for each of its pieces.
func spaces(spec oms.TaskSpec) []oms.Range {
	prefixes, names := spec.Selection()
	var rs []oms.Range
	for _, p := range prefixes {
		rs = append(rs, oms.Range{Kind: oms.RangeKeys, Prefix: p})
	}
	slice(rs, spec.Slice)
	if len(names) > 0 {
		rs = append(rs, oms.Range{Kind: oms.RangeNames})
	}
	return rs
}

// gap is a half-open piece (after, end] of the key space; end "" means no bound.
type gap struct{ after, end string }

// failureGaps returns what unfinished ranges over failures leave open. A failure must be in one range only, else
// its success would be counted twice.
func failureGaps(existing []oms.Range) []gap {
	var left []oms.Range
	for _, r := range existing {
		if r.Kind == oms.RangeFailures && !r.Done {
			left = append(left, r)
		}
	}
	slices.SortFunc(left, func(a, b oms.Range) int { return strings.Compare(a.Cur, b.Cur) })
	var gaps []gap
	pos := ""
	for _, r := range left {
		if r.Cur > pos {
			gaps = append(gaps, gap{after: pos, end: r.Cur})
		}
		if r.End == "" {
			return gaps
		}
		pos = max(pos, r.End)
	}
	return append(gaps, gap{after: pos})
}

// unfinished reports whether ranges over the task's own space are left, in contrast to ranges over its failures.
func unfinished(rs []oms.Range) bool {
	return slices.ContainsFunc(rs, func(r oms.Range) bool { return !r.Done && r.Kind != oms.RangeFailures })
}

// wholeBucket reports whether the task selects everything, so that finding nothing is no mistake.
func wholeBucket(spec oms.TaskSpec) bool {
	prefixes, _ := spec.Selection()
	return slices.Contains(prefixes, "")
}

// checkBooks returns an error when the ranges of a finished run do not add up (rules P3 and P4): each must be done
// and balanced, and together they must tile the selected space.
func checkBooks(spec oms.TaskSpec, rs []oms.Range) error {
	if spec.Type.Lists() {
		if err := checkListBooks(rs); err != nil {
			return err
		}
	}
	tiles := make(map[space][]oms.Range)
	var sum oms.Counters
	for _, r := range rs {
		sum = sum.Add(r.Counters)
	}
	if !sum.Balanced() {
		return oms.Errorf(oms.Corrupt, "", "%d objects and %d bytes were listed, but their outcomes differ", sum.Listed, sum.ListedBytes)
	}
	for _, r := range rs {
		switch {
		case !r.Done:
			return oms.Errorf(oms.Corrupt, "", "range %d is not done", r.Seq)
		case !r.Counters.Balanced() && !spec.Restore: // what is put aside has its outcome in another range
			return oms.Errorf(oms.Corrupt, "", "range %d listed %d objects and %d bytes, but its outcomes differ", r.Seq, r.Counters.Listed, r.Counters.ListedBytes)
		case r.Kind != oms.RangeFailures && r.Kind != oms.RangeLate && r.Kind != oms.RangeRestores: // those go over keys that others have passed
			s := space{r.Kind, r.Prefix}
			tiles[s] = append(tiles[s], r)
		}
	}
	for _, want := range spaces(spec) {
		if err := checkTiles(want, tiles[space{want.Kind, want.Prefix}]); err != nil {
			return err
		}
	}
	return nil
}

// space names an ordered space of a task.
type space struct {
	kind   oms.RangeKind
	prefix string
}

// checkTiles returns an error unless the ranges cover their space from the first to the last key exactly once.
func checkTiles(want oms.Range, rs []oms.Range) error {
	slices.SortFunc(rs, func(a, b oms.Range) int {
		return cmp.Or(strings.Compare(a.Start, b.Start), cmp.Compare(a.Seq, b.Seq))
	})
	pos, open := want.Start, true
	for _, r := range rs {
		if !open || r.Start != pos {
			return oms.Errorf(oms.Corrupt, "", "range %d does not begin where the one before it ends", r.Seq)
		}
		pos, open = r.End, r.End != want.End
	}
	if open {
		return oms.Errorf(oms.Corrupt, "", "no range reaches the end of the %s space", want.Kind)
	}
	return nil
}
