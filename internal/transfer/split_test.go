package transfer

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// checkSplit fails unless a split point keeps every rule: strictly between the bounds, valid UTF-8 (it travels in a
// URL and comes back in XML), below the prefix, no longer than a key may be.
func checkSplit(t interface{ Fatalf(string, ...any) }, lo, hi, prefix, first, last string, tries int) string {
	got := splitPoint(lo, hi, prefix, first, last, tries)
	switch {
	case got == "":
	case got <= lo:
		t.Fatalf("splitPoint(%q, %q, %q, %d) = %q: not above the lower bound", lo, hi, prefix, tries, got)
	case hi != "" && got >= hi:
		t.Fatalf("splitPoint(%q, %q, %q, %d) = %q: not below the upper bound", lo, hi, prefix, tries, got)
	case !utf8.ValidString(got):
		t.Fatalf("splitPoint(%q, %q, %q, %d) = %q: not UTF-8", lo, hi, prefix, tries, got)
	case !strings.HasPrefix(got, prefix):
		t.Fatalf("splitPoint(%q, %q, %q, %d) = %q: outside the prefix", lo, hi, prefix, tries, got)
	case len(got) > 1024:
		t.Fatalf("splitPoint(%q, ...) is %d bytes long", lo, len(got))
	}
	return got
}

func TestSplitPointKeepsItsRules(t *testing.T) {
	key := rapid.OneOf(
		rapid.String(), // any code points
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), // any bytes
		rapid.StringMatching(`[a-c/0-9]{0,12}`),
		rapid.Map(rapid.IntRange(0, 1024), func(n int) string { return strings.Repeat("p", n) }),
		rapid.SampledFrom([]string{"\x00", "\x7f", "~", "\U0010FFFF", "\U0010FFFF\U0010FFFF", "\uD7FF", "\uE000", "ÿ", "z\x00"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "p/", "日本/", "deep/" + strings.Repeat("x/", 40)}).Draw(t, "prefix")
		keys := rapid.SliceOfN(key, 2, 4).Draw(t, "keys")
		for i := range keys {
			keys[i] = prefix + keys[i]
		}
		first, last, hi := keys[0], keys[1], ""
		if first > last {
			first, last = last, first
		}
		if len(keys) > 2 && keys[2] > last {
			hi = keys[2]
		}
		checkSplit(t, last, hi, prefix, first, last, rapid.IntRange(0, 5).Draw(t, "tries"))
	})
}

func FuzzSplitPoint(f *testing.F) {
	f.Add("a", "b", "", "a", "a", 1)
	f.Add("p/zz", "", "p/", "p/a", "p/zz", 2)
	f.Add("\xff", "", "", "\xff", "\xff", 0)
	f.Add("日本", "日本語", "日", "日本", "日本", 1)
	f.Fuzz(func(t *testing.T, lo, hi, prefix, first, last string, tries int) {
		if tries < 0 || !strings.HasPrefix(lo, prefix) || hi != "" && (hi <= lo || !strings.HasPrefix(hi, prefix)) || first > last {
			t.Skip()
		}
		checkSplit(t, lo, hi, prefix, first, last, tries%8)
	})
}

// TestSplitPointFindsRoom: usual key spaces can be cut.
func TestSplitPointFindsRoom(t *testing.T) {
	for _, tt := range []struct{ lo, hi, prefix, first string }{
		{"0a", "", "", "00"},
		{"2024/01/02/000999", "", "", "2024/01/01/000000"},
		{"tenant/3/x", "tenant/9", "tenant/", "tenant/1/a"},
		{strings.Repeat("d/", 100) + "a", "", "", strings.Repeat("d/", 100)},
		{"日本/あ", "", "", "日本/あ"},
	} {
		found := false
		for tries := 1; tries <= cutTries; tries++ {
			found = found || checkSplit(t, tt.lo, tt.hi, tt.prefix, tt.first, tt.lo, tries) != ""
		}
		if !found {
			t.Errorf("no split point between %q and %q", tt.lo, tt.hi)
		}
	}
}

func BenchmarkSplitPoint(b *testing.B) {
	for b.Loop() {
		splitPoint("2024/01/02/000999", "2025/", "", "2024/01/01/000000", "2024/01/02/000999", 1)
	}
}
