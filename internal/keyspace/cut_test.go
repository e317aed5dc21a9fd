package keyspace

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// awkward are strings that are hard to cut between.
var awkward = []string{
	"", "\x00", "a", "a\x00", "a\x00\x00", "b", "~", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff",
	"\U00010000", "\U0010fffe", "\U0010ffff", "\U0010ffff\U0010ffff", "\U0010ffff\U0010ffff\x00", "/", "//", "a/b/c", "a/b/c/", "日本/あ",
	"日本/い", "😀/1", "é", "e\u0301", strings.Repeat("p", 1023), strings.Repeat("p", 1024), strings.Repeat("p/", 512) + "x", "\xff", "\xed\xa0\x80", "a\xc3",
}

// checkCuts fails unless every rule gives a point inside the interval or none.
func checkCuts(t interface{ Fatalf(string, ...any) }, m *Model, iv Interval, first, last string) {
	var h Hints
	h.Add(awkward...)
	for name, at := range map[string]string{
		"Mid": m.Mid(iv), "geoCut": geoCut(iv, first, last), "byteMid": byteMid(iv), "Median": h.Median(iv),
		"afterRune": iv.afterRune(len(iv.prefix())),
	} {
		switch {
		case at == "":
		case at <= iv.Lo || iv.Hi != "" && at >= iv.Hi:
			t.Fatalf("%s(%q) = %q: not strictly inside", name, iv, at)
		case !utf8.ValidString(at):
			t.Fatalf("%s(%q) = %q: not UTF-8", name, iv, at)
		case !strings.HasPrefix(at, iv.Prefix):
			t.Fatalf("%s(%q) = %q: outside the prefix", name, iv, at)
		case len(at) > 1024:
			t.Fatalf("%s(%q): %d bytes", name, iv, len(at))
		}
	}
	if w := m.Width(iv); !(w >= 0 && w <= 1) {
		t.Fatalf("Width(%q) = %v", iv, w)
	}
}

func TestAwkwardCuts(t *testing.T) {
	var m Model
	for range trustedPages + 1 {
		for _, lo := range awkward {
			for _, hi := range awkward {
				if hi == "" || hi > lo {
					checkCuts(t, &m, Interval{Lo: lo, Hi: hi}, lo, lo)
				}
			}
			m.Learn(lo)
		}
	}
}

func FuzzCuts(f *testing.F) {
	f.Add("", "b", "", "a", "abc")
	f.Add("p/a", "", "p/", "p/a", "p/zz\U0010ffff")
	f.Add("日本", "日本語", "日", "日本", "日a本")
	f.Add("\xff", "", "", "\xfe", "\xed\xa0\x80")
	f.Add("a", "a\x00", "", "a", "\x00\x01")
	f.Fuzz(func(t *testing.T, lo, hi, prefix, first, learned string) {
		if hi != "" && hi <= lo || first > lo {
			t.Skip()
		}
		var m Model
		for range 30 {
			m.Learn(learned)
			m.Learn(lo)
		}
		checkCuts(t, &m, Interval{Prefix: prefix, Lo: lo, Hi: hi}, first, lo)
	})
}

