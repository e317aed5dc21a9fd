package s3_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
)

// level is what Browse must show below prefix.
func level(keys []string, prefix string) []storage.Entry {
	var entries []storage.Entry
	for _, k := range slices.Sorted(slices.Values(keys)) {
		rest, ok := strings.CutPrefix(k, prefix)
		if !ok {
			continue
		}
		e := storage.Entry{Name: k, Size: int64(len(k))}
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			e = storage.Entry{Name: prefix + rest[:i+1], Folder: true}
		}
		if n := len(entries); n == 0 || entries[n-1] != e {
			entries = append(entries, e)
		}
	}
	return entries
}

// TestBrowse pages through levels with pages of all sizes: every entry is shown exactly once, in order.
func TestBrowse(t *testing.T) {
	keys := []string{
		"a/1", "a/2", "a/sub/x", "a/sub/y", "a", "a b/x/y", "a+b", "%2F/z", "top", "é/1", "é", "p/", "p/q/r", "p/s", "/abs", "//", "d//x",
		"d//y", "d/x", "z/\U0010FFFF", "z/\U0010FFFF2", "z0",
	}
	for i := range 40 {
		keys = append(keys, "many/f"+strconv.Itoa(i)+"/x", "many/f"+strconv.Itoa(i)+"/y")
	}
	for cloud, profile := range map[oms.CloudType]testcloud.Profile{
		oms.CloudAWS: testcloud.AWS(), oms.CloudHuawei: testcloud.OBS(), oms.CloudTencent: testcloud.V1Only(), oms.CloudUCloud: testcloud.V1Only(),
	} {
		t.Run(string(cloud), func(t *testing.T) {
			b, bucket := startFake(t, profile).fresh(t, newOpener(t), cloud)
			for _, k := range keys {
				bucket.Put(k, []byte(k), testcloud.Attrs{})
			}
			for _, prefix := range []string{"", "a/", "a", "p/", "d/", "d//", "many/", "z/", "/", "none/"} {
				want := level(keys, prefix)
				for _, limit := range []int{0, 1, 2, 3, 7, 100} {
					var got []storage.Entry
					opts := storage.ListOptions{Prefix: prefix, Limit: limit}
					for pages := 0; ; pages++ {
						page, err := b.Browse(t.Context(), opts)
						if err != nil {
							t.Fatalf("below %q, pages of %d: %v", prefix, limit, err)
						}
						if limit > 0 && len(page.Entries) > limit {
							t.Errorf("a page of %d entries, want at most %d", len(page.Entries), limit)
						}
						got = append(got, page.Entries...)
						if !page.Truncated {
							break
						}
						if pages > len(want)+1 {
							t.Fatalf("below %q, pages of %d: no end", prefix, limit)
						}
						opts.After = page.Entries[len(page.Entries)-1].Name
					}
					if !slices.Equal(got, want) {
						t.Errorf("below %q, pages of %d:\ngot  %v\nwant %v", prefix, limit, got, want)
					}
				}
			}
		})
	}
}

// TestBrowseHostile: lists that never end, lie or are no lists end in an error, and soon.
func TestBrowseHostile(t *testing.T) {
	for name, fault := range map[string]testcloud.Fault{
		"empty pages": testcloud.EmptyPages(),
		"foreign key": testcloud.ForeignKey("zzz"),
		"malformed":   testcloud.MalformedXML(),
		"huge":        testcloud.HugeXML(20 << 20),
		"doctype":     testcloud.Doctype(),
		"deep":        testcloud.DeepXML(100),
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t, testcloud.AWS())
			b, bucket := f.fresh(t, newOpener(t), oms.CloudAWS)
			for i := range 30 {
				bucket.Put("p/"+strconv.Itoa(i), nil, testcloud.Attrs{})
			}
			f.Faults.On(testcloud.ListObjectsV2, fault)
			page, err := b.Browse(t.Context(), storage.ListOptions{Prefix: "p/", Limit: 10})
			if err == nil {
				t.Errorf("got %d entries and no error", len(page.Entries))
			}
		})
	}
	f := startFake(t, testcloud.AWS())
	b := open(t, newOpener(t), f.bucket(oms.CloudAWS, "nosuch"))
	if _, err := b.Browse(t.Context(), storage.ListOptions{}); !errors.Is(err, oms.NoBucket) {
		t.Errorf("got %v, want no bucket", err)
	}
}
