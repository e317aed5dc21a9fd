package localfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/localfile"
)

func TestReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := localfile.NewOpener(nil, "here", "urls.txt", path).Open(t.Context(), storage.Bucket{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := r.Stat(t.Context(), "urls.txt")
	if err != nil || o.Size != 10 || o.Attrs.ContentType != "text/plain" || o.ETag == "" {
		t.Fatalf("got %+v, %v", o, err)
	}
	read := func(opts storage.OpenOptions) (string, error) {
		c, err := r.Open(t.Context(), "urls.txt", opts)
		if err != nil {
			return "", err
		}
		defer c.Body.Close()
		data, err := io.ReadAll(c.Body)
		return string(data), err
	}
	if got, err := read(storage.OpenOptions{Size: -1}); err != nil || got != "0123456789" {
		t.Errorf("whole: got %q, %v", got, err)
	}
	if got, err := read(storage.OpenOptions{Size: 10, IfMatch: o.ETag, Range: &storage.ByteRange{Offset: 2, Size: 3}}); err != nil || got != "234" {
		t.Errorf("range: got %q, %v", got, err)
	}
	for name, opts := range map[string]storage.OpenOptions{
		"other version": {Size: 10, IfMatch: "x"},
		"other size":    {Size: 11},
		"behind":        {Size: 10, Range: &storage.ByteRange{Offset: 9, Size: 2}},
		"far behind":    {Size: 10, Range: &storage.ByteRange{Offset: 1<<63 - 1, Size: 1<<63 - 1}},
	} {
		if _, err := read(opts); !errors.Is(err, oms.Changed) {
			t.Errorf("%s: got %v, want oms.Changed", name, err)
		}
	}
	for opts, want := range map[storage.ListOptions]int{{}: 1, {Prefix: "u"}: 1, {Prefix: "x"}: 0, {After: "urls.txt"}: 0, {After: "a"}: 1} {
		if p, err := r.List(t.Context(), opts); err != nil || len(p.Objects) != want || p.Truncated {
			t.Errorf("list %+v: got %d objects, %v", opts, len(p.Objects), err)
		}
	}
	if _, err := r.Stat(t.Context(), "other"); !errors.Is(err, oms.NotFound) {
		t.Errorf("another key: got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stat(t.Context(), "urls.txt"); !errors.Is(err, oms.NotFound) {
		t.Errorf("removed: got %v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stat(t.Context(), "urls.txt"); !errors.Is(err, oms.Invalid) {
		t.Errorf("a directory: got %v", err)
	}
}
