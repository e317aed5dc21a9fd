package omsv2

import (
	"fmt"
	"log/slog"
)

// Secret is a key or token that a request carries. It travels as a plain JSON string, but prints as *** in
// every format and log.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "***" }

// Format implements fmt.Formatter, so that %#v and %x do not show the text either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
