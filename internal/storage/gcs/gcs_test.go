package gcs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/gcs"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/testcloud"
)

const email = "mover@lab.iam.gserviceaccount.com"

// lab is a store with a service account.
type lab struct {
	*testcloud.Cloud
	url string
	key *rsa.PrivateKey
	n   atomic.Int64
}

func start(tb testing.TB) *lab {
	tb.Helper()
	p := testcloud.GCS()
	p.MinPartSize = 64 << 10 // so that the suite need not send megabytes
	l := &lab{Cloud: testcloud.New(testcloud.Options{AccessKey: "GOOGHMAC", SecretKey: "hmac secret", Region: "auto", Profile: p})}
	url, stop, err := l.Start(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	l.url = url
	if l.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		tb.Fatal(err)
	}
	l.SetServiceAccount(email, &l.key.PublicKey)
	return l
}

func (l *lab) file(tb testing.TB, key *rsa.PrivateKey, tokenURL string) oms.Secret {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "lab", "private_key_id": "k1", "client_email": email, "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return oms.NewSecret(string(text))
}

func (l *lab) bucket(tb testing.TB, name string) storage.Bucket {
	tb.Helper()
	return storage.Bucket{
		CloudType: oms.CloudGoogle, Name: name,
		Endpoint:    oms.Endpoint{URL: l.url, Region: "auto", PathStyle: true, Trusted: true},
		Credentials: oms.Credentials{AuthFile: l.file(tb, l.key, l.url+"/token")},
	}
}

func newOpener(tb testing.TB) *gcs.Opener {
	tb.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: new(net.Dialer).DialContext})
	tb.Cleanup(tr.CloseIdleConnections)
	return gcs.NewOpener(s3.NewOpener(s3.Options{Transport: tr}), gcs.Options{
		S3:        func(rt http.RoundTripper) storage.Opener { return s3.NewOpener(s3.Options{Transport: rt}) },
		Transport: tr, Tokens: tr,
	})
}

