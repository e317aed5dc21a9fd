package transfer_test

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// TestResumeSendsNoPartTwice: after a crash in the middle of a large object only what was not there is sent (P8).
func TestResumeSendsNoPartTwice(t *testing.T) {
	t.Parallel()
	const size = 104<<20 + 5
	for _, profile := range []testcloud.Profile{testcloud.AWS(), testcloud.Plain()} {
		t.Run(profile.Name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{Profile: testcloud.Plain()}, testcloud.Options{Profile: profile})
			space := testcloud.Numbers(1, testcloud.Shape{Size: testcloud.FixedSize(size)})
			p.srcBucket = p.src.Generated("src", space, testcloud.GeneratedOptions{MD5Limit: -1})
			task := newRun(t, p, wholeBucket())
			task.opts.Workers = 3
			ctx, cancel := context.WithCancel(t.Context())
			task.wrapDst = func(s store) storage.Writer {
				return hookedParts{s, func(n int) {
					if n == 9 {
						task.journal.freeze()
						cancel()
					}
				}}
			}
			if err := task.do(ctx, t); err == nil {
				t.Fatal("the first run ended")
			}
			there := p.dstBucket.Uploads()
			if len(there) != 1 || len(there[0].Parts) < 5 {
				t.Fatalf("uploads: %+v", there)
			}
			var stored []int
			for _, u := range task.journal.uploads {
				for _, part := range u.Parts {
					stored = append(stored, part.Number)
				}
			}
			if len(stored) < 5 {
				t.Fatalf("proved parts: %v", stored)
			}
			p.dst.ClearRecords()
			task.wrapDst = nil
			c := task.mustFinish(t)
			sent := 0
			for _, req := range p.dst.Requests() {
				if req.Op != testcloud.UploadPart || req.Status != 200 {
					continue
				}
				sent++
				query, err := url.ParseQuery(req.RawQuery)
				must(t, err)
				if n, err := strconv.Atoi(query.Get("partNumber")); err != nil || slices.Contains(stored, n) {
					t.Errorf("part %d was there and is sent again, %v", n, err)
				}
			}
			if want := 14 - len(stored); sent > want+3 { // those of three workers may have been on their way
				t.Errorf("%d parts sent, %d were missing", sent, want)
			}
			if c.Migrated != 1 || c.MovedBytes != size {
				t.Errorf("got %+v", c)
			}
			p.mustBeEqual(t)
		})
	}
}

