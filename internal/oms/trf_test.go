package oms

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestReasonOf(t *testing.T) {
	denied := func(code string) error { return &Error{Kind: Denied, Code: code} }
	tests := []struct {
		name     string
		err      error
		src, dst string
	}{
		{"unknown key", denied("InvalidAccessKeyId"), "TRF.0151", "TRF.0057"},
		{"Azure", denied("AuthenticationFailed"), "TRF.0151", "TRF.0057"},
		{"Google", denied("invalid_grant"), "TRF.0151", "TRF.0057"},
		{"wrong secret", denied("SignatureDoesNotMatch"), "TRF.0151", "TRF.0057"},
		{"expired token", denied("ExpiredToken"), "TRF.0151", "TRF.0057"},
		{"invalid token", denied("InvalidToken"), "TRF.0151", "TRF.0057"},
		{"old token", denied("TokenRefreshRequired"), "TRF.0151", "TRF.0057"},
		{"no rights", denied("AccessDenied"), "TRF.0152", "TRF.0051"},
		{"answer without a body", denied("HTTP 403"), "TRF.0152", "TRF.0051"},
		{"no code", denied(""), "TRF.0152", "TRF.0051"},
		{"code deeper", &Error{Kind: Denied, Code: "HTTP 403", Err: fmt.Errorf("list: %w", denied("InvalidToken"))}, "TRF.0151", "TRF.0057"},
		{"code beside", errors.Join(denied("AccessDenied"), denied("ExpiredToken")), "TRF.0151", "TRF.0057"},
		{"key code of another kind", &Error{Kind: Transient, Code: "InvalidToken"}, "TRF.0157", "TRF.0061"},
		{"no bucket", &Error{Kind: NoBucket}, "TRF.0155", "TRF.0058"},
		{"throttled", &Error{Kind: Throttled}, "TRF.0159", "TRF.0061"},
		{"full", &Error{Kind: Full}, "TRF.0055", "TRF.0055"},
		{"listing", &Error{Kind: Listing}, "TRF.0157", "TRF.0061"},
		{"foreign", context.Canceled, "TRF.0001", "TRF.0001"},
		{"none", nil, "TRF.0001", "TRF.0001"},
	}
	for _, tt := range tests {
		for side, want := range map[Side]string{Source: tt.src, Destination: tt.dst} {
			if got := ReasonOf(side, tt.err); got.Code != want || got.Message == "" {
				t.Errorf("%s, side %d: got %+v, want %s", tt.name, side, got, want)
			}
		}
	}
}
