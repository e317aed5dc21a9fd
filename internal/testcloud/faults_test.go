package testcloud

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faulty starts a cloud with bucket b: k is 1,000 bytes, other 10.
func faulty(t *testing.T) (*Cloud, *client, []byte) {
	t.Helper()
	cloud, c := start(t, Options{})
	data := bytes.Repeat([]byte("0123456789"), 100)
	b := cloud.CreateBucket("b")
	b.Put("k", data, Attrs{})
	b.Put("other", []byte("abcdefghij"), Attrs{})
	return cloud, c, data
}

func TestRules(t *testing.T) {
	cloud, c, _ := faulty(t)
	cloud.CreateBucket("b2").Put("k", nil, Attrs{})
	statuses := func(n int, bucket, key string) (got []int) {
		for range n {
			got = append(got, c.get(bucket, key).status)
		}
		return got
	}
	remove := cloud.Faults.Add(Rule{Ops: []Op{GetObject}, Bucket: "b", Key: KeyIs("k"), Skip: 1, Count: 2, Fault: SlowDown().WithRetryAfter("99999999999")})
	if got := statuses(2, "b", "other"); !slices.Equal(got, []int{200, 200}) {
		t.Errorf("other key: %v", got)
	}
	if got := statuses(1, "b2", "k"); got[0] != 200 {
		t.Errorf("other bucket: %v", got)
	}
	if got := statuses(5, "b", "k"); !slices.Equal(got, []int{200, 503, 503, 200, 200}) {
		t.Errorf("skip and count: %v", got)
	}
	remove()
	cloud.Faults.On(GetObject, SlowDown().WithRetryAfter("99999999999"))
	if r := c.get("b", "k").want(t, 503, "SlowDown"); r.header.Get("Retry-After") != "99999999999" {
		t.Errorf("headers %v", r.header)
	}
	cloud.Faults.Clear()
	cloud.Faults.Add(Rule{Probability: 0.25, Fault: InternalError()})
	failed := 0
	for _, s := range statuses(400, "b", "k") {
		if s == 500 {
			failed++
		}
	}
	if failed < 60 || failed > 140 {
		t.Errorf("%d of 400 failed with probability 1/4", failed)
	}
	again := func() (s []bool) {
		f := newFaults(42)
		f.Add(Rule{Probability: 0.5, Fault: Reset()})
		for range 64 {
			s = append(s, len(f.match(GetObject, "", "")) > 0)
		}
		return s
	}
	if !slices.Equal(again(), again()) {
		t.Error("the same seed gives other dice")
	}
}

// TestBodyFaults checks what a client sees of each fault in the body of GetObject.
func TestBodyFaults(t *testing.T) {
	_, _, data := faulty(t)
	flipped := bytes.Clone(data)
	flipped[17] ^= 1
	tests := []struct {
		name   string
		faults []Fault
		length int64 // Content-Length; -1 none
		body   []byte
		err    error // of reading
	}{
		{"none", nil, 1000, data, nil},
		{"flip", []Fault{FlipBody(17)}, 1000, flipped, nil},
		{"truncate", []Fault{Truncate(300)}, 1000, data[:300], io.ErrUnexpectedEOF},
		{"truncate at once", []Fault{Truncate(0)}, 1000, nil, io.ErrUnexpectedEOF},
		{"reset in the middle", []Fault{ResetAfter(300)}, 1000, nil, syscall.ECONNRESET},
		{"shorter", []Fault{WrongLength(-10)}, 990, data[:990], nil},
		{"longer", []Fault{WrongLength(10)}, 1010, append(bytes.Clone(data), make([]byte, 10)...), nil},
		{"extra bytes", []Fault{ExtraBytes(10)}, 1000, data, nil},
		{"chunked", []Fault{Chunked()}, -1, data, nil},
		{"chunked and cut", []Fault{Chunked(), Truncate(300)}, -1, data[:300], io.ErrUnexpectedEOF},
		{"swapped", []Fault{SwapContent("other")}, 1000, append([]byte("abcdefghij"), make([]byte, 990)...), nil},
		{"slow", []Fault{Rate(100_000)}, 1000, data, nil},
		{"two at once", []Fault{FlipBody(17), Chunked()}, -1, flipped, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud, c, _ := faulty(t)
			for _, f := range tt.faults {
				cloud.Faults.On(GetObject, f)
			}
			resp, err := c.http.Do(c.request("GET", "b", "k", "", nil, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK || resp.ContentLength != tt.length {
				t.Errorf("status %d length %d, want 200 %d", resp.StatusCode, resp.ContentLength, tt.length)
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("read: %v, want %v", err, tt.err)
			}
			if tt.body != nil && !bytes.Equal(body, tt.body) {
				t.Errorf("%d bytes %.40q, want %d", len(body), body, len(tt.body))
			}
		})
	}
}

// TestExtraBytesOnTheWire reads the raw connection: an HTTP client hides surplus bytes.
func TestExtraBytesOnTheWire(t *testing.T) {
	cloud, c, data := faulty(t)
	cloud.Faults.On(GetObject, ExtraBytes(7))
	req := c.request("GET", "b", "k", "", nil, nil)
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", strings.TrimPrefix(c.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	if err != nil || !bytes.Contains(head, []byte("Content-Length: 1000")) || string(body) != string(data)+"xxxxxxx" {
		t.Errorf("%v: head %s, %d bytes of body", err, head, len(body))
	}
}

