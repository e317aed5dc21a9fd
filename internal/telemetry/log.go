// Package telemetry makes the logger and the metrics of a process.
//
// Logs go through log/slog as text or JSON. Secrets are of type oms.Secret and print as ***; as a second line
// of defence attributes whose name says that they hold a secret are masked whatever their type, and URLs lose
// user and query, where signatures and tokens travel.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// Format is how log lines look.
type Format string

// The formats.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// ParseFormat reads the name of a format; oms.Invalid for any other text.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatText, FormatJSON:
		return f, nil
	}
	return "", oms.Errorf(oms.Invalid, "", "log format %q is neither text nor json", oms.Clean(s))
}

// ParseLevel reads debug, info, warn or error; oms.Invalid for any other text.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, oms.Errorf(oms.Invalid, "", "log level %q is none of debug, info, warn, error", oms.Clean(s))
}

// NewLogger returns a logger that writes lines of at least the level to w.
func NewLogger(w io.Writer, format Format, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: mask}
	if format == FormatJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// masked stands for a secret.
const masked = "***"

// mask hides what must not be in a log: see the package comment.
func mask(_ []string, a slog.Attr) slog.Attr {
	if secretName(a.Key) {
		return slog.String(a.Key, masked)
	}
	switch v := a.Value.Any().(type) {
	case *url.URL:
		return slog.String(a.Key, plainURL(v))
	case url.URL:
		return slog.String(a.Key, plainURL(&v))
	case fmt.Formatter: // oms.Secret and its like; slog would look into the struct
		return slog.String(a.Key, fmt.Sprint(v))
	}
	return a
}

// secretName reports whether an attribute of this name holds a secret.
func secretName(key string) bool {
	switch strings.ToLower(key) {
	case "sk", "src_sk", "dst_sk", "authorization", "cookie", "connection_string", "json_auth_file":
		return true
	}
	key = strings.ToLower(key)
	for _, part := range []string{"secret", "password", "token", "credential", "signature", "master_key"} {
		if strings.Contains(key, part) {
			return true
		}
	}
	return false
}

// plainURL is the URL without user, query and fragment.
func plainURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
