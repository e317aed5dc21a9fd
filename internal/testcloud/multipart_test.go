package testcloud

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// create opens an upload and returns its id.
func (c *client) create(key string, header http.Header) string {
	c.t.Helper()
	r := c.do("POST", "b", key, "uploads", header, nil).want(c.t, 200, "")
	// not by an XML parser: the document repeats the key, which may hold what XML forbids
	_, rest, _ := strings.Cut(string(r.body), "<UploadId>")
	id, _, ok := strings.Cut(rest, "</UploadId>")
	if !ok {
		c.t.Fatalf("create: %s", r.body)
	}
	return id
}

func partQuery(id string, n int) string { return fmt.Sprintf("partNumber=%d&uploadId=%s", n, id) }

// complete sends a completion; parts are "number etag [element value]".
func (c *client) complete(key, id string, header http.Header, parts ...string) reply {
	c.t.Helper()
	var body strings.Builder
	body.WriteString("<CompleteMultipartUpload>")
	for _, p := range parts {
		f := strings.Fields(p)
		body.WriteString("<Part><PartNumber>" + f[0] + "</PartNumber><ETag>" + f[1] + "</ETag>")
		if len(f) > 2 {
			body.WriteString("<" + f[2] + ">" + f[3] + "</" + f[2] + ">")
		}
		body.WriteString("</Part>")
	}
	body.WriteString("</CompleteMultipartUpload>")
	return c.do("POST", "b", key, "uploadId="+id, header, []byte(body.String()))
}

func smallParts(p Profile) Profile {
	p.MinPartSize = 4
	return p
}

func TestMultipart(t *testing.T) {
	for _, p := range Profiles() {
		if p.VirtualHostOnly {
			p.VirtualHostOnly = false // the client here speaks path style
		}
		t.Run(p.Name, func(t *testing.T) {
			cloud, c := start(t, Options{Profile: smallParts(p)})
			b := cloud.CreateBucket("b")
			id := c.create("k", http.Header{"Content-Type": {"a/b"}, "X-Amz-Meta-M": {"1"}})
			var etags []string
			for i, data := range []string{"first", "2nd!", "x"} {
				r := c.do("PUT", "b", "k", partQuery(id, i+1), http.Header{"Content-Md5": {md5base64([]byte(data))}}, []byte(data)).want(t, 200, "")
				etags = append(etags, fmt.Sprint(i+1, " ", r.header.Get("Etag")))
			}
			if ups := b.Uploads(); len(ups) != 1 || ups[0].ID != id || len(ups[0].Parts) != 3 || ups[0].Size != 10 {
				t.Errorf("uploads %+v", ups)
			}
			r := c.complete("k", id, nil, etags...).want(t, 200, "")
			o, _ := b.Get("k")
			if o == nil || string(o.Bytes()) != "first2nd!x" || o.Parts != 3 || o.ContentType != "a/b" || o.Meta["m"] != "1" {
				t.Fatalf("object %+v", o)
			}
			h := md5.New()
			for _, s := range []string{"first", "2nd!", "x"} {
				sum := md5.Sum([]byte(s))
				h.Write(sum[:])
			}
			want := hex.EncodeToString(h.Sum(nil)) + "-3"
			switch p.ETag {
			case ETagMD5Upper:
				want = strings.ToUpper(want)
			case ETagWholeMD5:
				want = md5hex([]byte("first2nd!x"))
			case ETagOpaque:
				want = o.ETag
			case ETagMD5, ETagKMS:
			}
			if o.ETag != want || !bytes.Contains(r.body, []byte("<ETag>&quot;"+want+"&quot;</ETag>")) {
				t.Errorf("ETag %s, want %s; %s", o.ETag, want, r.body)
			}
			if len(b.Uploads()) != 0 {
				t.Error("upload still open")
			}
			c.complete("k", id, nil, etags...).want(t, 404, "NoSuchUpload")
			if algo, _ := o.Checksum(); (algo == "crc64nvme") != p.Checksums {
				t.Errorf("checksum %q", algo)
			}
			tail := c.do("GET", "b", "k", "", http.Header{"Range": {"bytes=3-6"}}, nil).want(t, 206, "")
			if string(tail.body) != "st2n" {
				t.Errorf("range over parts %q", tail.body)
			}
			if b.Received("k") != 10 {
				t.Errorf("received %d", b.Received("k"))
			}
		})
	}
}

