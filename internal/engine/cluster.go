package engine

import (
	"context"
	"slices"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// ClusterStore is how several processes on one store divide the work.
type ClusterStore interface {
	// TakeLead makes owner the one who plans and ends the run of a task, unless another living worker is.
	TakeLead(ctx context.Context, owner string, id, generation int64) (bool, error)
	// LeaveTask gives back all that owner has of a task.
	LeaveTask(ctx context.Context, owner string, id int64) error
	// TakeDuty makes owner the one who has the duty, unless another living worker has.
	TakeDuty(ctx context.Context, owner, name string) (bool, error)
	// NextBlock returns a number that no other call for the task got.
	NextBlock(ctx context.Context, id int64) (int64, error)

	// AskWork asks the holders of a task's ranges for some. The request is forgotten after some seconds.
	AskWork(ctx context.Context, r oms.WorkRequest) error
	// WorkRequests returns what others ask for.
	WorkRequests(ctx context.Context, owner string) ([]oms.WorkRequest, error)
	// GiveRanges gives back ranges that owner holds under their tokens.
	GiveRanges(ctx context.Context, owner string, rs []oms.Range) error

	// ShareBandwidth returns owner's share of a task's limit, 0 for none yet. It is good for some seconds.
	ShareBandwidth(ctx context.Context, owner string, id, limit, rate int64) (int64, error)
	// RunProgress returns what the runs of a task know beyond what is stored of its ranges.
	RunProgress(ctx context.Context, id, generation int64) (oms.RunProgress, error)
	// KeepProgress keeps what is shown of a task from going back.
	KeepProgress(ctx context.Context, id, generation int64) error
	// Listen tells what others change, until ctx ends.
	Listen(ctx context.Context, changed func(oms.Wake))
}

// How processes share work.
const (
	blockBits  = 32                     // a job may number so many bits of ranges
	awaitWork  = 500 * time.Millisecond // between two looks for ranges of a task that others hold
	idlePasses = 10                     // looks before the run of a task ends here
	mostAsked  = 4                      // tasks that are asked for work at a time
	givePause  = time.Second            // between two answers of a run
	shareEvery = time.Second            // renewal of shares and of what is shown
	grantLife  = 5 * time.Second        // a share that could not be renewed for so long is not used: less than the store's
	leastLimit = 1                      // bytes per second of a run without a share
)

// changed wakes who looks at what has changed in the store.
func (e *Engine) changed(w oms.Wake) {
	switch w.Topic {
	case oms.WakeTasks:
		e.wake()
	case oms.WakeGroups:
		e.wakeGroups()
	case oms.WakeSyncs:
		e.syncs.wake()
	case oms.WakeEvents:
		e.syncs.arrived(w.ID)
	}
}

// hasDuty reports whether this process does what only one of all does.
func (e *Engine) hasDuty(ctx context.Context, name string) bool {
	if !e.opts.Cluster {
		return true
	}
	ok, err := e.store.TakeDuty(ctx, e.opts.Owner, name)
	if err != nil && ctx.Err() == nil {
		e.trouble.report(ctx, "take a duty", err)
	}
	return ok
}

// takeLead reports whether this process plans and ends the task.
func (e *Engine) takeLead(ctx context.Context, t oms.Task) (leads bool, err error) {
	if !e.opts.Cluster {
		return true, nil
	}
	err = e.persist(ctx, "take the lead of a task", func(ctx context.Context) (err error) {
		leads, err = e.store.TakeLead(ctx, e.opts.Owner, t.ID, t.Generation)
		return err
	})
	return leads, err
}

// numbers returns what ranges that are added now are numbered from, 0: from those that exist.
func (e *Engine) numbers(ctx context.Context, t oms.Task) (from int64, err error) {
	if !e.opts.Cluster {
		return 0, nil
	}
	err = e.persist(ctx, "number ranges", func(ctx context.Context) error {
		block, err := e.store.NextBlock(ctx, t.ID)
		from = block << blockBits
		return err
	})
	return from, err
}

// leaveTask gives back what this process has of a task.
func (e *Engine) leaveTask(ctx context.Context, id int64) error {
	if !e.opts.Cluster {
		return e.store.ReleaseRanges(ctx, e.opts.Owner, id)
	}
	return e.store.LeaveTask(ctx, e.opts.Owner, id)
}

// heldElsewhere reports whether another process still works on the task.
func (e *Engine) heldElsewhere(ctx context.Context, id int64) bool {
	if !e.opts.Cluster {
		return false
	}
	rs, err := e.ranges(ctx, id)
	return err != nil || e.othersHold(rs)
}

// othersHold reports whether another process holds one of the ranges.
func (e *Engine) othersHold(rs []oms.Range) bool {
	return slices.ContainsFunc(rs, func(r oms.Range) bool { return !r.Done && r.Owner != "" && r.Owner != e.opts.Owner })
}

// shareable reports whether a task that runs has work for this process: something to plan or to end that nobody else does,
// or free ranges. If not, it asks those who hold its ranges, when there is room here.
func (p *pass) shareable(ctx context.Context, t oms.Task) bool {
	e := p.engine
	var rs []oms.Range
	if t.Planned {
		var err error
		if rs, err = e.store.Ranges(ctx, t.ID); err != nil {
			return false
		}
	}
	open := slices.ContainsFunc(rs, func(r oms.Range) bool { return !r.Done })
	if !open || hasLate(rs) {
		leads, err := e.store.TakeLead(ctx, e.opts.Owner, t.ID, t.Generation)
		return err == nil && leads
	}
	if slices.ContainsFunc(rs, func(r oms.Range) bool { return !r.Done && (r.Owner == "" || r.Owner == e.opts.Owner) }) {
		return true
	}
	if p.asked < mostAsked && e.roomy() {
		p.asked++
		if err := e.store.AskWork(ctx, oms.WorkRequest{TaskID: t.ID, Owner: e.opts.Owner}); err != nil && ctx.Err() == nil {
			e.trouble.report(ctx, "ask for work", err)
		}
	}
	return false
}

// roomy reports whether this process could do more than it does.
func (e *Engine) roomy() bool {
	inFlight := 0
	runs := e.snapshot()
	for _, r := range runs {
		_, n := r.load()
		inFlight += n
	}
	return len(runs) == 0 || inFlight < e.opts.Transfer.Workers/2
}

// mustWait reports whether ranges of a task must not be worked on now although this process holds them: one whose source
// has no order is for the process alone that leads it, when others have given the rest back.
func (e *Engine) mustWait(ctx context.Context, t oms.Task, rs []oms.Range) bool {
	if !e.opts.Cluster || !hasLate(rs) {
		return false
	}
	leads, err := e.takeLead(ctx, t)
	return err != nil || !leads || e.othersHold(rs)
}

// await asks those who hold the ranges of a task for some and waits a moment. A task that is none of this process's
// business is errElsewhere.
func (e *Engine) await(ctx context.Context, t oms.Task, rs []oms.Range) error {
	if !e.opts.Cluster {
		return errElsewhere
	}
	whole := hasLate(rs)
	if whole {
		if leads, err := e.takeLead(ctx, t); err != nil || !leads {
			return errElsewhere
		}
	}
	err := e.persist(ctx, "ask for work", func(ctx context.Context) error {
		return e.store.AskWork(ctx, oms.WorkRequest{TaskID: t.ID, Owner: e.opts.Owner, Whole: whole})
	})
	if err != nil {
		return err
	}
	return rest(ctx, awaitWork)
}

// answer gives ranges to processes that ask for them.
func (e *Engine) answer(ctx context.Context) {
	if !e.opts.Cluster || len(e.snapshot()) == 0 {
		return
	}
	asked, err := e.store.WorkRequests(ctx, e.opts.Owner)
	if err != nil {
		if ctx.Err() == nil {
			e.trouble.report(ctx, "read requests for work", err)
		}
		return
	}
	wanted := make(map[int64]int)
	for _, a := range asked {
		r := e.running(a.TaskID)
		switch {
		case r == nil:
		case a.Whole:
			r.stop(errElsewhere)
		default:
			wanted[a.TaskID]++
		}
	}
	for id, n := range wanted {
		if r := e.running(id); r != nil {
			e.give(r, n) //nolint:contextcheck // it outlives this look at the store and ends with the run
		}
	}
}

// giver is the part of *transfer.Job that gives ranges away.
type giver interface {
	Give(ctx context.Context, n int) ([]oms.Range, error)
}

// give lets a run give ranges away, in the background.
func (e *Engine) give(r *run, n int) {
	r.mu.Lock()
	job, ok := r.job.(giver)
	if !ok || r.giving {
		r.mu.Unlock()
		return
	}
	r.giving = true
	r.mu.Unlock()
	e.strays.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, storeTimeout)
		defer cancel()
		given, err := job.Give(ctx, n)
		if err == nil && len(given) > 0 {
			if err = e.commits.flush(ctx); err == nil { // the cuts must be stored
				err = e.store.GiveRanges(ctx, e.opts.Owner, given)
			}
		}
		switch {
		case err == nil:
			e.log.DebugContext(ctx, "ranges given to other workers", "task_id", r.id, "wanted", n, "ranges", len(given))
		case ctx.Err() == nil:
			e.trouble.report(ctx, "give ranges", err)
		}
		_ = rest(r.ctx, givePause)
		r.mu.Lock()
		r.giving = false
		r.mu.Unlock()
	})
}

