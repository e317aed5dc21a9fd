package transfer

import (
	"context"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// complete makes the object visible and proves that the destination holds it whole.
func (u *upload) complete(ctx context.Context) outcome {
	j := u.it.job
	began := time.Now()
	var w storage.Written
	err := j.retry(ctx, dstWrite, func(ctx context.Context, wt *watch) error {
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
	statErr := j.retry(ctx, dstRead, func(ctx context.Context, _ *watch) (err error) {
		dst, err = j.plan.Dst.Stat(ctx, u.key)
		return err
	})
	if gone && (statErr != nil || dst.Size != u.row.Size || !u.isOurs(dst, began)) {
		return failed(oms.FailComplete, err)
	}
	if statErr != nil {
		return failed(oms.FailConsistency, statErr)
	}
	err = j.waitOut(ctx, func() error {
		err := u.check(ctx, w, dst)
		if oms.KindOf(err) == oms.Corrupt {
			if away := u.it.discard(ctx, u.key, w.ETag); away != nil {
				return away
			}
		}
		return err
	})
	if err != nil {
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
	if j.plan.Spec.KMS && !dst.KMS && !w.KMS {
		return errUnencrypted
	}
	if err := j.checkCRC64(u.src.Sums, dst.Sums); err != nil {
		return err
	}
	proof := u.proof
	if dst.Sums.Has&storage.SumCRC32C != 0 {
		if dst.Sums.CRC32C != u.wholeCRC() {
			return corrupt("the store reports another CRC32C than that of the bytes sent")
		}
		proof = ProvedCRC32C
	}
	if proof == ProofKinds {
		if err := j.readBack(ctx, u.key, u.row.Size, u.wholeCRC(), &u.it.tries); err != nil {
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
	if of.Has&storage.SumCRC32C != 0 && of.CRC32C != u.wholeCRC() {
		return corrupt("the bytes read differ from the source's own CRC32C")
	}
	if u.crc64s != nil {
		crc := combineParts(polyCRC64NVME, u.crc64s, u.row.PartSize, u.span(len(u.parts)).Size)
		if crc != of.CRC64NVME {
			return corrupt("the bytes read differ from the source's own CRC64NVME")
		}
	}
	return u.checkETag()
}

// checkETag compares what was read with the source's ETag, if that can be told: all parts were hashed in order, or they
// are those of the source and the destination told the MD5 of each. Bytes that were read twice alike are what the source
// holds: then its ETag is no MD5, unless that of another object was.
func (u *upload) checkETag() error {
	known := &u.it.job.srcETags
	var same bool
	switch etag := multipartETag(u.parts); {
	case u.inOrder != nil:
		same = u.inOrder.is(u.src.ETag)
	case !u.ownParts || etag == "" || known.foreign():
		return nil
	default:
		same = strings.EqualFold(etag, u.src.ETag)
	}
	if same {
		known.match()
		return nil
	}
	crc := u.wholeCRC()
	again := u.before != nil && *u.before == crc
	u.before = &crc
	if again && known.differ() {
		return nil
	}
	return errSourceETag
}

func (u *upload) wholeCRC() uint32 {
	return combineParts(polyCRC32C, u.crcs, u.row.PartSize, u.span(len(u.parts)).Size)
}
