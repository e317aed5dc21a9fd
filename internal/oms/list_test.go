package oms_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
)

// TestListSource holds that what is stored of a list file is read again as it was.
func TestListSource(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := oms.ListSource{
			Index: rapid.IntRange(0, 1999).Draw(t, "index"),
			Key:   rapid.StringN(1, -1, -1).Draw(t, "key"),
			ETag:  rapid.StringMatching(`[0-9a-f"-]{0,40}`).Draw(t, "etag"),
			Size:  rapid.Int64Min(0).Draw(t, "size"),
			Lines: rapid.Int64Min(0).Draw(t, "lines"),
		}
		if got, err := oms.ParseListSource(want.Prefix()); err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	})
	for _, damaged := range []string{"", "a", "0\n1\n2\ne\n", "x\n1\n2\ne\nk", "0\n-1\n2\ne\nk", "0\n1\nx\ne\nk", "-1\n1\n1\n\nk"} {
		if _, err := oms.ParseListSource(damaged); oms.KindOf(err) != oms.Corrupt {
			t.Errorf("%q: error %v, want corrupt", damaged, err)
		}
	}
}

// TestLinePositions holds that positions are ordered like their offsets and survive.
func TestLinePositions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Min(0).Draw(t, "a"), rapid.Int64Min(0).Draw(t, "b")
		if pa, pb := oms.LinePosition(a), oms.LinePosition(b); (a < b) != (pa < pb) || (a == b) != (pa == pb) {
			t.Fatalf("%d is %q, %d is %q", a, pa, b, pb)
		}
		if got, err := oms.LineOffset(oms.LinePosition(a)); err != nil || got != a {
			t.Fatalf("%d became %d, %v", a, got, err)
		}
	})
	for _, damaged := range []string{"1", "000000000000000g", "-00000000000001f", "ffffffffffffffff", "00000000000000000"} {
		if _, err := oms.LineOffset(damaged); oms.KindOf(err) != oms.Corrupt {
			t.Errorf("%q: error %v, want corrupt", damaged, err)
		}
	}
}

// TestFailureKeys holds that failures of lines keep their name and place, are in order of name, and that those of other
// tasks stay as they are, NUL bytes and all.
func TestFailureKeys(t *testing.T) {
	t.Parallel()
	names := rapid.StringMatching(`[^\x00]+`)
	rapid.Check(t, func(t *rapid.T) {
		name, other := names.Draw(t, "name"), names.Draw(t, "other")
		line := oms.Line{Index: rapid.IntRange(0, 1999).Draw(t, "index"), Offset: rapid.Int64Min(0).Draw(t, "offset")}
		key := line.FailureKey(name)
		got, at, err := oms.SplitFailureKey(key)
		if err != nil || got != name || at != line {
			t.Fatalf("%q is %q at %+v, %v", key, got, at, err)
		}
		if got := oms.TypeList.FailureName(key); got != name {
			t.Fatalf("name %q, want %q", got, name)
		}
		after := oms.TypeURLList.AfterFailure(name)
		if key >= after || (other > name) != (line.FailureKey(other) > after) {
			t.Fatalf("%q is not between the failures of %q and those behind", after, name)
		}
	})
	for _, damaged := range []string{"", "name", "\x000:0000000000000000", "n\x00x:0000000000000000", "n\x000:1", "n\x000:", "n\x00-1:0000000000000000"} {
		if _, _, err := oms.SplitFailureKey(damaged); oms.KindOf(err) != oms.Corrupt {
			t.Errorf("%q: error %v, want corrupt", damaged, err)
		}
	}
	const odd = "a\x00b"
	if oms.TypePrefix.FailureName(odd) != odd || oms.TypeObject.AfterFailure(odd) != odd || oms.TypeList.AfterFailure("") != "" {
		t.Error("keys of other tasks changed")
	}
}
