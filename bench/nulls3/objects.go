package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// objectRequest answers what concerns one key, which is still escaped.
func (c *conn) objectRequest(ctx context.Context, name, key string) error {
	if strings.IndexByte(key, '%') >= 0 {
		var err error
		if key, err = url.PathUnescape(key); err != nil {
			return c.replyError(http.StatusBadRequest, "InvalidURI", "bad escape")
		}
	}
	b := c.bucket(name)
	if b == nil {
		c.stats.ops[opOther].Add(1)
		return c.replyError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	var query url.Values
	if len(c.req.query) > 0 {
		var err error
		if query, err = url.ParseQuery(string(c.req.query)); err != nil {
			return c.replyError(http.StatusBadRequest, "InvalidURI", "bad query")
		}
	}
	o := place{bucket: b, bucketName: name, key: key}
	switch c.req.method {
	case "HEAD":
		return c.get(ctx, o, opHead)
	case "GET":
		if done, err := c.objectSetting(o, query); done {
			return err
		}
		return c.get(ctx, o, opGet)
	case "PUT":
		if query.Has("tagging") || query.Has("acl") {
			c.stats.ops[opOther].Add(1)
			return c.reply(http.StatusOK, "", nil)
		}
		return c.put(ctx, o, query)
	case "POST":
		if query.Has("uploads") {
			return c.createUpload(ctx, o)
		}
		if id := query.Get("uploadId"); id != "" {
			return c.completeUpload(ctx, o, id)
		}
	case "DELETE":
		if id := query.Get("uploadId"); id != "" {
			return c.abortUpload(id)
		}
		if _, err := c.begin(ctx, opDelete); err != nil {
			return err
		}
		b.remove(key)
		return c.reply(http.StatusNoContent, "", nil)
	}
	c.stats.ops[opOther].Add(1)
	return c.replyError(http.StatusNotImplemented, "NotImplemented", c.req.method)
}

// place is where a request points to.
type place struct {
	*bucket
	bucketName string
	key        string
}

// objectSetting answers a GET of something else than the object.
func (c *conn) objectSetting(o place, query url.Values) (done bool, err error) {
	switch {
	case query.Has("uploadId"):
		c.stats.ops[opOther].Add(1)
		return true, c.listParts(o, query.Get("uploadId"))
	case query.Has("tagging"):
		c.stats.ops[opOther].Add(1)
		return true, c.replyXML([]byte(xmlHead + "<Tagging" + namespace + "><TagSet></TagSet></Tagging>"))
	case query.Has("acl"), query.Has("retention"), query.Has("legal-hold"), query.Has("attributes"):
		c.stats.ops[opOther].Add(1)
		return true, c.replyError(http.StatusNotImplemented, "NotImplemented", "no such setting")
	}
	return false, nil
}

// put stores an object or a part.
func (c *conn) put(ctx context.Context, to place, query url.Values) error {
	number, kind := 0, opPut
	if s := query.Get("partNumber"); s != "" {
		var err error
		if number, err = strconv.Atoi(s); err != nil || number < 1 || number > 10000 {
			return c.replyError(http.StatusBadRequest, "InvalidArgument", "partNumber")
		}
		kind = opPart
	}
	if c.req.copySource != nil {
		kind = opCopy
	}
	if _, err := c.begin(ctx, kind); err != nil {
		return err
	}
	var up *upload
	if number > 0 {
		if up = c.upload(query.Get("uploadId"), to); up == nil {
			if err := c.drain(ctx); err != nil {
				return err
			}
			return c.replyError(http.StatusNotFound, "NoSuchUpload", "no such upload")
		}
	}
	switch {
	case c.req.copySource != nil:
		if err := c.drain(ctx); err != nil {
			return err
		}
		return c.copyObject(to, up, number)
	case c.req.length < 0 && !c.req.chunked:
		return c.replyError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	}
	o, err := c.receive(ctx)
	if errors.Is(err, errIncomplete) {
		c.stats.badLength.Add(1)
		c.req.closing = true
		return c.replyError(http.StatusBadRequest, "IncompleteBody", err.Error())
	}
	if err != nil {
		return err
	}
	if d := c.opts.latency[kind]; d > 0 {
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
	var known *sizeTab // parts are pieces of contents: theirs are not worth knowing
	if number == 0 {
		known = c.contents.known(o.size)
	}
	if name, problem := c.checkSums(o, known); name != "" {
		c.stats.badChecksum.Add(1)
		return c.replyError(http.StatusBadRequest, name, problem)
	}
	if number > 0 {
		o.pseudo = false
		up.put(number, o)
	} else {
		o.meta = c.internMeta(c.req.meta)
		to.put(to.key, o)
	}
	var buf [64]byte
	return c.reply(http.StatusOK, "ETag: \""+string(o.appendETag(buf[:0]))+"\"\r\n", nil)
}

// receive reads the body into a new object. Its ETag is zero unless it was computed.
func (c *conn) receive(ctx context.Context) (*object, error) {
	o := &object{}
	var h hash.Hash
	if c.opts.md5 || c.verifiable() {
		h = md5.New()
	}
	table := c.contents.crc
	n, err := c.body(ctx, func(p []byte) {
		o.crc = crc32.Update(o.crc, table, p)
		if h != nil {
			h.Write(p)
		}
		if c.opts.keep {
			o.data = append(o.data, p...)
		}
	})
	if err != nil {
		return nil, err
	}
	o.size, o.mtime = n, time.Now().Unix()
	if h != nil {
		h.Sum(o.etag[:0])
	}
	return o, nil
}

// verifiable reports whether the Content-MD5 of the request's body costs next to nothing to verify: a client that tries
// whether it is verified finds that it is.
func (c *conn) verifiable() bool {
	return c.req.contentMD5 != nil && c.req.length >= 0 && c.req.length <= verifiedMax
}

// checkSums compares what the client sent with what arrived and gives the object its ETag: the content's MD5 where it is
// known, else the one that was sent, else one that is no MD5.
func (c *conn) checkSums(o *object, known *sizeTab) (errorName, problem string) {
	for _, sent := range [][]byte{c.req.crc32c, c.req.trailerCRC} {
		if sent == nil {
			continue
		}
		if base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, o.crc)) != string(sent) {
			return "BadDigest", "crc32c mismatch"
		}
	}
	var sent []byte
	if c.req.contentMD5 != nil {
		var err error
		sent, err = base64.StdEncoding.DecodeString(string(c.req.contentMD5))
		if err != nil || len(sent) != md5.Size {
			return "InvalidDigest", "bad Content-MD5"
		}
	}
	sure := o.etag != [md5.Size]byte{} // it was computed
	if !sure && known != nil {
		var v int64
		if v, sure = known.byCRC[o.crc]; sure {
			o.etag = known.md5[v]
		}
	}
	switch {
	case sure && sent != nil && !bytes.Equal(sent, o.etag[:]):
		return "BadDigest", "The Content-MD5 you specified did not match what we received."
	case sure:
	case sent != nil:
		copy(o.etag[:], sent)
	default:
		o.etag, o.pseudo = pseudoMD5(int64(o.crc), o.size), true
	}
	return "", ""
}

