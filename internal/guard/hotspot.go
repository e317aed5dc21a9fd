package guard

import (
	"slices"
	"strings"
	"time"
)

// Constants of the parts of a bucket. A store that divides its buckets by prefix refuses what goes to one part too fast
// while the others have room.
const (
	partLevels   = 2  // path levels that name a part
	partShare    = .8 // of the refusals that one part must have, and of the requests that it must not
	partRefusals = 5  // that say something about a part
	mostParts    = 16 // with a rate of their own
	mostSuspects = 64 // whose refusals are counted
	suspectFor   = 2 * time.Second
	turnsAhead   = 2 * time.Second // that are given to callers
	turnLater    = 250 * time.Millisecond
)

// hotspots finds the parts of a bucket that a store refuses while it answers the others, and keeps rates for them. The
// zero value knows none.
type hotspots struct {
	suspects map[string]*tally // by part; nil while nothing is refused
	since    time.Duration     // that suspects are counted
	all      tally
	parts    map[string]*hotPart
}

// tally counts requests that ended.
type tally struct{ oks, refusals int64 }

func (t *tally) add(o Outcome) {
	switch o.verdict {
	case ok:
		t.oks++
	case refused:
		t.refusals++
	case neutral, broken:
	}
}

// hotPart is a part with a rate of its own.
type hotPart struct {
	pace pacer
	next time.Duration // first turn that nobody has
	used time.Duration // when a request for it last ended
}

// partOf returns the first path levels of the key: what names its part. A key without levels is in no part.
func partOf(key string) string {
	end := 0
	for range partLevels {
		i := strings.IndexByte(key[end:], '/')
		if i < 0 {
			break
		}
		end += i + 1
	}
	return key[:end]
}

// part returns the hot part that the key lies in, or nil.
func (h *hotspots) part(key string) *hotPart {
	if len(h.parts) == 0 {
		return nil
	}
	return h.parts[partOf(key)]
}

// ended books the end of a request for the key that was sent at the instant. It reports whether that says something
// about a hot part only.
func (h *hotspots) ended(key string, o Outcome, sent, now time.Duration) bool {
	if p := h.part(key); p != nil {
		p.pace.ended(o, sent, now)
		p.used = now
		h.tick(partOf(key), p, now)
		return o.verdict == refused
	}
	if h.suspects == nil && o.verdict != refused {
		return false
	}
	if h.suspects == nil {
		h.suspects, h.since, h.all = make(map[string]*tally), now, tally{}
	}
	h.all.add(o)
	name := partOf(key)
	t := h.suspects[name]
	if t == nil && name != "" && o.verdict == refused && len(h.suspects) < mostSuspects {
		t = new(tally)
		h.suspects[strings.Clone(name)] = t // the key may be a piece of a page
	}
	if t != nil {
		t.add(o)
	}
	return false
}

// tick lets the pacer of a part look at what happened, when that is due. A part whose rate is not limited any more, or
// that nobody has asked for anything for long, is like all others.
func (h *hotspots) tick(name string, p *hotPart, now time.Duration) {
	if now < p.pace.due() {
		return
	}
	p.pace.tick(now)
	if !p.pace.limited() || now-p.used > forgetAfter {
		delete(h.parts, name)
	}
}

// judge gives the part that has nearly all refusals, and is not nearly all there is, a rate of its own. It returns how
// many refusals since the instant are that part's.
func (h *hotspots) judge(now time.Duration) int64 {
	if h.suspects == nil {
		return 0
	}
	name, worst := h.worst()
	if worst == nil {
		if now-h.since > suspectFor {
			h.suspects = nil
		}
		return 0
	}
	p := &hotPart{pace: newPacer(), used: now}
	span := max(now-h.since, time.Millisecond)
	p.pace.from, p.pace.filled = now-span, now
	p.pace.oks, p.pace.refusals = worst.oks, worst.refusals
	p.pace.lastRefused, p.pace.lastRate = true, float64(worst.oks)/span.Seconds()
	p.pace.tick(now)
	h.suspects = nil
	if !p.pace.limited() {
		return 0
	}
	if h.parts == nil {
		h.parts = make(map[string]*hotPart)
	}
	h.parts[name] = p
	return worst.refusals
}

// worst returns the part that the refusals are due to, nil when there is none.
func (h *hotspots) worst() (name string, worst *tally) {
	if h.all.refusals < partRefusals || len(h.parts) >= mostParts {
		return "", nil
	}
	for n, t := range h.suspects {
		own, all := float64(t.oks+t.refusals), float64(h.all.oks+h.all.refusals)
		if float64(t.refusals) > partShare*float64(h.all.refusals) && own < partShare*all && float64(t.refusals) > tolerated*own {
			return n, t
		}
	}
	return "", nil
}

// turn returns how long the caller has to wait before it sends a request for the key; false: how long before it asks
// again.
func (h *hotspots) turn(key string, now time.Duration) (wait time.Duration, ok bool) {
	p := h.part(key)
	if p == nil {
		return 0, true
	}
	h.tick(partOf(key), p, now)
	switch {
	case h.part(key) == nil:
		return 0, true
	case now < p.pace.paused:
		return min(p.pace.paused-now, turnLater), false
	}
	at := max(now, p.next)
	if at-now > turnsAhead {
		return turnLater, false
	}
	p.next = at + seconds(1/p.pace.rate)
	return at - now, true
}

// Part is a part of a bucket that a store refuses while it answers the others.
type Part struct {
	Prefix string
	Rate   float64 // requests per second that are allowed
}

// list returns the hot parts in order.
func (h *hotspots) list() []Part {
	list := make([]Part, 0, len(h.parts))
	for name, p := range h.parts {
		list = append(list, Part{Prefix: name, Rate: p.pace.rate})
	}
	slices.SortFunc(list, func(a, b Part) int { return strings.Compare(a.Prefix, b.Prefix) })
	return list
}
