package transfer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
)

// relayed counts the writes that carry an MD5 to a store that would get a CRC32C of what was read: nobody computed it.
type relayed struct {
	*s3.Bucket
	tried, done *atomic.Int64
}

func (r relayed) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	w, err := r.Bucket.Put(ctx, req)
	if req.Sums.Has == storage.SumMD5 && req.Size >= 128<<10 {
		r.tried.Add(1)
		if err == nil {
			r.done.Add(1)
		}
	}
	return w, err
}

// relayRun is a task over two stores whose objects the kernel can move, with few workers: the first objects tell that
// ETags are MD5s.
func relayRun(t *testing.T, p *pair) (r *run, tried, done *atomic.Int64) {
	t.Helper()
	if !http1.Moves {
		t.Skip("the kernel moves nothing on this system: objects go through buffers")
	}
	r = newRun(t, p, wholeBucket())
	r.opts.Workers = 2
	tried, done = new(atomic.Int64), new(atomic.Int64)
	r.wrapDst = func(s store) storage.Writer {
		b, ok := s.(*s3.Bucket)
		if !ok {
			t.Fatal("the client is not that of S3")
		}
		return relayed{b, tried, done}
	}
	return r, tried, done
}

// fillRelay makes objects of the sizes, and some more: at the end of a job nothing is relayed. It returns how many there
// are, and how many can be relayed.
func (p *pair) fillRelay(sizes ...int) (n, relayable int) {
	for i, size := range sizes {
		p.srcBucket.PutAt(key(i), fillBytes(size, uint64(i)), testcloud.Attrs{
			ContentType: "text/x-relay", Meta: map[string]string{"i": key(i)},
		}, old)
		if size >= 128<<10 && size <= 8<<20 {
			relayable++
		}
	}
	for i := range 8 {
		p.srcBucket.PutAt("z"+key(i), fillBytes(100, uint64(i)), testcloud.Attrs{}, old)
	}
	return len(sizes) + 8, relayable
}

// TestRelay: objects whose MD5 is known beforehand move from socket to socket, with what belongs to them (rules D1, D5).
func TestRelay(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]int64{"no limit": 0, "limit": 64 << 20} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			n, relayable := p.fillRelay(10, 128<<10-1, 20, 128<<10, 128<<10+1, 1<<20, 3<<20+7, 8<<20-1, 8<<20, 8<<20+1)
			r, tried, done := relayRun(t, p)
			j, ranges, uploads, err := r.job(t.Context(), t)
			must(t, err)
			j.SetLimit(limit)
			must(t, j.Run(t.Context(), ranges, uploads))
			if c := r.journal.mustBeDone(t); c.Migrated != int64(n) {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
			if done.Load() < int64(relayable-1) || tried.Load() != done.Load() {
				t.Errorf("%d of %d relays succeeded; %d objects could be relayed", done.Load(), tried.Load(), relayable)
			}
		})
	}
}

// TestRelayOnlyWithEvidence: where ETags are no MD5s nothing is relayed.
func TestRelayOnlyWithEvidence(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{Profile: testcloud.OpaqueETag()}, testcloud.Options{})
	p.fillRelay(10, 20, 1<<20, 1<<20+1)
	r, tried, _ := relayRun(t, p)
	if c := r.mustFinish(t); c.Failed != 0 {
		t.Fatalf("got %+v", c)
	}
	p.mustBeEqual(t)
	if tried.Load() != 0 {
		t.Errorf("%d relays", tried.Load())
	}
}

