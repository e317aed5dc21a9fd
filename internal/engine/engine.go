package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storageclass"
	"github.com/openoms/openoms/internal/transfer"
)

// Options configure an Engine.
type Options struct {
	Owner     string              // required; names this process in leases, unique among the processes of a store
	Store     Store               // required
	Sealer    Sealer              // required
	Opener    storage.Opener      // required
	Resources *transfer.Resources // shared by all jobs; nil means transfer.NewResources(transfer.Bounds{})
	Transfer  transfer.Options    // for every job; its Logger is set by the engine when nil
	Quota     oms.Quota           // of each project
	Groups    oms.GroupLimits     // of each project
	Restores  oms.RestoreBudget   // of each project
	Classes   *storageclass.Table // nil means the built-in one
	Zone      *time.Location      // of bandwidth windows and of times in lists; nil means UTC
	Logger    *slog.Logger        // nil discards
	Clock     func() time.Time    // nil means time.Now
	Cluster   bool                // other processes work on the same store
	NoWorkers bool                // serve the API only; tasks are run by other processes on the same store
}

// Engine is the service behind the API and the scheduler of this process. Create one with New; all methods are
// safe for concurrent use.
type Engine struct {
	opts    Options
	store   Store
	log     *slog.Logger
	clock   func() time.Time
	newJob  func(transfer.Plan, transfer.Journal) mover
	commits *committer
	trouble *trouble
	syncs   *syncer
	wakes   chan struct{}
	groups  *groupRuns
	born    time.Time    // what seen counts from
	seen    atomic.Int64 // nanoseconds: when the store last took the heartbeat

	mu        sync.Mutex
	runs      map[int64]*run
	assessing assessments

	strays sync.WaitGroup // jobs that were still winding down when their run was given up
}

// mover is the part of *transfer.Job that a run needs.
type mover interface {
	Run(ctx context.Context, ranges []oms.Range, uploads []oms.Upload) error
	SetLimit(bytesPerSecond int64)
	Stats() transfer.Stats
}

// Times of the engine. Rule numbers are those of the reliability rules.
const (
	passEvery     = time.Second            // the floor that makes a lost wake-up harmless
	beatEvery     = 2 * time.Second        // heartbeat of this worker
	deadAfter     = 10 * time.Second       // a worker unseen for so long loses its ranges
	sampleEvery   = 250 * time.Millisecond // bandwidth windows and speed
	storeTimeout  = 30 * time.Second       // one call of the store (C4)
	jobWindDown   = 3 * time.Second        // a cancelled job that is not back by then is given up
	stopPatience  = 6 * time.Second        // runs at the end of Run
	finalPatience = time.Second            // what is left after that
	storePatience = 30 * time.Minute       // how long a source or destination may be away before its task fails
)

// Reasons why a run is cancelled.
var (
	errStopping  = errors.New("the process stops")
	errPaused    = errors.New("the task is paused")
	errElsewhere = errors.New("the task is run elsewhere")
	errHeld      = errors.New("the state store was away")
)

// New returns an engine that runs nothing yet. Missing required options are oms.Invalid.
func New(opts Options) (*Engine, error) {
	if opts.Owner == "" || opts.Store == nil || opts.Sealer == nil || opts.Opener == nil {
		return nil, oms.Errorf(oms.Invalid, "", "engine needs an owner, a store, a sealer and an opener")
	}
	if opts.Resources == nil {
		opts.Resources = transfer.NewResources(transfer.Bounds{})
	}
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Transfer.Patience <= 0 {
		opts.Transfer.Patience = storePatience
	}
	if opts.Classes == nil {
		classes, err := storageclass.New(storageclass.Overrides{})
		if err != nil {
			return nil, err
		}
		opts.Classes = classes
	}
	if opts.Transfer.Restoring.Clock == nil {
		opts.Transfer.Restoring.Clock = opts.Clock
	}
	if opts.Transfer.Logger == nil {
		opts.Transfer.Logger = opts.Logger
	}
	e := &Engine{
		opts: opts, store: opts.Store, log: opts.Logger, clock: opts.Clock,
		trouble: &trouble{log: opts.Logger},
		wakes:   make(chan struct{}, 1),
		runs:    make(map[int64]*run),
		groups:  newGroupRuns(),
		born:    time.Now(),
	}
	e.newJob = func(p transfer.Plan, j transfer.Journal) mover {
		return transfer.New(p, j, opts.Resources, opts.Transfer)
	}
	e.commits = newCommitter(opts.Store, opts.Owner, e.trouble)
	e.syncs = newSyncer(e)
	return e, nil
}

