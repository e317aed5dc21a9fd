package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// claimLimit bounds the ranges of one claim; a task has a few thousand at most.
const claimLimit = 100_000

// maxFutile is how many jobs of a run may end without having moved any range.
const maxFutile = 3

// run is one task being worked on in this process.
type run struct {
	id         int64
	group      string // "" for a task of its own
	generation int64
	ctx        context.Context //nolint:containedctx // of the run, for what is done for others beside it
	cancel     context.CancelCauseFunc
	done       chan struct{} // closed when nothing of the run is left
	journal    *journal

	mu                sync.Mutex
	status            oms.Status
	failuresOnly      bool
	windows           []oms.BandwidthWindow
	limit             int64 // in force for job
	job               mover // nil before the first and after the last
	base              oms.Counters
	moved             int64 // by earlier jobs of the run
	found, foundBytes int64
	partial, shown    int64 // bytes held in parts, and the most bytes shown as done
	queryOver         bool  // nothing is left to list
	endedAt           time.Time
	samples           []sample
	shared            bool      // others may work on the task
	grant             int64     // this process's share of the limit
	grantEnd          time.Time // when it expires
	giving            bool      // ranges are being given away
}

// launch runs a task in a goroutine of its own.
func (e *Engine) launch(life context.Context, t oms.Task) {
	ctx, cancel := context.WithCancelCause(life)
	r := newRun(t, cancel)
	r.journal = newJournal(e, t, cancel)
	r.shared, r.ctx = e.opts.Cluster, ctx
	r.journal.run, r.journal.failuresOnly = r, t.FailedOnly
	e.enter(r)
	go func() {
		defer e.forget(r)
		e.conclude(life, r, t, e.attempt(ctx, r, t))
	}()
}

// newRun returns the run of a task as it is stored.
func newRun(t oms.Task, cancel context.CancelCauseFunc) *run {
	return &run{
		id: t.ID, group: t.GroupID, generation: t.Generation, cancel: cancel, done: make(chan struct{}),
		status: t.Status, windows: t.Spec.Bandwidth, failuresOnly: t.FailedOnly,
		found: t.Found, foundBytes: t.FoundBytes, shown: doneBytes(t.Counters) + t.PartialBytes,
	}
}

// enter makes the run the one of its task in this process.
func (e *Engine) enter(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[r.id] = r
}

// leave is the inverse of enter.
func (e *Engine) leave(r *run) {
	r.cancel(nil)
	e.mu.Lock()
	delete(e.runs, r.id)
	e.mu.Unlock()
	close(r.done)
	if r.group != "" {
		e.wakeGroups() // it may have been the last one
	}
}

// forget ends the time of a run in this process.
func (e *Engine) forget(r *run) {
	e.leave(r)
	e.wake()
}

// stop cancels the run; the first cause wins.
func (r *run) stop(cause error) {
	if errors.Is(cause, errPaused) {
		r.mu.Lock()
		r.status = oms.StatusPausing
		r.mu.Unlock()
	}
	r.cancel(cause)
}

// ending is how a run has ended when it reached its end.
type ending struct {
	reason *oms.ErrorReason // nil: succeeded
	list   oms.FailedList
}

// result is the outcome of a run: an ending, or the error that cut it short.
type result struct {
	ending ending
	err    error
	at     time.Time // when the running time ended
}