func TestMultipartRefused(t *testing.T) {
	p := smallParts(FewParts())
	cloud, c := start(t, Options{Profile: p})
	b := cloud.CreateBucket("b")
	id := c.create("k", nil)
	put := func(n int, data string) string {
		r := c.do("PUT", "b", "k", partQuery(id, n), nil, []byte(data)).want(t, 200, "")
		return fmt.Sprint(n, " ", r.header.Get("Etag"))
	}
	one, two, last := put(1, "data"), put(2, "dat"), put(1000, "d")
	c.do("PUT", "b", "k", partQuery(id, 1001), nil, []byte("x")).want(t, 400, "InvalidArgument")
	c.do("PUT", "b", "k", partQuery(id, 0), nil, []byte("x")).want(t, 400, "InvalidArgument")
	c.do("PUT", "b", "k", partQuery("upload-77", 1), nil, []byte("x")).want(t, 404, "NoSuchUpload")
	c.do("PUT", "b", "other", partQuery(id, 1), nil, []byte("x")).want(t, 404, "NoSuchUpload")
	c.do("PUT", "b", "k", partQuery(id, 1), http.Header{"Content-Md5": {md5base64(nil)}}, []byte("x")).want(t, 400, "BadDigest")
	c.complete("k", id, nil, two, one).want(t, 400, "InvalidPartOrder")
	c.complete("k", id, nil, one, one).want(t, 400, "InvalidPartOrder")
	c.complete("k", id, nil, one, "3 x").want(t, 400, "InvalidPart")
	c.complete("k", id, nil, "1 wrong", last).want(t, 400, "InvalidPart")
	c.complete("k", id, nil, one, two, last).want(t, 400, "EntityTooSmall")
	c.complete("k", id, nil).want(t, 400, "MalformedXML")
	c.do("POST", "b", "k", "uploadId="+id, nil, []byte("<x")).want(t, 400, "MalformedXML")
	c.complete("k", id, http.Header{"If-None-Match": {"*"}}, one, last).want(t, 200, "")
	if o, _ := b.Get("k"); string(o.Bytes()) != "datad" {
		t.Errorf("content %q", o.Bytes())
	}
	id = c.create("k", nil)
	c.do("PUT", "b", "k", partQuery(id, 1), nil, []byte("x")).want(t, 200, "")
	c.do("DELETE", "b", "k", "uploadId="+id, nil, nil).want(t, 204, "")
	c.do("DELETE", "b", "k", "uploadId="+id, nil, nil).want(t, 404, "NoSuchUpload")
	c.do("GET", "b", "k", "uploadId="+id, nil, nil).want(t, 404, "NoSuchUpload")
}

// TestCompleteTwice: of two completions at the same time one finds the upload gone.
func TestCompleteTwice(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	id := c.create("k", nil)
	etag := "1 " + c.do("PUT", "b", "k", partQuery(id, 1), nil, []byte("x")).header.Get("Etag")
	cloud.Faults.Once(CompleteMultipartUpload, Corrupt(func([]byte) []byte { // runs while the first one assembles
		c.complete("k", id, nil, etag).want(t, 200, "")
		return []byte("late")
	}))
	c.complete("k", id, nil, etag).want(t, 404, "NoSuchUpload")
	if o, _ := b.Get("k"); string(o.Bytes()) != "x" {
		t.Errorf("content %q", o.Bytes())
	}
}

