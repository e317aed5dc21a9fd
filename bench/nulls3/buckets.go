package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/xml"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (c *conn) listBuckets() error {
	c.mu.RLock()
	names := slices.Sorted(maps.Keys(c.buckets))
	c.mu.RUnlock()
	b := []byte(xmlHead + "<ListAllMyBucketsResult" + namespace + "><Owner><ID>o</ID><DisplayName>o</DisplayName></Owner><Buckets>")
	for _, name := range names {
		b = append(b, "<Bucket><Name>"+name+"</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>"...)
	}
	return c.replyXML(append(b, "</Buckets></ListAllMyBucketsResult>"...))
}

// bucketRequest answers what concerns a bucket as a whole.
func (c *conn) bucketRequest(ctx context.Context, name string) error {
	query, err := url.ParseQuery(string(c.req.query))
	if err != nil {
		return c.replyError(http.StatusBadRequest, "InvalidURI", "bad query")
	}
	b := c.bucket(name)
	if b == nil && c.req.method != "PUT" {
		c.stats.ops[opBucket].Add(1)
		return c.replyError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	switch c.req.method {
	case "PUT":
		c.stats.ops[opBucket].Add(1)
		if err := c.drain(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		if c.buckets[name] == nil {
			c.buckets[name] = newBucket(nil)
		}
		c.mu.Unlock()
		return c.reply(http.StatusOK, "Location: /"+name+"\r\n", nil)
	case "HEAD":
		c.stats.ops[opBucket].Add(1)
		return c.reply(http.StatusOK, "x-amz-bucket-region: us-east-1\r\n", nil)
	case "DELETE":
		c.stats.ops[opBucket].Add(1)
		c.mu.Lock()
		delete(c.buckets, name)
		c.mu.Unlock()
		return c.reply(http.StatusNoContent, "", nil)
	case "POST":
		if query.Has("delete") {
			return c.deleteMany(ctx, b)
		}
	case "GET":
		if done, err := c.bucketSetting(name, query); done {
			return err
		}
		if _, err := c.begin(ctx, opList); err != nil {
			return err
		}
		return c.listObjects(b, name, query)
	}
	c.stats.ops[opOther].Add(1)
	return c.replyError(http.StatusNotImplemented, "NotImplemented", c.req.method)
}

// bucketSetting answers a request for one of the optional settings, most of which are not configured.
func (c *conn) bucketSetting(name string, query url.Values) (done bool, err error) {
	for _, setting := range [...]struct{ name, body string }{
		{"location", "<LocationConstraint" + namespace + "></LocationConstraint>"},
		{"versioning", "<VersioningConfiguration" + namespace + "></VersioningConfiguration>"},
		{"uploads", "<ListMultipartUploadsResult" + namespace + "><Bucket>" + name + "</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"},
		{"acl", "<AccessControlPolicy" + namespace + "><Owner><ID>o</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>"},
	} {
		if query.Has(setting.name) {
			c.stats.ops[opBucket].Add(1)
			return true, c.replyXML([]byte(xmlHead + setting.body))
		}
	}
	for _, setting := range [...]struct {
		name string
		code int
		err  string
	}{
		{"object-lock", http.StatusNotFound, "ObjectLockConfigurationNotFoundError"},
		{"policy", http.StatusNotFound, "NoSuchBucketPolicy"},
		{"lifecycle", http.StatusNotFound, "NoSuchLifecycleConfiguration"},
		{"encryption", http.StatusNotFound, "ServerSideEncryptionConfigurationNotFoundError"},
		{"tagging", http.StatusNotFound, "NoSuchTagSet"},
		{"replication", http.StatusNotFound, "ReplicationConfigurationNotFoundError"},
		{"cors", http.StatusNotFound, "NoSuchCORSConfiguration"},
		{"versions", http.StatusNotImplemented, "NotImplemented"},
		{"events", http.StatusNotImplemented, "NotImplemented"},
		{"notification", http.StatusNotImplemented, "NotImplemented"},
	} {
		if query.Has(setting.name) {
			c.stats.ops[opBucket].Add(1)
			return true, c.replyError(setting.code, setting.err, setting.err)
		}
	}
	return false, nil
}

func (c *conn) deleteMany(ctx context.Context, b *bucket) error {
	if _, err := c.begin(ctx, opDeleteMany); err != nil {
		return err
	}
	var body bytes.Buffer
	if _, err := c.body(ctx, func(p []byte) { body.Write(p) }); err != nil {
		return err
	}
	var wanted struct {
		Quiet  bool
		Object []struct{ Key string }
	}
	if err := xml.Unmarshal(body.Bytes(), &wanted); err != nil || len(wanted.Object) > 1000 {
		return c.replyError(http.StatusBadRequest, "MalformedXML", "bad delete request")
	}
	out := []byte(xmlHead + "<DeleteResult" + namespace + ">")
	for _, o := range wanted.Object {
		b.remove(o.Key)
		if !wanted.Quiet {
			out = append(out, "<Deleted><Key>"...)
			out = appendXML(out, []byte(o.Key))
			out = append(out, "</Key></Deleted>"...)
		}
	}
	return c.replyXML(append(out, "</DeleteResult>"...))
}

// listRequest is a parsed request for a page of either version of the listing.
type listRequest struct {
	listing
	v2, owner bool
	urlCoded  bool
	token     string // of v2
	start     string // start-after of v2, marker of v1
}

// parseList reads the query of a listing; problem says what is wrong with it.
func parseList(query url.Values) (r listRequest, problem string) {
	r.prefix, r.delimiter = query.Get("prefix"), query.Get("delimiter")
	r.v2 = query.Get("list-type") == "2"
	r.owner = !r.v2 || query.Get("fetch-owner") == "true"
	r.urlCoded = query.Get("encoding-type") == "url"
	r.limit = 1000
	if s := query.Get("max-keys"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return r, "max-keys"
		}
		r.limit = min(n, 1000)
	}
	if !r.v2 {
		r.start = query.Get("marker")
		r.from = position{key: r.start, after: r.start != ""}
		if r.delimiter != "" && strings.HasSuffix(r.start, r.delimiter) && strings.HasPrefix(r.start, r.prefix) {
			r.skip = r.start
		}
		return r, ""
	}
	r.start, r.token = query.Get("start-after"), query.Get("continuation-token")
	r.from = position{key: r.start, after: r.start != ""}
	if r.token == "" {
		return r, ""
	}
	raw, err := hex.DecodeString(r.token)
	if err != nil || len(raw) == 0 {
		return r, "The continuation token provided is incorrect"
	}
	if raw[0] == 'p' {
		r.from, r.skip = position{}, string(raw[1:])
	} else {
		r.from = position{key: string(raw[1:]), after: true}
	}
	return r, ""
}

// page collects what was listed.
type page struct {
	contents, prefixes []byte
	count              int
	last               []byte // the last key or prefix
	lastIsPrefix       bool
	more               bool
}

func (c *conn) listObjects(b *bucket, name string, query url.Values) error {
	r, problem := parseList(query)
	if problem != "" {
		return c.replyError(http.StatusBadRequest, "InvalidArgument", problem)
	}
	encode := appendXML
	if r.urlCoded {
		encode = appendURL
	}
	p := page{contents: make([]byte, 0, 330*r.limit+1024)}
	if r.limit > 0 {
		p.more = b.list(r.listing, func(e entry) {
			p.count++
			p.last = append(p.last[:0], e.key...)
			p.lastIsPrefix = e.prefix
			if e.prefix {
				p.prefixes = append(p.prefixes, "<CommonPrefixes><Prefix>"...)
				p.prefixes = encode(p.prefixes, e.key)
				p.prefixes = append(p.prefixes, "</Prefix></CommonPrefixes>"...)
				return
			}
			o := append(p.contents, "<Contents><Key>"...)
			o = encode(o, e.key)
			o = append(o, "</Key><LastModified>"...)
			o = b.appendEntry(o, e)
			if r.owner {
				o = append(o, "<Owner><ID>o</ID><DisplayName>o</DisplayName></Owner>"...)
			}
			p.contents = append(o, "<StorageClass>STANDARD</StorageClass></Contents>"...)
		})
	}
	out := make([]byte, 0, len(p.contents)+len(p.prefixes)+1024)
	out = append(out, xmlHead+"<ListBucketResult"+namespace+">"...)
	out = appendTag(out, "Name", name)
	out = append(out, "<Prefix>"...)
	out = encode(out, []byte(r.prefix))
	out = append(out, "</Prefix>"...)
	out = appendTag(out, "MaxKeys", strconv.Itoa(r.limit))
	if r.delimiter != "" {
		out = append(out, "<Delimiter>"...)
		out = encode(out, []byte(r.delimiter))
		out = append(out, "</Delimiter>"...)
	}
	if r.urlCoded {
		out = appendTag(out, "EncodingType", "url")
	}
	out = appendTag(out, "IsTruncated", strconv.FormatBool(p.more))
	if r.v2 {
		out = p.appendTokens(out, r, encode)
	} else {
		out = p.appendMarkers(out, r, encode)
	}
	out = append(out, p.contents...)
	out = append(out, p.prefixes...)
	return c.replyXML(append(out, "</ListBucketResult>"...))
}

// appendEntry appends an object's date, ETag and size; the tag of the date is open.
func (b *bucket) appendEntry(out []byte, e entry) []byte {
	var size int64
	if e.obj != nil {
		size = e.obj.size
		out = time.Unix(e.obj.mtime, 0).UTC().AppendFormat(out, "2006-01-02T15:04:05")
		out = append(out, ".000Z</LastModified><ETag>&quot;"...)
		out = e.obj.appendETag(out)
	} else {
		size = b.base.size(e.index)
		out = append(out, b.base.listDay...)
		out = b.base.clock(out, e.index)
		out = append(out, ".000Z</LastModified><ETag>&quot;"...)
		out = b.base.etag(out, e.index, size)
	}
	out = append(out, "&quot;</ETag><Size>"...)
	out = strconv.AppendInt(out, size, 10)
	return append(out, "</Size>"...)
}

func appendTag(b []byte, name, value string) []byte {
	return append(b, "<"+name+">"+value+"</"+name+">"...)
}

// appendTokens appends what only version 2 says.
func (p *page) appendTokens(out []byte, r listRequest, encode func(b, s []byte) []byte) []byte {
	out = appendTag(out, "KeyCount", strconv.Itoa(p.count))
	if r.token != "" {
		out = appendTag(out, "ContinuationToken", r.token)
	}
	if r.start != "" {
		out = append(out, "<StartAfter>"...)
		out = encode(out, []byte(r.start))
		out = append(out, "</StartAfter>"...)
	}
	if p.more {
		kind := "k"
		if p.lastIsPrefix {
			kind = "p"
		}
		out = appendTag(out, "NextContinuationToken", hex.EncodeToString(append([]byte(kind), p.last...)))
	}
	return out
}

// appendMarkers appends what only version 1 says.
func (p *page) appendMarkers(out []byte, r listRequest, encode func(b, s []byte) []byte) []byte {
	out = append(out, "<Marker>"...)
	out = encode(out, []byte(r.start))
	out = append(out, "</Marker>"...)
	if p.more && r.delimiter != "" {
		out = append(out, "<NextMarker>"...)
		out = encode(out, p.last)
		out = append(out, "</NextMarker>"...)
	}
	return out
}
