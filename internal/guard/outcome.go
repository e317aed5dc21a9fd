package guard

import (
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// verdict is what the end of a request says about the store.
type verdict uint8

const (
	neutral verdict = iota // nothing: cancelled, or refused for a reason of its own
	ok                     // the store answered as it does when all is well
	refused                // it asked for fewer requests
	broken                 // it failed: time-out, reset, server error
)

// Outcome is how a request ended. The zero value is Neutral.
type Outcome struct {
	verdict verdict
	pause   time.Duration
}

// OK says that the store did its work.
func OK() Outcome { return Outcome{verdict: ok} }

// Refused says that the store asked for fewer requests: 503 SlowDown, 429 and their like. After is what it said in
// Retry-After, 0 when it said nothing.
func Refused(after time.Duration) Outcome { return Outcome{verdict: refused, pause: max(after, 0)} }

// Failed says that the store failed: time-out, reset, an error of the server that is no refusal.
func Failed() Outcome { return Outcome{verdict: broken} }

// Neutral says nothing about the store: the request was cancelled, or its answer was an error of the request.
func Neutral() Outcome { return Outcome{} }

// OutcomeOf classifies the error of a request; after is the pause that the store asked for with it, 0 for none. An
// object that does not exist is an answer like any other: looking up many absent objects is work well done.
func OutcomeOf(err error, after time.Duration) Outcome {
	switch {
	case err == nil:
		return OK()
	case oms.Canceled(err):
		return Neutral()
	}
	switch oms.KindOf(err) {
	case oms.Throttled:
		return Refused(after)
	case oms.Transient:
		return Failed()
	case oms.NotFound:
		return OK()
	case oms.Other, oms.Invalid, oms.Conflict, oms.Denied, oms.Archived, oms.Changed, oms.Corrupt, oms.Unsupported,
		oms.NoBucket, oms.Full, oms.Listing:
	}
	return Neutral()
}
