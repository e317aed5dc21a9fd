package transfer

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// WithBuffer runs f with a buffer of n bytes, at most MaxBuffer, of those that all jobs share.
func (r *Resources) WithBuffer(ctx context.Context, n int64, f func(buf []byte) error) error {
	var by party // what a closing task needs is little
	buf, err := r.buffers.get(ctx, &by, n)
	if err != nil {
		return err
	}
	defer r.buffers.put(&by, buf)
	return f(buf)
}

// StoreObject writes a short text as one object and returns it as a piece for Compose, proved.
func StoreObject(ctx context.Context, dst storage.Writer, ab Abilities, key string, text []byte, attrs storage.Attrs) (ComposePart, error) {
	w, err := storeWhole(ctx, dst, ab, key, text, attrs)
	return ComposePart{Key: key, ETag: w.ETag, Size: int64(len(text)), CRC32C: crc32.Checksum(text, castagnoli)}, err
}

// ComposePart is a piece of an object that Compose puts together.
type ComposePart struct {
	Key    string // of the object in the destination bucket that holds the piece; "": Read yields it
	ETag   string // of that object
	Size   int64  // bytes
	CRC32C uint32 // of that object
	// Read fills the buffer, which is as long as the piece, if Key is "".
	Read func(ctx context.Context, buf []byte) error
}

// Compose makes one object of the pieces, in a folder that is the task's own, and proves it. Pieces that are objects are
// copied inside the store where it can do that; all but the last must be large enough for a part of an upload then. buf
// holds any of the pieces.
func Compose(ctx context.Context, dst storage.Writer, ab Abilities, bucket, key string, pieces []ComposePart, buf []byte, attrs storage.Attrs) error {
	c := composition{dst: dst, ab: ab, bucket: bucket, key: key, pieces: pieces, buf: buf}
	if len(pieces) == 1 && pieces[0].Key == "" {
		text, err := c.load(ctx, &pieces[0])
		if err != nil {
			return err
		}
		_, err = storeWhole(ctx, dst, ab, key, text, attrs)
		return err
	}
	err := c.inStore(ctx, attrs)
	if err == nil || ctx.Err() != nil || oms.KindOf(err).Retryable() {
		return err
	}
	return StoreStream(ctx, dst, ab, key, &composeReader{ctx: ctx, c: &c}, attrs)
}

// composition is one call of Compose.
type composition struct {
	dst    storage.Writer
	ab     Abilities
	bucket string
	key    string
	pieces []ComposePart
	buf    []byte
}

// load returns the bytes of a piece, in buf.
func (c *composition) load(ctx context.Context, p *ComposePart) ([]byte, error) {
	if p.Size > int64(len(c.buf)) {
		return nil, oms.Errorf(oms.Invalid, "", "a piece is larger than the buffer")
	}
	buf := c.buf[:p.Size]
	if p.Key == "" {
		return buf, p.Read(ctx, buf)
	}
	return buf, persist(ctx, func(ctx context.Context) error {
		content, err := c.dst.Open(ctx, p.Key, storage.OpenOptions{Size: p.Size, IfMatch: p.ETag})
		if err != nil {
			return err
		}
		defer content.Body.Close()
		if _, err := io.ReadFull(content.Body, buf); err != nil {
			return readError(err)
		}
		if crc32.Checksum(buf, castagnoli) != p.CRC32C {
			return corrupt("a piece is not what was stored")
		}
		return nil
	})
}

// inStore composes with an upload whose parts are copied where they are objects. oms.Unsupported when the store cannot.
func (c *composition) inStore(ctx context.Context, attrs storage.Attrs) error {
	mp, ok := c.dst.(storage.Multiparter)
	copier, canCopy := c.dst.(storage.Copier)
	if !ok || !canCopy {
		return &oms.Error{Op: "compose", Key: c.key, Kind: oms.Unsupported, Msg: "the store copies no parts"}
	}
	lim := mp.PartLimits()
	for i := range c.pieces {
		if i < len(c.pieces)-1 && c.pieces[i].Size < max(lim.MinPart, leastPart) {
			return &oms.Error{Op: "compose", Key: c.key, Kind: oms.Unsupported, Msg: "a piece is too small for a part"}
		}
	}
	folder := c.key[:strings.LastIndexByte(c.key, '/')+1]
	if folder == "" {
		return &oms.Error{Op: "compose", Key: c.key, Kind: oms.Invalid, Msg: "the object is in no folder of its own"}
	}
	if err := abortFolder(ctx, mp, folder); err != nil {
		return err
	}
	if c.ab.CRC32C {
		attrs.PartSums = storage.SumCRC32C
	}
	var id string
	err := persist(ctx, func(ctx context.Context) (err error) {
		id, err = mp.CreateUpload(ctx, c.key, attrs)
		return err
	})
	if err != nil {
		return err
	}
	if err = c.upload(ctx, mp, copier, id); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortPatience)
		defer cancel()
		return errors.Join(err, abortUpload(cleanup, mp, c.key, oms.Upload{UploadID: id}))
	}
	return nil
}

