package oms

import (
	"errors"
	"slices"
	"strings"
)

// Side is the end of a migration at which something went wrong.
type Side uint8

// The sides.
const (
	Source Side = iota + 1
	Destination
)

// ReasonOf returns the TRF code and text for trouble that stops a whole task: keys, buckets, stores that are
// away (OMS v2 errors, section 2). The kind of err decides; of refusals the provider's code tells keys that are not
// valid from keys that lack rights. An error that has a TRF code already keeps it and its text. A nil or foreign error
// is an internal one.
func ReasonOf(side Side, err error) ErrorReason {
	if e, ok := errors.AsType[*Error](err); ok && strings.HasPrefix(e.Code, "TRF.") {
		return ErrorReason{e.Code, e.Msg}
	}
	src := side == Source
	switch KindOf(err) {
	case Denied:
		return refusal(src, keysRefused(err))
	case NoBucket, NotFound:
		if src {
			return ErrorReason{"TRF.0155", "The source bucket does not exist."}
		}
		return ErrorReason{"TRF.0058", "The destination bucket does not exist."}
	case Throttled:
		if src {
			return ErrorReason{"TRF.0159", "The source limits the request rate. Start the task later."}
		}
		return ErrorReason{"TRF.0061", "The destination limits the request rate. Start the task later."}
	case Transient:
		if src {
			return ErrorReason{"TRF.0157", "The source store does not answer. Start the task later; it goes on where it stopped."}
		}
		return ErrorReason{"TRF.0061", "The destination store does not answer. Start the task later; it goes on where it stopped."}
	case Full:
		return ErrorReason{"TRF.0055", "The destination bucket has too little space left."}
	case Listing:
		if src {
			return ErrorReason{"TRF.0157", "The source store answers listings that cannot be trusted. Nothing was taken as complete."}
		}
		return ErrorReason{"TRF.0061", "The destination store answers listings that cannot be trusted. Nothing was taken as complete."}
	case Other, Invalid, Conflict, Archived, Changed, Corrupt, Unsupported:
		return ErrorReason{"TRF.0001", "Internal error. Start the task again; it goes on where it stopped."}
	}
	return ErrorReason{"TRF.0001", "Internal error. Start the task again; it goes on where it stopped."}
}

// refusal returns the reason for Denied.
func refusal(src, keys bool) ErrorReason {
	switch {
	case src && keys:
		return ErrorReason{"TRF.0151", "The source keys are not valid or not valid any more. Start the task with valid keys."}
	case keys:
		return ErrorReason{"TRF.0057", "The destination keys are not valid or not valid any more. Start the task with valid keys."}
	case src:
		return ErrorReason{"TRF.0152", "The source keys lack rights on the bucket or its objects, or are not valid. Start the task with valid keys."}
	default:
		return ErrorReason{"TRF.0051", "The destination keys lack rights on the bucket or its objects, or are not valid. Start the task with valid keys."}
	}
}

// keysRefused reports whether an *Error in err's tree has a code by which providers refuse the keys themselves,
// rather than what was done with them.
func keysRefused(err error) bool {
	if e, ok := err.(*Error); ok && keyCode(e.Code) { //nolint:errorlint // the whole tree is walked
		return true
	}
	switch w := err.(type) { //nolint:errorlint // the whole tree is walked
	case interface{ Unwrap() error }:
		return keysRefused(w.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(w.Unwrap(), keysRefused)
	}
	return false
}

// keyCode reports whether a provider says by code that keys are unknown, wrong, switched off or expired.
func keyCode(code string) bool {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"InvalidSecurityToken", "SecurityTokenExpired", "InvalidSecurity", "NotSignedUp", "UserDisable",
		"AuthenticationFailed", "InvalidAuthenticationInfo", "AccountIsDisabled", // Azure
		"invalid_grant", "invalid_client": // Google's token service
		return true
	default:
		return false
	}
}
