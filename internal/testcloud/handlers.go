package testcloud

import (
	"encoding/xml"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// classes are the names that a store accepts.
func (p *Profile) classes() []string {
	if len(p.StorageClasses) > 0 {
		return p.StorageClasses
	}
	return storageClasses()
}

// encryptionHeader tells of an object's encryption.
func (c *call) encryptionHeader(o *Object) {
	if o.KMS {
		c.w.Header().Set(encryptionHeader, kmsEncryption)
	}
}

// storageClasses are the names that most stores accept.
func storageClasses() []string {
	return []string{
		standardClass, "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY",
		"GLACIER", "GLACIER_IR", "DEEP_ARCHIVE",
	}
}

// newAttrs reads the attributes of a write and checks their limits.
func (c *call) newAttrs() (Attrs, error) {
	a := attrsOf(c.r.Header)
	if a.metaSize() > c.cloud.profile.MetadataLimit {
		return a, errMetadataTooLarge
	}
	if a.StorageClass != "" && !slices.Contains(c.cloud.profile.classes(), a.StorageClass) {
		return a, errInvalidStorageClass
	}
	switch c.r.Header.Get(encryptionHeader) {
	case "", "AES256", kmsEncryption:
	default:
		return a, errInvalidEncryption
	}
	a.KMS = a.KMS && !c.cloud.profile.NoKMS
	return a, nil
}

// getObject answers GetObject and HeadObject.
func (c *call) getObject(b *Bucket) (answer, error) {
	o, ok := b.Get(c.key)
	if !ok {
		return answer{}, errNoSuchKey
	}
	if err := c.readConditions(o); err != nil {
		if errors.Is(err, errNotModified) {
			c.w.Header().Set("ETag", quote(o.ETag))
		}
		return answer{}, err
	}
	if c.op == GetObject && c.cloud.archived(o) {
		return answer{}, errInvalidObjectState
	}
	h := c.w.Header()
	a := answer{status: http.StatusOK, body: c.contentOf(b, o)}
	if _, ignore := c.fault(kindIgnoreRange); !ignore {
		from, n, kind := parseRange(c.r.Header.Get("Range"), o.Size)
		switch kind {
		case rangeUnsatisfiable:
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(o.Size, 10))
			return answer{}, errInvalidRange
		case rangePart:
			a.status = http.StatusPartialContent
			a.body = slice(a.body, from, n)
			h.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(from+n-1, 10)+"/"+strconv.FormatInt(o.Size, 10))
		case rangeNone:
		}
	}
	if c.op == HeadObject && c.query.Get("partNumber") == "1" && c.cloud.profile.PartHeads && o.Parts > 0 {
		a.status = http.StatusPartialContent
		a.body = slice(a.body, 0, o.first)
		h.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(o.Parts))
	}
	c.objectHeaders(o, a.status)
	if c.op == HeadObject {
		h.Set("Content-Length", strconv.FormatInt(a.body.size(), 10))
		a.body = nil
	}
	return a, nil
}

// contentOf returns the bytes that a read of o yields.
func (c *call) contentOf(b *Bucket, o *Object) content {
	f, ok := c.fault(kindSwap)
	if !ok {
		return o.body
	}
	other, ok := b.Get(f.text)
	if !ok {
		return o.body
	}
	return resized{other.body, o.Size}
}

// objectHeaders sets what GET and HEAD say about an object.
func (c *call) objectHeaders(o *Object, status int) {
	h, p := c.w.Header(), &c.cloud.profile
	for _, f := range o.contentHeaders() {
		if *f.value != "" {
			h.Set(f.name, *f.value)
		}
	}
	for name, value := range o.Meta {
		if p.RFC2047 {
			value = mime.BEncoding.Encode("UTF-8", value)
		}
		h.Set(metaPrefix+name, value)
	}
	h.Set("ETag", quote(o.ETag))
	h.Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	if o.StorageClass != standardClass {
		h.Set("X-Amz-Storage-Class", o.StorageClass)
	}
	switch state, until := o.restore.state(c.cloud.restoreTime()); state {
	case restorePending:
		h.Set("X-Amz-Restore", `ongoing-request="true"`)
	case restoreDone:
		h.Set("X-Amz-Restore", `ongoing-request="false", expiry-date="`+until.UTC().Format(http.TimeFormat)+`"`)
	case restoreNone:
	}
	c.encryptionHeader(o)
	if p.CRC64Header != "" {
		h.Set(p.CRC64Header, strconv.FormatUint(o.xz(), 10))
	}
	if p.Tokens {
		c.googleHeaders(o)
	}
	if p.Checksums && status == http.StatusOK && strings.EqualFold(c.r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		o.shownSum().set(h)
	}
}

// implicitSumLimit is the largest implicit object, in bytes, whose checksum is computed on demand.
const implicitSumLimit = 8 << 20

