package httpapi

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/omsv2"
)

// operationDoc is what the description of an operation says beyond its route.
type operationDoc struct {
	summary  string
	request  any
	response any // nil: empty body
	query    []parameter
	stream   bool // the answer is a stream of events whose data is the response
}

type parameter struct {
	name, description string
	schema            map[string]any
}

func number(low, high, byDefault int) map[string]any {
	return map[string]any{"type": "integer", "minimum": low, "maximum": high, "default": byDefault}
}

// operationDocs describes the operations by name.
func operationDocs() map[string]operationDoc {
	return map[string]operationDoc{
		"ListApiVersions": {summary: "Lists the versions of the API.", response: omsv2.ListAPIVersionsResponse{}},
		"ShowApiInfo":     {summary: "Shows one version of the API.", response: omsv2.APIVersion{}},
		"ListTasks": {
			summary: "Lists migration tasks, newest first.", response: omsv2.ListTasksResponse{},
			query: []parameter{
				{"group_id", "Only tasks of this group.", map[string]any{"type": "string", "minLength": 1, "maxLength": 100}},
				{"limit", "Page size.", number(1, 100, 10)},
				{"offset", "Index of the first task.", number(0, 2147483647, 0)},
				{"status", "Only tasks in this state.", map[string]any{"type": "integer", "minimum": 1, "maximum": 7}},
				{"task_name", "Only tasks whose name contains this.", map[string]any{"type": "string", "maxLength": 255}},
			},
		},
		"CreateTask": {
			summary: "Creates a migration task and starts it.",
			request: omsv2.CreateTaskRequest{}, response: omsv2.CreateTaskResponse{},
		},
		"ShowTask":              {summary: "Shows a migration task.", response: omsv2.Task{}},
		"DeleteTask":            {summary: "Deletes a migration task that is not running."},
		"StartTask":             {summary: "Resumes a paused or restarts a failed task.", request: omsv2.StartTaskRequest{}},
		"StopTask":              {summary: "Pauses a running task."},
		"UpdateBandwidthPolicy": {summary: "Replaces the traffic limits of a task.", request: omsv2.UpdateBandwidthPolicyRequest{}},
		"BatchUpdateTasks":      {summary: "Changes limits and priority of several tasks, of all or of none.", request: omsv2.BatchUpdateTasksRequest{}},
		"ListLanes": {
			summary:  "Shows what the concurrency controller of this process believes, by endpoint, bucket and class of requests (extension).",
			response: omsv2.ListLanesResponse{},
		},
		"CreateAssessment": {
			summary: "Begins to look at what a bucket holds (extension).",
			request: omsv2.CreateAssessmentRequest{}, response: omsv2.CreateAssessmentResponse{},
		},
		"ShowAssessment": {
			summary: "Shows what an assessment has found (extension).", response: omsv2.Assessment{},
		},
		"CreateExtendedTask": {
			summary: "Creates a migration task with filters, rename rules, or that writes nothing, and starts it (extension).",
			request: omsv2.CreateExtendedTaskRequest{}, response: omsv2.CreateTaskResponse{},
		},
		"ShowExtendedTask": {
			summary: "Shows a migration task with what OMS v2 does not show (extension).", response: omsv2.ExtendedTask{},
		},
		"ListFailures": {
			summary:  "Lists the failed objects of a task in byte order of their names, or sums them up by cause (extension).",
			response: omsv2.ListFailuresResponse{},
			query: []parameter{
				{"after", "Value of next of the page before: the last name, percent-encoded.", map[string]any{"type": "string"}},
				{"code", "Only failures with this code; several are separated by commas.", map[string]any{"type": "string"}},
				{"group_by", "With code, the answer holds causes instead of failures.", map[string]any{"type": "string", "enum": []any{"code"}}},
				{"limit", "Page size.", number(1, 1000, 100)},
				{"prefix", "Only objects whose names start with this.", map[string]any{"type": "string"}},
			},
		},
		"WatchTask": {
			summary: "Streams the progress of a task until it has ended, as server-sent events (extension).",
			stream:  true, response: omsv2.Task{},
		},
		"WatchTasks": {
			summary: "Streams the progress of all tasks of the project, as server-sent events (extension).",
			stream:  true, response: omsv2.Task{},
		},
		"ListConnections":  {summary: "Lists the connections of the project (extension).", response: omsv2.ListConnectionsResponse{}},
		"KeepConnection":   {summary: "Stores a connection, in the place of one of that name (extension).", request: omsv2.KeepConnectionRequest{}},
		"ShowConnection":   {summary: "Shows a connection without its keys (extension).", response: omsv2.Connection{}},
		"DeleteConnection": {summary: "Deletes a connection and destroys its keys (extension)."},
		"CheckConnection": {
			summary: "Tries the keys of a connection on a bucket, or by listing the buckets of the account (extension).",
			request: omsv2.CheckConnectionRequest{}, response: omsv2.CheckConnectionResponse{},
		},
		"ListSchedules": {summary: "Lists the schedules of the project (extension).", response: omsv2.ListSchedulesResponse{}},
		"KeepSchedule": {
			summary: "Stores a schedule that creates tasks, in the place of one of that name (extension).", request: omsv2.KeepScheduleRequest{},
		},
		"ShowSchedule":   {summary: "Shows a schedule with what became of its latest due times (extension).", response: omsv2.Schedule{}},
		"DeleteSchedule": {summary: "Deletes a schedule; its tasks stay (extension)."},
		"RetryTask": {
			summary: "Starts a failed task over its failures with the causes that are named, or over all (extension).",
			request: omsv2.RetryTaskRequest{},
		},
	}
}

