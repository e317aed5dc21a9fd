package guard

import (
	"math"
	"sync/atomic"
	"time"
)

// requestWork is what one request that ended well counts for beside its bytes, so that a change from large to small
// objects does not look like lost goodput.
const requestWork = 128 << 10

// drainPatience is how long a window waits, after slots were given up, for requests in flight to end.
const drainPatience = 4 * time.Second

// Smoothing of what a request of a flow costs.
const costBlend = 1. / 8

// waiter is a request that waits for its turn.
type waiter struct {
	ready      chan struct{} // holds one token when granted
	granted    bool
	sent       time.Duration
	prev, next *waiter
}

// share is the part of a flow that the lane's control knows: its place among the others. Slots are shared by the time
// that they are held, divided by weight (start-time fair queueing with the cost known only at the end).
type share struct {
	weight      float64
	clock       float64 // time of slots used, divided by weight
	cost        float64 // seconds that a request holds its slot, smoothed
	inflight    int
	waiting     int
	first, last *waiter
	index       int // among the backlogged; -1 when nothing waits
}

// control decides about the requests of one lane. It is told the time, and not safe for concurrent use but for moved
// and held.
type control struct {
	moved atomic.Int64 // bytes
	held  atomic.Int64 // nanoseconds in which callers held requests back themselves

	climb climber
	pace  pacer
	hot   hotspots

	inflight   int
	waiting    int
	backlogged []*share
	clock      float64 // of the flow served last

	last      time.Duration // of account
	check     time.Duration // when advance has something to do
	measuring bool
	until     time.Duration // end of settling, or earliest end of the window
	latest    time.Duration // latest end of the window
	needed    int64         // requests that end the window between the two

	// This window.
	from                 time.Duration
	movedBefore          int64
	heldBefore           int64
	oks, refusals, fails int64
	took                 time.Duration // of requests that ended well
	area                 float64       // seconds of slots held
	full                 time.Duration // all slots were taken

	seen totals
}

// totals are what a lane shows.
type totals struct {
	requests, refused, failed int64
	goodput, rate             float64 // bytes and requests per second, in the last window
	lastUse                   time.Duration
}

func newControl(least, most int, now time.Duration) *control {
	c := &control{climb: newClimber(least, most), pace: newPacer(), last: now}
	c.pace.from, c.pace.filled = now, now
	c.beginWindow(now) // nothing was in flight: there is nothing to settle
	return c
}

// account adds the time since the last event to the window.
func (c *control) account(now time.Duration) {
	d := now - c.last
	if d <= 0 {
		return
	}
	c.last = now
	c.area += float64(c.inflight) * d.Seconds()
	if c.inflight >= c.climb.slots {
		c.full += d
	}
}

// advance does what is due by now.
func (c *control) advance(now time.Duration) {
	c.account(now)
	if now < c.check {
		return
	}
	if now >= c.pace.due() {
		c.pace.spare(c.hot.judge(now))
		c.pace.tick(now)
	}
	switch {
	case now < c.until:
	case !c.measuring && c.inflight > c.climb.slots && now < c.latest: // what was too much is still ending
	case !c.measuring:
		c.beginWindow(now)
	case c.oks >= c.needed || now >= c.latest:
		c.endWindow(now)
	}
	due := c.until
	if now >= due {
		due = min(c.latest, now+5*time.Millisecond) // until enough requests have ended
	}
	c.check = min(due, c.pace.due())
}

func (c *control) beginWindow(now time.Duration) {
	shortest, longest, requests := c.climb.window()
	c.measuring = true
	c.from, c.until, c.latest, c.needed = now, now+shortest, now+longest, requests
	c.movedBefore, c.heldBefore = c.moved.Load(), c.held.Load()
	c.oks, c.refusals, c.fails, c.took, c.area, c.full = 0, 0, 0, 0, 0, 0
}

func (c *control) endWindow(now time.Duration) {
	span := (now - c.from).Seconds()
	moved := c.moved.Load() - c.movedBefore
	held := time.Duration(c.held.Load() - c.heldBefore).Seconds()
	busy := max(c.area-held, 0) / span
	slots := float64(c.climb.slots)
	m := measure{
		at: now, span: span, work: float64(moved) + requestWork*float64(c.oks),
		oks: c.oks, refused: c.refusals, failed: c.fails,
		full:  busy > .9*slots || busy > .7*slots && c.full.Seconds() > .5*span,
		paced: c.pace.binding(now), rate: c.pace.rate, refuses: c.pace.refusedShareSeen,
	}
	if c.oks > 0 {
		m.rtt = max(c.took.Seconds()-held, 0) / float64(c.oks)
	}
	c.seen.goodput, c.seen.rate = float64(moved)/span, float64(c.oks)/span
	before := c.climb.slots
	c.climb.observe(m)
	if c.climb.slots == before {
		c.beginWindow(now)
		return
	}
	c.measuring, c.until = false, now+c.climb.settle()
	c.latest = c.until + drainPatience
}

