package testcloud

import "time"

const (
	xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlNS   = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
)

// appendText appends s as character data. Control characters and invalid UTF-8 go out raw, which is not
// XML: real stores do no better, and encoding-type=url exists for that reason.
func appendText[S []byte | string](dst []byte, s S) []byte {
	start := 0
	for i := range len(s) {
		var esc string
		switch s[i] {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '"':
			esc = "&quot;"
		case '\'':
			esc = "&#39;"
		case '\r':
			esc = "&#13;"
		default:
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, esc...)
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// appendURL appends s as AWS does under encoding-type=url: form encoding that leaves slashes alone.
func appendURL[S []byte | string](dst []byte, s S) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '*', c == '/':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

// keyEncoder writes keys and prefixes of a listing.
type keyEncoder struct{ url bool }

// append appends <name>key</name>.
func (e keyEncoder) append(dst []byte, name string, key []byte) []byte {
	dst = append(append(append(dst, '<'), name...), '>')
	if e.url {
		dst = appendURL(dst, key)
	} else {
		dst = appendText(dst, key)
	}
	return append(append(append(dst, '<', '/'), name...), '>')
}

// appendElem appends <name>text</name>.
func appendElem(dst []byte, name, text string) []byte {
	dst = append(append(append(dst, '<'), name...), '>')
	dst = appendText(dst, text)
	return append(append(append(dst, '<', '/'), name...), '>')
}

// appendTime appends an instant as listings show it.
func (p *Profile) appendTime(dst []byte, t time.Time) []byte {
	if p.ListMillis {
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	return append(t.AppendFormat(dst, "2006-01-02T15:04:05"), ".000Z"...)
}
