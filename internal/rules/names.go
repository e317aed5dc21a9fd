package rules

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of rename rules.
const (
	MaxRules = 20
	maxKey   = 1024 // bytes that every store takes
)

// Names maps source keys to keys at the destination. The zero value, and nil, keep keys as they are. Safe for
// concurrent use.
type Names struct {
	save  string // put before every key in the end
	rules []rename
}

// rename is one compiled rule.
type rename struct {
	strip, add string
	match      *regexp.Regexp
	replace    string
	letters    oms.KeyCase
}

// NewNames compiles rename rules, after which the save prefix is put before a key. What is wrong is oms.Invalid with
// OMS.1003.
func NewNames(save string, list []oms.RenameRule) (*Names, error) {
	if len(list) > MaxRules {
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "At most %d rename rules are allowed.", MaxRules)
	}
	left := budget(maxProgram)
	n := &Names{save: save}
	for i, r := range list {
		c, err := left.rename(i, r)
		if err != nil {
			return nil, err
		}
		n.rules = append(n.rules, c)
	}
	return n, nil
}

func (b *budget) rename(i int, r oms.RenameRule) (c rename, err error) {
	parts := 0
	for _, text := range []string{r.StripPrefix, r.AddPrefix, r.Match, string(r.Case)} {
		if text != "" {
			parts++
		}
	}
	tooLong := func(text string) bool { return utf8.RuneCountInString(text) > MaxPattern }
	switch {
	case parts != 1 || r.Replace != "" && r.Match == "":
		return c, oms.Errorf(oms.Invalid, "OMS.1003", "Rename rule %d must be one of strip_prefix, add_prefix, match with replace, and case.", i+1)
	case tooLong(r.StripPrefix) || tooLong(r.AddPrefix) || tooLong(r.Match) || tooLong(r.Replace):
		return c, oms.Errorf(oms.Invalid, "OMS.1003", "A text of rename rule %d has more than %d characters.", i+1, MaxPattern)
	case r.Case != "" && r.Case != oms.CaseLower && r.Case != oms.CaseUpper:
		return c, oms.Errorf(oms.Invalid, "OMS.1003", "The case of rename rule %d must be lower or upper.", i+1)
	}
	c = rename{strip: r.StripPrefix, add: r.AddPrefix, replace: r.Replace, letters: r.Case}
	if r.Match == "" {
		return c, nil
	}
	if c.match, err = b.compile(r.Match, r.Match); err != nil {
		return c, err
	}
	if group := unknownGroup(c.match, r.Replace); group != "" {
		return c, oms.Errorf(oms.Invalid, "OMS.1003",
			"The replacement of rename rule %d names the group %q, which its pattern has not; ${1}x is group 1 before an x, $$ a dollar sign.", i+1, oms.Clean(group))
	}
	return c, nil
}

// unknownGroup returns a group that the replacement names and the expression has not, which would silently be empty.
func unknownGroup(re *regexp.Regexp, replace string) string {
	for {
		_, rest, ok := strings.Cut(replace, "$")
		if !ok {
			return ""
		}
		if after, dollar := strings.CutPrefix(rest, "$"); dollar {
			replace = after
			continue
		}
		name, after := groupName(rest)
		known := name != "" && re.SubexpIndex(name) >= 0
		if number(name) {
			known = len(name) <= 3 && atoi(name) <= re.NumSubexp()
		}
		if !known {
			return "$" + name
		}
		replace = after
	}
}

// groupName returns the name behind a dollar sign, as package regexp reads it, and what follows.
func groupName(text string) (name, rest string) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		name, rest, _ = strings.Cut(inner, "}")
		return name, rest
	}
	end := strings.IndexFunc(text, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func atoi(s string) (n int) {
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// Changes reports whether rules other than the save prefix change keys.
func (n *Names) Changes() bool { return n != nil && len(n.rules) > 0 }

// Of returns the key at the destination of a source key.
func (n *Names) Of(key string) string {
	if n == nil {
		return key
	}
	for i := range n.rules {
		key = n.rules[i].apply(key)
	}
	return n.save + key
}

// apply applies one rule to a key.
func (r *rename) apply(key string) string {
	switch {
	case r.strip != "":
		return strings.TrimPrefix(key, r.strip)
	case r.add != "":
		return r.add + key
	case r.match != nil:
		return r.match.ReplaceAllString(key, r.replace)
	case r.letters == oms.CaseLower:
		return mapLetters(key, 'A', 'Z')
	}
	return mapLetters(key, 'a', 'z')
}

// mapLetters changes the case of the ASCII letters from low to high, byte by byte: what is no UTF-8 stays as it is.
func mapLetters(key string, low, high byte) string {
	const bit = 'a' ^ 'A'
	b := []byte(key)
	for i, c := range b {
		if low <= c && c <= high {
			b[i] = c ^ bit
		}
	}
	return string(b)
}

// Below tells where the keys with a prefix go when they keep their order: each is to, followed by what it has behind
// the prefix. ok is false when that cannot be said.
func (n *Names) Below(prefix string) (to string, ok bool) {
	if n == nil {
		return prefix, true
	}
	to = prefix
	for _, r := range n.rules {
		switch {
		case r.add != "":
			to = r.add + to
		case r.strip == "":
			return "", false
		case strings.HasPrefix(to, r.strip):
			to = to[len(r.strip):]
		case strings.HasPrefix(r.strip, to):
			return "", false // some keys have it and others have not
		}
	}
	return n.save + to, true
}

// Unique reports whether it is certain, without looking at them, that no two keys of a selection get one name.
func (n *Names) Unique(prefixes, names []string) bool {
	if n == nil {
		return true
	}
	adds := true
	for _, r := range n.rules {
		adds = adds && r.add != ""
	}
	if adds {
		return true
	}
	var images []string
	for _, p := range prefixes {
		to, ok := n.Below(p)
		if !ok {
			return false
		}
		images = append(images, to)
	}
	for i, a := range images {
		for k, b := range images {
			if i != k && strings.HasPrefix(b, a) {
				return false
			}
		}
	}
	return len(names) == 0
}

// Fault returns why a name cannot be used at any destination; "" when it can.
func Fault(name string) oms.NameReason {
	switch {
	case name == "":
		return oms.NameEmpty
	case len(name) > maxKey:
		return oms.NameTooLong
	}
	return ""
}
