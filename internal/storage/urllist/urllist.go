package urllist

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Options say how URLs are reached.
type Options struct {
	// Transport carries every request; required. It guards where connections go, must not follow redirects (no
	// RoundTripper does) and must leave content encodings alone.
	Transport http.RoundTripper
	// Clock gives the time for servers that tell none; nil means time.Now.
	Clock func() time.Time
	// UserAgent is sent with every request; empty means "openoms".
	UserAgent string
}

// Opener opens URL lists, and all other buckets with another opener. It is safe for concurrent use.
type Opener struct {
	next storage.Opener
	opts Options
}

// Reader reads what URLs name. It is safe for concurrent use and needs no closing.
type Reader struct{ opts Options }

var (
	_ storage.Opener = (*Opener)(nil)
	_ storage.Reader = (*Reader)(nil)
)

// NewOpener returns an Opener over next; opts.Transport must be set.
func NewOpener(next storage.Opener, opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "openoms"
	}
	return &Opener{next: next, opts: opts}
}

// Open returns a *Reader for the cloud type URLSource, else what the next opener returns.
func (o *Opener) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	if b.CloudType != oms.CloudURL {
		return o.next.Open(ctx, b)
	}
	return &Reader{opts: o.opts}, nil
}

// List implements storage.Reader: nothing can be listed, and nothing is asked.
func (r *Reader) List(ctx context.Context, _ storage.ListOptions) (storage.Page, error) {
	return storage.Page{}, ctx.Err()
}

// rangesFrom is the size from which it is tried whether the server really serves ranges: smaller objects are read in
// one piece anyway.
const rangesFrom = 8 << 20

// Stat implements storage.Reader. The size is -1 when the server does not tell it.
func (r *Reader) Stat(ctx context.Context, key string) (storage.Object, error) {
	a, err := r.exchange(ctx, "head object", key, http.MethodHead, nil)
	if err != nil {
		return storage.Object{}, err
	}
	a.close()
	if a.refusesHead() || a.status == http.StatusOK && a.length <= 0 {
		return r.statByGet(ctx, key)
	}
	if a.status != http.StatusOK {
		return storage.Object{}, a.failed()
	}
	o := r.object(key, a.length, a)
	if o.Size < rangesFrom || weak(o.ETag) {
		o.ETag = weaken(o.ETag)
		return o, nil
	}
	there, err := r.servesRanges(ctx, key, o)
	if err != nil {
		return storage.Object{}, err
	}
	if !there {
		o.ETag = weaken(o.ETag)
	}
	return o, nil
}

// servesRanges reports whether the server answers a range of the object with the same entity tag.
func (r *Reader) servesRanges(ctx context.Context, key string, o storage.Object) (bool, error) {
	a, err := r.exchange(ctx, "get object", key, http.MethodGet, http.Header{"Range": {"bytes=0-0"}})
	if err != nil {
		return false, err
	}
	defer a.close()
	total, ok := a.firstByte()
	return ok && total == o.Size && strongETag(a.header) == o.ETag, nil
}

// statByGet asks for the first byte where HEAD does not help.
func (r *Reader) statByGet(ctx context.Context, key string) (storage.Object, error) {
	a, err := r.exchange(ctx, "get object", key, http.MethodGet, http.Header{"Range": {"bytes=0-0"}})
	if err != nil {
		return storage.Object{}, err
	}
	defer a.close()
	if total, ok := a.firstByte(); ok {
		return r.object(key, total, a), nil
	}
	switch a.status {
	case http.StatusOK:
		o := r.object(key, a.length, a)
		o.ETag = weaken(o.ETag)
		return o, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if a.header.Get("Content-Range") == "bytes */0" { // there is no first byte
			return r.object(key, 0, a), nil
		}
	}
	return storage.Object{}, a.failed()
}

