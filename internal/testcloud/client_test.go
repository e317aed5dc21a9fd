package testcloud

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	testAK = "AKTEST/with/slash"
	testSK = "secret+key/=="
)

// client is a small S3 client with a signer of its own, written from the specification and not from the
// code under test.
type client struct {
	t      testing.TB
	base   string // http://127.0.0.1:port
	host   string // Host header; "" means that of base
	ak, sk string
	region string
	token  string
	http   *http.Client
	now    func() time.Time
	// tamper changes the request after it was signed.
	tamper func(*http.Request)
	// unsigned are headers left out of the signature.
	unsigned map[string]bool
	hash     string // x-amz-content-sha256; "" means UNSIGNED-PAYLOAD
}

// start serves a cloud for a test and returns a client of it.
func start(tb testing.TB, opts Options) (*Cloud, *client) {
	tb.Helper()
	if opts.AccessKey == "" {
		opts.AccessKey, opts.SecretKey = testAK, testSK
	}
	cloud := New(opts)
	base, stop, err := cloud.Start(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}
	tb.Cleanup(func() { transport.CloseIdleConnections(); stop() })
	return cloud, &client{
		t: tb, base: base, ak: opts.AccessKey, sk: opts.SecretKey, region: cloud.Region(), token: opts.SessionToken,
		http: &http.Client{Transport: transport}, now: cloud.clock,
	}
}

// uriEncode encodes all but unreserved characters and those of safe.
func uriEncode(s, safe string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(s))
	return h.Sum(nil)
}

// request builds and signs a request. key "" means the bucket; an empty bucket with host set is virtual-host
// style.
func (c *client) request(method, bucket, key, query string, header http.Header, body []byte) *http.Request {
	c.t.Helper()
	path := "/"
	if c.host == "" && bucket != "" {
		path += uriEncode(bucket, "") + "/"
	}
	path += uriEncode(key, "/")
	plain, err := url.PathUnescape(path)
	if err != nil {
		c.t.Fatal(err)
	}
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base, rd)
	if err != nil {
		c.t.Fatal(err)
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = plain, path, query
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if c.host != "" {
		req.Host = c.host
	}
	c.sign(req, path)
	if c.tamper != nil {
		c.tamper(req)
	}
	return req
}

func (c *client) sign(req *http.Request, path string) {
	at := c.now().UTC()
	date := at.Format("20060102T150405Z")
	hash := c.hash
	if hash == "" {
		hash = "UNSIGNED-PAYLOAD"
	}
	req.Header.Set("x-amz-date", date)
	req.Header.Set("x-amz-content-sha256", hash)
	if c.token != "" {
		req.Header.Set("x-amz-security-token", c.token)
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	lines := map[string]string{"host": host}
	for k, v := range req.Header {
		if k = strings.ToLower(k); !c.unsigned[k] {
			lines[k] = strings.TrimSpace(strings.Join(v, ","))
		}
	}
	names := make([]string, 0, len(lines))
	for k := range lines {
		names = append(names, k)
	}
	sort.Strings(names)
	var canon strings.Builder
	canon.WriteString(req.Method + "\n" + path + "\n")
	var pairs []string
	if req.URL.RawQuery != "" {
		for p := range strings.SplitSeq(req.URL.RawQuery, "&") {
			k, v, _ := strings.Cut(p, "=")
			k, _ = url.QueryUnescape(k)
			v, _ = url.QueryUnescape(v)
			pairs = append(pairs, uriEncode(k, "")+"="+uriEncode(v, ""))
		}
	}
	sort.Strings(pairs)
	canon.WriteString(strings.Join(pairs, "&") + "\n")
	for _, n := range names {
		canon.WriteString(n + ":" + lines[n] + "\n")
	}
	canon.WriteString("\n" + strings.Join(names, ";") + "\n" + hash)
	digest := sha256.Sum256([]byte(canon.String()))
	day := date[:8]
	scope := day + "/" + c.region + "/s3/aws4_request"
	key := mac(mac(mac(mac([]byte("AWS4"+c.sk), day), c.region), "s3"), "aws4_request")
	sig := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(digest[:])))
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.ak+"/"+scope+", SignedHeaders="+strings.Join(names, ";")+", Signature="+sig)
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (r reply) code() string {
	var e struct {
		Code string
	}
	if xml.Unmarshal(r.body, &e) != nil {
		return ""
	}
	return e.Code
}

