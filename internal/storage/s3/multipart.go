package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

var (
	errMarker = errors.New("the answer says that more follows but not where")
	errParts  = errors.New("the parts are not in ascending order")
)

// CreateUpload implements storage.Multiparter.
func (b *Bucket) CreateUpload(ctx context.Context, key string, attrs storage.Attrs) (string, error) {
	c := &call{
		op: "create upload", method: http.MethodPost, key: key,
		query: query(nil).add("uploads", ""), body: http.NoBody,
	}
	if err := c.needKey(); err != nil {
		return "", err
	}
	if err := b.addAttrs(c, &attrs); err != nil {
		return "", err
	}
	if algorithm := b.partAlgorithm(attrs.PartSums); algorithm != "" {
		c.add("X-Amz-Checksum-Algorithm", algorithm)
		c.add("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	var id string
	err := b.tree(ctx, c, "InitiateMultipartUploadResult", func(_ http1.Fields, root *node) error {
		if id = root.textOf("UploadId"); id == "" {
			return errors.New("the answer holds no upload id")
		}
		return nil
	})
	return id, err
}

// partAlgorithm is S3's name of the checksum that addSums would send.
func (b *Bucket) partAlgorithm(kinds storage.SumKinds) string {
	switch {
	case !b.quirks.checksums:
	case kinds&storage.SumCRC32C != 0:
		return "CRC32C"
	case kinds&storage.SumCRC64NVME != 0:
		return "CRC64NVME"
	}
	return ""
}

// PutPart implements storage.Multiparter. Checksums other than MD5 are taken only by uploads that were created with
// Attrs.PartSums. What Put says of the body holds here as well.
func (b *Bucket) PutPart(ctx context.Context, req storage.PartRequest) (storage.Written, error) {
	c := &call{op: "put part", method: http.MethodPut, on: onUpload, key: req.Key, body: req.Body, size: req.Size, frequent: true}
	if err := c.ofUpload(req.UploadID, req.Number); err != nil {
		return storage.Written{}, err
	}
	if err := c.checkSize(b.quirks.limits.MaxPart); err != nil {
		return storage.Written{}, err
	}
	b.addSums(c, req.Sums)
	return b.write(ctx, c)
}

// ofUpload addresses a part, or with number 0 the upload itself.
func (c *call) ofUpload(uploadID string, number int) error {
	if err := c.needKey(); err != nil {
		return err
	}
	if uploadID == "" || number < 0 {
		return c.errorf(oms.Invalid, "", "no upload or part is named")
	}
	if number > 0 {
		c.query = c.query.add("partNumber", strconv.Itoa(number))
	}
	c.query = c.query.add("uploadId", uploadID)
	return nil
}

// CompleteUpload implements storage.Multiparter.
func (b *Bucket) CompleteUpload(ctx context.Context, key, uploadID string, parts []storage.Part) (storage.Written, error) {
	body := completeBody(parts)
	c := &call{
		op: "complete upload", method: http.MethodPost, on: onUpload, key: key,
		body: bytes.NewReader(body), size: int64(len(body)), headers: []header{{"Content-Type", "application/xml"}},
	}
	if err := c.ofUpload(uploadID, 0); err != nil {
		return storage.Written{}, err
	}
	if len(parts) == 0 {
		return storage.Written{}, c.errorf(oms.Invalid, "", "an upload needs at least one part")
	}
	var w storage.Written
	err := b.tree(ctx, c, "CompleteMultipartUploadResult", func(hdr http1.Fields, root *node) error {
		w = b.writtenOf(hdr, treeSums(root))
		b.vendorSums(&w.Sums, hdr)
		w.ETag = cmp.Or(trimQuotes(root.textOf("ETag")), w.ETag) // Ceph leaves it out
		return nil
	})
	if err != nil {
		return storage.Written{}, err
	}
	return w, nil
}

// treeSums reads the checksums in a document; composite ones are none of the object's bytes.
func treeSums(n *node) (s storage.Sums) {
	if n.textOf("ChecksumType") == "FULL_OBJECT" {
		setCRC32C(&s, n.textOf("ChecksumCRC32C"))
		setCRC64NVME(&s, n.textOf("ChecksumCRC64NVME"))
	}
	return s
}

func completeBody(parts []storage.Part) []byte {
	b := make([]byte, 0, 64+len(parts)*128)
	b = append(b, `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`...)
	for _, p := range parts {
		b = append(b, "<Part><PartNumber>"...)
		b = strconv.AppendInt(b, int64(p.Number), 10)
		b = append(b, "</PartNumber><ETag>&quot;"...)
		b = appendXML(b, p.ETag)
		b = append(b, "&quot;</ETag>"...)
		switch {
		case p.Sums.Has&storage.SumCRC32C != 0:
			b = append(b, "<ChecksumCRC32C>"+crc32cText(p.Sums.CRC32C)+"</ChecksumCRC32C>"...)
		case p.Sums.Has&storage.SumCRC64NVME != 0:
			b = append(b, "<ChecksumCRC64NVME>"+crc64Text(p.Sums.CRC64NVME)+"</ChecksumCRC64NVME>"...)
		}
		b = append(b, "</Part>"...)
	}
	return append(b, "</CompleteMultipartUpload>"...)
}

// appendXML appends s as text of an element.
func appendXML(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '"':
			b = append(b, "&quot;"...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// AbortUpload implements storage.Multiparter.
func (b *Bucket) AbortUpload(ctx context.Context, key, uploadID string) error {
	c := &call{op: "abort upload", method: http.MethodDelete, on: onUpload, key: key}
	if err := c.ofUpload(uploadID, 0); err != nil {
		return err
	}
	err := b.doEmpty(ctx, c, nil)
	if oms.KindOf(err) == oms.NotFound {
		return nil
	}
	return err
}

// ListParts implements storage.Multiparter.
func (b *Bucket) ListParts(ctx context.Context, key, uploadID string) ([]storage.Part, error) {
	var parts []storage.Part
	marker := 0
	for {
		c := &call{op: "list parts", method: http.MethodGet, on: onUpload, key: key}
		c.query = c.query.add("max-parts", strconv.Itoa(maxKeys))
		if marker > 0 {
			c.query = c.query.add("part-number-marker", strconv.Itoa(marker))
		}
		if err := c.ofUpload(uploadID, 0); err != nil {
			return nil, err
		}
		more := false
		err := b.tree(ctx, c, "ListPartsResult", func(_ http1.Fields, root *node) (err error) {
			parts, err = b.appendParts(parts, root)
			more = root.textOf("IsTruncated") == "true"
			return err
		})
		if err != nil {
			return nil, err
		}
		if !more {
			return parts, nil
		}
		if len(parts) == 0 || parts[len(parts)-1].Number <= marker {
			return nil, &oms.Error{Op: c.op, Key: key, Kind: oms.Listing, Code: codeListingLoop, Err: errMarker}
		}
		marker = parts[len(parts)-1].Number
	}
}

// appendParts appends the parts of one page; numbers must ascend across pages.
func (b *Bucket) appendParts(parts []storage.Part, root *node) ([]storage.Part, error) {
	for _, n := range root.children {
		if n.name != "Part" {
			continue
		}
		number, err := strconv.Atoi(n.textOf("PartNumber"))
		if err != nil {
			return nil, err
		}
		size, ok := parseSize([]byte(n.textOf("Size")))
		if !ok {
			return nil, errPageField
		}
		if len(parts) > 0 && number <= parts[len(parts)-1].Number || number < 1 {
			return nil, errParts
		}
		p := storage.Part{Number: number, ETag: trimQuotes(n.textOf("ETag")), Size: size}
		setCRC32C(&p.Sums, n.textOf("ChecksumCRC32C"))
		setCRC64NVME(&p.Sums, n.textOf("ChecksumCRC64NVME"))
		parts = append(parts, p)
	}
	return parts, nil
}

// ListUploads implements storage.Multiparter.
func (b *Bucket) ListUploads(ctx context.Context, prefix string, limit int) ([]storage.OpenUpload, error) {
	limit = cmp.Or(max(limit, 0), maxKeys)
	var out []storage.OpenUpload
	var key, id string
	for {
		c := &call{op: "list uploads", method: http.MethodGet, on: onBucket, query: b.uploadsQuery(prefix, key, id, limit-len(out))}
		var page uploadsPage
		err := b.tree(ctx, c, "ListMultipartUploadsResult", func(_ http1.Fields, root *node) (err error) {
			page, err = readUploads(root)
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, page.uploads...)
		if !page.more || len(out) >= limit {
			return out[:min(len(out), limit)], nil
		}
		if len(page.uploads) == 0 || page.nextKey == "" || page.nextKey == key && page.nextID == id {
			return nil, &oms.Error{Op: c.op, Kind: oms.Listing, Code: codeListingLoop, Err: errMarker}
		}
		key, id = page.nextKey, page.nextID
	}
}

func (b *Bucket) uploadsQuery(prefix, key, id string, limit int) query {
	var q query
	if !b.quirks.rawKeys {
		q = q.add("encoding-type", "url")
	}
	if key != "" {
		q = q.add("key-marker", key)
	}
	q = q.add("max-uploads", strconv.Itoa(min(limit, maxKeys)))
	if prefix != "" {
		q = q.add("prefix", prefix)
	}
	if id != "" {
		q = q.add("upload-id-marker", id)
	}
	return q.add("uploads", "")
}

// uploadsPage is one page of open uploads.
type uploadsPage struct {
	uploads         []storage.OpenUpload
	more            bool
	nextKey, nextID string
}

func readUploads(root *node) (p uploadsPage, err error) {
	decode := func(s string) string { return s }
	if root.textOf("EncodingType") == "url" {
		decode = func(s string) string {
			d, ok := decodeURL([]byte(s))
			if !ok {
				err = errPageEscape
			}
			return string(d)
		}
	}
	for _, n := range root.children {
		if n.name != "Upload" {
			continue
		}
		at, ok := parseTime([]byte(n.textOf("Initiated")))
		if !ok {
			return uploadsPage{}, errPageField
		}
		p.uploads = append(p.uploads, storage.OpenUpload{
			Key: decode(n.textOf("Key")), UploadID: n.textOf("UploadId"), Initiated: at,
		})
	}
	p.more = root.textOf("IsTruncated") == "true"
	p.nextKey, p.nextID = decode(root.textOf("NextKeyMarker")), root.textOf("NextUploadIdMarker")
	return p, err
}

// PartLimits implements storage.Multiparter.
func (b *Bucket) PartLimits() storage.PartLimits { return b.quirks.limits }
