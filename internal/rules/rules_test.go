package rules

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

func TestGlobs(t *testing.T) {
	tests := []struct {
		glob    string
		yes, no []string
	}{
		{"*.jpg", []string{"a.jpg", "x/y/a.jpg", ".jpg", "x/.jpg"}, []string{"a.jpeg", "a.jpg/b", "jpg"}},
		{"*", []string{"", "a", "a/", "a/b"}, nil},
		{"**", []string{"", "a", "a/b/c"}, nil},
		{"logs", []string{"logs", "a/logs"}, []string{"logs/", "mylogs", "logs/a"}},
		{"logs/**", []string{"logs/", "logs/a", "logs/a/b"}, []string{"logs", "x/logs/a"}},
		{"logs/*", []string{"logs/", "logs/a"}, []string{"logs/a/b", "logs"}},
		{"logs/*/x", []string{"logs/a/x", "logs//x"}, []string{"logs/x", "logs/a/b/x"}},
		{"**/x", []string{"x", "a/x", "a/b/x", "/x"}, []string{"ax", "x/y"}},
		{"a/**/z", []string{"a/z", "a/b/z", "a/b/c/z"}, []string{"a/bz", "z"}},
		{"**.gz", []string{"a.gz", "x/a.gz"}, []string{"a.gz/x"}},
		{"a**z", []string{"az", "a/b/z"}, []string{"ba/z", "az/"}},
		{"img-?.png", []string{"img-1.png", "d/img-é.png"}, []string{"img-12.png", "img-/.png"}},
		{"[a-c]x", []string{"ax", "d/cx"}, []string{"dx", "x"}},
		{"[!a-c]x", []string{"dx", "\xffx"}, []string{"ax", "/x"}},
		{"[]]", []string{"]"}, []string{"["}},
		{"{a,b{c,d}}.txt", []string{"a.txt", "bc.txt", "q/bd.txt"}, []string{"b.txt", "ac.txt"}},
		{"y/{2024,2025}/**", []string{"y/2024/", "y/2025/x"}, []string{"y/2026/x"}},
		{`a\*b`, []string{"a*b", "x/a*b"}, []string{"aab"}},
		{"a.b", []string{"a.b"}, []string{"axb"}},
		{"x/a+b", []string{"x/a+b"}, []string{"x/aab", "y/x/a+b"}},
		{"d/\u00e9*", []string{"d/\u00e9", "d/\u00e9\xff"}, []string{"d/e\u0301"}},
	}
	for _, tt := range tests {
		f, err := NewFilter(&oms.Filters{IncludeGlobs: []string{tt.glob}})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range tt.yes {
			if !f.Key(key) {
				t.Errorf("%q does not match %q", tt.glob, key)
			}
		}
		for _, key := range tt.no {
			if f.Key(key) {
				t.Errorf("%q matches %q", tt.glob, key)
			}
		}
	}
}

