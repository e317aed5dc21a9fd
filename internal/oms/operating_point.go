package oms

import "time"

// OperatingPoint is what a process learned about one class of requests to one bucket of one endpoint, and where the
// next process starts.
type OperatingPoint struct {
	Endpoint, Bucket string
	Class            string    // list, read or write
	Slots            int       // requests in flight
	Settled          bool      // whether the search for Slots came to an end
	Rate             float64   // the endpoint's limit in requests per second; 0 when it showed none
	PerSlot          float64   // best goodput of one request in flight, in bytes per second and request
	LearnedAt        time.Time // UTC
}