// Run schedules and runs tasks until ctx ends. Then it stops the jobs, stores what they finished and gives their
// ranges back, within eight seconds; the tasks stay running in the store, so that the next start goes on by itself.
// Run is called once. It returns nil, or an error when something could not be put in order in that time.
func (e *Engine) Run(ctx context.Context) error {
	if e.opts.NoWorkers {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		e.assessing.stop()
		return e.awaitStrays(last)
	}
	// What runs have to store after ctx has ended is bounded by stopPatience, not by ctx.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var helpers sync.WaitGroup
	helpers.Go(func() { e.commits.run(life) })
	helpers.Go(func() { e.sampleLoop(life) })
	helpers.Go(func() { e.beat(life) })
	if e.opts.Cluster {
		helpers.Go(func() { e.store.Listen(life, e.changed) })
		helpers.Go(func() { e.share(life) })
	}
	driven := make(chan struct{})
	helpers.Go(func() {
		defer close(driven)
		e.driveGroups(ctx, life)
	})
	var syncs sync.WaitGroup
	syncs.Go(func() { e.syncs.run(ctx) })
	e.schedule(ctx, life)
	err := errors.Join(e.shutDown(life), e.awaitGroups(driven))
	syncs.Wait() // they began to wind down when ctx ended
	end()
	helpers.Wait()
	return err
}

// shutDown ends all runs, then forgets this worker.
func (e *Engine) shutDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	var errs []error
	e.assessing.stop()
	for _, r := range e.snapshot() {
		r.cancel(errStopping)
	}
	for _, r := range e.snapshot() {
		select {
		case <-r.done:
		case <-ctx.Done():
			errs = append(errs, oms.Errorf(oms.Transient, "", "task %d did not wind down in time", r.id))
		}
	}
	if err := e.awaitStrays(ctx); err != nil {
		errs = append(errs, err)
	}
	// What is still leased to this worker is freed even when the patience is used up.
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), finalPatience)
	defer stop()
	if err := e.store.RemoveWorker(last, e.opts.Owner); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// awaitStrays waits for jobs that did not come back in time when their run ended.
func (e *Engine) awaitStrays(ctx context.Context) error {
	back := make(chan struct{})
	go func() { // ends with the jobs, which end with the process at the latest
		e.strays.Wait()
		close(back)
	}()
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return oms.Errorf(oms.Transient, "", "a job did not wind down in time")
	}
}

// wake makes the scheduler look at the store at once.
func (e *Engine) wake() { signal(e.wakes) }

// signal sets the flag that a channel of capacity one is.
func signal(flag chan<- struct{}) {
	select {
	case flag <- struct{}{}:
	default:
	}
}

// snapshot returns the runs of this process.
func (e *Engine) snapshot() []*run {
	e.mu.Lock()
	defer e.mu.Unlock()
	rs := make([]*run, 0, len(e.runs))
	for _, r := range e.runs {
		rs = append(rs, r)
	}
	return rs
}

// running returns the run of the task in this process, or nil.
func (e *Engine) running(id int64) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[id]
}

// RunEnded returns a channel that is closed when the run of the task in this process has ended and its outcome is
// stored, nil when there is none.
func (e *Engine) RunEnded(id int64) <-chan struct{} {
	if r := e.running(id); r != nil {
		return r.done
	}
	return nil
}

// Stats are figures of this process, for metrics.
type Stats struct {
	Tasks        map[oms.Status]int // tasks run here
	Objects      int64              // objects migrated and stored as such since the process began
	Bytes        int64              // bytes sent for them
	InFlight     int                // objects and parts being copied now
	Commits      int64              // group commits stored
	CommitErrors int64              // group commits that had to be tried again
}

// Stats returns the figures of this process.
func (e *Engine) Stats() Stats {
	s := Stats{
		Tasks:   make(map[oms.Status]int),
		Objects: e.commits.objects.Load(), Bytes: e.commits.bytes.Load(),
		Commits: e.commits.stored.Load(), CommitErrors: e.commits.failed.Load(),
	}
	for _, r := range e.snapshot() {
		status, inFlight := r.load()
		s.Tasks[status]++
		s.InFlight += inFlight
	}
	return s
}
