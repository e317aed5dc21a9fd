package engine_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// telling makes a task or group ask for messages about all its ends.
func telling(s *oms.TaskSpec) {
	s.SMN = &oms.SMNConfig{TopicURN: "urn:smn:lab:p:oms", TriggerConditions: []string{oms.TriggerSuccess, oms.TriggerFailure}}
}

// notice returns the one message that is to be sent.
func (l *lab) notice() oms.Notice {
	l.t.Helper()
	list, err := l.db.ClaimNotices(l.t.Context(), 10, time.Hour)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(list) != 1 {
		l.t.Fatalf("got %d messages, want 1: %+v", len(list), list)
	}
	return list[0]
}

// Each end of a run leaves one message with what the run did, as soon as the end can be seen.
func TestEndIsTold(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) {
		telling(s)
		s.Src.Keys = []string{"nothing/here/"}
	})
	failed := p.fail(id, "TRF.0012")
	n := l.notice()
	if c := n.Content; n.TaskID != id || n.ProjectID != project || c.Succeeded || c.Name != failed.Name || c.Reason == nil ||
		c.Reason.Code != "TRF.0012" || c.SrcBucket != "photos" || c.DstBucket != "backup" {
		t.Errorf("failure: got %+v", n)
	}
	l.seed(3, 50, "nothing/here/")
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.until(id, "it succeeds", is(oms.StatusSucceeded))
	again := l.notice()
	if c := again.Content; !c.Succeeded || c.Reason != nil || again.Generation != n.Generation+1 || c.Counters.Migrated != 3 || c.Counters.MovedBytes != 150 || c.EndedAt.IsZero() {
		t.Errorf("success: got %+v", again)
	}
	quiet := p.create(func(s *oms.TaskSpec) { s.Src.Keys = []string{"nothing/here/"} })
	p.until(quiet, "it succeeds", is(oms.StatusSucceeded))
	if list, err := l.db.ClaimNotices(t.Context(), 10, time.Hour); err != nil || len(list) != 0 {
		t.Errorf("a task that asked for nothing: got %+v, error %v", list, err)
	}
}

// A group tells of its own end; its tasks are silent.
func TestEndOfGroupIsTold(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(60, 50, "photos/")
	p := l.start(l.groupOptions("one"))
	id := p.createGroup(func(s *oms.TaskSpec) {
		telling(s)
		s.Src.Keys = []string{"photos/"}
	})
	p.succeedGroup(id)
	if n := l.notice(); n.GroupID != id || n.TaskID != 0 || !n.Content.Succeeded || n.Content.Counters.Migrated != 60 {
		t.Errorf("got %+v", n)
	}
}
