package transfer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// mustStop fails unless err says that the job stopped for trouble of that side and kind.
func mustStop(tb testing.TB, err error, side oms.Side, kind oms.Kind) {
	tb.Helper()
	stopped, ok := errors.AsType[*transfer.Stopped](err)
	if !ok || stopped.Side != side || oms.KindOf(stopped.Err) != kind {
		tb.Fatalf("got %v, want a stop of side %d: %v", err, side, kind)
	}
}

// fill puts n small objects into the source.
func (p *pair) fill(n int) {
	for i := range n {
		p.srcBucket.PutAt(key(i), fillBytes(100+i, uint64(i)), attrs(i), old)
	}
}

// failureCodes returns the recorded failures as "key: code".
func (j *journal) failureCodes() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var list []string
	for k, f := range j.failures {
		list = append(list, k+": "+f.Code)
	}
	slices.Sort(list)
	return list
}

func shortPages() testcloud.Options {
	p := testcloud.AWS()
	p.MaxKeys = 20
	return testcloud.Options{Profile: p}
}

// TestListingFaults: a listing that cannot be trusted, on either side, never makes a finished run (D9, section 3).
func TestListingFaults(t *testing.T) {
	faults := map[string]testcloud.Fault{
		"duplicates": testcloud.DuplicateKeys(), "unsorted": testcloud.UnsortedPage(), "endless": testcloud.EndlessPages(),
		"empty pages": testcloud.EmptyPages(), "cycle": testcloud.CycleToken(), "foreign key": testcloud.ForeignKey("0-outside"),
		"malformed": testcloud.MalformedXML(), "huge": testcloud.HugeXML(1 << 30), "doctype": testcloud.Doctype(),
		"deep": testcloud.DeepXML(1_000_000), "encoding": testcloud.BadEncoding(),
		"repeated token": testcloud.RepeatToken(), "no token": testcloud.MissingToken(),
	}
	// Paging goes by the last key, so that wrong tokens beside right keys do no harm; without order, the source is sorted
	// and the destination asked key by key.
	harmless := map[oms.Side][]string{
		oms.Source:      {"no token", "duplicates", "unsorted", "foreign key"},
		oms.Destination: {"repeated token", "no token", "cycle", "duplicates", "unsorted", "foreign key", "endless"},
	}
	for name, fault := range faults {
		for _, side := range []oms.Side{oms.Source, oms.Destination} {
			t.Run(name+map[oms.Side]string{oms.Source: ", source", oms.Destination: ", destination"}[side], func(t *testing.T) {
				t.Parallel()
				p := newPair(t, shortPages(), shortPages())
				p.fill(70)
				cloud := p.src
				if side == oms.Destination {
					cloud = p.dst
					for i := range 70 { // all there, so that the listing matters
						p.dstBucket.PutAt(key(i), fillBytes(100+i, uint64(i)), attrs(i), old.Add(time.Hour))
					}
				}
				cloud.Faults.On(testcloud.ListObjectsV2, fault)
				task := newRun(t, p, wholeBucket())
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := task.do(ctx, t)
				if err == nil && slices.Contains(harmless[side], name) {
					p.mustBeEqual(t)
					var codes []string // a key that is listed and does not exist is missing
					want := oms.Counters{Listed: 70}
					if name == "foreign key" && side == oms.Source {
						want, codes = oms.Counters{Listed: 71, Failed: 1}, []string{"0-outside: " + oms.FailMissing}
					}
					if c := task.journal.mustBeDone(t); c.Listed != want.Listed || c.Failed != want.Failed {
						t.Errorf("got %+v, want %+v", c, want)
					}
					if got := task.journal.failureCodes(); !slices.Equal(got, codes) {
						t.Errorf("failures: %v, want %v", got, codes)
					}
					return
				}
				mustStop(t, err, side, oms.Listing)
				for _, r := range task.journal.ranges { // one whose own pages were sound may be done
					if want := p.keysIn(r); r.Done && r.Kind == oms.RangeKeys && r.Counters.Listed != want {
						t.Errorf("a range is done on a listing that cannot be trusted, it has %d keys: %+v", want, *r)
					}
				}
				if f := task.journal.failureCodes(); len(f) > 0 {
					t.Errorf("objects are blamed: %v", f)
				}
			})
		}
	}
}

