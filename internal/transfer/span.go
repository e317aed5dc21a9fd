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

	window window
}

func newSpan(r oms.Range) *span {
	s := &span{r: r, resumed: r.Resumed()}
	s.window.init(r)
	return s
}
