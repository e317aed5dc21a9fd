package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// LaneStats are what the concurrency controller of one class of requests to one bucket believes and sees.
type LaneStats struct {
	Endpoint, Bucket, Class string
	Slots                   int     // requests in flight that are allowed
	Rate                    float64 // requests per second that are allowed; 0 without a limit
	InFlight, Waiting       int
	Goodput                 float64       // bytes per second
	RTT                     time.Duration // smoothed time of a request
	Sent, Refused, Failed   int64         // requests since the lane was made
}

// NewLaneCollector returns the metrics of source, which is asked at every scrape and must be safe for concurrent use.
func NewLaneCollector(source func() []LaneStats) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("oms_store_"+name, help, []string{"endpoint", "bucket", "class"}, nil)
	}
	return &laneCollector{
		source:   source,
		slots:    desc("slots", "Requests in flight that the concurrency controller allows."),
		rate:     desc("rate_limit", "Requests per second that the concurrency controller allows; absent without a limit."),
		inFlight: desc("requests_in_flight", "Requests in flight."),
		waiting:  desc("requests_waiting", "Requests that wait for their turn."),
		goodput:  desc("goodput_bytes_per_second", "Bytes moved per second in the last window."),
		rtt:      desc("request_seconds", "Smoothed time of a request; absent while unknown."),
		sent:     desc("requests_total", "Requests sent."),
		refused:  desc("requests_refused_total", "Requests that the store refused because there were too many."),
		failed:   desc("requests_failed_total", "Requests that failed for time-outs, resets and errors of the store."),
	}
}

// laneCollector reads LaneStats at each scrape.
type laneCollector struct {
	source                                                              func() []LaneStats
	slots, rate, inFlight, waiting, goodput, rtt, sent, refused, failed *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *laneCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.slots, c.rate, c.inFlight, c.waiting, c.goodput, c.rtt, c.sent, c.refused, c.failed} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *laneCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.source() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, s.Endpoint, s.Bucket, s.Class)
		}
		send(c.slots, prometheus.GaugeValue, float64(s.Slots))
		if s.Rate > 0 {
			send(c.rate, prometheus.GaugeValue, s.Rate)
		}
		send(c.inFlight, prometheus.GaugeValue, float64(s.InFlight))
		send(c.waiting, prometheus.GaugeValue, float64(s.Waiting))
		send(c.goodput, prometheus.GaugeValue, s.Goodput)
		if s.RTT > 0 {
			send(c.rtt, prometheus.GaugeValue, s.RTT.Seconds())
		}
		send(c.sent, prometheus.CounterValue, float64(s.Sent))
		send(c.refused, prometheus.CounterValue, float64(s.Refused))
		send(c.failed, prometheus.CounterValue, float64(s.Failed))
	}
}
