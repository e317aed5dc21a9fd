package engine_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// newGroupLab is a lab whose source lists twenty keys a page, so that a split has something to do.
func newGroupLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	profile := testcloud.AWS()
	profile.MaxKeys = 20
	l.src = testcloud.New(testcloud.Options{AccessKey: srcAK, SecretKey: secret, Profile: profile, RecordLimit: 100_000})
	url, stop, err := l.src.Start(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	l.srcURL, l.from = url, l.src.CreateBucket("photos")
	return l
}

// groupOptions are those of an engine that makes tasks of at most 25 objects.
func (l *lab) groupOptions(owner string) engine.Options {
	opts := l.options(owner)
	opts.Groups = oms.GroupLimits{TaskObjects: 25}
	opts.Quota.Running = 4
	return opts
}

func (p *proc) createGroup(change func(*oms.TaskSpec)) string {
	p.l.t.Helper()
	g, err := p.CreateGroup(p.l.t.Context(), oms.Group{ProjectID: project, Spec: p.l.task(change).Spec}, keys())
	if err != nil {
		p.l.t.Fatal(err)
	}
	return g.ID
}

// untilGroup polls the group every 10 ms until ok says so, and fails the test when a state is seen that is not allowed.
func (p *proc) untilGroup(id, what string, ok func(oms.Group) bool, allowed ...oms.GroupStatus) oms.Group {
	p.l.t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		g, err := p.Group(p.l.t.Context(), project, id)
		if err != nil {
			p.l.t.Fatal(err)
		}
		if len(allowed) > 0 && !slices.Contains(allowed, g.Status) {
			p.l.t.Fatalf("waiting until %s: the group is %s (%+v), allowed are %v", what, g.Status, g.Error, allowed)
		}
		if ok(g) {
			return g
		}
		select {
		case <-ticker.C:
		case <-deadline:
			p.l.t.Fatalf("waited too long until %s: the group is %s, %+v, %+v", what, g.Status, g.Totals, g.Error)
		}
	}
}

func groupIs(s oms.GroupStatus) func(oms.Group) bool {
	return func(g oms.Group) bool { return g.Status == s }
}

// succeedGroup waits for success and checks what must hold then.
func (p *proc) succeedGroup(id string) oms.Group {
	p.l.t.Helper()
	g := p.untilGroup(id, "it succeeds", groupIs(oms.GroupSucceeded), oms.GroupWaiting, oms.GroupCreating, oms.GroupMonitoring, oms.GroupSucceeded)
	tasks := p.l.groupTasks(id)
	if g.Error != nil || !g.SplitOver || g.Totals.Tasks != (oms.TaskCounts{Succeeded: int64(len(tasks))}) ||
		!g.Totals.Counters.Balanced() || g.Totals.Found != g.Totals.Counters.Listed || g.Open != 0 {
		p.l.t.Errorf("succeeded group %+v", g)
	}
	p.l.noGroupKeys(id)
	for _, t := range tasks {
		p.settled(t)
	}
	p.l.tiles(g, tasks)
	p.l.same()
	return g
}

// noGroupKeys checks that the keys of a group at rest are destroyed (rule S4).
func (l *lab) noGroupKeys(id string) {
	l.t.Helper()
	if _, err := l.db.GroupCredentials(l.t.Context(), id); !errors.Is(err, oms.NotFound) {
		l.t.Errorf("credentials of a group at rest: got error %v, want not found", err)
	}
}

// groupTasks returns all tasks of the group.
func (l *lab) groupTasks(id string) []oms.Task {
	l.t.Helper()
	tasks, err := l.db.GroupTasks(l.t.Context(), oms.GroupTaskQuery{GroupID: id, Limit: 100_000})
	if err != nil {
		l.t.Fatal(err)
	}
	return tasks
}

