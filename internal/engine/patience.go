package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Pauses between attempts at a store that is in trouble.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	troubleEvery = time.Minute // how often the same trouble is logged
)

// persist calls op until it succeeds, gives an error that another attempt cannot heal, or ctx ends. State store
// trouble holds a task back and never fails it (rule C6).
func (e *Engine) persist(ctx context.Context, what string, op func(context.Context) error) error {
	pause := firstPause
	for {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		err := op(call)
		cancel()
		if err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		e.trouble.report(ctx, what, err)
		if err := rest(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// final reports whether the store decided, in contrast to being in trouble.
func final(err error) bool {
	switch oms.KindOf(err) {
	case oms.NotFound, oms.Conflict, oms.Invalid, oms.Denied, oms.Unsupported:
		return true
	case oms.Other, oms.Throttled, oms.Transient, oms.Archived, oms.Changed, oms.Corrupt, oms.NoBucket, oms.Full, oms.Listing:
		return false
	}
	return false
}

// rest waits, or returns why ctx ended.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// trouble logs that the state store fails, at most once per minute.
type trouble struct {
	log  *slog.Logger
	mu   sync.Mutex
	next time.Time
}

func (t *trouble) report(ctx context.Context, what string, err error) {
	now := time.Now()
	t.mu.Lock()
	quiet := now.Before(t.next)
	if !quiet {
		t.next = now.Add(troubleEvery)
	}
	t.mu.Unlock()
	if !quiet {
		t.log.ErrorContext(ctx, "state store fails, trying again", "op", what, "err", err)
	}
}
