package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// oddOrders are stores that cannot be listed in parallel, or not the way others are, by pages of seven keys.
func oddOrders() map[string]testcloud.Profile {
	refuses, ignores, inclusive, skips := testcloud.Plain(), testcloud.Plain(), testcloud.Plain(), testcloud.Plain()
	refuses.StartAfter, ignores.StartAfter = testcloud.StartAfterRefused, testcloud.StartAfterIgnored
	inclusive.StartAfter, skips.StartAfter = testcloud.StartAfterInclusive, testcloud.StartAfterSkips
	profiles := map[string]testcloud.Profile{
		"hash": testcloud.Unordered(), "directory": testcloud.Directory(), "utf-16": testcloud.UTF16(),
		"start-after refused": refuses, "start-after ignored": ignores, "start-after inclusive": inclusive,
		"start-after passes over a key": skips,
	}
	for name, p := range profiles {
		p.MaxKeys, p.MinPartSize = 7, 1<<20
		profiles[name] = p
	}
	return profiles
}

// oddKey returns keys whose order depends on who sorts them.
func oddKey(i int) string {
	lead := []string{"a/", "é/", "\uff21", "\ufffd", "\U0001f600", "\U0001f600\uff21", "z"}
	return lead[i%len(lead)] + fmt.Sprintf("%03d", i)
}

// fillOdd puts n objects at the source, and every fifth at the destination, where nothing else may be overwritten.
func (p *pair) fillOdd(n int) (there int64) {
	for i := range n {
		body := fillBytes(50+i, uint64(i))
		p.srcBucket.PutAt(oddKey(i), body, testcloud.Attrs{}, old)
		if i%5 == 0 {
			p.dstBucket.PutAt(oddKey(i), body, testcloud.Attrs{}, old.Add(time.Hour))
			there++
		}
	}
	return there
}

// TestOddOrders: on either side, and whatever the store makes of positions, every key is handled once (D9, P3, P4).
func TestOddOrders(t *testing.T) {
	for name, profile := range oddOrders() {
		for _, side := range []oms.Side{oms.Source, oms.Destination} {
			t.Run(name+map[oms.Side]string{oms.Source: ", source", oms.Destination: ", destination"}[side], func(t *testing.T) {
				t.Parallel()
				const n = 150
				src, dst := testcloud.Options{Profile: profile}, shortPages()
				if side == oms.Destination {
					src, dst = dst, src
				}
				p := newPair(t, src, dst)
				there := p.fillOdd(n)
				spec := wholeBucket()
				spec.Overwrite = oms.NoOverwrite
				task := newRun(t, p, spec)
				c := task.mustFinish(t)
				p.mustBeEqual(t)
				if c.Listed != n || c.Skipped != there || c.Migrated != n-there {
					t.Errorf("got %+v, want %d listed, %d skipped", c, n, there)
				}
				if sorted, want := task.journal.has(oms.RangeLate), side == oms.Source && name != "start-after inclusive"; sorted != want {
					t.Errorf("sorted: %t, want %t", sorted, want)
				}
				for i := 0; i < n; i += 5 {
					if got := p.dstBucket.Received(oddKey(i)); got > 0 {
						t.Errorf("%q was there and was sent all the same", oddKey(i))
					}
				}
			})
		}
	}
}

// lateDisorder lists in byte order until it has answered so often, and from then on as the store does: what was passed
// by then may lack keys.
type lateDisorder struct {
	store
	hide func(key string) bool
	left chan int
}

func (d *lateDisorder) List(ctx context.Context, o storage.ListOptions) (storage.Page, error) {
	left := <-d.left
	d.left <- max(0, left-1)
	page, err := d.store.List(ctx, o)
	if left == 0 || o.AnyOrder {
		if !o.AnyOrder && o.After != "" && len(page.Objects) > 0 {
			return storage.Page{}, &oms.Error{Op: "list objects", Kind: oms.Listing, Code: "LISTING_ERROR", Err: storage.ErrOrder}
		}
		return page, err
	}
	page.Objects = slices.DeleteFunc(slices.Clone(page.Objects), func(o storage.ListedObject) bool { return d.hide(o.Key) })
	return page, err
}

