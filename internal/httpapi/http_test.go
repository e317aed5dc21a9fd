package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

// bodies are sound request bodies by operation.
var bodies = map[string]string{
	"CreateTask": create, "StartTask": start, "RetryTask": start, "KeepConnection": `{"cloud_type":"AWS","ak":"a","sk":"s"}`, "CheckConnection": `{}`, "UpdateBandwidthPolicy": `{"bandwidth_policy":[]}`,
	"BatchUpdateTasks": `{"ids":[7],"bandwidth_policy":[]}`,
	"ShowBucketList":   accountBody, "ShowBucketObjects": browseBody, "ShowBucketRegion": locateBody, "CheckPrefix": prefixBody,
	"ShowCdnInfo": cdnBody, "CheckUrlSourceListFileFormat": listBody,
	"CreateSyncTask": createSync, "StartSyncTask": startSync, "CreateSyncEvents": `{"object_keys":["a"]}`,
	"QueryTaskObjects": `{"outcome":"failed","dst_ak":"a","dst_sk":"b"}`,
	"CreateTaskGroup":  createGroup, "StartTaskGroup": start, "RetryTaskGroup": start, "UpdateTaskGroup": `{"bandwidth_policy":[]}`,
}

// pathOf fills the wildcards of a route's path.
func pathOf(rt route, project, id string) string {
	return strings.NewReplacer("{$}", "", "{version}", "v2", "{project_id}", project, "{task_id}", id, "{sync_task_id}", id, "{group_id}", id, "{connection}", "c"+id, "{schedule}", "s"+id).Replace(rt.path)
}

// admitted returns the routes that need a credential.
func admitted() []route {
	var out []route
	for _, rt := range routes() {
		if rt.auth.Class == auth.Authenticated {
			out = append(out, rt)
		}
	}
	return out
}

// Rule S1: every route with a project, called by another tenant. Nothing is changed, nothing is shown, and an id
// of the other tenant answers like one that nobody has.
func TestTwoTenants(t *testing.T) {
	for _, rt := range admitted() {
		if strings.Contains(rt.path, "/sync-tasks") {
			continue // TestSyncTenants
		}
		t.Run(rt.name, func(t *testing.T) {
			h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
			w := h.as(other, rt.method, pathOf(rt, project, "7"), bodies[rt.name])
			if got := code(t, w); w.Code != http.StatusForbidden || got != "OMS.0206" {
				t.Errorf("foreign project: %d %s", w.Code, got)
			}
			status := http.StatusBadRequest
			if strings.Contains(rt.path, "{group_id}") {
				status = http.StatusNotFound
			}
			if strings.Contains(rt.path, "{task_id}") || rt.name == "BatchUpdateTasks" || status == http.StatusNotFound {
				foreign := h.as(other, rt.method, pathOf(rt, other, "7"), bodies[rt.name])
				unknown := h.as(other, rt.method, pathOf(rt, other, "999"), strings.Replace(bodies[rt.name], "[7]", "[999]", 1))
				if got := code(t, foreign); foreign.Code != status || got != "OMS.1009" {
					t.Errorf("foreign id: %d %s", foreign.Code, got)
				}
				if foreign.Body.String() != unknown.Body.String() || foreign.Code != unknown.Code {
					t.Errorf("foreign id answers %s, unknown id %s", foreign.Body, unknown.Body)
				}
			}
			if rt.name == "ListTasks" {
				if body := h.as(other, "GET", pathOf(rt, other, ""), "").Body.String(); body != `{"tasks":[],"count":0}` {
					t.Errorf("list of the other tenant: %s", body)
				}
			}
			if h.tasks.changes != 0 {
				t.Errorf("%d changes", h.tasks.changes)
			}
		})
	}
}

