package transfer

import (
	"github.com/openoms/openoms/internal/keyspace"
	"github.com/openoms/openoms/internal/oms"
)

// span is a range being worked on: where its walker is, and what it has handed out that is not acknowledged yet.
type span struct {
	// r is guarded by the job's mutex. Cur is the walker's position, ahead of the stored one; End shrinks when the tail
	// is cut off.
	r       oms.Range
	keys    *keyspace.Range // while the range, one over keys, is being listed
	resumed bool            // it, or the span it was cut off, was leased before
	vacant  *string         // the destination has nothing behind this key; nil when that is not known; as r
	failed  []oms.Failure   // recorded failures among its keys that are retried in passing, ascending

	// What the filters left out of the present page, which is not found; only the walker touches them.
	leftOut, leftOutBytes int64

	files *fileTree // nil unless the destination is a file system

	window window
}

// takeFailure returns the recorded failure of a key, nil when there is none. Keys must ascend.
func (s *span) takeFailure(key string) *oms.Failure {
	for len(s.failed) > 0 && s.failed[0].Key < key {
		s.failed = s.failed[1:]
	}
	if len(s.failed) == 0 || s.failed[0].Key != key {
		return nil
	}
	return &s.failed[0]
}

func newSpan(r oms.Range) *span {
	s := &span{r: r, resumed: r.Resumed()}
	s.window.init(r)
	return s
}