func TestMultipartChecksums(t *testing.T) {
	cloud, c := start(t, Options{Profile: smallParts(AWS())})
	b := cloud.CreateBucket("b")
	whole := []byte("first2nd")
	algorithm := func(v ...string) http.Header {
		h := http.Header{"X-Amz-Checksum-Algorithm": {v[0]}}
		if len(v) > 1 {
			h.Set("X-Amz-Checksum-Type", v[1])
		}
		return h
	}
	upload := func(key string, header http.Header) (string, []string) {
		id := c.create(key, header)
		var parts []string
		for i, s := range []string{"first", "2nd"} {
			sum := crc32cBase64([]byte(s))
			r := c.do("PUT", "b", key, partQuery(id, i+1), http.Header{"X-Amz-Checksum-Crc32c": {sum}}, []byte(s)).want(t, 200, "")
			if r.header.Get("X-Amz-Checksum-Crc32c") != sum {
				t.Errorf("part checksum not echoed: %v", r.header)
			}
			parts = append(parts, fmt.Sprint(i+1, " ", r.header.Get("Etag"), " ChecksumCRC32C ", sum))
		}
		return id, parts
	}
	id, parts := upload("full", algorithm("CRC32C", "FULL_OBJECT"))
	c.complete("full", id, http.Header{"X-Amz-Checksum-Crc32c": {crc32cBase64([]byte("x"))}}, parts...).want(t, 400, "BadDigest")
	wrong := strings.Replace(parts[0], crc32cBase64([]byte("first")), crc32cBase64([]byte("furst")), 1)
	c.complete("full", id, nil, wrong, parts[1]).want(t, 400, "InvalidPart")
	list := c.do("GET", "b", "full", "uploadId="+id, nil, nil).want(t, 200, "")
	if !bytes.Contains(list.body, []byte("<ChecksumCRC32C>"+crc32cBase64([]byte("2nd"))+"</ChecksumCRC32C>")) {
		t.Errorf("ListParts without checksum: %s", list.body)
	}
	r := c.complete("full", id, http.Header{"X-Amz-Checksum-Crc32c": {crc32cBase64(whole)}}, parts...).want(t, 200, "")
	if !bytes.Contains(r.body, []byte("<ChecksumCRC32C>"+crc32cBase64(whole)+"</ChecksumCRC32C><ChecksumType>FULL_OBJECT<")) {
		t.Errorf("result %s", r.body)
	}
	id, parts = upload("parts", algorithm("crc32c"))
	c.complete("parts", id, nil, "1 "+strings.Fields(parts[0])[1], parts[1]).want(t, 400, "InvalidRequest")
	c.complete("parts", id, nil, parts...).want(t, 200, "")
	if o, _ := b.Get("parts"); !strings.HasSuffix(o.sum.value, "-2") || o.sum.kind != "COMPOSITE" {
		t.Errorf("checksum %+v", o.sum)
	}
	id = c.create("none", nil)
	c.do("PUT", "b", "none", partQuery(id, 1), http.Header{"X-Amz-Checksum-Crc32c": {crc32cBase64(whole)}}, whole).want(t, 400, "InvalidRequest")
	c.do("POST", "b", "k", "uploads", algorithm("SHA256", "FULL_OBJECT"), nil).want(t, 400, "InvalidRequest")
	c.do("POST", "b", "k", "uploads", algorithm("CRC64NVME", "COMPOSITE"), nil).want(t, 400, "InvalidRequest")
	c.do("POST", "b", "k", "uploads", algorithm("CRC7"), nil).want(t, 400, "InvalidRequest")
}

