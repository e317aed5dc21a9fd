package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

const groupBase = "/v2/" + project + "/taskgroups"

// createGroup is a body of CreateTaskGroup with all that this version supports.
const createGroup = `{"task_type":"PREFIX",
 "src_node":{"cloud_type":"HUAWEICLOUD","region":"lab-a","ak":"src-ak","sk":"src-sk","bucket":"photos","object_key":["hw/"],"crypto_type":"DEFAULT","app_id":"","list_file":null},
 "dst_node":{"region":"lab-b","ak":"dst-ak","sk":"dst-sk","bucket":"backup","save_prefix":"aws/","cloud_type":"HEC","crypto_type":"DEFAULT"},
 "description":"nightly","migrate_since":1589267678,
 "enable_metadata_migration":true,"enable_restore":false,"enable_failed_object_recording":false,
 "object_overwrite_mode":"FULL_OVERWRITE","dst_storage_policy":"IA","consistency_check":"crc64",
 "enable_requester_pays":true,"task_priority":"not a field of groups","enable_kms":false,
 "bandwidth_policy":[{"start":"08:00","end":"18:59","max_bandwidth":10485760}],
 "smn_config":{"topic_urn":"urn:smn:lab-b:0123456789abcdef:oms","trigger_conditions":["FAILURE"],"language":"en-us","message_template_name":"mine"}}
`

// The answers of the operations on groups, byte for byte but for indentation (OMS v2, 4.11 to 4.18).
func TestGroupAnswers(t *testing.T) {
	running := group("a1", oms.GroupCreating)
	running.Spec.SMN = &oms.SMNConfig{TopicURN: "urn:smn:lab:p:oms", TriggerConditions: []string{"SUCCESS", "FAILURE"}}
	running.Spec.Bandwidth = []oms.BandwidthWindow{{Start: 8 * 60, End: 18*60 + 59, Limit: 10 << 20}}
	running.Spec.MigrateSince, running.Spec.Dst.CloudType = time.Unix(1589267678, 0), oms.CloudKingsoft
	running.Totals = oms.GroupTotals{
		Tasks: oms.TaskCounts{Waiting: 1, Running: 2, Paused: 3, Failed: 4, Succeeded: 5}, Found: 1000, FoundBytes: 100_000,
		Counters: oms.Counters{Listed: 60, Migrated: 50, Failed: 2, Skipped: 8, ListedBytes: 6000, MigratedBytes: 5000, FailedBytes: 200, SkippedBytes: 800, MovedBytes: 5000},
	}
	running.Gone = oms.GroupTotals{
		Tasks: oms.TaskCounts{Succeeded: 1}, Found: 10, FoundBytes: 20,
		Counters: oms.Counters{Listed: 10, Migrated: 10, ListedBytes: 20, MigratedBytes: 20, MovedBytes: 20},
	}
	running.Open, running.OpenBytes, running.Speed, running.RunFor = 7, 70, 500, time.Second
	failed := running
	failed.ID, failed.Status, failed.Open, failed.OpenBytes = "a2", oms.GroupFailed, 0, 0
	failed.Error = &oms.ErrorReason{Code: "TRF.0004", Message: "Some tasks of the group failed."}
	failed.FailedList = oms.FailedList{Result: yes(), Key: "oms/task_group/a2/failed_object_lists/"}
	failed.Spec.Dst.CloudType = oms.CloudHEC
	failed.NoticeCode = new("")
	waiting := group("a3", oms.GroupWaiting)
	waiting.StartedAt, waiting.Error = time.Time{}, failed.Error // of an earlier run: not shown
	paused := group("a4", oms.GroupPaused)

	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"create", "POST", groupBase, createGroup, 200},
		{"list", "GET", groupBase, "", 200},
		{"list_waiting", "GET", groupBase + "?status=0&limit=1&offset=0", "", 200},
		{"list_end", "GET", groupBase + "?offset=2147483647", "", 200},
		{"list_bad_status", "GET", groupBase + "?status=10", "", 400},
		{"show_creating", "GET", groupBase + "/a1", "", 200},
		{"show_failed", "GET", groupBase + "/a2", "", 200},
		{"show_unknown", "GET", groupBase + "/" + newGroupID, "", 404},
		{"delete", "DELETE", groupBase + "/a2", "", 200},
		{"delete_creating", "DELETE", groupBase + "/a1", "", 400},
		{"start", "PUT", groupBase + "/a4/start", start, 200},
		{"start_waiting", "PUT", groupBase + "/a3/start", start, 400},
		{"stop", "PUT", groupBase + "/a1/stop", "", 200},
		{"stop_waiting", "PUT", groupBase + "/a3/stop", "", 400},
		{"retry", "PUT", groupBase + "/a2/retry", start, 200},
		{"retry_creating", "PUT", groupBase + "/a1/retry", start, 400},
		{"update", "PUT", groupBase + "/a1/update", `{"bandwidth_policy":[]}`, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			h.groups.groups = newFakeGroups(running, failed, waiting, paused).groups
			w := h.do(tt.method, tt.path, tt.body)
			checkAnswer(t, w)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			golden(t, "group_"+tt.name+".txt", append([]byte(strconv.Itoa(w.Code)+"\n"), indented(t, w.Body.Bytes())...))
		})
	}
}

