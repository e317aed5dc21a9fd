package notify

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// What fails for now is tried again after growing pauses, what succeeds then is settled.
func TestRetries(t *testing.T) {
	var calls atomic.Int32
	base, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 4 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	l := newLab(t, base+"/"+canary, succeeded())
	want := []outcome{
		{code: "OMS.0156", pause: 5 * time.Second}, {code: "OMS.0156", pause: 30 * time.Second}, {code: "OMS.0156", pause: 2 * time.Minute}, {settled: true},
	}
	if diff := cmp.Diff(want, l.runUntil(t, 4), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// Attempts are bounded (rule C4), those that a dying process made included.
func TestAttemptsEnd(t *testing.T) {
	var calls atomic.Int32
	base, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	l := newLab(t, base, succeeded())
	const attempts = 8
	got := l.runUntil(t, attempts)
	if got[attempts-1] != (outcome{settled: true, code: "OMS.0156"}) || calls.Load() != attempts {
		t.Errorf("got %d attempts, the last with %+v", calls.Load(), got[attempts-1])
	}
	n := succeeded()
	n.Tries = attempts + 1
	l = newLab(t, base, n)
	if got := l.runUntil(t, 1); got[0] != (outcome{settled: true, code: "OMS.0159"}) || calls.Load() != attempts {
		t.Errorf("after a death in the last attempt: got %+v", got[0])
	}
}

// Topics that nobody mapped, and topics named after another project, look the same (rule S1).
func TestWhoseTopic(t *testing.T) {
	base, got := receiver(t, status(200))
	sent, unknown := outcome{settled: true}, outcome{settled: true, code: "OMS.0157"}
	tests := []struct {
		name     string
		topic    string // of the message
		project  string
		projects []oms.Project
		want     outcome
	}{
		{"own", urn, project, []oms.Project{{ID: project}}, sent},
		{"shared by all", urn, "other", []oms.Project{{ID: "other"}}, sent},
		{"of another project", urn, "other", []oms.Project{{ID: project}, {ID: "other"}}, unknown},
		{"not mapped", urn + "2", project, nil, unknown},
	}
	reached := 0
	for _, tt := range tests {
		n := succeeded()
		n.ProjectID, n.Content.SMN.TopicURN = tt.project, tt.topic
		l := newLab(t, base, n)
		l.store.projects = tt.projects
		if out := l.runUntil(t, 1); out[0] != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, out[0], tt.want)
		}
		if tt.want == sent {
			reached++
		}
	}
	if len(got) != reached {
		t.Errorf("the receiver was called %d times, want %d", len(got), reached)
	}
}

// A stop breaks attempts off at once, and the next process makes them again.
func TestStopDuringAttempt(t *testing.T) {
	arrived := make(chan struct{})
	base, _ := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	l := newLab(t, base, succeeded())
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	<-arrived
	cancel()
	running.Wait()
	if got := l.store.outcomes; len(got) != 1 || got[0] != (outcome{}) {
		t.Errorf("got %+v, want one attempt whose outcome is not known", got)
	}
}

// One receiver that hangs does not hold up the others.
func TestManyAtOnce(t *testing.T) {
	release := make(chan struct{})
	var calls atomic.Int32
	base, _ := receiver(t, func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) == 1 {
			<-release
		}
	})
	var due []oms.Notice
	for i := range 3 * maxInFlight {
		n := succeeded()
		n.TaskID = int64(i + 1)
		due = append(due, n)
	}
	l := newLab(t, base, due...)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	for range len(due) - 1 {
		<-l.store.ended
	}
	close(release)
	<-l.store.ended
	cancel()
	running.Wait()
	if int(calls.Load()) != len(due) {
		t.Errorf("got %d messages, want %d", calls.Load(), len(due))
	}
}

func TestNewWithoutOptions(t *testing.T) {
	if _, err := New(Options{}); !errors.Is(err, oms.Invalid) {
		t.Errorf("got %v, want oms.Invalid", err)
	}
}
