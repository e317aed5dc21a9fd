package gcs

import (
	"net/http"
	"strings"
)

// The prefixes of the store's own headers and of those that the S3 family sends and reads.
const (
	ours   = "X-Amz-"
	theirs = "X-Goog-"
)

// transport sends the requests of a client of the S3 family with a token.
type transport struct {
	base    http.RoundTripper
	project string
	tokens  *tokens
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.tokens.get(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // it belongs to the transport, and nobody has read it
		}
		return nil, err
	}
	sent := *r
	sent.Header = make(http.Header, len(r.Header)+2)
	for name, values := range r.Header {
		if rest, ok := strings.CutPrefix(name, ours); ok {
			name = theirs + rest
		}
		sent.Header[name] = values
	}
	sent.Header.Set("Authorization", "Bearer "+token.Reveal())
	if t.project != "" && (r.URL.Path == "/" || r.URL.Path == "") {
		sent.Header.Set(theirs+"Project-Id", t.project)
	}
	resp, err := t.base.RoundTrip(&sent)
	if err != nil {
		return nil, err
	}
	if class := resp.Header.Get(theirs + "Storage-Class"); class != "" {
		resp.Header.Set(ours+"Storage-Class", class)
	}
	return resp, nil
}
