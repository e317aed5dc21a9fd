package engine_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// A task outlives its process: the next engine goes on by itself with the stored keys, and nothing that had arrived
// is sent again (rules P8 and C5).
func TestProcessStops(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(40, 128<<10, "o/")
	p := l.start(l.options("one"))
	id := p.create(slow)
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
	running := p.until(id, "the listing is over", func(task oms.Task) bool { return task.QueryOver })
	p.stop()
	there := l.arrived()
	task, err := l.db.Task(t.Context(), project, id)
	if err != nil || task.Status != oms.StatusRunning {
		t.Fatalf("the task is %s, %v, want running", task.Status, err)
	}
	for _, r := range l.ranges(id) {
		if r.Owner != "" {
			t.Errorf("range is still leased: %+v", r)
		}
	}
	l.forward(running, task) // from the store: what was shown is there for the next process
	p = l.start(l.options("two"))
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	task = p.succeed(id)
	if task.Counters.Migrated != 40 {
		t.Errorf("counted %+v, want 40 migrated", task.Counters)
	}
	l.sentOnce(there)
}

// A task whose process died is taken over when its worker has been silent for long enough, not before (rule C1).
func TestTakesOverDeadWorker(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(20, 100, "o/")
	idle := l.options("api")
	idle.NoWorkers = true
	id := l.start(idle).create(nil)
	// A process that schedules and plans the task, leases it, and is never heard of again.
	if err := l.db.Heartbeat(t.Context(), "ghost", time.Minute); err != nil {
		t.Fatal(err)
	}
	_, err := l.db.ChangeTask(t.Context(), project, id, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventSchedule}, time.Now())
		next.Planned = true
		return oms.TaskChange{Task: next, Ranges: []oms.Range{{Kind: oms.RangeKeys, Seq: 1, Generation: 1}}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if rs, err := l.db.ClaimRanges(t.Context(), "ghost", id, 10); len(rs) != 1 || err != nil {
		t.Fatal(rs, err)
	}
	p := l.start(l.options("two"))
	// Another task shows that the engine has looked more than once and left the ghost's alone.
	other := p.create(func(s *oms.TaskSpec) { s.Dst.SavePrefix = "oms/other/" })
	p.until(other, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	if r := l.ranges(id)[0]; r.Owner != "ghost" || r.Cur != "" {
		t.Fatalf("the range is %+v, want it left alone", r)
	}
	l.dbClock.move(time.Minute)
	p.succeed(id)
}

// A task that was pausing when its process died is settled by the next one.
func TestSettlesPausingTask(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	idle := l.options("api")
	idle.NoWorkers = true
	api := l.start(idle)
	id := api.create(nil)
	_, err := l.db.ChangeTask(t.Context(), project, id, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventSchedule}, time.Now())
		return oms.TaskChange{Task: next}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Stop(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	p := l.start(l.options("two"))
	p.settled(p.until(id, "it is paused", is(oms.StatusPaused), oms.StatusPausing, oms.StatusPaused))
}

// A task whose ranges were all done when its process died is only closed.
func TestClosesWhatIsDone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	idle := l.options("api")
	idle.NoWorkers = true
	id := l.start(idle).create(nil)
	_, err := l.db.ChangeTask(t.Context(), project, id, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventSchedule}, time.Now())
		next.Planned = true
		return oms.TaskChange{Task: next, Ranges: []oms.Range{{Kind: oms.RangeKeys, Seq: 1, Generation: 1, Done: true}}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	l.start(l.options("two")).succeed(id)
}

// Tasks start by priority, as many at a time as the project may run.
func TestPriorityAndQuota(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(10, 100, "o/")
	opts := l.options("one")
	opts.Quota.Running = 1
	e := l.make(opts)
	ids := make(map[oms.Priority]int64)
	p := &proc{Engine: e, l: l}
	for _, prio := range []oms.Priority{oms.PriorityLow, oms.PriorityMedium, oms.PriorityHigh} {
		ids[prio] = p.create(func(s *oms.TaskSpec) { s.Priority, s.Dst.SavePrefix = prio, "oms/"+string(prio)+"/" })
	}
	// What was low becomes the first of all.
	first := ids[oms.PriorityLow]
	if err := p.BatchUpdate(t.Context(), project, oms.BatchUpdate{IDs: []int64{first}, Priority: oms.PriorityHigh}); err != nil {
		t.Fatal(err)
	}
	running := l.run(e)
	var starts []time.Time
	var ends []time.Time
	for _, id := range []int64{first, ids[oms.PriorityHigh], ids[oms.PriorityMedium]} {
		task := running.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
		starts = append(starts, task.StartedAt)
		ends = append(ends, task.StartedAt.Add(task.RunFor))
	}
	for i := 1; i < len(starts); i++ {
		if starts[i].Before(ends[i-1].Add(-time.Millisecond)) {
			t.Errorf("task %d started at %v, before the one ahead of it ended at %v", i, starts[i], ends[i-1])
		}
	}
}

