package main

import (
	"encoding/json"

	"github.com/rogpeppe/go-internal/testscript"
)

// savesync NAME sets the variable to the id of the synchronization task that was created, from the JSON on stdout.
func cmdSavesync(ts *testscript.TestScript, _ bool, args []string) {
	var task struct {
		ID string `json:"sync_task_id"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &task))
	if task.ID == "" {
		ts.Fatalf("no id of a synchronization task")
	}
	ts.Setenv(args[0], task.ID)
}