// TestUploadsOfEarlierRuns: what an earlier run left open is taken up only if it still fits; everything else goes, at
// the store and in the journal (C2).
func TestUploadsOfEarlierRuns(t *testing.T) {
	const size = 9 << 20
	tests := map[string]func(t *testing.T, s store, u *oms.Upload){
		"an intent only": func(t *testing.T, s store, u *oms.Upload) { u.UploadID = "" },
		"vanished":       func(t *testing.T, s store, u *oms.Upload) { must(t, s.AbortUpload(t.Context(), "k", u.UploadID)) },
		"of another version": func(_ *testing.T, _ store, u *oms.Upload) {
			u.ETag = "0123456789abcdef0123456789abcdef"
		},
		"of another size":  func(_ *testing.T, _ store, u *oms.Upload) { u.Size++ },
		"other part sizes": func(_ *testing.T, _ store, u *oms.Upload) { u.PartSize = 5 << 20 },
		"fits":             func(*testing.T, store, *oms.Upload) {},
		"a part of the wrong size": func(t *testing.T, s store, u *oms.Upload) {
			putPart(t, s, u.UploadID, 2, fillBytes(5<<20, 4))
		},
		"a part with other bytes, never proved": func(t *testing.T, s store, u *oms.Upload) {
			putPart(t, s, u.UploadID, 1, fillBytes(8<<20, 4))
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{Profile: testcloud.Plain()}, testcloud.Options{Profile: testcloud.Plain()})
			o := p.srcBucket.PutAt("k", fillBytes(size, 1), testcloud.Attrs{}, old)
			s := open(t, p.dstURL, "dst")
			id, err := s.CreateUpload(t.Context(), "k", storage.Attrs{})
			must(t, err)
			u := oms.Upload{TaskID: 1, Key: "k", UploadID: id, Size: size, ETag: o.ETag, PartSize: 8 << 20}
			prepare(t, s, &u)
			task := newRun(t, p, wholeBucket())
			must(t, task.journal.OpenUpload(t.Context(), u))
			if c := task.mustFinish(t); c.Migrated != 1 || c.MovedBytes != size {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
		})
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func putPart(tb testing.TB, s store, id string, number int, body []byte) {
	tb.Helper()
	_, err := s.PutPart(tb.Context(), storage.PartRequest{Key: "k", UploadID: id, Number: number, Size: int64(len(body)), Body: readerOf(body)})
	must(tb, err)
}

// noETags is a source whose ETags pin no version.
type noETags struct {
	store
	etag  string
	opens chan storage.OpenOptions
}

func (n noETags) List(ctx context.Context, o storage.ListOptions) (storage.Page, error) {
	page, err := n.store.List(ctx, o)
	for i := range page.Objects {
		page.Objects[i].ETag = n.etag
	}
	return page, err
}

func (n noETags) Stat(ctx context.Context, k string) (storage.Object, error) {
	o, err := n.store.Stat(ctx, k)
	o.ETag = n.etag
	return o, err
}

func (n noETags) Open(ctx context.Context, k string, o storage.OpenOptions) (storage.Content, error) {
	n.opens <- o
	c, err := n.store.Open(ctx, k, o)
	c.ETag = n.etag
	return c, err
}

// TestWithoutStrongETagOneStream is rule D2: without a strong ETag an object is read once, from the first byte.
func TestWithoutStrongETagOneStream(t *testing.T) {
	t.Parallel()
	for _, etag := range []string{"", `W/"weak"`} {
		t.Run("etag "+etag, func(t *testing.T) {
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			p.srcBucket.PutAt("k", fillBytes(17<<20, 1), testcloud.Attrs{}, old)
			p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Count: 1, Fault: testcloud.ResetAfter(9 << 20)})
			task := newRun(t, p, wholeBucket())
			opens := make(chan storage.OpenOptions, 100)
			task.wrapSrc = func(s store) storage.Reader { return noETags{s, etag, opens} }
			if c := task.mustFinish(t); c.Migrated != 1 {
				t.Fatalf("got %+v", c)
			}
			p.mustBeEqual(t)
			if len(opens) != 2 {
				t.Errorf("%d reads, want a broken one and a whole one", len(opens))
			}
			for len(opens) > 0 {
				if o := <-opens; o.Range != nil || o.IfMatch != "" {
					t.Errorf("read %+v", o)
				}
			}
		})
	}
	for code, want := range map[string]string{"InvalidObjectState": oms.FailArchived, "NoSuchKey": oms.FailMissing} {
		t.Run(code, func(t *testing.T) {
			p := newPair(t, testcloud.Options{}, testcloud.Options{})
			p.srcBucket.PutAt("k", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
			status := map[string]int{"InvalidObjectState": 403, "NoSuchKey": 404}[code]
			p.src.Faults.On(testcloud.GetObject, testcloud.Fail(status, code))
			task := newRun(t, p, wholeBucket())
			task.wrapSrc = func(s store) storage.Reader { return noETags{s, "", make(chan storage.OpenOptions, 100)} }
			task.mustFinish(t)
			if got := task.journal.failureCodes(); !slices.Equal(got, []string{"k: " + want}) {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

// wideParts is a store whose parts are larger than a buffer.
type wideParts struct{ store }

func (w wideParts) PartLimits() storage.PartLimits {
	lim := w.store.PartLimits()
	lim.MinPart = transfer.MaxBuffer + 1
	return lim
}

// TestPartsThatStream: parts too large for a buffer are proved like the others, and each side's trouble is that
// side's.
func TestPartsThatStream(t *testing.T) {
	t.Parallel()
	const size = transfer.MaxBuffer + 3<<20
	tests := map[string]struct {
		prepare func(p *pair)
		failed  string
		stopped oms.Kind
	}{
		"plainly": {},
		"broken reads and writes": {prepare: func(p *pair) {
			p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Count: 1, Fault: testcloud.ResetAfter(1 << 20)})
			p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.UploadPart}, Count: 1, Fault: testcloud.SlowDown()})
			p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.UploadPart}, Skip: 1, Count: 1, Fault: testcloud.Corrupt(testcloud.FlipBit(3))})
		}},
		"denied write": {failed: oms.FailUpload, prepare: func(p *pair) {
			p.dst.Faults.On(testcloud.UploadPart, testcloud.Fail(403, "AccessDenied"))
		}},
		"no space": {stopped: oms.Full, prepare: func(p *pair) {
			p.dst.Faults.On(testcloud.UploadPart, testcloud.Fail(403, "QuotaExceeded"))
		}},
		"archived": {failed: oms.FailArchived, prepare: func(p *pair) {
			p.src.Faults.On(testcloud.GetObject, testcloud.Fail(403, "InvalidObjectState"))
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{Profile: testcloud.Plain()}, testcloud.Options{Profile: testcloud.Plain()})
			space := testcloud.Numbers(1, testcloud.Shape{Size: testcloud.FixedSize(size)})
			p.srcBucket = p.src.Generated("src", space, testcloud.GeneratedOptions{MD5Limit: -1})
			task := newRun(t, p, wholeBucket())
			task.wrapDst = func(s store) storage.Writer { return wideParts{s} }
			if tt.prepare != nil {
				tt.prepare(p)
			}
			if tt.stopped != oms.Other {
				mustStop(t, task.do(t.Context(), t), oms.Destination, tt.stopped)
				return
			}
			c := task.mustFinish(t)
			if tt.failed != "" {
				if got := task.journal.failureCodes(); !slices.Equal(got, []string{"0: " + tt.failed}) {
					t.Fatalf("got %v, want %s", got, tt.failed)
				}
				return
			}
			if c.Migrated != 1 || task.stats.Proofs[transfer.ProvedMD5] != 1 {
				t.Fatalf("got %+v, proofs %v", c, task.stats.Proofs)
			}
			p.mustBeEqual(t)
		})
	}
}