// What CreateTaskGroup stores.
func TestCreateGroupStores(t *testing.T) {
	h := newHarness(newFakeTasks())
	if w := h.do("POST", groupBase, createGroup); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := oms.TaskSpec{
		Type: oms.TypePrefix,
		Src: oms.SourceNode{
			CloudType: oms.CloudHuawei, Region: "lab-a", Bucket: "photos", Keys: []string{"hw/"},
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "lab-a", PathStyle: true, Trusted: true},
		},
		Dst: oms.DestinationNode{
			CloudType: oms.CloudHEC, Region: "lab-b", Bucket: "backup", SavePrefix: "aws/",
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9001", Region: "lab-b", PathStyle: true, Trusted: true},
		},
		Description: "nightly", MigrateSince: time.Unix(1589267678, 0).UTC(),
		Bandwidth: []oms.BandwidthWindow{{Start: 480, End: 1139, Limit: 10 << 20}},
		SMN: &oms.SMNConfig{
			TopicURN: "urn:smn:lab-b:0123456789abcdef:oms", TriggerConditions: []string{"FAILURE"}, Language: "en-us", TemplateName: "mine",
		},
		RecordObjects: true, MigrateMetadata: true, RequesterPays: true, Overwrite: oms.FullOverwrite, StoragePolicy: oms.StorageIA, StorageClassSent: true,
		Consistency: oms.CheckCRC64, Priority: oms.PriorityMedium,
	}
	got := h.groups.groups[newGroupID]
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	keys := h.groups.keys
	if got.ProjectID != project || keys.Src.AccessKey != "src-ak" || keys.Dst.SecretKey.Reveal() != "dst-sk" {
		t.Errorf("group of %s, keys of %s", got.ProjectID, keys.Src.AccessKey)
	}
	if e := h.audit.entries; len(e) != 1 || e[0].Action != "CreateTaskGroup" || e[0].Object != newGroupID || e[0].Result != "ok" {
		t.Errorf("audit %+v", e)
	}
}

// Defaults and spellings that CreateTaskGroup accepts (OMS v2, 3.9; 8, row 25).
func TestCreateGroupAccepts(t *testing.T) {
	tests := []struct {
		path, value string
		ok          func(oms.TaskSpec) bool
	}{
		{"task_type", "", func(s oms.TaskSpec) bool { return s.Type == oms.TypePrefix }},
		{"src_node.cloud_type", `"HuaweiCloud"`, func(s oms.TaskSpec) bool { return s.Src.CloudType == oms.CloudHuawei }},
		{"src_node.cloud_type", `"KINGSOFTCLOUD"`, func(s oms.TaskSpec) bool { return s.Src.CloudType == oms.CloudKingsoft }},
		{"src_node.cloud_type", `"ALIYUN"`, func(s oms.TaskSpec) bool { return s.Src.CloudType == oms.CloudAliyun }},
		{"src_node.cloud_type", "", func(s oms.TaskSpec) bool { return s.Src.CloudType == oms.CloudAliyun }},
		{"dst_node.cloud_type", "", func(s oms.TaskSpec) bool { return s.Dst.CloudType == oms.CloudHEC }},
		{"dst_node.cloud_type", `"AWS"`, func(s oms.TaskSpec) bool { return s.Dst.CloudType == oms.CloudAWS }},
		{"src_node.object_key", `[""]`, func(s oms.TaskSpec) bool { return cmp.Equal(s.Src.Keys, []string{""}) }},
		{"enable_failed_object_recording", "", func(s oms.TaskSpec) bool { return s.RecordFailures }},
		{"object_overwrite_mode", "", func(s oms.TaskSpec) bool { return s.Overwrite == oms.OverwriteIfDifferent }},
		{"dst_storage_policy", "", func(s oms.TaskSpec) bool { return s.StoragePolicy == oms.StorageStandard && !s.StorageClassSent }},
		{"consistency_check", "", func(s oms.TaskSpec) bool { return s.Consistency == oms.CheckSizeModified }},
		{"migrate_since", "", func(s oms.TaskSpec) bool { return s.MigrateSince.IsZero() }},
		{"smn_config", "null", func(s oms.TaskSpec) bool { return s.SMN == nil }},
		{"bandwidth_policy", "", func(s oms.TaskSpec) bool { return len(s.Bandwidth) == 0 }},
		{"slice", `{"after":"YQ=="}`, func(s oms.TaskSpec) bool { return s.Slice == nil }}, // what only the split may set
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.value, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			if w := h.do("POST", groupBase, edit(t, createGroup, tt.path, tt.value)); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if spec := h.groups.groups[newGroupID].Spec; !tt.ok(spec) {
				t.Errorf("stored %+v", spec)
			}
		})
	}
}

