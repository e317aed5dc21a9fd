package listfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
)

// entries reads all entries of a text.
func entries(r io.Reader, opts listfile.Options) ([]listfile.Entry, error) {
	s := listfile.NewScanner(r, opts)
	var all []listfile.Entry
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

// TestNames holds the rules for a list of names (OMS v2, 6.2).
func TestNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string
		code       string // of the error; "" for none
		problem    string // part of its text
	}{
		{name: "one line without end", text: "a", want: []string{"a"}},
		{name: "LF and CRLF", text: "a\nb\r\nc\r\n", want: []string{"a", "b", "c"}},
		{name: "a last CR", text: "a\r", want: []string{"a"}},
		{name: "empty lines", text: "\n\r\na\n\n\nb\n\n", want: []string{"a", "b"}},
		{name: "nothing", text: ""},
		{name: "decoded once", text: "a%20b%2Fc%2525\n", want: []string{"a b/c%25"}},
		{name: "lower-case escapes", text: "%e4%b8%ad\n", want: []string{"中"}},
		{name: "plus stays", text: "a+b\n", want: []string{"a+b"}},
		{name: "characters beyond ASCII", text: "中/é\n", want: []string{"中/é"}},
		{name: "blank inside", text: "a b\n", want: []string{"a b"}},
		{name: "blanks at the ends, encoded", text: "%20a%20\n", want: []string{" a "}},
		{name: "bytes that are no text", text: "%FF%0A%0D%09\n", want: []string{"\xff\n\r\t"}},
		{name: "odd but exact", text: "/a//b/../c/\n", want: []string{"/a//b/../c/"}},
		{name: "own list", text: "a%20b\t12\t2026-01-01T00:00:00Z\n", want: []string{"a b"}},
		{name: "longest line", text: strings.Repeat("a", 65_535) + "\n", want: []string{strings.Repeat("a", 65_535)}},
		{name: "longest line of wide characters", text: strings.Repeat("𐀀", 65_535) + "\r\nb", want: []string{strings.Repeat("𐀀", 65_535), "b"}},
		{name: "too long", text: "a\n" + strings.Repeat("a", 65_536) + "\n", want: []string{"a"}, code: "TRF.0018", problem: "line 2: "},
		{name: "too long without end", text: strings.Repeat("a", 65_536), code: "TRF.0018", problem: "line 1: "},
		{name: "too long of wide characters", text: strings.Repeat("𐀀", 65_536) + "\n", code: "TRF.0018", problem: "line 1: "},
		{name: "endless line", text: strings.Repeat("a", 1<<20), code: "TRF.0018", problem: "line 1: "},
		{name: "leading blank", text: "a\n b\n", want: []string{"a"}, code: "TRF.0016", problem: "line 2: its name begins or ends with a blank"},
		{name: "trailing blank", text: "b \r\n", code: "TRF.0016", problem: "line 1: "},
		{name: "blanks only", text: "\n  \n", code: "TRF.0016", problem: "line 2: "},
		{name: "bare percent sign", text: "100%\n", code: "TRF.0016", problem: "% that starts no escape"},
		{name: "half an escape", text: "a%2\n", code: "TRF.0016", problem: "% that starts no escape"},
		{name: "no hex", text: "a%zz\n", code: "TRF.0016", problem: "% that starts no escape"},
		{name: "NUL encoded", text: "a%00\n", code: "TRF.0016", problem: "NUL"},
		{name: "NUL", text: "a\x00\n", code: "TRF.0016", problem: "text in UTF-8"},
		{name: "control character", text: "a\x1b\n", code: "TRF.0016", problem: "control character"},
		{name: "CR inside", text: "a\rb\n", code: "TRF.0016", problem: "control character"},
		{name: "tab", text: "a\tb\n", code: "TRF.0016", problem: "tab"},
		{name: "columns of another kind", text: "404\t2026-01-01\tx\n", code: "TRF.0016", problem: "tab"},
		{name: "four columns", text: "a\t1\tx\ty\n", code: "TRF.0016", problem: "tab"},
		{name: "columns without name", text: "\t1\tx\n", code: "TRF.0016", problem: "empty"},
		{name: "not UTF-8", text: "ok\n\xff\n", want: []string{"ok"}, code: "TRF.0016", problem: "line 2: it is not UTF-8"},
		{name: "byte order mark", text: "\xef\xbb\xbfa\n", code: "TRF.0016", problem: "byte order mark"},
		{name: "UTF-16", text: "\xff\xfea\x00\n\x00", code: "TRF.0016", problem: "UTF-16"},
		{name: "byte order mark later is a character", text: "a\n\xef\xbb\xbfb\n", want: []string{"a", "\ufeffb"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(tc.text), iotest.DataErrReader(iotest.HalfReader(strings.NewReader(tc.text)))} {
				got, err := entries(r, listfile.Options{Form: listfile.Names})
				checkError(t, err, tc.code, tc.problem)
				var names []string
				for _, e := range got {
					names = append(names, e.Name)
				}
				if diff := cmp.Diff(tc.want, names); diff != "" {
					t.Errorf("names (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestURLs holds the rules for a list of URLs (OMS v2, 6.3).
func TestURLs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, line string
		url, key   string
		problem    string
	}{
		{name: "documented", line: "http://files.example.test/doc/thefile.txt\tdoc/thefile.txt", url: "http://files.example.test/doc/thefile.txt", key: "doc/thefile.txt"},
		{name: "https, port and query", line: "https://h.example:8443/a?b=c&d=%20\tx", url: "https://h.example:8443/a?b=c&d=%20", key: "x"},
		{name: "scheme in capitals", line: "HTTP://h.example/a\tx", url: "HTTP://h.example/a", key: "x"},
		{name: "no path", line: "http://h.example\tx", url: "http://h.example", key: "x"},
		{name: "IPv6", line: "http://[2001:db8::1]/a\tx", url: "http://[2001:db8::1]/a", key: "x"},
		{name: "escapes stay", line: "http://h.example/a%2Fb%e4\tx%2Fy", url: "http://h.example/a%2Fb%e4", key: "x/y"},
		{name: "path beyond ASCII", line: "http://h.example/中?é\tä", url: "http://h.example/%E4%B8%AD?%C3%A9", key: "ä"},
		{name: "blank in the name", line: "http://h.example/a\ta b", url: "http://h.example/a", key: "a b"},
		{name: "no tab", line: "http://h.example/a", problem: "one tab"},
		{name: "blank for tab", line: "http://h.example/a b", problem: "one tab"},
		{name: "two tabs", line: "http://h.example/a\tb\tc", problem: "one tab"},
		{name: "two tabs in a row", line: "http://h.example/a\t\tb", problem: "one tab"},
		{name: "no name", line: "http://h.example/a\t", problem: "its name is empty"},
		{name: "no URL", line: "\ta", problem: "http://"},
		{name: "blank before the tab", line: "http://h.example/a \ta", problem: "blank"},
		{name: "blank in front", line: " http://h.example/a\ta", problem: "blank"},
		{name: "blank behind the tab", line: "http://h.example/a\t a", problem: "blank"},
		{name: "relative", line: "/a\ta", problem: "http://"},
		{name: "without scheme", line: "h.example/a\ta", problem: "http://"},
		{name: "other scheme", line: "ftp://h.example/a\ta", problem: "http://"},
		{name: "file", line: "file:///etc/passwd\ta", problem: "http://"},
		{name: "no host", line: "http:///a\ta", problem: "no host"},
		{name: "opaque", line: "http:a\ta", problem: "no host"},
		{name: "empty port", line: "http://h.example:/a\ta", problem: "empty port"},
		{name: "bad port", line: "http://h.example:x/a\ta", problem: "cannot be read"},
		{name: "user", line: "http://u@h.example/a\ta", problem: "user name"},
		{name: "user and password", line: "http://u:p@h.example/a\ta", problem: "user name"},
		{name: "fragment", line: "http://h.example/a#b\ta", problem: "fragment"},
		{name: "empty fragment", line: "http://h.example/a#\ta", problem: "fragment"},
		{name: "host beyond ASCII", line: "http://ä.example/a\ta", problem: "xn--"},
		{name: "bad escape in the path", line: "http://h.example/100%\ta", problem: "cannot be read"},
		{name: "bad escape in the query", line: "http://h.example/?100%\ta", problem: "% that starts no escape"},
		{name: "bad escape in the name", line: "http://h.example/a\t100%", problem: "% that starts no escape"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := entries(strings.NewReader(tc.line+"\n"), listfile.Options{Form: listfile.URLs})
			if tc.problem != "" {
				checkError(t, err, "TRF.0016", tc.problem)
				if strings.Contains(err.Error(), "example") {
					t.Errorf("the error shows the line: %v", err)
				}
				return
			}
			checkError(t, err, "", "")
			want := []listfile.Entry{{URL: tc.url, Name: tc.key, End: int64(len(tc.line)) + 1}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func checkError(t *testing.T, err error, code, problem string) {
	t.Helper()
	if got := oms.CodeOf(err); got != code || (err != nil) != (code != "") {
		t.Fatalf("error %v: code %q, want %q", err, got, code)
	}
	if code != "" && !strings.Contains(err.Error(), problem) {
		t.Errorf("error %q does not say %q", err, problem)
	}
}

// TestCheckObject holds what can be told of a list file without reading it.
func TestCheckObject(t *testing.T) {
	t.Parallel()
	good := listfile.Object{Key: "lists/a.txt", Size: 1 << 30, ContentType: "text/plain"}
	for _, tc := range []struct {
		name   string
		change func(*listfile.Object)
		code   string
	}{
		{"fine", func(*listfile.Object) {}, ""},
		{"another type", func(o *listfile.Object) { o.Key = "a.csv" }, "TRF.0014"},
		{"type in capitals", func(o *listfile.Object) { o.Key = "a.TXT" }, "TRF.0014"},
		{"too large", func(o *listfile.Object) { o.Size++ }, "TRF.0014"},
		{"no content type", func(o *listfile.Object) { o.ContentType = "" }, "TRF.0019"},
		{"content type with charset", func(o *listfile.Object) { o.ContentType = "text/plain; charset=utf-8" }, "TRF.0019"},
		{"binary", func(o *listfile.Object) { o.ContentType = "application/octet-stream" }, "TRF.0019"},
		{"compressed", func(o *listfile.Object) { o.ContentEncoding = "gzip" }, "TRF.0019"},
		{"identity", func(o *listfile.Object) { o.ContentEncoding = "identity" }, "TRF.0019"},
		{"empty", func(o *listfile.Object) { o.Size = 0 }, "TRF.0017"},
	} {
		o := good
		tc.change(&o)
		checkError(t, listfile.CheckObject(o), tc.code, "")
		t.Log(tc.name)
	}
}

// TestCheck reads whole files: a mistake near the end is found, with its line.
func TestCheck(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("some/key\r\n\n", 50_000)
	for _, tc := range []struct {
		name, text    string
		want          listfile.Summary
		code, problem string
	}{
		{name: "fine", text: many, want: listfile.Summary{Entries: 50_000, First: listfile.Entry{Name: "some/key", End: 10}}},
		{name: "empty lines first", text: "\n\na", want: listfile.Summary{Entries: 1, First: listfile.Entry{Name: "a", Offset: 2, End: 3}}},
		{name: "bad line near the end", text: many + "100%\nb\n", code: "TRF.0016", problem: "line 100001: "},
		{name: "long line near the end", text: many + strings.Repeat("b", 70_000), code: "TRF.0018", problem: "line 100001: "},
		{name: "no entry", text: "\n\r\n\n", code: "TRF.0017"},
		{name: "no byte", text: "", code: "TRF.0017"},
	} {
		sum, err := listfile.Check(t.Context(), strings.NewReader(tc.text), listfile.Names, nil)
		checkError(t, err, tc.code, tc.problem)
		if diff := cmp.Diff(tc.want, sum); tc.code == "" && diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestReaderErrors passes errors of the reader on, and ends with a reader that brings nothing.
func TestReaderErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := entries(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), listfile.Options{Form: listfile.Names})
	if !errors.Is(err, broken) || len(got) != 1 {
		t.Errorf("entries %v, error %v; want one entry, then the reader's error", got, err)
	}
	if _, err := entries(idle{}, listfile.Options{Form: listfile.Names}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v, want no progress", err)
	}
	if _, err := entries(idle{}, listfile.Options{Form: listfile.Names, Start: 5}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v, want no progress", err)
	}
}

// idle never brings anything.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// cutUp reads text in ranges between the cuts, each from its own offset.
func cutUp(t *testing.T, text string, form listfile.Form, cuts []int64) ([]listfile.Entry, error) {
	t.Helper()
	var all []listfile.Entry
	start := int64(0)
	for _, stop := range append(cuts, 0) {
		opts := listfile.Options{Form: form, Start: start, Stop: stop}
		got, err := entries(strings.NewReader(text[min(opts.ReadFrom(), int64(len(text))):]), opts)
		all = append(all, got...)
		if err != nil {
			return all, err
		}
		start = stop
	}
	return all, nil
}

// TestAnyCut holds that any cut of a file into byte ranges yields exactly the lines of the whole, once, in order, and
// that reading on behind any entry does as well.
func TestAnyCut(t *testing.T) {
	t.Parallel()
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, seed))
	for round := range 300 {
		text := randomList(rng)
		whole, err := entries(strings.NewReader(text), listfile.Options{Form: listfile.Names})
		if err != nil {
			t.Fatal(err)
		}
		var cuts []int64
		for at := int64(1); at < int64(len(text)); at++ {
			if rng.IntN(len(text)) < round%40 {
				cuts = append(cuts, at)
			}
		}
		got, err := cutUp(t, text, listfile.Names, cuts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Fatalf("seed %d, round %d: %q cut at %v (-whole +pieces):\n%s", seed, round, text, cuts, diff)
		}
		for i, e := range whole {
			rest, err := cutUp(t, text, listfile.Names, []int64{e.End})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole, rest); diff != "" {
				t.Fatalf("seed %d, round %d: %q goes on behind entry %d (-whole +pieces):\n%s", seed, round, text, i, diff)
			}
		}
	}
}

// randomList returns lines of many lengths with all kinds of ends.
func randomList(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(12) {
		b.WriteString(strings.Repeat([]string{"é", "%20", "x", "/y"}[rng.IntN(4)], rng.IntN(9)))
		b.WriteString([]string{"\n", "\r\n", "\n\n", "\n\r\n"}[rng.IntN(4)])
	}
	if rng.IntN(2) == 0 {
		b.WriteString("last")
	}
	return b.String()
}

// TestBoundedMemory reads a long line that belongs to another range without keeping it.
func TestBoundedMemory(t *testing.T) {
	text := strings.Repeat("a", 8<<20) + "\nb\n"
	allocated := testing.AllocsPerRun(1, func() {
		got, err := entries(strings.NewReader(text[99:]), listfile.Options{Form: listfile.Names, Start: 100})
		if err != nil || len(got) != 1 || got[0].Name != "b" {
			t.Errorf("entries %v, error %v", got, err)
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		size   int64
		pieces int
		least  int64
		want   []int64
	}{
		{100, 4, 10, []int64{25, 50, 75}},
		{100, 64, 40, []int64{50}},
		{39, 64, 40, nil},
		{0, 64, 40, nil},
		{10, 1, 1, nil},
	} {
		if diff := cmp.Diff(tc.want, listfile.Cut(tc.size, tc.pieces, tc.least)); diff != "" {
			t.Errorf("Cut(%d, %d, %d) (-want +got):\n%s", tc.size, tc.pieces, tc.least, diff)
		}
	}
}

// FuzzScanner holds that no input makes the parser panic, hang or disagree with itself when the file is cut.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"", "a\nb\r\n\nc", "a%20b\n", "http://h.example/a\tb\n", "\xef\xbb\xbfa", "a\x00", "%", "\r\r\n", "é\n\xff\n",
	} {
		f.Add(seed, uint16(1), uint16(3), true)
	}
	f.Fuzz(func(t *testing.T, text string, a, b uint16, urls bool) {
		form := listfile.Names
		if urls {
			form = listfile.URLs
		}
		whole, err := entries(strings.NewReader(text), listfile.Options{Form: form})
		for i, e := range whole {
			if e.Name == "" || strings.Contains(e.Name, "\x00") || e.End <= e.Offset || i > 0 && e.Offset < whole[i-1].End {
				t.Fatalf("entry %d is %+v", i, e)
			}
			if urls != (e.URL != "") || strings.ContainsFunc(e.URL, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
				t.Fatalf("URL %q", e.URL)
			}
		}
		if err != nil {
			return
		}
		var cuts []int64
		for _, at := range []int64{int64(min(a, b)), int64(max(a, b))} {
			if at > 0 && at < int64(len(text)) {
				cuts = append(cuts, at)
			}
		}
		pieces, err := cutUp(t, text, form, cuts)
		if err != nil {
			t.Fatalf("cut at %v: %v", cuts, err)
		}
		if diff := cmp.Diff(whole, pieces); diff != "" {
			t.Fatalf("cut at %v (-whole +pieces):\n%s", cuts, diff)
		}
	})
}

// BenchmarkCheckAndRead validates a list of 1 GB and 10 million lines and then reads it in 64 ranges: bytes per second
// of CPU for both passes. The text is generated as it is read.
func BenchmarkCheckAndRead(b *testing.B) {
	for _, form := range []listfile.Form{listfile.Names, listfile.URLs} {
		b.Run(map[listfile.Form]string{listfile.Names: "names", listfile.URLs: "urls"}[form], func(b *testing.B) {
			text := benchmarkText(form)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var each func([]byte, string)
				twins := listfile.NewTwins()
				if form == listfile.URLs {
					each = twins.Add
				}
				sum, err := listfile.Check(b.Context(), bytes.NewReader(text), form, each)
				if err != nil {
					b.Fatal(err)
				}
				if twins.More() || twins.Suspects() {
					b.Fatal("twins")
				}
				var n int64
				start := int64(0)
				for _, stop := range append(listfile.Cut(int64(len(text)), 64, 1), 0) {
					opts := listfile.Options{Form: form, Start: start, Stop: stop}
					s := listfile.NewScanner(bytes.NewReader(text[opts.ReadFrom():]), opts)
					for {
						if _, err := s.Next(); err != nil {
							break
						}
						n++
					}
					start = stop
				}
				if n != sum.Entries {
					b.Fatalf("%d entries in ranges, %d in all", n, sum.Entries)
				}
			}
		})
	}
}

// benchmarkText returns lines of 107 bytes on average, 64 MiB in all: a sixteenth of the largest file.
func benchmarkText(form listfile.Form) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 64<<20; i++ {
		if form == listfile.URLs {
			fmt.Fprintf(&b, "https://files.example.test/a/%08d.bin\t", i)
		} else {
			b.WriteString("some/folder/with/a/longer/name/of%20it/")
		}
		fmt.Fprintf(&b, "photos/2024/%%E4%%B8%%AD/%016x/%032d.jpg\n", i*7919, i)
	}
	return b.Bytes()
}
