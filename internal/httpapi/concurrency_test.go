package httpapi

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/guard"
)

// fakeLanes are lanes that do not change.
type fakeLanes []guard.Status

func (f fakeLanes) Snapshot() []guard.Status { return f }

// Only administrators see the lanes, which are of all projects.
func TestListLanes(t *testing.T) {
	lanes := fakeLanes{{
		Key: guard.Key{Endpoint: "http://127.0.0.1:9000", Bucket: "photos", Class: guard.Read}, Mode: "pacing",
		Slots: 395, Rate: 3447.5, InFlight: 171, Waiting: 12, Flows: 2, Goodput: 2.25e8, Requests: 3440, RTT: 50 * time.Millisecond,
		Sent: 100000, Refused: 210, Failed: 3,
	}}
	const path = "/ext/v1/" + project + "/concurrency"
	h := newHarness(newFakeTasks(), func(o *Options) { o.Lanes = lanes })
	for token, want := range map[string]string{
		project + "/admin": "", project: "OMS.0206", project + "/reader": "OMS.0206", other + "/admin": "OMS.0206", "": "APIGW.0301",
	} {
		if got := code(t, h.as(token, "GET", path, "")); got != want {
			t.Errorf("%q: got %q, want %q", token, got, want)
		}
	}
	golden(t, "concurrency.txt", indented(t, h.as(project+"/admin", "GET", path, "").Body.Bytes()))

	none := newHarness(newFakeTasks())
	if got := none.as(project+"/admin", "GET", path, "").Body.String(); got != `{"lanes":[]}` {
		t.Errorf("without a controller: %s", got)
	}
}
