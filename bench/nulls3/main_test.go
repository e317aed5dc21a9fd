package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// service is a running pair of endpoints.
type service struct {
	src, dst string // URLs
	source   *synth
	client   *http.Client
}

// newService serves n objects; change may set options of both endpoints.
func newService(t *testing.T, n int64, size, layout string, change func(*endpointOptions)) *service {
	t.Helper()
	sizes, err := parseSizes(size)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		source: newSynth(newContents(), n, layout, sizes, 7, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		client: &http.Client{Transport: &http.Transport{DisableCompression: true}},
	}
	var opts endpointOptions
	if change != nil {
		change(&opts)
	}
	src, dst := newEndpoint("src", s.source, opts), newEndpoint("dst", s.source, opts)
	src.buckets["src"] = newBucket(s.source)
	dst.buckets["dst"] = newBucket(nil)
	dst.buckets["src"] = newBucket(s.source)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	start := func(e *endpoint) string {
		ln, err := listen(ctx, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(ctx, func() { _ = ln.Close() })
		wg.Go(func() {
			if err := e.serve(ctx, ln); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return "http://" + ln.Addr().String()
	}
	s.src, s.dst = start(src), start(dst)
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		s.client.CloseIdleConnections()
	})
	return s
}

// do sends a request and returns the answer's status, header and body.
func (s *service) do(t *testing.T, method, u string, header http.Header, body []byte) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, u, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, text
}

func escaped(key string) string { return (&url.URL{Path: key}).EscapedPath() }

// list returns all keys and common prefixes of a bucket.
func (s *service) list(t *testing.T, bucket, query string) (keys, prefixes []string) {
	t.Helper()
	for token := ""; ; {
		u := bucket + "?list-type=2&" + query
		if token != "" {
			u += "&continuation-token=" + token
		}
		code, _, text := s.do(t, http.MethodGet, u, nil, nil)
		var page struct {
			NextContinuationToken string
			Contents              []struct{ Key string }
			CommonPrefixes        []struct{ Prefix string }
		}
		if err := xml.Unmarshal(text, &page); err != nil || code != http.StatusOK {
			t.Fatalf("list: %d, %v: %s", code, err, text)
		}
		for _, c := range page.Contents {
			keys = append(keys, c.Key)
		}
		for _, p := range page.CommonPrefixes {
			prefixes = append(prefixes, p.Prefix)
		}
		if token = page.NextContinuationToken; token == "" {
			return keys, prefixes
		}
	}
}

func (s *service) verify(t *testing.T) verifyReply {
	t.Helper()
	_, _, text := s.do(t, http.MethodGet, s.dst+"/_verify", nil, nil)
	var v verifyReply
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("verify: %v: %s", err, text)
	}
	return v
}

func TestListings(t *testing.T) {
	for _, layout := range []string{"flat", "nested", "date", "skew"} {
		s := newService(t, 1100, "4K", layout, nil)
		var want []string
		for i := range s.source.n {
			want = append(want, string(s.source.key(nil, i)))
		}
		if !slices.IsSorted(want) {
			t.Errorf("%s: keys are not in order", layout)
		}
		for _, query := range []string{"", "max-keys=97", "start-after=" + url.QueryEscape(want[499])} {
			got, _ := s.list(t, s.src+"/src", query)
			rest := want
			if strings.HasPrefix(query, "start") {
				rest = want[500:]
			}
			if !slices.Equal(got, rest) {
				t.Errorf("%s, %s: got %d keys, want %d, or others", layout, query, len(got), len(rest))
			}
		}
	}
	s := newService(t, 2500, "4K", "nested", nil)
	keys, prefixes := s.list(t, s.src+"/src", "delimiter=/&prefix=dir-0000/&max-keys=2")
	if want := []string{"dir-0000/sub-00/", "dir-0000/sub-01/", "dir-0000/sub-02/"}; len(keys) > 0 || !slices.Equal(prefixes, want) {
		t.Errorf("got %v and %v, want %v", keys, prefixes, want)
	}
}

