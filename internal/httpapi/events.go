package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// streamer is an answer that is sent over time.
type streamer interface {
	// stream sends the answer; it returns when it is complete, the client is gone or the service stops.
	stream(w http.ResponseWriter, r *http.Request)
}

// taskStream is the progress of one task, or of all tasks of a project, as server-sent events.
type taskStream struct {
	service *service
	project string
	id      int64 // 0: all tasks of the project
	first   []event
	over    bool // nothing will change, and the client knows: it should not come again
}

// watchTask streams the progress of one task until it has succeeded, failed or been deleted.
func (s *service) watchTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	t, err := s.tasks.Task(ctx, c.project, id)
	if err != nil {
		return nil, err
	}
	st := &taskStream{service: s, project: c.project, id: id}
	if c.r.Header.Get("Last-Event-ID") == eventID(t) && ended(t) {
		st.over = true
		return st, nil
	}
	return s.opened(st, []oms.Task{t}, now)
}

// watchTasks streams the progress of all tasks of the project. A client that comes again is told of all that changed
// meanwhile.
func (s *service) watchTasks(ctx context.Context, c *call) (any, error) {
	now := s.clock()
	since := now
	if last, err := strconv.ParseInt(c.r.Header.Get("Last-Event-ID"), 10, 64); err == nil && last > 0 {
		since = time.UnixMicro(max(last, now.Add(-longestGap).UnixMicro())).Add(-changeOverlap)
	}
	tasks, err := s.tasks.Changed(ctx, c.project, since)
	if err != nil {
		return nil, err
	}
	return s.opened(&taskStream{service: s, project: c.project}, tasks, now)
}

// opened gives a stream its first events, if there may be one more.
func (s *service) opened(st *taskStream, tasks []oms.Task, now time.Time) (any, error) {
	for _, t := range tasks {
		data, err := json.Marshal(taskView(t, now))
		if err != nil {
			return nil, err
		}
		st.first = append(st.first, event{task: t, data: data})
	}
	if !s.streams.admit(st.project) {
		return nil, &rateError{wait: streamPause}
	}
	return st, nil
}

// eventID names a state of a task that was sent.
func eventID(t oms.Task) string {
	return strconv.FormatInt(t.Generation, 10) + "-" + strconv.Itoa(int(t.Status)) + "-" + strconv.FormatInt(t.UpdatedAt.UnixMicro(), 10)
}

// ended reports whether nothing becomes of the task unless somebody starts it anew.
func ended(t oms.Task) bool { return t.Status == oms.StatusSucceeded || t.Status == oms.StatusFailed }

// errCutOff ends a stream whose client takes nothing.
var errCutOff = errors.New("the client does not read")

// stream implements streamer.
func (st *taskStream) stream(w http.ResponseWriter, r *http.Request) {
	if st.over {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s := st.service
	defer s.streams.release(st.project)
	l, leave := s.streams.listen(r.Context(), st.project, st.id)
	defer leave()
	out := &eventWriter{w: w, control: http.NewResponseController(w), clock: s.clock, sent: map[int64]oms.Task{}}
	out.open()
	if err := out.text("retry: 2000\n\n"); err != nil || st.send(out, st.first) {
		return
	}
	st.follow(r.Context(), out, l)
}

// follow sends events until the stream ends.
func (st *taskStream) follow(ctx context.Context, out *eventWriter, l *listener) {
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	life := time.NewTimer(streamLife)
	defer life.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-st.service.stopping:
			_ = out.text(": the service stops\n\n") // the client is told by the end of the stream as well
			return
		case <-life.C:
			return
		case <-heartbeat.C:
			if st.gone(ctx) {
				_ = out.text("event: deleted\ndata: {\"id\":" + strconv.FormatInt(st.id, 10) + "}\n\n")
				return
			}
			if out.text(": still here\n\n") != nil {
				return
			}
		case <-l.wake:
			if st.send(out, l.take()) {
				return
			}
		}
	}
}

// gone reports whether the task was deleted, which no change tells.
func (st *taskStream) gone(ctx context.Context) bool {
	if st.id == 0 {
		return false
	}
	_, err := st.service.tasks.Task(ctx, st.project, st.id)
	return errors.Is(err, oms.NotFound)
}

// send writes events in order of task and reports whether the stream is over.
func (st *taskStream) send(out *eventWriter, events []event) bool {
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.task.ID, b.task.ID) })
	for _, e := range events {
		id := eventID(e.task)
		if st.id == 0 {
			id = strconv.FormatInt(out.clock().UnixMicro(), 10)
		}
		if err := out.event(id, e); err != nil {
			return true
		}
		if st.id != 0 && ended(e.task) {
			_ = out.text("event: end\ndata: {\"status\":" + strconv.Itoa(int(e.task.Status)) + "}\n\n")
			return true
		}
	}
	return false
}

// eventWriter writes server-sent events. Only one goroutine uses it.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	clock   func() time.Time
	sent    map[int64]oms.Task // the latest of each task that is under way
}

// open sends the head. The time limits of the listener are for requests that end: reading is over, and each write gets
// a limit of its own.
func (o *eventWriter) open() {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // for proxies that would wait for more
	_ = o.control.SetReadDeadline(time.Time{})
	o.w.WriteHeader(http.StatusOK)
}

// event writes the state of a task, unless a newer one was written already.
func (o *eventWriter) event(id string, e event) error {
	if last, ok := o.sent[e.task.ID]; ok && older(e.task, last) {
		return nil
	}
	o.sent[e.task.ID] = e.task
	if ended(e.task) {
		delete(o.sent, e.task.ID)
	}
	var b strings.Builder
	b.WriteString("id: " + id + "\nevent: task\ndata: ")
	b.Write(e.data) // JSON of one line
	b.WriteString("\n\n")
	return o.text(b.String())
}

// older reports whether a is a state of the task from before b.
func older(a, b oms.Task) bool {
	if a.Generation != b.Generation {
		return a.Generation < b.Generation
	}
	return a.UpdatedAt.Before(b.UpdatedAt) || a.Counters.Listed < b.Counters.Listed
}

// text writes and flushes within the time that a client has for it.
func (o *eventWriter) text(s string) error {
	// A writer without deadlines, in a test, cannot be held up either.
	if err := o.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := io.WriteString(o.w, s); err != nil {
		return errors.Join(errCutOff, err)
	}
	return o.control.Flush()
}
