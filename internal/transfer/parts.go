package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/minio/crc64nvme"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// partResult is what became of a part.
type partResult struct {
	number int
	part   storage.Part
	crc    uint32
	crc64  uint64
	proof  Proof
	err    error
	code   string
}

// todo holds the numbers of the parts that nobody works on, the lowest first.
type todo struct {
	mu      sync.Mutex
	numbers []int // ascending
}

// take returns the lowest number. There is one for every unit of the upload that has none.
func (t *todo) take() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.numbers[0]
	t.numbers = t.numbers[1:]
	return n
}

// giveBack returns a number that was taken.
func (t *todo) giveBack(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, _ := slices.BinarySearch(t.numbers, n)
	t.numbers = slices.Insert(t.numbers, at, n)
}

// moveParts moves the parts that are missing, as many at a time as the queue allows.
func (u *upload) moveParts(ctx context.Context) outcome {
	if weakETag(u.src.ETag) {
		return u.moveSequentially(ctx)
	}
	partCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	most := max(u.it.job.opts.Workers, 1)
	u.result = make(chan partResult, most)
	var worst outcome
	outstanding := 0
	take := func() bool {
		select {
		case r := <-u.result:
			outstanding--
			if r.err != nil && worst.err == nil {
				worst = failed(r.code, r.err)
				cancel(r.err)
			}
			u.book(r)
			return true
		case <-ctx.Done():
			return false
		}
	}
	for i, p := range u.parts {
		if p.Number == 0 || u.held[i].there {
			u.todo.numbers = append(u.todo.numbers, i+1)
		}
	}
	for missing := len(u.todo.numbers); missing > 0 && worst.err == nil; missing-- {
		if outstanding == most && !take() {
			return failed(oms.FailUpload, context.Cause(ctx))
		}
		outstanding++
		u.it.job.queue.pushPart(&partUnit{upload: u, ctx: partCtx})
	}
	for outstanding > 0 {
		if !take() {
			return failed(oms.FailUpload, context.Cause(ctx))
		}
	}
	return worst
}

// arrived counts bytes of parts that the destination holds.
func (u *upload) arrived(n int64) {
	u.moved += n
	u.it.job.partial.Add(n)
}

// book notes a part that arrived. Only the goroutine that runs the upload calls it.
func (u *upload) book(r partResult) {
	if r.err != nil {
		return
	}
	u.parts[r.number-1], u.crcs[r.number-1] = r.part, r.crc
	if u.crc64s != nil {
		u.crc64s[r.number-1] = r.crc64
	}
	u.proof = max(u.proof, r.proof)
	if !u.held[r.number-1].there { // else it is counted already
		u.arrived(r.part.Size)
	}
	if r.proof != ProofKinds {
		u.it.job.noteErr(u.it.job.journal.PartDone(u.it.job.ctx, oms.PartDone{
			Upload: u.row.Ref(), Part: oms.UploadedPart{Number: r.number, ETag: r.part.ETag, CRC32C: r.crc},
		}))
	}
}

// weakETag reports that an ETag cannot pin a version, so that ranges must not be read apart (rule D2).
func weakETag(etag string) bool { return etag == "" || strings.HasPrefix(etag, "W/") }

// moveSequentially reads the object in one stream and sends its parts one after the other.
func (u *upload) moveSequentially(ctx context.Context) (o outcome) {
	j := u.it.job
	if u.row.PartSize > MaxBuffer {
		return failed(oms.FailGet, &oms.Error{Op: "copy", Key: u.it.obj.Key, Kind: oms.Unsupported, Msg: "the source object has no strong ETag and is too large for one stream"})
	}
	err := j.withBuffer(ctx, u.row.PartSize, func(buf []byte) error {
		clear(u.parts) // parts of an earlier stream may be of another version
		clear(u.held)
		u.crc64s, u.inOrder = nil, nil
		u.arrived(-u.moved)
		var err error
		o, err = u.oneStream(ctx, buf)
		return err
	})
	if err != nil {
		return failed(oms.FailGet, err)
	}
	return o
}