// TestRelayFaults: whatever goes wrong on the way, the object goes through a buffer then and arrives as it is, or fails
// and leaves nothing (rules D1, D2, D4, C3).
func TestRelayFaults(t *testing.T) {
	t.Parallel()
	const bad = 4
	put, get := testcloud.PutObject, testcloud.GetObject
	for name, test := range map[string]struct {
		op      testcloud.Op
		fault   testcloud.Fault
		lasting bool // the object fails
		written bool // it is the write of a relay that fails
		stalls  bool
	}{
		"flipped bit":              {op: get, fault: testcloud.FlipBody(1 << 20), written: true},
		"flipped bits":             {op: get, fault: testcloud.FlipBody(1 << 20), lasting: true},
		"source cut off":           {op: get, fault: testcloud.Truncate(1 << 20), written: true},
		"source resets":            {op: get, fault: testcloud.ResetAfter(1 << 20), written: true},
		"source stalls":            {op: get, fault: testcloud.StallAfter(1 << 20), stalls: true, written: true},
		"source sends no more":     {op: get, fault: testcloud.WrongLength(1)},
		"source says less":         {op: get, fault: testcloud.WrongLength(-1)},
		"source sends more":        {op: get, fault: testcloud.ExtraBytes(5)},
		"endless source":           {op: get, fault: testcloud.Endless()},
		"chunked source":           {op: get, fault: testcloud.Chunked()},
		"source refuses":           {op: get, fault: testcloud.SlowDown()},
		"encrypted source":         {op: get, fault: testcloud.SetHeader("X-Amz-Server-Side-Encryption", "aws:kms")},
		"destination refuses":      {op: put, fault: testcloud.SlowDown(), written: true},
		"destination fails":        {op: put, fault: testcloud.InternalError(), written: true},
		"destination resets":       {op: put, fault: testcloud.Reset(), written: true},
		"destination stalls":       {op: put, fault: testcloud.Stall(), stalls: true, written: true},
		"destination stores wrong": {op: put, fault: testcloud.Corrupt(flip)},
		"answer is lost":           {op: put, fault: testcloud.Reset().AfterApplying(), written: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			n, _ := p.fillRelay(10, 20, 1<<20, 1<<20, 2<<20)
			rule := testcloud.Rule{Ops: []testcloud.Op{test.op}, Key: testcloud.KeyIs(key(bad)), Fault: test.fault, Count: 1}
			if test.lasting {
				rule.Count = 0
			}
			cloud := p.src
			if test.op == put {
				cloud = p.dst
			}
			cloud.Faults.Add(rule)
			r, tried, done := relayRun(t, p)
			if test.stalls {
				r.opts.Stall = 3 * time.Second
			}
			c := r.mustFinish(t)
			if test.lasting {
				if _, there := p.dstBucket.Get(key(bad)); there || c.Failed != 1 || c.Migrated != int64(n-1) {
					t.Errorf("got %+v, the object is there: %t", c, there)
				}
				return
			}
			if c.Migrated != int64(n) || c.Failed != 0 {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
			if failed := tried.Load() - done.Load(); test.written != (failed == 1) || done.Load() == 0 {
				t.Errorf("%d relays, %d of them failed", tried.Load(), failed)
			}
		})
	}
}

// TestRelayEndsWithItsJob: a relay that waits for either side ends at once, and nothing of it is stored.
func TestRelayEndsWithItsJob(t *testing.T) {
	t.Parallel()
	const bad = 4
	for name, op := range map[string]testcloud.Op{"source": testcloud.GetObject, "destination": testcloud.PutObject} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			n, _ := p.fillRelay(10, 20, 1<<20, 1<<20, 2<<20)
			fault, cloud := testcloud.StallAfter(1<<20), p.src
			if op == testcloud.PutObject {
				fault, cloud = testcloud.Stall(), p.dst
			}
			struck := make(chan struct{})
			cloud.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{op}, Key: func(k string) bool {
				if k == key(bad) {
					select {
					case <-struck:
					default:
						close(struck)
					}
				}
				return k == key(bad)
			}, Fault: fault})
			r, _, _ := relayRun(t, p)
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("stopped by the test")
			go func() {
				<-struck
				cancel(cause)
			}()
			if err := r.do(ctx, t); !errors.Is(err, cause) {
				t.Fatalf("got %v, want the cause", err)
			}
			if _, there := p.dstBucket.Get(key(bad)); there {
				t.Error("a part of the object was stored")
			}
			if f := r.journal.failureCodes(); len(f) > 0 {
				t.Fatalf("objects are blamed: %v", f)
			}
			cloud.Faults.Clear()
			if c := r.mustFinishAndSweep(t); c.Migrated != int64(n) {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
		})
	}
}
