package transfer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// maxTries bounds the attempts of one request; attempts while the store is away do not count.
const maxTries = 10

// errLost says that another worker holds the range now.
var errLost = &oms.Error{Op: "checkpoint", Kind: oms.Conflict, Msg: "the lease of the range is lost"}

// Pauses between the attempts of a request.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = 100 * time.Millisecond // before the third attempt; doubled for each one after it
	doublings  = 6                      // at most: 6.4 s
)

// backoff returns how long to wait before attempt try (from 2): full jitter, and no less than the store's own
// Retry-After. A store that asks to come back at once does not shorten it: the tries would be used up in an instant.
// The second attempt follows soon: the guard keeps to the rate at which a store refuses, so that a lone refusal is bad
// luck, and what broke says nothing of the store's load.
func backoff(try int, err error) time.Duration {
	if asked, ok := storage.RetryAfter(err); ok {
		return max(asked, leastPause)
	}
	switch {
	case try > 2:
		return leastPause + rand.N(mostPause<<min(try-3, doublings)-leastPause)
	case oms.KindOf(err) == oms.Throttled:
		return leastPause/5 + rand.N(leastPause-leastPause/5)
	}
	return rand.N(leastPause / 2)
}

// errAway says that a store is away. Who holds a buffer gives it back and begins again when the store is back.
var errAway = &oms.Error{Op: "transfer", Kind: oms.Conflict, Msg: "the store is away"}

// retry runs f, which makes one request to the side, until it succeeds, fails for good or has been tried often
// enough. f gets a context that is cut off when the request stalls, and tells the watch of its progress. While the
// store is away retry waits.
func (j *Job) retry(ctx context.Context, to target, f func(context.Context, *watch) error) error {
	var t tries
	for {
		if err := j.health(to.side()).wait(ctx); err != nil {
			return err
		}
		if err := j.retryUntilAway(ctx, to, &t, f); !errors.Is(err, errAway) {
			return err
		}
	}
}

// tries is what became of the requests of one piece of work so far.
type tries struct {
	key    string // of the source object that the requests are for; "" where it is of no account
	failed int    // those while the store is away do not count
	killed bool   // one was cut off because it took too long beside others: no other is
}

// retryUntilAway is retry for callers that hold a buffer: it returns errAway when the store is away. The caller keeps
// the count of tries through an outage, so that what fails for a reason of its own ends.
func (j *Job) retryUntilAway(ctx context.Context, to target, t *tries, f func(context.Context, *watch) error) error {
	h := j.health(to.side())
	for {
		if h.down.Load() {
			return errAway
		}
		err := j.once(ctx, to, t, f)
		if err != nil && ctx.Err() != nil { // says nothing about the store
			return context.Cause(ctx)
		}
		if errors.Is(err, errStraggler) {
			t.killed = true
			continue
		}
		away := h.report(err)
		if err == nil {
			return nil
		}
		if !oms.KindOf(err).Retryable() {
			return j.blame(to.side(), err)
		}
		if away {
			return errAway
		}
		if t.failed++; t.failed >= maxTries {
			return err
		}
		j.resting.Add(1)
		err = sleep(ctx, backoff(t.failed+1, err))
		j.resting.Add(-1)
		if err != nil {
			return err
		}
	}
}

// waitOut runs f in a slot, and again whenever both stores are there for as long as it returns errAway. In between
// nobody holds the slot.
func (j *Job) waitOut(ctx context.Context, f func() error) error {
	for {
		for _, h := range j.sides {
			if err := h.wait(ctx); err != nil {
				return err
			}
		}
		if err := j.inSlot(ctx, f); !errors.Is(err, errAway) {
			return err
		}
	}
}

// inSlot runs f as one of the objects and parts that the process has in flight.
func (j *Job) inSlot(ctx context.Context, f func() error) error {
	if err := j.res.slots.acquire(ctx, &j.slots, 1); err != nil {
		return err
	}
	defer j.res.slots.release(&j.slots, 1)
	j.inFlight.Add(1)
	defer j.inFlight.Add(-1)
	return f()
}

// withBuffer runs f with a buffer of n bytes, at most MaxBuffer. f may return errAway: it is run again when the stores
// are there, and in between nobody holds the buffer, which other tasks can use.
func (j *Job) withBuffer(ctx context.Context, n int64, f func(buf []byte) error) error {
	return j.waitOut(ctx, func() error {
		buf, err := j.res.buffers.get(ctx, &j.memory, n)
		if err != nil {
			return err
		}
		defer j.res.buffers.put(&j.memory, buf)
		return f(buf)
	})
}

// once runs f, one attempt of a request, when its turn has come, under a watch.
func (j *Job) once(ctx context.Context, to target, t *tries, f func(context.Context, *watch) error) error {
	ticket, err := j.flows[to].Acquire(ctx, t.key)
	if err != nil {
		return err
	}
	err = j.watched(ctx, &ticket, paced{pace: &j.paces[to], spare: t.killed}, f)
	if errors.Is(err, errStraggler) {
		ticket.Done(guard.Neutral())
		return err
	}
	after, _ := storage.RetryAfter(err)
	ticket.Done(guard.OutcomeOf(err, after))
	return err
}

// watched runs f under a watch.
func (j *Job) watched(ctx context.Context, ticket *guard.Ticket, p paced, f func(context.Context, *watch) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatch(j.opts.Stall, ticket, p, cancel)
	err := f(ctx, w)
	w.stop(err)
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case errors.Is(cause, errStalled), errors.Is(cause, errStraggler):
		return cause
	case oms.Canceled(err) && ctx.Err() == nil:
		return &oms.Error{Op: "request", Kind: oms.Transient, Err: err} // a time-out below us
	}
	return err
}

// blame finds out whether an error that looks like an object's is the bucket's: then the job stops. The answer to
// HEAD has no body that could tell a missing bucket from a missing object.
func (j *Job) blame(side oms.Side, err error) error {
	switch oms.KindOf(err) {
	case oms.NoBucket, oms.Full, oms.Listing:
		return j.stop(side, err)
	case oms.NotFound:
		if side == oms.Destination {
			return err // usual: most objects are not there yet
		}
		fallthrough
	case oms.Denied:
		if verdict := j.checkBucket(side); verdict != nil {
			return j.stop(side, verdict)
		}
	case oms.Other, oms.Invalid, oms.Conflict, oms.Throttled, oms.Transient, oms.Archived, oms.Changed,
		oms.Corrupt, oms.Unsupported:
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