func TestEndlessAndStall(t *testing.T) {
	for name, f := range map[string]Fault{"endless": Endless(), "stall after": StallAfter(10), "stall": Stall()} {
		t.Run(name, func(t *testing.T) {
			cloud, c, _ := faulty(t)
			cloud.Faults.On(GetObject, f)
			req := c.request("GET", "b", "k", "", nil, nil)
			done := make(chan error, 1)
			read := make(chan struct{})
			go func() {
				resp, err := c.http.Do(req)
				if err != nil {
					done <- err
					return
				}
				defer resp.Body.Close()
				if _, err := io.CopyN(io.Discard, resp.Body, 10); err != nil {
					t.Error(err)
				}
				if name == "endless" {
					if n, err := io.CopyN(io.Discard, resp.Body, 5<<20); err != nil {
						t.Errorf("%d bytes: %v", n, err)
					}
				}
				close(read)
				_, err = io.Copy(io.Discard, resp.Body)
				done <- err
			}()
			if name != "stall" {
				<-read
			}
			cloud.Close() // ends what would never end
			if err := <-done; err == nil {
				t.Error("ended without an error")
			}
		})
	}
}

// TestStallEndsWithClient proves that the handler goes away with its client, also in the middle of an upload.
func TestStallEndsWithClient(t *testing.T) {
	cloud, c, _ := faulty(t)
	stalled := make(chan struct{}, 1)
	cloud.Faults.Add(Rule{Ops: []Op{PutObject}, Fault: Stall(), Key: func(string) bool { stalled <- struct{}{}; return true }})
	req := c.request("PUT", "b", "new", "", nil, make([]byte, 1<<20))
	c.http.Timeout = 300 * time.Millisecond
	if resp, err := c.http.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("answered")
	}
	<-stalled
	for len(cloud.Requests()) == 0 { // the record is written when the handler ends
		time.Sleep(time.Millisecond)
	}
	if r := cloud.Requests()[0]; r.Status != 0 || r.In != 1<<20 {
		t.Errorf("record %+v", r)
	}
}

func TestResetAndDown(t *testing.T) {
	cloud, c, _ := faulty(t)
	cloud.Faults.Once(PutObject, Reset())
	if _, err := c.try("PUT", "b", "new", "", nil, []byte("x")); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset: %v", err)
	}
	cloud.Down()
	for range 2 {
		if _, err := c.try("PUT", "b", "new", "", nil, []byte("x")); err == nil {
			t.Error("the store is down and answers")
		}
	}
	if _, ok := cloud.Bucket("b").Get("new"); ok {
		t.Error("stored")
	}
	cloud.Up()
	c.put("b", "new", []byte("x"))
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := New(Options{})
		cloud.Faults.On(ListBuckets, Delay(3*time.Second))
		cloud.Faults.On(ListBuckets, Delay(4*time.Second))
		start := time.Now()
		rec := httptest.NewRecorder()
		cloud.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		if took := time.Since(start); took != 7*time.Second || rec.Code != 403 {
			t.Errorf("took %v, status %d", took, rec.Code)
		}
		cloud.Faults.On(ListBuckets, Rate(10))
		start = time.Now()
		rec = httptest.NewRecorder()
		cloud.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		want := 7*time.Second + time.Duration(rec.Body.Len())*time.Second/10
		if took := time.Since(start); took != want {
			t.Errorf("took %v for %d bytes, want %v", took, rec.Body.Len(), want)
		}
	})
}

