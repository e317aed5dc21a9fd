package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// syncOptions are those of an engine on the clock of the lab, which decides when another attempt is due.
func (l *lab) syncOptions(owner string) engine.Options {
	opts := l.options(owner)
	opts.Clock = l.dbClock.now
	return opts
}

// createSync makes a synchronization task over the lab's buckets.
func (p *proc) createSync(change func(*oms.TaskSpec)) string {
	p.l.t.Helper()
	t, err := p.CreateSync(p.l.t.Context(), oms.SyncTask{ProjectID: project, Spec: p.l.syncSpec(change)}, keys())
	if err != nil {
		p.l.t.Fatal(err)
	}
	return t.ID
}

func (l *lab) syncSpec(change func(*oms.TaskSpec)) oms.TaskSpec {
	return l.task(func(s *oms.TaskSpec) {
		s.Type, s.Src.Keys = oms.TypeObject, nil
		if change != nil {
			change(s)
		}
	}).Spec
}

func (p *proc) events(id string, names ...string) {
	p.l.t.Helper()
	if err := p.AddSyncEvents(p.l.t.Context(), project, id, names); err != nil {
		p.l.t.Fatal(err)
	}
}

func (p *proc) sync(id string) (oms.SyncTask, oms.SyncCounts) {
	p.l.t.Helper()
	t, counts, err := p.ShowSync(p.l.t.Context(), project, id, p.l.dbClock.now())
	if err != nil {
		p.l.t.Fatal(err)
	}
	return t, counts
}

// untilSync polls until ok.
func (p *proc) untilSync(id, what string, ok func(oms.SyncTask, oms.SyncCounts) bool) (oms.SyncTask, oms.SyncCounts) {
	p.l.t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		t, counts := p.sync(id)
		if ok(t, counts) {
			return t, counts
		}
		select {
		case <-ticker.C:
		case <-deadline:
			p.l.t.Fatalf("waited too long until %s: %+v, %+v", what, t, counts)
		}
	}
}

// drained waits until every event is applied, and checks the counts.
func (p *proc) drained(id string, want oms.SyncCounts) {
	p.l.t.Helper()
	_, got := p.untilSync(id, "nothing waits", func(t oms.SyncTask, _ oms.SyncCounts) bool { return t.Pending == 0 })
	if got != want {
		p.l.t.Errorf("counted %+v, want %+v", got, want)
	}
}

func (l *lab) wantObject(key, want string) {
	l.t.Helper()
	obj, ok := l.to.Get(key)
	switch {
	case !ok:
		l.t.Errorf("%q has not arrived", key)
	case obj.Size != int64(len(want)) || string(obj.Bytes()) != want:
		l.t.Errorf("%q is %.40q, want %.40q", key, obj.Bytes(), want)
	}
}

// stopSync stops the task and waits until its last list is written.
func (p *proc) stopSync(id string) {
	p.l.t.Helper()
	t, _ := p.sync(id)
	if err := p.StopSync(p.l.t.Context(), project, id); err != nil {
		p.l.t.Fatal(err)
	}
	if _, err := p.l.db.SyncCredentials(p.l.t.Context(), t.Number); !errors.Is(err, oms.NotFound) {
		p.l.t.Errorf("keys of a stopped task: %v, want none (rule S4)", err)
	}
	p.untilSync(id, "the lists are written", func(oms.SyncTask, oms.SyncCounts) bool {
		entries, _, err := p.l.db.SyncListSize(p.l.t.Context(), t.Number)
		if err != nil {
			p.l.t.Fatal(err)
		}
		return entries == 0
	})
}

// lists returns the lines of the object lists of a kind by object name, all sub-tasks together.
func (l *lab) lists(id, kind string) map[string]string {
	l.t.Helper()
	lines := make(map[string]string)
	for _, key := range l.to.Keys() {
		rest, ok := strings.CutPrefix(key, "oms/sync_task/"+id+"/"+kind+"_object_lists/photos-backup-")
		if !ok {
			continue
		}
		if parts := strings.Split(rest, "/"); len(parts) != 2 || !strings.HasSuffix(parts[1], "."+kind+"_list.txt") {
			l.t.Errorf("list has the name %q", key)
		}
		obj, _ := l.to.Get(key)
		for line := range strings.Lines(string(obj.Bytes())) {
			column := 0
			if kind == "failed" {
				column = 2
			}
			name, err := url.PathUnescape(strings.Split(line, "\t")[column])
			if err != nil {
				l.t.Errorf("line %q: %v", line, err)
			}
			lines[name] = strings.TrimSuffix(line, "\n")
		}
	}
	return lines
}

