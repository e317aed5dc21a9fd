package s3_test

import (
	"slices"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// TestBranches lists one level, with keys that must be encoded.
func TestBranches(t *testing.T) {
	for cloud, profile := range map[oms.CloudType]testcloud.Profile{oms.CloudAWS: testcloud.AWS(), oms.CloudTencent: testcloud.V1Only()} {
		t.Run(string(cloud), func(t *testing.T) {
			b, bucket := startFake(t, profile).fresh(t, newOpener(t), cloud)
			for _, k := range []string{"a/1", "a/2", "a b/x/y", "%2F/z", "top", "é/1", "p/q/r", "p/s"} {
				bucket.Put(k, nil, testcloud.Attrs{})
			}
			for prefix, want := range map[string][]string{
				"": {"%2F/", "a b/", "a/", "p/", "é/"}, "p/": {"p/q/"}, "a": {"a b/", "a/"}, "none": nil,
			} {
				got, err := b.Branches(t.Context(), prefix)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("below %q: got %q, %v, want %q", prefix, got, err, want)
				}
			}
		})
	}
}
