package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

const syncBase = "/v2/" + project + "/sync-tasks"

// createSync is a body of CreateSyncTask with all that this version supports.
const createSync = `{"src_cloud_type":"AWS","src_region":"lab-a","src_bucket":"photos","src_ak":"src-ak","src_sk":"src-sk",
 "dst_ak":"dst-ak","dst_sk":"dst-sk","dst_region":"lab-b","dst_bucket":"backup","description":"nightly",
 "enable_metadata_migration":true,"enable_restore":false,"dst_storage_policy":"IA","app_id":"","source_cdn":null,
 "consistency_check":"transmission","src_crypto_type":"DEFAULT","dst_crypto_type":"DEFAULT","object_overwrite_mode":"unknown here"}
`

const startSync = `{"src_ak":"src-ak","src_sk":"src-sk","dst_ak":"dst-ak","dst_sk":"dst-sk"}`

// syncDocs describes the operations on synchronization tasks.
func syncDocs() map[string]operationDoc {
	text := func(most int) map[string]any {
		return map[string]any{"type": "string", "minLength": 1, "maxLength": most}
	}
	millis := map[string]any{"type": "integer", "format": "int64", "minimum": 0}
	return map[string]operationDoc{
		"ListSyncTasks": {
			summary: "Lists synchronization tasks, newest first.", response: omsv2.ListSyncTasksResponse{},
			query: []parameter{
				{"limit", "Page size.", number(1, 100, 10)},
				{"offset", "Index of the first task.", number(0, 10000, 0)},
				{"status", "Only tasks in this state: SYNCHRONIZING or STOPPED.", map[string]any{"type": "string"}},
			},
		},
		"CreateSyncTask": {
			summary: "Creates a synchronization task and starts it.",
			request: omsv2.CreateSyncTaskRequest{}, response: omsv2.CreateSyncTaskResponse{},
		},
		"ShowSyncTask": {
			summary: "Shows a synchronization task with the counts of one month.", response: omsv2.ShowSyncTaskResponse{},
			query: []parameter{{"query_time", "Unix milliseconds; the calendar month, in UTC, that it lies in is counted. Mandatory.", millis}},
		},
		"DeleteSyncTask":   {summary: "Deletes a synchronization task that is stopped."},
		"StartSyncTask":    {summary: "Lets a stopped synchronization task go on.", request: omsv2.StartSyncTaskRequest{}},
		"StopSyncTask":     {summary: "Stops a synchronization task; what it has accepted is kept."},
		"CreateSyncEvents": {summary: "Asks to synchronize named objects.", request: omsv2.CreateSyncEventsRequest{}},
		"ListSyncTaskStatistic": {
			summary: "Shows what a synchronization task has counted.", response: omsv2.SyncTaskStatistic{},
			query: []parameter{
				{"data_type", "REQUEST, SUCCESS, FAILURE, SKIP, SIZE, or several with commas between them. Mandatory.", text(255)},
				{"start_time", "Unix milliseconds. Mandatory.", millis},
				{"end_time", "Unix milliseconds. Mandatory.", millis},
			},
		},
	}
}

// fakeSyncs keeps synchronization tasks in memory and follows the same rules as the engine, through oms.SyncTask.
type fakeSyncs struct {
	mu       sync.Mutex
	tasks    map[string]oms.SyncTask
	counts   oms.SyncCounts
	series   oms.SyncSeries
	keys     oms.TaskCredentials // of the latest create or start
	events   []string
	filter   oms.SyncFilter
	from, to time.Time // of the latest query
	changes  int
	err      error
}

func newFakeSyncs(tasks ...oms.SyncTask) *fakeSyncs {
	f := &fakeSyncs{tasks: map[string]oms.SyncTask{}}
	for _, t := range tasks {
		f.tasks[t.ID] = t
	}
	return f
}

func (f *fakeSyncs) find(project, id string) (oms.SyncTask, error) {
	t, ok := f.tasks[id]
	if !ok || t.ProjectID != project {
		return oms.SyncTask{}, &oms.Error{Op: "find", Key: id, Kind: oms.NotFound, Code: "OMS.1009", Msg: "resource not found"}
	}
	return t, f.err
}

func (f *fakeSyncs) CreateSync(_ context.Context, t oms.SyncTask, keys oms.TaskCredentials) (oms.SyncTask, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.ID, t.Status = "31e9b7e6-6ffb-452f-9842-6ce354d99d75", oms.SyncRunning
	f.tasks[t.ID], f.keys = t, keys
	f.changes++
	return t, f.err
}