// tiles checks that the tasks and the spans that are left tile the key space below each selected prefix: none is left
// out and none is covered twice.
func (l *lab) tiles(g oms.Group, tasks []oms.Task) {
	l.t.Helper()
	type stretch struct {
		prefix, start, end string // end "" is the end of the prefix
	}
	var all []stretch
	prefixes, _ := g.Spec.Selection()
	cover := func(first, last int, start, end string) {
		for i := first; i <= last; i++ {
			s := stretch{prefix: prefixes[i]}
			if i == first {
				s.start = start
			}
			if i == last {
				s.end = end
			}
			all = append(all, s)
		}
	}
	for _, t := range tasks {
		keys := t.Spec.Src.Keys
		cover(slices.Index(prefixes, keys[0]), slices.Index(prefixes, keys[len(keys)-1]), string(t.Spec.Slice.After), string(t.Spec.Slice.UpTo))
	}
	spans, err := l.db.GroupSpans(l.t.Context(), g.ID)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, v := range spans {
		cover(v.First, v.Last, v.Start, v.UpTo)
	}
	slices.SortFunc(all, func(a, b stretch) int {
		return cmp.Or(strings.Compare(a.prefix, b.prefix), strings.Compare(a.start, b.start))
	})
	for _, p := range prefixes {
		pos, open := "", true
		for _, s := range all {
			if s.prefix != p {
				continue
			}
			if !open || s.start != pos {
				l.t.Errorf("below %q: a stretch begins at %q, want %q: %+v", p, s.start, pos, all)
			}
			pos, open = s.end, s.end != ""
		}
		if open {
			l.t.Errorf("below %q: nothing reaches the end: %+v", p, all)
		}
	}
}

// The life of a group: the source is cut by its measured size, the tasks copy everything exactly once, and each
// selects a piece of its own.
func TestGroupSplitsAndSucceeds(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(150, 50, "photos/2024/")
	l.seed(90, 50, "photos/2025/")
	l.seed(3, 50, "small/")
	l.seed(7, 50, "not/selected/")
	p := l.start(l.groupOptions("one"))
	id := p.createGroup(func(s *oms.TaskSpec) {
		s.Src.Keys = []string{"small/", "photos/", "empty/"}
		s.SMN = &oms.SMNConfig{TopicURN: "urn:smn:lab:p:oms"}
	})
	for i := range 7 {
		l.from.Delete("not/selected/0000" + strconv.Itoa(i))
	}
	g := p.succeedGroup(id)
	if c := g.Totals.Counters; c.Migrated != 243 || c.Skipped != 0 || g.Totals.Found != 243 || g.Totals.FoundBytes != 243*50 {
		t.Errorf("totals %+v, want 243 objects migrated", g.Totals)
	}
	tasks := l.groupTasks(id)
	if len(tasks) < 243/25 || len(tasks) > 40 {
		t.Errorf("%d tasks of at most 25 objects for 243", len(tasks))
	}
	names := make(map[string]bool)
	for _, task := range tasks {
		names[task.Name] = true
		if task.Counters.Listed > 25 || task.GroupID != id || task.GroupType != oms.GroupGroup || task.Spec.SMN != nil {
			t.Errorf("task %+v", task)
		}
	}
	if len(names) != len(tasks) {
		t.Errorf("%d names for %d tasks", len(names), len(tasks))
	}
	list, total, err := p.List(t.Context(), oms.TaskFilter{ProjectID: project, GroupID: id, Limit: 5})
	if err != nil || total != int64(len(tasks)) || len(list) != 5 || list[0].ID < list[4].ID {
		t.Errorf("list by group: %d of %d, %v", len(list), total, err)
	}
}

// Tasks copy while the source is still being listed.
func TestGroupCopiesWhileSplitting(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(200, 50, "o/")
	release := make(chan struct{})
	opts := l.groupOptions("one")
	var commits atomic.Int64
	opts.Store = &groupStore{Store: l.db, split: func(ctx context.Context, c oms.SplitCommit, next splitter) error {
		if c.Over {
			select {
			case <-release:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		commits.Add(1)
		return next(ctx, c)
	}}
	// The listing is slow enough for more than one step.
	l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.ListObjectsV2}, Fault: testcloud.Delay(150 * time.Millisecond)})
	p := l.start(opts)
	id := p.createGroup(nil)
	g := p.untilGroup(id, "a task has succeeded", func(g oms.Group) bool { return g.Totals.Tasks.Succeeded > 0 }, oms.GroupWaiting, oms.GroupCreating)
	if g.SplitOver {
		t.Errorf("the split is over: %+v", g)
	}
	close(release)
	p.succeedGroup(id)
}

