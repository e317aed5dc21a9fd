package httpapi

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

// Bodies of the operations on buckets.
const (
	bucketKeys  = `"cloud_type":"AWS","ak":"a","sk":"b"`
	listBuckets = `{` + bucketKeys + `}`
	browse      = `{` + bucketKeys + `,"bucket_name":"photos","data_center":"lab-a","file_path":"2024/","page_size":2,"behind_filename":""}`
	whereIs     = `{` + bucketKeys + `,"bucket_name":"photos"}`
	hasPrefix   = `{` + bucketKeys + `,"bucket_name":"photos","file_name":"2024/","data_center":"lab-a"}`
	checkCDN    = `{` + bucketKeys + `,"bucket":"photos","region":"lab-a","prefix":{"keys":["a"]},
	  "source_cdn":{"domain":"d.example.org","protocol":"https","authentication_type":"ALIYUN_OSS_A","authentication_key":"k"}}`
	checkList = `{"obs_bucket":"lists","list_file_key":"u.txt","ak":"a","sk":"b","region":"lab-b"}`
)

// The answers of the operations on clouds and buckets, byte for byte but for indentation (OMS v2, 4.27 to 4.35).
func TestBucketAnswers(t *testing.T) {
	full := &fakeBuckets{
		names: []string{"a", "photos"}, at: oms.BucketRegion{ID: "lab-a", Name: "Lab A", Supported: true},
		page: oms.FolderPage{More: true, Entries: []oms.FolderEntry{{Name: "2024/a/", Folder: true}, {Name: "2024/b<é>.jpg", Size: 1 << 40}}},
		report: oms.CDNReport{SameCloud: true, Available: true, Keys: []oms.CDNKeyReport{
			{Key: "a", ETagMatches: true, Exists: true}, {Key: "nosuch"},
		}},
	}
	for _, tt := range []struct {
		name, method, path, body string
		buckets                  Buckets
	}{
		{"cloud_type_src", "GET", "/cloud-type?type=src", "", full},
		{"cloud_type_dst", "GET", "/cloud-type?type=dst", "", full},
		{"data_center", "GET", "/data-center", "", fewClouds{full}},
		{"list", "POST", "/buckets", listBuckets, full},
		{"list_none", "POST", "/buckets", listBuckets, &fakeBuckets{}},
		{"objects", "POST", "/buckets/objects", browse, full},
		{"objects_none", "POST", "/buckets/objects", browse, &fakeBuckets{}},
		{"region", "POST", "/buckets/regions", whereIs, full},
		{"region_unsupported", "POST", "/buckets/regions", whereIs, &fakeBuckets{at: oms.BucketRegion{ID: "eu-x-1", Name: "eu-x-1"}}},
		{"prefix", "POST", "/buckets/prefix", hasPrefix, full},
		{"cdn", "POST", "/buckets/cdn-info", checkCDN, full},
		{"cdn_none", "POST", "/buckets/cdn-info", checkCDN, &fakeBuckets{}},
		{"url_list", "POST", "/buckets/url-source-list-file", checkList, full},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newHarness(newFakeTasks(), func(o *Options) { o.Buckets = tt.buckets }).do(tt.method, storageBase+tt.path, tt.body)
			checkAnswer(t, w)
			golden(t, "bucket_"+tt.name+".txt", append([]byte(strconv.Itoa(w.Code)+"\n"), indented(t, w.Body.Bytes())...))
		})
	}
	t.Run("privacy", func(t *testing.T) {
		w := newHarness(newFakeTasks()).do("POST", "/v2/"+project+"/privacy-agreements", "")
		golden(t, "bucket_privacy.txt", append([]byte(strconv.Itoa(w.Code)+"\n"), indented(t, w.Body.Bytes())...))
	})
}

// fewClouds are buckets of a service that knows two clouds.
type fewClouds struct{ *fakeBuckets }

func (fewClouds) Clouds() []region.Cloud {
	return []region.Cloud{
		{Type: oms.CloudAWS, Regions: []region.Region{{ID: "us-east-1", Name: "US Standard (N. Virginia)"}, {ID: "lab-a", Name: "lab-a"}}},
		{Type: oms.CloudQing},
	}
}