// A task that waits for longer than 30 days fails and loses its keys (OMS v2, 5.2).
func TestExpires(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	idle := l.options("api")
	idle.NoWorkers = true
	id := l.start(idle).create(nil)
	opts := l.options("one")
	opts.Quota.MaxWaiting = oms.MaxWaiting
	late := &clock{}
	late.move(oms.MaxWaiting + time.Hour)
	opts.Clock = late.now
	p := l.start(opts)
	p.fail(id, "TRF.0003")
	// The user starts it again.
	opts.Clock = nil
	p.stop()
	p = l.start(opts)
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.succeed(id)
}

// A task that waits is deleted together with what it left open at the destination (rule C2); one that runs is not.
func TestDelete(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(20, 128<<10, "o/")
	opts := l.options("one")
	opts.NoWorkers = true
	api := l.start(opts)
	id := api.create(nil)
	dst, err := l.opener.Open(t.Context(), bucketOf(l))
	if err != nil {
		t.Fatal(err)
	}
	mp, ok := dst.(storage.Multiparter)
	if !ok {
		t.Fatal("the destination takes no uploads")
	}
	uploadID, err := mp.CreateUpload(t.Context(), "o/00001", storage.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.db.Commit(t.Context(), oms.Commit{Opened: []oms.Upload{{TaskID: id, Key: "o/00001", UploadID: uploadID, PartSize: 8 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	if open := l.to.Uploads(); len(open) != 0 {
		t.Errorf("%d uploads are left open", len(open))
	}
	if _, err := api.Task(t.Context(), project, id); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("deleted task: got %v, want OMS.1009", err)
	}

	p := l.start(l.options("two"))
	id = p.create(slow)
	p.until(id, "it runs", is(oms.StatusRunning))
	if err := p.Delete(t.Context(), project, id); oms.CodeOf(err) != "OMS.0063" {
		t.Errorf("delete of a running task: got %v, want OMS.0063", err)
	}
	p.pause(id)
	if err := p.Delete(t.Context(), project, id); err != nil {
		t.Error(err)
	}
}

// Creation checks both ends, says which is wrong, and tells nothing that a probe of the network could use (rule S7).
func TestCreateChecksBuckets(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	opts := l.options("one")
	opts.NoWorkers = true
	opts.Quota.Waiting = 1
	p := l.start(opts)
	for _, c := range []struct {
		name, code string
		spec       func(*oms.TaskSpec)
		keys       func(*oms.TaskCredentials)
	}{
		{"no source bucket", "OMS.1014", func(s *oms.TaskSpec) { s.Src.Bucket = "nobody-has-this" }, nil},
		{"wrong source keys", "OMS.1014", nil, func(k *oms.TaskCredentials) { k.Src.SecretKey = oms.NewSecret("wrong") }},
		{"no source store", "OMS.1014", func(s *oms.TaskSpec) { s.Src.Endpoint.URL = "http://127.0.0.1:1" }, nil},
		{"no destination bucket", "OMS.1020", func(s *oms.TaskSpec) { s.Dst.Bucket = "nobody-has-this" }, nil},
		{"wrong destination keys", "OMS.1020", nil, func(k *oms.TaskCredentials) { k.Dst.AccessKey = "AKOTHER" }},
		{"same bucket", "OMS.0058", func(s *oms.TaskSpec) { s.Dst.Endpoint, s.Dst.Bucket = s.Src.Endpoint, s.Src.Bucket }, nil},
		{"nothing selected", "OMS.1004", func(s *oms.TaskSpec) { s.Src.Keys = nil }, nil},
		{"no list file", "OMS.1004", func(s *oms.TaskSpec) { s.Type = oms.TypeList }, nil},
		{"no type", "OMS.0061", func(s *oms.TaskSpec) { s.Type = "none" }, nil},
		{"bad limit", "OMS.0084", func(s *oms.TaskSpec) { s.Bandwidth = []oms.BandwidthWindow{{Start: 0, End: 1, Limit: 1}} }, nil},
		{"good", "", nil, nil},
		{"too many waiting", "OMS.0077", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keys()
			if c.keys != nil {
				c.keys(&k)
			}
			_, err := p.Create(t.Context(), l.task(c.spec), k)
			if got := oms.CodeOf(err); got != c.code || (err == nil) != (c.code == "") {
				t.Errorf("got %v, want code %q", err, c.code)
			}
		})
	}
}

// Limits of running tasks change at once; those of finished ones cannot.
func TestSetBandwidth(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	limits := make(chan int64, 100)
	e := l.make(l.options("one"))
	e.ReplaceJobs(func(transfer.Plan, transfer.Journal) engine.Job { return &limited{limits: limits} })
	p := l.run(e)
	id := p.create(slow)
	if got := <-limits; got != oms.MinBandwidth {
		t.Errorf("limit at the start is %d, want %d", got, oms.MinBandwidth)
	}
	all := []oms.BandwidthWindow{{Start: 0, End: 24*60 - 1, Limit: 5 << 20}}
	if err := p.SetBandwidth(t.Context(), project, id, all); err != nil {
		t.Fatal(err)
	}
	if got := <-limits; got != 5<<20 {
		t.Errorf("limit is %d after the change, want %d", got, 5<<20)
	}
	if err := p.BatchUpdate(t.Context(), project, oms.BatchUpdate{IDs: []int64{id}}); err != nil {
		t.Fatal(err)
	}
	if got := <-limits; got != 0 {
		t.Errorf("limit is %d after the batch, want none", got)
	}
	if err := p.BatchUpdate(t.Context(), project, oms.BatchUpdate{IDs: []int64{id}, Priority: oms.PriorityLow}); oms.CodeOf(err) != "OMS.1003" {
		t.Errorf("priority of a running task: got %v, want OMS.1003", err)
	}
	p.pause(id)
	p.stop()
	done := l.start(l.options("two"))
	id = done.create(nil)
	done.succeed(id)
	if err := done.SetBandwidth(t.Context(), project, id, all); oms.CodeOf(err) != "OMS.0086" {
		t.Errorf("limits of a finished task: got %v, want OMS.0086", err)
	}
}

// Tasks of other projects do not exist.
func TestForeignTask(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	opts := l.options("one")
	opts.NoWorkers = true
	p := l.start(opts)
	id := p.create(nil)
	const other = "ffffffffffffffffffffffffffffffff"
	_, taskErr := p.Task(t.Context(), other, id)
	_, failuresErr := p.Failures(t.Context(), other, id, "", 1)
	for name, err := range map[string]error{
		"task": taskErr, "failures": failuresErr,
		"start":     p.Start(t.Context(), other, id, oms.StartRequest{Credentials: keys()}),
		"stop":      p.Stop(t.Context(), other, id),
		"delete":    p.Delete(t.Context(), other, id),
		"bandwidth": p.SetBandwidth(t.Context(), other, id, nil),
		"batch":     p.BatchUpdate(t.Context(), other, oms.BatchUpdate{IDs: []int64{id}}),
		"group":     p.BatchUpdate(t.Context(), other, oms.BatchUpdate{GroupID: "nobody"}),
	} {
		if oms.CodeOf(err) != "OMS.1009" {
			t.Errorf("%s: got %v, want OMS.1009", name, err)
		}
	}
	if ts, n, err := p.List(t.Context(), oms.TaskFilter{ProjectID: other, Limit: 10}); len(ts) != 0 || n != 0 || err != nil {
		t.Errorf("list: got %d of %d, %v, want none", len(ts), n, err)
	}
	if ts, n, err := p.List(t.Context(), oms.TaskFilter{ProjectID: project, Limit: 10}); len(ts) != 1 || n != 1 || err != nil {
		t.Errorf("list: got %d of %d, %v, want one", len(ts), n, err)
	}
}

// A master key that is gone, or keys that are, end the task with a reason that asks for new keys.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(3, 10, "o/")
	opts := l.options("one")
	opts.NoWorkers = true
	api := l.start(opts)
	id := api.create(nil)
	_, err := l.db.ChangeTask(t.Context(), project, id, func(cur oms.Task) (oms.TaskChange, error) {
		return oms.TaskChange{Task: cur, Credentials: map[string][]byte{"src": []byte("rubbish"), "dst": []byte("rubbish")}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p := l.start(l.options("two"))
	p.fail(id, "TRF.0151")
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.succeed(id)
	if n := l.dst.Count(testcloud.PutObject); n < 3 {
		t.Errorf("%d objects were written", n)
	}
}

// A destination that is away when a run begins is waited for, like one that goes away later.
func TestWaitsForDestination(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(40, 128<<10, "o/")
	p := l.start(l.options("one"))
	id := p.create(slow)
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
	p.stop()
	l.dst.Down()
	p = l.start(l.options("two"))
	asked := l.dst.Count(testcloud.PutObject)
	p.until(id, "the tries of more than one probe", func(task oms.Task) bool {
		if task.Status != oms.StatusRunning {
			t.Fatalf("the task is %s while the destination is away", task.Status)
		}
		return l.dst.Count(testcloud.PutObject) > asked+8
	})
	l.dst.Up()
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	if task := p.succeed(id); task.Counters.Migrated != 40 {
		t.Errorf("counted %+v, want 40 migrated", task.Counters)
	}
}
