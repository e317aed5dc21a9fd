package engine

import (
	"sync/atomic"

	"github.com/openoms/openoms/internal/oms"
)

// SyncStats are figures of the synchronization tasks in this process, for metrics.
type SyncStats struct {
	Running  int   // tasks whose events this process applies
	InFlight int   // names being applied
	Waiting  int64 // names of all tasks that synchronize which are accepted and not applied, as of the last second

	// Since the process began.
	Accepted int64 // names that were accepted here
	Refused  int64 // names that were refused here because too many waited (OMS.2004)
	Migrated int64 // objects applied here and stored as such
	Skipped  int64
	Failed   int64
	Retried  int64 // failures that another attempt follows
	Bytes    int64 // of migrated objects
}

// syncCounters are the parts of SyncStats that are counted as things happen.
type syncCounters struct {
	waiting, accepted, refused, migrated, skipped, failed, retried, bytes atomic.Int64
}

// applied counts what a commit has stored.
func (c *syncCounters) applied(commit *oms.SyncCommit) {
	c.migrated.Add(commit.Counts.Successes)
	c.skipped.Add(commit.Counts.Skips)
	c.failed.Add(commit.Counts.Failures)
	c.bytes.Add(commit.Counts.Bytes)
	for i := range commit.Outcomes {
		if !commit.Outcomes[i].RetryAt.IsZero() {
			c.retried.Add(1)
		}
	}
}

// SyncStats returns the figures of this process.
func (e *Engine) SyncStats() SyncStats {
	c := &e.syncs.counters
	s := SyncStats{
		Waiting: c.waiting.Load(), Accepted: c.accepted.Load(), Refused: c.refused.Load(), Migrated: c.migrated.Load(),
		Skipped: c.skipped.Load(), Failed: c.failed.Load(), Retried: c.retried.Load(), Bytes: c.bytes.Load(),
	}
	e.syncs.mu.Lock()
	defer e.syncs.mu.Unlock()
	for _, r := range e.syncs.runs {
		s.Running++
		s.InFlight += int(r.inFlight.Load())
	}
	return s
}
