package engine_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// Everything arrives, awkward keys included, and is counted once (rules D3, P3, P4).
func TestMigratesEverything(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(2000, 100, "many/")
	for _, key := range testcloud.KeyCorpus() {
		l.from.Put(key, []byte("content of "+key), testcloud.Attrs{})
	}
	l.from.Put("large", bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16), testcloud.Attrs{ContentType: "image/png"})
	p := l.start(l.options("one"))
	task := p.succeed(p.create(nil))
	n := l.from.Len()
	if task.Counters.Listed != n || task.Counters.Migrated != n || task.Found != n {
		t.Errorf("counted %+v, found %d, want %d", task.Counters, task.Found, n)
	}
	for key, got := range l.to.ReceivedAll() {
		if obj, ok := l.from.Get(key); ok && got != obj.Size {
			t.Errorf("%q was sent with %d bytes, has %d", key, got, obj.Size)
		}
	}
	if s := p.Stats(); s.Objects != n || s.Commits == 0 || s.CommitErrors != 0 {
		t.Errorf("statistics %+v, want %d objects", s, n)
	}
}

// Selected names and prefixes are migrated, others are not, and what is named twice is counted once.
func TestMigratesSelection(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, key := range []string{"a/1", "a/2", "ab", "b/1", "c", "d"} {
		l.from.Put(key, []byte(key), testcloud.Attrs{})
	}
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) { s.Type, s.Src.Keys = oms.TypeObject, []string{"a/", "a/2", "c", "c", "missing"} })
	task := p.fail(id, "TRF.0004")
	if got := task.Counters; got.Listed != 4 || got.Migrated != 3 || got.Failed != 1 {
		t.Errorf("counted %+v, want 4 listed, 3 migrated, 1 failed", got)
	}
	for _, key := range []string{"a/1", "a/2", "c"} {
		if _, ok := l.to.Get(key); !ok {
			t.Errorf("%q is missing", key)
		}
	}
	for _, key := range []string{"ab", "b/1", "d"} {
		if _, ok := l.to.Get(key); ok {
			t.Errorf("%q was not asked for", key)
		}
	}
}

// A selection without objects is a mistake; an empty bucket is none.
func TestNothingToMigrate(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.options("one"))
	p.succeed(p.create(nil))
	p.fail(p.create(func(s *oms.TaskSpec) { s.Src.Keys = []string{"nothing/"} }), "TRF.0012")
}

// A paused task goes on where it was: what had arrived is not sent again, and no state flashes up that a client
// must not see (rule P8; OMS v2, 4.7 and 4.8).
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(40, 128<<10, "o/")
	p := l.start(l.options("one"))
	id := p.create(slow)
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
	running := p.until(id, "the listing is over", func(task oms.Task) bool { return task.QueryOver })
	paused := p.pause(id)
	there := l.arrived()
	l.forward(running, paused)
	if paused.Found != 40 || paused.FoundBytes != 40*128<<10 || !paused.QueryOver {
		t.Errorf("paused: found %d objects, %d bytes, query over %t", paused.Found, paused.FoundBytes, paused.QueryOver)
	}
	if paused.Counters.Listed == l.from.Len() {
		t.Fatal("the task was over before it was paused")
	}
	if err := p.Stop(t.Context(), project, id); oms.CodeOf(err) != "OMS.0066" {
		t.Errorf("stop of a paused task: got %v, want OMS.0066", err)
	}
	p.resume(id, oms.StartRequest{Credentials: keys()})
	l.forward(paused, p.until(id, "it runs", is(oms.StatusRunning), oms.StatusWaiting, oms.StatusRunning))
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	task := p.succeed(id)
	if task.Counters.Migrated != 40 || task.Counters.Skipped != 0 {
		t.Errorf("counted %+v, want 40 migrated", task.Counters)
	}
	l.sentOnce(there)
}

// arrived returns how many bytes of each object that is at the destination now were sent there so far: those of attempts
// that were cut off before it arrived as well.
func (l *lab) arrived() map[string]int64 {
	sent := make(map[string]int64)
	for _, key := range l.to.Keys() {
		sent[key] = l.to.Received(key)
	}
	return sent
}

// sentOnce checks that objects that were there at some time, see arrived, were not sent again later.
func (l *lab) sentOnce(there map[string]int64) {
	l.t.Helper()
	for key, sent := range there {
		if _, ok := l.from.Get(key); !ok {
			continue
		}
		if got := l.to.Received(key); got != sent {
			l.t.Errorf("%q had arrived when %d bytes had been sent, and now they are %d", key, sent, got)
		}
	}
}

