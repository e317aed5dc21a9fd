package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// TaskStats are the figures of the workers of this process at an instant.
type TaskStats struct {
	Tasks        map[string]int // tasks run here, by state in words
	Objects      int64          // objects migrated since the process began
	Bytes        int64          // bytes sent for them
	InFlight     int            // objects and parts being copied
	Commits      int64          // group commits stored
	CommitErrors int64          // group commits that had to be tried again
}

// NewRegistry returns a registry with the figures of the process, of the Go runtime, of the build and of source,
// which is asked at every scrape and must be safe for concurrent use.
func NewRegistry(version string, source func() TaskStats) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newTaskCollector(source),
	)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oms_build_info", Help: "Always 1; the label is the version."}, []string{"version"})
	r.MustRegister(build)
	build.WithLabelValues(version).Set(1)
	return r
}

// Handler serves the metrics of the registry.
func Handler(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r, MaxRequestsInFlight: 4})
}

// taskCollector reads TaskStats at each scrape.
type taskCollector struct {
	source                                                  func() TaskStats
	tasks, objects, bytes, inFlight, commits, commitRetries *prometheus.Desc
}

func newTaskCollector(source func() TaskStats) *taskCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("oms_"+name, help, labels, nil)
	}
	return &taskCollector{
		source:        source,
		tasks:         desc("tasks", "Tasks that this process runs, by state.", "state"),
		objects:       desc("objects_migrated_total", "Objects migrated and stored as such by this process."),
		bytes:         desc("bytes_moved_total", "Bytes sent to destinations for migrated objects."),
		inFlight:      desc("in_flight", "Objects and parts being copied now."),
		commits:       desc("commits_total", "Group commits stored."),
		commitRetries: desc("commit_retries_total", "Group commits that had to be tried again."),
	}
}

// Describe implements prometheus.Collector.
func (c *taskCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.tasks, c.objects, c.bytes, c.inFlight, c.commits, c.commitRetries} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *taskCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.source()
	for state, n := range s.Tasks {
		ch <- prometheus.MustNewConstMetric(c.tasks, prometheus.GaugeValue, float64(n), state)
	}
	ch <- prometheus.MustNewConstMetric(c.objects, prometheus.CounterValue, float64(s.Objects))
	ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.CounterValue, float64(s.Bytes))
	ch <- prometheus.MustNewConstMetric(c.inFlight, prometheus.GaugeValue, float64(s.InFlight))
	ch <- prometheus.MustNewConstMetric(c.commits, prometheus.CounterValue, float64(s.Commits))
	ch <- prometheus.MustNewConstMetric(c.commitRetries, prometheus.CounterValue, float64(s.CommitErrors))
}