type splitter = func(context.Context, oms.SplitCommit) error

// groupStore lets tests come between the engine and the steps of a split.
type groupStore struct {
	engine.Store
	split func(ctx context.Context, c oms.SplitCommit, next splitter) error
}

func (s *groupStore) CommitSplit(ctx context.Context, c oms.SplitCommit, seal func(int64) (map[string][]byte, error)) error {
	return s.split(ctx, c, func(ctx context.Context, c oms.SplitCommit) error { return s.Store.CommitSplit(ctx, c, seal) })
}

// Whenever the process dies in the middle of a split, before or after a step was stored, the next one goes on without
// creating a task twice or leaving a key out (rules P7 and P8 for the split of a group).
func TestGroupSurvivesCrashes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a seed that replays
			l := newGroupLab(t)
			for i := range 120 {
				l.from.Put("k/"+strconv.FormatUint(random.Uint64N(1<<30), 36)+"/"+strconv.Itoa(i), []byte("x"), testcloud.Attrs{})
			}
			l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.ListObjectsV2}, Fault: testcloud.Delay(20 * time.Millisecond)})
			var id string
			for life := range 3 {
				crashAt, after := int64(random.IntN(3)+1), random.IntN(2) == 0
				crashed := make(chan struct{})
				var steps atomic.Int64
				opts := l.groupOptions("life " + strconv.Itoa(life))
				opts.Store = &groupStore{Store: l.db, split: func(ctx context.Context, c oms.SplitCommit, next splitter) error {
					switch n := steps.Add(1); {
					case n < crashAt:
						return next(ctx, c)
					case n > crashAt:
						return oms.Errorf(oms.Transient, "", "dead") // a dead process stores nothing
					}
					if after { // stored, but nobody hears of it
						if err := next(ctx, c); err != nil {
							t.Errorf("step %d: %v", c.Step, err)
						}
					}
					close(crashed)
					return oms.Errorf(oms.Transient, "", "the process dies")
				}}
				p := l.start(opts)
				if id == "" {
					id = p.createGroup(nil)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					p.untilGroupQuietly(id, crashed)
				}()
				select {
				case <-crashed:
				case <-ended:
				}
				p.stop()
				<-ended
				g, err := l.db.Group(t.Context(), project, id)
				if err != nil {
					t.Fatal(err)
				}
				l.tiles(g, l.groupTasks(id))
			}
			g := l.start(l.groupOptions("last")).succeedGroup(id)
			if c := g.Totals.Counters; c.Migrated != 120 || c.Listed != 120 {
				t.Errorf("counted %+v, want 120 migrated", c)
			}
		})
	}
}

// untilGroupQuietly waits until the split is over or given is closed.
func (p *proc) untilGroupQuietly(id string, given <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if g, err := p.l.db.Group(context.Background(), project, id); err != nil || g.SplitOver {
			return
		}
		select {
		case <-ticker.C:
		case <-given:
			return
		}
	}
}