// TestCoordinatesAscend: a key above another has no lower coordinate, whatever was learned.
func TestCoordinatesAscend(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c/0-9]{0,12}`), rapid.StringMatching(`[一-龥]{1,3}/[0-9]{1,4}`))
	rapid.Check(t, func(t *rapid.T) {
		var m Model
		for _, key := range rapid.SliceOfN(text, 0, 200).Draw(t, "learned") {
			m.Learn(key)
		}
		p := rapid.SampledFrom([]string{"", "a", "a/", "日"}).Draw(t, "prefix")
		a, b := p+text.Draw(t, "a"), p+text.Draw(t, "b")
		if a > b {
			a, b = b, a
		}
		if x, y := m.coordinate(p, a), m.coordinate(p, b); x > y+1e-9 || x < 0 || y > 1 {
			t.Fatalf("coordinates %v of %q and %v of %q behind %q", x, a, y, b, p)
		}
	})
}

// TestScaleInverts: the code point at a position has that position in its part, and parts do not overlap.
func TestScaleInverts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a alphabet
		for _, c := range rapid.SliceOfN(rapid.Rune(), 0, 200).Draw(t, "symbols") {
			a.add(c)
		}
		s := scale(a.symbols)
		x := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "x")
		c, from, size, ok := s.at(x)
		if !ok {
			if x < float64(len(s))/float64(len(s)+1)-1e-12 {
				t.Fatalf("%v is above all %d symbols", x, len(s))
			}
			return
		}
		if !utf8.ValidRune(c) {
			t.Fatalf("%U at %v", c, x)
		}
		surrogates := c == surrogateMax+1 // stands for those too
		if !surrogates && (x < from-1e-9 || x > from+size+1e-9) {
			t.Fatalf("%U at %v has [%v, %v)", c, x, from, from+size)
		}
		if after, ok := next(c); ok {
			if f, _ := s.locate(after); f < from+size-1e-9 {
				t.Fatalf("%U ends at %v, %U begins at %v", c, from+size, after, f)
			}
		}
	})
}

// TestUnknownShare: between the symbols of a full set hardly anything is expected, between those of a thinned one most.
func TestUnknownShare(t *testing.T) {
	for _, tt := range []struct {
		symbols int
		want    float64
	}{{10, .05}, {47, .05}, {48, .8}, {96, .8}} {
		var s scale
		for i := range tt.symbols {
			s = append(s, rune(0x4e00+100*i))
		}
		slot := 1 / float64(tt.symbols+1)
		from, _ := s.locate(s[3] + 1)
		if got := (4*slot - from) / slot; math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%d symbols: the unknown ones have %v of a slot, want %v", tt.symbols, got, tt.want)
		}
	}
}

func TestAlphabetIsBounded(t *testing.T) {
	var a alphabet
	for i := range 20000 {
		a.add(rune(mix(uint64(i)) % surrogateMin))
		if n := len(a.symbols); n > maxSymbols || i > maxSymbols && n < maxSymbols/2 {
			t.Fatalf("%d symbols after %d", n, i+1)
		}
		for k := 1; k < len(a.symbols); k++ {
			if a.symbols[k-1] >= a.symbols[k] {
				t.Fatalf("%U before %U", a.symbols[k-1], a.symbols[k])
			}
		}
	}
}

// TestMidHalves: the model knows where the middle of usual key spaces is, from a few pages.
func TestMidHalves(t *testing.T) {
	for _, tt := range []struct {
		name     string
		shape    shape
		farthest float64 // from the middle, as a share of all keys
	}{
		{"uuid-hex", uuidHex(1_000_000), .1},
		{"seq-number", shape{1_000_000, func(i int) string { return numberLeaf(i, 0) }}, .2},
		{"base64", shape{1_000_000, func(i int) string { return digits(spread(i, 1_000_000), base64Letters, 8) }}, .1},
	} {
		var m Model
		for page := range 50 {
			m.LearnPage(simPage, func(i int) string { return tt.shape.key(page*20_000 + i) })
		}
		iv := Interval{Lo: tt.shape.key(0), Hi: tt.shape.key(tt.shape.n - 1)}
		mid := m.Mid(iv)
		if share := float64(tt.shape.rank(mid)) / float64(tt.shape.n); math.Abs(share-.5) > tt.farthest {
			t.Errorf("%s: %q is at %.2f of the keys", tt.name, mid, share)
		}
	}
}

func TestRules(t *testing.T) {
	deep := strings.Repeat("d/", 100)
	for _, tt := range []struct {
		name, got, want string
	}{
		{"behind the subtree of the page", geoCut(Interval{Lo: "a/b/9"}, "a/b/1", "a/b/9"), "a/\U0010ffff"},
		{"half-way between interval and page", geoCut(Interval{Lo: "a/b/c/9", Hi: "a/x"}, "a/b/c/1", "a/b/c/9"), "a/b/\U0010ffff"},
		{"half-way down a long prefix", geoCut(Interval{Lo: deep + "9"}, deep+"1", deep+"9"), deep[:100] + "\U0010ffff"},
		{"never within a code point", geoCut(Interval{Lo: "日本9"}, "日本1", "日本9"), "日\U0010ffff"},
		{"no subtree but the last", geoCut(Interval{Lo: "\U0010ffff2"}, "\U0010ffff1", "\U0010ffff2"), "\U0010ffff\U0010ffff"},
		{"middle byte", byteMid(Interval{Lo: "0", Hi: "f"}), "K"},
		{"middle byte behind what is shared", byteMid(Interval{Lo: "img/0", Hi: "img/f"}), "img/K"},
		{"as many bytes as needed", byteMid(Interval{Lo: "aa", Hi: "ac"}), "ab"},
		{"no text in the middle", byteMid(Interval{Lo: "z"}), ""},
		{"the code point after", Interval{Lo: "a\ud7ff", Hi: "a\ue001"}.afterRune(1), "a\ue000"},
		{"the first that fits", Interval{Lo: "a/b", Hi: "a0"}.afterRune(1), "a/c"},
		{"no code point after", Interval{Lo: "\U0010ffff"}.afterRune(0), ""},
		{"nothing between neighbours", (&Model{}).Mid(Interval{Lo: "a", Hi: "a\x00"}), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}
