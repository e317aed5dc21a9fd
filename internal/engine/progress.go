package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// speedSpan is the time that the shown speed is an average of.
const speedSpan = 5 * time.Second

// sample is what a run had moved at an instant.
type sample struct {
	at    time.Time
	moved int64
}

// sampleLoop puts bandwidth windows in force and measures speeds until ctx ends.
func (e *Engine) sampleLoop(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := e.clock()
		for _, r := range e.snapshot() {
			r.applyLimit(now.In(e.opts.Zone))
			r.measure(now)
		}
	}
}

// withProgress adds to a stored task what its run in this process knows beyond it. r is the run from before the task
// was read, nil for none: the run may have ended since, and then the task that was read is older than what it showed.
func (e *Engine) withProgress(t oms.Task, r *run) oms.Task {
	if r == nil {
		r = e.running(t.ID)
	}
	t.Found, t.FoundBytes = max(t.Found, t.Counters.Listed), max(t.FoundBytes, t.Counters.ListedBytes)
	if r != nil && r.generation == t.Generation && t.Status.Active() {
		r.addProgress(&t)
	}
	return t
}

// addProgress fills Speed, Found, PartialBytes, QueryOver and EndedAt.
func (r *run) addProgress(t *oms.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.observe()
	r.addKnown(t)
	t.EndedAt = r.endedAt
	t.Speed = r.pace()
}

// speed returns what the run moves now, in bytes per second.
func (r *run) speed() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pace()
}

// pace is speed for callers that hold mu.
func (r *run) pace() int64 {
	n := len(r.samples)
	if n < 2 {
		return 0
	}
	span := r.samples[n-1].at.Sub(r.samples[0].at)
	if span <= 0 {
		return 0
	}
	return int64(float64(r.samples[n-1].moved-r.samples[0].moved) / span.Seconds())
}

// addKnown fills Found, PartialBytes and QueryOver. None of them goes back, whether it is shown or stored, as long as
// the task keeps its ranges. The caller holds mu.
func (r *run) addKnown(t *oms.Task) {
	t.Found, t.FoundBytes = max(t.Found, r.found, t.Counters.Listed), max(t.FoundBytes, r.foundBytes, t.Counters.ListedBytes)
	t.QueryOver = t.QueryOver || r.queryOver
	done := doneBytes(t.Counters)
	r.shown = max(r.shown, done+r.partial)
	t.PartialBytes = r.shown - done
}

// doneBytes are the bytes of objects that are done.
func doneBytes(c oms.Counters) int64 { return c.MigratedBytes + c.SkippedBytes }

// keep adds to t what is known when the run ends before the task has reached its end.
func (r *run) keep(t *oms.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addKnown(t)
}

// end stops the running time that is shown and returns when: the end is stored a moment later, with this instant.
// Whoever has read the clock by now and saw the run going on saw less.
func (r *run) end(clock func() time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endedAt = clock()
	return r.endedAt
}

// observe takes in what the job shows. The caller holds mu.
func (r *run) observe() {
	if r.job == nil {
		return
	}
	s := r.job.Stats()
	r.partial = s.Partial
	r.queryOver = r.queryOver || !s.Listing && !r.shared
	if !r.failuresOnly { // a run over failures finds nothing new
		r.found = max(r.found, r.base.Listed+s.Found)
		r.foundBytes = max(r.foundBytes, r.base.ListedBytes+s.FoundBytes)
	}
}

// measure adds a sample of the bytes moved.
func (r *run) measure(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.job == nil {
		return
	}
	r.observe()
	for len(r.samples) > 0 && now.Sub(r.samples[0].at) > speedSpan {
		r.samples = r.samples[1:]
	}
	r.samples = append(r.samples, sample{at: now, moved: r.moved + r.job.Stats().Moved})
}

// setWindows replaces the traffic limits and puts them in force.
func (r *run) setWindows(ws []oms.BandwidthWindow, now time.Time) {
	r.mu.Lock()
	r.windows = ws
	r.mu.Unlock()
	r.applyLimit(now)
}

// applyLimit tells the job the limit in force at now, which is in the server's zone.
func (r *run) applyLimit(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := r.granted(oms.BandwidthAt(r.windows, now))
	if r.job != nil && limit != r.limit {
		r.job.SetLimit(limit)
		r.limit = limit
	}
}

// load returns the state of the run and what is in flight.
func (r *run) load() (oms.Status, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.job == nil {
		return r.status, 0
	}
	return r.status, r.job.Stats().InFlight
}
