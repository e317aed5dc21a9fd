package cli

import (
	"math"
	"time"
)

// progress is what is known of a task at an instant.
type progress struct {
	Status                    string        // in words
	Listing                   bool          // the listing of the source goes on: what is found still grows
	Found, FoundBytes         int64         // objects and bytes found so far
	Done, DoneBytes           int64         // of those, with an outcome
	Migrated, Skipped, Failed int64         // outcomes
	MovedBytes                int64         // bytes really sent
	Elapsed                   time.Duration // running time
}

// reporter shows the progress of one task. Its methods are called from one goroutine.
type reporter interface {
	// update shows the state at an instant.
	update(p progress, at time.Time) error
}

// quietReporter shows nothing.
type quietReporter struct{}

func (quietReporter) update(progress, time.Time) error { return nil }

// pace is how fast a task has been moving lately, and how long it will take.
type pace struct {
	objects, bytes float64       // per second
	left           time.Duration // until the end; negative when it cannot be told
}

// paceWindow is the span that rates are measured over: long enough to be calm, short enough to follow.
const paceWindow = 5 * time.Second

// meter measures the pace over the last paceWindow.
type meter struct{ samples []sample }

type sample struct {
	at             time.Time
	objects, bytes int64
}

// measure adds the state at an instant and returns the pace at it.
func (m *meter) measure(p progress, at time.Time) pace {
	m.samples = append(m.samples, sample{at: at, objects: p.Done, bytes: p.DoneBytes})
	drop := 0
	for drop < len(m.samples)-2 && at.Sub(m.samples[drop+1].at) >= paceWindow {
		drop++
	}
	m.samples = append(m.samples[:0], m.samples[drop:]...)

	first := m.samples[0]
	var now pace
	if span := at.Sub(first.at).Seconds(); span > 0 {
		now.objects = max(0, float64(p.Done-first.objects)/span)
		now.bytes = max(0, float64(p.DoneBytes-first.bytes)/span)
	}
	now.left = timeLeft(p, now)
	return now
}

// timeLeft is the longer of the times that the remaining objects and the remaining bytes take at the pace. A
// listing that goes on makes it unknown.
func timeLeft(p progress, at pace) time.Duration {
	if p.Listing {
		return -1
	}
	var seconds float64
	for _, v := range [...]struct {
		left int64
		rate float64
	}{{p.Found - p.Done, at.objects}, {p.FoundBytes - p.DoneBytes, at.bytes}} {
		if v.left <= 0 {
			continue
		}
		if v.rate <= 0 {
			return -1
		}
		seconds = max(seconds, float64(v.left)/v.rate)
	}
	if seconds > math.MaxInt64/float64(time.Second) {
		return -1
	}
	return time.Duration(seconds * float64(time.Second))
}

// share is the part done, 0 to 1, by bytes, or by objects where all are empty. Below 1 while the listing goes on or
// an object is left.
func (p progress) share() float64 {
	if p.Found == 0 {
		return 0
	}
	part := float64(p.Done) / float64(p.Found)
	if p.FoundBytes > 0 {
		part = float64(p.DoneBytes) / float64(p.FoundBytes)
	}
	if p.Listing || p.Done < p.Found {
		part = min(part, 0.99)
	}
	return min(1, part)
}
