package engine_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// Names of the lab.
const (
	project = "0123456789abcdef0123456789abcdef"
	srcAK   = "AKSRC"
	dstAK   = "AKDST"
	secret  = "a secret that must not be shown"
)

// patience bounds every wait of a test; nothing is asserted about shorter times.
const patience = 4 * time.Minute

// lab is two stores, a database and a sealer; engines come and go on them.
type lab struct {
	t        *testing.T
	src, dst *testcloud.Cloud
	from, to *testcloud.Bucket
	srcURL   string
	dstURL   string
	db       *db.DB
	sealer   *seal.Sealer
	opener   storage.Opener
	dbClock  *clock
}

// clock is a clock that can be moved.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dbClock: &clock{}}
	l.src, l.srcURL = startCloud(t, srcAK)
	l.dst, l.dstURL = startCloud(t, dstAK)
	l.from, l.to = l.src.CreateBucket("photos"), l.dst.CreateBucket("backup")
	var err error
	if l.db, err = db.Open(t.Context(), db.Options{DataDir: t.TempDir(), Clock: l.dbClock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	key := sha256.Sum256([]byte("master key of the lab"))
	if l.sealer, err = seal.New(key[:]); err != nil {
		t.Fatal(err)
	}
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	l.opener = s3.NewOpener(s3.Options{Transport: tr})
	return l
}

func startCloud(t *testing.T, ak string) (*testcloud.Cloud, string) {
	t.Helper()
	c := testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: secret, RecordLimit: 100_000})
	url, stop, err := c.Start(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, url
}

