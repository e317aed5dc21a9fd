package transfer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// limiter is a token bucket over bytes whose rate may change while callers wait: a change wakes them. A caller may
// borrow one chunk, so that chunks larger than the bucket pass.
type limiter struct {
	rate    atomic.Int64 // bytes per second; 0 means no limit
	mu      sync.Mutex
	tokens  float64
	last    time.Time
	changed chan struct{}
}

func newLimiter() *limiter { return &limiter{changed: make(chan struct{})} }

// set changes the rate at once; 0 means no limit.
func (l *limiter) set(rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate.Swap(rate) == rate {
		return
	}
	l.tokens, l.last = 0, time.Now()
	close(l.changed)
	l.changed = make(chan struct{})
}

// chunk returns how many of n bytes to take at once, so that a slow rate is still smooth.
func (l *limiter) chunk(n int) int {
	if r := l.rate.Load(); r > 0 {
		n = min(n, max(int(r/32), 4<<10))
	}
	return n
}

// wait takes n bytes from the bucket, waiting until it is not empty.
func (l *limiter) wait(ctx context.Context, n int) error {
	for l.rate.Load() > 0 {
		delay, changed := l.take(n)
		if delay <= 0 {
			return nil
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
	return nil
}

// take returns 0 when the bytes were taken, else how long to wait and the channel that a change of rate closes.
func (l *limiter) take(n int) (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate := float64(l.rate.Load())
	if rate == 0 {
		return 0, nil
	}
	now := time.Now()
	l.tokens = min(l.tokens+now.Sub(l.last).Seconds()*rate, rate/8)
	l.last = now
	if l.tokens >= 0 {
		l.tokens -= float64(n)
		return 0, nil
	}
	return time.Duration(-l.tokens/rate*float64(time.Second)) + time.Millisecond, l.changed
}

// giveBack returns bytes that were taken but not moved.
func (l *limiter) giveBack(n int) {
	if n > 0 && l.rate.Load() > 0 {
		l.mu.Lock()
		l.tokens += float64(n)
		l.mu.Unlock()
	}
}
