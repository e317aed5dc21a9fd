package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const (
	signAlgorithm   = "AWS4-HMAC-SHA256"
	signService     = "s3"
	signEnd         = "aws4_request"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	amzDateFormat   = "20060102T150405Z"
)

// header is one header of a request; name is in canonical form.
type header struct{ name, value string }

// signed reports whether a header takes part in the signature: S3's own ones and those that say what the body is.
// Others may be changed by proxies on the way.
func (h header) signed() bool {
	return strings.HasPrefix(h.name, "X-Amz-") || h.name == "Content-Md5" || h.name == "Content-Type"
}

// signer makes AWS signatures, version 4, for one set of keys and one region. It is safe for concurrent use.
type signer struct {
	accessKey string
	secret    oms.Secret
	region    string
	key       atomic.Pointer[signingKey]
}

// signingKey is the derived key of one day.
type signingKey struct {
	day   string
	scope string
	raw   []byte
	macs  sync.Pool // *keyedMAC
}

// keyedMAC is a MAC with the memory for its sum.
type keyedMAC struct {
	hash.Hash
	sum [sha256.Size]byte
}

func newSigner(c oms.Credentials, region string) *signer {
	return &signer{accessKey: c.AccessKey, secret: c.SecretKey, region: region}
}

// appendAuthorization appends the value of the Authorization header to dst. path and query are in canonical form;
// headers are those to sign, host and x-amz-date (the instant date, in amzDateFormat) included; their order is
// changed. scratch is working memory, which is returned as well.
func (s *signer) appendAuthorization(dst, scratch []byte, method string, path, query []byte, payload, date string, headers []header) (auth, memory []byte) {
	sortHeaders(headers)
	k := s.keyOf(date[:len("20060102")])
	b := appendCanonical(scratch[:0], method, path, query, payload, headers)
	sum := sha256.Sum256(b)

	b = append(b[:0], signAlgorithm+"\n"...)
	b = append(b, date...)
	b = append(b, '\n')
	b = append(b, k.scope...)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	sum = k.sign(b)

	dst = append(dst, signAlgorithm+" Credential="...)
	dst = append(dst, s.accessKey...)
	dst = append(dst, '/')
	dst = append(dst, k.scope...)
	dst = append(dst, ", SignedHeaders="...)
	dst = appendNames(dst, headers)
	dst = append(dst, ", Signature="...)
	return hex.AppendEncode(dst, sum[:]), b
}

// sortHeaders sorts by name; there are few, and they come nearly in order.
func sortHeaders(headers []header) {
	for i := 1; i < len(headers); i++ {
		for j := i; j > 0 && compareFold(headers[j].name, headers[j-1].name) < 0; j-- {
			headers[j], headers[j-1] = headers[j-1], headers[j]
		}
	}
}

// sign returns the MAC of text.
func (k *signingKey) sign(text []byte) (sig [sha256.Size]byte) {
	m, ok := k.macs.Get().(*keyedMAC)
	if !ok {
		m = &keyedMAC{Hash: hmac.New(sha256.New, k.raw)}
	}
	m.Reset()
	m.Write(text)
	m.Sum(m.sum[:0])
	sig = m.sum
	k.macs.Put(m)
	return sig
}

// keyOf returns the key of day.
func (s *signer) keyOf(day string) *signingKey {
	k := s.key.Load()
	if k == nil || k.day != day {
		k = s.deriveKey(day)
		s.key.Store(k)
	}
	return k
}

func (s *signer) deriveKey(day string) *signingKey {
	key := []byte("AWS4" + s.secret.Reveal())
	for _, step := range []string{day, s.region, signService, signEnd} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	return &signingKey{day: day, scope: day + "/" + s.region + "/" + signService + "/" + signEnd, raw: key}
}

// appendCanonical appends the canonical request; headers are sorted.
func appendCanonical(b []byte, method string, path, query []byte, payload string, headers []header) []byte {
	b = append(b, method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = append(b, query...)
	b = append(b, '\n')
	for _, h := range headers {
		b = appendLower(b, h.name)
		b = append(b, ':')
		b = appendTrimmed(b, h.value)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = appendNames(b, headers)
	b = append(b, '\n')
	return append(b, payload...)
}

// appendNames appends the names in lower case, separated by ";".
func appendNames(b []byte, headers []header) []byte {
	for i, h := range headers {
		if i > 0 {
			b = append(b, ';')
		}
		b = appendLower(b, h.name)
	}
	return b
}

// appendTrimmed appends v without spaces at its ends and with runs of spaces as one.
func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " ")
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lower(s[i]))
	}
	return b
}

// compareFold compares header names without regard to case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// amzDate formats an instant for the x-amz-date header.
func amzDate(t time.Time) string { return t.UTC().Format(amzDateFormat) }
