package keyspace

import (
	"slices"
	"sort"
	"unicode/utf8"
)

// Bounds of what is learned.
const (
	maxSymbols   = 96
	thinned      = maxSymbols / 2 // a set of this size has been thinned: it is a sample of what occurs
	gapKnown     = .05            // share of a slot for the code points between two symbols
	gapThinned   = .8             // the same in a thinned set, where most of what occurs lies between
	trustedPages = 24             // pages that make a place's own set complete,
	stillGrowing = 2              // unless it got a symbol after this part of them
)

// alphabet is the sorted set of code points seen at a place, every second one dropped whenever it is full.
type alphabet struct {
	symbols []rune
	ascii   [2]uint64 // the symbols below 128, for a fast look
	version uint32    // grows with every change
	pages   uint32    // pages in which the place was seen
	page    uint32    // the last of them
	grown   uint32    // pages when the last symbol came

	within  bool   // all symbols are in the global set, as of
	checked uint64 // these versions of the two sets
}

// add puts c into the set and reports whether it was not there.
func (a *alphabet) add(c rune) bool {
	if c < utf8.RuneSelf {
		if a.ascii[c>>6]&(1<<(c&63)) != 0 {
			return false
		}
	}
	at, found := slices.BinarySearch(a.symbols, c)
	if found {
		return false
	}
	a.symbols = slices.Insert(a.symbols, at, c)
	a.version++
	a.grown = a.pages
	if len(a.symbols) > maxSymbols {
		a.thin()
	} else if c < utf8.RuneSelf {
		a.ascii[c>>6] |= 1 << (c & 63)
	}
	return true
}

// trusted reports whether the set can be taken for all that occurs at its place. Many pages are not enough: they may
// all lie in one directory, and the set of another that is entered later grows again.
func (a *alphabet) trusted() bool {
	return len(a.symbols) > 1 && a.pages >= trustedPages && (a.pages >= stillGrowing*a.grown || len(a.symbols) >= thinned)
}

// thin drops every second symbol.
func (a *alphabet) thin() {
	kept := a.symbols[:0]
	a.ascii = [2]uint64{}
	for i := 0; i < len(a.symbols); i += 2 {
		c := a.symbols[i]
		kept = append(kept, c)
		if c < utf8.RuneSelf {
			a.ascii[c>>6] |= 1 << (c & 63)
		}
	}
	a.symbols = kept
}

// scale is the division of [0, 1) among code points by a set of n symbols: n+1 equal slots. Slot k covers the code
// points from symbol k up to symbol k+1; the symbol itself has all of it but the share of the unknown ones between.
// The last slot is what lies above all symbols. What lies below all symbols has no share.
type scale []rune

// gap returns how many code points lie between symbol k and the next, and their share of the slot.
func (s scale) gap(k int) (points, share float64) {
	if k == len(s)-1 || s[k+1] == s[k]+1 {
		return 0, 0
	}
	if len(s) >= thinned {
		return float64(s[k+1] - s[k] - 1), gapThinned
	}
	return float64(s[k+1] - s[k] - 1), gapKnown
}

// top returns the greatest symbol, -1 when there is none.
func (s scale) top() rune {
	if len(s) == 0 {
		return -1
	}
	return s[len(s)-1]
}

// locate returns the part [from, from+size) that belongs to c.
func (s scale) locate(c rune) (from, size float64) {
	unit := 1 / float64(len(s)+1)
	if top := s.top(); c > top {
		points := float64(utf8.MaxRune - top)
		return (float64(len(s)) + float64(c-top-1)/points) * unit, unit / points
	}
	k := sort.Search(len(s), func(i int) bool { return s[i] > c }) - 1
	if k < 0 {
		return 0, 0
	}
	points, share := s.gap(k)
	if c == s[k] {
		return float64(k) * unit, (1 - share) * unit
	}
	return (float64(k) + 1 - share + share*float64(c-s[k]-1)/points) * unit, share * unit / points
}

// at returns the code point that x in [0, 1) belongs to, and its part; false in the last slot.
func (s scale) at(x float64) (c rune, from, size float64, ok bool) {
	k := int(x * float64(len(s)+1))
	if k >= len(s) {
		return 0, 0, 0, false
	}
	c = s[k]
	points, share := s.gap(k)
	if in := x*float64(len(s)+1) - float64(k) - (1 - share); in >= 0 && points > 0 {
		c += 1 + rune(min(in/share*points, points-1))
		if c >= surrogateMin && c <= surrogateMax {
			c = surrogateMax + 1
			if k+1 < len(s) {
				c = min(c, s[k+1])
			}
		}
	}
	from, size = s.locate(c)
	return c, from, size, true
}