// Groups over list files, one file or a folder (OMS v2, 3.2).
func TestCreateGroupOfLists(t *testing.T) {
	for kind, node := range map[string]string{
		"LIST":     `{"cloud_type":"AWS","region":"lab-a","ak":"a","sk":"b","bucket":"photos","list_file":{"list_file_key":"lists/","obs_bucket":"lists","list_file_num":"2"}}`,
		"URL_LIST": `{"cloud_type":"URLSOURCE","list_file":{"list_file_key":"lists/u.txt","obs_bucket":"lists"}}`,
	} {
		h := newHarness(newFakeTasks())
		w := h.do("POST", groupBase, edit(t, edit(t, createGroup, "task_type", `"`+kind+`"`), "src_node", node))
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
			continue
		}
		g := h.groups.groups[newGroupID]
		if strings.ToUpper(string(g.Spec.Type)) != kind || g.Spec.Src.ListFile == nil || g.Spec.Src.ListFile.Bucket != "lists" {
			t.Errorf("%s: stored %+v", kind, g.Spec)
		}
		g.ProjectID = project
		if body := h.do("GET", groupBase+"/"+newGroupID, "").Body.String(); !strings.Contains(body, `"task_type":"`+kind+`"`) {
			t.Errorf("%s shows %s", kind, body)
		}
	}
}

// The constraints of CreateTaskGroup where they are those of groups; the others are those of CreateTask. Nothing is
// stored.
func TestCreateGroupRefusals(t *testing.T) {
	tests := []struct{ path, value, want string }{
		{"task_type", `"prefix"`, "OMS.1003"},
		{"task_type", `"object"`, "OMS.1003"},
		{"task_type", `"OBJECT"`, "OMS.1003"},
		{"src_node", "null", "OMS.1004"},
		{"dst_node", "", "OMS.1004"},
		{"src_node.cloud_type", `"huaweicloud"`, "OMS.1003"},
		{"src_node.cloud_type", `"HEC"`, "OMS.1003"},
		{"src_node.cloud_type", `"URLSOURCE"`, "OMS.0057"},
		{"src_node.cloud_type", `"TENCENT"`, "OMS.0057"}, // without app_id
		{"dst_node.cloud_type", `"URLSOURCE"`, "OMS.1003"},
		{"src_node.region", `"nowhere"`, "OMS.0079"},
		{"dst_node.region", `"nowhere"`, "OMS.0080"},
		{"src_node.object_key", "[]", "OMS.1004"},
		{"src_node.object_key", "null", "OMS.1004"},
		{"src_node.list_file", `{"list_file_key":"a.txt","obs_bucket":"lists"}`, "OMS.0061"},
		{"src_node.ak", "", "OMS.1004"},
		{"src_node.sk", quoted(101), "OMS.1003"},
		{"dst_node.ak", "", "OMS.1004"},
		{"dst_node.sk", `""`, "OMS.1003"},
		{"dst_node.crypto_type", `"KMS"`, "OMS.1003"},
		{"description", `"a<b"`, "OMS.0078"},
		{"description", quoted(256), "OMS.1003"},
		{"migrate_since", "-1", "OMS.1003"},
		{"bandwidth_policy", `[{"start":"08:00","end":"07:00","max_bandwidth":1048576}]`, "OMS.0087"},
		{"bandwidth_policy", `[{"start":"08:00","end":"09:00","max_bandwidth":1}]`, "OMS.0084"},
		{"object_overwrite_mode", `"SOMETIMES"`, "OMS.1003"},
		{"dst_storage_policy", `"COLD"`, "OMS.1003"},
		{"consistency_check", `"transmission"`, "OMS.1003"},
		{"smn_config.topic_urn", `"urn"`, "OMS.0169"},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.value, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			w := h.do("POST", groupBase, edit(t, createGroup, tt.path, tt.value))
			if got := code(t, w); got != tt.want || w.Code != http.StatusBadRequest {
				t.Errorf("%d %s, want 400 %s: %s", w.Code, got, tt.want, w.Body)
			}
			if h.groups.changes != 0 {
				t.Error("a group was stored")
			}
		})
	}
}

