package region_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

func newTable(t *testing.T, overrides ...region.Override) *region.Table {
	t.Helper()
	table, err := region.New(overrides)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestResolve(t *testing.T) {
	table := newTable(t,
		region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000", PathStyle: true},
		region.Override{CloudType: oms.CloudHEC, Region: "lab-b", Endpoint: "http://127.0.0.1:9001/", PathStyle: true},
		region.Override{CloudType: oms.CloudAWS, Region: "us-east-2", Endpoint: "https://mirror.example.org"},
		region.Override{CloudType: oms.CloudAWS, Region: "us-east-2", Endpoint: "https://Mirror2.example.org"})
	tests := []struct {
		cloud oms.CloudType
		id    string
		want  oms.Endpoint // zero: unknown
	}{
		{oms.CloudAWS, "us-east-1", oms.Endpoint{URL: "https://s3.us-east-1.amazonaws.com", Region: "us-east-1"}},
		{oms.CloudAWS, "cn-north-1", oms.Endpoint{URL: "https://s3.cn-north-1.amazonaws.com.cn", Region: "cn-north-1"}},
		{oms.CloudAWS, "ap-new-9", oms.Endpoint{URL: "https://s3.ap-new-9.amazonaws.com", Region: "ap-new-9"}},
		{oms.CloudAWS, "lab-a", oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "lab-a", PathStyle: true, Trusted: true}},
		{oms.CloudAWS, "us-east-2", oms.Endpoint{URL: "https://mirror2.example.org", Region: "us-east-2", Trusted: true}},
		{"", "lab-b", oms.Endpoint{URL: "http://127.0.0.1:9001", Region: "lab-b", PathStyle: true, Trusted: true}},
		{oms.CloudHuawei, "lab-b", oms.Endpoint{URL: "http://127.0.0.1:9001", Region: "lab-b", PathStyle: true, Trusted: true}},
		{"", "cn-north-4", oms.Endpoint{URL: "https://obs.cn-north-4.myhuaweicloud.com", Region: "cn-north-4"}},
		{oms.CloudHEC, "eu-west-101", oms.Endpoint{URL: "https://obs.eu-west-101.myhuaweicloud.eu", Region: "eu-west-101"}},
		{oms.CloudAliyun, "oss-cn-beijing", oms.Endpoint{URL: "https://s3.oss-cn-beijing.aliyuncs.com", Region: "cn-beijing"}},
		{oms.CloudAliyun, "cn-beijing", oms.Endpoint{URL: "https://s3.oss-cn-beijing.aliyuncs.com", Region: "cn-beijing"}},
		{oms.CloudTencent, "ap-beijing", oms.Endpoint{URL: "https://cos.ap-beijing.myqcloud.com", Region: "ap-beijing"}},
		{oms.CloudKingsoft, "BEIJING", oms.Endpoint{URL: "https://ks3-cn-beijing.ksyuncs.com", Region: "BEIJING"}},
		{oms.CloudKingsoft, "cn-beijing", oms.Endpoint{URL: "https://ks3-cn-beijing.ksyuncs.com", Region: "BEIJING"}},
		{oms.CloudKingsoft, "cn-nowhere", oms.Endpoint{}},
		{oms.CloudQiniu, "z0", oms.Endpoint{URL: "https://s3-cn-east-1.qiniucs.com", Region: "cn-east-1", PathStyle: true}},
		{oms.CloudGoogle, "europe-west12", oms.Endpoint{URL: "https://storage.googleapis.com", Region: "auto", PathStyle: true}},
		{oms.CloudQing, "pek3b", oms.Endpoint{URL: "https://s3.pek3b.qingstor.com", Region: "pek3b"}},
		{oms.CloudBaidu, "bj", oms.Endpoint{URL: "https://s3.bj.bcebos.com", Region: "bj"}},
		{oms.CloudUCloud, "hk", oms.Endpoint{URL: "https://s3-hk.ufileos.com", Region: "hk"}},
		{oms.CloudQiniu, "cn-east-1", oms.Endpoint{URL: "https://s3-cn-east-1.qiniucs.com", Region: "cn-east-1", PathStyle: true}},
		{oms.CloudQiniu, "cn-east-2", oms.Endpoint{URL: "https://s3-cn-east-2.qiniucs.com", Region: "cn-east-2", PathStyle: true}},
		{oms.CloudAzure, "westeurope", oms.Endpoint{URL: "https://blob.core.windows.net", Region: "westeurope"}},
		{oms.CloudAzure, "chinaeast2", oms.Endpoint{URL: "https://blob.core.chinacloudapi.cn", Region: "chinaeast2"}},
		{oms.CloudURL, "", oms.Endpoint{}},
		{oms.CloudAWS, "", oms.Endpoint{}},
		{oms.CloudAWS, "evil.example.org/", oms.Endpoint{}},
		{oms.CloudAWS, "US-EAST-1", oms.Endpoint{}},
		{oms.CloudAWS, "-a", oms.Endpoint{}},
		{oms.CloudAWS, "a-", oms.Endpoint{}},
		{oms.CloudAWS, "a\x00", oms.Endpoint{}},
		{oms.CloudAWS, "{region}", oms.Endpoint{}},
		{oms.CloudAWS, strings.Repeat("a", 41), oms.Endpoint{}},
		{"Nobody", "us-east-1", oms.Endpoint{}},
	}
	for _, tt := range tests {
		got, ok := table.Resolve(tt.cloud, tt.id)
		if got != tt.want || ok != (tt.want != oms.Endpoint{}) {
			t.Errorf("Resolve(%q, %q) = %+v, %v, want %+v", tt.cloud, tt.id, got, ok, tt.want)
		}
	}
}