// TestLayers lists a bucket in which stored objects lie over synthetic ones, some of which were deleted.
func TestLayers(t *testing.T) {
	s := newService(t, 5, "4K", "flat", nil)
	first, second := string(s.source.key(nil, 0)), string(s.source.key(nil, 1))
	for _, key := range []string{"a", second, "z"} {
		if code, _, text := s.do(t, http.MethodPut, s.dst+"/src/"+escaped(key), nil, []byte("x")); code != http.StatusOK {
			t.Fatalf("put: %d %s", code, text)
		}
	}
	for _, key := range []string{first, "a"} {
		if code, _, text := s.do(t, http.MethodDelete, s.dst+"/src/"+escaped(key), nil, nil); code != http.StatusNoContent {
			t.Fatalf("delete: %d %s", code, text)
		}
	}
	want := []string{second}
	for i := int64(2); i < 5; i++ {
		want = append(want, string(s.source.key(nil, i)))
	}
	if got, _ := s.list(t, s.dst+"/src", ""); !slices.Equal(got, append(want, "z")) {
		t.Errorf("got %v, want %v and z", got, want)
	}
}

func TestObjects(t *testing.T) {
	s := newService(t, 9, "100K", "nested", nil)
	u := s.src + "/src/" + escaped(string(s.source.key(nil, 7)))
	code, header, body := s.do(t, http.MethodGet, u, nil, nil)
	sum := md5.Sum(body)
	if code != http.StatusOK || len(body) != 100<<10 || header.Get("ETag") != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Fatalf("got %d, %d bytes, %v; want the content with its MD5", code, len(body), header)
	}
	for _, test := range []struct {
		byteRange  string
		code       int
		first, end int
	}{
		{"bytes=0-0", 206, 0, 1},
		{"bytes=5-70000", 206, 5, 70001},
		{"bytes=102390-", 206, 102390, 102400},
		{"bytes=-3", 206, 102397, 102400},
		{"bytes=0-999999", 206, 0, 102400},
		{"bytes=102400-", 416, 0, 0},
		{"bytes=1-0", 416, 0, 0},
	} {
		code, _, part := s.do(t, http.MethodGet, u, http.Header{"Range": {test.byteRange}}, nil)
		if code != test.code || code == 206 && !bytes.Equal(part, body[test.first:test.end]) {
			t.Errorf("%s: got %d and %d bytes, want %d and %d", test.byteRange, code, len(part), test.code, test.end-test.first)
		}
	}
	code, head, _ := s.do(t, http.MethodHead, u, nil, nil)
	if code != http.StatusOK || head.Get("Content-Length") != "102400" || head.Get("ETag") != header.Get("ETag") {
		t.Errorf("HEAD: got %d, %v", code, head)
	}
	if code, _, _ := s.do(t, http.MethodGet, s.src+"/src/none", nil, nil); code != http.StatusNotFound {
		t.Errorf("no such key: got %d", code)
	}
	if code, _, _ := s.do(t, http.MethodGet, u, http.Header{"If-Match": {`"x"`}}, nil); code != http.StatusPreconditionFailed {
		t.Errorf("If-Match: got %d", code)
	}
}

// TestVerify copies everything and then spoils the copy in every way.
func TestVerify(t *testing.T) {
	s := newService(t, 30, "0:1,1000:1,70K:1", "nested", nil)
	var keys []string
	for i := range s.source.n {
		key := string(s.source.key(nil, i))
		keys = append(keys, key)
		_, _, body := s.do(t, http.MethodGet, s.src+"/src/"+escaped(key), nil, nil)
		if code, _, text := s.do(t, http.MethodPut, s.dst+"/dst/"+escaped(key), nil, body); code != http.StatusOK {
			t.Fatalf("put: %d %s", code, text)
		}
	}
	v := s.verify(t)
	if !v.Complete || v.Correct != 30 || v.Checksum != v.ExpectedChecksum {
		t.Fatalf("got %+v, want a complete copy", v)
	}
	s.do(t, http.MethodPut, s.dst+"/dst/more", nil, nil)
	if v = s.verify(t); v.Complete || v.Extra != 1 {
		t.Errorf("got %+v, want one extra", v)
	}
	s.do(t, http.MethodDelete, s.dst+"/dst/more", nil, nil)
	large := slices.IndexFunc(keys, func(k string) bool { return s.source.size(s.source.find(k)) == 70<<10 })
	_, _, body := s.do(t, http.MethodGet, s.src+"/src/"+escaped(keys[large]), nil, nil)
	body[69999] ^= 1
	s.do(t, http.MethodPut, s.dst+"/dst/"+escaped(keys[large]), nil, body)
	if v = s.verify(t); v.Complete || v.WrongContent != 1 || !slices.Equal(v.Examples, keys[large:large+1]) {
		t.Errorf("got %+v, want one of wrong content", v)
	}
	s.do(t, http.MethodPut, s.dst+"/dst/"+escaped(keys[large]), nil, body[:5])
	if v = s.verify(t); v.WrongSize != 1 || v.WrongContent != 0 {
		t.Errorf("got %+v, want one of wrong size", v)
	}
	s.do(t, http.MethodDelete, s.dst+"/dst/"+escaped(keys[large]), nil, nil)
	if v = s.verify(t); v.Missing != 1 || v.Correct != 29 {
		t.Errorf("got %+v, want one missing", v)
	}
	s.do(t, http.MethodGet, s.dst+"/_reset", nil, nil)
	if v = s.verify(t); v.Missing != 30 {
		t.Errorf("got %+v, want an empty bucket", v)
	}
}

