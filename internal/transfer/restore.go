package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Restoring says how archived objects are restored; the zero value of each field is a default that works.
type Restoring struct {
	Days    int                 // that a restored copy is asked for; 0 means 7
	Tier    storage.RestoreTier // "" means storage.TierStandard
	Soonest time.Duration       // between two looks at an object, at first; 0 means a minute
	Latest  time.Duration       // between two looks at an object, in the end; 0 means 15 minutes
	Clock   func() time.Time    // nil means time.Now
}

func (r Restoring) withDefaults() Restoring {
	if r.Days <= 0 {
		r.Days = 7
	}
	if r.Tier == "" {
		r.Tier = storage.TierStandard
	}
	if r.Soonest <= 0 {
		r.Soonest = time.Minute
	}
	if r.Latest < r.Soonest {
		r.Latest = max(15*time.Minute, r.Soonest)
	}
	if r.Clock == nil {
		r.Clock = time.Now
	}
	return r
}

// Bounds of restoring.
const (
	maxRestoreTries  = 10 // requests for one object, and copies that found it archived again
	restoreLooks     = 16 // objects that are looked at at the same time
	restorePage      = 256
	restoreFloor     = 250 * time.Millisecond // between two passes at first
	restoreIdle      = 5 * time.Second        // and in the end, while others may put objects aside
	restorePerWaited = 4                      // the next look comes after this part of the time waited
)

// RestoreJournal is a Journal that keeps the archived objects that wait. A job without one fails them.
type RestoreJournal interface {
	Journal
	// RestoreWork returns what is to be done, all checkpoints that were reported before included.
	RestoreWork(ctx context.Context, q oms.RestoreQuery) (oms.RestoreWork, error)
	// SpendRestore books a restore of size bytes on the budget of the day; false when it is used up.
	SpendRestore(ctx context.Context, size int64, now time.Time) (bool, error)
}

// ErrWaiting says that a job has nothing left to do but to wait for what others who hold ranges of the task put aside.
var ErrWaiting = &oms.Error{Op: "restore", Kind: oms.Conflict, Msg: "other workers still list the task's objects"}

// restorer sees to the objects of a job that were put aside: it asks for them, looks whether they can be read, and hands
// them out. All of it ends with the job.
type restorer struct {
	job     *Job
	journal RestoreJournal
	source  storage.Restorer
	opts    Restoring
	span    *span         // nil when another worker holds the range: then objects are only put aside here
	wake    chan struct{} // something may be due, or has ended

	waiting atomic.Int64 // objects put aside
	over    atomic.Bool  // this job lists nothing more

	mu      sync.Mutex
	busy    map[string]bool // objects that are looked at or copied
	settled []string        // of busy, those of which the journal has what came of it: a query before may show them as they were
	room    chan struct{}   // closed and renewed when waiting shrinks
	noneFor time.Time       // until then nothing is asked for: the budget is used up
}

// newRestorer returns what sees to the objects of a range over restores, or, when others hold it, to the number of those
// that are put aside; nil when the job cannot.
func newRestorer(j *Job, r oms.Range) *restorer {
	journal, ok := j.journal.(RestoreJournal)
	if !ok || j.plan.Spec.ReadOnly() {
		return nil
	}
	source, _ := j.plan.Src.(storage.Restorer) // without, objects fail when they are to be asked for
	rs := &restorer{
		job: j, journal: journal, source: source, opts: j.opts.Restoring.withDefaults(),
		wake: make(chan struct{}, 1), busy: make(map[string]bool), room: make(chan struct{}),
	}
	if !r.Done {
		rs.span = newSpan(r)
	}
	return rs
}

