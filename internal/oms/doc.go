// Package oms is the domain of the migration service: tasks and their states, nodes, the policies of a
// task, ranges and their counters, failures, error kinds and secrets.
//
// It does no I/O, reads no clock and imports only the standard library; every other package may import it.
// Sizes are int64 bytes, instants are UTC, spans are time.Duration. Wire spellings and units (seconds here,
// milliseconds there) belong to package omsv2 and to httpapi.
package oms
