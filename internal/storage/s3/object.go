package s3

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Stat implements storage.Reader. HEAD answers have no body, so a missing bucket looks like a missing object.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Object, error) {
	c := &call{op: "head object", method: http.MethodHead, key: key, frequent: true}
	if err := c.needKey(); err != nil {
		return storage.Object{}, err
	}
	b.askSums(c)
	a, err := b.do(ctx, c)
	if err != nil {
		return storage.Object{}, err
	}
	defer a.body.Close() // HEAD has none
	if a.length < 0 {
		return storage.Object{}, c.errorf(oms.Transient, codeBadAnswer, "the answer does not tell the size")
	}
	o := b.objectOf(key, a.length, a.header)
	o.Sums = b.wholeSums(a.header)
	return o, nil
}

// needKey refuses the empty key, which would address the bucket.
func (c *call) needKey() error {
	if c.key == "" {
		return c.errorf(oms.Invalid, "", "no key is named")
	}
	return nil
}

// askSums asks for the stored checksums.
func (b *Bucket) askSums(c *call) {
	if b.quirks.checksums {
		c.add("X-Amz-Checksum-Mode", "ENABLED")
	}
}

// Open implements storage.Reader. oms.Unsupported when the store ignores the range; oms.Corrupt when it answers
// with another one.
func (b *Bucket) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	c := &call{op: "get object", method: http.MethodGet, key: key, frequent: true}
	if err := c.needKey(); err != nil {
		return storage.Content{}, err
	}
	if r := opts.Range; r != nil {
		if r.Offset < 0 || r.Size <= 0 || r.Offset+r.Size < 0 {
			return storage.Content{}, c.errorf(oms.Invalid, "", "the range is empty or negative")
		}
		c.add("Range", rangeText(*r))
	} else {
		b.askSums(c)
	}
	if opts.IfMatch != "" {
		c.add("If-Match", quoteETag(opts.IfMatch))
	}
	a, err := b.do(ctx, c)
	if err != nil {
		return storage.Content{}, err
	}
	content, err := b.content(c, a, opts)
	if err != nil {
		_ = a.body.Close() // the body is not worth reading
		return storage.Content{}, err
	}
	content.Body = &recvBody{c: c, body: a.body, ctxErr: ctx.Err, want: content.Length, exact: a.length >= 0}
	return content, nil
}

// rangeText is the value of a Range header.
func rangeText(r storage.ByteRange) string {
	return "bytes=" + strconv.FormatInt(r.Offset, 10) + "-" + strconv.FormatInt(r.Offset+r.Size-1, 10)
}

// content checks the head of the answer to GET against what was asked for (rules D2, D4, D8).
func (b *Bucket) content(c *call, a *answer, opts storage.OpenOptions) (storage.Content, error) {
	var total, length int64
	var err error
	if opts.Range != nil {
		length = opts.Range.Size
		total, err = rangeAnswer(c, a, *opts.Range)
	} else {
		length, err = wholeAnswer(c, a, opts.Size)
		total = length
	}
	if err != nil {
		return storage.Content{}, err
	}
	if opts.Size >= 0 && total >= 0 && total != opts.Size {
		return storage.Content{}, c.errorf(oms.Changed, codeSize, "the object holds "+strconv.FormatInt(total, 10)+
			" bytes, not "+strconv.FormatInt(opts.Size, 10))
	}
	o := b.objectOf(c.key, total, a.header)
	if opts.IfMatch != "" && o.ETag != "" && !strings.EqualFold(o.ETag, opts.IfMatch) {
		return storage.Content{}, c.errorf(oms.Changed, "", "the object has another entity tag than asked for")
	}
	if opts.Range == nil {
		o.Sums = b.wholeSums(a.header)
	}
	return storage.Content{Object: o, Length: length}, nil
}

