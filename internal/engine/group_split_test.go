package engine

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// splitModel is a source and what a store holds of the split of it.
type splitModel struct {
	prefixes []string
	limits   oms.GroupLimits
	objects  []storage.ListedObject // ascending
	spans    map[int64]oms.GroupSpan
	pieces   []oms.GroupPiece
	over     bool
}

// store takes a commit as the database does.
func (m *splitModel) store(c oms.SplitCommit) {
	for _, seq := range c.Removed {
		delete(m.spans, seq)
	}
	for _, v := range c.Spans {
		m.spans[v.Seq] = v
	}
	m.pieces = append(m.pieces, c.Pieces...)
	m.over = m.over || c.Over
}

// stored returns the spans as the database does.
func (m *splitModel) stored() []oms.GroupSpan {
	var list []oms.GroupSpan
	for _, v := range m.spans {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b oms.GroupSpan) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

// stretch is a piece of the space from a start to an end.
type stretch struct {
	first int
	start string
	end   position
}

// check fails unless spans and pieces tile the whole space, and what spans say of themselves is right.
func (m *splitModel) check(t *rapid.T) {
	var all []stretch
	for _, v := range m.spans {
		all = append(all, stretch{v.First, v.Start, position{v.Last, v.UpTo}})
		if v.End != "" && v.Cur > v.End || v.First > v.Prefix || v.Prefix > v.Last {
			t.Fatalf("span %+v", v)
		}
	}
	for _, p := range m.pieces {
		first := slices.Index(m.prefixes, p.Keys[0])
		if first < 0 || !slices.Equal(p.Keys, m.prefixes[first:first+len(p.Keys)]) {
			t.Fatalf("piece of the prefixes %q of %q", p.Keys, m.prefixes)
		}
		all = append(all, stretch{first, string(p.Slice.After), position{first + len(p.Keys) - 1, string(p.Slice.UpTo)}})
	}
	slices.SortFunc(all, func(a, b stretch) int {
		return cmp.Or(cmp.Compare(a.first, b.first), strings.Compare(a.start, b.start))
	})
	first, start := 0, ""
	for _, s := range all {
		if s.first != first || s.start != start {
			t.Fatalf("a stretch begins at %d %q, want %d %q: %+v", s.first, s.start, first, start, all)
		}
		first, start = s.end.next()
	}
	if first != len(m.prefixes) || start != "" {
		t.Fatalf("the stretches end at %d %q of %d prefixes", first, start, len(m.prefixes))
	}
}

// page returns at most n objects of the span behind its position, and whether there may be more behind them.
func (m *splitModel) page(prefix string, v *openSpan, n int) (page []storage.ListedObject, ended bool) {
	for _, o := range m.objects {
		if o.Key <= v.Cur || !strings.HasPrefix(o.Key, prefix) {
			continue
		}
		if v.End != "" && o.Key > v.End {
			return page, true
		}
		if len(page) == n {
			return page, false
		}
		page = append(page, o)
	}
	return page, true
}

// Whatever the keys are, wherever walkers are, cut and crash: at every commit the tasks and what is left tile the whole
// space, no key is in two tasks or in none, and no task is larger than allowed (rule P1 for the split of a group).
func TestSplitterTiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.SampledFrom([]rune("abc/")), 0, 5, -1)
		spec := oms.TaskSpec{Type: oms.TypePrefix, Src: oms.SourceNode{Keys: rapid.SliceOfN(key, 1, 6).Draw(t, "prefixes")}}
		prefixes, _ := spec.Selection()
		m := &splitModel{
			prefixes: prefixes, spans: make(map[int64]oms.GroupSpan),
			limits: oms.GroupLimits{TaskObjects: rapid.Int64Range(1, 12).Draw(t, "objects"), TaskBytes: rapid.Int64Range(1, 60).Draw(t, "bytes")},
		}
		for k, size := range rapid.MapOfN(rapid.StringMatching(`[abc/\x00\x{10ffff}]{1,6}`), rapid.Int64Range(0, 30), 0, 60).Draw(t, "source") {
			m.objects = append(m.objects, storage.ListedObject{Key: k, Size: size})
		}
		slices.SortFunc(m.objects, func(a, b storage.ListedObject) int { return strings.Compare(a.Key, b.Key) })
		for _, v := range firstSpans(prefixes) {
			m.spans[v.Seq] = v
		}
		s := newSplitter(prefixes, m.limits, m.stored(), false)
		store := func() {
			c, _ := s.take()
			m.store(c)
			m.check(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"page": func(t *rapid.T) {
				if s.over() {
					t.Skip("all is listed")
				}
				v := rapid.SampledFrom(s.spans).Draw(t, "span")
				page, ended := m.page(prefixes[v.Prefix], v, rapid.IntRange(1, 20).Draw(t, "size"))
				s.advance(v, page)
				if ended {
					s.finish(v)
				}
			},
			"cut": func(t *rapid.T) {
				if s.over() {
					t.Skip("all is listed")
				}
				v := rapid.SampledFrom(s.spans).Draw(t, "span")
				if at := prefixes[v.Prefix] + key.Draw(t, "at"); s.interval(v).Inside(at) {
					s.cut(v, at)
				}
			},
			"store": func(*rapid.T) { store() },
			"crash": func(*rapid.T) {
				s = newSplitter(prefixes, m.limits, m.stored(), len(m.pieces) > 0)
			},
			"": func(t *rapid.T) { m.check(t) },
		})
		for !s.over() {
			v := s.spans[0]
			page, ended := m.page(prefixes[v.Prefix], v, 7)
			s.advance(v, page)
			if ended {
				s.finish(v)
			}
		}
		store()
		if !m.over || len(m.spans) > 0 {
			t.Fatalf("over %t with %d spans", m.over, len(m.spans))
		}
		m.checkPieces(t)
	})
}

