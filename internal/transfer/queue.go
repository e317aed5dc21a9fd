package transfer

import (
	"context"
	"sync"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of a job's queue.
const (
	maxQueued       = 4096 // objects waiting: listing stops beyond
	queuedPerWorker = 32   // the same, where there are few workers
	maxOpenUploads  = 32   // large objects in progress
)

// errClosed says that the job is ending.
var errClosed = &oms.Error{Op: "queue", Kind: oms.Conflict, Msg: "the job is ending"}

// unit is a piece of work that holds one slot while it runs.
type unit interface{ run(ctx context.Context) }

// queue holds what a job's workers do next. Parts of large objects go first but leave half of the buffers to whole
// objects while any wait; large objects start only while few uploads are open.
type queue struct {
	mu        sync.Mutex
	changed   sync.Cond // something was added, or the queue was closed, or a large object ended
	small     fifo[*item]
	large     fifo[*item]
	parts     fifo[*partUnit]
	uploads   int // large objects in progress
	parting   int // parts being moved
	workers   int // most there may be
	enlisted  int // that there are
	idle      int // of these, waiting in pop
	mostParts int // parts that are moved at the same time
	most      int // objects that wait
	closed    bool
	room      chan struct{} // closed and renewed when an object is taken while somebody waits
	waiting   bool
}

// newQueue returns a queue for so many workers and so many bytes of buffers; the first worker is there already. No
// more parts are moved at the same time than fit in the buffers: those that wait for one would keep small objects from
// theirs.
func newQueue(workers int, memory int64) *queue {
	q := &queue{
		workers: workers, enlisted: 1, mostParts: max(min(workers, int(memory/minPart)), 1), most: mostQueued(workers), room: make(chan struct{}),
	}
	q.changed.L = &q.mu
	return q
}

// mostQueued returns how many objects may wait for so many workers: few workers must not keep what others could do.
func mostQueued(workers int) int { return min(workers*queuedPerWorker, maxQueued) }

// push adds an object, waiting while too many are queued.
func (q *queue) push(ctx context.Context, it *item) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return errClosed
		}
		if q.small.len()+q.large.len() < q.most {
			q.insert(it)
			q.mu.Unlock()
			return nil
		}
		q.waiting = true
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// insert adds an object. The queue is locked.
func (q *queue) insert(it *item) {
	if it.large() {
		q.large.push(it)
	} else {
		q.small.push(it)
	}
	q.changed.Signal()
}

// requeue adds an object again that a worker found to be large; false when the queue is closed.
func (q *queue) requeue(it *item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.insert(it)
	return true
}

// pushPart adds a part. Callers bound the number of their parts.
func (q *queue) pushPart(p *partUnit) {
	q.mu.Lock()
	q.parts.push(p)
	q.changed.Signal()
	q.mu.Unlock()
}

// pop returns the next unit, waiting for one; nil when the queue is closed. A large object comes back as start: the
// caller runs it beside the workers, since it only waits for its parts.
func (q *queue) pop() (u unit, start *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed {
		objects := q.small.len() > 0
		switch {
		case q.parts.len() > 0 && (q.parting < max(q.mostParts/2, 1) || !objects && q.parting < q.mostParts):
			q.parting++
			return q.parts.pop(), nil
		case q.large.len() > 0 && q.uploads < maxOpenUploads:
			q.uploads++
			q.taken()
			return nil, q.large.pop()
		case objects:
			q.taken()
			return q.small.pop(), nil
		}
		q.idle++
		q.changed.Wait()
		q.idle--
	}
	return nil, nil
}

// spare reports whether workers have nothing to do.
func (q *queue) spare() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && (q.idle > 0 || q.enlisted < q.workers) && q.small.len()+q.large.len()+q.parts.len() == 0
}

// enlist reports whether there is work left that another worker should come in for, of whom useful can be busy, and
// counts it.
func (q *queue) enlist(useful int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.idle > 0 || q.enlisted >= min(useful, q.workers) || q.small.len()+q.large.len()+q.parts.len() == 0 {
		return false
	}
	q.enlisted++
	return true
}

// dismiss reports whether a worker should leave, because there are many more than can be busy, and counts it out.
func (q *queue) dismiss(useful int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.enlisted <= useful+useful/4 || q.enlisted == 1 {
		return false
	}
	q.enlisted--
	return true
}

// taken lets those go on who wait for room.
func (q *queue) taken() {
	if q.waiting {
		q.waiting = false
		close(q.room)
		q.room = make(chan struct{})
	}
}

// partDone is called after each part, uploadDone after each large object.
func (q *queue) partDone() {
	q.mu.Lock()
	q.parting--
	q.changed.Signal()
	q.mu.Unlock()
}

func (q *queue) uploadDone() {
	q.mu.Lock()
	q.uploads--
	q.changed.Signal()
	q.mu.Unlock()
}

// close wakes all workers for good and returns how many queued objects were dropped.
func (q *queue) close() (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	dropped = q.small.len() + q.large.len()
	q.small, q.large, q.parts = fifo[*item]{}, fifo[*item]{}, fifo[*partUnit]{}
	q.closed = true
	q.taken()
	q.changed.Broadcast()
	return dropped
}

// fifo is a queue in a ring that grows.
type fifo[T any] struct {
	ring []T
	head int
	n    int
}

func (f *fifo[T]) len() int { return f.n }

func (f *fifo[T]) push(v T) {
	if f.n == len(f.ring) {
		grown := make([]T, max(16, 2*len(f.ring)))
		for i := range f.n {
			grown[i] = f.ring[(f.head+i)%len(f.ring)]
		}
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.n)%len(f.ring)] = v
	f.n++
}

func (f *fifo[T]) pop() T {
	var zero T
	v := f.ring[f.head]
	f.ring[f.head] = zero
	f.head = (f.head + 1) % len(f.ring)
	f.n--
	return v
}