// Rules S1 and S12: callers without right, and what the audit log says of them.
func TestDenied(t *testing.T) {
	for _, rt := range admitted() {
		path := pathOf(rt, project, "7")
		tests := []struct {
			name, token, header string
			status              int
			code, actor         string
		}{
			{"nobody", "", "", 401, "APIGW.0301", ""},
			{"no role", project + "/", "", 403, "OMS.0206", "alice"},
			{"other project", other, "", 403, "OMS.0206", "alice"},
			{"header names another project", project, other, 403, "OMS.0206", "alice"},
		}
		if rt.auth.Action.Writes() {
			tests = append(tests, tests[0])
			tests[len(tests)-1] = struct {
				name, token, header string
				status              int
				code, actor         string
			}{"reader", project + "/reader", "", 403, "OMS.0205", "alice"}
			if rt.auth.Action == auth.Administer {
				tests[len(tests)-1].code = "OMS.0206" // nor would a writer be let in
			}
		}
		for _, tt := range tests {
			t.Run(rt.name+" "+tt.name, func(t *testing.T) {
				h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
				r := httptest.NewRequest(rt.method, path, strings.NewReader(bodies[rt.name]))
				if tt.token != "" {
					r.Header.Set("X-Auth-Token", tt.token)
				}
				if tt.header != "" {
					r.Header.Set("X-Project-Id", tt.header)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if got := code(t, w); w.Code != tt.status || got != tt.code {
					t.Errorf("%d %s, want %d %s", w.Code, got, tt.status, tt.code)
				}
				if h.tasks.changes != 0 {
					t.Error("something was changed")
				}
				if len(h.audit.entries) != 1 {
					t.Fatalf("audit: %+v, want one entry", h.audit.entries)
				}
				e := h.audit.entries[0]
				if e.Action != rt.name || e.Actor != tt.actor || e.Remote != "192.0.2.1" || e.Result != fmt.Sprintf("%d %s", tt.status, tt.code) {
					t.Errorf("audit entry %+v", e)
				}
			})
		}
	}
}

// strayAuth admits everybody as id, whatever the path says.
type strayAuth struct {
	fakeAuth
	id auth.Identity
}

func (a strayAuth) Admit(context.Context, *http.Request, []byte, auth.Route, string) (auth.Identity, error) {
	return a.id, nil
}

// The tenant comes from the credential only, even if authorisation should fail to compare it with the path.
func TestTenantOfCredential(t *testing.T) {
	for _, id := range []auth.Identity{{}, {ProjectID: other, Role: auth.RoleAdmin, Credential: auth.TokenCredential}} {
		h := newHarness(newFakeTasks(task(7, oms.StatusPaused)), func(o *Options) { o.Auth = strayAuth{id: id} })
		for _, rt := range admitted() {
			w := h.do(rt.method, pathOf(rt, project, "7"), bodies[rt.name])
			if got := code(t, w); w.Code != http.StatusForbidden || got != "OMS.0206" || h.tasks.changes != 0 {
				t.Errorf("%s as %+v: %d %s, %d changes", rt.name, id, w.Code, got, h.tasks.changes)
			}
		}
	}
}

// A reader may read.
func TestReader(t *testing.T) {
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
	for _, rt := range admitted() {
		if !rt.auth.Action.Writes() && !strings.Contains(rt.path, "{sync_task_id}") { // TestSyncReader
			if w := h.as(project+"/reader", rt.method, pathOf(rt, project, "7")+queries[rt.name], bodies[rt.name]); w.Code != http.StatusOK {
				t.Errorf("%s: %d %s", rt.name, w.Code, w.Body)
			}
		}
	}
	if len(h.audit.entries) != 0 {
		t.Errorf("reading was audited: %+v", h.audit.entries)
	}
}

// Rule S12: each change is in the audit log, refused ones included.
func TestAudit(t *testing.T) {
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused), task(8, oms.StatusRunning)))
	h.do("POST", base, create)
	h.do("POST", base+"/7/start", start)
	h.do("POST", base+"/7/stop", "")
	h.do("DELETE", base+"/x%00y", "")
	h.do("POST", base+"/batch-update", `{"ids":[7,8],"bandwidth_policy":[]}`)
	h.do("GET", base, "")
	entry := func(action, object, result string) oms.AuditEntry {
		return oms.AuditEntry{Project: project, Actor: "alice", Action: action, Object: object, Remote: "192.0.2.1", Result: result}
	}
	want := []oms.AuditEntry{
		entry("CreateTask", "200429548242937", "ok"),
		entry("StartTask", "7", "ok"),
		entry("StopTask", "7", "400 OMS.0066"),
		entry("DeleteTask", "x?y", "400 OMS.0054"),
		entry("BatchUpdateTasks", "7,8", "ok"),
	}
	if diff := cmp.Diff(want, h.audit.entries); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	h.audit.err = errors.New("disk full")
	if w := h.do("DELETE", base+"/8", ""); w.Code != 400 || !strings.Contains(h.logs.String(), "audit entry not stored") {
		t.Errorf("with a broken audit log: %d, logs %s", w.Code, h.logs)
	}
}

