package cdn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Codes of errors that are found here.
const (
	codeStale       = "CDN_DIFFERS"
	codeCoded       = "CDN_COMPRESSES"
	codeRedirect    = "CDN_REDIRECTS"
	codeNoRanges    = "RANGE_IGNORED"
	codeBadRange    = "BAD_RANGE_ANSWER"
	codeBadAnswer   = "BAD_ANSWER"
	codeConnection  = "CONNECTION"
	codeCertificate = "CERTIFICATE"
)

// maxErrorBody bounds what is read of an answer that is no object.
const maxErrorBody = 16 << 10

// Reader is a bucket behind a CDN host. It is safe for concurrent use and needs no closing.
type Reader struct {
	origin storage.Reader
	opts   Options
	cloud  oms.CloudType
	scheme string
	host   string
	sign   cdnsign.Request // all but the object and the moment
}

// String names the host; keys are never shown.
func (r *Reader) String() string { return "CDN host " + oms.Clean(r.host) }

// GoString is String, so that %#v shows no keys either.
func (r *Reader) GoString() string { return r.String() }

// List implements storage.Reader: the bucket lists.
func (r *Reader) List(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	return r.origin.List(ctx, opts)
}

// Stat implements storage.Reader: the bucket knows.
func (r *Reader) Stat(ctx context.Context, key string) (storage.Object, error) {
	return r.origin.Stat(ctx, key)
}

// RequestRestore implements storage.Restorer: the bucket restores. oms.Unsupported when it cannot.
func (r *Reader) RequestRestore(ctx context.Context, req storage.RestoreRequest) error {
	restorer, ok := r.origin.(storage.Restorer)
	if !ok {
		return failure(req.Key, oms.Unsupported, "", "the store restores nothing")
	}
	return restorer.RequestRestore(ctx, req)
}

// Open implements storage.Reader: the bytes come from the CDN host, everything else from the bucket. oms.Changed when
// both disagree about the object, oms.Unsupported when the host compresses, redirects or ignores ranges.
func (r *Reader) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	o, err := r.origin.Stat(ctx, key)
	if err != nil {
		return storage.Content{}, err
	}
	if err := expected(o, opts); err != nil {
		return storage.Content{}, err
	}
	resp, err := r.get(ctx, key, opts.Range)
	if err != nil {
		return storage.Content{}, err
	}
	length, err := check(o, resp, opts.Range)
	if err != nil {
		_ = resp.Body.Close() // the body is not worth reading
		return storage.Content{}, err
	}
	if opts.Range != nil {
		o.Sums = storage.Sums{} // they are of the whole object
	}
	body := &exactBody{key: key, body: resp.Body, ctxErr: ctx.Err, want: length}
	return storage.Content{Object: o, Body: body, Length: length}, nil
}

// expected compares the object as it is in the bucket with what the caller knows.
func expected(o storage.Object, opts storage.OpenOptions) error {
	if opts.Size >= 0 && o.Size != opts.Size {
		return failure(o.Key, oms.Changed, "", "the object holds "+strconv.FormatInt(o.Size, 10)+" bytes, not "+strconv.FormatInt(opts.Size, 10))
	}
	if opts.IfMatch != "" && o.ETag != "" && !strings.EqualFold(o.ETag, opts.IfMatch) {
		return failure(o.Key, oms.Changed, "", "the object has another entity tag than asked for")
	}
	if p := opts.Range; p != nil && (p.Offset < 0 || p.Size <= 0 || p.Size > o.Size-p.Offset) {
		return failure(o.Key, oms.Invalid, "", "the range is empty, negative or not within the object")
	}
	return nil
}

// get asks the host for the object and returns an answer of status 200 or 206; the caller closes its body.
func (r *Reader) get(ctx context.Context, key string, part *storage.ByteRange) (*http.Response, error) {
	target, err := r.target(key)
	if err != nil {
		return nil, err
	}
	path, err := url.PathUnescape(target.Path)
	if err != nil {
		return nil, failure(key, oms.Invalid, "", "the path cannot be encoded")
	}
	req := &http.Request{
		Method: http.MethodGet, Host: r.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL:    &url.URL{Scheme: r.scheme, Host: r.host, Path: path, RawPath: target.Path, RawQuery: target.Query},
		Header: http.Header{"User-Agent": {r.opts.UserAgent}, "Accept-Encoding": {"identity"}},
	}
	if part != nil {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(part.Offset, 10)+"-"+strconv.FormatInt(part.Offset+part.Size-1, 10))
	}
	resp, err := r.opts.Transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, notReached(ctx, key, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.refused(ctx, key, resp)
}