// TestAppliedThenFailed: the operation takes effect, the client hears of a failure.
func TestAppliedThenFailed(t *testing.T) {
	cloud, c, _ := faulty(t)
	b := cloud.Bucket("b")
	cloud.Faults.Once(PutObject, InternalError().AfterApplying())
	c.do("PUT", "b", "new", "", nil, []byte("x")).want(t, 500, "InternalError")
	if _, ok := b.Get("new"); !ok {
		t.Error("put did not take effect")
	}
	cloud.Faults.Once(PutObject, Reset().AfterApplying())
	if _, err := c.try("PUT", "b", "new2", "", nil, []byte("x")); err == nil {
		t.Error("answered")
	}
	if _, ok := b.Get("new2"); !ok {
		t.Error("put did not take effect")
	}
	id := c.create("multi", nil)
	etag := "1 " + c.do("PUT", "b", "multi", partQuery(id, 1), nil, []byte("x")).header.Get("Etag")
	cloud.Faults.Once(CompleteMultipartUpload, OKError("InternalError"))
	c.complete("multi", id, nil, etag).want(t, 200, "InternalError")
	if len(b.Uploads()) != 1 {
		t.Error("completed nevertheless")
	}
	cloud.Faults.Once(CompleteMultipartUpload, OKError("InternalError").AfterApplying())
	c.complete("multi", id, nil, etag).want(t, 200, "InternalError")
	if o, ok := b.Get("multi"); !ok || len(b.Uploads()) != 0 || string(o.Bytes()) != "x" {
		t.Error("complete did not take effect")
	}
	c.complete("multi", id, nil, etag).want(t, 404, "NoSuchUpload")
	id = c.create("multi", nil)
	etag = "1 " + c.do("PUT", "b", "multi", partQuery(id, 1), nil, []byte("y")).header.Get("Etag")
	cloud.Faults.Once(CompleteMultipartUpload, Blanks(100))
	if r := c.complete("multi", id, nil, etag).want(t, 200, ""); !bytes.Contains(r.body, []byte(strings.Repeat(" ", 100)+"<Complete")) {
		t.Errorf("no blanks: %s", r.body)
	}
}

func TestCorruptWrites(t *testing.T) {
	cloud, c, _ := faulty(t)
	b := cloud.Bucket("b")
	data := []byte("precious")
	damaged := []byte("prebious")
	header := http.Header{"Content-Md5": {md5base64(data)}, "X-Amz-Checksum-Crc32c": {crc32cBase64(data)}}

	cloud.Faults.Once(PutObject, Corrupt(FlipBit(3)))
	r := c.do("PUT", "b", "new", "", header, data).want(t, 200, "")
	if o, _ := b.Get("new"); !bytes.Equal(o.Bytes(), damaged) || r.header.Get("Etag") != `"`+md5hex(damaged)+`"` {
		t.Errorf("stored %q, ETag %s", o.Bytes(), r.header.Get("Etag"))
	}
	cloud.Faults.Once(PutObject, CorruptSilently(FlipBit(3)))
	r = c.do("PUT", "b", "new", "", header, data).want(t, 200, "")
	if o, _ := b.Get("new"); !bytes.Equal(o.Bytes(), damaged) || r.header.Get("Etag") != `"`+md5hex(data)+`"` {
		t.Errorf("stored %q, ETag %s", o.Bytes(), r.header.Get("Etag"))
	}
	cloud.Faults.Once(PutObject, CorruptSilently(Chop(3)))
	c.put("b", "new", data)
	if r := c.get("b", "new"); string(r.body) != "preci" {
		t.Errorf("chopped: %q", r.body)
	}
	cloud.Faults.Once(PutObject, Corrupt(ChunkFrames))
	c.put("b", "new", data)
	if r := c.get("b", "new"); string(r.body) != "8;chunk-signature=0000\r\nprecious\r\n0;chunk-signature=0000\r\n\r\n" {
		t.Errorf("framed: %q", r.body)
	}
	id := c.create("multi", nil)
	cloud.Faults.Once(UploadPart, CorruptSilently(FlipBit(3)))
	etag := c.do("PUT", "b", "multi", partQuery(id, 1), nil, data).header.Get("Etag")
	if etag != `"`+md5hex(data)+`"` {
		t.Errorf("part ETag %s", etag)
	}
	c.complete("multi", id, nil, "1 "+etag).want(t, 200, "")
	if o, _ := b.Get("multi"); !bytes.Equal(o.Bytes(), damaged) {
		t.Errorf("part stored as %q", o.Bytes())
	}
	for fault, told := range map[string]bool{"told": true, "silent": false} {
		id := c.create("multi", nil)
		etag := c.do("PUT", "b", "multi", partQuery(id, 1), nil, data).header.Get("Etag")
		if told {
			cloud.Faults.Once(CompleteMultipartUpload, Corrupt(SwapHalves))
		} else {
			cloud.Faults.Once(CompleteMultipartUpload, CorruptSilently(SwapHalves))
		}
		c.complete("multi", id, nil, "1 "+etag).want(t, 200, "")
		o, _ := b.Get("multi")
		if _, sum := o.Checksum(); string(o.Bytes()) != "iousprec" || (sum == sumContent("crc64nvme", o.body).value) != told {
			t.Errorf("%s: stored %q, checksum %s", fault, o.Bytes(), sum)
		}
	}
}

