package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// script is a transport that records requests and answers from a function.
type script struct {
	mu       sync.Mutex
	requests []*http.Request
	answer   http.RoundTripper
}

// answerFunc answers requests.
type answerFunc func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f answerFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	return s.answer.RoundTrip(r)
}

// last returns the request sent last.
func (s *script) last() *http.Request { return s.requests[len(s.requests)-1] }

// reply returns an answer; headers are name, value pairs.
func reply(status int, body string, headers ...string) http.RoundTripper {
	return answerFunc(func(r *http.Request) (*http.Response, error) {
		hdr := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			hdr.Add(headers[i], headers[i+1])
		}
		return &http.Response{
			StatusCode: status, Header: hdr, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
		}, nil
	})
}

// scripted opens a bucket behind a script.
func scripted(t *testing.T, b storage.Bucket, answer http.RoundTripper) (*Bucket, *script) {
	t.Helper()
	s := &script{answer: answer}
	clock := func() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }
	r, err := NewOpener(Options{Transport: s, Clock: clock}).Open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	bucket, ok := r.(*Bucket)
	if !ok {
		t.Fatalf("got a %T", r)
	}
	return bucket, s
}

func bucketAt(cloud oms.CloudType, url string) storage.Bucket {
	return storage.Bucket{
		CloudType: cloud, Name: "bucket", Credentials: exampleKeys(), Endpoint: oms.Endpoint{URL: url, Region: "r-1"},
	}
}

