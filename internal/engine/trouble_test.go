package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// bucketOf names the lab's destination.
func bucketOf(l *lab) storage.Bucket {
	task := l.task(nil)
	return storage.Bucket{CloudType: oms.CloudAWS, Endpoint: task.Spec.Dst.Endpoint, Name: "backup", Credentials: keys().Dst}
}

// limited is a job that waits for its end and tells which limits it was given.
type limited struct{ limits chan int64 }

func (j *limited) Run(ctx context.Context, _ []oms.Range, _ []oms.Upload) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
func (j *limited) SetLimit(n int64)      { j.limits <- n }
func (j *limited) Stats() transfer.Stats { return transfer.Stats{} }

// scripted is a job that does what a test says.
type scripted struct {
	run func(context.Context, []oms.Range) error
}

func (j *scripted) Run(ctx context.Context, rs []oms.Range, _ []oms.Upload) error {
	return j.run(ctx, rs)
}
func (j *scripted) SetLimit(int64)        {}
func (j *scripted) Stats() transfer.Stats { return transfer.Stats{} }

// checkpoint is one that finishes r with an object counted.
func checkpoint(r oms.Range) oms.Checkpoint {
	return oms.Checkpoint{
		TaskID: r.TaskID, Seq: r.Seq, Generation: r.Generation, Owner: r.Owner, Token: r.Token, Cur: "key", Done: true,
		Delta: oms.Counters{Listed: 1, Migrated: 1},
	}
}

// Commits whose outcome is unknown are not counted twice, nor lost (rule P7).
func TestUnknownCommits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(300, 10, "o/")
	l.from.Put("large", make([]byte, 20<<20), testcloud.Attrs{})
	var n atomic.Int64
	opts := l.options("one")
	opts.Store = &faultyStore{Store: l.db, commit: func(ctx context.Context, c oms.Commit) ([]int, error) {
		switch n.Add(1) % 3 {
		case 0: // took effect, but nobody hears of it
			if _, err := l.db.Commit(ctx, c); err != nil {
				return nil, err
			}
			return nil, oms.Errorf(oms.Transient, "", "the answer was lost")
		case 1: // did not take effect
			return nil, oms.Errorf(oms.Transient, "", "the request was lost")
		}
		return l.db.Commit(ctx, c)
	}}
	p := l.start(opts)
	task := p.succeed(p.create(nil))
	if want := l.from.Len(); task.Counters.Listed != want || task.Counters.Migrated != want {
		t.Errorf("counted %+v, want %d", task.Counters, want)
	}
	if s := p.Stats(); s.CommitErrors == 0 || s.Objects != l.from.Len() {
		t.Errorf("statistics %+v: want errors and %d objects", s, l.from.Len())
	}
}

// A full disk holds tasks back and fails none of them; they go on by themselves (rule C6).
func TestStoreAway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(500, 10, "o/")
	var broken atomic.Bool
	broken.Store(true)
	tried := make(chan struct{}, 1000)
	opts := l.options("one")
	opts.Store = &faultyStore{Store: l.db, commit: func(ctx context.Context, c oms.Commit) ([]int, error) {
		if broken.Load() {
			tried <- struct{}{}
			return nil, oms.Errorf(oms.Full, "", "disk full")
		}
		return l.db.Commit(ctx, c)
	}}
	p := l.start(opts)
	id := p.create(nil)
	for range 7 { // longer than a job waits for its journal
		<-tried
	}
	if task := p.show(id); task.Status != oms.StatusRunning || task.Counters.Listed != 0 {
		t.Errorf("the task is %s with %+v while nothing can be stored", task.Status, task.Counters)
	}
	broken.Store(false)
	if task := p.succeed(id); task.Counters.Migrated != 500 {
		t.Errorf("counted %+v, want 500", task.Counters)
	}
}

// Progress that the store refuses, although it is well, fails its own task and no other.
func TestPoisonedTask(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(50, 10, "o/")
	var victim atomic.Int64
	opts := l.options("one")
	opts.Store = &faultyStore{Store: l.db, commit: func(ctx context.Context, c oms.Commit) ([]int, error) {
		for _, cp := range c.Checkpoints {
			if cp.TaskID == victim.Load() {
				return nil, oms.Errorf(oms.Invalid, "", "counters that do not balance")
			}
		}
		return l.db.Commit(ctx, c)
	}}
	e := l.make(opts)
	p := &proc{Engine: e, l: l}
	id := p.create(func(s *oms.TaskSpec) { s.Dst.SavePrefix = "oms/victim/" })
	victim.Store(id)
	other := p.create(nil)
	p = l.run(e)
	p.fail(id, "TRF.0001")
	p.succeed(other)
	victim.Store(0)
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
}

