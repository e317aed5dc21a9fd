package testcloud

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKeyCorpus carries every key of H2 through all operations on single objects, in both address styles.
func TestKeyCorpus(t *testing.T) {
	corpus := KeyCorpus()
	want := slices.Sorted(slices.Values(corpus))
	if len(slices.Compact(slices.Clone(want))) != len(corpus) {
		t.Fatal("the corpus holds duplicates")
	}
	for _, virtual := range []bool{false, true} {
		t.Run(fmt.Sprint("virtual host ", virtual), func(t *testing.T) {
			cloud, c := start(t, Options{})
			b := cloud.CreateBucket("b")
			bucket := "b"
			if virtual {
				c.host, bucket = "b.localhost:80", ""
			}
			for _, k := range corpus {
				if len(k) > 1024 {
					t.Fatalf("key of %d bytes", len(k))
				}
				c.put(bucket, k, []byte("<"+k+">"))
			}
			if got := b.Keys(); !slices.Equal(got, want) {
				t.Fatalf("stored %d keys, want %d", len(got), len(want))
			}
			if got, _ := c.listAll(bucket, nil); !slices.Equal(got, want) {
				t.Fatalf("listed %d keys, want %d", len(got), len(want))
			}
			for _, k := range corpus {
				if r := c.get(bucket, k); string(r.body) != "<"+k+">" {
					t.Errorf("get %q: %d %q", k, r.status, r.body)
				}
				if r := c.do("HEAD", bucket, k, "", nil, nil); r.status != 200 || len(r.body) != 0 {
					t.Errorf("head %q: %d", k, r.status)
				}
				source := http.Header{"X-Amz-Copy-Source": {uriEncode("/b/"+k, "/")}}
				c.do("PUT", bucket, "copy of "+k[:min(len(k), 1000)], "", source, nil).want(t, 200, "")
				c.do("DELETE", bucket, k, "", nil, nil).want(t, 204, "")
			}
			if got := b.Len(); got != int64(len(corpus)) {
				t.Errorf("%d copies, want %d", got, len(corpus))
			}
		})
	}
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	c.tamper = func(r *http.Request) { r.URL.RawPath = "/b/a+b" } // a plus needs no encoding in a path
	c.put("b", "a+b", nil)
	if got := b.Keys(); !slices.Equal(got, []string{"a+b"}) {
		t.Errorf("raw plus: got %q", got)
	}
	c.tamper = nil
	c.do("PUT", "b", strings.Repeat("k", 1025), "", nil, []byte("x")).want(t, 400, "KeyTooLongError")
}

func TestBuckets(t *testing.T) {
	cloud, c := start(t, Options{Region: "eu-west-1"})
	c.do("PUT", "one", "", "", nil, nil).want(t, 200, "")
	c.do("PUT", "one", "", "", nil, nil).want(t, 409, "BucketAlreadyOwnedByYou")
	cloud.CreateBucket("two")
	if body := c.do("GET", "", "", "", nil, nil).want(t, 200, "").body; !bytes.Contains(body, []byte("<Name>one</Name>")) || !bytes.Contains(body, []byte("<Name>two</Name>")) {
		t.Errorf("buckets: %s", body)
	}
	if r := c.do("HEAD", "one", "", "", nil, nil); r.status != 200 || r.header.Get("X-Amz-Bucket-Region") != "eu-west-1" {
		t.Errorf("head: %d %v", r.status, r.header)
	}
	if body := c.do("GET", "one", "", "location", nil, nil).body; !bytes.Contains(body, []byte(">eu-west-1</LocationConstraint>")) {
		t.Errorf("location: %s", body)
	}
	c.put("one", "k", nil)
	c.do("DELETE", "one", "", "", nil, nil).want(t, 409, "BucketNotEmpty")
	c.do("DELETE", "one", "k", "", nil, nil).want(t, 204, "")
	c.do("DELETE", "one", "", "", nil, nil).want(t, 204, "")
	c.do("HEAD", "one", "", "", nil, nil).want(t, 404, "")
	c.get("one", "k").want(t, 404, "NoSuchBucket")
	c.do("POST", "two", "k", "", nil, nil).want(t, 405, "MethodNotAllowed")
	c.do("GET", "two", "k", "tagging", nil, nil).want(t, 501, "NotImplemented")
}

