package urllist

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Codes of errors that are found here and not sent by a server.
const (
	codeTruncated   = "BODY_TOO_SHORT"
	codeTooLong     = "BODY_TOO_LONG"
	codeBadRange    = "BAD_RANGE_ANSWER"
	codeNoRanges    = "RANGE_IGNORED"
	codeSize        = "SIZE_DIFFERS"
	codeRedirect    = "REDIRECT"
	codeConnection  = "CONNECTION"
	codeCertificate = "CERTIFICATE"
)

// maxRedirects is how many redirects are followed (rule S6).
const maxRedirects = 3

// maxDrain bounds what is read of an answer's rest to keep its connection, in bytes.
const maxDrain = 64 << 10

// answer is what a server answered, any status but a redirect that was followed.
type answer struct {
	op, host string
	status   int
	length   int64 // of the body; -1 when not told
	header   http.Header
	body     io.ReadCloser
	pause    time.Duration // asked for by Retry-After
	paused   bool
}

// exchange sends a request and follows redirects.
func (r *Reader) exchange(ctx context.Context, op, key, method string, header http.Header) (*answer, error) {
	u, err := parse(key)
	if err != nil {
		return nil, &oms.Error{Op: op, Kind: oms.Invalid, Msg: "the URL cannot be used"}
	}
	for hops := 0; ; hops++ {
		a, err := r.send(ctx, op, method, u, header)
		if err != nil || !redirects(a.status) {
			return a, err
		}
		a.close()
		next, problem := follow(u, a.header.Get("Location"))
		if problem == "" && hops == maxRedirects {
			problem = "the server redirects too often"
		}
		if problem != "" {
			return nil, a.errorf(oms.Invalid, codeRedirect, problem)
		}
		u = next
	}
}

// parse reads a URL that may be requested.
func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" || u.User != nil {
		return nil, errors.New("not an http URL with a host and without user")
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// follow returns where a redirect leads, or why it is not followed.
func follow(from *url.URL, location string) (to *url.URL, problem string) {
	target, err := from.Parse(location)
	if err == nil {
		target, err = parse(target.String())
	}
	switch {
	case location == "" || err != nil:
		return nil, "the server redirects to nowhere"
	case !strings.EqualFold(target.Hostname(), from.Hostname()):
		return nil, "the server redirects to another host, which is not followed"
	case from.Scheme == "https" && target.Scheme == "http":
		return nil, "the server redirects from https to http, which is not followed"
	}
	return target, ""
}

// send makes one request.
func (r *Reader) send(ctx context.Context, op, method string, u *url.URL, header http.Header) (*answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, &oms.Error{Op: op, Key: u.Host, Kind: oms.Invalid, Msg: "the URL cannot be used"}
	}
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", r.opts.UserAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity") // the bytes as they are (rule D10)
	resp, err := r.opts.Transport.RoundTrip(req)  //nolint:bodyclose // the caller closes the answer
	if err != nil {
		return nil, unanswered(ctx, op, u.Host, err)
	}
	a := &answer{op: op, host: u.Host, status: resp.StatusCode, length: resp.ContentLength, header: resp.Header, body: resp.Body}
	a.pause, a.paused = retryAfter(resp.Header.Get("Retry-After"), r.opts.Clock())
	return a, nil
}

// quietError keeps the cause for errors.Is and errors.As but not in the text: a blocked, a refused and a timed-out
// connection look the same to the user (rule S7).
type quietError struct{ cause error }

func (q quietError) Error() string { return "no usable connection to the host" }
func (q quietError) Unwrap() error { return q.cause }

// unanswered classifies what the transport returned in place of an answer.
func unanswered(ctx context.Context, op, host string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &oms.Error{Op: op, Key: host, Kind: oms.Transient, Code: codeConnection, Err: quietError{err}}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Kind, e.Code, e.Msg = oms.Invalid, codeCertificate, "the host's certificate is not trusted"
	}
	return e
}

// close uses up a little of the body, so that the connection can be used again, and ends it.
func (a *answer) close() {
	if a.length >= 0 && a.length <= maxDrain {
		_, _ = io.CopyN(io.Discard, a.body, maxDrain)
	}
	_ = a.body.Close()
}

