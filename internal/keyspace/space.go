package keyspace

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// The rules of stealing.
const (
	gain       = 8   // never believe in more than this many times the pages that a range has proved
	maxScore   = 1e9 // of a range whose page has no width
	minScore   = 2   // pages that a range must be worth to be cut
	maxCuts    = 8   // cuts of a range between two of its pages
	patience   = .85 // what a range is worth after a cut that has not proved good
	waste      = .25 // empty pages allowed per useful one
	wasteIdle  = 1.  // the same while hardly a walker works
	freeProbes = 8
	probeShare = .02 // of all requests
)

// Range is an interval that a walker is listing, and what its pages have proved. It is made by [Space.Start] and
// [Space.Cut].
type Range struct {
	Interval // Lo is the last key delivered; Hi shrinks when the tail is cut off

	first  string // of the last page delivered; the last is Lo
	pages  int
	cuts   int // since the last page
	tries  int // cuts since one whose thief found a full page
	score  float64
	trust  float64 // patience to the power of tries
	parent *Range  // it was cut off, until its first page
}

// Page is a page as it was listed: N keys, ascending, all above the range's Lo.
type Page struct {
	N         int
	Key       func(i int) string // the i-th key
	Truncated bool               // there may be more behind it
}

// Space is one key space being listed by up to a number of walkers: the ranges that are being listed and all that
// was learned. It is made by [New].
type Space struct {
	model Model
	hints Hints
	live  []*Range

	walkers int
	useful  int // pages that held a key of their range
	empties int // first pages of thieves that held none
	probes  int
	probing int
	sample  sample
	known   []string   // as New got them, as many as are kept
	begun   []Interval // that walkers began, thieves' tails excepted
}

// New returns a space for at most the given number of walkers, at least one. known are boundaries from an earlier run,
// as [Space.Boundaries] returned them; none is fine, and wrong ones only cost requests.
func New(walkers int, known []string) *Space {
	s := &Space{walkers: max(1, walkers), known: slices.Clone(known)}
	for len(s.known) > maxHints {
		s.known = everySecond(s.known)
	}
	s.hints.Add(s.known...)
	return s
}

// Start says that a walker begins to list the interval. It must not overlap with that of any other live range.
func (s *Space) Start(iv Interval) *Range {
	s.begun = append(s.begun, iv)
	return s.start(iv)
}

func (s *Space) start(iv Interval) *Range {
	r := &Range{Interval: iv, trust: 1}
	s.live = append(s.live, r)
	return r
}

// Stop says that nobody lists the range any more, for any reason. It is no error to stop a range that has ended.
func (s *Space) Stop(r *Range) {
	if i := slices.Index(s.live, r); i >= 0 {
		s.live = slices.Delete(s.live, i, i+1)
	}
}

// Page says that a page of r has arrived. The first n keys are r's and are delivered; the others belong to ranges
// that were cut off and are dropped. ended reports that r is listed to its end: it is no longer live.
func (s *Space) Page(r *Range, page Page) (n int, ended bool) {
	n = page.N
	if r.Hi != "" {
		n = sort.Search(page.N, func(i int) bool { return page.Key(i) > r.Hi })
	}
	ended = n < page.N || !page.Truncated
	s.model.LearnPage(page.N, page.Key)
	if n > 0 {
		s.useful++
	}
	if r.parent != nil {
		s.judge(r, n, ended)
	}
	if page.N > 0 {
		s.hints.Discover(r.Prefix, page.Key(page.N-1))
	}
	if n > 0 {
		r.first, r.Lo = strings.Clone(page.Key(0)), strings.Clone(page.Key(n-1))
		r.pages++
		s.sample.add(r.Lo)
	}
	r.cuts = 0
	if ended {
		s.Stop(r)
		return n, true
	}
	s.rescore(r)
	return n, false
}

// judge takes the first page of a thief, of which n keys are its own, as the verdict on the cut: the victim is trusted
// again only if the page was full, for otherwise the cut was too far to the right.
func (s *Space) judge(thief *Range, n int, ended bool) {
	switch {
	case !ended:
		thief.parent.tries, thief.parent.trust = 0, 1
	case n == 0:
		s.empties++
	}
	thief.parent = nil
}

