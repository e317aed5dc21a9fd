package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// recorded lets a task write the lists of migrated and skipped objects.
func recorded(s *oms.TaskSpec) { s.RecordObjects = true }

// listFiles returns the texts of the task's list files of a kind, joined, and checks that each is a file of the
// documented name.
func (l *lab) listFiles(task oms.Task, kind oms.ListKind) string {
	l.t.Helper()
	prefix := "oms/task/" + task.Name + "/" + string(kind) + "_object_lists/"
	var text strings.Builder
	for _, key := range l.to.Keys() {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if !strings.HasSuffix(key, "."+string(kind)+"_list.txt") {
			l.t.Errorf("%s is no list file", key)
		}
		o := get(l.t, l.to, key)
		if o.ContentType != "text/plain" {
			l.t.Errorf("%s is of type %q", key, o.ContentType)
		}
		text.Write(o.Bytes())
	}
	return text.String()
}

func get(t *testing.T, b *testcloud.Bucket, key string) *testcloud.Object {
	t.Helper()
	o, ok := b.Get(key)
	if !ok {
		t.Fatalf("there is no %s", key)
	}
	return o
}

// firstColumns returns the first columns of a list, sorted.
func firstColumns(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, "\t")
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// noSegments checks that nothing is left of how lists were put together.
func (l *lab) noSegments(id int64) {
	l.t.Helper()
	for _, key := range l.to.Keys() {
		if strings.Contains(key, "/object_list_segments/") {
			l.t.Errorf("%s was left", key)
		}
	}
	lists, err := l.db.ObjectLists(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, list := range lists {
		pending, err := l.db.PendingSegments(l.t.Context(), id, list.Kind)
		if err != nil || len(pending) > 0 {
			l.t.Errorf("pending of %s: %v, %v", list.Kind, pending, err)
		}
		if stored, err := l.db.ListSegments(l.t.Context(), id, list.Kind, 0, 10); err != nil || len(stored) > 0 {
			l.t.Errorf("segments of %s: %v, %v", list.Kind, stored, err)
		}
	}
}

func TestObjectLists(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(300, 10, "o/")
	l.from.PutAt("ü \t#.txt", []byte("12345"), testcloud.Attrs{}, time.UnixMilli(1_700_000_000_000))
	l.to.Put("o/00007", get(t, l.from, "o/00007").Bytes(), testcloud.Attrs{})
	p := l.start(l.options("one"))
	task := p.succeed(p.create(recorded))
	if task.Counters.Skipped != 1 || task.Counters.Migrated != 300 {
		t.Fatalf("counted %+v", task.Counters)
	}
	skipped := l.listFiles(task, oms.ListSkip)
	if got := firstColumns(skipped); !slices.Equal(got, []string{"o/00007"}) {
		t.Errorf("skipped are %q", skipped)
	}
	success := l.listFiles(task, oms.ListSuccess)
	var want []string
	for _, key := range l.from.Keys() {
		if key != "o/00007" && !strings.HasPrefix(key, "ü") {
			want = append(want, key)
		}
	}
	want = append(want, "%C3%BC%20%09%23.txt")
	slices.Sort(want)
	if !slices.Equal(firstColumns(success), want) {
		t.Errorf("migrated are %q, want %q", firstColumns(success), want)
	}
	if !strings.Contains(success, "%C3%BC%20%09%23.txt\t5\t2023-11-14T22:13:20.000+00:00\n") {
		t.Errorf("no line of the named object in %q", success)
	}
	l.noSegments(task.ID)
	if l.listFiles(task, oms.ListMetadata) != "" {
		t.Error("there is a list of metadata that was not carried")
	}
}

// A task that is not told to writes no lists.
func TestObjectListsOff(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(3, 10, "o/")
	p := l.start(l.options("one"))
	p.succeed(p.create(nil))
	for _, key := range l.to.Keys() {
		if strings.HasPrefix(key, "oms/") {
			t.Errorf("%s was written", key)
		}
	}
}

// Whenever processes end, each object is in one list, once.
func TestObjectListsOverStops(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(400, 64<<10, "o/")
	p := l.start(l.options("0"))
	id := p.create(func(s *oms.TaskSpec) {
		recorded(s)
		slow(s)
	})
	for i := 1; i <= 6; i++ {
		at := l.to.Len() + 1 + rand.Int64N(40)
		p.until(id, "some objects have arrived", func(task oms.Task) bool { return l.to.Len() >= at || task.Status == oms.StatusSucceeded })
		switch i % 3 {
		case 0: // paused and started again: another generation
			if p.show(id).Status != oms.StatusRunning {
				break
			}
			if err := p.Stop(t.Context(), project, id); err != nil {
				t.Fatal(err)
			}
			p.until(id, "it is paused", is(oms.StatusPaused))
			if err := p.Start(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); err != nil {
				t.Fatal(err)
			}
		default:
			p.stop()
			p = l.start(l.options(strconv.Itoa(i)))
		}
	}
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	task := p.until(id, "it succeeds", is(oms.StatusSucceeded))
	got := firstColumns(l.listFiles(task, oms.ListSuccess) + l.listFiles(task, oms.ListSkip))
	if want := l.from.Keys(); !slices.Equal(got, want) {
		t.Errorf("%d objects are listed %d times", len(want), len(got))
	}
	if n := int64(strings.Count(l.listFiles(task, oms.ListSuccess), "\n")); n != task.Counters.Migrated {
		t.Errorf("%d lines for %d migrated objects", n, task.Counters.Migrated)
	}
	l.noSegments(id)
}

// lister is a job that does nothing but write lists.
type lister struct {
	plan    transfer.Plan
	journal transfer.Journal
	lines   int
	long    string
}

func (j *lister) SetLimit(int64)        {}
func (j *lister) Stats() transfer.Stats { return transfer.Stats{} }

func (j *lister) line(i int) string { return fmt.Sprintf("%08d%s\t1\t\n", i, j.long) }

func (j *lister) Run(ctx context.Context, ranges []oms.Range, _ []oms.Upload) error {
	for _, r := range ranges {
		if r.Done {
			continue
		}
		at := 0
		if r.Cur != "" {
			if _, err := fmt.Sscanf(r.Cur, "%d", &at); err != nil {
				return err
			}
		}
		for at < j.lines {
			cp := oms.Checkpoint{TaskID: r.TaskID, Seq: r.Seq, Generation: j.plan.Generation, Owner: r.Owner, Token: r.Token}
			for n := rand.IntN(800); n >= 0 && at < j.lines; n-- {
				at++
				cp.Outcomes.Success.Entries++
				cp.Outcomes.Success.Text = append(cp.Outcomes.Success.Text, j.line(at)...)
				cp.Delta.Listed++
				cp.Delta.Migrated++
			}
			cp.Cur, cp.Done = fmt.Sprintf("%08d", at), at == j.lines
			if err := j.journal.Checkpoint(ctx, cp); err != nil {
				return err
			}
		}
	}
	return nil
}

// A list that is longer than a segment is put together from segments at the store, or, where that cannot copy parts,
// through this process, and holds each line once in order.
func TestLongObjectLists(t *testing.T) {
	t.Parallel()
	for name, opener := range map[string]func(storage.Opener) storage.Opener{
		"copied":   func(o storage.Opener) storage.Opener { return o },
		"streamed": func(o storage.Opener) storage.Opener { return noCopies{o} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.seed(1, 10, "o/")
			opts := l.options("one")
			opts.Opener = opener(l.opener)
			e := l.make(opts)
			const lines = 26_000
			long := strings.Repeat("x", 1000)
			e.ReplaceJobs(func(p transfer.Plan, j transfer.Journal) engine.Job {
				return &lister{plan: p, journal: j, lines: lines, long: long}
			})
			p := l.run(e)
			task := p.until(p.create(recorded), "it succeeds", is(oms.StatusSucceeded))
			text := l.listFiles(task, oms.ListSuccess)
			var want strings.Builder
			for i := 1; i <= lines; i++ {
				want.WriteString((&lister{long: long}).line(i))
			}
			if text != want.String() {
				t.Errorf("the list has %d bytes and %d lines, want %d and %d", len(text), strings.Count(text, "\n"), want.Len(), lines)
			}
			l.noSegments(task.ID)
			lists, err := l.db.ObjectLists(t.Context(), task.ID)
			if err != nil || len(lists) != 1 || len(lists[0].Files) != 1 || lists[0].Files[0].Size != int64(want.Len()) ||
				lists[0].Entries != lines || lists[0].Files[0].Entries != lines {
				t.Errorf("the store has %+v, %v", lists, err)
			}
		})
	}
}

