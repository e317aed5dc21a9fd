package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

const base = "/v2/" + project + "/tasks"

// create is a body of CreateTask with all that this version supports.
const create = `{"task_type":"object",
 "src_node":{"cloud_type":"AWS","region":"lab-a","ak":"src-ak","sk":"src-sk","security_token":"src-token","bucket":"photos","object_key":["2024/","a.jpg"],"crypto_type":"DEFAULT","app_id":"","list_file":null},
 "dst_node":{"region":"lab-b","ak":"dst-ak","sk":"dst-sk","security_token":"dst-token","bucket":"backup","save_prefix":"aws/","cloud_type":"HEC","crypto_type":"DEFAULT"},
 "description":"nightly","migrate_since":1589267678,
 "enable_metadata_migration":true,"enable_restore":false,"enable_failed_object_recording":false,
 "object_overwrite_mode":"FULL_OVERWRITE","dst_storage_policy":"IA","consistency_check":"crc64",
 "enable_requester_pays":true,"task_priority":"HIGH","enable_kms":false,"src_cdn_authentication_key":"older field",
 "bandwidth_policy":[{"start":"08:00","end":"18:59","max_bandwidth":10485760}],
 "smn_config":{"topic_urn":"urn:smn:lab-b:0123456789abcdef:oms","trigger_conditions":["FAILURE"],"language":"en-us","message_template_name":"mine"}}
`

const start = `{"src_ak":"src-ak","src_sk":"src-sk","dst_ak":"dst-ak","dst_sk":"dst-sk","migrate_failed_object":false}`

func yes() *bool { v := true; return &v }

