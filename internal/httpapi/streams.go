package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of streams of progress (rules C4 and S8).
const (
	maxStreams        = 1000 // of the process
	maxProjectStreams = 32
	streamPause       = 10 * time.Second // what a client is told to wait when there are too many
	lookEvery         = time.Second
	heartbeatEvery    = 15 * time.Second
	streamWrite       = 10 * time.Second // a client that takes nothing for so long is cut off
	streamLife        = 30 * time.Minute // then the client comes again and proves anew who it is
	changeOverlap     = 5 * time.Second  // a change may be stored later than its instant says
	longestGap        = time.Hour        // changes further back are not told to who comes again
)

// hub tells streams what becomes of tasks. However many streams there are, each project that somebody watches is asked
// for once a second.
type hub struct {
	tasks Tasks
	clock func() time.Time
	log   *slog.Logger

	mu       sync.Mutex
	open     map[string]int // streams by project
	all      int
	projects map[string]*watch
}

// watch is a project that somebody watches.
type watch struct {
	listeners map[*listener]struct{}
	stop      context.CancelFunc
	done      chan struct{} // closed when nobody asks any more
}

// listener is what one stream still has to send: of each task the latest state. The bound is the number of tasks that
// change at a time.
type listener struct {
	task int64         // 0: all of the project
	wake chan struct{} // capacity one: something is pending

	mu      sync.Mutex
	pending map[int64]event
}

// event is the state of a task at an instant.
type event struct {
	task oms.Task
	data []byte // JSON as ShowTask has it
}

func newHub(tasks Tasks, clock func() time.Time, log *slog.Logger) *hub {
	return &hub{tasks: tasks, clock: clock, log: log, open: map[string]int{}, projects: map[string]*watch{}}
}

// admit counts a stream of the project in; false when there are too many.
func (h *hub) admit(project string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= maxStreams || h.open[project] >= maxProjectStreams {
		return false
	}
	h.all++
	h.open[project]++
	return true
}

// release is the inverse of admit.
func (h *hub) release(project string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all--
	if h.open[project]--; h.open[project] == 0 {
		delete(h.open, project)
	}
}

// listen begins to collect events of a task, or of all (0), and to ask for the project if nobody did. leave must be
// called.
func (h *hub) listen(ctx context.Context, project string, task int64) (l *listener, leave func()) {
	l = &listener{task: task, wake: make(chan struct{}, 1), pending: map[int64]event{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.projects[project]
	if w == nil {
		ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // others may outlast this stream
		w = &watch{listeners: map[*listener]struct{}{}, stop: stop, done: make(chan struct{})}
		h.projects[project] = w
		go func() {
			defer close(w.done)
			h.look(ctx, project, w)
		}()
	}
	w.listeners[l] = struct{}{}
	return l, func() { h.leave(project, w, l) }
}

// leave ends the time of a listener, and that of the watch with its last one.
func (h *hub) leave(project string, w *watch, l *listener) {
	h.mu.Lock()
	delete(w.listeners, l)
	last := len(w.listeners) == 0
	if last {
		delete(h.projects, project)
	}
	h.mu.Unlock()
	if last {
		w.stop()
		<-w.done
	}
}

// look asks for the tasks of a project that change, until ctx ends.
func (h *hub) look(ctx context.Context, project string, w *watch) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	since := h.clock().Add(-changeOverlap)
	told := map[int64]string{} // the data of the latest event of tasks that changed lately
	away := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := h.clock()
		tasks, err := h.tasks.Changed(ctx, project, since)
		if err != nil {
			if ctx.Err() == nil && !away {
				h.log.WarnContext(ctx, "progress of tasks cannot be read", "project_id", project, "err", err)
			}
			away = true
			continue // since stays: nothing is missed
		}
		away, since = false, now.Add(-changeOverlap)
		seen := make(map[int64]string, len(tasks))
		for _, t := range tasks {
			data, err := json.Marshal(taskView(t, now))
			if err != nil {
				h.log.ErrorContext(ctx, "a task cannot be encoded", "task_id", t.ID, "err", err)
				continue
			}
			seen[t.ID] = string(data)
			if told[t.ID] != string(data) {
				h.tell(w, event{task: t, data: data})
			}
		}
		told = seen
	}
}

// tell hands an event to those who listen to its task.
func (h *hub) tell(w *watch, e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range w.listeners {
		if l.task == 0 || l.task == e.task.ID {
			l.put(e)
		}
	}
}

// put replaces what is pending of the task.
func (l *listener) put(e event) {
	l.mu.Lock()
	l.pending[e.task.ID] = e
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns what is pending.
func (l *listener) take() []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]event, 0, len(l.pending))
	for _, e := range l.pending {
		list = append(list, e)
	}
	clear(l.pending)
	return list
}
