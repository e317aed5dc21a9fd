package transfer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// When a store counts as away, and how it is asked whether it is back.
const (
	awayFails = 8               // failures without a success between them
	awayAfter = 3 * time.Second // since the last success
	pingEvery = time.Second     // at most one request per second and task while a store is away
)

// health watches one side of a job. While its store is away all requests of the job to it wait, one ping a second
// asks whether it is back, and beyond the job's patience the job stops: an outage is no object's fault.
type health struct {
	side     oms.Side
	patience time.Duration
	ping     func(context.Context) error

	down  atomic.Bool // fast path of wait
	mu    sync.Mutex
	fails int
	okAt  time.Time     // last success, or the start
	back  chan struct{} // closed when the store is back
}

func newHealth(side oms.Side, patience time.Duration, ping func(context.Context) error) *health {
	return &health{side: side, patience: patience, ping: ping, okAt: time.Now()}
}

// report counts the outcome of a request that reached, or did not reach, the store. It returns whether the store
// is away now.
func (h *health) report(err error) bool {
	if err == nil || !oms.KindOf(err).Retryable() {
		h.mu.Lock()
		h.fails, h.okAt = 0, time.Now()
		h.mu.Unlock()
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails++
	if h.back == nil && h.fails >= awayFails && time.Since(h.okAt) >= awayAfter {
		h.back = make(chan struct{})
		h.down.Store(true)
	}
	return h.back != nil
}

// wait returns when the store is not away; a *Stopped error when patience ran out.
func (h *health) wait(ctx context.Context) error {
	if !h.down.Load() {
		return nil
	}
	h.mu.Lock()
	back := h.back
	h.mu.Unlock()
	if back == nil {
		return nil
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run pings the store whenever it is away, until ctx ends. It returns a *Stopped error when patience ran out, or
// when the store is back but refuses the keys or has lost the bucket.
func (h *health) run(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !h.down.Load() {
			continue
		}
		if err := h.check(ctx); err != nil {
			return err
		}
	}
}

func (h *health) check(ctx context.Context) error {
	pingCtx, cancel := context.WithTimeout(ctx, 10*pingEvery)
	err := h.ping(pingCtx)
	cancel()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil && (oms.KindOf(err).Retryable() || oms.Canceled(err)) {
		h.mu.Lock()
		gone := time.Since(h.okAt)
		h.mu.Unlock()
		if gone > h.patience {
			return &Stopped{Side: h.side, Err: &oms.Error{Op: "wait for the store", Kind: oms.Transient, Err: err}}
		}
		return nil
	}
	if systemic(oms.KindOf(err)) {
		return &Stopped{Side: h.side, Err: err}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails, h.okAt = 0, time.Now()
	h.down.Store(false)
	close(h.back)
	h.back = nil
	return nil
}

// systemic reports kinds that a check of the bucket itself returns for trouble that is no object's fault.
func systemic(k oms.Kind) bool {
	return k == oms.Denied || k == oms.NoBucket || k == oms.Full || k == oms.Listing
}