// Refusals of unknown callers cannot fill the audit log, and none is lost from its count.
func TestAuditOfStrangers(t *testing.T) {
	now := testNow
	h := newHarness(newFakeTasks(), func(o *Options) { o.Clock = func() time.Time { return now } })
	for range strangersAtOnce + 50 {
		h.as("", "GET", base, "")
	}
	if n := len(h.audit.entries); n != strangersAtOnce {
		t.Errorf("%d entries, want %d", n, strangersAtOnce)
	}
	now = now.Add(time.Second)
	h.as("", "GET", base, "")
	last := h.audit.entries[len(h.audit.entries)-1]
	if want := "401 APIGW.0301, after 50 refusals of unknown callers that are not listed"; last.Result != want {
		t.Errorf("result = %q, want %q", last.Result, want)
	}
	h.as(other, "GET", base, "") // a known caller is always listed
	if last = h.audit.entries[len(h.audit.entries)-1]; last.Actor != "alice" {
		t.Errorf("entry %+v", last)
	}
}

// A credential in a request shows up nowhere, accepted or refused.
func TestSecretsStayInside(t *testing.T) {
	const canary = "canary-7f3a"
	secret := strings.NewReplacer("src-ak", canary, "src-sk", canary, "src-token", canary, "dst-ak", canary, "dst-sk", canary, "dst-token", canary)
	body := secret.Replace(create)
	var out strings.Builder
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
	send := func(path, body string) {
		w := h.do("POST", path, body)
		out.WriteString(w.Body.String() + fmt.Sprint(w.Header()))
	}
	send(base, body)
	send(base+"/7/start", secret.Replace(start))
	send(base+"/7/start", secret.Replace(start))
	send(base, body+"}")
	for _, path := range []string{"src_node.ak", "src_node.sk", "dst_node.security_token", "src_node.crypto_type", "src_node.json_auth_file", "src_node.bucket", "task_type"} {
		send(base, edit(t, body, path, `"`+strings.Repeat(canary, 2000)+`"`))
		send(base, edit(t, body, path, `{"`+canary+`":1}`))
	}
	send(base, edit(t, body, "source_cdn", `{"domain":"d","protocol":"http","authentication_type":"NONE","authentication_key":"`+canary+`"}`))
	h.tasks.err = errOutage
	send(base, body)
	for _, e := range h.audit.entries {
		fmt.Fprintf(&out, "%+v", e)
	}
	out.WriteString(h.logs.String() + fmt.Sprintf("%+v %#v", h.tasks.keys.Src.SecretKey, h.tasks.keys.Dst.SecretKey) + fmt.Sprintf("%+v", h.tasks.keys.Src.CDNKey))
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was shown")
	}
}

