package region_test

import (
	"slices"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

// The clouds and the regions that OMS v2, section 7 wants to be offered at least, in its order.
func TestContractRegions(t *testing.T) {
	want := []struct {
		cloud oms.CloudType
		ids   []string
	}{
		{oms.CloudAWS, []string{
			"us-east-1", "us-west-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1",
			"ap-southeast-2", "ap-south-1", "sa-east-1", "us-east-2", "eu-west-2", "ca-central-1", "eu-west-3", "eu-north-1", "ap-east-1",
			"cn-north-1", "cn-northwest-1",
		}},
		{oms.CloudAzure, []string{"eastus", "westeurope", "chinanorth3"}},
		{oms.CloudAliyun, []string{
			"oss-cn-hangzhou", "oss-cn-shanghai", "oss-cn-qingdao", "oss-cn-beijing", "oss-cn-zhangjiakou", "oss-cn-huhehaote",
			"oss-cn-shenzhen", "oss-cn-chengdu", "oss-cn-hongkong", "oss-us-west-1", "oss-us-east-1", "oss-ap-southeast-1", "oss-eu-central-1",
		}},
		{oms.CloudTencent, []string{
			"ap-beijing", "ap-nanjing", "ap-shanghai", "ap-guangzhou", "ap-chengdu", "ap-chongqing", "ap-hongkong", "ap-singapore",
			"ap-mumbai", "ap-seoul", "ap-bangkok", "ap-tokyo", "na-siliconvalley", "na-ashburn", "eu-frankfurt",
		}},
		{oms.CloudHuawei, []string{
			"cn-north-1", "cn-north-4", "cn-north-9", "cn-north-12", "cn-east-2", "cn-east-3", "cn-east-4", "cn-south-1", "cn-south-4",
			"cn-southwest-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5", "la-south-2",
			"la-north-2", "tr-west-1", "sa-brazil-1", "me-east-1", "af-south-1",
		}},
		{oms.CloudQing, []string{"pek3a", "pek3b", "gd2", "sh1a", "ap2a"}},
		{oms.CloudKingsoft, []string{"BEIJING", "SHANGHAI", "GUANGZHOU", "HONGKONG", "SINGAPORE"}},
		{oms.CloudBaidu, []string{"bj", "gz", "su", "hkg", "fwh", "bd"}},
		{oms.CloudQiniu, []string{"z0", "z1", "z2", "na0", "as0", "cn-east-2"}},
		{oms.CloudUCloud, []string{"cn-bj", "cn-gd", "cn-sh2", "hk", "sg"}},
		{oms.CloudGoogle, []string{"us", "eu", "asia", "us-central1"}},
	}
	clouds := newTable(t).Clouds()
	if len(clouds) != len(want) {
		t.Fatalf("%d clouds, want %d", len(clouds), len(want))
	}
	for i, w := range want {
		got := clouds[i]
		if got.Type != w.cloud {
			t.Fatalf("cloud %d is %s, want %s", i, got.Type, w.cloud)
		}
		for _, id := range w.ids {
			if !slices.ContainsFunc(got.Regions, func(r region.Region) bool { return r.ID == id }) {
				t.Errorf("%s: region %s is missing", w.cloud, id)
			}
		}
	}
	if first := clouds[0].Regions[0]; first != (region.Region{ID: "us-east-1", Name: "US Standard (N. Virginia)"}) {
		t.Errorf("the first region is %+v", first)
	}
}

func ids(places []region.Place) []string {
	var list []string
	for _, p := range places {
		list = append(list, p.ID)
	}
	return list
}

// Where an account is asked: everywhere for some clouds, at one place of each partition for others, and nowhere but at
// the operator's endpoints where there are some.
func TestPlaces(t *testing.T) {
	builtin := newTable(t)
	for _, c := range builtin.Clouds() {
		for name, places := range map[string][]region.Place{"list": builtin.Listing(c.Type), "locate": builtin.Locating(c.Type)} {
			if len(places) == 0 {
				t.Errorf("%s: nowhere to %s", c.Type, name)
			}
			for _, p := range places {
				if e, ok := builtin.Resolve(c.Type, p.ID); !ok || e != p.Endpoint || p.Endpoint.URL == "" {
					t.Errorf("%s: place %+v to %s does not resolve", c.Type, p, name)
				}
			}
		}
	}
	if got := ids(builtin.Listing(oms.CloudAliyun)); !slices.Equal(got, []string{"oss-cn-hangzhou"}) {
		t.Errorf("got %v", got)
	}
	if got := ids(builtin.Locating(oms.CloudTencent)); len(got) < 15 {
		t.Errorf("got %v, want every region", got)
	}
	if got := builtin.Listing("Nobody"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	own := newTable(t,
		region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000"},
		region.Override{CloudType: oms.CloudAWS, Region: "lab-b", Endpoint: "http://127.0.0.1:9001"},
		region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9002", PathStyle: true},
		region.Override{CloudType: oms.CloudHEC, Region: "lab-c", Endpoint: "http://127.0.0.1:9003"})
	got := own.Listing(oms.CloudAWS)
	if !slices.Equal(ids(got), []string{"lab-a", "lab-b"}) || got[0].Endpoint.URL != "http://127.0.0.1:9002" || !got[0].Endpoint.Trusted {
		t.Errorf("got %+v", got)
	}
	if got := ids(own.Locating(oms.CloudHEC)); !slices.Equal(got, []string{"lab-c"}) {
		t.Errorf("got %v", got)
	}
	if got := ids(own.Listing(oms.CloudGoogle)); !slices.Equal(got, []string{"us"}) {
		t.Errorf("got %v", got)
	}
}

func TestDescribe(t *testing.T) {
	table := newTable(t,
		region.Override{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000"},
		region.Override{CloudType: oms.CloudAWS, Region: "us-east-1", Name: "mirror", Endpoint: "http://127.0.0.1:9001"})
	for _, tt := range []struct {
		cloud oms.CloudType
		id    string
		want  region.Region
		ok    bool
	}{
		{oms.CloudAWS, "eu-west-1", region.Region{ID: "eu-west-1", Name: "EU (Ireland)"}, true},
		{oms.CloudAWS, "us-east-1", region.Region{ID: "us-east-1", Name: "mirror"}, true},
		{oms.CloudAWS, "lab-a", region.Region{ID: "lab-a", Name: "lab-a"}, true},
		{oms.CloudAWS, "zz-new-1", region.Region{ID: "zz-new-1", Name: "zz-new-1"}, true},
		{oms.CloudAliyun, "cn-beijing", region.Region{ID: "oss-cn-beijing", Name: "China (Beijing)"}, true},
		{oms.CloudAliyun, "oss-cn-beijing", region.Region{ID: "oss-cn-beijing", Name: "China (Beijing)"}, true},
		{oms.CloudAliyun, "zz-new-1", region.Region{ID: "oss-zz-new-1", Name: "oss-zz-new-1"}, true},
		{oms.CloudQiniu, "cn-east-1", region.Region{ID: "z0", Name: "East China"}, true},
		{oms.CloudHEC, "cn-north-4", region.Region{ID: "cn-north-4", Name: "CN North-Beijing4"}, true},
		{oms.CloudKingsoft, "nowhere", region.Region{ID: "nowhere", Name: "nowhere"}, false},
		{oms.CloudAWS, "../x", region.Region{ID: "../x", Name: "../x"}, false},
		{"Nobody", "x", region.Region{ID: "x", Name: "x"}, false},
	} {
		if got, ok := table.Describe(tt.cloud, tt.id); got != tt.want || ok != tt.ok {
			t.Errorf("Describe(%s, %s) = %+v, %v, want %+v, %v", tt.cloud, tt.id, got, ok, tt.want, tt.ok)
		}
	}
}
