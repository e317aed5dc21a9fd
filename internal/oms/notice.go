package oms

import (
	"slices"
	"time"
)

// The trigger conditions of SMNConfig (OMS v2, 3.3).
const (
	TriggerSuccess = "SUCCESS"
	TriggerFailure = "FAILURE"
)

// NoticeRef names a message: one for each end of a task or of a task group.
type NoticeRef struct {
	TaskID     int64  // 0: the message is about a group
	GroupID    string // "": the message is about a task
	Generation int64  // the run that ended
}

// Notice is the message about an end that its smn_config asked for. It holds all that is sent, so that it does not
// depend on what becomes of the task.
type Notice struct {
	NoticeRef

	ProjectID string
	Content   NoticeContent
	Tries     int    // attempts to send it that have begun
	Code      string // why the latest of them failed; "" for none
}

// NoticeContent is what a message tells of (OMS v2, 6.9).
type NoticeContent struct {
	SMN       SMNConfig     `json:"smn"`
	Name      string        `json:"name"` // of the task; the id of a group
	Succeeded bool          `json:"succeeded"`
	Reason    *ErrorReason  `json:"reason,omitempty"` // of a failure
	StartedAt time.Time     `json:"started_at,omitzero"`
	EndedAt   time.Time     `json:"ended_at"`
	RunFor    time.Duration `json:"run_for"` // nanoseconds
	Counters  Counters      `json:"counters"`

	SrcBucket  string `json:"src_bucket,omitempty"`
	DstBucket  string `json:"dst_bucket"`
	ListBucket string `json:"list_bucket,omitempty"`
	ListKey    string `json:"list_key,omitempty"`
	FailedList string `json:"failed_list,omitempty"` // object name in the destination bucket
}

// Notice returns the message about the state that the task is in; ok is false when it is no end, or none that its
// smn_config names.
func (t Task) Notice() (n Notice, ok bool) {
	ended := t.Status == StatusSucceeded || t.Status == StatusFailed
	succeeded := t.Status == StatusSucceeded
	if !ended || !t.Spec.SMN.wants(trigger(succeeded)) {
		return Notice{}, false
	}
	n = Notice{NoticeRef: NoticeRef{TaskID: t.ID, Generation: t.Generation}, ProjectID: t.ProjectID, Content: t.Spec.noticeContent()}
	c := &n.Content
	c.Name, c.Succeeded, c.Reason = t.Name, succeeded, t.Error
	c.StartedAt, c.EndedAt, c.RunFor, c.Counters, c.FailedList = t.StartedAt, t.UpdatedAt, t.RunFor, t.Counters, t.FailedList.Key
	return n, true
}

// Notice is like Task.Notice.
func (g Group) Notice() (n Notice, ok bool) {
	ended := g.Status == GroupSucceeded || g.Status == GroupFailed || g.Status == GroupCreationFailed
	succeeded := g.Status == GroupSucceeded
	if !ended || !g.Spec.SMN.wants(trigger(succeeded)) {
		return Notice{}, false
	}
	n = Notice{NoticeRef: NoticeRef{GroupID: g.ID, Generation: g.Generation}, ProjectID: g.ProjectID, Content: g.Spec.noticeContent()}
	c := &n.Content
	c.Name, c.Succeeded, c.Reason = g.ID, succeeded, g.Error
	c.StartedAt, c.EndedAt, c.RunFor, c.FailedList = g.StartedAt, g.UpdatedAt, g.RunFor, g.FailedList.Key
	c.Counters = g.Totals.Counters.Add(g.Gone.Counters)
	return n, true
}

// trigger is the condition that an end fulfils.
func trigger(succeeded bool) string { //nolint:revive // an outcome as a truth, not a mode
	if succeeded {
		return TriggerSuccess
	}
	return TriggerFailure
}

// wants reports whether a message is asked for; nil asks for none.
func (c *SMNConfig) wants(trigger string) bool {
	return c != nil && slices.Contains(c.TriggerConditions, trigger)
}

// noticeContent returns what is known before a task begins. The spec has an SMN.
func (s TaskSpec) noticeContent() NoticeContent {
	c := NoticeContent{SMN: *s.SMN, SrcBucket: s.Src.Bucket, DstBucket: s.Dst.Bucket}
	if s.Src.ListFile != nil {
		c.ListBucket, c.ListKey = s.Src.ListFile.Bucket, s.Src.ListFile.Key
	}
	return c
}