func TestObjectHeaders(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	cloud, c := start(t, Options{Clock: func() time.Time { return now }})
	b := cloud.CreateBucket("b")
	sent := http.Header{
		"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}, "Content-Disposition": {"attachment"},
		"Content-Language": {"de"}, "Cache-Control": {"no-cache"}, "Expires": {"whenever"},
		"X-Amz-Meta-Plain": {"v"}, "X-Amz-Meta-Utf": {"grüß"}, "X-Amz-Storage-Class": {"STANDARD_IA"},
	}
	c.do("PUT", "b", "k", "", sent, []byte("hello")).want(t, 200, "")
	for _, method := range []string{"GET", "HEAD"} {
		r := c.do(method, "b", "k", "", nil, nil)
		want := maps.Clone(sent)
		want["X-Amz-Meta-Utf"] = []string{"=?UTF-8?b?Z3LDvMOf?="}
		want["Etag"] = []string{`"` + md5hex([]byte("hello")) + `"`}
		want["Last-Modified"] = []string{"Fri, 02 Jan 2026 03:04:05 GMT"}
		want["Content-Length"] = []string{"5"}
		for k, v := range want {
			if got := r.header[k]; !slices.Equal(got, v) {
				t.Errorf("%s: %s is %q, want %q", method, k, got, v)
			}
		}
	}
	o, _ := b.Get("k")
	if o.Meta["utf"] != "grüß" || !o.ModTime.Equal(now) || string(o.Bytes()) != "hello" {
		t.Errorf("stored %+v", o)
	}
	if got := c.list("b", nil).Contents[0].LastModified; got != "2026-01-02T03:04:05.000Z" {
		t.Errorf("listed %s", got)
	}
	if r := c.get("b", "nothing").want(t, 404, "NoSuchKey"); !bytes.Contains(r.body, []byte("<Resource>/b/nothing</Resource><RequestId>"+r.header.Get("X-Amz-Request-Id"))) {
		t.Errorf("error document %s", r.body)
	}
	limit := http.Header{"X-Amz-Meta-A": {strings.Repeat("x", 2047)}}
	c.do("PUT", "b", "k", "", limit, nil).want(t, 200, "")
	limit.Set("X-Amz-Meta-A", strings.Repeat("x", 2048))
	c.do("PUT", "b", "k", "", limit, nil).want(t, 400, "MetadataTooLarge")
	c.do("PUT", "b", "k", "", http.Header{"X-Amz-Storage-Class": {"SHELF"}}, nil).want(t, 400, "InvalidStorageClass")
}