// TestURLs checks where the bucket goes and that nothing cleans a key (rule D3).
func TestURLs(t *testing.T) {
	for _, test := range []struct {
		name string
		b    func(*storage.Bucket)
		key  string
		want string // host and request URI
	}{
		{"virtual host", func(*storage.Bucket) {}, "a b", "bucket.s3.example.com /a%20b"},
		{"path style", func(b *storage.Bucket) { b.Endpoint.PathStyle = true }, "a", "s3.example.com /bucket/a"},
		{"dots in the name", func(b *storage.Bucket) { b.Name = "a.b" }, "k", "s3.example.com /a.b/k"},
		{"bare address", func(b *storage.Bucket) { b.Endpoint.URL = "http://127.0.0.1:9000" }, "k", "127.0.0.1:9000 /bucket/k"},
		{"path only", func(b *storage.Bucket) { b.CloudType = oms.CloudQiniu }, "k", "s3.example.com /bucket/k"},
		{"virtual only", func(b *storage.Bucket) { b.CloudType, b.Endpoint.PathStyle = oms.CloudAliyun, true }, "k", "bucket.s3.example.com /k"},
		{"slash first", func(*storage.Bucket) {}, "/x", "bucket.s3.example.com //x"},
		{"only slashes", func(*storage.Bucket) {}, "//", "bucket.s3.example.com ///"},
		{"dot segments", func(*storage.Bucket) {}, "../a/./b/..", "bucket.s3.example.com /../a/./b/.."},
		{"bytes", func(*storage.Bucket) {}, "\xff\x00+%", "bucket.s3.example.com /%FF%00%2B%25"},
		{"star", func(*storage.Bucket) {}, "*", "bucket.s3.example.com /%2A"},
	} {
		b := bucketAt(oms.CloudAWS, "https://s3.example.com")
		test.b(&b)
		bucket, s := scripted(t, b, reply(200, ""))
		if _, err := bucket.Stat(t.Context(), test.key); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := s.last().Host + " " + s.last().URL.RequestURI(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, change := range []func(*storage.Bucket){
		func(b *storage.Bucket) { b.CloudType = oms.CloudAzure },
		func(b *storage.Bucket) { b.CloudType = "Nobody" },
		func(b *storage.Bucket) { b.Endpoint.URL = "s3.example.com" },
		func(b *storage.Bucket) { b.Endpoint.URL = "ftp://s3.example.com" },
		func(b *storage.Bucket) { b.Endpoint.URL = "https://user@s3.example.com" },
		func(b *storage.Bucket) { b.Endpoint.URL = "https://s3.example.com/path" },
		func(b *storage.Bucket) { b.Name = "a/b" },
		func(b *storage.Bucket) { b.Name = ".." },
		func(b *storage.Bucket) { b.Name = "evil.com#" },
		func(b *storage.Bucket) { b.Name = "a b" },
	} {
		b := bucketAt(oms.CloudAWS, "https://s3.example.com")
		change(&b)
		_, err := NewOpener(Options{Transport: noTransport{}}).Open(t.Context(), b)
		if k := oms.KindOf(err); k != oms.Invalid && k != oms.Unsupported {
			t.Errorf("%+v: got %v", b, err)
		}
	}
}

// TestHeaders checks what goes with a write, and that what says who and what is signed.
func TestHeaders(t *testing.T) {
	b := bucketAt(oms.CloudAWS, "https://s3.example.com")
	b.Credentials.SecurityToken = oms.NewSecret("session")
	b.RequesterPays = true
	bucket, s := scripted(t, b, reply(200, "", "ETag", `"AbC"`, "X-Amz-Version-Id", "v1", "Date", "Fri, 01 May 2026 12:00:05 GMT"))
	w, err := bucket.Put(t.Context(), storage.PutRequest{
		Key: "k", Body: strings.NewReader("data"), Size: 4,
		Attrs: storage.Attrs{ContentType: "text/plain", StorageClass: "STANDARD_IA", Metadata: map[string]string{"a": "ä", "b": " x "}},
		Sums:  storage.Sums{Has: storage.SumMD5 | storage.SumCRC32C | storage.SumCRC64NVME, CRC32C: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.ETag != "AbC" || w.VersionID != "v1" || w.Date.Second() != 5 {
		t.Errorf("got %+v", w)
	}
	r := s.last()
	for name, want := range map[string]string{
		"X-Amz-Security-Token": "session", "X-Amz-Request-Payer": "requester", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
		"X-Amz-Date": "20260501T120000Z", "Content-Type": "text/plain", "X-Amz-Storage-Class": "STANDARD_IA",
		"Content-Md5": "AAAAAAAAAAAAAAAAAAAAAA==", "X-Amz-Checksum-Crc32c": "AAAAAQ==", "X-Amz-Checksum-Crc64nvme": "",
		"Accept-Encoding": "identity", "Expect": "", "Transfer-Encoding": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	sent := map[string]string{}
	for name, values := range r.Header {
		sent[name] = strings.Join(values, "|")
	}
	if got := sent[metaPrefix+"a"]; got != "=?UTF-8?B?w6Q=?=" {
		t.Errorf("metadata a: got %q", got)
	}
	const signed = "SignedHeaders=content-md5;content-type;host;x-amz-checksum-crc32c;x-amz-content-sha256;x-amz-date;x-amz-meta-a;" +
		"x-amz-meta-b;x-amz-request-payer;x-amz-security-token;x-amz-storage-class,"
	if auth := r.Header.Get("Authorization"); !strings.Contains(auth, signed) {
		t.Errorf("got %s", auth)
	}
	if r.ContentLength != 4 {
		t.Errorf("ContentLength = %d", r.ContentLength)
	}
}

// TestQuirkHeaders checks that clouds which refuse S3's checksums never get any.
func TestQuirkHeaders(t *testing.T) {
	for _, cloud := range []oms.CloudType{
		oms.CloudHuawei, oms.CloudHEC, oms.CloudAliyun, oms.CloudTencent, oms.CloudKingsoft, oms.CloudBaidu, oms.CloudQiniu,
		oms.CloudQing, oms.CloudUCloud, oms.CloudGoogle,
	} {
		bucket, s := scripted(t, bucketAt(cloud, "https://s3.example.com"), reply(200, ""))
		_, err := bucket.Put(t.Context(), storage.PutRequest{Key: "k", Body: strings.NewReader(""), Sums: storage.Sums{Has: storage.SumCRC32C}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Stat(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.requests {
			for name := range r.Header {
				if strings.HasPrefix(name, "X-Amz-Checksum") {
					t.Errorf("%s: %s was sent", cloud, name)
				}
			}
		}
		if !Supports(cloud) {
			t.Errorf("%s is not supported", cloud)
		}
	}
}

func TestAnonymous(t *testing.T) {
	b := bucketAt(oms.CloudAWS, "https://s3.example.com")
	b.Credentials = oms.Credentials{}
	bucket, s := scripted(t, b, reply(200, ""))
	if _, err := bucket.Stat(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if s.last().Header.Get("Authorization") != "" || s.last().Header.Get("X-Amz-Date") != "" {
		t.Errorf("signed: %v", s.last().Header)
	}
}

// TestSkew checks that a refused clock is set by the store's.
func TestSkew(t *testing.T) {
	refused := true
	bucket, s := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), answerFunc(func(r *http.Request) (*http.Response, error) {
		if refused {
			refused = false
			return reply(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "Date", "Fri, 01 May 2026 14:30:00 GMT").RoundTrip(r)
		}
		return reply(200, "x").RoundTrip(r)
	}))
	_, err := bucket.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
	if !errors.Is(err, oms.Transient) {
		t.Errorf("got %v", err)
	}
	c, err := bucket.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Body.Close()
	if got := s.last().Header.Get("X-Amz-Date"); got != "20260501T143000Z" {
		t.Errorf("x-amz-date after the refusal: %s", got)
	}
}

// TestErrorKinds is the table of errors as the layers above see them.
func TestErrorKinds(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   oms.Kind
	}{
		{404, "NoSuchKey", oms.NotFound},
		{404, "NoSuchBucket", oms.NoBucket},
		{404, "NoSuchUpload", oms.NotFound},
		{404, "", oms.NotFound},
		{403, "AccessDenied", oms.Denied},
		{403, "SignatureDoesNotMatch", oms.Denied},
		{403, "InvalidAccessKeyId", oms.Denied},
		{400, "ExpiredToken", oms.Denied},
		{403, "", oms.Denied},
		{401, "", oms.Denied},
		{403, "RequestTimeTooSkewed", oms.Transient},
		{503, "SlowDown", oms.Throttled},
		{503, "", oms.Throttled},
		{429, "", oms.Throttled},
		{400, "RequestTimeout", oms.Transient},
		{500, "InternalError", oms.Transient},
		{502, "", oms.Transient},
		{504, "", oms.Transient},
		{408, "", oms.Transient},
		{409, "OperationAborted", oms.Transient},
		{403, "InvalidObjectState", oms.Archived},
		{412, "PreconditionFailed", oms.Changed},
		{416, "InvalidRange", oms.Changed},
		{400, "BadDigest", oms.Corrupt},
		{400, "InvalidDigest", oms.Corrupt},
		{400, "XAmzContentSHA256Mismatch", oms.Corrupt},
		{403, "QuotaExceeded", oms.Full},
		{507, "", oms.Full},
		{400, "KeyTooLongError", oms.Unsupported},
		{400, "MetadataTooLarge", oms.Unsupported},
		{400, "EntityTooLarge", oms.Unsupported},
		{501, "NotImplemented", oms.Unsupported},
		{400, "InvalidArgument", oms.Invalid},
		{301, "PermanentRedirect", oms.Invalid},
		{307, "", oms.Invalid},
		{400, "Unheard", oms.Invalid},
	} {
		body := ""
		if test.code != "" {
			body = "<Error><Code>" + test.code + "</Code><Message>why\nnot</Message></Error>"
		}
		bucket, _ := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), reply(test.status, body))
		_, err := bucket.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
		if !errors.Is(err, test.want) || oms.KindOf(err) != test.want {
			t.Errorf("%d %s: got %v of kind %v, want %v", test.status, test.code, err, oms.KindOf(err), test.want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("the message is not cleaned: %q", err)
		}
	}
}

func TestErrorRegion(t *testing.T) {
	for _, answer := range []http.RoundTripper{
		reply(301, "<Error><Code>PermanentRedirect</Code></Error>", "X-Amz-Bucket-Region", "eu-west-9"),
		reply(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9</Region></Error>"),
	} {
		bucket, s := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), answer)
		_, err := bucket.List(t.Context(), storage.ListOptions{})
		if !errors.Is(err, oms.Invalid) || !strings.Contains(err.Error(), "eu-west-9") {
			t.Errorf("got %v", err)
		}
		if len(s.requests) != 1 {
			t.Errorf("%d requests: a redirect was followed (rule S6)", len(s.requests))
		}
	}
}

// TestTransportErrors covers rule S7: how a connection failed is not told, and causes keep their kind.
func TestTransportErrors(t *testing.T) {
	guard := &oms.Error{Kind: oms.Denied, Code: "EGRESS", Msg: "no usable connection"}
	for _, test := range []struct {
		err  error
		want oms.Kind
	}{
		{errors.New("dial tcp 10.0.0.1:80: connection refused"), oms.Transient},
		{guard, oms.Denied},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, oms.Invalid},
	} {
		bucket, _ := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), answerFunc(func(*http.Request) (*http.Response, error) { return nil, test.err }))
		_, err := bucket.Stat(t.Context(), "k")
		if oms.KindOf(err) != test.want || strings.Contains(err.Error(), "10.0.0.1") {
			t.Errorf("%v: got %v", test.err, err)
		}
		if !errors.Is(err, test.err) {
			t.Errorf("the cause is lost: %v", err)
		}
	}
}

// TestMetadataCodes checks both encodings of non-ASCII metadata.
func TestMetadataCodes(t *testing.T) {
	values := []string{"", "plain", "ä", "中文 text", " lead", "trail ", "=?x", "=?UTF-8?B?eA==?=", "dGVzdA==", "test", "a\tb", "line\nbreak", "\xff\xfe"}
	for _, cloud := range []oms.CloudType{oms.CloudAWS, oms.CloudHuawei} {
		b := testBucket(t, cloud)
		for _, v := range values {
			sent := encodeMeta(v, b.quirks.metaWrite)
			if !carried(sent) || sent != strings.TrimSpace(sent) {
				t.Errorf("%s: %q is sent as %q", cloud, v, sent)
			}
			if got := b.decodeMeta(sent); got != v {
				t.Errorf("%s: %q comes back as %q", cloud, v, got)
			}
		}
	}
	aws, obs := testBucket(t, oms.CloudAWS), testBucket(t, oms.CloudHuawei)
	for v, want := range map[string]string{
		"=?UTF-8?Q?=C3=A4?=": "ä", "=?utf-8?B?w6Q=?= =?utf-8?B?w7Y=?=": "äö", "5Lit5paH": "5Lit5paH", "=?nonsense": "=?nonsense",
	} {
		if got := aws.decodeMeta(v); got != want {
			t.Errorf("AWS %q: got %q, want %q", v, got, want)
		}
	}
	for v, want := range map[string]string{"5Lit5paH": "中文", "test": "test", "abcd": "abcd", "dGVzdA==": "dGVzdA=="} {
		if got := obs.decodeMeta(v); got != want {
			t.Errorf("OBS %q: got %q, want %q", v, got, want)
		}
	}
	err := aws.addAttrs(&call{}, &storage.Attrs{Metadata: map[string]string{"bad name": "x"}})
	if !errors.Is(err, oms.Unsupported) {
		t.Errorf("bad metadata name: got %v", err)
	}
	err = aws.addAttrs(&call{}, &storage.Attrs{CacheControl: "a\r\nX-Amz-Acl: public-read"})
	if !errors.Is(err, oms.Unsupported) {
		t.Errorf("header injection: got %v", err)
	}
}

// TestSumsRead checks what of an answer counts as checksum of the whole object, and what as encrypted (rule D6).
func TestSumsRead(t *testing.T) {
	const crc32c, nvme = "AAAAAQ==", "AAAAAAAAAAI="
	for _, test := range []struct {
		name    string
		cloud   oms.CloudType
		headers []string
		want    storage.Sums
		opaque  bool
	}{
		{"full", oms.CloudAWS, []string{"x-amz-checksum-crc32c", crc32c, "x-amz-checksum-type", "FULL_OBJECT"}, storage.Sums{Has: storage.SumCRC32C, CRC32C: 1}, false},
		{"full nvme", oms.CloudAWS, []string{"x-amz-checksum-crc64nvme", nvme, "x-amz-checksum-type", "FULL_OBJECT"}, storage.Sums{Has: storage.SumCRC64NVME, CRC64NVME: 2}, false},
		{"composite", oms.CloudAWS, []string{"x-amz-checksum-crc32c", crc32c + "-3", "x-amz-checksum-type", "COMPOSITE"}, storage.Sums{}, false},
		{"type not told", oms.CloudAWS, []string{"x-amz-checksum-crc32c", crc32c}, storage.Sums{}, false},
		{"not base64", oms.CloudAWS, []string{"x-amz-checksum-crc32c", "????", "x-amz-checksum-type", "FULL_OBJECT"}, storage.Sums{}, false},
		{"OBS", oms.CloudHuawei, []string{"x-obs-hash-crc64ecma", "11051210869376104954"}, storage.Sums{Has: storage.SumCRC64ECMA, CRC64ECMA: 0x995dc9bbdf1939fa}, false},
		{"OSS", oms.CloudAliyun, []string{"x-oss-hash-crc64ecma", "7"}, storage.Sums{Has: storage.SumCRC64ECMA, CRC64ECMA: 7}, false},
		{"COS", oms.CloudTencent, []string{"x-cos-hash-crc64ecma", "7"}, storage.Sums{Has: storage.SumCRC64ECMA, CRC64ECMA: 7}, true},
		{"foreign", oms.CloudAWS, []string{"x-cos-hash-crc64ecma", "7"}, storage.Sums{}, false},
		{"Google", oms.CloudGoogle, []string{"x-goog-hash", "crc32c=" + crc32c, "x-goog-hash", "md5=AAAAAAAAAAAAAAAAAAAAAQ=="}, storage.Sums{Has: storage.SumCRC32C | storage.SumMD5, CRC32C: 1, MD5: [16]byte{15: 1}}, false},
		{"SSE-S3", oms.CloudAWS, []string{"x-amz-server-side-encryption", "AES256"}, storage.Sums{}, false},
		{"SSE-KMS", oms.CloudAWS, []string{"x-amz-server-side-encryption", "aws:kms"}, storage.Sums{}, true},
		{"SSE-C", oms.CloudAWS, []string{"x-amz-server-side-encryption-customer-algorithm", "AES256"}, storage.Sums{}, true},
		{"OBS KMS", oms.CloudHuawei, []string{"x-obs-server-side-encryption", "kms"}, storage.Sums{}, true},
	} {
		bucket, _ := scripted(t, bucketAt(test.cloud, "https://s3.example.com"), reply(200, "", test.headers...))
		o, err := bucket.Stat(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, o.Sums); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if o.Encrypted != test.opaque {
			t.Errorf("%s: Encrypted = %v", test.name, o.Encrypted)
		}
	}
}

func TestLocation(t *testing.T) {
	for _, test := range []struct {
		name, body string
		cloud      oms.CloudType
		header     string
		want       string
	}{
		{"header", "", oms.CloudAWS, "X-Amz-Bucket-Region", "h-1"},
		{"AWS", `<LocationConstraint xmlns="x">eu-central-1</LocationConstraint>`, oms.CloudAWS, "", "eu-central-1"},
		{"AWS, the first region", `<LocationConstraint xmlns="x"/>`, oms.CloudAWS, "", "us-east-1"},
		{"AWS, Europe", `<LocationConstraint>EU</LocationConstraint>`, oms.CloudAWS, "", "eu-west-1"},
		{"OBS", `<CreateBucketConfiguration xmlns="x"><Location>cn-north-4</Location></CreateBucketConfiguration>`, oms.CloudHuawei, "", "cn-north-4"},
		{"OBS, bare", `<Location xmlns="x">cn-north-4</Location>`, oms.CloudHuawei, "", "cn-north-4"},
		{"OBS header", "", oms.CloudHuawei, "X-Obs-Bucket-Location", "h-1"},
		{"OSS", `<LocationConstraint>oss-cn-hangzhou</LocationConstraint>`, oms.CloudAliyun, "", "cn-hangzhou"},
		{"not told", `<LocationConstraint/>`, oms.CloudHuawei, "", ""},
	} {
		bucket, _ := scripted(t, bucketAt(test.cloud, "https://s3.example.com"), answerFunc(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodHead && test.header != "" {
				return reply(301, "", test.header, "h-1").RoundTrip(r)
			}
			return reply(200, test.body).RoundTrip(r)
		}))
		got, err := bucket.Location(t.Context())
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestListQueries(t *testing.T) {
	for _, test := range []struct {
		cloud oms.CloudType
		opts  storage.ListOptions
		want  string
	}{
		{oms.CloudAWS, storage.ListOptions{}, "encoding-type=url&list-type=2&max-keys=1000"},
		{oms.CloudAWS, storage.ListOptions{Prefix: "a b", After: "a b/é", Limit: 5}, "encoding-type=url&list-type=2&max-keys=5&prefix=a%20b&start-after=a%20b%2F%C3%A9"},
		{oms.CloudAWS, storage.ListOptions{After: "x", Token: "t=", Limit: 5000}, "continuation-token=t%3D&encoding-type=url&list-type=2&max-keys=1000"},
		{oms.CloudTencent, storage.ListOptions{After: "x"}, "encoding-type=url&marker=x&max-keys=1000"},
		{oms.CloudTencent, storage.ListOptions{After: "x", Token: "t"}, "encoding-type=url&marker=t&max-keys=1000"},
		{oms.CloudQiniu, storage.ListOptions{}, "list-type=2&max-keys=1000"},
	} {
		b := testBucket(t, test.cloud)
		if got := string(b.listQuery(test.opts)); got != test.want {
			t.Errorf("%s %+v: got %s, want %s", test.cloud, test.opts, got, test.want)
		}
	}
}

// TestMarkersMoveOn covers rule C4 for the listings of parts, uploads and buckets.
func TestMarkersMoveOn(t *testing.T) {
	ctx := t.Context()
	for name, test := range map[string]struct {
		body string
		call func(*Bucket) error
	}{
		"parts": {
			"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
			func(b *Bucket) error { _, err := b.ListParts(ctx, "k", "id"); return err },
		},
		"parts again": {
			"<ListPartsResult><IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber><Size>1</Size></Part></ListPartsResult>",
			func(b *Bucket) error { _, err := b.ListParts(ctx, "k", "id"); return err },
		},
		"uploads": {
			"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><Upload><Key>k</Key><UploadId>1</UploadId></Upload></ListMultipartUploadsResult>",
			func(b *Bucket) error { _, err := b.ListUploads(ctx, "", 0); return err },
		},
		"buckets": {
			"<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets><ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>",
			func(b *Bucket) error { _, err := b.ListBuckets(ctx); return err },
		},
	} {
		bucket, s := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), reply(200, test.body))
		if err := test.call(bucket); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := len(s.requests); n > 3 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

// TestEndlessBuckets: a list of buckets with ever new pages ends with an error before it fills the memory.
func TestEndlessBuckets(t *testing.T) {
	page := 0
	names := strings.Repeat("<Bucket><Name>some-bucket-name</Name></Bucket>", 1000)
	bucket, s := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), answerFunc(func(r *http.Request) (*http.Response, error) {
		page++
		body := "<ListAllMyBucketsResult><Buckets>" + names + "</Buckets><ContinuationToken>" + strconv.Itoa(page) + "</ContinuationToken></ListAllMyBucketsResult>"
		return reply(200, body).RoundTrip(r)
	}))
	if _, err := bucket.ListBuckets(t.Context()); !errors.Is(err, oms.Listing) {
		t.Errorf("got %v, want a listing error", err)
	}
	if n := len(s.requests); n > 11 {
		t.Errorf("%d requests", n)
	}
}

// TestServiceHost checks where buckets are listed.
func TestServiceHost(t *testing.T) {
	bucket, s := scripted(t, bucketAt(oms.CloudTencent, "https://cos.ap-beijing.myqcloud.com"),
		reply(200, "<ListAllMyBucketsResult><Buckets><Bucket><Name>a-1</Name></Bucket></Buckets></ListAllMyBucketsResult>"))
	names, err := bucket.ListBuckets(t.Context())
	if err != nil || len(names) != 1 || names[0] != "a-1" {
		t.Errorf("got %v, %v", names, err)
	}
	if got := s.last().URL.String(); got != "https://service.cos.myqcloud.com/" {
		t.Errorf("asked %s", got)
	}
}

// TestReleasedBody checks that the transport cannot read a body after release (rule C3).
func TestReleasedBody(t *testing.T) {
	s, err := newSendBody(bytes.NewReader(make([]byte, 100_000)), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 10)); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	s.release()
	if n, err := s.Read(make([]byte, 10)); n != 0 || !errors.Is(err, errReleased) {
		t.Errorf("read after release: %d, %v", n, err)
	}
	if _, handled, _ := s.sendTo(io.Discard); handled {
		t.Error("sendTo after release")
	}
}

