package oms

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Kind says what a caller may do about an error. Kinds are stored: append only.
type Kind uint8

// The kinds. Each decides retrying (transfer), HTTP status (httpapi) and the cause shown in a task.
const (
	Other       Kind = iota // not classified; never retried
	Invalid                 // the request is wrong; the user can fix it
	NotFound                // no such task, bucket or object
	Conflict                // the state does not allow it, e.g. start on a running task
	Denied                  // credentials are missing, wrong or too weak
	Throttled               // the provider said "slow down"; retry after a pause
	Transient               // network, 5xx, timeout; retry with backoff
	Archived                // the object must be restored before it can be read
	Changed                 // the source object changed while it was being copied
	Corrupt                 // size or checksum differs
	Unsupported             // the provider or the task cannot do this, e.g. a key that cannot be carried
	NoBucket                // the bucket itself does not exist
	Full                    // no space or quota left at the destination or in the state store
	Listing                 // a listing is malformed, loops or is out of order; never taken as complete
)

var kindTexts = [...]string{
	"error", "invalid request", "not found", "conflict", "access denied", "throttled", "temporarily unavailable",
	"archived", "changed during copy", "content differs", "unsupported", "bucket not found", "no space left",
	"listing error",
}

// String returns the text that an API user may see.
func (k Kind) String() string {
	if int(k) < len(kindTexts) {
		return kindTexts[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Error makes a Kind usable as a target of errors.Is: errors.Is(err, oms.NotFound).
func (k Kind) Error() string { return k.String() }

// Retryable reports whether the same request may succeed later without anybody changing anything.
func (k Kind) Retryable() bool { return k == Throttled || k == Transient }

// Error is the one error type that crosses package borders.
type Error struct {
	Op   string // what was being done, e.g. "get object"; may be empty
	Key  string // object key, task id or name it was done to; quoted and capped when printed
	Kind Kind
	Code string // contract or provider code, e.g. "OMS.0066" or "SlowDown"; empty when the kind says all
	Msg  string // one sentence for the user; empty: the kind's text
	Err  error  // cause; may be nil
}

// Error returns "op "key": message (code): cause", lower case, foreign text capped and cleaned.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		if e.Key != "" {
			b.WriteByte(' ')
			b.WriteString(strconv.Quote(Clean(e.Key)))
		}
		b.WriteString(": ")
	}
	if e.Msg != "" {
		b.WriteString(Clean(e.Msg))
	} else {
		b.WriteString(e.Kind.String())
	}
	if e.Code != "" {
		b.WriteString(" (" + Clean(e.Code) + ")")
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(Clean(e.Err.Error()))
	}
	return b.String()
}

// Unwrap lets errors.Is match the kind and errors.As find the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Errorf returns an *Error of the kind whose message is formatted; code may be empty.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the outermost *Error in err's tree; Other for foreign errors and for nil.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Other
}

// CodeOf returns the code of the outermost *Error that has one, else "".
func CodeOf(err error) string {
	for e, ok := errors.AsType[*Error](err); ok; e, ok = errors.AsType[*Error](e.Err) {
		if e.Code != "" {
			return e.Code
		}
		if e.Err == nil {
			break
		}
	}
	return ""
}

// Canceled reports whether err only says that the caller's context ended.
func Canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// maxForeign is the cap of foreign text in messages, in bytes (rule S7).
const maxForeign = 256

// Clean makes foreign text (keys, upstream messages) fit for messages and logs: at most 256 bytes, control
// characters and invalid UTF-8 replaced by "?" (rule S7).
func Clean(s string) string {
	if len(s) > maxForeign {
		cut := maxForeign - len("...")
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}