// Named objects arrive, whatever their names, each outcome is counted once and named in a list (OMS v2, 5.7, 6.10 and
// 8, row 30).
func TestSync(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	if got, _ := p.sync(id); got.Status != oms.SyncRunning || got.StartedAt.IsZero() {
		t.Fatalf("created as %+v", got)
	}
	var size int64
	corpus := testcloud.KeyCorpus()
	for _, key := range corpus {
		l.from.Put(key, []byte("content of "+key), testcloud.Attrs{ContentType: "text/x"})
		size += int64(len("content of " + key))
	}
	l.from.Put("not named", []byte("x"), testcloud.Attrs{})
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	l.from.Put("large", large, testcloud.Attrs{})
	for batch := range slices.Chunk(append(corpus, "large", "missing"), 10) {
		p.events(id, batch...)
	}
	n := int64(len(corpus))
	want := oms.SyncCounts{Requests: n + 2, Successes: n + 1, Failures: 1, Bytes: size + int64(len(large))}
	p.drained(id, want)
	for _, key := range corpus {
		l.wantObject(key, "content of "+key)
	}
	l.wantObject("large", string(large))
	if _, ok := l.to.Get("not named"); ok {
		t.Error("an object arrived that nobody named")
	}
	// Once more: what is there is skipped.
	p.events(id, corpus[0], corpus[0], "large")
	want.Requests, want.Skips = want.Requests+3, 2
	p.drained(id, want)
	p.stopSync(id)
	success, skip, failed := l.lists(id, "success"), l.lists(id, "skip"), l.lists(id, "failed")
	if len(success) != len(corpus)+1 || len(skip) != 2 || len(failed) != 1 {
		t.Errorf("lists of %d, %d and %d lines", len(success), len(skip), len(failed))
	}
	if line := success["large"]; !strings.HasPrefix(line, "large\t20971520\t20") {
		t.Errorf("line %q", line)
	}
	if line := failed["missing"]; !strings.HasPrefix(line, "404\t") {
		t.Errorf("line %q", line)
	}
	if open := l.to.Uploads(); len(open) > 0 {
		t.Errorf("%d uploads are left open", len(open))
	}
}

// The last event of a name wins, whatever happened while earlier ones were applied: objects change all the time, with
// equal sizes and within one second, and in the end the destination has what the source has.
func TestSyncOrder(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	names := []string{"a", "b/c", "d", "e", "f"}
	for i := range 120 {
		key := names[rng.IntN(len(names))]
		l.from.Put(key, fmt.Appendf(nil, "version %06d", i), testcloud.Attrs{})
		p.events(id, key)
	}
	_, got := p.untilSync(id, "nothing waits", func(t oms.SyncTask, _ oms.SyncCounts) bool { return t.Pending == 0 })
	for _, key := range names {
		obj, _ := l.from.Get(key)
		l.wantObject(key, string(obj.Bytes()))
	}
	if got.Requests != 120 || got.Failures != 0 || got.Successes > 120 || got.Successes < int64(len(names)) {
		t.Errorf("counted %+v", got)
	}
}

// A name is never worked on twice at a time, and an event that arrives meanwhile is applied afterwards.
func TestSyncOneAtATime(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	entered, release := make(chan struct{}), make(chan struct{})
	first := true
	l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: func(string) bool {
		if first { // rules are asked one after the other
			first = false
			close(entered)
			<-release
		}
		return false
	}})
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	l.from.Put("a", []byte("old one"), testcloud.Attrs{})
	p.events(id, "a")
	<-entered
	l.from.Put("a", []byte("new one"), testcloud.Attrs{})
	p.events(id, "a")
	p.events(id, "a")
	if task, _ := p.sync(id); task.Pending != 1 {
		t.Errorf("%d names wait, want 1", task.Pending)
	}
	close(release)
	p.untilSync(id, "nothing waits", func(t oms.SyncTask, _ oms.SyncCounts) bool { return t.Pending == 0 })
	l.wantObject("a", "new one")
}

