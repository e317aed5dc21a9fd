package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Sizes of the data path in bytes.
const (
	maxSingle = 8 << 20   // objects up to here travel in one buffer and one request
	readChunk = 256 << 10 // read at once: larger brings nothing more
)

// Bounds of starting over.
const (
	maxRestarts = 3 // an object that keeps changing, or whose upload keeps vanishing
	maxCorrupt  = 3 // writes of the same bytes that the destination holds wrong
)

// item is one object to copy. It lies in its batch.
type item struct {
	job    *Job
	batch  *batch
	obj    storage.ListedObject
	line   *oms.Line    // that names it; nil in tasks without list files
	stat   bool         // the listing of both sides is unknown: ask them first (named objects, failed objects)
	look   bool         // the destination's listing is unknown: ask for the object first
	crc64  bool         // compare the CRC64 of both sides first
	wrong  string       // ETag of what the destination holds that seemed to be this task's own copy, and is not; "": nothing
	own    bool         // the destination seems to hold this task's own copy: prove it instead of sending it again
	prior  *oms.Failure // the failure that is retried; nil on first attempts
	lost   *loss        // what of its properties does not arrive; nil: nothing
	clash  bool         // a directory of its name is a file, in a file system
	waited *oms.Restore // it was put aside until it is restored; nil on objects that were not
	tries  tries
	direct bool // a relay was tried
	beside bool // runs beside the workers, so that it may wait for parts
	absent bool // the destination was asked and has no such object
}

func (it *item) large() bool { return it.obj.Size > maxSingle && !it.stat && !it.look }

// outcome is what became of an item.
type outcome struct {
	action Action
	moved  int64        // bytes sent to the destination that count
	found  oms.Findings // of a task that writes nothing
	err    error
	code   string // of the failed list, when err is set
}

// run copies the object and books the outcome.
func (it *item) run(ctx context.Context) {
	if o, requeued := it.guarded(ctx); !requeued {
		it.settle(ctx, o)
	}
}

// guarded processes the object; a panic fails the object, not the process (rule C5).
func (it *item) guarded(ctx context.Context) (o outcome, requeued bool) {
	defer func() {
		if p := recover(); p != nil {
			it.job.opts.Logger.ErrorContext(ctx, "panic while an object was copied",
				"task_id", it.job.plan.TaskID, "key", oms.Clean(it.obj.Key), "panic", fmt.Sprint(p))
			o = outcome{err: &oms.Error{Op: "copy", Key: it.obj.Key, Kind: oms.Other, Msg: "internal error"}, code: oms.FailGet}
		}
	}()
	return it.process(ctx)
}

// process decides where the listing could not, and copies.
func (it *item) process(ctx context.Context) (o outcome, requeued bool) {
	it.tries.key = it.obj.Key
	if err := it.job.checkName(it.obj.Key); err != nil {
		return failed(oms.FailName, err), false
	}
	if it.job.plan.Spec.ReadOnly() {
		return it.study(ctx), false
	}
	if it.stat || it.look || it.crc64 {
		action, o := it.inspect(ctx)
		if o.err != nil || action != Copy {
			return o, false
		}
		it.stat, it.look, it.crc64 = false, false, false
	}
	if err := it.fits(); err != nil {
		return failed(oms.FailName, err), false
	}
	if it.shelved() {
		return failed(oms.FailArchived, errShelved), false
	}
	if it.own {
		var proved bool
		err := it.job.waitOut(ctx, func() (err error) {
			proved, err = it.proveOwn(ctx)
			return err
		})
		if err != nil {
			return failed(sourceCode(err, oms.FailGet), err), false
		}
		if proved {
			return outcome{action: Own, moved: it.obj.Size}, false
		}
		it.own = false
	}
	o, requeued = it.copy(ctx)
	if !requeued && o.err != nil && it.wrong != "" && ctx.Err() == nil {
		// What lies there is of the right size and new: any later run would take it for right.
		_ = it.job.waitOut(ctx, func() error { return it.discard(ctx, it.job.destination(it.obj.Key), it.wrong) })
	}
	return o, requeued
}

// copy moves the object, again from the start when it changed meanwhile. An object that turns out to be large goes
// back to the queue, since a worker must not wait for parts.
func (it *item) copy(ctx context.Context) (o outcome, requeued bool) {
	for restart := 1; ; restart++ {
		var o outcome
		switch {
		case it.obj.Size < 0:
			o = it.copyUnsized(ctx)
		case it.obj.Size <= maxSingle:
			o = it.copySmall(ctx)
		case it.beside:
			o = it.copyLarge(ctx)
		default:
			return it.handOver()
		}
		if oms.KindOf(o.err) != oms.Changed || restart > maxRestarts {
			return o, false
		}
		// The source object is another one than was listed: take it as it is now.
		if o := it.refresh(ctx); o.err != nil {
			return o, false
		}
	}
}