// Rule S7: what the service behind says, and what of it a client sees.
func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   string
		text   string // of the answer
	}{
		{"not found", oms.Errorf(oms.NotFound, "OMS.1009", "The task does not exist."), 400, "OMS.1009", "The task does not exist."},
		{"source unreachable", &oms.Error{Kind: oms.Transient, Code: "OMS.1014", Msg: "The source bucket cannot be reached.", Err: errOutage}, 400, "OMS.1014", "The source bucket cannot be reached."},
		{"destination keys", oms.Errorf(oms.Denied, "OMS.1020", "The keys are wrong."), 400, "OMS.1020", "The keys are wrong."},
		{"quota", oms.Errorf(oms.Throttled, "OMS.1021", "Too many tasks today."), 400, "OMS.1021", "Too many tasks today."},
		{"code below an operation", fmt.Errorf("create: %w", &oms.Error{Op: "x", Kind: oms.Other, Err: oms.Errorf(oms.Conflict, "OMS.0066", "Not running.")}), 400, "OMS.0066", "Not running."},
		{"control characters", oms.Errorf(oms.Conflict, "OMS.0066", "a\r\nb"), 400, "OMS.0066", "a??b"},
		{"code without text", oms.Errorf(oms.NotFound, "OMS.1009", ""), 400, "OMS.1009", "The resource was not found."},
		{"store away", errOutage, 503, "OMS.2004", "The service is temporarily unavailable. Try again later."},
		{"store full", &oms.Error{Kind: oms.Full}, 503, "OMS.2004", "The service is temporarily unavailable. Try again later."},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), 503, "OMS.2004", "The service is temporarily unavailable. Try again later."},
		{"foreign", errors.New("pq: secret table"), 500, "OMS.1001", "Internal error."},
		{"other kind", &oms.Error{Kind: oms.Corrupt, Msg: "internal detail"}, 500, "OMS.1001", "Internal error."},
		{"vendor code", &oms.Error{Kind: oms.Denied, Code: "AccessDenied", Msg: "upstream text"}, 403, "OMS.0206", "The user does not have permission to perform this operation."},
		{"invalid", &oms.Error{Kind: oms.Invalid}, 400, "OMS.0064", "The request parameters are not valid."},
		{"plain not found", &oms.Error{Kind: oms.NotFound}, 400, "OMS.1009", "The resource was not found."},
		{"plain conflict", &oms.Error{Kind: oms.Conflict}, 400, "OMS.0064", "The state of the resource does not allow the operation."},
		{"unsupported", &oms.Error{Kind: oms.Unsupported}, 400, "OMS.0061", "This version of the service does not support the request."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			h.tasks.err = tt.err
			w := h.do("POST", base, create)
			if got := code(t, w); w.Code != tt.status || got != tt.code || !strings.Contains(w.Body.String(), `"error_msg":"`+tt.text+`"`) {
				t.Errorf("%d %s, want %d %s %q", w.Code, w.Body, tt.status, tt.code, tt.text)
			}
			if after := w.Header().Get("Retry-After"); (after != "") != (tt.status == 503) {
				t.Errorf("Retry-After = %q", after)
			}
			if logged := strings.Contains(h.logs.String(), "request failed"); logged != (tt.status >= 500) {
				t.Errorf("logged = %v: %s", logged, h.logs)
			}
		})
	}
}

// A panic ends the request, is logged and audited, and the service goes on.
func TestPanic(t *testing.T) {
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused)), func(o *Options) {
		o.Console = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("console boom") })
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("too late")
		})
	})
	h.tasks.panics = "boom with detail"
	for path, method := range map[string]string{base + "/7": "DELETE", "/console/x": "GET"} {
		w := h.do(method, path, "")
		if got := code(t, w); w.Code != 500 || got != "OMS.1001" || strings.Contains(w.Body.String(), "boom") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if logs := h.logs.String(); !strings.Contains(logs, "boom with detail") || !strings.Contains(logs, "console boom") || !strings.Contains(logs, "httpapi.(*service).deleteTask") {
		t.Errorf("logs: %s", logs)
	}
	if len(h.audit.entries) != 1 || h.audit.entries[0].Result != "500 OMS.1001" {
		t.Errorf("audit: %+v", h.audit.entries)
	}
	func() { // a half sent answer is cut off, so that nobody takes it as complete
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // a panic value
				t.Errorf("panic = %v, want ErrAbortHandler", p)
			}
		}()
		h.do("GET", "/metrics", "")
	}()
	h.tasks.panics = nil
	if w := h.do("GET", base+"/7", ""); w.Code != 200 {
		t.Errorf("after a panic: %d", w.Code)
	}
}

// Rule S8: each project has its own budget.
func TestRateLimit(t *testing.T) {
	now := testNow
	h := newHarness(newFakeTasks(), func(o *Options) {
		o.Rate = RateLimit{PerSecond: 0.5, Burst: 2}
		o.Clock = func() time.Time { return now }
	})
	get := func(token, project string) *httptest.ResponseRecorder {
		return h.as(token, "GET", "/v2/"+project+"/tasks", "")
	}
	for range 2 {
		if w := get(project, project); w.Code != 200 {
			t.Fatalf("within the burst: %d", w.Code)
		}
	}
	w := get(project, project)
	if got := code(t, w); w.Code != 429 || got != "APIGW.0308" || w.Header().Get("Retry-After") != "2" {
		t.Errorf("above: %d %s Retry-After %q", w.Code, got, w.Header().Get("Retry-After"))
	}
	if w := get(other, other); w.Code != 200 {
		t.Errorf("other project: %d", w.Code)
	}
	if w := get("", project); w.Code != 401 {
		t.Errorf("nobody: %d", w.Code)
	}
	now = now.Add(2 * time.Second)
	if w := get(project, project); w.Code != 200 {
		t.Errorf("after the pause: %d", w.Code)
	}
}

