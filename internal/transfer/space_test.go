package transfer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// keySpaces are the shapes of keys that listings were tuned on, and some at random.
func keySpaces() map[string]func(r *rand.Rand, i int) string {
	words := []string{"日本", "中文", "한국", "Ünï", "naïve", "😀", "👩‍👧", "e\u0301", "\u00e9", "ﷺ", "\U0010FFFF", "\uffff", "\ue000", "\ud7ff"}
	pick := func(r *rand.Rand) string { return words[r.IntN(len(words))] }
	return map[string]func(r *rand.Rand, i int) string{
		"uuid":         func(r *rand.Rand, _ int) string { return fmt.Sprintf("%016x-%016x", r.Uint64(), r.Uint64()) },
		"numbers":      func(_ *rand.Rand, i int) string { return fmt.Sprintf("%09d", i) },
		"plain counts": func(_ *rand.Rand, i int) string { return strconv.Itoa(i) },
		"dated": func(r *rand.Rand, i int) string {
			return time.Date(2024, 1, 1+r.IntN(60), 0, 0, 0, 0, time.UTC).Format("2006/01/02/") + fmt.Sprintf("%05d", i)
		},
		"hive": func(r *rand.Rand, i int) string {
			return fmt.Sprintf("db/tbl=%02d/year=2024/month=%02d/part-%05d.parquet", r.IntN(6), r.IntN(12), i)
		},
		"giant directory": func(r *rand.Rand, i int) string {
			if r.IntN(10) > 0 {
				return fmt.Sprintf("logs/all/%08x", r.Uint32())
			}
			return fmt.Sprintf("d%02d/%d", r.IntN(20), i)
		},
		"tenants": func(r *rand.Rand, i int) string {
			return fmt.Sprintf("t/%05d/%d", rand.NewZipf(r, 1.2, 1, 500).Uint64(), i)
		},
		"unicode": func(r *rand.Rand, i int) string { return pick(r) + "/" + pick(r) + strconv.Itoa(i) },
		"200 byte prefix": func(r *rand.Rand, _ int) string {
			return strings.Repeat("deep/", 40) + fmt.Sprintf("%06x", r.IntN(1<<24))
		},
		"edge code points": func(r *rand.Rand, i int) string {
			edges := []string{"\x01", " ", "~", "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"}
			var k strings.Builder
			for range 1 + r.IntN(4) {
				k.WriteString(edges[r.IntN(len(edges))])
			}
			return k.String() + strconv.Itoa(i%7)
		},
		"base64":   func(r *rand.Rand, _ int) string { return base64.StdEncoding.EncodeToString(fillBytes(18, r.Uint64())) },
		"prefixes": func(_ *rand.Rand, i int) string { return strings.Repeat("a", 1+i) }, // each the prefix of the next
		"any bytes": func(r *rand.Rand, _ int) string {
			b := fillBytes(1+r.IntN(6), r.Uint64())
			return string(b)
		},
		"two letters": func(r *rand.Rand, _ int) string {
			k := []byte("a")
			for range r.IntN(14) {
				k = append(k, "ab/"[r.IntN(3)])
			}
			return string(k)
		},
	}
}

// pages makes each page of a listing as long as the dice say, some of them empty with a token that leads on.
type pages struct {
	store
	dice chan *rand.Rand
}

func newPages(s store, seed uint64) pages {
	p := pages{s, make(chan *rand.Rand, 1)}
	p.dice <- rand.New(rand.NewPCG(seed, 1))
	return p
}

func (p pages) List(ctx context.Context, o storage.ListOptions) (storage.Page, error) {
	const pause = "pause "
	r := <-p.dice
	n, empty, id := 1+r.IntN(40), r.IntN(10) == 0, r.Uint32()
	p.dice <- r
	if o.Limit == 0 || o.Limit > n {
		o.Limit = n
	}
	if token, ok := strings.CutPrefix(o.Token, pause); ok {
		_, o.Token, _ = strings.Cut(token, " ")
	}
	if empty {
		return storage.Page{Truncated: true, Next: pause + strconv.Itoa(int(id)) + " " + o.Token}, nil
	}
	return p.store.List(ctx, o)
}

// TestRunAnySpaceAnyCrash is the property that the rest serves: whatever the keys, the pages, the cuts, the faults
// and the crashes, in the end every key was handled exactly once and the destination is right (D9, P1, P2, P3), and
// what had arrived before a crash was not sent again, in any mode (P8).
func TestRunAnySpaceAnyCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for name, space := range keySpaces() {
		seed++
		own := seed
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", own)
			anySpaceAnyCrash(t, space, rand.New(rand.NewPCG(own, 2)))
		})
	}
}

// anyOrder is mostly a store as it should be.
func anyOrder(r *rand.Rand) testcloud.Profile {
	switch r.IntN(8) {
	case 0:
		return testcloud.UTF16()
	case 1:
		return testcloud.Directory()
	case 2:
		return testcloud.Unordered()
	}
	return testcloud.AWS()
}

