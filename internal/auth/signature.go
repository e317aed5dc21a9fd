package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// Bounds of what is read before the sender is known (rules S7, S8).
const (
	maxAuthorization = 8 << 10  // bytes of the header
	maxSignedHeaders = 64       // names in SignedHeaders
	maxIdentifier    = 128      // characters of an AK, a region or a header name
	maxCanonicalPath = 8 << 10  // bytes of the escaped path
	maxQuery         = 16 << 10 // bytes of the raw query
	maxQueryPairs    = 256
)

// The algorithms that are verified, as they are spelled in Authorization and in the string to sign.
const (
	algorithmSDK = "SDK-HMAC-SHA256"
	algorithmV11 = "V11-HMAC-SHA256"
)

// The headers of a signed request.
const (
	headerDate          = "X-Sdk-Date"
	headerContentSHA256 = "X-Sdk-Content-Sha256"
	headerProject       = "X-Project-Id"
	headerDomain        = "X-Domain-Id"
	headerSecurityToken = "X-Security-Token"
	headerAuthToken     = "X-Auth-Token"
	headerSubjectToken  = "X-Subject-Token"
)

const (
	dateLayout      = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// authorization is a parsed Authorization header.
type authorization struct {
	algorithm string // algorithmSDK or algorithmV11
	ak        string
	scope     string // algorithmV11: "YYYYMMDD/region/service"; else ""
	list      string // SignedHeaders as sent
	signed    []string
	mac       [sha256.Size]byte
}

var errMalformed = errors.New("authorization is malformed")

// parseAuthorization reads "SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…" and the V11 form with
// "Credential=AK/YYYYMMDD/region/service". It accepts exactly what the SDKs write: parts in this order, one
// comma and one space between them, lower-case hex. A signature therefore has one spelling only.
func parseAuthorization(h string) (authorization, error) {
	if len(h) > maxAuthorization {
		return authorization{}, errMalformed
	}
	algorithm, rest, _ := strings.Cut(h, " ")
	var label string
	switch algorithm {
	case algorithmSDK:
		label = "Access="
	case algorithmV11:
		label = "Credential="
	default:
		return authorization{}, errors.New("signing algorithm is not supported")
	}
	a := authorization{algorithm: algorithm}
	parts := strings.Split(rest, ", ")
	if len(parts) != 3 {
		return authorization{}, errMalformed
	}
	credential, ok1 := strings.CutPrefix(parts[0], label)
	list, ok2 := strings.CutPrefix(parts[1], "SignedHeaders=")
	mac, ok3 := strings.CutPrefix(parts[2], "Signature=")
	if !ok1 || !ok2 || !ok3 {
		return authorization{}, errMalformed
	}
	a.ak = credential
	if algorithm == algorithmV11 {
		a.ak, a.scope, _ = strings.Cut(credential, "/")
		if !validScope(a.scope) {
			return authorization{}, errMalformed
		}
	}
	if !validIdentifier(a.ak) || !decodeMAC(&a.mac, mac) {
		return authorization{}, errMalformed
	}
	a.list, a.signed = list, strings.Split(list, ";")
	if !validSigned(a.signed) {
		return authorization{}, errMalformed
	}
	return a, nil
}

// validScope accepts "YYYYMMDD/region/service" for the services that a client of OMS signs for.
func validScope(scope string) bool {
	parts := strings.Split(scope, "/")
	if len(parts) != 3 || len(parts[0]) != len("20060102") || !validIdentifier(parts[1]) {
		return false
	}
	return parts[2] == "oms" || parts[2] == "iam"
}

// validSigned accepts distinct lower-case header names.
func validSigned(names []string) bool {
	if len(names) > maxSignedHeaders {
		return false
	}
	for i, name := range names {
		if name == "" || len(name) > maxIdentifier || slices.Contains(names[:i], name) {
			return false
		}
		if strings.ContainsFunc(name, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
		}) {
			return false
		}
	}
	return true
}

