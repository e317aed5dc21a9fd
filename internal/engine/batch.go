package engine

import (
	"slices"

	"github.com/openoms/openoms/internal/oms"
)

// mergeRows is how many failures and resolved keys a merged checkpoint may hold.
const mergeRows = 1000

// entry is a checkpoint on its way into the store, with the position it starts from.
type entry struct {
	journal *journal
	prev    string
	cp      oms.Checkpoint
}

// rangeID names a range.
type rangeID struct{ task, seq int64 }

// batch is what one group commit will store. Guarded by the committer's mutex while it is filled.
type batch struct {
	entries  []*entry
	newest   map[rangeID]*entry // last entry of each range, where further checkpoints may be merged
	opened   []oms.Upload
	parts    []oms.PartDone
	closed   []oms.UploadRef
	shown    bool // there is something to show, if nothing else
	progress []oms.RunProgress
	tasks    map[int64]*journal
	objects  int           // objects passed, for the size of a group commit
	text     int           // bytes of lines of object lists, for the bound of the queue
	rows     int           // failures, resolved keys, parts and uploads, for the bound of the queue
	settled  chan struct{} // closed when the batch is stored, or given up
}

func newBatch() *batch {
	return &batch{newest: make(map[rangeID]*entry), tasks: make(map[int64]*journal), settled: make(chan struct{})}
}

func (b *batch) empty() bool {
	return !b.shown && len(b.entries) == 0 && len(b.opened) == 0 && len(b.parts) == 0 && len(b.closed) == 0
}

// checkpoint adds cp, which starts at prev. Checkpoints of one range are merged, except behind a cut: the cut must
// be stored with the position that it was made at, and before any checkpoint of the new range.
func (b *batch) checkpoint(j *journal, prev string, cp oms.Checkpoint) {
	rows := len(cp.Failures) + len(cp.Resolved) + cp.Restores.Rows()
	b.rows += rows
	b.text += cp.Outcomes.Size()
	b.objects += int(cp.Delta.Listed) + rows
	b.tasks[cp.TaskID] = j
	id := rangeID{cp.TaskID, cp.Seq}
	last := b.newest[id]
	if last != nil && last.cp.Cut == nil && last.cp.Token == cp.Token && len(last.cp.Failures)+len(last.cp.Resolved)+last.cp.Restores.Rows()+rows <= mergeRows {
		last.merge(cp)
		return
	}
	e := &entry{journal: j, prev: prev, cp: cp}
	e.cp.Failures, e.cp.Resolved = slices.Clone(cp.Failures), slices.Clone(cp.Resolved)
	b.entries = append(b.entries, e)
	b.newest[id] = e
}

// merge lets e carry cp, the next checkpoint of its range, as well.
func (e *entry) merge(cp oms.Checkpoint) {
	e.cp.Cur = cp.Cur
	e.cp.Done = e.cp.Done || cp.Done
	e.cp.Delta = e.cp.Delta.Add(cp.Delta)
	e.cp.Failures = append(e.cp.Failures, cp.Failures...)
	e.cp.Resolved = append(e.cp.Resolved, cp.Resolved...)
	e.cp.Outcomes.Add(&cp.Outcomes)
	e.cp.Cut = cp.Cut
	e.cp.Restores = e.cp.Restores.Add(cp.Restores)
}

// open adds an upload. It undoes a removal of the same upload that is still queued: the store removes last.
func (b *batch) open(j *journal, u oms.Upload) {
	b.closed = slices.DeleteFunc(b.closed, func(ref oms.UploadRef) bool { return ref == u.Ref() })
	b.opened = append(b.opened, u)
	b.tasks[u.TaskID] = j
	b.rows++
}

func (b *batch) part(j *journal, p oms.PartDone) {
	b.parts = append(b.parts, p)
	b.tasks[p.Upload.TaskID] = j
	b.rows++
}

func (b *batch) close(j *journal, ref oms.UploadRef) {
	b.closed = append(b.closed, ref)
	b.tasks[ref.TaskID] = j
	b.rows++
}

// commit returns the batch as the store takes it.
func (b *batch) commit() oms.Commit {
	c := oms.Commit{Opened: b.opened, Parts: b.parts, Closed: b.closed, Progress: b.progress}
	for _, e := range b.entries {
		c.Checkpoints = append(c.Checkpoints, e.cp)
	}
	return c
}

// of returns the part of the batch that belongs to one task.
func (b *batch) of(task int64) *batch {
	part := newBatch()
	part.tasks[task] = b.tasks[task]
	for _, e := range b.entries {
		if e.cp.TaskID == task {
			part.entries = append(part.entries, e)
			part.newest[rangeID{task, e.cp.Seq}] = e
		}
	}
	for _, u := range b.opened {
		if u.TaskID == task {
			part.opened = append(part.opened, u)
		}
	}
	for _, p := range b.parts {
		if p.Upload.TaskID == task {
			part.parts = append(part.parts, p)
		}
	}
	for _, ref := range b.closed {
		if ref.TaskID == task {
			part.closed = append(part.closed, ref)
		}
	}
	return part
}

// stored tells from the ranges of one task whether the batch is in the store. known is false when they show
// neither: then nothing in the batch counts twice.
func (b *batch) stored(task int64, rs []oms.Range) (yes, known bool) {
	now := make(map[int64]oms.Range, len(rs))
	for _, r := range rs {
		now[r.Seq] = r
	}
	first := make(map[int64]string) // position of each range before the batch
	for _, e := range b.entries {
		if _, seen := first[e.cp.Seq]; !seen && e.cp.TaskID == task {
			first[e.cp.Seq] = e.prev
		}
	}
	for _, e := range b.entries {
		r, ok := now[e.cp.Seq]
		if e.cp.TaskID != task || !ok || r.Token != e.cp.Token {
			continue // another holder, or a range that the batch itself makes: no evidence
		}
		if e.cp.Cut != nil {
			_, cut := now[e.cp.Cut.Seq]
			return cut, true
		}
		if b.newest[rangeID{task, e.cp.Seq}] != e {
			continue
		}
		if e.cp.Cur != first[e.cp.Seq] {
			return r.Cur == e.cp.Cur, true
		}
		if e.cp.Done {
			return r.Done, true
		}
	}
	return false, false
}

// drop removes what belongs to a task.
func (b *batch) drop(task int64) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool { return e.cp.TaskID == task })
	b.opened = slices.DeleteFunc(b.opened, func(u oms.Upload) bool { return u.TaskID == task })
	b.parts = slices.DeleteFunc(b.parts, func(p oms.PartDone) bool { return p.Upload.TaskID == task })
	b.closed = slices.DeleteFunc(b.closed, func(ref oms.UploadRef) bool { return ref.TaskID == task })
	for id := range b.newest {
		if id.task == task {
			delete(b.newest, id)
		}
	}
	delete(b.tasks, task)
}