// formed is an operation with a body that is right.
type formed struct {
	operation, method, path, body string
	golden                        string   // the file with its answer
	enums                         []string // members whose values are spelled exactly
}

// formedRequests are all operations of the contract that have a body.
func formedRequests() []formed {
	const task, tasks = base + "/12", base
	return []formed{
		{"CreateTask", "POST", tasks, create, "create", []string{
			"task_type", "src_node.cloud_type", "object_overwrite_mode", "dst_storage_policy", "consistency_check", "task_priority",
		}},
		{"StartTask", "POST", task + "/start", start, "start", nil},
		{"UpdateBandwidthPolicy", "PUT", task + "/bandwidth-policy", `{"bandwidth_policy":[]}`, "bandwidth", nil},
		{"BatchUpdateTasks", "POST", tasks + "/batch-update", `{"ids":[12],"bandwidth_policy":[],"task_priority":"LOW"}`, "batch", []string{"task_priority"}},
		{"CreateTaskGroup", "POST", groupBase, createGroup, "group_create", []string{
			"task_type", "object_overwrite_mode", "dst_storage_policy", "consistency_check",
		}},
		{"StartTaskGroup", "PUT", groupBase + "/paused/start", start, "group_start", nil},
		{"RetryTaskGroup", "PUT", groupBase + "/failed/retry", start, "group_retry", nil},
		{"UpdateTaskGroup", "PUT", groupBase + "/paused/update", `{"bandwidth_policy":[]}`, "group_update", nil},
		{"CreateSyncTask", "POST", syncBase, createSync, "sync_create", []string{"src_cloud_type", "dst_storage_policy", "consistency_check"}},
		{"StartSyncTask", "POST", syncBase + "/stopped/start", startSync, "sync_start", nil},
		{"CreateSyncEvents", "POST", syncBase + "/running/events", `{"object_keys":["a"]}`, "sync_events", nil},
		{"ShowBucketList", "POST", storageBase + "/buckets", listBuckets, "bucket_list", []string{"cloud_type"}},
		{"ShowBucketObjects", "POST", storageBase + "/buckets/objects", browse, "bucket_objects", []string{"cloud_type"}},
		{"ShowBucketRegion", "POST", storageBase + "/buckets/regions", whereIs, "bucket_region", []string{"cloud_type"}},
		{"CheckPrefix", "POST", storageBase + "/buckets/prefix", hasPrefix, "bucket_prefix", []string{"cloud_type"}},
		{"ShowCdnInfo", "POST", storageBase + "/buckets/cdn-info", checkCDN, "bucket_cdn", []string{
			"cloud_type", "source_cdn.protocol", "source_cdn.authentication_type",
		}},
		{"CheckUrlSourceListFileFormat", "POST", storageBase + "/buckets/url-source-list-file", checkList, "bucket_url_list", nil},
	}
}

// send sends the request with another body to a service of its own.
func (f formed) send(body string) *httptest.ResponseRecorder {
	tasks := newFakeTasks(task(12, oms.StatusFailed))
	h := syncHarness(newFakeSyncs(syncTask("running", oms.SyncRunning), syncTask("stopped", oms.SyncStopped)), func(o *Options) {
		o.Tasks, o.Buckets = tasks, &fakeBuckets{names: []string{"photos"}}
		o.Groups = newFakeGroups(group("paused", oms.GroupPaused), group("failed", oms.GroupFailed))
	})
	return h.do(f.method, f.path, body)
}

