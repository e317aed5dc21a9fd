package storagetest

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/storage"
)

// KeyCorpus returns the keys that every copy must carry (rule H2), in ascending byte order.
func KeyCorpus() []string {
	keys := []string{
		"/x", "//", "a//b", "d/", "d/x", "e", "e/x", ".", "..", "../x", "a/./b", "a/../b", "+", "a+b", "%2F", "%", "%zz", "a%20b",
		" leading", "trailing ", "two  spaces", "cr\rx", "lf\nx", "etx\x03x", "tab\tx", "nfc-\u00e9", "nfd-e\u0301", "Case", "case",
		"emoji-😀", "中文/键", "quote\"'", "<xml>&amp;", "a?b", "a#b", "a=b&c=d", "back\\slash", "del\x7fx", "nul\x00x",
		"invalid-\xff\xfe", "truncated-\xe4\xb8", "\u0080ctl", "\uffff", "*", "~tilde", "semi;colon", "a:b", "q?versionId=1",
		strings.Repeat("k", 1024), strings.Repeat("é/", 341),
	}
	for c := range 256 {
		keys = append(keys, "byte-"+string([]byte{byte(c)}))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// testKeys writes, lists, reads and deletes the corpus (rules D3, H2).
func (s *suite) testKeys(t *testing.T) {
	w := s.open(t)
	var kept []string
	for _, key := range KeyCorpus() {
		if s.refused(key) || s.mangled(key) {
			continue
		}
		put(t, w, key, []byte("content of "+key))
		kept = append(kept, key)
	}
	objects := listAll(t, w, storage.ListOptions{Limit: 100})
	var got []string
	for _, o := range objects {
		got = append(got, o.Key)
	}
	for _, key := range kept {
		if _, ok := slices.BinarySearch(got, key); !ok {
			t.Errorf("key %q is not listed", key)
		}
	}
	if len(got) != len(kept) {
		t.Errorf("listed %d keys, wrote %d", len(got), len(kept))
	}
	for _, key := range kept {
		wantData(t, strconv.Quote(key), get(t, w, key), []byte("content of "+key))
		if o, err := w.Stat(t.Context(), key); err != nil || o.Key != key {
			t.Errorf("stat %q: got %q, %v", key, o.Key, err)
		}
	}
	for _, after := range kept { // every key is a position too
		page, err := w.List(t.Context(), storage.ListOptions{After: after, Limit: 1})
		if err != nil {
			t.Errorf("list after %q: %v", after, err)
			continue
		}
		i, _ := slices.BinarySearch(kept, after)
		if i+1 < len(kept) && (len(page.Objects) == 0 || page.Objects[0].Key != kept[i+1]) {
			t.Errorf("list after %q does not begin with %q", after, kept[i+1])
		}
	}
	s.testRefused(t, w)
	for _, key := range kept {
		if err := w.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if rest := listAll(t, w, storage.ListOptions{}); len(rest) > 0 {
		t.Errorf("%d objects are left after all were deleted", len(rest))
	}
}

// testRefused checks that what the server is said not to take really fails.
func (s *suite) testRefused(t *testing.T, w storage.Writer) {
	t.Helper()
	for _, key := range KeyCorpus() {
		if !s.refused(key) {
			continue
		}
		body := "content of " + key
		_, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: strings.NewReader(body), Size: int64(len(body))})
		if err == nil {
			t.Errorf("key %q was taken though it is said to be refused", key)
		}
	}
}

// listAll lists page by page as the engine does, each page after the last key of the one before.
func listAll(t *testing.T, r storage.Reader, opts storage.ListOptions) []storage.ListedObject {
	t.Helper()
	var all []storage.ListedObject
	for range 10_000 {
		page, err := r.List(t.Context(), opts)
		if err != nil {
			t.Fatalf("list %+v: %v", opts, err)
		}
		all = append(all, page.Objects...)
		if !page.Truncated {
			return all
		}
		opts.Token = ""
		if n := len(page.Objects); n > 0 {
			opts.After = page.Objects[n-1].Key
		} else {
			opts.Token = page.Next
		}
	}
	t.Fatal("the listing does not end")
	return nil
}

func (s *suite) testListEmpty(t *testing.T) {
	w := s.open(t)
	for _, opts := range []storage.ListOptions{{}, {Prefix: "x"}, {After: "k"}, {Prefix: "é", After: "é"}} {
		page, err := w.List(t.Context(), opts)
		if err != nil || len(page.Objects) > 0 || page.Truncated {
			t.Errorf("list %+v of an empty bucket: got %d objects, truncated %v, error %v", opts, len(page.Objects), page.Truncated, err)
		}
	}
}

// testList compares pages with a plain model of an ordered key space.
func (s *suite) testList(t *testing.T) {
	w := s.open(t)
	var keys []string
	for i := range 25 {
		keys = append(keys, "a/"+strconv.Itoa(i))
	}
	keys = append(keys, "B", "b", "é/1", "é/2", "中", "z", "a-b", "a.b", "a0")
	slices.Sort(keys)
	for i, key := range keys {
		put(t, w, key, Data(1, i))
	}
	for _, prefix := range []string{"", "a", "a/", "a/1", "é/", "nothing", "中"} {
		for _, after := range []string{"", "a", "a/", "a/1", "a/10", "a/1\x01", "a/zzz", "é", "é/1", "ü", "中", "zz", "\u00ff", "A"} {
			for _, limit := range []int{1, 3, 1000} {
				s.compareList(t, w, keys, storage.ListOptions{Prefix: prefix, After: after, Limit: limit})
			}
		}
	}
	objects := listAll(t, w, storage.ListOptions{})
	for i, o := range objects {
		if o.Key != keys[i] || o.Size != int64(i) {
			t.Errorf("object %d: got %q of %d bytes, want %q of %d", i, o.Key, o.Size, keys[i], i)
		}
		recent(t, o.Key, o.ModTime)
	}
	s.compareStat(t, w, objects[3])
}

func (s *suite) compareList(t *testing.T, w storage.Writer, keys []string, opts storage.ListOptions) {
	t.Helper()
	var want []string
	for _, key := range keys {
		if strings.HasPrefix(key, opts.Prefix) && key > opts.After {
			want = append(want, key)
		}
	}
	page, err := w.List(t.Context(), opts)
	if err != nil {
		t.Errorf("list %+v: %v", opts, err)
		return
	}
	if len(page.Objects) > opts.Limit {
		t.Errorf("list %+v: got %d objects", opts, len(page.Objects))
	}
	for i, o := range page.Objects {
		if i >= len(want) || o.Key != want[i] {
			t.Errorf("list %+v: object %d is %q", opts, i, o.Key)
			return
		}
	}
	if !page.Truncated && len(page.Objects) < len(want) {
		t.Errorf("list %+v: ends after %d of %d objects", opts, len(page.Objects), len(want))
	}
	if page.Truncated && len(page.Objects) == 0 && page.Next == "" {
		t.Errorf("list %+v: an empty page without a way on", opts)
	}
}

// compareStat checks that listing and HEAD tell the same about an object.
func (s *suite) compareStat(t *testing.T, w storage.Writer, listed storage.ListedObject) {
	t.Helper()
	o, err := w.Stat(t.Context(), listed.Key)
	if err != nil {
		t.Fatal(err)
	}
	if o.ETag != listed.ETag || o.Size != listed.Size {
		t.Errorf("%q: listed ETag %q, size %d; stat ETag %q, size %d", listed.Key, listed.ETag, listed.Size, o.ETag, o.Size)
	}
	if d := o.ModTime.Sub(listed.ModTime).Abs().Seconds(); d >= 1 { // HEAD tells whole seconds
		t.Errorf("%q: listed at %v, stat %v", listed.Key, listed.ModTime, o.ModTime)
	}
}
