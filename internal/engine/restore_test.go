package engine_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// How many objects of the source are archived and how many are not.
const cold, warm = 10, 20

// restoreTakes is how long the source's restores take, and restoreDays how long their copies are kept.
const (
	restoreTakes = 4 * time.Hour
	restoreDays  = 3
)

// freeze puts archived objects between others into the source.
func (l *lab) freeze() {
	l.src.SetRestoreDuration(restoreTakes)
	l.seed(warm, 100, "w")
	for i := range cold {
		l.from.Put("c"+itoa(i), []byte("frozen "+itoa(i)), testcloud.Attrs{StorageClass: []string{"GLACIER", "DEEP_ARCHIVE"}[i%2]})
	}
}

func restoring(s *oms.TaskSpec) { s.Restore = true }

// restorer are options of an engine that looks at waiting objects all the time.
func (l *lab) restorer(c *clock) engine.Options {
	o := l.options("w1")
	o.Clock = c.now
	o.Transfer.Restoring = transfer.Restoring{Days: restoreDays, Soonest: 10 * time.Millisecond, Latest: 20 * time.Millisecond}
	return o
}

// asked is how often the source was asked to restore something.
func (l *lab) asked() int { return int(l.src.Count(testcloud.RestoreObject)) }

// waiting waits until all other objects are done, so many were asked for and the rest waits; the task runs.
func (p *proc) waiting(id int64, asked int) oms.Task {
	p.l.t.Helper()
	return p.until(id, "archived objects wait", func(t oms.Task) bool {
		n, bytes := t.Counters.Restoring()
		return t.Counters.Migrated == warm && n == cold && bytes == 8*cold && p.l.asked() >= asked && t.QueryOver
	}, oms.StatusWaiting, oms.StatusRunning)
}

// thaw checks a task that has succeeded with all objects.
func (p *proc) thaw(id int64, asked int) {
	p.l.t.Helper()
	task := p.succeed(id)
	if want := int64(warm + cold); task.Counters.Migrated != want || task.Counters.Listed != want || task.Found != want {
		p.l.t.Errorf("got %+v, found %d, want %d objects", task.Counters, task.Found, want)
	}
	if got := p.l.asked(); got != asked {
		p.l.t.Errorf("asked %d times, want %d", got, asked)
	}
}

// Archived objects are asked for once each, while the others are copied; they are looked at and copied when they can be
// read, and until then the task runs and holds nothing.
func TestRestoreOnce(t *testing.T) {
	l := newLab(t)
	l.freeze()
	p := l.start(l.restorer(&clock{}))
	id := p.create(restoring)
	p.waiting(id, cold)
	looks := l.src.Count(testcloud.HeadObject)
	p.until(id, "they are looked at again", func(oms.Task) bool { return l.src.Count(testcloud.HeadObject) > looks+3*cold }, oms.StatusRunning)
	if n := p.Stats().InFlight; n != 0 {
		t.Errorf("%d objects are in flight", n)
	}
	l.src.PassRestoreTime(restoreTakes)
	p.thaw(id, cold)
}

// A restored copy that has expired before it was read is asked for again.
func TestRestoreExpires(t *testing.T) {
	l := newLab(t)
	l.freeze()
	p := l.start(l.restorer(&clock{}))
	id := p.create(restoring)
	p.waiting(id, cold)
	p.pause(id)
	l.src.PassRestoreTime(restoreTakes + restoreDays*24*time.Hour)
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.waiting(id, 2*cold)
	l.src.PassRestoreTime(restoreTakes)
	p.thaw(id, 2*cold)
}

// Copies that expire between the look and the read, all of them again and again, end as failures and not in a circle.
func TestRestoreNeverReadable(t *testing.T) {
	l := newLab(t)
	l.freeze()
	l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("c3"), Fault: testcloud.Fail(403, "InvalidObjectState")})
	p := l.start(l.restorer(&clock{}))
	id := p.create(restoring)
	p.waiting(id, cold)
	l.src.PassRestoreTime(restoreTakes)
	task := p.fail(id, "TRF.0004")
	fs, err := p.Failures(t.Context(), project, id, "", 10)
	if err != nil || len(fs) != 1 || fs[0].Key != "c3" || fs[0].Code != oms.FailRestore && fs[0].Code != oms.FailArchived {
		t.Fatalf("got %+v, %v", fs, err)
	}
	if task.Counters.Migrated != warm+cold-1 {
		t.Errorf("got %+v", task.Counters)
	}
}

