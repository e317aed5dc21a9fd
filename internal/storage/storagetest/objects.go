package storagetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"hash/crc32"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// testSizes round-trips objects around the sizes where code paths change.
func (s *suite) testSizes(t *testing.T) {
	w := s.open(t)
	const kib = 1 << 10
	for _, size := range []int{0, 1, 4 * kib, 16*kib - 1, 16 * kib, 16*kib + 1, 64 * kib, 256*kib + 1, 1024*kib + 3} {
		key, data := "size-"+strconv.Itoa(size), Data(uint64(size), size)
		put(t, w, key, data)
		wantData(t, key, get(t, w, key), data)
		wantData(t, key+", size told", read(t, w, key, storage.OpenOptions{Size: int64(size)}), data)
		o, err := w.Stat(t.Context(), key)
		if err != nil {
			t.Fatalf("stat %s: %v", key, err)
		}
		if o.Key != key || o.Size != int64(size) {
			t.Errorf("stat %s: got key %q, size %d", key, o.Key, o.Size)
		}
		recent(t, "mod time of "+key, o.ModTime)
	}
}

func (s *suite) testOverwrite(t *testing.T) {
	w := s.open(t)
	first, second := Data(1, 40_000), Data(2, 20_000)
	put(t, w, "k", first)
	put(t, w, "k", second)
	wantData(t, "overwritten", get(t, w, "k"), second)
}

func (s *suite) testDelete(t *testing.T) {
	w := s.open(t)
	put(t, w, "k", []byte("x"))
	for range 2 { // what is gone is no error
		if err := w.Delete(t.Context(), "k"); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	_, err := w.Stat(t.Context(), "k")
	wantKind(t, "stat after delete", err, oms.NotFound)
}

func (s *suite) testMissing(t *testing.T) {
	w := s.open(t)
	_, err := w.Stat(t.Context(), "no/such/key")
	wantKind(t, "stat", err, oms.NotFound)
	_, err = w.Open(t.Context(), "no/such/key", storage.OpenOptions{Size: -1})
	wantKind(t, "open", err, oms.NotFound)
	_, err = w.Open(t.Context(), "no/such/key", storage.OpenOptions{Size: 10, Range: &storage.ByteRange{Size: 5}})
	wantKind(t, "open range", err, oms.NotFound)
}

// testRanges covers rule D8.
func (s *suite) testRanges(t *testing.T) {
	w := s.open(t)
	const size = 100_000
	data := Data(3, size)
	put(t, w, "k", data)
	for _, r := range []storage.ByteRange{
		{Offset: 0, Size: 1},
		{Offset: size - 1, Size: 1},
		{Offset: 0, Size: size},
		{Offset: 33_333, Size: 44_444},
		{Offset: size / 2, Size: size / 2},
	} {
		what := strconv.FormatInt(r.Offset, 10) + "+" + strconv.FormatInt(r.Size, 10)
		wantData(t, what, read(t, w, "k", storage.OpenOptions{Range: &r, Size: size}), data[r.Offset:r.Offset+r.Size])
	}
	for _, r := range []storage.ByteRange{{Offset: size, Size: 1}, {Offset: size + 1000, Size: 10}, {Offset: size - 10, Size: 11}} {
		_, err := w.Open(t.Context(), "k", storage.OpenOptions{Range: &r, Size: -1})
		wantKind(t, "range over the end", err, oms.Changed)
	}
	for _, r := range []storage.ByteRange{{Offset: -1, Size: 2}, {Offset: 5, Size: 0}, {Offset: 5, Size: -1}} {
		_, err := w.Open(t.Context(), "k", storage.OpenOptions{Range: &r, Size: -1})
		wantKind(t, "impossible range", err, oms.Invalid)
	}
}

// testIfMatch covers rule D2.
func (s *suite) testIfMatch(t *testing.T) {
	w := s.open(t)
	first, second := Data(4, 10_000), Data(5, 10_000) // the same size (rule H3)
	put(t, w, "k", first)
	o, err := w.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if o.ETag == "" {
		t.Fatal("no ETag")
	}
	r := storage.ByteRange{Offset: 100, Size: 1000}
	wantData(t, "matching", read(t, w, "k", storage.OpenOptions{IfMatch: o.ETag, Size: o.Size}), first)
	wantData(t, "matching range", read(t, w, "k", storage.OpenOptions{IfMatch: o.ETag, Size: o.Size, Range: &r}), first[100:1100])
	put(t, w, "k", second)
	_, err = w.Open(t.Context(), "k", storage.OpenOptions{IfMatch: o.ETag, Size: o.Size})
	wantKind(t, "replaced", err, oms.Changed)
	_, err = w.Open(t.Context(), "k", storage.OpenOptions{IfMatch: o.ETag, Size: o.Size, Range: &r})
	wantKind(t, "replaced, range", err, oms.Changed)
}

// testExpected covers rule D4: the size that the listing told decides.
func (s *suite) testExpected(t *testing.T) {
	w := s.open(t)
	put(t, w, "k", Data(6, 1000))
	for _, size := range []int64{0, 999, 1001} {
		_, err := w.Open(t.Context(), "k", storage.OpenOptions{Size: size})
		wantKind(t, "open with the size "+strconv.FormatInt(size, 10), err, oms.Changed)
	}
}

// testSums sends right and wrong checksums.
func (s *suite) testSums(t *testing.T) {
	w := s.open(t)
	for _, size := range []int{5, 100_000} {
		data := Data(7, size)
		right := storage.Sums{Has: storage.SumCRC32C, CRC32C: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))}
		send := func(key string, sums storage.Sums) error {
			_, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: bytes.NewReader(data), Size: int64(size), Sums: sums})
			return err
		}
		if err := send("crc-right", right); err != nil {
			t.Errorf("right CRC-32C: %v", err)
		}
		wantData(t, "crc-right", get(t, w, "crc-right"), data)
		wrong := right
		wrong.CRC32C++
		err := send("crc-wrong", wrong)
		if s.crcEnforced {
			wantKind(t, "wrong CRC-32C", err, oms.Corrupt)
			_, err = w.Stat(t.Context(), "crc-wrong")
			wantKind(t, "stat of what was refused", err, oms.NotFound)
		} else if err != nil {
			t.Errorf("wrong CRC-32C is enforced though not listed: %v", err)
		}
		md := storage.Sums{Has: storage.SumMD5, MD5: md5.Sum(data)}
		if err := send("md5-right", md); err != nil {
			t.Errorf("right MD5: %v", err)
		}
		md.MD5[0]++
		if err := send("md5-wrong", md); s.md5Enforced {
			wantKind(t, "wrong MD5", err, oms.Corrupt)
		}
	}
}

