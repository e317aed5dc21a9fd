package testcloud

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The examples of the AWS documentation, "Authenticating Requests: Using the Authorization Header": the
// signatures are Amazon's own.
func TestPublishedSignatures(t *testing.T) {
	empty := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := []struct {
		name, method, target, body string
		header                     map[string]string
		signed, signature          string
		want                       int
	}{
		{
			"get object", "GET", "/test.txt", "",
			map[string]string{"Range": "bytes=0-9", "X-Amz-Content-Sha256": empty},
			"host;range;x-amz-content-sha256;x-amz-date",
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", 206,
		},
		{
			"put object", "PUT", "/test$file.text", "Welcome to Amazon S3.",
			map[string]string{
				"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
				"X-Amz-Content-Sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			},
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", 200,
		},
		{
			"get bucket lifecycle", "GET", "/?lifecycle", "",
			map[string]string{"X-Amz-Content-Sha256": empty},
			"host;x-amz-content-sha256;x-amz-date",
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", 501,
		},
		{
			"list objects", "GET", "/?max-keys=2&prefix=J", "",
			map[string]string{"X-Amz-Content-Sha256": empty},
			"host;x-amz-content-sha256;x-amz-date",
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", 200,
		},
	}
	cloud := New(Options{
		AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		Domain: "s3.amazonaws.com", Clock: func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	})
	cloud.CreateBucket("examplebucket").Put("test.txt", []byte("0123456789abcdef"), Attrs{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, wrong := range []bool{false, true} {
				req := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
				req.Host = "examplebucket.s3.amazonaws.com"
				for k, v := range tt.header {
					req.Header.Set(k, v)
				}
				req.Header.Set("X-Amz-Date", "20130524T000000Z")
				signature, want := tt.signature, tt.want
				if wrong {
					signature, want = "00"+signature[2:], 403
				}
				req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="+tt.signed+",Signature="+signature)
				rec := httptest.NewRecorder()
				cloud.Handler().ServeHTTP(rec, req)
				if rec.Code != want {
					t.Errorf("wrong signature %v: got %d %s, want %d", wrong, rec.Code, rec.Body, want)
				}
			}
		})
	}
	if o, ok := cloud.Bucket("examplebucket").Get("test$file.text"); !ok || o.StorageClass != "REDUCED_REDUNDANCY" {
		t.Errorf("put object: got %+v, %v", o, ok)
	}
}

func TestAuthentication(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sum := sha256.Sum256([]byte("data"))
	tests := []struct {
		name   string
		change func(*client)
		status int
		code   string
	}{
		{"right", func(*client) {}, 200, ""},
		{"body hash", func(c *client) { c.hash = hex.EncodeToString(sum[:]) }, 200, ""},
		{"wrong body hash", func(c *client) { c.hash = strings.Repeat("ab", 32) }, 400, "XAmzContentSHA256Mismatch"},
		{"hash is no hash", func(c *client) { c.hash = "xyz" }, 400, "InvalidArgument"},
		{"streaming", func(c *client) { c.hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" }, 501, "NotImplemented"},
		{"wrong secret", func(c *client) { c.sk += "x" }, 403, "SignatureDoesNotMatch"},
		{"unknown key", func(c *client) { c.ak = "nobody" }, 403, "InvalidAccessKeyId"},
		{"anonymous", func(c *client) { c.tamper = func(r *http.Request) { r.Header.Del("Authorization") } }, 403, "AccessDenied"},
		{"other scheme", func(c *client) { c.tamper = func(r *http.Request) { r.Header.Set("Authorization", "AWS a:b") } }, 403, "AccessDenied"},
		{"garbled", func(c *client) {
			c.tamper = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x") }
		}, 400, "AuthorizationHeaderMalformed"},
		{"wrong region", func(c *client) { c.region = "eu-west-1" }, 400, "AuthorizationHeaderMalformed"},
		{"14 minutes late", func(c *client) { c.now = func() time.Time { return now.Add(-14 * time.Minute) } }, 200, ""},
		{"16 minutes late", func(c *client) { c.now = func() time.Time { return now.Add(-16 * time.Minute) } }, 403, "RequestTimeTooSkewed"},
		{"16 minutes early", func(c *client) { c.now = func() time.Time { return now.Add(16 * time.Minute) } }, 403, "RequestTimeTooSkewed"},
		{"unsigned amz header", func(c *client) { c.unsigned = map[string]bool{"x-amz-content-sha256": true} }, 403, "AccessDenied"},
		{"header added later", func(c *client) { c.tamper = func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "b") } }, 403, "AccessDenied"},
		{"path changed", func(c *client) { c.tamper = func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/b/other", "" } }, 403, "SignatureDoesNotMatch"},
		{"query changed", func(c *client) { c.tamper = func(r *http.Request) { r.URL.RawQuery = "x=y" } }, 403, "SignatureDoesNotMatch"},
		{"method changed", func(c *client) {
			c.tamper = func(r *http.Request) { r.Method = "DELETE"; r.Body = nil; r.ContentLength = 0 }
		}, 403, "SignatureDoesNotMatch"},
		{"unexpected token", func(c *client) { c.token = "tok" }, 400, "InvalidToken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cloud, c := start(t, Options{Clock: func() time.Time { return now }})
			cloud.CreateBucket("b")
			tt.change(c)
			r := c.do(http.MethodPut, "b", "k", "", nil, []byte("data")).want(t, tt.status, tt.code)
			if r.header.Get("X-Amz-Request-Id") == "" || r.header.Get("Date") != now.Format(http.TimeFormat) {
				t.Errorf("headers %v lack request id or date", r.header)
			}
			if _, stored := cloud.Bucket("b").Get("k"); stored != (tt.status == 200) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

func TestCredentialsAtRunTime(t *testing.T) {
	cloud, c := start(t, Options{SessionToken: "session"})
	cloud.CreateBucket("b")
	cloud.CreateBucket("secret")
	c.put("b", "k", []byte("x"))
	c.token = "other"
	c.do("GET", "b", "k", "", nil, nil).want(t, 400, "InvalidToken")
	c.token = ""
	c.do("GET", "b", "k", "", nil, nil).want(t, 400, "InvalidToken")

	cloud.SetCredential(Credential{AccessKey: "ro", SecretKey: "ro", Deny: ReadOnly})
	c.ak, c.sk = "ro", "ro"
	c.get("b", "k").want(t, 200, "")
	c.do("PUT", "b", "k2", "", nil, []byte("x")).want(t, 403, "AccessDenied")
	c.do("DELETE", "b", "k", "", nil, nil).want(t, 403, "AccessDenied")

	cloud.SetCredential(Credential{AccessKey: "ro", SecretKey: "new", Deny: DenyBucket("secret")})
	c.get("b", "k").want(t, 403, "SignatureDoesNotMatch")
	c.sk = "new"
	c.put("b", "k2", []byte("x"))
	c.do("GET", "secret", "", "list-type=2", nil, nil).want(t, 403, "AccessDenied")
	copyFrom := http.Header{"X-Amz-Copy-Source": {"secret/x"}}
	c.do("PUT", "b", "k3", "", copyFrom, nil).want(t, 403, "AccessDenied")

	cloud.Revoke("ro")
	c.get("b", "k").want(t, 403, "InvalidAccessKeyId")
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=00")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=,Signature=")
	f.Add("AWS a:b")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if (err == nil) != (a.accessKey != "" && len(a.signed) > 0 && a.signature != "") && err == nil {
			t.Errorf("%q: incomplete without an error: %+v", header, a)
		}
	})
}
