package transfer

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// practised returns the pace of a target whose requests of 1 KiB take 100 ms, a few 200 ms.
func practised() *pace {
	p := new(pace)
	for i := range paceSamples {
		took := 100 * time.Millisecond
		if i%12 == 0 {
			took *= 2
		}
		p.observe(1024, took)
	}
	return p
}

func TestPaceBounds(t *testing.T) {
	p := practised()
	if hedge, kill := p.bounds(1024); hedge != time.Second || kill != 2*time.Second {
		t.Errorf("bounds of 1 KiB: %v, %v", hedge, kill)
	}
	if hedge, kill := p.bounds(1 << 20); hedge != 0 || kill != 0 {
		t.Errorf("bounds of a size that was never seen: %v, %v", hedge, kill)
	}
	for range paceSamples {
		p.observe(1024, time.Second)
	}
	if hedge, kill := p.bounds(1024); hedge != 2*time.Second || kill != 12*time.Second {
		t.Errorf("bounds of a store that became slow: %v, %v", hedge, kill)
	}
}

// TestFewRequestsAreKilled: when all requests become slow, it is the store.
func TestFewRequestsAreKilled(t *testing.T) {
	p := practised()
	killed := 0
	for range 1000 {
		if p.mayKill() {
			killed++
		}
	}
	if killed == 0 || killed > paceSamples/killShare+killFirst+1 {
		t.Errorf("%d of 1,000 were cut off after %d successes", killed, paceSamples)
	}
}

func TestWatchCutsOffStragglers(t *testing.T) {
	tests := map[string]struct {
		paced paced
		act   func(w *watch)
		want  error
		after time.Duration
	}{
		"slow by far":     {paced{pace: practised()}, func(*watch) { time.Sleep(time.Minute) }, errStraggler, 2 * time.Second},
		"moving all time": {paced{pace: practised()}, drip, errStraggler, 2 * time.Second},
		"killed before":   {paced{pace: practised(), spare: true}, drip, nil, 0},
		"nothing known":   {paced{pace: new(pace)}, drip, nil, 0},
		"held by the limit": {paced{pace: practised()}, func(w *watch) {
			_ = w.hold(func() error { time.Sleep(10 * time.Second); return nil })
			drip(w)
		}, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var got error
				var after time.Duration
				w := newWatch(time.Minute, &guard.Ticket{}, tt.paced, func(err error) {
					if got == nil {
						got, after = err, time.Since(began)
					}
				})
				w.expect(1024, nil)
				tt.act(w)
				w.stop(context.Canceled) // which waits for a look under way
				if !errors.Is(got, tt.want) || after != tt.after {
					t.Errorf("got %v after %v, want %v after %v", got, after, tt.want, tt.after)
				}
			})
		})
	}
}

func drip(w *watch) {
	for range 300 {
		time.Sleep(100 * time.Millisecond)
		w.progress(1 << 20)
	}
}

