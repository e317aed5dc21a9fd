package oms

import (
	"slices"
	"time"
)

// RangeRestores is over the task's archived objects that were put aside, see Restore. They have no order in which they
// end: its position is a number that each of its checkpoints raises.
const RangeRestores RangeKind = "restores"

// FailRestore is the code of objects that could not be restored.
const FailRestore = "RESTORE_SRC_OBJ_FAILURE"

// MaxRestores is how many objects of a task wait to be restored before its listing waits for them.
const MaxRestores = 100_000

// Restore is an archived object that was put aside until it can be read. Unique per task and key. The range that met it
// counts it as listed and nothing else; what becomes of it counts in the range over restores.
type Restore struct {
	Key       string // as Failure.Key
	Size      int64  // bytes, as it was counted
	Requests  int64  // how often the store was asked to restore it
	AskedAt   time.Time
	NotBefore time.Time // when it is looked at next
}

// RestoreChanges are what a checkpoint changes about the objects that wait.
type RestoreChanges struct {
	Aside []Restore // put aside
	Waits []Restore // go on waiting, in this way; nothing when they were not put aside or have ended
	Ended []Restore // wait no longer: by now they are migrated, failed or skipped
}

// Empty reports whether nothing is changed.
func (c RestoreChanges) Empty() bool { return len(c.Aside)+len(c.Waits)+len(c.Ended) == 0 }

// Add returns both, d after c.
func (c RestoreChanges) Add(d RestoreChanges) RestoreChanges {
	if d.Empty() {
		return c
	}
	return RestoreChanges{
		Aside: append(slices.Clip(c.Aside), d.Aside...),
		Waits: append(slices.Clip(c.Waits), d.Waits...),
		Ended: append(slices.Clip(c.Ended), d.Ended...),
	}
}

// Rows is how many rows change.
func (c RestoreChanges) Rows() int { return len(c.Aside) + len(c.Waits) + len(c.Ended) }

// Restoring returns how many objects and bytes are listed and have no outcome: those that wait to be restored. It is
// negative in the range over restores, and never in a task.
func (c Counters) Restoring() (objects, bytes int64) {
	return c.Listed - c.Migrated - c.Failed - c.Skipped, c.ListedBytes - c.MigratedBytes - c.FailedBytes - c.SkippedBytes
}

// Balanced reports whether all that the checkpoint lists has an outcome or is put aside, and what ends has one.
func (c Checkpoint) Balanced() bool {
	var objects, bytes int64
	for _, r := range c.Restores.Aside {
		objects, bytes = objects+1, bytes+r.Size
	}
	for _, r := range c.Restores.Ended {
		objects, bytes = objects-1, bytes-r.Size
	}
	gotObjects, gotBytes := c.Delta.Restoring()
	return gotObjects == objects && gotBytes == bytes
}

// RestoreWork is what is to be done for the objects of a task that wait.
type RestoreWork struct {
	Due  []Restore // to be looked at, in order of NotBefore and key
	Left int64     // all that wait
	// Next is when the first of those that are not due is; zero when there is none.
	Next time.Time
	// Others says that ranges of the task are unfinished that may put aside more; Elsewhere that some of these are not
	// held by this worker.
	Others, Elsewhere bool
}

// RestoreQuery selects objects that wait.
type RestoreQuery struct {
	Now   time.Time
	After Restore // only those behind its NotBefore and Key
	Asked bool    // only those that the store was asked for
	Limit int
}

// RestoreBudget bounds what is asked for on a day in UTC, in a project; 0 means no bound. One object may be larger than
// the day's bytes when it is the first of its day.
type RestoreBudget struct {
	Requests, Bytes int64
}
