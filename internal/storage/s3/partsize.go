package s3

import (
	"context"
	"net/http"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
)

// PartSize implements storage.PartSizer: HEAD of the first part tells its size and how many there are.
func (b *Bucket) PartSize(ctx context.Context, key, etag string) (size int64, parts int, err error) {
	c := &call{op: "head part", method: http.MethodHead, key: key, frequent: true}
	if err := c.needKey(); err != nil {
		return 0, 0, err
	}
	c.query = c.query.add("partNumber", "1")
	if etag != "" {
		c.add("If-Match", quoteETag(etag))
	}
	a, err := b.do(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	defer a.body.Close() // HEAD has none
	parts, err = strconv.Atoi(a.header.Get("X-Amz-Mp-Parts-Count"))
	if err != nil || parts < 1 || a.status != http.StatusPartialContent {
		return 0, 0, c.errorf(oms.Unsupported, "", "the store does not tell the sizes of parts")
	}
	return a.length, parts, nil
}
