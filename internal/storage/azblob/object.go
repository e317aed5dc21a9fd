package azblob

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Stat implements storage.Reader.
func (c *Container) Stat(ctx context.Context, key string) (storage.Object, error) {
	q := &call{op: "head object", method: http.MethodHead, key: key}
	if err := q.nameable(); err != nil {
		return storage.Object{}, err
	}
	resp, err := c.do(ctx, q)
	if err != nil {
		return storage.Object{}, err
	}
	defer end(resp)
	if resp.Length < 0 {
		return storage.Object{}, q.errorf(oms.Transient, codeBadAnswer, "the answer does not tell the size")
	}
	o := objectOf(key, resp.Length, resp.Fields)
	o.Sums = sumsOf(resp.Fields)
	return o, nil
}

// nameable answers for keys that no blob can have, so that nobody asks for another one: the service's names are text.
func (q *call) nameable() error {
	if q.key != "" && !utf8.ValidString(q.key) {
		return q.errorf(oms.NotFound, codeKey, "names of blobs are UTF-8")
	}
	return nil
}

// maxName is the longest name of a blob, in characters.
const maxName = 1024

// writable refuses keys that the service would keep as others (rule D3): it wants text whose path segments do not end
// with a dot, and takes a backslash for a slash.
func (q *call) writable() error {
	var msg string
	switch {
	case !utf8.ValidString(q.key):
		msg = "names of blobs are UTF-8"
	case utf8.RuneCountInString(q.key) > maxName:
		msg = "names of blobs have at most 1,024 characters"
	case strings.Contains(q.key, `\`):
		msg = "names of blobs hold no backslash"
	case strings.ContainsFunc(q.key, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 || r >= 0xfffe && r <= 0xffff }):
		msg = "names of blobs hold no control characters"
	case strings.HasSuffix(q.key, ".") || strings.Contains(q.key, "./"):
		msg = "no segment of the name of a blob ends with a dot"
	default:
		return nil
	}
	return q.errorf(oms.Unsupported, codeKey, msg)
}

// Open implements storage.Reader. oms.Unsupported when the service ignores the range; oms.Corrupt when it answers
// with another one.
func (c *Container) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	q := &call{op: "get object", method: http.MethodGet, key: key}
	if err := q.nameable(); err != nil {
		return storage.Content{}, err
	}
	if r := opts.Range; r != nil {
		if r.Offset < 0 || r.Size <= 0 || r.Offset+r.Size < 0 {
			return storage.Content{}, q.errorf(oms.Invalid, "", "the range is empty or negative")
		}
		q.add("range", "bytes="+strconv.FormatInt(r.Offset, 10)+"-"+strconv.FormatInt(r.Offset+r.Size-1, 10))
	}
	if opts.IfMatch != "" {
		q.add("if-match", `"`+opts.IfMatch+`"`)
	}
	resp, err := c.do(ctx, q)
	if err != nil {
		return storage.Content{}, err
	}
	content, err := q.content(resp, opts)
	if err != nil {
		_ = resp.Close() // the body is not worth reading
		return storage.Content{}, err
	}
	content.Body = &recvBody{q: q, body: resp, ctxErr: ctx.Err, want: content.Length}
	return content, nil
}

// content checks the head of the answer to GET against what was asked for (rules D2, D4, D8).
func (q *call) content(resp *http1.Response, opts storage.OpenOptions) (storage.Content, error) {
	var total, length int64
	switch {
	case opts.Range == nil && resp.Status == http.StatusOK && resp.Length >= 0:
		total, length = resp.Length, resp.Length
	case opts.Range != nil && resp.Status == http.StatusOK:
		return storage.Content{}, q.errorf(oms.Unsupported, codeNoRanges, "the service ignores ranges")
	case opts.Range != nil && resp.Status == http.StatusPartialContent:
		got, size, ok := parseContentRange(resp.Fields.Get("Content-Range"))
		switch {
		case !ok:
			return storage.Content{}, q.errorf(oms.Corrupt, codeBadRange, "the answer's Content-Range cannot be read")
		case opts.Range.Offset+opts.Range.Size > size:
			return storage.Content{}, q.errorf(oms.Changed, codeSize, "the object ends at "+strconv.FormatInt(size, 10)+", within the range")
		case got != *opts.Range || resp.Length >= 0 && resp.Length != got.Size:
			return storage.Content{}, q.errorf(oms.Corrupt, codeBadRange, "the answer is another range than asked for")
		}
		total, length = size, got.Size
	default:
		return storage.Content{}, q.errorf(oms.Corrupt, codeBadAnswer, "status "+strconv.Itoa(resp.Status)+" or a body without length in answer to a read")
	}
	if opts.Size >= 0 && total != opts.Size {
		return storage.Content{}, q.errorf(oms.Changed, codeSize, "the object holds "+strconv.FormatInt(total, 10)+
			" bytes, not "+strconv.FormatInt(opts.Size, 10))
	}
	o := objectOf(q.key, total, resp.Fields)
	if opts.IfMatch != "" && o.ETag != opts.IfMatch {
		return storage.Content{}, q.errorf(oms.Changed, "", "the object has another entity tag than asked for")
	}
	if opts.Range == nil {
		o.Sums = sumsOf(resp.Fields)
	}
	return storage.Content{Object: o, Length: length}, nil
}

// parseContentRange reads "bytes 0-9/100"; the caller compares it with what was asked for.
func parseContentRange(v string) (r storage.ByteRange, total int64, ok bool) {
	span, found := strings.CutPrefix(v, "bytes ")
	span, size, sized := strings.Cut(span, "/")
	from, to, ranged := strings.Cut(span, "-")
	first, ok1 := parseSize(from)
	last, ok2 := parseSize(to)
	total, ok3 := parseSize(size)
	if !found || !sized || !ranged || !ok1 || !ok2 || !ok3 {
		return r, 0, false
	}
	return storage.ByteRange{Offset: first, Size: last - first + 1}, total, true
}

// parseSize reads decimal digits only.
func parseSize(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Put implements storage.Writer: a block blob in one request. An error of the body is returned as it is.
func (c *Container) Put(ctx context.Context, req storage.PutRequest) (storage.Written, error) {
	q := &call{op: "put object", method: http.MethodPut, key: req.Key, body: req.Body, size: req.Size}
	if err := q.writable(); err != nil {
		return storage.Written{}, err
	}
	if err := q.checkSize(limits().MaxSingle); err != nil {
		return storage.Written{}, err
	}
	q.add("x-ms-blob-type", "BlockBlob")
	hs, err := q.attrHeaders(&req.Attrs)
	if err != nil {
		return storage.Written{}, err
	}
	q.headers = append(q.headers, hs...)
	q.addSums(req.Sums)
	return c.write(ctx, q)
}

// checkSize refuses bodies that the service would.
func (q *call) checkSize(limit int64) error {
	if q.size < 0 {
		return q.errorf(oms.Invalid, "", "the size is negative")
	}
	if q.size > limit {
		return q.errorf(oms.Unsupported, "RequestBodyTooLarge", "more than the "+strconv.FormatInt(limit, 10)+" bytes that the service takes at once")
	}
	if q.size == 0 {
		q.body = nil
	}
	return nil
}

// write sends q and reads the headers of its answer.
func (c *Container) write(ctx context.Context, q *call) (w storage.Written, err error) {
	err = c.doEmpty(ctx, q, func(hdr http1.Fields) { w = writtenOf(hdr) })
	return w, err
}

// Delete implements storage.Writer. Snapshots of the blob go with it.
func (c *Container) Delete(ctx context.Context, key string) error {
	q := &call{op: "delete object", method: http.MethodDelete, key: key, headers: []header{{"x-ms-delete-snapshots", "include"}}}
	err := q.nameable()
	if err == nil {
		err = c.doEmpty(ctx, q, nil)
	}
	if oms.KindOf(err) == oms.NotFound {
		return nil
	}
	return err
}
