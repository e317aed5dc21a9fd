package server

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/db"
	"github.com/openoms/openoms/internal/oms"
)

const testTopic = "urn:smn:lab:project:oms"

// endTask lets a task of a service that does not run end, as the last thing that the process before did.
func endTask(t *testing.T, opts Options) oms.Task {
	t.Helper()
	d, err := db.Open(t.Context(), db.Options{DataDir: opts.Config.DataDir, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	task, err := d.CreateTask(t.Context(), oms.Task{
		ProjectID: "p", GroupType: oms.GroupNormal, Status: oms.StatusRunning, Generation: 1,
		Spec: oms.TaskSpec{
			Type: oms.TypePrefix, Src: oms.SourceNode{Bucket: "photos"}, Dst: oms.DestinationNode{Bucket: "backup"}, Priority: oms.PriorityMedium,
			SMN: &oms.SMNConfig{TopicURN: testTopic, TriggerConditions: []string{oms.TriggerSuccess}},
		},
	}, oms.Quota{}, func(int64) (map[string][]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	task, err = d.ChangeTask(t.Context(), "", task.ID, func(cur oms.Task) (oms.TaskChange, error) {
		next, err := cur.Apply(oms.Event{Type: oms.EventSucceeded}, time.Now())
		return oms.TaskChange{Task: next}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// outcome waits until the task shows what became of its message.
func outcome(t *testing.T, s *Server, id int64) string {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		task, err := s.store.Task(t.Context(), "p", id)
		if err != nil {
			t.Fatal(err)
		}
		if task.Status != oms.StatusSucceeded {
			t.Fatalf("the task is %s", task.Status)
		}
		if task.NoticeCode != nil {
			return *task.NoticeCode
		}
		<-ticker.C
	}
}

// A message about an end that was stored just before the process died is sent by the next one, to a private address that
// the operator has named and tasks may not reach.
func TestNoticeAfterRestart(t *testing.T) {
	got := make(chan map[string]any, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/hook" {
			t.Errorf("%s: error %v", r.URL.Path, err)
		}
		got <- body
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	opts := testOptions(t)
	opts.Config.Topics = map[string]string{testTopic: receiver.URL + "/hook"}
	task := endTask(t, opts)
	s, stop := start(t, opts)
	body := <-got
	if body["topic_urn"] != testTopic || !strings.Contains(body["subject"].(string), task.Name) { //nolint:errcheck,forcetypeassert // a test may panic
		t.Errorf("got %v", body)
	}
	if code := outcome(t, s, task.ID); code != "" {
		t.Errorf("got %s, want the message to be shown as sent", code)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	again, _ := start(t, opts)
	if code := outcome(t, again, task.ID); code != "" || len(got) != 0 {
		t.Errorf("after another start: got %q and %d more messages", code, len(got))
	}
}

// A receiver that cannot be reached shows as such and changes nothing for the task.
func TestNoticeUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts := testOptions(t)
	opts.Config.Topics = map[string]string{testTopic: "https://" + ln.Addr().String()}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	task := endTask(t, opts)
	s, _ := start(t, opts)
	if code := outcome(t, s, task.ID); code != "OMS.0161" {
		t.Errorf("got %q, want OMS.0161", code)
	}
}

// A mistake in a target is told without the target.
func TestBadTopic(t *testing.T) {
	opts := testOptions(t)
	err := opts.Config.applyTopics(map[string]string{testTopic: "smtp://user:c4n4ry@host?from=a@b.c&to=c4n4ry"})
	if err == nil || !strings.Contains(err.Error(), testTopic) || strings.Contains(err.Error(), "c4n4ry") {
		t.Errorf("got %v", err)
	}
}
