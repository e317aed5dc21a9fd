package transfer

import (
	"context"
	"errors"
	"hash/crc32"
	"io"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// unsizedParts is how many parts an object whose size is not known may have: 70 GiB in parts of maxSingle.
const unsizedParts = mostParts

// copyUnsized moves an object whose size the source does not tell, in one stream, until the source says that it is
// complete. Nothing else can be compared with the source, so only tasks without a consistency check may (OMS v2, 6.5).
// The parts are proved like all others. What breaks off begins again.
func (it *item) copyUnsized(ctx context.Context) (o outcome) {
	j := it.job
	if j.plan.Spec.Consistency != oms.CheckNone {
		return failed(oms.FailConsistency, &oms.Error{
			Op: "copy", Key: it.obj.Key, Kind: oms.Unsupported,
			Msg: "the source does not tell the size, which only the consistency check no_check allows",
		})
	}
	for try := 1; ; try++ {
		var s *unsized
		err := j.withBuffer(ctx, maxSingle, func(buf []byte) error {
			s = &unsized{it: it, buf: buf}
			if o = s.run(ctx); o.err != nil {
				s.end(ctx, o)
			}
			return o.err
		})
		switch {
		case err == nil && s.upload != nil: // nothing is held any more while the store puts the parts together
			s.upload.row.Size, s.upload.src.Size = s.size, s.size
			o = s.upload.complete(ctx)
			s.end(ctx, o)
		case err != nil && (o.err == nil || errors.Is(o.err, errAway)):
			o = failed(oms.FailGet, err)
		}
		if o.err == nil {
			it.obj.Size = s.size
		}
		if o.err == nil || !oms.KindOf(o.err).Retryable() || try == maxTries || ctx.Err() != nil {
			return o
		}
		if err := sleep(ctx, backoff(try+1, o.err)); err != nil {
			return failed(oms.FailGet, err)
		}
	}
}

// unsized is one attempt to move an object of unknown size.
type unsized struct {
	it     *item
	buf    []byte // of a part
	obj    storage.Object
	upload *upload // nil while everything read fits in buf
	size   int64   // read so far
}

// run reads and writes the object, all but the completion of an upload. The outcome's error is retryable when the source
// broke off, and errAway when a store is away.
func (s *unsized) run(ctx context.Context) (o outcome) {
	j := s.it.job
	var uncounted guard.Ticket // as for every stream that parts wait for
	err := j.watched(ctx, &uncounted, paced{}, func(ctx context.Context, w *watch) error {
		c, err := j.plan.Src.Open(ctx, s.it.obj.Key, storage.OpenOptions{Size: -1})
		if err != nil {
			return err
		}
		defer c.Body.Close()
		s.obj = c.Object
		o, err = s.pump(ctx, w, c.Body)
		return err
	})
	switch {
	case err == nil:
		return o
	case oms.KindOf(err).Retryable():
		return failed(oms.FailGet, err)
	}
	err = j.blame(oms.Source, err)
	return failed(sourceCode(err, oms.FailGet), err)
}

// pump moves the stream piece by piece. The error is the source's; that of the destination is in the outcome.
func (s *unsized) pump(ctx context.Context, w *watch, body io.Reader) (o outcome, err error) {
	ahead := 0 // bytes of the next part that are in buf already
	for number := 1; ; number++ {
		n, err := s.it.job.readUpTo(ctx, w, body, s.buf[ahead:])
		if err != nil {
			return o, err
		}
		n += ahead
		var next [1]byte
		if n == len(s.buf) { // another part follows only if another byte does
			if ahead, err = s.it.job.readUpTo(ctx, w, body, next[:]); err != nil {
				return o, err
			}
		} else {
			ahead = 0
		}
		s.size += int64(n)
		last := ahead == 0
		err = w.hold(func() error { o = s.write(ctx, number, s.buf[:n], last); return nil })
		if err != nil || o.err != nil || last {
			return o, err
		}
		s.buf[0] = next[0]
	}
}

// write sends a piece: as an object if it is all there is, else as a part.
func (s *unsized) write(ctx context.Context, number int, piece []byte, last bool) outcome { //nolint:revive // a fact about the piece, not a mode
	crc := crc32.Checksum(piece, castagnoli)
	if number == 1 && last {
		o, _ := s.it.put(ctx, s.obj, &evidence{bytes: piece, crc: crc})
		return o
	}
	if number == 1 {
		if o := s.open(ctx); o.err != nil {
			return o
		}
	}
	u := s.upload
	if number > unsizedParts {
		return failed(oms.FailUpload, &oms.Error{Op: "copy", Key: s.it.obj.Key, Kind: oms.Unsupported, Msg: "the object is too large for a source that does not tell the size"})
	}
	u.parts, u.crcs, u.tries = append(u.parts, storage.Part{}), append(u.crcs, 0), append(u.tries, tries{})
	u.held = append(u.held, heldPart{})
	r := partResult{number: number, crc: crc}
	if err := u.send(ctx, piece, &r); err != nil {
		return failed(r.code, err)
	}
	u.book(r)
	return outcome{}
}

// open opens an upload, after what an earlier run left open of this key. The intent is durable before the store is
// asked, and the id before the first part is sent (rule C2). It is never taken up again: its part size is 0.
func (s *unsized) open(ctx context.Context) outcome {
	j := s.it.job
	mp, ok := j.plan.Dst.(storage.Multiparter)
	if !ok {
		return failed(oms.FailInitUpload, &oms.Error{Op: "copy", Key: s.it.obj.Key, Kind: oms.Unsupported, Msg: "the destination takes no multipart uploads"})
	}
	u := &upload{it: s.it, mp: mp, src: s.obj, key: j.destination(s.it.obj.Key), proof: ProvedCRC32C}
	if prior, ok := j.takeUpload(s.it.obj.Key); ok {
		if err := j.abandon(ctx, mp, u.key, prior); err != nil {
			return failed(oms.FailInitUpload, err)
		}
	}
	row := oms.Upload{TaskID: j.plan.TaskID, Key: s.it.obj.Key}
	if err := j.journal.OpenUpload(ctx, row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	u.row, s.upload = row, u
	attrs := s.it.attrs(s.obj)
	if j.plan.Abilities.CRC32C {
		attrs.PartSums = storage.SumCRC32C
	}
	id, err := u.create(ctx, attrs)
	if err != nil {
		return failed(oms.FailInitUpload, err)
	}
	u.row.UploadID = id
	if err := j.journal.OpenUpload(ctx, u.row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	if err := j.journal.CloseUpload(ctx, row.Ref()); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	return outcome{}
}

// end closes or aborts the upload of the attempt. While the job is being stopped it stays, and is aborted by whoever
// goes on.
func (s *unsized) end(ctx context.Context, o outcome) {
	u := s.upload
	if u == nil {
		return
	}
	j := s.it.job
	j.partial.Add(-u.moved)
	switch {
	case o.err == nil:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
		defer cancel()
		j.noteErr(j.journal.CloseUpload(ctx, u.row.Ref()))
	case ctx.Err() == nil && !j.stopping():
		j.abort(ctx, u.mp, u.key, u.row)
	}
}

// readUpTo reads until buf is full or the body ends, within the bandwidth limit.
func (j *Job) readUpTo(ctx context.Context, w *watch, r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) {
		want := min(len(buf)-n, readChunk)
		if j.limit.rate.Load() > 0 {
			want = j.limit.chunk(want)
			if err := w.hold(func() error { return j.limit.wait(ctx, want) }); err != nil {
				return n, err
			}
		}
		k, err := r.Read(buf[n : n+want])
		j.limit.giveBack(want - k)
		n += k
		j.moved.Add(int64(k))
		w.progress(k)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, readError(err)
		}
	}
	return n, nil
}
