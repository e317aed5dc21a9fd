package azblob

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

// Codes of errors that are found here and not sent by the service.
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
	codeCut         = "ANSWERED_EARLY"
	codeMetadata    = "METADATA"
	codeKey         = "KEY"
)

const (
	maxErrorBody = 64 * kib
	maxDrain     = 64 * kib // what is read of an answer's rest to keep its connection
	skewed       = 10 * time.Minute
)

// kindOf classifies an error answer: by its code when that is known, else by its status.
func kindOf(status int, code string, on target) oms.Kind {
	switch code {
	case "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled":
		return oms.NoBucket
	case "BlobNotFound":
		return oms.NotFound
	case "AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch", "AuthorizationProtocolMismatch",
		"AuthorizationSourceIPMismatch", "AuthorizationServiceMismatch", "AuthorizationResourceTypeMismatch",
		"InsufficientAccountPermissions", "InvalidAuthenticationInfo", "NoAuthenticationInformation", "AccountIsDisabled",
		"PublicAccessNotPermitted", "KeyBasedAuthenticationNotPermitted", "AnonymousClient":
		return oms.Denied
	case "ServerBusy", "TooManyRequests":
		return oms.Throttled
	case "InternalError", "OperationTimedOut":
		return oms.Transient
	case "BlobArchived", "BlobBeingRehydrated":
		return oms.Archived
	case "ConditionNotMet", "InvalidRange":
		return oms.Changed
	case "Md5Mismatch", "Crc64Mismatch", "InvalidMd5":
		return oms.Corrupt
	case "MetadataTooLarge", "RequestBodyTooLarge", "OutOfRangeInput", "InvalidUri", "InvalidMetadata", "EmptyMetadataKey",
		"InvalidBlobType", "BlobImmutableDueToPolicy", "LeaseIdMissing", "PendingCopyOperation", "SnapshotsPresent",
		"InvalidResourceName", "BlobTierInadequateForContentLength", "BlockCountExceedsLimit", "BlockListTooLong",
		"UnsupportedHeader", "FeatureNotSupportedOnAccount", "BlobUsesCustomerSpecifiedEncryption":
		return oms.Unsupported
	}
	return kindOfStatus(status, on)
}

func kindOfStatus(status int, on target) oms.Kind {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		if on == onBlob {
			return oms.NotFound
		}
		return oms.NoBucket
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

// fail turns an answer that is no success into an error. The service's sentences name keys and signatures, so only its
// code is shown.
func (c *Container) fail(q *call, resp *http1.Response) error {
	code := oms.Clean(resp.Fields.Get("X-Ms-Error-Code"))
	if q.method != http.MethodHead {
		body, err := io.ReadAll(io.LimitReader(resp, maxErrorBody))
		if root, perr := parseTree(body); code == "" && err == nil && perr == nil && root.name == "Error" {
			code = oms.Clean(root.textOf("Code"))
		}
		drain(resp)
	}
	e := &oms.Error{Op: q.op, Key: q.key, Kind: kindOf(resp.Status, code, q.on), Code: code}
	if code == "" {
		e.Code = "HTTP " + strconv.Itoa(resp.Status)
	}
	if e.Kind == oms.Denied && c.adjustClock(resp.Fields.Get("Date")) {
		e.Kind, e.Msg = oms.Transient, "the service's clock differs from ours"
	}
	if e.Kind.Retryable() {
		if after, ok := retryAfter(resp.Fields.Get("Retry-After"), c.now()); ok {
			e.Err = storage.Pause{After: after}
		}
	}
	return e
}

// adjustClock takes over the service's clock when a request may have been refused because of ours.
func (c *Container) adjustClock(date string) bool {
	at, err := http.ParseTime(date)
	if err != nil || at.Sub(c.now()).Abs() < skewed {
		return false
	}
	c.skew.Store(int64(at.Sub(c.clock())))
	return true
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

// quietError keeps the cause for errors.Is and errors.As but not in the text (rule S7).
type quietError struct{ cause error }

func (q quietError) Error() string { return "no usable connection to the endpoint" }
func (q quietError) Unwrap() error { return q.cause }

// transportFailed classifies what the connection returned in place of an answer.
func transportFailed(ctx context.Context, q *call, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &oms.Error{Op: q.op, Key: q.key, Kind: oms.Transient, Code: codeConnection, Err: quietError{err}}
	if inner, ok := errors.AsType[*oms.Error](err); ok { // the guard of outgoing connections speaks our language
		e.Kind, e.Code, e.Msg = inner.Kind, inner.Code, inner.Msg
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Kind, e.Code, e.Msg = oms.Invalid, codeCertificate, "the endpoint's certificate is not trusted"
	}
	return e
}

// end ends an answer; what is left of its body costs the connection.
func end(resp *http1.Response) { _ = resp.Close() }

// drain uses up a little of what is left of an answer, so that its connection can be used again once it is closed.
func drain(r io.Reader) { _, _ = io.CopyN(io.Discard, r, maxDrain) }
