package storagetest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// multiparter returns the bucket's multipart side and a part size that it takes.
func multiparter(t *testing.T, w storage.Writer) (m storage.Multiparter, partSize int) {
	t.Helper()
	m, ok := w.(storage.Multiparter)
	if !ok {
		t.Fatal("no storage.Multiparter")
	}
	l := m.PartLimits()
	if l.MinPart < 1 || l.MaxPart < l.MinPart || l.MaxParts < 1 || l.MaxSingle < 1 {
		t.Fatalf("part limits %+v make no sense", l)
	}
	return m, int(max(l.MinPart, 64<<10))
}

// putPart sends a part and returns it as CompleteUpload wants it.
func putPart(t *testing.T, m storage.Multiparter, key, id string, number int, data []byte) storage.Part {
	t.Helper()
	got, err := m.PutPart(t.Context(), storage.PartRequest{
		Key: key, UploadID: id, Number: number, Body: bytes.NewReader(data), Size: int64(len(data)),
	})
	if err != nil {
		t.Fatalf("put part %d: %v", number, err)
	}
	if got.ETag == "" {
		t.Errorf("part %d has no ETag", number)
	}
	return storage.Part{Number: number, ETag: got.ETag, Size: int64(len(data))}
}

func createUpload(t *testing.T, m storage.Multiparter, key string, attrs storage.Attrs) string {
	t.Helper()
	id, err := m.CreateUpload(t.Context(), key, attrs)
	if err != nil {
		t.Fatalf("create upload of %q: %v", key, err)
	}
	return id
}

// testMultipart sends parts out of order and resumes from what the server lists.
func (s *suite) testMultipart(t *testing.T) {
	w := s.open(t)
	m, size := multiparter(t, w)
	const key = "dir/großes objekt + mehr"
	data := Data(20, 2*size+1234)
	id := createUpload(t, m, key, storage.Attrs{})
	putPart(t, m, key, id, 3, data[2*size:])
	putPart(t, m, key, id, 1, data[:size])
	if _, err := w.Stat(t.Context(), key); err == nil {
		t.Error("the object is visible before the upload is complete")
	}
	putPart(t, m, key, id, 2, data[size:2*size])

	parts, err := m.ListParts(t.Context(), key, id)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for i, p := range parts {
		if p.Number != i+1 {
			t.Errorf("part %d has number %d", i+1, p.Number)
		}
		sizes = append(sizes, p.Size)
	}
	if want := []int64{int64(size), int64(size), 1234}; !slices.Equal(sizes, want) {
		t.Fatalf("sizes of the parts: got %v, want %v", sizes, want)
	}
	if _, err := m.CompleteUpload(t.Context(), key, id, parts); err != nil {
		t.Fatalf("complete: %v", err)
	}
	wantData(t, key, get(t, w, key), data)
	s.testUploadGone(t, m, key, id, parts)
	wantData(t, key, get(t, w, key), data)
}

// testUploadGone checks what can be done with an upload that ended.
func (s *suite) testUploadGone(t *testing.T, m storage.Multiparter, key, id string, parts []storage.Part) {
	t.Helper()
	if !s.expiring {
		_, err := m.PutPart(t.Context(), storage.PartRequest{Key: key, UploadID: id, Number: 1, Body: strings.NewReader("x"), Size: 1})
		wantKind(t, "part of an upload that ended", err, oms.NotFound)
	}
	_, err := m.ListParts(t.Context(), key, id)
	wantKind(t, "parts of an upload that ended", err, oms.NotFound)
	if err := m.AbortUpload(t.Context(), key, id); err != nil {
		t.Errorf("abort of an upload that ended: %v", err)
	}
	if _, err = m.CompleteUpload(t.Context(), key, id, parts); err != nil { // some stores answer again as the first time
		wantKind(t, "complete of an upload that ended", err, oms.NotFound)
	}
}

func (s *suite) testMultipartReplace(t *testing.T) {
	w := s.open(t)
	m, size := multiparter(t, w)
	first, second, tail := Data(21, size), Data(22, size), Data(23, 10)
	id := createUpload(t, m, "k", storage.Attrs{})
	putPart(t, m, "k", id, 1, first)
	last := putPart(t, m, "k", id, 2, tail)
	again := putPart(t, m, "k", id, 1, second)
	if _, err := m.CompleteUpload(t.Context(), "k", id, []storage.Part{again, last}); err != nil {
		t.Fatalf("complete: %v", err)
	}
	wantData(t, "replaced part", get(t, w, "k"), append(slices.Clone(second), tail...))
}

func (s *suite) testMultipartAbort(t *testing.T) {
	w := s.open(t)
	m, size := multiparter(t, w)
	id := createUpload(t, m, "k", storage.Attrs{})
	part := putPart(t, m, "k", id, 1, Data(24, size))
	if err := m.AbortUpload(t.Context(), "k", id); err != nil {
		t.Fatalf("abort: %v", err)
	}
	if !s.expiring {
		_, err := m.CompleteUpload(t.Context(), "k", id, []storage.Part{part})
		wantKind(t, "complete after abort", err, oms.NotFound)
	}
	if err := m.AbortUpload(t.Context(), "k", id); err != nil {
		t.Errorf("abort again: %v", err)
	}
	_, err := w.Stat(t.Context(), "k")
	wantKind(t, "stat after abort", err, oms.NotFound)
}

