package transfer

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Tasks that write nothing find out what is different. A dry run decides as a migration would; a verification wants
// proof that both sides hold the same, and records what is missing or differs as a failure.

// weigh counts an object of a task that writes nothing, given what the destination has; false when both sides must be
// asked first.
func (j *Job) weigh(b *batch, src, there *storage.ListedObject, action Action) bool {
	var d oms.Counters
	d.Listed, d.ListedBytes = 1, src.Size
	if j.plan.Spec.Mode == oms.ModeVerify {
		switch o := compareListed(src, there); {
		case o.err != nil:
			b.fail(j, src, o, &d)
		case !sameContent(*src, *there):
			return false
		default:
			d.Skipped, d.SkippedBytes = 1, src.Size
		}
		b.delta = b.delta.Add(d)
		return true
	}
	if action == CompareCRC64 {
		return false
	}
	if err := j.checkName(src.Key); err != nil && action == Copy {
		b.fail(j, src, failed(oms.FailName, err), &d)
	} else {
		d.Skipped, d.SkippedBytes = 1, src.Size
		if action == Copy {
			d.Findings = newOrOther(there == nil, src.Size)
		}
	}
	b.delta = b.delta.Add(d)
	return true
}

// newOrOther is the finding of an object that would be copied.
func newOrOther(absent bool, size int64) oms.Findings { //nolint:revive // what was found, not a way to go
	if absent {
		return oms.Findings{Absent: 1, AbsentBytes: size}
	}
	return oms.Findings{Differing: 1, DifferingBytes: size}
}

// fail records the failure of an object that is not handed out, and counts it in d.
func (b *batch) fail(j *Job, src *storage.ListedObject, o outcome, d *oms.Counters) {
	d.Failed, d.FailedBytes = 1, src.Size
	d.Findings = o.findings(src.Size)
	b.failures = append(b.failures, oms.Failure{
		TaskID: j.plan.TaskID, Key: src.Key, Size: src.Size, Kind: oms.KindOf(o.err), Code: o.code,
		Message: oms.Clean(o.err.Error()), At: time.Now().UnixMilli(),
	})
}

// findings are those of a failed verification.
func (o outcome) findings(size int64) oms.Findings {
	switch o.code {
	case oms.FailAbsent:
		return newOrOther(true, size)
	case oms.FailDiffers:
		return newOrOther(false, size)
	}
	return oms.Findings{}
}

// compareListed compares what listings tell.
func compareListed(src, there *storage.ListedObject) outcome {
	if there == nil {
		return failed(oms.FailAbsent, &oms.Error{Op: "verify", Key: src.Key, Kind: oms.NotFound, Msg: "the destination has no such object"})
	}
	if src.Size >= 0 && src.Size != there.Size {
		return differs(src.Key, "the source has "+strconv.FormatInt(src.Size, 10)+" bytes, the destination "+strconv.FormatInt(there.Size, 10))
	}
	return outcome{action: Skip}
}

func differs(key, how string) outcome {
	return failed(oms.FailDiffers, &oms.Error{Op: "verify", Key: key, Kind: oms.Corrupt, Msg: how})
}

// study is process for tasks that write nothing.
func (it *item) study(ctx context.Context) outcome {
	if it.job.plan.Spec.Mode == oms.ModeVerify {
		return it.verify(ctx)
	}
	action, o := it.inspect(ctx)
	if o.err != nil {
		return o
	}
	if action == Copy {
		o = outcome{action: Copy, found: newOrOther(it.absent, max(it.obj.Size, 0))}
	}
	return o
}

// verify compares an object on both sides, by checksums where both tell one of a kind.
func (it *item) verify(ctx context.Context) outcome {
	j := it.job
	src, err := it.statSource(ctx)
	if err != nil {
		return failed(sourceCode(err, oms.FailGetMeta), err)
	}
	it.obj = src.ListedObject
	if it.stat && !j.filter.Takes(it.obj.Key, it.obj.Size, it.obj.ModTime) {
		return outcome{action: LeaveOut}
	}
	dst, err := it.statDestination(ctx)
	there := &dst.ListedObject
	switch {
	case oms.KindOf(err) == oms.NotFound:
		there = nil
	case err != nil:
		return failed(oms.FailGetDstMeta, err)
	}
	if o := compareListed(&it.obj, there); o.err != nil {
		return o
	}
	switch same, kind := compareSums(src, dst); {
	case kind != "" && !same:
		return differs(it.obj.Key, "the "+kind+" of source and destination differ")
	case kind != "" || sameContent(it.obj, *there):
		return outcome{action: Skip}
	}
	if src.Encrypted || dst.Encrypted || !looksLikeMD5(src.ETag) || !looksLikeMD5(dst.ETag) {
		size := max(it.obj.Size, 0)
		return outcome{action: Skip, found: oms.Findings{Unproved: 1, UnprovedBytes: size}}
	}
	return it.verifyByReading(ctx)
}

// verifyByReading settles what differing ETags mean: not every store's are checksums.
func (it *item) verifyByReading(ctx context.Context) (o outcome) {
	j := it.job
	err := j.waitOut(ctx, func() error {
		ours, err := j.digest(ctx, srcRead, j.plan.Src, it.obj.Key, it.obj.Size, &it.tries)
		if err != nil {
			o = failed(sourceCode(err, oms.FailGet), err)
			return err
		}
		theirs, err := j.digest(ctx, dstRead, j.plan.Dst, j.destination(it.obj.Key), it.obj.Size, &it.tries)
		switch {
		case err != nil:
			o = failed(oms.FailGetDstMeta, err)
		case ours != theirs:
			o = differs(it.obj.Key, "source and destination were read and differ")
		default:
			o = outcome{action: Skip}
		}
		return err
	})
	if err != nil && o.err == nil {
		o = failed(oms.FailGet, err)
	}
	return o
}

// compareSums compares the strongest kind of checksum that both sides tell; kind is "" when there is none.
func compareSums(src, dst storage.Object) (same bool, kind string) {
	a, b := src.Sums, dst.Sums
	switch both := a.Has & b.Has; {
	case both&storage.SumCRC64NVME != 0:
		return a.CRC64NVME == b.CRC64NVME, "CRC64NVME"
	case both&storage.SumCRC64ECMA != 0:
		return a.CRC64ECMA == b.CRC64ECMA, "CRC64"
	case both&storage.SumCRC32C != 0:
		return a.CRC32C == b.CRC32C, "CRC32C"
	case both&storage.SumMD5 != 0:
		return a.MD5 == b.MD5, "MD5"
	}
	if src.Encrypted || dst.Encrypted || !looksLikeMD5(src.ETag) || !strings.EqualFold(src.ETag, dst.ETag) {
		return false, ""
	}
	return true, "ETag"
}

// statDestination asks the destination for the object.
func (it *item) statDestination(ctx context.Context) (dst storage.Object, err error) {
	err = it.job.retry(ctx, dstRead, func(ctx context.Context, _ *watch) (err error) {
		dst, err = it.job.plan.Dst.Stat(ctx, it.job.destination(it.obj.Key))
		return err
	})
	return dst, err
}
