package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

// steps returns the checkpoints of a batch in short.
func steps(b *batch) []oms.Checkpoint { return b.commit().Checkpoints }

func TestBatchMerges(t *testing.T) {
	t.Parallel()
	j := &journal{}
	b := newBatch()
	one := oms.Counters{Listed: 1, Failed: 1}
	b.checkpoint(j, "", oms.Checkpoint{TaskID: 1, Seq: 1, Cur: "a", Delta: one, Failures: []oms.Failure{{Key: "a"}}})
	b.checkpoint(j, "", oms.Checkpoint{TaskID: 2, Seq: 1, Cur: "x", Delta: one})
	b.checkpoint(j, "a", oms.Checkpoint{TaskID: 1, Seq: 1, Cur: "b", Delta: one, Resolved: []string{"b"}})
	// A cut ends merging, and what the new range does comes after it.
	b.checkpoint(j, "b", oms.Checkpoint{TaskID: 1, Seq: 1, Cur: "b", Cut: &oms.RangeTail{At: "m", Seq: 2}})
	b.checkpoint(j, "m", oms.Checkpoint{TaskID: 1, Seq: 2, Cur: "n", Delta: one})
	b.checkpoint(j, "b", oms.Checkpoint{TaskID: 1, Seq: 1, Cur: "m", Delta: one})
	b.checkpoint(j, "m", oms.Checkpoint{TaskID: 1, Seq: 1, Cur: "m", Done: true})
	want := []oms.Checkpoint{
		{
			TaskID: 1, Seq: 1, Cur: "b", Delta: one.Add(one), Failures: []oms.Failure{{Key: "a"}}, Resolved: []string{"b"},
			Cut: &oms.RangeTail{At: "m", Seq: 2},
		},
		{TaskID: 2, Seq: 1, Cur: "x", Delta: one},
		{TaskID: 1, Seq: 2, Cur: "n", Delta: one},
		{TaskID: 1, Seq: 1, Cur: "m", Delta: one, Done: true},
	}
	if diff := cmp.Diff(want, steps(b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.objects != 7 || b.rows != 2 {
		t.Errorf("%d objects and %d rows, want 7 and 2", b.objects, b.rows)
	}
}

// What the store holds tells whether a commit took effect (rule P7).
func TestBatchStored(t *testing.T) {
	t.Parallel()
	moved := func() *batch {
		b := newBatch()
		b.checkpoint(&journal{}, "a", oms.Checkpoint{TaskID: 1, Seq: 1, Token: 3, Cur: "b"})
		return b
	}
	cut := func() *batch {
		b := newBatch()
		b.checkpoint(&journal{}, "a", oms.Checkpoint{TaskID: 1, Seq: 1, Token: 3, Cur: "a", Cut: &oms.RangeTail{At: "m", Seq: 2}})
		b.checkpoint(&journal{}, "m", oms.Checkpoint{TaskID: 1, Seq: 2, Token: 1, Cur: "n"})
		return b
	}
	done := func() *batch {
		b := newBatch()
		b.checkpoint(&journal{}, "a", oms.Checkpoint{TaskID: 1, Seq: 1, Token: 3, Cur: "a", Done: true})
		return b
	}
	for _, c := range []struct {
		name       string
		batch      *batch
		ranges     []oms.Range
		yes, known bool
	}{
		{"moved", moved(), []oms.Range{{Seq: 1, Token: 3, Cur: "b"}}, true, true},
		{"not moved", moved(), []oms.Range{{Seq: 1, Token: 3, Cur: "a"}}, false, true},
		{"somebody else's", moved(), []oms.Range{{Seq: 1, Token: 4, Cur: "b"}}, false, false},
		{"gone", moved(), nil, false, false},
		{"cut", cut(), []oms.Range{{Seq: 1, Token: 3, Cur: "a", End: "m"}, {Seq: 2, Token: 1, Cur: "n"}}, true, true},
		{"not cut", cut(), []oms.Range{{Seq: 1, Token: 3, Cur: "a"}}, false, true},
		{"done", done(), []oms.Range{{Seq: 1, Token: 3, Cur: "a", Done: true}}, true, true},
		{"not done", done(), []oms.Range{{Seq: 1, Token: 3, Cur: "a"}}, false, true},
	} {
		if yes, known := c.batch.stored(1, c.ranges); yes != c.yes || known != c.known {
			t.Errorf("%s: got %t, known %t, want %t, %t", c.name, yes, known, c.yes, c.known)
		}
	}
}

func TestBatchOfOneTask(t *testing.T) {
	t.Parallel()
	b := newBatch()
	for task := int64(1); task <= 2; task++ {
		b.checkpoint(&journal{}, "", oms.Checkpoint{TaskID: task, Seq: 1, Cur: "a"})
		b.open(&journal{}, oms.Upload{TaskID: task, Key: "k"})
		b.part(&journal{}, oms.PartDone{Upload: oms.UploadRef{TaskID: task, Key: "k"}})
		b.close(&journal{}, oms.UploadRef{TaskID: task, Key: "other"})
	}
	want := oms.Commit{
		Checkpoints: []oms.Checkpoint{{TaskID: 2, Seq: 1, Cur: "a"}}, Opened: []oms.Upload{{TaskID: 2, Key: "k"}},
		Parts:  []oms.PartDone{{Upload: oms.UploadRef{TaskID: 2, Key: "k"}}},
		Closed: []oms.UploadRef{{TaskID: 2, Key: "other"}},
	}
	if diff := cmp.Diff(want, b.of(2).commit()); diff != "" {
		t.Errorf("part of task 2 (-want +got):\n%s", diff)
	}
	b.drop(1)
	if diff := cmp.Diff(want, b.commit()); diff != "" {
		t.Errorf("without task 1 (-want +got):\n%s", diff)
	}
}

// An upload that is opened again is not removed by an older, queued removal.
func TestBatchReopens(t *testing.T) {
	t.Parallel()
	b := newBatch()
	b.close(&journal{}, oms.UploadRef{TaskID: 1, Key: "k"})
	b.close(&journal{}, oms.UploadRef{TaskID: 1, Key: "k", UploadID: "old"})
	b.open(&journal{}, oms.Upload{TaskID: 1, Key: "k"})
	if want := []oms.UploadRef{{TaskID: 1, Key: "k", UploadID: "old"}}; !cmp.Equal(want, b.closed) {
		t.Errorf("got %v, want %v", b.closed, want)
	}
}
