package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/keyspace"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// splitter cuts the key space of a group into pieces, each a task, while walkers list the space in parallel. It does
// no I/O. At any moment the open spans and the pieces cut so far tile the space, and no piece holds more objects or
// bytes than allowed, but for one larger object.
//
// A span grows by what its walker lists; when the next object would be too much, what lies before it becomes a piece.
// What is left of a span when its walker has reached the end goes to a neighbour that is still open, or becomes a
// piece of its own where no neighbour can take it.
type splitter struct {
	prefixes             []string // selected, ascending, none covering another
	maxObjects, maxBytes int64

	spans   []*openSpan // in order of the space
	seq     int64       // highest Seq of any span
	counted bool        // some object was found, now or in an earlier process

	// Since the last take.
	dirty   map[*openSpan]struct{}
	removed []int64
	pieces  []oms.GroupPiece
}

// openSpan is a span being split.
type openSpan struct {
	oms.GroupSpan
	keys *keyspace.Range // while it is being listed
}

// firstSpans returns the spans of a group that nothing is known of yet: one per prefix.
func firstSpans(prefixes []string) []oms.GroupSpan {
	spans := make([]oms.GroupSpan, len(prefixes))
	for i := range prefixes {
		spans[i] = oms.GroupSpan{Seq: int64(i + 1), First: i, Prefix: i, Last: i}
	}
	return spans
}

// newSplitter goes on with stored spans. counted tells that some object was found before.
func newSplitter(prefixes []string, limits oms.GroupLimits, spans []oms.GroupSpan, counted bool) *splitter {
	s := &splitter{
		prefixes: prefixes, maxObjects: limits.TaskObjects, maxBytes: limits.TaskBytes,
		counted: counted, dirty: make(map[*openSpan]struct{}),
	}
	if s.maxObjects <= 0 {
		s.maxObjects = oms.DefaultTaskObjects
	}
	if s.maxBytes <= 0 {
		s.maxBytes = oms.DefaultTaskBytes
	}
	for _, v := range spans {
		s.spans = append(s.spans, &openSpan{GroupSpan: v})
		s.seq = max(s.seq, v.Seq)
		s.counted = s.counted || v.Objects+v.TailObjects > 0
	}
	slices.SortFunc(s.spans, func(a, b *openSpan) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), strings.Compare(a.Cur, b.Cur))
	})
	return s
}

// interval is what is left to list of the span.
func (s *splitter) interval(v *openSpan) keyspace.Interval {
	return keyspace.Interval{Prefix: s.prefixes[v.Prefix], Lo: v.Cur, Hi: v.End}
}

// advance takes objects that the walker of v has listed, all of them within the span.
func (s *splitter) advance(v *openSpan, objects []storage.ListedObject) {
	for i := range objects {
		o := &objects[i]
		if v.Objects > 0 && !s.fits(v.Objects+1, v.Bytes+o.Size) {
			s.emit(v.First, v.Start, before(v.Prefix, v.Cur), v.Objects, v.Bytes)
			v.First, v.Start, v.Objects, v.Bytes = v.Prefix, v.Cur, 0, 0
		}
		v.Objects++
		v.Bytes += o.Size
		v.Cur = o.Key
		s.counted = true
	}
	s.dirty[v] = struct{}{}
}

// fits reports whether so much may be one task.
func (s *splitter) fits(objects, bytes int64) bool {
	return objects <= s.maxObjects && bytes <= s.maxBytes
}

// joins reports whether two neighbouring stretches may be one task. What is empty joins everything, even one object that
// is too large for a task.
func (s *splitter) joins(objects, bytes, moreObjects, moreBytes int64) bool {
	return objects == 0 || moreObjects == 0 || s.fits(objects+moreObjects, bytes+moreBytes)
}

// position is where something ends: behind a key of a prefix, or, with no key, behind the whole prefix.
type position struct {
	prefix int
	key    string
}