// keysIn counts the source's keys in a range.
func (p *pair) keysIn(r *oms.Range) (n int64) {
	for _, k := range p.srcBucket.Keys() {
		if k > r.Start && (r.End == "" || k <= r.End) {
			n++
		}
	}
	return n
}

// TestAnswerFaults: each misbehaviour of a single request ends with the right object, or with the object failed under
// its code, never with a wrong one that counts as migrated.
func TestAnswerFaults(t *testing.T) {
	const small, large = "small", "large"
	tests := map[string]struct {
		src    bool
		op     testcloud.Op
		fault  testcloud.Fault
		count  int    // requests that suffer it; 0: all
		key    string // small or large
		opts   transfer.Options
		failed string // code wanted; "" means the object arrives
	}{
		"reset before the answer":         {src: true, op: testcloud.GetObject, fault: testcloud.Reset(), count: 3, key: small},
		"short body":                      {src: true, op: testcloud.GetObject, fault: testcloud.Truncate(10), count: 3, key: small},
		"short body of a part":            {src: true, op: testcloud.GetObject, fault: testcloud.Truncate(5 << 20), count: 2, key: large},
		"reset in the body":               {src: true, op: testcloud.GetObject, fault: testcloud.ResetAfter(1000), count: 3, key: small},
		"reset in a part":                 {src: true, op: testcloud.GetObject, fault: testcloud.ResetAfter(1 << 20), count: 2, key: large},
		"no length":                       {src: true, op: testcloud.GetObject, fault: testcloud.Chunked(), key: small},
		"no length of a part":             {src: true, op: testcloud.GetObject, fault: testcloud.Chunked(), key: large},
		"endless body":                    {src: true, op: testcloud.GetObject, fault: testcloud.Endless(), key: small, failed: oms.FailGet},
		"endless part":                    {src: true, op: testcloud.GetObject, fault: testcloud.Endless(), key: large, failed: oms.FailGet},
		"longer than listed":              {src: true, op: testcloud.GetObject, fault: testcloud.WrongLength(1), key: small, failed: oms.FailGet},
		"shorter than listed":             {src: true, op: testcloud.GetObject, fault: testcloud.WrongLength(-1), key: small, failed: oms.FailGet},
		"part of the wrong length":        {src: true, op: testcloud.GetObject, fault: testcloud.WrongLength(-1), key: large, failed: oms.FailGet},
		"range ignored":                   {src: true, op: testcloud.GetObject, fault: testcloud.IgnoreRange(), key: large, failed: oms.FailGet},
		"wrong range":                     {src: true, op: testcloud.GetObject, fault: testcloud.SetHeader("Content-Range", "bytes 0-9/10"), key: large, failed: oms.FailGet},
		"bytes behind the body":           {src: true, op: testcloud.GetObject, fault: testcloud.ExtraBytes(5), key: small},
		"stalled body":                    {src: true, op: testcloud.GetObject, fault: testcloud.StallAfter(50), count: 1, key: small, opts: transfer.Options{Stall: 300 * time.Millisecond}},
		"stalled part":                    {src: true, op: testcloud.GetObject, fault: testcloud.StallAfter(50), count: 1, key: large, opts: transfer.Options{Stall: 2 * time.Second}},
		"stalled answer":                  {src: true, op: testcloud.GetObject, fault: testcloud.Stall(), count: 1, key: small, opts: transfer.Options{Stall: 300 * time.Millisecond}},
		"stalled head":                    {src: true, op: testcloud.HeadObject, fault: testcloud.Stall(), count: 1, key: large, opts: transfer.Options{Stall: 2 * time.Second}},
		"year 1":                          {src: true, op: testcloud.GetObject, fault: testcloud.LastModified(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)), key: small},
		"year 9999":                       {src: true, op: testcloud.HeadObject, fault: testcloud.LastModified(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), key: large},
		"come back at once, five times":   {src: true, op: testcloud.GetObject, fault: testcloud.SlowDown().WithRetryAfter("0"), count: 5, key: small},
		"come back in the past":           {src: true, op: testcloud.GetObject, fault: testcloud.SlowDown().WithRetryAfter("-7"), count: 2, key: small},
		"come back some time":             {src: true, op: testcloud.GetObject, fault: testcloud.SlowDown().WithRetryAfter("soon"), count: 2, key: small},
		"archived":                        {src: true, op: testcloud.GetObject, fault: testcloud.Fail(403, "InvalidObjectState"), key: small, failed: oms.FailArchived},
		"archived, large":                 {src: true, op: testcloud.GetObject, fault: testcloud.Fail(403, "InvalidObjectState"), key: large, failed: oms.FailArchived},
		"vanished":                        {src: true, op: testcloud.GetObject, fault: testcloud.Fail(404, "NoSuchKey"), key: small, failed: oms.FailMissing},
		"vanished, large":                 {src: true, op: testcloud.HeadObject, fault: testcloud.Fail(404, "NoSuchKey"), key: large, failed: oms.FailMissing},
		"vanished in the middle":          {src: true, op: testcloud.GetObject, fault: testcloud.Fail(404, "NoSuchKey"), key: large, failed: oms.FailMissing},
		"one object denied":               {src: true, op: testcloud.GetObject, fault: testcloud.Fail(403, "AccessDenied"), key: small, failed: oms.FailGet},
		"one large object denied":         {src: true, op: testcloud.GetObject, fault: testcloud.Fail(403, "AccessDenied"), key: large, failed: oms.FailGet},
		"write denied":                    {op: testcloud.PutObject, fault: testcloud.Fail(403, "AccessDenied"), key: small, failed: oms.FailUpload},
		"upload denied":                   {op: testcloud.CreateMultipartUpload, fault: testcloud.Fail(403, "AccessDenied"), key: large, failed: oms.FailInitUpload},
		"part denied":                     {op: testcloud.UploadPart, fault: testcloud.Fail(403, "AccessDenied"), key: large, failed: oms.FailUpload},
		"complete denied":                 {op: testcloud.CompleteMultipartUpload, fault: testcloud.Fail(403, "AccessDenied"), key: large, failed: oms.FailComplete},
		"refused for good":                {op: testcloud.PutObject, fault: testcloud.Fail(400, "InvalidArgument"), key: small, failed: oms.FailUpload},
		"not implemented":                 {op: testcloud.CreateMultipartUpload, fault: testcloud.Fail(501, "NotImplemented"), key: large, failed: oms.FailInitUpload},
		"bad digest once":                 {op: testcloud.PutObject, fault: testcloud.Fail(400, "BadDigest"), count: 1, key: small},
		"bad digest always":               {op: testcloud.PutObject, fault: testcloud.Fail(400, "BadDigest"), key: small, failed: oms.FailUpload},
		"put applied, answer lost":        {op: testcloud.PutObject, fault: testcloud.InternalError().AfterApplying(), count: 2, key: small},
		"put applied, reset":              {op: testcloud.PutObject, fault: testcloud.Reset().AfterApplying(), count: 2, key: small},
		"put applied, never answered":     {op: testcloud.PutObject, fault: testcloud.Stall().AfterApplying(), count: 1, key: small, opts: transfer.Options{Stall: 300 * time.Millisecond}},
		"part applied, answer lost":       {op: testcloud.UploadPart, fault: testcloud.Reset().AfterApplying(), count: 2, key: large},
		"upload opened, answer lost":      {op: testcloud.CreateMultipartUpload, fault: testcloud.InternalError().AfterApplying(), count: 2, key: large},
		"completed, answer lost":          {op: testcloud.CompleteMultipartUpload, fault: testcloud.Reset().AfterApplying(), count: 1, key: large},
		"completed, 500":                  {op: testcloud.CompleteMultipartUpload, fault: testcloud.InternalError().AfterApplying(), count: 1, key: large},
		"completed, 200 with an error":    {op: testcloud.CompleteMultipartUpload, fault: testcloud.OKError("InternalError").AfterApplying(), count: 1, key: large},
		"complete: 200 with an error":     {op: testcloud.CompleteMultipartUpload, fault: testcloud.OKError("InternalError"), count: 2, key: large},
		"complete: 200, error for good":   {op: testcloud.CompleteMultipartUpload, fault: testcloud.OKError("InvalidPart"), key: large, failed: oms.FailComplete},
		"complete: no such upload once":   {op: testcloud.CompleteMultipartUpload, fault: testcloud.Fail(404, "NoSuchUpload"), count: 1, key: large},
		"complete: no such upload ever":   {op: testcloud.CompleteMultipartUpload, fault: testcloud.Fail(404, "NoSuchUpload"), key: large, failed: oms.FailComplete},
		"complete: malformed answer":      {op: testcloud.CompleteMultipartUpload, fault: testcloud.MalformedXML(), count: 1, key: large},
		"complete: slow start":            {op: testcloud.CompleteMultipartUpload, fault: testcloud.Blanks(1000), key: large},
		"no such upload at a part":        {op: testcloud.UploadPart, fault: testcloud.Fail(404, "NoSuchUpload"), count: 1, key: large},
		"damaged once":                    {op: testcloud.PutObject, fault: testcloud.Corrupt(testcloud.FlipBit(5)), count: 1, key: small},
		"damaged part once":               {op: testcloud.UploadPart, fault: testcloud.Corrupt(testcloud.FlipBit(5)), count: 1, key: large},
		"ten errors in a row for one key": {src: true, op: testcloud.GetObject, fault: testcloud.InternalError(), key: small, failed: oms.FailGet},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{Profile: testcloud.Plain()}, testcloud.Options{Profile: testcloud.Plain()})
			size := 5000
			if tt.key == large {
				size = 9 << 20
			}
			p.srcBucket.PutAt(tt.key, fillBytes(size, 1), testcloud.Attrs{ContentType: "text/plain"}, old)
			p.fill(5)
			cloud := p.dst
			if tt.src {
				cloud = p.src
			}
			cloud.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{tt.op}, Key: testcloud.KeyIs(tt.key), Count: tt.count, Fault: tt.fault})
			task := newRun(t, p, wholeBucket())
			logger := task.opts.Logger
			task.opts = tt.opts
			task.opts.Logger = logger
			c := task.mustFinish(t)
			if tt.failed == "" {
				p.mustBeEqual(t)
				if c.Migrated != 6 {
					t.Fatalf("got %+v, want 6 migrated", c)
				}
				return
			}
			if got, want := task.journal.failureCodes(), []string{tt.key + ": " + tt.failed}; !slices.Equal(got, want) {
				t.Fatalf("failures: got %v, want %v", got, want)
			}
			if c.Migrated != 5 || c.Failed != 1 || c.FailedBytes != int64(size) {
				t.Fatalf("got %+v, want 5 migrated and one failed", c)
			}
			if open := p.dstBucket.Uploads(); len(open) > 0 {
				t.Fatalf("uploads left open: %v", open)
			}
			p.srcBucket.Delete(tt.key)
			if diff := testcloud.Compare(p.srcBucket, p.dstBucket, testcloud.CompareOptions{Ignore: []string{"oms/", tt.key}}); len(diff) > 0 {
				t.Fatal(diff)
			}
		})
	}
}

