package transfer

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
)

// ledger is a journal that remembers checkpoints and refuses them when told to.
type ledger struct {
	Journal
	mu     sync.Mutex
	taken  []oms.Checkpoint
	refuse error
}

func (l *ledger) Checkpoint(_ context.Context, c oms.Checkpoint) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	l.taken = append(l.taken, c)
	return nil
}

func testWindow() *window {
	w := &window{}
	w.init(oms.Range{TaskID: 7, Seq: 3, Generation: 2, Owner: "w", Token: 5, Cur: "a"})
	return w
}

func testBatch(last string, objects int) *batch {
	b := &batch{last: last, objects: int64(objects), pending: 1}
	b.delta = oms.Counters{Listed: int64(objects), Migrated: int64(objects)}
	b.failures = []oms.Failure{{Key: last}}
	b.resolved = []string{last}
	return b
}

// finishBatch books the last outcome of b, as settle does.
func finishBatch(w *window, b *batch, j Journal) error {
	b.mu.Lock()
	b.pending = 0
	b.mu.Unlock()
	return w.acknowledge(context.Background(), j)
}

// TestWindowNeverPassesAnUnfinishedBatch is rule P2: batches finish in any order, the reported position covers
// exactly the finished ones at the front, nothing is counted twice or lost, and the end is reported once (P1, P3).
func TestWindowNeverPassesAnUnfinishedBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, j := testWindow(), &ledger{}
		n := rapid.IntRange(1, 30).Draw(t, "batches")
		batches := make([]*batch, n)
		for i := range batches {
			batches[i] = testBatch("k"+strconv.Itoa(1000+i), rapid.IntRange(1, 64).Draw(t, "objects"))
		}
		order := rapid.Permutation(batches).Draw(t, "order")
		done := map[*batch]bool{}
		added, late, ended := 0, 0, false
		check := func() {
			front := 0
			for front < n && done[batches[front]] {
				front++
			}
			want := oms.Checkpoint{Cur: "a"}
			for _, b := range batches[:front] {
				want.Cur, want.Delta = b.last, want.Delta.Add(b.delta)
			}
			got := oms.Checkpoint{Cur: "a"}
			failures, resolved := 0, 0
			for i, c := range j.taken {
				if c.Cur < got.Cur || c.TaskID != 7 || c.Seq != 3 || c.Generation != 2 || c.Owner != "w" || c.Token != 5 {
					t.Fatalf("checkpoint %+v after %q", c, got.Cur)
				}
				if c.Done && i < len(j.taken)-1 {
					t.Fatal("a checkpoint after the end")
				}
				got.Cur, got.Delta, got.Done = c.Cur, got.Delta.Add(c.Delta), c.Done
				failures, resolved = failures+len(c.Failures), resolved+len(c.Resolved)
			}
			if got.Cur != want.Cur || got.Delta != want.Delta || failures != front || resolved != front || got.Done != (ended && front == n) {
				t.Fatalf("reported %+v (%d failures), want %+v after %d batches, ended %v", got, failures, want, front, ended)
			}
		}
		for step := 0; len(done) < n || !ended; step++ {
			if !ended && (rapid.Bool().Draw(t, "add") || added == 0 || len(done) == added) {
				if added == n {
					ended = true
					if err := w.end(t.Context(), j); err != nil {
						t.Fatal(err)
					}
				} else {
					if err := w.add(t.Context(), batches[added]); err != nil {
						t.Fatal(err)
					}
					added++
				}
				if late == 0 {
					check()
				}
				continue
			}
			for _, b := range order { // the first in the drawn order that is under way
				if i := indexOf(batches, b); i < added && !done[b] {
					done[b] = true
					b.pending = 0
					late++ // who finished it may be slow to say so
					break
				}
			}
			for ; late > 0 && (ended && len(done) == n || rapid.Bool().Draw(t, "say")); late-- {
				if err := w.acknowledge(t.Context(), j); err != nil {
					t.Fatal(err)
				}
				if late == 1 {
					check()
				}
			}
		}
		if w.objects != 0 || len(w.batches) != 0 {
			t.Fatalf("%d objects and %d batches left", w.objects, len(w.batches))
		}
	})
}

func indexOf(list []*batch, b *batch) int {
	for i := range list {
		if list[i] == b {
			return i
		}
	}
	return -1
}

