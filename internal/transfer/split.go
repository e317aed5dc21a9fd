package transfer

import (
	"strings"
	"unicode/utf8"
)

// Bounds of the printable ASCII bytes that split points are made of.
const (
	lowByte  = 0x1f // below the first printable byte
	highByte = 0x7f // above the last
)

// maxDepth bounds the length of a made-up split point: stores refuse keys over 1,024 bytes.
const maxDepth = 1000

// splitPoint returns a string strictly between lo and hi (hi "": no bound among the keys with prefix) at which the
// interval can be cut, or "". It need not be a key. tries alternates between the ways to find one; first and last
// are the bounds of the page listed last.
func splitPoint(lo, hi, prefix, first, last string, tries int) string {
	points := [2]string{byteMiddle(lo, hi, prefix), behindSubtree(lo, hi, first, last)}
	for i := range points {
		if p := points[(tries+i)%len(points)]; p > lo && (hi == "" || p < hi) && utf8.ValidString(p) && strings.HasPrefix(p, prefix) {
			return p
		}
	}
	return ""
}

// byteMiddle returns the middle by printable bytes, as deep as it must go to find room.
func byteMiddle(lo, hi, prefix string) string {
	depth := commonPrefix(lo, hi)
	if hi == "" {
		depth = len(prefix)
	}
	upper := highByte
	if hi != "" && depth < len(hi) {
		upper = min(int(hi[depth]), highByte)
	}
	for ; depth <= min(len(lo), maxDepth); depth++ {
		lower := lowByte
		if depth < len(lo) {
			lower = max(int(lo[depth]), lowByte)
		}
		if upper-lower >= 2 {
			return lo[:depth] + string(rune((lower+upper)/2))
		}
		upper = highByte // below this byte of lo everything up to the last printable byte is free
	}
	return ""
}

// behindSubtree returns a point behind the subtree that holds the page first..last, half-way in depth between what
// the interval's ends share and what the page's keys share.
func behindSubtree(lo, hi, first, last string) string {
	deep := commonPrefix(first, last)
	shallow := min(commonPrefix(lo, hi), deep)
	return first[:(shallow+deep+1)/2] + string(utf8.MaxRune)
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
