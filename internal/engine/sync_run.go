package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// Times of synchronization tasks.
const (
	syncPauseMax   = time.Minute          // between attempts at a task whose stores are in trouble
	syncFinal      = 3 * time.Second      // what a run may take to store its last results, and the same for its lists
	syncPurgeEvery = time.Hour            // how often old statistics are forgotten
	keepMinutes    = 35 * 24 * time.Hour  // statistics in periods of five minutes
	keepHours      = 400 * 24 * time.Hour // statistics in periods of an hour
)

// syncer runs the synchronization tasks of this process. Each has one run, which applies its events until it is
// stopped.
type syncer struct {
	e     *Engine
	wakes chan struct{}

	counters syncCounters

	mu    sync.Mutex
	runs  map[int64]*syncRun // by number
	group sync.WaitGroup
}

// syncRun is one synchronization task being worked on in this process.
type syncRun struct {
	task   oms.SyncTask // as it was when the run began
	cancel context.CancelCauseFunc
	events chan struct{} // signalled when events arrive

	inFlight atomic.Int64 // names taken up and not settled
}

func newSyncer(e *Engine) *syncer {
	return &syncer{e: e, wakes: make(chan struct{}, 1), runs: make(map[int64]*syncRun)}
}

// wake makes the syncer look at the store at once.
func (s *syncer) wake() { signal(s.wakes) }

// running returns the run of the task in this process, or nil.
func (s *syncer) running(number int64) *syncRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[number]
}

// arrived tells the run of the task, if it is here, that there are events.
func (s *syncer) arrived(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.task.ID == id {
			signal(r.events)
		}
	}
}

// run starts and ends runs until ctx ends, then waits for them: at most the times of winding down.
func (s *syncer) run(ctx context.Context) {
	ticker := time.NewTicker(passEvery)
	defer ticker.Stop()
	var purged time.Time
	for ctx.Err() == nil {
		s.pass(ctx)
		if time.Since(purged) > syncPurgeEvery {
			purged = time.Now()
			s.purge(ctx)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-s.wakes:
		}
	}
	s.group.Wait()
}

