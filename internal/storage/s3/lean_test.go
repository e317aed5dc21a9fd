package s3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// leanBucket opens a bucket whose frequent calls would go over package http1.
func leanBucket(tb testing.TB, b storage.Bucket) *Bucket {
	tb.Helper()
	tr := NewTransport(TransportOptions{Dial: new(net.Dialer).DialContext})
	tb.Cleanup(tr.CloseIdleConnections)
	clock := func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }
	r, err := NewOpener(Options{Transport: tr, Clock: clock}).Open(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	bucket, ok := r.(*Bucket)
	if !ok || bucket.lean == nil {
		tb.Fatalf("got a %T without the short way", r)
	}
	return bucket
}

// TestHeadsAlike checks that both ways send the same requests, signatures included.
func TestHeadsAlike(t *testing.T) {
	b := bucketAt(oms.CloudAWS, "http://s3.example.com")
	b.Credentials.SecurityToken = oms.NewSecret("session")
	b.RequesterPays = true
	bucket := leanBucket(t, b)
	for name, make := range map[string]func() *call{
		"get": func() *call { return &call{method: http.MethodGet, key: "a b/ä//../\x00%"} },
		"list": func() *call {
			return &call{method: http.MethodGet, query: bucket.listQuery(storage.ListOptions{Prefix: "p q"})}
		},
		"head": func() *call {
			return &call{method: http.MethodHead, key: "k", headers: []header{{"Range", "bytes=0-1"}}}
		},
		"put": func() *call {
			return &call{method: http.MethodPut, key: "k", body: strings.NewReader("data"), size: 4, headers: []header{
				{"X-Amz-Storage-Class", "X"}, {metaPrefix + "b", " two  blanks"}, {metaPrefix + "a", "1"}, {"Content-Type", "a/b"},
			}}
		},
		"put nothing": func() *call { return &call{method: http.MethodPut, key: "k", body: strings.NewReader("")} },
	} {
		out := bucket.bufs.outgoing.get()
		if err := bucket.writeHead(out, make()); err != nil {
			t.Fatal(err)
		}
		lean, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out.req.Head)))
		if err != nil {
			t.Fatal(err)
		}
		c := make()
		body, err := newSendBody(c.body, c.size)
		if err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := bucket.request(t.Context(), c, body).Write(&wire); err != nil {
			t.Fatal(err)
		}
		general, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatal(err)
		}
		if lean.RequestURI != general.RequestURI || lean.Host != general.Host || lean.ContentLength != general.ContentLength || lean.Method != general.Method {
			t.Errorf("%s: got %s %s at %s, want %s %s at %s", name, lean.Method, lean.RequestURI, lean.Host, general.Method, general.RequestURI, general.Host)
		}
		if diff := cmp.Diff(general.Header, lean.Header); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestNoInjection checks that a text of a foreign listing cannot add a line to a request.
func TestNoInjection(t *testing.T) {
	b := leanBucket(t, bucketAt(oms.CloudAWS, "http://127.0.0.1:1"))
	_, err := b.Open(t.Context(), "k", storage.OpenOptions{Size: 1, IfMatch: "x\"\r\nX-Amz-Acl: public-read\r\nY: \""})
	if !errors.Is(err, oms.Unsupported) {
		t.Errorf("got %v", err)
	}
}

// TestCutSuccess checks that a success reported before the data had been sent is none.
func TestCutSuccess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }() // over
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") // the client would tell
			<-over
		}
	}()
	b := leanBucket(t, bucketAt(oms.CloudAWS, "http://"+l.Addr().String()))
	const size = 64 << 20
	_, err = b.Put(t.Context(), storage.PutRequest{Key: "k", Body: bytes.NewReader(make([]byte, size)), Size: size})
	if !errors.Is(err, oms.Transient) || oms.CodeOf(err) != codeCut {
		t.Errorf("got %v", err)
	}
	close(over)
	_ = l.Close() // over
	<-ended
}

// TestHTTPTimes compares the short way of reading instants with the long one.
func TestHTTPTimes(t *testing.T) {
	for _, s := range []string{
		"Fri, 01 May 2026 12:00:05 GMT", "Thu, 29 Feb 2024 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Fri, 30 Feb 2024 00:00:00 GMT", "Fri, 00 May 2026 12:00:05 GMT", "Xxx, 01 May 2026 12:00:05 GMT", "uns, 01 May 2026 12:00:05 GMT",
		"Fri, 01 anF 2026 12:00:05 GMT", "Fri, 01 May 2026 24:00:05 GMT", "Fri, 01 May 2026 12:60:05 GMT", "Fri, 01 May 2026 12:00:60 GMT",
		"Fri, 01 May 2026 12:00:05 UTC", "Friday, 01-May-26 12:00:05 GMT", "Fri May  1 12:00:05 2026", "", "yesterday", "fri, 01 may 2026 12:00:05 GMT",
	} {
		got, ok := parseHTTPTime(s)
		want, err := http.ParseTime(s)
		if ok != (err == nil) || ok && !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v, %v", s, got, ok, want, err)
		}
	}
}

// FuzzHTTPTime compares the two ways for any text.
func FuzzHTTPTime(f *testing.F) {
	f.Add("Fri, 01 May 2026 12:00:05 GMT")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseHTTPTime(s)
		want, err := http.ParseTime(s)
		if ok != (err == nil) || ok && !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v, %v", s, got, ok, want, err)
		}
	})
}

// BenchmarkWriteHead is what building and signing a request costs.
func BenchmarkWriteHead(b *testing.B) {
	bucket := leanBucket(b, bucketAt(oms.CloudAWS, "http://s3.example.com"))
	b.ReportAllocs()
	for b.Loop() {
		c := &call{method: http.MethodPut, key: "some/prefix/with/a/usual/key-0001.bin", body: http.NoBody, size: 4096}
		c.add("Content-Type", "application/octet-stream")
		out := bucket.bufs.outgoing.get()
		if err := bucket.writeHead(out, c); err != nil {
			b.Fatal(err)
		}
		bucket.bufs.outgoing.put(out)
	}
}