// A store that hangs does not hold up a pause.
func TestStopWhileStoreStalls(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(50, 1000, "o/")
	l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Skip: 10, Fault: testcloud.Stall()})
	p := l.start(l.options("one"))
	id := p.create(nil)
	p.until(id, "it hangs", func(task oms.Task) bool { return p.Stats().InFlight >= 8 })
	p.pause(id)
	l.src.Faults.Clear()
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.succeed(id)
}

// Failed objects end the task as failed, are listed, and are retried alone.
func TestFailedObjects(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(300, 100, "o/")
	l.from.Put("bad\tkey", []byte("first"), testcloud.Attrs{})
	l.from.Put("bad/two", []byte("second"), testcloud.Attrs{})
	heal := l.src.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.GetObject}, Key: func(k string) bool { return strings.HasPrefix(k, "bad") },
		Fault: testcloud.Fail(403, "AccessDenied"),
	})
	p := l.start(l.options("one"))
	id := p.create(nil)
	task := p.fail(id, "TRF.0004")
	if got := task.Counters; got.Listed != 302 || got.Migrated != 300 || got.Failed != 2 || !got.Balanced() {
		t.Errorf("counted %+v, want 300 migrated and 2 failed", got)
	}
	if task.FailedList.Result == nil || !*task.FailedList.Result || !strings.Contains(task.Error.Message, task.FailedList.Key) {
		t.Fatalf("list %+v, reason %+v", task.FailedList, task.Error)
	}
	if want := "oms/task/" + task.Name + "/failed_object_lists/"; !strings.HasPrefix(task.FailedList.Key, want) {
		t.Errorf("list is %q, want it below %q", task.FailedList.Key, want)
	}
	list, ok := l.to.Get(task.FailedList.Key)
	if !ok {
		t.Fatal("the list is not there")
	}
	lines := strings.Split(strings.TrimSuffix(string(list.Bytes()), "\n"), "\n")
	for i, want := range [][2]string{{"bad%09key", "bad?key"}, {"bad/two", "bad/two"}} {
		if i >= len(lines) {
			t.Fatalf("the list has %d lines", len(lines))
		}
		columns := strings.Split(lines[i], "\t")
		if len(columns) != 5 || columns[0] != oms.FailGet || columns[2] != want[0] || columns[3] != want[1] {
			t.Errorf("line %d is %q", i, lines[i])
		}
	}
	failures, err := p.Failures(t.Context(), project, id, "", 10)
	if err != nil || len(failures) != 2 {
		t.Errorf("got %d failures, %v, want 2", len(failures), err)
	}

	// Over the failures alone, one of which fails again.
	l.dst.ClearRecords()
	heal()
	again := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("bad/two"), Fault: testcloud.Fail(403, "AccessDenied")})
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	task = p.fail(id, "TRF.0004")
	if got := task.Counters; got.Listed != 302 || got.Migrated != 301 || got.Failed != 1 || !got.Balanced() || task.Found != 302 {
		t.Errorf("counted %+v, found %d, want 301 migrated and 1 failed of 302", got, task.Found)
	}
	again()
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	task = p.succeed(id)
	if got := task.Counters; got.Listed != 302 || got.Migrated != 302 {
		t.Errorf("counted %+v, want 302 migrated", got)
	}
	for _, r := range l.dst.Requests() {
		if r.Op == testcloud.PutObject && strings.HasPrefix(r.Key, "o/") {
			t.Errorf("%q was sent again", r.Key)
		}
	}
	if err := p.Start(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); oms.CodeOf(err) != "OMS.0070" {
		t.Errorf("start of a finished task: got %v, want OMS.0070", err)
	}
}

// A full start after a run that reached its end counts from zero over everything.
func TestFullRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(100, 100, "o/")
	heal := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("o/00042"), Fault: testcloud.Fail(403, "AccessDenied")})
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) { s.RecordFailures = false })
	task := p.fail(id, "TRF.0004")
	if task.FailedList != (oms.FailedList{}) {
		t.Errorf("got list %+v, want none", task.FailedList)
	}
	if err := p.Start(t.Context(), project, id, oms.StartRequest{Credentials: keys(), FailedOnly: true}); oms.CodeOf(err) != "OMS.0167" {
		t.Errorf("start over failures that were not recorded: got %v, want OMS.0167", err)
	}
	heal()
	// Objects younger than the run that finds them are its own work; these must be older to be skipped.
	l.src.ClearRecords()
	p.resume(id, oms.StartRequest{Credentials: keys()})
	task = p.succeed(id)
	if got := task.Counters; got.Listed != 100 || got.Migrated+got.Skipped != 100 || got.Migrated < 1 {
		t.Errorf("counted %+v, want 100 in all", got)
	}
	if n := l.src.Count(testcloud.GetObject); n != 1 {
		t.Errorf("%d objects were read, want 1", n)
	}
}

