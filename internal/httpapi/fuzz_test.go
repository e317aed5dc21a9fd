package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// fuzzed sends a request and checks the answer: no panic, no 5xx, the shape of every answer.
func fuzzed(t *testing.T, h *harness, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := h.do(method, path, body)
	checkAnswer(t, w)
	if w.Code >= http.StatusInternalServerError {
		t.Fatalf("status %d: %s\n%s", w.Code, w.Body, h.logs)
	}
	if w.Code != http.StatusOK && h.tasks.changes != 0 {
		t.Errorf("status %d and %d changes", w.Code, h.tasks.changes)
	}
	return w
}

func addBodies(f *testing.F, bodies ...string) {
	f.Helper()
	for _, b := range append(bodies, "", "null", "[]", "{}", `{"a":`, "\xff", `{"src_node":null,"dst_node":null}`+"\n", strings.Repeat(`[`, 40)) {
		f.Add(b)
	}
}

func FuzzCreateTask(f *testing.F) {
	addBodies(f, create, `{"task_type":"prefix","src_node":{"region":"lab-a","ak":"a","sk":"b","bucket":"src","object_key":["\ud83d\ude00"]},"dst_node":{"region":"lab-b","ak":"c","sk":"d","bucket":"dst"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(newFakeTasks())
		if fuzzed(t, h, "POST", base, body).Code != http.StatusOK {
			return
		}
		spec := h.tasks.tasks[200429548242937].Spec
		// Rule D3: the names that are stored are those that were sent.
		var sent struct {
			Src struct {
				Keys []string `json:"object_key"`
			} `json:"src_node"`
		}
		var members map[string]map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &members) == nil && json.Unmarshal([]byte(body), &sent) == nil &&
			len(members) == 2 && !slices.Equal(sent.Src.Keys, spec.Src.Keys) {
			t.Errorf("keys %q, sent %q", spec.Src.Keys, sent.Src.Keys)
		}
		if len(spec.Src.Keys) == 0 || spec.Src.Endpoint.URL == "" || spec.Dst.Endpoint.URL == "" || spec.Src.Bucket == "" ||
			spec.Dst.Bucket == "" || h.tasks.keys.Src.IsZero() || h.tasks.keys.Dst.IsZero() {
			t.Errorf("incomplete task %+v", spec)
		}
		if err := oms.ValidateBandwidth(spec.Bandwidth); err != nil {
			t.Errorf("stored limits: %v", err)
		}
		fuzzed(t, newHarness(h.tasks), "GET", base+"/200429548242937", "")
	})
}

func FuzzStartTask(f *testing.F) {
	addBodies(f, start)
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
		if fuzzed(t, h, "POST", base+"/7/start", body).Code == http.StatusOK && (h.tasks.keys.Src.IsZero() || h.tasks.keys.Dst.IsZero()) {
			t.Error("started without keys")
		}
	})
}

func FuzzBandwidth(f *testing.F) {
	addBodies(f, `{"bandwidth_policy":[{"start":"08:00","end":"18:59","max_bandwidth":10485760},{"start":"19:00","end":"23:59","max_bandwidth":1048576}]}`, `{"bandwidth_policy":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(newFakeTasks(task(7, oms.StatusRunning)))
		fuzzed(t, h, "PUT", base+"/7/bandwidth-policy", body)
		if err := oms.ValidateBandwidth(h.tasks.tasks[7].Spec.Bandwidth); err != nil {
			t.Errorf("stored limits: %v", err)
		}
	})
}

func FuzzBatchUpdate(f *testing.F) {
	addBodies(f, `{"ids":[7],"bandwidth_policy":[],"task_priority":"LOW"}`, `{"group_id":"g","bandwidth_policy":[{"start":"08:00","end":"18:59","max_bandwidth":10485760}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
		fuzzed(t, h, "POST", base+"/batch-update", body)
		if u, err := decodeBatch([]byte(body)); err == nil && ((u.GroupID == "") == (len(u.IDs) == 0) || len(u.IDs) > maxBatch) {
			t.Errorf("accepted %+v", u)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"", "limit=10&offset=0&status=5&task_name=a%20b%2F%E4%B8%AD", "limit=0", "limit=%zz", "a;b", "after=%25FF&limit=1000", "task_name=%00", "limit=1&limit=2"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		for _, path := range []string{base, "/ext/v1/" + project + "/tasks/7/failures"} {
			h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = q
			r.Header.Set("X-Auth-Token", project)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			checkAnswer(t, w)
			if w.Code >= 500 {
				t.Fatalf("%q: status %d: %s", q, w.Code, h.logs)
			}
			if path == base && w.Code == http.StatusOK && (h.tasks.filter.Limit < 1 || h.tasks.filter.Limit > 100 || h.tasks.filter.Offset < 0) {
				t.Errorf("%q: filter %+v", q, h.tasks.filter)
			}
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/v2", base, base + "/7/start", base + "/7%2Fstart", "/v2/%2e%2e/tasks", "//", "/console/", "/ext/v1/x/tasks/0/failures", "/%00"} {
		f.Add("GET", p)
		f.Add("POST", p)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" {
			return
		}
		h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL = method, u
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 || w.Header().Get("X-Request-Id") == "" {
			t.Fatalf("%s %q: status %d: %s", method, path, w.Code, h.logs)
		}
		if h.tasks.changes != 0 {
			t.Errorf("%s %q changed something without a credential", method, path)
		}
	})
}
