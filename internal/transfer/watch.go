package transfer

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
)

// minProgress is the slowest transfer that is not a stall, in bytes per second.
const minProgress = 1 << 10

// hedgeAgain is how long a slow request waits before it asks again whether it may be sent a second time.
const hedgeAgain = 100 * time.Millisecond

// Why a watch cuts a request off.
var (
	// errStalled: it moves (almost) nothing.
	errStalled = &oms.Error{Op: "transfer", Kind: oms.Transient, Code: "STALLED", Msg: "less than 1 KiB/s for too long"}
	// errStraggler: it takes many times as long as others of its size.
	errStraggler = &oms.Error{Op: "transfer", Kind: oms.Transient, Code: "STRAGGLER", Msg: "slower by far than other requests"}
)

// watch looks after one attempt of a request: it cuts off what makes no progress, and what takes far longer than others
// of its size, and lets a slow one be sent a second time. Time spent waiting for the bandwidth limit is not held against
// it.
type watch struct {
	ticket  *guard.Ticket
	paced   paced
	period  time.Duration // of the look for stalls
	cut     context.CancelCauseFunc
	began   time.Time
	moved   atomic.Int64
	held    atomic.Bool // waiting for the limiter at some time in this period
	limited atomic.Bool // waiting for it at any time
	holding atomic.Int32
	timer   *time.Timer

	mu     sync.Mutex
	over   bool
	stall  time.Duration // since began, when stalls are looked for next
	size   int64         // bytes that the request moves; negative: not known
	hedge  time.Duration // since began, when second is called; 0: never
	kill   time.Duration // since began, when it is a straggler; 0: never
	second func() bool   // sends the request a second time; false: not now
}

// paced is what others of its kind tell of a request.
type paced struct {
	pace  *pace // nil: nothing
	spare bool  // it is not cut off, however long it takes
}

func newWatch(period time.Duration, ticket *guard.Ticket, p paced, cut context.CancelCauseFunc) *watch {
	w := &watch{ticket: ticket, paced: p, period: period, cut: cut, began: time.Now(), stall: period, size: -1}
	w.mu.Lock()
	w.timer = time.AfterFunc(period, w.look)
	w.mu.Unlock()
	return w
}

// expect says how many bytes the request is about to move. second, if not nil, sends it a second time when it takes
// longer than nearly all others do; it is called from another goroutine, never after quiet.
func (w *watch) expect(size int64, second func() bool) {
	if w.paced.pace == nil {
		return
	}
	hedge, kill := w.paced.pace.bounds(size)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size = size
	if second != nil {
		w.hedge, w.second = hedge, second
	}
	if !w.paced.spare {
		w.kill = kill
	}
	if w.hedge > 0 || w.kill > 0 {
		w.timer.Reset(w.next(time.Since(w.began)))
	}
}

// next returns how long to sleep until something is due. w is locked.
func (w *watch) next(now time.Duration) time.Duration {
	due := w.stall
	if w.hedge > 0 {
		due = min(due, w.hedge)
	}
	if w.kill > 0 {
		due = min(due, w.kill)
	}
	return max(due-now, time.Millisecond)
}

// look does what is due.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	now := time.Since(w.began)
	if w.limited.Load() { // how long it takes is the limit's doing
		w.hedge, w.kill = 0, 0
	}
	if w.hedge > 0 && now >= w.hedge {
		if w.hedge = now + hedgeAgain; w.second() {
			w.hedge = 0
		}
	}
	if w.kill > 0 && now >= w.kill {
		if w.kill = 0; w.paced.pace.mayKill() {
			w.cut(errStraggler)
			return
		}
	}
	if now >= w.stall {
		moving := w.moved.Swap(0) >= int64(w.period.Seconds()*minProgress)
		if !moving && !w.held.Swap(w.holding.Load() > 0) {
			w.cut(errStalled)
			return
		}
		w.stall = now + w.period
	}
	w.timer.Reset(w.next(now))
}

// quiet says that the request is not to be sent a second time any more.
func (w *watch) quiet() {
	w.mu.Lock()
	w.hedge = 0
	w.mu.Unlock()
}

// stop ends the watch over a request with its outcome.
func (w *watch) stop(err error) {
	w.timer.Stop()
	w.mu.Lock()
	w.over = true
	size := w.size
	w.mu.Unlock()
	if err == nil && size >= 0 && !w.limited.Load() {
		w.paced.pace.observe(size, time.Since(w.began))
	}
}

// progress says that n bytes have moved.
func (w *watch) progress(n int) {
	w.moved.Add(int64(n))
	w.ticket.Progress(n)
}

// hold runs f, during which no progress is expected.
func (w *watch) hold(f func() error) error {
	began := time.Now()
	w.held.Store(true)
	w.limited.Store(true)
	w.holding.Add(1)
	defer func() {
		w.holding.Add(-1)
		w.ticket.Held(time.Since(began))
	}()
	return f()
}

// watchedBytes is a body in memory; it tells the watch what is taken of it.
type watchedBytes struct {
	bytes.Reader
	w *watch
}

func newWatchedBytes(b []byte, w *watch) *watchedBytes {
	body := &watchedBytes{w: w}
	body.Reset(b)
	return body
}

// watchedPiece is how much is written at once: large enough for few system calls, and small enough that the watch hears
// often of the progress over a slow connection.
const watchedPiece = 256 << 10

// Read implements io.Reader.
func (b *watchedBytes) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.w.progress(n)
	return n, err
}

// WriteTo implements io.WriterTo: the bytes go to the connection without a copy.
func (b *watchedBytes) WriteTo(to io.Writer) (int64, error) {
	return b.Reader.WriteTo(watchedPieces{to, b.w})
}

// watchedPieces writes in pieces and tells the watch of each.
type watchedPieces struct {
	to io.Writer
	w  *watch
}

func (p watchedPieces) Write(b []byte) (sum int, err error) {
	for len(b) > 0 && err == nil {
		var n int
		n, err = p.to.Write(b[:min(len(b), watchedPiece)])
		p.w.progress(n)
		b, sum = b[n:], sum+n
	}
	return sum, err
}

// watchedReader tells the watch what is read through it.
type watchedReader struct {
	r io.Reader
	w *watch
}

func (r watchedReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.w.progress(n)
	return n, err
}