// internMeta returns the header lines, which are the same for most objects.
func (e *endpoint) internMeta(lines []byte) string {
	if len(lines) == 0 {
		return ""
	}
	if p := e.lastMeta.Load(); p != nil && *p == string(lines) {
		return *p
	}
	s := string(lines)
	e.lastMeta.Store(&s)
	return s
}

// copyObject copies within the endpoint, to an object or to a part.
func (c *conn) copyObject(to place, up *upload, number int) error {
	source, _, _ := strings.Cut(strings.TrimPrefix(string(c.req.copySource), "/"), "?versionId=")
	if u, err := url.PathUnescape(source); err == nil {
		source = u
	}
	name, key, _ := strings.Cut(source, "/")
	b := c.bucket(name)
	if b == nil {
		return c.replyError(http.StatusNotFound, "NoSuchBucket", "copy source")
	}
	o, i := b.describe(key)
	if o == nil {
		return c.replyError(http.StatusNotFound, "NoSuchKey", "copy source")
	}
	if number > 0 {
		from, end, ok := int64(0), o.size, true
		if c.req.copyRange != nil {
			from, end, ok = parseRange(c.req.copyRange, o.size)
		}
		if !ok || i < 0 {
			return c.replyError(http.StatusBadRequest, "InvalidArgument", "x-amz-copy-source-range")
		}
		part := &object{size: end - from, crc: c.contents.sum(b.base.variant(i, o.size), from, end)}
		part.etag = pseudoMD5(int64(part.crc), part.size)
		up.put(number, part)
		return c.replyXML(fmt.Appendf(nil, "<CopyPartResult><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;%x&quot;</ETag></CopyPartResult>", part.etag))
	}
	dup := *o
	dup.mtime = time.Now().Unix()
	to.put(to.key, &dup)
	out := []byte(xmlHead + "<CopyObjectResult><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;")
	return c.replyXML(append(dup.appendETag(out), "&quot;</ETag></CopyObjectResult>"...))
}

