package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// A connection is stored, shown without its keys, used by an extended task in the place of keys, checked and deleted; every
// change is in the audit log (rules S4 and S12).
func TestConnections(t *testing.T) {
	const connections = "/ext/v1/" + project + "/connections"
	b := &fakeBuckets{names: []string{"photos", "videos"}}
	h := newHarness(newFakeTasks(), func(o *Options) { o.Buckets = b })
	ok := func(method, path, body string) string {
		t.Helper()
		w := h.do(method, path, body)
		if checkAnswer(t, w); w.Code != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "c4n4ry") {
			t.Errorf("%s %s shows a key: %s", method, path, w.Body)
		}
		return w.Body.String()
	}
	ok("PUT", connections+"/lab.a", `{"cloud_type":"AWS","region":"lab-a","description":"the lab","ak":"AK","sk":"c4n4ry","security_token":"c4n4ry2"}`)
	for _, path := range []string{"", "/lab.a"} {
		if text := ok("GET", connections+path, ""); !strings.Contains(text, `"name":"lab.a","cloud_type":"AWS","region":"lab-a","description":"the lab"`) {
			t.Errorf("shown as %s", text)
		}
	}
	ok("POST", "/ext/v1/"+project+"/tasks", `{"task_type":"object","src_node":{"connection":"lab.a","bucket":"photos","object_key":["a"]},
 "dst_node":{"connection":"lab.a","region":"lab-b","bucket":"backup"}}`)
	want := oms.Credentials{AccessKey: "AK", SecretKey: oms.NewSecret("c4n4ry"), SecurityToken: oms.NewSecret("c4n4ry2")}
	if got := h.tasks.keys; got.Src != want || got.Dst != want {
		t.Errorf("created with keys of %q and %q", got.Src.AccessKey, got.Dst.AccessKey)
	}
	for _, created := range h.tasks.tasks {
		if created.Spec.Src.CloudType != oms.CloudAWS || created.Spec.Src.Region != "lab-a" || created.Spec.Dst.Region != "lab-b" || created.Spec.Dst.CloudType != oms.CloudAWS {
			t.Errorf("created from %+v to %+v", created.Spec.Src, created.Spec.Dst)
		}
	}
	if text := ok("POST", connections+"/lab.a/check", "{}"); text != `{"buckets":2}` {
		t.Errorf("the account: %s", text)
	}
	if text := ok("POST", connections+"/lab.a/check", `{"bucket":"photos"}`); text != `{"buckets":1}` {
		t.Errorf("a bucket: %s", text)
	}
	ok("DELETE", connections+"/lab.a", "")
	if got := code(t, h.do("GET", connections+"/lab.a", "")); got != "OMS.1009" {
		t.Errorf("after the deletion: %s", got)
	}
	var actions []string
	for _, e := range h.audit.entries {
		actions = append(actions, e.Action+" "+e.Object)
	}
	if got := strings.Join(actions, ", "); !strings.HasPrefix(got, "KeepConnection connection lab.a, CreateExtendedTask ") || !strings.HasSuffix(got, "DeleteConnection connection lab.a") {
		t.Errorf("audited: %s", got)
	}
	if strings.Contains(h.logs.String(), "c4n4ry") {
		t.Error("a key is in the log")
	}
}

// What is refused, and that another tenant's connection is like none (rule S1).
func TestConnectionRefusals(t *testing.T) {
	const (
		connections = "/ext/v1/" + project + "/connections"
		tasks       = "/ext/v1/" + project + "/tasks"
		task        = `{"task_type":"object","src_node":{"connection":"one","bucket":"photos","object_key":["a"]},"dst_node":{"connection":"one","bucket":"backup"}}`
	)
	tests := []struct{ method, path, body, want string }{
		{"PUT", connections + "/a%20b", `{"cloud_type":"AWS","ak":"a","sk":"s"}`, "OMS.1003"},
		{"PUT", connections + "/" + strings.Repeat("a", 65), `{"cloud_type":"AWS","ak":"a","sk":"s"}`, "OMS.1003"},
		{"PUT", connections + "/x", `{"ak":"a","sk":"s"}`, "OMS.1004"},
		{"PUT", connections + "/x", `{"cloud_type":"AWS","ak":"a"}`, "OMS.1004"},
		{"PUT", connections + "/x", `{"cloud_type":"URLSource","ak":"a","sk":"s"}`, "OMS.0057"},
		{"PUT", connections + "/x", `{"cloud_type":"AWS","ak":"a","sk":"s","description":"<"}`, "OMS.0078"},
		{"GET", connections + "/none", "", "OMS.1009"},
		{"DELETE", connections + "/none", "", "OMS.1009"},
		{"POST", connections + "/none/check", "{}", "OMS.1009"},
		{"POST", connections + "/one/check", `{"bucket":"photos","region":"mars"}`, "OMS.0079"},
		{"POST", connections + "/one/check", `{"bucket":"../x"}`, "OMS.0057"},
		{"POST", tasks, strings.Replace(task, `"one"`, `"none"`, 1), "OMS.1009"},
		{"POST", tasks, strings.Replace(task, `"one"`, `"a b"`, 1), "OMS.1003"},
		{"POST", tasks, strings.Replace(task, `"one",`, `"one","ak":"x",`, 1), "OMS.1003"},
		{"POST", tasks, strings.Replace(task, `"one",`, `"one","cloud_type":"Aliyun",`, 1), "OMS.1003"},
		{"POST", base, task, "OMS.1004"}, // the contract has no connections
	}
	for _, tt := range tests {
		h := newHarness(newFakeTasks())
		h.do("PUT", connections+"/one", `{"cloud_type":"AWS","region":"lab-a","ak":"a","sk":"s"}`)
		if got := code(t, h.do(tt.method, tt.path, tt.body)); got != tt.want {
			t.Errorf("%s %s %s: got %s, want %s", tt.method, tt.path, tt.body, got, tt.want)
		}
		foreign := strings.Replace(connections, project, other, 1) + "/one"
		if got := code(t, h.as(other, "GET", foreign, "")); got != "OMS.1009" {
			t.Errorf("another tenant: %s", got)
		}
	}
}
