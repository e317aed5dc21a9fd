package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
)

// Ranges over list files tile each file; no line is in none or two of them, and there are no more than a store bears.
func TestListRanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 1<<30), 1, 2000).Draw(t, "sizes")
		files := make([]oms.ListSource, len(sizes))
		for i, size := range sizes {
			files[i] = oms.ListSource{Index: i, Key: "k", Size: size}
		}
		rs := listRanges(files)
		if len(rs) > max(len(files), rangesOfLists) {
			t.Fatalf("%d ranges over %d files", len(rs), len(files))
		}
		for i := range rs {
			r := &rs[i]
			start, err1 := oms.LineOffset(r.Start)
			end, err2 := oms.LineOffset(r.End)
			if err1 != nil || err2 != nil || r.Cur != r.Start || r.End != "" && end-start < listRangeSize {
				t.Fatalf("range %+v", r)
			}
			r.Done, r.Seq = true, int64(i)
		}
		if err := checkBooks(oms.TaskSpec{Type: oms.TypeList}, rs); err != nil {
			t.Fatal(err)
		}
	})
}

// The books of a task over list files show what no range or no outcome has.
func TestCheckListBooks(t *testing.T) {
	t.Parallel()
	file := func(index int) string { return oms.ListSource{Index: index, Key: "k", Size: 100, Lines: 10}.Prefix() }
	count := func(n int64) oms.Counters { return oms.Counters{Listed: n, Migrated: n} }
	half := oms.LinePosition(50)
	whole := func() []oms.Range {
		return []oms.Range{
			{Seq: 1, Kind: oms.RangeLines, Prefix: file(0), End: half, Counters: count(4), Done: true},
			{Seq: 2, Kind: oms.RangeLines, Prefix: file(0), Start: half, Counters: count(6), Done: true},
			{Seq: 3, Kind: oms.RangeLines, Prefix: file(1), Counters: count(10), Done: true},
			{Seq: 4, Kind: oms.RangeFailures, Done: true},
		}
	}
	for _, tc := range []struct {
		name   string
		change func([]oms.Range) []oms.Range
		want   string // part of the error
	}{
		{"all is well", func(rs []oms.Range) []oms.Range { return rs }, ""},
		{"a line without outcome", func(rs []oms.Range) []oms.Range { rs[1].Counters = count(5); return rs }, "names 10 objects, of which 9"},
		{"a line counted twice", func(rs []oms.Range) []oms.Range { rs[0].Counters = count(5); return rs }, "names 10 objects, of which 11"},
		{"a piece is missing", func(rs []oms.Range) []oms.Range { return rs[1:] }, "does not begin"},
		{"the end is missing", func(rs []oms.Range) []oms.Range { return append(rs[:1], rs[2:]...) }, "reaches the end"},
		{"a piece twice", func(rs []oms.Range) []oms.Range { return append(rs, rs[1]) }, "does not begin"},
		{"a file is missing", func(rs []oms.Range) []oms.Range { return rs[2:] }, "list file 1"},
		{"no file", func(rs []oms.Range) []oms.Range { return rs[3:] }, "no range over a list file"},
		{"a damaged file", func(rs []oms.Range) []oms.Range { rs[2].Prefix = "x"; return rs }, "does not name its list file"},
		{"not done", func(rs []oms.Range) []oms.Range { rs[2].Done = false; return rs }, "not done"},
	} {
		err := checkBooks(oms.TaskSpec{Type: oms.TypeURLList}, tc.change(whole()))
		if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
	if diff := cmp.Diff(int64(20), listedLines([]oms.ListSource{{Lines: 12}, {Lines: 8}})); diff != "" {
		t.Error(diff)
	}
}
