package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// What is relayed, measured as told in ADR 0018.
const (
	minRelay  = 128 << 10 // smaller objects gain nothing
	relayStep = 1 << 20   // bytes between two reports of progress
)

// Relays that may be refused: one in refusedShare, and a few at first.
const (
	refusedShare = 20
	refusedFirst = 4
)

// relays is what a job has learned about objects that the kernel moves from one store to the other.
type relays struct{ begun, refused atomic.Int64 }

// worthwhile reports whether another one should be tried: where many are refused, their ETags are something else.
func (r *relays) worthwhile() bool {
	return (r.refused.Load()-refusedFirst)*refusedShare <= r.begun.Load()
}

// relayable reports whether the object can move from store to store inside the kernel. Nobody computes a checksum then:
// it must be known beforehand, and the destination must check it. The source's ETag is the MD5 where others were. At the
// end of a job, when a request can be sent twice from its buffer, buffers are better.
func (it *item) relayable() bool {
	j := it.job
	if j.plan.Spec.KMS || j.plan.Spec.Consistency == oms.CheckCRC64 { // what the answer must tell is looked at elsewhere
		return false
	}
	if it.direct || it.obj.Size < minRelay || it.obj.Size > maxSingle || it.prior != nil || !looksLikeMD5(it.obj.ETag) ||
		!j.plan.Abilities.MD5 || !j.srcETags.matched.Load() || !j.relays.worthwhile() || j.listed.Load() && j.queue.spare() {
		return false
	}
	return canRelay(j.plan.Src) && canRelay(j.plan.Dst)
}

func canRelay(bucket storage.Reader) bool {
	r, ok := bucket.(storage.Relayer)
	return ok && r.CanRelay()
}

// copyDirectly tries once to move the object without a buffer; done is false when it must go through one.
func (it *item) copyDirectly(ctx context.Context) (o outcome, done bool) {
	relayed, err := it.relay(ctx)
	switch {
	case err != nil:
		return failed(oms.FailGet, err), true
	case relayed:
		return outcome{action: Copy, moved: it.obj.Size}, true
	}
	return o, false
}

// relay tries once to move the object from store to store, with its ETag as the MD5 that the destination checks (rule
// D1: the destination confirms the checksum of the bytes that the source once took). false means that the object must go
// through a buffer, where every error finds its place: what was sent is then sent again from byte 0.
func (it *item) relay(ctx context.Context) (relayed bool, err error) {
	j := it.job
	it.direct = true
	err = j.waitOut(ctx, func() error {
		j.relays.begun.Add(1)
		r := &relay{it: it}
		err := r.try(ctx)
		switch {
		case err == nil:
			relayed = true
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStraggler):
			it.tries.killed = true
		case oms.KindOf(err) == oms.Corrupt:
			j.relays.refused.Add(1)
			if r.wrong != "" { // it is there: nobody must take it for right if the source is gone now
				return it.discard(ctx, j.destination(it.obj.Key), r.wrong)
			}
		case oms.KindOf(err).Retryable():
			it.tries.failed++
			return sleep(ctx, backoff(it.tries.failed+1, err))
		}
		return nil
	})
	return relayed, err
}

// relay is one attempt to move an object from store to store.
type relay struct {
	it       *item
	read     guard.Ticket
	ofSource bool   // the error is the source's
	wrong    string // ETag of what was written and is not the object
}

// try makes both requests when their turn has come. The leave to write comes first: nobody who has one to read waits for
// another, so who has one to write can wait for it.
func (r *relay) try(ctx context.Context) error {
	j := r.it.job
	write, err := j.flows[dstWrite].Acquire(ctx, r.it.tries.key)
	if err != nil {
		return err
	}
	began := time.Now()
	if r.read, err = j.flows[srcRead].Acquire(ctx, r.it.tries.key); err != nil {
		write.Cancel()
		return err
	}
	write.Held(time.Since(began))
	err = j.watched(ctx, &write, paced{pace: &j.paces[dstWrite], spare: r.it.tries.killed}, r.run)
	after, _ := storage.RetryAfter(err)
	ofRead, ofWrite := guard.OutcomeOf(err, after), guard.OutcomeOf(err, after)
	switch {
	case err == nil:
		j.health(oms.Source).report(nil)
		j.health(oms.Destination).report(nil)
	case ctx.Err() != nil, errors.Is(err, errStraggler), errors.Is(err, errStalled): // whose fault it is is not known
		ofRead, ofWrite = guard.Neutral(), guard.Neutral()
	case r.ofSource:
		ofWrite = guard.Neutral()
		j.health(oms.Source).report(err)
	default:
		ofRead = guard.Neutral()
		j.health(oms.Destination).report(err)
	}
	r.read.Done(ofRead)
	write.Done(ofWrite)
	return err
}