// before returns the end that lies where a span begins that starts behind the key of the prefix.
func before(prefix int, key string) position {
	if key == "" {
		return position{prefix: prefix - 1}
	}
	return position{prefix, key}
}

// next returns where a span begins that follows the end.
func (p position) next() (prefix int, start string) {
	if p.key == "" {
		return p.prefix + 1, ""
	}
	return p.prefix, p.key
}

// emit makes a piece of what lies between the start and the end.
func (s *splitter) emit(first int, start string, end position, objects, bytes int64) {
	s.pieces = append(s.pieces, oms.GroupPiece{
		Keys:    slices.Clone(s.prefixes[first : end.prefix+1]),
		Slice:   oms.KeySlice{After: []byte(start), UpTo: []byte(end.key)},
		Objects: objects, Bytes: bytes,
	})
}

// cut cuts the tail behind the key off v and returns it. What the listing had passed behind v goes with it.
func (s *splitter) cut(v *openSpan, at string) *openSpan {
	s.seq++
	thief := &openSpan{GroupSpan: v.GroupSpan}
	thief.Seq, thief.First, thief.Start, thief.Cur = s.seq, v.Prefix, at, at
	thief.Objects, thief.Bytes = 0, 0
	v.End, v.Last, v.UpTo, v.TailObjects, v.TailBytes = at, v.Prefix, at, 0, 0
	s.spans = slices.Insert(s.spans, slices.Index(s.spans, v)+1, thief)
	s.dirty[v], s.dirty[thief] = struct{}{}, struct{}{}
	return thief
}

// finish says that v is listed to its end.
func (s *splitter) finish(v *openSpan) {
	i := slices.Index(s.spans, v)
	s.spans = slices.Delete(s.spans, i, i+1)
	s.removed = append(s.removed, v.Seq)
	delete(s.dirty, v)
	if !s.joins(v.Objects, v.Bytes, v.TailObjects, v.TailBytes) {
		end := position{v.Prefix, v.End}
		s.emit(v.First, v.Start, end, v.Objects, v.Bytes)
		v.First, v.Start = end.next()
		v.Objects, v.Bytes = 0, 0
	}
	s.place(i, v)
}

// place finds a place for what is left of v, which was the i-th span: the neighbour behind it, the one before it, or a
// task of its own.
func (s *splitter) place(i int, v *openSpan) {
	end := position{v.Last, v.UpTo}
	objects, bytes := v.Objects+v.TailObjects, v.Bytes+v.TailBytes
	if i < len(s.spans) {
		right := s.spans[i]
		first, start := end.next()
		if right.First == first && right.Start == start && s.joins(right.Objects, right.Bytes, objects, bytes) {
			right.First, right.Start = v.First, v.Start
			right.Objects += objects
			right.Bytes += bytes
			s.dirty[right] = struct{}{}
			return
		}
	}
	if i > 0 {
		left := s.spans[i-1]
		if left.endsAt(before(v.First, v.Start)) && s.joins(left.TailObjects, left.TailBytes, objects, bytes) {
			left.Last, left.UpTo = v.Last, v.UpTo
			left.TailObjects += objects
			left.TailBytes += bytes
			s.dirty[left] = struct{}{}
			return
		}
	}
	s.emit(v.First, v.Start, end, objects, bytes)
}

// endsAt reports whether the span's share ends there.
func (v *openSpan) endsAt(p position) bool { return v.Last == p.prefix && v.UpTo == p.key }

// over reports whether everything has been cut into pieces.
func (s *splitter) over() bool { return len(s.spans) == 0 }

// take returns what has happened since the last take, for one transaction.
func (s *splitter) take() (c oms.SplitCommit, changed bool) {
	for _, v := range s.spans {
		if _, ok := s.dirty[v]; ok {
			c.Spans = append(c.Spans, v.GroupSpan)
		}
	}
	c.Removed, c.Pieces, c.Over = s.removed, s.pieces, s.over()
	clear(s.dirty)
	s.removed, s.pieces = nil, nil
	return c, len(c.Spans)+len(c.Removed)+len(c.Pieces) > 0
}
