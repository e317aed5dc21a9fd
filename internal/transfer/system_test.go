package transfer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// TestSystemicTroubleStopsTheJob: what is no object's fault is blamed on no object, and the next run goes on from the
// checkpoint (section 3).
func TestSystemicTroubleStopsTheJob(t *testing.T) {
	tests := map[string]struct {
		side  oms.Side
		kind  oms.Kind
		begin func(p *pair)
		heal  func(p *pair)
	}{
		"source keys revoked": {oms.Source, oms.Denied, func(p *pair) { p.src.Revoke(testAK) }, func(p *pair) {
			p.src.SetCredential(testcloud.Credential{AccessKey: testAK, SecretKey: testSK})
		}},
		"destination keys revoked": {oms.Destination, oms.Denied, func(p *pair) { p.dst.Revoke(testAK) }, func(p *pair) {
			p.dst.SetCredential(testcloud.Credential{AccessKey: testAK, SecretKey: testSK})
		}},
		"destination keys may no longer write": {oms.Destination, oms.Denied, func(p *pair) {
			for _, op := range []testcloud.Op{testcloud.PutObject, testcloud.UploadPart, testcloud.CreateMultipartUpload} {
				p.dst.Faults.On(op, testcloud.Fail(403, "AccessDenied"))
			}
		}, func(p *pair) { p.dst.Faults.Clear() }},
		"destination bucket deleted": {oms.Destination, oms.NoBucket, func(p *pair) { p.dst.RemoveBucket("dst") }, func(p *pair) {
			p.dstBucket = p.dst.CreateBucket("dst")
		}},
		"source bucket deleted": {oms.Source, oms.NoBucket, func(p *pair) { p.src.RemoveBucket("src") }, nil},
		"quota full": {oms.Destination, oms.Full, func(p *pair) {
			for _, op := range []testcloud.Op{testcloud.PutObject, testcloud.UploadPart} {
				p.dst.Faults.On(op, testcloud.Fail(403, "QuotaExceeded"))
			}
		}, func(p *pair) { p.dst.Faults.Clear() }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, shortPages(), testcloud.Options{})
			p.fill(200)
			p.srcBucket.PutAt("m-large", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
			task := newRun(t, p, wholeBucket())
			task.opts.Workers = 4
			task.journal.fuse = 0
			begun := false
			task.wrapDst = func(s store) storage.Writer {
				return afterPuts{s, make(chan int, 1), 60, func() { begun = true; tt.begin(p) }}.ready()
			}
			err := task.do(t.Context(), t)
			if !begun {
				t.Fatalf("the trouble never began: %v", err)
			}
			mustStop(t, err, tt.side, tt.kind)
			if f := task.journal.failureCodes(); len(f) > 0 {
				t.Fatalf("objects are blamed: %v", f)
			}
			if tt.heal == nil {
				return
			}
			tt.heal(p)
			task.wrapDst = nil
			c := task.mustFinishAndSweep(t)
			if c.Listed != 201 || c.Failed != 0 {
				t.Fatalf("after going on: %+v", c)
			}
			if !strings.Contains(name, "bucket deleted") { // what was acknowledged went with the bucket
				p.mustBeEqual(t)
			}
		})
	}
}

// afterPuts acts once when so many objects were written.
type afterPuts struct {
	store
	left chan int
	n    int
	act  func()
}

func (a afterPuts) ready() afterPuts {
	a.left <- a.n
	return a
}

func (a afterPuts) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	n := <-a.left
	if n--; n == 0 {
		a.act()
	}
	a.left <- n
	return a.store.Put(ctx, req)
}

// TestDeniedObjectThenRevokedKeys: a single refusal a moment before says nothing about keys revoked since.
func TestDeniedObjectThenRevokedKeys(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(100)
	p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs(key(0)), Fault: testcloud.Fail(403, "AccessDenied")})
	task := newRun(t, p, wholeBucket())
	task.opts.Workers = 2
	task.wrapDst = func(s store) storage.Writer {
		return afterPuts{s, make(chan int, 1), 20, func() { p.src.Revoke(testAK) }}.ready()
	}
	mustStop(t, task.do(t.Context(), t), oms.Source, oms.Denied)
	if f := task.journal.failureCodes(); len(f) > 1 {
		t.Fatalf("objects are blamed: %v", f)
	}
}

