package guard

import (
	"math"
	"time"
)

// Constants of the pacer, chosen by simulation (docs/adr/0012-adaptive-concurrency.md).
const (
	shortestTick  = 250 * time.Millisecond
	longestTick   = time.Second
	tickRequests  = 60              // that should fall into a tick
	tolerated     = .02             // share of requests that may be refused
	refusedFloor  = 3               // refusals in a tick that count
	chronicAfter  = 2 * time.Second // after a cut
	chronicShare  = .75             // of what is tolerated in a tick
	cutPause      = 600 * time.Millisecond
	freshCut      = 3 * time.Second // a cut sooner after another corrects it
	nearCut       = time.Minute     // what was known of the limit is still worth something
	firstPlateau  = 6 * time.Second
	longPlateau   = 12 * time.Second
	cruise        = .985 // of the ceiling, on the plateau
	firstGrowth   = .1   // growth per second in the first seconds after the plateau
	firstFor      = 2 * time.Second
	laterGrowth   = .45
	climbBack     = .03 // of the ceiling, per second below it
	forgetAfter   = time.Minute
	vainCuts      = 4 // cuts in a row that do not lower the share of refusals
	vainWithin    = 10 * time.Second
	ignoreFirst   = time.Minute
	ignoreLongest = 10 * time.Minute
	slowest       = 1.  // requests per second
	burst         = .02 // seconds of the rate that may be sent at once
	longestPause  = time.Minute
)

// pacer finds the rate at which a store answers requests without refusing them: what it delivers while it refuses is
// what it can do.
type pacer struct {
	rate    float64       // requests per second to send; +Inf without a limit
	ceil    float64       // highest rate believed to be safe
	known   float64       // the store's limit as last seen; 0 unknown
	cutAt   time.Duration // last cut
	cuts    int           // ever
	plateau time.Duration
	at      time.Duration // last refusal

	// This tick.
	from             time.Duration
	oks, refusals    int64
	asked            time.Duration // longest Retry-After
	lastRate         float64       // delivered in the tick before
	lastRefused      bool          // so was something in the tick before
	delivered        float64       // in the last tick
	paused           time.Duration // nothing is sent before
	tokens           float64
	filled           time.Duration
	sinceOKs         int64 // since the last cut, without this tick
	sinceRefusals    int64
	vain             int           // cuts in a row without effect
	vainShare        float64       // share of refusals at the first of them
	ignored          float64       // share of refusals that have nothing to do with the rate
	ignoreUntil      time.Duration // when to look again
	ignoreFor        time.Duration
	refusedShareSeen bool // the last tick had more refusals than tolerated
}

func newPacer() pacer {
	return pacer{rate: math.Inf(1), ceil: math.Inf(1), cutAt: -nearCut, at: -nearCut, plateau: firstPlateau, ignoreFor: ignoreFirst}
}

// resume starts below a limit that was remembered.
func (p *pacer) resume(known float64, now time.Duration) {
	if known > 0 {
		p.known, p.ceil, p.rate = known, known, max(.95*known, slowest)
		p.cutAt, p.cuts, p.filled = now, 1, now
	}
}

func (p *pacer) limited() bool { return !math.IsInf(p.rate, 1) }

// binding reports whether the rate, and not the slots, is what holds requests back.
func (p *pacer) binding(now time.Duration) bool {
	return p.limited() && (now-p.at < 10*time.Second || p.delivered > .8*p.rate)
}

// take takes the right to send one request; false when it is not time yet.
func (p *pacer) take(now time.Duration) bool {
	if !p.limited() && now >= p.paused {
		return true
	}
	if now < p.paused {
		return false
	}
	p.fill(now)
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}

// giveBack returns a right that was not used.
func (p *pacer) giveBack() {
	if p.limited() {
		p.tokens++
	}
}

func (p *pacer) fill(now time.Duration) {
	p.tokens = min(p.tokens+(now-p.filled).Seconds()*p.rate, max(1, burst*p.rate))
	p.filled = now
}

// next is when take will succeed.
func (p *pacer) next(now time.Duration) time.Duration {
	at := max(now, p.paused)
	if p.limited() {
		p.fill(now)
		at = max(at, now+seconds(max(1-p.tokens, 0)/p.rate))
	}
	return at
}

// due is when the next tick is due: at low rates a short one would hold too few requests.
func (p *pacer) due() time.Duration {
	tick := shortestTick
	if p.delivered > 0 {
		tick = seconds(clamp(tickRequests/p.delivered, shortestTick.Seconds(), longestTick.Seconds()))
	}
	return p.from + tick
}

// ended books the end of a request that was sent at the instant.
func (p *pacer) ended(o Outcome, sent, now time.Duration) {
	switch o.verdict {
	case ok:
		p.oks++
	case refused:
		p.asked = max(p.asked, min(o.pause, longestPause))
		if p.cuts == 0 || sent >= p.cutAt {
			p.refusals++
			p.at = now
		}
	case neutral, broken:
	}
}

// spare forgets n refusals of this tick: they are due to something else than the rate.
func (p *pacer) spare(n int64) { p.refusals -= min(n, p.refusals) }

