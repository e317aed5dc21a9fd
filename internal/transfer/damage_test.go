package transfer_test

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
)

// failuresRun makes the next job of r one over the recorded failures.
func (r *run) failuresRun() {
	for _, rg := range r.journal.ranges {
		rg.Done = true
	}
	r.journal.add(oms.Range{Kind: oms.RangeFailures})
}

func flip(b []byte) []byte {
	c := append([]byte(nil), b...)
	c[len(c)/2] ^= 1
	return c
}

// TestDamagedCopyIsNotTakenForRight: a copy that failed its check neither stays for the next task to skip, nor is it
// skipped by the retry (rules D1 and P4).
func TestDamagedCopyIsNotTakenForRight(t *testing.T) {
	for name, profile := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "obs": testcloud.OBS(), "plain": testcloud.Plain()} {
		for _, again := range []string{"failures", "new task"} {
			t.Run(name+" "+again, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
				p.srcBucket.PutAt("good", fillBytes(1000, 1), testcloud.Attrs{}, old)
				p.srcBucket.PutAt("bad", fillBytes(2000, 2), testcloud.Attrs{}, old)
				heal := p.dst.Faults.Add(testcloud.Rule{
					Ops: []testcloud.Op{testcloud.PutObject}, Key: func(k string) bool { return k == "bad" }, Fault: testcloud.Corrupt(flip),
				})
				r := newRun(t, p, wholeBucket())
				if c := r.mustFinish(t); c.Failed != 1 || c.Migrated != 1 {
					t.Fatalf("got %+v, want one failure", c)
				}
				if _, there := p.dstBucket.Get("bad"); there {
					t.Error("the damaged copy stayed at the destination")
				}
				heal()
				if again == "failures" {
					r.failuresRun()
				} else {
					r = newRun(t, p, wholeBucket())
				}
				if c := r.mustFinish(t); c.Failed != 0 {
					t.Fatalf("after the store was healed: %+v", c)
				}
				p.mustBeEqual(t)
			})
		}
	}
}

// TestOwnWorkIsProved: what a run finds at the destination after a crash counts only when its content is right, whoever
// wrote it (rules D1 and C1), and what is right is not sent again.
func TestOwnWorkIsProved(t *testing.T) {
	for name, profile := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "obs": testcloud.OBS(), "opaque": testcloud.OpaqueETag()} {
		for _, mode := range []oms.OverwriteMode{oms.OverwriteIfDifferent, oms.FullOverwrite} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				t.Parallel()
				p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
				for i, size := range []int{10, 5000, 9 << 20} {
					p.srcBucket.PutAt(key(i), fillBytes(size, uint64(i)), testcloud.Attrs{}, old)
					p.srcBucket.PutAt("right/"+key(i), fillBytes(size, uint64(100+i)), testcloud.Attrs{}, old)
				}
				spec := wholeBucket()
				spec.Overwrite = mode
				r := newRun(t, p, spec)
				_, ranges, _, err := r.job(t.Context(), t) // the run that is lost: only its lease and epoch remain
				if err != nil || len(ranges) != 1 {
					t.Fatal(err)
				}
				for i, size := range []int{10, 5000, 9 << 20} {
					p.dstBucket.Put(key(i), flip(fillBytes(size, uint64(i))), testcloud.Attrs{})
					p.dstBucket.Put("right/"+key(i), fillBytes(size, uint64(100+i)), testcloud.Attrs{})
				}
				c := r.mustFinish(t)
				if c.Migrated != 6 || c.Skipped != 0 {
					t.Errorf("counted %+v, want 6 migrated", c)
				}
				p.mustBeEqual(t)
				for i := range 3 {
					if n := p.dstBucket.Received("right/" + key(i)); n != 0 {
						t.Errorf("%d bytes of what was right were sent again", n)
					}
				}
			})
		}
	}
}