// oneStream reads the object from its beginning to its end; errAway when the destination is away.
func (u *upload) oneStream(ctx context.Context, buf []byte) (o outcome, away error) {
	j := u.it.job
	var uncounted guard.Ticket // held while parts wait for theirs, it could keep others from what they wait for
	err := j.watched(ctx, &uncounted, paced{}, func(ctx context.Context, w *watch) error {
		c, err := j.plan.Src.Open(ctx, u.it.obj.Key, storage.OpenOptions{Size: u.row.Size})
		if err != nil {
			return err
		}
		defer c.Body.Close()
		for number := 1; number <= len(u.parts); number++ {
			part := buf[:u.span(number).Size]
			crc, err := j.read(ctx, w, c.Body, part)
			if err != nil {
				return err
			}
			r := partResult{number: number, crc: crc}
			err = w.hold(func() error { return u.send(ctx, part, &r) })
			if errors.Is(err, errAway) {
				away = err
				return nil
			}
			if err != nil {
				o = failed(r.code, err)
				return nil
			}
			u.book(r)
		}
		return nil
	})
	switch k := oms.KindOf(err); {
	case err == nil:
		return o, away
	case k.Retryable(): // start over: another stream may see another version
		return failed(oms.FailGet, &oms.Error{Op: "read body", Key: u.it.obj.Key, Kind: oms.Changed, Err: err}), nil
	}
	err = j.blame(oms.Source, err)
	return failed(sourceCode(err, oms.FailGet), err), nil
}

// partUnit is the leave to move one part of an upload, on its way through the queue. Which part is settled when it has
// a buffer: the lowest part that nobody works on always gets the next one, so that those who wait for their turn in an
// order cannot hold all buffers while it has none. Its context is the upload's, so that parts end with it.
type partUnit struct {
	upload *upload
	ctx    context.Context //nolint:containedctx // a queued unit ends with the object it belongs to, not with its worker
}

// run moves a part.
func (p *partUnit) run(context.Context) {
	p.move(p.ctx) //nolint:contextcheck // the part ends with its object
}

// move moves a part and always reports a result.
func (p *partUnit) move(ctx context.Context) {
	u := p.upload
	defer u.it.job.queue.partDone()
	r := partResult{code: oms.FailUpload, err: context.Cause(ctx)}
	defer func() {
		if v := recover(); v != nil {
			r.err = &oms.Error{Op: "copy part", Key: u.it.obj.Key, Kind: oms.Other, Msg: "internal error"}
		}
		u.result <- r
	}()
	if r.err != nil {
		return
	}
	if u.row.PartSize > MaxBuffer {
		r.number = u.todo.take()
		if err := u.it.job.inSlot(ctx, func() error { u.stream(ctx, &r); return nil }); err != nil {
			r.err = err
		}
		return
	}
	r.err = u.it.job.withBuffer(ctx, u.row.PartSize, func(buf []byte) error {
		r = partResult{number: u.todo.take()}
		err := u.buffered(ctx, buf[:u.span(r.number).Size], &r)
		if errors.Is(err, errAway) {
			u.todo.giveBack(r.number)
			if !errors.Is(err, errOvertaken) {
				u.inOrder.leave() // after the part can be taken again, see partUnit
			}
		}
		return err
	})
}

// buffered moves a part through one buffer: its checksum is known before it is sent, and sending it again does not
// read the source again.
func (u *upload) buffered(ctx context.Context, buf []byte, r *partResult) error {
	j := u.it.job
	rng := u.span(r.number)
	fetch := func(ctx context.Context, w *watch, buf []byte) (content, error) {
		c, err := j.plan.Src.Open(ctx, u.it.obj.Key, storage.OpenOptions{Range: &rng, IfMatch: u.src.ETag, Size: u.row.Size})
		if err != nil {
			return content{}, err
		}
		defer c.Body.Close()
		crc, err := j.fill(ctx, w, c.Body, buf)
		return content{crc: crc}, err
	}
	turn := u.inOrder.enter()
	err := j.retryUntilAway(ctx, srcRead, &u.tries[r.number-1], func(first context.Context, w *watch) error {
		got, err := j.hedgedRead(ctx, first, w, buf, fetch)
		r.crc = got.crc
		return err
	})
	if err != nil {
		r.code = sourceCode(err, oms.FailGet)
	} else {
		if u.crc64s != nil {
			r.crc64 = crc64nvme.Checksum(buf)
		}
		if !u.keeps(buf, r) {
			err = u.send(ctx, buf, r)
		}
	}
	if err == nil {
		err = u.inOrder.add(ctx, turn, r.number, buf)
	}
	return err
}

// keeps reports whether the store holds the part from an earlier run with just these bytes, and takes it over then.
func (u *upload) keeps(buf []byte, r *partResult) bool {
	held, there := u.held[r.number-1], u.parts[r.number-1]
	switch {
	case !held.there:
		return false
	case held.known:
		if held.crc != r.crc {
			return false
		}
	case !u.it.job.plan.Abilities.ETagMD5 || !looksLikeMD5(there.ETag):
		return false
	default:
		if sum := md5.Sum(buf); !strings.EqualFold(there.ETag, hex.EncodeToString(sum[:])) {
			return false
		}
	}
	r.part, r.proof = there, ProvedCRC32C
	return true
}