// The rules of OMS v2, 1.3 for every operation with a body: one line feed behind the JSON text is nothing, unknown members
// are ignored wherever they are, null is missing, and enumerations have one spelling.
func TestRequestForms(t *testing.T) {
	for _, f := range formedRequests() {
		t.Run(f.operation, func(t *testing.T) {
			good := f.send(f.body)
			if good.Code != 200 {
				t.Fatalf("%d %s", good.Code, good.Body)
			}
			if w := f.send(f.body + "\n"); w.Code != 200 || w.Body.String() != good.Body.String() {
				t.Errorf("with a line feed: %d %s", w.Code, w.Body)
			}
			var doc map[string]any
			if err := json.Unmarshal([]byte(f.body), &doc); err != nil {
				t.Fatal(err)
			}
			unknown := f.body
			for _, place := range append(places(doc, ""), "") {
				unknown = edit(t, unknown, place+"x_unknown", `{"a":[null,1,"b"]}`)
			}
			if w := f.send(unknown); w.Code != 200 || w.Body.String() != good.Body.String() {
				t.Errorf("with unknown members: %d %s", w.Code, w.Body)
			}
			for _, member := range membersOf(doc, "") {
				missing, null := f.send(edit(t, f.body, member, "")), f.send(edit(t, f.body, member, "null"))
				if missing.Code != null.Code || missing.Body.String() != null.Body.String() {
					t.Errorf("%s: missing gives %d %s, null gives %d %s", member, missing.Code, missing.Body, null.Code, null.Body)
				}
				if missing.Code != 200 && !slices.Contains([]string{"OMS.1003", "OMS.1004", "OMS.1032"}, code(t, missing)) {
					t.Errorf("%s: missing gives %s", member, missing.Body)
				}
			}
			for _, member := range f.enums {
				value, ok := valueAt(doc, member).(string)
				other := strings.ToLower(value)
				if other == value {
					other = strings.ToUpper(value)
				}
				w := f.send(edit(t, f.body, member, strconv.Quote(other)))
				if !ok || w.Code != 400 || code(t, w) != "OMS.1003" {
					t.Errorf("%s %q: %d %s", member, other, w.Code, w.Body)
				}
			}
		})
	}
}

// places are the objects within a document, as the beginnings of their members' names.
func places(doc map[string]any, path string) (list []string) {
	for name, v := range doc {
		if nested, ok := v.(map[string]any); ok {
			list = append(append(list, path+name+"."), places(nested, path+name+".")...)
		}
	}
	return list
}

// membersOf are the names of all members of a document.
func membersOf(doc map[string]any, path string) (list []string) {
	for name, v := range doc {
		list = append(list, path+name)
		if nested, ok := v.(map[string]any); ok {
			list = append(list, membersOf(nested, path+name+".")...)
		}
	}
	return list
}

func valueAt(doc map[string]any, path string) any {
	name, rest, nested := strings.Cut(path, ".")
	if next, ok := doc[name].(map[string]any); nested && ok {
		return valueAt(next, rest)
	}
	return doc[name]
}

// Every operation of the contract has a golden answer, and every one with a body is in formedRequests.
func TestEveryOperationHasGolden(t *testing.T) {
	answers := map[string]string{
		"ListApiVersions": "list_versions", "ShowApiInfo": "show_version", "ListTasks": "list", "ShowTask": "show_documented",
		"DeleteTask": "delete", "StopTask": "stop", "ListTaskGroup": "group_list", "ShowTaskGroup": "group_show_failed",
		"DeleteTaskGroup": "group_delete", "StopTaskGroup": "group_stop", "ListSyncTasks": "sync_list", "ShowSyncTask": "sync_show",
		"DeleteSyncTask": "sync_delete", "StopSyncTask": "sync_stop", "ListSyncTaskStatistic": "sync_statistics",
		"ShowCloudType": "bucket_cloud_type_src", "ShowRegionInfo": "bucket_data_center", "UpdatePrivacyAgreementRecord": "bucket_privacy",
	}
	for _, f := range formedRequests() {
		answers[f.operation] = f.golden
	}
	contract := 0
	for _, rt := range routes() {
		if strings.HasPrefix(rt.path, "/ext/") {
			continue
		}
		contract++
		file, ok := answers[rt.name]
		if _, err := os.Stat(filepath.Join("testdata", "golden", file+".txt")); !ok || err != nil {
			t.Errorf("%s has no golden answer: %v", rt.name, err)
		}
		takesBody := rt.maxBody != noBody
		if tried := slices.ContainsFunc(formedRequests(), func(f formed) bool { return f.operation == rt.name }); tried != takesBody {
			t.Errorf("%s: takes a body %t, is tried with one %t", rt.name, takesBody, tried)
		}
	}
	if contract != 35 {
		t.Errorf("%d operations, want the 35 of the contract", contract)
	}
}