func TestAnswerFaults(t *testing.T) {
	cloud, c, data := faulty(t)
	rng := http.Header{"Range": {"bytes=10-19"}}
	cloud.Faults.Once(GetObject, IgnoreRange())
	if r := c.do("GET", "b", "k", "", rng, nil); r.status != 200 || !bytes.Equal(r.body, data) || r.header.Get("Content-Range") != "" {
		t.Errorf("ignored range: %d, %d bytes", r.status, len(r.body))
	}
	cloud.Faults.Once(GetObject, SetHeader("content-range", "bytes 0-9/1000"))
	if r := c.do("GET", "b", "k", "", rng, nil); r.status != 206 || r.header.Get("Content-Range") != "bytes 0-9/1000" {
		t.Errorf("wrong range: %d %v", r.status, r.header)
	}
	cloud.Faults.Once(GetObject, SetHeader("ETag", ""))
	if r := c.get("b", "k"); r.header.Get("Etag") != "" {
		t.Errorf("ETag: %v", r.header)
	}
	for _, year := range []int{1, 9999} {
		at := time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC)
		remove := cloud.Faults.Add(Rule{Fault: LastModified(at)})
		if got := c.do("HEAD", "b", "k", "", nil, nil).header.Get("Last-Modified"); got != at.Format(http.TimeFormat) {
			t.Errorf("head: %s", got)
		}
		if got := c.list("b", nil).Contents[0].LastModified; got != at.Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("list: %s", got)
		}
		remove()
	}
}