// start runs the restorer beside the listing. The function returned says how the listing ended and waits for the end of
// the restorer; of the two errors the listing's is returned if there is one.
func (r *restorer) start(ctx context.Context) (end func(listed error) error) {
	if r == nil || r.span == nil {
		return func(listed error) error { return listed }
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { // end waits for it
		err := r.guarded(ctx)
		if err != nil && !errors.Is(err, ErrWaiting) && ctx.Err() == nil {
			r.job.cancel(err)
		}
		ended <- err
	}()
	return func(listed error) error {
		defer cancel()
		if listed != nil {
			cancel()
		} else {
			r.over.Store(true)
			r.poke()
		}
		restored := <-ended
		if listed != nil {
			return listed
		}
		return restored
	}
}

// guarded is run; a panic ends the job, as one in its listing would.
func (r *restorer) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &oms.Error{Op: "restore", Kind: oms.Other, Msg: fmt.Sprint("panic: ", p)}
		}
	}()
	return r.run(ctx)
}

// poke lets the next pass begin at once.
func (r *restorer) poke() {
	if r == nil {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run makes passes until nothing waits and nothing can be put aside any more.
func (r *restorer) run(ctx context.Context) error {
	began := r.opts.Clock()
	for pause := restoreFloor; ; pause = min(2*pause, restoreIdle) {
		w, worked, err := r.pass(ctx)
		if err != nil {
			return err
		}
		over := r.over.Load()
		switch {
		case w.Left == 0 && !w.Others:
			return r.span.window.end(ctx, r.job.journal)
		case over && w.Elsewhere && r.opts.Clock().Sub(began) > restoreIdle:
			return ErrWaiting
		case worked:
			pause = restoreFloor
		}
		wait := pause
		if over && !w.Others { // nothing but these objects is left, so nothing happens before
			wait = r.untilNext(w)
		}
		if err := r.rest(ctx, wait); err != nil {
			return err
		}
	}
}

// untilNext returns how long nothing is due.
func (r *restorer) untilNext(w oms.RestoreWork) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, wait := r.opts.Clock(), r.opts.Latest
	if !w.Next.IsZero() {
		wait = min(wait, w.Next.Sub(now))
	}
	if now.Before(r.noneFor) {
		wait = min(wait, r.noneFor.Sub(now))
	}
	return max(wait, restoreFloor)
}

// rest waits, for less when poked.
func (r *restorer) rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-r.wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pass looks at all objects that are due, once, and returns what was left then.
func (r *restorer) pass(ctx context.Context) (w oms.RestoreWork, worked bool, err error) {
	q := oms.RestoreQuery{Now: r.opts.Clock(), Limit: restorePage}
	for {
		q.Asked = r.broke(q.Now)
		if w, err = r.query(ctx, q); err != nil {
			return w, worked, err
		}
		looks, lctx := errgroup.WithContext(ctx)
		looks.SetLimit(restoreLooks)
		for _, row := range w.Due {
			if r.take(row.Key) {
				worked = true
				looks.Go(func() error { return r.look(lctx, row) })
			}
		}
		if err := looks.Wait(); err != nil {
			return w, worked, err
		}
		if len(w.Due) < restorePage {
			return w, worked, nil
		}
		q.After = w.Due[len(w.Due)-1]
	}
}

// query asks what is due. What was settled before is in the answer as it is now, and can be taken again.
func (r *restorer) query(ctx context.Context, q oms.RestoreQuery) (oms.RestoreWork, error) {
	r.mu.Lock()
	settled := r.settled
	r.settled = nil
	r.mu.Unlock()
	w, err := r.journal.RestoreWork(ctx, q)
	r.mu.Lock()
	for _, key := range settled {
		delete(r.busy, key)
	}
	r.mu.Unlock()
	return w, err
}

// take makes the object one that is seen to; false when it is already.
func (r *restorer) take(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[key] {
		return false
	}
	r.busy[key] = true
	return true
}

// release ends what take began, after what came of it was reported.
func (r *restorer) release(key string) {
	r.mu.Lock()
	r.settled = append(r.settled, key)
	r.mu.Unlock()
}

// broke reports whether the budget was found used up, for a day that is not over.
func (r *restorer) broke(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.noneFor)
}

