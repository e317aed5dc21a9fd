package omsv2_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openoms/openoms/omsv2"
)

// seen is what a server received.
type seen struct {
	method, uri, body string
	header            http.Header
}

// serve answers every request with status and body, and tells what it saw last.
func serve(t *testing.T, status int, body string) (*omsv2.Client, *seen) {
	t.Helper()
	var last seen
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		last = seen{r.Method, r.RequestURI, string(got), r.Header}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "request-1")
		if status >= 300 && status < 400 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return &omsv2.Client{Endpoint: srv.URL + "/", ProjectID: "p 1", AccessKey: "ak", SecretKey: "sk"}, &last
}

// What each method sends.
func TestRequests(t *testing.T) {
	c, last := serve(t, http.StatusOK, "{}")
	ctx := t.Context()
	no := false
	tests := []struct {
		name        string
		call        func() error
		method, uri string
		body        string
	}{
		{"ListAPIVersions", func() error { _, err := c.ListAPIVersions(ctx); return err }, "GET", "/", ""},
		{"ShowAPIInfo", func() error { _, err := c.ShowAPIInfo(ctx, "v2"); return err }, "GET", "/v2", ""},
		{"CreateTask", func() error {
			_, err := c.CreateTask(ctx, &omsv2.CreateTaskRequest{
				SrcNode:                     &omsv2.SourceNodeRequest{Region: "r", AK: "a", SK: "b", Bucket: "c", ObjectKey: []string{""}},
				DstNode:                     &omsv2.DestinationNodeRequest{Region: "r", AK: "a", SK: "b", Bucket: "d"},
				EnableFailedObjectRecording: &no,
			})
			return err
		}, "POST", "/v2/p%201/tasks", `{"src_node":{"region":"r","ak":"a","sk":"b","bucket":"c","object_key":[""]},"dst_node":{"ak":"a","sk":"b","bucket":"d","region":"r"},"enable_failed_object_recording":false}`},
		{"ListTasks", func() error { _, err := c.ListTasks(ctx, omsv2.ListTasksOptions{}); return err }, "GET", "/v2/p%201/tasks", ""},
		{"ListTasks filtered", func() error {
			_, err := c.ListTasks(ctx, omsv2.ListTasksOptions{GroupID: "g", Status: 5, Name: "a b", Limit: 1, Offset: 2})
			return err
		}, "GET", "/v2/p%201/tasks?group_id=g&limit=1&offset=2&status=5&task_name=a+b", ""},
		{"ShowTask", func() error { _, err := c.ShowTask(ctx, 7); return err }, "GET", "/v2/p%201/tasks/7", ""},
		{"DeleteTask", func() error { return c.DeleteTask(ctx, 7) }, "DELETE", "/v2/p%201/tasks/7", ""},
		{"StartTask", func() error {
			return c.StartTask(ctx, 7, &omsv2.StartTaskRequest{SrcAK: "a", SrcSK: "b", DstAK: "c", DstSK: "d", MigrateFailedObject: true})
		}, "POST", "/v2/p%201/tasks/7/start", `{"src_ak":"a","src_sk":"b","dst_ak":"c","dst_sk":"d","migrate_failed_object":true}`},
		{"StopTask", func() error { return c.StopTask(ctx, 7) }, "POST", "/v2/p%201/tasks/7/stop", ""},
		{"UpdateBandwidthPolicy", func() error { return c.UpdateBandwidthPolicy(ctx, 7, nil) }, "PUT", "/v2/p%201/tasks/7/bandwidth-policy", `{"bandwidth_policy":[]}`},
		{"BatchUpdateTasks", func() error {
			return c.BatchUpdateTasks(ctx, &omsv2.BatchUpdateTasksRequest{IDs: []int64{7, 8}, TaskPriority: "LOW"})
		}, "POST", "/v2/p%201/tasks/batch-update", `{"ids":[7,8],"bandwidth_policy":[],"task_priority":"LOW"}`},
		{"ListFailures", func() error {
			_, err := c.ListFailures(ctx, 7, omsv2.ListFailuresOptions{After: "a%2Fb", Limit: 3})
			return err
		}, "GET", "/ext/v1/p%201/tasks/7/failures?after=a%252Fb&limit=3", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(); err != nil {
				t.Fatal(err)
			}
			if last.method != tt.method || last.uri != tt.uri || last.body != tt.body {
				t.Errorf("sent %s %s %s\nwant %s %s %s", last.method, last.uri, last.body, tt.method, tt.uri, tt.body)
			}
			for _, name := range []string{"host", "x-openoms-nonce", "x-project-id", "x-sdk-date"} {
				if !strings.Contains(last.header.Get("Authorization"), name) {
					t.Errorf("Authorization %q does not sign %s", last.header.Get("Authorization"), name)
				}
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	c, last := serve(t, http.StatusOK, "{}")
	c.SecurityToken = "temporary"
	if err := c.StopTask(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if last.header.Get("X-Security-Token") != "temporary" || !strings.Contains(last.header.Get("Authorization"), "x-security-token") {
		t.Errorf("headers %v", last.header)
	}
	c.AccessKey, c.Token = "", "token"
	if err := c.StopTask(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if last.header.Get("X-Auth-Token") != "token" || last.header.Get("Authorization") != "" || last.header.Get("X-Project-Id") != "p 1" {
		t.Errorf("headers %v", last.header)
	}
}

func TestErrorsOfTheService(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   omsv2.Error
		text   string
	}{
		{
			"contract", 400, `{"error_code":"OMS.1009","error_msg":"not found"}`,
			omsv2.Error{StatusCode: 400, Code: "OMS.1009", Message: "not found", RequestID: "request-1"},
			"stop task: not found (OMS.1009, status 400, request request-1)",
		},
		{
			"a proxy", 502, "<html>",
			omsv2.Error{StatusCode: 502, Message: "Bad Gateway", RequestID: "request-1"},
			"stop task: Bad Gateway (status 502, request request-1)",
		},
		{
			"control characters", 400, `{"error_code":"OMS.1","error_msg":"a\u001b[2Jb"}`,
			omsv2.Error{StatusCode: 400, Code: "OMS.1", Message: "a?[2Jb", RequestID: "request-1"},
			"stop task: a?[2Jb (OMS.1, status 400, request request-1)",
		},
		{
			"redirect", 302, "",
			omsv2.Error{StatusCode: 302, Message: "Found", RequestID: "request-1"},
			"stop task: Found (status 302, request request-1)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, last := serve(t, tt.status, tt.body)
			err := c.StopTask(t.Context(), 1)
			got, ok := errors.AsType[*omsv2.Error](err)
			if !ok || *got != tt.want || err.Error() != tt.text {
				t.Errorf("error %q %+v, want %q %+v", err, got, tt.text, tt.want)
			}
			if strings.Contains(last.uri, "elsewhere") {
				t.Error("a redirect was followed with a signature")
			}
		})
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	for name, body := range map[string]string{
		"text": "hello", "wrong type": `{"id":"12"}`, "cut off": `{"id":12`,
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, http.StatusOK, body)
			if task, err := c.ShowTask(t.Context(), 1); err == nil || !strings.HasPrefix(err.Error(), "show task: ") {
				t.Errorf("ShowTask = %+v, %v", task, err)
			}
		})
	}
	c, _ := serve(t, http.StatusOK, `{"failures":[{"key":"a","key_encoded":"%zz"}]}`)
	if _, err := c.ListFailures(t.Context(), 1, omsv2.ListFailuresOptions{}); err == nil {
		t.Error("a key that is not encoded was taken")
	}
	c.Endpoint = "http://127.0.0.1:0"
	if err := c.StopTask(t.Context(), 1); err == nil {
		t.Error("no error without a server")
	}
	c.Endpoint = ":"
	if err := c.StopTask(t.Context(), 1); err == nil {
		t.Error("no error with a bad endpoint")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endless yields bytes for ever.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

// An answer without end is given up.
func TestEndlessAnswer(t *testing.T) {
	body := &endless{}
	c := &omsv2.Client{Endpoint: "http://127.0.0.1", MaxAnswer: 1 << 20, HTTPClient: &http.Client{
		Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
		}),
	}}
	if err := c.StopTask(t.Context(), 1); err == nil || body.read > 4<<20 {
		t.Errorf("error %v after %d bytes", err, body.read)
	}
}

// Secrets travel in JSON and show in no format.
func TestSecret(t *testing.T) {
	req := &omsv2.StartTaskRequest{DstSK: "canary"}
	client := omsv2.Client{SecretKey: "canary", Token: "canary", SecurityToken: "canary"}
	var logs strings.Builder
	slog.New(slog.NewTextHandler(&logs, nil)).InfoContext(t.Context(), "m", "secret", req.DstSK)
	shown := fmt.Sprintf("%v %+v %#v %s %q %x %+v %#v", req, *req, *req, req.DstSK, req.DstSK, req.DstSK, client, &client) + logs.String()
	if strings.Contains(shown, "canary") || strings.Contains(shown, fmt.Sprintf("%x", "canary")) {
		t.Errorf("secret shown: %s", shown)
	}
	if sent, err := json.Marshal(req); err != nil || !strings.Contains(string(sent), `"dst_sk":"canary"`) {
		t.Errorf("sent %s, %v", sent, err)
	}
}
