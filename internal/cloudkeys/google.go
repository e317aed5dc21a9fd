package cloudkeys

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

const (
	maxFile        = 4 * 65_535 // bytes of a service account file: 65,535 characters (OMS v2, 3.7)
	minModulus     = 2048       // bits
	maxModulus     = 8192
	googleTokenURL = "https://oauth2.googleapis.com/token" //nolint:gosec // an address
)

// ServiceAccount is the content of a Google service account file.
type ServiceAccount struct {
	Email     string
	KeyID     string
	ProjectID string
	TokenURL  string // where tokens are asked for; see TokenURLAllowed
	Key       *rsa.PrivateKey
}

// ParseServiceAccount reads the file. Other kinds of Google credentials, which lead to programs and addresses of
// anybody's choice, are refused like what is no file at all: oms.Invalid.
func ParseServiceAccount(file oms.Secret) (ServiceAccount, error) {
	text := file.Reveal()
	if len(text) > maxFile {
		return ServiceAccount{}, invalid("the service account file is too large")
	}
	var f struct {
		Type     string `json:"type"`
		Email    string `json:"client_email"`
		KeyID    string `json:"private_key_id"`
		Key      string `json:"private_key"`
		Project  string `json:"project_id"`
		TokenURL string `json:"token_uri"`
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := dec.Decode(&f); err != nil || dec.More() {
		return ServiceAccount{}, invalid("the service account file is not JSON")
	}
	if f.Type != "service_account" {
		return ServiceAccount{}, invalid("the file is not that of a service account")
	}
	if !plainText(f.Email) || f.Email == "" || !plainText(f.KeyID) || !plainText(f.Project) {
		return ServiceAccount{}, invalid("the service account file lacks client_email, or a field of it holds what it cannot")
	}
	key, err := parseKey(f.Key)
	if err != nil {
		return ServiceAccount{}, invalid("the private_key of the service account file is not an RSA key in PEM, 2048 to 8192 bits")
	}
	a := ServiceAccount{Email: f.Email, KeyID: f.KeyID, ProjectID: f.Project, TokenURL: f.TokenURL, Key: key}
	if a.TokenURL == "" {
		a.TokenURL = googleTokenURL
	}
	return a, nil
}

// plainText reports whether s is printable ASCII of a sensible length.
func plainText(s string) bool {
	return len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

var errKey = errors.New("no usable key")

func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errKey
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errKey
		}
		other, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, errKey
		}
		key = other
	}
	if bits := key.N.BitLen(); bits < minModulus || bits > maxModulus {
		return nil, errKey
	}
	return key, nil
}

// TokenURLAllowed reports whether tokens may be asked for there: at Google over https, or at the host of an endpoint
// that the operator wrote. The file comes from a user, and a request wherever it says would reach what the user cannot.
func (a ServiceAccount) TokenURLAllowed(bucket oms.Endpoint) bool {
	u, err := url.Parse(a.TokenURL)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	switch u.Host {
	case "oauth2.googleapis.com", "www.googleapis.com", "accounts.google.com":
		return u.Scheme == "https"
	}
	e, err := url.Parse(bucket.URL)
	return err == nil && bucket.Trusted && u.Host != "" && u.Scheme == e.Scheme && u.Host == e.Host
}
