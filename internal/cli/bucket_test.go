package cli

import (
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

func TestCloudNamed(t *testing.T) {
	for name, want := range map[string]oms.CloudType{
		"": "", "s3": oms.CloudAWS, "s3://": oms.CloudAWS, "s3:": oms.CloudAWS, "aws": oms.CloudAWS, "HuaweiCloud": oms.CloudHuawei, "obs": oms.CloudHuawei,
		"Azure": oms.CloudAzure, "urlsource": oms.CloudURL, "gs": oms.CloudGoogle,
	} {
		if got, err := cloudNamed(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := cloudNamed("S3/x"); statusOf(err) != statusUsage {
		t.Errorf("got %v, want a usage error", err)
	}
}

func TestAppID(t *testing.T) {
	for bucket, want := range map[string]string{
		"photos-1250000000": "1250000000", "a-b-12": "12", "photos": "", "photos-": "", "photos-12x": "", "-": "",
	} {
		if got := appIDOf(bucket); got != want {
			t.Errorf("%q: got %q, want %q", bucket, got, want)
		}
	}
	env := testEnv(t, map[string]string{"OMS_SRC_AK": "ak", "OMS_SRC_SK": "sk"})
	if a, err := accountLocation(env, "cos://photos-125?region=ap-beijing"); err != nil || a.appID != "125" || a.sk != "sk" {
		t.Errorf("got %q, %v", a.appID, err)
	}
	for _, text := range []string{"cos://photos?region=ap-beijing", "s3://b", "s3://b?region=x&endpoint=http://h"} {
		if _, err := accountLocation(env, text); statusOf(err) != statusUsage {
			t.Errorf("%s: got %v, want a usage error", text, err)
		}
	}
}
