package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/testcloud"
)

// wantKind checks kind and, unless empty, code of an error.
func wantKind(t *testing.T, what string, err error, kind oms.Kind, code string) {
	t.Helper()
	if !errors.Is(err, kind) || code != "" && oms.CodeOf(err) != code {
		t.Errorf("%s: got error %v, want kind %q, code %q", what, err, kind, code)
	}
}

// TestListFaults covers the rows "Listing" and "XML" of reliability.md section 3: each ends as stated, in bounded
// memory.
func TestListFaults(t *testing.T) { onBoth(t, testListFaults) }

func testListFaults(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, inside := f.fresh(t, o, oms.CloudAWS)
	for _, key := range []string{"a", "b", "c", "d"} {
		inside.Put("p/"+key, []byte(key), testcloud.Attrs{})
	}
	for _, test := range []struct {
		name  string
		fault testcloud.Fault
		opts  storage.ListOptions
		kind  oms.Kind
		code  string
	}{
		{"error", testcloud.InternalError(), storage.ListOptions{}, oms.Transient, "InternalError"},
		{"throttled", testcloud.SlowDown(), storage.ListOptions{}, oms.Throttled, "SlowDown"},
		{"reset", testcloud.Reset(), storage.ListOptions{}, oms.Transient, ""},
		{"truncated", testcloud.Truncate(100), storage.ListOptions{}, oms.Transient, ""},
		{"duplicates", testcloud.DuplicateKeys(), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"unsorted", testcloud.UnsortedPage(), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"endless pages", testcloud.EndlessPages(), storage.ListOptions{After: "p/c", Limit: 2}, oms.Listing, "LISTING_ERROR"},
		{"outside the prefix", testcloud.ForeignKey("zzz"), storage.ListOptions{Prefix: "p/"}, oms.Listing, "LISTING_ERROR"},
		{"malformed", testcloud.MalformedXML(), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"huge", testcloud.HugeXML(1 << 31), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"doctype", testcloud.Doctype(), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"deep", testcloud.DeepXML(1_000_000), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"encoding", testcloud.BadEncoding(), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
		{"other document", testcloud.OKError("InternalError"), storage.ListOptions{}, oms.Listing, "LISTING_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.Faults.Clear()
			f.Faults.On(testcloud.ListObjectsV2, test.fault)
			before := allocated()
			_, err := b.List(t.Context(), test.opts)
			wantKind(t, "list", err, test.kind, test.code)
			if used := allocated() - before; used > 256<<20 {
				t.Errorf("%d MiB were allocated", used>>20)
			}
		})
	}
	t.Run("missing token", func(t *testing.T) { // the last key leads on
		f.Faults.Clear()
		f.Faults.On(testcloud.ListObjectsV2, testcloud.MissingToken())
		page, err := b.List(t.Context(), storage.ListOptions{Limit: 2})
		if err != nil || !page.Truncated || len(page.Objects) != 2 || page.Next != "" {
			t.Errorf("got %+v, %v", page, err)
		}
	})
	t.Run("empty pages", func(t *testing.T) { // the token leads on, until it stays the same
		f.Faults.Clear()
		f.Faults.On(testcloud.ListObjectsV2, testcloud.EmptyPages())
		var opts storage.ListOptions
		for range 10 {
			page, err := b.List(t.Context(), opts)
			if err != nil {
				wantKind(t, "list", err, oms.Listing, "LISTING_LOOP")
				return
			}
			opts.Token = page.Next
		}
		t.Error("empty pages go on for ever")
	})
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestBodyFaults covers the row "Body".
func TestBodyFaults(t *testing.T) { onBoth(t, testBodyFaults) }

func testBodyFaults(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	_, inside := f.fresh(t, o, oms.CloudAWS)
	data := storagetest.Data(1, 100_000)
	inside.Put("k", data, testcloud.Attrs{})
	size := int64(len(data))
	r := &storage.ByteRange{Offset: 10, Size: 50_000}
	for _, test := range []struct {
		name  string
		fault testcloud.Fault
		opts  storage.OpenOptions
		kind  oms.Kind // Other: the right bytes
	}{
		{"short", testcloud.Truncate(50_000), storage.OpenOptions{Size: size}, oms.Transient},
		{"short range", testcloud.Truncate(10_000), storage.OpenOptions{Size: size, Range: r}, oms.Transient},
		{"reset", testcloud.ResetAfter(50_000), storage.OpenOptions{Size: size}, oms.Transient},
		{"well-formed but short", testcloud.WrongLength(-1), storage.OpenOptions{Size: size}, oms.Changed},
		{"well-formed but long", testcloud.WrongLength(1), storage.OpenOptions{Size: size}, oms.Changed},
		{"range too short", testcloud.WrongLength(-1), storage.OpenOptions{Size: size, Range: r}, oms.Corrupt},
		{"range too long", testcloud.WrongLength(1), storage.OpenOptions{Size: size, Range: r}, oms.Corrupt},
		{"no length", testcloud.Chunked(), storage.OpenOptions{Size: size}, oms.Other},
		{"no length, size unknown", testcloud.Chunked(), storage.OpenOptions{Size: -1}, oms.Other},
		{"endless", testcloud.Endless(), storage.OpenOptions{Size: size}, oms.Corrupt},
		{"endless range", testcloud.Endless(), storage.OpenOptions{Size: size, Range: r}, oms.Corrupt},
		{"extra behind the length", testcloud.ExtraBytes(10), storage.OpenOptions{Size: size}, oms.Other},
		{"range ignored", testcloud.IgnoreRange(), storage.OpenOptions{Size: size, Range: r}, oms.Unsupported},
		{"other range", testcloud.SetHeader("Content-Range", "bytes 11-50010/100000"), storage.OpenOptions{Size: size, Range: r}, oms.Corrupt},
		{"no range", testcloud.SetHeader("Content-Range", ""), storage.OpenOptions{Size: size, Range: r}, oms.Corrupt},
		{"other total", testcloud.SetHeader("Content-Range", "bytes 10-50009/100001"), storage.OpenOptions{Size: size, Range: r}, oms.Changed},
		{"other tag", testcloud.SetHeader("ETag", `"other"`), storage.OpenOptions{Size: size, IfMatch: ""}, oms.Other},
		{"not found", testcloud.Fail(404, "NoSuchKey"), storage.OpenOptions{Size: size}, oms.NotFound},
		{"archived", testcloud.Fail(403, "InvalidObjectState"), storage.OpenOptions{Size: size}, oms.Archived},
		{"expired", testcloud.Fail(400, "ExpiredToken"), storage.OpenOptions{Size: size}, oms.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.Faults.Clear()
			f.Faults.On(testcloud.GetObject, test.fault)
			// No connection of the case before: bytes behind its answer may come so late that they begin the next one.
			b := open(t, newOpener(t), f.bucket(oms.CloudAWS, inside.Name()))
			got, err := readUp(t.Context(), b, test.opts)
			switch {
			case test.kind != oms.Other:
				wantKind(t, "read", err, test.kind, "")
			case err != nil:
				t.Errorf("read: %v", err)
			case !bytes.Equal(got, data):
				t.Errorf("got %d other bytes", len(got))
			}
			if int64(len(got)) > size {
				t.Errorf("%d bytes were yielded", len(got))
			}
		})
	}
}

