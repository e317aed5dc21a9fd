package transfer

import (
	"context"
	"math/bits"
	"sync"
)

// MaxBuffer is the largest object part that travels in one buffer, in bytes; larger parts stream.
const MaxBuffer = 64 << 20

// minBuffer is the smallest buffer, in bytes.
const minBuffer = 4 << 10

// buffers hands out byte buffers within a budget and keeps those it gets back, at most the budget in sum, so that
// large buffers do not become garbage.
type buffers struct {
	budget *pool
	limit  int64
	mu     sync.Mutex
	kept   int64
	free   [bits.UintSize][][]byte // by power of two
}

func newBuffers(limit int64) *buffers {
	limit = max(limit, MaxBuffer)
	return &buffers{budget: newPool(limit), limit: limit}
}

func sizeClass(n int64) int { return bits.Len64(uint64(max(n, minBuffer) - 1)) }

// get returns a buffer of n bytes, n at most MaxBuffer, waiting until the budget allows it. The buffer is by's until it is
// put back.
func (b *buffers) get(ctx context.Context, by *party, n int64) ([]byte, error) {
	if err := b.budget.acquire(ctx, by, 1<<sizeClass(n)); err != nil {
		return nil, err
	}
	return b.take(n), nil
}

// tryGet is get that returns nil when the budget does not allow a buffer now.
func (b *buffers) tryGet(by *party, n int64) []byte {
	if !b.budget.tryAcquire(by, 1<<sizeClass(n)) {
		return nil
	}
	return b.take(n)
}

// take returns a buffer of n bytes, which the budget has been asked for.
func (b *buffers) take(n int64) []byte {
	class := sizeClass(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free[class]) > 0 {
		return b.takeFree(class)[:n]
	}
	return make([]byte, n, 1<<class)
}

// put takes a buffer of by's back. Nobody may use it any more (rule C3).
func (b *buffers) put(by *party, buf []byte) {
	class := sizeClass(int64(cap(buf)))
	b.mu.Lock()
	for other := len(b.free) - 1; other >= 0 && b.kept+int64(cap(buf)) > b.limit; other-- { // make room: drop the largest
		for len(b.free[other]) > 0 && b.kept+int64(cap(buf)) > b.limit {
			b.takeFree(other)
		}
	}
	b.free[class] = append(b.free[class], buf)
	b.kept += 1 << class
	b.mu.Unlock()
	b.budget.release(by, 1<<class)
}

// takeFree takes out a free buffer of a class, leaving no reference behind. b is locked.
func (b *buffers) takeFree(class int) []byte {
	l := b.free[class]
	last := len(l) - 1
	buf := l[last]
	l[last] = nil
	b.free[class] = l[:last]
	b.kept -= 1 << class
	return buf
}
