package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

func objectDocs() map[string]operationDoc {
	return map[string]operationDoc{
		"ShowTaskOutcomes": {
			summary:  "Tells of the object lists of a task, and of metadata that was not carried (extension).",
			response: omsv2.ShowTaskOutcomesResponse{},
		},
		"ListTaskObjects": {
			summary:  "Lists objects of a task by what became of them, with the keys that the task has (extension).",
			response: omsv2.ListTaskObjectsResponse{},
			query: []parameter{
				{"outcome", "What became of the objects; default success.", map[string]any{"type": "string", "enum": []string{"success", "skipped", "failed", "metadata"}}},
				{"prefix", "Only objects whose names start with this.", map[string]any{"type": "string", "maxLength": 1024}},
				{"after", "Value of next of the page before.", map[string]any{"type": "string"}},
				{"limit", "Page size.", number(1, 1000, 100)},
			},
		},
		"QueryTaskObjects": {
			summary: "Lists objects of a task by what became of them, with keys of the destination (extension).",
			request: omsv2.QueryTaskObjectsRequest{}, response: omsv2.ListTaskObjectsResponse{},
		},
	}
}

// fakeObjects answers with what it was asked.
type fakeObjects struct {
	tasks *fakeTasks // knows the tasks; nil: there is task 1
	query oms.ObjectQuery
	page  oms.ObjectPage
	lists oms.TaskLists
}

func (f *fakeObjects) Objects(ctx context.Context, project string, id int64, q oms.ObjectQuery) (oms.ObjectPage, error) {
	if err := f.find(ctx, project, id); err != nil {
		return oms.ObjectPage{}, err
	}
	f.query = q
	return f.page, nil
}

func (f *fakeObjects) Lists(ctx context.Context, project string, id int64) (oms.TaskLists, error) {
	return f.lists, f.find(ctx, project, id)
}

func (f *fakeObjects) find(ctx context.Context, project string, id int64) error {
	if f.tasks != nil {
		_, err := f.tasks.Task(ctx, project, id)
		return err
	}
	if id != 1 {
		return oms.Errorf(oms.NotFound, "OMS.1009", "there is no task %d", id)
	}
	return nil
}

