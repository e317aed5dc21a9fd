package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestPoolSharesByWeight: while there is not enough, jobs hold it 4 to 2 to 1, however many of each wait; one that wants
// less gets all it wants.
func TestPoolSharesByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(70)
		ctx, cancel := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		hold := func(by *party, n int64, many int) {
			for range many {
				workers.Go(func() {
					for p.acquire(ctx, by, n) == nil {
						time.Sleep(time.Second)
						p.release(by, n)
					}
				})
			}
		}
		high, medium, low := &party{weight: 4}, &party{weight: 2}, &party{weight: 1}
		hold(low, 1, 500) // came first, and in great numbers
		synctest.Wait()
		hold(medium, 2, 100)
		hold(high, 1, 60)
		var sums [3]int64
		const seconds = 40
		for range seconds {
			time.Sleep(time.Second + time.Millisecond)
			synctest.Wait()
			p.mu.Lock()
			h, m, l, free := high.held, medium.held, low.held, p.free
			p.mu.Unlock()
			if h+m+l+free != 70 || free > 1 {
				t.Fatalf("%d + %d + %d held, %d free", h, m, l, free)
			}
			sums[0], sums[1], sums[2] = sums[0]+h, sums[1]+m, sums[2]+l
		}
		for i, want := range []int64{40, 20, 10} {
			if got := sums[i] / seconds; got < want*9/10 || got > want*11/10 {
				t.Errorf("job %d of 3 holds %d of 70, want %d", i, got, want)
			}
		}
		cancel()
		workers.Wait()
		if p.free != 70 || len(p.waiting) != 0 {
			t.Errorf("%d free, %d wait in the end", p.free, len(p.waiting))
		}
	})
}

// TestPoolGrantsTheLarge: a large request is not overtaken for ever by small ones.
func TestPoolGrantsTheLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(8)
		small, large := &party{weight: 4}, &party{weight: 1}
		ctx, cancel := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		for i := range 20 {
			workers.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				for p.acquire(ctx, small, 1) == nil {
					time.Sleep(time.Second)
					p.release(small, 1)
				}
			})
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		if err := p.acquire(ctx, large, 8); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("waited %v", took)
		}
		p.release(large, 8)
		cancel()
		workers.Wait()
	})
}

func TestPoolEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, by, other := newPool(1), new(party), new(party)
		if !p.tryAcquire(by, 1) || p.tryAcquire(other, 1) {
			t.Fatal("an amount of one is given once")
		}
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() { got <- p.acquire(ctx, other, 1) }()
		synctest.Wait()
		cancel(cause)
		if err := <-got; !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		p.release(by, 1)
		if err := p.acquire(ctx, by, 1); !errors.Is(err, cause) {
			t.Errorf("with an ended context: %v", err)
		}
		if p.free != 1 || len(p.waiting) != 0 {
			t.Errorf("%d free, %d wait", p.free, len(p.waiting))
		}
	})
}

// TestPoolBalances: whatever jobs do, nothing is given twice or lost, and nobody waits for what is free.
func TestPoolBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, 16).Draw(t, "amount")
		seeds := rapid.SliceOfN(rapid.Int64Range(0, 1<<30), 2, 12).Draw(t, "workers")
		p := newPool(amount)
		parties := []*party{{weight: 4}, {weight: 2}, {weight: 1}}
		var workers sync.WaitGroup
		var mu sync.Mutex
		var out int64
		for i, seed := range seeds {
			workers.Go(func() {
				by := parties[i%len(parties)]
				for step := range int64(20) {
					n := 1 + (seed>>step)%amount
					ctx, cancel := context.WithCancel(context.Background())
					if (seed>>step)%3 == 0 {
						time.AfterFunc(time.Duration(step)*time.Microsecond, cancel)
					}
					if p.acquire(ctx, by, n) == nil {
						mu.Lock()
						if out += n; out > amount {
							panic(fmt.Sprintf("%d of %d are out", out, amount))
						}
						mu.Unlock()
						mu.Lock()
						out -= n
						mu.Unlock()
						p.release(by, n)
					}
					cancel()
				}
			})
		}
		workers.Wait()
		if p.free != amount || len(p.waiting) != 0 {
			t.Fatalf("%d of %d are free in the end, %d wait", p.free, amount, len(p.waiting))
		}
		for i, by := range parties {
			if by.held != 0 || by.first != nil {
				t.Fatalf("party %d holds %d", i, by.held)
			}
		}
	})
}