// validIdentifier accepts AKs, project ids and region ids: 1 to 128 letters, digits, "-", "_".
func validIdentifier(s string) bool {
	return s != "" && len(s) <= maxIdentifier && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// decodeMAC reads 64 lower-case hex digits.
func decodeMAC(dst *[sha256.Size]byte, s string) bool {
	if len(s) != 2*sha256.Size || strings.ContainsAny(s, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(dst[:], []byte(s))
	return err == nil
}

// mac returns the signature of the canonical request with the hash sum under sk.
func (a *authorization) sign(sk, date string, sum [sha256.Size]byte) ([]byte, error) {
	key := []byte(sk)
	text := a.algorithm + "\n" + date + "\n"
	if a.algorithm == algorithmV11 {
		derived, err := hkdf.Key(sha256.New, key, []byte(a.ak), a.scope, sha256.Size)
		if err != nil {
			return nil, err
		}
		key = hex.AppendEncode(nil, derived) // the hex text itself is the key
		text += a.scope + "\n"
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	h.Write(hex.AppendEncode(nil, sum[:]))
	return h.Sum(nil), nil
}

// canonicalHash returns the SHA-256 of the canonical request (OMS v2, 1.4, steps 1 to 7). The request must be
// as it was received; payload is the last line.
func canonicalHash(r *http.Request, a *authorization, payload string) ([sha256.Size]byte, error) {
	buf := make([]byte, 0, 1024)
	buf = append(append(buf, r.Method...), '\n')
	buf, err := appendCanonicalPath(buf, r.URL.EscapedPath())
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	buf = append(buf, '\n')
	buf, err = appendCanonicalQuery(buf, r.URL.RawQuery)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	buf = append(buf, '\n')
	for _, name := range a.signed {
		value, ok := signedValue(r, name)
		if !ok {
			return [sha256.Size]byte{}, errors.New("a signed header is missing or repeated")
		}
		buf = append(append(append(append(buf, name...), ':'), strings.TrimSpace(value)...), '\n')
	}
	buf = append(append(append(buf, '\n'), a.list...), '\n')
	return sha256.Sum256(append(buf, payload...)), nil
}

// signedValue returns the only value of the header as it was received. A header that came twice has no
// agreed canonical form and is refused.
func signedValue(r *http.Request, name string) (string, bool) {
	if name == "host" {
		return r.Host, r.Host != ""
	}
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// appendCanonicalPath appends the canonical form of a received path: every segment decoded once and escaped
// again, and "/" at the end. Only paths whose canonical form names one route are accepted: no empty, "." or
// ".." segments (routers clean those away) and no "/" at the end (the canonical form adds one, so that
// "/x" and "/x/" would share a signature).
func appendCanonicalPath(buf []byte, escaped string) ([]byte, error) {
	if escaped == "/" {
		return append(buf, '/'), nil
	}
	if len(escaped) > maxCanonicalPath || !strings.HasPrefix(escaped, "/") {
		return nil, errPath
	}
	for segment := range strings.SplitSeq(escaped[1:], "/") {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." {
			return nil, errPath
		}
		buf = appendEscaped(append(buf, '/'), decoded)
	}
	return append(buf, '/'), nil
}

var (
	errPath  = errors.New("path cannot be verified")
	errQuery = errors.New("query cannot be verified")
)

// appendCanonicalQuery appends the canonical form of a received query: decoded pairs sorted by key and value,
// escaped again. What the standard library would drop silently when it parses the query (";", bad escapes) is
// refused, so that the query that was signed is the one that handlers see.
func appendCanonicalQuery(buf []byte, raw string) ([]byte, error) {
	if raw == "" {
		return buf, nil
	}
	if len(raw) > maxQuery || strings.Contains(raw, ";") || strings.Count(raw, "&") >= maxQueryPairs {
		return nil, errQuery
	}
	var pairs [][2]string
	for pair := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil || key == "" {
			return nil, errQuery
		}
		pairs = append(pairs, [2]string{key, value})
	}
	slices.SortFunc(pairs, func(x, y [2]string) int {
		if c := strings.Compare(x[0], y[0]); c != 0 {
			return c
		}
		return strings.Compare(x[1], y[1])
	})
	for i, p := range pairs {
		if i > 0 {
			buf = append(buf, '&')
		}
		buf = appendEscaped(append(appendEscaped(buf, p[0]), '='), p[1])
	}
	return buf, nil
}

// appendEscaped percent-encodes every byte but A-Z a-z 0-9 "_" "-" "~" "." with upper-case hex.
func appendEscaped(buf []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '~', c == '.':
			buf = append(buf, c)
		default:
			buf = append(buf, '%', digits[c>>4], digits[c&15])
		}
	}
	return buf
}

// payloadLine returns the last line of the canonical request for a body that came with the header
// X-Sdk-Content-Sha256 claimed. Only the literal that leaves the body unsigned is taken over: any other claim
// must be the body's hash, else the signature, made over the claim, does not match.
func payloadLine(body []byte, claimed string) string {
	if claimed == unsignedPayload {
		return claimed
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
