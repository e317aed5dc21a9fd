package httpapi

import (
	"sync"
	"time"
)

// Defaults of RateLimit, and the most projects that are remembered.
const (
	defaultRate  = 100
	defaultBurst = 500
	maxBuckets   = 10_000
)

// limiter is a token bucket per project. It is safe for concurrent use.
type limiter struct {
	rate  float64 // tokens per second; below 0: no limit
	burst float64
	clock func() time.Time

	mu      sync.Mutex
	buckets map[string]tokens
}

// tokens is a bucket as it was at an instant.
type tokens struct {
	left float64
	at   time.Time
}

func newLimiter(opts RateLimit, clock func() time.Time) *limiter {
	if opts.PerSecond == 0 {
		opts.PerSecond = defaultRate
	}
	if opts.Burst <= 0 {
		opts.Burst = defaultBurst
	}
	return &limiter{rate: opts.PerSecond, burst: float64(opts.Burst), clock: clock, buckets: map[string]tokens{}}
}

// take takes a token of the project and returns 0, or how long until there is one.
func (l *limiter) take(project string) time.Duration {
	if l.rate < 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	b, ok := l.buckets[project]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.forget(now)
		}
		b = tokens{left: l.burst, at: now}
	}
	b = l.refill(b, now)
	if b.left < 1 {
		l.buckets[project] = b
		return time.Duration((1 - b.left) / l.rate * float64(time.Second))
	}
	b.left--
	l.buckets[project] = b
	return 0
}

// refill returns the bucket as it is now. A clock that went back adds nothing.
func (l *limiter) refill(b tokens, now time.Time) tokens {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.left = min(l.burst, b.left+passed*l.rate)
	}
	b.at = now
	return b
}

// forget drops the buckets that are full, and all of them if none is.
func (l *limiter) forget(now time.Time) {
	for project, b := range l.buckets {
		if l.refill(b, now).left >= l.burst {
			delete(l.buckets, project)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