// attempt works on the task until it has reached its end or cannot go on. A panic is an internal error; when the
// run was cancelled its cause is all that counts.
func (e *Engine) attempt(ctx context.Context, r *run, t oms.Task) (res result) {
	defer func() {
		if v := recover(); v != nil {
			res = result{err: &panicked{value: v, stack: string(debug.Stack())}}
		}
		if ctx.Err() != nil {
			res = result{err: context.Cause(ctx)}
		}
	}()
	leads, err := e.takeLead(ctx, t)
	if err != nil {
		return result{err: err}
	}
	if !leads && !t.Planned {
		return result{err: errElsewhere}
	}
	b, err := e.openBuckets(ctx, t)
	if err != nil {
		return result{err: err}
	}
	if err := e.checkNames(ctx, t, b); err != nil {
		return result{err: err}
	}
	abilities, err := e.probe(ctx, t, b.dst)
	if err != nil {
		return result{err: err}
	}
	if t, err = e.plan(ctx, t, b, abilities); err != nil {
		return result{err: err}
	}
	lists := e.keepLists(ctx, t, b.dst, abilities)
	defer lists.close()
	if err := e.work(ctx, r, t, b, abilities); err != nil {
		return result{err: err}
	}
	if leads, err = e.takeLead(ctx, t); err == nil && !leads {
		err = errElsewhere
	}
	if err != nil {
		return result{err: err}
	}
	if err := lists.finish(ctx); err != nil {
		return result{err: err}
	}
	end, err := e.close(ctx, t, b, abilities)
	return result{ending: end, err: err}
}

// probe asks the destination what its answers prove. A destination that is away is waited for, as a job would.
func (e *Engine) probe(ctx context.Context, t oms.Task, dst destination) (transfer.Abilities, error) {
	if t.Spec.ReadOnly() {
		return transfer.Abilities{}, nil // nothing is going to be proved, and nothing may be written
	}
	began := time.Now()
	for {
		abilities, err := transfer.Probe(ctx, dst, "oms/probe/"+t.Name)
		if err == nil {
			err = transfer.ProbeAttrs(ctx, dst, "oms/probe/"+t.Name, e.attrsOf(t.Spec))
		}
		if err == nil || !oms.KindOf(err).Retryable() || time.Since(began) > e.opts.Transfer.Patience {
			return abilities, err
		}
		e.log.WarnContext(ctx, "the destination is away, waiting", "task_id", t.ID, "err", err)
		if err := rest(ctx, longestPause); err != nil {
			return abilities, err
		}
	}
}

// panicked is the error of a task whose run or job panicked.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string { return oms.Clean(fmt.Sprint("panic: ", p.value)) }

// openBuckets opens both ends with the stored credentials.
func (e *Engine) openBuckets(ctx context.Context, t oms.Task) (buckets, error) {
	var sealed map[string][]byte
	err := e.persist(ctx, "read credentials", func(ctx context.Context) (err error) {
		sealed, err = e.store.Credentials(ctx, t.ID)
		return err
	})
	if err != nil && !errors.Is(err, oms.NotFound) {
		return buckets{}, err
	}
	keys, err := unseal(e.opts.Sealer, t.ProjectID, t.ID, sealed)
	if err != nil {
		return buckets{}, err
	}
	src, err := e.openSource(ctx, t.Spec, keys.Src)
	if err != nil {
		return buckets{}, &transfer.Stopped{Side: oms.Source, Err: err}
	}
	dst, err := e.openDestination(ctx, t.Spec, keys.Dst)
	if err != nil {
		return buckets{}, &transfer.Stopped{Side: oms.Destination, Err: err}
	}
	lists, err := e.openLists(ctx, t.Spec, keys.Dst)
	if err != nil {
		return buckets{}, &transfer.Stopped{Side: oms.Destination, Err: err}
	}
	return buckets{src: src, dst: dst, lists: lists}, nil
}

// plan stores the ranges of the run, once. The destination's clock at that moment is the epoch of a fresh space.
func (e *Engine) plan(ctx context.Context, t oms.Task, b buckets, abilities transfer.Abilities) (oms.Task, error) {
	if t.Planned {
		return t, nil
	}
	existing, err := e.ranges(ctx, t.ID)
	if err != nil {
		return t, err
	}
	var lists []oms.ListSource
	if t.Spec.Type.Lists() && len(existing) == 0 {
		if lists, err = e.surveyLists(ctx, t, b); err != nil {
			return t, err
		}
	}
	added := planRanges(t, existing, lists)
	if len(existing)+len(added) == 0 {
		return t, oms.Errorf(oms.Unsupported, "", "tasks of type %q cannot be planned", string(t.Spec.Type))
	}
	var planned oms.Task
	err = e.persist(ctx, "plan", func(ctx context.Context) (err error) {
		planned, err = e.store.ChangeTask(ctx, "", t.ID, func(cur oms.Task) (oms.TaskChange, error) {
			if cur.Generation != t.Generation || !cur.Status.Active() {
				return oms.TaskChange{}, superseded(t.ID)
			}
			if cur.Planned {
				return oms.TaskChange{Task: cur}, nil
			}
			if len(existing) == 0 {
				cur.Epoch = abilities.Now.UTC().Truncate(time.Second)
				cur.Found = max(cur.Found, listedLines(lists)) // the split of a group has counted already
			}
			cur.Planned = true
			return oms.TaskChange{Task: cur, Ranges: added}, nil
		})
		return err
	})
	if err != nil {
		return t, err
	}
	e.log.InfoContext(ctx, "task planned", "task_id", t.ID, "ranges", len(added), "kept", len(existing))
	return planned, nil
}