// Open implements storage.Reader. oms.Unsupported when the server ignores the range; oms.Corrupt when it answers with
// another one. The length of the content is -1 when neither the server nor opts tell it.
func (r *Reader) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	header := http.Header{}
	if rg := opts.Range; rg != nil {
		if rg.Offset < 0 || rg.Size <= 0 || rg.Offset+rg.Size < 0 {
			return storage.Content{}, oms.Errorf(oms.Invalid, "", "the range is empty or negative")
		}
		header.Set("Range", "bytes="+strconv.FormatInt(rg.Offset, 10)+"-"+strconv.FormatInt(rg.Offset+rg.Size-1, 10))
	}
	if opts.IfMatch != "" && !weak(opts.IfMatch) {
		header.Set("If-Match", `"`+opts.IfMatch+`"`)
	}
	a, err := r.exchange(ctx, "get object", key, http.MethodGet, header)
	if err != nil {
		return storage.Content{}, err
	}
	c, err := r.content(key, a, opts)
	if err != nil {
		a.close()
		return storage.Content{}, err
	}
	c.Body = &exactBody{answer: a, ctxErr: ctx.Err, want: c.Length}
	return c, nil
}

// content checks the head of the answer against what was asked for (rules D2, D4, D8).
func (r *Reader) content(key string, a *answer, opts storage.OpenOptions) (storage.Content, error) {
	var total, length int64
	switch {
	case opts.Range == nil && a.status == http.StatusOK:
		length = a.length
		if length < 0 {
			length = max(opts.Size, -1)
		}
		total = length
	case opts.Range != nil && a.status == http.StatusPartialContent:
		got, whole, ok := parseContentRange(a.header.Get("Content-Range"))
		if !ok || got != *opts.Range || a.length >= 0 && a.length != got.Size {
			return storage.Content{}, a.errorf(oms.Corrupt, codeBadRange, "the answer is another range than asked for")
		}
		total, length = whole, got.Size
	case opts.Range != nil && a.status == http.StatusOK:
		return storage.Content{}, a.errorf(oms.Unsupported, codeNoRanges, "the server ignores ranges")
	default:
		return storage.Content{}, a.failed()
	}
	if opts.Size >= 0 && total >= 0 && total != opts.Size {
		return storage.Content{}, a.errorf(oms.Changed, codeSize, "the server now serves "+strconv.FormatInt(total, 10)+" bytes, not "+
			strconv.FormatInt(opts.Size, 10)+a.compressed())
	}
	if opts.IfMatch != "" && !weak(opts.IfMatch) && strongETag(a.header) != opts.IfMatch {
		return storage.Content{}, a.errorf(oms.Changed, "", "the object has another entity tag than asked for")
	}
	return storage.Content{Object: r.object(key, total, a), Length: length}, nil
}

// object returns what an answer tells about an object. An entity tag of a web server is an MD5 only by chance, which
// Encrypted says.
func (r *Reader) object(key string, size int64, a *answer) storage.Object {
	h := a.header
	return storage.Object{
		ListedObject: storage.ListedObject{Key: key, Size: max(size, -1), ModTime: r.modTime(h), ETag: anyETag(h)},
		Attrs: storage.Attrs{
			ContentType: h.Get("Content-Type"), ContentEncoding: h.Get("Content-Encoding"),
			ContentDisposition: h.Get("Content-Disposition"), ContentLanguage: h.Get("Content-Language"),
			CacheControl: h.Get("Cache-Control"), Expires: h.Get("Expires"),
		},
		Encrypted: true,
	}
}

// modTime returns when the object was modified: as the server says, else now by its clock, else by ours.
func (r *Reader) modTime(h http.Header) time.Time {
	for _, name := range []string{"Last-Modified", "Date"} {
		if at, err := http.ParseTime(h.Get(name)); err == nil {
			return at.UTC()
		}
	}
	return r.opts.Clock().UTC()
}

// weak reports whether an entity tag cannot pin a version.
func weak(etag string) bool { return etag == "" || strings.HasPrefix(etag, "W/") }

func weaken(etag string) string {
	if weak(etag) {
		return etag
	}
	return "W/" + etag
}

// anyETag returns the entity tag without quotes; weak ones begin with W/.
func anyETag(h http.Header) string {
	text := h.Get("ETag")
	prefix := ""
	if rest, ok := strings.CutPrefix(text, "W/"); ok {
		prefix, text = "W/", rest
	}
	if len(text) < 3 || text[0] != '"' || text[len(text)-1] != '"' || strings.Contains(text[1:len(text)-1], `"`) {
		return ""
	}
	return prefix + text[1:len(text)-1]
}

// strongETag returns the entity tag when it is a strong one.
func strongETag(h http.Header) string {
	if etag := anyETag(h); !weak(etag) {
		return etag
	}
	return ""
}