// wholeAnswer returns the length of a whole object; negative when neither the answer nor size tell.
func wholeAnswer(c *call, a *answer, size int64) (int64, error) {
	if a.status != http.StatusOK {
		return 0, c.errorf(oms.Corrupt, codeBadAnswer, "status "+strconv.Itoa(a.status)+" in answer to a read of the whole object")
	}
	if a.length >= 0 {
		return a.length, nil
	}
	return max(size, -1), nil
}

// rangeAnswer checks that the answer is exactly the range and returns the size of the whole object, -1 when it
// does not tell.
func rangeAnswer(c *call, a *answer, want storage.ByteRange) (int64, error) {
	if a.status == http.StatusOK {
		return 0, c.errorf(oms.Unsupported, codeNoRanges, "the store ignores ranges")
	}
	if a.status != http.StatusPartialContent {
		return 0, c.errorf(oms.Corrupt, codeBadRange, "status "+strconv.Itoa(a.status)+" in answer to a range")
	}
	got, total, ok := parseContentRange(a.header.Get("Content-Range"))
	if !ok {
		return 0, c.errorf(oms.Corrupt, codeBadRange, "the answer's Content-Range cannot be read")
	}
	if total >= 0 && want.Offset+want.Size > total {
		return 0, c.errorf(oms.Changed, codeSize, "the object ends at "+strconv.FormatInt(total, 10)+", within the range")
	}
	if got != want || a.length >= 0 && a.length != want.Size {
		return 0, c.errorf(oms.Corrupt, codeBadRange, "the answer is another range than asked for")
	}
	return total, nil
}

// parseContentRange reads "bytes 0-9/100"; total is -1 for "*".
func parseContentRange(v string) (r storage.ByteRange, total int64, ok bool) {
	v, ok = strings.CutPrefix(v, "bytes ")
	if !ok {
		return r, 0, false
	}
	span, size, ok := strings.Cut(v, "/")
	if !ok {
		return r, 0, false
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok {
		return r, 0, false
	}
	first, ok1 := parseSize([]byte(from))
	last, ok2 := parseSize([]byte(to))
	if !ok1 || !ok2 || last < first || last+1 < 0 {
		return r, 0, false
	}
	total = -1
	if size != "*" {
		if total, ok = parseSize([]byte(size)); !ok || total <= last {
			return r, 0, false
		}
	}
	return storage.ByteRange{Offset: first, Size: last - first + 1}, total, true
}

// Put implements storage.Writer. The body is read until the store has answered; a Read that blocks must end when
// ctx does. An error of the body is returned as it is.
func (b *Bucket) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	c := &call{op: "put object", method: http.MethodPut, key: req.Key, body: req.Body, size: req.Size, frequent: true}
	if err := c.needKey(); err != nil {
		return storage.Written{}, err
	}
	if err := c.checkSize(b.quirks.limits.MaxSingle); err != nil {
		return storage.Written{}, err
	}
	if err := b.addAttrs(c, &req.Attrs); err != nil {
		return storage.Written{}, err
	}
	b.addSums(c, req.Sums)
	return b.write(ctx, c)
}

// checkSize refuses bodies that the store would.
func (c *call) checkSize(limit int64) error {
	if c.size < 0 {
		return c.errorf(oms.Invalid, "", "the size is negative")
	}
	if c.size > limit {
		return c.errorf(oms.Unsupported, "EntityTooLarge", "more than the "+strconv.FormatInt(limit, 10)+" bytes that the store takes at once")
	}
	return nil
}

// write sends c and reads the headers of its answer.
func (b *Bucket) write(ctx context.Context, c *call) (storage.Written, error) {
	var w storage.Written
	err := b.doEmpty(ctx, c, func(hdr http1.Fields) { w = b.writtenOf(hdr, b.writeSums(hdr)) })
	return w, err
}

// Delete implements storage.Writer.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	c := &call{op: "delete object", method: http.MethodDelete, key: key}
	if err := c.needKey(); err != nil {
		return err
	}
	err := b.doEmpty(ctx, c, nil)
	if oms.KindOf(err) == oms.NotFound {
		return nil
	}
	return err
}
