package transfer

import (
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Action is what Decide wants done with an object.
type Action uint8

// The actions.
const (
	Copy         Action = iota + 1 // move it
	Skip                           // leave the destination as it is
	Own                            // the destination holds this task's own earlier copy: counts as migrated
	CompareCRC64                   // ask both sides for their CRC64 first, see DecideCRC64
	LeaveOut                       // the filters do not take it
)

// Rules are what a decision depends on besides the two objects.
type Rules struct {
	Overwrite    oms.OverwriteMode
	MigrateSince time.Time // zero: no limit
	// OwnSince is the instant, by the destination's clock, from which equal objects are the task's own work; zero on a
	// range that was never leased before, where nothing can be.
	OwnSince time.Time
	// Doubt is how much later than the source the destination may be for equal sizes to prove nothing: the source may
	// have changed again while, or just before, the destination was written. 0: equal sizes and times are believed.
	Doubt time.Duration
	// Look asks for what the destination has even where the decision does not depend on it: somebody wants to know.
	Look bool
}

// dependsOnDestination reports whether Decide wants to know what the destination has.
func (r Rules) dependsOnDestination(src storage.ListedObject) bool {
	return !r.tooOld(src) && (r.Look || r.Overwrite != oms.FullOverwrite || !r.OwnSince.IsZero())
}

// tooOld reports whether the task leaves the object where it is because of its age.
func (r Rules) tooOld(src storage.ListedObject) bool {
	return !r.MigrateSince.IsZero() && !src.ModTime.After(r.MigrateSince)
}

// Decide says what to do with src, given what the destination has under its key (nil: nothing). It is pure.
// Instants are compared at whole seconds, the coarser resolution of the two sides (rule C7).
func Decide(src storage.ListedObject, dst *storage.ListedObject, r Rules) Action {
	if r.tooOld(src) {
		return Skip
	}
	if dst == nil {
		return Copy
	}
	newer := clampSeconds(src.ModTime) > clampSeconds(dst.ModTime)
	same := src.Size == dst.Size && !newer
	if same && !r.OwnSince.IsZero() && clampSeconds(dst.ModTime) >= clampSeconds(r.OwnSince) {
		return Own
	}
	switch r.Overwrite {
	case oms.NoOverwrite:
		return Skip
	case oms.FullOverwrite:
		return Copy
	case oms.OverwriteIfCRC64:
		return CompareCRC64
	case oms.OverwriteIfDifferent:
	}
	switch {
	case !same:
		return Copy
	case r.doubts(src, *dst):
		return Own // to be proved
	}
	return Skip
}

// doubts reports whether two objects of equal size, of which src is not newer, may differ all the same.
func (r Rules) doubts(src, dst storage.ListedObject) bool {
	later := clampSeconds(dst.ModTime) - clampSeconds(src.ModTime)
	return r.Doubt > 0 && later <= int64(r.Doubt/time.Second) && !sameContent(src, dst)
}

// DecideCRC64 decides for CRC64_COMPARISON_OVERWRITE when both objects are known in full: equal CRC64 values skip,
// different ones copy, and where a side has none, size and last-modified decide (OMS v2, 6.4).
func DecideCRC64(src, dst storage.Object) Action {
	const kind = storage.SumCRC64ECMA
	if src.Sums.Has&dst.Sums.Has&kind != 0 {
		if src.Sums.CRC64ECMA == dst.Sums.CRC64ECMA && src.Size == dst.Size {
			return Skip
		}
		return Copy
	}
	return Decide(src.ListedObject, &dst.ListedObject, Rules{Overwrite: oms.OverwriteIfDifferent})
}

// errCRC64 says that the stores of both sides tell different checksums of what should be one object.
var errCRC64 = corrupt("the CRC64 that the destination reports is not the one that the source reports")

// checkCRC64 compares, for tasks that ask for it, the CRC64 that both stores report of an object that was copied; where
// one reports none the copy is proved as in any task (OMS v2, 6.5).
func (j *Job) checkCRC64(src, dst storage.Sums) error {
	const kind = storage.SumCRC64ECMA
	if j.plan.Spec.Consistency == oms.CheckCRC64 && src.Has&dst.Has&kind != 0 && src.CRC64ECMA != dst.CRC64ECMA {
		return errCRC64
	}
	return nil
}

// clampSeconds returns Unix seconds; absurd years (stores do send year 1 or 9999) are clamped to 1970 and 2200.
func clampSeconds(t time.Time) int64 {
	const year2200 = 7_258_118_400
	return min(max(t.Unix(), 0), year2200)
}
