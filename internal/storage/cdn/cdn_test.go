package cdn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	ak  = "AKCDN"
	sk  = "a secret of the bucket"
	key = "a key of the CDN host"
)

// lab is a bucket, and a transport for all.
type lab struct {
	t      *testing.T
	cloud  *testcloud.Cloud
	bucket *testcloud.Bucket
	url    string
	opener *cdn.Opener
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, cloud: testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: sk})}
	var err error
	var stop func()
	if l.url, stop, err = l.cloud.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	l.bucket = l.cloud.CreateBucket("photos")
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	l.opener = cdn.NewOpener(s3.NewOpener(s3.Options{Transport: tr}), cdn.Options{Transport: tr})
	return l
}

// put stores an object that is an hour old.
func (l *lab) put(key string, size int) []byte {
	data := bytes.Repeat([]byte(key+"."), size/(len(key)+1)+1)[:size]
	l.bucket.PutAt(key, data, testcloud.Attrs{ContentType: "image/test", Meta: map[string]string{"colour": "blue"}}, time.Now().Add(-time.Hour))
	return data
}

// host starts a CDN host in front of the bucket and returns host:port.
func (l *lab) host(opts testcloud.CDNOptions) (string, *testcloud.CDN) {
	l.t.Helper()
	c := l.bucket.CDN(opts)
	s := httptest.NewServer(c)
	l.t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), c
}

// spec names the bucket behind a host.
func (l *lab) spec(host string, method cdnsign.Method, cdnKey string) storage.Bucket {
	return storage.Bucket{
		CloudType: oms.CloudAWS, Name: "photos", Endpoint: oms.Endpoint{URL: l.url, Region: "us-east-1", PathStyle: true, Trusted: true},
		Credentials: oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(sk)},
		CDN:         &storage.CDN{CDN: oms.CDN{Domain: host, Protocol: "http", AuthenticationType: string(method)}, Key: oms.NewSecret(cdnKey)},
	}
}

func (l *lab) open(b storage.Bucket) storage.Reader {
	l.t.Helper()
	r, err := l.opener.Open(l.t.Context(), b)
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func readAll(r storage.Reader, key string, opts storage.OpenOptions) ([]byte, storage.Content, error) {
	c, err := r.Open(context.Background(), key, opts)
	if err != nil {
		return nil, c, err
	}
	data, err := io.ReadAll(c.Body)
	return data, c, errors.Join(err, c.Body.Close())
}

// TestMethods reads through hosts that check every kind of signature by themselves, awkward names among the objects,
// whole and in parts; a wrong key is refused.
func TestMethods(t *testing.T) {
	names := []string{"a", "dir/b c", "é/中.jpg", "p%2Fq", "//x", "..", "a/../b", "q?x=1&y#z", "+", "~-_.", "d/"}
	for _, method := range cdnsign.Methods() {
		t.Run(string(method), func(t *testing.T) {
			l := newLab(t)
			secret := key
			if method == cdnsign.Azure {
				secret = "?sv=2022&sp=r&sig=a%2Bb%3D"
			}
			host, c := l.host(testcloud.CDNOptions{Method: string(method), Key: secret, AccessKey: ak, SecretKey: sk})
			r := l.open(l.spec(host, method, secret))
			for _, name := range names {
				data := l.put(name, 5000)
				got, content, err := readAll(r, name, storage.OpenOptions{Size: 5000})
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%q: %d bytes, %v", name, len(got), err)
				}
				if content.Length != 5000 || content.Size != 5000 || content.Attrs.ContentType != "image/test" || content.Attrs.Metadata["colour"] != "blue" {
					t.Errorf("%q: %+v, want what the bucket says", name, content.Object)
				}
				got, content, err = readAll(r, name, storage.OpenOptions{Size: 5000, Range: &storage.ByteRange{Offset: 1000, Size: 17}, IfMatch: content.ETag})
				if err != nil || !bytes.Equal(got, data[1000:1017]) || content.Length != 17 || content.Sums.Has != 0 {
					t.Errorf("%q, part: %d bytes of %d, %v", name, len(got), content.Length, err)
				}
			}
			if int(c.Served.Load()) != 2*len(names) || c.Refused.Load() != 0 || l.cloud.Count(testcloud.GetObject) != 0 {
				t.Errorf("%d served, %d refused, %d read from the bucket", c.Served.Load(), c.Refused.Load(), l.cloud.Count(testcloud.GetObject))
			}
			if !method.NeedsKey() {
				return
			}
			_, _, err := readAll(l.open(l.spec(host, method, "sig=wrong")), "a", storage.OpenOptions{Size: -1})
			if oms.KindOf(err) != oms.Denied {
				t.Errorf("wrong key: got %v, want denied", err)
			}
			shows(t, err, "sig=wrong", host, sk)
		})
	}
}

