package telemetry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/telemetry"
)

// Rule S4: whatever is handed to the logger, a secret's text is not in the line.
func TestSecretsAreMasked(t *testing.T) {
	const canary = "canary-9f3b"
	secret := oms.NewSecret(canary)
	signed, err := url.Parse("https://user:" + canary + "@host/path?X-Amz-Signature=" + canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []telemetry.Format{telemetry.FormatText, telemetry.FormatJSON} {
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, format, slog.LevelDebug)
		log.Debug("everything",
			"value", secret, "pointer", &secret, "list", []oms.Secret{secret},
			"struct", oms.Credentials{AccessKey: "ak", SecretKey: secret, SecurityToken: secret},
			"sk", canary, "src_secret_key", canary, "password", canary, "security_token", canary,
			"url", signed, "url_value", *signed, "signature", []byte(canary),
			slog.String("Authorization", canary), //nolint:sloglint // as a careless caller would spell it
			slog.Group("inner", "token", canary))
		log.With("secret_key", canary).WithGroup("group").Info("again", "credentials", canary)
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s: a secret is in the log:\n%s", format, out.String())
		}
		if !strings.Contains(out.String(), "https://host/path") || !strings.Contains(out.String(), "***") {
			t.Errorf("%s: the rest of the line is missing:\n%s", format, out.String())
		}
	}
}

func TestLevelAndFormat(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, telemetry.FormatJSON, slog.LevelWarn)
	log.Info("not shown")
	log.Warn("shown", "bytes", 7, "err", errors.New("line\nbreak"))
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"bytes":7`) || strings.Contains(got, "not shown") {
		t.Errorf("got %q", got)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]slog.Level{"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if got, err := telemetry.ParseLevel(in); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	if _, err := telemetry.ParseLevel("loud"); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v, want oms.Invalid", err)
	}
	if f, err := telemetry.ParseFormat("json"); err != nil || f != telemetry.FormatJSON {
		t.Errorf("got %v, %v", f, err)
	}
	if _, err := telemetry.ParseFormat("xml"); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v, want oms.Invalid", err)
	}
}