// options are those of an engine on the lab; tests change them.
func (l *lab) options(owner string) engine.Options {
	return engine.Options{
		Owner: owner, Store: l.db, Sealer: l.sealer, Opener: l.opener,
		Transfer: transfer.Options{Workers: 8},
		Logger:   slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// proc is an engine that runs.
type proc struct {
	*engine.Engine
	l      *lab
	cancel context.CancelFunc
	ended  chan error
}

// start makes an engine and runs it until the test ends or stop is called.
func (l *lab) start(opts engine.Options) *proc {
	l.t.Helper()
	return l.run(l.make(opts))
}

func (l *lab) make(opts engine.Options) *engine.Engine {
	l.t.Helper()
	e, err := engine.New(opts)
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

func (l *lab) run(e *engine.Engine) *proc {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &proc{Engine: e, l: l, cancel: cancel, ended: make(chan error, 1)}
	go func() { p.ended <- e.Run(ctx) }()
	l.t.Cleanup(p.stop)
	return p
}

// stop ends the engine as the process would.
func (p *proc) stop() {
	p.l.t.Helper()
	if p.cancel == nil {
		return
	}
	p.cancel()
	p.cancel = nil
	select {
	case err := <-p.ended:
		if err != nil {
			p.l.t.Errorf("engine ended with %v", err)
		}
	case <-time.After(patience):
		p.l.t.Error("the engine does not end")
	}
}

// task is a task over all of the source; change adapts it.
func (l *lab) task(change func(*oms.TaskSpec)) oms.Task {
	spec := oms.TaskSpec{
		Type: oms.TypePrefix,
		Src: oms.SourceNode{
			CloudType: oms.CloudAWS, Region: "us-east-1", Bucket: "photos", Keys: []string{""},
			Endpoint: oms.Endpoint{URL: l.srcURL, Region: "us-east-1", PathStyle: true, Trusted: true},
		},
		Dst: oms.DestinationNode{
			Region: "us-east-1", Bucket: "backup",
			Endpoint: oms.Endpoint{URL: l.dstURL, Region: "us-east-1", PathStyle: true, Trusted: true},
		},
		Overwrite: oms.OverwriteIfDifferent, Consistency: oms.CheckSizeModified, Priority: oms.PriorityMedium,
		StoragePolicy: oms.StorageStandard, RecordFailures: true, MigrateMetadata: true,
	}
	if change != nil {
		change(&spec)
	}
	return oms.Task{ProjectID: project, GroupType: oms.GroupNormal, Spec: spec}
}

func keys() oms.TaskCredentials {
	return oms.TaskCredentials{
		Src: oms.Credentials{AccessKey: srcAK, SecretKey: oms.NewSecret(secret)},
		Dst: oms.Credentials{AccessKey: dstAK, SecretKey: oms.NewSecret(secret)},
	}
}

// create makes a task.
func (p *proc) create(change func(*oms.TaskSpec)) int64 {
	p.l.t.Helper()
	task, err := p.Create(p.l.t.Context(), p.l.task(change), keys())
	if err != nil {
		p.l.t.Fatal(err)
	}
	return task.ID
}

func (p *proc) show(id int64) oms.Task {
	p.l.t.Helper()
	task, err := p.Task(p.l.t.Context(), project, id)
	if err != nil {
		p.l.t.Fatal(err)
	}
	return task
}

// until polls the task every 10 ms until ok says so, and fails the test when a state is seen that is not allowed.
func (p *proc) until(id int64, what string, ok func(oms.Task) bool, allowed ...oms.Status) oms.Task {
	p.l.t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	last, elapsed := oms.Task{}, time.Duration(0)
	for {
		now := time.Now()
		task := p.show(id)
		if task.Generation == last.Generation {
			p.l.forward(last, task)
			if task.Elapsed(now) < elapsed {
				p.l.t.Errorf("running time fell from %s to %s while the task went from %s to %s", elapsed, task.Elapsed(now), last.Status, task.Status)
			}
		}
		last, elapsed = task, task.Elapsed(now)
		if len(allowed) > 0 && !slices.Contains(allowed, task.Status) {
			p.l.t.Fatalf("waiting until %s: the task is %s (%+v), allowed are %v", what, task.Status, task.Error, allowed)
		}
		if ok(task) {
			return task
		}
		select {
		case <-ticker.C:
		case <-deadline:
			p.l.t.Fatalf("waited too long until %s: the task is %s, %+v, %+v", what, task.Status, task.Counters, task.Error)
		}
	}
}

// forward checks that what a client saw of a task does not go back.
func (l *lab) forward(was, is oms.Task) {
	l.t.Helper()
	done := func(t oms.Task) int64 { return t.Counters.MigratedBytes + t.Counters.SkippedBytes + t.PartialBytes }
	if is.Found < was.Found || is.FoundBytes < was.FoundBytes || done(is) < done(was) || was.QueryOver && !is.QueryOver {
		l.t.Errorf("from %s to %s: found %d -> %d objects, %d -> %d bytes; done %d -> %d bytes; query over %t -> %t", was.Status, is.Status,
			was.Found, is.Found, was.FoundBytes, is.FoundBytes, done(was), done(is), was.QueryOver, is.QueryOver)
	}
}

// is returns a condition for until.
func is(s oms.Status) func(oms.Task) bool { return func(t oms.Task) bool { return t.Status == s } }

// succeed waits for success after a start and checks what must hold then.
func (p *proc) succeed(id int64) oms.Task {
	p.l.t.Helper()
	task := p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	p.settled(task)
	if !task.QueryOver || task.Error != nil || task.Counters.Failed != 0 || !task.Counters.Balanced() {
		p.l.t.Errorf("succeeded task: query over %t, error %+v, %+v", task.QueryOver, task.Error, task.Counters)
	}
	p.l.same()
	return task
}

// fail waits for failure after a start, with the code.
func (p *proc) fail(id int64, code string) oms.Task {
	p.l.t.Helper()
	task := p.until(id, "it fails", is(oms.StatusFailed), oms.StatusWaiting, oms.StatusRunning, oms.StatusFailed)
	p.settled(task)
	if task.Error == nil || task.Error.Code != code {
		p.l.t.Fatalf("failed with %+v, want %s", task.Error, code)
	}
	return task
}

// pause stops the task and waits until it is paused; it must never be seen running again.
func (p *proc) pause(id int64) oms.Task {
	p.l.t.Helper()
	if err := p.Stop(p.l.t.Context(), project, id); err != nil {
		p.l.t.Fatal(err)
	}
	task := p.until(id, "it is paused", is(oms.StatusPaused), oms.StatusPausing, oms.StatusPaused)
	p.settled(task)
	return task
}

// resume starts the task; it must not be seen in its old state again.
func (p *proc) resume(id int64, req oms.StartRequest) {
	p.l.t.Helper()
	if err := p.Start(p.l.t.Context(), project, id, req); err != nil {
		p.l.t.Fatal(err)
	}
}

// settled checks what must hold in every state at rest: no keys (rule S4), no lease.
func (p *proc) settled(task oms.Task) {
	p.l.t.Helper()
	if _, err := p.l.db.Credentials(p.l.t.Context(), task.ID); !errors.Is(err, oms.NotFound) {
		p.l.t.Errorf("credentials of a task that is %s: got error %v, want not found", task.Status, err)
	}
	for _, r := range p.l.ranges(task.ID) {
		if r.Owner != "" || !r.Counters.Balanced() && !task.Spec.Restore {
			p.l.t.Errorf("range of a task that is %s: %+v", task.Status, r)
		}
	}
}

func (l *lab) ranges(id int64) []oms.Range {
	l.t.Helper()
	rs, err := l.db.Ranges(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return rs
}

// same checks the destination against the source.
func (l *lab) same() {
	l.t.Helper()
	for _, diff := range testcloud.Compare(l.from, l.to, testcloud.CompareOptions{Ignore: []string{"oms/"}}) {
		l.t.Error(diff)
	}
	if open := l.to.Uploads(); len(open) > 0 {
		l.t.Errorf("%d uploads are left open", len(open))
	}
}

// seed puts n objects of size bytes into the source.
func (l *lab) seed(n, size int, prefix string) {
	for i := range n {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i + j*7)
		}
		l.from.Put(prefix+strings.Repeat("0", 5-len(itoa(i)))+itoa(i), data, testcloud.Attrs{})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// slow is a traffic limit of 1 MiB/s all day.
func slow(s *oms.TaskSpec) {
	s.Bandwidth = []oms.BandwidthWindow{{Start: 0, End: 24*60 - 1, Limit: oms.MinBandwidth}}
}

// faultyStore lets tests come between the engine and its store.
type faultyStore struct {
	engine.Store
	commit func(ctx context.Context, c oms.Commit) ([]int, error)
}

func (f *faultyStore) Commit(ctx context.Context, c oms.Commit) ([]int, error) {
	return f.commit(ctx, c)
}
