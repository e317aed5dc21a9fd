package transfer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/keyspace"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storageclass"
)

// Plan is what a job does: both buckets and the rules of the task.
type Plan struct {
	TaskID     int64
	Generation int64
	Owner      string // worker that holds the ranges
	Spec       oms.TaskSpec
	Src        storage.Reader
	Dst        storage.Writer
	Lists      storage.Reader      // the bucket with the task's list files; nil without
	Abilities  Abilities           // of Dst, from Probe
	Classes    *storageclass.Table // of both; nil knows none
	// Epoch is the destination's clock when work on the task's space began: on a resumed range an equal object that is
	// not older is the task's own work. Zero: unknown.
	Epoch time.Time
	// Numbers is what the Seq of ranges that the job cuts off are counted from, where other processes cut ranges of the
	// task as well; 0: from the highest Seq of the ranges.
	Numbers int64
	// Known are keys that divided the source evenly when it was last listed, see Boundaries; none, or wrong ones, only
	// cost requests.
	Known []string
	// Zone is that of times in object lists; nil means UTC.
	Zone *time.Location
	// Own are prefixes of what the service keeps in the source bucket, which is the destination bucket then: they are left
	// out.
	Own []string
}

// Journal makes progress durable. Package engine implements it with group commits.
type Journal interface {
	// Checkpoint queues a checkpoint and returns; it waits only while too much is queued. oms.Conflict says that the
	// lease is lost: the range must be dropped.
	Checkpoint(ctx context.Context, c oms.Checkpoint) error
	// OpenUpload stores the upload and returns when it is durable. An empty UploadID states the intent to open one; it
	// is closed once the upload itself is stored.
	OpenUpload(ctx context.Context, u oms.Upload) error
	// PartDone queues a proved part.
	PartDone(ctx context.Context, p oms.PartDone) error
	// CloseUpload queues the removal of an upload that is completed or aborted.
	CloseUpload(ctx context.Context, ref oms.UploadRef) error
	// Failures returns recorded failures of earlier runs after the key, in byte order, at most limit.
	Failures(ctx context.Context, after string, limit int) ([]oms.Failure, error)
}

// Resources are shared by all jobs of a process, by their priorities where they do not suffice.
type Resources struct {
	slots   *pool // objects and parts in flight
	buffers *buffers
	guard   *guard.Guard
}

// Bounds are the limits of Resources; the zero value of each field is a default that works.
type Bounds struct {
	Slots  int          // most objects and parts in flight; 0 means 1,024
	Memory int64        // bytes of buffers; 0 means 64 MiB, which is also the least: one buffer of MaxBuffer
	Guard  *guard.Guard // decides how many requests are in flight; nil lets all pass
}

// NewResources returns resources within the bounds.
func NewResources(b Bounds) *Resources {
	if b.Slots <= 0 {
		b.Slots = mostInFlight
	}
	return &Resources{slots: newPool(int64(b.Slots)), buffers: newBuffers(b.Memory), guard: b.Guard}
}

// mostInFlight is how many objects and parts are in flight when nobody said otherwise: more than the requests that a
// guard ever allows to read and to write at the same time.
const mostInFlight = 1024

// Options tune a job; the zero value of each field is a default that works.
type Options struct {
	Workers  int           // most objects and parts of this job in flight; 0 means 1,024
	Walkers  int           // most ranges listed at the same time; 0 means 64
	PartSize int64         // bytes of the parts of large objects, as far as the destination allows; 0: what suits the object
	Patience time.Duration // how long a store may be away before the job stops; 0 means 30 minutes
	Stall    time.Duration // a request that moves less than 1 KiB/s for so long is cut off; 0 means 60 s
	Spool    Spool         // where the listing of a source without order is sorted
	// Restoring is for tasks that restore archived objects.
	Restoring Restoring
	Logger    *slog.Logger // required
}

// Stats are a snapshot of a running job.
type Stats struct {
	Found, FoundBytes int64             // objects listed by this job since it began
	Moved             int64             // bytes read from the source since it began
	Partial           int64             // bytes of unfinished large objects that the destination holds in parts
	InFlight          int               // objects and parts being copied now
	Listing           bool              // some range is still being listed
	Proofs            [ProofKinds]int64 // objects proved by this job, by Proof
}

// Stopped says that the job cannot go on for a reason that is no object's fault.
type Stopped struct {
	Side oms.Side
	Err  error // its kind selects the reason, see oms.ReasonOf
}

// Error implements error.
func (s *Stopped) Error() string {
	if s.Side == oms.Source {
		return "source: " + s.Err.Error()
	}
	return "destination: " + s.Err.Error()
}

// Unwrap returns the cause.
func (s *Stopped) Unwrap() error { return s.Err }