// Stop pauses the creation and all tasks; start goes on with both, with new keys, and nothing is done twice.
func TestGroupStopsAndStarts(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(150, 64<<10, "o/")
	p := l.start(l.groupOptions("one"))
	id := p.createGroup(slow)
	p.untilGroup(id, "something is moving", func(g oms.Group) bool { return g.Totals.Counters.Migrated > 3 },
		oms.GroupWaiting, oms.GroupCreating, oms.GroupMonitoring)
	if err := p.DeleteGroup(t.Context(), project, id); oms.CodeOf(err) != "OMS.0063" {
		t.Errorf("delete: %v, want OMS.0063", err)
	}
	if err := p.StopGroup(t.Context(), project, id); err != nil {
		t.Fatal(err)
	}
	g := p.untilGroup(id, "it is paused", groupIs(oms.GroupPaused), oms.GroupPausing, oms.GroupPaused)
	if g.Totals.Tasks.Waiting+g.Totals.Tasks.Running > 0 || g.Totals.Tasks.Paused == 0 {
		t.Errorf("tasks of a paused group: %+v", g.Totals.Tasks)
	}
	l.noGroupKeys(id)
	for _, task := range l.groupTasks(id) {
		p.settled(task)
	}
	l.tiles(g, l.groupTasks(id))
	if err := p.SetGroupBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.StartGroup(t.Context(), project, id, oms.TaskCredentials{Src: keys().Src}); oms.CodeOf(err) != "OMS.1004" {
		t.Errorf("start without the destination's keys: %v, want OMS.1004", err)
	}
	there := l.arrived()
	if err := p.StartGroup(t.Context(), project, id, keys()); err != nil {
		t.Fatal(err)
	}
	g = p.succeedGroup(id)
	if c := g.Totals.Counters; c.Migrated != 150 || c.Skipped != 0 {
		t.Errorf("counted %+v, want 150 migrated", c)
	}
	l.sentOnce(there)
	if err := p.SetGroupBandwidth(t.Context(), project, id, nil); oms.CodeOf(err) != "OMS.1036" {
		t.Errorf("limits of a finished group: %v, want OMS.1036", err)
	}
}

// A group with failures is failed when nothing runs any more. Its retry runs what failed, or everything.
func TestGroupRetries(t *testing.T) {
	t.Parallel()
	for _, failedOnly := range []bool{true, false} {
		t.Run("failed only "+strconv.FormatBool(failedOnly), func(t *testing.T) {
			t.Parallel()
			l := newGroupLab(t)
			l.seed(60, 50, "o/")
			heal := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("o/00042"), Fault: testcloud.Fail(403, "AccessDenied")})
			p := l.start(l.groupOptions("one"))
			id := p.createGroup(nil)
			g := p.untilGroup(id, "it fails", groupIs(oms.GroupFailed), oms.GroupWaiting, oms.GroupCreating, oms.GroupMonitoring, oms.GroupFailed)
			if g.Error == nil || g.Error.Code != "TRF.0004" || g.Totals.Tasks.Failed != 1 || g.Totals.Counters.Failed != 1 ||
				g.FailedList.Result == nil || !*g.FailedList.Result || g.FailedList.Key != "oms/task_group/"+id+"/failed_object_lists/" {
				t.Errorf("failed group %+v, %+v, %+v", g.Error, g.Totals, g.FailedList)
			}
			l.noGroupKeys(id)
			listed := slices.ContainsFunc(l.to.Keys(), func(k string) bool { return strings.HasPrefix(k, g.FailedList.Key) })
			if !listed {
				t.Errorf("no failed list below %s: %q", g.FailedList.Key, l.to.Keys())
			}
			heal()
			if err := p.RetryGroup(t.Context(), project, id, oms.StartRequest{FailedOnly: failedOnly}); oms.CodeOf(err) != "OMS.1004" {
				t.Errorf("retry without keys: %v, want OMS.1004", err)
			}
			if err := p.RetryGroup(t.Context(), project, id, oms.StartRequest{Credentials: keys(), FailedOnly: failedOnly}); err != nil {
				t.Fatal(err)
			}
			g = p.succeedGroup(id)
			want := oms.Counters{Listed: 60, Migrated: 60}
			if !failedOnly {
				want = oms.Counters{Listed: 60, Migrated: 1, Skipped: 59}
			}
			if c := g.Totals.Counters; c.Listed != want.Listed || c.Migrated != want.Migrated || c.Skipped != want.Skipped {
				t.Errorf("counted %+v, want %+v", c, want)
			}
			if err := p.RetryGroup(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); oms.CodeOf(err) != "OMS.1040" {
				t.Errorf("retry of a succeeded group: %v, want OMS.1040", err)
			}
		})
	}
}

