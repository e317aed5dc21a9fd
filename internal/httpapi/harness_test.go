package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

var update = flag.Bool("update", false, "rewrite golden files and openapi.json")

// The tenants of the tests. A token is "project" or "project/role".
const (
	project = "0123456789abcdef"
	other   = "fedcba9876543210"
)

// testNow is the clock of the tests.
var testNow = time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)

// fakeTasks keeps tasks in memory and follows the same rules as the engine, through oms.Task.
type fakeTasks struct {
	mu       sync.Mutex
	tasks    map[int64]oms.Task
	failures map[int64][]oms.Failure
	keys     oms.TaskCredentials // of the latest create or start
	codes    []string            // of the latest retry
	looks    int                 // calls of Changed

	connected   oms.Connection             // the latest that was kept
	connections map[string]oms.Credentials // by project/name
	filter      oms.TaskFilter             // of the latest list
	changes     int                        // successful changes
	err         error                      // returned by every method when set
	panics      any

	schedules []oms.Schedule

	conflicts  map[int64][]oms.NameConflict
	assessment oms.Assessment
}

func newFakeTasks(tasks ...oms.Task) *fakeTasks {
	f := &fakeTasks{tasks: map[int64]oms.Task{}, failures: map[int64][]oms.Failure{}}
	for _, t := range tasks {
		f.tasks[t.ID] = t
	}
	f.schedules = []oms.Schedule{{ProjectID: project, Name: "s7", Cron: "@daily", Template: []byte("{}"), CreatedAt: testNow, UpdatedAt: testNow}}
	f.connected = oms.Connection{ProjectID: project, Name: "c7", CloudType: oms.CloudAWS}
	f.connections = map[string]oms.Credentials{project + "/c7": {AccessKey: "a", SecretKey: oms.NewSecret("s")}}
	return f
}

func (f *fakeTasks) enter() error {
	f.mu.Lock()
	if f.panics != nil {
		panic(f.panics)
	}
	return f.err
}

func (f *fakeTasks) Create(_ context.Context, t oms.Task, keys oms.TaskCredentials) (oms.Task, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return oms.Task{}, err
	}
	t.ID, t.Status = 200429548242937+int64(f.changes), oms.StatusWaiting
	t.Name = t.Spec.Src.Bucket + "-" + t.Spec.Dst.Bucket + "-1767225600000"
	f.tasks[t.ID], f.keys = t, keys
	f.changes++
	return t, nil
}

func (f *fakeTasks) NameConflicts(_ context.Context, _ string, id int64) ([]oms.NameConflict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conflicts[id], nil
}

func (f *fakeTasks) Assess(_ context.Context, project string, src oms.SourceNode, keys oms.Credentials) (oms.Assessment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys.Src = keys
	f.assessment = oms.Assessment{ID: "one", ProjectID: project, Status: oms.AssessmentRunning, Src: src, CreatedAt: testNow}
	return f.assessment, nil
}

func (f *fakeTasks) Assessment(_ context.Context, project, id string) (oms.Assessment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.assessment.ID != "" && (id != f.assessment.ID || project != f.assessment.ProjectID) {
		return oms.Assessment{}, oms.Errorf(oms.NotFound, "OMS.1009", "there is no such assessment")
	}
	return f.assessment, nil
}

func (f *fakeTasks) find(project string, id int64) (oms.Task, error) {
	t, ok := f.tasks[id]
	if !ok || t.ProjectID != project {
		return oms.Task{}, oms.Errorf(oms.NotFound, "OMS.1009", "The task does not exist.")
	}
	return t, nil
}

func (f *fakeTasks) Task(_ context.Context, project string, id int64) (oms.Task, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return oms.Task{}, err
	}
	return f.find(project, id)
}

func (f *fakeTasks) List(_ context.Context, filter oms.TaskFilter) ([]oms.Task, int64, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return nil, 0, err
	}
	f.filter = filter
	var match []oms.Task
	for _, t := range f.tasks {
		if t.ProjectID == filter.ProjectID && (filter.Status == 0 || t.Status == filter.Status) &&
			(filter.GroupID == "" || t.GroupID == filter.GroupID) && strings.Contains(t.Name, filter.Name) {
			match = append(match, t)
		}
	}
	slices.SortFunc(match, func(a, b oms.Task) int { return int(b.ID - a.ID) })
	from := min(filter.Offset, len(match))
	return match[from:min(from+filter.Limit, len(match))], int64(len(match)), nil
}

func (f *fakeTasks) change(project string, id int64, change func(oms.Task) (oms.Task, error)) error {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return err
	}
	t, err := f.find(project, id)
	if err != nil {
		return err
	}
	if t, err = change(t); err != nil {
		return err
	}
	f.tasks[id] = t
	f.changes++
	return nil
}

