package httpapi

import (
	"math"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// maxReason is the contract's limit of error_reason.error_msg in characters.
const maxReason = 1024

// shown returns what is shown of each element of a page: an array in any case, also of none.
func shown[T, V any](list []T, view func(T) V) []V {
	out := make([]V, 0, len(list))
	for _, v := range list {
		out = append(out, view(v))
	}
	return out
}

// taskView is the task as ShowTask shows it at the instant now (OMS v2, 4.5).
func taskView(t oms.Task, now time.Time) omsv2.Task {
	v := omsv2.Task{
		ID: t.ID, Name: t.Name, Status: int32(t.Status), TaskType: string(t.Spec.Type),
		GroupID: t.GroupID, GroupType: string(t.GroupType), Description: t.Spec.Description,
		IsQueryOver: t.QueryOver,
		StartTime:   millis(t.StartedAt), TotalTime: t.Elapsed(now).Milliseconds(), MigrateSince: millis(t.Spec.MigrateSince),
		BandwidthPolicy:             bandwidthView(t.Spec.Bandwidth),
		EnableFailedObjectRecording: t.Spec.RecordFailures, EnableMetadataMigration: t.Spec.MigrateMetadata,
		EnableRestore: t.Spec.Restore, EnableRequesterPays: t.Spec.RequesterPays, EnableKMS: t.Spec.KMS,
		SrcNode: sourceView(t.Spec.Src), DstNode: destinationView(t.Spec.Dst),
		ErrorReason: reasonView(t), FailedObjectRecord: recordView(t.FailedList),
		SuccessRecordErrorReason: t.SuccessListCode, SkipRecordErrorReason: t.SkipListCode,
		SMNInfo: smnView(t), SourceCDN: cdnView(t.Spec.CDN),
		ObjectOverwriteMode: string(t.Spec.Overwrite), DstStoragePolicy: string(t.Spec.StoragePolicy),
		ConsistencyCheck: string(t.Spec.Consistency), OBSSystem: obsSystem(t.Spec), TaskPriority: string(t.Spec.Priority),
	}
	setCounters(&v, t)
	setPace(&v, t)
	return v
}

// setCounters fills objects, bytes and progress. Failed objects are not done: their bytes count once they have
// been migrated or skipped. Of unfinished large objects the parts that have arrived count.
func setCounters(v *omsv2.Task, t oms.Task) {
	c := t.Counters
	v.TotalNum, v.TotalSize = max(t.Found, c.Listed), max(t.FoundBytes, c.ListedBytes)
	v.SuccessfulNum, v.FailedNum, v.SkippedNum = c.Migrated, c.Failed, c.Skipped
	v.CompleteSize, v.RealSize = c.MigratedBytes+c.SkippedBytes+t.PartialBytes, c.MovedBytes
	v.Progress = progress(v)
}

// progress is the done part of what is known so far: bytes, or objects where all are empty or listed in files. It is 1 for
// succeeded tasks only and has four decimals (OMS v2, 4.5 and 8, row 13).
func progress(v *omsv2.Task) float64 {
	if v.Status == int32(oms.StatusSucceeded) {
		return 1
	}
	done, total := v.CompleteSize, v.TotalSize
	if total == 0 || oms.TaskType(v.TaskType).Lists() {
		done, total = v.SuccessfulNum+v.SkippedNum, v.TotalNum
	}
	if done <= 0 || total <= 0 {
		return 0
	}
	const steps = 10_000
	return min(math.Floor(float64(done)/float64(total)*steps), steps-1) / steps
}

// setPace fills speed and time left: the present speed while objects move, the average otherwise.
func setPace(v *omsv2.Task, t oms.Task) {
	moving := t.Status == oms.StatusRunning || t.Status == oms.StatusRetrying
	if !moving {
		if v.TotalTime > 0 {
			v.MigrateSpeed = clamp(float64(v.RealSize) / float64(v.TotalTime) * 1000)
		}
		return
	}
	v.MigrateSpeed = t.Speed
	if t.Spec.Type.Lists() { // the sizes of what is left are not known, their number is
		done := v.SuccessfulNum + v.SkippedNum + v.FailedNum
		if done > 0 {
			v.LeftTime = clamp(float64(v.TotalNum-done) / float64(done) * float64(v.TotalTime))
		}
		return
	}
	if left := v.TotalSize - v.CompleteSize - t.Counters.FailedBytes; left > 0 && t.Speed > 0 {
		v.LeftTime = clamp(float64(left) / float64(t.Speed) * 1000)
	}
}

// clamp converts to int64 without overflow.
func clamp(f float64) int64 {
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(f)
}

// millis is the instant in Unix milliseconds, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func bandwidthView(ws []oms.BandwidthWindow) []omsv2.BandwidthPolicy {
	return shown(ws, func(w oms.BandwidthWindow) omsv2.BandwidthPolicy {
		return omsv2.BandwidthPolicy{Start: oms.FormatClock(w.Start), End: oms.FormatClock(w.End), MaxBandwidth: w.Limit}
	})
}

func sourceView(n oms.SourceNode) omsv2.SourceNode {
	v := omsv2.SourceNode{
		Bucket: n.Bucket, CloudType: string(n.CloudType), Region: n.Region, AppID: n.AppID,
		ObjectKey: append([]string{}, n.Keys...),
	}
	if n.ListFile != nil {
		v.ListFile = &omsv2.ListFile{ListFileKey: n.ListFile.Key, OBSBucket: n.ListFile.Bucket, ListFileNum: n.ListFile.Num}
	}
	return v
}

func destinationView(n oms.DestinationNode) omsv2.DestinationNode {
	v := omsv2.DestinationNode{Bucket: n.Bucket, Region: n.Region, SavePrefix: n.SavePrefix}
	if n.CloudType != oms.CloudHEC {
		v.CloudType = string(n.CloudType)
	}
	return v
}

// reasonView is null unless the task failed.
func reasonView(t oms.Task) *omsv2.ErrorReason {
	if t.Status != oms.StatusFailed || t.Error == nil {
		return nil
	}
	msg := []rune(t.Error.Message)
	return &omsv2.ErrorReason{ErrorCode: t.Error.Code, ErrorMsg: string(msg[:min(len(msg), maxReason)])}
}

func recordView(l oms.FailedList) omsv2.FailedObjectRecord {
	return omsv2.FailedObjectRecord{Result: l.Result, ListFileKey: orNull(l.Key), ErrorCode: orNull(l.Code)}
}

// orNull is null for an empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// smnView tells what became of the message about the end of a task, once that is known (OMS v2, 3.3). The topic is named
// when the message was not sent.
func smnView(t oms.Task) *omsv2.SMNInfo {
	if t.Spec.SMN == nil || t.NoticeCode == nil {
		return nil
	}
	if *t.NoticeCode == "" {
		return &omsv2.SMNInfo{NotifyResult: true}
	}
	urn := t.Spec.SMN.TopicURN
	return &omsv2.SMNInfo{NotifyErrorMessage: *t.NoticeCode, TopicName: urn[strings.LastIndexByte(urn, ':')+1:]}
}

func cdnView(c *oms.CDN) *omsv2.SourceCDN {
	if c == nil {
		return nil
	}
	return &omsv2.SourceCDN{Domain: c.Domain, Protocol: c.Protocol, AuthenticationType: c.AuthenticationType}
}

// obsSystem says what kind of bucket the destination is.
func obsSystem(spec oms.TaskSpec) string {
	if spec.Dst.FileSystem {
		return "PFS"
	}
	return "BUCKET"
}