func (f *fakeSyncs) ListSyncs(_ context.Context, filter oms.SyncFilter) ([]oms.SyncTask, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	var match []oms.SyncTask
	for _, t := range f.tasks {
		if t.ProjectID == filter.ProjectID && (filter.Status == "" || t.Status == filter.Status) {
			match = append(match, t)
		}
	}
	slices.SortFunc(match, func(a, b oms.SyncTask) int { return strings.Compare(b.ID, a.ID) })
	from := min(filter.Offset, len(match))
	return match[from:min(from+filter.Limit, len(match))], int64(len(match)), f.err
}

func (f *fakeSyncs) ShowSync(_ context.Context, project, id string, at time.Time) (oms.SyncTask, oms.SyncCounts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from = at
	t, err := f.find(project, id)
	return t, f.counts, err
}

func (f *fakeSyncs) change(project, id string, change func(oms.SyncTask) (oms.SyncTask, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(project, id)
	if err == nil {
		t, err = change(t)
	}
	if err == nil {
		f.tasks[id] = t
		f.changes++
	}
	return err
}

func (f *fakeSyncs) StartSync(_ context.Context, project, id string, keys oms.TaskCredentials) error {
	return f.change(project, id, func(t oms.SyncTask) (oms.SyncTask, error) {
		f.keys = keys
		return t.ApplySync(oms.Event{Type: oms.EventStart}, testNow)
	})
}

func (f *fakeSyncs) StopSync(_ context.Context, project, id string) error {
	return f.change(project, id, func(t oms.SyncTask) (oms.SyncTask, error) {
		return t.ApplySync(oms.Event{Type: oms.EventStop}, testNow)
	})
}

func (f *fakeSyncs) DeleteSync(_ context.Context, project, id string) error {
	return f.change(project, id, func(t oms.SyncTask) (oms.SyncTask, error) { return t, t.CheckDelete() })
}

func (f *fakeSyncs) AddSyncEvents(_ context.Context, project, id string, keys []string) error {
	return f.change(project, id, func(t oms.SyncTask) (oms.SyncTask, error) {
		if err := t.CheckEvents(); err != nil {
			return t, err
		}
		f.events = append(f.events, keys...)
		return t, nil
	})
}

func (f *fakeSyncs) SyncStatistics(_ context.Context, project, id string, from, to time.Time) (oms.SyncSeries, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from, f.to = from, to
	_, err := f.find(project, id)
	return f.series, err
}

// syncTask is a task of project in the state.
func syncTask(id string, status oms.SyncStatus) oms.SyncTask {
	return oms.SyncTask{
		ID: id, ProjectID: project, Status: status, Generation: 1,
		Spec: oms.TaskSpec{
			Type:        oms.TypeObject,
			Src:         oms.SourceNode{CloudType: oms.CloudTencent, Region: "lab-a", Bucket: "photos", AppID: "1250000000"},
			Dst:         oms.DestinationNode{CloudType: oms.CloudHEC, Region: "lab-b", Bucket: "backup"},
			Description: "nightly", MigrateMetadata: true, Overwrite: oms.OverwriteIfDifferent, StoragePolicy: oms.StorageStandard,
			Consistency: oms.CheckNone, CDN: &oms.CDN{Domain: "d.example.org", Protocol: "https", AuthenticationType: "TENCENT_COS_A"},
		},
		CreatedAt: testNow.Add(-time.Hour), StartedAt: testNow.Add(-time.Minute),
	}
}

// syncHarness is a handler over the fake.
func syncHarness(f *fakeSyncs, configure ...func(*Options)) *harness {
	return newHarness(newFakeTasks(), append([]func(*Options){func(o *Options) { o.Syncs = f }}, configure...)...)
}

// The answers of all operations, byte for byte but for indentation.
func TestSyncAnswers(t *testing.T) {
	fake := func() *fakeSyncs {
		f := newFakeSyncs(syncTask("b-running", oms.SyncRunning), syncTask("a-stopped", oms.SyncStopped))
		f.counts = oms.SyncCounts{Requests: 10, Successes: 6, Failures: 1, Skips: 2, Bytes: 1 << 40}
		f.series = oms.SyncSeries{Span: oms.SpanFiveMinutes, Points: []oms.SyncStatistic{
			{At: testNow, SyncCounts: f.counts}, {At: testNow.Add(time.Hour), SyncCounts: oms.SyncCounts{Requests: 1}},
		}}
		return f
	}
	const all = "REQUEST%2CSUCCESS%2CFAILURE%2CSKIP%2CSIZE"
	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"list", "GET", "", "", 200},
		{"list_status", "GET", "?status=STOPPED&limit=1&offset=0", "", 200},
		{"list_end", "GET", "?offset=10000", "", 200},
		{"create", "POST", "", createSync, 200},
		{"show", "GET", "/b-running?query_time=1767225600000", "", 200},
		{"show_unknown", "GET", "/x?query_time=0", "", 404},
		{"delete", "DELETE", "/a-stopped", "", 200},
		{"delete_running", "DELETE", "/b-running", "", 400},
		{"start", "POST", "/a-stopped/start", startSync, 200},
		{"start_running", "POST", "/b-running/start", startSync, 400},
		{"stop", "POST", "/b-running/stop", "", 200},
		{"stop_stopped", "POST", "/a-stopped/stop", "", 400},
		{"events", "POST", "/b-running/events", `{"object_keys":["test%2F001.txt","test%2B001.txt"]}` + "\n", 200},
		{"events_stopped", "POST", "/a-stopped/events", `{"object_keys":["a"]}`, 400},
		{"events_unknown", "POST", "/x/events", `{"object_keys":["a"]}`, 404},
		{"statistics", "GET", "/b-running/statistics?start_time=1&end_time=2&data_type=" + all, "", 200},
		{"statistics_one", "GET", "/b-running/statistics?start_time=1&end_time=2&data_type=SIZE", "", 200},
		{"wrong_method", "PUT", "/b-running/stop", "", 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := syncHarness(fake()).do(tt.method, syncBase+tt.path, tt.body)
			checkAnswer(t, w)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			golden(t, "sync_"+tt.name+".txt", append([]byte(strconv.Itoa(w.Code)+"\n"), indented(t, w.Body.Bytes())...))
		})
	}
}