// tinyStore takes few and small parts.
type tinyStore struct{ store }

func (tinyStore) PartLimits() storage.PartLimits {
	return storage.PartLimits{MinPart: 5 << 20, MaxPart: 5 << 20, MaxParts: 3}
}

func TestObjectLargerThanTheStoreTakes(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.srcBucket.PutAt("k", fillBytes(16<<20, 1), testcloud.Attrs{}, old)
	task := newRun(t, p, wholeBucket())
	task.wrapDst = func(s store) storage.Writer { return tinyStore{s} }
	task.mustFinish(t)
	if got := task.journal.failureCodes(); !slices.Equal(got, []string{"k: " + oms.FailInitUpload}) || p.dstBucket.Received("k") != 0 {
		t.Fatalf("got %v after %d bytes", got, p.dstBucket.Received("k"))
	}
}

// TestMetadataIsTheSameForEverySize is rule D5, around the size where objects are cut into parts.
func TestMetadataIsTheSameForEverySize(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	full := testcloud.Attrs{
		ContentType: "text/x-test; charset=utf-8", ContentEncoding: "gzip", ContentDisposition: `attachment; filename="ä.txt"`,
		ContentLanguage: "de", CacheControl: "max-age=60", Expires: "Thu, 01 Dec 2033 16:00:00 GMT",
		Meta: map[string]string{"a": "1", "with-dash": "two words", "umlaut": "=?UTF-8?B?w6Q=?="},
	}
	for i, size := range []int{8<<20 - 1, 8 << 20, 8<<20 + 1} {
		p.srcBucket.PutAt(key(i), fillBytes(size, uint64(i)), full, old)
	}
	newRun(t, p, wholeBucket()).mustFinish(t)
	p.mustBeEqual(t)

	bare := wholeBucket() // without metadata: Content-Type and Content-Encoding only (OMS v2, 6.7)
	bare.MigrateMetadata, bare.Dst.SavePrefix = false, "bare/"
	newRun(t, p, bare).mustFinish(t)
	for i := range 3 {
		o, ok := p.dstBucket.Get("bare/" + key(i))
		if !ok || o.ContentType != full.ContentType || o.ContentEncoding != "gzip" || o.CacheControl != "" || len(o.Meta) > 0 || o.ContentDisposition != "" {
			t.Errorf("size %d: %+v", o.Size, o.Attrs)
		}
	}
}

