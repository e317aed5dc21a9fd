package guard

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

var testKey = Key{Endpoint: "https://store.example", Bucket: "b", Class: Read}

func acquire(t *testing.T, f *Flow) *Ticket {
	t.Helper()
	ticket, err := f.Acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return &ticket
}

// No more requests are in flight than there are slots; who waits goes on when one ends, in order.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{MaxSlots: 2})
		f := g.Open(testKey, 1)
		defer f.Close()
		first, second := acquire(t, f), acquire(t, f)
		order := make(chan int, 3)
		var waiting sync.WaitGroup
		for i := range 3 {
			waiting.Go(func() {
				ticket, err := f.Acquire(t.Context(), "")
				if err != nil {
					t.Error(err)
				}
				order <- i
				time.Sleep(time.Second)
				ticket.Done(OK())
			})
			synctest.Wait()
		}
		if s := g.Snapshot()[0]; s.InFlight != 2 || s.Waiting != 3 || s.Slots != 2 || s.Flows != 1 {
			t.Errorf("got %+v", s)
		}
		first.Done(OK())
		first.Done(OK()) // says nothing more
		first.Cancel()
		synctest.Wait()
		if s := g.Snapshot()[0]; s.InFlight != 2 || s.Waiting != 2 {
			t.Errorf("got %+v", s)
		}
		second.Cancel()
		waiting.Wait()
		for want := range 3 {
			if got := <-order; got != want {
				t.Errorf("waiter %d went on, want %d", got, want)
			}
		}
		if s := g.Snapshot()[0]; s.InFlight != 0 || s.Waiting != 0 || s.Sent != 4 {
			t.Errorf("got %+v", s)
		}
	})
}

// A caller that does not want to wait any longer gets its cause and leaves no trace.
func TestAcquireCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{MaxSlots: 2})
		f := g.Open(testKey, 1)
		a, b := acquire(t, f), acquire(t, f)
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		go func() {
			_, err := f.Acquire(ctx, "")
			failed <- err
		}()
		synctest.Wait()
		cancel(cause)
		if err := <-failed; !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
		if _, err := f.Acquire(ctx, ""); !errors.Is(err, cause) {
			t.Errorf("got %v, want %v", err, cause)
		}
		if s := g.Snapshot()[0]; s.Waiting != 0 || s.InFlight != 2 {
			t.Errorf("got %+v", s)
		}
		a.Done(Neutral())
		b.Done(Failed())
		f.Close()
		f.Close()
		if _, err := f.Acquire(t.Context(), ""); oms.KindOf(err) != oms.Conflict {
			t.Errorf("got %v, want oms.Conflict", err)
		}
		if s := g.Snapshot()[0]; s.Flows != 0 || s.Failed != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// A turn that comes at the moment in which the caller gives up goes to the next one.
func TestGrantedAndCancelled(t *testing.T) {
	g := New(Options{MaxSlots: 2})
	f := g.Open(testKey, 1)
	defer f.Close()
	first, second := acquire(t, f), acquire(t, f)
	w := &waiter{ready: make(chan struct{}, 1)}
	f.lane.mu.Lock()
	f.lane.ctl.enqueue(&f.share, w)
	f.lane.mu.Unlock()
	first.Done(OK())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.granted(ctx, "", w); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s := g.Snapshot()[0]; s.InFlight != 1 || s.Waiting != 0 || s.Sent != 2 {
		t.Errorf("got %+v", s)
	}
	acquire(t, f).Done(OK())
	second.Done(OK())
}

// Without a guard, everything passes.
func TestNoGuard(t *testing.T) {
	var g *Guard
	f := g.Open(testKey, 1)
	f.SetWeight(2)
	ticket, err := f.Acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ticket.Progress(1)
	ticket.Held(time.Second)
	ticket.Done(OK())
	ticket.Cancel()
	f.Close()
	if g.Snapshot() != nil {
		t.Error("a snapshot of nothing")
	}
}

// crowd sends requests of the flow with as many goroutines as asked until ctx ends.
func crowd(ctx context.Context, t *testing.T, all *sync.WaitGroup, f *Flow, callers int, request func(*Ticket) Outcome) {
	t.Helper()
	for range callers {
		all.Go(func() {
			for {
				ticket, err := f.Acquire(ctx, "")
				if err != nil {
					return
				}
				ticket.Done(request(&ticket))
			}
		})
	}
}