// upload sends or copies the parts and completes the upload.
func (c *composition) upload(ctx context.Context, mp storage.Multiparter, copier storage.Copier, id string) error {
	var size int64
	var crc uint32
	proof := ProvedCRC32C
	parts := make([]storage.Part, 0, len(c.pieces))
	for i := range c.pieces {
		p := &c.pieces[i]
		part := storage.Part{Number: i + 1, Size: p.Size}
		var proved Proof
		var sum uint32
		var err error
		if p.Key == "" {
			part, proved, sum, err = c.sendPart(ctx, mp, id, part.Number, p)
		} else {
			sum = p.CRC32C
			part, proved, err = c.copyPart(ctx, copier, id, part.Number, p)
		}
		if err != nil {
			return err
		}
		parts, proof = append(parts, part), max(proof, proved)
		crc, size = newShifter[uint32](polyCRC32C, p.Size).apply(crc)^sum, size+p.Size
	}
	err := persist(ctx, func(ctx context.Context) error {
		_, err := mp.CompleteUpload(ctx, c.key, id, parts)
		return err
	})
	if oms.KindOf(err) == oms.NotFound { // an attempt whose answer was lost may have done it: ask the object
		proof, err = ProofKinds, nil
	}
	if err != nil {
		return err
	}
	if proof == ProofKinds {
		return compare(ctx, c.dst, c.key, size, crc)
	}
	return persist(ctx, func(ctx context.Context) error {
		there, err := c.dst.Stat(ctx, c.key)
		if err == nil && there.Size != size {
			err = corrupt("the destination holds another size than the parts have")
		}
		return err
	})
}

// sendPart sends a piece that is not stored yet.
func (c *composition) sendPart(ctx context.Context, mp storage.Multiparter, id string, number int, p *ComposePart) (storage.Part, Proof, uint32, error) {
	text, err := c.load(ctx, p)
	if err != nil {
		return storage.Part{}, ProofKinds, 0, err
	}
	ev := evidence{bytes: text, crc: crc32.Checksum(text, castagnoli)}
	req := storage.PartRequest{Key: c.key, UploadID: id, Number: number, Size: p.Size, Sums: ev.sums(c.ab, nil)}
	var w storage.Written
	err = persist(ctx, func(ctx context.Context) (err error) {
		req.Body = bytes.NewReader(text)
		w, err = mp.PutPart(ctx, req)
		return err
	})
	if err != nil {
		return storage.Part{}, ProofKinds, 0, err
	}
	proof, err := ev.judge(c.ab, w, req.Sums)
	return storage.Part{Number: number, ETag: w.ETag, Size: p.Size, Sums: req.Sums}, proof, ev.crc, err
}

// copyPart copies a piece that is an object. That it is the same is proved by the store's checksum or MD5.
func (c *composition) copyPart(ctx context.Context, copier storage.Copier, id string, number int, p *ComposePart) (storage.Part, Proof, error) {
	var w storage.Written
	err := persist(ctx, func(ctx context.Context) (err error) {
		w, err = copier.CopyPart(ctx, c.bucket, p.Key, p.ETag, storage.ByteRange{Size: p.Size}, c.key, id, number)
		return err
	})
	if err != nil {
		return storage.Part{}, ProofKinds, err
	}
	part := storage.Part{Number: number, ETag: w.ETag, Size: p.Size}
	if c.ab.CRC32C {
		part.Sums = storage.Sums{Has: storage.SumCRC32C, CRC32C: p.CRC32C}
	}
	switch {
	case w.Sums.Has&storage.SumCRC32C != 0 && w.Sums.CRC32C != p.CRC32C:
		return part, ProofKinds, corrupt("the store copied other bytes than were stored")
	case w.Sums.Has&storage.SumCRC32C != 0:
		return part, ProvedCRC32C, nil
	case c.ab.ETagMD5 && !w.Encrypted && looksLikeMD5(w.ETag) && strings.EqualFold(w.ETag, p.ETag):
		return part, ProvedMD5, nil
	}
	return part, ProofKinds, nil
}

// composeReader yields all pieces.
type composeReader struct {
	ctx  context.Context //nolint:containedctx // of the call that reads it through
	c    *composition
	next int
	text bytes.Reader
}

// Read implements io.Reader.
func (r *composeReader) Read(p []byte) (int, error) {
	for r.text.Len() == 0 {
		if r.next == len(r.c.pieces) {
			return 0, io.EOF
		}
		text, err := r.c.load(r.ctx, &r.c.pieces[r.next])
		if err != nil {
			return 0, err
		}
		r.next++
		r.text.Reset(text)
	}
	return r.text.Read(p)
}
