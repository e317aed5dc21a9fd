package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest/versitygw"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// pieces stores all but the last of the texts as objects and returns them as pieces.
func pieces(t *testing.T, dst storage.Writer, ab transfer.Abilities, texts ...[]byte) (list []transfer.ComposePart, whole []byte) {
	t.Helper()
	for i, text := range texts {
		whole = append(whole, text...)
		if i == len(texts)-1 {
			list = append(list, transfer.ComposePart{Size: int64(len(text)), Read: func(_ context.Context, buf []byte) error {
				copy(buf, text)
				return nil
			}})
			break
		}
		p, err := transfer.StoreObject(t.Context(), dst, ab, "oms/segments/"+string(rune('a'+i)), text, storage.Attrs{})
		must(t, err)
		list = append(list, p)
	}
	return list, whole
}

// compose puts three pieces together and checks what is there.
func compose(t *testing.T, dst storage.Writer, bucket string) {
	t.Helper()
	ab, err := transfer.Probe(t.Context(), dst, "oms/probe/x")
	must(t, err)
	list, whole := pieces(t, dst, ab, fillBytes(7<<20, 1), fillBytes(8<<20, 2), fillBytes(1000, 3))
	buf := make([]byte, 8<<20)
	must(t, transfer.Compose(t.Context(), dst, ab, bucket, "oms/lists/a", list, buf, storage.Attrs{ContentType: "text/plain"}))
	must(t, transfer.Compose(t.Context(), dst, ab, bucket, "oms/lists/one", list[:1], buf, storage.Attrs{})) // a piece that is an object
	must(t, transfer.Compose(t.Context(), dst, ab, bucket, "oms/lists/last", list[2:], buf, storage.Attrs{}))
	for key, want := range map[string][]byte{"oms/lists/a": whole, "oms/lists/one": whole[:7<<20], "oms/lists/last": whole[15<<20:]} {
		o, err := dst.Stat(t.Context(), key)
		must(t, err)
		c, err := dst.Open(t.Context(), key, storage.OpenOptions{Size: int64(len(want))})
		must(t, err)
		got := make([]byte, len(want)+1)
		n, err := io.ReadFull(c.Body, got)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", key, err)
		}
		_ = c.Body.Close() // the test is about what was read
		if !bytes.Equal(got[:n], want) {
			t.Errorf("%s has %d bytes, CRC %08x, want %d, %08x", key, n, crc32.ChecksumIEEE(got[:n]), len(want), crc32.ChecksumIEEE(want))
		}
		if key == "oms/lists/a" && o.Attrs.ContentType != "text/plain" {
			t.Errorf("it is of type %q", o.Attrs.ContentType)
		}
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	for name, profile := range map[string]testcloud.Profile{"crc32c": testcloud.AWS(), "md5": testcloud.Plain(), "opaque": testcloud.OpaqueETag()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
			compose(t, open(t, p.dstURL, "dst"), "dst")
			if open := p.dstBucket.Uploads(); len(open) > 0 {
				t.Errorf("uploads are left: %v", open)
			}
		})
		t.Run(name+" without copies", func(t *testing.T) {
			t.Parallel()
			p := newPair(t, testcloud.Options{}, testcloud.Options{Profile: profile})
			compose(t, struct{ store }{open(t, p.dstURL, "dst")}, "dst")
		})
	}
}

func TestComposeVersitygw(t *testing.T) {
	t.Parallel()
	srv := versitygw.Start(t)
	name := srv.MakeBucket(t)
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	b, err := s3.NewOpener(s3.Options{Transport: tr}).Open(t.Context(), srv.Bucket(name))
	must(t, err)
	dst, ok := b.(store)
	if !ok {
		t.Fatal("the bucket cannot be written in parts")
	}
	compose(t, dst, name)
}

// A segment that was changed at the store is never part of a list.
func TestComposeDamaged(t *testing.T) {
	t.Parallel()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	dst := open(t, p.dstURL, "dst")
	ab, err := transfer.Probe(t.Context(), dst, "oms/probe/x")
	must(t, err)
	list, _ := pieces(t, dst, ab, fillBytes(7<<20, 1), fillBytes(7<<20, 2), fillBytes(10, 3))
	p.dstBucket.Put("oms/segments/b", fillBytes(7<<20, 9), testcloud.Attrs{})
	err = transfer.Compose(t.Context(), dst, ab, "dst", "oms/lists/a", list, make([]byte, 8<<20), storage.Attrs{})
	if err == nil || oms.KindOf(err) == oms.Transient {
		t.Errorf("got %v", err)
	}
	for _, key := range p.dstBucket.Keys() {
		if strings.HasPrefix(key, "oms/lists/") {
			t.Errorf("%s was written", key)
		}
	}
}
