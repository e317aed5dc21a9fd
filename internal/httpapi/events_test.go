package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// sink is a connection whose client reads everything.
type sink struct {
	mu     sync.Mutex
	header http.Header
	status int
	text   bytes.Buffer
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) FlushError() error   { return nil }

func (s *sink) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// stream is a request for events under way.
type stream struct {
	*sink
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *stream) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// open asks for events as the project.
func (h *harness) open(t *testing.T, path, lastID string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/ext/v1/"+project+path, http.NoBody)
	r.Header.Set("X-Auth-Token", project)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	st := &stream{sink: &sink{header: http.Header{}}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(st.done)
		h.ServeHTTP(st, r)
	}()
	t.Cleanup(func() {
		cancel()
		<-st.done
	})
	synctest.Wait()
	return st
}

// set changes a task as the engine would.
func (f *fakeTasks) set(id int64, change func(*oms.Task)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tasks[id]
	change(&t)
	f.tasks[id] = t
}

// asked returns how often the hub has asked for changes.
func (f *fakeTasks) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

// moving is a harness on the clock of the bubble, with a running task 7 and a paused task 8.
func moving(configure ...func(*Options)) *harness {
	tasks := newFakeTasks(task(7, oms.StatusRunning), task(8, oms.StatusPaused))
	return newHarness(tasks, append(configure, func(o *Options) { o.Clock = time.Now })...)
}

// pass lets time pass and everything settle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A stream begins with the state of the task, tells each change within a second, and ends after the last.
func TestWatchTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := moving()
		st := h.open(t, "/tasks/7/events", "")
		if got := st.header.Get("Content-Type"); st.status != http.StatusOK || got != "text/event-stream" || strings.Count(st.String(), "event: task\n") != 1 {
			t.Fatalf("%d %q %s", st.status, got, st)
		}
		h.tasks.set(7, func(t *oms.Task) { t.Counters.Listed, t.Counters.Migrated = 9, 9 })
		pass(lookEvery)
		if !strings.Contains(st.String(), `"successful_num":9`) {
			t.Errorf("the change was not told: %s", st)
		}
		h.tasks.set(8, func(t *oms.Task) { t.UpdatedAt = time.Now() })
		h.tasks.set(7, func(t *oms.Task) { t.Status, t.UpdatedAt = oms.StatusSucceeded, time.Now() })
		pass(lookEvery)
		text := st.String()
		if !st.over() || !strings.HasSuffix(text, "event: end\ndata: {\"status\":5}\n\n") || strings.Contains(text, `"id":8`) {
			t.Fatalf("over %t: %s", st.over(), text)
		}
		// Whoever comes again with what it was told last learns that nothing will come; with anything else it is told again.
		ids := strings.Split(text, "id: ")
		last, _, _ := strings.Cut(ids[len(ids)-1], "\n")
		if again := h.open(t, "/tasks/7/events", last); !again.over() || again.status != http.StatusNoContent || again.String() != "" {
			t.Errorf("again with %q: %d %q", last, again.status, again)
		}
		for _, id := range []string{"1-2-3", "x", strings.Repeat("9", 5000)} {
			if again := h.open(t, "/tasks/7/events", id); !again.over() || again.status != http.StatusOK || !strings.Contains(again.String(), "event: end\n") {
				t.Errorf("again with %.10q: %d %q", id, again.status, again)
			}
		}
		looks := h.tasks.asked()
		if pass(10 * lookEvery); h.tasks.asked() != looks {
			t.Error("the store is asked although nobody listens")
		}
	})
}

// A quiet stream sends comments, notices that its task was deleted, and ends after a while in any case.
func TestWatchQuietTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := moving()
		st := h.open(t, "/tasks/8/events", "")
		pass(2 * heartbeatEvery)
		if got := strings.Count(st.String(), "\n: still here\n"); got != 2 || strings.Count(st.String(), "event:") != 1 {
			t.Errorf("%d heartbeats: %s", got, st)
		}
		other := h.open(t, "/tasks/8/events", "")
		pass(streamLife)
		if !st.over() || !other.over() {
			t.Error("a stream goes on for ever")
		}
		st = h.open(t, "/tasks/8/events", "")
		if w := h.do("DELETE", base+"/8", ""); w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
		pass(heartbeatEvery)
		if !st.over() || !strings.HasSuffix(st.String(), "event: deleted\ndata: {\"id\":8}\n\n") {
			t.Errorf("over %t: %s", st.over(), st)
		}
	})
}

