package rules

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of patterns.
const (
	MaxPatterns = 100  // of one kind
	MaxPattern  = 1024 // characters of one
	// maxProgram bounds the steps that all patterns of a task take for a character of a key.
	maxProgram = 10_000
	maxBraces  = 4 // alternatives within alternatives
)

// budget is what is left of maxProgram.
type budget int

// compile compiles a regular expression of the syntax of RE2, which must fit into the budget. The text is named in
// errors.
func (b *budget) compile(expr, text string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The pattern %q is no regular expression in the syntax of RE2.", oms.Clean(text))
	}
	if *b -= budget(steps(tree, int(*b)+1)); *b < 0 {
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The pattern %q, with those before it, is too large.", oms.Clean(text))
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The pattern %q is no regular expression in the syntax of RE2.", oms.Clean(text))
	}
	return re, nil
}

// steps estimates the size of the program of an expression, which repetitions multiply; not beyond most.
func steps(re *syntax.Regexp, most int) int {
	n := 1 + len(re.Rune)/2
	for _, sub := range re.Sub {
		if n += steps(sub, most); n > most {
			return most
		}
	}
	if re.Op == syntax.OpRepeat {
		times := max(re.Min, re.Max, 1)
		if n > most/times {
			return most
		}
		n *= times
	}
	return min(n, most)
}

// glob is a compiled glob: the quick tests come first, and most globs need nothing else.
type glob struct {
	text   string
	prefix string         // that a key must have
	suffix string         // that a key must have
	rest   *regexp.Regexp // that it must match; nil: nothing more
}

// matches reports whether the glob matches the key.
func (g *glob) matches(key string) bool {
	if !strings.HasPrefix(key, g.prefix) || !strings.HasSuffix(key, g.suffix) {
		return false
	}
	return g.rest == nil || g.rest.MatchString(key)
}

// compileGlob compiles a glob. A glob without "/" and "**" is matched with what follows the last "/" of a key, any other
// with the whole key. "?" and "*" are one and any number of characters but "/", "**" any number of all characters,
// "**/" nothing or anything that ends in "/"; "[a-c]" and "[!a-c]" are classes, "{a,b}" alternatives, and "\" makes the
// character behind it an ordinary one.
func compileGlob(text string, b *budget) (*glob, error) {
	t := translator{in: text}
	body, err := t.sequence(0)
	if err != nil {
		return nil, err
	}
	g := &glob{text: text}
	whole := t.slash
	if whole {
		g.prefix = t.literal()
	}
	switch {
	case text == "":
		return nil, t.wrong("is empty")
	case whole && g.prefix == unescaped(text): // not a special character in it
		g.rest, err = b.compile(`(?s)\A`+body+`\z`, text)
	case whole && plainTail(text, "**"), text == "*": // all below
	case !whole && strings.HasPrefix(text, "*") && isPlain(text[1:]): // *.jpg
		g.suffix = text[1:]
	case whole:
		g.rest, err = b.compile(`(?s)\A`+body+`\z`, text)
	default:
		g.rest, err = b.compile(`(?s)(?:\A|/)`+body+`\z`, text)
	}
	return g, err
}