// TestHedgedWrites: a write that takes too long is sent once more, the first success counts, and both have ended when
// the outcome is known.
func TestHedgedWrites(t *testing.T) {
	broken := &oms.Error{Kind: oms.Transient, Msg: "broken"}
	tests := map[string]struct {
		first, second time.Duration
		firstErr      error
		secondErr     error
		busy          bool
		bare          bool // the write carries no checksum
		writes        int64
		etag          string
		err           error
		took          time.Duration
	}{
		"in time":               {first: 300 * time.Millisecond, writes: 1, etag: "first", took: 300 * time.Millisecond},
		"second wins":           {first: time.Hour, second: 50 * time.Millisecond, writes: 2, etag: "second", took: 1050 * time.Millisecond},
		"first wins":            {first: 1500 * time.Millisecond, second: time.Hour, writes: 2, etag: "first", took: 1500 * time.Millisecond},
		"second breaks":         {first: 1500 * time.Millisecond, second: time.Millisecond, secondErr: broken, writes: 2, etag: "first", took: 1500 * time.Millisecond},
		"first breaks":          {first: 1500 * time.Millisecond, firstErr: broken, second: 700 * time.Millisecond, writes: 2, etag: "second", took: 1700 * time.Millisecond},
		"both break":            {first: 1500 * time.Millisecond, firstErr: broken, second: 700 * time.Millisecond, secondErr: broken, writes: 2, err: broken, took: 1700 * time.Millisecond},
		"no checksum":           {first: 3 * time.Second, bare: true, writes: 1, etag: "first", took: 3 * time.Second},
		"workers have to do":    {first: 1900 * time.Millisecond, busy: true, writes: 1, etag: "first", took: 1900 * time.Millisecond},
		"a straggler is killed": {first: time.Hour, busy: true, writes: 1, err: errStraggler, took: 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &Job{queue: newQueue(2, 1<<30), opts: Options{Stall: time.Minute}}
				j.paces[dstWrite] = *practised()
				if tt.busy {
					j.queue.insert(smallItem())
				}
				j.listed.Store(true)
				sums := storage.Sums{Has: storage.SumMD5}
				if tt.bare {
					sums.Has = 0
				}
				var writes atomic.Int64
				var under atomic.Int64
				began := time.Now()
				var got storage.Written
				err := j.once(t.Context(), dstWrite, new(tries), func(first context.Context, w *watch) (err error) {
					got, err = j.hedgedWrite(t.Context(), first, w, sums, 1024, func(ctx context.Context, _ *watch) (storage.Written, error) {
						under.Add(1)
						defer under.Add(-1)
						pause, etag, err := tt.first, "first", tt.firstErr
						if writes.Add(1) == 2 {
							pause, etag, err = tt.second, "second", tt.secondErr
						}
						if waited := sleep(ctx, pause); waited != nil {
							return storage.Written{}, ctx.Err()
						}
						return storage.Written{ETag: etag}, err
					})
					return err
				})
				if !errors.Is(err, tt.err) || err == nil && got.ETag != tt.etag {
					t.Errorf("got %v, %v", got.ETag, err)
				}
				if n := writes.Load(); n != tt.writes {
					t.Errorf("written %d times, want %d", n, tt.writes)
				}
				if under.Load() != 0 {
					t.Error("a write goes on that nobody waits for")
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// TestHedgedReads: a read that takes too long is made once more, into a buffer of its own when one is free; the bytes of
// the first that succeeds are in the caller's buffer in the end, and no buffer is left out.
func TestHedgedReads(t *testing.T) {
	broken := &oms.Error{Kind: oms.Transient, Msg: "broken"}
	tests := map[string]struct {
		first, second time.Duration
		firstErr      error
		full          bool // no buffer is free
		reads         int64
		by            byte // whose bytes arrive
		err           error
		took          time.Duration
	}{
		"in time":             {first: 300 * time.Millisecond, reads: 1, by: 1, took: 300 * time.Millisecond},
		"second wins":         {first: time.Hour, second: 50 * time.Millisecond, reads: 2, by: 2, took: 1050 * time.Millisecond},
		"first wins":          {first: 1500 * time.Millisecond, second: time.Hour, reads: 2, by: 1, took: 1500 * time.Millisecond},
		"first breaks":        {first: 1500 * time.Millisecond, firstErr: broken, second: 700 * time.Millisecond, reads: 2, by: 2, took: 1700 * time.Millisecond},
		"no memory":           {first: 1900 * time.Millisecond, full: true, reads: 1, by: 1, took: 1900 * time.Millisecond},
		"no memory, too slow": {first: time.Hour, full: true, reads: 1, err: errStraggler, took: 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &Job{queue: newQueue(2, 1<<30), opts: Options{Stall: time.Minute}, res: NewResources(Bounds{})}
				j.paces[srcRead] = *practised()
				j.listed.Store(true)
				if tt.full {
					all, err := j.res.buffers.get(t.Context(), &j.memory, MaxBuffer)
					if err != nil {
						t.Fatal(err)
					}
					defer j.res.buffers.put(&j.memory, all)
				}
				buf := make([]byte, 1024)
				var reads atomic.Int64
				began := time.Now()
				var got content
				err := j.once(t.Context(), srcRead, new(tries), func(ctx context.Context, w *watch) (err error) {
					got, err = j.hedgedRead(t.Context(), ctx, w, buf, func(ctx context.Context, _ *watch, buf []byte) (content, error) {
						n := reads.Add(1)
						pause, err := tt.first, tt.firstErr
						if n == 2 {
							pause, err = tt.second, nil
						}
						buf[0] = 0xff // of a read that is cut off
						if waited := sleep(ctx, pause); waited != nil {
							return content{}, ctx.Err()
						}
						for i := range buf {
							buf[i] = byte(n)
						}
						return content{crc: uint32(n)}, err
					})
					return err
				})
				if !errors.Is(err, tt.err) || reads.Load() != tt.reads {
					t.Errorf("got %v after %d reads, want %v after %d", err, reads.Load(), tt.err, tt.reads)
				}
				if err == nil && (got.crc != uint32(tt.by) || !bytes.Equal(buf, bytes.Repeat([]byte{tt.by}, len(buf)))) {
					t.Errorf("got the bytes of read %d with the checksum of read %d, want read %d", buf[0], got.crc, tt.by)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if !tt.full {
					if b := j.res.buffers.tryGet(&j.memory, MaxBuffer); b == nil {
						t.Error("a buffer was not given back")
					}
				}
			})
		})
	}
}