// shows fails when an error holds a secret.
func shows(t *testing.T, err error, secrets ...string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, s := range secrets {
			if strings.Contains(fmt.Sprintf("%v %+v", e, e), s) {
				t.Errorf("the error shows %q: %v", s, e)
			}
		}
	}
}

// TestWithoutCDN: a bucket without a host is the bucket itself, with all it can do.
func TestWithoutCDN(t *testing.T) {
	l := newLab(t)
	b := l.spec("", cdnsign.None, "")
	b.CDN = nil
	if _, ok := l.open(b).(*s3.Bucket); !ok {
		t.Error("the bucket is wrapped")
	}
}

// TestListing: the bucket lists and knows, also in parallel; nothing can be written through a host.
func TestListing(t *testing.T) {
	l := newLab(t)
	l.put("a/1", 10)
	l.put("b", 10)
	host, c := l.host(testcloud.CDNOptions{})
	r := l.open(l.spec(host, cdnsign.None, ""))
	page, err := r.List(t.Context(), storage.ListOptions{})
	if err != nil || len(page.Objects) != 2 {
		t.Errorf("got %+v, %v", page, err)
	}
	if o, err := r.Stat(t.Context(), "b"); err != nil || o.Size != 10 {
		t.Errorf("got %+v, %v", o, err)
	}
	brancher, ok := r.(storage.Brancher)
	if !ok {
		t.Fatal("the branches are hidden")
	}
	if names, err := brancher.Branches(t.Context(), ""); err != nil || !slices.Equal(names, []string{"a/"}) {
		t.Errorf("got %q, %v", names, err)
	}
	if _, ok := r.(storage.Writer); ok {
		t.Error("a reader through a CDN can write")
	}
	if _, ok := r.(storage.Copier); ok {
		t.Error("a reader through a CDN can copy, which would go past the host")
	}
	if n := c.Served.Load(); n != 0 {
		t.Errorf("%d downloads for listings", n)
	}
}

