package storage

import (
	"errors"
	"time"
)

// MaxPause bounds what a store may ask for (reliability.md section 3: Retry-After is clamped to five minutes).
const MaxPause = 5 * time.Minute

// Pause is the cause of an error whose answer said when to come back.
type Pause struct {
	After time.Duration // within [0, MaxPause]
}

// Error says how long to wait.
func (p Pause) Error() string { return "retry after " + p.After.String() }

// RetryAfter returns the pause that the store asked for with err; false when it asked for none.
func RetryAfter(err error) (time.Duration, bool) {
	p, ok := errors.AsType[Pause](err)
	return min(max(p.After, 0), MaxPause), ok
}
