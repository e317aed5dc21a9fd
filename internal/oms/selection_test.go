package oms

import (
	"slices"
	"testing"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		name            string
		typ             TaskType
		keys            []string
		prefixes, names []string
	}{
		{"whole bucket", TypePrefix, []string{""}, []string{""}, nil},
		{"whole bucket as object task", TypeObject, []string{""}, []string{""}, nil},
		{"nested prefixes merge", TypePrefix, []string{"b", "a/b", "a/", "b"}, []string{"a/", "b"}, nil},
		{"names and folders", TypeObject, []string{"x", "d/", "d/e", "x", "a"}, []string{"d/"}, []string{"a", "x"}},
		{"whole bucket covers all", TypeObject, []string{"x", ""}, []string{""}, nil},
		{"a prefix need not end in a slash", TypePrefix, []string{"ab", "abc"}, []string{"ab"}, nil},
	} {
		prefixes, names := TaskSpec{Type: c.typ, Src: SourceNode{Keys: c.keys}}.Selection()
		if !slices.Equal(prefixes, c.prefixes) || !slices.Equal(names, c.names) {
			t.Errorf("%s: got %q %q, want %q %q", c.name, prefixes, names, c.prefixes, c.names)
		}
	}
}
