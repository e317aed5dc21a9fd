package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// An object that the destination holds, equal in size and newer than the run, is probably this task's own work whose
// checkpoint was lost; but its proof was lost with it, and somebody else may have written it. It counts as migrated
// only when it is proved again (rules D1 and C1): by equal ETags that depend on the content, which costs nothing, or
// by reading the source once more and comparing checksums. Nothing that is right is sent again.

// sameContent reports whether two ETags prove equal content: both an MD5, or both S3's ETag of a multipart object.
func sameContent(src, dst storage.ListedObject) bool {
	if src.Size != dst.Size || !strings.EqualFold(src.ETag, dst.ETag) {
		return false
	}
	sum, parts, multipart := strings.Cut(src.ETag, "-")
	return looksLikeMD5(sum) && (!multipart || parts != "" && strings.Trim(parts, "0123456789") == "")
}

// proveOwn reports whether the destination holds the source object's bytes; false sends them again. What was compared and
// is another is kept in mind as wrong; what could not be compared is not.
func (it *item) proveOwn(ctx context.Context) (bool, error) {
	j := it.job
	key := j.destination(it.obj.Key)
	var dst storage.Object
	err := j.retry(ctx, dstRead, func(ctx context.Context, _ *watch) (err error) {
		dst, err = j.plan.Dst.Stat(ctx, key)
		return err
	})
	if err != nil || dst.Size != it.obj.Size {
		return false, ignoreMissing(err)
	}
	src, err := j.digest(ctx, srcRead, j.plan.Src, it.obj.Key, it.obj.Size, &it.tries)
	if err != nil {
		return false, ignoreMissing(err)
	}
	proof := ProvedCRC32C
	switch {
	case dst.Sums.Has&storage.SumCRC32C != 0:
		if dst.Sums.CRC32C != src.crc {
			it.wrong = dst.ETag
			return false, nil
		}
	case j.plan.Abilities.ETagMD5 && !dst.Encrypted && looksLikeMD5(dst.ETag):
		if !strings.EqualFold(dst.ETag, hex.EncodeToString(src.md5[:])) {
			it.wrong = dst.ETag
			return false, nil
		}
		proof = ProvedMD5
	default:
		there, err := j.digest(ctx, dstRead, j.plan.Dst, key, it.obj.Size, &it.tries)
		if err != nil {
			return false, ignoreMissing(err)
		}
		if there.crc != src.crc {
			it.wrong = dst.ETag
			return false, nil
		}
		proof = ProvedReadBack
	}
	j.proofs[proof].Add(1)
	return true, nil
}

// ignoreMissing drops errors that only mean that there is nothing to compare: the object is then copied as any other.
func ignoreMissing(err error) error {
	switch oms.KindOf(err) {
	case oms.NotFound, oms.Changed, oms.Corrupt, oms.Archived:
		return nil
	case oms.Other, oms.Invalid, oms.Conflict, oms.Denied, oms.Throttled, oms.Transient, oms.Unsupported, oms.NoBucket,
		oms.Full, oms.Listing:
	}
	return err
}

// digests are checksums of a whole object as it was read.
type digests struct {
	crc uint32
	md5 [md5.Size]byte
}

// digestChunk is the buffer of a digest in bytes. It is small, and not one of those that are shared: callers may hold one
// of these, and who waits for a second one while he holds the first can wait for ever.
const digestChunk = 32 << 10

// digest reads an object of size bytes, within the bandwidth limit, and returns its checksums; errAway when the store
// is away.
func (j *Job) digest(ctx context.Context, at target, from storage.Reader, key string, size int64, t *tries) (d digests, err error) {
	buf := make([]byte, max(min(size, digestChunk), 1))
	err = j.retryUntilAway(ctx, at, t, func(ctx context.Context, w *watch) error {
		c, err := from.Open(ctx, key, storage.OpenOptions{Size: size})
		if err != nil {
			return err
		}
		defer c.Body.Close()
		d.crc = 0
		sum := md5.New()
		var n int64
		for {
			want := j.limit.chunk(len(buf))
			if err := w.hold(func() error { return j.limit.wait(ctx, want) }); err != nil {
				return err
			}
			k, err := c.Body.Read(buf[:want])
			j.limit.giveBack(want - k)
			w.progress(k)
			d.crc, n = crc32.Update(d.crc, castagnoli, buf[:k]), n+int64(k)
			sum.Write(buf[:k])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return readError(err)
			}
		}
		if n != size {
			return &oms.Error{Op: "read", Key: key, Kind: oms.Changed, Msg: "the object has another size"}
		}
		d.md5 = [md5.Size]byte(sum.Sum(nil))
		return nil
	})
	return d, err
}

// discard deletes a copy that was found to be wrong after it was written, so that nobody, this task's next run and
// other tasks among them, takes it for right. It is left alone when it is no longer what was written. etag is the
// answer to the write. It returns errAway, when the destination is, and no other error.
func (it *item) discard(ctx context.Context, key, etag string) error {
	j := it.job
	err := j.retryUntilAway(ctx, dstWrite, &it.tries, func(ctx context.Context, _ *watch) error {
		there, err := j.plan.Dst.Stat(ctx, key)
		if err != nil || etag != "" && !strings.EqualFold(there.ETag, etag) {
			return ignoreMissing(err)
		}
		return j.plan.Dst.Delete(ctx, key)
	})
	if errors.Is(err, errAway) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		j.opts.Logger.WarnContext(ctx, "a wrong copy could not be deleted", "task_id", j.plan.TaskID, "key", oms.Clean(key), "err", err)
	}
	return nil
}
