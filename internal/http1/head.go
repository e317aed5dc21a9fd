package http1

import "strings"

// Field is one line of a head; Name is spelled as the server did, Value is without the white space around it.
type Field struct{ Name, Value string }

// Fields are the lines of a head in the order in which they came.
type Fields []Field

// Get returns the value of the first field of that name, regardless of case; "" when there is none.
func (f Fields) Get(name string) string {
	for i := range f {
		if len(f[i].Name) == len(name) && strings.EqualFold(f[i].Name, name) {
			return f[i].Value
		}
	}
	return ""
}

// Malformed is the error of an answer that is not HTTP/1.1 as this package wants it. Its text says which rule was
// broken and holds nothing of what the server sent.
type Malformed struct{ Rule string }

// Error implements error.
func (m *Malformed) Error() string { return "malformed answer: " + m.Rule }

// The rules of an answer.
var (
	errStatusLine  = &Malformed{"status line"}
	errVersion     = &Malformed{"version"}
	errLineEnd     = &Malformed{"line end without CR"}
	errFold        = &Malformed{"folded line"}
	errName        = &Malformed{"name of a field"}
	errValue       = &Malformed{"control character in a value"}
	errLength      = &Malformed{"Content-Length"}
	errTwoLengths  = &Malformed{"more than one Content-Length"}
	errCoding      = &Malformed{"Transfer-Encoding"}
	errBoth        = &Malformed{"both Content-Length and Transfer-Encoding"}
	errHeadSize    = &Malformed{"head too large"}
	errManyFields  = &Malformed{"too many fields"}
	errManyInterim = &Malformed{"too many interim answers"}
	errSwitch      = &Malformed{"switch of protocols"}
	errChunkLine   = &Malformed{"size of a chunk"}
	errChunkEnd    = &Malformed{"end of a chunk"}
	errNothing     = &Malformed{"empty reads"}
)

// head is a parsed head.
type head struct {
	status  int
	fields  Fields
	length  int64 // Content-Length; -1 when not told
	chunked bool
	close   bool // the server will close the connection
	old     bool // HTTP/1.0
}

// parse reads text, a head with the blank line that ends it; every line ends with CR LF. The fields are parts of
// text; the memory of h.fields is used again.
func (h *head) parse(text string) error {
	*h = head{fields: h.fields[:0], length: -1}
	line, rest := cutLine(text)
	if err := h.statusLine(line); err != nil {
		return err
	}
	for {
		line, rest = cutLine(rest)
		if line == "" {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		if len(h.fields) == maxFields {
			return errManyFields
		}
		h.fields = append(h.fields, f)
		if err := h.note(f); err != nil {
			return err
		}
	}
	return h.check()
}

// cutLine cuts the first line off text, without its CR LF.
func cutLine(text string) (line, rest string) {
	i := strings.IndexByte(text, '\n')
	if i < 1 {
		return "", ""
	}
	return text[:i-1], text[i+1:]
}

// statusLine reads "HTTP/1.1 200 OK"; the reason may be missing.
func (h *head) statusLine(line string) error {
	const version = "HTTP/1."
	if len(line) < len("HTTP/1.1 200") || line[:len(version)] != version || line[8] != ' ' {
		return errStatusLine
	}
	switch line[7] {
	case '1':
	case '0':
		h.old, h.close = true, true
	default:
		return errVersion
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return errStatusLine
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' || !validValue(line) {
		return errStatusLine
	}
	return nil
}

// parseField reads "Name: value".
func parseField(line string) (Field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return Field{}, errFold
	}
	colon := strings.IndexByte(line, ':')
	if colon < 1 || !validName(line[:colon]) {
		return Field{}, errName
	}
	value := trim(line[colon+1:])
	if !validValue(value) {
		return Field{}, errValue
	}
	return Field{line[:colon], value}, nil
}

// trim removes optional white space.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// note takes what a field says about the frame of the answer.
func (h *head) note(f Field) error {
	switch len(f.Name) {
	case len("Connection"):
		if strings.EqualFold(f.Name, "Connection") {
			h.close = h.close || hasToken(f.Value, "close")
		}
	case len("Content-Length"):
		if strings.EqualFold(f.Name, "Content-Length") {
			return h.noteLength(f.Value)
		}
	case len("Transfer-Encoding"):
		if strings.EqualFold(f.Name, "Transfer-Encoding") {
			if h.chunked || !strings.EqualFold(f.Value, "chunked") {
				return errCoding
			}
			h.chunked = true
		}
	}
	return nil
}

// noteLength takes a Content-Length: digits, within int64.
func (h *head) noteLength(v string) error {
	if h.length >= 0 {
		return errTwoLengths
	}
	if v == "" || len(v) > 19 {
		return errLength
	}
	var n uint64
	for _, c := range []byte(v) {
		if c < '0' || c > '9' {
			return errLength
		}
		n = n*10 + uint64(c-'0')
	}
	if n > 1<<63-1 {
		return errLength
	}
	h.length = int64(n)
	return nil
}

// check looks at the frame as a whole.
func (h *head) check() error {
	switch {
	case h.chunked && h.length >= 0:
		return errBoth
	case h.chunked && (h.old || bodyless(h.status)):
		return errCoding
	}
	return nil
}

// bodyless reports statuses whose answers have no body.
func bodyless(status int) bool { return status < 200 || status == 204 || status == 304 }

// hasToken reports whether a comma-separated list holds the token.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(trim(item), token) {
			return true
		}
	}
	return false
}

// validName reports whether s is a token.
func validName(s string) bool {
	for i := range len(s) {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

func isToken(c byte) bool {
	// One bit for each character below 128 that may be part of a token (RFC 9110, 5.6.2).
	const low, high = 0x03ff6cfa00000000, 0x57ffffffc7fffffe
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && uint64(high)>>(c-64)&1 != 0
}

// validValue reports whether s holds no control characters but tabs.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// AppendField appends a line of a request's head; false when name or value cannot be sent, and nothing is appended
// then.
func AppendField(dst []byte, name, value string) ([]byte, bool) {
	if !validName(name) || !validValue(value) {
		return dst, false
	}
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...), true
}
