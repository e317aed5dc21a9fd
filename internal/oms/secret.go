package oms

import (
	"fmt"
	"log/slog"
)

// secretMask is what every formatting of a Secret shows.
const secretMask = "***"

// Secret holds a key, token or connection string. It prints as *** in every format, JSON and log; only
// Reveal returns the text. The zero value is an absent secret.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the text, for signing and sealing only.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String implements fmt.Stringer.
func (s Secret) String() string { return secretMask }

// Format implements fmt.Formatter, so that %#v and %x do not show the text either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(secretMask)) }

// MarshalText keeps the text out of JSON, YAML and text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(secretMask), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(secretMask) }

// Credentials open one side of a task. They are sealed while a run needs them and destroyed at its end.
type Credentials struct {
	AccessKey     string // AK; an identifier, but not shown either
	SecretKey     Secret
	SecurityToken Secret // with temporary keys
	CDNKey        Secret // signs the URLs of the source's CDN host; opens nothing by itself
	// Documents that open an account in place of AccessKey and SecretKey; see package cloudkeys.
	ConnectionString Secret // of an Azure storage account
	AuthFile         Secret // content of a Google service account file
}

// IsZero reports whether no key was given.
func (c Credentials) IsZero() bool {
	return c.AccessKey == "" && c.SecretKey.IsZero() && c.SecurityToken.IsZero() && c.ConnectionString.IsZero() && c.AuthFile.IsZero()
}

// TaskCredentials are the keys of both sides of a task.
type TaskCredentials struct {
	Src, Dst Credentials
}