// run reads and writes the object, both under the watch w.
func (r *relay) run(ctx context.Context, w *watch) error {
	it, j := r.it, r.it.job
	w.expect(it.obj.Size, nil)
	r.ofSource = true
	c, err := j.plan.Src.Open(ctx, it.obj.Key, storage.OpenOptions{Size: it.obj.Size})
	if err != nil {
		return err
	}
	defer c.Body.Close()
	mover, ok := c.Body.(storage.Mover)
	sum, known := md5Of(c.Object)
	if !ok || !known || c.Size != it.obj.Size {
		return errNoRelay
	}
	r.ofSource = false
	key := j.destination(it.obj.Key)
	body := &relayBody{ctx: ctx, job: j, watch: w, read: &r.read, src: mover}
	written, err := j.plan.Dst.Put(ctx, storage.PutRequest{
		Key: key, Body: body, Size: it.obj.Size, Attrs: it.attrs(c.Object), Sums: storage.Sums{Has: storage.SumMD5, MD5: sum},
	})
	if err != nil {
		r.ofSource = body.err != nil && errors.Is(err, body.err)
		return err
	}
	if j.plan.Abilities.ETagMD5 && !written.Encrypted && looksLikeMD5(written.ETag) && !strings.EqualFold(written.ETag, c.ETag) {
		r.wrong = written.ETag
		return errETag
	}
	j.proofs[ProvedMD5].Add(1)
	return nil
}

// errNoRelay says that the object is not one that can be relayed, though it was listed as one.
var errNoRelay = corrupt("the checksum of the object is not known beforehand")

// md5Of returns the MD5 of a whole object, as far as its ETag is one.
func md5Of(obj storage.Object) (sum [md5.Size]byte, ok bool) {
	if obj.Encrypted || !looksLikeMD5(obj.ETag) {
		return sum, false
	}
	n, err := hex.Decode(sum[:], []byte(obj.ETag))
	return sum, err == nil && n == len(sum)
}

// relayBody is the body of a write that comes straight from a read. It moves in steps, within the bandwidth limit, and
// tells the watch of each.
type relayBody struct {
	ctx   context.Context //nolint:containedctx // io.WriterTo has no context; the body lives for one request
	job   *Job
	watch *watch
	read  *guard.Ticket
	src   storage.Mover
	err   error
}

// Read implements io.Reader, for those who do not know of WriteTo.
func (b *relayBody) Read(p []byte) (int, error) {
	step, err := b.allow(int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := b.src.Read(p[:step])
	b.moved(step, int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (b *relayBody) WriteTo(to io.Writer) (sum int64, err error) {
	for {
		step, err := b.allow(relayStep)
		if err != nil {
			return sum, err
		}
		n, err := b.src.Move(to, step)
		sum += n
		b.moved(step, n)
		if err != nil {
			b.err = err
			return sum, err
		}
		if n < step {
			return sum, nil
		}
	}
}

// allow waits for the bandwidth limit and returns how many of n bytes may be moved now.
func (b *relayBody) allow(n int64) (int64, error) {
	limit := b.job.limit
	if limit.rate.Load() == 0 {
		return n, nil
	}
	step := limit.chunk(int(n))
	began := time.Now()
	err := b.watch.hold(func() error { return limit.wait(b.ctx, step) })
	b.read.Held(time.Since(began))
	return int64(step), err
}

// moved says that n bytes of the step have moved.
func (b *relayBody) moved(step, n int64) {
	b.job.limit.giveBack(int(step - n))
	b.job.moved.Add(n)
	b.watch.progress(int(n))
	b.read.Progress(int(n))
}
