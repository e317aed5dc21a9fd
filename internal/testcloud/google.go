package testcloud

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// tokenPath is where a cloud with Profile.Tokens gives out tokens.
const tokenPath = "/token"

// tokenLife is how long tokens are valid.
const tokenLife = time.Hour

// GCS is the XML face of Google Cloud Storage: bearer tokens and headers called x-goog-, or HMAC keys as elsewhere;
// CRC-32C of every object, MD5 of those of one write.
func GCS() Profile {
	p := Plain()
	p.Name = "gcs"
	p.Tokens = true
	p.ListMillis = true
	p.MetadataLimit = 8 << 10
	p.ArchiveClasses = nil
	return p
}

// tokenService knows service accounts and the tokens given to them.
type tokenService struct {
	mu       sync.Mutex
	accounts map[string]*rsa.PublicKey
	tokens   map[string]time.Time // until when
	asked    int
}

// SetServiceAccount lets the owner of the key ask for tokens at [Cloud.Start]'s URL + "/token".
func (c *Cloud) SetServiceAccount(email string, key *rsa.PublicKey) {
	c.google.mu.Lock()
	defer c.google.mu.Unlock()
	if c.google.accounts == nil {
		c.google.accounts, c.google.tokens = map[string]*rsa.PublicKey{}, map[string]time.Time{}
	}
	c.google.accounts[email] = key
}

// TokensAsked returns how many requests for a token there were.
func (c *Cloud) TokensAsked() int {
	c.google.mu.Lock()
	defer c.google.mu.Unlock()
	return c.google.asked
}

// RevokeTokens makes all tokens and service accounts unknown.
func (c *Cloud) RevokeTokens() {
	c.google.mu.Lock()
	defer c.google.mu.Unlock()
	clear(c.google.tokens)
	clear(c.google.accounts)
}

// giveToken answers a request for a token.
func (c *Cloud) giveToken(w http.ResponseWriter, r *http.Request) {
	c.google.mu.Lock()
	defer c.google.mu.Unlock()
	c.google.asked++
	w.Header().Set("Content-Type", "application/json")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || !c.believes(r) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)) // the client may be gone
		return
	}
	var raw [24]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := "ya29." + hex.EncodeToString(raw[:])
	c.google.tokens[token] = c.clock().Add(tokenLife)
	_, _ = w.Write([]byte(`{"access_token":"` + token + `","token_type":"Bearer","expires_in":3599}`)) // the client may be gone
}

// believes verifies the signed statement of a request. The service is locked.
func (c *Cloud) believes(r *http.Request) bool {
	head, rest, _ := strings.Cut(r.PostFormValue("assertion"), ".")
	claims, signature, ok := strings.Cut(rest, ".")
	var h struct{ Alg string }
	var s struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	if !ok || !decodePart(head, &h) || !decodePart(claims, &s) || h.Alg != "RS256" {
		return false
	}
	key := c.google.accounts[s.Iss]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if key == nil || err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(head + "." + claims))
	now := c.clock().Unix()
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil && s.Aud == "http://"+r.Host+tokenPath &&
		strings.Contains(s.Scope, "devstorage") && s.Iat <= now+60 && s.Exp > now && s.Exp-s.Iat <= 3600
}

func decodePart(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}

// bearer returns the token of a request.
func bearer(h http.Header) (string, bool) {
	return strings.CutPrefix(h.Get("Authorization"), "Bearer ")
}

// adopt takes a request with a token over: its x-goog- headers become those that the rest of this package reads. A
// request that speaks of x-amz- has to be signed.
func (c *call) adopt() error {
	adopted := http.Header{}
	for name, values := range c.r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			return errInvalidArgument.because("x-amz- headers need a signature")
		}
		if rest, ok := strings.CutPrefix(name, "X-Goog-"); ok {
			name = "X-Amz-" + rest
		}
		adopted[name] = values
	}
	c.r.Header = adopted
	c.r.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	c.byToken = true
	return nil
}

// admit checks the token.
func (c *call) admit(token string) error {
	g := &c.cloud.google
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.tokens[token]
	if !ok || c.cloud.clock().After(until) {
		return errAccessDenied
	}
	return nil
}

// googleHeaders gives the headers of an object the names and checksums of Google.
func (c *call) googleHeaders(o *Object) {
	h := c.w.Header()
	sum := crc32.Checksum(o.Bytes(), crc32.MakeTable(crc32.Castagnoli))
	hash := "crc32c=" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
	if raw, err := hex.DecodeString(o.ETag); err == nil && o.Parts == 0 {
		hash += ",md5=" + base64.StdEncoding.EncodeToString(raw)
	}
	h.Set("X-Goog-Hash", hash)
	h.Set("X-Goog-Storage-Class", o.StorageClass)
	for _, name := range slices.Collect(maps.Keys(h)) {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok && c.byToken {
			h["X-Goog-Meta-"+rest] = h[name]
			delete(h, name)
		}
	}
	if c.byToken {
		h.Del("X-Amz-Storage-Class")
	}
}
