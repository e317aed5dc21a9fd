package notify

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/oms"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// outcome is what a notifier stored about an attempt.
type outcome struct {
	settled bool
	code    string
	pause   time.Duration
}

// fakeStore holds messages in memory and makes those that are to be sent again due at once.
type fakeStore struct {
	mu       sync.Mutex
	due      []oms.Notice
	claimed  map[oms.NoticeRef]oms.Notice
	outcomes []outcome
	projects []oms.Project
	ended    chan struct{} // signalled at each outcome
}

func newFakeStore(due ...oms.Notice) *fakeStore {
	return &fakeStore{due: due, claimed: map[oms.NoticeRef]oms.Notice{}, ended: make(chan struct{}, 100)}
}

func (s *fakeStore) ClaimNotices(_ context.Context, limit int, _ time.Duration) ([]oms.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.due[:min(limit, len(s.due))]
	s.due = s.due[len(list):]
	for _, n := range list {
		s.claimed[n.NoticeRef] = n
	}
	return list, nil
}

func (s *fakeStore) RetryNotice(_ context.Context, ref oms.NoticeRef, code string, pause time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.claimed[ref]
	n.Tries++
	n.Code = code
	s.due = append(s.due, n)
	s.outcomes = append(s.outcomes, outcome{code: code, pause: pause})
	s.ended <- struct{}{}
	return nil
}

func (s *fakeStore) SettleNotice(_ context.Context, _ oms.NoticeRef, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, outcome{settled: true, code: code})
	s.ended <- struct{}{}
	return nil
}

func (s *fakeStore) Projects(context.Context) ([]oms.Project, error) { return s.projects, nil }

// lab is a notifier in front of real servers.
type lab struct {
	*Notifier

	store *fakeStore
	logs  *bytes.Buffer
}

// newLab makes a notifier whose only topic is urn, mapped to target, and lets it through the guard.
func newLab(t *testing.T, target string, due ...oms.Notice) *lab {
	t.Helper()
	parsed, err := ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]Target{urn: parsed}
	return newGuardedLab(t, egress.Options{AllowEndpoints: Addresses(topics)}, topics, due...)
}

// newGuardedLab is newLab with a guard of the test's own. It looks for the secret in all that is logged.
func newGuardedLab(t *testing.T, rules egress.Options, topics map[string]Target, due ...oms.Notice) *lab {
	t.Helper()
	guard, err := egress.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{store: newFakeStore(due...), logs: new(bytes.Buffer)}
	l.Notifier, err = New(Options{
		Store: l.store, Network: guard, Topics: topics, UserAgent: "openoms/test",
		Logger: slog.New(slog.NewTextHandler(l.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clock:  func() time.Time { return time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.every = time.Millisecond
	t.Cleanup(func() {
		l.transport.CloseIdleConnections()
		if text := l.logs.String(); strings.Contains(text, canary) || strings.Contains(text, url.QueryEscape(canary)) {
			t.Errorf("a secret is in the log: %s", text)
		}
	})
	return l
}

// runUntil runs the notifier until so many outcomes are stored, and returns them.
func (l *lab) runUntil(t *testing.T, n int) []outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	for range n {
		<-l.store.ended
	}
	cancel()
	running.Wait()
	return l.store.outcomes
}
