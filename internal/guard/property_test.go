package guard

import (
	"testing"
	"time"
)

// FuzzControl plays any sequence of events to a lane: its slots stay within bounds, nothing more is in flight than at
// some time was allowed, no slot is lost and nobody who waits is forgotten.
func FuzzControl(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 1, 2, 3, 255, 80, 81, 82, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("a request, its end, a refusal, a failure, and again and again and again and again and again and again"))
	f.Add([]byte{2, 250, 2, 250, 2, 250, 10, 10, 10, 250, 18, 18, 18, 250, 34, 250, 34, 250})
	f.Fuzz(func(t *testing.T, events []byte) {
		if len(events) == 0 {
			return
		}
		h := newPlay(t, minSlots+int(events[0])%5*int(events[0]/5), 2+int(events[0])*3)
		for _, e := range events[1:] {
			h.step(e)
		}
		h.drain()
	})
}

// play is a lane with callers that behave in any way they may.
type play struct {
	t       *testing.T
	ctl     *control
	now     time.Duration
	shares  [3]*share
	waits   map[*waiter]int // share of those that wait
	queue   []*waiter
	tickets []ticketOf
	allowed int // most slots since the last time that not all were taken
}

type ticketOf struct {
	share int
	sent  time.Duration
}

func newPlay(t *testing.T, least, most int) *play {
	t.Helper()
	p := &play{t: t, ctl: newControl(min(least, most), most, 0), waits: map[*waiter]int{}}
	for i := range p.shares {
		p.shares[i] = &share{weight: float64(int(1) << i), index: -1}
	}
	return p
}

// step plays one event: what it is, and of which share or ticket, is in the byte.
func (p *play) step(e byte) {
	which := int(e >> 3)
	switch e & 7 {
	case 0, 1:
		p.acquire(which % 3)
	case 2:
		p.now += time.Duration(1+which*which) * 10 * time.Millisecond
		p.ctl.moved.Add(int64(which) << 16)
		p.ctl.advance(p.now)
	case 3:
		p.release(which, OK())
	case 4:
		p.release(which, Refused(time.Duration(which)*time.Second))
	case 5:
		p.release(which, Failed())
	case 6:
		if len(p.queue) > 0 {
			w := p.queue[which%len(p.queue)]
			p.ctl.remove(p.shares[p.waits[w]], w)
			p.forget(w)
		}
	case 7:
		if len(p.tickets) > 0 {
			ticket := p.take(which)
			p.ctl.unused(p.now, p.shares[ticket.share])
		}
	}
	p.dispatch()
	p.check()
}

func (p *play) acquire(s int) {
	if p.ctl.tryAcquire(p.now, p.shares[s]) {
		p.tickets = append(p.tickets, ticketOf{s, p.now})
		return
	}
	w := &waiter{}
	p.waits[w] = s
	p.queue = append(p.queue, w)
	p.ctl.enqueue(p.shares[s], w)
}

func (p *play) forget(w *waiter) {
	delete(p.waits, w)
	for i := range p.queue {
		if p.queue[i] == w {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			return
		}
	}
}

func (p *play) take(which int) ticketOf {
	i := which % len(p.tickets)
	ticket := p.tickets[i]
	p.tickets = append(p.tickets[:i], p.tickets[i+1:]...)
	return ticket
}

func (p *play) release(which int, o Outcome) {
	if len(p.tickets) > 0 {
		ticket := p.take(which)
		key := [...]string{"", "a/b/c", "a/b/d/e", "x/y/z", "x/"}[which%5]
		p.ctl.release(p.now, p.shares[ticket.share], ticket.sent, key, o)
		if wait, turn := p.ctl.hot.turn(key, p.now); wait < 0 || wait > turnsAhead || !turn && wait == 0 {
			p.t.Fatalf("a turn after %v, %v", wait, turn)
		}
		if len(p.ctl.hot.parts) > mostParts || len(p.ctl.hot.suspects) > mostSuspects {
			p.t.Fatalf("%d parts, %d suspects", len(p.ctl.hot.parts), len(p.ctl.hot.suspects))
		}
	}
}

func (p *play) dispatch() {
	for w := p.ctl.dispatch(p.now); w != nil; w = p.ctl.dispatch(p.now) {
		if !w.granted || w.sent != p.now {
			p.t.Fatalf("granted at %v: %+v", p.now, w)
		}
		p.tickets = append(p.tickets, ticketOf{p.waits[w], p.now})
		p.forget(w)
	}
}

func (p *play) check() {
	p.t.Helper()
	c := p.ctl
	if c.climb.slots < c.climb.least || c.climb.slots > c.climb.most || c.climb.base < c.climb.least || c.climb.base > c.climb.most {
		p.t.Fatalf("%d slots, base %d, of %d", c.climb.slots, c.climb.base, c.climb.most)
	}
	if c.inflight != len(p.tickets) || c.waiting != len(p.queue) {
		p.t.Fatalf("%d in flight and %d waiting, want %d and %d", c.inflight, c.waiting, len(p.tickets), len(p.queue))
	}
	p.allowed = max(min(p.allowed, c.inflight), c.climb.slots) // what was granted before slots were given up may go on
	if c.inflight > p.allowed {
		p.t.Fatalf("%d in flight of %d allowed", c.inflight, p.allowed)
	}
	if c.pace.rate < slowest || c.pace.rate != c.pace.rate {
		p.t.Fatalf("rate %v", c.pace.rate)
	}
	waiting := 0
	for i, s := range c.backlogged {
		if s.index != i || s.waiting == 0 {
			p.t.Fatalf("backlogged share %d: %+v", i, s)
		}
		waiting += s.waiting
	}
	if waiting != c.waiting {
		p.t.Fatalf("%d wait in queues, %d in all", waiting, c.waiting)
	}
	if wake := c.wake(p.now); c.waiting > 0 && (wake <= p.now || wake > p.now+2*longestPause) {
		p.t.Fatalf("those who wait are looked at in %v", wake-p.now)
	}
}

// drain ends everything: everybody who waits gets a turn.
func (p *play) drain() {
	for turns := 0; len(p.tickets)+len(p.queue) > 0; turns++ {
		if turns > 100_000 {
			p.t.Fatalf("%d in flight and %d waiting never end", len(p.tickets), len(p.queue))
		}
		if len(p.tickets) > 0 {
			p.release(0, OK())
		} else {
			p.now = p.ctl.wake(p.now)
			p.ctl.advance(p.now)
		}
		p.dispatch()
		p.check()
	}
	if p.ctl.inflight != 0 || p.ctl.waiting != 0 {
		p.t.Fatalf("%d in flight and %d waiting in the end", p.ctl.inflight, p.ctl.waiting)
	}
}