// An object that fails for a reason that may pass is tried again later, three times in all; then it has failed.
func TestSyncRetries(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	for _, key := range []string{"heals", "never"} {
		l.from.Put(key, bytes.Repeat([]byte(key), 1000), testcloud.Attrs{})
	}
	broken := func(name string) func() {
		return l.dst.Faults.Add(testcloud.Rule{
			Ops: []testcloud.Op{testcloud.PutObject}, Key: testcloud.KeyIs(name),
			Fault: testcloud.Corrupt(func(body []byte) []byte { return append([]byte("?"), body[1:]...) }),
		})
	}
	heal := broken("heals")
	broken("never")
	p.events(id, "heals", "never")
	task, _ := p.sync(id)
	attempts := func(want int) {
		t.Helper()
		p.untilSync(id, "the attempts have failed", func(oms.SyncTask, oms.SyncCounts) bool {
			due, err := l.db.SyncEvents(t.Context(), task.Number, 0, 9)
			if err != nil {
				t.Fatal(err)
			}
			return len(due) == 0
		})
		if now, counts := p.sync(id); now.Pending != int64(want) || counts.Failures != 0 {
			t.Errorf("%d names wait, want %d; counted %+v", now.Pending, want, counts)
		}
	}
	attempts(2)
	heal()
	l.dbClock.move(time.Minute)
	p.untilSync(id, "one is healed", func(t oms.SyncTask, _ oms.SyncCounts) bool { return t.Pending == 1 })
	attempts(1)
	l.dbClock.move(5 * time.Minute)
	p.drained(id, oms.SyncCounts{Requests: 2, Successes: 1, Failures: 1, Bytes: 5000})
	l.wantObject("heals", strings.Repeat("heals", 1000))
	p.stopSync(id)
	if line := l.lists(id, "failed")["never"]; !strings.HasPrefix(line, oms.FailConsistency+"\t") {
		t.Errorf("line %q", line)
	}
}

// A stopped task has no keys and takes no events; what it had accepted is applied after the next start, and every
// state rule has its code (OMS v2, 5.7).
func TestSyncStopAndStart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	l.from.Put("a", []byte("a"), testcloud.Attrs{})
	code := func(what string, err error, want string) {
		t.Helper()
		if oms.CodeOf(err) != want || (want == "") != (err == nil) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	ctx := t.Context()
	code("start while running", p.StartSync(ctx, project, id, keys()), "OMS.1036")
	code("delete while running", p.DeleteSync(ctx, project, id), "OMS.1036")
	// Events that arrive while the source does not answer are there after the stop.
	l.src.Down()
	p.events(id, "a", "b")
	p.stopSync(id)
	l.src.Up()
	stopped, _ := p.sync(id)
	if stopped.Status != oms.SyncStopped || stopped.Pending != 2 || stopped.Error != nil {
		t.Errorf("stopped: %+v", stopped)
	}
	code("stop while stopped", p.StopSync(ctx, project, id), "OMS.1036")
	code("events while stopped", p.AddSyncEvents(ctx, project, id, []string{"c"}), "OMS.1036")
	for what, err := range map[string]error{
		"start of an unknown task": p.StartSync(ctx, project, "x", keys()), "of a foreign one": p.StartSync(ctx, "other", id, keys()),
		"stop": p.StopSync(ctx, "other", id), "delete": p.DeleteSync(ctx, "other", id), "events": p.AddSyncEvents(ctx, "other", id, []string{"a"}),
	} {
		code(what, err, "OMS.1009")
	}
	if _, err := p.SyncStatistics(ctx, "other", id, time.Time{}, time.Now()); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("statistics of a foreign task: %v", err)
	}
	l.dbClock.move(time.Second)
	code("start", p.StartSync(ctx, project, id, keys()), "")
	p.drained(id, oms.SyncCounts{Requests: 2, Successes: 1, Failures: 1, Bytes: 1})
	if started, _ := p.sync(id); !started.StartedAt.After(stopped.StartedAt) || started.Generation != 2 {
		t.Errorf("started: %+v, was %+v", started, stopped)
	}
	l.wantObject("a", "a")
	p.stopSync(id)
	code("delete", p.DeleteSync(ctx, project, id), "")
	if _, _, err := p.ShowSync(ctx, project, id, time.Now()); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("deleted task: %v", err)
	}
}

