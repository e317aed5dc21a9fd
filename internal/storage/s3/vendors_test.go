package s3

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// The restore requests of the vendors.
func TestRestoreRequests(t *testing.T) {
	for _, tt := range []struct {
		cloud  oms.CloudType
		method string
		job    string
	}{
		{oms.CloudAWS, http.MethodPost, "GlacierJobParameters"},
		{oms.CloudHuawei, http.MethodPost, "GlacierJobParameters"},
		{oms.CloudAliyun, http.MethodPost, "JobParameters"},
		{oms.CloudTencent, http.MethodPost, "CASJobParameters"},
		{oms.CloudKingsoft, http.MethodPost, "JobParameters"},
		{oms.CloudUCloud, http.MethodPut, "GlacierJobParameters"},
	} {
		var body string
		answer := answerFunc(func(r *http.Request) (*http.Response, error) {
			raw, err := io.ReadAll(r.Body)
			body = string(raw)
			if err != nil {
				return nil, err
			}
			return reply(202, "").RoundTrip(r)
		})
		b, s := scripted(t, bucketAt(tt.cloud, "https://s3.example.com"), answer)
		req := storage.RestoreRequest{Key: "a b", VersionID: "v", Days: 5, Tier: storage.TierExpedited}
		if err := b.RequestRestore(t.Context(), req); err != nil {
			t.Errorf("%s: %v", tt.cloud, err)
			continue
		}
		r := s.last()
		want := "<Days>5</Days><" + tt.job + "><Tier>Expedited</Tier></" + tt.job + "></RestoreRequest>"
		if r.Method != tt.method || r.URL.RawQuery != "restore=&versionId=v" || !strings.HasSuffix(body, want) {
			t.Errorf("%s: got %s %s %s", tt.cloud, r.Method, r.URL, body)
		}
		// Without days and tier, as for objects that are in an archive by themselves.
		if err := b.RequestRestore(t.Context(), storage.RestoreRequest{Key: "k"}); err != nil || strings.Contains(body, "Days") || strings.Contains(body, "Tier") {
			t.Errorf("%s: %v, %s", tt.cloud, err, body)
		}
	}
}

// Answers that mean that nothing is left to ask for, and those that do not.
func TestRestoreAnswers(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		fails  bool
		want   oms.Kind
	}{
		{409, "RestoreAlreadyInProgress", false, 0},
		{409, "ObjectHasAlreadyRestored", false, 0},
		{403, "InvalidObjectState", true, oms.Invalid},
		{403, "AccessDenied", true, oms.Denied},
		{503, "GlacierExpeditedRetrievalNotAvailable", true, oms.Throttled},
		{503, "SlowDown", true, oms.Throttled},
		{501, "NotImplemented", true, oms.Unsupported},
		{405, "MethodNotAllowed", true, oms.Invalid},
	} {
		b, _ := scripted(t, bucketAt(oms.CloudAWS, "https://s3.example.com"), reply(tt.status, "<Error><Code>"+tt.code+"</Code></Error>"))
		err := b.RequestRestore(t.Context(), storage.RestoreRequest{Key: "k", Days: 1})
		if tt.fails != (err != nil) || tt.fails && oms.KindOf(err) != tt.want {
			t.Errorf("%s: got %v", tt.code, err)
		}
	}
}

func TestParseRestore(t *testing.T) {
	expires := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	for v, want := range map[string]storage.Restore{
		"":                       {},
		`ongoing-request="true"`: {State: storage.RestoreOngoing},
		`ongoing-request="false", expiry-date="Wed, 04 Mar 2026 00:00:00 GMT"`: {State: storage.RestoreDone, Expires: expires},
		`ongoing-request="False",expiry-date="Wed, 04 Mar 2026 00:00:00 GMT"`:  {State: storage.RestoreDone, Expires: expires},
		`ongoing-request="false"`:                      {State: storage.RestoreDone},
		`ongoing-request="false", expiry-date="never"`: {State: storage.RestoreDone},
		`ongoing-request="false", expiry-date="`:       {State: storage.RestoreDone},
		`ongoing-request="maybe"`:                      {},
		`ongoing-request=true`:                         {},
		`ongoing-request="true`:                        {},
	} {
		if got := parseRestore(v); got != want {
			t.Errorf("%q: got %+v, want %+v", v, got, want)
		}
	}
}

