package guard

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// random returns an endpoint that no constant was chosen with.
func random(rng *rand.Rand) profile {
	between := func(low, high float64) float64 { return low * math.Pow(high/low, rng.Float64()) }
	p := profile{size: between(4<<10, 16*mib), latency: between(.005, .3)}
	switch rng.IntN(5) {
	case 0: // a line shared by all connections
		p.total = bandwidth(between(20*mb, 2000*mb))
		p.perConn = between(3*mb, 100*mb)
	case 1: // a limit of requests
		p.size = between(4<<10, mib)
		p.limit = always(between(100, 6000))
		p.burst = between(.02, 1)
	case 2: // a server that has its best point
		knee, slope, total := between(4, 80), between(.005, .1), between(50*mb, 500*mb)
		p.perConn = total / knee
		p.total = func(_, n float64) float64 { return total / (1 + slope*max(n-knee, 0)) }
	case 3: // long way
		p.latency = between(.1, .5)
		p.perConn = between(1*mb, 10*mb)
		p.total = bandwidth(between(100*mb, 1000*mb))
	case 4: // objects of all sizes
		p.total = bandwidth(between(50*mb, 1000*mb))
		p.perConn = between(10*mb, 60*mb)
		p.sizes = func(r *rand.Rand) float64 { return min(16<<10/math.Pow(1-r.Float64(), 1.3), 16*mib) }
	}
	return p
}

// On endpoints that no constant was chosen with the controller is close to the best fixed setting of each.
func TestHeldOut(t *testing.T) {
	var shares, refusals []float64
	seeds := uint64(14)
	if thinned {
		seeds = 3
	}
	for seed := range seeds {
		p := random(rand.New(rand.NewPCG(seed, 77)))
		p.name = strconv.FormatUint(seed, 10)
		n, best := bestFixed(p, 0)
		c := simulate(p, 45, seed, nil)
		c.print(p)
		share, refused := sum(c.goodput)/(45*best), 100*sum(c.refused[10:])/max(sum(c.ok[10:]), 1)
		t.Logf("%2d: size %8.0f latency %.3f conn %5.1f MB/s: best fixed %3d: %6.1f MB/s, share %.2f, reached at %2d s, %.2f refusals per 100, %.0f slots",
			seed, p.size, p.latency, p.perConn/mb, n, best/mb, share, c.reached(best, .85), refused, mean(c.slots))
		shares, refusals = append(shares, share), append(refusals, refused)
	}
	t.Logf("mean %.3f, worst %.3f, refusals per 100: mean %.2f, worst %.2f", mean(shares), slices.Min(shares), mean(refusals), slices.Max(refusals))
	if mean(shares) < .9 || slices.Min(shares) < .75 {
		t.Errorf("mean %.2f, worst %.2f of the best fixed setting", mean(shares), slices.Min(shares))
	}
	if mean(refusals) >= .5 || slices.Max(refusals) >= 2 { // the worst is a limit of few requests per second
		t.Errorf("refusals per 100: mean %.2f, worst %.2f", mean(refusals), slices.Max(refusals))
	}
}
