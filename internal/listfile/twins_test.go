package listfile

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Twins are found wherever they are, in as many passes as the memory asks for, and repetitions are none.
func TestTwins(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	for round := range 60 {
		n := 1 + rng.IntN(3000)
		a, b := rng.IntN(n), rng.IntN(n)
		twins := round%2 == 0 && a != b
		tw := NewTwins()
		tw.most = 1 + rng.IntN(2000)
		lines := func(each func(name []byte, url string)) {
			for i := range n {
				name, url := fmt.Sprint("n", i), fmt.Sprint("u", i)
				if i == b && twins {
					name = fmt.Sprint("n", a)
				}
				each([]byte(name), url)
				if i%7 == 0 {
					each([]byte(name), url) // a repetition
				}
			}
		}
		passes := 1
		for lines(tw.Add); tw.More(); lines(tw.Add) {
			passes++
		}
		if passes > twinParts || cap(tw.pairs) > 2*max(tw.most, 64) {
			t.Fatalf("round %d: %d passes, room for %d pairs of %d", round, passes, cap(tw.pairs), tw.most)
		}
		if tw.tooMany {
			continue
		}
		if tw.Suspects() != twins || twins && !tw.Suspect([]byte(fmt.Sprint("n", a))) || tw.Suspect([]byte("other")) {
			t.Fatalf("round %d: %d lines, twins %t, found %t", round, n, twins, tw.Suspects())
		}
	}
}

// More lines than passes can compare end the search, with nothing kept.
func TestTooManyTwins(t *testing.T) {
	t.Parallel()
	tw := NewTwins()
	tw.most = 10
	for i := range 10_000 {
		tw.Add([]byte(strconv.Itoa(i)), "u")
	}
	if tw.More() || tw.Suspects() || len(tw.pairs) > 0 || !tw.tooMany {
		t.Errorf("%+v", tw)
	}
}

// One name that stands in most of the lines does not use the memory up.
func TestTwinsOfOneName(t *testing.T) {
	t.Parallel()
	for _, twins := range []bool{false, true} {
		tw := NewTwins()
		tw.most = 10
		for i := range 1000 {
			url := "u"
			if twins {
				url = fmt.Sprint("u", i)
			}
			tw.Add([]byte("n"), url)
		}
		if tw.More() || tw.tooMany || tw.Suspects() != twins {
			t.Errorf("twins %t: %+v", twins, tw)
		}
	}
}
