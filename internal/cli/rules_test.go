package cli

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

func TestExtendedRules(t *testing.T) {
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	ten, zero := int64(10<<20), int64(0)
	for _, tt := range []struct {
		flags []string
		want  oms.TaskSpec
	}{
		{nil, oms.TaskSpec{}},
		{[]string{"--dry-run"}, oms.TaskSpec{Mode: oms.ModeDryRun}},
		{[]string{"--verify-only"}, oms.TaskSpec{Mode: oms.ModeVerify}},
		{
			[]string{"--include", "a,b/**", "--include=*.x", "--exclude", "*2*", "--include-regex", "^q", "--exclude-regex", "z$", "--min-size", "1k", "--max-size", "10MiB"},
			oms.TaskSpec{Filters: &oms.Filters{
				IncludeGlobs: []string{"a,b/**", "*.x"}, ExcludeGlobs: []string{"*2*"}, IncludeRegex: []string{"^q"}, ExcludeRegex: []string{"z$"},
				MinSize: 1024, MaxSize: &ten,
			}},
		},
		{[]string{"--max-size=0"}, oms.TaskSpec{Filters: &oms.Filters{MaxSize: &zero}}},
		{
			[]string{"--newer-than", "7d", "--older-than", "2026-03-07"},
			oms.TaskSpec{Filters: &oms.Filters{ModifiedAfter: now.AddDate(0, 0, -7), ModifiedBefore: now.Add(-36 * time.Hour)}},
		},
		{
			[]string{"--rename", "strip:a/", "--rename", "add:b,c", "--rename", `s/^(\d+)-/$1,/`, "--rename", "s|/|:|", "--rename", "upper"},
			oms.TaskSpec{Rename: []oms.RenameRule{
				{StripPrefix: "a/"}, {AddPrefix: "b,c"}, {Match: `^(\d+)-`, Replace: "$1,"}, {Match: "/", Replace: ":"}, {Case: oms.CaseUpper},
			}},
		},
	} {
		got, err := specOf(t, now, tt.flags...)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: got %+v, %v", tt.flags, got, err)
		}
	}
	for _, flags := range [][]string{
		{"--dry-run", "--verify-only"},
		{"--include", "["},
		{"--include-regex", "("},
		{"--min-size", "big"},
		{"--max-size", "-1"},
		{"--min-size", "2", "--max-size", "1"},
		{"--newer-than", "yesterday"},
		{"--newer-than", "-1h"},
		{"--older-than", "0d"},
		{"--newer-than", "1d", "--older-than", "2d"},
		{"--rename", ""},
		{"--rename", "strip:"},
		{"--rename", "s/a/b"},
		{"--rename", "s/a/b/g"},
		{"--rename", "s//b/"},
		{"--rename", "s/a/$1/"},
		{"--rename", "title"},
	} {
		if got, err := specOf(t, now, flags...); err == nil {
			t.Errorf("%q: got %+v", flags, got)
		}
	}
}

// specOf returns what flags mean.
func specOf(t *testing.T, now time.Time, flags ...string) (spec oms.TaskSpec, err error) {
	t.Helper()
	var r extendedRules
	cmd := &cobra.Command{}
	r.register(cmd)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	return spec, r.apply(&spec, now)
}

// The command that goes on gives every flag again as it was.
func TestFlagWords(t *testing.T) {
	var r extendedRules
	cmd := &cobra.Command{}
	r.register(cmd)
	if err := cmd.ParseFlags([]string{"--include", "a b,c", "--include", "*.x", "--dry-run"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range extendedFlags() {
		f := cmd.Flags().Lookup(name)
		if f == nil {
			t.Fatalf("no flag %s", name)
		}
		if f.Changed {
			got = append(got, flagWords(f)...)
		}
	}
	if want := []string{"--include='a b,c'", "--include='*.x'", "--dry-run=true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWireRules(t *testing.T) {
	if w, ok := wireRules(oms.TaskSpec{}); ok || !reflect.DeepEqual(w, omsv2.ExtendedRules{}) {
		t.Errorf("no rules: got %+v", w)
	}
	w, ok := wireRules(oms.TaskSpec{
		Mode: oms.ModeVerify, Filters: &oms.Filters{MinSize: 5, ModifiedAfter: time.UnixMilli(7)}, Rename: []oms.RenameRule{{AddPrefix: "x"}},
	})
	if !ok || w.Mode != omsv2.ModeVerify || w.Filters.MinSize != 5 || w.Filters.ModifiedAfter != 7 || w.Filters.ModifiedBefore != 0 || len(w.Rename) != 1 {
		t.Errorf("got %+v", w)
	}
}

// A migration goes on only with the rules that it began with; an age may mean another instant.
func TestSameRules(t *testing.T) {
	a := oms.TaskSpec{Filters: &oms.Filters{IncludeGlobs: []string{"a/*"}, ModifiedAfter: time.Unix(1, 0), Within: []string{"a/"}}}
	b := oms.TaskSpec{Filters: &oms.Filters{IncludeGlobs: []string{"a/*"}, ModifiedAfter: time.Unix(2, 0)}}
	if !sameRules(a, b) || !sameRules(oms.TaskSpec{}, oms.TaskSpec{Filters: &oms.Filters{}}) {
		t.Error("equal rules are not the same")
	}
	b.Rename = []oms.RenameRule{{AddPrefix: "x"}}
	if sameRules(a, b) || sameRules(a, oms.TaskSpec{}) {
		t.Error("other rules are the same")
	}
}