// The answers of all operations, byte for byte but for indentation.
func TestAnswers(t *testing.T) {
	running := task(11, oms.StatusRunning)
	running.Spec.SMN = &oms.SMNConfig{TopicURN: "urn:smn:lab:p:oms", TriggerConditions: []string{"SUCCESS", "FAILURE"}}
	running.Counters = oms.Counters{
		Listed: 60, Migrated: 50, Failed: 2, Skipped: 8,
		ListedBytes: 6000, MigratedBytes: 5000, FailedBytes: 200, SkippedBytes: 800, MovedBytes: 5000,
	}
	running.Found, running.FoundBytes, running.Speed, running.RunFor = 100, 10_000, 500, time.Second
	running.Spec.Bandwidth = []oms.BandwidthWindow{{Start: 8 * 60, End: 18*60 + 59, Limit: 10 << 20}}
	running.Spec.MigrateSince = time.Unix(1589267678, 0)
	failed := task(12, oms.StatusFailed)
	failed.Spec.SMN, failed.NoticeCode = running.Spec.SMN, new("OMS.0159")
	failed.Error = &oms.ErrorReason{Code: "TRF.0004", Message: "Some objects failed."}
	failed.FailedList = oms.FailedList{Result: yes(), Key: "oms/task/t/failed_object_lists/1.failed_list.txt"}
	failed.RunFor = 2 * time.Second
	failed.Counters = running.Counters
	waiting := task(13, oms.StatusWaiting)
	waiting.StartedAt = time.Time{}
	waiting.Error = failed.Error // of an earlier run: not shown
	tencent := task(14, oms.StatusPaused)
	tencent.GroupID, tencent.GroupType = "157ece42-3270-4824-a3d2-f0187a03ca01", oms.GroupGroup
	tencent.Spec.Src.CloudType, tencent.Spec.Src.AppID, tencent.Spec.Src.Keys = oms.CloudTencent, "1250000000", nil
	tencent.Spec.Dst.CloudType = oms.CloudAWS

	store := func() *fakeTasks {
		f := newFakeTasks(documented(), running, failed, waiting, tencent)
		f.failures[12] = []oms.Failure{
			{Key: "a <b>&c", Size: 7, Code: oms.FailUpload, Message: "upload broke", At: 1767225600000},
			{Key: "bad\xff\x00/x", Code: oms.FailName, Message: "name\nbreaks", At: 1767225600001},
			{Key: "z", Code: oms.FailGet, Message: "gone", At: 1767225600002},
		}
		return f
	}
	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"list_versions", "GET", "/", "", 200},
		{"show_version", "GET", "/v2", "", 200},
		{"show_version_unknown", "GET", "/v3", "", 404},
		{"create", "POST", base, create, 200},
		{"list", "GET", base + "?limit=2", "", 200},
		{"list_end", "GET", base + "?offset=2000&status=5", "", 200},
		{"list_group", "GET", base + "?group_id=157ece42-3270-4824-a3d2-f0187a03ca01", "", 200},
		{"list_bad_limit", "GET", base + "?limit=0", "", 400},
		{"show_documented", "GET", base + "/200477729979132", "", 200},
		{"show_running", "GET", base + "/11", "", 200},
		{"show_failed", "GET", base + "/12", "", 200},
		{"show_waiting", "GET", base + "/13", "", 200},
		{"show_unknown", "GET", base + "/999", "", 400},
		{"show_bad_id", "GET", base + "/x", "", 400},
		{"delete", "DELETE", base + "/12", "", 200},
		{"delete_running", "DELETE", base + "/11", "", 400},
		{"start", "POST", base + "/12/start", start, 200},
		{"start_failed_only", "POST", base + "/12/start", strings.Replace(start, "false", "true", 1) + "\n", 200},
		{"start_running", "POST", base + "/11/start", start, 400},
		{"stop", "POST", base + "/11/stop", "", 200},
		{"stop_waiting", "POST", base + "/13/stop", "", 400},
		{"bandwidth", "PUT", base + "/11/bandwidth-policy", `{"bandwidth_policy":[]}`, 200},
		{"batch", "POST", base + "/batch-update", `{"ids":[11,12],"bandwidth_policy":[]}`, 200},
		{"batch_priority_running", "POST", base + "/batch-update", `{"ids":[11],"bandwidth_policy":[],"task_priority":"LOW"}`, 400},
		{"failures", "GET", "/ext/v1/" + project + "/tasks/12/failures", "", 200},
		{"failures_first", "GET", "/ext/v1/" + project + "/tasks/12/failures?limit=2", "", 200},
		{"failures_next", "GET", "/ext/v1/" + project + "/tasks/12/failures?limit=2&after=bad%25FF%2500%252Fx", "", 200},
		{"failures_chosen", "GET", "/ext/v1/" + project + "/tasks/12/failures?code=GET_SRC_OBJ_FAILURE,INVALID_OBJ_NAME&prefix=z", "", 200},
		{"failures_causes", "GET", "/ext/v1/" + project + "/tasks/12/failures?group_by=code", "", 200},
		{"retry", "POST", "/ext/v1/" + project + "/tasks/12/retry", start, 200},
		{"retry_running", "POST", "/ext/v1/" + project + "/tasks/11/retry", start, 400},
		{"not_found", "GET", "/v2/" + project + "/nothing", "", 404},
		{"wrong_method", "PATCH", base, "", 405},
		{"healthz", "GET", "/healthz", "", 200},
		{"readyz", "GET", "/readyz", "", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newHarness(store()).do(tt.method, tt.path, tt.body)
			checkAnswer(t, w)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			got := append([]byte(strconv.Itoa(w.Code)+"\n"), indented(t, w.Body.Bytes())...)
			golden(t, tt.name+".txt", got)
		})
	}
}

// The example of the contract, OMS v2, 4.5, as a client reads it.
func TestShowTaskExample(t *testing.T) {
	const example = `{"id":200477729979132,"name":"a-test-1-api-1589267678","status":5,"task_type":"object","group_id":"","group_type":"NORMAL_TASK",
 "description":"","progress":1.0,"is_query_over":true,"total_num":2,"successful_num":2,"failed_num":0,"skipped_num":0,
 "total_size":2223728,"complete_size":2223728,"real_size":2223728,"migrate_speed":71477,
 "start_time":1589267678170,"total_time":31111,"left_time":0,"migrate_since":0,"bandwidth_policy":[],
 "enable_failed_object_recording":true,"enable_metadata_migration":false,"enable_restore":false,"enable_requester_pays":false,"enable_kms":false,
 "src_node":{"bucket":"a-test-1","cloud_type":"HuaweiCloud","region":"cn-north-7","app_id":"","object_key":["01.png","list.txt"],"list_file":null},
 "dst_node":{"bucket":"api-test","region":"cn-north-7","save_prefix":""},
 "error_reason":null,"failed_object_record":{"result":null,"list_file_key":null,"error_code":null},
 "smn_info":null,"source_cdn":null,"success_record_error_reason":"","skip_record_error_reason":"",
 "object_overwrite_mode":"SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE","dst_storage_policy":"STANDARD","consistency_check":"size_last_modified",
 "obs_system":"BUCKET","task_priority":"MEDIUM"}`
	w := newHarness(newFakeTasks(documented())).do("GET", base+"/200477729979132", "")
	var got, want any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(example), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ShowTask differs from the example (-want +got):\n%s", diff)
	}
}

