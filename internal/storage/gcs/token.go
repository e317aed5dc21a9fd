package gcs

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
)

const (
	scope     = "https://www.googleapis.com/auth/devstorage.read_write"
	grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	statementLife = time.Hour
	patience      = 30 * time.Second // for a token
	early         = 5 * time.Minute  // before a token ends the next one is asked for
	leastLife     = time.Minute
	mostLife      = 12 * time.Hour
	maxAnswer     = 64 << 10 // bytes
	maxToken      = 16 << 10 // bytes
)

// tokens gets the tokens of an account and keeps the latest. It is safe for concurrent use.
type tokens struct {
	account   cloudkeys.ServiceAccount
	transport http.RoundTripper
	clock     func() time.Time

	turn  chan struct{} // held by who looks at, or replaces, the token
	token oms.Secret
	until time.Time // when the next one is asked for
}

func newTokens(account cloudkeys.ServiceAccount, transport http.RoundTripper, clock func() time.Time) *tokens {
	return &tokens{account: account, transport: transport, clock: clock, turn: make(chan struct{}, 1)}
}

// get returns a token that is valid for some minutes. oms.Denied when the account's key is refused, oms.Throttled and
// oms.Transient when there is none now.
func (t *tokens) get(ctx context.Context) (oms.Secret, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return oms.Secret{}, ctx.Err()
	}
	if !t.token.IsZero() && t.clock().Before(t.until) {
		return t.token, nil
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, life, err := t.ask(asking)
	if err != nil {
		if ctx.Err() != nil {
			return oms.Secret{}, ctx.Err()
		}
		return oms.Secret{}, err
	}
	t.token = token
	t.until = t.clock().Add(max(life-early, life/2))
	return token, nil
}

// ask requests a token.
func (t *tokens) ask(ctx context.Context) (token oms.Secret, life time.Duration, err error) {
	statement, err := t.statement()
	if err != nil {
		return token, 0, failure(oms.Invalid, "", "the key of the service account cannot sign")
	}
	form := url.Values{"grant_type": {grantType}, "assertion": {statement}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.account.TokenURL, strings.NewReader(form))
	if err != nil {
		return token, 0, failure(oms.Invalid, "", "the token_uri of the service account file cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := t.transport.RoundTrip(req)
	if err != nil { // blocked, refused and timed out look the same (rule S7)
		return token, 0, failure(oms.Transient, "CONNECTION", "no usable connection to the token service")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return token, 0, failure(oms.Transient, "CONNECTION", "the answer of the token service broke off")
	}
	if resp.StatusCode != http.StatusOK {
		return token, 0, refused(resp.StatusCode, body)
	}
	return readToken(body)
}

// statement says who asks for what, signed (RFC 7523).
func (t *tokens) statement() (string, error) {
	now := t.clock()
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": t.account.KeyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": t.account.Email, "scope": scope, "aud": t.account.TokenURL, "iat": now.Unix(), "exp": now.Add(statementLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, t.account.Key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// readToken reads the answer of the token service.
func readToken(body []byte) (token oms.Secret, life time.Duration, err error) {
	var a struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
		Life  int64  `json:"expires_in"`
	}
	unprintable := func(r rune) bool { return r <= ' ' || r > '~' }
	if json.Unmarshal(body, &a) != nil || a.Token == "" || len(a.Token) > maxToken || strings.ContainsFunc(a.Token, unprintable) ||
		a.Type != "" && !strings.EqualFold(a.Type, "Bearer") {
		return token, 0, failure(oms.Transient, "BAD_ANSWER", "the token service answered without a token")
	}
	life = min(max(time.Duration(min(a.Life, int64(mostLife/time.Second)))*time.Second, leastLife), mostLife)
	return oms.NewSecret(a.Token), life, nil
}

// refused is the error of an answer that is no success. Only its code is shown.
func refused(status int, body []byte) error {
	var a struct {
		Code string `json:"error"`
	}
	code := "HTTP " + strconv.Itoa(status)
	if json.Unmarshal(body, &a) == nil && a.Code != "" {
		code = oms.Clean(a.Code)
	}
	switch {
	case status == http.StatusTooManyRequests:
		return failure(oms.Throttled, code, "")
	case status >= http.StatusInternalServerError || status == http.StatusRequestTimeout:
		return failure(oms.Transient, code, "")
	case status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden:
		return failure(oms.Denied, code, "the key of the service account is refused")
	}
	return failure(oms.Invalid, code, "the token service cannot be used")
}

func failure(kind oms.Kind, code, msg string) error {
	return &oms.Error{Op: "get token", Kind: kind, Code: code, Msg: msg}
}