// No more is asked for on a day than its budget allows; the rest waits for the next days.
func TestRestoreBudget(t *testing.T) {
	l := newLab(t)
	l.freeze()
	c := &clock{}
	opts := l.restorer(c)
	opts.Restores = oms.RestoreBudget{Bytes: 4 * 8}
	p := l.start(opts)
	id := p.create(restoring)
	p.waiting(id, 4)
	for _, asked := range []int{4, 8, cold} {
		p.until(id, "the day's budget is used", func(oms.Task) bool { return l.asked() >= asked }, oms.StatusRunning)
		looks := l.src.Count(testcloud.HeadObject)
		p.until(id, "some are looked at again", func(oms.Task) bool { return l.src.Count(testcloud.HeadObject) > looks+20 }, oms.StatusRunning)
		if got := l.asked(); got != asked {
			t.Fatalf("asked for %d objects, the budget allows %d", got, asked)
		}
		c.move(24 * time.Hour)
	}
	l.src.PassRestoreTime(restoreTakes)
	p.thaw(id, cold)
}

// A task that waits can be paused and started, its process can go away and come back, and nothing is asked for twice.
func TestRestoreAcrossRuns(t *testing.T) {
	l := newLab(t)
	l.freeze()
	p := l.start(l.restorer(&clock{}))
	id := p.create(restoring)
	p.waiting(id, cold)
	p.pause(id)
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.waiting(id, cold)
	p.stop()
	p = l.start(l.restorer(&clock{}))
	p.waiting(id, cold)
	l.src.PassRestoreTime(restoreTakes)
	p.thaw(id, cold)

	// One that waits can be deleted, with what is stored of it.
	l.from.ExpireRestores()
	for i := range cold {
		l.to.Delete("c" + itoa(i))
	}
	second := p.create(restoring)
	p.until(second, "archived objects wait", func(t oms.Task) bool {
		n, _ := t.Counters.Restoring()
		return n == cold && l.asked() == 2*cold
	})
	p.pause(second)
	if err := p.Delete(t.Context(), project, second); err != nil {
		t.Fatal(err)
	}
	w, err := l.db.RestoreWork(t.Context(), "w1", second, oms.RestoreQuery{})
	if err != nil || w.Left != 0 {
		t.Errorf("%d objects of a deleted task wait, %v", w.Left, err)
	}
}

// Objects that the source refuses to restore fail by their own code, and can be retried.
func TestRestoreRefused(t *testing.T) {
	l := newLab(t)
	l.freeze()
	deny := func(op testcloud.Op, _, _ string) bool { return op == testcloud.RestoreObject }
	l.src.SetCredential(testcloud.Credential{AccessKey: srcAK, SecretKey: secret, Deny: deny})
	p := l.start(l.restorer(&clock{}))
	id := p.create(restoring)
	p.fail(id, "TRF.0004")
	fs, err := p.Failures(t.Context(), project, id, "", 100)
	if err != nil || len(fs) != cold {
		t.Fatalf("%d failures, %v", len(fs), err)
	}
	for _, f := range fs {
		if f.Code != oms.FailRestore || f.Size != 8 {
			t.Errorf("got %+v", f)
		}
	}
	l.src.SetCredential(testcloud.Credential{AccessKey: srcAK, SecretKey: secret})
	before := l.asked()
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	p.until(id, "archived objects wait", func(t oms.Task) bool { return l.asked() == before+cold }, oms.StatusWaiting, oms.StatusRunning)
	l.src.PassRestoreTime(restoreTakes)
	p.thaw(id, before+cold)
}

// Without enable_restore archived objects fail by their code; those that somebody restored are copied.
func TestArchivedWithoutRestore(t *testing.T) {
	l := newLab(t)
	l.freeze()
	p := l.start(l.restorer(&clock{}))
	id := p.create(nil)
	p.fail(id, "TRF.0004")
	fs, err := p.Failures(t.Context(), project, id, "", 100)
	if err != nil || len(fs) != cold || fs[0].Code != oms.FailArchived || l.asked() != 0 {
		t.Fatalf("got %d failures, %+v, %v", len(fs), fs, err)
	}
}