// TestDamageAtTheDestinationIsFound: whatever the store gives as evidence, an object that lies there damaged is never
// counted as migrated (D1). A store whose own ETag or checksum covers the damage up can only be caught by reading
// back, which is done where it gives no evidence at all.
func TestDamageAtTheDestinationIsFound(t *testing.T) {
	swapped := func(b []byte) []byte { return fillBytes(len(b), 999) }
	for _, profile := range []testcloud.Profile{testcloud.AWS(), testcloud.OBS(), testcloud.OpaqueETag(), testcloud.Clone()} {
		faults := map[string]testcloud.Fault{
			"flipped bit": testcloud.Corrupt(testcloud.FlipBit(1234)), "lost tail": testcloud.Corrupt(testcloud.Chop(1)),
			"chunk frames": testcloud.Corrupt(testcloud.ChunkFrames), "other content": testcloud.Corrupt(swapped),
		}
		if profile.ETag == testcloud.ETagOpaque {
			faults["covered up"] = testcloud.CorruptSilently(testcloud.FlipBit(77))
		}
		for name, fault := range faults {
			ops := []testcloud.Op{testcloud.PutObject, testcloud.UploadPart}
			if name != "flipped bit" && profile.ETag != testcloud.ETagOpaque {
				ops = ops[:1] // the evidence for parts is the same
			}
			for _, op := range ops {
				t.Run(profile.Name+", "+name+", "+string(op), func(t *testing.T) {
					t.Parallel()
					p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
					size := 5000
					if op == testcloud.UploadPart {
						size = 9 << 20
					}
					p.srcBucket.PutAt("k", fillBytes(size, 1), testcloud.Attrs{}, old)
					p.srcBucket.PutAt("k2", fillBytes(10, 1), testcloud.Attrs{}, old)
					p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{op}, Key: testcloud.KeyIs("k"), Fault: fault})
					task := newRun(t, p, wholeBucket())
					if profile.ETag == testcloud.ETagOpaque {
						task.wrapDst = func(s store) storage.Writer { return deaf{s} }
					}
					c := task.mustFinish(t)
					if c.Failed != 1 || c.Migrated != 1 {
						t.Fatalf("damage passed: %+v, proofs %v", c, task.stats.Proofs)
					}
					for _, f := range task.journal.failures {
						if f.Code != oms.FailConsistency && f.Code != oms.FailUpload && f.Code != oms.FailComplete {
							t.Errorf("code %s", f.Code)
						}
					}
					p.dst.Faults.Clear() // and it heals when it is tried again
					again := newRun(t, p, wholeBucket())
					again.spec.Overwrite = oms.FullOverwrite // the damaged object may lie there
					if again.mustFinish(t); !t.Failed() {
						p.mustBeEqual(t)
					}
				})
			}
		}
	}
}

