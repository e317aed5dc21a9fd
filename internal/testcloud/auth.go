package testcloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sigAlgorithm    = "AWS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	amzDateFormat   = "20060102T150405Z"
	maxSkew         = 15 * time.Minute
)

// A Credential may use the store.
type Credential struct {
	AccessKey    string
	SecretKey    string
	SessionToken string // when set, requests must carry it
	// Deny refuses what it returns true for with AccessDenied; nil allows everything.
	Deny func(op Op, bucket, key string) bool
}

// ReadOnly is a [Credential] Deny rule that refuses every operation that writes.
func ReadOnly(op Op, _, _ string) bool { return op.Writes() }

// DenyBucket returns a [Credential] Deny rule that refuses everything in the named buckets.
func DenyBucket(names ...string) func(op Op, bucket, key string) bool {
	return func(_ Op, bucket, _ string) bool { return slices.Contains(names, bucket) }
}

// SetCredential adds a credential, or replaces the one with the same access key, from the next request on.
func (c *Cloud) SetCredential(cred Credential) {
	c.creds.mu.Lock()
	defer c.creds.mu.Unlock()
	if c.creds.byKey == nil {
		c.creds.byKey = map[string]Credential{}
	}
	c.creds.byKey[cred.AccessKey] = cred
}

// Revoke makes an access key unknown from the next request on.
func (c *Cloud) Revoke(accessKey string) {
	c.creds.mu.Lock()
	defer c.creds.mu.Unlock()
	delete(c.creds.byKey, accessKey)
}

type credentials struct {
	mu    sync.RWMutex
	byKey map[string]Credential
}

func (cs *credentials) get(accessKey string) (Credential, bool) {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	cred, ok := cs.byKey[accessKey]
	return cred, ok
}

// authorization is a parsed Authorization header.
type authorization struct {
	accessKey string
	date      string // yyyymmdd
	region    string
	service   string
	signed    []string // names of the signed headers, as sent
	signature string
}

// parseAuthorization reads a SigV4 Authorization header.
func parseAuthorization(header string) (authorization, error) {
	var a authorization
	rest, ok := strings.CutPrefix(header, sigAlgorithm)
	if !ok {
		return a, errAccessDenied
	}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			// the access key itself may hold slashes, the four last fields do not
			scope := strings.Split(value, "/")
			n := len(scope)
			if n < 5 || scope[n-1] != "aws4_request" {
				return a, errAuthMalformed
			}
			a.accessKey = strings.Join(scope[:n-4], "/")
			a.date, a.region, a.service = scope[n-4], scope[n-3], scope[n-2]
		case "SignedHeaders":
			a.signed = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	if a.accessKey == "" || len(a.signed) == 0 || a.signature == "" {
		return a, errAuthMalformed
	}
	return a, nil
}

// authenticate verifies the signature of the request and what its credential may do.
func (c *call) authenticate() error {
	header := c.r.Header.Get("Authorization")
	if token, ok := bearer(c.r.Header); ok && c.byToken {
		return c.admit(token)
	}
	if header == "" {
		return errAccessDenied
	}
	a, err := parseAuthorization(header)
	if err != nil {
		return err
	}
	cred, known := c.cloud.creds.get(a.accessKey)
	if !known {
		return errInvalidAccessKey
	}
	c.accKey = a.accessKey
	if a.service != "s3" || a.region != c.cloud.region {
		return errAuthMalformed.because("The authorization header is malformed; the region '" + a.region + "' is wrong; expecting '" + c.cloud.region + "'")
	}
	amzDate := c.r.Header.Get("X-Amz-Date")
	at, err := time.Parse(amzDateFormat, amzDate)
	if err != nil || !strings.HasPrefix(amzDate, a.date) {
		return errAccessDenied.because("AWS authentication requires a valid Date or x-amz-date header")
	}
	if skew := c.cloud.clock().Sub(at); skew > maxSkew || skew < -maxSkew {
		return errSkewed
	}
	if err := c.checkSigned(a.signed); err != nil {
		return err
	}
	payload := c.r.Header.Get("X-Amz-Content-Sha256")
	if err := checkPayload(payload); err != nil {
		return err
	}
	canonical, err := c.canonicalRequest(a.signed, payload)
	if err != nil {
		return err
	}
	want := a.sign(cred.SecretKey, amzDate, canonical)
	if !hmac.Equal([]byte(want), []byte(a.signature)) {
		return errSignature
	}
	if token := c.r.Header.Get("X-Amz-Security-Token"); !hmac.Equal([]byte(token), []byte(cred.SessionToken)) {
		return errInvalidToken
	}
	if cred.Deny != nil && cred.Deny(c.op, c.bucket, c.key) {
		return errAccessDenied
	}
	return nil
}

