package storageclass_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storageclass"
)

func newTable(t *testing.T, o storageclass.Overrides) *storageclass.Table {
	t.Helper()
	table, err := storageclass.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The mapping of the contract's and the vendors' class names (OMS v2, 6.6), and which of them cannot be read at once.
func TestClasses(t *testing.T) {
	const s, ia, a, d = oms.StorageStandard, oms.StorageIA, oms.StorageArchive, oms.StorageDeepArchive
	tests := []struct {
		cloud    oms.CloudType
		class    string
		want     oms.StoragePolicy
		archived bool
	}{
		{oms.CloudAWS, "", s, false},
		{oms.CloudAWS, "STANDARD", s, false},
		{oms.CloudAWS, "REDUCED_REDUNDANCY", s, false},
		{oms.CloudAWS, "INTELLIGENT_TIERING", s, false},
		{oms.CloudAWS, "EXPRESS_ONEZONE", s, false},
		{oms.CloudAWS, "STANDARD_IA", ia, false},
		{oms.CloudAWS, "ONEZONE_IA", ia, false},
		{oms.CloudAWS, "GLACIER_IR", ia, false},
		{oms.CloudAWS, "GLACIER", a, true},
		{oms.CloudAWS, "DEEP_ARCHIVE", d, true},
		{oms.CloudAWS, "SOMETHING_NEW", s, false},
		{oms.CloudHuawei, "WARM", ia, false},
		{oms.CloudHuawei, "COLD", a, true},
		{oms.CloudHuawei, "GLACIER", a, true},
		{oms.CloudHuawei, "DEEP_ARCHIVE", d, true},
		{oms.CloudHEC, "COLD", a, true},
		{"", "COLD", a, true},
		{oms.CloudTencent, "COLD", ia, false}, // the same word, another meaning
		{oms.CloudTencent, "MAZ_STANDARD_IA", ia, false},
		{oms.CloudTencent, "ARCHIVE", a, true},
		{oms.CloudTencent, "DEEP_ARCHIVE", d, true},
		{oms.CloudBaidu, "COLD", ia, false},
		{oms.CloudBaidu, "ARCHIVE", a, true},
		{oms.CloudAliyun, "Archive", a, true},
		{oms.CloudAliyun, "archive", a, true},
		{oms.CloudAliyun, "IA", ia, false},
		{oms.CloudAliyun, "ColdArchive", d, true},
		{oms.CloudAliyun, "DeepColdArchive", d, true},
		{oms.CloudGoogle, "NEARLINE", ia, false},
		{oms.CloudGoogle, "ARCHIVE", a, false},
		{oms.CloudAzure, "Cold", ia, false},
		{oms.CloudAzure, "Archive", a, true},
		{oms.CloudKingsoft, "DEEP_COLD_ARCHIVE", d, true},
		{oms.CloudQiniu, "LINE", ia, false},
		{oms.CloudQiniu, "3", d, true},
		{oms.CloudUCloud, "ARCHIVE", a, true},
		{oms.CloudQing, "STANDARD_IA", ia, false},
		{oms.CloudURL, "GLACIER", s, false},
	}
	table := newTable(t, storageclass.Overrides{})
	for _, tt := range tests {
		if got := table.Policy(tt.cloud, tt.class); got != tt.want {
			t.Errorf("%s %q: got policy %s, want %s", tt.cloud, tt.class, got, tt.want)
		}
		if got := table.Archived(tt.cloud, tt.class); got != tt.archived {
			t.Errorf("%s %q: got archived %v, want %v", tt.cloud, tt.class, got, tt.archived)
		}
	}
}

func TestWrite(t *testing.T) {
	table := newTable(t, storageclass.Overrides{})
	tests := []struct {
		dst    oms.CloudType
		policy oms.StoragePolicy
		src    oms.CloudType
		class  string
		want   string
	}{
		{oms.CloudHEC, "", oms.CloudAWS, "GLACIER", ""},
		{oms.CloudHEC, oms.StorageStandard, oms.CloudAWS, "GLACIER", "STANDARD"},
		{oms.CloudHEC, oms.StorageIA, oms.CloudAWS, "", "STANDARD_IA"},
		{oms.CloudHEC, oms.StorageArchive, oms.CloudAWS, "", "GLACIER"},
		{oms.CloudHEC, oms.StorageDeepArchive, oms.CloudAWS, "", "DEEP_ARCHIVE"},
		{oms.CloudHEC, oms.StorageMapped, oms.CloudAWS, "", "STANDARD"},
		{oms.CloudHEC, oms.StorageMapped, oms.CloudAWS, "GLACIER_IR", "STANDARD_IA"},
		{oms.CloudHEC, oms.StorageMapped, oms.CloudAliyun, "ColdArchive", "DEEP_ARCHIVE"},
		{oms.CloudHEC, oms.StorageMapped, oms.CloudTencent, "COLD", "STANDARD_IA"},
		{oms.CloudHEC, oms.StorageMapped, oms.CloudHuawei, "COLD", "GLACIER"},
		{oms.CloudQing, oms.StorageMapped, oms.CloudAWS, "DEEP_ARCHIVE", "STANDARD_IA"}, // has no archive
		{oms.CloudGoogle, oms.StorageMapped, oms.CloudAWS, "DEEP_ARCHIVE", "ARCHIVE"},
		{oms.CloudURL, oms.StorageIA, oms.CloudAWS, "", ""},
	}
	for _, tt := range tests {
		if got := table.Write(tt.dst, tt.policy, tt.src, tt.class); got != tt.want {
			t.Errorf("%s %q of %s %q: got %q, want %q", tt.dst, tt.policy, tt.src, tt.class, got, tt.want)
		}
	}
	if got := table.Written(oms.CloudHEC, oms.StorageMapped); !slices.Equal(got, []string{"STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE"}) {
		t.Errorf("a mapping may write %q", got)
	}
	if table.Has(oms.CloudQing, oms.StorageArchive) || !table.Has(oms.CloudQing, oms.StorageIA) || !table.Has(oms.CloudQing, oms.StorageMapped) {
		t.Error("QingStor has no archive, but IA and a mapping")
	}
	if table.Days(oms.CloudHEC, 90) != 30 || table.Days(oms.CloudAWS, 90) != 90 {
		t.Error("only OBS bounds the days")
	}
}

func TestOverrides(t *testing.T) {
	table := newTable(t, storageclass.Overrides{
		Map:   map[oms.CloudType]map[string]oms.StoragePolicy{oms.CloudAWS: {"glacier_ir": oms.StorageArchive, "NEW": oms.StorageIA}},
		Write: map[oms.CloudType]map[oms.StoragePolicy]string{oms.CloudHEC: {oms.StorageArchive: "STANDARD_IA", oms.StorageStandard: ""}},
	})
	for class, want := range map[string]string{"GLACIER_IR": "STANDARD_IA", "GLACIER": "STANDARD_IA", "NEW": "STANDARD_IA", "STANDARD": "", "DEEP_ARCHIVE": "DEEP_ARCHIVE"} {
		if got := table.Write("", oms.StorageMapped, oms.CloudAWS, class); got != want {
			t.Errorf("%s: got %q, want %q", class, got, want)
		}
	}
	if table.Archived(oms.CloudAWS, "GLACIER_IR") {
		t.Error("what class an object is written with changes nothing about how it is read")
	}
	for name, bad := range map[string]storageclass.Overrides{
		"not one of":        {Map: map[oms.CloudType]map[string]oms.StoragePolicy{"Nimbus": {"A": oms.StorageIA}}},
		"STANDARD, IA":      {Map: map[oms.CloudType]map[string]oms.StoragePolicy{oms.CloudAWS: {"A": "COLDISH"}}},
		"want a class":      {Map: map[oms.CloudType]map[string]oms.StoragePolicy{oms.CloudAWS: {"": oms.StorageIA}}},
		"the name of a":     {Write: map[oms.CloudType]map[oms.StoragePolicy]string{oms.CloudHEC: {oms.StorageIA: "a\r\nb"}}},
		"want one of":       {Write: map[oms.CloudType]map[oms.StoragePolicy]string{oms.CloudHEC: {oms.StorageMapped: "A"}}},
		`"Mist" is not one`: {Write: map[oms.CloudType]map[oms.StoragePolicy]string{"Mist": {oms.StorageIA: "A"}}},
	} {
		_, err := storageclass.New(bad)
		if oms.KindOf(err) != oms.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want a refusal that says %q", err, name)
		}
	}
}

