package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

// Size limits of request bodies in bytes (rule S8). A CreateTask with 500 names of 1,024 characters each, all
// of them escaped as \uXXXX, is allowed by the contract and needs 3 MiB.
const (
	noBody     = 64 << 10 // operations that ignore their body
	normalBody = 1 << 20
	createBody = 4 << 20
)

// rootPath is the list of versions, and where browsers arrive.
const rootPath = "/{$}"

// route is one operation of the API.
type route struct {
	method, path string // path in the syntax of http.ServeMux
	name         string // operation name of the contract; the audit log uses it
	auth         auth.Route
	maxBody      int64
	serve        func(*service, context.Context, *call) (any, error) // nil answer: empty body; a streamer sends its own
}

// call is one admitted request.
type call struct {
	r       *http.Request
	id      auth.Identity
	project string // of the path; equal to the identity's
	body    []byte
	object  string // what it is about, for the audit log

	recorded bool // the operation has written its own entry of the audit log
}

// may declares a route for callers with the right to the action.
func may(action auth.Action) auth.Route { return auth.Route{Class: auth.Authenticated, Action: action} }

// routes returns the operations of the API: who may call what (rule S1).
func routes() []route {
	const (
		tasks = "/v2/{project_id}/tasks"
		task  = tasks + "/{task_id}"
	)
	public := auth.Route{Class: auth.Public}
	operations := []route{
		{http.MethodGet, rootPath, "ListApiVersions", public, noBody, (*service).listVersions},
		{http.MethodGet, "/{version}", "ShowApiInfo", public, noBody, (*service).showVersion},
		{http.MethodGet, tasks, "ListTasks", may(auth.TaskList), noBody, (*service).listTasks},
		{http.MethodPost, tasks, "CreateTask", may(auth.TaskCreate), createBody, (*service).createTask},
		{http.MethodGet, task, "ShowTask", may(auth.TaskGet), noBody, (*service).showTask},
		{http.MethodDelete, task, "DeleteTask", may(auth.TaskDelete), noBody, (*service).deleteTask},
		{http.MethodPost, task + "/start", "StartTask", may(auth.TaskUpdate), normalBody, (*service).startTask},
		{http.MethodPost, task + "/stop", "StopTask", may(auth.TaskUpdate), noBody, (*service).stopTask},
		{http.MethodPut, task + "/bandwidth-policy", "UpdateBandwidthPolicy", may(auth.TaskUpdate), normalBody, (*service).updateBandwidth},
		{http.MethodPost, tasks + "/batch-update", "BatchUpdateTasks", may(auth.TaskUpdate), normalBody, (*service).batchUpdate},
		{http.MethodPost, "/ext/v1/{project_id}/assessments", "CreateAssessment", may(auth.TaskCreate), createBody, (*service).createAssessment},
		{http.MethodGet, "/ext/v1/{project_id}/assessments/{assessment_id}", "ShowAssessment", may(auth.TaskGet), noBody, (*service).showAssessment},
		{http.MethodPost, "/ext/v1/{project_id}/tasks", "CreateExtendedTask", may(auth.TaskCreate), createBody, (*service).createExtendedTask},
		{http.MethodGet, "/ext/v1/{project_id}/tasks/{task_id}", "ShowExtendedTask", may(auth.TaskGet), noBody, (*service).showExtendedTask},
		{http.MethodGet, "/ext/v1/{project_id}/tasks/{task_id}/failures", "ListFailures", may(auth.ExtensionGet), noBody, (*service).listFailures},
		{http.MethodGet, "/ext/v1/{project_id}/tasks/{task_id}/events", "WatchTask", may(auth.ExtensionGet), noBody, (*service).watchTask},
		{http.MethodGet, "/ext/v1/{project_id}/events", "WatchTasks", may(auth.ExtensionGet), noBody, (*service).watchTasks},
		{http.MethodPost, "/ext/v1/{project_id}/tasks/{task_id}/retry", "RetryTask", may(auth.TaskUpdate), normalBody, (*service).retryTask},
		{http.MethodGet, "/ext/v1/{project_id}/concurrency", "ListLanes", may(auth.Administer), noBody, (*service).listLanes},
	}
	return slices.Concat(operations, groupRoutes(), syncRoutes(), bucketRoutes(), connectionRoutes(), scheduleRoutes(), objectRoutes())
}

// mux registers all paths. Each pattern is registered once for all methods: the refusal of a wrong method is
// ours, and a fixed path cannot conflict with "GET /{version}".
func (s *service) mux(opts Options, operations []route) *http.ServeMux {
	mux := http.NewServeMux()
	byPath := map[string][]route{}
	for _, rt := range operations {
		if err := rt.auth.Validate(); err != nil {
			panic("httpapi: " + rt.method + " " + rt.path + ": " + err.Error())
		}
		byPath[rt.path] = append(byPath[rt.path], rt)
	}
	for path, rts := range byPath {
		h := s.methods(rts)
		if path == rootPath {
			h = s.root(h, opts.Console)
		}
		mux.Handle(path, h)
	}
	s.mountIAM(mux)
	s.mountService(mux, opts)
	mux.HandleFunc("/", s.notFound)
	return mux
}

// methods dispatches the methods of one path.
func (s *service) methods(rts []route) http.Handler {
	byMethod := map[string]http.Handler{}
	for _, rt := range rts {
		byMethod[rt.method] = s.operation(rt)
	}
	return s.only(byMethod)
}

// only answers methods without a handler with OMS.1008.
func (s *service) only(byMethod map[string]http.Handler) http.Handler {
	names := make([]string, 0, len(byMethod))
	for name := range byMethod {
		names = append(names, name)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := byMethod[r.Method]; ok {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		s.writeError(w, r, oms.Errorf(oms.Invalid, "OMS.1008", "The method is not supported here."))
	})
}

// reading serves GET and HEAD with h.
func (s *service) reading(h http.Handler) http.Handler {
	return s.only(map[string]http.Handler{http.MethodGet: h, http.MethodHead: h})
}

func (s *service) notFound(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, r, oms.Errorf(oms.NotFound, "APIGW.0101", "The API does not exist."))
}

// root sends browsers to the console, if there is one, and everybody else to the list of versions.
func (s *service) root(api, console http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if console != nil && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, "/console/", http.StatusSeeOther)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// mountIAM serves the IAM calls of the vendor's clients. They are public routes whose handlers authenticate by
// themselves.
func (s *service) mountIAM(mux *http.ServeMux) {
	mux.Handle("/v3/auth/tokens", s.iam("tokens", s.auth.ServeTokens))
	mux.Handle("/v3/projects", s.iam("projects", s.auth.ServeProjects))
	mux.Handle("/v3/auth/domains", s.iam("domains", s.auth.ServeDomains))
}

// mountService serves what belongs to the process and not to a project.
func (s *service) mountService(mux *http.ServeMux, opts Options) {
	mux.Handle("/healthz", s.reading(health(nil)))
	mux.Handle("/readyz", s.reading(health(opts.Ready)))
	mux.Handle("/openapi.json", s.reading(openAPI(opts.Version)))
	if opts.Metrics != nil {
		mux.Handle("/metrics", s.reading(opts.Metrics))
	}
	if opts.Console != nil {
		mux.Handle("/console", s.reading(http.RedirectHandler("/console/", http.StatusSeeOther)))
		mux.Handle("/console/", opts.Console)
	}
}