// A group whose source cannot be listed has failed to be created, with its reason; retry goes on.
func TestGroupCreationFails(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(200, 50, "o/")
	p := l.start(l.groupOptions("one"))
	heal := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.ListObjectsV2}, Skip: 3, Fault: testcloud.Fail(403, "InvalidAccessKeyId")})
	id := p.createGroup(nil)
	g := p.untilGroup(id, "its creation fails", groupIs(oms.GroupCreationFailed), oms.GroupWaiting, oms.GroupCreating, oms.GroupCreationFailed)
	if g.Error == nil || g.Error.Code != "TRF.0151" || g.SplitOver {
		t.Errorf("group %+v", g)
	}
	l.noGroupKeys(id)
	l.tiles(g, l.groupTasks(id))
	heal()
	if err := p.StartGroup(t.Context(), project, id, keys()); oms.CodeOf(err) != "OMS.1039" {
		t.Errorf("start: %v, want OMS.1039", err)
	}
	if err := p.RetryGroup(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); err != nil {
		t.Fatal(err)
	}
	p.succeedGroup(id)

	none := p.createGroup(func(s *oms.TaskSpec) { s.Src.Keys = []string{"nothing/", "nowhere/"} })
	g = p.untilGroup(none, "its creation fails", groupIs(oms.GroupCreationFailed), oms.GroupWaiting, oms.GroupCreating, oms.GroupCreationFailed)
	if g.Error == nil || g.Error.Code != "TRF.0012" {
		t.Errorf("a group that selects nothing: %+v, want TRF.0012", g.Error)
	}
}