// What CreateSyncTask stores, with all members and with the mandatory ones only (OMS v2, 4.20).
func TestCreateSync(t *testing.T) {
	f := newFakeSyncs()
	if w := syncHarness(f).do("POST", syncBase, createSync); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	want := oms.TaskSpec{
		Type: oms.TypeObject,
		Src: oms.SourceNode{
			CloudType: oms.CloudAWS, Region: "lab-a", Bucket: "photos",
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "lab-a", PathStyle: true, Trusted: true},
		},
		Dst: oms.DestinationNode{
			CloudType: oms.CloudHEC, Region: "lab-b", Bucket: "backup",
			Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9001", Region: "lab-b", PathStyle: true, Trusted: true},
		},
		Description: "nightly", MigrateMetadata: true, RecordFailures: true, Overwrite: oms.OverwriteIfDifferent,
		StoragePolicy: oms.StorageIA, StorageClassSent: true, Consistency: oms.CheckNone, Priority: oms.PriorityMedium,
	}
	got := f.tasks["31e9b7e6-6ffb-452f-9842-6ce354d99d75"]
	if d := cmp.Diff(want, got.Spec); d != "" || got.ProjectID != project {
		t.Errorf("stored (-want +got):\n%s", d)
	}
	if f.keys.Src.AccessKey != "src-ak" || f.keys.Src.SecretKey.Reveal() != "src-sk" || f.keys.Dst.AccessKey != "dst-ak" ||
		f.keys.Dst.SecretKey.Reveal() != "dst-sk" {
		t.Error("keys are not those that were sent")
	}
	least := createSync
	for _, name := range []string{
		"src_cloud_type", "description", "enable_metadata_migration", "enable_restore", "dst_storage_policy", "app_id", "source_cdn",
		"consistency_check", "src_crypto_type", "dst_crypto_type",
	} {
		least = edit(t, least, name, "")
	}
	if w := syncHarness(f).do("POST", syncBase, least); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	want.Src.CloudType, want.Description, want.MigrateMetadata = oms.CloudAliyun, "", false
	want.StoragePolicy, want.StorageClassSent, want.Consistency = oms.StorageStandard, false, oms.CheckSizeModified
	if d := cmp.Diff(want, f.tasks["31e9b7e6-6ffb-452f-9842-6ce354d99d75"].Spec); d != "" {
		t.Errorf("stored without optional members (-want +got):\n%s", d)
	}
	cdn := `{"domain":"d","protocol":"http","authentication_type":"ALIYUN_OSS_A","authentication_key":"cdn-key"}`
	if w := syncHarness(f).do("POST", syncBase, edit(t, createSync, "source_cdn", cdn)); w.Code != http.StatusOK || f.keys.Src.CDNKey.Reveal() != "cdn-key" {
		t.Errorf("with a CDN host: %d %s", w.Code, w.Body)
	}
}