// testMultipartMetadata covers rule D5: large objects keep what small ones keep.
func (s *suite) testMultipartMetadata(t *testing.T) {
	w := s.open(t)
	m, _ := multiparter(t, w)
	id := createUpload(t, m, "k", fullAttrs())
	part := putPart(t, m, "k", id, 1, []byte("short"))
	if _, err := m.CompleteUpload(t.Context(), "k", id, []storage.Part{part}); err != nil {
		t.Fatalf("complete: %v", err)
	}
	wantAttrs(t, w, "k", fullAttrs())
}

func (s *suite) testListUploads(t *testing.T) {
	w := s.open(t)
	m, _ := multiparter(t, w)
	want := map[string]string{}
	for _, key := range []string{"a/1", "a/2 +%", "a/中", "b"} {
		want[createUpload(t, m, key, storage.Attrs{})] = key
	}
	if s.expiring {
		uploads, err := m.ListUploads(t.Context(), "", 0)
		if err != nil || len(uploads) > 0 {
			t.Errorf("got %d uploads, error %v, want none", len(uploads), err)
		}
		return
	}
	for prefix, n := range map[string]int{"": 4, "a/": 3, "none": 0} {
		uploads, err := m.ListUploads(t.Context(), prefix, 0)
		if err != nil {
			t.Fatalf("list uploads: %v", err)
		}
		if len(uploads) != n {
			t.Errorf("prefix %q: got %d uploads, want %d", prefix, len(uploads), n)
		}
		for _, u := range uploads {
			if want[u.UploadID] != u.Key {
				t.Errorf("upload %s: got key %q, want %q", u.UploadID, u.Key, want[u.UploadID])
			}
			recent(t, "start of upload "+u.Key, u.Initiated.Truncate(time.Second))
		}
	}
	if uploads, err := m.ListUploads(t.Context(), "", 2); err != nil || len(uploads) != 2 {
		t.Errorf("limit 2: got %d uploads, error %v", len(uploads), err)
	}
	for id, key := range want {
		if err := m.AbortUpload(t.Context(), key, id); err != nil {
			t.Errorf("abort %q: %v", key, err)
		}
	}
}

func (s *suite) testCopy(t *testing.T) {
	w := s.open(t)
	c, ok := w.(storage.Copier)
	if !ok {
		t.Fatal("no storage.Copier")
	}
	bucket := s.bucketName(w)
	const src = "src/ä +%/x"
	data := Data(30, 50_000)
	_, err := w.Put(t.Context(), storage.PutRequest{Key: src, Body: bytes.NewReader(data), Size: int64(len(data)), Attrs: fullAttrs()})
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.Stat(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for _, etag := range []string{"", o.ETag} {
		if _, err := c.Copy(t.Context(), bucket, src, etag, "dst", nil); err != nil {
			t.Fatalf("copy with etag %q: %v", etag, err)
		}
		wantData(t, "copy", get(t, w, "dst"), data)
	}
	if s.metadata {
		wantAttrs(t, w, "dst", fullAttrs())
		other := storage.Attrs{ContentType: "text/plain", Metadata: map[string]string{"other": "1"}}
		if _, err := c.Copy(t.Context(), bucket, src, "", "dst2", &other); err != nil {
			t.Fatalf("copy with properties: %v", err)
		}
		wantAttrs(t, w, "dst2", other)
	}
	_, err = c.Copy(t.Context(), bucket, src, "0123456789abcdef0123456789abcdef", "dst3", nil)
	wantKind(t, "copy of a changed object", err, oms.Changed)
	_, err = c.Copy(t.Context(), bucket, "no such", "", "dst3", nil)
	wantKind(t, "copy of a missing object", err, oms.NotFound)
}

func (s *suite) testCopyPart(t *testing.T) {
	w := s.open(t)
	m, size := multiparter(t, w)
	c, ok := w.(storage.Copier)
	if !ok {
		t.Fatal("no storage.Copier")
	}
	bucket := s.bucketName(w)
	data := Data(31, size+100)
	put(t, w, "src", data)
	o, err := w.Stat(t.Context(), "src")
	if err != nil {
		t.Fatal(err)
	}
	id := createUpload(t, m, "dst", storage.Attrs{})
	var parts []storage.Part
	if s.wholeCopies {
		_, err := c.CopyPart(t.Context(), bucket, "src", o.ETag, storage.ByteRange{Size: int64(size)}, "dst", id, 1)
		wantKind(t, "copy of a part", err, oms.Unsupported)
		return
	}
	for i, r := range []storage.ByteRange{{Offset: 0, Size: int64(size)}, {Offset: int64(size), Size: 100}} {
		got, err := c.CopyPart(t.Context(), bucket, "src", o.ETag, r, "dst", id, i+1)
		if err != nil {
			t.Fatalf("copy part %d: %v", i+1, err)
		}
		parts = append(parts, storage.Part{Number: i + 1, ETag: got.ETag, Size: r.Size})
	}
	if _, err := m.CompleteUpload(t.Context(), "dst", id, parts); err != nil {
		t.Fatal(err)
	}
	wantData(t, "copied parts", get(t, w, "dst"), data)
}

func (s *suite) testAccount(t *testing.T) {
	w := s.open(t)
	l, ok := w.(storage.BucketLister)
	if !ok {
		t.Fatal("no storage.BucketLister")
	}
	names, err := l.ListBuckets(t.Context())
	if err != nil {
		t.Fatalf("list buckets: %v", err)
	}
	if s.bucketName != nil && !slices.Contains(names, s.bucketName(w)) {
		t.Errorf("bucket %q is not among the %d listed", s.bucketName(w), len(names))
	}
	if _, err := l.Location(t.Context()); err != nil {
		t.Errorf("location: %v", err)
	}
	if err := l.CheckBucket(t.Context()); err != nil {
		t.Errorf("check bucket: %v", err)
	}
}