func TestMultipart(t *testing.T) {
	s := newService(t, 1, "17M", "flat", nil)
	key := escaped(string(s.source.key(nil, 0)))
	_, header, body := s.do(t, http.MethodGet, s.src+"/src/"+key, nil, nil)
	target := s.dst + "/dst/" + key
	create := func() string {
		t.Helper()
		_, _, text := s.do(t, http.MethodPost, target+"?uploads", nil, nil)
		var created struct{ UploadId string }
		if err := xml.Unmarshal(text, &created); err != nil || created.UploadId == "" {
			t.Fatalf("create: %v: %s", err, text)
		}
		return created.UploadId
	}
	put := func(id string, number int, part []byte) string {
		t.Helper()
		code, h, text := s.do(t, http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", target, number, id), nil, part)
		if code != http.StatusOK {
			t.Fatalf("part: %d %s", code, text)
		}
		return h.Get("ETag")
	}
	complete := func(id string, parts ...string) (int, string) {
		t.Helper()
		_, _, text := s.do(t, http.MethodPost, target+"?uploadId="+id, nil, []byte("<CompleteMultipartUpload>"+strings.Join(parts, "")+"</CompleteMultipartUpload>"))
		code, _, _ := s.do(t, http.MethodHead, target, nil, nil)
		return code, string(text)
	}
	part := func(number int, etag string) string {
		return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", number, etag)
	}
	id := create()
	small := put(id, 1, body[:4<<20])
	tail := put(id, 2, body[4<<20:])
	for _, test := range []struct {
		parts []string
		want  string
	}{
		{[]string{part(1, small), part(2, tail)}, "EntityTooSmall"},
		{[]string{part(2, tail), part(1, small)}, "InvalidPartOrder"},
		{[]string{part(1, tail), part(2, tail)}, "InvalidPart"},
		{[]string{part(3, tail)}, "InvalidPart"},
		{nil, "MalformedXML"},
	} {
		if code, text := complete(id, test.parts...); code != http.StatusNotFound || !strings.Contains(text, test.want) {
			t.Errorf("%v: got %d %s, want %s", test.parts, code, text, test.want)
		}
	}
	if code, _, _ := s.do(t, http.MethodDelete, target+"?uploadId="+id, nil, nil); code != http.StatusNoContent {
		t.Errorf("abort: got %d", code)
	}
	id = create()
	first, second := put(id, 1, body[:6<<20]), put(id, 2, body[6<<20:])
	if code, text := complete(id, part(1, first), part(2, second)); code != http.StatusOK {
		t.Fatalf("complete: %s", text)
	}
	if v := s.verify(t); !v.Complete {
		t.Errorf("got %+v, want a complete copy", v)
	}
	if _, h, again := s.do(t, http.MethodGet, target, nil, nil); !bytes.Equal(again, body) || !strings.HasSuffix(h.Get("ETag"), `-2"`) || h.Get("ETag") == header.Get("ETag") {
		t.Errorf("got %d bytes, ETag %s", len(again), h.Get("ETag"))
	}
}

// TestBodies sends one object in every kind of body.
func TestBodies(t *testing.T) {
	s := newService(t, 1, "5", "flat", func(o *endpointOptions) { o.keep = true })
	addr := strings.TrimPrefix(s.dst, "http://")
	send := func(head, body string) string {
		t.Helper()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "PUT /dst/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+head+"\r\n\r\n"+body); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	const aws = "X-Amz-Content-SHA256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nX-Amz-Decoded-Content-Length: "
	for _, test := range []struct{ name, head, body, want string }{
		{"plain", "Content-Length: 5", "hello", "200 OK"},
		{"chunked", "Transfer-Encoding: chunked", "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n", "200 OK"},
		{"aws-chunked", aws + "5\r\nContent-Length: 52", "2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32c:mnG7TA==\r\n\r\n", "200 OK"},
		{"wrong trailer", aws + "5\r\nContent-Length: 52", "2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n", "400 Bad Request"},
		{"short", aws + "9\r\nContent-Length: 20", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "400 Bad Request"},
		{"no length", "X: y", "", "411 Length Required"},
		{"wrong MD5", "Content-Length: 5\r\nContent-MD5: AAAAAAAAAAAAAAAAAAAAAA==", "hello", "400 Bad Request"},
		{"right MD5", "Content-Length: 5\r\nContent-MD5: XUFAKrxLKna5cZ2REBfFkg==", "hello", "200 OK"},
		{"wrong MD5 of nothing known", "Content-Length: 5\r\nContent-MD5: AAAA", "hello", "400 Bad Request"},
		{"wrong checksum", "Content-Length: 5\r\nx-amz-checksum-crc32c: AAAAAA==", "hello", "400 Bad Request"},
	} {
		if answer := send(test.head, test.body); !strings.HasPrefix(answer, "HTTP/1.1 "+test.want) {
			t.Errorf("%s: got %s, want %s", test.name, answer, test.want)
		} else if test.want == "200 OK" {
			if _, _, got := s.do(t, http.MethodGet, s.dst+"/dst/k", nil, nil); string(got) != "hello" {
				t.Errorf("%s: stored %q", test.name, got)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	s := newService(t, 3, "4K", "flat", func(o *endpointOptions) { o.errorRate, o.errorKinds = 1, []string{"503"} })
	if code, _, text := s.do(t, http.MethodGet, s.src+"/src?list-type=2", nil, nil); code != http.StatusServiceUnavailable || !bytes.Contains(text, []byte("SlowDown")) {
		t.Errorf("got %d %s, want SlowDown", code, text)
	}
	s = newService(t, 3, "4K", "flat", func(o *endpointOptions) { o.errorRate, o.errorKinds = 1, []string{"trunc"} })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.src+"/src/"+escaped(string(s.source.key(nil, 0))), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil || len(got) != 2048 {
		t.Errorf("got %d bytes, %v; want half of them and an error", len(got), err)
	}
}

func TestCombineCRC(t *testing.T) {
	c := newContents()
	for _, cut := range []int64{0, 1, 7, 4096, 99999, 100000} {
		a, b := c.sum(3, 0, cut), c.sum(3, cut, 100000)
		if got, want := combineCRC(a, b, 100000-cut), c.sum(3, 0, 100000); got != want {
			t.Errorf("cut at %d: got %08x, want %08x", cut, got, want)
		}
	}
	if crc32.Checksum([]byte("hello"), c.crc) != 0x9a71bb4c {
		t.Error("not CRC-32C")
	}
}

// TestDecoder feeds a framed body in pieces of every size.
func TestDecoder(t *testing.T) {
	const framed = "3;chunk-signature=a\r\nabc\r\n1\r\nd\r\n0\r\nx-amz-checksum-crc32c:AA==\r\n\r\n"
	for size := 1; size <= len(framed); size++ {
		var got []byte
		d := decoder{framed: true, sink: func(p []byte) { got = append(got, p...) }}
		for piece := range slices.Chunk([]byte(framed), size) {
			if err := d.feed(piece); err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
		}
		if string(got) != "abcd" || d.got != 4 || d.state != awsTrailer || !strings.Contains(string(d.line), "AA==") {
			t.Errorf("pieces of %d: got %q, state %d, trailer %q", size, got, d.state, d.line)
		}
	}
}

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]int64{"5": 5, "4K": 4096, "8M": 8 << 20, "2G": 2 << 30, " 1K ": 1024} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "K", "-1", "x", "9999999999G", "4K:x", "4K,"} {
		if got, err := parseSizes(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestParse(t *testing.T) {
	if _, err := parse(io.Discard, []string{"-n", "x"}); err == nil {
		t.Error("got no error of a bad number")
	}
	if _, err := parse(io.Discard, []string{"more"}); err == nil {
		t.Error("got no error of an argument")
	}
	o, err := parse(io.Discard, []string{"-lat-get", "5ms", "-bw", "1M", "-md5", "always"})
	if err != nil || o.endpoint.latency[opHead] != 5*time.Millisecond || o.endpoint.bandwidth != 1<<20 || !o.endpoint.md5 {
		t.Errorf("got %+v, %v", o, err)
	}
}