func anySpaceAnyCrash(t *testing.T, space func(*rand.Rand, int) string, r *rand.Rand) {
	p := newPair(t, testcloud.Options{Seed: r.Uint64(), Profile: anyOrder(r)}, testcloud.Options{Seed: r.Uint64(), Profile: anyOrder(r)})
	mode := []oms.OverwriteMode{oms.OverwriteIfDifferent, oms.FullOverwrite, oms.NoOverwrite}[r.IntN(3)]
	n, present := 100+r.IntN(200), int64(0)
	for i := range n {
		k := space(r, i)
		if len(k) > 1024 || strings.HasPrefix(k, "oms/") {
			continue
		}
		if _, again := p.srcBucket.Get(k); again {
			continue
		}
		body := fillBytes(r.IntN(3000), r.Uint64())
		p.srcBucket.PutAt(k, body, testcloud.Attrs{}, old)
		switch dice := r.IntN(10); {
		case dice < 2: // there already
			p.dstBucket.PutAt(k, body, testcloud.Attrs{}, old.Add(time.Hour))
			present++
		case dice < 4 && mode != oms.NoOverwrite: // there with the same size and older content
			p.dstBucket.PutAt(k, fillBytes(len(body), 7), testcloud.Attrs{}, old.Add(-time.Hour))
		}
		if r.IntN(20) == 0 { // nobody's business
			p.dstBucket.Put("other "+k[:min(len(k), 900)], nil, testcloud.Attrs{})
		}
	}
	for _, c := range []*testcloud.Cloud{p.src, p.dst} {
		for _, f := range []testcloud.Fault{testcloud.InternalError(), testcloud.SlowDown(), testcloud.Reset()} {
			c.Faults.Add(testcloud.Rule{Probability: .01 * r.Float64(), Fault: f})
		}
	}
	spec := wholeBucket()
	spec.Overwrite = mode
	task := newRun(t, p, spec)
	srcSeed, dstSeed := r.Uint64(), r.Uint64()
	task.wrapSrc = func(s store) storage.Reader { return newPages(s, srcSeed) }
	task.wrapDst = func(s store) storage.Writer { return newPages(s, dstSeed) }

	for crash := range r.IntN(4) {
		task.opts.Workers, task.opts.Walkers = 1+r.IntN(16), 1+r.IntN(8)
		ctx, cancel := context.WithCancel(t.Context())
		fuse := 1 + r.IntN(20)
		task.journal.mu.Lock()
		task.journal.fuse, task.journal.crash = fuse, cancel
		task.journal.mu.Unlock()
		before, arrived := p.dstBucket.ReceivedAll(), p.finished()
		err := task.do(ctx, t)
		cancel()
		if _, disorder := errors.AsType[*transfer.Disorder](err); err != nil && !disorder && !errors.Is(err, context.Canceled) {
			t.Fatalf("crash %d: %v", crash, err)
		}
		if crash > 0 {
			p.mustNotBeSentAgain(t, before, arrived)
		}
	}
	task.journal.mu.Lock()
	task.journal.fuse = 0
	task.journal.mu.Unlock()
	before, arrived := p.dstBucket.ReceivedAll(), p.finished()
	c := task.mustFinish(t)
	p.mustNotBeSentAgain(t, before, arrived)
	p.mustHold(t)
	want := oms.Counters{Listed: p.srcBucket.Len(), Skipped: present}
	if mode == oms.FullOverwrite {
		want.Skipped = 0
	}
	if want.Migrated = want.Listed - want.Skipped; c.Listed != want.Listed || c.Skipped != want.Skipped || c.Migrated != want.Migrated {
		t.Fatalf("%s: got %+v, want %d listed, %d migrated, %d skipped; %d ranges", mode, c, want.Listed, want.Migrated, want.Skipped, len(task.journal.ranges))
	}
	t.Logf("%s, %d keys, %d ranges, generation %d", mode, c.Listed, len(task.journal.ranges), task.gen)
}

// finished returns the keys that the destination holds as this task's own, complete copies.
func (p *pair) finished() map[string]bool {
	done := map[string]bool{}
	for o := range p.dstBucket.All() {
		if src, ok := p.srcBucket.Get(o.Key); ok && o.Size == src.Size && o.ModTime.Year() > 2025 {
			done[o.Key] = true
		}
	}
	return done
}

// mustNotBeSentAgain checks that what had arrived before a resumed run was not sent again by it.
func (p *pair) mustNotBeSentAgain(tb testing.TB, before map[string]int64, arrived map[string]bool) {
	tb.Helper()
	for k := range arrived {
		if got := p.dstBucket.Received(k); got > before[k] {
			tb.Errorf("%q had arrived with %d bytes before the crash and was sent again: %d", k, before[k], got)
		}
	}
}