// parseRange reads a bytes= range of an object of size bytes; end is behind its last byte.
func parseRange(h []byte, size int64) (from, end int64, ok bool) {
	s, isBytes := strings.CutPrefix(string(h), "bytes=")
	first, last, found := strings.Cut(s, "-")
	if !isBytes || !found || strings.Contains(s, ",") {
		return 0, 0, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 {
			return 0, 0, false
		}
		return max(0, size-n), size, size > 0
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 || from >= size {
		return 0, 0, false
	}
	if last == "" {
		return from, size, true
	}
	end, err = strconv.ParseInt(last, 10, 64)
	if err != nil || end < from {
		return 0, 0, false
	}
	return from, min(size, end+1), true
}

// get answers GET and HEAD of an object.
func (c *conn) get(ctx context.Context, o place, kind op) error {
	truncate, err := c.begin(ctx, kind)
	if err != nil {
		return err
	}
	stored, i := o.get(o.key)
	if stored == nil && i < 0 {
		return c.replyError(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	var buf [64]byte
	var etag []byte
	var size int64
	if stored != nil {
		size, etag = stored.size, stored.appendETag(buf[:0])
	} else {
		size = o.base.size(i)
		etag = o.base.etag(buf[:0], i, size)
	}
	q := &c.req
	if q.ifMatch != nil && !bytes.Equal(bytes.Trim(q.ifMatch, `"`), etag) && string(q.ifMatch) != "*" {
		return c.replyError(http.StatusPreconditionFailed, "PreconditionFailed", "If-Match")
	}
	if q.ifNoneMatch != nil && bytes.Equal(bytes.Trim(q.ifNoneMatch, `"`), etag) {
		return c.reply(http.StatusNotModified, "", nil)
	}
	from, end := int64(0), size
	if q.byteRange != nil {
		var ok bool
		if from, end, ok = parseRange(q.byteRange, size); !ok {
			return c.replyError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
		}
	}
	w := append(c.wbuf[:0], "HTTP/1.1 "...)
	if q.byteRange != nil {
		w = append(w, "206 Partial Content\r\nContent-Range: bytes "...)
		w = strconv.AppendInt(w, from, 10)
		w = append(w, '-')
		w = strconv.AppendInt(w, end-1, 10)
		w = append(w, '/')
		w = strconv.AppendInt(w, size, 10)
	} else {
		w = append(w, "200 OK"...)
	}
	w = append(w, serverLines...)
	w = append(w, c.date.now()...)
	w = append(w, "\r\nAccept-Ranges: bytes\r\nLast-Modified: "...)
	if stored != nil {
		w = appendHTTPDate(w, stored.mtime)
		w = append(w, "\r\n"...)
		w = append(w, stored.meta...)
	} else {
		w = append(w, o.base.httpDay...)
		w = o.base.clock(w, i)
		w = append(w, " GMT\r\n"+octetStream...)
	}
	w = append(w, "ETag: \""...)
	w = append(w, etag...)
	w = append(w, "\"\r\nContent-Length: "...)
	w = strconv.AppendInt(w, end-from, 10)
	w = append(w, "\r\n\r\n"...)
	if kind == opHead {
		return c.send(w)
	}
	data := reading{contents: c.contents, size: size}
	switch {
	case stored == nil:
		data.variant = o.base.variant(i, size)
	case stored.data != nil:
		data.data = stored.data
	default: // what was stored is made again, if it is one of the known contents
		if data.variant = c.contents.variantOf(stored.crc, size); data.variant < 0 && size > 0 {
			return c.replyError(http.StatusNotImplemented, "NotImplemented", "this content was not kept (use -keep)")
		}
	}
	if truncate {
		end = from + (end-from)/2
	}
	if err := c.sendBody(ctx, w, data, from, end); err != nil {
		return err
	}
	if truncate {
		return errInjected
	}
	return nil
}

// reading is where the bytes of an object come from.
type reading struct {
	contents *contents
	data     []byte // if they were kept
	variant  int64
	size     int64
}

// chunk returns bytes from off, at most n and at least one.
func (r reading) chunk(off, n int64) []byte {
	if r.data != nil {
		return r.data[off : off+n]
	}
	return r.contents.chunk(r.variant, off, n)
}

// smallBody is what goes out with its head in one write.
const smallBody = 64 << 10

// sendBody sends the head and the bytes from off to end.
func (c *conn) sendBody(ctx context.Context, head []byte, data reading, off, end int64) error {
	if end-off <= smallBody && c.opts.bandwidth == 0 {
		for off < end {
			p := data.chunk(off, end-off)
			head = append(head, p...)
			off += int64(len(p))
		}
		return c.send(head)
	}
	c.wbuf = head
	for off < end {
		n := end - off
		if c.opts.bandwidth > 0 {
			n = min(n, smallBody)
		}
		p := data.chunk(off, n)
		buffers := net.Buffers{p}
		if head != nil {
			buffers, head = net.Buffers{head, p}, nil
		}
		sent, err := buffers.WriteTo(c.tcp)
		c.stats.bytesOut.Add(sent)
		if err != nil {
			return err
		}
		off += int64(len(p))
		if c.opts.bandwidth > 0 {
			if err := c.pace(ctx, sent); err != nil {
				return err
			}
		}
	}
	if head != nil {
		return c.send(head)
	}
	return nil
}