func TestLimiterForgets(t *testing.T) {
	now := testNow
	l := newLimiter(RateLimit{PerSecond: 1, Burst: 1}, func() time.Time { return now })
	for i := range maxBuckets {
		l.take(strconv.Itoa(i))
	}
	now = now.Add(-time.Hour) // a clock that went back gives nothing
	if l.take("0") == 0 {
		t.Error("a second token without time passing")
	}
	now = now.Add(2 * time.Hour)
	l.take("0")
	l.take("one more")
	if n := len(l.buckets); n != 2 {
		t.Errorf("%d buckets, want 2", n)
	}
	for i := range maxBuckets {
		l.take(fmt.Sprint("x", i))
	}
	if n := len(l.buckets); n > maxBuckets {
		t.Errorf("%d buckets, more than %d", n, maxBuckets)
	}
}

// Rule S8: bodies are bounded before anything else looks at them.
func TestBodyLimits(t *testing.T) {
	tests := []struct {
		method, path string
		size         int
		status       int
		code         string
	}{
		{"POST", base + "/7/start", normalBody, 400, "OMS.0067"},
		{"POST", base + "/7/start", normalBody + 1, 413, "APIGW.0201"},
		{"POST", base, createBody, 400, "OMS.0067"},
		{"POST", base, createBody + 1, 413, "APIGW.0201"},
		{"POST", base, maxDrain + 1, 413, "APIGW.0201"},
		{"POST", base + "/7/stop", noBody + 1, 413, "APIGW.0201"},
		{"GET", base + "/7", noBody + 1, 413, "APIGW.0201"},
	}
	for _, tt := range tests {
		h := newHarness(newFakeTasks(task(7, oms.StatusRunning)))
		w := h.do(tt.method, tt.path, strings.Repeat("x", tt.size))
		if got := code(t, w); w.Code != tt.status || got != tt.code || h.tasks.changes != 0 {
			t.Errorf("%s %s with %d bytes: %d %s, %d changes", tt.method, tt.path, tt.size, w.Code, got, h.tasks.changes)
		}
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
func (brokenBody) Close() error             { return nil }

func TestBrokenBody(t *testing.T) {
	h := newHarness(newFakeTasks())
	r := httptest.NewRequest(http.MethodPost, base, brokenBody{})
	r.Header.Set("X-Auth-Token", project)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := code(t, w); w.Code != 400 || got != "OMS.0004" {
		t.Errorf("%d %s", w.Code, got)
	}
}

// Paths and methods that are not in the table.
func TestRouting(t *testing.T) {
	console := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"console"`)
	})
	h := newHarness(newFakeTasks(task(7, oms.StatusPaused)), func(o *Options) {
		o.Console, o.Metrics = console, console
	})
	tests := []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/v2/", 404, "APIGW.0101", ""},
		{"GET", base + "/", 404, "APIGW.0101", ""},
		{"GET", base + "/7/", 404, "APIGW.0101", ""},
		{"GET", "//v2/" + project + "/tasks", 404, "APIGW.0101", ""},
		{"GET", "/v2//" + project + "/tasks", 404, "APIGW.0101", ""},
		{"GET", "/v2/x/../" + project + "/tasks", 404, "APIGW.0101", ""},
		{"GET", "/v2/./" + project + "/tasks", 404, "APIGW.0101", ""},
		{"GET", "/v2/%2e%2e/tasks", 403, "OMS.0206", ""},
		{"GET", "/v2/" + project, 404, "APIGW.0101", ""},
		{"GET", "/v2/" + project + "/taskgroups/x/nothing", 404, "APIGW.0101", ""},
		{"GET", "/v1", 404, "OMS.1009", ""},
		{"GET", "/favicon.ico", 404, "OMS.1009", ""},
		{"GET", "/v3/nothing", 404, "APIGW.0101", ""},
		{"PUT", base, 405, "OMS.1008", "GET, POST"},
		{"HEAD", base, 405, "", "GET, POST"},
		{"GET", base + "/7/start", 405, "OMS.1008", "POST"},
		{"PUT", base + "/7/start", 405, "OMS.1008", "POST"},
		{"POST", base + "/7/bandwidth-policy", 405, "OMS.1008", "PUT"},
		{"GET", base + "/batch-update", 405, "OMS.1008", "POST"},
		{"POST", "/", 405, "OMS.1008", "GET"},
		{"POST", "/v2", 405, "OMS.1008", "GET"},
		{"POST", "/healthz", 405, "OMS.1008", "GET, HEAD"},
		{"OPTIONS", base, 405, "OMS.1008", "GET, POST"},
		{"GET", "/healthz", 200, "", ""},
		{"HEAD", "/healthz", 200, "", ""},
		{"GET", "/readyz", 200, "", ""},
		{"GET", "/metrics", 200, "", ""},
		{"GET", "/openapi.json", 200, "", ""},
		{"GET", "/console", 303, "", ""},
		{"GET", "/console/", 200, "", ""},
		{"GET", "/console/tasks/7", 200, "", ""},
		{"GET", "/v3/projects", 200, "", ""},
		{"GET", "/v3/auth/domains", 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w := h.do(tt.method, tt.path, "")
			got := ""
			if tt.method != http.MethodHead && tt.status != http.StatusSeeOther {
				got = code(t, w)
			}
			if w.Code != tt.status || got != tt.code || w.Header().Get("Allow") != tt.allow {
				t.Errorf("%d %q Allow %q, want %d %q %q", w.Code, got, w.Header().Get("Allow"), tt.status, tt.code, tt.allow)
			}
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("no request id")
			}
		})
	}
}

// Every path answers methods that it does not have with OMS.1008, before any credential is looked at.
func TestMethods(t *testing.T) {
	h := newHarness(newFakeTasks())
	allowed := map[string]string{}
	for _, rt := range routes() {
		path := pathOf(rt, project, "7")
		allowed[path] += " " + rt.method
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "FOO"} {
			if strings.Contains(methods, " "+method) {
				continue
			}
			if w := h.as("", method, path, ""); w.Code != 405 || code(t, w) != "OMS.1008" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
}

// A browser at the root finds the console, programs find the versions.
func TestRoot(t *testing.T) {
	get := func(accept string, console http.Handler) *httptest.ResponseRecorder {
		h := newHarness(newFakeTasks(), func(o *Options) { o.Console = console })
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	if w := get(browser, http.NotFoundHandler()); w.Code != 303 || w.Header().Get("Location") != "/console/" {
		t.Errorf("browser: %d to %q", w.Code, w.Header().Get("Location"))
	}
	for _, w := range []*httptest.ResponseRecorder{get("*/*", http.NotFoundHandler()), get(browser, nil)} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"v2"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

func TestNotReady(t *testing.T) {
	h := newHarness(newFakeTasks(), func(o *Options) {
		o.Ready = func(context.Context) error { return errOutage }
	})
	w := h.as("", "GET", "/readyz", "")
	if w.Code != 503 || w.Body.String() != `{"status":"unavailable"}` || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := h.as("", "GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
}

// The IAM calls that change or are refused are audited as well.
func TestIAMAudit(t *testing.T) {
	h := newHarness(newFakeTasks())
	h.as("", "POST", "/v3/auth/tokens", "{}")
	r := httptest.NewRequest(http.MethodPost, "/v3/auth/tokens", nil)
	r.Header.Set("X-Test-Password", "right")
	h.ServeHTTP(httptest.NewRecorder(), r)
	h.as("", "GET", "/v3/projects", "")
	want := []oms.AuditEntry{
		{Action: "iam POST tokens", Remote: "192.0.2.1", Result: "401"},
		{Action: "iam POST tokens", Remote: "192.0.2.1", Result: "ok"},
	}
	if diff := cmp.Diff(want, h.audit.entries); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// Rule S1: a route that does not say who may call it is not served.
func TestRouteWithoutRight(t *testing.T) {
	mustPanic := func(name string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	s := &service{auth: fakeAuth{}}
	for name, right := range map[string]auth.Route{
		"no class": {}, "no action": {Class: auth.Authenticated}, "unknown action": may("oms:task:everything"),
		"public with an action": {Class: auth.Public, Action: auth.TaskGet},
	} {
		mustPanic(name, func() { s.mux(Options{}, []route{{method: "GET", path: "/x", auth: right}}) })
	}
	mustPanic("no options", func() { New(Options{}) })
	s.mux(Options{}, routes()) // does not panic
}