// refusesHead reports whether the server may answer GET although it refused HEAD.
func (a *answer) refusesHead() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// firstByte returns the size of the object when the answer is its first byte.
func (a *answer) firstByte() (total int64, ok bool) {
	if a.status != http.StatusPartialContent {
		return 0, false
	}
	got, total, ok := parseContentRange(a.header.Get("Content-Range"))
	return total, ok && total > 0 && got == storage.ByteRange{Offset: 0, Size: 1}
}

// compressed explains a size that differs because the server encodes on the way.
func (a *answer) compressed() string {
	if a.header.Get("Content-Encoding") == "" {
		return ""
	}
	return "; it compresses answers: switch that off for these objects"
}

// failed is the error of an answer that is no success.
func (a *answer) failed() error {
	kind := kindOf(a.status)
	e := &oms.Error{Op: a.op, Key: a.host, Kind: kind, Code: "HTTP " + strconv.Itoa(a.status)}
	if kind.Retryable() && a.paused {
		e.Err = storage.Pause{After: a.pause}
	}
	return e
}

func (a *answer) errorf(kind oms.Kind, code, msg string) error {
	return &oms.Error{Op: a.op, Key: a.host, Kind: kind, Code: code, Msg: msg}
}

// kindOf classifies a status.
func kindOf(status int) oms.Kind {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return oms.NotFound
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return oms.Denied
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return oms.Changed
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return oms.Throttled
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return oms.Transient
	case http.StatusNotImplemented:
		return oms.Unsupported
	}
	if status >= http.StatusInternalServerError {
		return oms.Transient
	}
	return oms.Invalid
}

// retryAfter reads a Retry-After header: seconds or a date, clamped to [0, storage.MaxPause].
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseUint(v, 10, 64); err == nil {
		return time.Duration(min(n, uint64(storage.MaxPause/time.Second))) * time.Second, true //nolint:gosec // bounded
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), storage.MaxPause), true
	}
	return 0, false
}

// parseContentRange reads "bytes 0-9/100"; total is -1 for "*".
func parseContentRange(v string) (r storage.ByteRange, total int64, ok bool) {
	span, found := strings.CutPrefix(v, "bytes ")
	span, size, sized := strings.Cut(span, "/")
	from, to, ranged := strings.Cut(span, "-")
	first, ok1 := parseSize(from)
	last, ok2 := parseSize(to)
	if !found || !sized || !ranged || !ok1 || !ok2 || last < first || last+1 < 0 {
		return r, 0, false
	}
	total = -1
	if size != "*" {
		if total, ok = parseSize(size); !ok || total <= last {
			return r, 0, false
		}
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

// exactBody yields exactly want bytes, else an error (rules D4, D8); any number when want is negative.
type exactBody struct {
	*answer

	ctxErr func() error
	want   int64
	got    int64
	err    error // what every further Read returns
}

// Read implements io.Reader.
func (b *exactBody) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	case b.want >= 0 && b.got == b.want:
		b.err = b.probe()
		return 0, b.err
	case b.want >= 0:
		p = p[:min(int64(len(p)), b.want-b.got)]
	}
	n, err := b.body.Read(p)
	b.got += int64(n)
	if err != nil {
		b.err = b.ended(err)
	}
	return n, b.err
}

// ended translates the error that ended the body early, or at its end.
func (b *exactBody) ended(err error) error {
	if cerr := b.ctxErr(); cerr != nil {
		return cerr
	}
	if errors.Is(err, io.EOF) && (b.want < 0 || b.got == b.want) {
		return io.EOF
	}
	return b.errorf(oms.Transient, codeTruncated, "the body broke off after "+strconv.FormatInt(b.got, 10)+" bytes")
}

// probe checks that nothing follows the wanted bytes.
func (b *exactBody) probe() error {
	var one [1]byte
	for range 16 { // readers that return nothing without an error are allowed, but not for ever
		n, err := b.body.Read(one[:])
		if n > 0 {
			return b.errorf(oms.Corrupt, codeTooLong, "the body holds more than the "+strconv.FormatInt(b.want, 10)+" bytes announced")
		}
		if err != nil {
			return b.ended(err)
		}
	}
	return io.EOF
}

// Close ends the read; a rest of the body costs the connection.
func (b *exactBody) Close() error {
	if b.err == nil {
		b.err = errors.New("read of a closed body")
	}
	return b.body.Close()
}