// The description in openapi.json is what the route table, the types of omsv2 and operationDocs say. Rewrite it
// with -update.
func TestOpenAPI(t *testing.T) {
	g := generator{schemas: map[string]any{}, docs: typeDocs(t)}
	paths := map[string]map[string]any{}
	docs := operationDocs()
	maps.Copy(docs, syncDocs())
	maps.Copy(docs, groupDocs())
	maps.Copy(docs, bucketDocs())
	maps.Copy(docs, objectDocs())
	for _, rt := range routes() {
		doc, ok := docs[rt.name]
		if !ok {
			t.Fatalf("operation %s is not described", rt.name)
		}
		delete(docs, rt.name)
		path := strings.TrimSuffix(rt.path, "{$}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(rt.method)] = g.operation(rt, doc)
	}
	if len(docs) != 0 {
		t.Errorf("described and not served: %v", slices.Collect(maps.Keys(docs)))
	}
	g.schema(reflect.TypeFor[omsv2.ErrorResponse]())
	got, err := json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "OpenOMS", "version": "v2",
			"description": "Object storage migration: the task and version operations of OMS v2, and extensions under /ext/v1. " +
				"Sizes are bytes. Times are Unix milliseconds, except migrate_since of CreateTask: seconds.",
		},
		"paths": paths,
		"components": map[string]any{
			"schemas": g.schemas,
			"securitySchemes": map[string]any{
				"token": map[string]any{
					"type": "apiKey", "in": "header", "name": "X-Auth-Token",
					"description": "A project-scoped token of POST /v3/auth/tokens.",
				},
				"signature": map[string]any{
					"type": "apiKey", "in": "header", "name": "Authorization",
					"description": "SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…",
				},
			},
		},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, openAPIFile) {
		t.Error("openapi.json is not up to date: run go test ./internal/httpapi -run OpenAPI -update")
	}
}