// Keys that are refused stop the task with its reason; no event is lost and no object is blamed.
func TestSyncKeysRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	l.from.Put("a", []byte("a"), testcloud.Attrs{})
	l.src.Revoke(srcAK)
	p.events(id, "a")
	task, counts := p.untilSync(id, "it stops", func(t oms.SyncTask, _ oms.SyncCounts) bool { return t.Status == oms.SyncStopped })
	if task.Error == nil || task.Error.Code != "TRF.0151" || task.Pending != 1 || counts.Failures != 0 {
		t.Errorf("stopped: %+v, %+v, counted %+v", task, task.Error, counts)
	}
	if _, err := l.db.SyncCredentials(t.Context(), task.Number); !errors.Is(err, oms.NotFound) {
		t.Errorf("keys: %v, want none", err)
	}
	l.src.SetCredential(testcloud.Credential{AccessKey: srcAK, SecretKey: secret})
	if err := p.StartSync(t.Context(), project, id, keys()); err != nil {
		t.Fatal(err)
	}
	p.drained(id, oms.SyncCounts{Requests: 1, Successes: 1, Bytes: 1})
	l.wantObject("a", "a")
}

// Beyond the limit events are refused as a whole with OMS.2004, and nothing that was accepted is lost. A project may
// have so many tasks (OMS v2, 6.11).
func TestSyncLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	opts := l.syncOptions("api")
	opts.NoWorkers, opts.Quota = true, oms.Quota{SyncTasks: 1, SyncEvents: 3}
	api := l.start(opts)
	id := api.createSync(nil)
	_, err := api.CreateSync(t.Context(), oms.SyncTask{ProjectID: project, Spec: l.syncSpec(nil)}, keys())
	if oms.CodeOf(err) != "OMS.0077" {
		t.Errorf("second task: %v, want OMS.0077", err)
	}
	for _, key := range []string{"a", "b", "c", "d"} {
		l.from.Put(key, []byte(key), testcloud.Attrs{})
	}
	api.events(id, "a", "b")
	if err := api.AddSyncEvents(t.Context(), project, id, []string{"c", "d"}); oms.CodeOf(err) != "OMS.2004" || !errors.Is(err, oms.Throttled) {
		t.Errorf("beyond the limit: %v, want OMS.2004", err)
	}
	api.events(id, "c", "a")
	p := l.start(l.syncOptions("one"))
	p.drained(id, oms.SyncCounts{Requests: 4, Successes: 3, Bytes: 3})
	if _, ok := l.to.Get("d"); ok {
		t.Error("a refused event was applied")
	}
}

// A task is refused whose buckets cannot be reached, or are one.
func TestSyncRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	for want, change := range map[string]func(*oms.TaskSpec){
		"OMS.1014": func(s *oms.TaskSpec) { s.Src.Bucket = "nowhere" },
		"OMS.1020": func(s *oms.TaskSpec) { s.Dst.Bucket = "nowhere" },
		"OMS.0058": func(s *oms.TaskSpec) { s.Dst.Bucket, s.Dst.Endpoint = s.Src.Bucket, s.Src.Endpoint },
	} {
		_, err := p.CreateSync(t.Context(), oms.SyncTask{ProjectID: project, Spec: l.syncSpec(change)}, keys())
		if oms.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if list, n, err := p.ListSyncs(t.Context(), oms.SyncFilter{ProjectID: project, Limit: 9}); err != nil || n != 0 || len(list) != 0 {
		t.Errorf("tasks: %v, %d, %v", list, n, err)
	}
}

// Processes come and go in the middle of the work: every event is applied, large objects go on with their uploads, and
// none is left open.
func TestSyncProcessStops(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	idle := l.syncOptions("api")
	idle.NoWorkers = true
	api := l.start(idle)
	id := api.createSync(nil)
	l.seed(100, 2000, "o/")
	l.from.Put("large", make([]byte, 40<<20), testcloud.Attrs{})
	api.events(id, "large")
	for batch := range slices.Chunk(l.from.Keys(), 10) {
		api.events(id, batch...)
	}
	for i := 0; ; i++ {
		p := l.start(l.syncOptions(fmt.Sprint("worker ", i)))
		before, _ := p.sync(id)
		after, _ := p.untilSync(id, "something is done", func(t oms.SyncTask, _ oms.SyncCounts) bool {
			return t.Pending == 0 || i < 4 && t.Pending < before.Pending
		})
		p.stop()
		if after.Pending == 0 {
			break
		}
	}
	l.same()
	if _, counts := api.sync(id); counts.Failures != 0 || counts.Successes+counts.Skips < 101 {
		t.Errorf("counted %+v", counts)
	}
}

