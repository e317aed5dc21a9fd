package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/telemetry"
)

func TestMetrics(t *testing.T) {
	stats := telemetry.TaskStats{Tasks: map[string]int{"running": 2}, Objects: 10, Bytes: 1 << 20, InFlight: 3, Commits: 4, CommitErrors: 1}
	h := telemetry.Handler(telemetry.NewRegistry("v1.2.3", func() telemetry.TaskStats { return stats }))
	scrape := func() string {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		return rec.Body.String()
	}
	for _, want := range []string{
		`oms_tasks{state="running"} 2`, "oms_objects_migrated_total 10", "oms_bytes_moved_total 1.048576e+06", "oms_in_flight 3",
		"oms_commits_total 4", "oms_commit_retries_total 1", `oms_build_info{version="v1.2.3"} 1`, "go_goroutines", "process_start_time_seconds",
	} {
		if got := scrape(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	stats.Objects = 11
	if !strings.Contains(scrape(), "oms_objects_migrated_total 11") {
		t.Error("the second scrape shows old figures")
	}
}