func open(tb testing.TB, o storage.Opener, b storage.Bucket) *s3.Bucket {
	tb.Helper()
	r, err := o.Open(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	w, ok := r.(*s3.Bucket)
	if !ok {
		tb.Fatalf("got a %T", r)
	}
	return w
}

// TestSuite runs the suite with tokens, and with HMAC keys, which go on working.
func TestSuite(t *testing.T) {
	l, o := start(t), newOpener(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hmacKeys := func(secret string) oms.Credentials {
		return oms.Credentials{AccessKey: "GOOGHMAC", SecretKey: oms.NewSecret(secret)}
	}
	for name, keys := range map[string]struct{ right, wrong oms.Credentials }{
		"service account": {l.bucket(t, "").Credentials, oms.Credentials{AuthFile: l.file(t, other, l.url+"/token")}},
		"HMAC":            {hmacKeys("hmac secret"), hmacKeys("another secret")},
	} {
		t.Run(name, func(t *testing.T) {
			names := map[storage.Writer]string{}
			with := func(t *testing.T, bucket string, c oms.Credentials) storage.Writer {
				b := l.bucket(t, bucket)
				b.Credentials = c
				w := open(t, o, b)
				names[w] = bucket
				return w
			}
			fresh := func() string {
				return l.CreateBucket("bucket-" + strconv.FormatInt(l.n.Add(1), 10)).Name()
			}
			storagetest.Run(t, func(t *testing.T) storage.Writer { return with(t, fresh(), keys.right) },
				storagetest.Multipart, storagetest.BucketList, storagetest.Metadata, storagetest.MD5Enforced,
				storagetest.Copy(func(w storage.Writer) string { return names[w] }), storagetest.WholeCopies,
				storagetest.MissingBucket(func(t *testing.T) storage.Writer { return with(t, "no-such-bucket", keys.right) }),
				storagetest.WrongKeys(func(t *testing.T) storage.Writer { return with(t, fresh(), keys.wrong) }),
			)
		})
	}
}

// TestSums checks that the store's own checksums reach the caller: they are what a read is compared with.
func TestSums(t *testing.T) {
	l := start(t)
	b := open(t, newOpener(t), l.bucket(t, l.CreateBucket("b").Name()))
	data := storagetest.Data(1, 1000)
	_, err := b.Put(t.Context(), storage.PutRequest{
		Key: "k", Body: bytes.NewReader(data), Size: 1000, Attrs: storage.Attrs{StorageClass: "STANDARD_IA", Metadata: map[string]string{"a": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	o, err := b.Stat(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if o.Sums.Has != storage.SumCRC32C|storage.SumMD5 || o.StorageClass != "STANDARD_IA" || o.Attrs.Metadata["a"] != "b" {
		t.Errorf("got %+v", o)
	}
}

// TestOneToken checks that requests share a token, and that the next one is asked for before it ends.
func TestOneToken(t *testing.T) {
	l := start(t)
	now := time.Now()
	tr := s3.NewTransport(s3.TransportOptions{Dial: new(net.Dialer).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	o := gcs.NewOpener(nil, gcs.Options{
		S3:        func(rt http.RoundTripper) storage.Opener { return s3.NewOpener(s3.Options{Transport: rt}) },
		Transport: tr, Tokens: tr, Clock: func() time.Time { return now },
	})
	b := open(t, o, l.bucket(t, l.CreateBucket("b").Name()))
	for _, step := range []struct {
		later time.Duration
		asked int
	}{{0, 1}, {0, 1}, {54 * time.Minute, 1}, {2 * time.Minute, 2}} {
		now = now.Add(step.later)
		// The store's clock stands still: it refuses the last statement, which is of the future.
		if err := b.CheckBucket(t.Context()); step.asked == 1 && err != nil {
			t.Fatal(err)
		}
		if got := l.TokensAsked(); got != step.asked {
			t.Errorf("after %v more: asked %d times, want %d", step.later, got, step.asked)
		}
	}
}

// TestRefusedPlaces covers files that would make the service ask somewhere else, and tokens in the clear (rule S5).
func TestRefusedPlaces(t *testing.T) {
	l, o := start(t), newOpener(t)
	for name, change := range map[string]func(*storage.Bucket){
		"metadata service": func(b *storage.Bucket) {
			b.Credentials.AuthFile = l.file(t, l.key, "http://169.254.169.254/token")
		},
		"another host": func(b *storage.Bucket) { b.Credentials.AuthFile = l.file(t, l.key, "https://evil.test/token") },
		"not trusted":  func(b *storage.Bucket) { b.Endpoint.Trusted = false },
		"in the clear": func(b *storage.Bucket) {
			b.Endpoint.Trusted = false
			b.Credentials.AuthFile = l.file(t, l.key, "https://oauth2.googleapis.com/token")
		},
		"no file": func(b *storage.Bucket) { b.Credentials.AuthFile = oms.NewSecret("{}") },
	} {
		b := l.bucket(t, "b")
		change(&b)
		if _, err := o.Open(t.Context(), b); !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %v, want oms.Invalid", name, err)
		}
	}
	if n := l.TokensAsked(); n != 0 {
		t.Errorf("%d requests for tokens were made", n)
	}
}

// answering is a token service that answers all alike.
type answering struct {
	status int
	body   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody, Request: r}
	rec.Body = struct {
		*strings.Reader
		nopClose
	}{strings.NewReader(a.body), nopClose{}}
	return rec, nil
}

type nopClose struct{}

func (nopClose) Close() error { return nil }

// TestTokenAnswers checks what becomes of the answers of a token service, and that no secret shows.
func TestTokenAnswers(t *testing.T) {
	l := start(t)
	const canary = "canary-of-the-token-service"
	for _, test := range []struct {
		name string
		answering
		want oms.Kind
	}{
		{"refused", answering{400, `{"error":"invalid_grant","error_description":"` + canary + `"}`}, oms.Denied},
		{"unknown account", answering{401, canary}, oms.Denied},
		{"busy", answering{429, "{}"}, oms.Throttled},
		{"away", answering{503, canary}, oms.Transient},
		{"redirect", answering{302, canary}, oms.Invalid},
		{"no token", answering{200, `{"note":"` + canary + `"}`}, oms.Transient},
		{"no JSON", answering{200, canary}, oms.Transient},
		{"header in the token", answering{200, `{"access_token":"` + canary + `\r\nX: y"}`}, oms.Transient},
		{"endless", answering{200, `{"access_token":"` + strings.Repeat("x", 100_000)}, oms.Transient},
		{"other kind", answering{200, `{"access_token":"` + canary + `","token_type":"mac"}`}, oms.Transient},
	} {
		tr := s3.NewTransport(s3.TransportOptions{Dial: new(net.Dialer).DialContext})
		o := gcs.NewOpener(nil, gcs.Options{
			S3:        func(rt http.RoundTripper) storage.Opener { return s3.NewOpener(s3.Options{Transport: rt}) },
			Transport: tr, Tokens: test.answering,
		})
		b := open(t, o, l.bucket(t, "b"))
		_, err := b.List(t.Context(), storage.ListOptions{})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if shown := fmt.Sprintf("%v %+v %#v", err, b, b); strings.Contains(shown, canary) || strings.Contains(shown, "PRIVATE KEY") {
			t.Errorf("%s: a secret shows: %s", test.name, shown)
		}
		tr.CloseIdleConnections()
	}
}

// stalling never answers.
type stalling struct{}

func (stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestTokenPatience checks that a token service that does not answer holds nobody up for long.
func TestTokenPatience(t *testing.T) {
	l := start(t)
	bucket := l.bucket(t, "b")
	synctest.Test(t, func(t *testing.T) {
		o := gcs.NewOpener(nil, gcs.Options{
			S3:        func(rt http.RoundTripper) storage.Opener { return s3.NewOpener(s3.Options{Transport: rt}) },
			Transport: stalling{}, Tokens: stalling{},
		})
		b := open(t, o, bucket)
		if err := b.CheckBucket(t.Context()); !errors.Is(err, oms.Transient) {
			t.Errorf("got %v, want oms.Transient", err)
		}
	})
}
