package testcloud

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// CDNOptions say how a CDN host asks for proof. The zero value serves everybody.
type CDNOptions struct {
	Method    string // authentication type of OMS v2; "" means NONE
	Key       string
	AccessKey string // of the bucket, for the types that sign with its keys
	SecretKey string
	Clock     func() time.Time // nil means time.Now
	// Before, if set, may answer in place of the host: it returns true when it has.
	Before func(w http.ResponseWriter, r *http.Request, o *Object) bool
	// Headers are added to every answer.
	Headers map[string]string
}

// CDN is a host in front of a bucket. It serves over plain GET what the bucket holds at the moment.
type CDN struct {
	bucket *Bucket
	opts   CDNOptions

	// Served and Refused count the downloads.
	Served, Refused atomic.Int64
}

// CDN returns a host in front of the bucket.
func (b *Bucket) CDN(opts CDNOptions) *CDN {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &CDN{bucket: b, opts: opts}
}

// cdnWindow is how far the time of a signature may be away.
const cdnWindow = 30*time.Minute + 5*time.Second

// ServeHTTP implements http.Handler.
func (c *CDN) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range c.opts.Headers {
		w.Header().Set(name, value)
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	path, ok := c.admit(r.Host, path, query)
	if !ok || r.Method != http.MethodGet {
		c.Refused.Add(1)
		http.Error(w, "denied", http.StatusForbidden)
		return
	}
	key, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		http.Error(w, "bad path", http.StatusBadRequest)
		return
	}
	o, ok := c.bucket.Get(key)
	if c.opts.Before != nil && c.opts.Before(w, r, o) {
		return
	}
	if !ok {
		http.Error(w, "no such object", http.StatusNotFound)
		return
	}
	c.Served.Add(1)
	h := w.Header()
	h.Set("Content-Type", "application/x-cdn") // hosts change headers
	if o.ContentEncoding != "" {
		h.Set("Content-Encoding", o.ContentEncoding)
	}
	h.Set("ETag", `"`+o.ETag+`"`)
	http.ServeContent(w, r, "", o.ModTime, bytes.NewReader(o.Bytes()))
}

// admit checks the proof and returns the path of the object.
func (c *CDN) admit(host, path, query string) (string, bool) {
	switch c.opts.Method {
	case "", "NONE":
		return path, query == ""
	case "ALIYUN_OSS_A":
		stamp, ok := strings.CutPrefix(query, "auth_key=")
		return path, ok && c.stamped(path, stamp)
	case "TENCENT_COS_A":
		stamp, ok := strings.CutPrefix(query, "sign=")
		return path, ok && c.stamped(path, stamp)
	case "ALIYUN_OSS_B", "TENCENT_COS_B":
		at, sum, rest := threeParts(path)
		when, err := time.Parse("200601021504 -0700", at+" +0800")
		return rest, err == nil && query == "" && c.near(when) && sum == md5Text(c.opts.Key+at+rest)
	case "ALIYUN_OSS_C", "TENCENT_COS_C":
		sum, at, rest := threeParts(path)
		seconds, err := strconv.ParseInt(at, 16, 64)
		return rest, err == nil && query == "" && c.near(time.Unix(seconds, 0)) && sum == md5Text(c.opts.Key+rest+at)
	case "TENCENT_COS_D":
		values, err := url.ParseQuery(query)
		at := values.Get("t")
		return path, err == nil && c.nearText(at) && values.Get("sign") == md5Text(c.opts.Key+path+at)
	case "QINIU_PRIVATE_AUTHENTICATION":
		signed, token, _ := strings.Cut(query, "&token=")
		deadline, _ := strings.CutPrefix(signed, "e=")
		want := c.opts.AccessKey + ":" + strings.NewReplacer("+", "-", "/", "_").Replace(c.hmac("http://"+host+path+"?"+signed))
		return path, c.nearText(deadline) && token == want
	case "KSYUN_PRIVATE_AUTHENTICATION":
		values, err := url.ParseQuery(query)
		at := values.Get("Expires")
		want := c.hmac("GET\n\n\n" + at + "\n/" + c.bucket.Name() + path)
		return path, err == nil && c.nearText(at) && values.Get("KSSAccessKeyId") == c.opts.AccessKey && values.Get("Signature") == want
	case "AZURE_SAS_TOKEN":
		return path, query == strings.TrimPrefix(c.opts.Key, "?")
	}
	return path, false
}

// stamped checks "time-random-user-sum".
func (c *CDN) stamped(path, stamp string) bool {
	parts := strings.Split(stamp, "-")
	return len(parts) == 4 && c.nearText(parts[0]) && parts[1] != "" &&
		parts[3] == md5Text(path+"-"+parts[0]+"-"+parts[1]+"-"+parts[2]+"-"+c.opts.Key)
}

func (c *CDN) nearText(seconds string) bool {
	n, err := strconv.ParseInt(seconds, 10, 64)
	return err == nil && c.near(time.Unix(n, 0))
}

func (c *CDN) near(at time.Time) bool {
	d := c.opts.Clock().Sub(at)
	return d < cdnWindow && d > -cdnWindow
}

func (c *CDN) hmac(text string) string {
	mac := hmac.New(sha1.New, []byte(c.opts.SecretKey))
	_, _ = mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// threeParts splits "/a/b/rest" into a, b and "/rest".
func threeParts(path string) (a, b, rest string) {
	parts := strings.SplitN(path, "/", 4)
	if len(parts) != 4 {
		return "", "", ""
	}
	return parts[1], parts[2], "/" + parts[3]
}

func md5Text(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