// The real lane in virtual time: it finds the slots that a store with latency needs, and keeps the limit of a store
// that refuses. Timers do what the pacer asks for.
func TestLane(t *testing.T) {
	for _, limit := range []float64{0, 400} {
		synctest.Test(t, func(t *testing.T) {
			g := New(Options{MaxSlots: 64})
			f := g.Open(testKey, 1)
			defer f.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			tokens, at, served := 10., time.Now(), 0
			var all sync.WaitGroup
			crowd(ctx, t, &all, f, 100, func(ticket *Ticket) Outcome {
				mu.Lock()
				now := time.Now()
				tokens, at = min(tokens+now.Sub(at).Seconds()*limit, 10), now
				refuse := limit > 0 && tokens < 1
				if !refuse {
					tokens--
					served++
				}
				mu.Unlock()
				if refuse {
					time.Sleep(10 * time.Millisecond)
					return Refused(0)
				}
				time.Sleep(50 * time.Millisecond)
				ticket.Progress(4096)
				return OK()
			})
			time.Sleep(10 * time.Second)
			mu.Lock()
			before := served
			mu.Unlock()
			refusedBefore := g.Snapshot()[0].Refused
			time.Sleep(10 * time.Second)
			s := g.Snapshot()[0]
			mu.Lock()
			rate := float64(served-before) / 10
			mu.Unlock()
			cancel()
			all.Wait()
			want := 64 / .05
			if limit > 0 {
				want = limit
			}
			if rate < .9*want {
				t.Errorf("limit %.0f: %.0f requests per second, want about %.0f: %+v", limit, rate, want, s)
			}
			if share := float64(s.Refused-refusedBefore) / (10 * rate); share > .015 {
				t.Errorf("limit %.0f: %.3f refused", limit, share)
			}
			if limit > 0 && s.Mode != "pacing" || s.RTT < 40*time.Millisecond || s.RTT > 60*time.Millisecond {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// Retry-After of a store that serves nothing stops the lane for that long, and not for good.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Options{})
		f := g.Open(testKey, 1)
		defer f.Close()
		begin := time.Now()
		for time.Since(begin) < 240*time.Millisecond {
			ticket := acquire(t, f)
			time.Sleep(10 * time.Millisecond)
			ticket.Done(Refused(20 * time.Second))
		}
		time.Sleep(20 * time.Millisecond)
		before := g.Snapshot()[0].Sent
		ctx, cancel := context.WithTimeout(t.Context(), 19*time.Second)
		defer cancel()
		if ticket, err := f.Acquire(ctx, ""); err == nil {
			ticket.Done(OK())
			t.Errorf("a request %v after the store asked for 20 s", time.Since(begin))
		}
		ticket := acquire(t, f)
		ticket.Done(OK())
		if took := time.Since(begin); took > 25*time.Second {
			t.Errorf("the lane was stopped for %v", took)
		}
		if sent := g.Snapshot()[0].Sent; sent != before+1 {
			t.Errorf("%d requests sent, %d before", sent, before)
		}
	})
}

// Tickets, cancellations and flows from many goroutines at once: nothing is lost, and in the end nothing is held.
func TestCrowd(t *testing.T) {
	g := New(Options{MaxSlots: 4})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			f := g.Open(testKey, 1+i%4)
			defer f.Close()
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(200))*time.Microsecond)
				ticket, err := f.Acquire(ctx, "")
				if err == nil {
					switch rng.IntN(5) {
					case 0:
						ticket.Done(Refused(0))
					case 1:
						ticket.Done(Failed())
					case 2:
						ticket.Cancel()
					default:
						ticket.Progress(100)
						ticket.Done(OK())
					}
				}
				cancel()
				f.SetWeight(rng.IntN(5))
			}
		})
	}
	all.Wait()
	if s := g.Snapshot()[0]; s.InFlight != 0 || s.Waiting != 0 || s.Flows != 0 {
		t.Errorf("got %+v", s)
	}
}

// memory remembers points in a map.
type memory struct {
	points map[Key]oms.OperatingPoint
	err    error
	saves  int
}

