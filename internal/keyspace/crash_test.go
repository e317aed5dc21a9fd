package keyspace

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestAnyShapeAnyCrash lists every shape with pages of any length, empty ones and failed requests among them, cuts at
// random besides those that the space asks for, and crashes after which only the intervals are left and all that was
// learned is lost or wrong: the delivered pieces tile the space exactly.
func TestAnyShapeAnyCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, s := range shapes {
		seed++
		own := seed
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", own)
			for round := range uint64(6) {
				anyShapeAnyCrash(t, s.make(12_000), rand.New(rand.NewPCG(own, round)))
			}
		})
	}
}

func anyShapeAnyCrash(t *testing.T, sh shape, r *rand.Rand) {
	t.Helper()
	anyKey := func() string { return sh.key(r.IntN(sh.n)) }
	walkers, most := 1+r.IntN(40), 1+r.IntN(800)
	space := New(walkers, nil)
	ranges := []*Range{space.Start(Interval{})}
	var tiles [][2]int
	for steps := 0; len(ranges) > 0; steps++ {
		if steps > 200*sh.n {
			t.Fatal("no end in sight")
		}
		i := r.IntN(len(ranges))
		switch dice := r.IntN(1000); {
		case dice == 0: // a crash
			var left []Interval
			for _, l := range ranges {
				left = append(left, l.Interval)
			}
			known := [][]string{nil, space.Boundaries(), {anyKey(), "\xff", "", anyKey()}}[r.IntN(3)]
			space = New(walkers, known)
			ranges = ranges[:0]
			for _, iv := range left {
				ranges = append(ranges, space.Start(iv))
			}
			continue
		case dice < 30: // a cut anywhere
			if thief := space.Cut(ranges[i], anyKey()); thief != nil {
				ranges = append(ranges, thief)
			}
			continue
		case dice < 100:
			if dir, ok := space.NextProbe(); ok {
				space.Probed(dir, [][]string{nil, sh.children(dir), {anyKey(), "no/such/"}}[r.IntN(3)])
			}
			continue
		case dice < 130: // a request that failed
			continue
		}
		for len(ranges) < walkers {
			victim, at, ok := space.Steal()
			if !ok {
				break
			}
			ranges = append(ranges, space.Cut(victim, at))
		}
		from := sh.rank(ranges[i].Lo)
		size := min(r.IntN(most+1), sh.n-from) // perhaps none, and more behind
		n, ended := space.Page(ranges[i], Page{
			N: size, Key: func(k int) string { return sh.key(from + k) }, Truncated: from+size < sh.n,
		})
		if n > 0 {
			tiles = append(tiles, [2]int{from, from + n})
		}
		if ended {
			ranges = slices.Delete(ranges, i, i+1)
		}
	}
	slices.SortFunc(tiles, func(a, b [2]int) int { return a[0] - b[0] })
	at := 0
	for _, tile := range tiles {
		if tile[0] != at {
			t.Fatalf("delivered up to %d, then from %d", at, tile[0])
		}
		at = tile[1]
	}
	if at != sh.n {
		t.Fatalf("delivered %d of %d keys", at, sh.n)
	}
}
