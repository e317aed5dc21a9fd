package transfer

import (
	"context"
	"sync"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// errOvertakenRequest is why one of two equal requests is cut off: the other one was faster.
var errOvertakenRequest = &oms.Error{Op: "transfer", Kind: oms.Conflict, Msg: "the same bytes arrived by another request"}

// call is one attempt of a request under a watch.
type call[T any] func(context.Context, *watch) (T, error)

// hedge is a request that can be sent a second time, beside the first attempt. Whoever makes one runs it once.
type hedge[T any] struct {
	job    *Job
	to     target
	size   int64 // bytes that it moves
	first  call[T]
	second func() call[T] // returns the second attempt, nil when it cannot be made now

	under sync.WaitGroup
	drop  context.CancelCauseFunc // ends the second attempt; nil when there is none
	got   T                       // by the second attempt
	err   error                   // of the second attempt
}

// run makes the first attempt, whose context is ctx and whose watch is w, and, when that takes longer than nearly all
// others while nothing else is left to do, the second one beside it, whose context comes from parent. The first success
// counts. Both have ended for good when run returns.
func (h *hedge[T]) run(parent, ctx context.Context, w *watch) (T, error) {
	w.expect(h.size, func() bool {
		if !h.job.listed.Load() || !h.job.queue.spare() {
			return false
		}
		second := h.second()
		if second == nil {
			return false
		}
		h.start(parent, w, second)
		return true
	})
	got, err := h.first(ctx, w)
	w.quiet()
	if h.drop == nil {
		return got, err
	}
	if err == nil {
		h.drop(errOvertakenRequest)
	}
	h.under.Wait()
	if err != nil && h.err == nil {
		return h.got, nil
	}
	return got, err
}

// start makes the second attempt; when that succeeds the first one, whose watch is w, is cut off.
func (h *hedge[T]) start(ctx context.Context, w *watch, second call[T]) {
	ctx, h.drop = context.WithCancelCause(ctx)
	h.under.Go(func() {
		defer h.drop(nil)
		h.err = h.job.once(ctx, h.to, &tries{killed: true}, func(ctx context.Context, w *watch) (err error) {
			h.got, err = second(ctx, w)
			return err
		})
		if h.err == nil {
			w.cut(errOvertakenRequest)
		}
	})
}

// hedgedWrite runs write, which writes size bytes from memory, perhaps twice: both write the same, so it does not matter
// which one the store keeps. Only a write that carries checksums is sent twice, or cut off for being slow: some stores
// keep what arrived of one that was cut off. parent is the context of the whole, ctx that of the first attempt, whose
// watch is w.
func (j *Job) hedgedWrite(
	parent, ctx context.Context, w *watch, sums storage.Sums, size int64, write call[storage.Written],
) (storage.Written, error) {
	if sums.Has == 0 { // a request that is cut off on purpose could be stored in part
		return write(ctx, w)
	}
	h := hedge[storage.Written]{job: j, to: dstWrite, size: size, first: write, second: func() call[storage.Written] { return write }}
	return h.run(parent, ctx, w)
}

// content is what a read brought.
type content struct {
	obj storage.Object
	crc uint32
	buf []byte // that holds the bytes
}

// hedgedRead runs read, which fills the buffer it is given, perhaps twice: the second time into a buffer of its own, if
// one is free. The bytes are in buf when it returns. The contexts and w are those of hedgedWrite.
func (j *Job) hedgedRead(
	parent, ctx context.Context, w *watch, buf []byte, read func(context.Context, *watch, []byte) (content, error),
) (content, error) {
	into := func(buf []byte) call[content] {
		return func(ctx context.Context, w *watch) (content, error) {
			got, err := read(ctx, w, buf)
			got.buf = buf
			return got, err
		}
	}
	var spare []byte
	h := hedge[content]{job: j, to: srcRead, size: int64(len(buf)), first: into(buf), second: func() call[content] {
		if spare = j.res.buffers.tryGet(&j.memory, int64(len(buf))); spare == nil {
			return nil
		}
		return into(spare)
	}}
	got, err := h.run(parent, ctx, w)
	if spare != nil {
		if err == nil && len(buf) > 0 && &got.buf[0] == &spare[0] {
			copy(buf, spare)
		}
		got.buf = buf
		j.res.buffers.put(&j.memory, spare)
	}
	return got, err
}