// handOver queues the item again as a large object. Nobody may touch it afterwards.
func (it *item) handOver() (o outcome, requeued bool) {
	it.job.open.Add(1)
	if it.job.queue.requeue(it) {
		return outcome{}, true
	}
	it.job.open.Done()
	return failed(oms.FailUpload, errClosed), false
}

// maxKey is the longest key that every store takes, in bytes.
const maxKey = 1024

func failed(code string, err error) outcome { return outcome{err: err, code: code} }

// refresh asks the source for the object's present size and ETag.
func (it *item) refresh(ctx context.Context) outcome {
	obj, err := it.statSource(ctx)
	if err != nil {
		return failed(sourceCode(err, oms.FailGetMeta), err)
	}
	it.obj = obj.ListedObject
	return outcome{}
}

func (it *item) statSource(ctx context.Context) (obj storage.Object, err error) {
	err = it.job.retry(ctx, srcRead, func(ctx context.Context, _ *watch) error {
		obj, err = it.job.plan.Src.Stat(ctx, it.obj.Key)
		return err
	})
	return obj, err
}

// sourceCode returns the failed list's code for an error of the source.
func sourceCode(err error, code string) string {
	switch oms.KindOf(err) {
	case oms.NotFound:
		return oms.FailMissing
	case oms.Archived:
		return oms.FailArchived
	case oms.Other, oms.Invalid, oms.Conflict, oms.Denied, oms.Throttled, oms.Transient, oms.Changed, oms.Corrupt,
		oms.Unsupported, oms.NoBucket, oms.Full, oms.Listing:
	}
	return code
}

// inspect asks both sides about the object and decides.
func (it *item) inspect(ctx context.Context) (Action, outcome) {
	src, err := it.inspectSource(ctx)
	if err != nil {
		return Copy, failed(sourceCode(err, oms.FailGetMeta), err)
	}
	it.obj = src.ListedObject
	if it.prior != nil && it.prior.Wrote() {
		return Copy, outcome{} // what the destination holds may be what went wrong
	}
	if it.stat && !it.job.filter.Takes(it.obj.Key, it.obj.Size, it.obj.ModTime) {
		return LeaveOut, outcome{action: LeaveOut}
	}
	dst, err := it.statDestination(ctx)
	listed := &dst.ListedObject
	switch {
	case oms.KindOf(err) == oms.NotFound:
		listed, it.absent = nil, true
	case err != nil:
		return Copy, failed(oms.FailGetDstMeta, err)
	}
	action := Decide(it.obj, listed, it.job.rules(it.batch.span))
	if action == CompareCRC64 {
		action = DecideCRC64(src, dst)
	}
	if listed != nil && action != Copy && it.job.unencrypted(dst) {
		action = Copy
	}
	o := outcome{action: action}
	if action == Own {
		o.moved = it.obj.Size // it was sent before the crash or pause
		if !sameContent(it.obj, *listed) {
			it.own, action = true, Copy
		}
	}
	return action, o
}

// copySmall moves an object of at most maxSingle bytes, through one buffer where the kernel cannot.
func (it *item) copySmall(ctx context.Context) (o outcome) {
	if it.relayable() {
		if o, done := it.copyDirectly(ctx); done {
			return o
		}
	}
	late := false // while it waited for the buffer it turned out that none is needed
	err := it.job.withBuffer(ctx, it.obj.Size, func(buf []byte) error {
		if late = it.relayable(); late {
			return nil
		}
		o = it.copyThrough(ctx, buf)
		return o.err
	})
	if err != nil && (o.err == nil || errors.Is(o.err, errAway)) {
		o = failed(oms.FailGet, err)
	}
	if !late || err != nil {
		return o
	}
	if o, done := it.copyDirectly(ctx); done {
		return o
	}
	return it.copySmall(ctx) // it is not relayable any more
}

// copyThrough moves an object through its buffer. When its bytes turn out not to be what the source says it holds, it is
// read once more.
func (it *item) copyThrough(ctx context.Context, buf []byte) outcome {
	j := it.job
	var before uint32
	for try := 1; ; try++ {
		ev, obj, err := it.read(ctx, buf)
		if err != nil {
			return failed(sourceCode(err, oms.FailGet), err)
		}
		o, w := it.put(ctx, obj, &ev)
		if o.err != nil || !ev.damaged(w, &j.srcETags) {
			return o
		}
		if try > 1 && ev.crc == before { // read twice alike: the source holds these bytes
			if j.srcETags.differ() {
				return o
			}
			try = maxCorrupt
		}
		if try >= maxCorrupt {
			if err := it.discard(ctx, j.destination(it.obj.Key), w.ETag); err != nil {
				return failed(oms.FailConsistency, err)
			}
			return failed(oms.FailConsistency, errSourceETag)
		}
		before = ev.crc
	}
}