func (m *memory) OperatingPoints(_ context.Context, since time.Time, limit int) (list []oms.OperatingPoint, err error) {
	for _, p := range m.points {
		if !p.LearnedAt.Before(since) && len(list) < limit {
			list = append(list, p)
		}
	}
	return list, m.err
}

func (m *memory) SaveOperatingPoints(_ context.Context, points []oms.OperatingPoint) error {
	m.saves++
	for _, p := range points {
		m.points[Key{p.Endpoint, p.Bucket, Class(p.Class)}] = p
	}
	return m.err
}

// What a process learned is where the next one starts, unless it is too old. Lanes that nobody uses are dropped.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{points: map[Key]oms.OperatingPoint{}}
		run := func(use func(g *Guard)) {
			t.Helper()
			g := New(Options{MaxSlots: 200, Memory: store})
			if err := g.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			all.Go(func() { _ = g.Run(ctx) })
			use(g)
			cancel()
			all.Wait()
		}
		run(func(g *Guard) {
			f := g.Open(testKey, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			var all sync.WaitGroup
			crowd(ctx, t, &all, f, 300, func(*Ticket) Outcome { time.Sleep(20 * time.Millisecond); return OK() })
			all.Wait()
			f.Close()
		})
		p := store.points[testKey]
		if p.Slots != 200 || !p.Settled || p.PerSlot == 0 || p.LearnedAt.IsZero() {
			t.Fatalf("learned %+v", p)
		}
		run(func(g *Guard) {
			f := g.Open(testKey, 1)
			if s := g.Snapshot()[0]; s.Slots != 200 {
				t.Errorf("the next process starts with %+v", s)
			}
			f.Close()
			time.Sleep(idleLane + 2*saveEvery)
			if s := g.Snapshot(); len(s) != 0 {
				t.Errorf("%d idle lanes are kept", len(s))
			}
		})
		if got := store.points[testKey]; got != p {
			t.Errorf("nothing was learned, but %+v was stored in place of %+v", got, p)
		}
		time.Sleep(8 * 24 * time.Hour)
		run(func(g *Guard) {
			defer g.Open(testKey, 1).Close()
			if s := g.Snapshot()[0]; s.Slots != startSlots {
				t.Errorf("a process after eight days starts with %+v", s)
			}
		})
		store.err = errors.New("the store is away")
		if err := New(Options{Memory: store}).Load(t.Context()); !errors.Is(err, store.err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOutcomeOf(t *testing.T) {
	throttled := oms.Errorf(oms.Throttled, "SlowDown", "")
	for _, tt := range []struct {
		err  error
		want Outcome
	}{
		{nil, OK()},
		{throttled, Refused(time.Second)},
		{oms.Errorf(oms.Transient, "", ""), Failed()},
		{oms.Errorf(oms.NotFound, "", ""), OK()},
		{oms.Errorf(oms.Denied, "", ""), Neutral()},
		{oms.Errorf(oms.Changed, "", ""), Neutral()},
		{context.Canceled, Neutral()},
		{&oms.Error{Kind: oms.Transient, Err: context.DeadlineExceeded}, Neutral()},
		{errors.New("foreign"), Neutral()},
	} {
		if got := OutcomeOf(tt.err, time.Second); got != tt.want {
			t.Errorf("OutcomeOf(%v) = %+v, want %+v", tt.err, got, tt.want)
		}
	}
	if got := Refused(-time.Second); got != Refused(0) {
		t.Errorf("got %+v", got)
	}
}

func TestWeight(t *testing.T) {
	for p, want := range map[oms.Priority]int{oms.PriorityHigh: 4, oms.PriorityMedium: 2, oms.PriorityLow: 1, "": 2} {
		if got := Weight(p); got != want {
			t.Errorf("Weight(%s) = %d, want %d", p, got, want)
		}
	}
}

func TestSlotsOfAFlow(t *testing.T) {
	var none *Flow
	if n := none.Slots(); n != 0 {
		t.Errorf("a nil flow lets %d pass, want 0 for no bound", n)
	}
	f := New(Options{MaxSlots: 100}).Open(Key{Endpoint: "e", Bucket: "b", Class: Read}, 1)
	defer f.Close()
	if n := f.Slots(); n != startSlots {
		t.Errorf("a new lane has %d slots, want %d", n, startSlots)
	}
}