// TestEveryProfileIsProved: an honest copy is proved in each store, by the evidence that the store gives.
func TestEveryProfileIsProved(t *testing.T) {
	for _, tt := range []struct {
		profile testcloud.Profile
		deaf    bool
		want    transfer.Proof
	}{
		{testcloud.AWS(), false, transfer.ProvedCRC32C},
		{testcloud.OBS(), false, transfer.ProvedMD5},
		{testcloud.OBS(), true, transfer.ProvedMD5},
		{testcloud.OpaqueETag(), false, transfer.ProvedMD5}, // it enforces Content-MD5
		{testcloud.OpaqueETag(), true, transfer.ProvedReadBack},
		{testcloud.V1Only(), false, transfer.ProvedMD5},
		{testcloud.Clone(), false, transfer.ProvedMD5},
	} {
		t.Run(tt.profile.Name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: tt.profile})
			p.fill(10)
			p.srcBucket.PutAt("large", fillBytes(9<<20, 3), testcloud.Attrs{}, old)
			task := newRun(t, p, wholeBucket())
			if tt.deaf {
				task.wrapDst = func(s store) storage.Writer { return deaf{s} }
			}
			task.mustFinish(t)
			p.mustBeEqual(t)
			if got := task.stats.Proofs[tt.want]; got != 11 {
				t.Errorf("proofs %v, want all of kind %v", task.stats.Proofs, tt.want)
			}
		})
	}
}

