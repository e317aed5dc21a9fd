package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

func readerOf(b []byte) io.Reader { return bytes.NewReader(b) }

func TestStoreStream(t *testing.T) {
	t.Parallel()
	for name, profile := range map[string]testcloud.Profile{"crc32c": testcloud.AWS(), "md5": testcloud.Plain(), "opaque": testcloud.OpaqueETag()} {
		sizes := []int{0, 8 << 20, 8<<20 + 1}
		if name == "md5" {
			sizes = append(sizes, 1, 5000, 8<<20-1, 16<<20)
		}
		for _, size := range sizes {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
				var dst storage.Writer = open(t, p.dstURL, "dst")
				if name == "opaque" {
					dst = deaf{open(t, p.dstURL, "dst")}
				}
				ab, err := transfer.Probe(t.Context(), dst, "oms/probe/x")
				must(t, err)
				left, err := open(t, p.dstURL, "dst").CreateUpload(t.Context(), "oms/t1/old", storage.Attrs{}) // of an earlier attempt
				must(t, err)
				body := fillBytes(size, 3)
				must(t, transfer.StoreStream(t.Context(), dst, ab, "oms/t1/list", readerOf(body), storage.Attrs{ContentType: "text/plain"}))
				o, ok := p.dstBucket.Get("oms/t1/list")
				if !ok || !bytes.Equal(o.Bytes(), body) || o.ContentType != "text/plain" {
					t.Fatal("the object differs")
				}
				if open := p.dstBucket.Uploads(); size >= 8<<20 && len(open) > 0 {
					t.Errorf("upload %s and others are left: %v", left, open)
				}
			})
		}
	}
}

func TestStoreStreamFaults(t *testing.T) {
	broken := errors.New("the list could not be read")
	body := fillBytes(9<<20, 3)
	tests := map[string]struct {
		op    testcloud.Op
		fault testcloud.Fault
		count int
		body  io.Reader
		key   string
		want  error // nil: it arrives
	}{
		"completed, answer lost":      {op: testcloud.CompleteMultipartUpload, fault: testcloud.InternalError().AfterApplying(), count: 1},
		"opened, answer lost":         {op: testcloud.CreateMultipartUpload, fault: testcloud.InternalError(), count: 2},
		"part answered with an error": {op: testcloud.UploadPart, fault: testcloud.SlowDown(), count: 2},
		"damaged part":                {op: testcloud.UploadPart, fault: testcloud.Corrupt(testcloud.FlipBit(9)), want: oms.Corrupt},
		"denied part":                 {op: testcloud.UploadPart, fault: testcloud.Fail(403, "AccessDenied"), want: oms.Denied},
		"upload gone":                 {op: testcloud.CompleteMultipartUpload, fault: testcloud.Fail(404, "NoSuchUpload"), want: oms.NotFound},
		"stream breaks":               {body: io.MultiReader(readerOf(body), errReader{broken}), want: broken},
		"no folder":                   {key: "list", want: oms.Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: testcloud.Plain()})
			s := open(t, p.dstURL, "dst")
			ab, err := transfer.Probe(t.Context(), s, "oms/probe/x")
			must(t, err)
			if tt.op != "" {
				p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{tt.op}, Count: tt.count, Fault: tt.fault})
			}
			r := readerOf(body)
			if tt.body != nil {
				r = tt.body
			}
			k := "oms/t1/list"
			if tt.key != "" {
				k = tt.key
				_, err := s.CreateUpload(t.Context(), "somebody else's", storage.Attrs{})
				must(t, err)
			}
			err = transfer.StoreStream(t.Context(), s, ab, k, r, storage.Attrs{})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				if o, ok := p.dstBucket.Get(k); !ok || !bytes.Equal(o.Bytes(), body) {
					t.Fatal("the object differs")
				}
			}
			open := p.dstBucket.Uploads()
			if tt.key != "" && len(open) != 1 {
				t.Fatal("somebody else's upload was aborted")
			}
			if tt.key == "" && len(open) > 0 {
				t.Fatalf("uploads left open: %v", open)
			}
		})
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestAbortUploads(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	s := open(t, p.dstURL, "dst")
	create := func(k string) string {
		id, err := s.CreateUpload(t.Context(), k, storage.Attrs{})
		must(t, err)
		return id
	}
	named, intent1, intent2, neighbour := create("p/a"), create("p/b"), create("p/b"), create("p/b2")
	_, _ = intent1, intent2
	list := []oms.Upload{{TaskID: 1, Key: "a", UploadID: named}, {TaskID: 1, Key: "b"}, {TaskID: 1, Key: "gone", UploadID: "upload-nowhere"}}
	closed, err := transfer.AbortUploads(t.Context(), s, oms.TaskSpec{Dst: oms.DestinationNode{SavePrefix: "p/"}}, list)
	if err != nil || len(closed) != 3 {
		t.Fatalf("closed %v, %v", closed, err)
	}
	if left := p.dstBucket.Uploads(); len(left) != 1 || left[0].ID != neighbour {
		t.Fatalf("left %v", left)
	}
	again := create("p/c")
	p.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.AbortMultipartUpload}, Key: testcloud.KeyIs("p/a"), Fault: testcloud.Fail(403, "AccessDenied")})
	closed, err = transfer.AbortUploads(t.Context(), s, oms.TaskSpec{Dst: oms.DestinationNode{SavePrefix: "p/"}}, []oms.Upload{list[0], {TaskID: 1, Key: "c", UploadID: again}})
	if !errors.Is(err, oms.Denied) || len(closed) != 1 || closed[0].Key != "c" {
		t.Fatalf("closed %v, %v", closed, err)
	}
}
