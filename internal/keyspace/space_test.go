package keyspace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNothingLostNorRepeated lists any keys with pages of any length, in any order of answers, with cuts at any
// moment and any place, ranges given up and taken over from where they stood, and compares what was delivered.
func TestNothingLostNorRepeated(t *testing.T) {
	text := rapid.OneOf(
		rapid.String(), rapid.StringMatching(`[a-c]{0,3}/[0-9]{0,3}`), rapid.SampledFrom(awkward),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "p/", "日本/"}).Draw(t, "prefix")
		keys := rapid.SliceOfN(text, 0, 300).Draw(t, "keys")
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == "" })
		for i := range keys {
			keys[i] = prefix + keys[i]
		}
		slices.Sort(keys)
		keys = slices.Compact(keys)

		space := New(rapid.IntRange(0, 8).Draw(t, "walkers"), rapid.SliceOfN(text, 0, 5).Draw(t, "known"))
		ranges := []*Range{space.Start(Interval{Prefix: prefix})}
		var delivered []string
		for len(ranges) > 0 {
			i := rapid.IntRange(0, len(ranges)-1).Draw(t, "range")
			r := ranges[i]
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0: // a walker dies and another goes on
				space.Stop(r)
				ranges[i] = space.Start(r.Interval)
			case 1: // a cut that is as good as any
				if thief := space.Cut(r, prefix+text.Draw(t, "at")); thief != nil {
					ranges = append(ranges, thief)
				}
			case 2, 3, 4:
				v, at, ok := space.Steal()
				if !ok {
					break
				}
				if thief := space.Cut(v, at); thief != nil {
					ranges = append(ranges, thief)
				} else {
					t.Fatalf("%q cannot be cut at %q", v.Interval, at)
				}
			case 5:
				if dir, ok := space.NextProbe(); ok {
					space.Probed(dir, rapid.SliceOfN(text, 0, 5).Draw(t, "found"))
				}
			default:
				from, found := slices.BinarySearch(keys, r.Lo)
				if found {
					from++
				}
				page := keys[from:]
				page = page[:min(len(page), rapid.IntRange(0, 20).Draw(t, "size"))]
				n, ended := space.Page(r, Page{
					N: len(page), Key: func(i int) string { return page[i] }, Truncated: from+len(page) < len(keys),
				})
				delivered = append(delivered, page[:n]...)
				if ended {
					ranges = slices.Delete(ranges, i, i+1)
				}
			}
		}
		slices.Sort(delivered)
		if !slices.Equal(delivered, keys) {
			t.Fatalf("delivered %q of %q", delivered, keys)
		}
		if len(space.live) != 0 {
			t.Fatalf("%d ranges still live", len(space.live))
		}
	})
}

// numbered returns a page of n keys of eight digits from the given one on.
func numbered(from, n int, truncated bool) Page {
	return Page{N: n, Key: func(i int) string { return fmt.Sprintf("%08d", from+i) }, Truncated: truncated}
}

func TestOnlyProvedRangesAreCut(t *testing.T) {
	s := New(8, []string{"00005000"})
	s.Start(Interval{})
	if v, at, ok := s.Steal(); ok {
		t.Errorf("a range without a page is cut at %q: %v", at, v)
	}
}

func TestScoreIsBoundedByProof(t *testing.T) {
	s := New(8, nil)
	r := s.Start(Interval{})
	for page := 1; page <= 3; page++ {
		s.Page(r, numbered(page*1000, 1000, true))
		if r.score > gain*float64(page) || r.score <= minScore {
			t.Errorf("after %d pages: score %v", page, r.score)
		}
	}
}

// TestVerdictOnCuts: only a full first page of a thief restores the trust in its victim, only an empty one is waste.
func TestVerdictOnCuts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		page    Page
		tries   int
		empties int
	}{
		{"full", numbered(500_000, 1000, true), 0, 0},
		{"short but not the last", numbered(500_000, 3, true), 0, 0},
		{"the last", numbered(500_000, 1000, false), 1, 0},
		{"empty", numbered(0, 0, false), 1, 1},
		{"beyond its end", numbered(99_000_000, 1000, true), 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(8, []string{"00400000"})
			victim := s.Start(Interval{Hi: "90000000"})
			s.Page(victim, numbered(0, 1000, true))
			v, at, ok := s.Steal()
			if !ok || v != victim || at != "00400000" {
				t.Fatalf("Steal = %v, %q, %v", v, at, ok)
			}
			score := victim.score
			thief := s.Cut(victim, at)
			if thief == nil || victim.Hi != at || thief.Lo != at || thief.Hi != "90000000" || victim.score != score/2 {
				t.Fatalf("after the cut: victim %+v, thief %+v", victim, thief)
			}
			s.Page(thief, tt.page)
			if victim.tries != tt.tries || s.empties != tt.empties {
				t.Errorf("tries %d, empties %d, want %d, %d", victim.tries, s.empties, tt.tries, tt.empties)
			}
		})
	}
}

