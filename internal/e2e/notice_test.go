package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// TestNotice lets a task end whose receiver is in trouble: the task has succeeded and smn_info says why nothing was sent.
// The process is killed; the next one delivers the message, and no secret of the target is anywhere.
func TestNotice(t *testing.T) {
	const (
		topic = "urn:smn:lab:shared:oms"
		token = "t0ken-of-the-webhook"
	)
	var healthy atomic.Bool
	got := make(chan map[string]any, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/"+token {
			t.Errorf("%s: error %v", r.URL.Path, err)
		}
		got <- body
	}))
	defer receiver.Close()
	_, src, srcStore := cloud(t, "lab-a", "source")
	_, _, dstStore := cloud(t, "lab-b", "destination")
	src.PutAt("k", content(1000, 1), testcloud.Attrs{}, time.Now().Add(-time.Hour))
	s := newService(t, srcStore, dstStore)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "notify: {topics: {\""+topic+"\": \""+receiver.URL+"/"+token+"\"}}\n"...)
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	id := s.create(srcStore, dstStore, func(r *omsv2.CreateTaskRequest) {
		r.SMNConfig = &omsv2.SMNConfig{TopicURN: topic, TriggerConditions: []string{"SUCCESS", "FAILURE"}, Language: "zh-cn"}
	})
	task := s.wait(id, 5, 30*time.Second)
	within(t, 30*time.Second, "the first attempt is shown", func() bool {
		task = s.show(id)
		return task.SMNInfo != nil
	})
	if i := *task.SMNInfo; task.Status != 5 || i.NotifyResult || i.NotifyErrorMessage != "OMS.0156" || i.TopicName != "oms" {
		t.Errorf("status %d, smn_info %+v; want success and OMS.0156", task.Status, i)
	}
	s.kill()
	healthy.Store(true)
	s.start()
	within(t, 30*time.Second, "the message is sent", func() bool {
		task = s.show(id)
		return task.SMNInfo != nil && task.SMNInfo.NotifyResult
	})
	if i := *task.SMNInfo; i.NotifyErrorMessage != "" || i.TopicName != "" {
		t.Errorf("smn_info %+v", i)
	}
	if body := <-got; body["topic_urn"] != topic || body["subject"] != "[OpenOMS] 迁移任务 "+task.Name+"成功" {
		t.Errorf("got %v", body)
	}
	s.mustHideSecrets(token)
}