// share renews, until ctx ends, this process's shares of bandwidth limits and what it shows of its runs. It stops what runs
// when the store has not heard of this process for so long that others have taken its ranges over.
func (e *Engine) share(ctx context.Context) {
	ticker := time.NewTicker(shareEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(e.born)-time.Duration(e.seen.Load()) > deadAfter {
			e.yield(ctx)
			continue
		}
		for _, r := range e.snapshot() {
			e.renew(ctx, r)
		}
	}
}

// yield stops all runs: they are no longer this process's.
func (e *Engine) yield(ctx context.Context) {
	runs := e.snapshot()
	for _, r := range runs {
		r.stop(errElsewhere)
	}
	e.syncs.stopAll(errElsewhere)
	if len(runs) > 0 {
		e.log.WarnContext(ctx, "the state store has been away too long: tasks are left to other workers", "tasks", len(runs))
	}
}

// renew renews what a run has of its task's limit, and what it shows.
func (e *Engine) renew(ctx context.Context, r *run) {
	ctx, cancel := context.WithTimeout(ctx, grantLife)
	defer cancel()
	now := e.clock().In(e.opts.Zone)
	r.mu.Lock()
	limit, rate, working := oms.BandwidthAt(r.windows, now), r.pace(), r.job != nil
	r.mu.Unlock()
	if !working {
		return
	}
	e.commits.touch(r.journal)
	if limit > 0 {
		asked := time.Now()
		share, err := e.store.ShareBandwidth(ctx, e.opts.Owner, r.id, limit, rate)
		if err != nil {
			e.trouble.report(ctx, "share bandwidth", err)
			return
		}
		r.mu.Lock()
		r.grant, r.grantEnd = share, asked.Add(grantLife)
		r.mu.Unlock()
		r.applyLimit(now)
	}
	if err := e.store.KeepProgress(ctx, r.id, r.generation); err != nil {
		e.trouble.report(ctx, "keep progress", err)
	}
}

