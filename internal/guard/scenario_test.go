package guard

import (
	"math"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Two tasks on one endpoint share it, by weight.
func TestShare(t *testing.T) {
	shapes := goals()
	if thinned {
		shapes = shapes[2:]
	}
	for _, p := range shapes {
		for _, weight := range []float64{1, 4} {
			w := newWorld(1)
			c := newClient(w, newEndpoint(w, p), 512)
			var ended [2]float64
			count := func(i int) func() bool {
				return func() bool { ended[i]++; return true }
			}
			c.task(weight, demand, count(0))
			c.task(1, demand, count(1))
			w.run(10, nil)
			before := ended
			w.run(20, nil)
			ratio := (ended[0] - before[0]) / (ended[1] - before[1])
			t.Logf("%s: weight %.0f: ratio %.3f", p.name, weight, ratio)
			if ratio < .9*weight || ratio > 1.1*weight {
				t.Errorf("%s: shares %.2f to 1, want %.0f to 1", p.name, ratio, weight)
			}
		}
	}
}

// Two processes that know nothing of one another share an endpoint as well; the second comes after 60 s.
func TestTwoProcesses(t *testing.T) {
	p := table()[0]
	w := newWorld(1)
	e := newEndpoint(w, p)
	a, b := newClient(w, e, 512), newClient(w, e, 512)
	a.saturate()
	w.at(60, func() { b.saturate() })
	w.run(80, nil)
	a.advance()
	b.advance()
	m1, m2 := a.moved, b.moved
	w.run(180, nil)
	a.advance()
	b.advance()
	x, y := a.moved-m1, b.moved-m2
	jain := (x + y) * (x + y) / (2 * (x*x + y*y))
	_, best := bestFixed(p, 0)
	t.Logf("%.0f and %.0f MB/s, Jain %.3f, %.0f %% of the best, %d and %d slots", x/100/mb, y/100/mb, jain, (x+y)/best, a.ctl.climb.base, b.ctl.climb.base)
	if jain < .8 || x+y < 85*best {
		t.Errorf("Jain %.2f, together %.0f %%", jain, (x+y)/best)
	}
}

// migrate simulates n objects that are read from one store and written to another by workers, and returns the seconds
// that it takes.
func migrate(n, workers int, prepare func(read, write *client)) (took float64, read, write *client) {
	w := newWorld(1)
	p := goals()[0]
	read, write = newClient(w, newEndpoint(w, p), 512), newClient(w, newEndpoint(w, p), 512)
	if prepare != nil {
		prepare(read, write)
	}
	gets, puts := &share{weight: 1, index: -1}, &share{weight: 1, index: -1}
	left, done := n, 0
	var work func()
	work = func() {
		if left == 0 {
			return
		}
		left--
		read.request(gets, func() {
			write.request(puts, func() {
				done++
				work()
			})
		})
	}
	for range workers {
		w.after(0, work)
	}
	w.run(60, func() bool { return done == n })
	return w.now, read, write
}

// 5,000 objects of 4 KiB with 50 ms a GET and 50 ms a PUT need less than 3 s, from nothing. What was learned on the
// way does not make the next start slower, and neither does a tail of few objects.
func TestStart(t *testing.T) {
	for _, workers := range []int{256, 512, 1024} {
		took, read, write := migrate(5000, workers, nil)
		t.Logf("%4d workers: %.2f s, slots %d and %d", workers, took, read.ctl.climb.base, write.ctl.climb.base)
		if took > 1.5+256/float64(workers) {
			t.Errorf("%d workers: %.2f s", workers, took)
		}
		again, _, _ := migrate(5000, workers, func(r, w *client) {
			r.ctl.resume(pointOf(read.ctl))
			w.ctl.resume(pointOf(write.ctl))
		})
		t.Logf("%4d workers, again: %.2f s", workers, again)
		if again > took {
			t.Errorf("%d workers: %.2f s with what was learned, %.2f s without", workers, again, took)
		}
	}
}

func pointOf(c *control) oms.OperatingPoint {
	return oms.OperatingPoint{Slots: c.climb.base, Settled: c.climb.settled, Rate: c.pace.known, PerSlot: c.climb.perSlot}
}

// Too little work, for however long, and tails say nothing about the endpoint and change nothing that was learned.
func TestLittleWork(t *testing.T) {
	p := goals()[0]
	w := newWorld(1)
	c := newClient(w, newEndpoint(w, p), 512)
	busy := true
	s := c.task(1, demand, func() bool { return busy })
	w.run(10, nil)
	learned := c.ctl.climb.base
	busy = false
	w.run(12, nil)
	for range 3 { // a little work
		w.after(0, func() { c.request(s, func() {}) })
		w.run(w.now+.3, nil)
	}
	c.task(1, 3, func() bool { return w.now < 120 })
	w.run(130, nil)
	if got := c.ctl.climb.base; got < learned*4/5 {
		t.Errorf("%d slots after a time with little work, %d before", got, learned)
	}
	busy = true
	c.saturate()
	w.run(131, nil)
	before := c.oks
	w.run(133, nil)
	if got := float64(c.oks-before) / 2; got < .8*float64(learned)/.05 {
		t.Errorf("%.0f requests per second with work again, %.0f before", got, float64(learned)/.05)
	}
}

// Time in which the caller holds requests back for a bandwidth limit of its own says nothing about the endpoint.
func TestHeld(t *testing.T) {
	p := table()[0]
	w := newWorld(1)
	c := newClient(w, newEndpoint(w, p), 512)
	stop := false
	c.task(1, demand, func() bool { return !stop })
	w.run(20, nil)
	learned := c.ctl.climb.base
	stop = true
	w.run(30, nil)
	s := &share{weight: 1, index: -1}
	var work func()
	work = func() { // every slot is taken, and every request waits nearly all of its 2 s for the limit
		c.acquire(s, func() {
			sent := c.virtual()
			c.after(2, func() {
				c.ctl.held.Add(int64(1900 * time.Millisecond))
				c.moved += mib
				c.ctl.release(c.advance(), s, sent, "", OK())
				c.serve()
				work()
			})
		})
	}
	for range demand {
		w.after(w.rng.Float64(), work)
	}
	w.run(w.now+60, nil)
	if got := c.ctl.climb.base; got < learned*4/5 {
		t.Errorf("%d slots after a time under a limit, %d before", got, learned)
	}
}

// Refusals and failures that have nothing to do with rate or number neither stop the lane nor shrink it to nothing.
func TestNoise(t *testing.T) {
	for _, tt := range []struct {
		name          string
		broken, noise float64
	}{{"failures", .08, 0}, {"refusals", 0, .05}, {"both", .08, .05}} {
		p := goals()[0]
		p.broken, p.noise = tt.broken, tt.noise
		p.latency = .2 // fewer events
		if thinned && tt.name != "both" {
			continue
		}
		c := simulate(p, 60, 1, nil)
		c.print(p)
		share := mean(c.ok[20:]) / (512 / p.latency)
		t.Logf("%s: %.0f %% of the best, %.0f slots", tt.name, 100*share, mean(c.slots[20:]))
		if share < .81 {
			t.Errorf("%s: %.0f %% of what is possible", tt.name, 100*share)
		}
	}
}

// An endpoint that fails because there are too many requests gets fewer.
func TestOverload(t *testing.T) {
	p := profile{size: 64 << 10, latency: .05, perConn: 20 * mb}
	w := newWorld(1)
	e := newEndpoint(w, p)
	c := newClient(w, e, 512)
	w.at(10, func() {
		var watch func()
		watch = func() {
			e.broken = clamp(1-100/float64(c.ctl.inflight+1), 0, 1)
			e.after(.05, watch)
		}
		watch()
	})
	c.saturate()
	w.run(120, nil)
	t.Logf("%d slots", c.ctl.climb.base)
	if got := c.ctl.climb.base; got > 200 || got < 40 {
		t.Errorf("%d slots at an endpoint that fails above 100", got)
	}
}

// A limit that was learned is kept from the first request on.
func TestKnownLimit(t *testing.T) {
	p := goals()[1]
	c := simulate(p, 10, 1, func(c *client) { c.ctl.resume(oms.OperatingPoint{Slots: 400, Settled: true, Rate: 3500}) })
	if got := sum(c.refused[:4]); got > 0 {
		t.Errorf("%.0f refusals in the first seconds", got)
	}
	if got := sum(c.ok[1:4]) / 3; got < .9*3500 {
		t.Errorf("%.0f requests per second", got)
	}
}

// What was remembered is not trusted blindly: whatever it says, the best point is found.
func TestWrongMemory(t *testing.T) {
	shapes := goals()
	if thinned {
		shapes = shapes[3:]
	}
	for _, p := range shapes {
		_, best := bestFixed(p, 0)
		for slots, settled := range map[int]bool{-1: true, 2: true, 500: true, math.MaxInt: false} {
			c := simulate(p, 45, 1, func(c *client) {
				c.ctl.resume(oms.OperatingPoint{Slots: slots, Settled: settled, PerSlot: 3 * mb, Rate: math.Inf(1)})
			})
			c.print(p)
			got := mean(c.goodput[35:]) / best
			t.Logf("%s: from %d: %.0f %%, reached at %d s", p.name, slots, 100*got, c.reached(best, .85))
			if got < .8 {
				t.Errorf("%s: from %d slots, settled %v: %.0f %% of the best after 35 s", p.name, slots, settled, 100*got)
			}
		}
	}
}
