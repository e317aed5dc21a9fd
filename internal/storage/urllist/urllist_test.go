package urllist_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/urllist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// last is when the test objects were modified.
const last = "Mon, 02 Mar 2026 03:04:05 GMT"

// serve starts a server for one test and returns a reader that may reach it, and its URL.
func serve(t *testing.T, h http.HandlerFunc) (*urllist.Reader, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return open(t, egress.Options{AllowPrivate: true}, nil), srv.URL
}

func open(t *testing.T, rules egress.Options, config *tls.Config) *urllist.Reader {
	t.Helper()
	guard, err := egress.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	transport := guard.Transport(egress.TransportOptions{TLS: config})
	t.Cleanup(transport.CloseIdleConnections)
	o := urllist.NewOpener(nil, urllist.Options{
		Transport: transport, Clock: func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
	b, err := o.Open(t.Context(), storage.Bucket{CloudType: oms.CloudURL})
	if err != nil {
		t.Fatal(err)
	}
	r, ok := b.(*urllist.Reader)
	if !ok {
		t.Fatalf("opened a %T", b)
	}
	return r
}

// server is what a web server does; the zero value does everything right.
type server struct {
	text                        string
	etag                        string
	noHead, noLength, noRanges  bool
	headLength                  string // another Content-Length in answers to HEAD
	noDate, noModified, gzipped bool
	rangeETag                   string // another entity tag in answers to ranges
}

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if s.noHead && r.Method == http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "image/png")
	if !s.noModified {
		h.Set("Last-Modified", last)
	}
	if s.noDate {
		h["Date"] = nil
	}
	if s.etag != "" {
		h.Set("ETag", s.etag)
	}
	if s.gzipped && r.Method == http.MethodGet {
		h.Set("Content-Encoding", "gzip")
	}
	rng := r.Header.Get("Range")
	if m := r.Header.Get("If-Match"); m != "" && m != s.etag {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	if rng != "" && !s.noRanges {
		s.serveRange(w, rng)
		return
	}
	length := strconv.Itoa(len(s.text))
	if r.Method == http.MethodHead && s.headLength != "" {
		length = s.headLength
	}
	if !s.noLength {
		h.Set("Content-Length", length)
	}
	w.WriteHeader(http.StatusOK)
	if f, ok := w.(http.Flusher); ok && s.noLength {
		f.Flush() // before the server knows the length by itself
	}
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, s.text)
	}
}

