package azblob

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// header is one header of a request; names are in lower case.
type header struct{ name, value string }

// param is a parameter of a query, not yet encoded.
type param struct{ name, value string }

// signer makes SharedKey signatures. It is safe for concurrent use.
type signer struct {
	account string
	key     []byte
}

// authorization returns the value of the Authorization header. path is as it is sent; headers hold all that is sent but
// Host, Authorization and Content-Length.
func (s signer) authorization(method, path string, query []param, headers []header, size int64) string {
	b := make([]byte, 0, 512)
	b = append(b, method...)
	length := ""
	if size > 0 {
		length = strconv.FormatInt(size, 10)
	}
	value := func(name string) string {
		for _, h := range headers {
			if h.name == name {
				return h.value
			}
		}
		return ""
	}
	for _, v := range []string{
		value("content-encoding"), value("content-language"), length, value("content-md5"), value("content-type"),
		"", // x-ms-date stands for it
		value("if-modified-since"), value("if-match"), value("if-none-match"), value("if-unmodified-since"), value("range"),
	} {
		b = append(b, '\n')
		b = append(b, v...)
	}
	b = append(b, '\n')
	b = appendCanonicalHeaders(b, headers)
	b = append(b, '/')
	b = append(b, s.account...)
	b = append(b, path...)
	b = appendCanonicalQuery(b, query)

	mac := hmac.New(sha256.New, s.key)
	mac.Write(b)
	return "SharedKey " + s.account + ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// appendCanonicalHeaders appends the x-ms- headers in the order of the service.
func appendCanonicalHeaders(b []byte, headers []header) []byte {
	own := make([]header, 0, len(headers))
	for _, h := range headers {
		if strings.HasPrefix(h.name, "x-ms-") {
			own = append(own, h)
		}
	}
	slices.SortFunc(own, func(a, b header) int { return compareNames(a.name, b.name) })
	for _, h := range own {
		b = append(b, h.name...)
		b = append(b, ':')
		b = append(b, strings.TrimSpace(h.value)...)
		b = append(b, '\n')
	}
	return b
}

// compareNames orders header names as the service does, by the rules of English text: hyphens do not count at first,
// "_" comes before digits, and digits before letters.
func compareNames(a, b string) int {
	i, j := 0, 0
	for {
		for i < len(a) && a[i] == '-' {
			i++
		}
		for j < len(b) && b[j] == '-' {
			j++
		}
		switch {
		case i == len(a) || j == len(b):
			if i == len(a) && j == len(b) {
				return strings.Compare(a, b)
			}
			return (len(a) - i) - (len(b) - j)
		case a[i] != b[j]:
			return weight(a[i]) - weight(b[j])
		}
		i++
		j++
	}
}

func weight(c byte) int {
	if c == '_' {
		return 0
	}
	return int(c)
}

// appendCanonicalQuery appends the parameters, decoded, in order of name.
func appendCanonicalQuery(b []byte, query []param) []byte {
	sorted := slices.Clone(query)
	slices.SortFunc(sorted, func(x, y param) int { return strings.Compare(strings.ToLower(x.name), strings.ToLower(y.name)) })
	for _, p := range sorted {
		b = append(b, '\n')
		b = append(b, strings.ToLower(p.name)...)
		b = append(b, ':')
		b = append(b, p.value...)
	}
	return b
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s percent-encoded but for unreserved characters and those in keep; nothing is cleaned.
func appendEscaped(dst []byte, s, keep string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// encode returns the query as it is sent.
func encode(query []param) string {
	var b []byte
	for i, p := range query {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = appendEscaped(b, p.value, "")
	}
	return string(b)
}
