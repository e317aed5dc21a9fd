package sdk

import (
	"errors"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"
)

// TestPausingTask asks for every operation on a task that is pausing (OMS v2, 5.2). That state lasts for moments only,
// so a task is stopped until the call has met it; an answer outside of it says so by its success.
func TestPausingTask(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 300, 100_000)
	req := request(prefix, "")
	req.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
	id := w.create(req)
	w.wait(id, []int32{running}, waiting)
	for _, call := range []struct {
		name string
		do   func() error
		code string // "": allowed
	}{
		{"start", func() error { return w.start(id, false) }, "OMS.0065"},
		{"delete", func() error { return w.delete(id) }, "OMS.0063"},
		{"bandwidth", func() error { return w.limit(id, 2<<20) }, ""},
	} {
		within(t, time.Minute, call.name+" meets a pausing task", func() bool {
			if err := w.stop(id); err != nil {
				t.Fatal(err)
			}
			err := call.do()
			if err == nil && call.name == "delete" { // it was paused already
				id = w.create(req)
			}
			met := err != nil
			if call.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				met = true
			} else if met {
				refused(t, call.name, err, 400, call.code)
			}
			if s := *w.show(id).Status; s == pausing || s == paused { // both refuse it
				refused(t, "stop", w.stop(id), 400, "OMS.0066")
			}
			w.until(id)
			return met
		})
	}
	if err := w.stop(id); err != nil {
		t.Fatal(err)
	}
	w.wait(id, []int32{paused}, pausing)
}

// until brings the task to running, whatever it does now.
func (w *world) until(id int64) {
	w.t.Helper()
	within(w.t, time.Minute, "the task runs", func() bool {
		switch *w.show(id).Status {
		case running:
			return true
		case paused:
			var refusal *sdkerr.ServiceResponseError
			if err := w.start(id, false); err != nil && !errors.As(err, &refusal) {
				w.t.Fatal(err)
			}
		}
		return false
	})
}