func TestTaskObjects(t *testing.T) {
	t.Parallel()
	fake := &fakeObjects{
		page: oms.ObjectPage{Objects: []oms.ObjectOutcome{
			{Key: "a\xff", Size: 3, Modified: 5, Detail: "tags"},
			{Key: "b", Failure: &oms.Failure{Code: oms.FailGet, Message: "gone", At: 7}},
		}, Next: "1.2"},
		lists: oms.TaskLists{
			Bucket: "backup", Folders: map[oms.ListKind]string{oms.ListSkip: "oms/task/t/skip_object_lists/"},
			Lists:     []oms.ObjectList{{Kind: oms.ListSkip, Entries: 2, Size: 9, Code: "OMS.0304", Files: []oms.ObjectListFile{{Key: "k", Entries: 1, Size: 4}}}},
			Uncarried: oms.UncarriedCounts{1, 0, 0, 1},
		},
	}
	h := newHarness(newFakeTasks(), func(o *Options) { o.Objects = fake })
	const base = "/ext/v1/" + project + "/tasks/1"
	const want = `{"objects":[{"key":"a\ufffd","key_encoded":"a%FF","size":3,"last_modified":5,"uncarried":"tags"},` +
		`{"key":"b","size":0,"code":"GET_SRC_OBJ_FAILURE","message":"gone","time":7}],"next":"1.2"}`
	for _, c := range []struct {
		method, path, body, answer, code string
		query                            oms.ObjectQuery
	}{
		{
			method: http.MethodGet, path: "/objects?outcome=skipped&prefix=p&after=1.1&limit=5", answer: want,
			query: oms.ObjectQuery{Kind: oms.ListSkip, Prefix: "p", After: "1.1", Limit: 5},
		},
		{
			method: http.MethodPost, path: "/objects/query", body: `{"outcome":"metadata","limit":9,"dst_ak":"ak","dst_sk":"sk"}`, answer: want,
			query: oms.ObjectQuery{Kind: oms.ListMetadata, Limit: 9, Keys: oms.Credentials{AccessKey: "ak", SecretKey: oms.NewSecret("sk")}},
		},
		{method: http.MethodGet, path: "/objects", answer: want, query: oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 100}},
		{method: http.MethodGet, path: "/objects?outcome=all", code: "OMS.1003"},
		{method: http.MethodGet, path: "/objects?outcome=success&limit=0", code: "OMS.1003"},
		{method: http.MethodPost, path: "/objects/query", body: `{"outcome":"x"}`, code: "OMS.1003"},
		{method: http.MethodPost, path: "/objects/query", body: `{}`, code: "OMS.1004"},
		{
			method: http.MethodGet, path: "/outcomes", answer: `{"bucket":"backup","lists":[{"outcome":"skipped","entries":2,"size":9,"error_code":"OMS.0304",` +
				`"folder":"oms/task/t/skip_object_lists/","files":[{"key":"k","entries":1,"size":4}]}],"uncarried":[{"kind":"objects","objects":1},{"kind":"tags","objects":1}]}`,
		},
	} {
		fake.query = oms.ObjectQuery{}
		w := h.do(c.method, base+c.path, c.body)
		if got := code(t, w); got != c.code {
			t.Errorf("%s %s: code %q, want %q", c.method, c.path, got, c.code)
		}
		if c.code != "" {
			continue
		}
		if got := strings.TrimSpace(w.Body.String()); got != c.answer {
			t.Errorf("%s %s: got %s, want %s", c.method, c.path, got, c.answer)
		}
		if fake.query.Keys.SecretKey.Reveal() != c.query.Keys.SecretKey.Reveal() {
			t.Errorf("%s %s asks with another secret key", c.method, c.path)
		}
		fake.query.Keys.SecretKey, c.query.Keys.SecretKey = oms.Secret{}, oms.Secret{}
		fake.query.Keys.SecurityToken = oms.Secret{}
		if fake.query != c.query {
			t.Errorf("%s %s asks for %+v, want %+v", c.method, c.path, fake.query, c.query)
		}
	}
	if got := code(t, h.do(http.MethodGet, "/ext/v1/"+project+"/tasks/2/objects?outcome=success", "")); got != "OMS.1009" {
		t.Errorf("unknown task: %s", got)
	}
	for _, rt := range objectRoutes() {
		if rt.auth.Action != auth.ExtensionGet {
			t.Errorf("%s needs %s", rt.name, rt.auth.Action)
		}
	}
}

// A service may write the lists of migrated and skipped objects for all tasks but those that ask for none, or the other
// way round.
func TestCreateWithObjectLists(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		off    bool
		member string
		want   bool
	}{
		{false, "", true},
		{false, `,"enable_object_lists":false`, false},
		{true, "", false},
		{true, `,"enable_object_lists":true`, true},
	} {
		tasks := newFakeTasks()
		h := newHarness(tasks, func(o *Options) { o.NoObjectLists = c.off })
		body := `{"src_node":{"cloud_type":"AWS","region":"lab-a","ak":"a","sk":"b","bucket":"src-bucket","object_key":[""]},` +
			`"dst_node":{"region":"lab-b","ak":"a","sk":"b","bucket":"dst-bucket"}` + c.member + `}`
		w := h.do(http.MethodPost, "/v2/"+project+"/tasks", body)
		if got := code(t, w); got != "" {
			t.Fatalf("create: %s %s", got, w.Body)
		}
		for _, task := range tasks.tasks {
			if task.Spec.RecordObjects != c.want {
				t.Errorf("with %+v the lists are %t", c, task.Spec.RecordObjects)
			}
		}
	}
}
