package transfer

import (
	"context"
	"sync"
)

// pool is an amount of something that the jobs of a process share by weight: who waits gets the next of it when it holds
// the least for its weight. Make it with newPool.
type pool struct {
	mu      sync.Mutex
	free    int64
	came    int64    // requests so far
	waiting []*party // with requests that wait, in no order
}

func newPool(amount int64) *pool { return &pool{free: amount} }

// party is a job's part in a pool, guarded by the pool. The zero value is that of a job of no weight; make others with
// a weight of at least 1.
type party struct {
	weight      int64
	held        int64
	first, last *request // that wait, in the order in which they came
}

// request is an amount that somebody waits for.
type request struct {
	n     int64
	at    int64         // number of its coming
	ready chan struct{} // closed when it is granted
	next  *request
}

// acquire waits for n of the pool, which holds as much; the error is the cause of ctx.
func (p *pool) acquire(ctx context.Context, by *party, n int64) error {
	p.mu.Lock()
	if ctx.Err() != nil {
		p.mu.Unlock()
		return context.Cause(ctx)
	}
	if p.take(by, n) {
		p.mu.Unlock()
		return nil
	}
	p.came++
	r := &request{n: n, at: p.came, ready: make(chan struct{})}
	if by.first == nil {
		p.waiting = append(p.waiting, by)
		by.first = r
	} else {
		by.last.next = r
	}
	by.last = r
	p.serve() // it may be before those that wait already
	p.mu.Unlock()
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-r.ready:
		p.giveBack(by, n)
	default:
		p.remove(by, r)
	}
	p.serve() // somebody may have waited behind it
	return context.Cause(ctx)
}

// tryAcquire takes n of the pool if nobody has to wait for it.
func (p *pool) tryAcquire(by *party, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(by, n)
}

// release gives n back that by holds.
func (p *pool) release(by *party, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(by, n)
	p.serve()
}

// take takes n when there is as much and nobody waits. The pool is locked, as for all below.
func (p *pool) take(by *party, n int64) bool {
	if len(p.waiting) > 0 || p.free < n {
		return false
	}
	p.free -= n
	by.held += n
	return true
}

func (p *pool) giveBack(by *party, n int64) {
	p.free += n
	by.held -= n
}

// serve grants what there is. A request that is next and too large keeps the others waiting: it would never be granted
// otherwise.
func (p *pool) serve() {
	for len(p.waiting) > 0 {
		next := 0
		for i, by := range p.waiting[1:] {
			if by.before(p.waiting[next]) {
				next = i + 1
			}
		}
		by := p.waiting[next]
		r := by.first
		if r.n > p.free {
			return
		}
		p.free -= r.n
		by.held += r.n
		p.remove(by, r)
		close(r.ready)
	}
}

// before reports whether by is served before o: it holds less for its weight, or has waited longer. What they wait for does
// not count, or a large request would wait for ever behind small ones.
func (by *party) before(o *party) bool {
	own, other := by.held*max(o.weight, 1), o.held*max(by.weight, 1)
	return own < other || own == other && by.first.at < o.first.at
}

// remove takes a request out of the queue of its party.
func (p *pool) remove(by *party, r *request) {
	var before *request
	for q := by.first; q != r; q = q.next {
		before = q
	}
	if before == nil {
		by.first = r.next
	} else {
		before.next = r.next
	}
	if by.last == r {
		by.last = before
	}
	if by.first != nil {
		return
	}
	for i, o := range p.waiting {
		if o == by {
			last := len(p.waiting) - 1
			p.waiting[i], p.waiting[last] = p.waiting[last], nil
			p.waiting = p.waiting[:last]
			return
		}
	}
}