// look does what an object needs now: it is handed out, asked for, or looked at later.
func (r *restorer) look(ctx context.Context, row oms.Restore) error {
	it, err := r.item(row)
	if err != nil {
		return err
	}
	o, err := it.statSource(ctx)
	if err != nil {
		if ctx.Err() != nil || r.job.stopping() {
			r.release(row.Key)
			return context.Cause(ctx)
		}
		return r.handOut(ctx, it) // whose attempt tells what is wrong
	}
	now := r.opts.Clock()
	archived := o.Restore.Archived || r.job.plan.Classes.Archived(r.job.plan.Spec.Src.CloudType, o.StorageClass)
	expired := !o.Restore.Expires.IsZero() && !now.Before(o.Restore.Expires)
	switch {
	case o.Restore.State == storage.RestoreOngoing:
		if row.AskedAt.IsZero() { // by somebody else, or by us before a crash
			row.AskedAt, row.Requests = now, max(row.Requests, 1)
		}
		return r.later(ctx, row, now.Add(r.interval(now.Sub(row.AskedAt))))
	case !archived, o.Restore.State == storage.RestoreDone && !expired:
		return r.handOut(ctx, it)
	case row.Requests >= maxRestoreTries:
		return r.fail(ctx, it, &oms.Error{
			Op: "restore", Key: it.obj.Key, Kind: oms.Archived, Msg: "its restored copy expired too often before it was read",
		})
	}
	return r.ask(ctx, it, row, o, now)
}

// interval returns when to look again at an object that has been waiting for so long.
func (r *restorer) interval(waited time.Duration) time.Duration {
	return min(max(waited/restorePerWaited, r.opts.Soonest), r.opts.Latest)
}

// ask asks the store for an object, if the budget allows it.
func (r *restorer) ask(ctx context.Context, it *item, row oms.Restore, o storage.Object, now time.Time) error {
	if r.source == nil {
		return r.fail(ctx, it, &oms.Error{Op: "restore", Key: it.obj.Key, Kind: oms.Unsupported, Msg: "objects of this source cannot be restored"})
	}
	room, err := r.journal.SpendRestore(ctx, row.Size, now)
	if err != nil {
		r.release(row.Key)
		return err
	}
	if !room {
		tomorrow := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		r.mu.Lock()
		r.noneFor = tomorrow
		r.mu.Unlock()
		row.AskedAt = time.Time{}
		return r.later(ctx, row, tomorrow)
	}
	req := storage.RestoreRequest{
		Key: it.obj.Key, Days: r.job.plan.Classes.Days(r.job.plan.Spec.Src.CloudType, r.opts.Days), Tier: r.opts.Tier,
	}
	if o.Restore.Archived {
		req.Days = 0 // it comes back for good
	}
	err = r.job.retry(ctx, srcRead, func(ctx context.Context, _ *watch) error { return r.source.RequestRestore(ctx, req) })
	switch {
	case err == nil:
		row.Requests++
		row.AskedAt = now
		return r.later(ctx, row, now.Add(r.opts.Soonest))
	case ctx.Err() != nil || r.job.stopping():
		r.release(row.Key)
		return context.Cause(ctx)
	case oms.KindOf(err).Retryable():
		return r.later(ctx, row, now.Add(r.opts.Latest))
	}
	return r.fail(ctx, it, err)
}

// item returns the object of a row as one to copy, in a batch of its own.
func (r *restorer) item(row oms.Restore) (*item, error) {
	b := &batch{span: r.span, objects: 1, pending: 1}
	it := item{job: r.job, batch: b, obj: storage.ListedObject{Key: row.Key, Size: row.Size}, stat: true, waited: &row}
	if r.job.plan.Spec.Type.Lists() {
		name, line, err := oms.SplitFailureKey(row.Key)
		if err != nil {
			return nil, err
		}
		it.obj.Key, it.line = name, &line
	}
	b.items = []item{it}
	return &b.items[0], nil
}

// handOut has an object copied.
func (r *restorer) handOut(ctx context.Context, it *item) error {
	if it.line != nil && r.job.lines.enter(it.obj.Key, "") != nil { // another line of the same name is in progress
		return r.later(ctx, *it.waited, r.opts.Clock().Add(r.opts.Soonest))
	}
	r.job.open.Add(1)
	if err := r.job.queue.push(ctx, it); err != nil {
		r.job.open.Done()
		return err
	}
	return nil
}