// pass is one look at the store.
func (s *syncer) pass(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	tasks, err := s.e.store.RunningSyncs(call)
	if err != nil {
		if ctx.Err() == nil {
			s.e.trouble.report(ctx, "look for synchronization tasks", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	generation, waiting := make(map[int64]int64, len(tasks)), int64(0)
	for _, t := range tasks {
		waiting += t.Pending
		generation[t.Number] = t.Generation
		if s.runs[t.Number] == nil {
			s.launch(ctx, t)
		}
	}
	for number, r := range s.runs { // only pass adds runs, so none is younger than the list
		if generation[number] != r.task.Generation {
			r.cancel(errPaused)
		}
	}
	s.counters.waiting.Store(waiting)
}

// purge forgets old statistics.
func (s *syncer) purge(ctx context.Context) {
	now := s.e.clock()
	err := s.e.store.PurgeSyncStatistics(ctx, now.Add(-keepMinutes), now.Add(-keepHours))
	if err != nil && ctx.Err() == nil {
		s.e.trouble.report(ctx, "forget old statistics", err)
	}
}

// launch runs a task in a goroutine of its own. The caller holds mu.
func (s *syncer) launch(ctx context.Context, t oms.SyncTask) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &syncRun{task: t, cancel: cancel, events: make(chan struct{}, 1)}
	s.runs[t.Number] = r
	s.group.Go(func() {
		defer s.wake() // the task may have been started again meanwhile
		defer func() {
			cancel(nil)
			s.mu.Lock()
			delete(s.runs, t.Number)
			s.mu.Unlock()
		}()
		s.work(ctx, r)
	})
}

// work applies events until the run is stopped or the task cannot go on without new keys.
func (s *syncer) work(ctx context.Context, r *syncRun) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := s.attempt(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if reason := syncReason(err); reason != nil {
			s.giveUp(ctx, r, *reason, err)
			return
		}
		if !errors.Is(err, errElsewhere) {
			s.e.log.WarnContext(ctx, "synchronization is interrupted, trying again", "sync_task_id", r.task.ID, "err", err)
		}
		if time.Since(began) > syncPauseMax {
			pause = firstPause
		}
		if rest(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, syncPauseMax)
		if errors.Is(err, errElsewhere) {
			pause = min(pause, passEvery)
		}
	}
}

// syncReason returns why a task cannot go on until somebody starts it with other keys; nil when trying again may
// help.
func syncReason(err error) *oms.ErrorReason {
	var reason oms.ErrorReason
	if gone, ok := errors.AsType[*keysGone](err); ok {
		reason = gone.reason()
		return &reason
	}
	stopped, ok := errors.AsType[*transfer.Stopped](err)
	if !ok {
		return nil
	}
	if kind := oms.KindOf(stopped.Err); kind != oms.Denied && kind != oms.NoBucket {
		return nil
	}
	reason = oms.ReasonOf(stopped.Side, stopped.Err)
	return &reason
}

// giveUp stops a task that cannot go on. Its events are kept, its keys are destroyed.
func (s *syncer) giveUp(ctx context.Context, r *syncRun, reason oms.ErrorReason, cause error) {
	err := s.e.persist(ctx, "stop synchronization task", func(ctx context.Context) error {
		_, err := s.e.store.ChangeSync(ctx, "", r.task.ID, func(cur oms.SyncTask) (oms.SyncChange, error) {
			if cur.Generation != r.task.Generation {
				return oms.SyncChange{}, superseded(r.task.Number)
			}
			next, err := cur.ApplySync(oms.Event{Type: oms.EventFailed, Reason: &reason}, s.e.clock())
			return oms.SyncChange{Task: next, Wipe: true}, err
		})
		return err
	})
	if err == nil {
		s.e.log.WarnContext(ctx, "synchronization task is stopped, it cannot go on", "sync_task_id", r.task.ID, "code", reason.Code, "err", cause)
	}
}

// attempt applies events until ctx ends, the lease is lost or a store is in trouble that an object cannot be blamed
// for. errElsewhere says that another process does it.
func (s *syncer) attempt(ctx context.Context, r *syncRun) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: string(debug.Stack())}
			s.e.log.ErrorContext(ctx, "panic in synchronization", "sync_task_id", r.task.ID, "err", err, "stack", string(debug.Stack()))
		}
	}()
	lease, err := s.claim(ctx, r.task)
	if err != nil {
		return err
	}
	defer s.release(ctx, lease)
	b, err := s.openBuckets(ctx, r.task)
	if err != nil {
		return err
	}
	abilities, err := transfer.Probe(ctx, b.dst, "oms/probe/"+r.task.ID)
	if err != nil {
		return err
	}
	q := newSyncQueue(s.e, r, lease)
	waiting, err := s.uploads(ctx, r.task, q, b)
	if err != nil {
		return err
	}
	return s.apply(ctx, r, q, b, abilities, waiting)
}

// claim leases the task's events.
func (s *syncer) claim(ctx context.Context, t oms.SyncTask) (lease oms.SyncLease, err error) {
	held := false
	err = s.e.persist(ctx, "claim synchronization task", func(ctx context.Context) error {
		lease, held, err = s.e.store.ClaimSync(ctx, s.e.opts.Owner, t.Number, t.Generation)
		return err
	})
	if err == nil && !held {
		err = errElsewhere
	}
	return lease, err
}

// release gives the lease back, also when ctx has ended.
func (s *syncer) release(ctx context.Context, lease oms.SyncLease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalPatience)
	defer cancel()
	if err := s.e.store.ReleaseSync(ctx, lease); err != nil { // it ends with this worker
		s.e.trouble.report(ctx, "release synchronization task", err)
	}
}

