package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// query reads the parameters of a request like fields reads a body: unknown ones are ignored and the first
// violation is kept.
type query struct {
	values url.Values
	err    error
}

// readQuery returns the parameters; OMS.0004 when they are not well encoded.
func readQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &query{err: oms.Errorf(oms.Invalid, "OMS.0004", "The query of the request is malformed.")}
	}
	return &query{values: values}
}

func (q *query) refuse(code, format string, args ...any) {
	if q.err == nil {
		q.err = oms.Errorf(oms.Invalid, code, format, args...)
	}
}

// raw returns a parameter and whether it was given. Given twice it is refused.
func (q *query) raw(name string) (string, bool) {
	values := q.values[name]
	if len(values) > 1 {
		q.refuse("OMS.1003", "The parameter %s must be given once.", name)
	}
	if q.err != nil || len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// text returns a parameter of low to high characters, "" when it is missing.
func (q *query) text(name string, low, high int) string {
	v, ok := q.raw(name)
	if !ok {
		return ""
	}
	if n := utf8.RuneCountInString(v); n < low || n > high {
		q.refuse("OMS.1003", "The parameter %s must have %d to %d characters.", name, low, high)
	}
	if !utf8.ValidString(v) || strings.ContainsFunc(v, isControl) {
		q.refuse("OMS.1003", "The parameter %s contains characters that are not allowed.", name)
	}
	return v
}

// page returns limit and offset of a list, which has at most farthest as offset (OMS v2, 4.3, 4.11 and 4.19).
func (q *query) page(farthest int64) (limit, offset int) {
	return int(q.number("limit", 1, maxPage, defaultPage)), int(q.number("offset", 0, farthest, 0))
}

// number returns a parameter from low to high, byDefault when it is missing.
func (q *query) number(name string, low, high, byDefault int64) int64 {
	v, ok := q.raw(name)
	if !ok {
		return byDefault
	}
	if strings.Trim(strings.TrimPrefix(v, "-"), "0123456789") != "" || v == "" || v == "-" {
		q.refuse("OMS.1010", "The parameter %s must be a whole number.", name)
		return byDefault
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		q.refuse("OMS.1003", "The parameter %s must be %d to %d.", name, low, high)
		return byDefault
	}
	return n
}
