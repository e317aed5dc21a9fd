package db

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// listText returns all lines that the store holds of a list, and checks the segments that they are in.
func listText(t *testing.T, db *DB, id int64, kind oms.ListKind) string {
	t.Helper()
	pending, err := db.PendingSegments(t.Context(), id, kind)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for i, s := range pending {
		var size, entries int64
		for seq := int64(0); ; {
			pieces, err := db.ListPieces(t.Context(), id, kind, s.Number, seq, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(pieces) == 0 {
				break
			}
			for _, p := range pieces {
				text.Write(p.Text)
				seq, size, entries = p.Seq, size+int64(len(p.Text)), entries+p.Entries
			}
		}
		if size != s.Size || entries != s.Entries || size > oms.ListSegmentBytes {
			t.Errorf("segment %d has %d bytes and %d lines, says %d and %d", s.Number, size, entries, s.Size, s.Entries)
		}
		if i < len(pending)-1 && size < oms.ListSegmentBytes-oms.ListPieceBytes {
			t.Errorf("segment %d, which is full, has only %d bytes", s.Number, size)
		}
	}
	return text.String()
}

// Lines are stored exactly with the checkpoints that they came with, in order, and never with one that was lost.
func testObjectLists(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	var want strings.Builder
	var counts oms.UncarriedCounts
	long := strings.Repeat("y", 3000)
	for i, at := 0, 0; i < 40; i++ {
		cp := checkpointOf(r, "", oms.Counters{})
		lost := rand.IntN(3) == 0
		if lost {
			cp.Token++
		}
		for range rand.IntN(1500) {
			line := fmt.Sprintf("%06d%s\n", at, long[:rand.IntN(len(long))])
			at++
			cp.Outcomes.Success.Text = append(cp.Outcomes.Success.Text, line...)
			cp.Outcomes.Success.Entries++
			if !lost {
				want.WriteString(line)
			}
		}
		cp.Cur, cp.Outcomes.Uncarried[oms.UncarriedTags] = fmt.Sprintf("%06d", i), 2
		gone, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{cp}})
		if err != nil || (len(gone) == 1) != lost {
			t.Fatalf("lost %v, %v, want lost %t", gone, err, lost)
		}
		if !lost {
			counts[oms.UncarriedTags] += 2
		}
	}
	if got := listText(t, db, task.ID, oms.ListSuccess); got != want.String() {
		t.Errorf("stored are %d bytes, want %d", len(got), want.Len())
	}
	lists, err := db.ObjectLists(t.Context(), task.ID)
	if err != nil || len(lists) != 1 || lists[0].Size != int64(want.Len()) || lists[0].Entries != int64(strings.Count(want.String(), "\n")) {
		t.Errorf("lists are %+v, %v", lists, err)
	}
	if got, err := db.Uncarried(t.Context(), task.ID); err != nil || got != counts {
		t.Errorf("not carried %v, %v, want %v", got, err, counts)
	}
	if err := db.DeleteTask(t.Context(), "p", task.ID, func(oms.Task) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := listText(t, db, task.ID, oms.ListSuccess); got != "" {
		t.Errorf("%d bytes are left of a deleted task", len(got))
	}
}

// A list goes through its states once, whoever repeats a step, and not for a run that is over.
func testObjectListSteps(t *testing.T, db *DB, _ *clock) {
	ctx := t.Context()
	task := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	add := func(cur, text string) {
		cp := checkpointOf(r, cur, oms.Counters{})
		cp.Outcomes.Skip = oms.Lines{Entries: 1, Text: []byte(text)}
		mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{cp}})
	}
	add("a", "a\n")
	for range 2 {
		if stamp, err := db.StampList(ctx, task.ID, 1, oms.ListSkip, rand.Int64N(1<<40)+7); err != nil || stamp == 0 {
			t.Fatal(stamp, err)
		} else if again, err := db.StampList(ctx, task.ID, 1, oms.ListSkip, 5); again != stamp || err != nil {
			t.Errorf("stamp %d became %d, %v", stamp, again, err)
		}
	}
	file := oms.ObjectListFile{Key: "k", Entries: 1, Size: 2}
	if err := db.FileList(ctx, task.ID, 2, oms.ListSkip, 1, []oms.ObjectListFile{file}); oms.KindOf(err) != oms.Conflict {
		t.Errorf("for another run: %v", err)
	}
	if err := db.KeepSegment(ctx, task.ID, 2, oms.ListSkip, oms.ListSegment{Number: 1}); oms.KindOf(err) != oms.Conflict {
		t.Errorf("for another run: %v", err)
	}
	if err := db.FailList(ctx, task.ID, oms.ListSkip, oms.CodeListNotSaved); err != nil {
		t.Fatal(err)
	}
	if got := mustTask(t, db, task.ID); got.SkipListCode != oms.CodeListNotSaved || got.SuccessListCode != "" {
		t.Errorf("codes are %q and %q", got.SkipListCode, got.SuccessListCode)
	}
	if err := db.FileList(ctx, task.ID, 1, oms.ListSkip, 1, []oms.ObjectListFile{file}); err != nil {
		t.Fatal(err)
	}
	if err := db.FileList(ctx, task.ID, 1, oms.ListSkip, 1, []oms.ObjectListFile{file}); oms.KindOf(err) != oms.Conflict {
		t.Errorf("filed twice: %v", err)
	}
	add("b", "b\n")
	lists, err := db.ObjectLists(ctx, task.ID)
	if err != nil || len(lists) != 1 || len(lists[0].Files) != 1 || lists[0].Filed != 1 || lists[0].Segment != 2 || lists[0].Code != "" || lists[0].Stamp != 0 {
		t.Errorf("after it was written: %+v, %v", lists, err)
	}
	if got := listText(t, db, task.ID, oms.ListSkip); got != "b\n" {
		t.Errorf("left are %q", got)
	}
	segment := oms.ListSegment{Number: 2, Entries: 1, Size: 2, ETag: "e", CRC32C: 1 << 31}
	for range 2 {
		if err := db.KeepSegment(ctx, task.ID, 1, oms.ListSkip, segment); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.ListSegments(ctx, task.ID, oms.ListSkip, 0, 9); err != nil || len(got) != 1 || got[0] != segment {
		t.Errorf("segments are %+v, %v", got, err)
	}
	// What is lost is lost for good, and the list says so.
	add("c", "c\n")
	if err := db.StopList(ctx, task.ID, 1, oms.ListSkip, oms.CodeListIncomplete); err != nil {
		t.Fatal(err)
	}
	add("d", "d\n")
	if got := listText(t, db, task.ID, oms.ListSkip); got != "" {
		t.Errorf("a stopped list holds %q", got)
	}
	if err := db.FailList(ctx, task.ID, oms.ListSkip, oms.CodeListNotSaved); err != nil {
		t.Fatal(err)
	}
	if lists, err = db.ObjectLists(ctx, task.ID); err != nil || lists[0].Entries != 2 || lists[0].Size != 4 || lists[0].Code != oms.CodeListIncomplete {
		t.Errorf("after it was stopped: %+v, %v", lists, err)
	}
}