// checkPieces counts the keys of every piece.
func (m *splitModel) checkPieces(t *rapid.T) {
	placed := make(map[string]int)
	for _, p := range m.pieces {
		var objects, bytes int64
		for _, o := range m.objects {
			in := slices.ContainsFunc(p.Keys, func(prefix string) bool { return strings.HasPrefix(o.Key, prefix) })
			if in && o.Key > string(p.Slice.After) && (len(p.Slice.UpTo) == 0 || o.Key <= string(p.Slice.UpTo)) {
				placed[o.Key]++
				objects++
				bytes += o.Size
			}
		}
		if objects != p.Objects || bytes != p.Bytes {
			t.Fatalf("piece %+v holds %d objects and %d bytes", p, objects, bytes)
		}
		if objects > m.limits.TaskObjects || bytes > m.limits.TaskBytes && objects > 1 {
			t.Fatalf("piece %+v is too large", p)
		}
	}
	for _, o := range m.objects {
		selected := slices.ContainsFunc(m.prefixes, func(prefix string) bool { return strings.HasPrefix(o.Key, prefix) })
		if want := map[bool]int{true: 1}[selected]; placed[o.Key] != want {
			t.Fatalf("key %q is in %d pieces, want %d", o.Key, placed[o.Key], want)
		}
	}
}

// The pieces of a task select in the data plane what the split meant.
func TestSlicePlans(t *testing.T) {
	t.Parallel()
	g := oms.Group{ID: "g", Spec: oms.TaskSpec{Type: oms.TypePrefix, Src: oms.SourceNode{Keys: []string{"c/", "a/", "b/"}}}}
	task := g.Task(oms.GroupPiece{Keys: []string{"a/", "b/", "c/"}, Slice: oms.KeySlice{After: []byte("a/m\xff"), UpTo: []byte("c/k")}, Objects: 7, Bytes: 9})
	got := planRanges(task, nil, nil)
	want := []oms.Range{
		{Seq: 1, Generation: 1, Kind: oms.RangeKeys, Prefix: "a/", Start: "a/m\xff", Cur: "a/m\xff"},
		{Seq: 2, Generation: 1, Kind: oms.RangeKeys, Prefix: "b/"},
		{Seq: 3, Generation: 1, Kind: oms.RangeKeys, Prefix: "c/", End: "c/k"},
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range got {
		got[i].Done, got[i].Cur = true, got[i].End
	}
	if err := checkBooks(task.Spec, got); err != nil {
		t.Error(err)
	}
	short := slices.Clone(got)
	short[2].End = "c/j"
	if checkBooks(task.Spec, short) == nil {
		t.Error("a range that ends before the slice does was taken for all of it")
	}
	late := slices.Clone(got)
	late[0].Start = "a/n"
	if checkBooks(task.Spec, late) == nil {
		t.Error("a range that begins behind the slice's begin was taken for all of it")
	}
	if task.Found != 7 || task.FoundBytes != 9 || task.GroupType != oms.GroupGroup || task.Status != oms.StatusWaiting {
		t.Errorf("task %+v", task)
	}
}