// read fills buf with the whole object and checks it against the source's own checksums.
func (it *item) read(parent context.Context, buf []byte) (ev evidence, obj storage.Object, err error) {
	j := it.job
	for try := 1; ; try++ {
		ev = evidence{bytes: buf}
		err = j.retryUntilAway(parent, srcRead, &it.tries, func(ctx context.Context, w *watch) error {
			got, err := j.hedgedRead(parent, ctx, w, buf, it.fetch)
			obj, ev.crc = got.obj, got.crc
			return err
		})
		if err == nil {
			err = ev.checkSource(obj.Sums)
		}
		if oms.KindOf(err) != oms.Corrupt || try >= maxCorrupt {
			break
		}
	}
	if !obj.Encrypted && looksLikeMD5(obj.ETag) && !j.srcETags.foreign() {
		ev.srcETag = obj.ETag
	}
	return ev, obj, err
}

// fetch makes one attempt to read the whole object into buf.
func (it *item) fetch(ctx context.Context, w *watch, buf []byte) (content, error) {
	j := it.job
	c, err := j.plan.Src.Open(ctx, it.obj.Key, storage.OpenOptions{Size: it.obj.Size})
	if err != nil {
		return content{}, err
	}
	defer c.Body.Close()
	if c.Size != it.obj.Size {
		return content{}, &oms.Error{Op: "get object", Key: it.obj.Key, Kind: oms.Changed, Msg: "its size is not the one listed"}
	}
	crc, err := j.fill(ctx, w, c.Body, buf)
	return content{obj: c.Object, crc: crc}, err
}

// put writes a whole object from its buffer until the destination proves that it holds it. A copy that is wrong in the
// end is deleted.
func (it *item) put(ctx context.Context, obj storage.Object, ev *evidence) (outcome, storage.Written) {
	j := it.job
	key := j.destination(it.obj.Key)
	req := storage.PutRequest{Key: key, Size: int64(len(ev.bytes)), Attrs: it.attrs(obj), Sums: ev.sums(j.plan.Abilities, &j.srcETags)}
	for try := 1; ; try++ {
		var w storage.Written
		err := j.retryUntilAway(ctx, dstWrite, &it.tries, func(first context.Context, wt *watch) (err error) {
			w, err = j.hedgedWrite(ctx, first, wt, req.Sums, req.Size, func(ctx context.Context, wt *watch) (storage.Written, error) {
				req := req
				req.Body = newWatchedBytes(ev.bytes, wt)
				return j.plan.Dst.Put(ctx, req)
			})
			return err
		})
		if it.shed(&req.Attrs, err) {
			continue
		}
		code, written := oms.FailUpload, err == nil
		if written {
			code = oms.FailConsistency
			err = it.prove(ctx, key, ev, w, req.Sums)
		}
		if err == nil {
			code, err = oms.FailConsistency, j.checkCRC64(obj.Sums, w.Sums)
		}
		if err == nil {
			return outcome{action: Copy, moved: req.Size}, w
		}
		if oms.KindOf(err) != oms.Corrupt || try >= maxCorrupt {
			if written && oms.KindOf(err) == oms.Corrupt {
				if away := it.discard(ctx, key, w.ETag); away != nil {
					err = away
				}
			}
			return failed(code, err), w
		}
		req.Sums = ev.sums(j.plan.Abilities, nil) // the source's ETag may not be the MD5 of what was read
	}
}

// prove makes sure that the destination holds the bytes of ev as the object key.
func (it *item) prove(ctx context.Context, key string, ev *evidence, w storage.Written, sent storage.Sums) error {
	j := it.job
	proof, err := ev.judge(j.plan.Abilities, w, sent)
	if err != nil {
		return err
	}
	if j.plan.Spec.KMS && !w.KMS {
		return errUnencrypted
	}
	if proof == ProofKinds {
		proof = ProvedReadBack
		if err := j.readBack(ctx, key, int64(len(ev.bytes)), ev.crc, &it.tries); err != nil {
			return err
		}
	}
	j.proofs[proof].Add(1)
	return nil
}

// read reads exactly len(buf) bytes, within the bandwidth limit, and returns their CRC32C.
func (j *Job) read(ctx context.Context, w *watch, r io.Reader, buf []byte) (crc uint32, err error) {
	for n := 0; n < len(buf); {
		want := min(len(buf)-n, readChunk)
		if j.limit.rate.Load() > 0 {
			want = j.limit.chunk(want)
			if err := w.hold(func() error { return j.limit.wait(ctx, want) }); err != nil {
				return 0, err
			}
		}
		k, err := r.Read(buf[n : n+want])
		j.limit.giveBack(want - k)
		crc = crc32.Update(crc, castagnoli, buf[n:n+k])
		n += k
		j.moved.Add(int64(k))
		w.progress(k)
		if n == len(buf) {
			break
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, readError(err)
		}
	}
	return crc, nil
}