func (s server) serveRange(w http.ResponseWriter, rng string) {
	from, to, _ := strings.Cut(strings.TrimPrefix(rng, "bytes="), "-")
	a, _ := strconv.Atoi(from)
	b, _ := strconv.Atoi(to)
	if s.rangeETag != "" {
		w.Header().Set("ETag", s.rangeETag)
	}
	if a >= len(s.text) {
		w.Header().Set("Content-Range", "bytes */"+strconv.Itoa(len(s.text)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	b = min(b, len(s.text)-1)
	w.Header().Set("Content-Range", "bytes "+strconv.Itoa(a)+"-"+strconv.Itoa(b)+"/"+strconv.Itoa(len(s.text)))
	w.Header().Set("Content-Length", strconv.Itoa(b-a+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = io.WriteString(w, s.text[a:b+1])
}

// TestStat holds what is believed of a server: sizes, and entity tags that can pin ranges.
func TestStat(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 9<<20)
	modified, err := http.ParseTime(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		server   server
		size     int64
		etag     string
		modified time.Time // zero: the time of the answer
	}{
		{name: "small", server: server{text: "hello", etag: `"v1"`}, size: 5, etag: "W/v1", modified: modified},
		{name: "empty", server: server{etag: `"v1"`}, size: 0, etag: "v1", modified: modified},
		{name: "empty without ranges", server: server{etag: `"v1"`, noRanges: true}, size: 0, etag: "W/v1", modified: modified},
		{name: "large", server: server{text: large, etag: `"v1"`}, size: 9 << 20, etag: "v1", modified: modified},
		{name: "large, weak tag", server: server{text: large, etag: `W/"v1"`}, size: 9 << 20, etag: "W/v1", modified: modified},
		{name: "large, no tag", server: server{text: large}, size: 9 << 20, modified: modified},
		{name: "large, no ranges", server: server{text: large, etag: `"v1"`, noRanges: true}, size: 9 << 20, etag: "W/v1", modified: modified},
		{name: "large, another tag with ranges", server: server{text: large, etag: `"v1"`, rangeETag: `"v2"`}, size: 9 << 20, etag: "W/v1", modified: modified},
		{name: "no HEAD", server: server{text: large, etag: `"v1"`, noHead: true}, size: 9 << 20, etag: "v1", modified: modified},
		{name: "no HEAD, no ranges", server: server{text: "hello", etag: `"v1"`, noHead: true, noRanges: true}, size: 5, etag: "W/v1", modified: modified},
		{name: "HEAD without length", server: server{text: "hello", noLength: true}, size: 5, modified: modified},
		{name: "HEAD says nothing is there", server: server{text: "hello", headLength: "0"}, size: 5, modified: modified},
		{name: "no length at all", server: server{text: "hello", noLength: true, noRanges: true}, size: -1, modified: modified},
		{name: "malformed tag", server: server{text: "hello", etag: "v1"}, size: 5, modified: modified},
		{name: "no modification time", server: server{text: "hello", noModified: true}, size: 5},
		{name: "no time at all", server: server{text: "hello", noModified: true, noDate: true}, size: 5, modified: time.Unix(1_700_000_000, 0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := time.Now().Add(-2 * time.Second)
			r, base := serve(t, tc.server.ServeHTTP)
			o, err := r.Stat(t.Context(), base+"/a?b=c")
			if err != nil {
				t.Fatal(err)
			}
			if o.Size != tc.size || o.ETag != tc.etag || o.Key != base+"/a?b=c" || !o.Encrypted || o.Attrs.ContentType != "image/png" {
				t.Errorf("got %+v, want size %d and tag %q", o, tc.size, tc.etag)
			}
			if !tc.modified.IsZero() && !o.ModTime.Equal(tc.modified) || tc.modified.IsZero() && o.ModTime.Before(before) {
				t.Errorf("modified %v, want %v", o.ModTime, tc.modified)
			}
		})
	}
}

// TestOpen reads whole objects and ranges, and refuses answers that are not what was asked for (rules D2, D4, D8).
func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		server server
		opts   storage.OpenOptions
		want   string
		length int64
		kind   oms.Kind // of the error
		say    string
	}{
		{name: "whole", server: server{text: "hello"}, opts: storage.OpenOptions{Size: 5}, want: "hello", length: 5},
		{name: "size not known", server: server{text: "hello"}, opts: storage.OpenOptions{Size: -1}, want: "hello", length: 5},
		{name: "no length", server: server{text: "hello", noLength: true}, opts: storage.OpenOptions{Size: -1}, want: "hello", length: -1},
		{name: "no length, size known", server: server{text: "hello", noLength: true}, opts: storage.OpenOptions{Size: 5}, want: "hello", length: 5},
		{name: "no length, longer", server: server{text: "hello", noLength: true}, opts: storage.OpenOptions{Size: 4}, kind: oms.Corrupt},
		{name: "no length, shorter", server: server{text: "hello", noLength: true}, opts: storage.OpenOptions{Size: 6}, kind: oms.Transient},
		{name: "another size", server: server{text: "hello"}, opts: storage.OpenOptions{Size: 4}, kind: oms.Changed},
		{name: "compressed on the way", server: server{text: "hello", gzipped: true}, opts: storage.OpenOptions{Size: 4}, kind: oms.Changed, say: "compresses"},
		{name: "range", server: server{text: "hello", etag: `"v"`}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 1, Size: 3}, IfMatch: "v"}, want: "ell", length: 3},
		{name: "range of another version", server: server{text: "hello", etag: `"w"`}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 1, Size: 3}, IfMatch: "v"}, kind: oms.Changed},
		{name: "If-Match ignored", server: server{text: "hello", etag: `"v"`, rangeETag: `"w"`}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 1, Size: 3}, IfMatch: "v"}, kind: oms.Changed},
		{name: "tag missing in the answer", server: server{text: "hello", etag: `"v"`, rangeETag: "none"}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 1, Size: 3}, IfMatch: "v"}, kind: oms.Changed},
		{name: "ranges ignored", server: server{text: "hello", noRanges: true}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 1, Size: 3}}, kind: oms.Unsupported},
		{name: "shorter range", server: server{text: "hello"}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 3, Size: 3}}, kind: oms.Corrupt},
		{name: "range behind the end", server: server{text: "hello"}, opts: storage.OpenOptions{Size: 5, Range: &storage.ByteRange{Offset: 7, Size: 3}}, kind: oms.Changed},
		{name: "empty range", server: server{}, opts: storage.OpenOptions{Range: &storage.ByteRange{}}, kind: oms.Invalid},
		{name: "weak tag pins nothing", server: server{text: "hello", etag: `W/"v"`}, opts: storage.OpenOptions{Size: 5, IfMatch: "W/x"}, want: "hello", length: 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, base := serve(t, tc.server.ServeHTTP)
			got, length, err := read(t.Context(), r, base+"/a", tc.opts)
			if oms.KindOf(err) != tc.kind || (err != nil) != (tc.kind != oms.Other) {
				t.Fatalf("error %v, want kind %v", err, tc.kind)
			}
			if err != nil && !strings.Contains(err.Error(), tc.say) {
				t.Errorf("error %q does not say %q", err, tc.say)
			}
			if err == nil && (got != tc.want || length != tc.length) {
				t.Errorf("got %q of length %d, want %q of length %d", got, length, tc.want, tc.length)
			}
		})
	}
}

