package keyspace

import (
	"strings"
	"unicode/utf8"
)

// maxPoint bounds a cut point in bytes: stores refuse longer keys.
const maxPoint = 1024

// Interval is the set of keys k that begin with Prefix, with Lo < k, and k <= Hi unless Hi is "". The zero value is
// the whole space.
type Interval struct {
	Prefix string
	Lo     string
	Hi     string
}

// Inside reports whether the interval can be cut at the point m: m lies strictly inside, below the prefix, is no
// longer than a key may be, and is valid UTF-8 (it travels in a URL).
func (iv Interval) Inside(m string) bool {
	return m > iv.Lo && (iv.Hi == "" || m < iv.Hi) && len(m) <= maxPoint &&
		strings.HasPrefix(m, iv.Prefix) && utf8.ValidString(m)
}

// covers reports whether the key lies in the interval.
func (iv Interval) covers(k string) bool {
	return k > iv.Lo && (iv.Hi == "" || k <= iv.Hi) && strings.HasPrefix(k, iv.Prefix)
}

// shared returns how many bytes all keys of the interval share at least, ending at a rune.
func (iv Interval) shared() int {
	if iv.Hi == "" {
		return len(iv.Prefix)
	}
	return max(len(iv.Prefix), common(iv.Lo, iv.Hi))
}

// common returns the length of the longest common prefix of a and b that ends at a rune.
func common(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	return runeStart(a, i)
}

// runeStart returns the largest offset not above i at which a rune of s begins.
func runeStart(s string, i int) int {
	for i > 0 && i < len(s) && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// next returns the code point after c, skipping the surrogates, and false behind the last one.
func next(c rune) (rune, bool) {
	switch {
	case c >= utf8.MaxRune:
		return 0, false
	case c == surrogateMin-1:
		return surrogateMax + 1, true
	default:
		return c + 1, true
	}
}

// The surrogates are no characters and cannot be written in UTF-8.
const (
	surrogateMin = 0xD800
	surrogateMax = 0xDFFF
)
