package transfer

import (
	"io"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/guard"
)

// TestRelaysThatAreRefused: a source of which some ETags are no MD5s costs few requests in vain.
func TestRelaysThatAreRefused(t *testing.T) {
	t.Parallel()
	var r relays
	refused := func(times int) (tried int) {
		for tried < times && r.worthwhile() {
			tried++
			r.begun.Add(1)
			r.refused.Add(1)
		}
		return tried
	}
	if n := refused(100); n > refusedFirst+1 {
		t.Errorf("%d relays were tried though all were refused", n)
	}
	r.begun.Add(100 * refusedShare) // those that succeeded
	if n := refused(1000); n < 90 || n > 110 {
		t.Errorf("%d of %d relays may be refused", n, 100*refusedShare)
	}
}

// steps is a Mover that notes how much it is asked to move at once.
type steps struct{ left, most int64 }

func (s *steps) Read(p []byte) (int, error) {
	n, err := s.Move(io.Discard, int64(len(p)))
	if err == nil && n == 0 {
		err = io.EOF
	}
	return int(n), err
}

func (s *steps) Move(_ io.Writer, most int64) (int64, error) {
	s.most = max(s.most, most)
	n := min(most, s.left)
	s.left -= n
	return n, nil
}

// TestRelayMovesInSteps: the watch hears of progress, and a slow limit stays smooth.
func TestRelayMovesInSteps(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 3
	for _, test := range []struct{ limit, most int64 }{{0, relayStep}, {1 << 30, relayStep}, {16 << 20, 512 << 10}} {
		j := &Job{limit: newLimiter()}
		j.limit.set(test.limit)
		w := newWatch(time.Minute, new(guard.Ticket), paced{}, func(error) {})
		src := &steps{left: size}
		body := &relayBody{ctx: t.Context(), job: j, watch: w, read: new(guard.Ticket), src: src}
		n, err := body.WriteTo(io.Discard)
		w.stop(err)
		if n != size || err != nil || src.most != test.most || j.moved.Load() != size || w.moved.Load() != size {
			t.Errorf("limit %d: %d moved, %v, %d at most at once, %d and %d counted", test.limit, n, err, src.most, j.moved.Load(), w.moved.Load())
		}
	}
}