// granted returns what the run may move of its task's limit. The caller holds mu.
func (r *run) granted(limit int64) int64 {
	if !r.shared || limit <= 0 {
		return limit
	}
	if time.Now().After(r.grantEnd) {
		return leastLimit
	}
	return max(leastLimit, min(limit, r.grant))
}

// stopAll ends all runs of synchronization tasks; the next pass begins them again where it can.
func (s *syncer) stopAll(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.cancel(cause)
	}
}

// show lets the group commits tell what the job knows beyond its checkpoints.
func (j *journal) show(job mover) {
	j.commits.mu.Lock()
	defer j.commits.mu.Unlock()
	j.job = job
}

// touch makes the next group commit show the run of j, even if nothing else is stored.
func (c *committer) touch(j *journal) {
	c.mu.Lock()
	if j.ended == nil && !c.broken {
		c.filling.tasks[j.task] = j
		c.filling.shown = true
	}
	c.mu.Unlock()
	signal(c.work)
}

// show adds what the runs of the batch know beyond their checkpoints, this batch stored. The committer is locked.
func (b *batch) show(owner string) {
	for id, j := range b.tasks {
		if j.job == nil || !j.engine.opts.Cluster {
			continue
		}
		s := j.job.Stats()
		p := oms.RunProgress{TaskID: id, Generation: j.generation, Owner: owner, Partial: s.Partial, QueryOver: !s.Listing}
		if r := j.run; r != nil {
			p.Speed = r.speed()
		}
		if !j.doubt && !j.failuresOnly {
			stored := j.sum
			for _, e := range b.entries {
				if e.cp.TaskID == id {
					stored = stored.Add(e.cp.Delta)
				}
			}
			p.Found, p.FoundBytes = max(0, s.Found-stored.Listed), max(0, s.FoundBytes-stored.ListedBytes)
		}
		b.progress = append(b.progress, p)
	}
}

// addShared fills in what the runs of a task in all processes show.
func (e *Engine) addShared(ctx context.Context, t oms.Task) (oms.Task, error) {
	t.Found, t.FoundBytes = max(t.Found, t.Counters.Listed), max(t.FoundBytes, t.Counters.ListedBytes)
	if !t.Status.Active() {
		return t, nil
	}
	p, err := e.store.RunProgress(ctx, t.ID, t.Generation)
	if err != nil {
		return t, err
	}
	t.Speed = p.Speed
	return t, nil
}