// shownSum is the checksum that the store tells about o. Implicit objects have one up to a size, as if
// larger ones dated from before the store knew checksums.
func (o *Object) shownSum() checksum {
	if _, ok := o.body.(generated); ok && o.sum.algo == "" && o.Size <= implicitSumLimit {
		return sumContent(defaultSum, o.body)
	}
	return o.sum
}

// xz is the CRC-64/XZ of o, computed on demand for implicit objects.
func (o *Object) xz() uint64 {
	if _, ok := o.body.(generated); ok {
		return crc64XZ(o.body)
	}
	return o.crc64xz
}

// quote puts an ETag into quotes.
func quote(etag string) string { return `"` + etag + `"` }

// etagMatches says whether etag is in a list of If-Match or If-None-Match.
func etagMatches(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.Trim(strings.TrimPrefix(one, "W/"), `"`) == etag {
			return true
		}
	}
	return false
}

// readConditions checks the conditional headers of a read.
func (c *call) readConditions(o *Object) error {
	if c.cloud.profile.NoConditions {
		return nil
	}
	return conditions(c.r.Header, "", o)
}

// conditions checks If-Match and its like; prefix is "X-Amz-Copy-Source-" for the source of a copy.
func conditions(h http.Header, prefix string, o *Object) error {
	modified := o.ModTime.Truncate(time.Second)
	if want := h.Get(prefix + "If-Match"); want != "" {
		if !etagMatches(want, o.ETag) {
			return errPrecondition
		}
	} else if at, err := http.ParseTime(h.Get(prefix + "If-Unmodified-Since")); err == nil && modified.After(at) {
		return errPrecondition
	}
	refused := errNotModified
	if prefix != "" {
		refused = errPrecondition
	}
	if without := h.Get(prefix + "If-None-Match"); without != "" {
		if etagMatches(without, o.ETag) {
			return refused
		}
	} else if at, err := http.ParseTime(h.Get(prefix + "If-Modified-Since")); err == nil && !modified.After(at) {
		return refused
	}
	return nil
}

// rangeKind says what a Range header asks for.
type rangeKind uint8

const (
	rangeNone rangeKind = iota // everything
	rangePart
	rangeUnsatisfiable
)

// parseRange reads a Range header. What is not one well-formed range asks for everything.
func parseRange(header string, size int64) (from, n int64, kind rangeKind) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") {
		return 0, size, rangeNone
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		switch {
		case err != nil || n < 0:
			return 0, size, rangeNone
		case n == 0 || size == 0:
			return 0, 0, rangeUnsatisfiable
		}
		n = min(n, size)
		return size - n, n, rangePart
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, size, rangeNone
	}
	end := size - 1
	if last != "" {
		if end, err = strconv.ParseInt(last, 10, 64); err != nil || end < from {
			return 0, size, rangeNone
		}
	}
	if from >= size {
		return 0, 0, rangeUnsatisfiable
	}
	return from, min(end, size-1) - from + 1, rangePart
}

// putObject answers PutObject.
func (c *call) putObject(b *Bucket) (answer, error) {
	p := &c.cloud.profile
	attrs, err := c.newAttrs()
	if err != nil {
		return answer{}, err
	}
	data, sent, err := c.readBody(p.MaxPutSize)
	b.countReceived(c.key, c.in)
	if err != nil {
		return answer{}, err
	}
	if err := c.checkFile(b, int64(len(data))); err != nil {
		return answer{}, err
	}
	o := c.stored(c.key, data, attrs, sent)
	o.body = b.shared(o)
	if err := c.commit(b, o); err != nil {
		return answer{}, err
	}
	h := c.w.Header()
	h.Set("ETag", quote(o.ETag))
	c.encryptionHeader(o)
	o.sum.set(h)
	if p.CRC64Header != "" {
		h.Set(p.CRC64Header, strconv.FormatUint(o.crc64xz, 10))
	}
	return answer{status: http.StatusOK}, nil
}

// stored makes the object of a write, damaged if a fault says so.
func (c *call) stored(key string, data []byte, attrs Attrs, sent checksum) *Object {
	f, corrupt := c.fault(kindCorrupt)
	told := memory(data)
	if corrupt {
		data = f.mutate(slices.Clone(data))
		if f.text != silent {
			told = data
		}
	}
	o := c.cloud.newObject(key, told, attrs)
	o.sum = c.sumOf(told, sent)
	o.body, o.Size = memory(data), int64(len(data))
	return o
}

// sumOf returns the checksum to keep for content: the one that was sent and verified, or the default one.
func (c *call) sumOf(body content, sent checksum) checksum {
	switch {
	case !c.cloud.profile.Checksums:
		return checksum{}
	case sent.algo != "":
		return sent
	default:
		return sumContent(defaultSum, body)
	}
}

// commit stores an object if the conditions of the write hold.
func (c *call) commit(b *Bucket, o *Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := c.writeConditions(b); err != nil {
		return err
	}
	b.store(o)
	return nil
}

