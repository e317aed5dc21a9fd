package listfile

import (
	"bytes"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Form says what the lines of a file are.
type Form uint8

// The forms.
const (
	Names Form = iota + 1 // names of source objects
	URLs                  // URL, tab, name at the destination
)

// parsed is one line, as parts of a buffer that the next line reuses.
type parsed struct {
	url  string
	name []byte
}

// parse reads a line without its end. scratch is memory for the decoded name. problem is why the line cannot be read,
// "" when it can.
func (f Form) parse(line []byte, scratch *[]byte) (p parsed, problem string) {
	if problem := checkText(line); problem != "" {
		return p, problem
	}
	name := line
	first := bytes.IndexByte(line, '\t')
	switch {
	case f == URLs:
		if first < 0 || bytes.IndexByte(line[first+1:], '\t') >= 0 {
			return p, "it is not a URL and a name with one tab between them"
		}
		if p.url, problem = parseURL(string(line[:first])); problem != "" {
			return p, problem
		}
		name = line[first+1:]
	case first >= 0:
		if !ownColumns(line[first+1:]) {
			return p, "it is not one name: a tab in a name is written %09"
		}
		name = line[:first]
	}
	p.name, problem = decodeName(name, scratch)
	return p, problem
}

// ownColumns reports whether what follows a name is the size and the time of this service's own lists.
func ownColumns(rest []byte) bool {
	size, at, ok := bytes.Cut(rest, []byte{'\t'})
	return ok && len(size) > 0 && len(bytes.Trim(size, "0123456789")) == 0 && bytes.IndexByte(at, '\t') < 0
}

// checkText refuses what is no text in UTF-8, a tab aside.
func checkText(line []byte) (problem string) {
	ascii := true
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			if c == 0 {
				return "it has a NUL byte: the file must be text in UTF-8"
			}
			return "it has a control character, which must be percent-encoded"
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(line) {
		return "it is not UTF-8"
	}
	return ""
}

// decodeName decodes a name once, into scratch where it is not the same text.
func decodeName(name []byte, scratch *[]byte) (decoded []byte, problem string) {
	switch {
	case len(name) == 0:
		return nil, "its name is empty"
	case name[0] == ' ' || name[len(name)-1] == ' ':
		return nil, "its name begins or ends with a blank, which must be written %20"
	}
	escape := bytes.IndexByte(name, '%')
	if escape < 0 {
		return name, ""
	}
	decoded = append((*scratch)[:0], name[:escape]...)
	for i := escape; i < len(name); i++ {
		c := name[i]
		if c == '%' {
			if i+2 >= len(name) || !isHex(name[i+1]) || !isHex(name[i+2]) {
				return nil, "its name has a % that starts no escape; a percent sign is written %25"
			}
			if c = unHex(name[i+1])<<4 | unHex(name[i+2]); c == 0 {
				return nil, "its name has a NUL byte"
			}
			i += 2
		}
		decoded = append(decoded, c)
	}
	*scratch = decoded
	return decoded, ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unHex returns the value of a hex digit.
func unHex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// parseURL returns the URL as it is requested, in ASCII.
func parseURL(text string) (ready, problem string) {
	if strings.IndexByte(text, ' ') >= 0 {
		return "", "its URL has a blank, which must be written %20"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", "its URL cannot be read"
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "its URL does not begin with http:// or https://"
	case u.Opaque != "" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return "", "its URL has no host, or an empty port"
	case u.User != nil:
		return "", "its URL has a user name or password"
	case strings.IndexByte(text, '#') >= 0:
		return "", "its URL has a fragment; a # in a path is written %23"
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }):
		return "", "its URL has a host that is not ASCII; write it in its xn-- form"
	case !escaped(text):
		return "", "its URL has a % that starts no escape; a percent sign is written %25"
	}
	return encodeRest(text), ""
}

// escaped reports whether every % starts an escape; net/url looks at the path only.
func escaped(text string) bool {
	for i := range len(text) {
		if text[i] == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])) {
			return false
		}
	}
	return true
}

// encodeRest percent-encodes the bytes beyond ASCII.
func encodeRest(text string) string {
	const hex = "0123456789ABCDEF"
	n := 0
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			n++
		}
	}
	if n == 0 {
		return text
	}
	b := make([]byte, 0, len(text)+2*n)
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