func TestCreateTask(t *testing.T) {
	h := newHarness(newFakeTasks())
	if w := h.do("POST", base, create); w.Code != http.StatusOK {
		t.Fatalf("create: %d %s", w.Code, w.Body)
	}
	want := oms.TaskSpec{
		Type: oms.TypeObject,
		Src: oms.SourceNode{
			CloudType: oms.CloudAWS, Region: "lab-a", Bucket: "photos", Keys: []string{"2024/", "a.jpg"},
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "lab-a", PathStyle: true, Trusted: true},
		},
		Dst: oms.DestinationNode{
			CloudType: oms.CloudHEC, Region: "lab-b", Bucket: "backup", SavePrefix: "aws/",
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9001", Region: "lab-b", PathStyle: true, Trusted: true},
		},
		Description: "nightly", MigrateSince: time.Unix(1589267678, 0).UTC(),
		Bandwidth:     []oms.BandwidthWindow{{Start: 480, End: 1139, Limit: 10485760}},
		SMN:           &oms.SMNConfig{TopicURN: "urn:smn:lab-b:0123456789abcdef:oms", TriggerConditions: []string{"FAILURE"}, Language: "en-us", TemplateName: "mine"},
		RecordObjects: true, MigrateMetadata: true, RequesterPays: true, Overwrite: oms.FullOverwrite, StoragePolicy: oms.StorageIA, StorageClassSent: true,
		Consistency: oms.CheckCRC64, Priority: oms.PriorityHigh,
	}
	got := h.tasks.tasks[200429548242937]
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got.ProjectID != project || got.GroupType != oms.GroupNormal {
		t.Errorf("project %q, group type %q", got.ProjectID, got.GroupType)
	}
	wantKeys := [6]string{"src-ak", "src-sk", "src-token", "dst-ak", "dst-sk", "dst-token"}
	k := h.tasks.keys
	gotKeys := [6]string{
		k.Src.AccessKey, k.Src.SecretKey.Reveal(), k.Src.SecurityToken.Reveal(),
		k.Dst.AccessKey, k.Dst.SecretKey.Reveal(), k.Dst.SecurityToken.Reveal(),
	}
	if gotKeys != wantKeys {
		t.Errorf("keys = %q, want %q", gotKeys, wantKeys)
	}
}