// Job moves the objects of one task's ranges in this process. Make it with New, use it for one Run.
type Job struct {
	plan    Plan
	journal Journal
	res     *Resources
	opts    Options
	limit   *limiter
	queue   *queue
	sides   [2]*health // source, destination
	flows   [targets]*guard.Flow
	slots   party // in those of the process
	memory  party // in the buffers of the process
	paces   [targets]pace
	names   []string // exact names of the task, sorted
	lines   lines    // of tasks with list files
	record  recorder

	filter *rules.Filter // nil takes all
	naming *rules.Names
	broken error   // filters or names cannot be compiled
	visit  visitor // sees the listed objects instead of all else; nil in a job that moves objects

	ctx    context.Context //nolint:containedctx // the context of Run, for work that outlives the worker that began it
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	cond    sync.Cond                 // signalled when spans change
	waiting []*span                   // not yet taken by a walker
	live    map[*keyspace.Range]*span // being listed
	walking int                       // walkers that are busy
	space   *keyspace.Space           // what is known of the source's keys
	seq     int64                     // highest Seq of the task's ranges
	uploads map[string]oms.Upload
	checked [2]verdict

	restorer *restorer   // of the range over restores; nil without
	listed   atomic.Bool // every range has been listed to its end
	srcETags etags
	relays   relays

	orders [2]order       // what was proved of the listings of source and destination
	keys   []oms.Range    // those of kind keys, as Run got them
	late   []oms.Range    // those of kind late: there are some when the source has no order
	sorted *sortedListing // of a source without order; nil when it has one
	blind  atomic.Bool    // the destination's listing has no order: its objects are looked up one by one

	found, foundBytes, moved, partial, inFlight atomic.Int64
	resting                                     atomic.Int64 // who waits before an attempt is repeated
	proofs                                      [ProofKinds]atomic.Int64
	open                                        sync.WaitGroup // objects handed out
}

// verdict is the outcome of the last check of a bucket.
type verdict struct {
	mu    sync.Mutex
	began time.Time
	err   error
}

// New returns a job. The limit is none until SetLimit.
func New(plan Plan, journal Journal, res *Resources, opts Options) *Job {
	if opts.Workers <= 0 {
		opts.Workers = mostInFlight
	}
	if opts.Walkers <= 0 {
		opts.Walkers = 64
	}
	if opts.Patience <= 0 {
		opts.Patience = 30 * time.Minute
	}
	if opts.Stall <= 0 {
		opts.Stall = time.Minute
	}
	weight := int64(guard.Weight(plan.Spec.Priority))
	j := &Job{slots: party{weight: weight}, memory: party{weight: weight}, plan: plan, journal: journal, res: res, opts: opts, limit: newLimiter(), queue: newQueue(opts.Workers, res.buffers.limit)}
	j.cond.L = &j.mu
	j.space, j.live = keyspace.New(opts.Walkers, plan.Known), make(map[*keyspace.Range]*span)
	j.record = newRecorder(&plan)
	if plan.Spec.Type == oms.TypeURLList {
		j.plan.Src = named{urls: plan.Src, of: &j.lines}
	}
	j.broken = j.compile()
	if j.plan.Classes == nil && j.broken == nil {
		j.plan.Classes, j.broken = storageclass.New(storageclass.Overrides{})
	}
	j.plan.Abilities.ETagMD5 = j.plan.Abilities.ETagMD5 && !plan.Spec.KMS // rule D6
	prefixes, names := plan.Spec.Selection()
	j.names = names
	selected := slices.Concat(prefixes, names, []string{""})[0] // keys may be allowed to list nothing else
	j.sides[0] = newHealth(oms.Source, opts.Patience, func(ctx context.Context) error {
		return answers(ctx, plan.Src, selected)
	})
	j.sides[1] = newHealth(oms.Destination, opts.Patience, func(ctx context.Context) error {
		return answers(ctx, plan.Dst, plan.Spec.Dst.SavePrefix)
	})
	return j
}

func (j *Job) health(side oms.Side) *health {
	if side == oms.Source {
		return j.sides[0]
	}
	return j.sides[1]
}

// SetLimit bounds what the job reads from the source, in bytes per second; 0 means no limit. It acts at once.
func (j *Job) SetLimit(bytesPerSecond int64) { j.limit.set(bytesPerSecond) }

// Stats returns a snapshot. It may be called at any time.
func (j *Job) Stats() Stats {
	s := Stats{
		Found: j.found.Load(), FoundBytes: j.foundBytes.Load(), Moved: j.moved.Load(), Partial: j.partial.Load(),
		InFlight: int(j.inFlight.Load()), Listing: !j.listed.Load(),
	}
	for i := range s.Proofs {
		s.Proofs[i] = j.proofs[i].Load()
	}
	return s
}

// Boundaries returns keys that divide the source into roughly equal parts, ascending: Plan.Known of the next job that
// lists it. Call it when Run has returned.
func (j *Job) Boundaries() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.space.Boundaries()
}