// superseded says that a task has gone on without this run.
func superseded(id int64) error {
	return oms.Errorf(oms.Conflict, "", "task %d has gone on without this run", id)
}

// ranges returns the ranges of a task, however long the store takes.
func (e *Engine) ranges(ctx context.Context, id int64) (rs []oms.Range, err error) {
	err = e.persist(ctx, "read ranges", func(ctx context.Context) (err error) {
		rs, err = e.store.Ranges(ctx, id)
		return err
	})
	return rs, err
}

// work lets jobs move the ranges of the task until all are done. errElsewhere says that others hold the rest.
func (e *Engine) work(ctx context.Context, r *run, t oms.Task, b buckets, abilities transfer.Abilities) error {
	var before map[int64]string
	idle := idlePasses
	for futile := 0; ; {
		rs, err := e.claim(ctx, t)
		if err != nil {
			return err
		}
		left, mine := positions(rs), jobRanges(rs, e.opts.Owner, t.Generation)
		switch {
		case len(left) == 0:
			return nil
		case mine == nil || e.mustWait(ctx, t, rs):
			if idle--; idle < 0 {
				return errElsewhere
			}
			if err := e.await(ctx, t, rs); err != nil {
				return err
			}
			continue
		case !maps.Equal(before, left):
			futile = 0
		default:
			if futile++; futile == maxFutile {
				return oms.Errorf(oms.Other, "", "%d ranges do not move", len(left))
			}
		}
		before, idle = left, idlePasses
		err = e.moveRanges(ctx, r, t, b, abilities, mine)
		if disorder, ok := errors.AsType[*transfer.Disorder](err); ok {
			before, err = nil, e.goOnUnordered(ctx, t, disorder)
		}
		if errors.Is(err, errHeld) {
			before = nil // that job had no chance to move anything
		} else if err != nil {
			return err
		}
	}
}