// The least that is accepted, and the defaults of OMS v2, 4.4.
func TestCreateTaskDefaults(t *testing.T) {
	h := newHarness(newFakeTasks())
	body := `{"src_node":{"region":"lab-a","ak":"a","sk":"b","bucket":"src","object_key":[""]},
		"dst_node":{"region":"lab-b","ak":"c","sk":"d","bucket":"dst"},"task_type":null,"source_cdn":null,"smn_config":null}`
	if w := h.do("POST", base, body); w.Code != http.StatusOK {
		t.Fatalf("create: %d %s", w.Code, w.Body)
	}
	got := h.tasks.tasks[200429548242937].Spec
	want := oms.TaskSpec{
		Type: oms.TypeObject, Src: got.Src, Dst: got.Dst, RecordFailures: true, RecordObjects: true, Bandwidth: []oms.BandwidthWindow{},
		Overwrite: oms.OverwriteIfDifferent, StoragePolicy: oms.StorageStandard,
		Consistency: oms.CheckSizeModified, Priority: oms.PriorityMedium,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if got.Src.CloudType != oms.CloudAliyun || got.Dst.CloudType != oms.CloudHEC {
		t.Errorf("cloud types %q, %q", got.Src.CloudType, got.Dst.CloudType)
	}
}

// OMS v2, 5.2: what is allowed in which state. A refusal changes nothing.
func TestStateRules(t *testing.T) {
	ops := []struct {
		name, method, path, body string
		codes                    map[oms.Status]string
	}{
		{"start", "POST", base + "/7/start", start, map[oms.Status]string{
			1: "OMS.0065", 2: "OMS.0065", 3: "", 4: "", 5: "OMS.0070", 6: "OMS.0065", 7: "OMS.0065",
		}},
		{"stop", "POST", base + "/7/stop", "", map[oms.Status]string{
			1: "OMS.0066", 2: "", 3: "OMS.0066", 4: "OMS.0066", 5: "OMS.0070", 6: "", 7: "OMS.0066",
		}},
		{"delete", "DELETE", base + "/7", "", map[oms.Status]string{
			1: "", 2: "OMS.0063", 3: "", 4: "", 5: "", 6: "OMS.0063", 7: "OMS.0063",
		}},
		{"bandwidth", "PUT", base + "/7/bandwidth-policy", `{"bandwidth_policy":[]}`, map[oms.Status]string{
			1: "", 2: "", 3: "", 4: "", 5: "OMS.0086", 6: "", 7: "",
		}},
		{"priority", "POST", base + "/batch-update", `{"ids":[7],"bandwidth_policy":[],"task_priority":"LOW"}`, map[oms.Status]string{
			1: "", 2: "OMS.1003", 3: "", 4: "", 5: "OMS.0086", 6: "OMS.1003", 7: "OMS.1003",
		}},
		{"show", "GET", base + "/7", "", map[oms.Status]string{1: "", 2: "", 3: "", 4: "", 5: "", 6: "", 7: ""}},
		{"retry failed only without list", "POST", base + "/7/start", strings.Replace(start, "false", "true", 1), map[oms.Status]string{
			3: "OMS.0167", 4: "OMS.0167",
		}},
	}
	for _, op := range ops {
		for status, want := range op.codes {
			t.Run(op.name+" "+status.String(), func(t *testing.T) {
				h := newHarness(newFakeTasks(task(7, status)))
				w := h.do(op.method, op.path, op.body)
				if got := code(t, w); got != want {
					t.Errorf("code = %q, want %q", got, want)
				}
				if want != "" && (w.Code != http.StatusBadRequest || h.tasks.changes != 0) {
					t.Errorf("status %d, %d changes, want 400 and none", w.Code, h.tasks.changes)
				}
				if want == "" && op.method != "GET" && w.Body.Len() != 0 {
					t.Errorf("body = %q, want none", w.Body)
				}
			})
		}
	}
}

// A client polls after start and stop: no answer may still show the old state (OMS v2, trap 11).
func TestStateShownAtOnce(t *testing.T) {
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused), task(8, oms.StatusRunning)))
	h.do("POST", base+"/7/start", start)
	h.do("POST", base+"/8/stop", "")
	for id, want := range map[string]float64{"7": 1, "8": 7} {
		var got map[string]any
		if err := json.Unmarshal(h.do("GET", base+"/"+id, "").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got["status"] != want {
			t.Errorf("task %s shows %v, want %v", id, got["status"], want)
		}
	}
}

func TestListFilter(t *testing.T) {
	tests := []struct {
		query string
		want  oms.TaskFilter
	}{
		{"", oms.TaskFilter{ProjectID: project, Limit: 10}},
		{"?limit=100&offset=2147483647&status=7&task_name=a%20b%2F%E4%B8%AD&group_id=g&unknown=1", oms.TaskFilter{
			ProjectID: project, Limit: 100, Offset: 2147483647, Status: 7, Name: "a b/中", GroupID: "g",
		}},
		{"?status=6&task_name=", oms.TaskFilter{ProjectID: project, Limit: 10, Status: 6}},
	}
	for _, tt := range tests {
		h := newHarness(newFakeTasks())
		if got := code(t, h.do("GET", base+tt.query, "")); got != "" {
			t.Errorf("%q: code %q", tt.query, got)
		}
		if diff := cmp.Diff(tt.want, h.tasks.filter); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.query, diff)
		}
	}
}