// try sends a request; err is a failure before the header.
func (c *client) try(method, bucket, key, query string, header http.Header, body []byte) (reply, error) {
	c.t.Helper()
	resp, err := c.http.Do(c.request(method, bucket, key, query, header, body))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: data, err: err}, nil
}

// do is try for requests that must be answered in full.
func (c *client) do(method, bucket, key, query string, header http.Header, body []byte) reply {
	c.t.Helper()
	r, err := c.try(method, bucket, key, query, header, body)
	if err != nil {
		c.t.Fatalf("%s %q %q: %v", method, bucket, key, err)
	}
	if r.err != nil {
		c.t.Fatalf("%s %q %q: read body: %v", method, bucket, key, r.err)
	}
	return r
}

// want fails the test unless the answer has this status and, for errors, code.
func (r reply) want(tb testing.TB, status int, code string) reply {
	tb.Helper()
	if r.status != status || code != "" && r.code() != code {
		tb.Fatalf("got %d %s, want %d %s; body %.300q", r.status, r.code(), status, code, r.body)
	}
	return r
}

func (c *client) put(bucket, key string, body []byte) reply {
	c.t.Helper()
	return c.do(http.MethodPut, bucket, key, "", nil, body).want(c.t, 200, "")
}

func (c *client) get(bucket, key string) reply {
	c.t.Helper()
	return c.do(http.MethodGet, bucket, key, "", nil, nil)
}

// listDoc is a page of either version.
type listDoc struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Prefix                string
	Marker                string
	NextMarker            string
	StartAfter            string
	KeyCount              int
	MaxKeys               int
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key          string
		LastModified string
		ETag         string
		Size         int64
		StorageClass string
	}
	CommonPrefixes []struct{ Prefix string }
}

func (c *client) list(bucket string, params url.Values) listDoc {
	c.t.Helper()
	r := c.do(http.MethodGet, bucket, "", params.Encode(), nil, nil).want(c.t, 200, "")
	return c.parseList(r.body)
}

// parseList decodes a page, keys included.
func (c *client) parseList(body []byte) listDoc {
	c.t.Helper()
	var doc listDoc
	if err := xml.Unmarshal(body, &doc); err != nil {
		c.t.Fatalf("listing: %v in %.300q", err, body)
	}
	if doc.EncodingType == "url" {
		for _, s := range []*string{&doc.Prefix, &doc.Marker, &doc.NextMarker, &doc.StartAfter} {
			*s = c.unescape(*s)
		}
		for i := range doc.Contents {
			doc.Contents[i].Key = c.unescape(doc.Contents[i].Key)
		}
		for i := range doc.CommonPrefixes {
			doc.CommonPrefixes[i].Prefix = c.unescape(doc.CommonPrefixes[i].Prefix)
		}
	}
	return doc
}

func (c *client) unescape(s string) string {
	c.t.Helper()
	u, err := url.QueryUnescape(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return u
}

// listAll reads all pages by version 2 and returns keys and common prefixes in the order received.
func (c *client) listAll(bucket string, params url.Values) (keys, prefixes []string) {
	c.t.Helper()
	if params == nil {
		params = url.Values{}
	}
	params.Set("list-type", "2")
	params.Set("encoding-type", "url")
	for range 100_000 {
		doc := c.list(bucket, params)
		for _, o := range doc.Contents {
			keys = append(keys, o.Key)
		}
		for _, p := range doc.CommonPrefixes {
			prefixes = append(prefixes, p.Prefix)
		}
		if !doc.IsTruncated {
			return keys, prefixes
		}
		params.Set("continuation-token", doc.NextContinuationToken)
	}
	c.t.Fatal("listing does not end")
	return nil, nil
}

func md5base64(p []byte) string {
	sum := md5.Sum(p)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func md5hex(p []byte) string {
	sum := md5.Sum(p)
	return hex.EncodeToString(sum[:])
}