// TestListingFaults checks the pages of a bucket of five keys, two to a page.
func TestListingFaults(t *testing.T) {
	tests := []struct {
		name  string
		fault Fault
		want  [][]string // keys of the first pages by version 2
		ends  bool
	}{
		{"none", Fault{}, [][]string{{"a", "b"}, {"c", "d"}, {"e"}}, true},
		{"duplicates", DuplicateKeys(), [][]string{{"a", "a", "b", "b"}, {"c", "c", "d", "d"}, {"e", "e"}}, true},
		{"missing", MissingKeys(2), [][]string{{"a"}, {"c"}, {"e"}}, true},
		{"unsorted", UnsortedPage(), [][]string{{"b", "a"}, {"d", "c"}, {"e"}}, true},
		{"endless", EndlessPages(), [][]string{{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a", "b"}}, false},
		{"empty", EmptyPages(), [][]string{nil, nil, nil, nil}, false},
		{"repeated token", RepeatToken(), [][]string{{"a", "b"}, {"c", "d"}, {"c", "d"}, {"c", "d"}}, false},
		{"cycle", CycleToken(), [][]string{{"a", "b"}, {"c", "d"}, {"e"}, {"a", "b"}}, false},
		{"foreign", ForeignKey("zz/outside"), [][]string{{"a", "b", "zz/outside"}, {"c", "d", "zz/outside"}, {"e", "zz/outside"}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud, c := start(t, Options{})
			for _, k := range []string{"a", "b", "c", "d", "e"} {
				cloud.CreateBucket("b").Put(k, nil, Attrs{})
			}
			cloud.Faults.On(ListObjectsV2, tt.fault)
			q := url.Values{"list-type": {"2"}, "max-keys": {"2"}}
			for i, want := range tt.want {
				doc := c.list("b", q)
				var got []string
				for _, o := range doc.Contents {
					got = append(got, o.Key)
				}
				if !slices.Equal(got, want) {
					t.Errorf("page %d: got %q, want %q", i, got, want)
				}
				if last := tt.ends && i == len(tt.want)-1; doc.IsTruncated == last || !last && doc.NextContinuationToken == "" {
					t.Errorf("page %d: truncated %v, token %q", i, doc.IsTruncated, doc.NextContinuationToken)
				}
				q.Set("continuation-token", doc.NextContinuationToken)
			}
			cloud.Faults.On(ListObjects, tt.fault)
			if doc := c.list("b", url.Values{"max-keys": {"2"}, "marker": {"e"}}); doc.IsTruncated == tt.ends {
				t.Errorf("version 1: %+v", doc)
			}
		})
	}
	cloud, c, _ := faulty(t)
	cloud.Faults.On(ListObjectsV2, MissingToken())
	if doc := c.list("b", url.Values{"list-type": {"2"}, "max-keys": {"1"}}); !doc.IsTruncated || doc.NextContinuationToken != "" {
		t.Errorf("missing token: %+v", doc)
	}
}

func TestDocumentFaults(t *testing.T) {
	cloud, c, _ := faulty(t)
	list := func(f Fault) []byte {
		t.Helper()
		cloud.Faults.Once(ListObjectsV2, f)
		return c.do("GET", "b", "", "list-type=2", nil, nil).want(t, 200, "").body
	}
	right := list(Fault{})
	if got := list(MalformedXML()); !bytes.HasPrefix(right, got) || len(got) >= len(right) {
		t.Errorf("malformed: %s", got)
	}
	if got := list(Doctype()); !bytes.Contains(got, []byte("<!DOCTYPE x [<!ENTITY")) || !bytes.HasSuffix(got, []byte("</ListBucketResult>")) {
		t.Errorf("doctype: %s", got)
	}
	if got := list(BadEncoding()); !bytes.Contains(got, []byte(`encoding="UTF-16"`)) {
		t.Errorf("encoding: %s", got)
	}
	if got := list(DeepXML(1000)); bytes.Count(got, []byte("<a>")) != 1000 {
		t.Errorf("deep: %d bytes", len(got))
	}
	if got := list(HugeXML(3 << 20)); len(got) != 3<<20 || !bytes.HasPrefix(got, []byte(xmlHead+"<ListBucketResult>")) || got[len(got)-1] != 'x' {
		t.Errorf("huge: %d bytes %.100s", len(got), got)
	}
	if got := list(Fault{}); !bytes.Equal(got, right) {
		t.Errorf("afterwards: %s", got)
	}
}

// TestHTTP2 sends the same requests over unencrypted HTTP/2.
func TestHTTP2(t *testing.T) {
	cloud, c, data := faulty(t)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols, DisableCompression: true}
	defer transport.CloseIdleConnections()
	c.http = &http.Client{Transport: transport}
	for _, k := range []string{"a//b", "../x", "\x03\xff"} {
		c.put("b", k, []byte(k))
		if r := c.get("b", k); string(r.body) != k {
			t.Errorf("%q reads %q", k, r.body)
		}
	}
	if r := c.get("b", "k"); !bytes.Equal(r.body, data) {
		t.Errorf("%d bytes", len(r.body))
	}
	cloud.Faults.Once(GetObject, Reset())
	if _, err := c.try("GET", "b", "k", "", nil, nil); err == nil {
		t.Error("reset: answered")
	}
	cloud.Faults.Once(GetObject, ResetAfter(10))
	if r, err := c.try("GET", "b", "k", "", nil, nil); err == nil && r.err == nil {
		t.Error("reset in the body: complete")
	}
}
