package s3_test

import (
	"bytes"
	"hash/crc32"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/storage/storagetest/versitygw"
)

// TestVersitygw runs the suite against a strict server by others.
func TestVersitygw(t *testing.T) { onBoth(t, testVersitygw) }

func testVersitygw(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	srv := versitygw.Start(t)
	o := newOpener(t)
	names := map[storage.Writer]string{}
	openFresh := func(t *testing.T) storage.Writer {
		name := srv.MakeBucket(t)
		b := open(t, o, srv.Bucket(name))
		names[b] = name
		return b
	}
	storagetest.Run(t, openFresh,
		storagetest.Multipart, storagetest.BucketList, storagetest.Metadata,
		storagetest.ChecksumEnforced, storagetest.MD5Enforced, storagetest.KeepsTruncated,
		storagetest.Refuses(versitygw.Refuses), storagetest.Mangles(versitygw.Mangles),
		storagetest.Copy(func(w storage.Writer) string { return names[w] }),
		storagetest.MissingBucket(func(t *testing.T) storage.Writer { return open(t, o, srv.Bucket("no-such-bucket")) }),
		storagetest.WrongKeys(func(t *testing.T) storage.Writer {
			b := srv.Bucket(srv.MakeBucket(t))
			b.Credentials = keys(versitygw.AccessKey, "another secret")
			return open(t, o, b)
		}),
	)
}

// TestPartSums sends a multipart object whose parts carry CRC-32C: the server checks each part and returns the sum
// of the whole object.
func TestPartSums(t *testing.T) { onBoth(t, testPartSums) }

func testPartSums(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	srv := versitygw.Start(t)
	b := open(t, newOpener(t), srv.Bucket(srv.MakeBucket(t)))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := func(p []byte) storage.Sums {
		return storage.Sums{Has: storage.SumCRC32C, CRC32C: crc32.Checksum(p, table)}
	}
	size := int(b.PartLimits().MinPart)
	data := storagetest.Data(1, size+1000)
	id, err := b.CreateUpload(t.Context(), "k", storage.Attrs{PartSums: storage.SumCRC32C})
	if err != nil {
		t.Fatal(err)
	}
	var parts []storage.Part
	for i, p := range [][]byte{data[:size], data[size:]} {
		req := storage.PartRequest{Key: "k", UploadID: id, Number: i + 1, Body: bytes.NewReader(p), Size: int64(len(p)), Sums: sum(p)}
		req.Sums.CRC32C++
		_, err := b.PutPart(t.Context(), req)
		wantKind(t, "part with a wrong CRC-32C", err, oms.Corrupt, "")
		req.Body, req.Sums = bytes.NewReader(p), sum(p)
		w, err := b.PutPart(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if w.Sums != sum(p) {
			t.Errorf("part %d: got %+v, want %+v", i+1, w.Sums, sum(p))
		}
		parts = append(parts, storage.Part{Number: i + 1, ETag: w.ETag, Size: req.Size, Sums: sum(p)})
	}
	w, err := b.CompleteUpload(t.Context(), "k", id, parts)
	if err != nil {
		t.Fatal(err)
	}
	o, err := b.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]storage.Sums{"complete": w.Sums, "stat": o.Sums} {
		if got != sum(data) {
			t.Errorf("%s: got %+v, want %+v", what, got, sum(data))
		}
	}
}