// deaf is a store that takes no checksums with a write.
type deaf struct{ store }

func (d deaf) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	req.Sums = storage.Sums{}
	return d.store.Put(ctx, req)
}

func (d deaf) PutPart(ctx context.Context, req storage.PartRequest) (storage.Written, error) {
	req.Sums = storage.Sums{}
	return d.store.PutPart(ctx, req)
}

// TestSlowButMovingIsNotCutOff: neither a slow store nor the task's own limit is a stall.
func TestSlowButMovingIsNotCutOff(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.srcBucket.PutAt("slow", fillBytes(24<<10, 1), testcloud.Attrs{}, old)
	p.srcBucket.PutAt("limited", fillBytes(600<<10, 2), testcloud.Attrs{}, old)
	p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("slow"), Fault: testcloud.Rate(6 << 10)})
	task := newRun(t, p, wholeBucket())
	task.opts.Stall = 2 * time.Second
	j, ranges, uploads, err := task.job(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	j.SetLimit(128 << 10)
	if err := j.Run(t.Context(), ranges, uploads); err != nil {
		t.Fatal(err)
	}
	p.mustBeEqual(t)
	if n := p.src.Count(testcloud.GetObject); n != 2 {
		t.Errorf("%d reads for two objects", n)
	}
}

// TestObjectChangedBetweenListAndCopy: the object arrives as it is now, whichever way its size went.
func TestObjectChangedBetweenListAndCopy(t *testing.T) {
	sizes := map[string][2]int{
		"small to smaller": {5000, 10}, "small to empty": {5000, 0}, "small to large": {5000, 9 << 20},
		"large to small": {9 << 20, 5000}, "large to larger": {9 << 20, 17 << 20}, "same size": {5000, 5000},
	}
	for name, size := range sizes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			p.srcBucket.PutAt("k", fillBytes(size[0], 1), testcloud.Attrs{}, old)
			task := newRun(t, p, wholeBucket())
			task.opts.Workers = 1 // it must not wait for itself
			task.wrapSrc = func(s store) storage.Reader {
				return afterListing{s, func() { p.srcBucket.PutAt("k", fillBytes(size[1], 2), testcloud.Attrs{}, old.Add(time.Hour)) }}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := task.do(ctx, t); err != nil {
				t.Fatal(err)
			}
			if c := task.journal.mustBeDone(t); c.Migrated != 1 || c.ListedBytes != int64(size[1]) {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
		})
	}
}