// A process that loses its lease stores nothing any more, and what it was writing is applied once more.
func TestSyncLostLease(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.syncOptions("one"))
	id := p.createSync(nil)
	task, _ := p.sync(id)
	l.from.Put("a", []byte("a"), testcloud.Attrs{})
	entered, release := make(chan struct{}), make(chan struct{})
	first := true
	l.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject}, Key: func(key string) bool {
		if first && key == "a" {
			first = false
			close(entered)
			<-release
		}
		return false
	}})
	p.events(id, "a")
	<-entered
	// Somebody takes the process for dead, applies the event and goes.
	if err := l.db.RemoveWorker(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	lease, held, err := l.db.ClaimSync(t.Context(), "ghost", task.Number, 1)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	c := oms.SyncCommit{Lease: lease, Number: 1, Outcomes: []oms.SyncOutcome{{Key: "a", Seq: 1}}, Counts: oms.SyncCounts{Successes: 1}}
	if held, err := l.db.CommitSync(t.Context(), c); err != nil || !held {
		t.Fatal(held, err)
	}
	if err := l.db.ReleaseSync(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	close(release)
	p.untilSync(id, "it is applied again", func(t oms.SyncTask, c oms.SyncCounts) bool { return c.Successes == 2 && t.Pending == 0 })
	l.wantObject("a", "a")
}

// syncFaults lets commits of results fail, before or after they took effect.
type syncFaults struct {
	engine.Store
	commits int
}

func (f *syncFaults) CommitSync(ctx context.Context, c oms.SyncCommit) (bool, error) {
	f.commits++ // one committer at a time
	switch f.commits % 3 {
	case 1:
		return false, &oms.Error{Op: "commit", Kind: oms.Transient}
	case 2:
		if _, err := f.Store.CommitSync(ctx, c); err != nil {
			return false, err
		}
		return false, &oms.Error{Op: "commit", Kind: oms.Transient} // the answer is lost
	}
	return f.Store.CommitSync(ctx, c)
}

// A state store in trouble holds results back; none is lost, none counted twice (rules C6 and P7).
func TestSyncStoreTrouble(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	opts := l.syncOptions("one")
	opts.Store = &syncFaults{Store: l.db}
	p := l.start(opts)
	id := p.createSync(nil)
	for i := range 5 {
		key := itoa(i)
		l.from.Put(key, []byte(key), testcloud.Attrs{})
		p.events(id, key)
		n := int64(i + 1)
		p.drained(id, oms.SyncCounts{Requests: n, Successes: n, Bytes: n})
	}
}

// The statistics are in periods of five minutes up to a day, else of an hour (OMS v2, 8, row 31).
func TestSyncStatistics(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	opts := l.syncOptions("api")
	opts.NoWorkers = true
	p := l.start(opts)
	id := p.createSync(nil)
	p.events(id, "a", "b", "a")
	now := l.dbClock.now()
	for span, from := range map[oms.SyncSpan]time.Duration{oms.SpanFiveMinutes: 24 * time.Hour, oms.SpanHour: 24*time.Hour + time.Millisecond} {
		s, err := p.SyncStatistics(t.Context(), project, id, now.Add(time.Minute-from), now.Add(time.Minute))
		if err != nil || s.Span != span || len(s.Points) != 1 || s.Points[0].Requests != 3 || !s.Points[0].At.Equal(span.Begin(s.Points[0].At)) {
			t.Errorf("over %s: %+v, %v", from, s, err)
		}
	}
	_, month, err := p.ShowSync(t.Context(), project, id, now.AddDate(0, 1, 1))
	if err != nil || month != (oms.SyncCounts{}) {
		t.Errorf("another month: %+v, %v", month, err)
	}
}
