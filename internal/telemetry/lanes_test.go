package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openoms/openoms/internal/telemetry"
)

func TestLaneMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(telemetry.NewLaneCollector(func() []telemetry.LaneStats {
		return []telemetry.LaneStats{
			{Endpoint: "https://a", Bucket: "b", Class: "read", Slots: 64, Rate: 3500, InFlight: 60, Waiting: 5, Goodput: 1e6, RTT: time.Second / 4, Sent: 9, Refused: 2, Failed: 1},
			{Endpoint: "https://a", Bucket: "b", Class: "write", Slots: 32},
		}
	}))
	rec := httptest.NewRecorder()
	telemetry.Handler(r).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	got := rec.Body.String()
	const labels = `{bucket="b",class="read",endpoint="https://a"} `
	for _, want := range []string{
		"oms_store_slots" + labels + "64", "oms_store_rate_limit" + labels + "3500", "oms_store_requests_in_flight" + labels + "60",
		"oms_store_requests_waiting" + labels + "5", "oms_store_goodput_bytes_per_second" + labels + "1e+06",
		"oms_store_request_seconds" + labels + "0.25", "oms_store_requests_total" + labels + "9",
		"oms_store_requests_refused_total" + labels + "2", "oms_store_requests_failed_total" + labels + "1",
		`oms_store_slots{bucket="b",class="write",endpoint="https://a"} 32`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, wrong := range []string{`oms_store_rate_limit{bucket="b",class="write"`, `oms_store_request_seconds{bucket="b",class="write"`} {
		if strings.Contains(got, wrong) {
			t.Errorf("%q of a lane that has none", wrong)
		}
	}
}