func readUp(ctx context.Context, b *s3.Bucket, opts storage.OpenOptions) ([]byte, error) {
	c, err := b.Open(ctx, "k", opts)
	if err != nil {
		return nil, err
	}
	defer c.Body.Close()
	return io.ReadAll(c.Body)
}

// TestForeignTag covers rule D2 on stores that ignore If-Match.
func TestForeignTag(t *testing.T) { onBoth(t, testForeignTag) }

func testForeignTag(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.Clone()), newOpener(t)
	b, inside := f.fresh(t, o, oms.CloudAWS)
	inside.Put("k", []byte("data"), testcloud.Attrs{})
	_, err := b.Open(t.Context(), "k", storage.OpenOptions{Size: 4, IfMatch: "0123"})
	wantKind(t, "open", err, oms.Changed, "")
}

// TestStall checks that a stalled store holds a call no longer than its context.
func TestStall(t *testing.T) { onBoth(t, testStall) }

func testStall(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, inside := f.fresh(t, o, oms.CloudAWS)
	inside.Put("k", storagetest.Data(1, 100_000), testcloud.Attrs{})
	short := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	f.Faults.On(testcloud.GetObject, testcloud.StallAfter(1000))
	f.Faults.On(testcloud.PutObject, testcloud.Stall())
	f.Faults.On(testcloud.ListObjectsV2, testcloud.StallAfter(10))
	_, err := readUp(short(t), b, storage.OpenOptions{Size: 100_000})
	wantDeadline(t, "get", err)
	_, err = b.Put(short(t), storage.PutRequest{Key: "x", Body: bytes.NewReader(make([]byte, 1<<20)), Size: 1 << 20})
	wantDeadline(t, "put", err)
	_, err = b.List(short(t), storage.ListOptions{})
	wantDeadline(t, "list", err)
}

func wantDeadline(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: got %v, want context.DeadlineExceeded", what, err)
	}
}

// TestEarlyAnswer checks that an answer before the end of the body is heard, and the body let go.
func TestEarlyAnswer(t *testing.T) { onBoth(t, testEarlyAnswer) }

func testEarlyAnswer(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, _ := f.fresh(t, o, oms.CloudAWS)
	f.Faults.On(testcloud.PutObject, testcloud.SlowDown())
	for range 5 {
		_, err := b.Put(t.Context(), storage.PutRequest{Key: "x", Body: bytes.NewReader(make([]byte, 32<<20)), Size: 32 << 20})
		if !errors.Is(err, oms.Throttled) && !errors.Is(err, oms.Transient) {
			t.Errorf("got %v", err)
		}
	}
}

