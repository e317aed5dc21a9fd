package telemetry

import "github.com/prometheus/client_golang/prometheus"

// SyncStats are the figures of synchronization tasks in this process at an instant.
type SyncStats struct {
	Running  int   // tasks whose events this process applies
	InFlight int   // names being applied
	Waiting  int64 // names of all tasks that are accepted and not applied

	// Since the process began.
	Accepted, Refused int64 // names
	Migrated, Skipped int64 // objects
	Failed, Retried   int64
	Bytes             int64 // of migrated objects
}

// NewSyncCollector returns the metrics of source, which is asked at every scrape and must be safe for concurrent use.
func NewSyncCollector(source func() SyncStats) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("oms_sync_"+name, help, labels, nil)
	}
	return &syncCollector{
		source:   source,
		tasks:    desc("tasks", "Synchronization tasks whose events this process applies."),
		inFlight: desc("names_in_flight", "Object names being applied by this process."),
		waiting:  desc("names_waiting", "Object names of all tasks that synchronize which are accepted and not applied yet."),
		names:    desc("names_total", "Object names received by this process: accepted, or refused because too many waited.", "result"),
		objects:  desc("objects_total", "Objects that events named, by what came of them; retried ones are tried again.", "result"),
		bytes:    desc("bytes_total", "Bytes of migrated objects that events named."),
	}
}

// syncCollector reads SyncStats at each scrape.
type syncCollector struct {
	source                                          func() SyncStats
	tasks, inFlight, waiting, names, objects, bytes *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *syncCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.tasks, c.inFlight, c.waiting, c.names, c.objects, c.bytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *syncCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.source()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(c.tasks, float64(s.Running))
	gauge(c.inFlight, float64(s.InFlight))
	gauge(c.waiting, float64(s.Waiting))
	count(c.names, s.Accepted, "accepted")
	count(c.names, s.Refused, "refused")
	count(c.objects, s.Migrated, "migrated")
	count(c.objects, s.Skipped, "skipped")
	count(c.objects, s.Failed, "failed")
	count(c.objects, s.Retried, "retried")
	count(c.bytes, s.Bytes)
}