// openBuckets opens both ends with the stored credentials.
func (s *syncer) openBuckets(ctx context.Context, t oms.SyncTask) (buckets, error) {
	var sealed map[string][]byte
	err := s.e.persist(ctx, "read credentials", func(ctx context.Context) (err error) {
		sealed, err = s.e.store.SyncCredentials(ctx, t.Number)
		return err
	})
	if err != nil && !errors.Is(err, oms.NotFound) {
		return buckets{}, err
	}
	keys, err := unseal(s.e.opts.Sealer, t.ProjectID, t.Number, sealed)
	if err != nil {
		return buckets{}, err
	}
	src, err := s.e.openSource(ctx, t.Spec, keys.Src)
	if err != nil {
		return buckets{}, &transfer.Stopped{Side: oms.Source, Err: err}
	}
	dst, err := s.e.openDestination(ctx, t.Spec, keys.Dst)
	if err != nil {
		return buckets{}, &transfer.Stopped{Side: oms.Destination, Err: err}
	}
	return buckets{src: src, dst: dst}, nil
}

// uploads returns the uploads that earlier attempts left open and a later one may complete. Those of names that do not
// wait any more, since they failed for good, are aborted (rule C2).
func (s *syncer) uploads(ctx context.Context, t oms.SyncTask, q *syncQueue, b buckets) ([]oms.Upload, error) {
	var waiting, orphans []oms.Upload
	err := s.e.persist(ctx, "read uploads", func(ctx context.Context) (err error) {
		waiting, orphans, err = s.e.store.SyncUploads(ctx, t.Number)
		return err
	})
	if err != nil || len(orphans) == 0 {
		return waiting, err
	}
	call, cancel := context.WithTimeout(ctx, abortPatience)
	closed, abortErr := transfer.AbortUploads(call, b.dst, t.Spec, orphans)
	cancel()
	if abortErr != nil {
		s.e.log.InfoContext(ctx, "aborting uploads", "sync_task_id", t.ID, "err", abortErr)
	}
	for _, ref := range closed {
		if err := q.CloseUpload(ctx, ref); err != nil {
			return nil, err
		}
	}
	return waiting, q.store(ctx)
}

// apply runs a job over the events, stores what comes of them and writes the object lists.
func (s *syncer) apply(ctx context.Context, r *syncRun, q *syncQueue, b buckets, abilities transfer.Abilities, uploads []oms.Upload) error {
	jobCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lists := &syncLists{e: s.e, task: r.task, dst: b.dst, abilities: abilities}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var helpers sync.WaitGroup
	helpers.Go(func() { q.run(life, cancel) })
	helpers.Go(func() { lists.run(jobCtx) })
	plan := transfer.Plan{
		TaskID: r.task.Number, Generation: r.task.Generation, Owner: q.lease.Owner, Spec: r.task.Spec,
		Src: b.src, Dst: b.dst, Abilities: abilities,
	}
	job := transfer.NewNamed(plan, q, q, s.e.opts.Resources, s.e.opts.Transfer)
	err := s.runJob(jobCtx, r, job, transfer.EventRange(plan), uploads)
	cancel(err)
	stop := time.AfterFunc(syncFinal, end) // the state store may be away
	q.close()
	helpers.Wait()
	stop.Stop()
	if q.requeueLost(ctx) {
		return errElsewhere
	}
	if errors.Is(context.Cause(ctx), errPaused) || err != nil && ctx.Err() == nil {
		last, done := context.WithTimeout(context.WithoutCancel(ctx), syncFinal)
		defer done()
		if _, err := s.uploads(last, r.task, q, b); err != nil {
			s.e.log.InfoContext(ctx, "uploads may stay open at the destination", "sync_task_id", r.task.ID, "err", err)
		}
		lists.write(last)
	}
	return err
}

// runJob runs the job, which winds down within two seconds when ctx ends. One that does not is given up.
func (s *syncer) runJob(ctx context.Context, r *syncRun, job *transfer.Job, space oms.Range, uploads []oms.Upload) error {
	back := make(chan error, 1)
	s.e.strays.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				back <- &panicked{value: v, stack: string(debug.Stack())}
			}
		}()
		back <- job.Run(ctx, []oms.Range{space}, uploads)
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
		s.e.log.WarnContext(ctx, "a job does not wind down and is given up", "sync_task_id", r.task.ID)
		return fmt.Errorf("synchronize: %w", context.Cause(ctx))
	}
}