// tick looks at what happened since the last one, when it was due.
func (p *pacer) tick(now time.Duration) {
	span := (now - p.from).Seconds()
	share := float64(p.refusals) / float64(max(p.oks+p.refusals, 1))
	p.delivered = float64(p.oks) / span
	p.refusedShareSeen = share > p.threshold(now)
	if p.oks == 0 && p.asked > 0 {
		p.paused = now + p.asked // it wants nothing at all for a while
	}
	switch {
	case p.refusedShareSeen && p.refusals >= refusedFloor && (p.cuts == 0 || now-p.cutAt > cutPause):
		if p.lastRefused || share > .3 || p.rate > cruise*p.ceil {
			p.cut(now, share)
		}
	case p.chronic(now):
		p.cut(now, share)
	case p.limited():
		p.grow(now, min(span, 1))
	}
	p.sinceOKs, p.sinceRefusals = p.sinceOKs+p.oks, p.sinceRefusals+p.refusals
	p.lastRate, p.lastRefused = p.delivered, p.refusals > 0
	p.from, p.oks, p.refusals, p.asked = now, 0, 0, 0
}

// chronic reports few refusals all the time: the rate is a little too high.
func (p *pacer) chronic(now time.Duration) bool {
	oks, refusals := p.sinceOKs+p.oks, p.sinceRefusals+p.refusals
	return p.limited() && now-p.cutAt > chronicAfter && refusals > refusedFloor &&
		float64(refusals) > chronicShare*p.threshold(now)*float64(oks+refusals)
}

// threshold is the share of refusals that is put up with.
func (p *pacer) threshold(now time.Duration) float64 {
	if p.ignored > 0 && now < p.ignoreUntil {
		return tolerated + 2.5*p.ignored
	}
	return tolerated
}

// cut lowers the rate to what is delivered.
func (p *pacer) cut(now time.Duration, share float64) {
	if p.inVain(now, share) {
		return
	}
	c := p.delivered
	if p.lastRefused {
		c = (p.delivered + p.lastRate) / 2
	}
	since := now - p.cutAt
	if p.cuts == 0 {
		since = nearCut
	}
	if since >= freshCut {
		p.plateau = firstPlateauOr(p.plateau, c, p.known)
	}
	switch {
	case since < freshCut:
		p.ceil = min(p.ceil, p.delivered)
		p.rate = .9 * p.ceil
	case since < nearCut && c > .6*p.known && c < 1.5*p.known:
		p.ceil = .5*p.known + .5*min(c, 1.2*p.known)
		p.rate = .95 * p.ceil
	default:
		p.ceil = c
		p.rate = .95 * p.ceil
	}
	p.ceil, p.rate = max(p.ceil, slowest), max(p.rate, slowest)
	p.known, p.cutAt = p.ceil, now
	p.cuts++
	p.tokens, p.filled = 0, now
}

// firstPlateauOr waits longer each time the limit turns out to be where it was.
func firstPlateauOr(plateau time.Duration, c, known float64) time.Duration {
	if known > 0 && math.Abs(c/known-1) < .25 {
		return min(longPlateau, plateau*3/2)
	}
	return firstPlateau
}

// inVain finds out whether cutting does anything. A limit stops refusing below it; refusals at any rate are no limit
// of the rate and are ignored for a while.
func (p *pacer) inVain(now time.Duration, share float64) bool {
	since := float64(p.sinceRefusals) / float64(max(p.sinceOKs+p.sinceRefusals, 1))
	p.sinceOKs, p.sinceRefusals = 0, 0
	if p.cuts > 0 && now-p.cutAt < vainWithin && since > .6*p.vainShare {
		p.vain++
	} else {
		p.vain, p.vainShare = 1, share
	}
	if p.vain <= vainCuts {
		return false
	}
	if p.ignored > 0 && now-p.ignoreUntil < nearCut {
		p.ignoreFor = min(2*p.ignoreFor, ignoreLongest)
	} else {
		p.ignoreFor = ignoreFirst
	}
	p.ignored, p.ignoreUntil = share, now+p.ignoreFor
	p.vain = 0
	p.free()
	p.known = 0
	return true
}

// free lifts the limit.
func (p *pacer) free() { p.rate, p.ceil = math.Inf(1), math.Inf(1) }

// grow raises the rate with time, and lifts it where it holds nothing back.
func (p *pacer) grow(now time.Duration, span float64) {
	since := now - p.cutAt
	if p.delivered < .5*p.rate && now-p.at >= forgetAfter && since >= forgetAfter {
		p.free()
		return
	}
	if p.delivered <= .8*p.rate {
		return
	}
	p.fill(now)
	switch {
	case since < p.plateau:
		p.rate = max(p.rate, min(p.rate+climbBack*p.ceil*span, cruise*p.ceil))
	case since < p.plateau+firstFor:
		p.rate *= 1 + firstGrowth*span
	default:
		p.rate *= 1 + laterGrowth*span
		p.ceil = max(p.ceil, .8*p.rate)
	}
}
