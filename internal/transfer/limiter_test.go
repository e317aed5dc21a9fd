package transfer

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiterKeepsTheRate(t *testing.T) {
	for _, rate := range []int64{10 << 10, 1 << 20, 100 << 20} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter()
			l.set(rate)
			ctx, cancel := context.WithCancel(t.Context())
			var moved atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						n := l.chunk(readChunk)
						if l.wait(ctx, n) != nil {
							return
						}
						moved.Add(int64(n))
					}
				})
			}
			time.Sleep(30 * time.Second)
			cancel()
			wg.Wait()
			if got, want := float64(moved.Load()), float64(rate*30); math.Abs(got/want-1) > .05 {
				t.Errorf("rate %d: moved %.0f bytes in 30 s, want %.0f", rate, got, want)
			}
		})
	}
}

// TestLimiterChangesActAtOnce: nobody sleeps on with the old rate, whether it grows, goes away or shrinks.
func TestLimiterChangesActAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		l.set(1)
		if err := l.wait(t.Context(), 1_000_000); err != nil { // borrowed: the next one waits for 11 days
			t.Fatal(err)
		}
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.wait(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		l.set(1 << 20)
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a faster rate acted after %v", took)
		}

		l.set(1)
		_ = l.wait(t.Context(), 1_000_000)
		began = time.Now()
		wg.Go(func() {
			if err := l.wait(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		l.set(0)
		wg.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("no limit acted after %v", took)
		}

		// What was unused is not saved up for later.
		l.set(1000)
		time.Sleep(time.Hour)
		began = time.Now()
		for range 10 {
			if err := l.wait(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 8*time.Second {
			t.Errorf("10,000 bytes at 1,000 bytes/s took %v", took)
		}
	})
}

func TestLimiterGivesBackAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		l.giveBack(100) // without a limit nothing is counted
		l.set(1000)
		began := time.Now()
		for range 100 { // reads that return little: only what moved counts
			if err := l.wait(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
			l.giveBack(990)
		}
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("1,000 bytes at 1,000 bytes/s took %v", took)
		}
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		_ = l.wait(ctx, 1_000_000)
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if err := l.wait(ctx, 1); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}