// TestNames: exact names, missing ones, large ones.
func TestNames(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(200)
	p.srcBucket.PutAt("large", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
	spec := wholeBucket()
	spec.Type = oms.TypeObject
	spec.Src.Keys = []string{"large", "missing", "missing/too"}
	for i := range 150 {
		spec.Src.Keys = append(spec.Src.Keys, key(i))
	}
	o, _ := p.srcBucket.Get(key(7))
	p.dstBucket.PutAt(key(7), o.Bytes(), testcloud.Attrs{}, old.Add(time.Hour))
	task := newRun(t, p, spec)
	task.opts.Workers = 2
	c := task.mustFinish(t)
	if c.Listed != 153 || c.Migrated != 150 || c.Skipped != 1 || c.Failed != 2 {
		t.Fatalf("got %+v", c)
	}
	if got, want := task.journal.failureCodes(), []string{"missing/too: 404", "missing: 404"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for _, k := range append(spec.Src.Keys[3:], "large") {
		src, _ := p.srcBucket.Get(k)
		if dst, ok := p.dstBucket.Get(k); !ok || !slices.Equal(dst.Bytes(), src.Bytes()) {
			t.Fatalf("%q did not arrive", k)
		}
	}
}

// TestFailuresAreTriedAgain: a later run moves only what failed, and the books follow.
func TestFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.fill(150)
	p.srcBucket.PutAt("large", fillBytes(9<<20, 1), testcloud.Attrs{}, old)
	bad := func(k string) bool { return k == "large" || k < key(1) }
	p.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: bad, Fault: testcloud.Fail(403, "AccessDenied")})
	task := newRun(t, p, wholeBucket())
	first := task.mustFinish(t)
	if first.Failed < 20 || int(first.Failed) != len(task.journal.failures) {
		t.Fatalf("got %+v, %d failures", first, len(task.journal.failures))
	}
	p.src.Faults.Clear()
	stays := slices.Sorted(func(yield func(string) bool) {
		for k := range task.journal.failures {
			if !yield(k) {
				return
			}
		}
	})
	p.srcBucket.Delete(stays[0])                                                             // it is gone now
	p.srcBucket.PutAt(stays[1], fillBytes(3000, 5), testcloud.Attrs{}, old.Add(time.Minute)) // it has another size now
	reads := p.src.Count(testcloud.GetObject)
	task.journal.add(oms.Range{Kind: oms.RangeFailures})
	sum := task.mustFinish(t)
	if sum.Failed != 1 || sum.Listed != first.Listed || sum.Migrated != first.Migrated+first.Failed-1 {
		t.Fatalf("first %+v, then %+v", first, sum)
	}
	if got := task.journal.failureCodes(); !slices.Equal(got, []string{stays[0] + ": " + oms.FailMissing}) {
		t.Fatalf("failures left: %v", got)
	}
	if again := p.src.Count(testcloud.GetObject) - reads; again > first.Failed+1 { // the large one has two parts
		t.Errorf("%d reads for %d failures", again, first.Failed)
	}
	p.dstBucket.Delete(stays[0])
	p.mustBeEqual(t)
}

