package keyspace

import (
	"cmp"
	"hash/fnv"
	"slices"
	"sort"
	"strings"
)

// Bounds of what is remembered.
const (
	maxHints     = 16384
	maxHintBytes = 2 << 20
	maxQueue     = 64
	maxProbed    = 1 << 15
)

// Hints are boundaries that are known to separate keys, and the directories worth asking for more. The zero value
// knows none.
type Hints struct {
	points []string // sorted
	bytes  int
	queue  []string
	known  map[uint64]struct{} // hashes of the directories ever queued
}

// Add adds boundaries in any order. When there are too many, every second one is forgotten.
func (h *Hints) Add(points ...string) {
	if len(points) > maxHints {
		points = points[:maxHints]
	}
	for _, p := range points {
		if p != "" && len(p) <= maxPoint {
			h.points = append(h.points, strings.Clone(p))
		}
	}
	slices.Sort(h.points)
	h.points = slices.Compact(h.points)
	h.count()
	for len(h.points) > maxHints || h.bytes > maxHintBytes {
		h.keep(func(i int) bool { return i%2 == 1 })
	}
}

// keep forgets the points that want does not name by index.
func (h *Hints) keep(want func(i int) bool) {
	kept := h.points[:0]
	for i, p := range h.points {
		if want(i) {
			kept = append(kept, p)
		}
	}
	clear(h.points[len(kept):])
	h.points = kept
	h.count()
}

func (h *Hints) count() {
	h.bytes = 0
	for _, p := range h.points {
		h.bytes += len(p)
	}
}

// Len returns how many boundaries are known.
func (h *Hints) Len() int { return len(h.points) }

// Median returns the middle one of the boundaries strictly inside the interval, "" when there is none.
func (h *Hints) Median(iv Interval) string {
	inside := h.inside(iv)
	if len(inside) == 0 {
		return ""
	}
	if m := inside[len(inside)/2]; iv.Inside(m) {
		return m
	}
	return ""
}

// inside returns the boundaries strictly inside the interval.
func (h *Hints) inside(iv Interval) []string {
	lo := sort.Search(len(h.points), func(i int) bool { return h.points[i] > iv.Lo && h.points[i] > iv.Prefix })
	n := sort.Search(len(h.points)-lo, func(i int) bool {
		p := h.points[lo+i]
		return iv.Hi != "" && p >= iv.Hi || !strings.HasPrefix(p, iv.Prefix)
	})
	return h.points[lo : lo+n]
}

// Discover queues the directories below prefix that key lies in, and prefix itself, unless they were queued before
// or the queue is full.
func (h *Hints) Discover(prefix, key string) {
	if !strings.HasPrefix(key, prefix) {
		return
	}
	h.enqueue(prefix)
	for i := len(prefix); i < len(key); i++ {
		if key[i] == '/' {
			h.enqueue(key[:i+1])
		}
	}
}

func (h *Hints) enqueue(dir string) {
	if len(h.queue) == maxQueue || len(h.known) == maxProbed {
		return
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(dir)) // never fails
	id := hash.Sum64()
	if _, ok := h.known[id]; ok {
		return
	}
	if h.known == nil {
		h.known = make(map[uint64]struct{})
	}
	h.known[id] = struct{}{}
	h.queue = append(h.queue, strings.Clone(dir))
}

// NextProbe takes the directory off the queue that is worth probing most: the shallowest, of those the oldest. It
// reports false when there is none.
func (h *Hints) NextProbe() (dir string, ok bool) {
	if len(h.queue) == 0 {
		return "", false
	}
	dir = slices.MinFunc(h.queue, func(a, b string) int { return cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")) })
	i := slices.Index(h.queue, dir)
	h.queue = slices.Delete(h.queue, i, i+1)
	return dir, true
}