// Every rule of the requests, with its code.
func TestSyncRefusals(t *testing.T) {
	create := func(path, value string) string { return edit(t, createSync, path, value) }
	start := func(path, value string) string { return edit(t, startSync, path, value) }
	statistics := func(query string) string { return "/run/statistics?" + query }
	many := `{"object_keys":["a"` + strings.Repeat(`,"a"`, 100) + `]}`
	tests := []struct{ method, path, body, want string }{
		{"GET", "?limit=0", "", "OMS.1003"},
		{"GET", "?limit=101", "", "OMS.1003"},
		{"GET", "?limit=x", "", "OMS.1010"},
		{"GET", "?limit=100", "", ""},
		{"GET", "?offset=-1", "", "OMS.1003"},
		{"GET", "?offset=10001", "", "OMS.1003"},
		{"GET", "?status=stopped", "", "OMS.1003"},
		{"GET", "?status=5", "", "OMS.1003"},
		{"GET", "?status=" + strings.Repeat("x", 256), "", "OMS.1003"},
		{"GET", "?status=", "", ""},
		{"GET", "?status=SYNCHRONIZING", "", ""},

		{"POST", "", "", "OMS.0067"},
		{"POST", "", "[]", "OMS.1010"},
		{"POST", "", "{}", "OMS.1004"},
		{"POST", "", create("src_region", ""), "OMS.1004"},
		{"POST", "", create("src_region", `""`), "OMS.1003"},
		{"POST", "", create("src_region", quoted(101)), "OMS.1003"},
		{"POST", "", create("src_region", `"nowhere"`), "OMS.0079"},
		{"POST", "", create("dst_region", ""), "OMS.1004"},
		{"POST", "", create("dst_region", quoted(101)), "OMS.1003"},
		{"POST", "", create("dst_region", `"nowhere"`), "OMS.0080"},
		{"POST", "", create("src_bucket", ""), "OMS.1004"},
		{"POST", "", create("src_bucket", `"a/b"`), "OMS.0057"},
		{"POST", "", create("src_bucket", quoted(1025)), "OMS.1003"},
		{"POST", "", create("dst_bucket", "null"), "OMS.1004"},
		{"POST", "", create("dst_bucket", `".."`), "OMS.0058"},
		{"POST", "", create("src_ak", ""), "OMS.1004"},
		{"POST", "", create("src_sk", ""), "OMS.1004"},
		{"POST", "", create("dst_ak", ""), "OMS.1004"},
		{"POST", "", create("dst_sk", ""), "OMS.1004"},
		{"POST", "", create("dst_sk", quoted(101)), "OMS.1003"},
		{"POST", "", create("src_ak", `"a\n"`), "OMS.1003"},
		{"POST", "", create("src_cloud_type", `"aws"`), "OMS.1003"},
		{"POST", "", create("src_cloud_type", `"URLSource"`), "OMS.1003"},
		{"POST", "", create("src_cloud_type", `"Google"`), "OMS.1003"},
		{"POST", "", create("src_cloud_type", `"Azure"`), "OMS.1003"}, // the secret key is no account's
		{"POST", "", create("src_cloud_type", `"UCloud"`), ""},
		{"POST", "", create("src_cloud_type", `"Tencent"`), "OMS.0057"}, // app_id is empty
		{"POST", "", edit(t, create("app_id", ""), "src_cloud_type", `"Tencent"`), "OMS.1004"},
		{"POST", "", edit(t, create("app_id", `"125"`), "src_cloud_type", `"Tencent"`), ""},
		{"POST", "", create("app_id", `"a-b"`), "OMS.0057"},
		{"POST", "", create("description", quoted(256)), "OMS.1003"},
		{"POST", "", create("description", `"a\tb"`), "OMS.1003"},
		{"POST", "", create("description", `"^"`), ""}, // forbidden for tasks only
		{"POST", "", create("enable_restore", "true"), "OMS.1003"},
		{"POST", "", create("dst_storage_policy", `"standard"`), "OMS.1003"},
		{"POST", "", create("consistency_check", `"no_check"`), "OMS.1003"},
		{"POST", "", create("consistency_check", `"crc64"`), ""},
		{"POST", "", create("source_cdn", `{}`), "OMS.1004"},
		{"POST", "", create("source_cdn", `{"domain":"d","protocol":"http","authentication_type":"ALIYUN_OSS_A"}`), "OMS.1032"},
		{"POST", "", create("src_crypto_type", `"KMS"`), "OMS.1003"},
		{"POST", "", create("dst_kms_key_id", `"x"`), "OMS.1003"},

		{"GET", "/run", "", "OMS.1004"},
		{"GET", "/run?query_time=x", "", "OMS.1010"},
		{"GET", "/run?query_time=-1", "", "OMS.1003"},
		{"GET", "/run?query_time=253402300800000", "", "OMS.1003"},
		{"GET", "/" + strings.Repeat("x", 256) + "?query_time=1", "", "OMS.1003"},
		{"GET", "/other?query_time=1", "", "OMS.1009"},

		{"DELETE", "/run", "", "OMS.1036"},
		{"DELETE", "/x", "", "OMS.1009"},
		{"DELETE", "/" + strings.Repeat("x", 256), "", "OMS.1003"},
		{"POST", "/run/stop", "ignored", ""},
		{"POST", "/stop/stop", "", "OMS.1036"},
		{"POST", "/x/stop", "", "OMS.1009"},
		{"POST", "/" + strings.Repeat("x", 256) + "/stop", "", "OMS.1003"},

		{"POST", "/stop/start", "", "OMS.0067"},
		{"POST", "/stop/start", "{}", "OMS.1004"},
		{"POST", "/stop/start", start("src_ak", ""), "OMS.1004"},
		{"POST", "/stop/start", start("src_sk", ""), "OMS.1004"},
		{"POST", "/stop/start", start("dst_ak", ""), "OMS.1004"},
		{"POST", "/stop/start", start("dst_sk", `""`), "OMS.1003"},
		{"POST", "/stop/start", start("dst_sk", quoted(101)), "OMS.1003"},
		{"POST", "/stop/start", start("source_cdn_authentication_key", quoted(256)), "OMS.1003"},
		{"POST", "/stop/start", start("source_cdn_crypto_type", `"KMS"`), "OMS.1003"},
		{"POST", "/stop/start", start("src_kms_key_id", `"x"`), "OMS.1003"},
		{"POST", "/stop/start", startSync, ""},
		{"POST", "/run/start", startSync, "OMS.1036"},
		{"POST", "/x/start", startSync, "OMS.1009"},
		{"POST", "/" + strings.Repeat("x", 256) + "/start", startSync, "OMS.1003"},

		{"POST", "/run/events", "", "OMS.0067"},
		{"POST", "/run/events", "{}", "OMS.1004"},
		{"POST", "/run/events", `{"object_keys":null}`, "OMS.1004"},
		{"POST", "/run/events", `{"object_keys":[]}`, "OMS.1003"},
		{"POST", "/run/events", `{"object_keys":"a"}`, "OMS.1010"},
		{"POST", "/run/events", `{"object_keys":[1]}`, "OMS.1010"},
		{"POST", "/run/events", `{"object_keys":[null]}`, "OMS.1004"},
		{"POST", "/run/events", `{"object_keys":[""]}`, "OMS.1003"},
		{"POST", "/run/events", `{"object_keys":["a%2"]}`, "OMS.1003"},
		{"POST", "/run/events", `{"object_keys":["a%zz"]}`, "OMS.1003"},
		{"POST", "/run/events", `{"object_keys":[` + quoted(16385) + `]}`, "OMS.1003"},
		{"POST", "/run/events", `{"object_keys":[` + quoted(16384) + `]}`, ""},
		{"POST", "/run/events", many, "OMS.1003"},
		{"POST", "/stop/events", `{"object_keys":["a"]}`, "OMS.1036"},
		{"POST", "/x/events", `{"object_keys":["a"]}`, "OMS.1009"},
		{"POST", "/" + strings.Repeat("x", 1024) + "/events", `{"object_keys":["a"]}`, "OMS.1009"},
		{"POST", "/" + strings.Repeat("x", 1025) + "/events", `{"object_keys":["a"]}`, "OMS.1003"},

		{"GET", statistics("start_time=1&end_time=2"), "", "OMS.1004"},
		{"GET", statistics("data_type=SIZE&end_time=2"), "", "OMS.1004"},
		{"GET", statistics("data_type=SIZE&start_time=1"), "", "OMS.1004"},
		{"GET", statistics("data_type=&start_time=1&end_time=2"), "", "OMS.1003"},
		{"GET", statistics("data_type=size&start_time=1&end_time=2"), "", "OMS.1003"},
		{"GET", statistics("data_type=SIZE,&start_time=1&end_time=2"), "", "OMS.1003"},
		{"GET", statistics("data_type=SIZE&start_time=a&end_time=2"), "", "OMS.1010"},
		{"GET", statistics("data_type=SIZE&start_time=3&end_time=2"), "", "OMS.1003"},
		{"GET", statistics("data_type=SIZE,SKIP,SIZE&start_time=2&end_time=2"), "", ""},
		{"GET", "/x/statistics?data_type=SIZE&start_time=1&end_time=2", "", "OMS.1009"},
	}
	for _, c := range `<>()"'&` {
		value, err := json.Marshal("a" + string(c))
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, struct{ method, path, body, want string }{"POST", "", create("description", string(value)), "OMS.0078"})
	}
	for _, tt := range tests {
		f := newFakeSyncs(syncTask("run", oms.SyncRunning), syncTask("stop", oms.SyncStopped))
		foreign := syncTask("other", oms.SyncRunning)
		foreign.ProjectID = other
		f.tasks["other"] = foreign
		w := syncHarness(f).do(tt.method, syncBase+tt.path, tt.body)
		status := http.StatusOK
		switch tt.want {
		case "":
		case "OMS.1009":
			status = http.StatusNotFound
		default:
			status = http.StatusBadRequest
		}
		if got := code(t, w); got != tt.want || w.Code != status {
			t.Errorf("%s %.60s %.80s: %d %s, want %d %s: %s", tt.method, tt.path, tt.body, w.Code, got, status, tt.want, w.Body)
		}
		if tt.want != "" && f.changes != 0 {
			t.Errorf("%s %.60s %.80s: something was stored", tt.method, tt.path, tt.body)
		}
	}
}