// mustHold checks that the destination holds everything of the source; other keys do not matter.
func (p *pair) mustHold(tb testing.TB) {
	tb.Helper()
	if diff := testcloud.Compare(p.srcBucket, p.dstBucket, testcloud.CompareOptions{Extra: true}); len(diff) > 0 {
		tb.Fatalf("the destination differs:\n%s", strings.Join(diff, "\n"))
	}
	if open := p.dstBucket.Uploads(); len(open) > 0 {
		tb.Fatalf("uploads left open: %v", open)
	}
}

// TestRunOverLargeSpaces lists spaces of thousands of keys that the destination has already, with many walkers, as
// they lie in real pages.
func TestRunOverLargeSpaces(t *testing.T) {
	shape := testcloud.Shape{Size: testcloud.FixedSize(3)}
	for name, space := range map[string]testcloud.Space{
		"numbers":     testcloud.Numbers(25_000, shape),
		"directories": testcloud.Directories(shape, 5, 40, 100),
		"dated":       testcloud.Dated(old, 30, 700, shape),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			p.srcBucket = p.src.Generated("src", space, testcloud.GeneratedOptions{MD5Limit: -1})
			p.dstBucket = p.dst.Generated("dst", testcloud.Present(testcloud.Every(space, 0, 2), time.Hour), testcloud.GeneratedOptions{MD5Limit: -1})
			task := newRun(t, p, wholeBucket())
			task.spec.Overwrite = oms.NoOverwrite
			p.dstBucket.Delete("oms/probe/test")
			// Every second key is missing; all but some of those are too old to be asked for.
			task.spec.MigrateSince = old.AddDate(0, 0, 31)
			var keys []string
			for i := int64(1); i < space.Len(); i += 2 * 501 {
				k := string(space.AppendKey(nil, i))
				keys = append(keys, k)
				p.srcBucket.PutAt(k, []byte("new"), testcloud.Attrs{}, old.AddDate(0, 0, 40))
			}
			c := task.mustFinish(t)
			if c.Listed != space.Len() || c.Migrated != int64(len(keys)) || c.Skipped != c.Listed-c.Migrated {
				t.Fatalf("got %+v, want %d listed, %d migrated", c, space.Len(), len(keys))
			}
			for _, k := range keys {
				if o, ok := p.dstBucket.Get(k); !ok || string(o.Bytes()) != "new" {
					t.Fatalf("%q did not arrive", k)
				}
			}
			if len(task.journal.ranges) < 3 {
				t.Errorf("only %d ranges: nobody helps with a long one", len(task.journal.ranges))
			}
			if s := task.stats; s.Found != c.Listed || s.Listing {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// TestRunPrefixesAndSavePrefix: several ranges of one task below a save prefix, neighbours of the prefix left alone.
func TestRunPrefixesAndSavePrefix(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	chosen := []string{"a/1", "a/2", "a/x/3", "c", "c1", "c/日本"}
	for i, k := range slices.Concat(chosen, []string{"a", "b", "a0", "C"}) {
		p.srcBucket.PutAt(k, fillBytes(10+i, uint64(i)), testcloud.Attrs{}, old)
	}
	p.dstBucket.PutAt("a/1", []byte("not below the save prefix"), testcloud.Attrs{}, old)
	spec := wholeBucket()
	spec.Src.Keys, spec.Dst.SavePrefix = []string{"a/", "c"}, "kept/here-"
	c := newRun(t, p, spec).mustFinish(t)
	if c.Migrated != int64(len(chosen)) || c.Listed != c.Migrated {
		t.Fatalf("got %+v, want %d migrated", c, len(chosen))
	}
	for _, k := range chosen {
		src, _ := p.srcBucket.Get(k)
		if dst, ok := p.dstBucket.Get("kept/here-" + k); !ok || string(dst.Bytes()) != string(src.Bytes()) {
			t.Errorf("%q did not arrive", k)
		}
	}
	if again := newRun(t, p, spec).mustFinish(t); again.Skipped != int64(len(chosen)) {
		t.Fatalf("second run: %+v", again)
	}
}

// TestOwnWorkIsKnownBehindCuts: everything was copied before the crash but nothing of it is stored. The next run cuts
// the range anew, and behind every cut it knows its own work again, though it overwrites all else (P8).
func TestOwnWorkIsKnownBehindCuts(t *testing.T) {
	p := newPair(t, shortPages(), testcloud.Options{})
	p.fill(600)
	spec := wholeBucket()
	spec.Overwrite = oms.FullOverwrite
	task := newRun(t, p, spec)
	task.journal.fuse, task.journal.crash = 1, func() {}
	must(t, task.do(t.Context(), t))
	before, arrived := p.dstBucket.ReceivedAll(), p.finished()
	if len(arrived) != 600 {
		t.Fatalf("%d objects arrived", len(arrived))
	}
	c := task.mustFinish(t)
	if c.Migrated != 600 || c.MovedBytes != c.ListedBytes || len(task.journal.ranges) < 3 {
		t.Fatalf("got %+v in %d ranges", c, len(task.journal.ranges))
	}
	p.mustNotBeSentAgain(t, before, arrived)
	p.mustBeEqual(t)
}
