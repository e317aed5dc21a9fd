package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// maxDepth is how deep JSON may nest (rule S8).
const maxDepth = 32

// fields reads the members of one JSON object by name, as OMS v2, 1.3 wants it: names in exact case, null is
// missing, unknown members are ignored, of repeated members the last one counts. The first violation is kept
// in err and the methods return zero values from then on, so that callers check once. Messages name the member
// and never show its value.
type fields struct {
	members map[string]any
	path    string // "src_node." in front of the names of a nested object's members
	err     *error // shared with nested objects
}

// decodeBody returns the members of a request body: OMS.0067 when it is no JSON, OMS.1010 when it is JSON but
// no object. A body of null has no members.
func decodeBody(body []byte) (fields, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return fields{}, oms.Errorf(oms.Invalid, "OMS.0067", "The request body is not JSON in UTF-8.")
	}
	if err := scanJSON(body); err != nil {
		return fields{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fields{}, oms.Errorf(oms.Invalid, "OMS.0067", "The request body is not JSON in UTF-8.")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fields{}, oms.Errorf(oms.Invalid, "OMS.0067", "The request body is not JSON in UTF-8.")
	}
	members, ok := v.(map[string]any)
	if !ok && v != nil {
		return fields{}, oms.Errorf(oms.Invalid, "OMS.1010", "The request body must be a JSON object.")
	}
	return fields{members: members, err: new(error)}, nil
}

// scanJSON refuses valid JSON that nests too deep, and strings with half a surrogate pair: the decoder would
// replace it, and an object name would become another (rule D3).
func scanJSON(body []byte) error {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return oms.Errorf(oms.Invalid, "OMS.1003", "The request body nests deeper than %d levels.", maxDepth)
			}
		case '}', ']':
			depth--
		case '"':
			n := stringLength(body[i:])
			if halfSurrogate(body[i : i+n]) {
				return oms.Errorf(oms.Invalid, "OMS.0067", "A string of the request body is not valid Unicode.")
			}
			i += n - 1
		}
	}
	return nil
}

