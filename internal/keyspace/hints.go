package keyspace

import (
	"cmp"
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
	maxBarren    = 4 // probes at a depth that may find nothing before none is made there any more
)

// Hints are boundaries that are known to separate keys, and the directories worth asking for more. The zero value
// knows none.
type Hints struct {
	points []string            // ascending
	bytes  int                 // of all points
	queue  []string            // directories to probe
	known  map[uint64]struct{} // hashes of all directories ever queued
	depths [maxDepth + 1]yield
}

// yield is what the probes of directories at one depth have brought.
type yield struct {
	fruitful bool
	barren   int // probes that found nothing
}

// futile reports whether directories so deep hold no others, as far as one knows.
func (y yield) futile() bool { return !y.fruitful && y.barren >= maxBarren }

// depthOf returns the number of directories in a name, at most maxDepth.
func depthOf(dir string) int { return min(strings.Count(dir, "/"), maxDepth) }

// Add adds boundaries, in any order. When there are too many, every second one is forgotten.
func (h *Hints) Add(points ...string) {
	fresh := make([]string, 0, min(len(points), maxHints))
	for _, p := range points[:min(len(points), maxHints)] {
		if p != "" && len(p) <= maxPoint {
			fresh = append(fresh, strings.Clone(p))
		}
	}
	if len(fresh) == 0 {
		return
	}
	slices.Sort(fresh)
	// Siblings have few others between them: only those are merged.
	lo, _ := slices.BinarySearch(h.points, fresh[0])
	hi, found := slices.BinarySearch(h.points, fresh[len(fresh)-1])
	if found {
		hi++
	}
	h.bytes -= size(h.points[lo:hi])
	fresh = append(fresh, h.points[lo:hi]...)
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	h.bytes += size(fresh)
	h.points = slices.Replace(h.points, lo, hi, fresh...)
	for h.full(0) {
		i := 0
		h.keep(func(string) bool { i++; return i%2 == 0 })
	}
}

// full reports whether n more boundaries may be too many.
func (h *Hints) full(n int) bool { return len(h.points)+n > maxHints || h.bytes > maxHintBytes }

// keep forgets the boundaries that are not wanted. It asks for each once, in ascending order.
func (h *Hints) keep(wanted func(point string) bool) {
	h.points = slices.DeleteFunc(h.points, func(p string) bool { return !wanted(p) })
	h.bytes = size(h.points)
}

// size returns the bytes of all the strings.
func size(texts []string) (n int) {
	for _, s := range texts {
		n += len(s)
	}
	return n
}

// Median returns the middle one of the boundaries strictly inside the interval, "" when there is none.
func (h *Hints) Median(iv Interval) string {
	lo := sort.Search(len(h.points), func(i int) bool { return h.points[i] > iv.Lo && h.points[i] > iv.Prefix })
	n := sort.Search(len(h.points)-lo, func(i int) bool {
		p := h.points[lo+i]
		return iv.Hi != "" && p >= iv.Hi || !strings.HasPrefix(p, iv.Prefix)
	})
	if n == 0 {
		return ""
	}
	if m := h.points[lo+n/2]; iv.Inside(m) {
		return m
	}
	return ""
}

// Discover queues the directories below prefix that key lies in, and prefix itself, unless they were queued before,
// are too deep, or the queue is full. Neither string is kept.
func (h *Hints) Discover(prefix, key string) {
	if !strings.HasPrefix(key, prefix) {
		return
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	id, depth := uint64(offset), 0
	for i := 0; i <= len(key) && depth < maxDepth && len(h.queue) < maxQueue; i++ {
		if i == len(prefix) || i > len(prefix) && key[i-1] == '/' {
			h.enqueue(id, key[:i])
			depth++
		}
		if i < len(key) {
			id = (id ^ uint64(key[i])) * prime
		}
	}
}

// enqueue queues the directory with that hash once. Two directories of one hash are rare, and then one is not probed.
func (h *Hints) enqueue(id uint64, dir string) {
	if _, ok := h.known[id]; ok || len(h.known) == maxProbed || len(dir) > maxPoint || h.depths[depthOf(dir)].futile() {
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
	h.queue = slices.DeleteFunc(h.queue, func(d string) bool { return h.depths[depthOf(d)].futile() })
	if len(h.queue) == 0 {
		return "", false
	}
	dir = slices.MinFunc(h.queue, func(a, b string) int { return cmp.Compare(depthOf(a), depthOf(b)) })
	i := slices.Index(h.queue, dir)
	h.queue = slices.Delete(h.queue, i, i+1)
	return dir, true
}

// Probed adds what a probe of dir found: its subdirectories, by their full names.
func (h *Hints) Probed(dir string, found []string) {
	if y := &h.depths[depthOf(dir)]; len(found) > 0 {
		y.fruitful = true
	} else {
		y.barren++
	}
	h.Add(found...)
}
