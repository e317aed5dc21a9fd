package cloudkeys_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
)

func pemKey(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func rsaKey(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func file(tb testing.TB, change map[string]string, key string) oms.Secret {
	tb.Helper()
	f := map[string]string{
		"type": "service_account", "project_id": "lab", "private_key_id": "k1", "private_key": key,
		"client_email": "mover@lab.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
	}
	maps.Copy(f, change)
	text, err := json.Marshal(f)
	if err != nil {
		tb.Fatal(err)
	}
	return oms.NewSecret(string(text))
}

func TestServiceAccount(t *testing.T) {
	key := rsaKey(t)
	a, err := cloudkeys.ParseServiceAccount(file(t, nil, pemKey(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	if a.Email != "mover@lab.iam.gserviceaccount.com" || a.ProjectID != "lab" || a.KeyID != "k1" || !a.Key.Equal(key) {
		t.Errorf("got %q, %q, %q or another key", a.Email, a.ProjectID, a.KeyID)
	}
	old := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if _, err := cloudkeys.ParseServiceAccount(file(t, nil, old)); err != nil {
		t.Errorf("PKCS #1: %v", err)
	}
}

// TestTokenURL covers the addresses that a file of a user could make the service ask (rule S5).
func TestTokenURL(t *testing.T) {
	key := pemKey(t, rsaKey(t))
	google := oms.Endpoint{URL: "https://storage.googleapis.com"}
	lab := oms.Endpoint{URL: "http://127.0.0.1:4443", Trusted: true}
	for _, test := range []struct {
		url    string
		bucket oms.Endpoint
		want   bool
	}{
		{"", google, true},
		{"https://oauth2.googleapis.com/token", google, true},
		{"https://www.googleapis.com/oauth2/v4/token", google, true},
		{"http://oauth2.googleapis.com/token", google, false},
		{"https://oauth2.googleapis.com:8443/token", google, false},
		{"https://oauth2.googleapis.com.evil.test/token", google, false},
		{"https://user@oauth2.googleapis.com/token", google, false},
		{"https://storage.googleapis.com/token", google, false},
		{"http://169.254.169.254/computeMetadata/v1/", google, false},
		{"http://127.0.0.1:4443/token", google, false},
		{"http://127.0.0.1:4443/token", lab, true},
		{"http://127.0.0.1:4444/token", lab, false},
		{"https://127.0.0.1:4443/token", lab, false},
		{"http://127.0.0.1:4443/token", oms.Endpoint{URL: lab.URL}, false},
	} {
		a, err := cloudkeys.ParseServiceAccount(file(t, map[string]string{"token_uri": test.url}, key))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.TokenURLAllowed(test.bucket); got != test.want {
			t.Errorf("%q for %s: got %v, want %v", test.url, test.bucket.URL, got, test.want)
		}
	}
}

func TestServiceAccountRefused(t *testing.T) {
	key := pemKey(t, rsaKey(t))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]oms.Secret{
		"empty":       oms.NewSecret(""),
		"no JSON":     oms.NewSecret("AIza-a-secret"),
		"two":         oms.NewSecret(file(t, nil, key).Reveal() + "{}"),
		"person":      file(t, map[string]string{"type": "authorized_user"}, key),
		"program":     file(t, map[string]string{"type": "external_account"}, key),
		"no email":    file(t, map[string]string{"client_email": ""}, key),
		"header":      file(t, map[string]string{"project_id": "x\r\nHost: y"}, key),
		"no key":      file(t, nil, ""),
		"other key":   file(t, nil, pemKey(t, curve)),
		"broken key":  file(t, nil, strings.Replace(key, "M", "N", 3)),
		"huge":        oms.NewSecret(`{"type":"` + strings.Repeat("x", 4*65_535) + `"}`),
		"certificate": file(t, nil, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))),
	} {
		_, err := cloudkeys.ParseServiceAccount(f)
		if !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %v, want oms.Invalid", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "AIza") || strings.Contains(err.Error(), "MII")) {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
}

func FuzzServiceAccount(f *testing.F) {
	key := pemKey(f, rsaKey(f))
	f.Add(file(f, nil, key).Reveal())
	f.Add(file(f, map[string]string{"token_uri": "http://169.254.169.254/"}, key).Reveal())
	f.Add(`{"type":"external_account","credential_source":{"url":"http://127.0.0.1"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := cloudkeys.ParseServiceAccount(oms.NewSecret(text))
		if err != nil {
			if !errors.Is(err, oms.Invalid) {
				t.Errorf("got %v", err)
			}
			return
		}
		if a.Key == nil || a.Email == "" {
			t.Error("an account without key or name")
		}
		if a.TokenURLAllowed(oms.Endpoint{URL: "https://storage.googleapis.com"}) && !strings.HasPrefix(a.TokenURL, "https://") {
			t.Errorf("tokens would be asked for at %q", a.TokenURL)
		}
	})
}
