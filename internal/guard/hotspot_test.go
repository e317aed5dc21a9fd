package guard

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// TestHotPart: for five seconds half of the requests go to one part of the bucket, which the store limits. The other
// parts go on as if nothing had happened, then and afterwards, and next to nothing is refused for long.
func TestHotPart(t *testing.T) {
	w := newWorld(1)
	c := newClient(w, newEndpoint(w, profile{size: 16 << 10, latency: .02, part: 1500}), 512)
	s := &share{weight: 1, index: -1}
	var others int64
	hot := func() bool { return w.now > 10 && w.now < 15 }
	var work func()
	work = func() {
		if hot() && w.rng.IntN(2) == 0 && c.held < demand { // as many as a listing brings in; others stand in for who waits
			c.requestKey(s, "logs/today/object", func() {})
		}
		c.requestKey(s, fmt.Sprintf("data/%d/object", w.rng.IntN(40)), func() {
			others++
			work()
		})
	}
	for range demand {
		w.after(0, work)
	}
	per := func(until float64) float64 {
		before, from := others, w.now
		w.run(until, nil)
		return float64(others-before) / (w.now - from)
	}
	w.run(6, nil)
	clean := per(10)
	w.run(12, nil) // found
	refused, sent := c.refusals, c.oks
	during := per(15)
	share := float64(c.refusals-refused) / float64(c.oks-sent)
	after := per(20)
	t.Logf("others: %.0f/s before, %.0f/s during, %.0f/s after; refused in the end %.2f %%; %+v", clean, during, after, 100*share, c.ctl.hot.list())
	if !math.IsInf(c.ctl.pace.rate, 1) {
		t.Errorf("the whole bucket is limited to %.0f/s", c.ctl.pace.rate)
	}
	if during < .8*clean || after < .85*clean {
		t.Errorf("others: %.0f/s before, %.0f/s during, %.0f/s after", clean, during, after)
	}
	if share > .02 {
		t.Errorf("%.1f %% refused once the part was known", 100*share)
	}
	if parts := c.ctl.hot.list(); len(parts) != 1 || parts[0].Prefix != "logs/today/" || parts[0].Rate < 500 || parts[0].Rate > 3000 {
		t.Errorf("hot parts: %+v", parts)
	}
}

// TestWholeBucketRefused: refusals all over a bucket, or of its only part, are the bucket's.
func TestWholeBucketRefused(t *testing.T) {
	for name, parts := range map[string]int{"many parts": 40, "one part": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1)
			c := newClient(w, newEndpoint(w, profile{size: 16 << 10, latency: .02, limit: always(1500)}), 512)
			s := &share{weight: 1, index: -1}
			var work func()
			work = func() { c.requestKey(s, fmt.Sprintf("data/%d/object", w.rng.IntN(parts)), work) }
			for range demand {
				w.after(0, work)
			}
			w.run(10, nil)
			if len(c.ctl.hot.list()) > 0 || math.IsInf(c.ctl.pace.rate, 1) {
				t.Errorf("hot parts %+v, rate %.0f", c.ctl.hot.list(), c.ctl.pace.rate)
			}
		})
	}
}

func TestPartOf(t *testing.T) {
	for key, want := range map[string]string{
		"": "", "object": "", "a/object": "a/", "a/b/object": "a/b/", "a/b/c/object": "a/b/", "/x": "/", "//x": "//", "a//": "a//",
	} {
		if got := partOf(key); got != want {
			t.Errorf("partOf(%q) = %q, want %q", key, got, want)
		}
	}
}

// TestHotPartIsForgotten: a part that is not refused any more is like all others after a while, and so is one that
// nobody asks for.
func TestHotPartIsForgotten(t *testing.T) {
	var h hotspots
	end := func(key string, o Outcome, at time.Duration) { h.ended(key, o, at-time.Millisecond, at) }
	for i := range 100 {
		at := time.Duration(i) * 3 * time.Millisecond
		end("a/b/c", Refused(0), at)
		end("x/y/z", OK(), at)
		end("a/b/d", OK(), at)
	}
	if n := h.judge(300 * time.Millisecond); n != 100 || len(h.parts) != 1 {
		t.Fatalf("%d refusals of a part, parts %v", n, h.list())
	}
	if wait, turn := h.turn("x/y/z", time.Second); wait != 0 || !turn {
		t.Errorf("another part waits %v", wait)
	}
	for i := range 500 {
		h.turn("a/b/c", time.Second+time.Duration(i))
	}
	if wait, _ := h.turn("a/b/c", time.Second+500); wait == 0 {
		t.Error("the part does not wait")
	}
	if wait, turn := h.turn("a/b/c", 2*time.Minute); wait != 0 || !turn || len(h.parts) != 0 {
		t.Errorf("after two minutes it waits %v, parts %v", wait, h.list())
	}
}
