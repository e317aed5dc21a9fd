package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Copy implements storage.Copier. With attrs nil the properties of the source are kept.
func (b *Bucket) Copy(ctx context.Context, srcBucket, srcKey, etag, key string, attrs *storage.Attrs) (storage.Written, error) {
	c := &call{op: "copy object", method: http.MethodPut, key: key, body: http.NoBody}
	if err := c.needKey(); err != nil {
		return storage.Written{}, err
	}
	c.from(srcBucket, srcKey, etag)
	if attrs != nil {
		c.add("X-Amz-Metadata-Directive", "REPLACE")
		if err := b.addAttrs(c, attrs); err != nil {
			return storage.Written{}, err
		}
	}
	return b.copied(ctx, c, "CopyObjectResult")
}

// CopyPart implements storage.Copier; oms.Unsupported on stores that cannot.
func (b *Bucket) CopyPart(ctx context.Context, srcBucket, srcKey, etag string, r storage.ByteRange, key, uploadID string, number int) (storage.Written, error) {
	c := &call{op: "copy part", method: http.MethodPut, on: onUpload, key: key, body: http.NoBody}
	if b.quirks.noPartCopy {
		return storage.Written{}, c.errorf(oms.Unsupported, "", "the store cannot copy parts")
	}
	if err := c.ofUpload(uploadID, number); err != nil {
		return storage.Written{}, err
	}
	c.from(srcBucket, srcKey, etag)
	c.add("X-Amz-Copy-Source-Range", rangeText(r))
	return b.copied(ctx, c, "CopyPartResult")
}

// from adds the headers that name the source.
func (c *call) from(bucket, key, etag string) {
	c.add("X-Amz-Copy-Source", string(appendPath(nil, "/"+bucket+"/"+key)))
	if etag != "" {
		c.add("X-Amz-Copy-Source-If-Match", quoteETag(etag))
	}
}

// copied sends c; it has succeeded only if the document holds an ETag (rule D7).
func (b *Bucket) copied(ctx context.Context, c *call, want string) (storage.Written, error) {
	var w storage.Written
	err := b.tree(ctx, c, "", func(hdr http1.Fields, root *node) error {
		// A few servers name the result of a part copy like that of an object copy.
		if root.name != want && !strings.HasPrefix(root.name, "Copy") {
			return errors.New("the answer is no " + want)
		}
		etag := trimQuotes(root.textOf("ETag"))
		if etag == "" {
			return errors.New("the answer holds no ETag")
		}
		w = b.writtenOf(hdr, treeSums(root))
		b.vendorSums(&w.Sums, hdr)
		w.ETag = etag
		return nil
	})
	if err != nil {
		return storage.Written{}, err
	}
	return w, nil
}
