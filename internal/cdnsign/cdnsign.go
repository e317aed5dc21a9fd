// Package cdnsign writes the request targets by which CDN hosts recognise a permitted download: the eleven
// authentication types of OMS v2, sections 3.4 and 6.8, as the vendors' manuals describe them.
//
// It is made of pure functions: time and randomness are handed over, nothing is sent. A target is as good as the
// key for a while, so it belongs neither in logs nor in messages.
package cdnsign

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Method is an authentication type (OMS v2, 3.4).
type Method string

// The authentication types.
const (
	None     Method = "NONE"
	Qiniu    Method = "QINIU_PRIVATE_AUTHENTICATION"
	AliyunA  Method = "ALIYUN_OSS_A"
	AliyunB  Method = "ALIYUN_OSS_B"
	AliyunC  Method = "ALIYUN_OSS_C"
	Kingsoft Method = "KSYUN_PRIVATE_AUTHENTICATION"
	Azure    Method = "AZURE_SAS_TOKEN"
	TencentA Method = "TENCENT_COS_A"
	TencentB Method = "TENCENT_COS_B"
	TencentC Method = "TENCENT_COS_C"
	TencentD Method = "TENCENT_COS_D"
)

// Methods returns all authentication types in the order of the contract.
func Methods() []Method {
	return []Method{
		None, Qiniu, AliyunA, AliyunB, AliyunC, Kingsoft, Azure, TencentA, TencentB, TencentC, TencentD,
	}
}

// Valid reports whether m is one of Methods.
func (m Method) Valid() bool { return slices.Contains(Methods(), m) }

// NeedsKey reports whether the type signs with a key of its own. The others are open, or use the keys of the source.
func (m Method) NeedsKey() bool { return m != None && m != Qiniu && m != Kingsoft }

// validity is how long a target with a deadline in it may be used. Downloads that began earlier go on. It is the
// default of the vendors whose targets carry the time of signing instead.
const validity = 30 * time.Minute

// Request is a download to be signed.
type Request struct {
	Method Method
	Scheme string // http or https
	Host   string // host[:port] as it is asked for
	Path   string // as it is sent: percent-encoded, beginning with "/", without query
	Bucket string // bucket that Path is in, for Kingsoft
	Key    oms.Secret
	// Source are the keys of the bucket, for Qiniu and Kingsoft.
	Source oms.Credentials
	At     time.Time // now
	Nonce  string    // letters and digits, another one for every request, for the types A
}

// Target is the path and query to ask the host for.
type Target struct {
	Path  string // percent-encoded
	Query string // encoded, without "?"; may be empty
}

// Sign returns the target of r. oms.Invalid for a type that does not exist, and for a SAS token that is no query.
func Sign(r Request) (Target, error) {
	key := r.Key.Reveal()
	seconds := strconv.FormatInt(r.At.Unix(), 10)
	deadline := strconv.FormatInt(r.At.Add(validity).Unix(), 10)
	switch r.Method {
	case None:
		return Target{Path: r.Path}, nil
	case AliyunA:
		return Target{Path: r.Path, Query: "auth_key=" + stamp(r.Path, seconds, r.Nonce, key)}, nil
	case TencentA:
		return Target{Path: r.Path, Query: "sign=" + stamp(r.Path, seconds, r.Nonce, key)}, nil
	case AliyunB, TencentB:
		minute := r.At.In(chinaTime()).Format("200601021504")
		return Target{Path: "/" + minute + "/" + md5Hex(key+minute+r.Path) + r.Path}, nil
	case AliyunC, TencentC:
		at := strconv.FormatInt(r.At.Unix(), 16)
		return Target{Path: "/" + md5Hex(key+r.Path+at) + "/" + at + r.Path}, nil
	case TencentD:
		return Target{Path: r.Path, Query: "sign=" + md5Hex(key+r.Path+seconds) + "&t=" + seconds}, nil
	case Qiniu:
		return Target{Path: r.Path, Query: qiniuQuery(r, deadline)}, nil
	case Kingsoft:
		return Target{Path: r.Path, Query: kingsoftQuery(r, deadline)}, nil
	case Azure:
		return sasTarget(r.Path, key)
	}
	return Target{}, oms.Errorf(oms.Invalid, "", "the authentication type of the CDN does not exist")
}

// stamp is the parameter of the types A.
func stamp(path, seconds, nonce, key string) string {
	const user = "0" // not in use
	sum := md5Hex(strings.Join([]string{path, seconds, nonce, user, key}, "-"))
	return strings.Join([]string{seconds, nonce, user, sum}, "-")
}

// chinaTime is the time zone of the types B.
func chinaTime() *time.Location { return time.FixedZone("UTC+8", 8*60*60) }

// qiniuQuery signs the whole URL, with the deadline in it, with the keys of the source.
func qiniuQuery(r Request, deadline string) string {
	query := "e=" + deadline
	sum := hmacSHA1(r.Source.SecretKey, r.Scheme+"://"+r.Host+r.Path+"?"+query)
	return query + "&token=" + url.QueryEscape(r.Source.AccessKey) + ":" + base64.URLEncoding.EncodeToString(sum)
}

// kingsoftQuery signs like a presigned download of the store itself.
func kingsoftQuery(r Request, deadline string) string {
	sum := hmacSHA1(r.Source.SecretKey, "GET\n\n\n"+deadline+"\n/"+r.Bucket+r.Path)
	return "KSSAccessKeyId=" + url.QueryEscape(r.Source.AccessKey) + "&Expires=" + deadline +
		"&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sum))
}

// sasTarget appends a SAS token, which is a query already.
func sasTarget(path, token string) (Target, error) {
	token = strings.TrimPrefix(token, "?")
	if !IsQuery(token) {
		return Target{}, oms.Errorf(oms.Invalid, "", "the SAS token of the CDN is not a query")
	}
	return Target{Path: path, Query: token}, nil
}

// IsQuery reports whether a SAS token, with or without its "?", can be sent as a query.
func IsQuery(token string) bool {
	token = strings.TrimPrefix(token, "?")
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' || c == '"' }) {
		return false
	}
	_, err := url.ParseQuery(token)
	return err == nil
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func hmacSHA1(key oms.Secret, text string) []byte {
	mac := hmac.New(sha1.New, []byte(key.Reveal()))
	_, _ = mac.Write([]byte(text)) // never fails
	return mac.Sum(nil)
}
