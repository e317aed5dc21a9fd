package s3

// upperHex are the digits of percent-encoding; SigV4 wants upper case.
const upperHex = "0123456789ABCDEF"

// unreserved reports whether SigV4 leaves c as it is in paths and queries.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

// appendPath appends key as a path: each byte but the unreserved ones and "/" percent-encoded, once; nothing is
// cleaned, so that "//", "." and ".." survive (rule D3).
func appendPath(dst []byte, key string) []byte {
	for i := range len(key) {
		c := key[i]
		if c == '/' || unreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// appendQuery appends s as the name or value of a query parameter.
func appendQuery(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if unreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// query builds a query in canonical form; parameters are added in ascending order of name.
type query []byte

// add appends name=value, the value encoded.
func (q query) add(name, value string) query {
	if len(q) > 0 {
		q = append(q, '&')
	}
	q = append(q, name...)
	q = append(q, '=')
	return appendQuery(q, value)
}