// noCopies hides that a store can copy parts.
type noCopies struct{ storage.Opener }

func (o noCopies) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	r, err := o.Opener.Open(ctx, b)
	if d, ok := r.(plainDestination); ok {
		return struct{ plainDestination }{d}, err
	}
	return r, err
}

type plainDestination interface {
	storage.Writer
	storage.Multiparter
}

// What of an object's properties does not arrive is counted and listed; the object arrives.
func TestMetadataNotCarried(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.from.Put("a", []byte("a"), testcloud.Attrs{Meta: map[string]string{"fits": "1"}})
	large := map[string]string{"a": "1"}
	for i := range 30 {
		large[fmt.Sprintf("m%02d", i)] = strings.Repeat("v", 100)
	}
	l.from.Put("b c", []byte("b"), testcloud.Attrs{Meta: large})
	l.from.Put("large", make([]byte, 9<<20), testcloud.Attrs{Meta: maps.Clone(large)})
	p := l.start(l.options("one"))
	task := p.until(p.create(nil), "it succeeds", is(oms.StatusSucceeded))
	counts, err := l.db.Uncarried(t.Context(), task.ID)
	if err != nil || counts[oms.UncarriedObjects] != 2 || counts[oms.UncarriedUserMetadata] != 2 || counts[oms.UncarriedTags] != 0 {
		t.Errorf("counted %v, %v", counts, err)
	}
	list := l.listFiles(task, oms.ListMetadata)
	if got := firstColumns(list); !slices.Equal(got, []string{"b%20c", "large"}) {
		t.Errorf("listed are %q", list)
	}
	if !strings.Contains(list, "\tuser_metadata=m19,m20") || strings.Contains(list, "m01") {
		t.Errorf("the list says %q", list)
	}
	if meta := get(t, l.to, "b c").Meta; meta["m00"] == "" || meta["a"] != "1" || meta["m29"] != "" {
		t.Errorf("carried were %v", meta)
	}
}

