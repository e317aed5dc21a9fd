package testcloud

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Upload is an open multipart upload as tests see it.
type Upload struct {
	Key       string
	ID        string
	Initiated time.Time
	Parts     []int // numbers of the parts that have arrived, ascending
	Size      int64 // bytes of all parts
}

// upload is an open multipart upload; the bucket's lock guards parts.
type upload struct {
	key       string
	id        string
	initiated time.Time
	attrs     Attrs
	sumAlgo   string // "" when the client named none
	sumKind   string
	parts     map[int]*part
}

// part is one uploaded part; it never changes.
type part struct {
	number  int
	etag    string
	md5     [md5.Size]byte
	modTime time.Time
	sum     checksum
	body    content
}

// Uploads returns the open multipart uploads by key, then age.
func (b *Bucket) Uploads() []Upload {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := make([]Upload, 0, len(b.uploads))
	for _, u := range b.sortedUploads() {
		up := Upload{Key: u.key, ID: u.id, Initiated: u.initiated, Parts: slices.Sorted(maps.Keys(u.parts))}
		for _, p := range u.parts {
			up.Size += p.body.size()
		}
		list = append(list, up)
	}
	return list
}

// sortedUploads orders the uploads by key, then age; the caller locks.
func (b *Bucket) sortedUploads() []*upload {
	return slices.SortedFunc(maps.Values(b.uploads), func(u, v *upload) int {
		return cmp.Or(strings.Compare(u.key, v.key), strings.Compare(u.id, v.id))
	})
}

// createUpload answers CreateMultipartUpload.
func (c *call) createUpload(b *Bucket) (answer, error) {
	if _, _, err := c.readBody(1 << 20); err != nil {
		return answer{}, err
	}
	attrs, err := c.newAttrs()
	if err != nil {
		return answer{}, err
	}
	if err := c.checkFile(b, 0); err != nil {
		return answer{}, err
	}
	u := &upload{key: c.key, initiated: c.cloud.now(), attrs: attrs, parts: map[int]*part{}}
	if err := c.uploadSums(u); err != nil {
		return answer{}, err
	}
	b.mu.Lock()
	u.id = b.newUploadID()
	b.uploads[u.id] = u
	b.mu.Unlock()
	if u.sumAlgo != "" {
		h := c.w.Header()
		h.Set("X-Amz-Checksum-Algorithm", strings.ToUpper(u.sumAlgo))
		h.Set("X-Amz-Checksum-Type", u.sumKind)
	}
	doc := append([]byte(xmlHead), "<InitiateMultipartUploadResult"+xmlNS+">"...)
	doc = appendElem(doc, "Bucket", c.bucket)
	doc = appendElem(doc, "Key", c.key)
	doc = appendElem(doc, "UploadId", u.id)
	return c.document(append(doc, "</InitiateMultipartUploadResult>"...))
}

// uploadSums reads which checksum an upload will have.
func (c *call) uploadSums(u *upload) error {
	algo := strings.ToLower(c.r.Header.Get("X-Amz-Checksum-Algorithm"))
	if algo == "" || !c.cloud.profile.Checksums {
		return nil
	}
	if newSum(algo) == nil {
		return errInvalidRequest.because("Checksum algorithm provided is unsupported.")
	}
	kind := c.r.Header.Get("X-Amz-Checksum-Type")
	if kind == "" {
		kind = composite
		if algo == defaultSum {
			kind = fullObject
		}
	}
	if kind == fullObject && strings.HasPrefix(algo, "sha") || kind == composite && algo == defaultSum || kind != fullObject && kind != composite {
		return errInvalidRequest.because("The " + kind + " checksum type cannot be used with the " + algo + " checksum algorithm.")
	}
	u.sumAlgo, u.sumKind = algo, kind
	return nil
}

// upload finds the upload that the query names; the caller locks.
func (b *Bucket) upload(id, key string) (*upload, error) {
	u, ok := b.uploads[id]
	if !ok || u.key != key {
		return nil, errNoSuchUpload
	}
	return u, nil
}