// check compares the answer with the object in the bucket (OMS v2, 6.8) and returns the length of its body.
func check(o storage.Object, resp *http.Response, part *storage.ByteRange) (int64, error) {
	if coding := contentCoding(resp.Header.Get("Content-Encoding")); coding != contentCoding(o.Attrs.ContentEncoding) {
		return 0, failure(o.Key, oms.Unsupported, codeCoded, "the CDN host compresses or unpacks objects: switch that off")
	}
	if err := sameVersion(o, resp.Header); err != nil {
		return 0, err
	}
	if part == nil {
		if resp.StatusCode != http.StatusOK {
			return 0, failure(o.Key, oms.Corrupt, codeBadAnswer, "the CDN host answers with a part of the object")
		}
		if resp.ContentLength >= 0 && resp.ContentLength != o.Size {
			return 0, failure(o.Key, oms.Changed, codeStale, "the CDN host serves another size than the bucket holds: refresh its cache")
		}
		return o.Size, nil
	}
	if resp.StatusCode != http.StatusPartialContent {
		return 0, failure(o.Key, oms.Unsupported, codeNoRanges, "the CDN host ignores ranges")
	}
	// There is one way to write the range of an object whose size is known; some write no size.
	want := "bytes " + strconv.FormatInt(part.Offset, 10) + "-" + strconv.FormatInt(part.Offset+part.Size-1, 10) + "/"
	span, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), want)
	switch {
	case !ok || resp.ContentLength >= 0 && resp.ContentLength != part.Size:
		return 0, failure(o.Key, oms.Corrupt, codeBadRange, "the answer is another range than asked for")
	case span != "*" && span != strconv.FormatInt(o.Size, 10):
		return 0, failure(o.Key, oms.Changed, codeStale, "the CDN host serves another size than the bucket holds: refresh its cache")
	}
	return part.Size, nil
}

// sameVersion compares modification times in whole seconds, or entity tags where the host tells no time.
func sameVersion(o storage.Object, hdr http.Header) error {
	stale := failure(o.Key, oms.Changed, codeStale, "the CDN host serves another version than the bucket holds: refresh its cache")
	if at, err := http.ParseTime(hdr.Get("Last-Modified")); err == nil {
		if !o.ModTime.IsZero() && !at.Equal(o.ModTime.Truncate(time.Second)) {
			return stale
		}
		return nil
	}
	if tag := strongTag(hdr.Get("Etag")); tag != "" && o.ETag != "" && !strings.EqualFold(tag, o.ETag) {
		return stale
	}
	return nil
}

// strongTag returns an entity tag without quotes, "" for a weak one.
func strongTag(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return strings.Trim(tag, `"`)
}

// contentCoding normalises a Content-Encoding.
func contentCoding(v string) string {
	v = strings.ToLower(strings.TrimSpace(v))
	if v == "identity" || v == "aws-chunked" {
		return ""
	}
	return v
}

// refused turns an answer that is no object into an error.
func (r *Reader) refused(ctx context.Context, key string, resp *http.Response) error {
	code := "HTTP " + strconv.Itoa(resp.StatusCode)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	switch status := resp.StatusCode; {
	case bytes.Contains(body, []byte("<Code>InvalidObjectState</Code>")):
		return failure(key, oms.Archived, "InvalidObjectState", "")
	case status >= 300 && status < 400:
		return failure(key, oms.Unsupported, codeRedirect, "the CDN host redirects, which is not followed")
	case status == http.StatusNotFound || status == http.StatusGone:
		return failure(key, oms.NotFound, code, "the CDN host does not have the object")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return failure(key, oms.Denied, code, "the CDN host refuses the download: check its key, its authentication type and hotlink protection")
	case status == http.StatusRequestedRangeNotSatisfiable || status == http.StatusPreconditionFailed:
		return failure(key, oms.Changed, codeStale, "the CDN host serves another size than the bucket holds: refresh its cache")
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return busy(key, oms.Throttled, code, resp.Header)
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return busy(key, oms.Transient, code, resp.Header)
	}
	return failure(key, oms.Invalid, code, "the CDN host refuses the request")
}

// busy is an error that may go away; the host may have said when.
func busy(key string, kind oms.Kind, code string, hdr http.Header) error {
	e := &oms.Error{Op: "get object through CDN", Key: key, Kind: kind, Code: code}
	if seconds, err := strconv.ParseUint(strings.TrimSpace(hdr.Get("Retry-After")), 10, 31); err == nil {
		e.Err = storage.Pause{After: min(time.Duration(seconds)*time.Second, storage.MaxPause)}
	}
	return e
}

// quietError keeps the cause for errors.Is but not in the text: a blocked, a refused and a timed-out connection look
// the same to the user (rule S7), and the URL, which is signed, is in none.
type quietError struct{ cause error }

func (q quietError) Error() string { return "no usable connection to the CDN host" }
func (q quietError) Unwrap() error { return q.cause }

// notReached classifies what the transport returned in place of an answer.
func notReached(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &oms.Error{Op: "get object through CDN", Key: key, Kind: oms.Transient, Code: codeConnection, Err: quietError{err}}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Kind, e.Code, e.Msg = oms.Invalid, codeCertificate, "the certificate of the CDN host is not trusted"
	}
	return e
}

func failure(key string, kind oms.Kind, code, msg string) error {
	return &oms.Error{Op: "get object through CDN", Key: key, Kind: kind, Code: code, Msg: msg}
}
