package s3

import (
	"bytes"
	"unicode/utf8"
)

// scanner walks over a page in the plain form that stores write: elements without attributes or prefixes (the
// root may have a default namespace), text without comments, sections or instructions. On anything else it gives
// up, and the caller asks encoding/xml, so that the scanner never has to be right about the rest of XML.
//
// Texts are bytes: stores that know no encoding-type write control characters, carriage returns and invalid UTF-8
// as they are, which XML forbids or changes, and which are the only way to learn such keys (rule D3).
type scanner struct {
	b       []byte
	i       int
	scratch []byte // a text with its references resolved
}

// scanPage fills p from body; false when the document is not in the plain form or cannot be right.
func scanPage(body []byte, p *pageBuilder) bool {
	s := scanner{b: body}
	if !s.prolog() || !s.root() {
		return false
	}
	for {
		s.space()
		name, empty, ok := s.open()
		if !ok {
			return s.finish()
		}
		switch {
		case string(name) == "Contents":
			ok = !empty && s.contents(p)
		case string(name) == "CommonPrefixes" && !empty:
			ok = s.skip(name, 2)
		default:
			var text []byte
			if !empty {
				text, ok = s.leaf(name)
			}
			ok = ok && p.top(string(name), text) == nil
		}
		if !ok {
			return false
		}
	}
}

// contents reads the children of a Contents element.
func (s *scanner) contents(p *pageBuilder) bool {
	p.begin()
	for {
		s.space()
		name, empty, ok := s.open()
		if !ok {
			return s.shut("Contents") && p.end() == nil
		}
		if string(name) == "Owner" || string(name) == "RestoreStatus" {
			if !empty && !s.skip(name, 3) {
				return false
			}
			continue
		}
		var text []byte
		if !empty {
			text, ok = s.leaf(name)
		}
		if !ok || p.field(fieldName(name), text) != nil {
			return false
		}
	}
}

// fieldName returns name as a string without allocating for the names of every object.
func fieldName(name []byte) string {
	switch string(name) {
	case "Key":
		return "Key"
	case "Size":
		return "Size"
	case "LastModified":
		return "LastModified"
	case "ETag":
		return "ETag"
	case "StorageClass":
		return "StorageClass"
	}
	return ""
}

// prolog passes an XML declaration for UTF-8, if there is one.
func (s *scanner) prolog() bool {
	s.space()
	rest := s.b[s.i:]
	if !bytes.HasPrefix(rest, []byte("<?xml ")) {
		return true
	}
	end := bytes.Index(rest, []byte("?>"))
	if end < 0 {
		return false
	}
	switch string(bytes.TrimSpace(rest[len("<?xml "):end])) {
	case `version="1.0" encoding="UTF-8"`, `version="1.0" encoding="utf-8"`, `version="1.0"`,
		`version='1.0' encoding='UTF-8'`, `version='1.0' encoding='utf-8'`,
		`version="1.0" encoding="UTF-8" standalone="yes"`:
		s.i += end + len("?>")
		return true
	}
	return false
}

// root passes the start tag of the document element.
func (s *scanner) root() bool {
	s.space()
	const name = "<ListBucketResult"
	rest := s.b[s.i:]
	if !bytes.HasPrefix(rest, []byte(name)) {
		return false
	}
	end := bytes.IndexByte(rest, '>')
	if end < 0 || !plainNamespace(rest[len(name):end]) {
		return false
	}
	s.i += end + 1
	return true
}

// plainNamespace accepts nothing or a default namespace as the attributes of the root.
func plainNamespace(attrs []byte) bool {
	attrs = bytes.TrimSpace(attrs)
	if len(attrs) == 0 {
		return true
	}
	uri, ok := bytes.CutPrefix(attrs, []byte(`xmlns="`))
	if !ok {
		return false
	}
	uri, ok = bytes.CutSuffix(uri, []byte(`"`))
	return ok && !bytes.ContainsAny(uri, "\"<&'")
}

// finish passes the end of the document element and what may follow it.
func (s *scanner) finish() bool {
	if !s.shut("ListBucketResult") {
		return false
	}
	s.space()
	return s.i == len(s.b)
}

// space passes white space.
func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return
		}
	}
}

