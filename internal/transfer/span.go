package transfer

import (
	"sync"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// span is a range being worked on: where its walker is, and what it has handed out that is not acknowledged yet.
type span struct {
	mu    sync.Mutex
	r     oms.Range // End shrinks when the tail is cut off; Cur is the walker's position, ahead of the stored one
	first string    // first key of the page delivered last
	pages int       // pages delivered: a range that proved nothing is not cut
	cuts  int       // cuts since the last page
	tries int       // cuts since a thief found a full page
	done  bool      // the walker is through

	victim  *span // the span it was cut off, until the first page shows whether that was worth it
	resumed bool  // it, or the span it was cut off, was leased before

	window window
}

func newSpan(r oms.Range) *span {
	s := &span{r: r, resumed: r.Resumed()}
	s.window.init(r)
	return s
}

// deliver takes what of a page lies in the span, moves the walker's position over it, and reports whether the
// span's end was reached. A later cut cannot lie before the new position.
func (s *span) deliver(page []storage.ListedObject) (mine []storage.ListedObject, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine = page
	if s.r.End != "" {
		n := len(page)
		for n > 0 && page[n-1].Key > s.r.End {
			n--
		}
		mine, ended = page[:n], n < len(page)
	}
	if len(mine) > 0 {
		s.first, s.r.Cur = mine[0].Key, mine[len(mine)-1].Key
	}
	s.pages++
	s.cuts = 0
	return mine, ended || len(page) == 0
}

// finish marks the walker as through; nothing can be cut off any more.
func (s *span) finish() {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
}