func (f *fakeTasks) Start(_ context.Context, project string, id int64, req oms.StartRequest) error {
	return f.change(project, id, func(t oms.Task) (oms.Task, error) {
		f.keys = req.Credentials
		return t.Apply(oms.Event{Type: oms.EventStart, FailedOnly: req.FailedOnly}, testNow)
	})
}

func (f *fakeTasks) Stop(_ context.Context, project string, id int64) error {
	return f.change(project, id, func(t oms.Task) (oms.Task, error) {
		return t.Apply(oms.Event{Type: oms.EventStop}, testNow)
	})
}

func (f *fakeTasks) Delete(_ context.Context, project string, id int64) error {
	err := f.change(project, id, func(t oms.Task) (oms.Task, error) { return t, t.CheckDelete() })
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.tasks, id)
	}
	return err
}

func (f *fakeTasks) SetBandwidth(_ context.Context, project string, id int64, ws []oms.BandwidthWindow) error {
	return f.change(project, id, func(t oms.Task) (oms.Task, error) {
		t.Spec.Bandwidth = ws
		return t, t.CheckBandwidth()
	})
}

func (f *fakeTasks) BatchUpdate(_ context.Context, project string, u oms.BatchUpdate) error {
	ids := u.IDs
	if u.GroupID != "" {
		f.mu.Lock()
		for id, t := range f.tasks {
			if t.GroupID == u.GroupID && t.ProjectID == project {
				ids = append(ids, id)
			}
		}
		f.mu.Unlock()
		if len(ids) == 0 {
			return oms.Errorf(oms.NotFound, "OMS.1009", "")
		}
	}
	for _, id := range ids {
		err := f.change(project, id, func(t oms.Task) (oms.Task, error) {
			t.Spec.Bandwidth = u.Bandwidth
			if err := t.CheckBandwidth(); err != nil {
				return t, err
			}
			if u.Priority == "" {
				return t, nil
			}
			t.Spec.Priority = u.Priority
			return t, t.CheckPriority()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeTasks) FindFailures(_ context.Context, project string, id int64, filter oms.FailureFilter) ([]oms.Failure, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return nil, err
	}
	if _, err := f.find(project, id); err != nil {
		return nil, err
	}
	var out []oms.Failure
	for _, failure := range f.failures[id] {
		if failure.Key > filter.After && len(out) < filter.Limit && chosen(failure, filter) {
			out = append(out, failure)
		}
	}
	return out, nil
}

func (f *fakeTasks) Changed(_ context.Context, project string, since time.Time) ([]oms.Task, error) {
	defer f.mu.Unlock()
	err := f.enter()
	f.looks++
	if err != nil {
		return nil, err
	}
	var list []oms.Task
	for _, t := range f.tasks {
		if t.ProjectID == project && (t.Status.Active() || !t.UpdatedAt.Before(since)) {
			list = append(list, t)
		}
	}
	return list, nil
}

func (f *fakeTasks) KeepConnection(_ context.Context, c oms.Connection, keys oms.Credentials) error {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return err
	}
	f.connected = c
	f.connections[c.ProjectID+"/"+c.Name] = keys
	f.changes++
	return nil
}

func (f *fakeTasks) Connections(_ context.Context, project string) (list []oms.Connection, err error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return nil, err
	}
	if _, ok := f.connections[project+"/"+f.connected.Name]; ok {
		list = append(list, f.connected)
	}
	return list, nil
}

func (f *fakeTasks) ResolveConnection(_ context.Context, project, name string) (oms.Connection, oms.Credentials, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return oms.Connection{}, oms.Credentials{}, err
	}
	if keys, ok := f.connections[project+"/"+name]; ok {
		return f.connected, keys, nil
	}
	return oms.Connection{}, oms.Credentials{}, oms.Errorf(oms.NotFound, "OMS.1009", "The connection does not exist.")
}

func (f *fakeTasks) DeleteConnection(ctx context.Context, project, name string) error {
	_, _, err := f.ResolveConnection(ctx, project, name)
	if err == nil {
		delete(f.connections, project+"/"+name)
	}
	return err
}

func (f *fakeTasks) KeepSchedule(_ context.Context, s oms.Schedule) error {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return err
	}
	s.CreatedAt, s.UpdatedAt, s.NextDue = testNow, testNow, testNow.Add(time.Hour)
	f.schedules = append(f.schedules, s)
	f.changes++
	return nil
}

func (f *fakeTasks) Schedules(_ context.Context, project string) (list []oms.Schedule, err error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return nil, err
	}
	for _, s := range f.schedules {
		if s.ProjectID == project {
			list = append(list, s)
		}
	}
	return list, nil
}