// stringLength returns the bytes of the JSON string that s starts with, quotes included.
func stringLength(s []byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// halfSurrogate reports whether a valid JSON string escapes a surrogate that is not half of a pair.
func halfSurrogate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] != 'u' {
			continue
		}
		switch code := hex4(s[i+1:]); {
		case code >= 0xDC00 && code < 0xE000:
			return true
		case code >= 0xD800 && code < 0xDC00:
			rest := s[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
				return true
			}
			if low := hex4(rest[2:]); low < 0xDC00 || low >= 0xE000 {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

// hex4 returns the number that four hex digits write.
func hex4(s []byte) uint64 {
	n, err := strconv.ParseUint(string(s[:4]), 16, 16)
	if err != nil {
		return 0 // not in valid JSON
	}
	return n
}

// failed reports whether a violation was found.
func (f fields) failed() bool { return *f.err != nil }

// refuse keeps the first violation.
func (f fields) refuse(code, format string, args ...any) {
	if !f.failed() {
		*f.err = oms.Errorf(oms.Invalid, code, format, args...)
	}
}

// unsupported refuses a member that the contract has and this version of the service has not.
func (f fields) unsupported(name string) {
	f.refuse("OMS.1003", "The field %s is not supported by this version of the service.", f.path+name)
}

// value returns the member, or nil when it is missing, null, or something was refused before.
func (f fields) value(name string) any {
	if f.failed() {
		return nil
	}
	return f.members[name]
}

// has reports whether the member is there and not null.
func (f fields) has(name string) bool { return f.value(name) != nil }

// require refuses a missing member.
func (f fields) require(name string) {
	if !f.has(name) {
		f.refuse("OMS.1004", "The field %s is mandatory.", f.path+name)
	}
}

// text returns an optional string of at most limit characters.
func (f fields) text(name string, limit int) string {
	switch v := f.value(name).(type) {
	case nil:
	case string:
		if utf8.RuneCountInString(v) <= limit {
			return v
		}
		f.refuse("OMS.1003", "The field %s must have at most %d characters.", f.path+name, limit)
	default:
		f.refuse("OMS.1010", "The field %s must be a string.", f.path+name)
	}
	return ""
}

// word returns a mandatory string of 1 to limit characters.
func (f fields) word(name string, limit int) string {
	f.require(name)
	v := f.text(name, limit)
	if v == "" {
		f.refuse("OMS.1003", "The field %s must have 1 to %d characters.", f.path+name, limit)
	}
	return v
}

// line returns an optional string of at most limit characters without control characters.
func (f fields) line(name string, limit int) string {
	v := f.text(name, limit)
	if strings.ContainsFunc(v, isControl) {
		f.refuse("OMS.1003", "The field %s must not contain control characters.", f.path+name)
	}
	return v
}

// key returns a mandatory access or secret key of 1 to 100 characters.
func (f fields) key(name string) oms.Secret {
	v := f.word(name, maxKey)
	f.line(name, maxKey)
	return oms.NewSecret(v)
}

// integer returns an optional whole number from low to high, and whether it is there.
func (f fields) integer(name string, low, high int64) (n int64, ok bool) {
	v := f.value(name)
	if v == nil {
		return 0, false
	}
	return f.whole(name, v, low, high)
}

// whole checks that v is a whole number from low to high.
func (f fields) whole(name string, v any, low, high int64) (n int64, ok bool) {
	number, isNumber := v.(json.Number)
	if !isNumber || strings.ContainsAny(number.String(), ".eE") {
		f.refuse("OMS.1010", "The field %s must be a whole number.", f.path+name)
		return 0, false
	}
	n, err := number.Int64()
	if err == nil && n >= low && n <= high {
		return n, true
	}
	switch {
	case high < math.MaxInt64:
		f.refuse("OMS.1003", "The field %s must be %d to %d.", f.path+name, low, high)
	case err != nil && !strings.HasPrefix(number.String(), "-"):
		f.refuse("OMS.1003", "The field %s is too large: it must be at most %d.", f.path+name, high)
	default:
		f.refuse("OMS.1003", "The field %s must be at least %d.", f.path+name, low)
	}
	return 0, false
}

// truth returns an optional bool, false when it is missing.
func (f fields) truth(name string) bool {
	switch v := f.value(name).(type) {
	case nil:
	case bool:
		return v
	default:
		f.refuse("OMS.1010", "The field %s must be true or false.", f.path+name)
	}
	return false
}

// object returns a nested object; one that is missing has no members.
func (f fields) object(name string) fields {
	nested := fields{path: f.path + name + ".", err: f.err}
	switch v := f.value(name).(type) {
	case nil:
	case map[string]any:
		nested.members = v
	default:
		f.refuse("OMS.1010", "The field %s must be an object.", f.path+name)
	}
	return nested
}

// array returns the elements of an optional array.
func (f fields) array(name string) []any {
	switch v := f.value(name).(type) {
	case nil:
	case []any:
		return v
	default:
		f.refuse("OMS.1010", "The field %s must be an array.", f.path+name)
	}
	return nil
}

// objects returns the elements of an optional array of objects.
func (f fields) objects(name string) []fields {
	var out []fields
	for i := range f.array(name) {
		out = append(out, f.element(name, i).object(at(name, i)))
	}
	return out
}

// texts returns the elements of an optional array of at most count strings of at most limit characters.
func (f fields) texts(name string, count, limit int) []string {
	values := f.array(name)
	if len(values) > count {
		f.refuse("OMS.1003", "The field %s must have at most %d elements.", f.path+name, count)
		return nil
	}
	var out []string
	for i := range values {
		e := f.element(name, i)
		e.require(at(name, i))
		out = append(out, e.text(at(name, i), limit))
	}
	return out
}

// element returns an array element as the member of an object, so that it is checked like one. Its name is
// at(name, i).
func (f fields) element(name string, i int) fields {
	values := f.array(name)
	if i >= len(values) {
		return f
	}
	return fields{members: map[string]any{at(name, i): values[i]}, path: f.path, err: f.err}
}

// at names an array element in messages.
func at(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

// choice returns an optional string that is one of the allowed ones, or byDefault when it is missing.
func choice[T ~string](f fields, name string, byDefault T, allowed ...T) T {
	if !f.has(name) {
		return byDefault
	}
	v := T(f.text(name, math.MaxInt))
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if v == a {
			return v
		}
		names[i] = string(a)
	}
	f.refuse("OMS.1003", "The field %s must be one of %s.", f.path+name, strings.Join(names, ", "))
	return byDefault
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