// claim leases all free ranges of the task and returns all of them, whoever holds them.
func (e *Engine) claim(ctx context.Context, t oms.Task) ([]oms.Range, error) {
	err := e.persist(ctx, "claim ranges", func(ctx context.Context) error {
		// What this process holds without a job is left from a claim whose answer was lost, or from its last job.
		if err := e.store.ReleaseRanges(ctx, e.opts.Owner, t.ID); err != nil {
			return err
		}
		_, err := e.store.ClaimRanges(ctx, e.opts.Owner, t.ID, claimLimit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e.ranges(ctx, t.ID)
}

// positions returns where the ranges stand that are not done.
func positions(rs []oms.Range) map[int64]string {
	left := make(map[int64]string)
	for _, r := range rs {
		if !r.Done {
			left[r.Seq] = r.Cur
		}
	}
	return left
}

// jobRanges returns the ranges as a job of owner gets them: what it does not hold is done as far as it is concerned,
// and only keeps it from giving a Seq twice. It returns nil when owner holds none.
func jobRanges(rs []oms.Range, owner string, generation int64) []oms.Range {
	held := false
	for i := range rs {
		r := &rs[i]
		r.Done = r.Done || r.Owner != owner
		r.Generation = generation
		held = held || !r.Done
	}
	if !held {
		return nil
	}
	return rs
}

// moveRanges runs one job over the ranges and stores all that it did; some may be left, if their lease was lost. errHeld says that the job ended only because
// the store was away; by now it is back.
func (e *Engine) moveRanges(ctx context.Context, r *run, t oms.Task, b buckets, abilities transfer.Abilities, rs []oms.Range) error {
	var uploads []oms.Upload
	var now oms.Task
	err := e.persist(ctx, "read progress", func(ctx context.Context) (err error) {
		if uploads, err = e.store.Uploads(ctx, t.ID); err != nil {
			return err
		}
		now, err = e.store.Task(ctx, "", t.ID)
		return err
	})
	if err != nil {
		return err
	}
	numbers, err := e.numbers(ctx, t)
	if err != nil {
		return err
	}
	job := e.newJob(transfer.Plan{
		Numbers: numbers,
		TaskID:  t.ID, Generation: t.Generation, Owner: e.opts.Owner, Spec: now.Spec, Classes: e.opts.Classes,
		Src: b.src, Dst: b.dst, Lists: b.lists, Abilities: abilities, Epoch: t.Epoch, Known: e.keyBounds(ctx, t),
		Zone: e.opts.Zone, Own: ownFoldersIn(t.Spec),
	}, r.journal)
	r.journal.lease(rs)
	r.journal.show(job)
	r.attach(job, now)
	r.applyLimit(e.clock().In(e.opts.Zone))
	defer r.detach()
	err = e.runJob(ctx, r, job, rs, uploads)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		e.keepKeyBounds(ctx, t, job)
	}
	held := r.journal.wasHeld() || errors.Is(err, transfer.ErrWaiting)
	if err != nil && !held && !leaseLost(err) {
		return err
	}
	if err := e.commits.flush(ctx); err != nil || !held {
		return err
	}
	return errHeld
}

// leaseLost reports whether a job ended because ranges were taken from it; others may have been left undone.
func leaseLost(err error) bool {
	_, stopped := errors.AsType[*transfer.Stopped](err)
	return !stopped && errors.Is(err, oms.Conflict)
}

// runJob runs the job, which winds down within two seconds when ctx ends. One that does not is given up: what it
// still reports is refused.
func (e *Engine) runJob(ctx context.Context, r *run, job mover, rs []oms.Range, uploads []oms.Upload) error {
	back := make(chan error, 1)
	e.strays.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				back <- &panicked{value: v, stack: string(debug.Stack())}
			}
		}()
		back <- job.Run(ctx, rs, uploads)
	})
	select {
	case err := <-back:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(jobWindDown)
	defer timer.Stop()
	select {
	case err := <-back:
		return err
	case <-timer.C:
		r.journal.finish()
		e.log.WarnContext(ctx, "a job does not wind down and is given up", "task_id", r.id)
		return context.Cause(ctx)
	}
}

// attach makes job the one that the run shows. t is the task as it is stored when the job begins.
func (r *run) attach(job mover, t oms.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.job, r.base, r.limit = job, t.Counters, 0
	r.windows = t.Spec.Bandwidth
}

// detach keeps what the job has shown.
func (r *run) detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe()
	r.moved += r.job.Stats().Moved
	r.job, r.samples = nil, nil
}

// conclude stores how the run ended: what it finished, then the state. The keys are destroyed in the same
// transaction. A task whose process stops stays as it is and goes on at the next start.
func (e *Engine) conclude(life context.Context, r *run, t oms.Task, res result) {
	if err := e.commits.flush(life); err != nil {
		return // the process ends; whoever takes the task up does again what was not stored
	}
	r.journal.finish()
	err := e.persist(life, "release ranges", func(ctx context.Context) error {
		return e.leaveTask(ctx, t.ID)
	})
	if err != nil || errors.Is(res.err, errElsewhere) || errors.Is(res.err, errPaused) && e.heldElsewhere(life, t.ID) {
		return // the last one that leaves a task that pauses says so
	}
	if errors.Is(res.err, errStopping) {
		err = e.persist(life, "keep progress", func(ctx context.Context) error { return e.suspend(ctx, r) })
	} else {
		res.at = r.end(e.clock)
		ev := e.event(life, t, res)
		err = e.persist(life, "end run", func(ctx context.Context) error { return e.finish(ctx, r, ev, res) })
	}
	if err != nil && life.Err() == nil {
		e.log.WarnContext(life, "the end of a run was not stored", "task_id", t.ID, "err", err)
	}
}

