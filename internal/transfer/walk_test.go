package transfer

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// pageOf returns the listing of n objects.
func pageOf(n int) storage.Page {
	p := storage.Page{Objects: make([]storage.ListedObject, n)}
	for i := range p.Objects {
		p.Objects[i] = listed(4096, at(1, 0))
		p.Objects[i].Key = fmt.Sprintf("2024/01/02/%06d", i)
	}
	return p
}

// TestJoinerSeeks: keys that only one side has, on both ends and between, over pages of any length.
func TestJoinerSeeks(t *testing.T) {
	const save = "to/"
	there := []string{"a", "c", "d", "f", "x", "z"}
	for size := 1; size <= len(there); size++ {
		list := func(_ context.Context, o storage.ListOptions) (p storage.Page, _ error) {
			for _, k := range there {
				if save+k > o.After && len(p.Objects) < size {
					p.Objects = append(p.Objects, storage.ListedObject{Key: save + k})
				}
			}
			p.Truncated = len(p.Objects) > 0 && p.Objects[len(p.Objects)-1].Key < save+"z"
			return p, nil
		}
		d := newJoiner(newCursor(list, save, ""), save)
		for _, tt := range []struct {
			key  string
			want bool
		}{{"0", false}, {"a", true}, {"b", false}, {"c", true}, {"e", false}, {"f", true}, {"y", false}, {"z", true}, {"zz", false}, {"zzz", false}} {
			got, known, err := d.seek(t.Context(), tt.key)
			if !known && size == 1 { // no cheaper by pages
				continue
			}
			if err != nil || !known || (got != nil) != tt.want || got != nil && got.Key != save+tt.key {
				t.Errorf("pages of %d: seek %q = %v, %v, want %v", size, tt.key, got, err, tt.want)
			}
		}
		d.cursor.close()
	}
}

// TestCursorEndsLoops: empty truncated pages are followed while they lead on, and only so long.
func TestCursorEndsLoops(t *testing.T) {
	calls := 0
	follow := func(next func(n int) string, full int) ([]storage.ListedObject, error) {
		calls = 0
		c := newCursor(func(context.Context, storage.ListOptions) (storage.Page, error) {
			calls++
			if calls == full {
				return pageOf(1), nil
			}
			return storage.Page{Truncated: true, Next: next(calls)}, nil
		}, "", "")
		defer c.close()
		return c.next(t.Context())
	}
	fresh := func(n int) string { return fmt.Sprint("token ", n) }
	if got, err := follow(fresh, 500); err != nil || len(got) != 1 || calls != 500 {
		t.Errorf("500 empty pages: got %d objects, %v", len(got), err)
	}
	for name, next := range map[string]func(int) string{
		"no token": func(int) string { return "" }, "the same token": func(int) string { return "t" }, "for ever": fresh,
	} {
		if _, err := follow(next, 0); oms.KindOf(err) != oms.Listing || oms.CodeOf(err) != "LISTING_LOOP" || calls > maxEmptyPages+1 {
			t.Errorf("%s: got %v after %d pages", name, err, calls)
		}
	}
}

// BenchmarkWalkPage joins a page of 1,000 objects with the same 1,000 at the destination.
func BenchmarkWalkPage(b *testing.B) {
	page := pageOf(1000)
	j := &Job{plan: Plan{Spec: oms.TaskSpec{Overwrite: oms.OverwriteIfDifferent}}, journal: nopJournal{}}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		s := newSpan(oms.Range{Kind: oms.RangeKeys})
		d := newJoiner(newCursor(func(context.Context, storage.ListOptions) (storage.Page, error) { return page, nil }, "", ""), "")
		if err := j.walkPage(ctx, s, page.Objects, d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSort sorts pages of a listing without order, on disk.
func BenchmarkSort(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s := newSorter(Spool{Dir: b.TempDir(), Memory: 1 << 20})
		for range 100 {
			if err := s.add(pageOf(1000).Objects); err != nil {
				b.Fatal(err)
			}
		}
		l, err := s.finish(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		l.close()
	}
}

// TestSorterKeepsTheLast: repeated keys count once, as they were listed last, in memory and across runs on disk.
func TestSorterKeepsTheLast(t *testing.T) {
	for _, memory := range []int64{1, 1 << 10, 1 << 20} {
		s := newSorter(Spool{Dir: t.TempDir(), Memory: memory})
		for size := range int64(3) {
			for i := range 2500 {
				o := listed(size, at(1, 0))
				o.Key = fmt.Sprintf("%c/%04d", 'z'-rune(i%3), i*7919%2500)
				if err := s.add([]storage.ListedObject{o}); err != nil {
					t.Fatal(err)
				}
			}
			if memory == 1 && size == 0 {
				break // a run for each object: enough of them
			}
		}
		l, err := s.finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen, after := 0, ""
		for {
			page, err := l.list(t.Context(), storage.ListOptions{After: after, Limit: 700})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Objects {
				if o.Key <= after || memory > 1 && o.Size != 2 || !o.ModTime.Equal(at(1, 0)) {
					t.Fatalf("%+v behind %q", o, after)
				}
				after = o.Key
				seen++
			}
			if !page.Truncated {
				break
			}
		}
		if seen != 2500 {
			t.Errorf("memory %d: %d keys", memory, seen)
		}
		part, err := l.list(t.Context(), storage.ListOptions{Prefix: "y/"})
		if err != nil || len(part.Objects) != 833 || part.Truncated {
			t.Errorf("memory %d: %d keys below the prefix, %v", memory, len(part.Objects), err)
		}
		l.close()
	}
}

// TestBelow: positions just before keys.
func TestBelow(t *testing.T) {
	for key, want := range map[string]string{
		"ab": "aa\U0010ffff", "a\x00": "a", "\ue000": "\ud7ff\U0010ffff", "a\xff": "", "é": "\u00e8\U0010ffff",
		strings.Repeat("x", maxKey): strings.Repeat("x", maxKey-1),
	} {
		if got := below(key); got != want || got >= key {
			t.Errorf("below %q is %q, want %q", key, got, want)
		}
	}
}
