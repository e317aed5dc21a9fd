package omsv2

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Error is a refusal by the service.
type Error struct {
	StatusCode int    // HTTP status
	Code       string // e.g. "OMS.1009"; empty when the answer was not one of the service
	Message    string // text for people
	RequestID  string // names the request in the service's log
}

// Error returns "message (code, status 400, request id)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	b.WriteString(" (")
	if e.Code != "" {
		b.WriteString(e.Code + ", ")
	}
	b.WriteString("status " + strconv.Itoa(e.StatusCode))
	if e.RequestID != "" {
		b.WriteString(", request " + e.RequestID)
	}
	b.WriteString(")")
	return b.String()
}

// newError reads the error that an answer with a status of 400 or more carries.
func newError(resp *http.Response, body []byte) *Error {
	e := &Error{StatusCode: resp.StatusCode, RequestID: printable(resp.Header.Get("X-Request-Id"))}
	var wire ErrorResponse
	if json.Unmarshal(body, &wire) == nil && wire.ErrorCode != "" {
		e.Code, e.Message = printable(wire.ErrorCode), printable(wire.ErrorMsg)
	}
	if e.Message == "" {
		e.Message = http.StatusText(resp.StatusCode)
	}
	return e
}

// maxForeign caps text of the other side in errors, in bytes.
const maxForeign = 1024

// printable makes text of the other side fit for a terminal: capped, control characters replaced.
func printable(s string) string {
	if len(s) > maxForeign {
		s = s[:maxForeign]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