// objects asks for all objects of a kind, in pages.
func (p *proc) objects(id int64, q oms.ObjectQuery) ([]string, error) {
	var keys []string
	for {
		page, err := p.Objects(p.l.t.Context(), project, id, q)
		if err != nil {
			return keys, err
		}
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if q.After = page.Next; page.Next == "" {
			slices.Sort(keys)
			return keys, nil
		}
	}
}

// Objects can be asked for by what became of them: with the task's keys while it runs, with new ones afterwards.
func TestObjects(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(400, 64<<10, "o/") // seconds, at the speed of slow
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) {
		recorded(s)
		slow(s)
	})
	p.until(id, "some objects are done", func(task oms.Task) bool { return task.Counters.Migrated > 10 })
	got, err := p.objects(id, oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 3})
	if err != nil || len(got) < 10 || !slices.Equal(slices.Compact(slices.Clone(got)), got) {
		t.Errorf("while it runs: %q, %v", got, err)
	}
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	p.succeed(id)
	if _, err := p.objects(id, oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 7}); oms.CodeOf(err) != "OMS.1004" {
		t.Errorf("without keys: %v", err)
	}
	got, err = p.objects(id, oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 7, Keys: keys().Dst})
	if want := l.from.Keys(); err != nil || !slices.Equal(got, want) {
		t.Errorf("with keys: %q, %v", got, err)
	}
	got, err = p.objects(id, oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 7, Keys: keys().Dst, Prefix: "o/0000"})
	if err != nil || len(got) != 10 {
		t.Errorf("of a prefix: %q, %v", got, err)
	}
	if got, err = p.objects(id, oms.ObjectQuery{Kind: oms.ListSkip, Limit: 7}); err != nil || len(got) != 0 {
		t.Errorf("skipped: %q, %v", got, err)
	}
	for _, after := range []string{"x", "1.0", "..", "-1.-1"} {
		if _, err = p.objects(id, oms.ObjectQuery{Kind: oms.ListSuccess, Limit: 7, Keys: keys().Dst, After: after}); oms.CodeOf(err) != "OMS.1003" {
			t.Errorf("after %q: %v", after, err)
		}
	}
	lists, err := p.Lists(t.Context(), project, id)
	if err != nil || len(lists.Lists) != 1 || len(lists.Lists[0].Files) != 1 || lists.Lists[0].Entries != 400 || lists.Bucket != "backup" {
		t.Errorf("lists are %+v, %v", lists, err)
	}
}
