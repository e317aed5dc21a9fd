package transfer

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Part sizes: small enough that a few parts in flight fit in the buffers, large enough that requests are few.
const (
	minPart   = 8 << 20
	fewParts  = 1000 // parts grow up to MaxBuffer while there are more than so many
	mostParts = 9000 // leaves room under the usual limit of 10,000
	mebibyte  = 1 << 20
)

// Bounds of requests that move no bytes but take long.
const (
	abortPatience    = 30 * time.Second
	completePatience = 10 * time.Minute
)

// partSize returns the part size for an object of size bytes.
func partSize(size int64, lim storage.PartLimits) int64 {
	most := int64(mostParts)
	if lim.MaxParts > 0 {
		most = min(most, int64(lim.MaxParts)*9/10)
	}
	p := max(minPart, lim.MinPart)
	for p < MaxBuffer && size/p > min(fewParts, most) {
		p *= 2
	}
	if size/p >= most {
		p = (size/most + mebibyte) / mebibyte * mebibyte
	}
	if lim.MaxPart > 0 {
		p = min(p, lim.MaxPart)
	}
	return p
}

// upload is a large object in progress.
type upload struct {
	it     *item
	mp     storage.Multiparter
	src    storage.Object
	key    string // at the destination
	row    oms.Upload
	parts  []storage.Part // by number - 1; Number 0: not there yet
	crcs   []uint32       // by number - 1
	crc64s []uint64       // by number - 1; only when the source reported a CRC64NVME
	noCRC  bool           // the CRC of some part is unknown: it was there when the upload was taken up again
	proof  Proof          // weakest proof of a part; ProofKinds: the whole must be read back
	moved  int64
	result chan partResult
}

type partResult struct {
	number int
	part   storage.Part
	crc    uint32
	crc64  uint64
	proof  Proof
	err    error
	code   string
}

// copyLarge moves an object in parts.
func (it *item) copyLarge(ctx context.Context) outcome {
	mp, ok := it.job.plan.Dst.(storage.Multiparter)
	if !ok {
		return failed(oms.FailInitUpload, &oms.Error{Op: "copy", Key: it.obj.Key, Kind: oms.Unsupported, Msg: "the destination takes no multipart uploads"})
	}
	for restart := 1; ; restart++ {
		src, err := it.statSource(ctx)
		if err != nil {
			return failed(sourceCode(err, oms.FailGetMeta), err)
		}
		it.obj = src.ListedObject
		if it.obj.Size <= maxSingle {
			return it.copySmall(ctx)
		}
		u := &upload{it: it, mp: mp, src: src, key: it.job.plan.Spec.Dst.DestinationKey(it.obj.Key), proof: ProvedCRC32C}
		o := u.run(ctx)
		// NotFound on the way means that the upload is gone: somebody cleaned up. Start over, as after bytes that turned
		// out wrong in the end.
		kind := oms.KindOf(o.err)
		again := kind == oms.Changed || kind == oms.NotFound && o.code != oms.FailMissing || kind == oms.Corrupt
		if !again || restart >= maxRestarts {
			return o
		}
	}
}

// run takes the upload from opening to proof. When the object fails the upload is aborted; when the job is stopped
// it stays open and is taken up again on resume.
func (u *upload) run(ctx context.Context) outcome {
	j := u.it.job
	defer func() { j.partial.Add(-u.moved) }()
	o := u.open(ctx)
	if o.err == nil {
		o = u.moveParts(ctx)
	}
	if o.err == nil {
		o = u.complete(ctx)
	}
	switch {
	case u.row.Key == "":
	case o.err == nil: // reported like all finished work, even while the job is being stopped
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
		defer cancel()
		j.noteErr(j.journal.CloseUpload(ctx, u.row.Ref()))
	case ctx.Err() == nil && !j.stopping():
		j.abort(ctx, u.mp, u.key, u.row)
	}
	return o
}