// TestWaste: thieves that find nothing are bounded by what is useful.
func TestWaste(t *testing.T) {
	s := New(16, nil)
	for range 4 {
		s.Start(Interval{}) // enough walkers work
	}
	for _, tt := range []struct {
		useful, empties int
		want            bool
	}{{0, 16, false}, {0, 17, true}, {100, 41, false}, {100, 42, true}} {
		s.useful, s.empties = tt.useful, tt.empties
		if got := s.wasteful(); got != tt.want {
			t.Errorf("%d empties, %d useful: wasteful %v", tt.empties, tt.useful, got)
		}
	}
	s.Stop(s.live[0])
	if s.wasteful() {
		t.Error("wasteful though hardly anybody works")
	}
}

func TestCutRefusesWhatIsNotAhead(t *testing.T) {
	s := New(4, nil)
	r := s.Start(Interval{Prefix: "p/", Lo: "p/c", Hi: "p/x"})
	for _, at := range []string{"", "p/c", "p/a", "p/x", "p/y", "q", "o", "p/d\xff", "p/d" + strings.Repeat("x", 1024)} {
		if s.Cut(r, at) != nil {
			t.Errorf("cut at %q", at)
		}
	}
	s.Stop(r)
	if s.Cut(r, "p/d") != nil {
		t.Error("a range that nobody lists was cut")
	}
	s.Stop(r)
}

func TestCutsBetweenPagesAreBounded(t *testing.T) {
	s := New(64, nil)
	r := s.Start(Interval{})
	for page := range 1000 {
		s.Page(r, numbered(page*1000, 1000, true))
	}
	cuts := 0
	for {
		v, at, ok := s.Steal()
		if !ok {
			break
		}
		if s.Cut(v, at) != nil {
			cuts++
		}
	}
	if cuts == 0 || cuts > maxCuts {
		t.Errorf("%d cuts", cuts)
	}
}

func TestHints(t *testing.T) {
	var h Hints
	h.Add("c/", "a/", "", "e/", "c/", "b/", "d/", "p/1", "p/2")
	for _, tt := range []struct {
		iv   Interval
		want string
	}{
		{Interval{}, "d/"},
		{Interval{Lo: "a/", Hi: "e/"}, "c/"},
		{Interval{Lo: "a/", Hi: "b/"}, ""},
		{Interval{Prefix: "p/"}, "p/2"},
		{Interval{Prefix: "p/", Lo: "p/1", Hi: "p/2"}, ""},
		{Interval{Lo: "z"}, ""},
	} {
		if got := h.Median(tt.iv); got != tt.want {
			t.Errorf("Median(%+v) = %q, want %q", tt.iv, got, tt.want)
		}
	}
}