func (f *fakeTasks) Schedule(_ context.Context, project, name string) (oms.Schedule, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return oms.Schedule{}, err
	}
	for _, s := range f.schedules {
		if s.ProjectID == project && s.Name == name {
			return s, nil
		}
	}
	return oms.Schedule{}, oms.Errorf(oms.NotFound, "OMS.1009", "The schedule does not exist.")
}

func (f *fakeTasks) DeleteSchedule(ctx context.Context, project, name string) error {
	_, err := f.Schedule(ctx, project, name)
	if err == nil {
		f.schedules = slices.DeleteFunc(f.schedules, func(s oms.Schedule) bool { return s.ProjectID == project && s.Name == name })
	}
	return err
}

// chosen reports whether a failure has a code and prefix that the filter wants.
func chosen(failure oms.Failure, filter oms.FailureFilter) bool {
	return strings.HasPrefix(failure.Key, filter.Prefix) && (len(filter.Codes) == 0 || slices.Contains(filter.Codes, failure.Code))
}

func (f *fakeTasks) Causes(_ context.Context, project string, id int64, filter oms.FailureFilter) ([]oms.Cause, error) {
	defer f.mu.Unlock()
	if err := f.enter(); err != nil {
		return nil, err
	}
	if _, err := f.find(project, id); err != nil {
		return nil, err
	}
	var causes []oms.Cause
	for _, failure := range f.failures[id] {
		if !chosen(failure, filter) {
			continue
		}
		i := slices.IndexFunc(causes, func(c oms.Cause) bool { return c.Code == failure.Code })
		if i < 0 {
			i = len(causes)
			causes = append(causes, oms.Cause{Code: failure.Code, First: failure.At})
		}
		causes[i].Count, causes[i].Bytes, causes[i].Last = causes[i].Count+1, causes[i].Bytes+failure.Size, failure.At
		causes[i].Samples = append(causes[i].Samples, failure)
	}
	return causes, nil
}

func (f *fakeTasks) Retry(_ context.Context, project string, id int64, req oms.StartRequest) error {
	return f.change(project, id, func(t oms.Task) (oms.Task, error) {
		f.keys, f.codes = req.Credentials, req.Codes
		return t.Apply(oms.Event{Type: oms.EventStart, FailedOnly: true, Codes: append([]string{"all"}, req.Codes...)}, testNow)
	})
}

// fakeAuth admits the token "project" or "project/role" and authorises for real.
type fakeAuth struct{}

func (fakeAuth) Admit(_ context.Context, r *http.Request, _ []byte, route auth.Route, project string) (auth.Identity, error) {
	if route.Class == auth.Public {
		return auth.Identity{}, nil
	}
	token, role, hasRole := strings.Cut(r.Header.Get("X-Auth-Token"), "/")
	if token == "" {
		return auth.Identity{}, oms.Errorf(oms.Denied, auth.CodeUnauthenticated, "Incorrect IAM authentication information: no credential was sent")
	}
	id := auth.Identity{ProjectID: token, UserName: "alice", Role: auth.RoleWriter, Credential: auth.TokenCredential}
	if hasRole {
		id.Role = auth.Role(role)
	}
	return id, auth.Authorize(id, route.Action, project)
}

func (fakeAuth) ServeTokens(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Test-Password") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (fakeAuth) ServeProjects(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func (fakeAuth) ServeDomains(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

// fakeAudit remembers entries.
type fakeAudit struct {
	mu      sync.Mutex
	entries []oms.AuditEntry
	err     error
}

func (f *fakeAudit) Append(_ context.Context, e oms.AuditEntry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, e)
	return f.err
}

// fakeRegions knows "lab-a" of every cloud but Qiniu, and "lab-b" at another endpoint.
type fakeRegions struct{}

func (fakeRegions) Resolve(cloud oms.CloudType, region string) (oms.Endpoint, bool) {
	switch {
	case cloud == oms.CloudQiniu:
	case region == "lab-a":
		return oms.Endpoint{URL: "http://127.0.0.1:9000", Region: region, PathStyle: true, Trusted: true}, true
	case region == "lab-b":
		return oms.Endpoint{URL: "http://127.0.0.1:9001", Region: region, PathStyle: true, Trusted: true}, true
	}
	return oms.Endpoint{}, false
}

// harness is a handler with fakes behind it.
type harness struct {
	http.Handler
	tasks  *fakeTasks
	groups *fakeGroups
	audit  *fakeAudit
	logs   *bytes.Buffer
}

