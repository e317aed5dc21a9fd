package omsv2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/openoms/openoms/omsv2"
)

// exampleServer answers as a service with one finished task does.
func exampleServer() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/{project}/tasks", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":200429548242937,"task_name":"photos-backup-1767225600000"}`)
	})
	mux.HandleFunc("GET /v2/{project}/tasks/200429548242937", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"id":200429548242937,"status":5,"progress":1,"successful_num":2}`)
	})
	mux.HandleFunc("GET /v2/{project}/tasks/1", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error_code":"OMS.1009","error_msg":"The task does not exist."}`)
	})
	return httptest.NewServer(mux)
}

func ExampleClient() {
	srv := exampleServer()
	defer srv.Close()
	ctx := context.Background()
	client := &omsv2.Client{Endpoint: srv.URL, ProjectID: "0123456789abcdef", AccessKey: "AKEXAMPLE", SecretKey: "SKEXAMPLE"}

	created, err := client.CreateTask(ctx, &omsv2.CreateTaskRequest{
		TaskType: "prefix",
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: "AWS", Region: "us-east-1", AK: "source key", SK: "source secret",
			Bucket: "photos", ObjectKey: []string{"2024/"},
		},
		DstNode: &omsv2.DestinationNodeRequest{
			Region: "cn-north-4", AK: "destination key", SK: "destination secret", Bucket: "backup",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	task, err := client.ShowTask(ctx, created.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(created.TaskName, task.Status == omsv2.StatusSucceeded, task.SuccessfulNum)
	// Output: photos-backup-1767225600000 true 2
}

func ExampleError() {
	srv := exampleServer()
	defer srv.Close()
	client := &omsv2.Client{Endpoint: srv.URL, ProjectID: "0123456789abcdef", AccessKey: "AKEXAMPLE", SecretKey: "SKEXAMPLE"}

	_, err := client.ShowTask(context.Background(), 1)
	if refusal, ok := errors.AsType[*omsv2.Error](err); ok && refusal.Code == "OMS.1009" {
		fmt.Println("the task is gone")
	}
	fmt.Println(err)
	// Output:
	// the task is gone
	// show task: The task does not exist. (OMS.1009, status 400)
}