// The file is served with the version of the program.
func TestOpenAPIServed(t *testing.T) {
	h := newHarness(newFakeTasks(), func(o *Options) { o.Version = "v0.1.0" })
	var doc struct {
		Info  struct{ Version string }
		Paths map[string]any
	}
	if err := json.Unmarshal(h.as("", "GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Info.Version != "v0.1.0" || doc.Paths["/v2/{project_id}/tasks/{task_id}/start"] == nil {
		t.Errorf("version %q, paths %v", doc.Info.Version, doc.Paths)
	}
}

// generator writes schemas for types.
type generator struct {
	schemas map[string]any
	docs    map[string]string // "Type" and "Type.Field"
}

func (g *generator) operation(rt route, doc operationDoc) map[string]any {
	op := map[string]any{"operationId": rt.name, "summary": doc.summary, "responses": g.responses(rt, doc)}
	var params []any
	for _, name := range []string{"version", "project_id", "task_id", "sync_task_id", "group_id", "connection", "schedule", "assessment_id"} {
		if strings.Contains(rt.path, "{"+name+"}") {
			schema := map[string]any{"type": "string"}
			if name == "task_id" {
				schema = map[string]any{"type": "integer", "format": "int64", "minimum": 0, "maximum": int64(maxTaskID)}
			}
			params = append(params, map[string]any{"name": name, "in": "path", "required": true, "schema": schema})
		}
	}
	for _, p := range doc.query {
		params = append(params, map[string]any{"name": p.name, "in": "query", "description": p.description, "schema": p.schema})
	}
	if params != nil {
		op["parameters"] = params
	}
	if doc.request != nil {
		op["requestBody"] = map[string]any{"required": true, "content": g.content(doc.request)}
	}
	if rt.auth.Class == auth.Authenticated {
		op["security"] = []any{map[string]any{"signature": []string{}}, map[string]any{"token": []string{}}}
		op["description"] = "Needs the right " + string(rt.auth.Action) + "."
	}
	return op
}

func (g *generator) responses(rt route, doc operationDoc) map[string]any {
	ok := map[string]any{"description": "Done; the body is empty."}
	if doc.response != nil {
		ok = map[string]any{"description": http.StatusText(http.StatusOK), "content": g.content(doc.response)}
	}
	if doc.stream {
		schema := g.schema(reflect.TypeOf(doc.response))
		ok["description"] = "Events named task; the data of each is as in this schema. The last one of a single task is named end or deleted."
		ok["content"] = map[string]any{"text/event-stream": map[string]any{"schema": schema}}
	}
	out := map[string]any{"200": ok}
	if doc.stream {
		out["204"] = map[string]any{"description": "Last-Event-ID names the end of the task: nothing will come."}
	}
	refusal := func(description string) map[string]any {
		return map[string]any{"description": description, "content": g.content(omsv2.ErrorResponse{})}
	}
	if rt.auth.Class == auth.Authenticated {
		out["400"] = refusal("The request, or the state of the task, does not allow it. An unknown task is OMS.1009.")
		out["401"] = refusal("No valid credential (APIGW.0301).")
		out["403"] = refusal("The right is missing (OMS.0205, OMS.0206).")
		out["429"] = refusal("Too many requests of the project (APIGW.0308); see Retry-After.")
		out["503"] = refusal("Temporarily unavailable (OMS.2004); see Retry-After.")
	}
	out["default"] = refusal("Refused or failed.")
	return out
}

func (g *generator) content(v any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": g.schema(reflect.TypeOf(v))}}
}

// schema returns the schema of a type; structs become components.
func (g *generator) schema(typ reflect.Type) map[string]any {
	if typ == reflect.TypeFor[json.RawMessage]() {
		return map[string]any{"type": "object"}
	}
	switch typ.Kind() {
	case reflect.String:
		if typ == reflect.TypeFor[omsv2.Secret]() {
			return map[string]any{"type": "string", "format": "password", "writeOnly": true}
		}
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer", "format": typ.Kind().String()}
	case reflect.Float64:
		return map[string]any{"type": "number", "format": "double"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(typ.Elem())}
	case reflect.Struct:
		return g.object(typ)
	default:
		panic("no schema for " + typ.String())
	}
}

func (g *generator) object(typ reflect.Type) map[string]any {
	ref := map[string]any{"$ref": "#/components/schemas/" + typ.Name()}
	if g.schemas[typ.Name()] != nil {
		return ref
	}
	schema := map[string]any{"type": "object", "description": g.docs[typ.Name()]}
	g.schemas[typ.Name()] = schema
	properties := map[string]any{}
	var required []string
	for field := range fieldsOf(typ) {
		if field.Anonymous { // its members are members of this object
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		properties[name] = g.property(typ, field)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	schema["properties"], schema["required"] = properties, required
	return ref
}

// property is a member with its description; pointers of answers may be null.
func (g *generator) property(typ reflect.Type, field reflect.StructField) map[string]any {
	ft := field.Type
	nullable := ft.Kind() == reflect.Pointer && !strings.HasSuffix(typ.Name(), "Request")
	if ft.Kind() == reflect.Pointer {
		ft = ft.Elem()
	}
	schema := maps.Clone(g.schema(ft))
	switch {
	case nullable && ft.Kind() == reflect.Struct:
		schema = map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	case nullable:
		schema["type"] = []any{schema["type"], "null"}
	}
	owner := typ
	if n := len(field.Index) - 1; n > 0 {
		owner = typ.FieldByIndex(field.Index[:n]).Type
	}
	schema["description"] = g.docs[owner.Name()+"."+field.Name]
	return schema
}

// typeDocs returns the comments of omsv2's types and fields.
func typeDocs(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../omsv2/*.go")
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		addTypeDocs(docs, file)
	}
	return docs
}

// addTypeDocs adds those of one file.
func addTypeDocs(docs map[string]string, file *ast.File) {
	text := func(g *ast.CommentGroup) string { return strings.ReplaceAll(strings.TrimSpace(g.Text()), "\n", " ") }
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			docs[typ.Name.Name] = text(general.Doc)
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				if len(field.Names) == 0 {
					continue // embedded
				}
				docs[typ.Name.Name+"."+field.Names[0].Name] = text(field.Doc)
			}
		}
	}
}