// open takes up the upload of an earlier run if it still fits, else opens a new one. The intent is durable before
// the store is asked, and the id before the first part is sent (rule C2).
func (u *upload) open(ctx context.Context) outcome {
	j := u.it.job
	if prior, ok := j.takeUpload(u.it.obj.Key); ok {
		u.row = prior
		if prior.UploadID != "" && prior.ETag == u.src.ETag && prior.Size == u.src.Size && prior.PartSize > 0 {
			resumed, o := u.resume(ctx)
			if resumed || o.err != nil {
				return o
			}
			if err := j.journal.CloseUpload(ctx, prior.Ref()); err != nil {
				return failed(oms.FailInitUpload, err)
			}
		} else if err := j.abandon(ctx, u.mp, u.key, prior); err != nil {
			return failed(oms.FailInitUpload, err)
		}
	}
	lim := u.mp.PartLimits()
	u.row = oms.Upload{
		TaskID: j.plan.TaskID, Key: u.it.obj.Key, Size: u.src.Size, ETag: u.src.ETag, PartSize: partSize(u.src.Size, lim),
	}
	if most := int64(lim.MaxParts); most > 0 && u.row.Size > most*u.row.PartSize {
		return failed(oms.FailInitUpload, &oms.Error{
			Op: "copy", Key: u.it.obj.Key, Kind: oms.Unsupported, Msg: "the object is larger than the destination can take",
		})
	}
	if err := j.journal.OpenUpload(ctx, u.row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	attrs := j.attrs(u.src)
	if j.plan.Abilities.CRC32C && u.row.PartSize <= MaxBuffer { // parts that stream have no checksum to send
		attrs.PartSums = storage.SumCRC32C
	}
	id, err := u.create(ctx, attrs)
	if err != nil {
		return failed(oms.FailInitUpload, err)
	}
	intent := u.row.Ref()
	u.row.UploadID = id
	if err := j.journal.OpenUpload(ctx, u.row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	if err := j.journal.CloseUpload(ctx, intent); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	u.layout()
	return outcome{}
}

// create opens an upload at the store. When it took more than one request, a lost answer may have left another upload
// open: it is aborted while the intent still stands.
func (u *upload) create(ctx context.Context, attrs storage.Attrs) (id string, err error) {
	j := u.it.job
	tries := 0
	err = j.retry(ctx, oms.Destination, func(ctx context.Context, _ *watch) (err error) {
		tries++
		id, err = u.mp.CreateUpload(ctx, u.key, attrs)
		return err
	})
	if err == nil && tries > 1 {
		if err := abortOpen(ctx, u.mp, u.key, id); err != nil {
			j.opts.Logger.WarnContext(ctx, "open uploads could not be looked up", "task_id", j.plan.TaskID, "key", oms.Clean(u.key), "err", err)
		}
	}
	return id, err
}

func (u *upload) layout() {
	n := (u.row.Size + u.row.PartSize - 1) / u.row.PartSize
	u.parts, u.crcs = make([]storage.Part, n), make([]uint32, n)
	if u.src.Sums.Has&storage.SumCRC64NVME != 0 && u.row.PartSize <= MaxBuffer {
		u.crc64s = make([]uint64, n)
	}
}

// resume takes over the parts that the store holds; false when the upload is gone. A part counts when its proof was
// stored, or when the store would have refused wrong bytes, which it cannot for parts that stream.
func (u *upload) resume(ctx context.Context) (bool, outcome) {
	j := u.it.job
	var listed []storage.Part
	err := j.retry(ctx, oms.Destination, func(ctx context.Context, _ *watch) (err error) {
		listed, err = u.mp.ListParts(ctx, u.key, u.row.UploadID)
		return err
	})
	if oms.KindOf(err) == oms.NotFound {
		return false, outcome{}
	}
	if err != nil {
		return false, failed(oms.FailInitUpload, err)
	}
	u.layout()
	proved := make(map[int]oms.UploadedPart, len(u.row.Parts))
	for _, p := range u.row.Parts {
		proved[p.Number] = p
	}
	for _, p := range listed {
		if p.Number < 1 || p.Number > len(u.parts) || p.Size != u.span(p.Number).Size {
			continue
		}
		known, ok := proved[p.Number]
		checked := j.plan.Abilities.CRC32C && u.row.PartSize <= MaxBuffer
		switch {
		case ok && known.ETag == p.ETag:
			u.crcs[p.Number-1] = known.CRC32C
		case checked && p.Sums.Has&storage.SumCRC32C != 0:
			u.crcs[p.Number-1] = p.Sums.CRC32C
		case checked:
			u.noCRC = true
		default:
			continue
		}
		u.crc64s = nil // not known of what was sent before
		u.parts[p.Number-1] = p
		u.arrived(p.Size) // it was sent before the crash or pause
	}
	return true, outcome{}
}

// span returns the byte range of a part.
func (u *upload) span(number int) storage.ByteRange {
	off := int64(number-1) * u.row.PartSize
	return storage.ByteRange{Offset: off, Size: min(u.row.PartSize, u.row.Size-off)}
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
	for number := 1; number <= len(u.parts) && worst.err == nil; number++ {
		if u.parts[number-1].Number != 0 {
			continue
		}
		if outstanding == most && !take() {
			return failed(oms.FailUpload, context.Cause(ctx))
		}
		outstanding++
		u.it.job.queue.pushPart(&partUnit{upload: u, number: number, ctx: partCtx})
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
	u.arrived(r.part.Size)
	if r.proof != ProofKinds {
		u.it.job.noteErr(u.it.job.journal.PartDone(u.it.job.ctx, oms.PartDone{
			Upload: u.row.Ref(), Part: oms.UploadedPart{Number: r.number, ETag: r.part.ETag, CRC32C: r.crc},
		}))
	}
}

// weakETag reports that an ETag cannot pin a version, so that ranges must not be read apart (rule D2).
func weakETag(etag string) bool { return etag == "" || strings.HasPrefix(etag, "W/") }

// moveSequentially reads the object in one stream and sends its parts one after the other.
func (u *upload) moveSequentially(ctx context.Context) outcome {
	j := u.it.job
	clear(u.parts) // parts of an earlier stream may be of another version
	u.noCRC, u.crc64s = false, nil
	u.arrived(-u.moved)
	buf, err := j.res.buffers.get(ctx, min(u.row.PartSize, MaxBuffer))
	if err != nil {
		return failed(oms.FailGet, err)
	}
	defer j.res.buffers.put(buf)
	if u.row.PartSize > MaxBuffer {
		return failed(oms.FailGet, &oms.Error{Op: "copy", Key: u.it.obj.Key, Kind: oms.Unsupported, Msg: "the source object has no strong ETag and is too large for one stream"})
	}
	var o outcome
	err = j.once(ctx, func(ctx context.Context, w *watch) error {
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
			err = w.hold(func() error { u.send(ctx, part, &r); return r.err })
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
		return o
	case k.Retryable(): // start over: another stream may see another version
		return failed(oms.FailGet, &oms.Error{Op: "read body", Key: u.it.obj.Key, Kind: oms.Changed, Err: err})
	}
	err = j.blame(oms.Source, err)
	return failed(sourceCode(err, oms.FailGet), err)
}

// partUnit is a part on its way through the queue. Its context is the upload's, so that parts end with it.
type partUnit struct {
	upload *upload
	number int
	ctx    context.Context //nolint:containedctx // a queued unit ends with the object it belongs to, not with its worker
}

// run moves the part.
func (p *partUnit) run(context.Context) {
	p.move(p.ctx) //nolint:contextcheck // the part ends with its object
}

// move moves the part and always reports a result.
func (p *partUnit) move(ctx context.Context) {
	u := p.upload
	defer u.it.job.queue.partDone()
	r := partResult{number: p.number, code: oms.FailUpload, err: context.Cause(ctx)}
	defer func() {
		if v := recover(); v != nil {
			r.err = &oms.Error{Op: "copy part", Key: u.it.obj.Key, Kind: oms.Other, Msg: "internal error"}
		}
		u.result <- r
	}()
	if r.err != nil {
		return
	}
	if u.span(p.number).Size > MaxBuffer {
		u.stream(ctx, &r)
		return
	}
	u.buffered(ctx, &r)
}

// buffered moves a part through one buffer: its checksum is known before it is sent, and sending it again does not
// read the source again.
func (u *upload) buffered(ctx context.Context, r *partResult) {
	j := u.it.job
	rng := u.span(r.number)
	var buf []byte
	if buf, r.err = j.res.buffers.get(ctx, rng.Size); r.err != nil {
		return
	}
	defer j.res.buffers.put(buf)
	r.err = j.retry(ctx, oms.Source, func(ctx context.Context, w *watch) error {
		c, err := j.plan.Src.Open(ctx, u.it.obj.Key, storage.OpenOptions{Range: &rng, IfMatch: u.src.ETag, Size: u.row.Size})
		if err != nil {
			return err
		}
		defer c.Body.Close()
		r.crc, err = j.fill(ctx, w, c.Body, buf)
		return err
	})
	if r.err != nil {
		r.code = sourceCode(r.err, oms.FailGet)
		return
	}
	if u.crc64s != nil {
		r.crc64 = crc64nvme.Checksum(buf)
	}
	u.send(ctx, buf, r)
}

// send writes a part from its buffer until the destination proves that it holds it.
func (u *upload) send(ctx context.Context, buf []byte, r *partResult) {
	j := u.it.job
	ev := evidence{bytes: buf, crc: r.crc}
	req := storage.PartRequest{Key: u.key, UploadID: u.row.UploadID, Number: r.number, Size: int64(len(buf)), Sums: ev.sums(j.plan.Abilities)}
	for try := 1; ; try++ {
		var w storage.Written
		r.code = oms.FailUpload
		r.err = j.retry(ctx, oms.Destination, func(ctx context.Context, wt *watch) (err error) {
			req.Body = watchedReader{bytes.NewReader(buf), wt}
			w, err = u.mp.PutPart(ctx, req)
			return err
		})
		if r.err == nil {
			r.code = oms.FailConsistency
			r.proof, r.err = ev.judge(j.plan.Abilities, w, req.Sums)
		}
		r.part = storage.Part{Number: r.number, ETag: w.ETag, Size: req.Size, Sums: req.Sums}
		if oms.KindOf(r.err) != oms.Corrupt || try >= maxCorrupt {
			return
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
		r.err = j.retry(ctx, oms.Destination, func(ctx context.Context, w *watch) (dstErr error) {
			srcErr = w.hold(func() error { // the read has a watch of its own
				return j.retry(ctx, oms.Source, func(ctx context.Context, w *watch) (err error) {
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
	h.watch.moved.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	return n, err
}

// complete makes the object visible and proves that the destination holds it whole.
func (u *upload) complete(ctx context.Context) outcome {
	j := u.it.job
	began := time.Now()
	var w storage.Written
	err := j.retry(ctx, oms.Destination, func(ctx context.Context, wt *watch) error {
		ctx, cancel := context.WithTimeout(ctx, completePatience)
		defer cancel()
		return wt.hold(func() (err error) { // stores take minutes to put large objects together
			w, err = u.mp.CompleteUpload(ctx, u.key, u.row.UploadID, u.parts)
			return err
		})
	})
	gone := oms.KindOf(err) == oms.NotFound // an attempt whose answer was lost may have done it: ask the object
	if err != nil && !gone {
		return failed(oms.FailComplete, err)
	}
	var dst storage.Object
	statErr := j.retry(ctx, oms.Destination, func(ctx context.Context, _ *watch) (err error) {
		dst, err = j.plan.Dst.Stat(ctx, u.key)
		return err
	})
	if gone && (statErr != nil || dst.Size != u.row.Size || !u.isOurs(dst, began)) {
		return failed(oms.FailComplete, err)
	}
	if statErr != nil {
		return failed(oms.FailConsistency, statErr)
	}
	if err := u.check(ctx, w, dst); err != nil {
		if oms.KindOf(err) == oms.Corrupt {
			u.it.discard(ctx, u.key, w.ETag)
		}
		return failed(oms.FailConsistency, err)
	}
	return outcome{action: Copy, moved: u.moved}
}

// isOurs reports whether an object found after "no such upload" was made by our completion.
func (u *upload) isOurs(dst storage.Object, began time.Time) bool {
	if want := multipartETag(u.parts); want != "" && strings.EqualFold(dst.ETag, want) {
		return true
	}
	return strings.HasSuffix(dst.ETag, "-"+itoa(int64(len(u.parts)))) && dst.ModTime.After(began.Add(-time.Minute))
}

// check compares the finished object with what was sent.
func (u *upload) check(ctx context.Context, w storage.Written, dst storage.Object) error {
	j := u.it.job
	if dst.Size != u.row.Size {
		return corrupt("the destination holds " + itoa(dst.Size) + " bytes of " + itoa(u.row.Size))
	}
	if w.ETag != "" && dst.ETag != "" && !strings.EqualFold(w.ETag, dst.ETag) {
		return corrupt("the destination's object is another one than the upload completed")
	}
	if err := u.checkSource(); err != nil {
		return err
	}
	proof := u.proof
	if dst.Sums.Has&storage.SumCRC32C != 0 && !u.noCRC {
		if dst.Sums.CRC32C != u.wholeCRC() {
			return corrupt("the store reports another CRC32C than that of the bytes sent")
		}
		proof = ProvedCRC32C
	}
	if proof == ProofKinds {
		if u.noCRC {
			return corrupt("the checksum of a part is not known")
		}
		if err := j.readBack(ctx, u.key, u.row.Size, u.wholeCRC()); err != nil {
			return err
		}
		proof = ProvedReadBack
	}
	j.proofs[proof].Add(1)
	return nil
}

// checkSource compares what was read, part by part, with the checksums that the source reported of the whole object.
func (u *upload) checkSource() error {
	of := u.src.Sums
	if of.Has&storage.SumCRC32C != 0 && !u.noCRC && of.CRC32C != u.wholeCRC() {
		return corrupt("the bytes read differ from the source's own CRC32C")
	}
	if u.crc64s != nil {
		crc := u.crc64s[0]
		for i := 1; i < len(u.crc64s); i++ {
			crc = combineCRC64NVME(crc, u.crc64s[i], u.parts[i].Size)
		}
		if crc != of.CRC64NVME {
			return corrupt("the bytes read differ from the source's own CRC64NVME")
		}
	}
	return nil
}

func (u *upload) wholeCRC() uint32 {
	crc := u.crcs[0]
	for i := 1; i < len(u.crcs); i++ {
		crc = combineCRC32C(crc, u.crcs[i], u.parts[i].Size)
	}
	return crc
}
