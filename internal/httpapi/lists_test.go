package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// Requests for tasks over list files (OMS v2, 3.2 and 4.4).
const (
	createList = `{"task_type":"list",
 "src_node":{"cloud_type":"AWS","region":"lab-a","ak":"AKSRC","sk":"SKSRC","bucket":"photos",
  "list_file":{"obs_bucket":"lists","list_file_key":"in/a.txt","list_file_num":"1"}},
 "dst_node":{"region":"lab-b","ak":"AKDST","sk":"SKDST","bucket":"backup"}}`
	createURLs = `{"task_type":"url_list",
 "src_node":{"cloud_type":"URLSource","list_file":{"obs_bucket":"lists","list_file_key":"u.txt"}},
 "dst_node":{"region":"lab-b","ak":"AKDST","sk":"SKDST","bucket":"backup"}}`
)

// Tasks over list files are stored as they were asked for. A list of URLs has no source bucket and no source keys.
func TestCreateListTasks(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		src        oms.SourceNode
		keys       oms.Credentials
		check      oms.ConsistencyCheck
	}{
		{
			name: "list", body: createList,
			src: oms.SourceNode{
				CloudType: oms.CloudAWS, Region: "lab-a", Bucket: "photos",
				ListFile: &oms.ListFile{Bucket: "lists", Key: "in/a.txt", Num: "1"},
			},
			keys: oms.Credentials{AccessKey: "AKSRC", SecretKey: oms.NewSecret("SKSRC")}, check: oms.CheckSizeModified,
		},
		{
			name: "folder of lists", body: edit(t, createList, "src_node.list_file", `{"obs_bucket":"lists","list_file_key":"in/"}`),
			src:  oms.SourceNode{CloudType: oms.CloudAWS, Region: "lab-a", Bucket: "photos", ListFile: &oms.ListFile{Bucket: "lists", Key: "in/"}},
			keys: oms.Credentials{AccessKey: "AKSRC", SecretKey: oms.NewSecret("SKSRC")}, check: oms.CheckSizeModified,
		},
		{
			name: "urls", body: createURLs,
			src:   oms.SourceNode{CloudType: oms.CloudURL, ListFile: &oms.ListFile{Bucket: "lists", Key: "u.txt"}},
			check: oms.CheckSizeModified,
		},
		{
			name: "urls without check", body: edit(t, createURLs, "consistency_check", `"no_check"`),
			src:   oms.SourceNode{CloudType: oms.CloudURL, ListFile: &oms.ListFile{Bucket: "lists", Key: "u.txt"}},
			check: oms.CheckNone,
		},
		{
			name: "urls with what they do not need", body: edit(t, edit(t, createURLs, "src_node.ak", `"AKX"`), "src_node.object_key", `[""]`),
			src:   oms.SourceNode{CloudType: oms.CloudURL, ListFile: &oms.ListFile{Bucket: "lists", Key: "u.txt"}},
			check: oms.CheckSizeModified,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tasks := newFakeTasks()
			w := newHarness(tasks).do("POST", base, tc.body)
			if w.Code != http.StatusOK || len(tasks.tasks) != 1 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			for _, task := range tasks.tasks {
				tc.src.Endpoint = task.Spec.Src.Endpoint
				if diff := cmp.Diff(tc.src, task.Spec.Src); diff != "" {
					t.Errorf("source (-want +got):\n%s", diff)
				}
				if has := task.Spec.Src.Endpoint.URL != ""; has != (tc.src.CloudType != oms.CloudURL) {
					t.Errorf("endpoint %+v", task.Spec.Src.Endpoint)
				}
				if task.Spec.Consistency != tc.check || task.Spec.Dst.Endpoint.URL == "" {
					t.Errorf("spec %+v", task.Spec)
				}
			}
			if got := tasks.keys.Src; got.AccessKey != tc.keys.AccessKey || got.SecretKey.Reveal() != tc.keys.SecretKey.Reveal() {
				t.Errorf("source keys of %q", got.AccessKey)
			}
			if tasks.keys.Dst.AccessKey != "AKDST" {
				t.Errorf("destination keys of %q", tasks.keys.Dst.AccessKey)
			}
		})
	}
}