// Every name that is written must be known as one that is read, and every name that needs a restore must be a class.
func TestTableIsConsistent(t *testing.T) {
	table := newTable(t, storageclass.Overrides{})
	clouds := []oms.CloudType{
		oms.CloudAWS, oms.CloudHuawei, oms.CloudAliyun, oms.CloudTencent, oms.CloudAzure, oms.CloudGoogle, oms.CloudBaidu,
		oms.CloudKingsoft, oms.CloudQiniu, oms.CloudQing, oms.CloudUCloud,
	}
	for _, ct := range clouds {
		for _, p := range storageclass.Policies() {
			if class := table.Write(ct, p, "", ""); table.Has(ct, p) && table.Policy(ct, class) != p {
				t.Errorf("%s: %s is written as %q, which is read as %s", ct, p, class, table.Policy(ct, class))
			}
		}
		if table.Restores(ct) != (ct != oms.CloudGoogle && ct != oms.CloudQing) {
			t.Errorf("%s: restores %v", ct, table.Restores(ct))
		}
	}
	var none *storageclass.Table
	if none.Policy(oms.CloudAWS, "GLACIER") != oms.StorageStandard || none.Archived(oms.CloudAWS, "GLACIER") || none.Write("", oms.StorageIA, "", "") != "" {
		t.Error("the nil table knows nothing")
	}
}