// fullAttrs are properties with everything in them.
func fullAttrs() storage.Attrs {
	return storage.Attrs{
		ContentType:        "text/x-test; charset=utf-8",
		ContentEncoding:    "x-test", // data, never undone (rule D10)
		ContentDisposition: `attachment; filename="a b.txt"`,
		ContentLanguage:    "de-CH",
		CacheControl:       "max-age=60, private",
		Expires:            "Fri, 01 Jan 2100 00:00:00 GMT",
		Metadata: map[string]string{
			"plain": "value", "inner": "two words", "dash-name": "1", "unicode": "naïve 中文 😀", "punctuation": `a=b;"c"&<d>`,
		},
	}
}

// wantAttrs compares what a bucket returns with what was written, the storage class aside, which servers fill in.
func wantAttrs(t *testing.T, r storage.Reader, key string, want storage.Attrs) {
	t.Helper()
	o, err := r.Stat(t.Context(), key)
	if err != nil {
		t.Fatalf("stat %q: %v", key, err)
	}
	c, err := r.Open(t.Context(), key, storage.OpenOptions{Size: -1})
	if err != nil {
		t.Fatalf("open %q: %v", key, err)
	}
	_ = c.Body.Close()
	for what, got := range map[string]storage.Attrs{"stat": o.Attrs, "open": c.Attrs} {
		got.StorageClass = want.StorageClass
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %q: properties differ (-want +got):\n%s", what, key, diff)
		}
	}
}

func (s *suite) testMetadata(t *testing.T) {
	w := s.open(t)
	for _, size := range []int{0, 100, 100_000} {
		data := Data(8, size)
		key := "meta-" + strconv.Itoa(size)
		_, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: bytes.NewReader(data), Size: int64(size), Attrs: fullAttrs()})
		if err != nil {
			t.Fatalf("put: %v", err)
		}
		wantAttrs(t, w, key, fullAttrs())
		wantData(t, key, get(t, w, key), data)
	}
}

// testBodyShort covers: nothing is visible until Put returns nil.
func (s *suite) testBodyShort(t *testing.T) {
	w := s.open(t)
	for _, size := range []int{10, 200_000} {
		key, data := "short-"+strconv.Itoa(size), Data(9, size)
		req := storage.PutRequest{Key: key, Body: bytes.NewReader(data[:size-1]), Size: int64(size)}
		if s.truncates {
			req.Sums = storage.Sums{Has: storage.SumCRC32C, CRC32C: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))}
		}
		if _, err := w.Put(t.Context(), req); err == nil {
			t.Errorf("%s: a body with a byte too few was taken", key)
		}
		_, err := w.Stat(t.Context(), key)
		wantKind(t, "stat "+key, err, oms.NotFound)
	}
}

