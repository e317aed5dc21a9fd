package guard

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// ladder are the fixed settings that the controller is compared with.
func ladder() []int { return []int{4, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512} }

// goodputOf is the goodput of a fixed setting at the instant, in bytes per second.
func goodputOf(p profile, slots int, at float64) float64 {
	w := newWorld(1)
	shift := p // the world as it is at the instant
	if p.total != nil {
		shift.total = func(_, n float64) float64 { return p.total(at, n) }
	}
	if p.limit != nil {
		shift.limit = always(p.limit(at))
	}
	shift.steps = nil
	c := newClient(w, newEndpoint(w, shift), 512)
	c.fix(slots)
	c.saturate()
	warm := 2.
	if p.perConn > 0 {
		warm = 2 + p.latency + p.size/p.perConn
	}
	w.run(warm, nil)
	c.advance()
	before := c.moved
	w.run(warm+3, nil)
	c.advance()
	return (c.moved - before) / 3
}

// bestFixed returns the best fixed setting and its goodput. Beyond a setting that is much worse than the best so far
// nothing better comes.
func bestFixed(p profile, at float64) (slots int, goodput float64) {
	for _, n := range ladder() {
		g := goodputOf(p, n, at)
		if g > goodput {
			slots, goodput = n, g
		}
		if g < .6*goodput {
			break
		}
	}
	return slots, goodput
}

// course is what the controller did, second by second.
type course struct {
	goodput []float64 // bytes per second
	ok      []float64
	refused []float64
	slots   []float64 // mean
	lanes   []string
}

func simulate(p profile, seconds int, seed uint64, prepare func(*client)) course {
	w := newWorld(seed)
	c := newClient(w, newEndpoint(w, p), 512)
	if prepare != nil {
		prepare(c)
	}
	c.saturate()
	var out course
	for s := 1; s <= seconds; s++ {
		moved, oks, refusals, area := c.moved, c.oks, c.refusals, c.slotTime
		w.run(float64(s), nil)
		c.advance()
		out.goodput = append(out.goodput, c.moved-moved)
		out.ok = append(out.ok, float64(c.oks-oks))
		out.refused = append(out.refused, float64(c.refusals-refusals))
		out.slots = append(out.slots, c.slotTime-area)
		out.lanes = append(out.lanes, fmt.Sprintf("%s base %d g0 %.0f step %.2f hold %s fails %d rtt %.3f R %.0f known %.0f",
			c.ctl.climb.mode, c.ctl.climb.base, c.ctl.climb.g0/mb, c.ctl.climb.step, c.ctl.climb.hold, c.ctl.climb.fails, c.ctl.climb.rtt, c.ctl.rate(), c.ctl.pace.known))
	}
	return out
}

func mean(v []float64) float64 { return sum(v) / float64(len(v)) }

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}

// reached is the first second from which the mean of three seconds is at least the share of best; -1 never.
func (c course) reached(best, share float64) int {
	for s := 2; s < len(c.goodput); s++ {
		if mean(c.goodput[s-2:s+1]) >= share*best {
			return s + 1
		}
	}
	return -1
}

func (c course) print(p profile) {
	if os.Getenv("GUARD_TRACE") == "" {
		return
	}
	for s := range c.goodput {
		fmt.Printf("%-30s %3d s %8.1f MB/s %7.0f ok %6.0f refused %6.1f slots %s\n", p.name, s+1, c.goodput[s]/mb, c.ok[s], c.refused[s], c.slots[s], c.lanes[s])
	}
}

// On each of the four shapes the controller finds 85 % of the best fixed setting within 15 s, stays there, and is
// refused less than once per 100 requests.
func TestGoals(t *testing.T) {
	for _, p := range goals() {
		t.Run(p.name, func(t *testing.T) {
			if thinned && p.perConn == 0 {
				t.Skip("many requests: run without the race detector, which has nothing to find in one goroutine")
			}
			n, best := bestFixed(p, 0)
			c := simulate(p, 45, 1, nil)
			c.print(p)
			share := mean(c.goodput[15:]) / best
			refused := 100 * sum(c.refused[10:]) / max(sum(c.ok[10:]), 1)
			t.Logf("best fixed %d: %.1f MB/s; reached at %d s; later %.0f %% (worst second %.0f %%), %.2f refusals per 100, %.0f slots",
				n, best/mb, c.reached(best, .85), 100*share, 100*minimum(c.goodput[15:])/best, refused, mean(c.slots[15:]))
			if share < .85 || c.reached(best, .85) > 15 || c.reached(best, .85) < 0 {
				t.Errorf("share %.2f, reached at %d", share, c.reached(best, .85))
			}
			if refused >= 1 {
				t.Errorf("%.2f refusals per 100", refused)
			}
		})
	}
}

func minimum(v []float64) float64 {
	low := v[0]
	for _, x := range v {
		low = min(low, x)
	}
	return low
}

// The endpoints of the table, from the first second on, with whatever happens to them on the way.
func TestTable(t *testing.T) {
	floors := map[byte]float64{'A': .92, 'B': .92, 'C': .94, 'D': .88, 'E': .88, 'F': .94, 'G': .92, 'I': .85}
	for _, p := range table() {
		t.Run(p.name, func(t *testing.T) {
			const last = 120
			if thinned && strings.ContainsRune("CDG", rune(p.name[0])) {
				t.Skip("many requests: run without the race detector, which has nothing to find in one goroutine")
			}
			c := simulate(p, last, 1, nil)
			c.print(p)
			var best float64
			var first float64
			for from := 0; from < last; from += 40 {
				_, b := bestFixed(p, float64(from))
				if from == 0 {
					first = b
				}
				best += 40 * b
			}
			share := sum(c.goodput) / best
			t.Logf("%.0f %% of the best from the start, reached at %d s, %.2f refusals per 100 (after 10 s %.2f), %.0f slots",
				100*share, c.reached(first, .85), 100*sum(c.refused)/sum(c.ok), 100*sum(c.refused[10:])/sum(c.ok[10:]), mean(c.slots))
			if share < floors[p.name[0]] {
				t.Errorf("%.2f of the best, want at least %.2f", share, floors[p.name[0]])
			}
		})
	}
}