// writeConditions checks If-Match and If-None-Match of a write; the caller locks b.
func (c *call) writeConditions(b *Bucket) error {
	want, without := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	if want == "" && without == "" || c.cloud.profile.NoConditions {
		return nil
	}
	old, exists := b.find(c.key)
	switch {
	case want != "" && !exists:
		return errNoSuchKey
	case want != "" && !etagMatches(want, old.ETag):
		return errPrecondition
	case without != "" && exists && etagMatches(without, old.ETag):
		return errPrecondition
	}
	return nil
}

// copySource finds the object that x-amz-copy-source names.
func (c *call) copySource() (*Object, error) {
	raw, _, _ := strings.Cut(c.r.Header.Get("X-Amz-Copy-Source"), "?versionId=")
	source, err := url.PathUnescape(raw)
	if err != nil {
		return nil, errInvalidArgument.because("Invalid copy source encoding")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(source, "/"), "/")
	if !ok || key == "" {
		return nil, errInvalidArgument.because("Invalid copy source object key")
	}
	cred, _ := c.cloud.creds.get(c.accKey)
	if cred.Deny != nil && cred.Deny(GetObject, bucket, key) {
		return nil, errAccessDenied
	}
	b := c.cloud.Bucket(bucket)
	if b == nil {
		return nil, errNoSuchBucket
	}
	o, ok := b.Get(key)
	if !ok {
		return nil, errNoSuchKey
	}
	if err := conditions(c.r.Header, "X-Amz-Copy-Source-", o); err != nil {
		return nil, err
	}
	if c.cloud.archived(o) {
		return nil, errInvalidObjectState
	}
	return o, nil
}

// copyObject answers CopyObject.
func (c *call) copyObject(b *Bucket) (answer, error) {
	attrs, err := c.newAttrs()
	if err != nil {
		return answer{}, err
	}
	src, err := c.copySource()
	if err != nil {
		return answer{}, err
	}
	if src.Size > c.cloud.profile.MaxPutSize {
		return answer{}, errInvalidRequest.because("The specified copy source is larger than the maximum allowable size for a copy source")
	}
	switch directive := c.r.Header.Get("X-Amz-Metadata-Directive"); directive {
	case "", "COPY":
		class := attrs.StorageClass
		if self, _ := b.Get(c.key); self == src && class == "" {
			return answer{}, errInvalidRequest.because("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
		}
		attrs = src.Attrs
		attrs.StorageClass = class // a copy is STANDARD unless it asks for something else
	case "REPLACE":
	default:
		return answer{}, errInvalidArgument.because("Unknown metadata directive.")
	}
	o := c.cloud.newObject(c.key, src.body, attrs)
	o.sum = c.sumOf(src.body, checksum{})
	if err := c.commit(b, o); err != nil {
		return answer{}, err
	}
	return c.copyResult("CopyObjectResult", o.ETag, o.ModTime, o.sum)
}

// copyResult answers both kinds of copy.
func (c *call) copyResult(root, etag string, at time.Time, sum checksum) (answer, error) {
	doc := append([]byte(xmlHead), "<"+root+xmlNS+"><LastModified>"...)
	doc = c.cloud.profile.appendTime(doc, at)
	doc = append(doc, "</LastModified>"...)
	doc = appendElem(doc, "ETag", quote(etag))
	if sum.algo != "" {
		doc = appendElem(doc, sum.element(), sum.value)
	}
	return c.document(append(doc, "</"+root+">"...))
}

// deleteRequest is the body of DeleteObjects.
type deleteRequest struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool     `xml:"Quiet"`
	Objects []struct {
		Key string `xml:"Key"`
	} `xml:"Object"`
}

// deleteObjects answers DeleteObjects.
func (c *call) deleteObjects(b *Bucket) (answer, error) {
	data, sent, err := c.readBody(4 << 20)
	if err != nil {
		return answer{}, err
	}
	if c.r.Header.Get("Content-Md5") == "" && sent.algo == "" {
		return answer{}, errInvalidRequest.because("Missing required header for this request: Content-MD5")
	}
	var req deleteRequest
	if err := xml.Unmarshal(data, &req); err != nil || len(req.Objects) == 0 || len(req.Objects) > 1000 {
		return answer{}, errMalformedXML
	}
	cred, _ := c.cloud.creds.get(c.accKey)
	doc := append([]byte(xmlHead), "<DeleteResult"+xmlNS+">"...)
	for _, o := range req.Objects {
		if cred.Deny != nil && cred.Deny(DeleteObject, c.bucket, o.Key) {
			doc = append(doc, "<Error>"...)
			doc = appendElem(doc, "Key", o.Key)
			doc = appendElem(doc, "Code", errAccessDenied.code)
			doc = appendElem(doc, "Message", errAccessDenied.msg)
			doc = append(doc, "</Error>"...)
			continue
		}
		b.Delete(o.Key)
		if !req.Quiet {
			doc = append(doc, "<Deleted>"...)
			doc = appendElem(doc, "Key", o.Key)
			doc = append(doc, "</Deleted>"...)
		}
	}
	return c.document(append(doc, "</DeleteResult>"...))
}
