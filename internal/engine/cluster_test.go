package engine_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
)

// smallPages puts n objects into a source whose listings have few keys a page, so that a task is shared before all of it
// is listed. Writes take a moment.
func (l *lab) smallPages(n int) {
	l.t.Helper()
	profile := testcloud.AWS()
	profile.MaxKeys = 10
	l.src = testcloud.New(testcloud.Options{AccessKey: srcAK, SecretKey: secret, Profile: profile})
	url, stop, err := l.src.Start(l.t.Context(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(stop)
	l.srcURL, l.from = url, l.src.CreateBucket("photos")
	for i := range n {
		l.from.Put(fmt.Sprintf("k/%05d", i*7919%n), []byte{byte(i)}, testcloud.Attrs{})
	}
	l.dst.Faults.On(testcloud.PutObject, testcloud.Delay(20*time.Millisecond))
}

// clustered are the options of a worker of several.
func (l *lab) clustered(owner string) engine.Options {
	opts := l.options(owner)
	opts.Cluster = true
	opts.Transfer.Workers, opts.Transfer.Walkers = 4, 2
	// A process has connections of its own.
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	l.t.Cleanup(tr.CloseIdleConnections)
	opts.Opener = s3.NewOpener(s3.Options{Transport: tr})
	return opts
}

// Two workers share a task that one has begun, a server without workers pauses and starts it, one of them leaves, and
// all is counted once (rules C1 and P3).
func TestShareTask(t *testing.T) {
	t.Parallel()
	const n = 1500
	l := newLab(t)
	l.smallPages(n)
	api := l.clustered("api")
	api.NoWorkers = true
	p := l.start(api)
	one := l.start(l.clustered("one"))
	id := p.create(nil)
	p.until(id, "the first worker moves", func(oms.Task) bool { return one.Stats().Objects > 0 })
	two := l.start(l.clustered("two"))
	p.until(id, "the second worker moves", func(oms.Task) bool { return two.Stats().Objects > 0 }, oms.StatusRunning)
	if err := p.Stop(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	p.reach(id, oms.StatusPaused)
	if err := p.Start(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); err != nil {
		t.Fatal(err)
	}
	before := one.Stats().Objects + two.Stats().Objects
	p.until(id, "moving again", func(oms.Task) bool { return one.Stats().Objects+two.Stats().Objects > before },
		oms.StatusWaiting, oms.StatusRunning)
	one.stop()
	task := p.reach(id, oms.StatusSucceeded)
	if c := task.Counters; c.Listed != n || c.Migrated != n || c.Failed != 0 || c.Skipped != 0 {
		t.Errorf("%+v, want all %d migrated", c, n)
	}
	if diff := testcloud.Compare(l.from, l.to, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		t.Errorf("the destination differs: %v", diff)
	}
}

// reach polls until the task is in the state. What is shown must not go back, but for the running time: it ends by the
// clock of the worker.
func (p *proc) reach(id int64, want oms.Status) oms.Task {
	p.l.t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for last := p.show(id); ; {
		task := p.show(id)
		p.l.forward(last, task)
		if last = task; task.Status == want {
			return task
		}
		select {
		case <-ticker.C:
		case <-deadline:
			p.l.t.Fatalf("the task is %s (%+v), want %s", task.Status, task.Error, want)
		}
	}
}