// Each member of the request types is read with its type.
func TestSyncMistypedMembers(t *testing.T) {
	full := edit(t, createSync, "source_cdn", `{"domain":"d","protocol":"http","authentication_type":"NONE"}`)
	for _, tt := range []struct {
		path, body string
		request    any
	}{
		{"", full, omsv2.CreateSyncTaskRequest{}},
		{"/stop/start", startSync, omsv2.StartSyncTaskRequest{}},
		{"/run/events", `{"object_keys":["a"]}`, omsv2.CreateSyncEventsRequest{}},
	} {
		for _, m := range members(reflect.TypeOf(tt.request), "") {
			f := newFakeSyncs(syncTask("run", oms.SyncRunning), syncTask("stop", oms.SyncStopped))
			w := syncHarness(f).do("POST", syncBase+tt.path, edit(t, tt.body, m.path, m.mistyped))
			if got := code(t, w); got != "OMS.1010" || !strings.Contains(w.Body.String(), "field "+m.path+" ") || f.changes != 0 {
				t.Errorf("%s = %s: %s, want OMS.1010 that names it", m.path, m.mistyped, w.Body)
			}
		}
	}
}

// Names are decoded once; every byte arrives (rule D3).
func TestSyncEventNames(t *testing.T) {
	f := newFakeSyncs(syncTask("run", oms.SyncRunning))
	names := []string{
		"test%2F001.txt", "test%2B001.txt", "a+b", "a b", "%25", "%2525", "%FF%00", "é", "%C3%A9", "<>&\\u0026", "/", "..", "a%20", "\\n",
	}
	body := `{"object_keys":["` + strings.Join(names, `","`) + `"]}`
	if w := syncHarness(f).do("POST", syncBase+"/run/events", body); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Fatal(w.Code, w.Body)
	}
	want := []string{"test/001.txt", "test+001.txt", "a+b", "a b", "%", "%25", "\xff\x00", "é", "é", "<>&&", "/", "..", "a ", "\n"}
	if d := cmp.Diff(want, f.events); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

