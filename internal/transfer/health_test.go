package transfer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
)

// sick runs a health whose store is away until the error of its ping is changed.
func sick(t *testing.T, patience time.Duration) (h *health, pings *atomic.Int64, answer *atomic.Value, ended <-chan error) {
	t.Helper()
	pings, answer = new(atomic.Int64), new(atomic.Value)
	answer.Store(error(&oms.Error{Kind: oms.Transient}))
	h = newHealth(oms.Destination, patience, func(context.Context) error {
		pings.Add(1)
		if err, _ := answer.Load().(error); !errors.Is(err, errBack) {
			return err
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- h.run(t.Context()) }()
	return h, pings, answer, done
}

// errBack stands for success in an atomic.Value, which holds no nil.
var errBack error = &oms.Error{Op: "back"}

func goAway(t *testing.T, h *health) {
	t.Helper()
	time.Sleep(awayAfter)
	for i := range awayFails {
		if away := h.report(&oms.Error{Kind: oms.Transient}); away != (i == awayFails-1) {
			t.Fatalf("away is %v after %d failures", away, i+1)
		}
	}
}

func TestHealthCallsAStoreAwayLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(oms.Source, time.Hour, nil)
		for range 10 * awayFails { // a burst of errors right after a success
			if h.report(&oms.Error{Kind: oms.Throttled}) {
				t.Fatal("away though it answered a moment ago")
			}
		}
		time.Sleep(awayAfter)
		if h.report(nil); h.report(&oms.Error{Kind: oms.Transient}) {
			t.Fatal("one failure after a success")
		}
		time.Sleep(awayAfter)
		for range awayFails { // answers that blame the request show that the store is there
			if h.report(&oms.Error{Kind: oms.NotFound}) {
				t.Fatal("away though it answers")
			}
		}
		if err := h.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHealthWaitsAndPingsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, pings, answer, ended := sick(t, 30*time.Minute)
		if err := h.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		goAway(t, h)
		began := time.Now()
		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() {
				if err := h.wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(10 * time.Minute)
		if n := pings.Load(); n < 590 || n > 601 {
			t.Errorf("%d pings in 10 minutes", n)
		}
		answer.Store(errBack)
		waiting.Wait()
		if took := time.Since(began); took > 10*time.Minute+2*pingEvery {
			t.Errorf("went on only after %v", took)
		}
		if h.report(&oms.Error{Kind: oms.Transient}) {
			t.Error("away again after one failure")
		}
		select {
		case err := <-ended:
			t.Errorf("ended with %v", err)
		default:
		}
	})
}

func TestHealthStopsTheJob(t *testing.T) {
	tests := map[string]struct {
		ping  error
		after time.Duration
		kind  oms.Kind
	}{
		"beyond patience":          {&oms.Error{Kind: oms.Transient}, 10 * time.Minute, oms.Transient},
		"pings that time out":      {context.DeadlineExceeded, 10 * time.Minute, oms.Transient},
		"back, but keys refused":   {&oms.Error{Kind: oms.Denied}, 0, oms.Denied},
		"back, but bucket gone":    {&oms.Error{Kind: oms.NoBucket}, 0, oms.NoBucket},
		"back with absurd listing": {&oms.Error{Kind: oms.Listing}, 0, oms.Listing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHealth(oms.Destination, 10*time.Minute, func(context.Context) error { return tt.ping })
				goAway(t, h)
				began := time.Now()
				err := h.run(t.Context())
				stopped, ok := errors.AsType[*Stopped](err)
				if !ok || stopped.Side != oms.Destination || oms.KindOf(stopped.Err) != tt.kind {
					t.Fatalf("got %v", err)
				}
				if took := time.Since(began); took < tt.after-2*awayAfter || took > tt.after+2*pingEvery {
					t.Errorf("stopped after %v, want %v", took, tt.after)
				}
			})
		})
	}
}

func TestHealthEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(oms.Source, time.Hour, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.run(ctx) }()
		goAway(t, h)
		cause := errors.New("stopped")
		go func() { time.Sleep(2 * pingEvery); cancel(cause) }()
		if err := h.wait(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestWatchCutsOffOnlyStalls(t *testing.T) {
	const period = 60 * time.Second
	run := func(t *testing.T, act func(w *watch)) (cutAfter time.Duration) {
		t.Helper()
		synctest.Test(t, func(*testing.T) {
			began := time.Now()
			w := newWatch(period, &guard.Ticket{}, paced{}, func(error) { cutAfter = time.Since(began) })
			act(w)
			w.stop(nil)
		})
		return cutAfter
	}
	if got := run(t, func(*watch) { time.Sleep(10 * period) }); got != period {
		t.Errorf("nothing moved: cut off after %v", got)
	}
	drip := func(bytes int64) func(w *watch) {
		return func(w *watch) {
			for range 600 {
				time.Sleep(time.Second)
				w.progress(int(bytes))
			}
		}
	}
	if got := run(t, drip(1100)); got != 0 {
		t.Errorf("1,100 bytes/s: cut off after %v", got)
	}
	if got := run(t, drip(900)); got == 0 || got > 2*period {
		t.Errorf("900 bytes/s: cut off after %v", got)
	}
	if got := run(t, func(w *watch) { // one byte every 10 s
		for range 60 {
			time.Sleep(10 * time.Second)
			_, _ = newWatchedBytes([]byte{1}, w).Read(make([]byte, 1))
		}
	}); got != period {
		t.Errorf("a trickle: cut off after %v", got)
	}
	if got := run(t, func(w *watch) { // the bandwidth limit holds it back for hours
		_ = w.hold(func() error { time.Sleep(3 * time.Hour); return nil })
	}); got != 0 {
		t.Errorf("held by the limit: cut off after %v", got)
	}
	if got := run(t, func(w *watch) {
		for range 100 {
			_ = w.hold(func() error { time.Sleep(50 * time.Second); return nil })
			time.Sleep(5 * time.Second)
			w.progress(1)
		}
	}); got != 0 {
		t.Errorf("held most of the time: cut off after %v", got)
	}
	if got := run(t, func(w *watch) {
		_ = w.hold(func() error { time.Sleep(90 * time.Second); return nil })
		time.Sleep(10 * period)
	}); got < 2*period || got > 4*period {
		t.Errorf("stalled after it was held: cut off after %v", got)
	}
}