// event returns what the outcome of a run is for its task.
func (e *Engine) event(ctx context.Context, t oms.Task, res result) oms.Event {
	if res.err == nil {
		if res.ending.reason == nil {
			return oms.Event{Type: oms.EventSucceeded}
		}
		return oms.Event{Type: oms.EventFailed, Reason: res.ending.reason}
	}
	if errors.Is(res.err, errPaused) {
		return oms.Event{Type: oms.EventPaused}
	}
	var reason oms.ErrorReason
	if gone, ok := errors.AsType[*keysGone](res.err); ok {
		reason = gone.reason()
		e.log.WarnContext(ctx, "task has no usable keys", "task_id", t.ID, "err", res.err)
	} else if unnamed, ok := errors.AsType[*unnameable](res.err); ok {
		reason = unnamed.reason()
		e.log.InfoContext(ctx, "task refused for its names", "task_id", t.ID, "conflicts", len(unnamed.conflicts))
	} else if stopped, ok := errors.AsType[*transfer.Stopped](res.err); ok {
		reason = oms.ReasonOf(stopped.Side, stopped.Err)
		e.log.WarnContext(ctx, "task cannot go on", "task_id", t.ID, "err", res.err)
	} else {
		reason = oms.ReasonOf(oms.Source, nil)
		stack := ""
		if p, ok := errors.AsType[*panicked](res.err); ok {
			stack = p.stack
		}
		e.log.ErrorContext(ctx, "task failed for an internal reason", "task_id", t.ID, "err", res.err, "stack", stack)
	}
	return oms.Event{Type: oms.EventFailed, Reason: &reason}
}

// suspend stores what the run had shown, for the next process.
func (e *Engine) suspend(ctx context.Context, r *run) error {
	_, err := e.store.ChangeTask(ctx, "", r.id, func(cur oms.Task) (oms.TaskChange, error) {
		if cur.Generation != r.generation || !cur.Status.Active() {
			return oms.TaskChange{}, superseded(r.id)
		}
		r.keep(&cur)
		return oms.TaskChange{Task: cur}, nil
	})
	return err
}

// finish moves the task to the state that ev leads to. A pause that was asked for meanwhile wins over every other
// end: the client that asked sees pausing, then paused; the next start finds what is left to do, perhaps nothing.
func (e *Engine) finish(ctx context.Context, r *run, ev oms.Event, res result) error {
	ended, err := e.store.ChangeTask(ctx, "", r.id, func(cur oms.Task) (oms.TaskChange, error) {
		if cur.Generation != r.generation {
			return oms.TaskChange{}, superseded(r.id)
		}
		r.keep(&cur)
		if e.opts.Cluster { // others show that it runs until now
			res.at = e.clock()
		}
		if cur.Status == oms.StatusPausing {
			next, err := cur.Apply(oms.Event{Type: oms.EventPaused}, res.at)
			return oms.TaskChange{Task: next, Wipe: true}, err
		}
		next, err := cur.Apply(ev, res.at)
		if err != nil {
			return oms.TaskChange{}, err
		}
		if res.err == nil { // the books balance: what was found is what the ranges have passed
			next.Found, next.FoundBytes, next.PartialBytes = next.Counters.Listed, next.Counters.ListedBytes, 0
			next.QueryOver, next.FailedList = true, res.ending.list
		}
		return oms.TaskChange{Task: next, Wipe: true, Conflicts: conflictsOf(res.err)}, nil
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "run ended", "task_id", r.id, "status", ended.Status.String(),
		"listed", ended.Counters.Listed, "migrated", ended.Counters.Migrated, "failed", ended.Counters.Failed, "skipped", ended.Counters.Skipped)
	return nil
}