// What is asked for reaches the service.
func TestSyncQueries(t *testing.T) {
	f := newFakeSyncs(syncTask("run", oms.SyncRunning))
	h := syncHarness(f)
	h.do("GET", syncBase+"?limit=7&offset=9&status=STOPPED", "")
	if want := (oms.SyncFilter{ProjectID: project, Limit: 7, Offset: 9, Status: oms.SyncStopped}); f.filter != want {
		t.Errorf("filter %+v, want %+v", f.filter, want)
	}
	h.do("GET", syncBase+"/run?query_time=1767225600123", "")
	if want := time.UnixMilli(1767225600123).UTC(); !f.from.Equal(want) {
		t.Errorf("month of %s, want %s", f.from, want)
	}
	h.do("GET", syncBase+"/run/statistics?data_type=SKIP&start_time=1000&end_time=2000", "")
	if f.from.UnixMilli() != 1000 || f.to.UnixMilli() != 2000 {
		t.Errorf("from %s to %s", f.from, f.to)
	}
	f.series.Span = oms.SpanHour
	var got omsv2.SyncTaskStatistic
	w := h.do("GET", syncBase+"/run/statistics?data_type=SKIP,SIZE&start_time=1000&end_time=2000", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.StatisticTimeType != "ONE_HOUR" || len(got.StatisticDatas) != 2 ||
		got.StatisticDatas[0].Data == nil {
		t.Errorf("statistics without points: %s", w.Body)
	}
}

// Too many names that wait: 503 with the contract's code, and when to come back.
func TestSyncBacklog(t *testing.T) {
	f := newFakeSyncs(syncTask("run", oms.SyncRunning))
	f.err = oms.Errorf(oms.Throttled, "OMS.2004", "too many")
	h := syncHarness(f)
	w := h.do("POST", syncBase+"/run/events", `{"object_keys":["a"]}`)
	if got := code(t, w); w.Code != http.StatusServiceUnavailable || got != "OMS.2004" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s, Retry-After %q", w.Code, got, w.Header().Get("Retry-After"))
	}
	if len(h.audit.entries) != 1 || h.audit.entries[0].Result != "503 OMS.2004" || h.audit.entries[0].Object != "run" {
		t.Errorf("audit %+v", h.audit.entries)
	}
}

