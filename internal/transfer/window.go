package transfer

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// maxUnacknowledged bounds the objects of a span that are handed out but not acknowledged, so that one slow object
// cannot make everything behind it pile up in memory.
const maxUnacknowledged = 100_000

// journalPatience bounds how long finished work waits for the journal when the job is being stopped.
const journalPatience = 5 * time.Second

// batch is a run of neighbouring keys that is acknowledged as one.
type batch struct {
	span    *span
	last    string // its last key: where the checkpoint moves when it is done
	items   []item // objects to copy; the others of the batch are counted already
	objects int64  // all keys of the batch
	bytes   int64  // of items

	mu       sync.Mutex
	pending  int
	delta    oms.Counters
	failures []oms.Failure
	resolved []string
	outcomes oms.Outcomes
	restores oms.RestoreChanges
}

// add appends an object to copy, one of at most left that the batch can still get.
func (b *batch) add(it item, left int) {
	if b.items == nil {
		b.items = make([]item, 0, min(batchItems, left))
	}
	b.items = append(b.items, it)
	b.bytes += it.obj.Size
}

// window is the ordered list of a span's unacknowledged batches (rules P1, P2).
type window struct {
	mu      sync.Mutex
	stored  oms.Checkpoint // identity of the range and its acknowledged position
	batches []*batch       // in key order; the first is the oldest that is not done
	objects int64          // in batches
	room    chan struct{}  // closed and renewed when objects shrink
	final   bool           // no batch will follow
	done    bool           // the end is reported
	lost    bool           // the lease is lost: nothing is reported any more
	tally   *tally         // takes what would be reported, see settle; nil on most
}

func (w *window) init(r oms.Range) {
	w.stored = oms.Checkpoint{
		TaskID: r.TaskID, Seq: r.Seq, Generation: r.Generation, Owner: r.Owner, Token: r.Token, Cur: r.Cur,
	}
	w.room = make(chan struct{})
}

// add appends a batch, waiting while too much is unacknowledged.
func (w *window) add(ctx context.Context, b *batch) error {
	for {
		w.mu.Lock()
		if w.lost {
			w.mu.Unlock()
			return errLost
		}
		if w.objects == 0 || w.objects+b.objects <= maxUnacknowledged {
			w.batches = append(w.batches, b)
			w.objects += b.objects
			w.mu.Unlock()
			return nil
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// acknowledge moves the checkpoint over the batches at the front that are done.
func (w *window) acknowledge(ctx context.Context, j Journal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	cp := w.stored
	n := 0
	for ; n < len(w.batches); n++ {
		b := w.batches[n]
		b.mu.Lock()
		if b.pending > 0 {
			b.mu.Unlock()
			break
		}
		cp.Cur = strings.Clone(b.last) // who keeps it must not keep the page that it was listed in
		cp.Delta = cp.Delta.Add(b.delta)
		cp.Failures = append(cp.Failures, b.failures...)
		cp.Resolved = append(cp.Resolved, b.resolved...)
		cp.Outcomes.Add(&b.outcomes)
		cp.Restores = cp.Restores.Add(b.restores)
		w.objects -= b.objects
		b.mu.Unlock()
		w.batches[n] = nil
	}
	w.batches = w.batches[n:]
	cp.Done = w.final && !w.done && len(w.batches) == 0 // once: of two batches that end together, one acknowledges both
	w.done = w.done || cp.Done
	if n == 0 && !cp.Done {
		return nil
	}
	close(w.room)
	w.room = make(chan struct{})
	if w.tally != nil {
		if err := w.tell(ctx, j, cp.Outcomes); err != nil {
			return err
		}
		return w.tally.add(cp)
	}
	w.stored.Cur = cp.Cur
	return w.report(ctx, j, cp)
}

// tell reports lines of object lists ahead of the position: how many there will be cannot be held until it moves.
func (w *window) tell(ctx context.Context, j Journal, o oms.Outcomes) error {
	if o.Size() == 0 && o.Uncarried == (oms.UncarriedCounts{}) {
		return nil
	}
	cp := w.stored
	cp.Outcomes = o
	return w.report(ctx, j, cp)
}

// report1 reports one batch of a range whose batches end in any order: its position is how many were reported.
func (w *window) report1(ctx context.Context, j Journal, b *batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	cp := w.stored
	position, _ := strconv.ParseUint(cp.Cur, 16, 64) // "" is before the first
	cp.Cur = fmt.Sprintf("%016x", position+1)
	cp.Delta, cp.Failures, cp.Resolved, cp.Outcomes, cp.Restores = b.delta, b.failures, b.resolved, b.outcomes, b.restores
	w.stored.Cur = cp.Cur
	return w.report(ctx, j, cp)
}

// drain waits until all that was added is done.
func (w *window) drain(ctx context.Context) error {
	for {
		w.mu.Lock()
		left, room := len(w.batches), w.room
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settle reports a tally as one checkpoint, cp, whose range the window fills in.
func (w *window) settle(ctx context.Context, j Journal, cp oms.Checkpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cp.Cur == w.stored.Cur {
		return nil // there was no key
	}
	full := w.stored
	full.Cur, full.Delta, full.Failures, full.Resolved = cp.Cur, cp.Delta, cp.Failures, cp.Resolved
	w.stored.Cur = cp.Cur
	return w.report(ctx, j, full)
}

// cut reports that the tail behind at becomes a range of its own. The caller holds the span's lock.
func (w *window) cut(ctx context.Context, j Journal, tail oms.RangeTail) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	cp := w.stored
	cp.Cut = &tail
	return w.report(ctx, j, cp)
}

// end says that no batch follows and acknowledges what is done.
func (w *window) end(ctx context.Context, j Journal) error {
	w.mu.Lock()
	w.final = true
	w.mu.Unlock()
	return w.acknowledge(ctx, j)
}

// report hands a checkpoint to the journal. Finished work is reported even while the job is being stopped.
func (w *window) report(ctx context.Context, j Journal, cp oms.Checkpoint) error {
	if w.lost {
		return errLost
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
	defer cancel()
	err := j.Checkpoint(ctx, cp)
	if err == nil {
		return nil
	}
	w.lost = true // a later checkpoint must not cover keys whose own was not taken
	close(w.room)
	w.room = make(chan struct{})
	if oms.KindOf(err) == oms.Conflict {
		return errLost
	}
	return err
}
