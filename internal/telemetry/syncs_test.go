package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openoms/openoms/internal/telemetry"
)

func TestSyncMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(telemetry.NewSyncCollector(func() telemetry.SyncStats {
		return telemetry.SyncStats{
			Running: 1, InFlight: 2, Waiting: 3, Accepted: 4, Refused: 5, Migrated: 6, Skipped: 7, Failed: 8, Retried: 9, Bytes: 10,
		}
	}))
	rec := httptest.NewRecorder()
	telemetry.Handler(r).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		"oms_sync_tasks 1", "oms_sync_names_in_flight 2", "oms_sync_names_waiting 3",
		`oms_sync_names_total{result="accepted"} 4`, `oms_sync_names_total{result="refused"} 5`,
		`oms_sync_objects_total{result="migrated"} 6`, `oms_sync_objects_total{result="skipped"} 7`,
		`oms_sync_objects_total{result="failed"} 8`, `oms_sync_objects_total{result="retried"} 9`, "oms_sync_bytes_total 10",
	} {
		if !strings.Contains(rec.Body.String(), want+"\n") {
			t.Errorf("no %q in\n%s", want, rec.Body.String())
		}
	}
}
