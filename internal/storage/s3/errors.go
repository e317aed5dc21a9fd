package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Codes of errors that are found here and not sent by a store.
const (
	codeListing     = "LISTING_ERROR"
	codeListingLoop = "LISTING_LOOP"
	codeTruncated   = "BODY_TOO_SHORT"
	codeTooLong     = "BODY_TOO_LONG"
	codeBadRange    = "BAD_RANGE_ANSWER"
	codeNoRanges    = "RANGE_IGNORED"
	codeSize        = "SIZE_DIFFERS"
	codeBadAnswer   = "BAD_ANSWER"
	codeConnection  = "CONNECTION"
	codeCertificate = "CERTIFICATE"
)

// maxErrorBody bounds what is read of an error answer.
const maxErrorBody = 64 * kib

// target says what a request was about, which decides what a bare 404 means.
type target uint8

const (
	onObject target = iota
	onUpload
	onBucket
)

// kindOf classifies an error answer: by its code when that is known, else by its status.
func kindOf(status int, code string, on target) oms.Kind {
	if k, ok := kindOfCode(code); ok {
		return k
	}
	return kindOfStatus(status, on)
}

func kindOfCode(code string) (oms.Kind, bool) {
	switch code {
	case "NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NoSuchObject":
		return oms.NotFound, true
	case "NoSuchBucket", "BucketNotExist":
		return oms.NoBucket, true
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"TokenRefreshRequired", "InvalidSecurity", "AccountProblem", "AllAccessDisabled", "NotSignedUp",
		"RequestExpired", "UserDisable", "InvalidSecurityToken", "SecurityTokenExpired":
		return oms.Denied, true
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "TooManyRequests", "Throttling",
		"ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded", "ServerBusy":
		return oms.Throttled, true
	case "InternalError", "InternalServerError", "RequestTimeout", "RequestTimeTooSkewed", "OperationAborted",
		"IncompleteBody", "ConditionalRequestConflict":
		return oms.Transient, true
	case "InvalidObjectState":
		return oms.Archived, true
	case "PreconditionFailed", "InvalidRange":
		return oms.Changed, true
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch":
		return oms.Corrupt, true
	case "QuotaExceeded", "InsufficientStorage", "InsufficientStorageSpace", "XMinioStorageFull":
		return oms.Full, true
	case "KeyTooLong", "KeyTooLongError", "MetadataTooLarge", "EntityTooLarge", "NotImplemented", "InvalidURI",
		"InvalidObjectName", "XMinioInvalidObjectName", "DirectoryObjectContainsData", "ExistingObjectIsDirectory",
		"ObjectParentIsFile", "ExistingObjectIsFile", "FileConflict", "InvalidFileName":
		return oms.Unsupported, true
	case "InvalidArgument", "InvalidRequest", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML",
		"InvalidBucketName", "InvalidStorageClass", "PermanentRedirect", "TemporaryRedirect", "Redirect",
		"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "MethodNotAllowed":
		return oms.Invalid, true
	}
	return oms.Other, false
}

func kindOfStatus(status int, on target) oms.Kind {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		if on == onBucket {
			return oms.NoBucket
		}
		return oms.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return oms.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return oms.Throttled
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly:
		return oms.Transient
	case http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable:
		return oms.Changed
	case http.StatusInsufficientStorage:
		return oms.Full
	case http.StatusNotImplemented:
		return oms.Unsupported
	}
	if status >= 500 {
		return oms.Transient
	}
	return oms.Invalid
}

// answerError is what the XML of an error says.
type answerError struct{ code, message, region string }

// parseError reads the body of an error answer; what is no error document gives the zero value.
func parseError(body []byte) answerError {
	root, err := parseTree(body)
	if err != nil {
		return answerError{}
	}
	if root.name != "Error" {
		if root = root.child("Error"); root == nil { // some wrap it: <ErrorResponse><Error>
			return answerError{}
		}
	}
	return answerError{
		code: oms.Clean(root.textOf("Code")), message: oms.Clean(root.textOf("Message")),
		region: oms.Clean(root.textOf("Region")),
	}
}

// fail turns an answer that is no success into an error and uses up its body.
func (b *Bucket) fail(c *call, a *answer) error {
	defer a.body.Close()
	var ans answerError
	if c.method != http.MethodHead {
		body, err := io.ReadAll(io.LimitReader(a.body, maxErrorBody))
		if err == nil {
			ans = parseError(body)
		}
	}
	drain(a.body)
	if ans.code == "RequestTimeTooSkewed" {
		b.adjustClock(a.header)
	}
	return b.answerFailed(c, a.status, a.header, ans)
}

// answerFailed builds the error of an answer with the given status, headers and error document.
func (b *Bucket) answerFailed(c *call, status int, hdr http1.Fields, ans answerError) error {
	e := &oms.Error{Op: c.op, Key: c.key, Kind: kindOf(status, ans.code, c.on), Code: ans.code, Msg: ans.message}
	if e.Code == "" {
		e.Code = "HTTP " + strconv.Itoa(status)
	}
	if ans.region == "" {
		ans.region = b.regionIn(hdr)
	}
	if ans.region != "" && ans.region != b.signer.region && e.Kind == oms.Invalid {
		e.Msg = "the bucket is in region " + oms.Clean(ans.region)
	}
	if e.Kind == oms.Throttled || e.Kind == oms.Transient {
		if after, ok := retryAfter(hdr.Get("Retry-After"), b.now()); ok {
			e.Err = storage.Pause{After: after}
		}
	}
	return e
}

// retryAfter reads a Retry-After header: seconds or a date, clamped to [0, storage.MaxPause].
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	if v == "" {
		return 0, false
	}
	var after time.Duration
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		after = time.Duration(min(max(n, 0), int64(storage.MaxPause/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		after = storage.MaxPause
		if v[0] == '-' {
			after = 0
		}
	} else if at, err := http.ParseTime(v); err == nil {
		after = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(after, 0), storage.MaxPause), true
}

// quietError keeps the cause for errors.Is and errors.As but not in the text: a blocked, a refused and a timed-out
// connection look the same to the user (rule S7).
type quietError struct{ cause error }

func (q quietError) Error() string { return "no usable connection to the endpoint" }
func (q quietError) Unwrap() error { return q.cause }

// transportFailed classifies what the transport returned in place of an answer.
func transportFailed(ctx context.Context, c *call, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if inner, ok := errors.AsType[*oms.Error](err); ok { // the guard of outgoing connections speaks our language
		return &oms.Error{Op: c.op, Key: c.key, Kind: inner.Kind, Code: inner.Code, Msg: inner.Msg, Err: quietError{err}}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &oms.Error{
			Op: c.op, Key: c.key, Kind: oms.Invalid, Code: codeCertificate,
			Msg: "the endpoint's certificate is not trusted", Err: quietError{err},
		}
	}
	return &oms.Error{Op: c.op, Key: c.key, Kind: oms.Transient, Code: codeConnection, Err: quietError{err}}
}

// errorf returns an error about the call with a code of our own.
func (c *call) errorf(kind oms.Kind, code, msg string) error {
	return &oms.Error{Op: c.op, Key: c.key, Kind: kind, Code: code, Msg: msg}
}
