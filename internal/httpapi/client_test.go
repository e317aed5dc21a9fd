package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/httpapi"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
	"github.com/openoms/openoms/omsv2"
)

// noConnections is a service without connections: these tests call none.
type (
	connectionService = httpapi.Connections
	noConnections     struct{ connectionService }
	scheduleService   = httpapi.Schedules
	noSchedules       struct{ scheduleService }
)

// oneTask is a service with one task that follows the rules of the domain.
type oneTask struct {
	noConnections
	noSchedules

	mu       sync.Mutex
	task     *oms.Task
	failures []oms.Failure
	retried  oms.StartRequest // the latest
}

func (*oneTask) Assess(context.Context, string, oms.SourceNode, oms.Credentials) (oms.Assessment, error) {
	return oms.Assessment{}, nil
}

func (*oneTask) Assessment(context.Context, string, string) (oms.Assessment, error) {
	return oms.Assessment{}, nil
}

func (*oneTask) NameConflicts(context.Context, string, int64) ([]oms.NameConflict, error) {
	return nil, nil
}

func (o *oneTask) find(project string, id int64) error {
	if o.task == nil || o.task.ID != id || o.task.ProjectID != project {
		return oms.Errorf(oms.NotFound, "OMS.1009", "The task does not exist.")
	}
	return nil
}

func (o *oneTask) apply(project string, id int64, ev oms.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(project, id); err != nil {
		return err
	}
	t, err := o.task.Apply(ev, time.Now())
	o.task = &t
	return err
}

func (o *oneTask) Create(_ context.Context, t oms.Task, _ oms.TaskCredentials) (oms.Task, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.ID, t.Name, t.Status = 200429548242937, t.Spec.Src.Bucket+"-"+t.Spec.Dst.Bucket+"-1", oms.StatusWaiting
	o.task = &t
	return t, nil
}

func (o *oneTask) Task(_ context.Context, project string, id int64) (oms.Task, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(project, id); err != nil {
		return oms.Task{}, err
	}
	return *o.task, nil
}

func (o *oneTask) List(_ context.Context, f oms.TaskFilter) ([]oms.Task, int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.task == nil || o.task.ProjectID != f.ProjectID || !strings.Contains(o.task.Name, f.Name) {
		return nil, 0, nil
	}
	return []oms.Task{*o.task}, 1, nil
}

func (o *oneTask) Start(_ context.Context, project string, id int64, req oms.StartRequest) error {
	return o.apply(project, id, oms.Event{Type: oms.EventStart, FailedOnly: req.FailedOnly})
}

func (o *oneTask) Stop(_ context.Context, project string, id int64) error {
	return o.apply(project, id, oms.Event{Type: oms.EventStop})
}

func (o *oneTask) Delete(_ context.Context, project string, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(project, id); err != nil {
		return err
	}
	if err := o.task.CheckDelete(); err != nil {
		return err
	}
	o.task = nil
	return nil
}

func (o *oneTask) SetBandwidth(_ context.Context, project string, id int64, ws []oms.BandwidthWindow) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.find(project, id); err != nil {
		return err
	}
	o.task.Spec.Bandwidth = ws
	return o.task.CheckBandwidth()
}

func (o *oneTask) BatchUpdate(ctx context.Context, project string, u oms.BatchUpdate) error {
	for _, id := range u.IDs {
		if err := o.SetBandwidth(ctx, project, id, u.Bandwidth); err != nil {
			return err
		}
		o.task.Spec.Priority = u.Priority
	}
	return nil
}

func (o *oneTask) FindFailures(_ context.Context, _ string, _ int64, filter oms.FailureFilter) ([]oms.Failure, error) {
	var out []oms.Failure
	for _, f := range o.failures {
		if f.Key > filter.After && len(out) < filter.Limit {
			out = append(out, f)
		}
	}
	return out, nil
}

