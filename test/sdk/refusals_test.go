package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

// caller sends requests that no SDK would, and remembers the codes that it got.
type caller struct {
	t     *testing.T
	url   string
	token string
	seen  map[string]bool
}

// newCaller gets a token as OMS v2, 1.6 says.
func newCaller(t *testing.T, url string) *caller {
	t.Helper()
	c := &caller{t: t, url: url, seen: map[string]bool{}}
	resp, _ := c.send(http.MethodPost, "/v3/auth/tokens", fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":
	  {"name":"admin","password":%q,"domain":{"name":"openoms"}}}},"scope":{"project":{"id":%q}}}}`, password, project))
	if c.token = resp.Header.Get("X-Subject-Token"); resp.StatusCode != http.StatusCreated || c.token == "" {
		t.Fatalf("no token: status %d", resp.StatusCode)
	}
	return c
}

func (c *caller) send(method, path, body string) (*http.Response, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, text
}

// refused sends a request and checks status, code and form of the refusal.
func (c *caller) refused(method, path, body string, status int, code string) {
	c.t.Helper()
	resp, text := c.send(method, path, body)
	var got map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&got); err != nil {
		c.t.Fatalf("%s %s: %d %q", method, path, resp.StatusCode, text)
	}
	msg, _ := got["error_msg"].(string)
	if resp.StatusCode != status || got["error_code"] != code || msg == "" || len(got) != 2 || resp.Header.Get("X-Request-Id") == "" ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		c.t.Errorf("%s %s %.80s: got %d %s, want %d %s", method, path, body, resp.StatusCode, text, status, code)
	}
	c.seen[code] = true
}

// ok sends a request that must succeed and returns the answer.
func (c *caller) ok(method, path, body string) map[string]any {
	c.t.Helper()
	resp, text := c.send(method, path, body)
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	var got map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			c.t.Fatal(err)
		}
	}
	return got
}

// The members of request bodies.
const (
	srcNode = `"src_node":{"cloud_type":"AWS","region":"lab-a","ak":"AKSRC","sk":"SKSRC0123456789","bucket":"source","object_key":[""]}`
	dstNode = `"dst_node":{"region":"lab-b","ak":"AKDST","sk":"SKDST0123456789","bucket":"destination"}`
	bothKey = `"src_ak":"AKSRC","src_sk":"SKSRC0123456789","dst_ak":"AKDST","dst_sk":"SKDST0123456789"`
	newTask = `{"task_type":"prefix",` + srcNode + `,` + dstNode + `}`
	newSync = `{"src_cloud_type":"AWS","src_region":"lab-a","src_bucket":"source","dst_region":"lab-b","dst_bucket":"destination",` + bothKey + `}`
	account = `"cloud_type":"AWS","ak":"AKSRC","sk":"SKSRC0123456789"`
)

// TestRefusals provokes every code that a client can get as the error of an operation. The table of codes in docs/api.md
// must list exactly these, beside those that never occur.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	c := newCaller(t, w.url)
	root := "/v2/" + project
	replace := func(body, old, with string) string {
		t.Helper()
		if !strings.Contains(body, old) {
			t.Fatalf("%q has no %q", body, old)
		}
		return strings.Replace(body, old, with, 1)
	}
	text := testcloud.Attrs{ContentType: "text/plain"}
	w.dst.Put("ok.txt", []byte("http://example.org/a\ta\n"), text)
	w.src.Put("a", []byte("for the check of CDN hosts"), testcloud.Attrs{})
	w.dst.Put("list.csv", []byte("http://example.org/a\ta\n"), text)
	w.dst.Put("bad.txt", []byte("no tab\n"), text)
	w.dst.Put("long.txt", []byte("http://example.org/"+strings.Repeat("a", 65_536)+"\ta\n"), text)
	w.dst.Put("empty.txt", nil, text)
	w.dst.Put("html.txt", []byte("http://example.org/a\ta\n"), testcloud.Attrs{ContentType: "text/html"})
	w.dst.Put("cold.txt", []byte("http://example.org/a\ta\n"), testcloud.Attrs{ContentType: "text/plain", StorageClass: "GLACIER"})
	list := func(key string) string {
		return fmt.Sprintf(`{"obs_bucket":"destination","list_file_key":%q,"ak":"AKDST","sk":"SKDST0123456789","region":"lab-b"}`, key)
	}
	limit := func(text string) string {
		return replace(newTask, `"task_type"`, `"bandwidth_policy":[`+text+`],"task_type"`)
	}
	const hour = `{"start":"08:00","end":"09:00","max_bandwidth":1048576}`
	for _, r := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		// What the gateway of the hosted service answers.
		{"GET", root + "/nosuch", "", 404, "APIGW.0101"},
		{"POST", root + "/tasks", `{"description":"` + strings.Repeat("x", 5<<20) + `"}`, 413, "APIGW.0201"},
		{"PATCH", root + "/tasks", "", 405, "OMS.1008"},
		{"GET", "/v9", "", 404, "OMS.1009"},
		{"GET", "/v2/ffffffffffffffffffffffffffffffff/tasks", "", 403, "OMS.0206"},
		// The form of requests.
		{"GET", root + "/tasks?limit=%zz", "", 400, "OMS.0004"},
		{"GET", root + "/tasks?limit=ten", "", 400, "OMS.1010"},
		{"GET", root + "/tasks?limit=101", "", 400, "OMS.1003"},
		{"GET", root + "/tasks/one", "", 400, "OMS.0054"},
		{"GET", root + "/tasks/1000000000000000", "", 400, "OMS.0054"},
		{"GET", root + "/tasks/1", "", 400, "OMS.1009"},
		{"GET", root + "/taskgroups/157ece42-3270-4824-a3d2-f0187a03ca01", "", 404, "OMS.1009"},
		{"GET", root + "/sync-tasks/157ece42-3270-4824-a3d2-f0187a03ca01?query_time=1", "", 404, "OMS.1009"},
		{"GET", root + "/sync-tasks/157ece42-3270-4824-a3d2-f0187a03ca01", "", 400, "OMS.1004"},
		{"POST", root + "/tasks", `{"task_type":`, 400, "OMS.0067"},
		{"POST", root + "/tasks", `[]`, 400, "OMS.1010"},
		{"POST", root + "/tasks", `{"src_node":null,"dst_node":null}` + "\n", 400, "OMS.1004"},
		// CreateTask and CreateTaskGroup.
		{"POST", root + "/tasks", replace(newTask, `"prefix"`, `"PREFIX"`), 400, "OMS.1003"},
		{"POST", root + "/taskgroups", replace(newTask, `"prefix"`, `"prefix"`), 400, "OMS.1003"},
		{"POST", root + "/tasks", replace(newTask, `"source"`, `"no/bucket"`), 400, "OMS.0057"},
		{"POST", root + "/tasks", replace(newTask, `"destination"`, `"no/bucket"`), 400, "OMS.0058"},
		{"POST", root + "/tasks", replace(newTask, `"object_key"`, `"list_file":{"list_file_key":"l.txt","obs_bucket":"lists"},"object_key"`), 400, "OMS.0061"},
		{"POST", root + "/tasks", replace(newTask, `"task_type"`, `"description":"<","task_type"`), 400, "OMS.0078"},
		{"POST", root + "/tasks", replace(newTask, `"lab-a"`, `"mars/1"`), 400, "OMS.0079"},
		{"POST", root + "/tasks", replace(newTask, `"lab-b"`, `"mars/1"`), 400, "OMS.0080"},
		{"POST", root + "/tasks", replace(newTask, `"task_type"`, `"source_cdn":{"domain":"127.0.0.1:1","protocol":"http","authentication_type":"NONE"},"task_type"`), 400, "OMS.0081"},
		{"POST", root + "/tasks", replace(newTask, `"task_type"`, `"source_cdn":{"domain":"d","protocol":"http","authentication_type":"TENCENT_COS_A"},"task_type"`), 400, "OMS.1032"},
		{"POST", root + "/tasks", replace(newTask, `"task_type"`, `"smn_config":{"topic_urn":"oms","trigger_conditions":["SUCCESS"]},"task_type"`), 400, "OMS.0169"},
		{"POST", root + "/tasks", limit(strings.Repeat(hour+",", 5) + hour), 400, "OMS.0083"},
		{"POST", root + "/tasks", limit(`{"start":"08:00","end":"09:00","max_bandwidth":1048575}`), 400, "OMS.0084"},
		{"POST", root + "/tasks", limit(hour + "," + hour), 400, "OMS.0085"},
		{"POST", root + "/tasks", limit(`{"start":"22:00","end":"06:00","max_bandwidth":1048576}`), 400, "OMS.0087"},
		{"POST", root + "/tasks", replace(newTask, "SKSRC0123456789", "wrong"), 400, "OMS.1014"},
		{"POST", root + "/taskgroups", replace(replace(newTask, `"prefix"`, `"PREFIX"`), "SKDST0123456789", "wrong"), 400, "OMS.1020"},
		{"POST", root + "/tasks/batch-update", `{"bandwidth_policy":[]}`, 400, "OMS.1003"},
		// Synchronization.
		{"POST", root + "/sync-tasks", replace(newSync, `"src_bucket":"source"`, `"src_bucket":"nosuch"`), 400, "OMS.1014"},
		{"GET", root + "/sync-tasks/x/statistics?data_type=NOTHING&start_time=0&end_time=1", "", 400, "OMS.1003"},
		{"POST", root + "/sync-tasks/x/events", `{"object_keys":["100%"]}`, 400, "OMS.1003"},
		// Clouds and buckets.
		{"GET", root + "/objectstorage/cloud-type", "", 400, "OMS.1004"},
		{"POST", root + "/objectstorage/buckets", `{"cloud_type":"URLSource","ak":"a","sk":"b"}`, 400, "OMS.0151"},
		{"POST", root + "/objectstorage/buckets", replace(`{`+account+`}`, "SKSRC0123456789", "wrong"), 400, "OMS.1016"},
		{"POST", root + "/objectstorage/buckets/prefix", `{` + account + `,"bucket_name":"nosuch","file_name":"","data_center":"lab-a"}`, 400, "OMS.1014"},
		{"POST", root + "/objectstorage/buckets/regions", `{` + account + `,"bucket_name":"nosuch"}`, 400, "OMS.0155"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("nosuch.txt"), 400, "TRF.0013"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("list.csv"), 400, "TRF.0014"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("bad.txt"), 400, "TRF.0016"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("empty.txt"), 400, "TRF.0017"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("long.txt"), 400, "TRF.0018"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("html.txt"), 400, "TRF.0019"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", list("cold.txt"), 400, "TRF.0301"},
		{"POST", root + "/objectstorage/buckets/url-source-list-file", replace(list("ok.txt"), "SKDST0123456789", "wrong"), 400, "OMS.1020"},
	} {
		c.refused(r.method, r.path, r.body, r.status, r.code)
	}
	if tasks := c.ok("GET", root+"/tasks", ""); tasks["count"] != 0.0 {
		t.Errorf("refused requests left %v tasks", tasks["count"])
	}
	c.strangers(w)
	c.storeAway(w, root)
	c.taskStates(w, root)
	c.groupStates(w, root)
	c.syncStates(root)
	c.quotas()
	c.compareWithDocs()
}

// strangers call without a token, with a wrong one, and as somebody who may only read.
func (c *caller) strangers(w *world) {
	c.t.Helper()
	for _, token := range []string{"", "wrong"} {
		stranger := &caller{t: c.t, url: c.url, token: token, seen: c.seen}
		stranger.refused("GET", "/v2/"+project+"/tasks", "", 401, "APIGW.0301")
	}
	ak, sk := w.readerKey()
	_, err := newClient(c.t, w.url, ak, sk, project).StopTask(&model.StopTaskRequest{TaskId: 1})
	refused(c.t, "a reader who writes", err, 403, "OMS.0205")
	c.seen["OMS.0205"] = true
}

// storeAway asks while a store answers with errors only.
func (c *caller) storeAway(w *world, root string) {
	c.t.Helper()
	heal := w.srcCloud.Faults.On(testcloud.ListObjectsV2, testcloud.Fail(503, "SlowDown"))
	c.refused("POST", root+"/objectstorage/buckets/objects", `{`+account+`,"bucket_name":"source","data_center":"lab-a","file_path":"","page_size":1,"behind_filename":""}`, 400, "OMS.0153")
	heal()
}

// taskStates asks for what the state of a task does not allow (OMS v2, 5.2).
func (c *caller) taskStates(w *world, root string) {
	c.t.Helper()
	fill(w.src, 1500, 20_000)
	create := func(body string) string {
		return fmt.Sprintf("%s/tasks/%.0f", root, c.ok("POST", root+"/tasks", body)["id"])
	}
	until := func(task string, status float64) {
		within(c.t, time.Minute, fmt.Sprintf("state %v", status), func() bool { return c.ok("GET", task, "")["status"] == status })
	}
	const slow = `"bandwidth_policy":[{"start":"00:00","end":"23:59","max_bandwidth":1048576}]`
	keys := "{" + bothKey + "}"
	task := create(strings.Replace(newTask, "{", "{"+slow+",", 1))
	until(task, running)
	c.refused("POST", task+"/start", keys, 400, "OMS.0065")
	c.refused("DELETE", task, "", 400, "OMS.0063")
	c.ok("POST", task+"/stop", "")
	until(task, paused)
	c.refused("POST", task+"/stop", "", 400, "OMS.0066")
	c.refused("POST", task+"/start", "{"+bothKey+`,"migrate_failed_object":true}`, 400, "OMS.0167")
	c.ok("DELETE", task, "")
	task = create(strings.Replace(newTask, `[""]`, `["photos/001/00001.jpg"]`, 1))
	until(task, succeeded)
	c.refused("POST", task+"/start", keys, 400, "OMS.0070")
	c.refused("PUT", task+"/bandwidth-policy", `{`+slow+`}`, 400, "OMS.0086")
}

// groupStates does the same with groups (OMS v2, 5.3).
func (c *caller) groupStates(w *world, root string) {
	c.t.Helper()
	keys := "{" + bothKey + "}"
	body := strings.Replace(newTask, `"prefix"`, `"PREFIX"`, 1)
	create := func(body string, status float64) string {
		group := root + "/taskgroups/" + c.ok("POST", root+"/taskgroups", body)["group_id"].(string)
		within(c.t, time.Minute, fmt.Sprintf("state %v", status), func() bool { return c.ok("GET", group, "")["status"] == status })
		return group
	}
	group := create(strings.Replace(body, "{", `{"bandwidth_policy":[{"start":"00:00","end":"23:59","max_bandwidth":1048576}],`, 1), groupMonitoring)
	c.refused("PUT", group+"/start", keys, 400, "OMS.1039")
	c.refused("PUT", group+"/retry", keys, 400, "OMS.1040")
	c.refused("DELETE", group, "", 400, "OMS.0063")
	c.ok("PUT", group+"/update", `{"bandwidth_policy":[]}`)
	within(c.t, time.Minute, "the group succeeds", func() bool { return c.ok("GET", group, "")["status"] == float64(groupSucceeded) })
	c.refused("PUT", group+"/stop", "", 400, "OMS.1038")
	c.refused("PUT", group+"/update", `{"bandwidth_policy":[]}`, 400, "OMS.1036")
	none := create(strings.Replace(body, `[""]`, `["nothing/"]`, 1), groupCreationFailed)
	c.refused("PUT", none+"/retry", "{}", 400, "OMS.1004")
}

// syncStates does the same with synchronization tasks (OMS v2, 5.7).
func (c *caller) syncStates(root string) {
	c.t.Helper()
	task := root + "/sync-tasks/" + c.ok("POST", root+"/sync-tasks", newSync)["sync_task_id"].(string)
	c.refused("POST", task+"/start", "{"+bothKey+"}", 400, "OMS.1036")
	c.refused("DELETE", task, "", 400, "OMS.1036")
	c.ok("POST", task+"/stop", "")
	c.refused("POST", task+"/stop", "", 400, "OMS.1036")
	c.refused("POST", task+"/events", `{"object_keys":["a"]}`, 400, "OMS.1036")
}

// quotas asks a service with small ones for more (OMS v2, 6.11).
func (c *caller) quotas() {
	c.t.Helper()
	srcCloud, srcURL := startCloud(c.t, srcAK, srcSK, "lab-a")
	dstCloud, dstURL := startCloud(c.t, dstAK, dstSK, "lab-b")
	fill(srcCloud.CreateBucket("source"), 1000, 20_000)
	dstCloud.CreateBucket("destination")
	url := startConfigured(c.t, c.t.TempDir(), fmt.Sprintf(`listen: 127.0.0.1:0
regions:
  - {cloud_type: AWS, region: lab-a, endpoint: %q, path_style: true}
  - {cloud_type: HuaweiCloud, region: lab-b, endpoint: %q, path_style: true}
limits: {running_tasks_per_project: 1, waiting_tasks_per_project: 1, created_tasks_per_day: 3, created_groups_per_day: 1,
  sync_tasks_per_project: 1, waiting_names_per_sync_task: 1}
`, srcURL, dstURL))
	q := newCaller(c.t, url)
	q.seen = c.seen
	root := "/v2/" + project
	slow := strings.Replace(newTask, "{", `{"bandwidth_policy":[{"start":"00:00","end":"23:59","max_bandwidth":1048576}],`, 1)
	first := fmt.Sprintf("%s/tasks/%.0f", root, q.ok("POST", root+"/tasks", slow)["id"])
	within(c.t, time.Minute, "the first task runs", func() bool { return q.ok("GET", first, "")["status"] == float64(running) })
	second := fmt.Sprintf("%s/tasks/%.0f", root, q.ok("POST", root+"/tasks", slow)["id"])
	q.refused("POST", root+"/tasks", slow, 400, "OMS.0077") // one runs, one waits
	q.ok("DELETE", second, "")
	third := fmt.Sprintf("%s/tasks/%.0f", root, q.ok("POST", root+"/tasks", slow)["id"])
	q.ok("DELETE", third, "")
	q.refused("POST", root+"/tasks", slow, 400, "OMS.1021")
	q.ok("POST", first+"/stop", "")
	q.ok("POST", root+"/taskgroups", strings.Replace(newTask, `"prefix"`, `"PREFIX"`, 1))
	q.refused("POST", root+"/taskgroups", strings.Replace(newTask, `"prefix"`, `"PREFIX"`, 1), 400, "OMS.1037")
	task := root + "/sync-tasks/" + q.ok("POST", root+"/sync-tasks", newSync)["sync_task_id"].(string)
	q.refused("POST", root+"/sync-tasks", newSync, 400, "OMS.0077")
	q.refused("POST", task+"/events", `{"object_keys":["a","b"]}`, 503, "OMS.2004")
}

// compareWithDocs holds the table of codes in docs/api.md to what was seen.
func (c *caller) compareWithDocs() {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		c.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Codes of refusals\n")
	section, _, _ = strings.Cut(section, "\n### ")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:OMS|APIGW|TRF)\\.\\d{4})` \\|").FindAllStringSubmatch(section, -1) {
		listed[m[1]] = true
	}
	for _, code := range slices.Sorted(maps.Keys(c.seen)) {
		if !listed[code] {
			c.t.Errorf("%s is a refusal, and docs/api.md does not list it", code)
		}
	}
	// They need a fault of the service, 100,000 failed objects or a flood of calls; tests of its packages provoke them.
	for _, code := range []string{"OMS.1001", "OMS.0308", "APIGW.0308"} {
		delete(listed, code)
	}
	for _, code := range slices.Sorted(maps.Keys(listed)) {
		if !c.seen[code] {
			c.t.Errorf("docs/api.md lists %s, and no request got it", code)
		}
	}
}