// TestCRC64Mode: equal checksums skip whatever the times say, different ones copy; without them size and time decide.
func TestCRC64Mode(t *testing.T) {
	with := testcloud.OBS()
	with.CRC64Header = "X-Obs-Hash-Crc64ecma"
	for _, tt := range []struct {
		name                  string
		profile               testcloud.Profile
		sameOlder, otherNewer oms.Counters
	}{
		{"both report it", with, oms.Counters{Skipped: 1}, oms.Counters{Migrated: 1}},
		{"nobody reports it", testcloud.OBS(), oms.Counters{Migrated: 1}, oms.Counters{Skipped: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, want := range []oms.Counters{tt.sameOlder, tt.otherNewer} {
				p := newPair(t, testcloud.Options{Profile: tt.profile}, testcloud.Options{Profile: tt.profile})
				p.srcBucket.PutAt("k", fillBytes(500, 1), testcloud.Attrs{}, old)
				if i == 0 { // the same bytes, but older than the source
					p.dstBucket.PutAt("k", fillBytes(500, 1), testcloud.Attrs{}, old.Add(-time.Hour))
				} else { // other bytes of the same size, newer than the source
					p.dstBucket.PutAt("k", fillBytes(500, 2), testcloud.Attrs{}, old.Add(time.Hour))
				}
				spec := wholeBucket()
				spec.Overwrite = oms.OverwriteIfCRC64
				task := newRun(t, p, spec)
				task.cloud = oms.CloudHuawei
				if c := task.mustFinish(t); c.Skipped != want.Skipped || c.Migrated != want.Migrated {
					t.Errorf("case %d: got %+v, want %+v", i, c, want)
				}
			}
		})
	}
}

// TestCRC64ObjectGrewLarge: the look at both sides finds out that the object is large by now.
func TestCRC64ObjectGrewLarge(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	p.srcBucket.PutAt("k", fillBytes(500, 1), testcloud.Attrs{}, old)
	p.dstBucket.PutAt("k", fillBytes(500, 1), testcloud.Attrs{}, old)
	spec := wholeBucket()
	spec.Overwrite = oms.OverwriteIfCRC64
	task := newRun(t, p, spec)
	task.opts.Workers = 1
	task.wrapSrc = func(s store) storage.Reader {
		return afterListing{s, func() { p.srcBucket.PutAt("k", fillBytes(9<<20, 2), testcloud.Attrs{}, old.Add(time.Hour)) }}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, task.do(ctx, t))
	if c := task.journal.mustBeDone(t); c.Migrated != 1 {
		t.Fatalf("got %+v", c)
	}
	p.mustBeEqual(t)
}

// TestCRC64Check: with the consistency check crc64 a copy counts only if both stores report one CRC64; what a store does not
// report is not held against it, and no other check looks at it.
func TestCRC64Check(t *testing.T) {
	with := testcloud.OBS()
	with.CRC64Header = "X-Obs-Hash-Crc64ecma"
	lies := testcloud.Rule{
		Ops:   []testcloud.Op{testcloud.GetObject, testcloud.HeadObject},
		Fault: testcloud.SetHeader("X-Obs-Hash-Crc64ecma", "12345"),
	}
	for _, tt := range []struct {
		name   string
		dst    testcloud.Profile
		check  oms.ConsistencyCheck
		failed int64
	}{
		{"both report it", with, oms.CheckCRC64, 2},
		{"the destination reports none", testcloud.OBS(), oms.CheckCRC64, 0},
		{"another check", with, oms.CheckSizeModified, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, testcloud.Options{Profile: with}, testcloud.Options{Profile: tt.dst})
			p.srcBucket.Put("small", fillBytes(500, 1), testcloud.Attrs{})
			p.srcBucket.Put("large", fillBytes(9<<20, 2), testcloud.Attrs{})
			p.src.Faults.Add(lies)
			spec := wholeBucket()
			spec.Consistency = tt.check
			task := newRun(t, p, spec)
			task.cloud = oms.CloudHuawei
			if c := task.mustFinish(t); c.Failed != tt.failed || c.Migrated != 2-tt.failed {
				t.Errorf("got %+v, want %d failed", c, tt.failed)
			}
			for _, key := range []string{"small", "large"} {
				if _, there := p.dstBucket.Get(key); there != (tt.failed == 0) {
					t.Errorf("%s is there: %v", key, there)
				}
			}
		})
	}
}
