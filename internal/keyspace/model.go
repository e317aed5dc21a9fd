package keyspace

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of the places that are told apart; what lies beyond shares the last one.
const (
	maxDepth  = 16  // directories
	maxOffset = 256 // code points within a component
)

// Bounds of coordinates.
const (
	maxLevels   = 12 // code points behind the shared prefix that count
	resolution  = 6  // a midpoint is exact to this part of the width
	sampledKeys = 12 // keys of a page that are learned, besides the last
)

// Model is what the keys seen so far tell about where keys are: which code points occur at which place. With it a key
// is a number, roughly the share of all keys below it, and an interval has a width and a middle. The zero value knows
// nothing. It takes at most about 3 MB.
type Model struct {
	places [maxDepth * maxOffset]*alphabet
	global alphabet
	page   uint32
	merged []rune
}

// place is a position in a key.
type place struct{ depth, offset int }

func (p place) index() int {
	return min(p.depth, maxDepth-1)*maxOffset + min(p.offset, maxOffset-1)
}

// after returns the place behind the code point c.
func (p place) after(c rune) place {
	if c == '/' {
		return place{depth: p.depth + 1}
	}
	p.offset++
	return p
}

// behind returns the place behind the string s.
func behind(s string) place {
	slash := strings.LastIndexByte(s, '/')
	return place{depth: strings.Count(s, "/"), offset: utf8.RuneCountInString(s[slash+1:])}
}

// LearnPage learns from some keys of a page of n, spread over it. key returns the i-th; the model does not keep it.
func (m *Model) LearnPage(n int, key func(i int) string) {
	if n == 0 {
		return
	}
	m.page++
	for i := range min(n, sampledKeys) {
		m.learn(key(i * n / min(n, sampledKeys)))
	}
	m.learn(key(n - 1))
}

// Learn learns from one key, as from a page of its own.
func (m *Model) Learn(key string) {
	m.page++
	m.learn(key)
}

func (m *Model) learn(key string) {
	var depth, offset int
	for _, c := range key {
		if c == utf8.RuneError {
			offset++ // no text, or a character that stands for that
			continue
		}
		i := place{depth, offset}.index()
		a := m.places[i]
		if a == nil {
			a = &alphabet{}
			m.places[i] = a
		}
		if a.page != m.page {
			a.page = m.page
			a.pages++
		}
		if a.add(c) {
			m.global.add(c)
		}
		if offset++; c == '/' {
			depth, offset = depth+1, 0
		}
	}
}

// scale returns the alphabet of a place: its own set once that can be trusted, else with all symbols seen anywhere.
// It is valid until the next call.
func (m *Model) scale(p place) scale {
	a := m.places[p.index()]
	if a == nil {
		return m.global.symbols
	}
	if a.trusted() {
		return a.symbols
	}
	if now := uint64(a.version)<<32 | uint64(m.global.version); a.checked != now {
		a.checked = now
		a.within = subset(a.symbols, m.global.symbols)
	}
	if a.within {
		return m.global.symbols
	}
	m.merged = append(append(m.merged[:0], a.symbols...), m.global.symbols...)
	slices.Sort(m.merged)
	m.merged = slices.Compact(m.merged)
	return m.merged
}

// subset reports whether all of a, sorted, are in b, sorted.
func subset(a, b []rune) bool {
	for _, c := range a {
		i, found := slices.BinarySearch(b, c)
		if !found {
			return false
		}
		b = b[i+1:]
	}
	return true
}

// coordinate returns where s lies among the keys that begin with p: 0 at or below all of them, 1 above.
func (m *Model) coordinate(p, s string) float64 {
	if !strings.HasPrefix(s, p) {
		if s > p {
			return 1
		}
		return 0
	}
	x, size := 0., 1.
	at := behind(p)
	level := 0
	for _, c := range s[len(p):] {
		if level == maxLevels || size == 0 {
			break
		}
		from, part := m.scale(at).locate(c)
		x += size * from
		size *= part
		at = at.after(c)
		level++
	}
	return x
}

// bounds returns the coordinates of the interval's ends among the keys that begin with p.
func (m *Model) bounds(p string, iv Interval) (lo, hi float64) {
	if hi = 1; iv.Hi != "" {
		hi = m.coordinate(p, iv.Hi)
	}
	return m.coordinate(p, iv.Lo), hi
}

// prefix returns what all keys of the interval share.
func (iv Interval) prefix() string {
	n := iv.shared()
	if n <= len(iv.Prefix) {
		return iv.Prefix
	}
	return iv.Lo[:n]
}

// Width returns the share of the keys with the interval's common prefix that lie in it, between 0 and 1: an estimate.
func (m *Model) Width(iv Interval) float64 {
	lo, hi := m.bounds(iv.prefix(), iv)
	return max(0, hi-lo)
}

// Mid returns a point at which to cut the interval so that both halves have, by the estimate, about as many keys, or
// "" when there is none. It need not be a key.
func (m *Model) Mid(iv Interval) string {
	p := iv.prefix()
	lo, hi := m.bounds(p, iv)
	if width := hi - lo; width > 0 {
		for _, share := range [...]float64{.5, .7, .3, .85} {
			if mid := m.inverse(p, lo+share*width, width); iv.Inside(mid) {
				return mid
			}
		}
	}
	return iv.afterRune(len(p))
}

// inverse returns a short string that begins with p and has about the coordinate x: exact to a part of width.
func (m *Model) inverse(p string, x, width float64) string {
	var room [64]byte
	s := append(room[:0], p...)
	at := behind(p)
	size := 1.
	for range maxLevels {
		sc := m.scale(at)
		c, from, part, ok := sc.at(x)
		if !ok {
			if top := sc.top(); top >= 0 {
				s = utf8.AppendRune(s, top)
			}
			return string(utf8.AppendRune(s, utf8.MaxRune))
		}
		s = utf8.AppendRune(s, c)
		if size *= part; size*resolution < width {
			break
		}
		x = min(max(0, (x-from)/part), almostOne)
		at = at.after(c)
	}
	return string(s)
}

// almostOne keeps a rounded coordinate below 1.
const almostOne = 1 - 1e-12

// afterRune returns a point behind all keys that begin as Lo does up to one of its code points behind the offset from:
// the first such point inside the interval, "" when there is none.
func (iv Interval) afterRune(from int) string {
	if from > len(iv.Lo) {
		return ""
	}
	for i, c := range iv.Lo[from:] {
		after, ok := next(c)
		if !ok || c == utf8.RuneError {
			continue
		}
		if s := iv.Lo[:from+i] + string(after); iv.Inside(s) {
			return s
		}
	}
	return ""
}