// openUpload finds the upload of the request.
func (c *call) openUpload(b *Bucket) (*upload, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.upload(c.query.Get("uploadId"), c.key)
}

// partNumber reads and checks the part number of the request.
func (c *call) partNumber() (int, error) {
	n, err := strconv.Atoi(c.query.Get("partNumber"))
	if most := c.cloud.profile.MaxParts; err != nil || n < 1 || n > most {
		return 0, errInvalidArgument.because("Part number must be an integer between 1 and " + strconv.Itoa(most) + ", inclusive")
	}
	return n, nil
}

// newPart makes a part with the ETag and checksum of its content.
func (c *call) newPart(u *upload, number int, body content, sent checksum) *part {
	p := &part{number: number, modTime: c.cloud.now(), md5: md5Of(body), body: body, sum: sent}
	switch kind := u.attrs.etagKind(c.cloud.profile.ETag); kind {
	case ETagOpaque, ETagKMS:
		p.etag = kind.etag(body, c.cloud.ids.Add(1))
	case ETagMD5Upper:
		p.etag = strings.ToUpper(hex.EncodeToString(p.md5[:]))
	case ETagMD5, ETagWholeMD5:
		p.etag = hex.EncodeToString(p.md5[:])
	}
	if c.cloud.profile.Checksums && sent.algo == "" {
		p.sum = sumContent(cmp.Or(u.sumAlgo, defaultSum), body)
	}
	return p
}

// keepPart adds a part to its upload, unless that has ended meanwhile.
func (c *call) keepPart(b *Bucket, p *part) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(c.query.Get("uploadId"), c.key)
	if err != nil {
		return err
	}
	u.parts[p.number] = p
	return nil
}

// uploadPart answers UploadPart.
func (c *call) uploadPart(b *Bucket) (answer, error) {
	number, err := c.partNumber()
	if err != nil {
		return answer{}, err
	}
	u, err := c.openUpload(b)
	if err != nil {
		return answer{}, err
	}
	data, sent, err := c.readBody(c.cloud.profile.MaxPutSize)
	b.countReceived(c.key, c.in)
	if err != nil {
		return answer{}, err
	}
	if want := cmp.Or(u.sumAlgo, defaultSum); sent.algo != "" && sent.algo != want {
		return answer{}, errInvalidRequest.because("Checksum Type mismatch occurred, expected checksum Type: " + cmp.Or(u.sumAlgo, "null") + ", actual checksum Type: " + sent.algo)
	}
	told := data
	if f, ok := c.fault(kindCorrupt); ok {
		data = f.mutate(slices.Clone(data))
		if f.text != silent {
			told = data
		}
	}
	p := c.newPart(u, number, memory(told), sent)
	p.body = memory(data)
	if err := c.keepPart(b, p); err != nil {
		return answer{}, err
	}
	h := c.w.Header()
	h.Set("ETag", quote(p.etag))
	if p.sum.algo != "" {
		h.Set(p.sum.header(), p.sum.value)
	}
	if name := c.cloud.profile.CRC64Header; name != "" {
		h.Set(name, strconv.FormatUint(crc64XZ(memory(told)), 10))
	}
	return answer{status: http.StatusOK}, nil
}

