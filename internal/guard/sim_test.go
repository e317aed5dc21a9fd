package guard

import (
	"math"
	"math/rand/v2"
	"time"
)

// The simulation drives the real control of a lane against models of endpoints, in virtual time.

const mib = 1 << 20

// world is the clock and what is still to happen.
type world struct {
	now    float64 // seconds
	events queue[event]
	seq    int
	rng    *rand.Rand
}

type event struct {
	at  float64
	seq int
	do  func()
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq } //nolint:unused // called through the constraint of queue

// queue is a heap: its first element is before all others.
type queue[T interface{ before(T) bool }] []T

func (q *queue[T]) push(v T) {
	*q = append(*q, v)
	s := *q
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(s[up]) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

func (q *queue[T]) pop() T {
	s := *q
	first, last := s[0], len(s)-1
	s[0] = s[last]
	var zero T
	s[last] = zero
	s = s[:last]
	*q = s
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < len(s) && s[down].before(s[least]) {
				least = down
			}
		}
		if least == i {
			return first
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}

func newWorld(seed uint64) *world { return &world{rng: rand.New(rand.NewPCG(seed, seed))} }

func (w *world) at(t float64, do func()) {
	w.seq++
	w.events.push(event{max(t, w.now), w.seq, do})
}

func (w *world) after(d float64, do func()) { w.at(w.now+d, do) }

// run lets everything happen until the instant, or until stop says so.
func (w *world) run(until float64, stop func() bool) {
	for len(w.events) > 0 && w.events[0].at <= until && (stop == nil || !stop()) {
		e := w.events.pop()
		w.now = e.at
		e.do()
	}
	if stop == nil || !stop() {
		w.now = until
	}
}

// virtual is the instant as control sees it.
func (w *world) virtual() time.Duration { return time.Duration(w.now * 1e9) }

// profile is what an endpoint can do.
type profile struct {
	name    string
	size    float64                    // bytes of an object
	sizes   func(*rand.Rand) float64   // instead of size
	latency float64                    // seconds before the first byte, give or take a fifth
	perConn float64                    // bytes per second of one connection; 0: no limit of its own
	total   func(t, n float64) float64 // bytes per second of all n connections; nil: no limit
	limit   func(t float64) float64    // requests per second; nil: no limit
	burst   float64                    // seconds of the limit that may come at once; 0 means .1
	conns   int                        // connections above which it refuses; 0: no limit
	part    float64                    // requests per second and part of the bucket; 0: no limit
	broken  float64                    // share of requests that fail
	noise   float64                    // share of requests that are refused whatever the rate
	steps   []float64                  // instants at which total changes
}

// endpoint runs requests. Those that transfer share its bandwidth.
type endpoint struct {
	*world
	profile
	tokens    float64
	tokensAt  float64
	parts     map[string]*[2]float64 // tokens of a part, and when they were counted
	n         int                    // connections
	service   float64                // bytes that a transfer running from the start would have moved
	rate      float64                // of service
	at        float64                // of service
	transfers queue[transfer]
	clients   []*client
	version   int // of the scheduled completion
}

type transfer struct {
	until float64 // service
	from  *client
	done  func()
}

func (t transfer) before(o transfer) bool { return t.until < o.until } //nolint:unused // as above

func newEndpoint(w *world, p profile) *endpoint {
	if p.burst == 0 {
		p.burst = .1
	}
	e := &endpoint{world: w, profile: p}
	if p.limit != nil {
		e.tokens = p.burst * p.limit(0)
	}
	for _, s := range p.steps {
		w.at(s, e.refresh)
	}
	return e
}

// sync moves the bytes that moved since the last event.
func (e *endpoint) sync() {
	span := e.now - e.at
	e.at = e.now
	if span <= 0 || len(e.transfers) == 0 {
		return
	}
	d := span * e.rate
	e.service += d
	for _, c := range e.clients {
		c.moved += d * float64(c.transfers)
	}
}

// refresh computes the rate again and schedules the next completion.
func (e *endpoint) refresh() {
	e.sync()
	e.rate = math.Inf(1)
	if e.perConn > 0 {
		e.rate = e.perConn
	}
	if e.total != nil && len(e.transfers) > 0 {
		e.rate = min(e.rate, e.total(e.now, float64(e.n))/float64(len(e.transfers)))
	}
	e.version++
	if len(e.transfers) == 0 {
		return
	}
	version := e.version
	left := max(e.transfers[0].until-e.service, 0) / e.rate
	e.after(left, func() {
		if version == e.version {
			e.complete()
		}
	})
}

// complete ends the transfers that are done.
func (e *endpoint) complete() {
	e.sync()
	var done []transfer
	for len(e.transfers) > 0 && (len(done) == 0 || e.transfers[0].until <= e.service+1) {
		t := e.transfers.pop()
		done = append(done, t)
		e.n--
		t.from.transfers--
	}
	for _, t := range done {
		t.done()
	}
	e.refresh()
}

// send runs a request and tells how it ended.
func (e *endpoint) send(from *client, key string, done func(Outcome)) {
	latency := e.latency * (.8 + .4*e.rng.Float64())
	if e.refuses() || e.partRefuses(partOf(key)) || e.noise > 0 && e.rng.Float64() < e.noise {
		e.after(latency/2, func() { done(Refused(0)) })
		return
	}
	if e.broken > 0 && e.rng.Float64() < e.broken {
		e.after(latency, func() { done(Failed()) })
		return
	}
	e.n++
	size := e.size
	if e.sizes != nil {
		size = e.sizes(e.rng)
	}
	e.after(latency, func() {
		if e.perConn == 0 && e.total == nil {
			e.n--
			from.moved += size
			done(OK())
			return
		}
		e.sync()
		from.transfers++
		e.transfers.push(transfer{e.service + size, from, func() { done(OK()) }})
		e.refresh()
	})
	if e.total != nil {
		e.refresh() // one connection more
	}
}

// refuses spends a token of the endpoint's limit.
func (e *endpoint) refuses() bool {
	if e.conns > 0 && e.n >= e.conns {
		return true
	}
	if e.limit == nil {
		return false
	}
	limit := e.limit(e.now)
	e.tokens = min(e.tokens+(e.now-e.tokensAt)*limit, max(1, e.burst*limit))
	e.tokensAt = e.now
	if e.tokens < 1 {
		return true
	}
	e.tokens--
	return false
}

// partRefuses spends a token of the part's limit.
func (e *endpoint) partRefuses(part string) bool {
	if e.part == 0 || part == "" {
		return false
	}
	if e.parts == nil {
		e.parts = map[string]*[2]float64{}
	}
	t := e.parts[part]
	if t == nil {
		t = &[2]float64{e.burst * e.part, e.now}
		e.parts[part] = t
	}
	t[0] = min(t[0]+(e.now-t[1])*e.part, max(1, e.burst*e.part))
	t[1] = e.now
	if t[0] < 1 {
		return true
	}
	t[0]--
	return false
}

// client is a process with one lane to an endpoint.
type client struct {
	*world
	to        *endpoint
	ctl       *control
	moved     float64
	transfers int // under way
	asked     map[*waiter]func()
	wakes     float64 // instant of the next scheduled wake-up

	held                    int // wait for the turn of a part of the bucket
	oks, refusals, failures int64
	slotTime                float64 // integral of slots
	slotAt                  float64
}

func newClient(w *world, to *endpoint, most int) *client {
	c := &client{world: w, to: to, ctl: newControl(minSlots, most, w.virtual()), asked: map[*waiter]func(){}, wakes: math.Inf(1)}
	to.clients = append(to.clients, c)
	return c
}

// fix makes the client one with a fixed number of slots.
func (c *client) fix(slots int) {
	c.ctl.climb.slots, c.ctl.climb.base = slots, slots
	c.ctl.check = math.MaxInt64
}

func (c *client) advance() time.Duration {
	c.to.sync()
	c.ctl.moved.Store(int64(c.moved))
	c.slotTime += float64(c.ctl.climb.slots) * (c.now - c.slotAt)
	c.slotAt = c.now
	now := c.virtual()
	c.ctl.advance(now)
	return now
}

// acquire calls granted when it is the share's turn.
func (c *client) acquire(s *share, granted func()) {
	now := c.advance()
	if c.ctl.tryAcquire(now, s) {
		granted()
		return
	}
	w := &waiter{}
	c.asked[w] = granted
	c.ctl.enqueue(s, w)
	c.serve()
}

func (c *client) serve() {
	now := c.advance()
	for w := c.ctl.dispatch(now); w != nil; w = c.ctl.dispatch(now) {
		granted := c.asked[w]
		delete(c.asked, w)
		granted()
	}
	if c.ctl.waiting == 0 || c.wakes > c.now && c.wakes <= c.ctl.wake(now).Seconds() {
		return
	}
	c.wakes = c.ctl.wake(now).Seconds() + 1e-9
	at := c.wakes
	c.at(at, func() {
		if c.wakes == at { // else an earlier one was needed
			c.wakes = math.Inf(1)
			c.serve()
		}
	})
}

// request sends one request for the share, again while it is refused or fails, and calls done at the end.
func (c *client) request(s *share, done func()) { c.requestKey(s, "", done) }

func (c *client) requestKey(s *share, key string, done func()) { c.attempt(s, key, 1, done) }

func (c *client) attempt(s *share, key string, try int, done func()) {
	if wait, turn := c.ctl.hot.turn(key, c.virtual()); wait > 0 {
		c.held++
		c.after(wait.Seconds(), func() {
			c.held--
			if turn {
				c.send(s, key, try, done)
			} else {
				c.attempt(s, key, try, done)
			}
		})
		return
	}
	c.send(s, key, try, done)
}

func (c *client) send(s *share, key string, try int, done func()) {
	c.acquire(s, func() {
		sent := c.virtual()
		c.to.send(c, key, func(o Outcome) {
			now := c.advance()
			c.ctl.release(now, s, sent, key, o)
			switch o.verdict {
			case ok, neutral:
				c.oks++
				c.serve()
				done()
				return
			case refused:
				c.refusals++
			case broken:
				c.failures++
			}
			pause := .01 + .04*c.rng.Float64() // as package transfer does
			if try > 1 {
				pause = .05 + c.rng.Float64()*(.1*math.Pow(2, float64(min(try-2, 6)))-.05)
			}
			c.after(pause, func() { c.attempt(s, key, try+1, done) })
			c.serve()
		})
	})
}

// task keeps workers busy with requests for ever, or until more says that there is nothing left.
func (c *client) task(weight float64, workers int, more func() bool) *share {
	s := &share{weight: weight, clock: c.ctl.clock, index: -1}
	var work func()
	work = func() {
		if more == nil || more() {
			c.request(s, work)
		}
	}
	for range workers {
		c.after(0, work)
	}
	return s
}

// saturate is a task with more workers than any lane has slots.
func (c *client) saturate() *share { return c.task(1, demand, nil) }

const demand = 640

func always(v float64) func(float64) float64 { return func(float64) float64 { return v } }

func bandwidth(v float64) func(t, n float64) float64 { return func(_, _ float64) float64 { return v } }