// Every region that is shown can be resolved, over https.
func TestBuiltinTable(t *testing.T) {
	table := newTable(t)
	seen := map[oms.CloudType]bool{}
	for _, c := range table.Clouds() {
		if seen[c.Type] || c.Name == "" || len(c.Regions) == 0 {
			t.Errorf("cloud %q: twice, without a name or without regions", c.Type)
		}
		seen[c.Type] = true
		ids := map[string]bool{}
		for _, r := range c.Regions {
			e, ok := table.Resolve(c.Type, r.ID)
			u, err := url.Parse(e.URL)
			if !ok || err != nil || u.Scheme != "https" || strings.ContainsAny(e.URL, "{}") || e.Region == "" || e.Trusted {
				t.Errorf("%s %s: got %+v, %v, %v", c.Type, r.ID, e, ok, err)
			}
			if ids[r.ID] || r.Name == "" {
				t.Errorf("%s %s: twice, or without a name", c.Type, r.ID)
			}
			ids[r.ID] = true
		}
	}
}

func TestOverridesAreShown(t *testing.T) {
	table := newTable(t,
		region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000"},
		region.Override{CloudType: oms.CloudAWS, Region: "us-east-1", Name: "mirror", Endpoint: "http://127.0.0.1:9001"})
	names := map[string]string{}
	for _, c := range table.Clouds() {
		if c.Type == oms.CloudAWS {
			for _, r := range c.Regions {
				names[r.ID] = r.Name
			}
		}
	}
	if names["lab-a"] != "lab-a" || names["us-east-1"] != "mirror" {
		t.Errorf("got %v, want lab-a and a renamed us-east-1", names)
	}
	trusted := table.Trusted()
	if len(trusted) != 2 || trusted[0].URL != "http://127.0.0.1:9000" || !trusted[0].Trusted {
		t.Errorf("Trusted() = %+v, want both", trusted)
	}
}

func TestBadOverrides(t *testing.T) {
	good := region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000"}
	for name, change := range map[string]func(*region.Override){
		"cloud":       func(o *region.Override) { o.CloudType = "Elsewhere" },
		"no region":   func(o *region.Override) { o.Region = "" },
		"blank":       func(o *region.Override) { o.Region = "a b" },
		"no endpoint": func(o *region.Override) { o.Endpoint = "" },
		"scheme":      func(o *region.Override) { o.Endpoint = "ftp://host" },
		"no host":     func(o *region.Override) { o.Endpoint = "http://:80" },
		"path":        func(o *region.Override) { o.Endpoint = "http://host/path" },
		"query":       func(o *region.Override) { o.Endpoint = "http://host?x=1" },
		"user":        func(o *region.Override) { o.Endpoint = "http://u:p@host" },
		"no url":      func(o *region.Override) { o.Endpoint = "http://[::1" },
	} {
		o := good
		change(&o)
		if _, err := region.New([]region.Override{o}); !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %v, want oms.Invalid", name, err)
		}
	}
}

func TestBareHost(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:9000":   true,
		"http://[::1]:9000":       true,
		"https://10.1.2.3":        true,
		"http://localhost:1":      true,
		"https://s3.example.org":  false,
		"http://10.1.2.3.example": false,
		"http://[":                false,
	} {
		if got := region.BareHost(endpoint); got != want {
			t.Errorf("BareHost(%q) = %v, want %v", endpoint, got, want)
		}
	}
}
