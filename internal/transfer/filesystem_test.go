package transfer

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestCheckFile(t *testing.T) {
	deep := strings.Repeat("d/", maxLevels-1)
	for key, ok := range map[string]bool{
		"a": true, "a/b": true, "a b/ü": true, "...": true, deep + "f": true, deep + "d/f": false,
		"/a": false, "a//b": false, "a/./b": false, "..": false, "/": false, "a\x00": true,
	} {
		if err := checkFile(key, 1); (err == nil) != ok {
			t.Errorf("%q: %v", key, err)
		}
	}
	if checkFile("a/", 0) != nil || checkFile("a/", 1) == nil {
		t.Error("a directory holds no data")
	}
}

// Keys that clash are found wherever the listing was cut, with one question for each directory above the cut at most.
func TestFileTree(t *testing.T) {
	keys := []string{"a", "a-", "a-/x", "a.b", "a/", "a/b", "a/b/c", "a/c", "b/", "b/c", "b/c!", "b/c/d", "b/c/e", "c/d"}
	slices.Sort(keys)
	clash := []string{"a-/x", "a/", "a/b", "a/b/c", "a/c", "b/c/d", "b/c/e"}
	for cut := range keys {
		asked := 0
		exists := func(_ context.Context, key string) (bool, error) {
			asked++
			return slices.Contains(keys, key), nil
		}
		var got []string
		start := ""
		for i, part := range [][]string{keys[:cut], keys[cut:]} {
			if i == 1 && cut > 0 {
				start = keys[cut-1]
			}
			tree := fileTree{start: start, exists: exists}
			for _, key := range part {
				is, err := tree.clashes(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if is {
					got = append(got, key)
				}
			}
		}
		if !slices.Equal(got, clash) || asked > len(start) {
			t.Errorf("cut behind %q: got %q with %d questions, want %q", start, got, asked, clash)
		}
	}
}