// Rule S1 for synchronization tasks: nothing of another tenant is shown or changed, and a foreign id answers like an
// unknown one: 404 with OMS.1009.
func TestSyncTenants(t *testing.T) {
	for _, rt := range syncRoutes() {
		f := newFakeSyncs(syncTask("7", oms.SyncRunning))
		h := syncHarness(f)
		path := func(project, id string) string {
			query := "?query_time=1&data_type=SIZE&start_time=1&end_time=2"
			return pathOf(rt, project, id) + query
		}
		w := h.as(other, rt.method, path(project, "7"), bodies[rt.name])
		if got := code(t, w); w.Code != http.StatusForbidden || got != "OMS.0206" {
			t.Errorf("%s in a foreign project: %d %s", rt.name, w.Code, got)
		}
		switch rt.name {
		case "CreateSyncTask":
			continue
		case "ListSyncTasks":
			if body := h.as(other, rt.method, path(other, ""), "").Body.String(); body != `{"tasks":[],"count":0}` {
				t.Errorf("list of the other tenant: %s", body)
			}
			continue
		}
		foreign, unknown := h.as(other, rt.method, path(other, "7"), bodies[rt.name]), h.as(other, rt.method, path(other, "999"), bodies[rt.name])
		if got := code(t, foreign); foreign.Code != http.StatusNotFound || got != "OMS.1009" {
			t.Errorf("%s of a foreign id: %d %s", rt.name, foreign.Code, got)
		}
		if foreign.Body.String() != unknown.Body.String() || foreign.Code != unknown.Code {
			t.Errorf("%s: foreign id answers %s, unknown id %s", rt.name, foreign.Body, unknown.Body)
		}
		if f.changes != 0 {
			t.Errorf("%s: %d changes", rt.name, f.changes)
		}
	}
}