func TestUploadPartCopy(t *testing.T) {
	cloud, c := start(t, Options{Profile: smallParts(AWS())})
	b := cloud.CreateBucket("b")
	cloud.Generated("g", Numbers(3, Shape{Size: FixedSize(100)}), GeneratedOptions{})
	whole := c.get("g", "1").body
	id := c.create("k", nil)
	copyRange := func(n int, rng string) reply {
		h := http.Header{"X-Amz-Copy-Source": {"g/1"}}
		if rng != "" {
			h.Set("X-Amz-Copy-Source-Range", rng)
		}
		return c.do("PUT", "b", "k", partQuery(id, n), h, nil)
	}
	for _, bad := range []string{"bytes=0-100", "bytes=0-", "bytes=-5", "0-5", "bytes=200-300"} {
		copyRange(1, bad).want(t, 400, "InvalidArgument")
	}
	var parts []string
	for i, rng := range []string{"bytes=0-49", "bytes=50-99", ""} {
		var doc struct{ ETag string }
		r := copyRange(i+1, rng).want(t, 200, "")
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprint(i+1, " ", doc.ETag))
	}
	c.complete("k", id, nil, parts...).want(t, 200, "")
	if o, _ := b.Get("k"); !bytes.Equal(o.Bytes(), append(bytes.Clone(whole), whole...)) {
		t.Error("content differs")
	}
}

func TestListPartsAndUploads(t *testing.T) {
	cloud, c := start(t, Options{})
	cloud.CreateBucket("b")
	id := c.create("k", nil)
	for n := 1; n <= 7; n++ {
		c.do("PUT", "b", "k", partQuery(id, n*10), nil, []byte("x")).want(t, 200, "")
	}
	type partsDoc struct {
		NextPartNumberMarker int
		IsTruncated          bool
		Part                 []struct{ PartNumber, Size int }
	}
	var got []int
	for marker := 0; ; {
		var doc partsDoc
		r := c.do("GET", "b", "k", fmt.Sprintf("uploadId=%s&max-parts=3&part-number-marker=%d", id, marker), nil, nil).want(t, 200, "")
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			t.Fatal(err)
		}
		for _, p := range doc.Part {
			got = append(got, p.PartNumber)
		}
		if marker = doc.NextPartNumberMarker; !doc.IsTruncated {
			break
		}
	}
	if fmt.Sprint(got) != "[10 20 30 40 50 60 70]" {
		t.Errorf("parts %v", got)
	}

	if r := c.do("GET", "b", "k", "max-parts=7&uploadId="+id, nil, nil); !bytes.Contains(r.body, []byte("<IsTruncated>false<")) {
		t.Errorf("a full last page says there is more: %s", r.body)
	}

	for _, k := range []string{"a\x03", "k", "k", "k2", "z"} {
		c.create(k, nil)
	}
	type uploadsDoc struct {
		NextKeyMarker, NextUploadIdMarker string
		IsTruncated                       bool
		Upload                            []struct{ Key, UploadId string }
	}
	page := func(q url.Values) (doc uploadsDoc) {
		q.Set("uploads", "")
		q.Set("encoding-type", "url")
		r := c.do("GET", "b", "", q.Encode(), nil, nil).want(t, 200, "")
		if err := xml.Unmarshal(r.body, &doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	var keys []string
	q := url.Values{"max-uploads": {"2"}}
	for {
		doc := page(q)
		for _, u := range doc.Upload {
			keys = append(keys, c.unescape(u.Key))
		}
		if !doc.IsTruncated {
			break
		}
		q.Set("key-marker", c.unescape(doc.NextKeyMarker))
		q.Set("upload-id-marker", doc.NextUploadIdMarker)
	}
	if fmt.Sprintf("%q", keys) != `["a\x03" "k" "k" "k" "k2" "z"]` {
		t.Errorf("uploads %q", keys)
	}
	if doc := page(url.Values{"prefix": {"k"}}); len(doc.Upload) != 4 {
		t.Errorf("prefix: %+v", doc)
	}
	if doc := page(url.Values{"key-marker": {"k"}}); len(doc.Upload) != 2 {
		t.Errorf("key-marker: %+v", doc)
	}
}