// TestLateDisorder: the order breaks when ranges have passed keys already, with keys missing before. The late range
// makes good for them, across crashes, and the books hold exactly (P1, P3, P4).
func TestLateDisorder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for i := range 6 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			own := seed + uint64(i)
			t.Logf("seed %d", own)
			lateDisorderRun(t, rand.New(rand.NewPCG(own, 3)))
		})
	}
}

func lateDisorderRun(t *testing.T, r *rand.Rand) {
	p := newPair(t, shortPages(), shortPages())
	const n = 400
	var skipped int64
	for i := range n {
		body := fillBytes(10+i, uint64(i))
		p.srcBucket.PutAt(key(i), body, testcloud.Attrs{}, old)
		if i%7 == 0 {
			p.dstBucket.PutAt(key(i), body, testcloud.Attrs{}, old.Add(time.Hour))
			skipped++
		}
	}
	// Some objects fail until the order has broken.
	bad := map[string]bool{}
	for i := range n {
		if i%7 > 0 && r.IntN(12) == 0 {
			bad[key(i)] = true
		}
	}
	heal := p.src.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.GetObject}, Key: func(k string) bool { return bad[k] }, Fault: testcloud.Fail(400, "InvalidRequest"),
	})
	task := newRun(t, p, wholeBucket())
	left := make(chan int, 1)
	left <- 3 + r.IntN(30)
	hidden := r.Uint64()
	task.wrapSrc = func(s store) storage.Reader {
		return &lateDisorder{store: s, left: left, hide: func(k string) bool { return fillBytes(1, hidden^uint64(len(k))*31+uint64(k[len(k)-1]))[0]%5 == 0 }}
	}
	for range 1 + r.IntN(4) {
		ctx, cancel := context.WithCancel(t.Context())
		task.journal.mu.Lock()
		task.journal.fuse, task.journal.crash = 1+r.IntN(40), cancel
		task.journal.mu.Unlock()
		err := task.do(ctx, t)
		cancel()
		if _, disorder := errors.AsType[*transfer.Disorder](err); err != nil && !disorder && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if task.journal.has(oms.RangeLate) && r.IntN(2) == 0 {
			heal()
		}
	}
	heal()
	task.journal.mu.Lock()
	task.journal.fuse = 0
	task.journal.mu.Unlock()
	must(t, task.do(t.Context(), t))
	c := task.journal.mustBeDone(t)
	if !task.journal.has(oms.RangeLate) {
		t.Fatal("everything was listed before the order broke")
	}
	failed := int64(len(task.journal.failures))
	if c.Listed != n || c.Failed != failed || c.Skipped < skipped || c.Migrated != n-c.Skipped-failed {
		t.Fatalf("got %+v, want %d listed, %d skipped, %d failed", c, n, skipped, failed)
	}
	for i := range n {
		_, arrived := p.dstBucket.Get(key(i))
		if _, fails := task.journal.failures[key(i)]; arrived == fails {
			t.Errorf("%q: arrived %t, recorded as failed %t", key(i), arrived, fails)
		}
	}
	t.Logf("%+v in %d ranges, generation %d", c, len(task.journal.ranges), task.gen)
}

// TestSortsOnDisk: a listing without order that is much larger than what is sorted in memory.
func TestSortsOnDisk(t *testing.T) {
	p := newPair(t, testcloud.Options{Profile: testcloud.Directory()}, testcloud.Options{})
	const n = 3000
	for i := range n {
		p.srcBucket.PutAt(key(i), []byte{1}, testcloud.Attrs{}, old)
		p.dstBucket.PutAt(key(i), []byte{1}, testcloud.Attrs{}, old.Add(time.Hour))
	}
	task := newRun(t, p, wholeBucket())
	task.opts.Spool = transfer.Spool{Dir: t.TempDir(), Memory: 32 << 10}
	if c := task.mustFinish(t); c.Listed != n || c.Skipped != n {
		t.Fatalf("got %+v", c)
	}
	task = newRun(t, p, wholeBucket())
	task.opts.Spool = transfer.Spool{Dir: t.TempDir(), Memory: 32 << 10, Disk: 40 << 10}
	mustStop(t, task.do(t.Context(), t), oms.Source, oms.Listing)
}