// free reports whether another request may be sent.
func (c *control) free() bool { return c.inflight < c.climb.slots }

// tryAcquire takes a slot if nobody waits and one may be had.
func (c *control) tryAcquire(now time.Duration, s *share) bool {
	c.advance(now)
	if c.waiting > 0 || !c.free() || !c.pace.take(now) {
		return false
	}
	c.join(s)
	c.grant(s)
	return true
}

// join brings the clock of a flow up to the others': at most one round of slots may be caught up on.
func (c *control) join(s *share) {
	behind := c.clock
	if s.inflight > 0 {
		behind -= s.cost * float64(c.climb.slots) / s.weight
	}
	s.clock = max(s.clock, behind)
}

// grant gives a slot to the flow.
func (c *control) grant(s *share) {
	c.clock = max(c.clock, s.clock)
	s.clock += s.cost / s.weight
	s.inflight++
	c.inflight++
	c.seen.requests++
	c.seen.lastUse = c.last
}

// enqueue makes w wait for its turn; dispatch grants it.
func (c *control) enqueue(s *share, w *waiter) {
	if s.waiting == 0 {
		c.join(s)
		s.index = len(c.backlogged)
		c.backlogged = append(c.backlogged, s)
	}
	w.prev, w.next = s.last, nil
	if s.last != nil {
		s.last.next = w
	} else {
		s.first = w
	}
	s.last = w
	s.waiting++
	c.waiting++
}

// remove takes a waiter out of its queue.
func (c *control) remove(s *share, w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		s.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		s.last = w.prev
	}
	w.prev, w.next = nil, nil
	s.waiting--
	c.waiting--
	if s.waiting == 0 {
		last := len(c.backlogged) - 1
		moved := c.backlogged[last]
		c.backlogged[s.index], moved.index = moved, s.index
		c.backlogged[last] = nil
		c.backlogged = c.backlogged[:last]
		s.index = -1
	}
}

// dispatch grants a slot to the flow that has had the least, and returns its waiter; nil when nobody waits or nothing
// may be sent now. It is called until it returns nil.
func (c *control) dispatch(now time.Duration) *waiter {
	if c.waiting == 0 || !c.free() || !c.pace.take(now) {
		return nil
	}
	best := c.backlogged[0]
	for _, s := range c.backlogged[1:] {
		if s.clock < best.clock {
			best = s
		}
	}
	w := best.first
	c.remove(best, w)
	c.grant(best)
	w.granted, w.sent = true, now
	return w
}

// release ends a request of the flow for the key that was sent at the instant.
func (c *control) release(now time.Duration, s *share, sent time.Duration, key string, o Outcome) {
	c.account(now)
	took := now - sent
	c.settleUp(s, took.Seconds())
	if !c.hot.ended(key, o, sent, now) {
		c.pace.ended(o, sent, now)
	}
	switch o.verdict {
	case ok:
		c.oks++
		c.took += took
	case refused:
		c.refusals++
		c.seen.refused++
	case broken:
		c.fails++
		c.seen.failed++
	case neutral:
	}
	c.advance(now)
}

// settleUp takes the slot back and charges the flow for what it really used.
func (c *control) settleUp(s *share, took float64) {
	s.clock += (took - s.cost) / s.weight
	s.cost += costBlend * (took - s.cost)
	s.inflight--
	c.inflight--
}

// unused takes back a slot that nothing was sent with.
func (c *control) unused(now time.Duration, s *share) {
	c.account(now)
	s.clock -= s.cost / s.weight
	s.inflight--
	c.inflight--
	c.pace.giveBack()
	c.seen.requests--
}

// wake is when dispatch or advance has to be called for those who wait.
func (c *control) wake(now time.Duration) time.Duration {
	at := c.check
	if c.free() {
		at = min(at, c.pace.next(now))
	}
	return max(at, now+time.Millisecond)
}

// rate is what the pacer allows per second, 0 without a limit.
func (c *control) rate() float64 {
	if math.IsInf(c.pace.rate, 1) {
		return 0
	}
	return c.pace.rate
}
