package omsv2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// algorithm is the only signature scheme of the client (OMS v2, 1.4).
const algorithm = "SDK-HMAC-SHA256"

// dateLayout is that of X-Sdk-Date.
const dateLayout = "20060102T150405Z"

// sign sets X-Sdk-Date and Authorization on r. The signature covers the named headers, which are lower case and
// must be set already, X-Sdk-Date and body.
func sign(r *http.Request, body []byte, accessKey string, secretKey Secret, now time.Time, headers ...string) {
	date := now.UTC().Format(dateLayout)
	r.Header.Set("X-Sdk-Date", date)
	signed := append(slices.Clone(headers), "x-sdk-date")
	slices.Sort(signed)
	list := strings.Join(signed, ";")

	request := sha256.Sum256([]byte(canonicalRequest(r, body, signed)))
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write([]byte(algorithm + "\n" + date + "\n" + hex.EncodeToString(request[:])))
	signature := hex.EncodeToString(mac.Sum(nil))
	r.Header.Set("Authorization", algorithm+" Access="+accessKey+", SignedHeaders="+list+", Signature="+signature)
}

// canonicalRequest is what the signature covers (OMS v2, 1.4, steps 1 to 7).
func canonicalRequest(r *http.Request, body []byte, signed []string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL.EscapedPath()) + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = hostOf(r)
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	sum := sha256.Sum256(body)
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(sum[:]))
	return b.String()
}

// hostOf returns the host that goes on the wire.
func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// canonicalPath escapes each segment of the received path anew and ends with a slash.
func canonicalPath(escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil {
			segments[i] = escape(decoded)
		}
	}
	return strings.TrimSuffix(strings.Join(segments, "/"), "/") + "/"
}

// canonicalQuery sorts by key and value; a key without a value keeps its equals sign.
func canonicalQuery(q url.Values) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(q)) {
		values := slices.Sorted(slices.Values(q[key]))
		for _, v := range values {
			pairs = append(pairs, escape(key)+"="+escape(v))
		}
	}
	return strings.Join(pairs, "&")
}

// escape percent-encodes every byte but letters, digits and _ - ~ . with upper-case digits.
func escape(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("_-~.", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