// TestTwoHundredErrors covers rule D7.
func TestTwoHundredErrors(t *testing.T) { onBoth(t, testTwoHundredErrors) }

func testTwoHundredErrors(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, inside := f.fresh(t, o, oms.CloudAWS)
	inside.Put("src", []byte("data"), testcloud.Attrs{})
	for _, op := range []struct {
		name testcloud.Op
		call func(id string, parts []storage.Part) error
	}{
		{testcloud.CompleteMultipartUpload, func(id string, parts []storage.Part) error {
			_, err := b.CompleteUpload(t.Context(), "k", id, parts)
			return err
		}},
		{testcloud.CopyObject, func(string, []storage.Part) error {
			_, err := b.Copy(t.Context(), inside.Name(), "src", "", "dst", nil)
			return err
		}},
		{testcloud.UploadPartCopy, func(id string, _ []storage.Part) error {
			_, err := b.CopyPart(t.Context(), inside.Name(), "src", "", storage.ByteRange{Size: 4}, "k", id, 2)
			return err
		}},
	} {
		for _, test := range []struct {
			fault testcloud.Fault
			kind  oms.Kind
		}{
			{testcloud.OKError("InternalError"), oms.Transient},
			{testcloud.OKError("SlowDown"), oms.Throttled},
			{testcloud.OKError("AccessDenied"), oms.Denied},
			{testcloud.MalformedXML(), oms.Transient},
			{testcloud.Doctype(), oms.Transient},
			{testcloud.DeepXML(100_000), oms.Transient},
		} {
			f.Faults.Clear()
			id, parts := onePart(t, b)
			f.Faults.On(op.name, test.fault)
			wantKind(t, string(op.name), op.call(id, parts), test.kind, "")
		}
	}
	f.Faults.Clear()
	id, parts := onePart(t, b)
	f.Faults.On(testcloud.CompleteMultipartUpload, testcloud.Blanks(10_000))
	if _, err := b.CompleteUpload(t.Context(), "k", id, parts); err != nil {
		t.Errorf("complete with blanks before the document: %v", err)
	}
}

// onePart opens an upload of "k" with one part.
func onePart(t *testing.T, b *s3.Bucket) (id string, parts []storage.Part) {
	t.Helper()
	id, err := b.CreateUpload(t.Context(), "k", storage.Attrs{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.PutPart(t.Context(), storage.PartRequest{Key: "k", UploadID: id, Number: 1, Body: strings.NewReader("part"), Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	return id, []storage.Part{{Number: 1, ETag: w.ETag, Size: 4}}
}

// TestRetryAfter covers the row "Retry-After absurd".
func TestRetryAfter(t *testing.T) { onBoth(t, testRetryAfter) }

func testRetryAfter(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, _ := f.fresh(t, o, oms.CloudAWS)
	for value, want := range map[string]time.Duration{
		"3": 3 * time.Second, "0": 0, "-5": 0, "999999999": storage.MaxPause, "99999999999999999999999": storage.MaxPause,
		"-99999999999999999999999": 0, "Fri, 31 Dec 9999 23:59:59 GMT": storage.MaxPause, "Mon, 01 Jan 0001 00:00:00 GMT": 0,
	} {
		f.Faults.Clear()
		f.Faults.On(testcloud.ListObjectsV2, testcloud.SlowDown().WithRetryAfter(value))
		_, err := b.List(t.Context(), storage.ListOptions{})
		if got, ok := storage.RetryAfter(err); !ok || got != want {
			t.Errorf("%q: got %v, %v, want %v", value, got, ok, want)
		}
	}
	f.Faults.Clear()
	f.Faults.On(testcloud.ListObjectsV2, testcloud.SlowDown().WithRetryAfter("soon"))
	_, err := b.List(t.Context(), storage.ListOptions{})
	if _, ok := storage.RetryAfter(err); ok {
		t.Error("a pause was read from nonsense")
	}
}

// TestDown checks that an endpoint that is away looks the same whatever the reason (rule S7).
func TestDown(t *testing.T) { onBoth(t, testDown) }

func testDown(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	f, o := startFake(t, testcloud.AWS()), newOpener(t)
	b, _ := f.fresh(t, o, oms.CloudAWS)
	f.Down()
	_, err := b.List(t.Context(), storage.ListOptions{})
	wantKind(t, "list", err, oms.Transient, "CONNECTION")
	if strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "reset") {
		t.Errorf("the message tells how the connection failed (rule S7): %v", err)
	}
	f.Up()
	if _, err := b.List(t.Context(), storage.ListOptions{}); err != nil {
		t.Error(err)
	}
}