func TestRefusedPatterns(t *testing.T) {
	long := strings.Repeat("x", MaxPattern+1)
	n := func(n int64) *int64 { return &n }
	now := time.Unix(1000, 0)
	for _, f := range []oms.Filters{
		{IncludeGlobs: []string{""}},
		{IncludeGlobs: []string{long}},
		{IncludeGlobs: []string{"["}},
		{IncludeGlobs: []string{"a}"}},
		{IncludeGlobs: []string{"{a"}},
		{IncludeGlobs: []string{"]"}},
		{IncludeGlobs: []string{`a\`}},
		{ExcludeGlobs: []string{"[a/b]"}},
		{ExcludeGlobs: []string{"{{{{{a}}}}}"}},
		{IncludeGlobs: slices.Repeat([]string{"a"}, MaxPatterns+1)},
		{IncludeGlobs: []string{"\xff"}},
		{IncludeRegex: []string{"("}},
		{IncludeRegex: []string{`(?=x)`}},
		{IncludeRegex: []string{`(a)\1`}},
		{IncludeRegex: []string{"((a{100}){100}){100}"}},
		{ExcludeRegex: []string{"((x{1000}){9}){9}"}},
		{IncludeRegex: slices.Repeat([]string{"a{990}"}, 20)},
		{MinSize: -1},
		{MinSize: 2, MaxSize: n(1)},
		{ModifiedAfter: now, ModifiedBefore: now},
	} {
		if _, err := NewFilter(&f); !errors.Is(err, oms.Invalid) || oms.CodeOf(err) != "OMS.1003" {
			t.Errorf("%+v: got %v", f, err)
		}
	}
	for _, f := range []*oms.Filters{nil, {}, {Within: []string{"a"}}} {
		if got, err := NewFilter(f); got != nil || err != nil || !got.Takes("k", 1, now) || got.Within() != nil {
			t.Errorf("%+v: got %v, %v", f, got, err)
		}
	}
}

func TestFilter(t *testing.T) {
	most := int64(10)
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	f, err := NewFilter(&oms.Filters{
		IncludeGlobs: []string{"a/**"}, IncludeRegex: []string{`\.log$`}, ExcludeGlobs: []string{"*.tmp"}, ExcludeRegex: []string{"^a/secret"},
		MinSize: 2, MaxSize: &most, ModifiedAfter: at(100), ModifiedBefore: at(200),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  string
		size int64
		mod  int64
		want bool
	}{
		{"a/x", 5, 150, true},
		{"b/x.log", 5, 150, true},
		{"b/x", 5, 150, false},
		{"a/x.tmp", 5, 150, false},
		{"a/secrets", 5, 150, false},
		{"a/x", 1, 150, false},
		{"a/x", 2, 150, true},
		{"a/x", 10, 150, true},
		{"a/x", 11, 150, false},
		{"a/x", -1, 150, true},
		{"a/x", 5, 100, false},
		{"a/x", 5, 101, true},
		{"a/x", 5, 199, true},
		{"a/x", 5, 200, false},
	} {
		if got := f.Takes(tt.key, tt.size, at(tt.mod)); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
	empty := int64(0)
	f, err = NewFilter(&oms.Filters{MaxSize: &empty})
	if err != nil || !f.Object(0, at(1)) || f.Object(1, at(1)) {
		t.Errorf("only empty objects: %v", err)
	}
}

// What is not listed must not be taken: every key that a filter takes has one of its prefixes.
func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		include, regex, want []string
	}{
		{[]string{"a/b/*", "a/b/c/**"}, nil, []string{"a/b/"}},
		{[]string{"y/{2024,2025}/**", "x"}, nil, nil},
		{[]string{"y/{2024,2025}/**", "x/y"}, nil, []string{"x/y", "y/"}},
		{[]string{"a/b/*"}, []string{"x"}, nil},
		{[]string{"*.jpg"}, nil, nil},
		{nil, nil, nil},
	} {
		f, err := NewFilter(&oms.Filters{IncludeGlobs: tt.include, IncludeRegex: tt.regex, MinSize: 1})
		if err != nil || !slices.Equal(f.Within(), tt.want) {
			t.Errorf("%+v: got %q, %v", tt, f.Within(), err)
		}
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		save  string
		rules []oms.RenameRule
		keys  map[string]string
	}{
		{"p/", nil, map[string]string{"a": "p/a", "": "p/"}},
		{"", []oms.RenameRule{{StripPrefix: "a/"}}, map[string]string{"a/b": "b", "a/": "", "b": "b", "a/a/b": "a/b"}},
		{"s-", []oms.RenameRule{{StripPrefix: "a/"}, {AddPrefix: "x/"}}, map[string]string{"a/b": "s-x/b"}},
		{"", []oms.RenameRule{{Match: `^(\d{4})-(\d\d)/`, Replace: "$1/${2}x/"}}, map[string]string{"2024-05/a": "2024/05x/a", "x/2024-05/a": "x/2024-05/a"}},
		{"", []oms.RenameRule{{Match: ` `, Replace: "_"}}, map[string]string{"a b c": "a_b_c", "\xff \xfe": "\xff_\xfe"}},
		{"", []oms.RenameRule{{Match: `(?P<y>\d+)`, Replace: "$$${y}"}}, map[string]string{"a1": "a$1"}},
		{"", []oms.RenameRule{{Match: `x`}}, map[string]string{"axb": "ab"}},
		{"", []oms.RenameRule{{Case: oms.CaseLower}}, map[string]string{"AbÉ\xc3": "abÉ\xc3"}},
		{"", []oms.RenameRule{{Case: oms.CaseUpper}}, map[string]string{"AbÉz[`{": "ABÉZ[`{"}},
	}
	for _, tt := range tests {
		n, err := NewNames(tt.save, tt.rules)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range tt.keys {
			if got := n.Of(key); got != want {
				t.Errorf("%+v: %q became %q, want %q", tt.rules, key, got, want)
			}
		}
	}
	for _, r := range []oms.RenameRule{
		{},
		{StripPrefix: "a", AddPrefix: "b"},
		{Replace: "x"},
		{StripPrefix: "a", Replace: "x"},
		{Case: "Title"},
		{Match: "("},
		{Match: "a", Replace: "$1"},
		{Match: "(a)", Replace: "$1x"},
		{Match: "(a)", Replace: "${2}"},
		{Match: "(a)", Replace: "$"},
		{Match: "(a)", Replace: "$99999999999999999999"},
		{AddPrefix: strings.Repeat("a", MaxPattern+1)},
	} {
		if _, err := NewNames("", []oms.RenameRule{r}); oms.CodeOf(err) != "OMS.1003" {
			t.Errorf("%+v: got %v", r, err)
		}
	}
	if _, err := NewNames("", slices.Repeat([]oms.RenameRule{{AddPrefix: "a"}}, MaxRules+1)); oms.CodeOf(err) != "OMS.1003" {
		t.Errorf("too many rules: %v", err)
	}
}

func TestUnique(t *testing.T) {
	strip := []oms.RenameRule{{StripPrefix: "a/"}}
	for _, tt := range []struct {
		rules           []oms.RenameRule
		prefixes, names []string
		want            bool
	}{
		{nil, []string{""}, []string{"x"}, true},
		{[]oms.RenameRule{{AddPrefix: "a"}, {AddPrefix: "b"}}, []string{"", "x"}, []string{"n"}, true},
		{strip, []string{"a/"}, nil, true},
		{strip, []string{"a/b"}, nil, true},
		{strip, []string{""}, nil, false},             // a/x and x
		{strip, []string{"a"}, nil, false},            // some keys below begin with a/
		{strip, []string{"a/", "b/"}, nil, false},     // a/b/x and b/x
		{strip, []string{"a/c/", "b/"}, nil, true},    // c/… and b/…
		{strip, []string{"a/"}, []string{"n"}, false}, // a/n and n
		{[]oms.RenameRule{{Case: oms.CaseLower}}, []string{"a/"}, nil, false},
		{[]oms.RenameRule{{Match: "x"}}, []string{"a/"}, nil, false},
	} {
		n, err := NewNames("s/", tt.rules)
		if err != nil || n.Unique(tt.prefixes, tt.names) != tt.want {
			t.Errorf("%+v: got %v, %v", tt, !tt.want, err)
		}
	}
}

func TestFault(t *testing.T) {
	for name, want := range map[string]oms.NameReason{
		"": oms.NameEmpty, "a": "", strings.Repeat("x", 1024): "", strings.Repeat("x", 1025): oms.NameTooLong,
	} {
		if got := Fault(name); got != want {
			t.Errorf("%d bytes: got %q", len(name), got)
		}
	}
}

// slowMatch is what the documentation of globs says, written down another way.
func slowMatch(glob, key string) bool {
	if glob == "" {
		return key == ""
	}
	switch {
	case strings.HasPrefix(glob, "**"):
		rest := strings.TrimLeft(glob, "*")
		for i := 0; i <= len(key); i++ {
			if slowMatch(rest, key[i:]) {
				return true
			}
		}
		return false
	case glob[0] == '*':
		for i := 0; i <= len(key); i++ {
			if slowMatch(glob[1:], key[i:]) {
				return true
			}
			if i < len(key) && key[i] == '/' {
				return false
			}
		}
		return false
	case key == "":
		return false
	case glob[0] == '?':
		_, n := utf8.DecodeRuneInString(key)
		return key[0] != '/' && slowMatch(glob[1:], key[n:])
	}
	return glob[0] == key[0] && slowMatch(glob[1:], key[1:])
}

// A glob of stars, question marks and plain characters matches what an independent matcher does, and a key that a
// filter takes lies within its prefixes.
func FuzzGlob(f *testing.F) {
	f.Add("a/**/b*?", "a/x/bcd")
	f.Add("*.jpg", "x/a.jpg")
	f.Add("a**z", "a/z")
	f.Add("[!a]{b,c}", "xb")
	f.Add("x/\xff*", "x/\xff")
	f.Fuzz(func(t *testing.T, text, key string) {
		if len(text) > 40 || len(key) > 60 {
			t.Skip()
		}
		filter, err := NewFilter(&oms.Filters{IncludeGlobs: []string{text}, MinSize: 1})
		if err != nil {
			if !errors.Is(err, oms.Invalid) {
				t.Fatal(err)
			}
			return
		}
		got := filter.Key(key)
		if within := filter.Within(); got && within != nil && !slices.ContainsFunc(within, func(p string) bool { return strings.HasPrefix(key, p) }) {
			t.Fatalf("%q takes %q, which is not within %q", text, key, within)
		}
		if strings.ContainsAny(text, `[]{},\`) || strings.Contains(text, "**/") || !utf8.ValidString(key) {
			return
		}
		subject := key
		if !strings.Contains(text, "/") && !strings.Contains(text, "**") {
			subject = key[strings.LastIndexByte(key, '/')+1:]
		}
		if want := slowMatch(text, subject); got != want {
			t.Fatalf("%q matches %q: got %v, want %v", text, key, got, want)
		}
	})
}

// Where a prefix is said to keep its order, the mapping does exactly that; where names are said to be unique, two keys
// do not meet.
func FuzzNames(f *testing.F) {
	f.Add("a/", "b/", "x", "y", "a/", "1", "2")
	f.Add("a/b", "", "", "", "a/", "b", "")
	f.Add("a", "c", "(.)x", "$1", "ab", "x", "xx")
	f.Fuzz(func(t *testing.T, strip, add, match, replace, prefix, one, two string) {
		var list []oms.RenameRule
		if strip != "" {
			list = append(list, oms.RenameRule{StripPrefix: strip})
		}
		if add != "" {
			list = append(list, oms.RenameRule{AddPrefix: add})
		}
		if match != "" {
			list = append(list, oms.RenameRule{Match: match, Replace: replace})
		}
		n, err := NewNames("s", list)
		if err != nil {
			return
		}
		a, b := n.Of(prefix+one), n.Of(prefix+two)
		if to, ok := n.Below(prefix); ok && (a != to+one || b != to+two) {
			t.Fatalf("below %q: got %q and %q, want %q and the rest", prefix, a, b, to)
		}
		if one != two && a == b && n.Unique([]string{prefix}, nil) {
			t.Fatalf("%q and %q are both %q", prefix+one, prefix+two, a)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	const key = "logs/2026/11/23/host-0123456789abcdef/part-000123.log.gz"
	now := time.Unix(1000, 0)
	for name, filters := range map[string]*oms.Filters{
		"none":   nil,
		"size":   {MinSize: 1},
		"suffix": {IncludeGlobs: []string{"*.gz"}},
		"prefix": {IncludeGlobs: []string{"logs/2026/**"}},
		"glob":   {IncludeGlobs: []string{"logs/*/11/**/part-*.gz"}},
		"regex":  {IncludeRegex: []string{`/part-\d+\.log\.gz$`}},
	} {
		f, err := NewFilter(filters)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Takes(key, 5, now)
			}
		})
	}
}