// A list that cannot be written leaves the task failed without the way to retry failures alone.
func TestFailedListNotWritten(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(5, 100, "o/")
	l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("o/00002"), Fault: testcloud.Fail(403, "AccessDenied")})
	l.dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Key: func(k string) bool { return strings.HasSuffix(k, ".failed_list.txt") },
		Fault: testcloud.Fail(403, "AccessDenied"),
	})
	p := l.start(l.options("one"))
	task := p.fail(p.create(nil), "TRF.0004")
	if task.FailedList.Result == nil || *task.FailedList.Result || task.FailedList.Code != "OMS.0304" {
		t.Errorf("list %+v, want OMS.0304", task.FailedList)
	}
}

// Keys that are revoked in the middle stop the task and blame no object; new keys go on from the checkpoint
// (reliability rules, section 3).
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, code string
		revoke     func(*lab)
		restore    func(*lab) oms.TaskCredentials
	}{
		{"source", "TRF.0151", func(l *lab) { l.src.Revoke(srcAK) }, func(l *lab) oms.TaskCredentials {
			l.src.SetCredential(testcloud.Credential{AccessKey: "AKNEW", SecretKey: secret})
			k := keys()
			k.Src.AccessKey = "AKNEW"
			return k
		}},
		{"destination", "TRF.0057", func(l *lab) { l.dst.Revoke(dstAK) }, func(l *lab) oms.TaskCredentials {
			l.dst.SetCredential(testcloud.Credential{AccessKey: "AKNEW", SecretKey: secret})
			k := keys()
			k.Dst.AccessKey = "AKNEW"
			return k
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.seed(40, 128<<10, "o/")
			p := l.start(l.options("one"))
			id := p.create(slow)
			p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
			running := p.until(id, "the listing is over", func(task oms.Task) bool { return task.QueryOver })
			c.revoke(l)
			task := p.fail(id, c.code)
			l.forward(running, task)
			if n, err := l.db.CountFailures(t.Context(), id); n != 0 || err != nil || task.Counters.Failed != 0 {
				t.Errorf("%d failures, %v, %+v: want none", n, err, task.Counters)
			}
			there := l.arrived()
			p.resume(id, oms.StartRequest{Credentials: c.restore(l)})
			l.forward(task, p.until(id, "it runs", is(oms.StatusRunning), oms.StatusWaiting, oms.StatusRunning))
			if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
				t.Fatal(err)
			}
			task = p.succeed(id)
			if task.Counters.Migrated != 40 {
				t.Errorf("counted %+v, want 40 migrated", task.Counters)
			}
			l.sentOnce(there)
		})
	}
}

// A full start after a run that was cut short goes on with it, and retries what had failed in it (rule P3).
func TestRestartOfShortRun(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(150, 64<<10, "o/")
	heal := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("o/00007"), Fault: testcloud.Fail(403, "AccessDenied")})
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) {
		slow(s)
		s.Bandwidth[0].Limit *= 4
	})
	p.until(id, "a failure is stored", func(task oms.Task) bool { return task.Counters.Failed == 1 })
	l.src.Revoke(srcAK)
	task := p.fail(id, "TRF.0151")
	if got := task.Counters; got.Failed != 1 || got.Listed == 150 {
		t.Fatalf("counted %+v, want a run that was cut short with one failure", got)
	}
	heal()
	l.src.SetCredential(testcloud.Credential{AccessKey: srcAK, SecretKey: secret})
	p.resume(id, oms.StartRequest{Credentials: keys()})
	task = p.succeed(id)
	if got := task.Counters; got.Listed != 150 || got.Migrated != 150 {
		t.Errorf("counted %+v, want 150 migrated", got)
	}
	if n := l.src.Count(testcloud.GetObject); n > 150+40 {
		t.Errorf("%d reads of 150 objects", n)
	}
}

// A start with wrong keys fails at once with the side's reason; the keys do not stay.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(20, 128<<10, "o/")
	p := l.start(l.options("one"))
	id := p.create(slow)
	p.until(id, "it runs", is(oms.StatusRunning))
	p.pause(id)
	wrong := keys()
	wrong.Dst.SecretKey = oms.NewSecret("not the secret")
	p.resume(id, oms.StartRequest{Credentials: wrong})
	p.fail(id, "TRF.0057")
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.succeed(id)
}
