package engine

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds of what a run has taken up.
const (
	syncInFlight = 1000 // names taken up and not settled (rule C4)
	syncPage     = 250  // names read at a time
	syncRows     = 500  // results that make a commit due
)

// Attempts at an object whose failure another attempt may heal (OMS v2, 8, row 19), beside those of the transfer at
// each request.
const (
	syncAttempts   = 3
	syncRetryFirst = 5 * time.Second
	syncRetryMore  = 6 // times as long after each further one
)

// syncQueue is what stands between the stored events of a task and the job that applies them: it hands names out in
// their order, no name twice at a time, and stores what became of them in group commits.
type syncQueue struct {
	e      *Engine
	r      *syncRun
	lease  oms.SyncLease
	events <-chan struct{} // signalled when events arrive

	work  chan struct{} // something is to be stored
	hurry chan struct{} // do not wait for more
	freed chan struct{} // names were settled, so that others may be taken up
	quit  chan struct{} // closed when nothing more comes

	mu       sync.Mutex
	taken    map[string]oms.SyncEvent // by key: handed out and not settled
	cursor   int64                    // place of the last event handed out
	promoted time.Time                // when due attempts were looked for
	filling  *syncBatch
	stored   int64 // commits under the lease
	lost     bool  // the lease is lost
}

var (
	_ transfer.Feed    = (*syncQueue)(nil)
	_ transfer.Journal = (*syncQueue)(nil)
)

// syncBatch is what one commit will store.
type syncBatch struct {
	commit  oms.SyncCommit
	lists   map[oms.SyncListKind]*oms.SyncList
	rows    int
	settled chan struct{} // closed when the batch is stored
}

func newSyncBatch() *syncBatch {
	return &syncBatch{lists: make(map[oms.SyncListKind]*oms.SyncList), settled: make(chan struct{})}
}

func newSyncQueue(e *Engine, r *syncRun, lease oms.SyncLease) *syncQueue {
	return &syncQueue{
		e: e, r: r, events: r.events, lease: lease,
		work: make(chan struct{}, 1), hurry: make(chan struct{}, 1), freed: make(chan struct{}, 1), quit: make(chan struct{}),
		taken: make(map[string]oms.SyncEvent), filling: newSyncBatch(),
	}
}

// Next implements transfer.Feed.
func (q *syncQueue) Next(ctx context.Context) ([]transfer.Named, error) {
	ticker := time.NewTicker(passEvery) // the floor that makes a lost wake-up harmless
	defer ticker.Stop()
	for {
		names, err := q.read(ctx)
		if len(names) > 0 || err != nil {
			return names, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-q.events:
		case <-q.freed:
		case <-ticker.C:
		}
	}
}

// read takes up the next events, as many as there is room for.
func (q *syncQueue) read(ctx context.Context) ([]transfer.Named, error) {
	q.mu.Lock()
	room, cursor, look := syncInFlight-len(q.taken), q.cursor, time.Since(q.promoted) >= passEvery
	q.mu.Unlock()
	if room <= 0 {
		return nil, nil
	}
	var list []oms.SyncEvent
	err := q.e.persist(ctx, "read events", func(ctx context.Context) (err error) {
		if look {
			if _, err := q.e.store.PromoteSyncEvents(ctx, q.lease.Number); err != nil {
				return err
			}
		}
		list, err = q.e.store.SyncEvents(ctx, q.lease.Number, cursor, min(room, syncPage))
		return err
	})
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if look {
		q.promoted = time.Now()
	}
	names := make([]transfer.Named, 0, len(list))
	for _, ev := range list {
		if _, busy := q.taken[ev.Key]; busy {
			break // its last result is stored, but this queue does not know yet: a moment later
		}
		q.taken[ev.Key], q.cursor = ev, ev.Pos
		names = append(names, transfer.Named{Key: ev.Key, Again: ev.Again || ev.Pos <= q.lease.Since})
	}
	q.r.inFlight.Store(int64(len(q.taken)))
	return names, nil
}

// Done implements transfer.Feed.
func (q *syncQueue) Done(r transfer.NamedResult) {
	now := q.e.clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	ev, ok := q.taken[r.Key]
	if !ok {
		return // cannot be: a name is settled once
	}
	out := oms.SyncOutcome{Key: r.Key, Seq: ev.Seq}
	b := q.filling
	switch {
	case r.Failure != nil && healable(r.Failure.Kind) && ev.Attempts+1 < syncAttempts:
		out.RetryAt = now.Add(syncBackoff(ev.Attempts))
	case r.Failure != nil:
		b.commit.Counts.Failures++
		b.line(oms.ListFailed, failedLine(*r.Failure, q.e.opts.Zone))
	case r.Skipped:
		b.commit.Counts.Skips++
		b.line(oms.ListSkip, objectLine(r, q.e.opts.Zone))
	default:
		b.commit.Counts.Successes++
		b.commit.Counts.Bytes += r.Size
		b.line(oms.ListSuccess, objectLine(r, q.e.opts.Zone))
	}
	b.commit.Outcomes = append(b.commit.Outcomes, out)
	q.added()
}

