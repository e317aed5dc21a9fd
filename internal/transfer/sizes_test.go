package transfer

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

func TestPartSize(t *testing.T) {
	const gib, tib = 1 << 30, 1 << 40
	s3 := storage.PartLimits{MinPart: 5 << 20, MaxPart: 5 << 30, MaxParts: 10_000}
	tests := []struct {
		name string
		size int64
		lim  storage.PartLimits
		want int64
	}{
		{"just above one buffer", maxSingle + 1, s3, 8 << 20},
		{"1 GiB", gib, s3, 8 << 20},
		{"1000 parts", 1000 * 8 << 20, s3, 8 << 20},
		{"just more than 1000 parts", 1001 * 8 << 20, s3, 16 << 20},
		{"500 GiB", 500 * gib, s3, 64 << 20},
		{"5 TiB", 5 * tib, s3, 583 << 20},
		{"50 TiB", 50 * tib, s3, 5 << 30},
		{"few parts", 100 * gib, storage.PartLimits{MinPart: 5 << 20, MaxPart: 5 << 30, MaxParts: 1000}, 114 << 20},
		{"large smallest part", 20 << 20, storage.PartLimits{MinPart: 10 << 20}, 10 << 20},
		{"small largest part", gib, storage.PartLimits{MaxPart: 8 << 20, MaxParts: 10_000}, 8 << 20},
		{"no limits known", 100 << 20, storage.PartLimits{}, 8 << 20},
	}
	for _, tt := range tests {
		got := partSize(tt.size, tt.lim)
		if tt.want > 0 && got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		lim := storage.PartLimits{
			MinPart:  rapid.SampledFrom([]int64{0, 100 << 10, 5 << 20, 16 << 20}).Draw(t, "min"),
			MaxPart:  5 << 30,
			MaxParts: rapid.SampledFrom([]int{0, 1000, 10_000}).Draw(t, "parts"),
		}
		most := int64(10_000)
		if lim.MaxParts > 0 {
			most = int64(lim.MaxParts)
		}
		size := rapid.Int64Range(maxSingle+1, most*9/10*(5<<30)).Draw(t, "size")
		p := partSize(size, lim)
		if n := (size + p - 1) / p; n > most || p < max(lim.MinPart, 5<<20) || p > lim.MaxPart {
			t.Fatalf("partSize(%d, %+v) = %d: %d parts", size, lim, p, n)
		}
	})
}

func TestBackoffBounds(t *testing.T) {
	refused := &oms.Error{Kind: oms.Throttled}
	for try := 2; try < 80; try++ {
		for range 200 {
			least, most := 50*time.Millisecond, 100*time.Millisecond<<min(max(try-3, 0), 6)
			if try == 2 {
				least, most = 10*time.Millisecond, 50*time.Millisecond
			}
			if d := backoff(try, refused); d < least || d > most {
				t.Fatalf("try %d after a refusal waits %v, want %v to %v", try, d, least, most)
			}
			if try == 2 {
				least, most = 0, 25*time.Millisecond
			}
			if d := backoff(try, errStalled); d < least || d > most {
				t.Fatalf("try %d of what broke waits %v, want %v to %v", try, d, least, most)
			}
		}
	}
	pause := func(d time.Duration) error { return &oms.Error{Kind: oms.Throttled, Err: storage.Pause{After: d}} }
	if got := backoff(2, pause(40*time.Second)); got != 40*time.Second {
		t.Errorf("the store asks for 40 s, got %v", got)
	}
	if got := backoff(2, pause(1000*time.Hour)); got != storage.MaxPause {
		t.Errorf("an absurd pause is not clamped: %v", got)
	}
	// A store that says "come back at once" must not be hammered, nor the tries be used up in an instant.
	for _, d := range []time.Duration{0, -time.Hour, time.Millisecond} {
		if got := backoff(5, pause(d)); got < 50*time.Millisecond {
			t.Errorf("pause of %v: waits %v only", d, got)
		}
	}
}

func TestBuffersReuseWithinTheirBudget(t *testing.T) {
	ctx := t.Context()
	b, by := newBuffers(0), new(party)
	first, err := b.get(ctx, by, 5000)
	if err != nil || len(first) != 5000 || cap(first) != 8192 {
		t.Fatalf("got %d of %d bytes, %v", len(first), cap(first), err)
	}
	b.put(by, first)
	second, err := b.get(ctx, by, 8000)
	if err != nil || &second[0] != &first[0] || len(second) != 8000 {
		t.Fatal("the buffer of the same class is not used again")
	}
	b.put(by, second)
	if empty, err := b.get(ctx, by, 0); err != nil || len(empty) != 0 || cap(empty) != minBuffer {
		t.Fatalf("empty buffer: %d of %d, %v", len(empty), cap(empty), err)
	} else {
		b.put(by, empty)
	}

	// The whole budget is in use: the next one waits until something comes back, or the context ends.
	large, err := b.get(ctx, by, MaxBuffer)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("stopped")
	ended, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if _, err := b.get(ended, by, 1); !errors.Is(err, cause) {
		t.Fatalf("got %v, want the cause of the end", err)
	}
	got := make(chan []byte)
	go func() {
		buf, err := b.get(ctx, by, 1)
		if err != nil {
			t.Error(err)
		}
		got <- buf
	}()
	b.put(by, large)
	b.put(by, <-got)
	if !b.budget.tryAcquire(by, b.limit) {
		t.Fatal("the budget is not whole again")
	}
}

// TestBuffersKeepNoMoreThanTheirBudget: what is dropped to make room must be garbage, not hidden behind a slice.
func TestBuffersKeepNoMoreThanTheirBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, by := newBuffers(0), new(party)
		var out [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(out) > 0 && rapid.Bool().Draw(t, "put") {
				b.put(by, out[len(out)-1])
				out = out[:len(out)-1]
			} else {
				n := int64(1) << rapid.IntRange(12, 25).Draw(t, "class")
				if !b.budget.tryAcquire(by, n) {
					continue
				}
				b.budget.release(by, n)
				buf, err := b.get(context.Background(), by, n)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, buf)
			}
			var kept, reachable int64
			for _, l := range b.free {
				for i, buf := range l[:cap(l)] {
					if i < len(l) {
						kept += int64(cap(buf))
					}
					reachable += int64(cap(buf))
				}
			}
			if kept != b.kept || kept > b.limit || reachable > kept {
				t.Fatalf("kept %d, counted %d, reachable %d, limit %d", kept, b.kept, reachable, b.limit)
			}
		}
	})
}

func TestFifo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fifo[int]
		var want []int
		for i := range rapid.IntRange(0, 300).Draw(t, "steps") {
			if len(want) > 0 && rapid.IntRange(0, 2).Draw(t, "pop") == 0 {
				if got := f.pop(); got != want[0] {
					t.Fatalf("got %d, want %d", got, want[0])
				}
				want = want[1:]
			} else {
				f.push(i)
				want = append(want, i)
			}
			if f.len() != len(want) {
				t.Fatalf("len %d, want %d", f.len(), len(want))
			}
		}
	})
}
