package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// minPart is the smallest size of all parts but the last.
const minPart = 5 << 20

// upload is an open multipart upload. Safe for concurrent use.
type upload struct {
	bucketName, key, meta string

	mu    sync.Mutex
	parts map[int]*object // by number
}

func (u *upload) put(number int, part *object) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[number] = part
}

// upload returns nil when there is no such upload of that key.
func (e *endpoint) upload(id string, o place) *upload {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if u := e.uploads[id]; u != nil && u.bucketName == o.bucketName && u.key == o.key {
		return u
	}
	return nil
}

func (c *conn) createUpload(ctx context.Context, o place) error {
	if _, err := c.begin(ctx, opCreate); err != nil {
		return err
	}
	id := fmt.Sprintf("upload%012d", c.nextID.Add(1))
	c.mu.Lock()
	c.uploads[id] = &upload{bucketName: o.bucketName, key: o.key, meta: string(c.req.meta), parts: map[int]*object{}}
	c.mu.Unlock()
	out := appendResult("InitiateMultipartUploadResult", o)
	return c.replyXML(append(out, "<UploadId>"+id+"</UploadId></InitiateMultipartUploadResult>"...))
}

// appendResult opens the named element and names the object in it.
func appendResult(element string, o place) []byte {
	out := []byte(xmlHead + "<" + element + namespace + "><Bucket>" + o.bucketName + "</Bucket><Key>")
	return append(appendXML(out, []byte(o.key)), "</Key>"...)
}

func (c *conn) abortUpload(id string) error {
	c.stats.ops[opAbort].Add(1)
	c.mu.Lock()
	delete(c.uploads, id)
	c.mu.Unlock()
	return c.reply(http.StatusNoContent, "", nil)
}

func (c *conn) listParts(o place, id string) error {
	u := c.upload(id, o)
	if u == nil {
		return c.replyError(http.StatusNotFound, "NoSuchUpload", "no such upload")
	}
	out := appendResult("ListPartsResult", o)
	out = append(out, "<UploadId>"+id+"</UploadId><IsTruncated>false</IsTruncated>"...)
	u.mu.Lock()
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		p := u.parts[n]
		out = fmt.Appendf(out, "<Part><PartNumber>%d</PartNumber><ETag>&quot;%x&quot;</ETag><Size>%d</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Part>", n, p.etag, p.size)
	}
	u.mu.Unlock()
	return c.replyXML(append(out, "</ListPartsResult>"...))
}

// wantedPart is a part that a client names to complete an upload.
type wantedPart struct {
	PartNumber int
	ETag       string
}

func (c *conn) completeUpload(ctx context.Context, to place, id string) error {
	if _, err := c.begin(ctx, opComplete); err != nil {
		return err
	}
	var body bytes.Buffer
	if _, err := c.body(ctx, func(p []byte) { body.Write(p) }); err != nil {
		return err
	}
	u := c.upload(id, to)
	if u == nil {
		return c.replyError(http.StatusNotFound, "NoSuchUpload", "no such upload")
	}
	var wanted struct{ Part []wantedPart }
	if err := xml.Unmarshal(body.Bytes(), &wanted); err != nil || len(wanted.Part) == 0 {
		return c.replyError(http.StatusBadRequest, "MalformedXML", "bad complete request")
	}
	o, problem := u.assemble(wanted.Part, time.Now())
	if problem != "" {
		return c.replyError(http.StatusBadRequest, problem, "the parts do not make an object")
	}
	to.put(to.key, o)
	c.mu.Lock()
	delete(c.uploads, id)
	c.mu.Unlock()
	out := append(appendResult("CompleteMultipartUploadResult", to), "<ETag>&quot;"...)
	return c.replyXML(append(o.appendETag(out), "&quot;</ETag></CompleteMultipartUploadResult>"...))
}

// assemble makes an object of parts; problem is the name of the error that S3 would answer with.
func (u *upload) assemble(wanted []wantedPart, now time.Time) (o *object, problem string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	o = &object{mtime: now.Unix(), meta: u.meta, parts: uint32(len(wanted))}
	h := md5.New()
	last := 0
	for i, w := range wanted {
		p := u.parts[w.PartNumber]
		switch {
		case p == nil, w.ETag != "" && strings.Trim(w.ETag, `"`) != hex.EncodeToString(p.etag[:]):
			return nil, "InvalidPart"
		case w.PartNumber <= last:
			return nil, "InvalidPartOrder"
		case i < len(wanted)-1 && p.size < minPart:
			return nil, "EntityTooSmall"
		}
		last = w.PartNumber
		h.Write(p.etag[:])
		o.crc = combineCRC(o.crc, p.crc, p.size)
		o.size += p.size
		o.data = append(o.data, p.data...)
	}
	h.Sum(o.etag[:0])
	return o, ""
}