// TestMisbehaviour: what a host sends is taken only if it is the object of the bucket.
func TestMisbehaviour(t *testing.T) {
	const size = 4000
	answer := func(status int, headers map[string]string, body string) func(http.ResponseWriter, *http.Request, *testcloud.Object) bool {
		return func(w http.ResponseWriter, _ *http.Request, o *testcloud.Object) bool {
			w.Header().Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
			for name, value := range headers {
				w.Header().Set(name, value)
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	whole := strings.Repeat("x", size)
	part := &storage.ByteRange{Offset: 100, Size: 50}
	span := func(text string) map[string]string { return map[string]string{"Content-Range": text} }
	tests := []struct {
		name   string
		before func(http.ResponseWriter, *http.Request, *testcloud.Object) bool
		part   *storage.ByteRange
		want   oms.Kind
		code   string
	}{
		{"missing", answer(404, nil, "gone"), nil, oms.NotFound, "HTTP 404"},
		{"denied", answer(403, nil, "<Error><Code>AccessDenied</Code></Error>"), nil, oms.Denied, "HTTP 403"},
		{"unauthorised", answer(401, nil, ""), nil, oms.Denied, "HTTP 401"},
		{"archived", answer(403, nil, "<Error><Code>InvalidObjectState</Code></Error>"), nil, oms.Archived, "InvalidObjectState"},
		{"redirect", answer(302, map[string]string{"Location": "http://127.0.0.1:1/"}, ""), nil, oms.Unsupported, "CDN_REDIRECTS"},
		{"busy", answer(503, map[string]string{"Retry-After": "7"}, ""), nil, oms.Throttled, "HTTP 503"},
		{"too many", answer(429, nil, ""), nil, oms.Throttled, "HTTP 429"},
		{"broken", answer(500, nil, ""), nil, oms.Transient, "HTTP 500"},
		{"gateway", answer(502, nil, ""), nil, oms.Transient, "HTTP 502"},
		{"bad request", answer(400, nil, ""), nil, oms.Invalid, "HTTP 400"},
		{"range not satisfiable", answer(416, nil, ""), part, oms.Changed, "CDN_DIFFERS"},
		{"shorter", answer(200, nil, whole[1:]), nil, oms.Changed, "CDN_DIFFERS"},
		{"longer", answer(200, nil, whole+"x"), nil, oms.Changed, "CDN_DIFFERS"},
		{"older", answer(200, map[string]string{"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT"}, whole), nil, oms.Changed, "CDN_DIFFERS"},
		{"other tag, no time", answer(200, map[string]string{"Last-Modified": "", "ETag": `"0123"`}, whole), nil, oms.Changed, "CDN_DIFFERS"},
		{"compressed", answer(200, map[string]string{"Content-Encoding": "gzip"}, whole), nil, oms.Unsupported, "CDN_COMPRESSES"},
		{"part of a whole", answer(206, span("bytes 0-3999/4000"), whole), nil, oms.Corrupt, "BAD_ANSWER"},
		{"range ignored", answer(200, nil, whole), part, oms.Unsupported, "RANGE_IGNORED"},
		{"other range", answer(206, span("bytes 101-150/4000"), whole[:50]), part, oms.Corrupt, "BAD_RANGE_ANSWER"},
		{"no range", answer(206, nil, whole[:50]), part, oms.Corrupt, "BAD_RANGE_ANSWER"},
		{"range of another size", answer(206, span("bytes 100-149/4001"), whole[:50]), part, oms.Changed, "CDN_DIFFERS"},
		{"short range", answer(206, span("bytes 100-149/4000"), whole[:49]), part, oms.Corrupt, "BAD_RANGE_ANSWER"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request, _ *testcloud.Object) bool {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = io.WriteString(w, whole[:1000])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, nil, oms.Transient, "BODY_TOO_SHORT"},
		{"endless", func(w http.ResponseWriter, r *http.Request, _ *testcloud.Object) bool {
			for r.Context().Err() == nil { // no length: chunked
				if _, err := io.WriteString(w, whole); err != nil {
					break
				}
			}
			return true
		}, nil, oms.Corrupt, "BODY_TOO_LONG"},
		{"connection reset", func(http.ResponseWriter, *http.Request, *testcloud.Object) bool { panic(http.ErrAbortHandler) }, nil, oms.Transient, "CONNECTION"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			l.put("k", size)
			host, _ := l.host(testcloud.CDNOptions{Method: string(cdnsign.Azure), Key: "sig=hidden", Before: tt.before})
			r := l.open(l.spec(host, cdnsign.Azure, "sig=hidden"))
			_, _, err := readAll(r, "k", storage.OpenOptions{Size: size, Range: tt.part})
			if oms.KindOf(err) != tt.want || oms.CodeOf(err) != tt.code {
				t.Errorf("got %v, want %v with %s", err, tt.want, tt.code)
			}
			shows(t, err, "sig=hidden", host)
			if tt.name == "busy" {
				if after, ok := storage.RetryAfter(err); !ok || after != 7*time.Second {
					t.Errorf("retry after %s, %v", after, ok)
				}
			}
		})
	}
}

// TestTolerated: what hosts may leave out or change without being wrong.
func TestTolerated(t *testing.T) {
	for name, headers := range map[string][2]string{
		"no time, same tag": {"", "same"}, "no time, no tag": {"", ""}, "same time, other tag": {"same", "other"}, "no time, weak tag": {"", "W/x"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			data := l.put("k", 100)
			host, _ := l.host(testcloud.CDNOptions{Before: func(w http.ResponseWriter, _ *http.Request, o *testcloud.Object) bool {
				if headers[0] != "" {
					w.Header().Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
				}
				switch headers[1] {
				case "same":
					w.Header().Set("ETag", `"`+strings.ToUpper(o.ETag)+`"`)
				case "other":
					w.Header().Set("ETag", `"0123"`)
				case "W/x":
					w.Header().Set("ETag", `W/"x"`)
				}
				w.Header().Set("Content-Encoding", "identity")
				_, _ = w.Write(data)
				return true
			}})
			got, _, err := readAll(l.open(l.spec(host, cdnsign.None, "")), "k", storage.OpenOptions{Size: 100})
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestBucketFirst: what the caller expects is compared with the bucket, before the host is asked.
func TestBucketFirst(t *testing.T) {
	l := newLab(t)
	l.put("k", 100)
	l.put("empty", 0)
	host, c := l.host(testcloud.CDNOptions{})
	r := l.open(l.spec(host, cdnsign.None, ""))
	for name, tt := range map[string]struct {
		key  string
		opts storage.OpenOptions
		want oms.Kind
	}{
		"missing":       {"nosuch", storage.OpenOptions{Size: -1}, oms.NotFound},
		"other size":    {"k", storage.OpenOptions{Size: 99}, oms.Changed},
		"other tag":     {"k", storage.OpenOptions{Size: 100, IfMatch: "0123"}, oms.Changed},
		"beyond":        {"k", storage.OpenOptions{Size: 100, Range: &storage.ByteRange{Offset: 90, Size: 11}}, oms.Invalid},
		"overflow":      {"k", storage.OpenOptions{Size: 100, Range: &storage.ByteRange{Offset: 90, Size: 1<<63 - 1}}, oms.Invalid},
		"negative":      {"k", storage.OpenOptions{Size: 100, Range: &storage.ByteRange{Offset: -1, Size: 5}}, oms.Invalid},
		"empty range":   {"k", storage.OpenOptions{Size: 100, Range: &storage.ByteRange{}}, oms.Invalid},
		"range of none": {"empty", storage.OpenOptions{Size: 0, Range: &storage.ByteRange{Size: 1}}, oms.Invalid},
	} {
		if _, _, err := readAll(r, tt.key, tt.opts); oms.KindOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if n := c.Served.Load(); n != 0 {
		t.Errorf("the host was asked %d times", n)
	}
	if got, content, err := readAll(r, "empty", storage.OpenOptions{Size: 0}); err != nil || len(got) != 0 || content.Length != 0 {
		t.Errorf("empty object: %q, %+v, %v", got, content, err)
	}
}

// TestOpener refuses hosts and keys that cannot be used, and clouds that the next opener refuses.
func TestOpener(t *testing.T) {
	l := newLab(t)
	for name, change := range map[string]func(*storage.Bucket){
		"no host":     func(b *storage.Bucket) { b.CDN.Domain = "" },
		"scheme":      func(b *storage.Bucket) { b.CDN.Domain = "http://cdn.example.org" },
		"path":        func(b *storage.Bucket) { b.CDN.Domain = "cdn.example.org/x" },
		"user":        func(b *storage.Bucket) { b.CDN.Domain = "u@cdn.example.org" },
		"query":       func(b *storage.Bucket) { b.CDN.Domain = "cdn.example.org?x" },
		"blank":       func(b *storage.Bucket) { b.CDN.Domain = "cdn example.org" },
		"empty port":  func(b *storage.Bucket) { b.CDN.Domain = "cdn.example.org:" },
		"no port":     func(b *storage.Bucket) { b.CDN.Domain = "cdn.example.org:http" },
		"long":        func(b *storage.Bucket) { b.CDN.Domain = strings.Repeat("a", 256) },
		"protocol":    func(b *storage.Bucket) { b.CDN.Protocol = "ftp" },
		"type":        func(b *storage.Bucket) { b.CDN.AuthenticationType = "HMAC" },
		"no SAS":      func(b *storage.Bucket) { b.CDN.AuthenticationType = string(cdnsign.Azure) },
		"bucket name": func(b *storage.Bucket) { b.Name = "a/b" },
	} {
		b := l.spec("cdn.example.org", cdnsign.None, "")
		change(&b)
		if _, err := l.opener.Open(t.Context(), b); oms.KindOf(err) != oms.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	b := l.spec("cdn.example.org", cdnsign.None, "")
	b.CloudType = oms.CloudURL
	if _, err := l.opener.Open(t.Context(), b); oms.KindOf(err) != oms.Unsupported {
		t.Errorf("got %v, want unsupported", err)
	}
	for _, host := range []string{"cdn.example.org", "CDN.example.org:8080", "127.0.0.1:9000", "[::1]:80", "[::1]"} {
		if !cdn.UsableHost(host) {
			t.Errorf("%s is refused", host)
		}
	}
	r := l.open(l.spec("CDN.example.org", cdnsign.TencentD, key))
	if text := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(text, key) || strings.Contains(text, sk) {
		t.Errorf("keys are shown: %s", text)
	}
}

// TestProbe: what is told about a host.
func TestProbe(t *testing.T) {
	l := newLab(t)
	l.put("k", 100)
	l.put("stale", 100)
	l.put("withheld", 100)
	host, _ := l.host(testcloud.CDNOptions{
		Headers: map[string]string{"X-Amz-Request-Id": "1"},
		Before: func(w http.ResponseWriter, _ *http.Request, o *testcloud.Object) bool {
			switch {
			case o == nil:
			case o.Key == "stale":
				w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
				w.Header().Set("ETag", `"0123"`)
				_, _ = io.WriteString(w, strings.Repeat("x", 100))
				return true
			case o.Key == "withheld":
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		},
	})
	prober, ok := l.open(l.spec(host, cdnsign.None, "")).(storage.CDNProber)
	if !ok {
		t.Fatal("a reader through a CDN cannot be probed")
	}
	for key, want := range map[string]storage.CDNProbe{
		"k":        {InBucket: true, Served: true, ETagMatches: true, SameVendor: true},
		"stale":    {InBucket: true, SameVendor: true},
		"withheld": {InBucket: true},
		"nosuch":   {},
	} {
		got, err := prober.ProbeCDN(t.Context(), key)
		if err != nil || (got.Refusal == nil) != (got.Served || !got.InBucket) {
			t.Errorf("%s: refusal %v, %v", key, got.Refusal, err)
		}
		got.Refusal = nil
		if got != want {
			t.Errorf("%s: got %+v, want %+v", key, got, want)
		}
	}
	l.cloud.Revoke(ak)
	if _, err := prober.ProbeCDN(t.Context(), "k"); oms.KindOf(err) != oms.Denied {
		t.Errorf("got %v, want denied", err)
	}
}

// TestVendorNames: names that only a vendor gives out belong to it, and to nobody else.
func TestVendorNames(t *testing.T) {
	l := newLab(t)
	for host, cloud := range map[string]oms.CloudType{
		"d1.cloudfront.net": oms.CloudAWS, "b.oss-cn-beijing.aliyuncs.com:443": oms.CloudAliyun, "b.file.myqcloud.com": oms.CloudTencent,
		"x.qiniucdn.com": oms.CloudQiniu, "x.cdnhwc1.com": oms.CloudHuawei, "x.bcebos.com": oms.CloudBaidu, "x.ksyuncs.com": oms.CloudKingsoft,
		"x.qingstor.com": oms.CloudQing, "x.ufileos.com": oms.CloudUCloud, "cloudfront.net.example.org": "",
	} {
		for _, vendor := range []oms.CloudType{
			oms.CloudAWS, oms.CloudAliyun, oms.CloudTencent, oms.CloudQiniu, oms.CloudHuawei, oms.CloudBaidu, oms.CloudKingsoft, oms.CloudQing, oms.CloudUCloud,
		} {
			b := l.spec(host, cdnsign.None, "")
			b.CloudType = vendor
			prober, ok := l.open(b).(storage.CDNProber)
			if !ok {
				t.Fatal("a reader through a CDN cannot be probed")
			}
			got, err := prober.ProbeCDN(t.Context(), "nosuch")
			if err != nil || got.SameVendor != (vendor == cloud) {
				t.Errorf("%s of %s: got %+v, %v", host, vendor, got, err)
			}
		}
	}
}

// TestCanceled: a context that ends passes through.
func TestCanceled(t *testing.T) {
	l := newLab(t)
	l.put("k", 100)
	ctx, cancel := context.WithCancel(t.Context())
	host, _ := l.host(testcloud.CDNOptions{Before: func(_ http.ResponseWriter, r *http.Request, _ *testcloud.Object) bool {
		cancel()
		<-r.Context().Done()
		return true
	}})
	_, err := l.open(l.spec(host, cdnsign.None, "")).Open(ctx, "k", storage.OpenOptions{Size: 100})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}
