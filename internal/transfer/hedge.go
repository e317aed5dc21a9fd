package transfer

import (
	"context"
	"sync"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Why one of two equal writes is cut off: the other one was faster.
var errOvertakenWrite = &oms.Error{Op: "transfer", Kind: oms.Conflict, Msg: "the same bytes arrived by another request"}

// hedged runs write, which writes size bytes from memory, and, when that takes longer than nearly all others while
// nothing else is left to do, once more beside it. The first success counts; both write the same, so it does not matter
// which one the store keeps. Only a write that carries checksums is sent twice, or cut off for being slow: some stores
// keep what arrived of one that was cut off. write has ended for good when hedged returns. parent is the context of the
// whole, ctx that of the first attempt, whose watch is w.
func (j *Job) hedged(
	parent, ctx context.Context, w *watch, sums storage.Sums, size int64, write func(context.Context, *watch) (storage.Written, error),
) (storage.Written, error) {
	if sums.Has == 0 { // a request that is cut off on purpose could be stored in part
		return write(ctx, w)
	}
	var second hedge
	w.expect(size, func() bool {
		if !j.listed.Load() || !j.queue.spare() {
			return false
		}
		second.start(parent, j, w, write)
		return true
	})
	written, err := write(ctx, w)
	w.quiet()
	if second.drop == nil {
		return written, err
	}
	if err == nil {
		second.drop(errOvertakenWrite)
	}
	second.Wait()
	if err != nil && second.err == nil {
		return second.written, nil
	}
	return written, err
}

// hedge is a write that is sent a second time.
type hedge struct {
	sync.WaitGroup
	drop    context.CancelCauseFunc // nil when there is none
	written storage.Written
	err     error
}

// start sends the write a second time; when that succeeds the first one, whose watch is w, is cut off.
func (h *hedge) start(ctx context.Context, j *Job, w *watch, write func(context.Context, *watch) (storage.Written, error)) {
	ctx, h.drop = context.WithCancelCause(ctx)
	h.Go(func() {
		defer h.drop(nil)
		h.err = j.once(ctx, dstWrite, &tries{killed: true}, func(ctx context.Context, w *watch) (err error) {
			h.written, err = write(ctx, w)
			return err
		})
		if h.err == nil {
			w.cut(errOvertakenWrite)
		}
	})
}