func read(ctx context.Context, r *urllist.Reader, key string, opts storage.OpenOptions) (string, int64, error) {
	c, err := r.Open(ctx, key, opts)
	if err != nil {
		return "", 0, err
	}
	text, err := io.ReadAll(c.Body)
	return string(text), c.Length, errors.Join(err, c.Body.Close())
}

// TestBrokenBodies tells a body that breaks off from one that is complete.
func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"short":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"torn chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t, egress.Options{AllowPrivate: true}, nil)
			_, _, err := read(t.Context(), r, raw(t, answer)+"/a", storage.OpenOptions{Size: -1})
			if oms.KindOf(err) != oms.Transient {
				t.Errorf("error %v, want a transient one", err)
			}
		})
	}
}

// raw answers every connection with the text and closes it.
func raw(t *testing.T, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return "http://" + ln.Addr().String()
}

// TestStatuses holds the kind of every refusal, for HEAD and GET, and that a URL is never shown.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]oms.Kind{
		204: oms.Invalid, 300: oms.Invalid, 304: oms.Invalid, 400: oms.Invalid, 401: oms.Denied, 403: oms.Denied, 404: oms.NotFound,
		405: oms.Invalid, 408: oms.Transient, 410: oms.NotFound, 412: oms.Changed, 418: oms.Invalid, 429: oms.Throttled,
		451: oms.Denied, 500: oms.Transient, 501: oms.Unsupported, 502: oms.Transient, 503: oms.Throttled, 504: oms.Transient,
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			r, base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
			})
			_, statErr := r.Stat(t.Context(), base+"/path-secret?token=canary")
			_, openErr := r.Open(t.Context(), base+"/path-secret?token=canary", storage.OpenOptions{Size: -1})
			for _, err := range []error{statErr, openErr} {
				if oms.KindOf(err) != want || oms.CodeOf(err) != "HTTP "+strconv.Itoa(status) {
					t.Errorf("error %v of kind %v, want %v", err, oms.KindOf(err), want)
				}
				if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "path-secret")) {
					t.Errorf("the error shows the URL: %v", err)
				}
				if after, ok := storage.RetryAfter(err); ok != want.Retryable() || ok && after != 7*time.Second {
					t.Errorf("pause %v, %v", after, ok)
				}
			}
		})
	}
}

// TestRedirects follows few redirects, on the same host, and never to a weaker scheme (rule S6).
func TestRedirects(t *testing.T) {
	t.Parallel()
	other, otherURL := serve(t, server{text: "other"}.ServeHTTP)
	_ = other
	_, port, err := net.SplitHostPort(strings.TrimPrefix(otherURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	to := map[string]string{
		"/1": "/2", "/2": "3", "/3": "/end", "/0": "/1",
		"/port": "http://127.0.0.1:" + port + "/", "/name": "http://localhost:" + port + "/", "/loop": "/loop",
		"/nowhere": "", "/ftp": "ftp://127.0.0.1/", "/user": "http://u:p@127.0.0.1:" + port + "/", "/bad": "http://[", "/fragment": "/end#x",
	}
	r, base := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if next, ok := to[req.URL.Path]; ok {
			w.Header().Set("Location", next)
			w.WriteHeader(http.StatusFound)
			return
		}
		if req.Header.Get("Referer") != "" || req.Header.Get("Authorization") != "" || req.Header.Get("Cookie") != "" {
			t.Errorf("headers %v", req.Header)
		}
		server{text: "end"}.ServeHTTP(w, req)
	})
	for path, want := range map[string]string{
		"/1": "end", "/0": "", "/port": "other", "/name": "", "/loop": "", "/nowhere": "", "/ftp": "", "/user": "", "/bad": "", "/fragment": "end",
	} {
		got, _, err := read(t.Context(), r, base+path, storage.OpenOptions{Size: -1})
		if got != want || (err != nil) != (want == "") || err != nil && oms.CodeOf(err) != "REDIRECT" {
			t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
		}
		if _, err := r.Stat(t.Context(), base+path); (err != nil) != (want == "") {
			t.Errorf("%s: stat gives %v", path, err)
		}
	}
}