// TestKeysThatMayNotDelete are enough, even when an object is refused.
func TestKeysThatMayNotDelete(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(10)
	p.dst.Faults.On(testcloud.DeleteObject, testcloud.Fail(403, "AccessDenied"))
	p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject}, Key: testcloud.KeyIs(key(3)), Fault: testcloud.Fail(403, "AccessDenied")})
	if c := newRun(t, p, wholeBucket()).mustFinish(t); c.Migrated != 9 || c.Failed != 1 {
		t.Fatalf("got %+v", c)
	}
}

// TestStoreAwayForAWhile: the job waits and completes; nothing is blamed, and the store is not hammered meanwhile.
func TestStoreAwayForAWhile(t *testing.T) {
	for name, side := range map[string]oms.Side{"source": oms.Source, "destination": oms.Destination} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			p.fill(150)
			p.srcBucket.PutAt("m-large", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
			cloud := p.src
			if side == oms.Destination {
				cloud = p.dst
			}
			task := newRun(t, p, wholeBucket())
			task.opts.Workers = 8
			task.wrapDst = func(s store) storage.Writer {
				return afterPuts{s, make(chan int, 1), 40, func() {
					cloud.Down()
					time.AfterFunc(8*time.Second, cloud.Up)
				}}.ready()
			}
			if c := task.mustFinish(t); c.Migrated != 151 {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(100)
	task := newRun(t, p, wholeBucket())
	task.opts.Patience = 2 * time.Second
	task.wrapDst = func(s store) storage.Writer { return afterPuts{s, make(chan int, 1), 20, p.dst.Down}.ready() }
	mustStop(t, task.do(t.Context(), t), oms.Destination, oms.Transient)
	if f := task.journal.failureCodes(); len(f) > 0 {
		t.Fatalf("objects are blamed: %v", f)
	}
	p.dst.Up()
	task.wrapDst = nil
	if c := task.mustFinish(t); c.Migrated != 100 {
		t.Fatalf("got %+v", c)
	}
	p.mustBeEqual(t)
}

// TestStopIsPrompt: whatever the job is waiting for, it ends at once, keeps what finished and does not do it again.
func TestStopIsPrompt(t *testing.T) {
	tests := map[string]func(p *pair, j *transfer.Job){
		"stalled reads": func(p *pair, _ *transfer.Job) {
			p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Skip: 60, Fault: testcloud.StallAfter(20)})
		},
		"stalled answers": func(p *pair, _ *transfer.Job) {
			p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject}, Skip: 60, Fault: testcloud.Stall()})
		},
		"stalled listing": func(p *pair, _ *transfer.Job) {
			p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.ListObjectsV2}, Skip: 4, Fault: testcloud.Stall()})
		},
		"bandwidth limit": func(_ *pair, j *transfer.Job) { j.SetLimit(20 << 10) },
		"a long pause": func(p *pair, _ *transfer.Job) {
			p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject}, Skip: 60, Fault: testcloud.SlowDown().WithRetryAfter("99999999999999999999")})
		},
	}
	for name, trouble := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, shortPages(), testcloud.Options{})
			p.fill(300)
			p.srcBucket.PutAt("a-large", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
			task := newRun(t, p, wholeBucket())
			task.opts.Workers = 4
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			j, ranges, uploads, err := task.job(ctx, t)
			if err != nil {
				t.Fatal(err)
			}
			trouble(p, j)
			cause := errors.New("stopped by the test")
			ended := make(chan error, 1)
			go func() { ended <- j.Run(ctx, ranges, uploads) }()
			time.Sleep(1500 * time.Millisecond) // any instant will do
			began := time.Now()
			cancel(cause)
			if err := <-ended; !errors.Is(err, cause) {
				t.Fatalf("got %v, want the cause", err)
			}
			if took := time.Since(began); took > 10*time.Second { // 2 s on a quiet machine
				t.Errorf("stopping took %v", took)
			}
			if s := j.Stats(); s.InFlight != 0 {
				t.Errorf("in flight after the end: %+v", s)
			}
			if f := task.journal.failureCodes(); len(f) > 0 {
				t.Fatalf("objects are blamed: %v", f)
			}
			p.src.Faults.Clear()
			p.dst.Faults.Clear()
			before, arrived := p.dstBucket.ReceivedAll(), p.finished()
			if c := task.mustFinishAndSweep(t); c.Migrated != 301 {
				t.Fatalf("got %+v", c)
			}
			p.mustNotBeSentAgain(t, before, arrived)
			p.mustBeEqual(t)
		})
	}
}