// open passes a start tag and returns its name, and whether it is an empty-element tag. False when there is none.
func (s *scanner) open() (name []byte, empty, ok bool) {
	i := s.i
	if i >= len(s.b) || s.b[i] != '<' {
		return nil, false, false
	}
	i++
	from := i
	for i < len(s.b) && letter(s.b[i]) {
		i++
	}
	name = s.b[from:i]
	if i < len(s.b) && s.b[i] == '/' {
		empty = true
		i++
	}
	if i >= len(s.b) || s.b[i] != '>' || len(name) == 0 || '0' <= name[0] && name[0] <= '9' {
		return nil, false, false
	}
	s.i = i + 1
	return name, empty, true
}

// letter reports whether c may be part of a name of the plain form.
func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// shut passes the end tag of name.
func (s *scanner) shut(name string) bool {
	rest := s.b[s.i:]
	n := len(name)
	if len(rest) < n+3 || rest[0] != '<' || rest[1] != '/' || string(rest[2:2+n]) != name || rest[2+n] != '>' {
		return false
	}
	s.i += n + 3
	return true
}

// leaf passes the text and end tag of an element without children. The text is valid until the next call.
func (s *scanner) leaf(name []byte) ([]byte, bool) {
	end := bytes.IndexByte(s.b[s.i:], '<')
	if end < 0 {
		return nil, false
	}
	text := s.b[s.i : s.i+end]
	s.i += end
	if !s.shut(string(name)) {
		return nil, false
	}
	if bytes.IndexByte(text, '&') < 0 {
		return text, true
	}
	var ok bool
	s.scratch, ok = appendResolved(s.scratch[:0], text)
	return s.scratch, ok
}

// skip passes the content and end tag of an element at the given depth.
func (s *scanner) skip(name []byte, depth int) bool {
	if depth > maxXMLDepth {
		return false
	}
	for {
		end := bytes.IndexByte(s.b[s.i:], '<')
		if end < 0 {
			return false
		}
		if text := s.b[s.i : s.i+end]; bytes.IndexByte(text, '&') >= 0 {
			var ok bool
			if s.scratch, ok = appendResolved(s.scratch[:0], text); !ok {
				return false
			}
		}
		s.i += end
		child, empty, ok := s.open()
		if !ok {
			return s.shut(string(name))
		}
		if !empty && !s.skip(child, depth+1) {
			return false
		}
	}
}

// appendResolved appends text with its references resolved; false for one that is not known.
func appendResolved(dst, text []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			return append(dst, text...), true
		}
		dst = append(dst, text[:i]...)
		text = text[i+1:]
		const longest = len("#x0010FFFF")
		end := bytes.IndexByte(text[:min(len(text), longest+1)], ';')
		if end < 0 {
			return nil, false
		}
		r, ok := resolve(text[:end])
		if !ok {
			return nil, false
		}
		dst = utf8.AppendRune(dst, r)
		text = text[end+1:]
	}
}

// resolve returns the character of a reference without "&" and ";". Control characters are taken, though XML 1.0
// forbids them: stores that do not percent-encode have no other way to name such keys.
func resolve(ref []byte) (rune, bool) {
	switch string(ref) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	r, ok := charRef(ref)
	return r, ok && r > 0 && utf8.ValidRune(r) && r != 0xfffe && r != 0xffff
}

// charRef returns the number of a character reference such as #10 or #x0a; false when it is none.
func charRef(ref []byte) (rune, bool) {
	if len(ref) < 2 || ref[0] != '#' {
		return 0, false
	}
	base, num := rune(10), ref[1:]
	if num[0] == 'x' {
		base, num = 16, num[1:]
	}
	var r rune
	for _, c := range num {
		d := rune(unhex(c))
		if d >= base {
			return 0, false
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0, false
		}
	}
	return r, len(num) > 0
}

// hasSurrogateRef reports whether text refers to half a surrogate pair, as writers of UTF-16 do by mistake.
func hasSurrogateRef(text []byte) bool {
	for {
		i := bytes.Index(text, []byte("&#"))
		if i < 0 {
			return false
		}
		text = text[i+1:]
		const longest = len("#x0010FFFF")
		end := bytes.IndexByte(text[:min(len(text), longest+1)], ';')
		if end < 0 {
			continue
		}
		if r, ok := charRef(text[:end]); ok && 0xd800 <= r && r <= 0xdfff {
			return true
		}
	}
}
