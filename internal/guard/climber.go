package guard

import (
	"math"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of the slots of a lane.
const (
	minSlots     = 2   // least, unless the operator says otherwise
	defaultSlots = 512 // most, unless the operator says otherwise
	startSlots   = 32  // at first, where nothing is remembered
	pacedFloor   = 8   // slots of a lane whose rate is what limits it
)

// mode is what the climber is doing.
type mode uint8

const (
	starting   mode = iota // doubling while that pays
	descending             // halving, since the first doubling did not pay, while that costs nothing
	holding                // at the best point known, measuring before the next trial
	probingUp              // trying a little more
	probingDown
)

// String returns the word that operators see.
func (m mode) String() string {
	switch m {
	case starting:
		return "starting"
	case descending:
		return "descending"
	case holding:
		return "holding"
	case probingUp:
		return "probing up"
	case probingDown:
		return "probing down"
	}
	return "unknown"
}

// Constants of the climber, chosen by simulation (docs/adr/0012-adaptive-concurrency.md).
const (
	doublingGain  = 1.35 // goodput that doubling must multiply
	slightGain    = 1.08 // goodput that makes the larger of two numbers of slots the better one
	halvingLoss   = .93  // share of the best goodput that halving must keep
	firstStep     = .25
	smallestStep  = .2
	largestStep   = 1.
	firstHold     = time.Second
	longestHold   = 4 * time.Second
	upGain        = .25 // share of added slots that must show as goodput
	linearGain    = .75 // the same, and there may be much more to gain
	downLoss      = .15 // share of given up slots that may show as goodput
	crowded       = 3.  // times the best time per request ever: somebody else is here
	failureShare  = .05 // of a window's requests
	failureFloor  = 3
	failureCut    = .7
	failurePause  = 5 * time.Second
	failureRest   = 2 * time.Minute // longest pause between useless cuts
	perSlotMemory = .995            // of the best goodput per slot, per window
)

// measure is what happened in a window.
type measure struct {
	at      time.Duration // its end
	span    float64       // seconds
	work    float64       // bytes moved, and requestWork for each request that ended well
	oks     int64
	refused int64
	failed  int64
	rtt     float64 // mean seconds of requests that ended well; 0 without any
	full    bool    // the slots were what held requests back
	paced   bool    // the rate was
	rate    float64 // requests per second; +Inf without a limit
	refuses bool    // more refusals than the pacer puts up with
}

// climber finds the number of requests in flight that gives the most goodput. It is told of windows of time, each
// measured at one number of slots.
type climber struct {
	least   int // of slots
	most    int
	mode    mode
	slots   int     // to use now
	base    int     // best known
	g0      float64 // goodput at base; 0 unknown
	peak    float64 // best goodput while starting
	perSlot float64 // best goodput per slot, slowly forgotten
	step    float64
	hold    time.Duration
	fails   int     // trials without gain since the last one with
	rtt     float64 // seconds, smoothed; 0 unknown
	grown   bool    // some doubling paid
	proved  bool    // base was measured
	settled bool    // starting came to an end

	failedAt   time.Duration // last cut for failures
	failedFrom int           // base before it
	failShare  float64       // share of failures that led to it
	failGood   float64       // goodput then
	failPause  time.Duration // until the next one
}

func newClimber(least, most int) climber {
	start := min(max(startSlots, least), most)
	return climber{
		least: least, most: most, slots: start, base: start, step: firstStep, hold: firstHold, failPause: failurePause, failedAt: -failurePause,
	}
}

// resume starts from what was remembered: a point that was still being looked for goes on being looked for.
func (c *climber) resume(p oms.OperatingPoint) {
	c.slots = min(max(p.Slots, c.least), c.most)
	c.base, c.perSlot, c.settled = c.slots, p.PerSlot, p.Settled
	if p.Settled {
		c.mode = holding
	}
}

// settle is how long what happens after a change says nothing yet.
func (c *climber) settle() time.Duration {
	if c.mode == starting || c.mode == descending {
		return seconds(clamp(c.rtt, .01, .5))
	}
	return seconds(clamp(1.2*c.rtt, .3, 1))
}

// window is the shortest and the longest time to measure; between the two it ends as soon as requests have ended.
func (c *climber) window() (shortest, longest time.Duration, requests int64) {
	switch c.mode {
	case starting, descending:
		return seconds(clamp(2*c.rtt, .05, 1)), seconds(clamp(2*c.rtt, 1, 1.5)), int64(2 * c.slots)
	case holding, probingUp, probingDown:
	}
	w := seconds(clamp(2*c.rtt, 1, 3))
	if c.mode == holding {
		w = max(w, c.hold)
	}
	return w, w, 0
}

// observe decides what follows from a window.
func (c *climber) observe(m measure) {
	if m.rtt > 0 {
		if c.rtt == 0 {
			c.rtt = m.rtt
		}
		c.rtt = .5*c.rtt + .5*m.rtt
	}
	switch {
	case c.failing(m):
	case m.paced:
		c.base = min(max(pacedFloor, c.least, int(math.Ceil(3*m.rate*c.rtt))), c.most)
		c.slots, c.mode, c.g0, c.settled = c.base, holding, 0, true
	case !m.full || m.work == 0:
		c.inconclusive()
	default:
		c.climb(m)
	}
}

// inconclusive goes back to the best known point: what was measured is not due to the slots.
func (c *climber) inconclusive() {
	c.slots, c.g0 = c.base, 0
	if c.mode == probingUp || c.mode == probingDown {
		c.mode = holding
	}
}

func (c *climber) climb(m measure) {
	good := m.work / m.span
	each := good / float64(c.slots)
	c.perSlot = max(each, perSlotMemory*c.perSlot)
	inflation := c.perSlot / each
	switch c.mode {
	case starting:
		if !m.refuses { // else the pacer is about to act, or has found out that refusals mean nothing
			c.start(good)
		}
	case descending:
		c.descend(good)
	case holding:
		if c.g0 > 0 && (good < .75*c.g0 || good > 1.3*c.g0) { // the world has changed
			c.hold, c.fails = firstHold, 0
		}
		if !c.proved && inflation > crowded { // it is not what it was when this point was remembered
			c.mode = descending
			c.descend(good)
			return
		}
		c.g0, c.proved = good, true
		if inflation > crowded || c.fails%3 == 2 {
			c.tryDown()
		} else {
			c.tryUp()
		}
	case probingUp:
		gain := (good/c.g0 - 1) / (float64(c.slots)/float64(c.base) - 1)
		if gain < upGain || inflation >= crowded+1 {
			c.fail()
			return
		}
		c.adopt(good)
		if gain >= linearGain { // far below the best point: look for it as at first
			c.mode, c.grown, c.peak = starting, true, good
			c.double()
			return
		}
		c.step = min(largestStep, 1.6*c.step)
		c.tryUp()
	case probingDown:
		loss := (1 - good/c.g0) / (1 - float64(c.slots)/float64(c.base))
		if loss > downLoss {
			c.fail()
			return
		}
		c.adopt(good)
		c.tryDown()
	}
}

// adopt makes the slots that were tried the best known.
func (c *climber) adopt(good float64) { c.base, c.g0, c.fails, c.proved = c.slots, good, 0, true }

// start doubles while that pays. When not even the first doubling does, the start may lie beyond the best point.
func (c *climber) start(good float64) {
	c.peak = max(c.peak, good)
	switch trial := c.slots != c.base && c.g0 > 0; {
	case trial && good <= slightGain*c.g0 && !c.grown:
		c.mode = descending
		c.halve()
	case trial && good <= slightGain*c.g0:
		c.rest()
	case trial && good <= doublingGain*c.g0:
		c.adopt(good)
		c.rest()
	default:
		c.grown = c.grown || trial
		c.adopt(good)
		c.double()
	}
}

func (c *climber) double() {
	c.slots = min(2*c.base, c.most)
	switch {
	case c.slots > c.base:
	case c.grown:
		c.rest()
	default: // nothing is known of what lies below
		c.mode = descending
		c.halve()
	}
}

// descend halves while that costs next to nothing.
func (c *climber) descend(good float64) {
	if c.slots != c.base && good < halvingLoss*c.peak {
		c.rest()
		return
	}
	c.peak = max(c.peak, good)
	c.adopt(good)
	c.halve()
}

func (c *climber) halve() {
	if c.slots = max(c.base/2, c.least); c.slots == c.base {
		c.rest()
	}
}

// rest ends starting.
func (c *climber) rest() { c.slots, c.mode, c.settled = c.base, holding, true }

func (c *climber) tryUp() {
	c.mode, c.slots = probingUp, min(max(c.base+2, int(float64(c.base)*(1+c.step))), c.most)
	if c.slots <= c.base {
		c.fail()
	}
}

func (c *climber) tryDown() {
	c.mode, c.slots = probingDown, max(min(c.base-1, int(float64(c.base)*(1-.8*c.step))), c.least)
	if c.slots >= c.base {
		c.fail()
	}
}

// fail goes back to the best known point and waits longer before the next trial.
func (c *climber) fail() {
	c.mode, c.slots = holding, c.base
	c.fails++
	c.step = max(smallestStep, .6*c.step)
	c.hold = min(longestHold, c.hold*3/2)
}

// failing gives up slots while requests fail, and takes them back when that cost goodput and did not help: failures
// that have nothing to do with the number of requests must not starve the lane. It reports whether it decided.
func (c *climber) failing(m measure) bool {
	share := float64(m.failed) / float64(max(m.oks+m.refused+m.failed, 1))
	since := m.at - c.failedAt
	if m.failed < failureFloor || share <= failureShare || since < c.failPause {
		return false
	}
	if since > 2*c.failPause+longestHold { // long ago
		c.failPause, c.failedFrom = failurePause, 0
	}
	good := m.work / m.span
	missed := good < .85*c.failGood || float64(c.base) > .9*float64(c.failedFrom) // more slots did bring more
	if c.failedFrom > 0 && share > .75*c.failShare && missed {
		c.base = max(c.base, min(c.failedFrom, c.most))
		c.failedFrom, c.failPause = 0, min(2*c.failPause, failureRest)
	} else {
		c.failedFrom, c.failShare, c.failGood = c.base, share, good
		c.base = max(int(float64(min(c.base, c.slots))*failureCut), c.least)
	}
	c.failedAt = m.at
	c.slots, c.mode, c.g0, c.settled = c.base, holding, 0, true
	return true
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
