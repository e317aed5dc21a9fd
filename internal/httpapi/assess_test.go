package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

func TestAssessment(t *testing.T) {
	h := newHarness(newFakeTasks())
	path := "/ext/v1/" + project + "/assessments"
	const body = `{"src_node":{"cloud_type":"AWS","region":"lab-a","bucket":"photos","ak":"AKSRC","sk":"SKSRC","object_key":["a/",""]}}`
	w := h.do("POST", path, body)
	if checkAnswer(t, w); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"one"`) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if src := h.tasks.assessment.Src; src.Bucket != "photos" || len(src.Keys) != 2 || src.Endpoint.URL == "" || h.tasks.keys.Src.AccessKey != "AKSRC" {
		t.Errorf("node %+v", src)
	}
	h.tasks.assessment.Status = oms.AssessmentFailed
	h.tasks.assessment.Error = &oms.ErrorReason{Code: "TRF.0155", Message: "gone"}
	h.tasks.assessment.Report = oms.AssessmentReport{
		Objects: 5000, Bytes: 1 << 30, Sizes: []oms.SizeClass{{UpTo: 4096, Objects: 5000, Bytes: 1 << 30}},
		Keys: []oms.KeyTrait{{Trait: "double_slash", Objects: 1, Example: "a//b"}}, Sample: oms.MetadataSample{Asked: 200, Oversized: 3},
		Requests: oms.RequestEstimate{List: 7, Read: 5000, Write: 5001},
	}
	w = h.do("GET", path+"/one", "")
	var v omsv2.Assessment
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if v.Status != "failed" || v.ErrorReason.ErrorCode != "TRF.0155" || v.Objects != 5000 || len(v.Sizes) != 1 || len(v.Keys) != 1 ||
		v.Classes == nil || v.Sample.Oversized != 3 || v.Estimate.WriteRequests != 5001 || v.Estimate.Time != 10_000 {
		t.Errorf("got %+v", v)
	}
	for _, bad := range []struct{ method, path, body, want string }{
		{"GET", path + "/two", "", "OMS.1009"},
		{"POST", path, `{}`, "OMS.1004"},
		{"POST", path, strings.Replace(body, "lab-a", "mars", 1), "OMS.0079"},
		{"POST", path, strings.Replace(body, `["a/",""]`, "[]", 1), "OMS.1004"},
	} {
		if w := h.do(bad.method, bad.path, bad.body); !strings.Contains(w.Body.String(), bad.want) {
			t.Errorf("%s %s: %d %s", bad.method, bad.body, w.Code, w.Body)
		}
	}
}
