package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// A group commit is made so often, or so large, whichever comes first.
const (
	commitEvery   = 100 * time.Millisecond
	commitObjects = 1000
)

// Bounds of what is queued for one group commit (rule C4). Beyond them jobs wait.
const (
	queueRows    = 20_000
	queueEntries = 10_000
	queueText    = 4 << 20 // bytes of lines of object lists
)

// poisonAfter is how many attempts the store may refuse before the tasks are tried one by one.
const poisonAfter = 6

// committer stores the progress of all tasks of this process, one transaction after the other. When the store is
// in trouble, it takes nothing more in and tries the same commit again: nothing is dropped, nothing counted twice
// (rules C6 and P7).
type committer struct {
	store   Store
	owner   string
	trouble *trouble

	work  chan struct{} // something is queued
	hurry chan struct{} // do not wait for more

	mu       sync.Mutex
	filling  *batch
	inFlight *batch
	broken   bool          // the last attempt failed
	space    chan struct{} // closed when there may be room again

	objects, bytes, stored, failed atomic.Int64
}

func newCommitter(store Store, owner string, t *trouble) *committer {
	return &committer{
		store: store, owner: owner, trouble: t, filling: newBatch(),
		work: make(chan struct{}, 1), hurry: make(chan struct{}, 1), space: make(chan struct{}),
	}
}

// put lets add write into the batch that is being filled, when there is room. It returns a channel that is
// closed when the batch is stored.
func (c *committer) put(ctx context.Context, j *journal, add func(*batch)) (<-chan struct{}, error) {
	for {
		c.mu.Lock()
		if err := j.ended; err != nil {
			c.mu.Unlock()
			return nil, err
		}
		b := c.filling
		if !c.broken && b.rows < queueRows && b.text < queueText && len(b.entries) < queueEntries {
			add(b)
			full := b.objects >= commitObjects
			c.mu.Unlock()
			signal(c.work)
			if full {
				signal(c.hurry)
			}
			return b.settled, nil
		}
		space := c.space
		c.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			c.mu.Lock()
			j.held = j.held || c.broken
			c.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
}

// await asks for a commit now and waits for it.
func (c *committer) await(ctx context.Context, settled <-chan struct{}) error {
	signal(c.hurry)
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush returns when everything that was queued before is stored.
func (c *committer) flush(ctx context.Context) error {
	c.mu.Lock()
	var settled <-chan struct{}
	switch {
	case !c.filling.empty():
		settled = c.filling.settled
	case c.inFlight != nil:
		settled = c.inFlight.settled
	}
	c.mu.Unlock()
	if settled == nil {
		return nil
	}
	if err := c.await(ctx, settled); err != nil {
		return fmt.Errorf("flush progress: %w", err)
	}
	return nil
}

// run commits until ctx ends.
func (c *committer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.work:
		}
		c.gather(ctx)
		if b := c.take(); b != nil {
			c.commit(ctx, b)
		}
	}
}

// gather waits while a batch fills.
func (c *committer) gather(ctx context.Context) {
	timer := time.NewTimer(commitEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.hurry:
	case <-ctx.Done():
	}
}

// take returns what is queued, nil when nothing is, and starts a new batch.
func (c *committer) take() *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.filling.empty() {
		return nil
	}
	b := c.filling
	b.show(c.owner)
	c.inFlight, c.filling = b, newBatch()
	c.makeRoom()
	return b
}

// makeRoom wakes all who wait for room. The caller holds mu.
func (c *committer) makeRoom() {
	close(c.space)
	c.space = make(chan struct{})
}

// commit stores b, however long that takes, unless ctx ends.
func (c *committer) commit(ctx context.Context, b *batch) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		lost, err := c.attempt(ctx, b, attempt)
		if err == nil {
			c.settle(b, lost)
			return
		}
		c.failed.Add(1)
		c.setBroken()
		c.trouble.report(ctx, "commit progress", err)
		if rest(ctx, pause) != nil {
			return
		}
		if (final(err) || attempt >= poisonAfter) && c.isolate(ctx, b, err) {
			c.settle(b, nil)
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// attempt makes one try. Before all but the first it looks whether an earlier one took effect after all, since
// the outcome of a failed commit is unknown (rule P7).
func (c *committer) attempt(ctx context.Context, b *batch, attempt int) (lost []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if attempt > 1 {
		done, err := c.took(ctx, b)
		if done || err != nil {
			return nil, err
		}
	}
	return c.store.Commit(ctx, b.commit())
}

// took reports whether the store already holds b. One range that shows it is enough, as a commit is stored as a
// whole.
func (c *committer) took(ctx context.Context, b *batch) (bool, error) {
	for task := range b.tasks {
		rs, err := c.store.Ranges(ctx, task)
		if errors.Is(err, oms.NotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if yes, known := b.stored(task, rs); known {
			return yes, nil
		}
	}
	return false, nil
}

// settle ends the time of b in the queue.
func (c *committer) settle(b *batch, lost []int) {
	c.book(b, lost)
	c.mu.Lock()
	c.inFlight, c.broken = nil, false
	c.makeRoom()
	c.mu.Unlock()
	c.stored.Add(1)
	close(b.settled)
}

// book takes from their runs the ranges whose checkpoints were lost, and counts the others.
func (c *committer) book(b *batch, lost []int) {
	missing := make(map[int]bool, len(lost))
	for _, i := range lost {
		missing[i] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range b.entries {
		if missing[i] {
			e.journal.lost[e.cp.Seq], e.journal.doubt = true, true
			continue
		}
		e.journal.sum = e.journal.sum.Add(e.cp.Delta)
		c.objects.Add(e.cp.Delta.Migrated)
		c.bytes.Add(e.cp.Delta.MovedBytes)
	}
}

func (c *committer) setBroken() {
	c.mu.Lock()
	c.broken = true
	c.mu.Unlock()
}

// isolate finds the tasks whose progress the store refuses although it is well, so that one of them does not hold
// up the others: they are failed, and what they had queued is done again after their next start. It reports
// whether b is dealt with.
func (c *committer) isolate(ctx context.Context, b *batch, cause error) bool {
	switch oms.KindOf(cause) {
	case oms.Full, oms.Transient, oms.Throttled:
		return false
	default:
	}
	if oms.Canceled(cause) || c.store.Heartbeat(ctx, c.owner, deadAfter) != nil {
		return false
	}
	for task, j := range b.tasks {
		part := b.of(task)
		if lost, err := c.attempt(ctx, part, 2); err != nil {
			c.failed.Add(1)
			c.end(j, fmt.Errorf("store progress of task %d: %w", task, err))
		} else {
			c.book(part, lost)
		}
		b.drop(task)
	}
	return true
}