// newHarness returns a handler that serves tasks; configure may change the options.
func newHarness(tasks *fakeTasks, configure ...func(*Options)) *harness {
	h := &harness{tasks: tasks, groups: newFakeGroups(group("7", oms.GroupMonitoring)), audit: &fakeAudit{}, logs: &bytes.Buffer{}}
	opts := Options{
		Tasks: tasks, Syncs: newFakeSyncs(), Groups: h.groups, Regions: fakeRegions{}, Buckets: &fakeBuckets{}, Auth: fakeAuth{}, Audit: h.audit, Objects: &fakeObjects{tasks: tasks},
		Logger: slog.New(slog.NewJSONHandler(&lockedWriter{w: h.logs}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clock:  func() time.Time { return testNow },
		Rate:   RateLimit{PerSecond: -1},
	}
	for _, c := range configure {
		c(&opts)
	}
	h.Handler = New(opts)
	return h
}

// lockedWriter lets handlers log at the same time.
type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// do sends a request with the token of project.
func (h *harness) do(method, path, body string) *httptest.ResponseRecorder {
	return h.as(project, method, path, body)
}

// as sends a request with a token; "" sends none.
func (h *harness) as(token, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if method == http.MethodGet && strings.HasSuffix(path, "/events") { // who leaves at once is sent the first events only
		gone, leave := context.WithCancel(r.Context())
		leave()
		r = r.WithContext(gone)
	}
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// checkAnswer checks what every answer must have: an id, JSON where there is a body, and the error shape.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Header().Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	body := w.Body.Bytes()
	if len(body) == 0 {
		if w.Code >= 400 {
			t.Errorf("status %d with an empty body", w.Code)
		}
		return
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
	if !json.Valid(body) {
		t.Errorf("body is not JSON: %s", body)
	}
	if w.Code < 400 {
		return
	}
	var e struct {
		Code *string `json:"error_code"`
		Msg  *string `json:"error_msg"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Code == nil || *e.Code == "" || e.Msg == nil || *e.Msg == "" {
		t.Errorf("error body %s: code and message must be non-empty strings", body)
	}
}

// code returns the error code of an answer, "" for success.
func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	checkAnswer(t, w)
	if w.Code < 400 {
		return ""
	}
	var e struct {
		Code string `json:"error_code"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("decode error: %v", err)
	}
	return e.Code
}

// golden compares got with testdata/golden/name, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read golden file (run with -update to make it): %v", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("answer differs from %s (-want +got):\n%s", file, diff)
	}
}

// indented returns JSON with one member per line, in the order it was sent.
func indented(t *testing.T, body []byte) []byte {
	t.Helper()
	if len(body) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		t.Fatalf("body is not JSON: %v: %s", err, body)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// task returns a task of project in the state.
func task(id int64, status oms.Status) oms.Task {
	return oms.Task{
		ID: id, ProjectID: project, Name: "photos-backup-1767225600000", GroupType: oms.GroupNormal, Status: status,
		Spec: oms.TaskSpec{
			Type: oms.TypeObject,
			Src: oms.SourceNode{
				CloudType: oms.CloudAWS, Region: "lab-a", Bucket: "photos", Keys: []string{"2024/", "a.jpg"},
				Endpoint: oms.Endpoint{URL: "http://127.0.0.1:9000"},
			},
			Dst:            oms.DestinationNode{CloudType: oms.CloudHEC, Region: "lab-b", Bucket: "backup", SavePrefix: "aws/"},
			RecordFailures: true, Overwrite: oms.OverwriteIfDifferent, StoragePolicy: oms.StorageStandard,
			Consistency: oms.CheckSizeModified, Priority: oms.PriorityMedium,
		},
		CreatedAt: testNow.Add(-time.Hour), StartedAt: testNow.Add(-10 * time.Second),
	}
}

// documented is the task of the example of OMS v2, 4.5.
func documented() oms.Task {
	return oms.Task{
		ID: 200477729979132, ProjectID: project, Name: "a-test-1-api-1589267678", GroupType: oms.GroupNormal,
		Status: oms.StatusSucceeded, QueryOver: true,
		Counters: oms.Counters{
			Listed: 2, Migrated: 2, ListedBytes: 2223728, MigratedBytes: 2223728, MovedBytes: 2223728,
		},
		StartedAt: time.UnixMilli(1589267678170).UTC(), RunFor: 31111 * time.Millisecond,
		Spec: oms.TaskSpec{
			Type:           oms.TypeObject,
			Src:            oms.SourceNode{CloudType: oms.CloudHuawei, Region: "cn-north-7", Bucket: "a-test-1", Keys: []string{"01.png", "list.txt"}},
			Dst:            oms.DestinationNode{Region: "cn-north-7", Bucket: "api-test"},
			RecordFailures: true, Overwrite: oms.OverwriteIfDifferent, StoragePolicy: oms.StorageStandard,
			Consistency: oms.CheckSizeModified, Priority: oms.PriorityMedium,
		},
	}
}

// errOutage is what a store that is away looks like.
var errOutage = &oms.Error{Op: "commit", Kind: oms.Transient, Err: errors.New("dial tcp 10.0.0.5:5432: connection refused")}
