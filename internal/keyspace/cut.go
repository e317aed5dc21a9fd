package keyspace

import (
	"encoding/binary"
	"unicode/utf8"
)

// geoCut returns the point behind a subtree half-way in depth between what the interval's keys share and what the
// keys of the page first..last share: a few cuts find the branching of a prefix of any length. "" when there is none.
func geoCut(iv Interval, first, last string) string {
	deep := common(first, last)
	n := min((iv.shared()+deep+1)/2, deep)
	for n < deep && !utf8.RuneStart(first[n]) {
		n++
	}
	if m := first[:n] + string(utf8.MaxRune); iv.Inside(m) {
		return m
	}
	return ""
}

// byteMid returns the middle of the interval by bytes, whatever the keys look like, cut short where it is above Lo
// already; "" when that is no valid point.
func byteMid(iv Interval) string {
	p := iv.prefix()
	lo, hi := number(iv.Lo, len(p)), ^uint64(0)
	if iv.Hi != "" {
		hi = number(iv.Hi, len(p))
	}
	if hi <= lo {
		return ""
	}
	var digits [8]byte
	binary.BigEndian.PutUint64(digits[:], lo+(hi-lo)/2)
	for n := 1; n <= len(digits); n++ {
		if m := p + string(digits[:n]); iv.Inside(m) {
			return m
		}
	}
	return ""
}

// number returns the eight bytes of s from the offset on as a number.
func number(s string, from int) uint64 {
	var digits [8]byte
	if from < len(s) {
		copy(digits[:], s[from:])
	}
	return binary.BigEndian.Uint64(digits[:])
}