// special are the characters with a meaning in globs.
const special = `*?[]{},\`

func isPlain(text string) bool { return !strings.ContainsAny(text, special) }

// plainTail reports whether the text is plain but for the given end.
func plainTail(text, end string) bool {
	head, ok := strings.CutSuffix(text, end)
	return ok && isPlain(head)
}

// unescaped returns a text that is plain, else something that no prefix is.
func unescaped(text string) string {
	if isPlain(text) {
		return text
	}
	return "\x00" + text
}

// translator turns a glob into a regular expression.
type translator struct {
	in    string
	at    int
	slash bool // the glob holds a "/" or "**"
}

func (t *translator) wrong(what string) error {
	return oms.Errorf(oms.Invalid, "OMS.1003", "The glob %q %s.", oms.Clean(t.in), what)
}

// literal returns the plain text that the glob begins with.
func (t *translator) literal() string {
	end := strings.IndexAny(t.in, special)
	if end < 0 {
		return t.in
	}
	return t.in[:end]
}

// sequence translates up to the end, or, within braces, up to the "," or "}" that ends the alternative.
func (t *translator) sequence(depth int) (string, error) {
	var b strings.Builder
	for t.at < len(t.in) {
		c, n := utf8.DecodeRuneInString(t.in[t.at:])
		if depth > 0 && (c == ',' || c == '}') {
			return b.String(), nil
		}
		t.at += n
		piece, err := t.piece(c, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(piece)
	}
	if depth > 0 {
		return "", t.wrong("has a { without }")
	}
	return b.String(), nil
}

// piece translates what begins with the character, which has been passed.
func (t *translator) piece(c rune, depth int) (string, error) {
	switch c {
	case '*':
		return t.stars(), nil
	case '?':
		return `[^/]`, nil
	case '[':
		return t.class()
	case '{':
		return t.braces(depth + 1)
	case '}':
		return "", t.wrong("has a } without {")
	case ']':
		return "", t.wrong("has a ] without [")
	case '\\':
		if t.at == len(t.in) {
			return "", t.wrong(`ends in \`)
		}
		var n int
		c, n = utf8.DecodeRuneInString(t.in[t.at:])
		t.at += n
	}
	t.slash = t.slash || c == '/'
	return regexp.QuoteMeta(string(c)), nil
}

// stars translates one or more stars, of which the first has been passed.
func (t *translator) stars() string {
	start := t.at - 1
	for t.at < len(t.in) && t.in[t.at] == '*' {
		t.at++
	}
	if t.at-start == 1 {
		return `[^/]*`
	}
	t.slash = true
	if t.at < len(t.in) && t.in[t.at] == '/' && (start == 0 || t.in[start-1] == '/') {
		t.at++
		return `(?:.*/)?`
	}
	return `.*`
}

// class translates a class behind its "[".
func (t *translator) class() (string, error) {
	var b strings.Builder
	b.WriteString(`[`)
	if t.at < len(t.in) && (t.in[t.at] == '!' || t.in[t.at] == '^') {
		t.at++
		b.WriteString(`^/`)
	}
	for n := 0; t.at < len(t.in); n++ {
		c, size := utf8.DecodeRuneInString(t.in[t.at:])
		t.at += size
		switch {
		case c == ']' && n > 0:
			b.WriteString(`]`)
			return b.String(), nil
		case c == '/':
			return "", t.wrong("has a / in a class")
		case c == '-':
			b.WriteString(dash(n, t.in[t.at:]))
		case c == '\\' && t.at < len(t.in):
			c, size = utf8.DecodeRuneInString(t.in[t.at:])
			t.at += size
			fallthrough
		default:
			b.WriteString(quoteInClass(c))
		}
	}
	return "", t.wrong("has a [ without ]")
}

// dash is a range between two characters, and itself at the ends of a class.
func dash(n int, rest string) string {
	if n == 0 || strings.HasPrefix(rest, "]") {
		return `\-`
	}
	return `-`
}

func quoteInClass(c rune) string {
	if strings.ContainsRune(`\]^-[&~`, c) {
		return `\` + string(c)
	}
	return string(c)
}

// braces translates alternatives behind their "{".
func (t *translator) braces(depth int) (string, error) {
	if depth > maxBraces {
		return "", t.wrong("nests braces too deep")
	}
	var b strings.Builder
	b.WriteString(`(?:`)
	for {
		alternative, err := t.sequence(depth)
		if err != nil {
			return "", err
		}
		b.WriteString(alternative)
		end := t.in[t.at]
		t.at++
		if end == '}' {
			b.WriteString(`)`)
			return b.String(), nil
		}
		b.WriteString(`|`)
	}
}