// The stream of a project tells of all its tasks and of no others; who comes again is told what was missed. However many
// streams there are, the store is asked once a second (rule C4).
func TestWatchTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := moving()
		h.tasks.set(9, func(t *oms.Task) {
			*t = task(9, oms.StatusRunning)
			t.ProjectID = other
		})
		var all []*stream
		for range 5 {
			all = append(all, h.open(t, "/events", ""), h.open(t, "/tasks/7/events", ""))
		}
		looks := h.tasks.asked()
		pass(10 * lookEvery)
		if got := h.tasks.asked() - looks; got != 10 {
			t.Errorf("the store was asked %d times in ten seconds", got)
		}
		h.tasks.set(8, func(t *oms.Task) { t.Status, t.UpdatedAt = oms.StatusWaiting, time.Now() })
		pass(lookEvery)
		text := all[0].String()
		if !strings.Contains(text, `"id":7`) || !strings.Contains(text, `{"id":8`) || strings.Contains(text, `"id":9`) {
			t.Errorf("the stream of the project: %s", text)
		}
		h.tasks.set(7, func(t *oms.Task) { t.Status, t.UpdatedAt = oms.StatusFailed, time.Now() })
		pass(lookEvery)
		if all[0].over() || !all[1].over() {
			t.Error("a task that ended ends its own stream only")
		}
		all[0].cancel()
		before := time.Now().UnixMicro()
		pass(time.Minute)
		h.tasks.set(8, func(t *oms.Task) { t.Status, t.UpdatedAt = oms.StatusFailed, time.Now() })
		pass(time.Minute)
		if again := h.open(t, "/events", strconv.FormatInt(before, 10)); !strings.Contains(again.String(), `{"id":8`) {
			t.Errorf("again: %s", again)
		}
		if fresh := h.open(t, "/events", ""); strings.Contains(fresh.String(), "event:") {
			t.Errorf("nothing is under way: %s", fresh)
		}
	})
}

// Streams are bounded by project (rule S8), their end makes room, and a store that is away ends none.
func TestWatchLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := moving()
		var all []*stream
		for range maxProjectStreams {
			all = append(all, h.open(t, "/events", ""))
		}
		refused := h.open(t, "/tasks/7/events", "")
		if refused.status != http.StatusTooManyRequests || refused.header.Get("Retry-After") != "10" {
			t.Errorf("one more: %d, Retry-After %q", refused.status, refused.header.Get("Retry-After"))
		}
		all[0].cancel()
		synctest.Wait()
		h.tasks.mu.Lock()
		h.tasks.err = errOutage
		h.tasks.mu.Unlock()
		pass(3 * lookEvery)
		h.tasks.mu.Lock()
		h.tasks.err = nil
		h.tasks.mu.Unlock()
		h.tasks.set(8, func(t *oms.Task) { t.UpdatedAt = time.Now() })
		pass(lookEvery)
		if st := h.open(t, "/tasks/7/events", ""); st.status != http.StatusOK || all[1].over() || !strings.Contains(all[1].String(), `{"id":8`) {
			t.Errorf("after the store was away: %d, over %t", st.status, all[1].over())
		}
	})
}

// Streams end when the service stops, so that it does in time.
func TestWatchStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		h := moving(func(o *Options) { o.Stopping = stopping })
		one, two := h.open(t, "/events", ""), h.open(t, "/tasks/8/events", "")
		close(stopping)
		synctest.Wait()
		if !one.over() || !two.over() {
			t.Error("a stream outlasts the service")
		}
	})
}

// A state from before what was sent is not sent: counters never go back.
func TestOlder(t *testing.T) {
	at := func(generation, seconds, listed int64) oms.Task {
		return oms.Task{Generation: generation, UpdatedAt: time.Unix(seconds, 0), Counters: oms.Counters{Listed: listed}}
	}
	base := at(2, 10, 5)
	for _, tt := range []struct {
		task oms.Task
		want bool
	}{{at(2, 10, 5), false}, {at(2, 10, 6), false}, {at(2, 10, 4), true}, {at(2, 9, 6), true}, {at(3, 9, 0), false}, {at(1, 11, 9), true}} {
		if got := older(tt.task, base); got != tt.want {
			t.Errorf("%+v: got %t", tt.task, got)
		}
	}
}

// A stream outlasts the time limits of a real listener, which are for requests that end, and its client's departure ends it.
func TestWatchOverHTTP(t *testing.T) {
	h := newHarness(newFakeTasks(task(7, oms.StatusRunning)), func(o *Options) { o.Clock = time.Now })
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/ext/v1/"+project+"/tasks/7/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", project)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for events := 0; events < 3; {
		if !lines.Scan() {
			t.Fatalf("the stream ended after %d events: %v", events, lines.Err())
		}
		if lines.Text() == "event: task" {
			events++
			h.tasks.set(7, func(t *oms.Task) { t.Counters.Listed++ })
		}
	}
}

// fakeTopics knows one topic of one project.
type fakeTopics struct{ err error }

func (f fakeTopics) Knows(_ context.Context, p, urn string) (bool, error) {
	return p == project && urn == "urn:smn:r:p:t", f.err
}

// A topic that has nowhere to go is refused when a task or group is created (OMS v2, code 0169).
func TestTopicKnown(t *testing.T) {
	for _, tt := range []struct {
		topic string
		err   error
		want  string
	}{
		{`"urn:smn:r:p:t"`, nil, ""}, {`"urn:smn:r:p:u"`, nil, "OMS.0169"}, {`"urn:smn:r:p:t"`, errOutage, "OMS.2004"},
	} {
		h := newHarness(newFakeTasks(), func(o *Options) { o.Topics = fakeTopics{tt.err} })
		smn := `{"topic_urn":` + tt.topic + `,"trigger_conditions":["SUCCESS"]}`
		for path, body := range map[string]string{base: create, "/v2/" + project + "/taskgroups": createGroup} {
			if got := code(t, h.do("POST", path, edit(t, body, "smn_config", smn))); got != tt.want {
				t.Errorf("%s %s: got %s, want %s", path, tt.topic, got, tt.want)
			}
		}
	}
}
