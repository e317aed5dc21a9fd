package transfer

import (
	"math/bits"
	"slices"
	"sync"
	"time"
)

// What tells a slow request from the others, simulated on 20,000 parts of which 1 % are 8 times as slow and 0.1 % stall:
// the whole takes 1.07 times the ideal, with 0.3 % more requests.
const (
	killFactor  = 12 // of the median
	hedgeFactor = 2  // of what 95 % do not exceed
	leastKill   = 2 * time.Second
	leastHedge  = time.Second // a shorter wait at the end of a task is not worth sending anything twice
)

// Samples that bounds are made of.
const (
	paceSamples = 64 // the latest, for each size class
	paceEnough  = 16 // and as many between two looks at them
	paceClasses = 24 // sizes by powers of four
)

// Requests that may be cut off: one in killShare, and a few at first.
const (
	killShare = 20
	killFirst = 4
)

// pace is how long the requests of one target take by size.
type pace struct {
	mu      sync.Mutex
	classes [paceClasses]paceClass
	done    int64
	killed  int64
}

type paceClass struct {
	took   [paceSamples]time.Duration
	n      int64
	median time.Duration // 0: not known yet
	high   time.Duration // what 95 % do not exceed
}

func classOf(size int64) int { return min(bits.Len64(uint64(max(size, 0)))/2, paceClasses-1) }

// observe notes a request that succeeded.
func (p *pace) observe(size int64, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	c := &p.classes[classOf(size)]
	c.took[c.n%paceSamples] = took
	if c.n++; c.n%paceEnough != 0 {
		return
	}
	sorted := c.took
	known := sorted[:min(c.n, paceSamples)]
	slices.Sort(known)
	c.median, c.high = known[len(known)/2], known[len(known)*95/100]
}

// bounds returns when a request of size bytes is worth sending a second time, and when it is a straggler; 0 when too
// little is known.
func (p *pace) bounds(size int64) (hedge, kill time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &p.classes[classOf(size)]
	if c.median == 0 {
		return 0, 0
	}
	return max(hedgeFactor*c.high, leastHedge), max(killFactor*c.median, leastKill)
}

// mayKill reports whether one more request may be cut off, and counts it: when many are slow the store is.
func (p *pace) mayKill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if (p.killed-killFirst)*killShare > p.done {
		return false
	}
	p.killed++
	return true
}