func TestProbesComeOnceAndFromAbove(t *testing.T) {
	var h Hints
	h.Discover("p/", "p/a/b/key")
	h.Discover("p/", "p/c/key")
	h.Discover("p/", "p/a/b/other")
	h.Discover("p/", "elsewhere/key")
	var got []string
	for {
		dir, ok := h.NextProbe()
		if !ok {
			break
		}
		got = append(got, dir)
		h.Discover("p/", "p/a/b/key")
	}
	if want := []string{"p/", "p/a/", "p/c/", "p/a/b/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBarrenDepthsAreNotProbed(t *testing.T) {
	var h Hints
	for i := range 20 {
		h.Discover("", fmt.Sprintf("a/%d/key", i))
	}
	probed := 0
	for {
		dir, ok := h.NextProbe()
		if !ok {
			break
		}
		probed++
		if depthOf(dir) < 2 {
			h.Probed(dir, []string{dir + "x/"})
		} else {
			h.Probed(dir, nil)
		}
	}
	if want := 2 + maxBarren; probed != want {
		t.Errorf("%d probes, want %d", probed, want)
	}
}

// TestFruitfulDepthsAreProbed: where one directory holds others, many that hold none are no reason to stop.
func TestFruitfulDepthsAreProbed(t *testing.T) {
	var h Hints
	h.Probed("a/", []string{"a/x/"})
	for range 2 * maxBarren {
		h.Probed("b/", nil)
	}
	h.Discover("c/", "c/key")
	if dir, ok := h.NextProbe(); !ok || dir != "c/" {
		t.Errorf("NextProbe = %q, %v", dir, ok)
	}
}

func TestProbesAreFew(t *testing.T) {
	s := New(4, nil)
	r := s.Start(Interval{})
	probes := 0
	for page := range 1000 {
		s.Page(r, Page{N: 2, Key: func(i int) string { return fmt.Sprintf("%08d/%d/x", page, i) }, Truncated: true})
		for {
			dir, ok := s.NextProbe()
			if !ok {
				break
			}
			probes++
			s.Probed(dir, []string{dir + "0/"})
		}
	}
	if want := freeProbes + 1000/50; probes < want-1 || probes > want {
		t.Errorf("%d probes in 1,000 pages, want %d", probes, want)
	}
}

// TestMemoryIsBounded learns from keys made to fill every place with every code point and every queue with names.
func TestMemoryIsBounded(t *testing.T) {
	s := New(256, nil)
	r := s.Start(Interval{})
	long := strings.Repeat("x", 900)
	for page := range 500 {
		key := func(i int) string {
			at := uint64(page*2 + i)
			var b strings.Builder
			fmt.Fprintf(&b, "%06d/", at)
			for depth := range uint64(18) {
				for off := range uint64(8) {
					b.WriteRune(rune(0x100 + mix(at<<16|depth<<8|off)%0x5000))
				}
				b.WriteByte('/')
			}
			return b.String() + strconv.Itoa(int(at))
		}
		s.Page(r, Page{N: 2, Key: key, Truncated: true})
		if dir, ok := s.NextProbe(); ok {
			var found []string
			for i := range 1000 {
				found = append(found, fmt.Sprintf("%07d/%03d%s/", 1+page, i, long))
			}
			s.Probed(dir, found)
		}
	}
	if n := len(s.hints.points); n > maxHints || s.hints.bytes > maxHintBytes || s.hints.bytes != size(s.hints.points) {
		t.Errorf("%d boundaries of %d bytes (%d counted)", n, size(s.hints.points), s.hints.bytes)
	}
	if len(s.hints.queue) > maxQueue || len(s.hints.known) > maxProbed {
		t.Errorf("%d directories queued, %d known", len(s.hints.queue), len(s.hints.known))
	}
	if len(s.Boundaries()) > maxSample || !slices.IsSorted(s.Boundaries()) {
		t.Errorf("%d boundaries kept", len(s.Boundaries()))
	}
	symbols := cap(s.model.global.symbols)
	for _, a := range s.model.places {
		if a != nil {
			symbols += cap(a.symbols)
		}
	}
	if limit := 2 * maxSymbols * (len(s.model.places) + 1); symbols > limit {
		t.Errorf("room for %d symbols", symbols)
	}
}

// TestDeterministic: the same calls give the same answers.
func TestDeterministic(t *testing.T) {
	a, b := simulate(t, mixed(300_000), 32, nil), simulate(t, mixed(300_000), 32, nil)
	if a.sent != b.sent || a.figure != b.figure || !slices.Equal(a.space.Boundaries(), b.space.Boundaries()) {
		t.Errorf("got %v, then %v", a, b)
	}
}

// TestBoundariesAreEven: no part between two of them is much longer than the others. Pages come from many ranges in
// turn and every so many is kept, so the parts are about as uneven as waiting times.
func TestBoundariesAreEven(t *testing.T) {
	sh := uuidHex(4_000_000)
	bounds := simulate(t, sh, 64, nil).space.Boundaries()
	if len(bounds) < maxSample/2 || len(bounds) > maxSample {
		t.Fatalf("%d boundaries", len(bounds))
	}
	last := 0
	for _, b := range bounds {
		rank := sh.rank(b)
		if part := rank - last; part > 12*sh.n/len(bounds) {
			t.Errorf("%d keys up to %q", part, b)
		}
		last = rank
	}
}

// TestBoundariesOutlivePartialListings: a listing that goes on in the middle keeps what was known of the rest.
func TestBoundariesOutlivePartialListings(t *testing.T) {
	s := New(4, []string{"a", "b", "m", "z"})
	r := s.Start(Interval{Lo: "f", Hi: "p"})
	s.Page(r, Page{N: 2, Key: func(i int) string { return []string{"g", "h"}[i] }, Truncated: true})
	if got, want := s.Boundaries(), []string{"a", "b", "h", "z"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func Example() {
	keys := []string{"a/1", "a/2", "b/1", "b/2", "b/3", "c/1"}
	space := New(2, []string{"b/1"}) // two walkers; a boundary that an earlier run left
	first := space.Start(Interval{})
	n, ended := space.Page(first, Page{N: 2, Key: func(i int) string { return keys[i] }, Truncated: true})
	fmt.Println(keys[:n], ended)

	victim, at, ok := space.Steal() // the other walker has nothing to do
	fmt.Println(at, ok)
	thief := space.Cut(victim, at)
	fmt.Printf("(%s, %s] and (%s, %s]\n", first.Lo, first.Hi, thief.Lo, thief.Hi)

	n, ended = space.Page(first, Page{N: 2, Key: func(i int) string { return keys[2+i] }, Truncated: true})
	fmt.Println(keys[2:2+n], ended)
	// Output:
	// [a/1 a/2] false
	// b/1 true
	// (a/2, b/1] and (b/1, ]
	// [b/1] true
}