// send writes a part from its buffer until the destination proves that it holds it; errAway when the destination
// is away.
func (u *upload) send(ctx context.Context, buf []byte, r *partResult) error {
	j := u.it.job
	ev := evidence{bytes: buf, crc: r.crc}
	req := storage.PartRequest{Key: u.key, UploadID: u.row.UploadID, Number: r.number, Size: int64(len(buf)), Sums: ev.sums(j.plan.Abilities, nil)}
	for try := 1; ; try++ {
		var w storage.Written
		r.code = oms.FailUpload
		err := j.retryUntilAway(ctx, dstWrite, &u.tries[r.number-1], func(first context.Context, wt *watch) (err error) {
			w, err = j.hedgedWrite(ctx, first, wt, req.Sums, req.Size, func(ctx context.Context, wt *watch) (storage.Written, error) {
				req := req
				req.Body = newWatchedBytes(buf, wt)
				return u.mp.PutPart(ctx, req)
			})
			return err
		})
		if err == nil {
			r.code = oms.FailConsistency
			r.proof, err = ev.judge(j.plan.Abilities, w, req.Sums)
		}
		r.part = storage.Part{Number: r.number, ETag: w.ETag, Size: req.Size, Sums: req.Sums}
		if oms.KindOf(err) != oms.Corrupt || try >= maxCorrupt {
			return err
		}
	}
}

// stream moves a part that is too large for a buffer: read and write run together, the checksums are compared with
// the answer afterwards. Each side's errors count for that side.
func (u *upload) stream(ctx context.Context, r *partResult) {
	j := u.it.job
	for try := 1; ; try++ {
		var srcErr error
		r.code = oms.FailUpload
		r.err = j.retry(ctx, dstWrite, func(ctx context.Context, w *watch) (dstErr error) {
			srcErr = w.hold(func() error { // the read has a watch of its own
				return j.retry(ctx, srcRead, func(ctx context.Context, w *watch) (err error) {
					dstErr, err = u.pass(ctx, w, r)
					return err
				})
			})
			return dstErr
		})
		if srcErr != nil {
			r.err, r.code = srcErr, sourceCode(srcErr, oms.FailGet)
			return
		}
		if oms.KindOf(r.err) != oms.Corrupt {
			return
		}
		if r.code = oms.FailConsistency; try >= maxCorrupt {
			return
		}
	}
}

// pass reads a part and writes it as it comes, and tells apart on which side it failed.
func (u *upload) pass(ctx context.Context, w *watch, r *partResult) (dstErr, srcErr error) {
	j := u.it.job
	rng := u.span(r.number)
	c, err := j.plan.Src.Open(ctx, u.it.obj.Key, storage.OpenOptions{Range: &rng, IfMatch: u.src.ETag, Size: u.row.Size})
	if err != nil {
		return nil, err
	}
	defer c.Body.Close()
	body := &hashingReader{ctx: ctx, job: j, watch: w, body: c.Body, md5: md5.New()}
	written, err := u.mp.PutPart(ctx, storage.PartRequest{Key: u.key, UploadID: u.row.UploadID, Number: r.number, Body: body, Size: rng.Size})
	if body.err != nil {
		return nil, readError(body.err)
	}
	if err != nil {
		return err, nil
	}
	sum := [md5.Size]byte(body.md5.Sum(nil))
	ev := evidence{crc: body.crc, md5: &sum}
	r.crc, r.part = body.crc, storage.Part{Number: r.number, ETag: written.ETag, Size: rng.Size, Sums: written.Sums}
	r.proof, err = ev.judge(j.plan.Abilities, written, storage.Sums{})
	return err, nil
}

// hashingReader computes checksums over what passes, within the bandwidth limit, and keeps the source's error.
type hashingReader struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no context; the reader lives for one request
	job   *Job
	watch *watch
	body  io.Reader
	crc   uint32
	md5   hash.Hash
	err   error
}

func (h *hashingReader) Read(p []byte) (int, error) {
	p = p[:h.job.limit.chunk(len(p))]
	if err := h.watch.hold(func() error { return h.job.limit.wait(h.ctx, len(p)) }); err != nil {
		return 0, err
	}
	n, err := h.body.Read(p)
	h.job.limit.giveBack(len(p) - n)
	h.crc = crc32.Update(h.crc, castagnoli, p[:n])
	h.md5.Write(p[:n])
	h.job.moved.Add(int64(n))
	h.watch.progress(n)
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	return n, err
}