// Where the state of an object is read from.
func TestRestoreHeaders(t *testing.T) {
	for _, tt := range []struct {
		cloud oms.CloudType
		name  string
		value string
		want  storage.Restore
	}{
		{oms.CloudAWS, "X-Amz-Restore", `ongoing-request="true"`, storage.Restore{State: storage.RestoreOngoing}},
		{oms.CloudHuawei, "X-Obs-Restore", `ongoing-request="true"`, storage.Restore{State: storage.RestoreOngoing}},
		{oms.CloudAliyun, "X-Oss-Restore", `ongoing-request="true"`, storage.Restore{State: storage.RestoreOngoing}},
		{oms.CloudTencent, "X-Cos-Restore", `ongoing-request="true"`, storage.Restore{State: storage.RestoreOngoing}},
		{oms.CloudBaidu, "X-Bce-Restore", `ongoing-request="true"`, storage.Restore{State: storage.RestoreOngoing}},
		{oms.CloudAWS, "X-Amz-Archive-Status", "DEEP_ARCHIVE_ACCESS", storage.Restore{Archived: true}},
	} {
		b, _ := scripted(t, bucketAt(tt.cloud, "https://s3.example.com"), reply(200, "", tt.name, tt.value))
		if o, err := b.Stat(t.Context(), "k"); err != nil || o.Restore != tt.want {
			t.Errorf("%s: got %+v, %v", tt.name, o.Restore, err)
		}
	}
}

// The vendors' headers that let the requester pay, and that ask for encryption with a key service.
func TestVendorHeaders(t *testing.T) {
	payers := []string{"X-Amz-Request-Payer", "X-Oss-Request-Payer", "X-Cos-Request-Payer"}
	for _, tt := range []struct {
		cloud oms.CloudType
		payer []string
		kms   header
	}{
		{oms.CloudAWS, payers[:1], header{sseHeader, "aws:kms"}},
		{oms.CloudHEC, payers[:1], header{sseHeader, "aws:kms"}},
		{oms.CloudAliyun, payers[:2], header{"X-Oss-Server-Side-Encryption", "KMS"}},
		{oms.CloudTencent, []string{payers[0], payers[2]}, header{"X-Cos-Server-Side-Encryption", "cos/kms"}},
		{oms.CloudGoogle, nil, header{}},
		{oms.CloudQing, payers[:1], header{}},
	} {
		place := bucketAt(tt.cloud, "https://s3.example.com")
		place.RequesterPays = true
		b, s := scripted(t, place, reply(200, "", tt.kms.name, tt.kms.value))
		if _, err := b.Stat(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		for _, name := range payers {
			if sent := s.last().Header.Get(name) == "requester"; sent != slices.Contains(tt.payer, name) {
				t.Errorf("%s: %s sent: %v", tt.cloud, name, sent)
			}
		}
		w, err := b.Put(t.Context(), storage.PutRequest{Key: "k", Body: strings.NewReader(""), Attrs: storage.Attrs{KMS: true}})
		if tt.kms.name == "" {
			if oms.KindOf(err) != oms.Unsupported {
				t.Errorf("%s: got %v, want a refusal", tt.cloud, err)
			}
			continue
		}
		if err != nil || !w.KMS || !w.Encrypted || s.last().Header.Get(tt.kms.name) != tt.kms.value {
			t.Errorf("%s: got %+v, %v, sent %v", tt.cloud, w, err, s.last().Header)
		}
	}
}

func FuzzParseRestore(f *testing.F) {
	f.Add(`ongoing-request="false", expiry-date="Wed, 04 Mar 2026 00:00:00 GMT"`)
	f.Add(`ongoing-request="true"`)
	f.Add(`expiry-date="ongoing-request="false"`)
	f.Fuzz(func(t *testing.T, v string) {
		r := parseRestore(v)
		if r.State != storage.RestoreDone && !r.Expires.IsZero() {
			t.Errorf("%q: %+v expires without being restored", v, r)
		}
	})
}
