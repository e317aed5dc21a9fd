package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest/versitygw"
	"github.com/openoms/openoms/internal/testcloud"
)

// realObjects is how many objects go between the two real servers.
const realObjects = 20_000

// TestBetweenRealServers migrates the key corpus and many small objects between two servers that keep files: bytes,
// content type and metadata arrive, counts are exact, and nothing else is written but the task's own folder.
func TestBetweenRealServers(t *testing.T) {
	src, dst := realStore(t), realStore(t)
	from, to := open(t, src), open(t, dst)
	want := seedReal(t, from)
	s := newService(t, src, dst)
	s.start()
	id := s.create(src, dst, nil)
	task := s.wait(id, 5, 5*time.Minute)
	if n := int64(len(want)); task.TotalNum != n || task.SuccessfulNum != n || task.FailedNum != 0 || task.SkippedNum != 0 {
		t.Errorf("%d listed, %d migrated, %d failed, %d skipped; want %d migrated", task.TotalNum, task.SuccessfulNum, task.FailedNum, task.SkippedNum, n)
	}
	compareReal(t, to, want)
}

// realStore is a bucket on a server of its own.
func realStore(t *testing.T) store {
	t.Helper()
	s := versitygw.Start(t)
	return store{url: s.URL, region: "us-east-1", ak: versitygw.AccessKey, sk: versitygw.SecretKey, bucket: s.MakeBucket(t)}
}

// object is what a key must hold.
type object struct {
	data  []byte
	attrs storage.Attrs
}

// seedReal fills the bucket and returns what it holds. Keys that the server's file system cannot hold, or that its
// listing cannot carry, are left out.
func seedReal(t *testing.T, w storage.Writer) map[string]object {
	t.Helper()
	want := make(map[string]object, realObjects)
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(16)
	put := func(key string, n int) {
		g.Go(func() error {
			o := object{data: content(n, uint64(n)), attrs: storage.Attrs{
				ContentType: "text/x-" + strconv.Itoa(n%7), Metadata: map[string]string{"n": strconv.Itoa(n), "note": "two words"},
			}}
			_, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: bytes.NewReader(o.data), Size: int64(n), Attrs: o.attrs})
			if err != nil {
				return fmt.Errorf("put %q: %w", key, err)
			}
			mu.Lock()
			want[key] = o
			mu.Unlock()
			return nil
		})
	}
	for i := range realObjects {
		put(fmt.Sprintf("many/%02d/%05d", i%50, i), i%3000)
	}
	put("sizes/8MiB", 8<<20)
	put("sizes/8MiB+1", 8<<20+1)
	put("sizes/20MiB", 20<<20)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, key := range testcloud.KeyCorpus() {
		if !versitygw.Refuses(key) && !altered(key) {
			put(key, i)
			if err := g.Wait(); err == nil { // one after the other: a key may be another's parent directory
				continue
			}
			g = errgroup.Group{}
		}
		refused++
	}
	t.Logf("%d objects; the server cannot hold or list %d keys of the corpus", len(want), refused)
	return want
}

// altered reports keys that a file system takes for others, or that come back altered from the server's listing, which
// knows no encoding-type.
func altered(key string) bool {
	if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) || strings.ContainsAny(key, "\ufffe\uffff") {
		return true
	}
	return slices.ContainsFunc(strings.Split(key, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
}

func keysOf(t *testing.T, r storage.Reader) (keys []string) {
	t.Helper()
	for after := ""; ; {
		page, err := r.List(t.Context(), storage.ListOptions{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
			after = o.Key
		}
		if !page.Truncated {
			slices.Sort(keys)
			return keys
		}
	}
}

// compareReal reads everything back.
func compareReal(t *testing.T, r storage.Reader, want map[string]object) {
	t.Helper()
	seen := 0
	var g errgroup.Group
	g.SetLimit(16)
	for _, key := range keysOf(t, r) {
		o, ok := want[key]
		if !ok {
			if len(key) < 4 || key[:4] != "oms/" {
				t.Errorf("%q was written besides", key)
			}
			continue
		}
		seen++
		g.Go(func() error { return compareObject(t.Context(), r, key, o) })
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if seen != len(want) {
		t.Errorf("%d objects arrived, want %d", seen, len(want))
	}
}

func compareObject(ctx context.Context, r storage.Reader, key string, want object) error {
	c, err := r.Open(ctx, key, storage.OpenOptions{Size: int64(len(want.data))})
	if err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	defer c.Body.Close()
	data, err := io.ReadAll(c.Body)
	if err != nil {
		return fmt.Errorf("%q: %w", key, err)
	}
	if !bytes.Equal(data, want.data) {
		return fmt.Errorf("%q holds other bytes", key)
	}
	if c.Attrs.ContentType != want.attrs.ContentType {
		return fmt.Errorf("%q has content type %q, want %q", key, c.Attrs.ContentType, want.attrs.ContentType)
	}
	for k, v := range want.attrs.Metadata {
		if c.Attrs.Metadata[k] != v {
			return fmt.Errorf("%q has metadata %s=%q, want %q", key, k, c.Attrs.Metadata[k], v)
		}
	}
	return nil
}

// open opens a store with the client of the product.
func open(t *testing.T, st store) storage.Writer {
	t.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	r, err := s3.NewOpener(s3.Options{Transport: tr}).Open(t.Context(), storage.Bucket{
		CloudType: oms.CloudAWS, Name: st.bucket,
		Endpoint:    oms.Endpoint{URL: st.url, Region: st.region, PathStyle: true},
		Credentials: oms.Credentials{AccessKey: st.ak, SecretKey: oms.NewSecret(st.sk)},
	})
	if err != nil {
		t.Fatal(err)
	}
	w, ok := r.(storage.Writer)
	if !ok {
		t.Fatal("the client does not write")
	}
	return w
}