// TestReleaseWaits checks that release waits for a read in progress.
func TestReleaseWaits(t *testing.T) {
	src := &gate{reading: make(chan struct{}), proceed: make(chan struct{})}
	s, err := newSendBody(src, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = s.Read(make([]byte, 10)) })
	<-src.reading
	released := make(chan struct{})
	wg.Go(func() { s.release(); close(released) })
	select {
	case <-released:
		t.Error("released during a read")
	case <-time.After(20 * time.Millisecond):
	}
	close(src.proceed)
	<-released
	wg.Wait()
}

// gate is a reader that waits.
type gate struct{ reading, proceed chan struct{} }

func (g *gate) Read(p []byte) (int, error) {
	close(g.reading)
	<-g.proceed
	return len(p), nil
}

// TestNoName checks that a handle without bucket can only list buckets.
func TestNoName(t *testing.T) {
	b := bucketAt(oms.CloudAWS, "https://s3.example.com")
	b.Name = ""
	bucket, s := scripted(t, b, reply(200, "<ListAllMyBucketsResult/>"))
	if _, err := bucket.ListBuckets(t.Context()); err != nil {
		t.Error(err)
	}
	if err := bucket.CheckBucket(t.Context()); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v", err)
	}
	if _, err := bucket.Stat(context.WithoutCancel(t.Context()), "k"); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v", err)
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
}

// TestCopyWithoutETag covers rule D7: the document must hold an ETag.
func TestCopyWithoutETag(t *testing.T) {
	for _, body := range []string{"<CopyObjectResult/>", "<CopyObjectResult><ETag></ETag></CopyObjectResult>", "", "<Other><ETag>x</ETag></Other>"} {
		bucket, _ := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), reply(200, body))
		if _, err := bucket.Copy(t.Context(), "b", "k", "", "dst", nil); !errors.Is(err, oms.Transient) {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

// TestShortWithoutLength covers rule D4 where HTTP itself sees no end too early.
func TestShortWithoutLength(t *testing.T) {
	bucket, _ := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), answerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("four")), ContentLength: -1}, nil
	}))
	for size, want := range map[int64]oms.Kind{3: oms.Corrupt, 5: oms.Transient} {
		c, err := bucket.Open(t.Context(), "k", storage.OpenOptions{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c.Body); !errors.Is(err, want) {
			t.Errorf("size %d: got %v, want %v", size, err, want)
		}
		_ = c.Body.Close()
	}
}
