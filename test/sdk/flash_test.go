package sdk

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"
)

// watchEvery is how often states are looked at.
const watchEvery = 10 * time.Millisecond

// watcher polls a state all the time and holds it to what is allowed at the moment. A poll that is under way while that
// changes may see what was allowed before or after.
type watcher struct {
	t    *testing.T
	show func() (int32, error)
	quit chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	phase string
	now   []int32
	epoch int
	polls map[string]int
}

func watch(t *testing.T, phase string, allowed []int32, show func() (int32, error)) *watcher {
	w := &watcher{t: t, show: show, quit: make(chan struct{}), phase: phase, now: allowed, polls: map[string]int{}}
	w.done.Go(func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-w.quit:
				return
			case <-ticker.C:
				w.poll()
			}
		}
	})
	t.Cleanup(w.end)
	return w
}

// end stops polling; it may be called again.
func (w *watcher) end() {
	w.mu.Lock()
	select {
	case <-w.quit:
	default:
		close(w.quit)
	}
	w.mu.Unlock()
	w.done.Wait()
}

func (w *watcher) poll() {
	w.mu.Lock()
	before, epoch, phase := w.now, w.epoch, w.phase
	w.mu.Unlock()
	state, err := w.show()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.t.Errorf("%s: %v", phase, err)
	case epoch != w.epoch: // a call was made or answered meanwhile
	case !slices.Contains(before, state):
		w.t.Errorf("%s: state %d was shown, allowed are %v", phase, state, before)
	default:
		w.polls[phase]++
	}
}

// allow says what may be seen from now on.
func (w *watcher) allow(phase string, states ...int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase, w.now, w.epoch = phase, states, w.epoch+1
}

// until waits for a state.
func (w *watcher) until(state int32) {
	w.t.Helper()
	within(w.t, time.Minute, fmt.Sprintf("state %d", state), func() bool {
		got, err := w.show()
		return err == nil && got == state
	})
}

// mustHaveSeen checks that the phases were polled often enough to tell anything.
func (w *watcher) mustHaveSeen(phases ...string) {
	w.t.Helper()
	w.end()
	for _, phase := range phases {
		if w.polls[phase] < 5 {
			w.t.Errorf("%s was polled %d times only", phase, w.polls[phase])
		}
	}
	w.t.Logf("polls: %v", w.polls)
}

// slowly fills the source with what takes a limited task or group long.
func (w *world) slowly() *[]model.BandwidthPolicyDto {
	fill(w.src, 2000, 20_000)
	limits := policy(1 << 20)
	return &limits
}

// TestTaskStatesNeverFlash stops and starts a task again and again while its state is polled every 10 ms. Terraform waits
// with 0 and 7 pending and 3 as target after stop, with 0 and 1 pending and 2 and 5 as targets after start; anything
// else is an error to it (OMS v2, 4.7, 4.8 and 5.2).
func TestTaskStatesNeverFlash(t *testing.T) {
	w := newWorld(t)
	req := request(prefix, "")
	req.BandwidthPolicy = w.slowly()
	id := w.create(req)
	states := watch(t, "after create", []int32{waiting, running}, func() (int32, error) {
		resp, err := w.client.ShowTask(&model.ShowTaskRequest{TaskId: id})
		if err != nil {
			return 0, err
		}
		return *resp.Status, nil
	})
	states.until(running)
	for i := range 10 {
		states.allow("stop is asked for", running, pausing, paused)
		if err := w.stop(id); err != nil {
			t.Fatal(err)
		}
		states.allow("stop is answered", pausing, paused)
		states.until(paused)
		states.allow("paused", paused)
		time.Sleep(5 * watchEvery) // for the watcher to see it
		states.allow("start is asked for", paused, waiting, running)
		if err := w.start(id, false); err != nil {
			t.Fatal(err)
		}
		states.allow("start is answered", waiting, running)
		states.until(running)
		time.Sleep(time.Duration(i*7) * time.Millisecond) // stops come at different moments of a run
	}
	states.mustHaveSeen("stop is answered", "paused", "start is answered")
}

// TestGroupStatesNeverFlash does the same with a group, through creation as well: after stop 7 is pending and 3 the
// target, after start 0 and 1 are pending and 2 and 6 the targets (OMS v2, 5.3). Its tasks show the states of tasks.
func TestGroupStatesNeverFlash(t *testing.T) {
	w := newWorld(t)
	req := groupRequest("")
	req.BandwidthPolicy = w.slowly()
	id := w.createGroup(req)
	active := []int32{groupCreating, groupMonitoring}
	states := watch(t, "after create", append(active, groupWaiting), func() (int32, error) {
		resp, err := w.client.ShowTaskGroup(&model.ShowTaskGroupRequest{GroupId: id})
		if err != nil {
			return 0, err
		}
		return *resp.Status, nil
	})
	within(t, time.Minute, "the group creates", func() bool {
		s, err := states.show()
		return err == nil && s != groupWaiting
	})
	for i := range 10 {
		states.allow("stop is asked for", append(active, groupPausing, groupPaused)...)
		if err := w.stopGroup(id); err != nil {
			t.Fatal(err)
		}
		states.allow("stop is answered", groupPausing, groupPaused)
		states.until(groupPaused)
		states.allow("paused", groupPaused)
		for _, task := range w.groupTasks(id) {
			if *task.Status != paused {
				t.Errorf("a task of a paused group is in state %d", *task.Status)
			}
		}
		time.Sleep(5 * watchEvery) // for the watcher to see it
		states.allow("start is asked for", append(active, groupPaused)...)
		if err := w.startGroup(id); err != nil {
			t.Fatal(err)
		}
		states.allow("start is answered", active...)
		for _, task := range w.groupTasks(id) {
			if s := *task.Status; s != waiting && s != running && s != paused { // they are started one after the other
				t.Errorf("a task of a started group is in state %d", s)
			}
		}
		time.Sleep(time.Duration(10+i*20) * time.Millisecond) // stops come at different moments of a run
	}
	states.allow("limits are lifted", append(active, groupSucceeded)...)
	if err := w.limitGroup(id, 0); err != nil {
		t.Fatal(err)
	}
	states.until(groupSucceeded)
	states.allow("succeeded", groupSucceeded)
	states.mustHaveSeen("stop is answered", "paused", "start is answered")
	w.mustBeEqual()
}

func (w *world) groupTasks(id string) []model.TaskResp {
	w.t.Helper()
	resp, err := w.client.ListTasks(&model.ListTasksRequest{GroupId: &id, Limit: new(int32(100))})
	if err != nil {
		w.t.Fatal(err)
	}
	return *resp.Tasks
}