// testBodyError checks that the error of a body comes back, so that a source's fault is not laid on the destination.
func (s *suite) testBodyError(t *testing.T) {
	w := s.open(t)
	for _, size := range []int{10, 400_000} {
		cause := &oms.Error{Op: "read source", Kind: oms.Changed}
		body := io.MultiReader(bytes.NewReader(Data(10, size/2)), failing{cause})
		_, err := w.Put(t.Context(), storage.PutRequest{Key: "k", Body: body, Size: int64(size)})
		if !errors.Is(err, oms.Changed) {
			t.Errorf("size %d: got %v, want the error of the body", size, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// watched notices when it is read after the call that it was given to has returned (rule C3).
type watched struct {
	io.Reader
	onRead   func()
	returned atomic.Bool
	late     atomic.Int64
}

func (w *watched) Read(p []byte) (int, error) {
	if w.returned.Load() {
		w.late.Add(1)
	}
	clear(p) // as the owner of a pooled buffer would: the race detector sees a Read that overlaps the check below
	n, err := w.Reader.Read(p[:min(len(p), 32<<10)])
	w.onRead()
	return n, err
}

func (s *suite) testBodyReleased(t *testing.T) {
	w := s.open(t)
	const size = 8 << 20
	data := Data(11, size)
	for i := range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		body := &watched{Reader: bytes.NewReader(data), onRead: func() {
			if reads++; reads == 10*i+1 {
				cancel()
			}
		}}
		_, err := w.Put(ctx, storage.PutRequest{Key: "k", Body: body, Size: size})
		body.returned.Store(true)
		reads++ // not guarded on purpose
		if err != nil && !oms.Canceled(err) {
			t.Errorf("cancel at read %d: got %v, want the context's error", 10*i+1, err)
		}
		_, err = w.Stat(t.Context(), "k") // another request on whatever the transport still does
		if err != nil {
			wantKind(t, "stat", err, oms.NotFound)
		}
		if n := body.late.Load(); n > 0 {
			t.Errorf("the body was read %d times after Put had returned", n)
		}
		cancel()
	}
}

func (s *suite) testCancel(t *testing.T) {
	w := s.open(t)
	put(t, w, "k", Data(12, 4<<20))
	ctx := cancelled(t)
	_, err := w.Stat(ctx, "k")
	wantCanceled(t, "stat", err)
	_, err = w.List(ctx, storage.ListOptions{})
	wantCanceled(t, "list", err)
	_, err = w.Open(ctx, "k", storage.OpenOptions{Size: -1})
	wantCanceled(t, "open", err)
	_, err = w.Put(ctx, storage.PutRequest{Key: "k2", Body: bytes.NewReader([]byte("x")), Size: 1})
	wantCanceled(t, "put", err)
	wantCanceled(t, "delete", w.Delete(ctx, "k"))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := w.Open(ctx, "k", storage.OpenOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err = io.Copy(io.Discard, c.Body); err != nil { // a small rest may have been there already
		wantCanceled(t, "body", err)
	}
	_ = c.Body.Close()
}

func wantCanceled(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%s with a cancelled context: got %v, want context.Canceled", what, err)
	}
}

func (s *suite) testConcurrent(t *testing.T) {
	w := s.open(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			key, data := "c/"+strconv.Itoa(i), Data(uint64(100+i), 1000*i*i)
			for range 3 {
				put(t, w, key, data)
				wantData(t, key, get(t, w, key), data)
				if _, err := w.List(t.Context(), storage.ListOptions{Prefix: "c/"}); err != nil {
					t.Errorf("list: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func (s *suite) testMissingBucket(t *testing.T) {
	w := s.missing(t)
	_, err := w.List(t.Context(), storage.ListOptions{})
	wantKind(t, "list", err, oms.NoBucket)
	_, err = w.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
	wantKind(t, "open", err, oms.NoBucket, oms.NotFound)
	_, err = w.Stat(t.Context(), "k")
	wantKind(t, "stat", err, oms.NoBucket, oms.NotFound) // HEAD has no body to tell them apart
	_, err = w.Put(t.Context(), storage.PutRequest{Key: "k", Body: bytes.NewReader([]byte("x")), Size: 1})
	wantKind(t, "put", err, oms.NoBucket)
	if l, ok := w.(storage.BucketLister); ok {
		wantKind(t, "check bucket", l.CheckBucket(t.Context()), oms.NoBucket)
	}
}

func (s *suite) testWrongKeys(t *testing.T) {
	w := s.wrongKeys(t)
	_, err := w.List(t.Context(), storage.ListOptions{})
	wantKind(t, "list", err, oms.Denied)
	_, err = w.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
	wantKind(t, "open", err, oms.Denied)
	_, err = w.Stat(t.Context(), "k")
	wantKind(t, "stat", err, oms.Denied)
	_, err = w.Put(t.Context(), storage.PutRequest{Key: "k", Body: bytes.NewReader([]byte("x")), Size: 1})
	wantKind(t, "put", err, oms.Denied)
	wantKind(t, "delete", w.Delete(t.Context(), "k"), oms.Denied)
	if l, ok := w.(storage.BucketLister); ok {
		wantKind(t, "check bucket", l.CheckBucket(t.Context()), oms.Denied)
	}
}
