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

// StoreStream writes what r yields, of any length, as one object in a folder that is the task's own (object lists).
// Every part is proved. Uploads that an earlier attempt left open in the folder are aborted first, and an upload of
// this attempt is aborted when it fails.
func StoreStream(ctx context.Context, dst storage.Writer, ab Abilities, key string, r io.Reader, attrs storage.Attrs) error {
	buf := make([]byte, maxSingle)
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err := storeWhole(ctx, dst, ab, key, buf[:n], attrs)
		return err
	}
	if err != nil {
		return err
	}
	mp, ok := dst.(storage.Multiparter)
	if !ok {
		return &oms.Error{Op: "store", Key: key, Kind: oms.Unsupported, Msg: "the destination takes no multipart uploads"}
	}
	folder := key[:strings.LastIndexByte(key, '/')+1]
	if folder == "" { // uploads of others would be aborted
		return &oms.Error{Op: "store", Key: key, Kind: oms.Invalid, Msg: "the object is in no folder of its own"}
	}
	if err := abortFolder(ctx, mp, folder); err != nil {
		return err
	}
	if ab.CRC32C {
		attrs.PartSums = storage.SumCRC32C
	}
	var id string
	err = persist(ctx, func(ctx context.Context) (err error) {
		id, err = mp.CreateUpload(ctx, key, attrs)
		return err
	})
	if err != nil {
		return err
	}
	if err = storeParts(ctx, dst, mp, ab, key, id, buf, r); err != nil {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortPatience)
		defer cancel()
		return errors.Join(err, abortUpload(cleanup, mp, key, oms.Upload{UploadID: id}))
	}
	return nil
}

func abortFolder(ctx context.Context, mp storage.Multiparter, folder string) error {
	var open []storage.OpenUpload
	err := persist(ctx, func(ctx context.Context) (err error) {
		open, err = mp.ListUploads(ctx, folder, 0)
		return err
	})
	for _, o := range open {
		err = errors.Join(err, abortUpload(ctx, mp, o.Key, oms.Upload{UploadID: o.UploadID}))
	}
	return err
}

// storeWhole writes a short stream with one request.
func storeWhole(ctx context.Context, dst storage.Writer, ab Abilities, key string, body []byte, attrs storage.Attrs) (storage.Written, error) {
	ev := evidence{bytes: body, crc: crc32.Checksum(body, castagnoli)}
	sums := ev.sums(ab, nil)
	var w storage.Written
	err := persist(ctx, func(ctx context.Context) (err error) {
		w, err = dst.Put(ctx, storage.PutRequest{
			Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Attrs: attrs, Sums: sums,
		})
		return err
	})
	if err != nil {
		return w, err
	}
	proof, err := ev.judge(ab, w, sums)
	if err != nil || proof != ProofKinds {
		return w, err
	}
	return w, compare(ctx, dst, key, int64(len(body)), ev.crc)
}

// storeParts sends the full buffer and all that follows, and completes the upload.
func storeParts(ctx context.Context, dst storage.Reader, mp storage.Multiparter, ab Abilities, key, id string, buf []byte, r io.Reader) error {
	var parts []storage.Part
	var size int64
	var crcs []uint32
	proof := ProvedCRC32C
	for n := len(buf); n > 0; {
		ev := evidence{bytes: buf[:n], crc: crc32.Checksum(buf[:n], castagnoli)}
		req := storage.PartRequest{Key: key, UploadID: id, Number: len(parts) + 1, Size: int64(n), Sums: ev.sums(ab, nil)}
		var w storage.Written
		err := persist(ctx, func(ctx context.Context) (err error) {
			req.Body = bytes.NewReader(buf[:n])
			w, err = mp.PutPart(ctx, req)
			return err
		})
		if err != nil {
			return err
		}
		p, err := ev.judge(ab, w, req.Sums)
		if err != nil {
			return err
		}
		proof = max(proof, p)
		parts = append(parts, storage.Part{Number: req.Number, ETag: w.ETag, Size: req.Size, Sums: req.Sums})
		crcs, size = append(crcs, ev.crc), size+req.Size
		if n, err = io.ReadFull(r, buf); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
	err := persist(ctx, func(ctx context.Context) error {
		_, err := mp.CompleteUpload(ctx, key, id, parts)
		return err
	})
	if oms.KindOf(err) == oms.NotFound { // an attempt whose answer was lost may have done it: ask the object
		return compare(ctx, dst, key, size, combineParts(polyCRC32C, crcs, int64(len(buf)), parts[len(parts)-1].Size))
	}
	if err != nil || proof != ProofKinds {
		return err
	}
	return compare(ctx, dst, key, size, combineParts(polyCRC32C, crcs, int64(len(buf)), parts[len(parts)-1].Size))
}

// compare reads an object and compares its size and CRC32C.
func compare(ctx context.Context, src storage.Reader, key string, size int64, crc uint32) error {
	return persist(ctx, func(ctx context.Context) error {
		c, err := src.Open(ctx, key, storage.OpenOptions{Size: size})
		if err != nil {
			return err
		}
		defer c.Body.Close()
		h := crc32.New(castagnoli)
		n, err := io.Copy(h, c.Body)
		if err != nil {
			return readError(err)
		}
		if n != size || h.Sum32() != crc {
			return corrupt("what the destination holds differs from what was sent")
		}
		return nil
	})
}