// healable reports whether a later attempt may succeed without anybody doing anything.
func healable(k oms.Kind) bool {
	switch k {
	case oms.Transient, oms.Throttled, oms.Changed, oms.Corrupt, oms.Other:
		return true
	case oms.Invalid, oms.NotFound, oms.Conflict, oms.Denied, oms.Archived, oms.Unsupported, oms.NoBucket, oms.Full, oms.Listing:
	}
	return false
}

// syncBackoff returns how long to wait after so many failures before this one: about 5, 30, … seconds.
func syncBackoff(failures int) time.Duration {
	d := syncRetryFirst
	for range failures {
		d *= syncRetryMore
	}
	return d/2 + rand.N(d)
}

// objectLine is the line of an object in the lists of migrated and skipped objects: name encoded, size, last
// modified, separated by tabs.
func objectLine(r transfer.NamedResult, zone *time.Location) string {
	at := ""
	if !r.ModTime.IsZero() {
		at = r.ModTime.In(zone).Format("2006-01-02T15:04:05.000-07:00")
	}
	return encodeName(r.Key) + "\t" + strconv.FormatInt(r.Size, 10) + "\t" + at + "\n"
}

// line adds a line to an object list.
func (b *syncBatch) line(kind oms.SyncListKind, text string) {
	l := b.lists[kind]
	if l == nil {
		l = &oms.SyncList{Kind: kind}
		b.lists[kind] = l
	}
	l.Entries++
	l.Lines = append(l.Lines, text...)
}

// added says that the batch has grown by a row. The caller holds mu.
func (q *syncQueue) added() {
	q.filling.rows++
	signal(q.work)
	if q.filling.rows >= syncRows {
		signal(q.hurry)
	}
}

// Checkpoint implements transfer.Journal; a job over named objects has none.
func (q *syncQueue) Checkpoint(context.Context, oms.Checkpoint) error { return nil }

// Failures implements transfer.Journal; failures are events here.
func (q *syncQueue) Failures(context.Context, string, int) ([]oms.Failure, error) { return nil, nil }

// OpenUpload implements transfer.Journal.
func (q *syncQueue) OpenUpload(ctx context.Context, u oms.Upload) error {
	q.mu.Lock()
	b := q.filling
	b.commit.Opened = append(b.commit.Opened, u)
	q.added()
	q.mu.Unlock()
	signal(q.hurry)
	select {
	case <-b.settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// PartDone implements transfer.Journal.
func (q *syncQueue) PartDone(_ context.Context, p oms.PartDone) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.filling.commit.Parts = append(q.filling.commit.Parts, p)
	q.added()
	return nil
}

// CloseUpload implements transfer.Journal.
func (q *syncQueue) CloseUpload(_ context.Context, ref oms.UploadRef) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.filling.commit.Closed = append(q.filling.commit.Closed, ref)
	q.added()
	return nil
}

// run stores what comes in until close was called and all is stored, or ctx ends. When it cannot go on it ends the
// job through fail.
func (q *syncQueue) run(ctx context.Context, fail context.CancelCauseFunc) {
	for open := true; open; {
		select {
		case <-ctx.Done():
			return
		case <-q.quit:
			open = false
		case <-q.work:
			q.gather(ctx)
		}
		if err := q.store(ctx); err != nil {
			fail(err)
			return
		}
	}
}

// close says that nothing more comes.
func (q *syncQueue) close() { close(q.quit) }

// gather waits while a batch fills.
func (q *syncQueue) gather(ctx context.Context) {
	timer := time.NewTimer(commitEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.hurry:
	case <-q.quit:
	case <-ctx.Done():
	}
}

// store makes one commit of what has come in. It returns when that is stored: only the end of ctx, a lost lease and a
// store that decides against it are errors.
func (q *syncQueue) store(ctx context.Context) error {
	q.mu.Lock()
	if q.filling.rows == 0 {
		q.mu.Unlock()
		return nil
	}
	b := q.filling
	q.filling = newSyncBatch()
	q.mu.Unlock()
	b.commit.Lease, b.commit.Number = q.lease, q.stored+1
	for _, kind := range []oms.SyncListKind{oms.ListSuccess, oms.ListSkip, oms.ListFailed} {
		if l := b.lists[kind]; l != nil {
			b.commit.Lists = append(b.commit.Lists, *l)
		}
	}
	held := false
	err := q.e.persist(ctx, "store results of events", func(ctx context.Context) (err error) {
		held, err = q.e.store.CommitSync(ctx, b.commit)
		return err
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !held {
		q.lost = true
		return errElsewhere
	}
	q.stored++
	for _, o := range b.commit.Outcomes {
		delete(q.taken, o.Key)
	}
	q.r.inFlight.Store(int64(len(q.taken)))
	q.e.syncs.counters.applied(&b.commit)
	close(b.settled)
	signal(q.freed)
	return nil
}

// requeueLost makes the names due again that this run had taken up when it lost its lease: whoever has the lease now
// may have written them before this run did. It reports whether the lease is lost.
func (q *syncQueue) requeueLost(ctx context.Context) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.lost || len(q.taken) == 0 {
		return q.lost
	}
	keys := make([]string, 0, len(q.taken))
	for key := range q.taken {
		keys = append(keys, key)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), syncFinal)
	defer cancel()
	if err := q.e.store.RequeueSyncEvents(ctx, q.lease.Number, keys); err != nil {
		q.e.trouble.report(ctx, "requeue events", err)
	}
	return true
}
