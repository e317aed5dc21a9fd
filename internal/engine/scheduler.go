package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// schedule looks at the store on every wake-up and every second, until ctx ends. Runs live as long as life.
func (e *Engine) schedule(ctx, life context.Context) {
	// Leases that an earlier process of this name left are nobody's.
	if err := e.persist(ctx, "begin", func(ctx context.Context) error { return e.store.RemoveWorker(ctx, e.opts.Owner) }); err != nil {
		return
	}
	ticker := time.NewTicker(passEvery)
	defer ticker.Stop()
	p := pass{engine: e, launch: func(t oms.Task) { e.launch(life, t) }, idle: make(map[int64]time.Time)}
	for ctx.Err() == nil {
		p.run(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-e.wakes:
		}
	}
}

// beat sends the heartbeat of this worker until ctx ends.
func (e *Engine) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		err := e.store.Heartbeat(call, e.opts.Owner, deadAfter)
		cancel()
		if err == nil {
			e.seen.Store(time.Since(e.born).Nanoseconds())
		}
		if err != nil && ctx.Err() == nil {
			e.trouble.report(ctx, "heartbeat", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pass is one look at the store, with what it remembers of earlier ones. Only the scheduler uses it.
type pass struct {
	engine *Engine
	launch func(oms.Task)
	idle   map[int64]time.Time // since when nobody seems to close a task whose ranges are done
	first  bool                // of several processes this one starts tasks that wait
	asked  int                 // tasks that this pass has asked for work
}

// run starts, takes up, updates and settles tasks.
func (p *pass) run(ctx context.Context) {
	e := p.engine
	before := e.snapshot() // what begins later cannot be missing in the list
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	tasks, err := e.store.PendingTasks(ctx, e.pendingFilter())
	if err != nil {
		if ctx.Err() == nil {
			e.trouble.report(ctx, "look for tasks", err)
		}
		return
	}
	p.first, p.asked = e.hasDuty(ctx, "start tasks"), 0
	active := make(map[string]int)
	pending := make(map[int64]oms.Task, len(tasks))
	for _, t := range tasks {
		pending[t.ID] = t
		if t.Status.Active() {
			active[t.ProjectID]++
		}
	}
	for _, r := range before {
		if t, ok := pending[r.id]; !ok || t.Generation != r.generation {
			r.stop(errElsewhere)
		}
	}
	for _, t := range tasks {
		if ctx.Err() != nil {
			return
		}
		p.look(ctx, t, active)
	}
	for id := range p.idle {
		if _, ok := pending[id]; !ok {
			delete(p.idle, id)
		}
	}
	e.answer(ctx)
}

// startsAPass is how many waiting tasks are looked at in one pass.
const startsAPass = 100

// pendingFilter is what a pass wants to see.
func (e *Engine) pendingFilter() oms.PendingFilter {
	f := oms.PendingFilter{Running: e.opts.Quota.Running, Limit: startsAPass}
	if e.opts.Quota.MaxWaiting > 0 {
		f.Expired = e.clock().Add(-e.opts.Quota.MaxWaiting)
	}
	return f
}

// expired reports whether a task has waited too long.
func (e *Engine) expired(t oms.Task) bool {
	most := e.opts.Quota.MaxWaiting
	return most > 0 && e.clock().Sub(t.QueuedAt) > most
}

// look does what one task needs.
func (p *pass) look(ctx context.Context, t oms.Task, active map[string]int) {
	e := p.engine
	r := e.running(t.ID)
	switch t.Status {
	case oms.StatusWaiting:
		switch {
		case r != nil: // its last run is about to end; that wakes the scheduler
		case !p.first:
		case e.expired(t):
			e.settle(ctx, t, oms.Event{Type: oms.EventExpired})
		case e.opts.Quota.Running <= 0 || active[t.ProjectID] < e.opts.Quota.Running:
			if p.start(ctx, t) {
				active[t.ProjectID]++
			}
		}
	case oms.StatusRunning, oms.StatusRetrying:
		switch {
		case r != nil:
			r.setWindows(t.Spec.Bandwidth, e.clock().In(e.opts.Zone))
		case p.claimable(ctx, t):
			p.launch(t)
		}
	case oms.StatusPausing:
		switch {
		case r != nil:
			r.stop(errPaused)
		case p.unheld(ctx, t):
			e.settle(ctx, t, oms.Event{Type: oms.EventPaused})
		}
	case oms.StatusPaused, oms.StatusFailed, oms.StatusSucceeded:
	}
}

// start takes a waiting task up.
func (p *pass) start(ctx context.Context, t oms.Task) bool {
	e := p.engine
	t, err := e.store.ChangeTask(ctx, "", t.ID, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventSchedule}, e.clock())
		return oms.TaskChange{Task: next}, err
	})
	if err != nil {
		if !final(err) && ctx.Err() == nil {
			e.trouble.report(ctx, "start task", err)
		}
		return false
	}
	e.log.InfoContext(ctx, "task running", "task_id", t.ID, "generation", t.Generation)
	p.launch(t)
	return true
}

// claimable reports whether there is something to do for a task that runs, but not here: its process has died, or
// it was this one. A task that only waits to be closed is left to others for a while, as its ranges no longer tell
// who works on it.
func (p *pass) claimable(ctx context.Context, t oms.Task) bool {
	if p.engine.opts.Cluster {
		return p.shareable(ctx, t)
	}
	if !t.Planned {
		return true
	}
	rs, err := p.engine.store.Ranges(ctx, t.ID)
	if err != nil {
		return false
	}
	open := false
	for _, r := range rs {
		if !r.Done && (r.Owner == "" || r.Owner == p.engine.opts.Owner) {
			return true
		}
		open = open || !r.Done
	}
	if open {
		delete(p.idle, t.ID)
		return false
	}
	since, seen := p.idle[t.ID]
	if !seen {
		p.idle[t.ID] = time.Now()
		return false
	}
	return time.Since(since) >= deadAfter
}

// unheld reports whether no other worker holds a range of the task.
func (p *pass) unheld(ctx context.Context, t oms.Task) bool {
	rs, err := p.engine.store.Ranges(ctx, t.ID)
	if err != nil {
		return false
	}
	for _, r := range rs {
		if !r.Done && r.Owner != "" && r.Owner != p.engine.opts.Owner {
			return false
		}
	}
	return true
}

// settle applies an event that ends the time of a task without a run here, and destroys its credentials.
func (e *Engine) settle(ctx context.Context, t oms.Task, ev oms.Event) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := newRun(t, cancel) // what readers see meanwhile: a run that has ended
	e.enter(r)
	defer e.leave(r)
	at := r.end(e.clock)
	_, err := e.store.ChangeTask(ctx, "", t.ID, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(ev, at)
		return oms.TaskChange{Task: next, Wipe: true}, err
	})
	switch {
	case err == nil:
		e.log.InfoContext(ctx, "task settled", "task_id", t.ID, "event", ev.Type.String())
	case !final(err) && ctx.Err() == nil:
		e.trouble.report(ctx, "settle task", err)
	}
}