// Run works on the ranges, which this process has leased, until they are done; uploads are those that earlier runs
// left open. It returns nil when all ranges, and those cut off them, are done and reported to the journal; the cause
// of ctx when that ended, as soon as requests in flight have been cut off; a *Stopped error for trouble that is no
// object's fault; a *Disorder when the source cannot be listed in order. What finished before was reported.
func (j *Job) Run(ctx context.Context, ranges []oms.Range, uploads []oms.Upload) error {
	if j.broken != nil {
		return j.broken
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.mu.Lock()
	j.ctx, j.cancel = ctx, cancel
	j.adopt(ranges)
	j.mu.Unlock()
	if err := j.adoptUploads(ctx, uploads); err != nil {
		return err
	}
	if err := j.restorer.resume(ctx); err != nil {
		return err
	}
	j.openFlows()
	defer j.closeFlows()
	var watchers, workers errgroup.Group
	watchCtx, stopWatching := context.WithCancel(ctx)
	for _, h := range j.sides {
		watchers.Go(func() error {
			if err := h.run(watchCtx); err != nil {
				cancel(err)
			}
			return nil
		})
	}
	stopQueueing := context.AfterFunc(ctx, func() { j.open.Add(-j.queue.close()) })
	workers.Go(func() error {
		j.work(ctx, &workers)
		return nil
	})
	endRestores := j.restorer.start(ctx)
	err := j.list(ctx)
	defer j.sorted.close()
	j.listed.Store(err == nil)
	err = endRestores(err)
	if _, ok := errors.AsType[*Disorder](err); err != nil && !ok && !errors.Is(err, ErrWaiting) { // then what is in flight is finished
		cancel(err)
	}
	j.open.Wait()
	j.open.Add(-j.queue.close())
	stopWatching()
	_ = workers.Wait()
	_ = watchers.Wait()
	stopQueueing()
	return outcomeOf(ctx, err)
}

// outcomeOf picks what ended the job first.
func outcomeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errLost) {
		return errLost
	}
	return err
}

// work is one worker. It brings in another one when there is more to do than the workers that there are can take, and
// leaves when there are more than can have a request in flight: they would only wait for one another.
func (j *Job) work(ctx context.Context, workers *errgroup.Group) {
	for {
		u, large := j.queue.pop()
		useful := j.usefulWorkers()
		if j.queue.enlist(useful) {
			workers.Go(func() error {
				j.work(ctx, workers)
				return nil
			})
		}
		switch {
		case large != nil:
			large.beside = true
			go func() {
				defer j.open.Done()
				defer j.queue.uploadDone()
				large.run(ctx)
			}()
		case u != nil:
			j.runUnit(ctx, u)
		default:
			return
		}
		if j.queue.dismiss(useful) {
			return
		}
	}
}

// usefulWorkers returns how many workers can have a request in flight, some that are between two, and one for each that
// rests before it repeats an attempt, or waits for a part of a bucket that the store refuses.
func (j *Job) usefulWorkers() int {
	slots := j.flows[srcRead].Slots() + j.flows[dstWrite].Slots()
	if slots == 0 {
		return j.opts.Workers
	}
	return slots + slots/4 + int(j.resting.Load()) + j.flows[srcRead].Held() + j.flows[dstWrite].Held()
}

func (j *Job) runUnit(ctx context.Context, u unit) {
	if _, object := u.(*item); object {
		defer j.open.Done()
	}
	u.run(ctx)
}

// stop ends the job for trouble of a side that is no object's fault, and returns the error to pass on.
func (j *Job) stop(side oms.Side, err error) error {
	stopped := &Stopped{Side: side, Err: err}
	j.cancel(stopped)
	return stopped
}

// noteErr ends the job when a report to the journal failed: what is not stored must be done again.
func (j *Job) noteErr(err error) {
	if err != nil {
		j.cancel(err)
	}
}

// stopping reports whether the job is ending before its work is done.
func (j *Job) stopping() bool { return j.ctx.Err() != nil }

// checkBucket asks the bucket itself after an object was refused: nil means that the bucket is fine and the refusal
// was the object's own. A check answers for all refusals before it began: an older one says nothing about keys that
// were revoked since, and many refusals cost few checks.
func (j *Job) checkBucket(side oms.Side) error {
	refused := time.Now()
	v := &j.checked[side-oms.Source]
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.began.After(refused) {
		return v.err
	}
	check := j.sides[0].ping
	if side == oms.Destination {
		check = j.tryDestination
	}
	v.began = time.Now()
	v.err = persist(j.ctx, check) // not the part's context: the outcome is for all
	if !systemic(oms.KindOf(v.err)) {
		v.err = nil
	}
	return v.err
}

// tryDestination asks the destination for what the task needs of it.
func (j *Job) tryDestination(ctx context.Context) error {
	if j.plan.Spec.ReadOnly() {
		return j.sides[1].ping(ctx)
	}
	return j.tryWrite(ctx)
}

// tryWrite writes a tiny object in the task's own folder. Whether it may be deleted does not matter, see Probe.
func (j *Job) tryWrite(ctx context.Context) error {
	key := "oms/probe/" + itoa(j.plan.TaskID)
	_, err := j.plan.Dst.Put(ctx, storage.PutRequest{Key: key, Body: strings.NewReader(probeBody), Size: int64(len(probeBody))})
	if err != nil {
		return err
	}
	_ = j.plan.Dst.Delete(ctx, key)
	return nil
}