// A reader may read, and reading is not audited.
func TestSyncReader(t *testing.T) {
	h := syncHarness(newFakeSyncs(syncTask("7", oms.SyncRunning)))
	for _, rt := range syncRoutes() {
		path := pathOf(rt, project, "7") + "?query_time=1&data_type=SIZE&start_time=1&end_time=2"
		w := h.as(project+"/reader", rt.method, path, bodies[rt.name])
		if want := map[bool]int{false: http.StatusOK, true: http.StatusForbidden}[rt.auth.Action.Writes()]; w.Code != want {
			t.Errorf("%s: %d, want %d", rt.name, w.Code, want)
		}
	}
	if len(h.audit.entries) != 5 { // the refusals
		t.Errorf("audit: %+v", h.audit.entries)
	}
}

// The audit log has the first call with events of each sender and minute and the number of the others, and every
// refusal.
func TestSyncAudit(t *testing.T) {
	f := newFakeSyncs(syncTask("run", oms.SyncRunning), syncTask("two", oms.SyncRunning))
	now := testNow
	h := syncHarness(f, func(o *Options) { o.Clock = func() time.Time { return now } })
	send := func(id string) { h.do("POST", syncBase+"/"+id+"/events", `{"object_keys":["a"]}`) }
	for range 5 {
		send("run")
	}
	send("two")
	now = now.Add(time.Minute)
	send("run")
	send("unknown")
	send("unknown")
	var got []string
	for _, e := range h.audit.entries {
		got = append(got, fmt.Sprint(e.Action, " ", e.Object, " ", e.Result))
	}
	want := []string{
		"CreateSyncEvents run ok", "CreateSyncEvents two ok", "CreateSyncEvents run ok, after 4 equal calls that are not listed",
		"CreateSyncEvents unknown 404 OMS.1009", "CreateSyncEvents unknown 404 OMS.1009",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("audit (-want +got):\n%s", d)
	}
}

// Calls with events have a limit of their own.
func TestSyncRateLimit(t *testing.T) {
	f := newFakeSyncs(syncTask("run", oms.SyncRunning))
	h := syncHarness(f, func(o *Options) { o.Rate = RateLimit{PerSecond: 1, Burst: 2} })
	status := func(method, path, body string) int { return h.do(method, syncBase+path, body).Code }
	for range 2 {
		if got := status("GET", "", ""); got != http.StatusOK {
			t.Fatalf("list: %d", got)
		}
	}
	if got := status("GET", "", ""); got != http.StatusTooManyRequests {
		t.Errorf("third list: %d, want 429", got)
	}
	for i := range 20 {
		if got := status("POST", "/run/events", `{"object_keys":["a"]}`); got != http.StatusOK {
			t.Fatalf("events %d: %d", i, got)
		}
	}
	if got := status("POST", "/run/events", `{"object_keys":["a"]}`); got != http.StatusTooManyRequests {
		t.Errorf("call 21 with events: %d, want 429", got)
	}
}

func FuzzSyncEvents(f *testing.F) {
	addBodies(f, `{"object_keys":["test%2F001.txt","test%2B001.txt"]}`, `{"object_keys":["a%2"]}`, `{"object_keys":["\u00e9","%FF"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		fake := newFakeSyncs(syncTask("run", oms.SyncRunning))
		w := syncHarness(fake).do("POST", syncBase+"/run/events", body)
		checkAnswer(t, w)
		if w.Code >= http.StatusInternalServerError || w.Code != http.StatusOK && fake.changes != 0 {
			t.Fatalf("status %d, %d changes: %s", w.Code, fake.changes, w.Body)
		}
		if w.Code == http.StatusOK && (len(fake.events) == 0 || len(fake.events) > maxEventKeys || slices.Contains(fake.events, "")) {
			t.Errorf("accepted %q", fake.events)
		}
	})
}

func FuzzCreateSyncTask(f *testing.F) {
	addBodies(f, createSync)
	f.Fuzz(func(t *testing.T, body string) {
		fake := newFakeSyncs()
		w := syncHarness(fake).do("POST", syncBase, body)
		checkAnswer(t, w)
		if w.Code >= http.StatusInternalServerError || w.Code != http.StatusOK && fake.changes != 0 {
			t.Fatalf("status %d, %d changes: %s", w.Code, fake.changes, w.Body)
		}
		for _, task := range fake.tasks {
			s := task.Spec
			if s.Src.Bucket == "" || s.Dst.Bucket == "" || s.Src.Endpoint.URL == "" || s.Dst.Endpoint.URL == "" || fake.keys.Src.IsZero() || fake.keys.Dst.IsZero() {
				t.Errorf("incomplete task %+v", s)
			}
		}
	})
}