// checkSigned demands that host, x-amz-date and every other x-amz header are signed.
func (c *call) checkSigned(signed []string) error {
	if !slices.IsSorted(signed) || !slices.Contains(signed, "host") {
		return errSignature
	}
	for name := range c.r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(signed, name) {
			return errAccessDenied.because("There were headers present in the request which were not signed")
		}
	}
	return nil
}

// checkPayload accepts the two plain forms of x-amz-content-sha256.
func checkPayload(payload string) error {
	switch {
	case payload == unsignedPayload:
		return nil
	case strings.HasPrefix(payload, "STREAMING-"):
		return errNotImplemented.because("aws-chunked bodies are not implemented")
	case payload == "":
		return errInvalidRequest.because("Missing required header for this request: x-amz-content-sha256")
	}
	if raw, err := hex.DecodeString(payload); err != nil || len(raw) != sha256.Size {
		return errInvalidArgument.because("x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")
	}
	return nil
}

// sign computes the signature of a canonical request.
func (a authorization) sign(secret, amzDate, canonical string) string {
	digest := sha256.Sum256([]byte(canonical))
	scope := a.date + "/" + a.region + "/" + a.service + "/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, sigAlgorithm+"\n"+amzDate+"\n"+scope+"\n"+hex.EncodeToString(digest[:])))
}

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(data))
	return h.Sum(nil)
}

// canonicalRequest builds what the client must have signed. The path is decoded and encoded again once and
// never cleaned, as S3 does.
func (c *call) canonicalRequest(signed []string, payload string) (string, error) {
	path, _, _ := strings.Cut(c.r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		path = c.r.URL.EscapedPath()
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return "", errInvalidURI
	}
	dst := append([]byte(c.r.Method), '\n')
	dst = appendStrict(dst, path, "-_.~/")
	dst = append(dst, '\n')
	dst = appendCanonicalQuery(dst, c.query)
	dst = append(dst, '\n')
	for _, name := range signed {
		dst = append(append(dst, name...), ':')
		dst = append(append(dst, c.signedValue(name)...), '\n')
	}
	dst = append(dst, '\n')
	dst = append(dst, strings.Join(signed, ";")...)
	dst = append(dst, '\n')
	return string(append(dst, payload...)), nil
}

// signedValue returns the canonical value of a signed header.
func (c *call) signedValue(name string) string {
	values := c.r.Header.Values(name)
	switch {
	case name == "host":
		return c.r.Host
	case name == "content-length" && len(values) == 0 && c.r.ContentLength >= 0:
		return strconv.FormatInt(c.r.ContentLength, 10)
	case name == "transfer-encoding":
		return strings.Join(c.r.TransferEncoding, ",")
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
	}
	return strings.Join(trimmed, ",")
}

// appendCanonicalQuery appends the query sorted by encoded name, then value.
func appendCanonicalQuery(dst []byte, query url.Values) []byte {
	pairs := make([]string, 0, len(query))
	for name, values := range query {
		for _, v := range values {
			pair := append(appendStrict(nil, name, "-_.~"), '=')
			pairs = append(pairs, string(appendStrict(pair, v, "-_.~")))
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if order := strings.Compare(an, bn); order != 0 {
			return order
		}
		return strings.Compare(av, bv)
	})
	return append(dst, strings.Join(pairs, "&")...)
}

// appendStrict appends s with everything but letters, digits and the bytes of safe percent-encoded.
func appendStrict(dst []byte, s, safe string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		b := s[i]
		if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte(safe, b) >= 0 {
			dst = append(dst, b)
		} else {
			dst = append(dst, '%', digits[b>>4], digits[b&15])
		}
	}
	return dst
}