// Members of another type are refused with OMS.1010 that names them, for every request type of groups.
func TestGroupMistypedMembers(t *testing.T) {
	tests := []struct {
		method, path, body string
		request            any
	}{
		{"POST", groupBase, edit(t, createGroup, "source_cdn", `{"domain":"d","protocol":"http","authentication_type":"NONE"}`), omsv2.CreateTaskGroupRequest{}},
		{"PUT", groupBase + "/7/start", start, omsv2.StartTaskGroupRequest{}},
		{"PUT", groupBase + "/7/retry", start, omsv2.RetryTaskGroupRequest{}},
		{"PUT", groupBase + "/7/update", `{"bandwidth_policy":[]}`, omsv2.UpdateBandwidthPolicyRequest{}},
	}
	for _, tt := range tests {
		for name, body := range map[string]string{"": "OMS.0067", "[]": "OMS.1010"} {
			if w := newHarness(newFakeTasks()).do(tt.method, tt.path, name); code(t, w) != body {
				t.Errorf("%s %s with %q: %s, want %s", tt.method, tt.path, name, w.Body, body)
			}
		}
	}
}

// Every operation in every state (OMS v2, 5.3).
func TestGroupStates(t *testing.T) {
	operations := []struct {
		name, method, path, body string
		want                     [10]string // by state; "" is accepted
	}{
		{"start", "PUT", "/start", start, [10]string{"OMS.1039", "OMS.1039", "OMS.1039", "", "OMS.1039", "OMS.1039", "OMS.1039", "OMS.1039", "OMS.1036", "OMS.1036"}},
		{"stop", "PUT", "/stop", "", [10]string{"OMS.1038", "", "", "OMS.1038", "OMS.1038", "OMS.1038", "OMS.1038", "OMS.1038", "OMS.1036", "OMS.1036"}},
		{"retry", "PUT", "/retry", start, [10]string{"OMS.1040", "OMS.1040", "OMS.1040", "OMS.1040", "", "", "OMS.1040", "OMS.1040", "OMS.1036", "OMS.1036"}},
		{"update", "PUT", "/update", `{"bandwidth_policy":[]}`, [10]string{"", "", "", "", "", "", "OMS.1036", "", "OMS.1036", "OMS.1036"}},
		{"delete", "DELETE", "", "", [10]string{"", "OMS.0063", "OMS.0063", "", "", "", "", "OMS.0063", "", ""}},
		{"show", "GET", "", "", [10]string{}},
	}
	for _, op := range operations {
		for _, status := range oms.GroupStatuses() {
			h := newHarness(newFakeTasks())
			h.groups.groups = newFakeGroups(group("g", status)).groups
			w := h.do(op.method, groupBase+"/g"+op.path, op.body)
			want, wantStatus := op.want[status], http.StatusOK
			if want != "" {
				wantStatus = http.StatusBadRequest
			}
			if got := code(t, w); got != want || w.Code != wantStatus {
				t.Errorf("%s in %s: %d %q, want %d %q", op.name, status, w.Code, got, wantStatus, want)
			}
			if want == "" && op.name != "show" && w.Body.Len() != 0 {
				t.Errorf("%s in %s answers %s, want an empty body", op.name, status, w.Body)
			}
		}
	}
}