// TestWeakerScheme follows a redirect from http to https, and none back.
func TestWeakerScheme(t *testing.T) {
	t.Parallel()
	_, plain := serve(t, server{text: "plain"}.ServeHTTP)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			w.Header().Set("Location", plain+"/")
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		server{text: "secure"}.ServeHTTP(w, r)
	}))
	t.Cleanup(secure.Close)
	_, up := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", secure.URL+"/")
		w.WriteHeader(http.StatusMovedPermanently)
	})
	config, ok := secure.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the test server's client has another transport")
	}
	r := open(t, egress.Options{AllowPrivate: true}, config.TLSClientConfig)
	if got, _, err := read(t.Context(), r, up+"/", storage.OpenOptions{Size: -1}); got != "secure" || err != nil {
		t.Errorf("got %q, %v, want the secure object", got, err)
	}
	if _, _, err := read(t.Context(), r, secure.URL+"/down", storage.OpenOptions{Size: -1}); oms.CodeOf(err) != "REDIRECT" {
		t.Errorf("error %v, want a refused redirect", err)
	}
	untrusting := open(t, egress.Options{AllowPrivate: true}, nil)
	if _, err := untrusting.Stat(t.Context(), secure.URL); oms.CodeOf(err) != "CERTIFICATE" || oms.KindOf(err) != oms.Invalid {
		t.Errorf("error %v, want one about the certificate", err)
	}
}

// TestGuarded holds that a blocked and a refused host look the same, redirects into forbidden networks included (rules
// S5, S7).
func TestGuarded(t *testing.T) {
	t.Parallel()
	_, base := serve(t, server{text: "secret"}.ServeHTTP)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	blocked := open(t, egress.Options{}, nil)
	_, err = blocked.Stat(t.Context(), base)
	ln, lerr := net.Listen("tcp", "127.0.0.1:0")
	if lerr != nil {
		t.Fatal(lerr)
	}
	closed := ln.Addr().String()
	_ = ln.Close()
	open := open(t, egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
	_, refused := open.Stat(t.Context(), "http://"+closed)
	if err == nil || refused == nil || strings.ReplaceAll(err.Error(), u.Host, closed) != refused.Error() {
		t.Errorf("blocked: %v, refused: %v; want the same", err, refused)
	}
	if oms.KindOf(err) != oms.Transient || !errors.Is(err, egress.ErrBlocked) {
		t.Errorf("error %v of kind %v", err, oms.KindOf(err))
	}
}

// TestBadKeys refuses what no list file lets through.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	r := open(t, egress.Options{AllowPrivate: true}, nil)
	for _, key := range []string{"", "a", "ftp://h/", "http:///a", "http://u@h/", "http://[", "http://h/%"} {
		if _, err := r.Stat(t.Context(), key); oms.KindOf(err) != oms.Invalid {
			t.Errorf("%q: error %v, want invalid", key, err)
		}
	}
	page, err := r.List(t.Context(), storage.ListOptions{Limit: 1})
	if err != nil || len(page.Objects) > 0 || page.Truncated {
		t.Errorf("listing %+v, %v", page, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Stat(ctx, "http://127.0.0.1/"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// TestNext opens all other clouds with the next opener.
func TestNext(t *testing.T) {
	t.Parallel()
	o := urllist.NewOpener(next{}, urllist.Options{Transport: http.NewFileTransport(http.Dir(t.TempDir()))})
	if _, err := o.Open(t.Context(), storage.Bucket{CloudType: oms.CloudAWS}); !errors.Is(err, errNext) {
		t.Errorf("error %v, want that of the next opener", err)
	}
}

var errNext = errors.New("next")

type next struct{}

func (next) Open(context.Context, storage.Bucket) (storage.Reader, error) { return nil, errNext }

// FuzzContentRange holds that no header makes the parser panic or give a range that cannot be.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-0/1", "bytes 0-9/*", "bytes */0", "bytes 9-1/3", "bytes 0-9223372036854775807/*", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, total, ok := urllist.ParseContentRange(text)
		if ok && (r.Offset < 0 || r.Size < 1 || r.Offset+r.Size < 0 || total >= 0 && total < r.Offset+r.Size) {
			t.Fatalf("%q is %+v of %d", text, r, total)
		}
	})
}