// uploadPartCopy answers UploadPartCopy.
func (c *call) uploadPartCopy(b *Bucket) (answer, error) {
	number, err := c.partNumber()
	if err != nil {
		return answer{}, err
	}
	u, err := c.openUpload(b)
	if err != nil {
		return answer{}, err
	}
	src, err := c.copySource()
	if err != nil {
		return answer{}, err
	}
	from, n := int64(0), src.Size
	if header := c.r.Header.Get("X-Amz-Copy-Source-Range"); header != "" {
		var kind rangeKind
		if from, n, kind = parseRange(header, src.Size); kind != rangePart || !strings.HasSuffix(header, "-"+strconv.FormatInt(from+n-1, 10)) {
			return answer{}, errInvalidArgument.because("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
	}
	if n > c.cloud.profile.MaxPutSize {
		return answer{}, errInvalidRequest.because("The specified copy source is larger than the maximum allowable size for a copy source")
	}
	p := c.newPart(u, number, slice(src.body, from, n), checksum{})
	if err := c.keepPart(b, p); err != nil {
		return answer{}, err
	}
	sum := p.sum
	if u.sumAlgo == "" {
		sum = checksum{}
	}
	return c.copyResult("CopyPartResult", p.etag, p.modTime, sum)
}

// completeRequest is the body of CompleteMultipartUpload.
type completeRequest struct {
	XMLName xml.Name       `xml:"CompleteMultipartUpload"`
	Parts   []completePart `xml:"Part"`
}

type completePart struct {
	PartNumber int    `xml:"PartNumber"`
	ETag       string `xml:"ETag"`
	CRC32      string `xml:"ChecksumCRC32"`
	CRC32C     string `xml:"ChecksumCRC32C"`
	CRC64NVME  string `xml:"ChecksumCRC64NVME"`
	SHA1       string `xml:"ChecksumSHA1"`
	SHA256     string `xml:"ChecksumSHA256"`
}

// sum returns the checksum that the client repeats for a part; "" when there is none.
func (p completePart) sum(algo string) string {
	switch algo {
	case "crc32":
		return p.CRC32
	case "crc32c":
		return p.CRC32C
	case "sha1":
		return p.SHA1
	case "sha256":
		return p.SHA256
	default:
		return p.CRC64NVME
	}
}

// completeUpload answers CompleteMultipartUpload.
func (c *call) completeUpload(b *Bucket) (answer, error) {
	data, err := c.completeBody()
	if err != nil {
		return answer{}, err
	}
	var req completeRequest
	if err := xml.Unmarshal(data, &req); err != nil || len(req.Parts) == 0 {
		return answer{}, errMalformedXML
	}
	u, parts, err := c.pickParts(b, req.Parts)
	if err != nil {
		return answer{}, err
	}
	o, err := c.assemble(u, parts)
	if err != nil {
		return answer{}, err
	}
	c.corruptWhole(o)
	o.body = b.shared(o)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.upload(u.id, u.key); err != nil { // somebody else was faster
		return answer{}, err
	}
	if err := c.writeConditions(b); err != nil {
		return answer{}, err
	}
	b.store(o)
	delete(b.uploads, u.id)
	doc := append([]byte(xmlHead), "<CompleteMultipartUploadResult"+xmlNS+">"...)
	if f, ok := c.fault(kindBlanks); ok {
		doc = append([]byte(xmlHead), strings.Repeat(" ", int(f.n))+"<CompleteMultipartUploadResult"+xmlNS+">"...)
	}
	doc = appendElem(doc, "Location", c.resource())
	doc = appendElem(doc, "Bucket", c.bucket)
	doc = appendElem(doc, "Key", c.key)
	doc = appendElem(doc, "ETag", quote(o.ETag))
	if o.sum.algo != "" {
		doc = appendElem(doc, o.sum.element(), o.sum.value)
		doc = appendElem(doc, "ChecksumType", o.sum.kind)
	}
	if name := c.cloud.profile.CRC64Header; name != "" {
		c.w.Header().Set(name, strconv.FormatUint(o.crc64xz, 10))
	}
	c.encryptionHeader(o)
	return c.document(append(doc, "</CompleteMultipartUploadResult>"...))
}

// completeBody reads the body of a completion. Its checksum headers are about the object, not the body.
func (c *call) completeBody() ([]byte, error) {
	if c.r.ContentLength < 0 {
		return nil, errMissingLength
	}
	if c.r.ContentLength > 4<<20 {
		return nil, errEntityTooLarge
	}
	data, err := c.drain(c.r.ContentLength)
	if err != nil {
		return nil, err
	}
	return data, c.verifyDigests(data)
}

// pickParts finds the parts that a completion names.
func (c *call) pickParts(b *Bucket, wanted []completePart) (*upload, []*part, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	u, err := b.upload(c.query.Get("uploadId"), c.key)
	if err != nil {
		return nil, nil, err
	}
	for i := range len(wanted) - 1 {
		if wanted[i].PartNumber >= wanted[i+1].PartNumber {
			return nil, nil, errInvalidPartOrder
		}
	}
	parts := make([]*part, len(wanted))
	for i, w := range wanted {
		p, ok := u.parts[w.PartNumber]
		if !ok || strings.Trim(w.ETag, `"`) != p.etag {
			return nil, nil, errInvalidPart
		}
		sum := w.sum(cmp.Or(u.sumAlgo, defaultSum))
		if sum != "" && p.sum.algo != "" && sum != p.sum.value {
			return nil, nil, errInvalidPart
		}
		if sum == "" && u.sumKind == composite {
			return nil, nil, errInvalidRequest.because("The upload was created using a " + u.sumAlgo + " checksum. The complete request must include the checksum for each part. It was missing for part " + strconv.Itoa(p.number) + " in the request.")
		}
		if i < len(wanted)-1 && p.body.size() < c.cloud.profile.MinPartSize {
			return nil, nil, errEntityTooSmall
		}
		parts[i] = p
	}
	return u, parts, nil
}

// assemble makes the object of a completed upload.
func (c *call) assemble(u *upload, parts []*part) (*Object, error) {
	profile := &c.cloud.profile
	sent, err := sentSum(c.r.Header)
	if err != nil && profile.Checksums {
		return nil, err
	}
	pieces := make([]content, len(parts))
	sums := md5.New()
	for i, p := range parts {
		pieces[i] = p.body
		_, _ = sums.Write(p.md5[:])
	}
	o := &Object{
		Key:     u.key,
		ModTime: c.cloud.now(),
		Parts:   len(parts),
		Attrs:   u.attrs.withDefaults(),
		body:    join(pieces),
		first:   pieces[0].size(),
	}
	o.Size = o.body.size()
	if profile.CRC64Header != "" {
		o.crc64xz = crc64XZ(o.body)
	}
	o.ETag = hex.EncodeToString(sums.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	switch o.etagKind(profile.ETag) {
	case ETagMD5Upper:
		o.ETag = strings.ToUpper(o.ETag)
	case ETagOpaque, ETagWholeMD5:
		o.ETag = o.etagKind(profile.ETag).etag(o.body, c.cloud.ids.Add(1))
	case ETagMD5, ETagKMS:
	}
	if !profile.Checksums {
		return o, nil
	}
	if u.sumKind == composite {
		o.sum = sumParts(u.sumAlgo, parts)
	} else {
		o.sum = sumContent(cmp.Or(u.sumAlgo, defaultSum), o.body)
		if sent.algo == o.sum.algo && sent.value != o.sum.value {
			return nil, errBadDigest.because("The " + o.sum.algo + " you specified did not match the calculated checksum.")
		}
	}
	return o, nil
}

// corruptWhole damages an assembled object if a fault says so. Its ETag is one of parts and does not change.
func (c *call) corruptWhole(o *Object) {
	f, ok := c.fault(kindCorrupt)
	if !ok {
		return
	}
	data := memory(f.mutate(o.Bytes()))
	o.body, o.Size = data, data.size()
	if f.text == silent {
		return
	}
	if o.sum.kind == fullObject {
		o.sum = sumContent(o.sum.algo, data)
	}
	if c.cloud.profile.CRC64Header != "" {
		o.crc64xz = crc64XZ(data)
	}
}

// abortUpload answers AbortMultipartUpload.
func (c *call) abortUpload(b *Bucket) (answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(c.query.Get("uploadId"), c.key)
	if err != nil {
		return answer{}, err
	}
	delete(b.uploads, u.id)
	return answer{status: http.StatusNoContent}, nil
}

// listParts answers ListParts.
func (c *call) listParts(b *Bucket) (answer, error) {
	most, err := c.limit("max-parts", 1000)
	if err != nil {
		return answer{}, err
	}
	marker, err := c.limit("part-number-marker", 1<<31-1)
	if err != nil {
		return answer{}, err
	}
	if c.query.Get("part-number-marker") == "" {
		marker = 0
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	u, err := b.upload(c.query.Get("uploadId"), c.key)
	if err != nil {
		return answer{}, err
	}
	numbers := slices.Sorted(maps.Keys(u.parts))
	at, _ := slices.BinarySearch(numbers, marker+1)
	numbers = numbers[at:]
	truncated := len(numbers) > most
	if truncated {
		numbers = numbers[:most]
	}
	doc := append([]byte(xmlHead), "<ListPartsResult"+xmlNS+">"...)
	doc = appendElem(doc, "Bucket", c.bucket)
	doc = appendElem(doc, "Key", c.key)
	doc = appendElem(doc, "UploadId", u.id)
	doc = appendElem(doc, "PartNumberMarker", strconv.Itoa(marker))
	if len(numbers) > 0 {
		doc = appendElem(doc, "NextPartNumberMarker", strconv.Itoa(numbers[len(numbers)-1]))
	}
	doc = appendElem(doc, "MaxParts", strconv.Itoa(most))
	doc = appendElem(doc, "IsTruncated", strconv.FormatBool(truncated))
	if u.sumAlgo != "" {
		doc = appendElem(doc, "ChecksumAlgorithm", strings.ToUpper(u.sumAlgo))
		doc = appendElem(doc, "ChecksumType", u.sumKind)
	}
	for _, n := range numbers {
		doc = c.appendPart(doc, u, u.parts[n])
	}
	return c.document(append(doc, "</ListPartsResult>"...))
}

func (c *call) appendPart(doc []byte, u *upload, p *part) []byte {
	doc = append(doc, "<Part>"...)
	doc = appendElem(doc, "PartNumber", strconv.Itoa(p.number))
	doc = append(doc, "<LastModified>"...)
	doc = c.cloud.profile.appendTime(doc, p.modTime)
	doc = append(doc, "</LastModified>"...)
	doc = appendElem(doc, "ETag", quote(p.etag))
	doc = appendElem(doc, "Size", strconv.FormatInt(p.body.size(), 10))
	if u.sumAlgo != "" {
		doc = appendElem(doc, p.sum.element(), p.sum.value)
	}
	return append(doc, "</Part>"...)
}

// listUploads answers ListMultipartUploads.
func (c *call) listUploads(b *Bucket) (answer, error) {
	most, err := c.limit("max-uploads", 1000)
	if err != nil {
		return answer{}, err
	}
	enc, err := c.encoding()
	if err != nil {
		return answer{}, err
	}
	prefix, keyMarker, idMarker := c.query.Get("prefix"), c.query.Get("key-marker"), c.query.Get("upload-id-marker")
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := slices.DeleteFunc(b.sortedUploads(), func(u *upload) bool {
		behind := u.key > keyMarker || keyMarker != "" && u.key == keyMarker && idMarker != "" && u.id > idMarker
		return !behind || !strings.HasPrefix(u.key, prefix)
	})
	truncated := len(list) > most
	if truncated {
		list = list[:most]
	}
	doc := append([]byte(xmlHead), "<ListMultipartUploadsResult"+xmlNS+">"...)
	doc = appendElem(doc, "Bucket", c.bucket)
	doc = enc.append(doc, "KeyMarker", []byte(keyMarker))
	doc = appendElem(doc, "UploadIdMarker", idMarker)
	doc = enc.append(doc, "Prefix", []byte(prefix))
	if truncated && most > 0 {
		doc = enc.append(doc, "NextKeyMarker", []byte(list[most-1].key))
		doc = appendElem(doc, "NextUploadIdMarker", list[most-1].id)
	}
	doc = appendElem(doc, "MaxUploads", strconv.Itoa(most))
	if enc.url {
		doc = appendElem(doc, "EncodingType", "url")
	}
	doc = appendElem(doc, "IsTruncated", strconv.FormatBool(truncated))
	for _, u := range list {
		doc = append(doc, "<Upload>"...)
		doc = enc.append(doc, "Key", []byte(u.key))
		doc = appendElem(doc, "UploadId", u.id)
		doc = append(doc, "<Initiated>"...)
		doc = c.cloud.profile.appendTime(doc, u.initiated)
		doc = append(doc, "</Initiated></Upload>"...)
	}
	return c.document(append(doc, "</ListMultipartUploadsResult>"...))
}
