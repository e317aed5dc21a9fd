package engine_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// writes returns what was written to the destination since its records were cleared.
func (l *lab) writes() (list []string) {
	for _, r := range l.dst.Requests() {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			list = append(list, r.Method+" "+r.Key)
		}
	}
	return list
}

// done waits until the task has succeeded, wherever its objects are.
func (p *proc) done(id int64) oms.Task {
	return p.until(id, "it succeeds", is(oms.StatusSucceeded))
}

// A dry run and a verification end with what they found out, and send nothing that writes: no probe, no object, no list.
// What they found out is still known by the next process.
func TestTasksThatWriteNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(120, 50, "o/")
	l.from.Put("p/equal", []byte("same"), testcloud.Attrs{})
	l.to.Put("p/equal", []byte("same"), testcloud.Attrs{})
	l.from.Put("p/other", []byte("this"), testcloud.Attrs{})
	l.to.Put("p/other", []byte("that one"), testcloud.Attrs{})
	p := l.start(l.options("one"))
	filters := func(s *oms.TaskSpec) { s.Filters = &oms.Filters{ExcludeGlobs: []string{"o/*7"}} }
	trial := p.create(func(s *oms.TaskSpec) { filters(s); s.Mode = oms.ModeDryRun })
	p.done(trial)
	verified := p.create(func(s *oms.TaskSpec) { filters(s); s.Mode = oms.ModeVerify })
	p.fail(verified, "TRF.0004")
	if got := l.writes(); len(got) > 0 {
		t.Errorf("written: %q", got)
	}
	p.stop()
	p = l.start(l.options("two"))
	if c := p.show(trial).Counters; c.Listed != 110 || c.Skipped != 110 || c.Absent != 108 || c.Differing != 1 || c.Filtered != 12 {
		t.Errorf("dry run: %+v", c)
	}
	task := p.show(verified)
	if c := task.Counters; c.Listed != 110 || c.Skipped != 1 || c.Failed != 109 || c.Absent != 108 || c.Differing != 1 || c.Filtered != 12 {
		t.Errorf("verification: %+v", c)
	}
	if task.FailedList.Key != "" || task.FailedList.Result != nil {
		t.Errorf("a list was written: %+v", task.FailedList)
	}
	// What a verification found missing is compared again from the beginning after a migration.
	p.done(p.create(filters))
	p.resume(verified, oms.StartRequest{Credentials: keys()})
	if c := p.done(verified).Counters; c.Listed != 110 || c.Skipped != 110 || c.Absent+c.Differing != 0 || c.Filtered != 12 {
		t.Errorf("verification after a migration: %+v", c)
	}
}

// Two keys with one name end a task before anything is written, and both are told (rule D3). When the source is put in
// order the task can be started.
func TestNamesAreCheckedFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(20, 10, "o/")
	for o := range l.from.All() { // whatever the seed calls its keys
		l.from.Put(strings.ToUpper(o.Key), []byte("in the way"), testcloud.Attrs{})
		break
	}
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) { s.Rename = []oms.RenameRule{{Case: oms.CaseUpper}} })
	task := p.fail(id, oms.CodeNames)
	if got := l.writes(); len(got) > 0 || task.Counters.Listed != 0 {
		t.Errorf("written: %q, counted %+v", got, task.Counters)
	}
	conflicts, err := p.NameConflicts(t.Context(), project, id)
	if err != nil || len(conflicts) == 0 || conflicts[0].Reason != oms.NameTaken || !strings.Contains(task.Error.Message, conflicts[0].Name) {
		t.Fatalf("conflicts %+v, %v, reason %+v", conflicts, err, task.Error)
	}
	if _, err := p.NameConflicts(t.Context(), "other", id); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("conflicts of a foreign task: %v", err)
	}
	for _, c := range conflicts {
		l.from.Delete(c.Other)
	}
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.done(id)
	if conflicts, err := p.NameConflicts(t.Context(), project, id); err != nil || len(conflicts) > 0 {
		t.Errorf("conflicts after success: %+v, %v", conflicts, err)
	}
	for o := range l.from.All() {
		if _, ok := l.to.Get(strings.ToUpper(o.Key)); !ok {
			t.Errorf("%q has not arrived", o.Key)
		}
	}
}

// What no run could do is refused when the task is created.
func TestRulesAreRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.start(l.options("one"))
	for what, change := range map[string]func(*oms.TaskSpec){
		"glob":   func(s *oms.TaskSpec) { s.Filters = &oms.Filters{IncludeGlobs: []string{"["}} },
		"rename": func(s *oms.TaskSpec) { s.Rename = []oms.RenameRule{{}} },
		"mode":   func(s *oms.TaskSpec) { s.Mode = "undo" },
		"nothing selected": func(s *oms.TaskSpec) {
			s.Src.Keys, s.Filters = []string{"a/"}, &oms.Filters{IncludeGlobs: []string{"b/*"}}
		},
	} {
		task := l.task(change)
		if _, err := p.Create(t.Context(), task, keys()); oms.KindOf(err) != oms.Invalid {
			t.Errorf("%s: got %v", what, err)
		}
	}
	within := func(s *oms.TaskSpec) { s.Src.Endpoint, s.Src.Bucket = s.Dst.Endpoint, s.Dst.Bucket }
	for prefix, ok := range map[string]bool{"a/": true, "": false} {
		task := l.task(func(s *oms.TaskSpec) {
			within(s)
			s.Src.Keys, s.Rename = []string{prefix}, []oms.RenameRule{{StripPrefix: "a/"}, {AddPrefix: "b/"}}
		})
		_, err := p.Create(t.Context(), task, oms.TaskCredentials{Src: keys().Dst, Dst: keys().Dst})
		if (err == nil) != ok || err != nil && oms.CodeOf(err) != "OMS.0058" {
			t.Errorf("below %q of one bucket: got %v", prefix, err)
		}
	}
}