// A deleted group goes through 8 and 9 and is gone with all its tasks; a whole bucket that is empty succeeds.
func TestGroupDeletes(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	p := l.start(l.groupOptions("one"))
	empty := p.createGroup(nil)
	p.succeedGroup(empty)
	l.seed(130, 50, "o/")
	id := p.createGroup(nil)
	g := p.succeedGroup(id)
	// A task that is deleted alone still counts.
	one := l.groupTasks(id)[0]
	if err := p.Delete(t.Context(), project, one.ID); err != nil {
		t.Fatal(err)
	}
	after, err := p.Group(t.Context(), project, id)
	if err != nil || after.Totals.Counters.Add(after.Gone.Counters) != g.Totals.Counters || after.Gone.Tasks.Succeeded != 1 {
		t.Errorf("after a task was deleted: %+v and gone %+v, want in all %+v: %v", after.Totals, after.Gone, g.Totals, err)
	}
	for range 2 { // the second is no error, wherever the group is by then
		if err := p.DeleteGroup(t.Context(), project, id); err != nil && !errors.Is(err, oms.NotFound) {
			t.Fatal(err)
		}
	}
	deadline := time.After(patience)
	for {
		g, err := p.Group(t.Context(), project, id)
		if errors.Is(err, oms.NotFound) && oms.CodeOf(err) == "OMS.1009" {
			break
		}
		if err != nil || g.Status != oms.GroupDeletePending && g.Status != oms.GroupDeleting {
			t.Fatalf("a group being deleted is %s, %v", g.Status, err)
		}
		select {
		case <-deadline:
			t.Fatal("the group is not deleted")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if left := l.groupTasks(id); len(left) != 0 {
		t.Errorf("%d tasks are left", len(left))
	}
	if _, err := p.Group(t.Context(), project, empty); err != nil {
		t.Errorf("the other group: %v", err)
	}
}

// Only so many groups of a project are active at a time; the others wait, and may be deleted while they do.
func TestGroupQuota(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(40, 64<<10, "o/")
	opts := l.groupOptions("one")
	opts.Groups.Running, opts.Groups.CreatedPerDay = 1, 3
	p := l.start(opts)
	first := p.createGroup(slow)
	p.untilGroup(first, "it is active", func(g oms.Group) bool { return g.Status.Active() })
	second := p.createGroup(func(s *oms.TaskSpec) { s.Dst.SavePrefix = "oms/second/" })
	third := p.createGroup(nil)
	if _, err := p.CreateGroup(t.Context(), oms.Group{ProjectID: project, Spec: l.task(nil).Spec}, keys()); oms.CodeOf(err) != "OMS.1037" {
		t.Errorf("a fourth group in a day: %v, want OMS.1037", err)
	}
	if err := p.DeleteGroup(t.Context(), project, third); err != nil {
		t.Fatal(err)
	}
	if g, err := p.Group(t.Context(), project, second); err != nil || g.Status != oms.GroupWaiting {
		t.Errorf("second group is %s, %v, want it to wait", g.Status, err)
	}
	if err := p.SetGroupBandwidth(t.Context(), project, first, nil); err != nil {
		t.Fatal(err)
	}
	p.succeedGroup(first)
	p.succeedGroup(second)
}

// A folder of list files gives a task per file; the named objects arrive, and no others.
func TestGroupOfLists(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(30, 50, "o/")
	for i := range 3 {
		var lines strings.Builder
		for j := range 10 {
			lines.WriteString("o/000" + strconv.Itoa(i) + strconv.Itoa(j) + "\n")
		}
		l.to.Put("oms/lists/"+strconv.Itoa(i)+".txt", []byte(lines.String()), testcloud.Attrs{ContentType: "text/plain"})
	}
	l.to.Put("oms/lists/", nil, testcloud.Attrs{})
	p := l.start(l.groupOptions("one"))
	id := p.createGroup(func(s *oms.TaskSpec) {
		s.Type, s.Src.Keys = oms.TypeList, nil
		s.Src.ListFile = &oms.ListFile{Bucket: "backup", Key: "oms/lists/"}
	})
	g := p.untilGroup(id, "it succeeds", groupIs(oms.GroupSucceeded), oms.GroupWaiting, oms.GroupCreating, oms.GroupMonitoring, oms.GroupSucceeded)
	if g.Totals.Tasks.Succeeded != 3 || g.Totals.Counters.Migrated != 30 {
		t.Errorf("totals %+v, want 3 tasks and 30 objects", g.Totals)
	}
	l.same()
	l.to.Put("oms/other/a.csv", []byte("o/00001\n"), testcloud.Attrs{})
	for folder, code := range map[string]string{"oms/none/": "TRF.0013", "oms/other/": "TRF.0014"} {
		bad := p.createGroup(func(s *oms.TaskSpec) {
			s.Type, s.Src.Keys = oms.TypeList, nil
			s.Src.ListFile = &oms.ListFile{Bucket: "backup", Key: folder}
		})
		g := p.untilGroup(bad, "its creation fails", groupIs(oms.GroupCreationFailed), oms.GroupWaiting, oms.GroupCreating, oms.GroupCreationFailed)
		if g.Error == nil || g.Error.Code != code {
			t.Errorf("folder %s: %+v, want %s", folder, g.Error, code)
		}
	}
}

// A step whose answer is lost is neither stored twice nor left out (rule P7).
func TestGroupUnknownSteps(t *testing.T) {
	t.Parallel()
	l := newGroupLab(t)
	l.seed(130, 50, "o/")
	opts := l.groupOptions("one")
	var n atomic.Int64
	opts.Store = &groupStore{Store: l.db, split: func(ctx context.Context, c oms.SplitCommit, next splitter) error {
		switch n.Add(1) % 3 {
		case 1: // took effect, but nobody hears of it
			return errors.Join(oms.Errorf(oms.Transient, "", "the answer was lost"), next(ctx, c))
		case 2: // did not take effect
			return oms.Errorf(oms.Transient, "", "the request was lost")
		}
		return next(ctx, c)
	}}
	p := l.start(opts)
	if g := p.succeedGroup(p.createGroup(nil)); g.Totals.Counters.Migrated != 130 {
		t.Errorf("counted %+v, want 130 migrated", g.Totals.Counters)
	}
}
