package listfile_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/listfile"
)

// What the service writes can be read as a list file, and names the same bytes.
func FuzzAppendObject(f *testing.F) {
	for _, key := range []string{"a", "dir/ü ñ", " x ", "a\tb\nc", "\xff\x00a", "a%2Fb+c", strings.Repeat("k", 1024)} {
		f.Add(key, int64(12))
	}
	zone := time.FixedZone("", 8*3600)
	f.Fuzz(func(t *testing.T, key string, size int64) {
		if key == "" || len(key) > 1024 || strings.IndexByte(key, 0) >= 0 {
			t.Skip("no key that a list may name")
		}
		at := time.UnixMilli(1_700_000_000_123)
		text := string(listfile.AppendObject(nil, key, size, at, zone)) + "\n"
		e, err := listfile.NewScanner(strings.NewReader(text), listfile.Options{Form: listfile.Names}).Next()
		if err != nil || e.Name != key {
			t.Errorf("%q is read as %q, %v", key, e.Name, err)
		}
		if want := "\t2023-11-15T06:13:20.123+08:00\n"; !strings.HasSuffix(text, want) {
			t.Errorf("%q does not end with %q", text, want)
		}
		if _, err := listfile.NewScanner(strings.NewReader(""), listfile.Options{Form: listfile.Names}).Next(); err != io.EOF { //nolint:errorlint // as it is documented
			t.Errorf("an empty list ends with %v", err)
		}
	})
}