func TestRangesAndConditions(t *testing.T) {
	cloud, c := start(t, Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) }})
	b := cloud.CreateBucket("b")
	o := b.Put("k", []byte("0123456789"), Attrs{})
	b.Put("empty", nil, Attrs{})
	before, after := "Thu, 01 Jan 2026 00:00:00 GMT", "Sat, 03 Jan 2026 00:00:00 GMT"
	tests := []struct {
		key, name, value string
		status           int
		body, rng        string
	}{
		{"k", "Range", "bytes=0-0", 206, "0", "bytes 0-0/10"},
		{"k", "Range", "bytes=3-", 206, "3456789", "bytes 3-9/10"},
		{"k", "Range", "bytes=-3", 206, "789", "bytes 7-9/10"},
		{"k", "Range", "bytes=-30", 206, "0123456789", "bytes 0-9/10"},
		{"k", "Range", "bytes=8-99", 206, "89", "bytes 8-9/10"},
		{"k", "Range", "bytes=10-", 416, "InvalidRange", "bytes */10"},
		{"k", "Range", "bytes=-0", 416, "InvalidRange", "bytes */10"},
		{"empty", "Range", "bytes=0-0", 416, "InvalidRange", "bytes */0"},
		{"k", "Range", "bytes=5-2", 200, "0123456789", ""},
		{"k", "Range", "bytes=0-1,3-4", 200, "0123456789", ""},
		{"k", "Range", "lines=1-2", 200, "0123456789", ""},
		{"k", "If-Match", `"` + o.ETag + `"`, 200, "0123456789", ""},
		{"k", "If-Match", o.ETag, 200, "0123456789", ""},
		{"k", "If-Match", `"other"`, 412, "PreconditionFailed", ""},
		{"k", "If-None-Match", `"other"`, 200, "0123456789", ""},
		{"k", "If-None-Match", `"a", "` + o.ETag + `"`, 304, "", ""},
		{"k", "If-Modified-Since", before, 200, "0123456789", ""},
		{"k", "If-Modified-Since", after, 304, "", ""},
		{"k", "If-Unmodified-Since", before, 412, "PreconditionFailed", ""},
		{"k", "If-Unmodified-Since", after, 200, "0123456789", ""},
	}
	for _, tt := range tests {
		r := c.do("GET", "b", tt.key, "", http.Header{tt.name: {tt.value}}, nil)
		got := string(r.body)
		if r.status >= 400 {
			got = r.code()
		}
		if r.status != tt.status || got != tt.body || r.header.Get("Content-Range") != tt.rng {
			t.Errorf("%s %s: got %d %q %q, want %d %q %q", tt.name, tt.value, r.status, got, r.header.Get("Content-Range"), tt.status, tt.body, tt.rng)
		}
	}
	star := http.Header{"If-None-Match": {"*"}}
	c.do("PUT", "b", "k", "", star, []byte("x")).want(t, 412, "PreconditionFailed")
	c.do("PUT", "b", "fresh", "", star, []byte("x")).want(t, 200, "")
	c.do("PUT", "b", "k", "", http.Header{"If-Match": {`"other"`}}, []byte("x")).want(t, 412, "PreconditionFailed")
	c.do("PUT", "b", "gone", "", http.Header{"If-Match": {`"other"`}}, []byte("x")).want(t, 404, "NoSuchKey")
	c.do("PUT", "b", "k", "", http.Header{"If-Match": {`"` + o.ETag + `"`}}, []byte("x")).want(t, 200, "")
}

func crc32cBase64(p []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))))
}

func TestDigests(t *testing.T) {
	data := []byte("123456789")
	for _, p := range []Profile{AWS(), Plain(), OpaqueETag(), OBS()} {
		t.Run(p.Name, func(t *testing.T) {
			cloud, c := start(t, Options{Profile: p})
			b := cloud.CreateBucket("b")
			enabled := http.Header{"X-Amz-Checksum-Mode": {"ENABLED"}}
			c.do("PUT", "b", "k", "", http.Header{"Content-Md5": {md5base64(data)}}, data).want(t, 200, "")
			c.do("PUT", "b", "bad", "", http.Header{"Content-Md5": {md5base64([]byte("x"))}}, data).want(t, 400, "BadDigest")
			c.do("PUT", "b", "bad", "", http.Header{"Content-Md5": {"!"}}, data).want(t, 400, "InvalidDigest")
			// check values of the catalogue of CRCs, so not computed by the code under test
			known := map[string]string{
				"crc32c":    base64.StdEncoding.EncodeToString([]byte{0xe3, 0x06, 0x92, 0x83}),
				"crc32":     base64.StdEncoding.EncodeToString([]byte{0xcb, 0xf4, 0x39, 0x26}),
				"crc64nvme": base64.StdEncoding.EncodeToString([]byte{0xae, 0x8b, 0x14, 0x86, 0x0a, 0x79, 0x98, 0x88}),
				"sha1":      "98O8HYCOBHMq32eZZczDTKeuNEE=",
				"sha256":    "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
			}
			for algo, value := range known {
				name := http.CanonicalHeaderKey("x-amz-checksum-" + algo)
				put := c.do("PUT", "b", algo, "", http.Header{name: {value}}, data)
				if !p.Checksums {
					if put.status != 200 || put.header.Get(name) != "" {
						t.Errorf("%s: %d %v", algo, put.status, put.header)
					}
					continue
				}
				if put.want(t, 200, "").header.Get(name) != value {
					t.Errorf("%s not echoed: %v", algo, put.header)
				}
				if got := c.do("HEAD", "b", algo, "", enabled, nil).header; got.Get(name) != value || got.Get("X-Amz-Checksum-Type") != "FULL_OBJECT" {
					t.Errorf("%s not returned: %v", algo, got)
				}
				if got := c.do("HEAD", "b", algo, "", nil, nil).header.Get(name); got != "" {
					t.Errorf("%s returned without being asked for", algo)
				}
				c.do("PUT", "b", "bad", "", http.Header{name: {value}}, []byte("other")).want(t, 400, "BadDigest")
				c.do("PUT", "b", "bad", "", http.Header{name: {"AAAA"}}, data).want(t, 400, "InvalidRequest")
			}
			if p.Checksums {
				if got := c.do("GET", "b", "k", "", enabled, nil).header.Get("X-Amz-Checksum-Crc64nvme"); got != known["crc64nvme"] {
					t.Errorf("default checksum %q", got)
				}
				c.do("PUT", "b", "bad", "", http.Header{"X-Amz-Checksum-Crc99": {"AAAA"}}, data).want(t, 400, "InvalidRequest")
				c.do("PUT", "b", "bad", "", http.Header{"X-Amz-Checksum-Crc32": {known["crc32"]}, "X-Amz-Checksum-Sha1": {known["sha1"]}}, data).want(t, 400, "InvalidRequest")
			}
			if _, ok := b.Get("bad"); ok {
				t.Error("a refused write was stored")
			}
			o, _ := b.Get("k")
			if isMD5 := o.ETag == md5hex(data); isMD5 == (p.ETag == ETagOpaque) {
				t.Errorf("ETag %s", o.ETag)
			}
		})
	}
	cloud, c := start(t, Options{Profile: OSS()})
	cloud.CreateBucket("b")
	c.host = "b.localhost"
	want := "11051210869376104954" // CRC-64/XZ of 123456789
	if r := c.put("", "k", data); r.header.Get("X-Oss-Hash-Crc64ecma") != want || r.header.Get("Etag") != `"`+strings.ToUpper(md5hex(data))+`"` {
		t.Errorf("oss: %v", r.header)
	}
	if got := c.do("HEAD", "", "k", "", nil, nil).header.Get("X-Oss-Hash-Crc64ecma"); got != want {
		t.Errorf("oss: head %q", got)
	}
}