// TestDamageAtTheSourceIsSeen: bytes that change on the way from the source are read again, and are never migrated when
// the source's own checksums contradict them.
func TestDamageAtTheSourceIsSeen(t *testing.T) {
	const size = 20 << 20
	for name, src := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "obs": testcloud.OBS(), "plain": testcloud.Plain()} {
		for fault, lasting := range map[string]bool{"once": false, "always": true} {
			t.Run(name+" "+fault, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, testcloud.Options{Profile: src}, testcloud.Options{})
				for i := range 20 {
					p.srcBucket.PutAt(key(i), fillBytes(1000, uint64(i)), testcloud.Attrs{}, old)
				}
				p.srcBucket.PutAt("small", fillBytes(3000, 7), testcloud.Attrs{}, old)
				p.srcBucket.PutAt("large", fillBytes(size, 8), testcloud.Attrs{}, old)
				bad := []string{"small", "large"}
				if c := newRun(t, p, namesOf("obj/")).mustFinish(t); c.Migrated != 20 { // its ETags turn out to be MD5s
					t.Fatal(c)
				}
				for _, k := range bad {
					rule := testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: func(key string) bool { return key == k }, Fault: testcloud.FlipBody(100)}
					if !lasting {
						rule.Count = 1
					}
					p.src.Faults.Add(rule)
				}
				spec := wholeBucket()
				spec.Overwrite = oms.FullOverwrite
				c := newRun(t, p, spec).mustFinish(t)
				if !lasting {
					p.mustBeEqual(t)
					return
				}
				if c.Failed != int64(len(bad)) {
					t.Errorf("counted %+v, want %d failed", c, len(bad))
				}
				for _, k := range bad {
					if _, there := p.dstBucket.Get(k); there {
						t.Errorf("%s is at the destination with wrong bytes", k)
					}
				}
			})
		}
	}
}

// namesOf is a task over a prefix.
func namesOf(prefix string) oms.TaskSpec {
	spec := wholeBucket()
	spec.Src.Keys = []string{prefix}
	return spec
}

// TestSourcePartsAreKept: an object that was uploaded in parts arrives in the same parts, so that its ETag tells of every
// bit that changed on the way, from a source that offers no other checksum.
func TestSourcePartsAreKept(t *testing.T) {
	const part = 6 << 20
	whole := fillBytes(3*part+5, 3)
	src := testcloud.Plain()
	src.PartHeads = true
	for name, flips := range map[string]int{"sound": 0, "one bit flips once": 1, "it always flips": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{Profile: src}, testcloud.Options{})
			put := open(t, p.srcURL, "src")
			for _, k := range []string{"a", "b"} {
				id, err := put.CreateUpload(t.Context(), k, storage.Attrs{})
				if err != nil {
					t.Fatal(err)
				}
				var parts []storage.Part
				for off := 0; off < len(whole); off += part {
					b := whole[off:min(off+part, len(whole))]
					w, err := put.PutPart(t.Context(), storage.PartRequest{
						Key: k, UploadID: id, Number: len(parts) + 1, Body: bytes.NewReader(b), Size: int64(len(b)),
					})
					if err != nil {
						t.Fatal(err)
					}
					parts = append(parts, storage.Part{Number: len(parts) + 1, ETag: w.ETag, Size: int64(len(b))})
				}
				if _, err := put.CompleteUpload(t.Context(), k, id, parts); err != nil {
					t.Fatal(err)
				}
			}
			if flips != 0 {
				p.src.Faults.Add(testcloud.Rule{
					Ops: []testcloud.Op{testcloud.GetObject}, Key: func(k string) bool { return k == "b" },
					Fault: testcloud.FlipBody(1 << 20), Count: max(flips, 0),
				})
			}
			spec := wholeBucket()
			spec.Overwrite = oms.FullOverwrite
			c := newRun(t, p, spec).mustFinish(t) // whose first object shows that the source's ETags are true
			if there, ok := p.dstBucket.Get("b"); flips < 0 {
				if c.Failed != 1 || ok {
					t.Errorf("counted %+v, want a failure and no copy", c)
				}
			} else if !ok || there.Parts != 4 {
				t.Error("not in the source's parts")
			} else {
				p.mustBeEqual(t)
			}
		})
	}
}

// summed remembers writes that carry no checksum.
type summed struct {
	store
	bare *atomic.Int64
}

func (s summed) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	if req.Sums.Has == 0 && !strings.HasPrefix(req.Key, "oms/") {
		s.bare.Add(1)
	}
	return s.store.Put(ctx, req)
}

func (s summed) PutPart(ctx context.Context, req storage.PartRequest) (storage.Written, error) {
	if req.Sums.Has == 0 {
		s.bare.Add(1)
	}
	return s.store.PutPart(ctx, req)
}