// fail books an object as failed for good.
func (r *restorer) fail(ctx context.Context, it *item, err error) error {
	if it.line != nil && r.job.lines.enter(it.obj.Key, "") != nil {
		return r.later(ctx, *it.waited, r.opts.Clock().Add(r.opts.Soonest))
	}
	it.settle(ctx, failed(oms.FailRestore, err))
	return nil
}

// later has an object looked at again.
func (r *restorer) later(ctx context.Context, row oms.Restore, at time.Time) error {
	row.NotBefore = at
	b := &batch{span: r.span}
	b.restores.Waits = []oms.Restore{row}
	err := r.span.window.report1(ctx, r.job.journal, b)
	r.release(row.Key)
	return err
}

// hold waits until few enough objects wait for another one to be put aside.
func (r *restorer) hold(ctx context.Context) error {
	if r == nil {
		return nil
	}
	for {
		r.mu.Lock()
		room := r.room
		r.mu.Unlock()
		if r.waiting.Load() < oms.MaxRestores {
			return nil
		}
		if r.span == nil { // others see to them
			if err := sleep(ctx, restoreIdle); err != nil {
				return err
			}
			if err := r.resume(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// aside takes note of an object that was put aside.
func (r *restorer) aside() {
	r.waiting.Add(1)
	r.poke()
}

// ended takes note of an object that waits no longer.
func (r *restorer) ended(key string) {
	r.waiting.Add(-1)
	r.mu.Lock()
	r.settled = append(r.settled, key)
	close(r.room)
	r.room = make(chan struct{})
	r.mu.Unlock()
	r.poke()
}

// resume counts what was put aside by earlier jobs and others.
func (r *restorer) resume(ctx context.Context) error {
	if r == nil {
		return nil
	}
	w, err := r.journal.RestoreWork(ctx, oms.RestoreQuery{Now: r.opts.Clock()})
	r.waiting.Store(w.Left)
	return err
}

// waits reports whether the object can wait when it turns out to be archived. What a second pass over an unordered
// listing meets cannot: it may have been put aside by the first.
func (it *item) waits() bool {
	return it.job.restorer != nil && it.batch.span.window.tally == nil && it.batch.span.r.Kind != oms.RangeEvents
}

// shelved reports whether the listing says that the object cannot be read before it is restored.
func (it *item) shelved() bool {
	return it.waits() && it.waited == nil && it.job.plan.Classes.Archived(it.job.plan.Spec.Src.CloudType, it.obj.StorageClass)
}

// errShelved is what becomes of an object that waits.
var errShelved = &oms.Error{Op: "get object", Kind: oms.Archived, Msg: "it must be restored first"}

// bookWait books an archived object as one that waits; false when it has failed. The batch is locked.
func (b *batch) bookWait(it *item, o outcome) bool {
	if o.err == nil || o.code != oms.FailArchived || !it.waits() {
		return false
	}
	now := it.job.restorer.opts.Clock()
	if w := it.waited; w != nil { // it expired before it was read, or while it was
		if w.Requests++; w.Requests >= maxRestoreTries {
			return false
		}
		row := *w
		row.AskedAt, row.NotBefore = time.Time{}, now
		b.restores.Waits = append(b.restores.Waits, row)
		return true
	}
	size := max(it.obj.Size, 0)
	d := oms.Counters{Listed: 1, ListedBytes: size}
	if p := it.prior; p != nil { // it is counted as listed and failed already
		d = oms.Counters{Failed: -1, FailedBytes: -p.Size, ListedBytes: size - p.Size}
		b.resolved = append(b.resolved, p.Key)
	}
	b.delta = b.delta.Add(d)
	b.restores.Aside = append(b.restores.Aside, oms.Restore{Key: it.failureKey(), Size: size, NotBefore: now})
	it.job.restorer.aside()
	return true
}