// afterListing does something right after the listing was read.
type afterListing struct {
	store
	act func()
}

func (a afterListing) List(ctx context.Context, o storage.ListOptions) (storage.Page, error) {
	page, err := a.store.List(ctx, o)
	a.act()
	return page, err
}

// TestChangeInTheMiddleOfAMultipartCopy: the parts of two versions never mix (D2).
func TestChangeInTheMiddleOfAMultipartCopy(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.srcBucket.PutAt("k", fillBytes(20<<20, 1), testcloud.Attrs{ContentType: "text/old"}, old)
	task := newRun(t, p, wholeBucket())
	task.opts.Workers = 2
	var once sync.Once
	task.wrapSrc = func(s store) storage.Reader {
		return beforeRead{s, func(_ string, o storage.OpenOptions) {
			if o.Range != nil && o.Range.Offset == 16<<20 { // the last part
				once.Do(func() {
					p.srcBucket.PutAt("k", fillBytes(20<<20, 2), testcloud.Attrs{ContentType: "text/new"}, old.Add(time.Hour))
				})
			}
		}}
	}
	if c := task.mustFinish(t); c.Migrated != 1 || c.MovedBytes != 20<<20 {
		t.Fatalf("got %+v", c)
	}
	p.mustBeEqual(t)
}

// beforeRead does something before each read.
type beforeRead struct {
	store
	act func(key string, o storage.OpenOptions)
}

func (b beforeRead) Open(ctx context.Context, key string, o storage.OpenOptions) (storage.Content, error) {
	b.act(key, o)
	return b.store.Open(ctx, key, o)
}

// hookedParts does something before each part is written.
type hookedParts struct {
	store
	before func(number int)
}

func (h hookedParts) PutPart(ctx context.Context, req storage.PartRequest) (storage.Written, error) {
	h.before(req.Number)
	return h.store.PutPart(ctx, req)
}

// TestPanicFailsTheObjectOnly is rule C5.
func TestPanicFailsTheObjectOnly(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(30)
	p.srcBucket.PutAt("large", fillBytes(20<<20, 1), testcloud.Attrs{}, old)
	task := newRun(t, p, wholeBucket())
	task.wrapSrc = func(s store) storage.Reader {
		return beforeRead{s, func(k string, _ storage.OpenOptions) {
			if k == key(3) {
				panic("a bug")
			}
		}}
	}
	task.wrapDst = func(s store) storage.Writer {
		return hookedParts{s, func(n int) {
			if n == 2 {
				panic("part 2")
			}
		}}
	}
	c := task.mustFinish(t)
	if got, want := task.journal.failureCodes(), []string{"large: " + oms.FailUpload, key(3) + ": " + oms.FailGet}; !slices.Equal(got, want) || c.Migrated != 29 {
		t.Fatalf("got %v and %+v, want %v", got, c, want)
	}
	for _, f := range task.journal.failures {
		if strings.Contains(f.Message, "part 2") || strings.Contains(f.Message, "a bug") {
			t.Errorf("the panic shows in %q", f.Message)
		}
	}
	if open := p.dstBucket.Uploads(); len(open) > 0 {
		t.Fatalf("uploads left open: %v", open)
	}
}