// rescore estimates how many pages r still has: as many as the last page fits into what is left, but no more than
// its history makes credible.
func (s *Space) rescore(r *Range) {
	if r.pages == 0 {
		return
	}
	whole := r.Interval
	whole.Lo = r.first
	p := whole.prefix()
	from := s.model.coordinate(p, r.first)
	lo, hi := s.model.bounds(p, r.Interval)
	r.score = maxScore
	if lo > from {
		r.score = (hi - lo) / (lo - from)
	}
	r.score = min(r.score, gain*float64(r.pages))
}

// NextProbe returns a directory whose listing with the delimiter "/" may give boundaries, while such requests are
// few. Its first page is enough; [Space.Probed] takes what came of it.
func (s *Space) NextProbe() (dir string, ok bool) {
	if float64(s.probes) >= freeProbes+probeShare*float64(s.useful+s.empties) {
		return "", false
	}
	if dir, ok = s.hints.NextProbe(); ok {
		s.probes++
		s.probing++
	}
	return dir, ok
}

// Probed says that a probe of dir has ended, with the common prefixes that it found: none when it failed.
func (s *Space) Probed(dir string, found []string) {
	s.probing--
	if s.hints.full(len(found)) {
		s.forget()
	}
	s.hints.Probed(dir, found)
}

// forget drops the boundaries that lie in no live range.
func (s *Space) forget() {
	rest := slices.SortedFunc(slices.Values(s.live), func(a, b *Range) int { return cmp.Compare(a.Lo, b.Lo) })
	s.hints.keep(func(point string) bool {
		for len(rest) > 0 && rest[0].Hi != "" && rest[0].Hi <= point {
			rest = rest[1:]
		}
		return len(rest) > 0 && rest[0].Inside(point)
	})
}

// Steal returns the range whose tail an idle walker should take, and where that tail begins: strictly inside the
// range. It reports false when there is nothing worth it now; every page may change that.
func (s *Space) Steal() (victim *Range, at string, ok bool) {
	for !s.wasteful() {
		v := s.richest()
		if v == nil {
			return nil, "", false
		}
		at := s.cutPoint(v)
		v.tries++
		v.trust *= patience
		if at != "" {
			return v, at, true
		}
		v.score = 0
	}
	return nil, "", false
}

// wasteful reports whether too many thieves found nothing.
func (s *Space) wasteful() bool {
	allowed := waste
	if len(s.live)+s.probing < (s.walkers+3)/4 {
		allowed = wasteIdle
	}
	return float64(s.empties) > allowed*float64(s.useful)+float64(s.walkers)
}

// richest returns the range most worth to be cut, nil when none is.
func (s *Space) richest() (best *Range) {
	most := 0.
	for _, r := range s.live {
		if r.pages == 0 || r.cuts >= maxCuts || r.score <= minScore {
			continue
		}
		if worth := r.score * r.trust; worth > most {
			best, most = r, worth
		}
	}
	return best
}

// cutPoint returns where to cut r: a known boundary, else by three rules in turn, so that one that is wrong about
// these keys does not stay the only one. "" when no rule finds a point.
func (s *Space) cutPoint(r *Range) string {
	if m := s.hints.Median(r.Interval); m != "" {
		return m
	}
	for i := range 3 {
		var m string
		switch (r.tries + i) % 3 {
		case 0:
			m = s.model.Mid(r.Interval)
		case 1:
			m = geoCut(r.Interval, r.first, r.Lo)
		default:
			if m = byteMid(r.Interval); m == "" {
				m = s.model.Mid(r.Interval)
			}
		}
		if m != "" {
			return m
		}
	}
	return ""
}

// Cut cuts the tail (at, Hi] off victim and returns it as a live range, nil when victim can no longer be cut there
// because its walker has passed the point or has ended.
func (s *Space) Cut(victim *Range, at string) *Range {
	if !victim.Inside(at) || !slices.Contains(s.live, victim) {
		return nil
	}
	at = strings.Clone(at)
	victim.cuts++
	victim.score /= 2
	thief := s.start(Interval{Prefix: victim.Prefix, Lo: at, Hi: victim.Hi})
	thief.score, thief.parent = victim.score, victim
	victim.Hi = at
	return thief
}

// Boundaries returns at most 1,024 keys, ascending, that divide the space into roughly equal parts: what [New] should
// be told when it is listed again. They are of the pages of this listing, and, where nobody has listed, those known
// before.
func (s *Space) Boundaries() []string {
	keys := s.sample.sorted()
	for _, k := range s.known {
		if !slices.ContainsFunc(s.begun, func(iv Interval) bool { return iv.covers(k) }) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for len(keys) > maxSample {
		keys = everySecond(keys)
	}
	return keys
}
