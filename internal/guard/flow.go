package guard

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// lane is the control of one key and those who wait for it.
type lane struct {
	key   Key
	epoch time.Time // that instants of control count from; monotonic

	mu    sync.Mutex
	ctl   *control
	flows int           // open
	spare *waiter       // list of waiters to use again
	timer *time.Timer   // wakes those who wait; made at the first wait
	armed time.Duration // when timer fires; 0 when it is not set
}

func (l *lane) now() time.Duration { return time.Since(l.epoch) }

// serve grants what may be granted and sees to it that somebody comes back for the rest. The lane is locked.
func (l *lane) serve(now time.Duration) {
	for w := l.ctl.dispatch(now); w != nil; w = l.ctl.dispatch(now) {
		w.ready <- struct{}{} // never blocks: a waiter is granted once
	}
	if l.ctl.waiting == 0 {
		return
	}
	at := l.ctl.wake(now)
	if l.armed != 0 && l.armed <= at {
		return
	}
	l.armed = at
	if l.timer == nil {
		l.timer = time.AfterFunc(at-now, l.ring)
		return
	}
	l.timer.Reset(at - now)
}

// ring is what the timer calls.
func (l *lane) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.armed = 0
	l.ctl.advance(now)
	l.serve(now)
}

// newWaiter returns a waiter that is in no queue. The lane is locked.
func (l *lane) newWaiter() *waiter {
	w := l.spare
	if w == nil {
		return &waiter{ready: make(chan struct{}, 1)}
	}
	l.spare, w.next = w.next, nil
	w.granted = false
	return w
}

// Flow is what one task sends through a lane. Its methods are safe for concurrent use; a nil *Flow lets everything
// pass at once.
type Flow struct {
	lane   *lane
	share  share // guarded by the lane
	closed bool  // likewise
	held   atomic.Int64
}

// Ticket is the right to make one request. The zero value is one that nobody counts. It must not be copied.
type Ticket struct {
	flow *Flow
	key  string
	sent time.Duration
	done atomic.Bool
}

// Acquire waits for the flow's turn to send a request for the object, and returns the right to. The key may be empty
// where a request is for none, or its object is of no account. The caller ends it with Done or Cancel. The error is the
// cause of ctx, or oms.Conflict after Close.
func (f *Flow) Acquire(ctx context.Context, key string) (Ticket, error) {
	if f == nil {
		return Ticket{}, context.Cause(ctx)
	}
	l := f.lane
	l.mu.Lock()
	if len(l.ctl.hot.parts) > 0 {
		l.mu.Unlock()
		if err := f.awaitTurn(ctx, key); err != nil {
			return Ticket{}, err
		}
		l.mu.Lock()
	}
	now := l.now()
	switch {
	case f.closed:
		l.mu.Unlock()
		return Ticket{}, errClosed()
	case ctx.Err() != nil:
		l.mu.Unlock()
		return Ticket{}, context.Cause(ctx)
	case l.ctl.tryAcquire(now, &f.share):
		l.mu.Unlock()
		return Ticket{flow: f, key: key, sent: now}, nil
	}
	w := l.newWaiter()
	l.ctl.enqueue(&f.share, w)
	l.serve(now)
	l.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	return f.granted(ctx, key, w)
}

// granted takes the ticket that w waited for, or gives it back when the caller does not want it any more.
func (f *Flow) granted(ctx context.Context, key string, w *waiter) (Ticket, error) {
	l := f.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	sent, err := w.sent, context.Cause(ctx)
	switch {
	case err == nil:
	case w.granted:
		now := l.now()
		l.ctl.unused(now, &f.share)
		l.serve(now)
	default:
		l.ctl.remove(&f.share, w)
	}
	select {
	case <-w.ready: // granted, and not received
	default:
	}
	w.next, l.spare = l.spare, w
	if err != nil {
		return Ticket{}, err
	}
	return Ticket{flow: f, key: key, sent: sent}, nil
}

// awaitTurn waits for the turn of the part of the bucket that the key lies in.
func (f *Flow) awaitTurn(ctx context.Context, key string) error {
	for {
		f.lane.mu.Lock()
		wait, turn := f.lane.ctl.hot.turn(key, f.lane.now())
		f.lane.mu.Unlock()
		if wait > 0 {
			f.held.Add(1)
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			f.held.Add(-1)
		}
		if err := context.Cause(ctx); turn || err != nil {
			return err
		}
	}
}

// Held returns how many callers of Acquire wait for a part of the bucket that the store refuses, while there may be room
// for others; 0 for a nil *Flow.
func (f *Flow) Held() int {
	if f == nil {
		return 0
	}
	return int(f.held.Load())
}

func errClosed() error {
	return &oms.Error{Op: "acquire", Kind: oms.Conflict, Msg: "the flow is closed"}
}

// Slots returns how many requests the lane lets be in flight now, those of other flows included; 0 for a nil *Flow,
// which has no bound.
func (f *Flow) Slots() int {
	if f == nil {
		return 0
	}
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	return f.lane.ctl.climb.slots
}

// SetWeight changes the flow's part of the lane: two flows that both want more than there is get slots in proportion
// to their weights. Weights below 1 count as 1.
func (f *Flow) SetWeight(weight int) {
	if f == nil {
		return
	}
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	f.share.weight = float64(max(weight, 1))
}

// Close ends the flow; tickets that are out stay valid. It must be called once nobody waits in Acquire any more.
// Closing again does nothing.
func (f *Flow) Close() {
	if f == nil {
		return
	}
	f.lane.mu.Lock()
	defer f.lane.mu.Unlock()
	if !f.closed {
		f.closed = true
		f.lane.flows--
	}
}

// Progress says that n bytes moved. It may be called from any goroutine.
func (t *Ticket) Progress(n int) {
	if t.flow != nil {
		t.flow.lane.ctl.moved.Add(int64(n))
	}
}

// Held says that the caller itself held the request back for d, to keep a bandwidth limit: that time says nothing
// about the store.
func (t *Ticket) Held(d time.Duration) {
	if t.flow != nil {
		t.flow.lane.ctl.held.Add(int64(d))
	}
}

// Done ends the request and frees its slot at once. Only the first of Done and Cancel counts.
func (t *Ticket) Done(o Outcome) {
	if t.flow == nil || t.done.Swap(true) {
		return
	}
	l := t.flow.lane
	l.mu.Lock()
	now := l.now()
	l.ctl.release(now, &t.flow.share, t.sent, t.key, o)
	if l.ctl.waiting > 0 {
		l.serve(now)
	}
	l.mu.Unlock()
}

// Cancel gives the ticket back when no request was sent with it.
func (t *Ticket) Cancel() {
	if t.flow == nil || t.done.Swap(true) {
		return
	}
	l := t.flow.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.ctl.unused(now, &t.flow.share)
	l.serve(now)
}