// Every constraint of what is special to tasks over list files. Nothing is stored.
func TestCreateListRefusals(t *testing.T) {
	file := func(key, bucket string) string { return `{"list_file_key":` + key + `,"obs_bucket":` + bucket + `}` }
	for _, tc := range []struct{ body, path, value, want string }{
		{createList, "src_node.list_file", "", "OMS.1004"},
		{createList, "src_node.list_file", "null", "OMS.1004"},
		{createList, "src_node.list_file", "{}", "OMS.1004"},
		{createList, "src_node.list_file", `"a.txt"`, "OMS.1010"},
		{createList, "src_node.list_file", `{"list_file_key":"a.txt"}`, "OMS.1004"},
		{createList, "src_node.list_file", `{"obs_bucket":"lists"}`, "OMS.1004"},
		{createList, "src_node.list_file", file(`""`, `"lists"`), "OMS.1003"},
		{createList, "src_node.list_file", file(quoted(1025), `"lists"`), "OMS.1003"},
		{createList, "src_node.list_file", file(`1`, `"lists"`), "OMS.1010"},
		{createList, "src_node.list_file", file(`"a.txt"`, `""`), "OMS.1003"},
		{createList, "src_node.list_file", file(`"a.txt"`, `"a/b"`), "OMS.0057"},
		{createList, "src_node.list_file", file(`"a.txt"`, `7`), "OMS.1010"},
		{createList, "src_node.list_file.list_file_num", `"one"`, "OMS.1003"},
		{createList, "src_node.list_file.list_file_num", `1`, "OMS.1010"},
		{createList, "src_node.object_key", `["a"]`, "OMS.0061"},
		{createList, "src_node.object_key", `["","a"]`, "OMS.0061"},
		{createList, "src_node.object_key", `[1]`, "OMS.1010"},
		{createList, "src_node.cloud_type", `"URLSource"`, "OMS.0057"},
		{createList, "src_node.bucket", "", "OMS.1004"},
		{createList, "src_node.region", "", "OMS.1004"},
		{createList, "src_node.ak", "", "OMS.1004"},
		{createList, "src_node.sk", "", "OMS.1004"},
		{createList, "consistency_check", `"no_check"`, "OMS.1003"},
		{createList, "task_type", `"object"`, "OMS.1004"}, // object_key is missing
		{createList, "task_type", `"url_list"`, "OMS.0057"},
		{createURLs, "src_node.list_file", "", "OMS.1004"},
		{createURLs, "src_node.cloud_type", "", "OMS.0057"}, // Aliyun by default
		{createURLs, "src_node.cloud_type", `"AWS"`, "OMS.0057"},
		{createURLs, "src_node.object_key", `["a"]`, "OMS.0061"},
		{createURLs, "task_type", `"list"`, "OMS.0057"},
		{createURLs, "task_type", "", "OMS.0057"},
		{createURLs, "dst_node.ak", "", "OMS.1004"},
		{createURLs, "dst_node.region", `"nowhere"`, "OMS.0080"},
		{createURLs, "source_cdn", `{"domain":"cdn.example.org","protocol":"https","authentication_type":"NONE"}`, "OMS.0061"},
	} {
		t.Run(tc.path+" "+tc.value[:min(len(tc.value), 40)], func(t *testing.T) {
			h := newHarness(newFakeTasks())
			w := h.do("POST", base, edit(t, tc.body, tc.path, tc.value))
			if got := code(t, w); got != tc.want || w.Code != http.StatusBadRequest || h.tasks.changes != 0 {
				t.Errorf("code %q, status %d, %d stored, want %s and none: %s", got, w.Code, h.tasks.changes, tc.want, w.Body)
			}
		})
	}
	// Names of a list are written onto themselves in their own bucket, unless a prefix makes others of them.
	same := edit(t, edit(t, createList, "dst_node.region", `"lab-a"`), "dst_node.bucket", `"photos"`)
	if got := code(t, newHarness(newFakeTasks()).do("POST", base, same)); got != "OMS.0058" {
		t.Errorf("list onto itself: code %q", got)
	}
	if got := code(t, newHarness(newFakeTasks()).do("POST", base, edit(t, same, "dst_node.save_prefix", `"copy/"`))); got != "" {
		t.Errorf("list into a folder of its bucket: code %q", got)
	}
}

// Only tasks over URLs are started without source keys.
func TestStartWithoutSourceKeys(t *testing.T) {
	keyless := edit(t, edit(t, start, "src_ak", ""), "src_sk", "")
	for _, tc := range []struct {
		name string
		kind oms.TaskType
		body string
		want string
	}{
		{"urls", oms.TypeURLList, keyless, ""},
		{"urls with keys", oms.TypeURLList, start, ""},
		{"urls with half the keys", oms.TypeURLList, edit(t, start, "src_sk", ""), "OMS.1004"},
		{"urls without destination keys", oms.TypeURLList, edit(t, keyless, "dst_sk", ""), "OMS.1004"},
		{"list", oms.TypeList, keyless, "OMS.1004"},
		{"prefix", oms.TypePrefix, keyless, "OMS.1004"},
	} {
		tasks := newFakeTasks(oms.Task{ID: 7, ProjectID: project, Status: oms.StatusPaused, Spec: oms.TaskSpec{Type: tc.kind}})
		h := newHarness(tasks)
		if got := code(t, h.do("POST", base+"/7/start", tc.body)); got != tc.want {
			t.Errorf("%s: code %q, want %q", tc.name, got, tc.want)
		}
		if tasks.changes != 0 && tc.want != "" {
			t.Errorf("%s: something changed", tc.name)
		}
	}
	if got := code(t, newHarness(newFakeTasks()).do("POST", base+"/8/start", keyless)); got != "OMS.1009" {
		t.Errorf("unknown task: code %q", got)
	}
}

// The progress of a task over list files is that of its objects, as their sizes are not known beforehand (OMS v2, 4.5).
func TestListProgress(t *testing.T) {
	task := oms.Task{
		ID: 7, ProjectID: project, Status: oms.StatusRunning, Found: 10, RunFor: 4e9,
		Spec:     oms.TaskSpec{Type: oms.TypeList, Src: oms.SourceNode{ListFile: &oms.ListFile{Bucket: "lists", Key: "a.txt"}}},
		Counters: oms.Counters{Listed: 4, Migrated: 3, Failed: 1, ListedBytes: 100, MigratedBytes: 99, FailedBytes: 1},
	}
	body := newHarness(newFakeTasks(task)).do("GET", base+"/7", "").Body.String()
	for _, want := range []string{`"progress":0.3,`, `"total_num":10,`, `"left_time":6000,`, `"list_file_key":"a.txt"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s does not hold %s", body, want)
		}
	}
}