func TestBodiesRefused(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	c.tamper = func(r *http.Request) { r.ContentLength = -1 }
	c.do("PUT", "b", "k", "", nil, []byte("x")).want(t, 411, "MissingContentLength")
	c.tamper = nil
	c.do("PUT", "b", "k", "", http.Header{"Content-Encoding": {"aws-chunked"}}, []byte("x")).want(t, 501, "NotImplemented")
	if b.Len() != 0 {
		t.Error("a refused write was stored")
	}
}

func TestCopyObject(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	src := b.Put("dir/a b+%", []byte("data"), Attrs{ContentType: "text/x", Meta: map[string]string{"m": "1"}, StorageClass: "STANDARD_IA"})
	b.Put("cold", []byte("ice"), Attrs{StorageClass: "GLACIER"})
	from := func(s string, more ...string) http.Header {
		h := http.Header{"X-Amz-Copy-Source": {s}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	source := "/b/dir/a%20b%2B%25"
	r := c.do("PUT", "b", "copy", "", from(source), nil).want(t, 200, "")
	if !bytes.Contains(r.body, []byte("<ETag>&quot;"+md5hex([]byte("data"))+"&quot;</ETag>")) {
		t.Errorf("result %s", r.body)
	}
	if o, _ := b.Get("copy"); o.ContentType != "text/x" || o.Meta["m"] != "1" || string(o.Bytes()) != "data" || o.StorageClass != "STANDARD" {
		t.Errorf("copy %+v", o)
	}
	c.do("PUT", "b", "copy2", "", from(source, "X-Amz-Metadata-Directive", "REPLACE", "Content-Type", "text/y"), nil).want(t, 200, "")
	if o, _ := b.Get("copy2"); o.ContentType != "text/y" || len(o.Meta) != 0 {
		t.Errorf("copy %+v", o)
	}
	refused := []struct {
		key    string
		header http.Header
		status int
		code   string
	}{
		{"x", from(source, "X-Amz-Metadata-Directive", "MERGE"), 400, "InvalidArgument"},
		{"x", from("b/none"), 404, "NoSuchKey"},
		{"x", from("none/x"), 404, "NoSuchBucket"},
		{"x", from("nokey"), 400, "InvalidArgument"},
		{"x", from("b/%zz"), 400, "InvalidArgument"},
		{"x", from("b/cold"), 403, "InvalidObjectState"},
		{"dir/a b+%", from(source), 400, "InvalidRequest"},
		{"x", from(source, "X-Amz-Copy-Source-If-Match", "other"), 412, "PreconditionFailed"},
		{"x", from(source, "X-Amz-Copy-Source-If-None-Match", src.ETag), 412, "PreconditionFailed"},
	}
	for _, tt := range refused {
		c.do("PUT", "b", tt.key, "", tt.header, nil).want(t, tt.status, tt.code)
	}
	c.do("PUT", "b", "x", "", from(source, "X-Amz-Copy-Source-If-Match", src.ETag), nil).want(t, 200, "")
}

func TestArchiveAndRestore(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	c.do("PUT", "b", "k", "", http.Header{"X-Amz-Storage-Class": {"DEEP_ARCHIVE"}}, []byte("ice")).want(t, 200, "")
	c.put("b", "warm", nil)
	c.get("b", "k").want(t, 403, "InvalidObjectState")
	if h := c.do("HEAD", "b", "k", "", nil, nil).want(t, 200, "").header; h.Get("X-Amz-Storage-Class") != "DEEP_ARCHIVE" || h.Get("X-Amz-Restore") != "" {
		t.Errorf("head %v", h)
	}
	c.do("POST", "b", "warm", "restore", nil, []byte("<RestoreRequest/>")).want(t, 403, "InvalidObjectState")
	c.do("POST", "b", "none", "restore", nil, nil).want(t, 404, "NoSuchKey")
	c.do("POST", "b", "k", "restore", nil, []byte("<RestoreRequest/>")).want(t, 202, "")
	c.do("POST", "b", "k", "restore", nil, []byte("<RestoreRequest/>")).want(t, 409, "RestoreAlreadyInProgress")
	c.get("b", "k").want(t, 403, "InvalidObjectState")
	if got := c.do("HEAD", "b", "k", "", nil, nil).header.Get("X-Amz-Restore"); got != `ongoing-request="true"` {
		t.Errorf("restore %q", got)
	}
	b.FinishRestores()
	if r := c.get("b", "k").want(t, 200, ""); string(r.body) != "ice" || !strings.HasPrefix(r.header.Get("X-Amz-Restore"), `ongoing-request="false", expiry-date="`) {
		t.Errorf("restored: %q %v", r.body, r.header)
	}
	c.do("POST", "b", "k", "restore", nil, []byte("<RestoreRequest/>")).want(t, 200, "")
}

func TestDeleteObjects(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	for _, k := range []string{"a", "b&", "keep"} {
		b.Put(k, nil, Attrs{})
	}
	body := []byte("<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;</Key></Object><Object><Key>none</Key></Object></Delete>")
	c.do("POST", "b", "", "delete", nil, body).want(t, 400, "InvalidRequest")
	c.do("POST", "b", "", "delete", http.Header{"Content-Md5": {md5base64([]byte("<x"))}}, []byte("<x")).want(t, 400, "MalformedXML")
	r := c.do("POST", "b", "", "delete", http.Header{"Content-Md5": {md5base64(body)}}, body).want(t, 200, "")
	if !bytes.Contains(r.body, []byte("<Deleted><Key>b&amp;</Key></Deleted>")) || !bytes.Contains(r.body, []byte("<Key>none</Key>")) {
		t.Errorf("result %s", r.body)
	}
	if got := b.Keys(); !slices.Equal(got, []string{"keep"}) {
		t.Errorf("left %q", got)
	}
	quiet := []byte("<Delete><Quiet>true</Quiet><Object><Key>keep</Key></Object></Delete>")
	r = c.do("POST", "b", "", "delete", http.Header{"X-Amz-Checksum-Crc32c": {crc32cBase64(quiet)}}, quiet).want(t, 200, "")
	if bytes.Contains(r.body, []byte("Deleted")) || b.Len() != 0 {
		t.Errorf("quiet: %s, left %d", r.body, b.Len())
	}
}

func TestCompare(t *testing.T) {
	cloud := New(Options{})
	a := cloud.CreateBucket("a")
	b := cloud.CreateBucket("b")
	for _, k := range []string{"same", "size", "bytes", "type", "meta", "words", "missing"} {
		a.Put(k, []byte(k), Attrs{Meta: map[string]string{"k": "ü"}})
		b.Put(k, []byte(k), Attrs{Meta: map[string]string{"k": "ü"}, StorageClass: "STANDARD_IA"})
	}
	b.Put("size", []byte("size+"), Attrs{})
	b.Put("bytes", []byte("bytEs"), Attrs{})
	b.Put("type", []byte("type"), Attrs{ContentType: "text/x", Meta: map[string]string{"k": "ü"}})
	b.Put("meta", []byte("meta"), Attrs{Meta: map[string]string{"k": "v"}})
	b.Put("words", []byte("words"), Attrs{Meta: map[string]string{"k": "=?UTF-8?q?=C3=BC?="}})
	b.Delete("missing")
	b.Put("extra", nil, Attrs{})
	b.Put("oms/list", nil, Attrs{})
	got := Compare(a, b, CompareOptions{Ignore: []string{"oms/"}})
	want := []string{
		`"bytes": content differs`,
		`"extra": only at the destination`,
		`"meta": metadata {"k"="v"}, want {"k"="ü"}`,
		`"missing": missing at the destination`,
		`"size": size 5, want 4`,
		`"type": Content-Type "text/x", want "binary/octet-stream"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := Compare(a, b, CompareOptions{Limit: 2}); len(got) != 2 {
		t.Errorf("limit: %q", got)
	}
	if got := Compare(a, b, CompareOptions{Ignore: []string{"oms/"}, Extra: true}); len(got) != 5 {
		t.Errorf("extra: %q", got)
	}
	p := cloud.CreateBucket("p")
	for o := range a.All() {
		p.Put("x/"+o.Key, o.Bytes(), o.Attrs)
	}
	if got := Compare(a, p, CompareOptions{Prefix: "x/"}); got != nil {
		t.Errorf("prefix: %q", got)
	}
	space := Numbers(600, Shape{Size: FixedSize(10)})
	g, h := cloud.Generated("g", space, GeneratedOptions{}), cloud.Generated("h", Present(space, time.Hour), GeneratedOptions{})
	if got := Compare(g, h, CompareOptions{}); got != nil {
		t.Errorf("generated: %q", got)
	}
	h.Delete("599")
	if got := Compare(g, h, CompareOptions{}); !slices.Equal(got, []string{`"599": missing at the destination`}) {
		t.Errorf("generated: %q", got)
	}
}

// TestShareContent: what equals its source costs no memory, what differs is kept as it came.
func TestShareContent(t *testing.T) {
	cloud, c := start(t, Options{Profile: smallParts(AWS())})
	src := cloud.Generated("src", Numbers(10, Shape{Size: FixedSize(6 << 10)}), GeneratedOptions{})
	b := cloud.CreateBucket("b")
	b.ShareContent(src)
	data := c.get("src", "3").body
	c.put("b", "3", data)
	c.put("b", "4", data)
	id := c.create("5", nil)
	five := c.get("src", "5").body
	var parts []string
	for i, piece := range [][]byte{five[:5<<10], five[5<<10:]} {
		parts = append(parts, fmt.Sprint(i+1, " ", c.do("PUT", "b", "5", partQuery(id, i+1), nil, piece).header.Get("Etag")))
	}
	c.complete("5", id, nil, parts...).want(t, 200, "")
	for key, want := range map[string]bool{"3": true, "4": false, "5": true} {
		o, _ := b.Get(key)
		if _, shared := o.body.(generated); shared != want {
			t.Errorf("%s: shared %v, want %v", key, shared, want)
		}
	}
	if o, _ := b.Get("4"); !bytes.Equal(o.Bytes(), data) || o.ETag != md5hex(data) {
		t.Error("different content was not kept")
	}
	if got := c.do("HEAD", "b", "3", "", http.Header{"X-Amz-Checksum-Mode": {"ENABLED"}}, nil).header; got.Get("Etag") != `"`+md5hex(data)+`"` || got.Get("X-Amz-Checksum-Crc64nvme") == "" {
		t.Errorf("evidence of a shared object: %v", got)
	}
}

// TestRecords checks counters and the list of requests.
func TestRecords(t *testing.T) {
	cloud, c := start(t, Options{RecordLimit: 3})
	b := cloud.CreateBucket("b")
	c.put("b", "k", []byte("12345"))
	c.put("b", "k", []byte("123"))
	c.do("GET", "b", "k", "", http.Header{"Range": {"bytes=1-2"}}, nil).want(t, 206, "")
	c.get("b", "none").want(t, 404, "")
	c.do("GET", "b", "", "list-type=2", nil, nil)
	reqs := cloud.Requests()
	if len(reqs) != 3 || reqs[0].Op != GetObject || reqs[0].Range != "bytes=1-2" || reqs[0].Status != 206 || reqs[0].Out != 2 ||
		reqs[1].Status != 404 || reqs[2].Op != ListObjectsV2 || reqs[2].RawQuery != "list-type=2" || reqs[2].AccessKey != testAK {
		t.Errorf("requests %+v", reqs)
	}
	if cloud.Count(PutObject) != 2 || cloud.Count(GetObject) != 2 || cloud.Counts()[ListObjectsV2] != 1 || cloud.Statuses()[404] != 1 {
		t.Errorf("counts %v, statuses %v", cloud.Counts(), cloud.Statuses())
	}
	if in, out := cloud.Bytes(); in != 8 || out < 2 {
		t.Errorf("bytes %d %d", in, out)
	}
	if b.Received("k") != 8 || b.ReceivedAll()["k"] != 8 {
		t.Errorf("received %d", b.Received("k"))
	}
	if open, accepted := cloud.Conns(); open != 1 || accepted != 1 {
		t.Errorf("connections %d of %d", open, accepted)
	}
	if cloud.Peak(PutObject) != 1 {
		t.Errorf("peak %d", cloud.Peak(PutObject))
	}
	cloud.ClearRecords()
	if len(cloud.Requests()) != 0 || cloud.Count(PutObject) != 0 {
		t.Error("records not cleared")
	}
}

// TestConcurrency is for the race detector: everything at once on one bucket.
func TestConcurrency(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("%d/%d", w, i)
				if r, err := c.try("PUT", "b", key, "", nil, []byte(key)); err != nil || r.status != 200 {
					t.Errorf("put: %v %d", err, r.status)
				}
				if r, err := c.try("GET", "b", key, "", nil, nil); err != nil || string(r.body) != key {
					t.Errorf("get: %v %q", err, r.body)
				}
				if _, err := c.try("GET", "b", "", url.Values{"list-type": {"2"}, "max-keys": {"5"}}.Encode(), nil, nil); err != nil {
					t.Error(err)
				}
				switch i % 4 {
				case 0:
					b.Delete(key)
				case 1:
					cloud.Faults.Once(HeadObject, SlowDown())
				case 2:
					b.Keys()
					b.Uploads()
				case 3:
					cloud.SetCredential(Credential{AccessKey: strconv.Itoa(w), SecretKey: "x"})
					cloud.Requests()
				}
			}
		})
	}
	wg.Wait()
	if got := b.Len(); got != 8*15 {
		t.Errorf("%d objects, want %d", got, 8*15)
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-0", int64(10))
	f.Add("bytes=-5", int64(3))
	f.Add("bytes=9223372036854775807-", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		from, n, kind := parseRange(header, size)
		if kind != rangeUnsatisfiable && (from < 0 || n < 0 || from+n > size || kind == rangePart && n == 0) {
			t.Errorf("%q of %d: %d+%d %v", header, size, from, n, kind)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("MS9hYmM")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, token string) {
		if key, err := parseToken(token); err == nil {
			again, err := parseToken(makeToken(key))
			if err != nil || !bytes.Equal(again, key) {
				t.Errorf("%q: %q became %q, %v", token, key, again, err)
			}
		}
	})
}

// TestCRCTables anchors the tables by the check values of the catalogue.
func TestCRCTables(t *testing.T) {
	if got := crc64.Checksum([]byte("123456789"), nvme); got != 0xae8b14860a799888 {
		t.Errorf("crc64nvme %x", got)
	}
	if got := crc64XZ(memory("123456789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("crc64xz %x", got)
	}
}