func (o *oneTask) Causes(_ context.Context, _ string, _ int64, filter oms.FailureFilter) ([]oms.Cause, error) {
	c := oms.Cause{Code: filter.Codes[0], Count: int64(len(o.failures)), Bytes: 5, First: 6, Last: 7, Samples: o.failures[:1]}
	return []oms.Cause{c}, nil
}

func (o *oneTask) Changed(context.Context, string, time.Time) ([]oms.Task, error) { return nil, nil }

func (o *oneTask) Retry(_ context.Context, project string, id int64, req oms.StartRequest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.retried = req
	return o.find(project, id)
}

type anyRegion struct{}

func (anyRegion) Resolve(_ oms.CloudType, region string) (oms.Endpoint, bool) {
	return oms.Endpoint{URL: "https://" + region + ".example.org", Region: region}, true
}

// noGroups is a service without groups: these tests call none.
type (
	groupService = httpapi.Groups
	noGroups     struct{ groupService }
)

type noSyncs struct{ httpapi.Syncs }

type noBuckets struct{ httpapi.Buckets }

type noAudit struct{}

func (noAudit) Append(context.Context, oms.AuditEntry) error { return nil }

// newService serves the API with real identities in a real database, and returns its first credentials.
func newService(t *testing.T, tasks httpapi.Tasks) (endpoint string, first auth.Initial) {
	t.Helper()
	dir := t.TempDir()
	store, err := db.Open(t.Context(), db.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	sealer, err := seal.New(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	identities := auth.New(auth.Options{Store: store, Sealer: sealer})
	_, first, err = identities.Bootstrap(t.Context(), auth.Initial{}, filepath.Join(dir, "bootstrap.env"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(httpapi.New(httpapi.Options{
		Tasks: tasks, Syncs: noSyncs{}, Groups: noGroups{}, Regions: anyRegion{}, Buckets: noBuckets{}, Auth: identities, Audit: noAudit{}, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(srv.Close)
	return srv.URL, first
}

func newTask() *omsv2.CreateTaskRequest {
	return &omsv2.CreateTaskRequest{
		TaskType: "prefix",
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: "AWS", Region: "us-east-1", AK: "ak", SK: "sk", Bucket: "photos", ObjectKey: []string{"a <b>&c/中"},
		},
		DstNode: &omsv2.DestinationNodeRequest{Region: "cn-north-4", AK: "ak", SK: "sk", Bucket: "backup"},
	}
}

// The whole life of a task through the client, each request signed and verified (OMS v2, 9).
func TestClient(t *testing.T) {
	ctx := t.Context()
	tasks := &oneTask{failures: []oms.Failure{
		{Key: "a\xff/%", Code: oms.FailGet, At: 5}, {Key: "b", Code: oms.FailGet, Message: "gone", Size: 3, At: 6},
	}}
	endpoint, first := newService(t, tasks)
	c := &omsv2.Client{Endpoint: endpoint, ProjectID: first.ProjectID, AccessKey: first.AK, SecretKey: omsv2.Secret(first.SK.Reveal())}

	versions, err := c.ListAPIVersions(ctx)
	if err != nil || len(versions.Versions) != 1 || versions.Versions[0].Links[0].Href != endpoint+"/v2/" {
		t.Fatalf("ListAPIVersions = %+v, %v", versions, err)
	}
	if v, err := c.ShowAPIInfo(ctx, "v2"); err != nil || v.Status != "CURRENT" {
		t.Fatalf("ShowAPIInfo = %+v, %v", v, err)
	}
	created, err := c.CreateTask(ctx, newTask())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.ShowTask(ctx, created.ID)
	if err != nil || shown.Name != created.TaskName || shown.Status != omsv2.StatusWaiting {
		t.Fatalf("ShowTask = %+v, %v", shown, err)
	}
	if diff := cmp.Diff([]string{"a <b>&c/中"}, shown.SrcNode.ObjectKey); diff != "" {
		t.Errorf("object_key (-want +got):\n%s", diff)
	}
	page, err := c.ListTasks(ctx, omsv2.ListTasksOptions{Name: "photos-backup", Limit: 5, Status: omsv2.StatusWaiting, GroupID: "g", Offset: 1})
	if err != nil || page.Count != 1 || len(page.Tasks) != 1 {
		t.Fatalf("ListTasks = %+v, %v", page, err)
	}
	policy := []omsv2.BandwidthPolicy{{Start: "08:00", End: "18:59", MaxBandwidth: 10 << 20}}
	for range 2 { // equal calls in one second are two calls
		if err := c.UpdateBandwidthPolicy(ctx, created.ID, policy); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.BatchUpdateTasks(ctx, &omsv2.BatchUpdateTasksRequest{IDs: []int64{created.ID}, TaskPriority: "HIGH"}); err != nil {
		t.Fatal(err)
	}
	if shown, err = c.ShowTask(ctx, created.ID); err != nil || shown.TaskPriority != "HIGH" || len(shown.BandwidthPolicy) != 0 {
		t.Fatalf("after the batch: %+v, %v", shown, err)
	}

	wantCode := func(err error, code string) {
		t.Helper()
		e, ok := errors.AsType[*omsv2.Error](err)
		if !ok || e.Code != code || e.StatusCode != http.StatusBadRequest || len(e.RequestID) != 32 || e.Message == "" {
			t.Errorf("error %v, want %s", err, code)
		}
	}
	wantCode(c.StopTask(ctx, created.ID), "OMS.0066")
	if err := tasks.apply(first.ProjectID, created.ID, oms.Event{Type: oms.EventSchedule}); err != nil {
		t.Fatal(err)
	}
	wantCode(c.DeleteTask(ctx, created.ID), "OMS.0063")
	if err := c.StopTask(ctx, created.ID); err != nil {
		t.Fatal(err)
	}
	if err := tasks.apply(first.ProjectID, created.ID, oms.Event{Type: oms.EventPaused}); err != nil {
		t.Fatal(err)
	}
	keys := &omsv2.StartTaskRequest{SrcAK: "ak", SrcSK: "sk", DstAK: "ak", DstSK: "sk"}
	if err := c.StartTask(ctx, created.ID, keys); err != nil {
		t.Fatal(err)
	}
	wantCode(c.StartTask(ctx, created.ID, keys), "OMS.0065")

	failures, err := c.ListFailures(ctx, created.ID, omsv2.ListFailuresOptions{Limit: 1})
	if err != nil || len(failures.Failures) != 1 || failures.Failures[0].Key != "a\xff/%" {
		t.Fatalf("ListFailures = %+v, %v", failures, err)
	}
	failures, err = c.ListFailures(ctx, created.ID, omsv2.ListFailuresOptions{After: failures.Next})
	want := &omsv2.ListFailuresResponse{Failures: []omsv2.Failure{{Key: "b", Size: 3, Code: oms.FailGet, Message: "gone", Time: 6}}}
	if diff := cmp.Diff(want, failures); err != nil || diff != "" {
		t.Errorf("second page: %v (-want +got):\n%s", err, diff)
	}
	causes, err := c.ListFailureCauses(ctx, created.ID, omsv2.ListFailuresOptions{Codes: []string{oms.FailGet}})
	wantCauses := []omsv2.FailureCause{{
		Code: oms.FailGet, Count: 2, Bytes: 5, FirstTime: 6, LastTime: 7, Hint: oms.FailureHint(oms.FailGet),
		Samples: []omsv2.Failure{{Key: "a\xff/%", KeyEncoded: "a%FF%2F%25", Code: oms.FailGet, Time: 5}},
	}}
	if diff := cmp.Diff(wantCauses, causes); err != nil || diff != "" {
		t.Errorf("causes: %v (-want +got):\n%s", err, diff)
	}
	err = c.RetryTask(ctx, created.ID, &omsv2.RetryTaskRequest{Codes: []string{oms.FailGet}, SrcAK: "ak", SrcSK: "sk", DstAK: "ak", DstSK: "sk"})
	if err != nil || !slices.Equal(tasks.retried.Codes, []string{oms.FailGet}) || tasks.retried.Credentials.Dst.AccessKey != "ak" || !tasks.retried.FailedOnly {
		t.Errorf("retried with %+v, %v", tasks.retried, err)
	}
	if err := c.DeleteTask(ctx, created.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.ShowTask(ctx, created.ID)
	wantCode(err, "OMS.1009")
}

// Signatures and tokens of the wrong kind.
func TestClientRefused(t *testing.T) {
	endpoint, first := newService(t, &oneTask{})
	sk := omsv2.Secret(first.SK.Reveal())
	good := omsv2.Client{Endpoint: endpoint, ProjectID: first.ProjectID, AccessKey: first.AK, SecretKey: sk}
	tests := []struct {
		name   string
		change func(*omsv2.Client)
		status int
		code   string
	}{
		{"wrong key", func(c *omsv2.Client) { c.SecretKey = "wrong" }, 401, "APIGW.0301"},
		{"unknown access key", func(c *omsv2.Client) { c.AccessKey = "NOBODY" }, 401, "APIGW.0301"},
		{"clock", func(c *omsv2.Client) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } }, 401, "APIGW.0301"},
		{"no credential", func(c *omsv2.Client) { c.AccessKey = "" }, 401, "APIGW.0301"},
		{"wrong token", func(c *omsv2.Client) { c.AccessKey, c.Token = "", "wrong" }, 401, "APIGW.0301"},
		{"security token that is not ours", func(c *omsv2.Client) { c.SecurityToken = "x" }, 401, "APIGW.0301"},
		{"foreign project", func(c *omsv2.Client) { c.ProjectID = strings.Repeat("0", 32) }, 401, "APIGW.0301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			_, err := c.ListTasks(t.Context(), omsv2.ListTasksOptions{})
			if e, ok := errors.AsType[*omsv2.Error](err); !ok || e.StatusCode != tt.status || e.Code != tt.code {
				t.Errorf("error %v, want %d %s", err, tt.status, tt.code)
			}
		})
	}
}

// A token of POST /v3/auth/tokens opens the API, and IAM answers carry a request id.
func TestClientToken(t *testing.T) {
	endpoint, first := newService(t, &oneTask{})
	login := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{
			"name": "admin", "password": first.Password.Reveal(), "domain": map[string]any{"name": "openoms"},
		}}},
		"scope": map[string]any{"project": map[string]any{"id": first.ProjectID}},
	}}
	body, err := json.Marshal(login)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(endpoint+"/v3/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("X-Request-Id") == "" {
		t.Fatalf("token: %d %s", resp.StatusCode, answer)
	}
	c := &omsv2.Client{Endpoint: endpoint, ProjectID: first.ProjectID, Token: omsv2.Secret(resp.Header.Get("X-Subject-Token"))}
	if _, err := c.CreateTask(t.Context(), newTask()); err != nil {
		t.Error(err)
	}
}

// What the vendor's Go SDK sends and expects (OMS v2, 1.3): a body that ends with a line feed, numbers that are
// numbers, success without content as an empty body.
func TestVendorConventions(t *testing.T) {
	endpoint, first := newService(t, &oneTask{})
	c := &omsv2.Client{Endpoint: endpoint, ProjectID: first.ProjectID, AccessKey: first.AK, SecretKey: omsv2.Secret(first.SK.Reveal())}
	var answers []string
	c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if len(body) > 0 && resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: Content-Type %q", r.URL.Path, resp.Header.Get("Content-Type"))
		}
		if resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", r.URL.Path)
		}
		answers = append(answers, string(body))
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, err
	})}
	created, err := c.CreateTask(t.Context(), newTask())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UpdateBandwidthPolicy(t.Context(), created.ID, nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":200429548242937,"task_name":"photos-backup-1"}`; answers[0] != want || answers[1] != "" {
		t.Errorf("answers %q, want %q and an empty one", answers, want)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
