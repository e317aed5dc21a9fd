package testcloud

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A restore takes its time, is readable for its days, and must be asked for again afterwards.
func TestRestoreClock(t *testing.T) {
	cloud, c := start(t, Options{})
	cloud.SetRestoreDuration(4 * time.Hour)
	b := cloud.CreateBucket("b")
	b.Put("k", []byte("cold"), Attrs{StorageClass: "GLACIER"})
	state := func() string {
		return c.do("HEAD", "b", "k", "", nil, nil).want(t, 200, "").header.Get("X-Amz-Restore")
	}
	ask := func(code int) {
		t.Helper()
		c.do("POST", "b", "k", "restore", nil, []byte("<RestoreRequest><Days>2</Days></RestoreRequest>")).want(t, code, map[int]string{409: "RestoreAlreadyInProgress"}[code])
	}
	for range 2 {
		if got := state(); got != "" {
			t.Fatalf("not asked: %q", got)
		}
		c.do("GET", "b", "k", "", nil, nil).want(t, 403, "InvalidObjectState")
		ask(202)
		ask(409)
		cloud.PassRestoreTime(4*time.Hour - time.Minute)
		if got := state(); got != `ongoing-request="true"` {
			t.Fatalf("asked: %q", got)
		}
		cloud.PassRestoreTime(time.Minute)
		if got := state(); !strings.HasPrefix(got, `ongoing-request="false", expiry-date="`) {
			t.Fatalf("restored: %q", got)
		}
		c.do("GET", "b", "k", "", nil, nil).want(t, 200, "")
		ask(200)
		cloud.PassRestoreTime(48 * time.Hour)
	}
	ask(202)
	b.FinishRestores()
	c.do("GET", "b", "k", "", nil, nil).want(t, 200, "")
	b.ExpireRestores()
	c.do("GET", "b", "k", "", nil, nil).want(t, 403, "InvalidObjectState")
}

func TestEncryptionAndPayer(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	kms := http.Header{"X-Amz-Server-Side-Encryption": {"aws:kms"}}
	r := c.do("PUT", "b", "k", "", kms, []byte("secret")).want(t, 200, "")
	plain := c.do("PUT", "b", "p", "", nil, []byte("secret")).want(t, 200, "")
	etag := r.header.Get("Etag")
	if r.header.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || len(etag) != 34 || etag == plain.header.Get("Etag") {
		t.Errorf("encrypted: %v", r.header)
	}
	if h := c.do("HEAD", "b", "k", "", nil, nil).want(t, 200, "").header; h.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || h.Get("Etag") != etag {
		t.Errorf("head: %v", h)
	}
	c.do("PUT", "b", "k", "", http.Header{"X-Amz-Server-Side-Encryption": {"rot13"}}, nil).want(t, 400, "InvalidEncryptionAlgorithmError")

	b.RequirePayer()
	c.do("GET", "b", "k", "", nil, nil).want(t, 403, "AccessDenied")
	c.do("GET", "b", "", "list-type=2", nil, nil).want(t, 403, "AccessDenied")
	c.do("GET", "b", "k", "", http.Header{"X-Amz-Request-Payer": {"requester"}}, nil).want(t, 200, "")
}

func TestFileSystem(t *testing.T) {
	p := PFS()
	cloud, c := start(t, Options{Profile: p})
	cloud.CreateBucket("b").Put("d/f", []byte("x"), Attrs{})
	if got := c.do("HEAD", "b", "", "", nil, nil).want(t, 200, "").header.Get("X-Obs-Bucket-Type"); got != "POSIX" {
		t.Errorf("bucket type %q", got)
	}
	for key, code := range map[string]string{
		"a//b": "InvalidFileName", "a/../b": "InvalidFileName", "e/": "InvalidFileName", "d/f/g": "FileConflict", "d": "FileConflict",
		strings.Repeat("a/", 45) + "b": "InvalidFileName", strings.Repeat("a/", 44) + "b": "", "d/g": "", "d-": "",
	} {
		status := map[string]int{"": 200, "FileConflict": 409, "InvalidFileName": 400}[code]
		c.do("PUT", "b", key, "", nil, []byte("x")).want(t, status, code)
		c.do("POST", "b", key, "uploads", nil, nil).want(t, map[bool]int{true: 200, false: status}[code == "" || key == "e/"], map[bool]string{false: code}[key == "e/"])
	}
	c.do("PUT", "b", "e/", "", nil, nil).want(t, 200, "")
	c.do("PUT", "b", "k", "", http.Header{"X-Amz-Storage-Class": {"GLACIER"}}, nil).want(t, 400, "InvalidStorageClass")
	first := c.do("GET", "b", "", "encoding-type=url&max-keys=1", nil, nil).want(t, 200, "").body
	if again := c.do("GET", "b", "", "encoding-type=url&max-keys=1&marker=zzz", nil, nil).want(t, 200, "").body; !strings.Contains(string(again), "<Contents>") || len(first) == 0 {
		t.Errorf("a marker works although keys are to be encoded: %s", again)
	}
}