func TestWindowReportsAnEmptyRange(t *testing.T) {
	w, j := testWindow(), &ledger{}
	if err := w.end(t.Context(), j); err != nil || len(j.taken) != 1 || !j.taken[0].Done || j.taken[0].Cur != "a" {
		t.Fatalf("got %+v, %v", j.taken, err)
	}
}

// TestWindowStopsReportingAfterAnError: a checkpoint that was not taken must not be covered by a later one.
func TestWindowStopsReportingAfterAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse error
		want   error
	}{
		"lease lost":     {&oms.Error{Kind: oms.Conflict}, errLost},
		"store is full":  {&oms.Error{Kind: oms.Full}, oms.Full},
		"stored unknown": {context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			w, j := testWindow(), &ledger{refuse: tt.refuse}
			first, second := testBatch("b", 1), testBatch("c", maxUnacknowledged)
			if err := w.add(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			waiting := make(chan error)
			go func() { waiting <- w.add(t.Context(), second) }()
			if err := finishBatch(w, first, j); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			j.refuse = nil
			if err := <-waiting; err == nil { // it may have found room before the error
				err = finishBatch(w, second, j)
				if !errors.Is(err, errLost) {
					t.Fatalf("got %v, want the range lost", err)
				}
			} else if !errors.Is(err, errLost) {
				t.Fatalf("got %v, want the range lost", err)
			}
			for what, err := range map[string]error{
				"add": w.add(t.Context(), testBatch("d", 1)),
				"end": w.end(t.Context(), j), "cut": w.cut(t.Context(), j, oms.RangeTail{At: "x", Seq: 9}),
			} {
				if !errors.Is(err, errLost) && what != "end" {
					t.Errorf("%s: got %v, want the range lost", what, err)
				}
			}
			if len(j.taken) != 0 {
				t.Fatalf("reported after an error: %+v", j.taken)
			}
		})
	}
}

func TestWindowBoundsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, j := testWindow(), &ledger{}
		first := testBatch("b", maxUnacknowledged+1) // one alone passes, however large
		if err := w.add(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		added := make(chan error, 1)
		go func() { added <- w.add(t.Context(), testBatch("c", 1)) }()
		synctest.Wait()
		if len(added) != 0 {
			t.Fatal("no bound")
		}
		if err := finishBatch(w, first, j); err != nil {
			t.Fatal(err)
		}
		if err := <-added; err != nil {
			t.Fatal(err)
		}
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { added <- w.add(ctx, testBatch("d", maxUnacknowledged)) }()
		synctest.Wait()
		cancel(cause)
		if err := <-added; !errors.Is(err, cause) {
			t.Fatalf("got %v, want the cause", err)
		}
	})
}

// slowLedger takes a checkpoint only when its context ends.
type slowLedger struct{ Journal }

func (slowLedger) Checkpoint(ctx context.Context, _ oms.Checkpoint) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestWindowReportsWhileStopping: what finished is reported though the job's context has ended, within a bound.
func TestWindowReportsWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w, j, b := testWindow(), &ledger{}, testBatch("b", 1)
		b.pending = 0
		if err := w.add(ctx, b); err != nil {
			t.Fatal(err)
		}
		if err := w.acknowledge(ctx, j); err != nil || len(j.taken) != 1 {
			t.Fatalf("got %v, %d reports", err, len(j.taken))
		}
		began := time.Now()
		if err := w.end(ctx, slowLedger{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a time-out", err)
		}
		if took := time.Since(began); took != journalPatience {
			t.Fatalf("waited %v for the journal", took)
		}
	})
}

func BenchmarkAcknowledgePage(b *testing.B) {
	w, j := testWindow(), nopJournal{}
	ctx := b.Context()
	for b.Loop() { // a page of 1,000 objects to copy is 16 batches
		var page [16]*batch
		for i := range page {
			page[i] = &batch{last: "k", objects: 64, pending: 1}
			if err := w.add(ctx, page[i]); err != nil {
				b.Fatal(err)
			}
		}
		for _, bt := range page {
			bt.pending = 0
			if err := w.acknowledge(ctx, j); err != nil {
				b.Fatal(err)
			}
		}
	}
}

type nopJournal struct{ Journal }

func (nopJournal) Checkpoint(context.Context, oms.Checkpoint) error { return nil }