// A panic fails its task and not the process.
func TestPanic(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(p transfer.Plan, _ transfer.Journal) engine.Job {
		return &scripted{func(context.Context, []oms.Range) error { panic("in task " + p.Spec.Dst.SavePrefix) }}
	})
	p := l.run(e)
	p.fail(p.create(nil), "TRF.0001")
	p.fail(p.create(nil), "TRF.0001")
}

// A job that does not wind down does not hold up the pause, and what it reports later is refused.
func TestStuckJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	started, release := make(chan struct{}), make(chan struct{})
	late := make(chan error, 1)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(_ transfer.Plan, j transfer.Journal) engine.Job {
		return &scripted{func(ctx context.Context, rs []oms.Range) error {
			close(started)
			<-release
			late <- j.Checkpoint(context.WithoutCancel(ctx), checkpoint(rs[0]))
			return nil
		}}
	})
	p := l.run(e)
	id := p.create(nil)
	<-started
	p.pause(id)
	close(release)
	if err := <-late; !errors.Is(err, oms.Conflict) {
		t.Errorf("late report: got %v, want conflict", err)
	}
	if task := p.show(id); task.Counters.Listed != 0 {
		t.Errorf("late report was counted: %+v", task.Counters)
	}
}

// A job that goes through although a pause was asked for: the pause wins, and the next start finds all done.
func TestStopBeatsSuccess(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	started := make(chan struct{}, 1)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(_ transfer.Plan, j transfer.Journal) engine.Job {
		return &scripted{func(ctx context.Context, rs []oms.Range) error {
			started <- struct{}{}
			<-ctx.Done()
			return j.Checkpoint(context.WithoutCancel(ctx), checkpoint(rs[0]))
		}}
	})
	p := l.run(e)
	id := p.create(nil)
	<-started
	task := p.pause(id)
	if task.Counters.Listed != 1 || !l.ranges(id)[0].Done {
		t.Errorf("counted %+v at the pause, want the last checkpoint stored", task.Counters)
	}
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
}

// Ranges whose lease is lost are taken up again, and what was reported for them is not counted.
func TestLostLease(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(3, 10, "o/")
	var jobs atomic.Int64
	e := l.make(l.options("one"))
	lost := make(chan error, 1)
	e.ReplaceJobs(func(_ transfer.Plan, j transfer.Journal) engine.Job {
		return &scripted{func(ctx context.Context, rs []oms.Range) error {
			r := rs[0]
			if jobs.Add(1) > 1 {
				return j.Checkpoint(ctx, checkpoint(r))
			}
			if err := l.db.ReleaseRanges(ctx, "one", r.TaskID); err != nil {
				return err
			}
			step := checkpoint(r)
			step.Done, step.Cur = false, "a"
			for { // the first report is taken in before anybody knows
				if err := j.Checkpoint(ctx, step); err != nil {
					lost <- err
					return err
				}
				step.Cur += "a"
				time.Sleep(time.Millisecond)
			}
		}}
	})
	p := l.run(e)
	id := p.create(nil)
	if err := <-lost; !errors.Is(err, oms.Conflict) {
		t.Errorf("report on a lost range: got %v, want conflict", err)
	}
	task := p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	if task.Counters.Listed != 1 {
		t.Errorf("counted %+v, want 1", task.Counters)
	}
}

// A job that ends well but leaves its ranges where they are is not run for ever (rule C4).
func TestFutileJobs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(transfer.Plan, transfer.Journal) engine.Job {
		return &scripted{func(context.Context, []oms.Range) error { return nil }}
	})
	p := l.run(e)
	p.fail(p.create(nil), "TRF.0001")
}

// Books that do not balance never make a success (rule P3).
func TestBooksDoNotBalance(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(_ transfer.Plan, j transfer.Journal) engine.Job {
		return &scripted{func(ctx context.Context, rs []oms.Range) error {
			// The tail of the space gets lost.
			if err := j.Checkpoint(ctx, checkpoint(rs[0])); err != nil {
				return err
			}
			_, err := l.db.ChangeTask(ctx, "", rs[0].TaskID, func(cur oms.Task) (oms.TaskChange, error) {
				return oms.TaskChange{Task: cur, Ranges: []oms.Range{{Kind: oms.RangeKeys, Seq: 7, Start: "x", Cur: "x", Done: true}}}, nil
			})
			return err
		}}
	})
	p := l.run(e)
	p.fail(p.create(nil), "TRF.0001")
}
