package httpapi

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/omsv2"
)

const (
	schedulesPath = "/ext/v1/" + project + "/schedules"
	nightly       = `{"cron":"0 3 * * *","time_zone":"Europe/Berlin","description":"nightly","task":{"task_type":"prefix",
 "src_node":{"connection":"c7","region":"lab-a","bucket":"photos","object_key":[""]},
 "dst_node":{"connection":"c7","region":"lab-b","bucket":"backup"},"filters":{"max_age":86400}}}`
)

// A schedule is kept with its task as it was given, which holds no key, and the compiler makes a task of it with the keys
// of its connections and ages that count from then.
func TestSchedules(t *testing.T) {
	tasks := newFakeTasks()
	tasks.schedules = nil
	var opts Options
	h := newHarness(tasks, func(o *Options) { opts = *o })
	ok := func(method, path, body string) string {
		t.Helper()
		w := h.do(method, path, body)
		if checkAnswer(t, w); w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	tasks.connections[project+"/c7"] = oms.Credentials{AccessKey: "AK", SecretKey: oms.NewSecret("c4n4ry")}
	ok("PUT", schedulesPath+"/nightly", nightly)
	kept := tasks.schedules[0]
	if !kept.Enabled || kept.Cron != "0 3 * * *" || kept.Zone != "Europe/Berlin" || kept.Description != "nightly" || strings.Contains(string(kept.Template), "c4n4ry") {
		t.Errorf("kept %+v with %s", kept, kept.Template)
	}
	tasks.schedules[0].Firings = []oms.Firing{
		{Due: testNow, At: testNow, Outcome: oms.FiringFailed, Code: "OMS.1014", Reason: "no"}, {Due: testNow, At: testNow, Outcome: oms.FiringCreated, TaskID: 7},
	}
	tasks.schedules[0].LastTask = 7
	var shown omsv2.Schedule
	if err := json.Unmarshal([]byte(ok("GET", schedulesPath+"/nightly", "")), &shown); err != nil {
		t.Fatal(err)
	}
	at := testNow.UnixMilli()
	if shown.NextTime != at+3600_000 || shown.LastTaskID != 7 || len(shown.Firings) != 2 || string(shown.Task) != string(kept.Template) ||
		shown.Firings[0] != (omsv2.Firing{DueTime: at, FiredTime: at, Outcome: "failed", ErrorCode: "OMS.1014", Reason: "no"}) ||
		shown.Firings[1] != (omsv2.Firing{DueTime: at, FiredTime: at, Outcome: "created", TaskID: 7}) {
		t.Errorf("shown as %+v", shown)
	}
	if text := ok("GET", schedulesPath, ""); !strings.Contains(text, `"name":"nightly"`) {
		t.Errorf("listed as %s", text)
	}
	task, keys, err := Compiler(opts)(t.Context(), project, kept.Template)
	if err != nil || keys.Src.AccessKey != "AK" || keys.Dst.SecretKey.Reveal() != "c4n4ry" || task.ProjectID != project ||
		task.Spec.Dst.Bucket != "backup" || !task.Spec.Filters.ModifiedAfter.Equal(testNow.AddDate(0, 0, -1)) {
		t.Errorf("compiled to %+v, %v", task, err)
	}
	if _, _, err := Compiler(opts)(t.Context(), other, kept.Template); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("another project's connection: %v", err)
	}
	ok("PUT", schedulesPath+"/off", strings.Replace(nightly, `{"cron`, `{"enabled":false,"cron`, 1))
	if tasks.schedules[1].Enabled {
		t.Error("not disabled")
	}
	ok("DELETE", schedulesPath+"/nightly", "")
	if got := code(t, h.do("GET", schedulesPath+"/nightly", "")); got != "OMS.1009" {
		t.Errorf("after the deletion: %s", got)
	}
	if strings.Contains(h.logs.String(), "c4n4ry") {
		t.Error("a key is in the log")
	}
}

// What is refused: keys of any spelling, tasks without connections, tasks that could not be created.
func TestScheduleRefusals(t *testing.T) {
	tests := []struct{ old, replacement, want string }{
		{`"cron":"0 3 * * *",`, ``, "OMS.1004"},
		{`"task":`, `"tusk":`, "OMS.1004"},
		{`"src_node":{"connection":"c7",`, `"src_node":{`, "OMS.1004"},
		{`"dst_node":{"connection":"c7",`, `"dst_node":{"cloud_type":"AWS",`, "OMS.1004"},
		{`"src_node":{"connection":"c7",`, `"src_node":{"ak":"a","sk":"s",`, "OMS.1003"},
		{`"src_node":{`, `"src_node":{"Sk":"s",`, "OMS.1003"},
		{`"filters":{`, `"other":[{"security_token":"s"}],"filters":{`, "OMS.1003"},
		{`"filters":{`, `"source_cdn":{"domain":"cdn.example.com","authentication_key":"k"},"filters":{`, "OMS.1003"},
		{`"connection":"c7","region":"lab-a"`, `"connection":"none","region":"lab-a"`, "OMS.1009"},
		{`lab-a`, `mars`, "OMS.0079"},
		{`"max_age":86400`, `"max_age":-1`, "OMS.1003"},
		{`"nightly"`, `"<"`, "OMS.0078"},
		{`"Europe/Berlin"`, `"` + strings.Repeat("x", 65) + `"`, "OMS.1003"},
		{`"prefix"`, `"` + strings.Repeat("x", 300<<10) + `"`, "OMS.1003"},
	}
	for _, tt := range tests {
		h := newHarness(newFakeTasks())
		h.tasks.schedules = nil
		body := strings.Replace(nightly, tt.old, tt.replacement, 1)
		if body == nightly {
			t.Fatalf("%s is not there", tt.old)
		}
		if got := code(t, h.do("PUT", schedulesPath+"/x", body)); got != tt.want {
			t.Errorf("%.80s: got %s, want %s", tt.replacement, got, tt.want)
		}
		if len(h.tasks.schedules) != 0 {
			t.Error("it was kept")
		}
	}
	h := newHarness(newFakeTasks())
	for _, call := range [][3]string{
		{"PUT", schedulesPath + "/a%20b", nightly}, {"GET", schedulesPath + "/" + strings.Repeat("a", 65), ""},
	} {
		if got := code(t, h.do(call[0], call[1], call[2])); got != "OMS.1003" {
			t.Errorf("%s %s: %s", call[0], call[1], got)
		}
	}
	h.do("PUT", schedulesPath+"/nightly", nightly)
	foreign := strings.Replace(schedulesPath, project, other, 1) + "/nightly"
	for _, method := range []string{"GET", "DELETE"} {
		if got := code(t, h.as(other, method, foreign, "")); got != "OMS.1009" {
			t.Errorf("another tenant: %s", got)
		}
	}
}

// The example of the manual works as it stands there.
func TestDocumentedSchedule(t *testing.T) {
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "schedules/nightly\" -d '\n")
	body, _, found := strings.Cut(section, "'")
	if !found {
		t.Fatal("no example")
	}
	table, err := region.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tasks := newFakeTasks()
	tasks.connections[project+"/lab"] = oms.Credentials{AccessKey: "a", SecretKey: oms.NewSecret("s")}
	h := newHarness(tasks, func(o *Options) { o.Regions = table })
	if w := h.do("PUT", schedulesPath+"/nightly", body); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
