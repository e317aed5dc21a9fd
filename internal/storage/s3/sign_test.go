package s3

import (
	"fmt"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// exampleKeys are those of the published examples of AWS.
func exampleKeys() oms.Credentials {
	return oms.Credentials{
		AccessKey: "AKIAIOSFODNN7EXAMPLE",
		SecretKey: oms.NewSecret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
	}
}

// emptySHA256 is the hash of no bytes, which the examples sign.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func authorization(s *signer, method, path string, q query, payload, date string, headers []header) string {
	auth, _ := s.appendAuthorization(nil, nil, method, []byte(path), q, payload, date, headers)
	return string(auth)
}

// TestAuthorizationVectors checks the four examples of "Signature Calculations for the Authorization Header" in
// the S3 API reference.
func TestAuthorizationVectors(t *testing.T) {
	const date, host = "20130524T000000Z", "examplebucket.s3.amazonaws.com"
	const putSHA256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	for _, test := range []struct {
		name, method, path string
		query              query
		payload            string
		headers            []header
		signed, signature  string
	}{
		{
			"get object", "GET", "/test.txt", nil, emptySHA256,
			[]header{{"Range", "bytes=0-9"}},
			"host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
		{
			"put object", "PUT", string(appendPath(nil, "/test$file.text")), nil, putSHA256,
			[]header{{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"X-Amz-Storage-Class", "REDUCED_REDUNDANCY"}},
			"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
		},
		{
			"lifecycle", "GET", "/", query(nil).add("lifecycle", ""), emptySHA256, nil,
			"host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		},
		{
			"list", "GET", "/", query(nil).add("max-keys", "2").add("prefix", "J"), emptySHA256, nil,
			"host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		},
	} {
		s := newSigner(exampleKeys(), "us-east-1")
		headers := append(test.headers, header{"X-Amz-Date", date}, header{"Host", host}, header{"X-Amz-Content-Sha256", test.payload})
		for range 2 { // the second time with the cached key
			got := authorization(s, test.method, test.path, test.query, test.payload, date, headers)
			want := "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=" +
				test.signed + ", Signature=" + test.signature
			if got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, want)
			}
		}
	}
}

// TestSigningKeyPerDay checks that a new day gets a new key.
func TestSigningKeyPerDay(t *testing.T) {
	sign := func(s *signer, date string) string {
		return authorization(s, "GET", "/", nil, unsignedPayload, date, []header{{"Host", "h"}, {"X-Amz-Date", date}})
	}
	s := newSigner(exampleKeys(), "us-east-1")
	for _, date := range []string{"20260101T235959Z", "20260102T000000Z", "20260101T235959Z"} {
		if got, want := sign(s, date), sign(newSigner(exampleKeys(), "us-east-1"), date); got != want {
			t.Errorf("%s: got %s, want %s", date, got, want)
		}
	}
}

func TestAppendPath(t *testing.T) {
	for key, want := range map[string]string{
		"a//b/./../c":       "a//b/./../c",
		"a+b %2F":           "a%2Bb%20%252F",
		"é\xff\x00":         "%C3%A9%FF%00",
		"~-_.!*'()":         "~-_.%21%2A%27%28%29",
		"q?x=1&y#f":         "q%3Fx%3D1%26y%23f",
		"\u0001":            "%01",
		"/lead":             "/lead",
		"back\\slash;:@,=$": "back%5Cslash%3B%3A%40%2C%3D%24",
	} {
		if got := string(appendPath(nil, key)); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}

func TestAppendTrimmed(t *testing.T) {
	for in, want := range map[string]string{"": "", "  a  b ": "a b", "a": "a", "a   b  c": "a b c", "   ": ""} {
		if got := string(appendTrimmed(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := newSigner(exampleKeys(), "us-east-1")
	headers := []header{
		{"Host", "bucket.s3.eu-central-1.amazonaws.com"},
		{"X-Amz-Content-Sha256", unsignedPayload},
		{"X-Amz-Date", "20260101T000000Z"},
		{"Content-Type", "application/octet-stream"},
	}
	var auth, scratch []byte
	path := []byte("/some/prefix/with/a/usual/key-0001.bin")
	b.ReportAllocs()
	for b.Loop() {
		auth, scratch = s.appendAuthorization(auth[:0], scratch, "PUT", path, nil, unsignedPayload, "20260101T000000Z", headers)
	}
}

// TestNoSecrets checks that an open bucket shows no keys in any format (rule S4).
func TestNoSecrets(t *testing.T) {
	b := testBucket(t, oms.CloudAWS)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, b); got != "s3 bucket bucket" {
			t.Errorf("%s: got %s", format, got)
		}
	}
}
