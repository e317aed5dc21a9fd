package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

var _ transfer.RestoreJournal = (*journal)(nil)

// journal is what one run writes its progress to. It queues into the committer, which all runs share.
type journal struct {
	engine       *Engine
	commits      *committer
	task         int64
	project      string
	generation   int64
	codes        []string                // of the failures that the run retries; none means all
	fail         context.CancelCauseFunc // ends the run
	run          *run                    // whose speed is shown; nil for none
	failuresOnly bool                    // the run finds nothing new

	// Guarded by the committer's mutex.
	lost  map[int64]bool   // ranges whose lease is gone
	pos   map[int64]string // position up to which each range is queued
	job   mover            // what is shown of it beyond what is stored; nil for none
	sum   oms.Counters     // stored of the job's ranges
	doubt bool             // a range was lost, so that what is stored no longer tells what is left
	held  bool             // something could not be queued because the store was away
	ended error            // set when nothing more is taken
}

func newJournal(e *Engine, t oms.Task, fail context.CancelCauseFunc) *journal {
	return &journal{
		engine: e, commits: e.commits, task: t.ID, project: t.ProjectID, generation: t.Generation, codes: t.Spec.RetryCodes, fail: fail,
		lost: make(map[int64]bool), pos: make(map[int64]string),
	}
}

// lease tells where the ranges stand that the next job gets.
func (j *journal) lease(rs []oms.Range) {
	j.commits.mu.Lock()
	defer j.commits.mu.Unlock()
	j.held, j.job = false, nil
	j.sum, j.doubt = oms.Counters{}, false
	clear(j.lost)
	clear(j.pos)
	for _, r := range rs {
		j.pos[r.Seq] = r.Cur
	}
}

// Checkpoint implements transfer.Journal.
func (j *journal) Checkpoint(ctx context.Context, cp oms.Checkpoint) error {
	lost := false
	_, err := j.commits.put(ctx, j, func(b *batch) {
		if lost = j.lost[cp.Seq]; lost {
			return
		}
		b.checkpoint(j, j.pos[cp.Seq], cp)
		j.pos[cp.Seq] = cp.Cur
		if cp.Cut != nil {
			j.pos[cp.Cut.Seq] = cp.Cut.At
		}
		if cp.Done {
			delete(j.pos, cp.Seq)
		}
	})
	if lost {
		return oms.Errorf(oms.Conflict, "", "the lease of range %d is lost", cp.Seq)
	}
	return err
}

// OpenUpload implements transfer.Journal.
func (j *journal) OpenUpload(ctx context.Context, u oms.Upload) error {
	settled, err := j.commits.put(ctx, j, func(b *batch) { b.open(j, u) })
	if err != nil {
		return err
	}
	if err := j.commits.await(ctx, settled); err != nil {
		return err
	}
	return j.commits.endOf(j)
}

// PartDone implements transfer.Journal.
func (j *journal) PartDone(ctx context.Context, p oms.PartDone) error {
	_, err := j.commits.put(ctx, j, func(b *batch) { b.part(j, p) })
	return err
}

// CloseUpload implements transfer.Journal.
func (j *journal) CloseUpload(ctx context.Context, ref oms.UploadRef) error {
	_, err := j.commits.put(ctx, j, func(b *batch) { b.close(j, ref) })
	return err
}

// Failures implements transfer.Journal: those of runs before this one that the run is to retry.
func (j *journal) Failures(ctx context.Context, after string, limit int) ([]oms.Failure, error) {
	return j.failures(ctx, oms.FailureFilter{After: after, Codes: j.codes, Before: j.generation, Limit: limit})
}

// RecordedFailures returns failures of this run as well.
func (j *journal) RecordedFailures(ctx context.Context, after string, limit int) ([]oms.Failure, error) {
	return j.failures(ctx, oms.FailureFilter{After: after, Limit: limit})
}

func (j *journal) failures(ctx context.Context, f oms.FailureFilter) ([]oms.Failure, error) {
	var fs []oms.Failure
	err := j.engine.persist(ctx, "read failures", func(ctx context.Context) (err error) {
		fs, err = j.engine.store.FindFailures(ctx, j.task, f)
		return err
	})
	return fs, err
}

// RestoreWork implements transfer.RestoreJournal.
func (j *journal) RestoreWork(ctx context.Context, q oms.RestoreQuery) (w oms.RestoreWork, err error) {
	if err := j.commits.flush(ctx); err != nil {
		return w, err
	}
	err = j.engine.persist(ctx, "read restores", func(ctx context.Context) (err error) {
		w, err = j.engine.store.RestoreWork(ctx, j.engine.opts.Owner, j.task, q)
		return err
	})
	return w, err
}

// SpendRestore implements transfer.RestoreJournal.
func (j *journal) SpendRestore(ctx context.Context, size int64, now time.Time) (room bool, err error) {
	err = j.engine.persist(ctx, "book restore", func(ctx context.Context) (err error) {
		room, err = j.engine.store.SpendRestore(ctx, j.project, size, j.engine.opts.Restores, now)
		return err
	})
	return room, err
}

// finish takes nothing more in; what is queued is still stored.
func (j *journal) finish() {
	j.commits.mu.Lock()
	defer j.commits.mu.Unlock()
	if j.ended == nil {
		j.ended = oms.Errorf(oms.Conflict, "", "the run is over")
	}
}

// wasHeld reports whether the job may have failed only because the store was away.
func (j *journal) wasHeld() bool {
	j.commits.mu.Lock()
	defer j.commits.mu.Unlock()
	return j.held
}

// endOf returns why j takes nothing more, nil while it does.
func (c *committer) endOf(j *journal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return j.ended
}

// end drops what the run of j has queued and fails it with err.
func (c *committer) end(j *journal, err error) {
	c.mu.Lock()
	j.ended = err
	c.filling.drop(j.task)
	c.mu.Unlock()
	j.fail(err)
}