// Keys of start and retry (OMS v2, 4.15 and 4.17): start needs the destination's, retry none, pairs belong together.
func TestGroupKeys(t *testing.T) {
	tests := []struct{ operation, path, value, want string }{
		{"start", "dst_ak", "", "OMS.1004"},
		{"start", "dst_sk", "null", "OMS.1004"},
		{"start", "dst_ak", `""`, "OMS.1003"},
		{"start", "dst_sk", quoted(101), "OMS.1003"},
		{"start", "src_ak", quoted(101), "OMS.1003"},
		{"start", "src_sk", "", "OMS.1004"},
		{"start", "src_crypto_type", `"KMS"`, "OMS.1003"},
		{"start", "connection_string", `"x"`, "OMS.1003"},
		{"start", "migrate_failed_object", "1", ""}, // not a field of start
		{"retry", "dst_ak", "", "OMS.1004"},
		{"retry", "src_ak", "1", "OMS.1010"},
		{"retry", "migrate_failed_object", "1", "OMS.1010"},
		{"retry", "migrate_failed_object", "true", ""},
		{"retry", "json_auth_file", `"x"`, "OMS.1003"},
	}
	for _, tt := range tests {
		h := newHarness(newFakeTasks())
		status := map[string]oms.GroupStatus{"start": oms.GroupPaused, "retry": oms.GroupFailed}[tt.operation]
		h.groups.groups = newFakeGroups(group("g", status)).groups
		w := h.do("PUT", groupBase+"/g/"+tt.operation, edit(t, start, tt.path, tt.value))
		if got := code(t, w); got != tt.want {
			t.Errorf("%s with %s = %s: %q, want %q: %s", tt.operation, tt.path, tt.value, got, tt.want, w.Body)
		}
	}
	h := newHarness(newFakeTasks())
	h.groups.groups = newFakeGroups(group("g", oms.GroupFailed)).groups
	if w := h.do("PUT", groupBase+"/g/retry", "{}"); w.Code != http.StatusOK || !h.groups.keys.Dst.IsZero() || h.groups.event.Restart != oms.RestartAll {
		t.Errorf("retry without members: %d %s, %+v", w.Code, w.Body, h.groups.event)
	}
}

// An id that no group can have is unknown, and clients wait for status 404 (OMS v2, 4.13).
func TestGroupIDs(t *testing.T) {
	h := newHarness(newFakeTasks())
	for _, id := range []string{"x", "%FF", "a%00b", "7%20", strings.Repeat("x", 1025), strings.Repeat("x", 1024)} {
		w := h.do("GET", groupBase+"/"+id, "")
		if got := code(t, w); w.Code != http.StatusNotFound || got != "OMS.1009" {
			t.Errorf("group %.20q: %d %s", id, w.Code, got)
		}
	}
}

func FuzzCreateTaskGroup(f *testing.F) {
	addBodies(f, createGroup, `{"src_node":{"cloud_type":"AWS","region":"lab-a","ak":"a","sk":"b","bucket":"src","object_key":[""]},"dst_node":{"region":"lab-b","ak":"c","sk":"d","bucket":"dst"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(newFakeTasks())
		if fuzzed(t, h, "POST", groupBase, body).Code != http.StatusOK {
			if h.groups.changes != 0 {
				t.Error("a refused group was stored")
			}
			return
		}
		spec := h.groups.groups[newGroupID].Spec
		if spec.Slice != nil || len(spec.Src.Keys) == 0 || spec.Src.Endpoint.URL == "" || spec.Dst.Endpoint.URL == "" {
			t.Errorf("incomplete or forged group %+v", spec)
		}
	})
}

// groupDocs describes the operations on groups.
func groupDocs() map[string]operationDoc {
	return map[string]operationDoc{
		"ListTaskGroup": {
			summary: "Lists task groups, newest first.", response: omsv2.ListTaskGroupsResponse{},
			query: []parameter{
				{"limit", "Page size.", number(1, 100, 10)},
				{"offset", "Index of the first group.", number(0, 2147483647, 0)},
				{"status", "Only groups in this state.", map[string]any{"type": "integer", "minimum": 0, "maximum": 9}},
			},
		},
		"CreateTaskGroup": {
			summary: "Creates a task group; its tasks are created and started in the background.",
			request: omsv2.CreateTaskGroupRequest{}, response: omsv2.CreateTaskGroupResponse{},
		},
		"ShowTaskGroup":   {summary: "Shows a task group.", response: omsv2.TaskGroup{}},
		"DeleteTaskGroup": {summary: "Deletes a task group that is not active, with its tasks."},
		"StartTaskGroup":  {summary: "Lets a paused task group go on.", request: omsv2.StartTaskGroupRequest{}},
		"StopTaskGroup":   {summary: "Pauses a task group that creates or runs tasks."},
		"RetryTaskGroup":  {summary: "Runs a failed task group again.", request: omsv2.RetryTaskGroupRequest{}},
		"UpdateTaskGroup": {summary: "Replaces the traffic limits of a task group and of its tasks.", request: omsv2.UpdateBandwidthPolicyRequest{}},
	}
}