// fill reads exactly len(buf) bytes, after which the body must end, and returns their CRC32C.
func (j *Job) fill(ctx context.Context, w *watch, r io.Reader, buf []byte) (uint32, error) {
	crc, err := j.read(ctx, w, r, buf)
	if err != nil {
		return 0, err
	}
	var extra [1]byte
	if k, err := r.Read(extra[:]); k > 0 {
		return 0, &oms.Error{Op: "read body", Kind: oms.Corrupt, Msg: "the source sends more bytes than it said"}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return 0, readError(err)
	}
	return crc, nil
}

// readError gives an unclassified read error a kind: the connection broke.
func readError(err error) error {
	if oms.KindOf(err) != oms.Other || oms.Canceled(err) {
		return err
	}
	return &oms.Error{Op: "read body", Kind: oms.Transient, Err: err}
}

// attrs returns what travels with an object (OMS v2, 6.6 and 6.7).
func (j *Job) attrs(obj storage.Object) storage.Attrs {
	src := obj.Attrs
	a := storage.Attrs{ContentType: src.ContentType, ContentEncoding: src.ContentEncoding}
	if j.plan.Spec.MigrateMetadata {
		a = src
	}
	a.StorageClass, a.KMS = "", j.plan.Spec.KMS
	if j.plan.Spec.StorageClassSent && !j.plan.Spec.Dst.FileSystem {
		spec := &j.plan.Spec
		a.StorageClass = j.plan.Classes.Write(spec.Dst.CloudType, spec.StoragePolicy, spec.Src.CloudType, obj.StorageClass)
	}
	return a
}

// settle books the outcome in the item's batch and acknowledges what became contiguous. An object that did not end
// because the job was stopped stays open: it is done again from the checkpoint.
func (it *item) settle(ctx context.Context, o outcome) {
	if o.err != nil && (ctx.Err() != nil || it.job.stopping()) {
		return
	}
	b := it.batch
	b.mu.Lock()
	if !b.bookWait(it, o) {
		b.book(it, o, time.Now())
	}
	b.pending--
	done := b.pending == 0
	b.mu.Unlock()
	if it.line != nil {
		it.job.lines.leave(it.obj.Key)
	}
	switch {
	case it.waited != nil:
		it.job.noteErr(b.span.window.report1(ctx, it.job.journal, b))
		if len(b.restores.Ended) > 0 {
			it.job.restorer.ended(it.waited.Key)
		} else {
			it.job.restorer.release(it.waited.Key)
		}
	case done:
		it.job.noteErr(b.span.window.acknowledge(ctx, it.job.journal))
	}
}

// book adds the outcome to the batch's counters. The batch is locked.
func (b *batch) book(it *item, o outcome, now time.Time) {
	size := max(it.obj.Size, 0) // a size that is not known counts when the object has arrived
	var d oms.Counters
	switch p, w := it.prior, it.waited; {
	case p != nil: // it is counted as listed and failed already
		d.ListedBytes, d.Failed, d.FailedBytes = size-p.Size, -1, -p.Size
	case w != nil: // it is counted as listed already
		d.ListedBytes = size - w.Size
		b.restores.Ended = append(b.restores.Ended, *w)
	default:
		d.Listed, d.ListedBytes = 1, size
	}
	d.Findings = o.found
	switch {
	case o.err != nil:
		d.Failed++
		d.FailedBytes += size
		d.Findings = o.findings(size)
		b.failures = append(b.failures, oms.Failure{
			TaskID: it.job.plan.TaskID, Key: it.failureKey(), Size: size, Kind: oms.KindOf(o.err), Code: o.code,
			Message: oms.Clean(o.err.Error()), At: now.UnixMilli(),
		})
	case o.action == LeaveOut && it.prior == nil && it.waited == nil:
		d.Listed, d.ListedBytes, d.Filtered, d.FilteredBytes = 0, 0, 1, size
	case o.action == Skip, o.action == LeaveOut, it.job.plan.Spec.ReadOnly():
		d.Skipped, d.SkippedBytes = 1, size
	default:
		d.Migrated, d.MigratedBytes, d.MovedBytes = 1, size, o.moved
	}
	if it.prior != nil && o.err == nil {
		b.resolved = append(b.resolved, it.failureKey())
	}
	b.delta = b.delta.Add(d)
	it.record(o)
}

// failureKey is the Key of the object's failure: of the one that is retried, else its name, with its line where a list
// names it.
func (it *item) failureKey() string {
	switch {
	case it.prior != nil:
		return it.prior.Key
	case it.waited != nil:
		return it.waited.Key
	case it.line != nil:
		return it.line.FailureKey(it.obj.Key)
	}
	return it.obj.Key
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
