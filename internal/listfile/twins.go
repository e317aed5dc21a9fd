package listfile

import (
	"cmp"
	"hash/maphash"
	"slices"
)

// Bounds of the search for twins.
const (
	twinPairs = 2 << 20 // lines remembered at a time, in 16 bytes each
	twinParts = 16      // passes at most
	twinTells = 16      // suspects looked at more closely
)

// Twins finds names that lists of URLs give to more than one URL: only one of the copies could stay (rule D3). It is
// told of every line, and again of every line for as long as More says so: its memory is bounded at 32 MiB and what growing costs, so that long
// lists take a few passes, each over the names of another part of all hashes. Lists of more than about 32 million names
// are not compared to their end.
type Twins struct {
	seed     maphash.Seed
	most     int // pairs
	part     uint64
	parts    uint64 // a power of two
	pairs    []pair
	tooMany  bool
	suspects []uint64
}

// pair is a line by its hashes.
type pair struct{ name, url uint64 }

// NewTwins returns Twins that know of no line.
func NewTwins() *Twins { return &Twins{seed: maphash.MakeSeed(), most: twinPairs, parts: 1} }

// Add is told of a line.
func (t *Twins) Add(name []byte, url string) {
	h := maphash.Bytes(t.seed, name)
	if t.tooMany || h%t.parts != t.part {
		return
	}
	if len(t.pairs) >= t.most && t.part == 0 { // later passes have about as many names as the first
		t.narrow()
		if t.tooMany || h%t.parts != t.part {
			return
		}
	}
	t.pairs = append(t.pairs, pair{h, maphash.String(t.seed, url)})
}

// narrow makes room: of repetitions one is kept, and while that is not enough half of the hashes is left to a later pass.
func (t *Twins) narrow() {
	t.compare()
	for len(t.pairs) > t.most*3/4 {
		if t.parts == twinParts {
			t.tooMany, t.pairs = true, nil
			return
		}
		t.parts *= 2
		t.pairs = slices.DeleteFunc(t.pairs, func(p pair) bool { return p.name%t.parts != 0 })
	}
}

// compare looks for twins among what is remembered, and keeps one line of each name.
func (t *Twins) compare() {
	slices.SortFunc(t.pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.url, b.url)) })
	for i := 1; i < len(t.pairs) && len(t.suspects) < twinTells; i++ {
		if a, b := t.pairs[i-1], t.pairs[i]; a.name == b.name && a.url != b.url {
			t.suspects = append(t.suspects, a.name)
		}
	}
	t.pairs = slices.CompactFunc(t.pairs, func(a, b pair) bool { return a.name == b.name })
}

// More ends a pass over all lines and reports whether another is needed.
func (t *Twins) More() bool {
	t.compare()
	t.pairs = t.pairs[:0]
	if len(t.suspects) > 0 || t.tooMany {
		return false
	}
	t.part++
	return t.part < t.parts
}

// Suspects reports whether some names seem to have more than one URL. Hashes may agree by chance: Suspect tells for which
// lines names and URLs are to be compared themselves.
func (t *Twins) Suspects() bool { return len(t.suspects) > 0 }

// Suspect reports whether the name is one that seems to have more than one URL.
func (t *Twins) Suspect(name []byte) bool {
	return slices.Contains(t.suspects, maphash.Bytes(t.seed, name))
}