// TestEveryWriteCarriesAChecksum: some stores keep what arrived of a write that was cut off, and may do so after the
// write that took its place was proved. They refuse it when they were told a checksum that they check.
func TestEveryWriteCarriesAChecksum(t *testing.T) {
	for name, profile := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "obs": testcloud.OBS()} {
		for from, source := range map[string]testcloud.Profile{"md5": testcloud.Plain(), "opaque": testcloud.OpaqueETag()} {
			t.Run(from+" to "+name, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, testcloud.Options{Profile: source}, testcloud.Options{Profile: profile})
				for i, size := range []int{0, 1, 1000, 1 << 20, 9 << 20} {
					p.srcBucket.PutAt(key(i), fillBytes(size, uint64(i)), testcloud.Attrs{}, old)
				}
				r := newRun(t, p, wholeBucket())
				var bare atomic.Int64
				r.wrapDst = func(s store) storage.Writer { return summed{s, &bare} }
				r.mustFinish(t)
				p.mustBeEqual(t)
				if n := bare.Load(); n > 0 {
					t.Errorf("%d writes carried no checksum", n)
				}
			})
		}
	}
}

// TestDamageOfAnInterruptedCopyIsSeen: parts that an earlier run read wrong are found out when the upload is taken up
// again, by what the source tells of the whole; parts that are right are not sent again (rules D1 and P8).
func TestDamageOfAnInterruptedCopyIsSeen(t *testing.T) {
	const size = 64<<20 + 3
	for name, src := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "obs": testcloud.OBS(), "plain": testcloud.Plain()} {
		for dst, profile := range map[string]testcloud.Profile{"aws": testcloud.AWS(), "plain": testcloud.Plain()} {
			t.Run(name+" to "+dst, func(t *testing.T) {
				t.Parallel()
				p := newPair(t, testcloud.Options{Profile: src}, testcloud.Options{Profile: profile})
				p.srcBucket.PutAt("large", fillBytes(size, 8), testcloud.Attrs{}, old)
				heal := p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Count: 2, Fault: testcloud.FlipBody(100)})
				r := newRun(t, p, wholeBucket())
				r.opts.Workers = 2
				ctx, cancel := context.WithCancel(t.Context())
				r.wrapDst = func(s store) storage.Writer {
					return hookedParts{s, func(n int) {
						if n == 5 {
							r.journal.freeze()
							cancel()
						}
					}}
				}
				if err := r.do(ctx, t); err == nil {
					t.Fatal("the first run ended")
				}
				heal()
				if there := p.dstBucket.Uploads(); len(there) != 1 || len(there[0].Parts) < 3 {
					t.Fatalf("uploads: %+v", there)
				}
				p.dst.ClearRecords()
				r.wrapDst = nil
				if c := r.mustFinish(t); c.Migrated != 1 || c.Failed != 0 || c.MovedBytes != size {
					t.Errorf("counted %+v", c)
				}
				p.mustBeEqual(t)
				sent := 0
				for _, req := range p.dst.Requests() {
					if req.Op == testcloud.UploadPart && req.Status == 200 {
						sent++
					}
				}
				if sent > 8 { // 9 parts in all: some were right
					t.Errorf("%d parts were sent again", sent)
				}
			})
		}
	}
}

// TestWrongOwnCopyDoesNotStay: what seemed to be this task's own copy, and turned out to be another, is not left for a
// later run to take for right when it cannot be replaced.
func TestWrongOwnCopyDoesNotStay(t *testing.T) {
	for _, size := range []int{5000, 9 << 20} {
		p := newPair(t, testcloud.Options{}, testcloud.Options{})
		p.srcBucket.PutAt("o", fillBytes(size, 1), testcloud.Attrs{}, old)
		r := newRun(t, p, wholeBucket())
		if _, ranges, _, err := r.job(t.Context(), t); err != nil || len(ranges) != 1 {
			t.Fatal(err)
		}
		p.dstBucket.Put("o", flip(fillBytes(size, 1)), testcloud.Attrs{})
		p.src.Faults.Add(testcloud.Rule{ // it can be read once, to be compared
			Ops: []testcloud.Op{testcloud.GetObject}, Skip: 1, Fault: testcloud.Fail(403, "AccessDenied"),
		})
		if c := r.mustFinish(t); c.Failed != 1 {
			t.Errorf("size %d: counted %+v, want a failure", size, c)
		}
		if _, there := p.dstBucket.Get("o"); there {
			t.Errorf("size %d: the wrong copy stays", size)
		}
	}
}
