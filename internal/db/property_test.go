package db

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openoms/openoms/internal/oms"
)

// keySpace is the number of keys that the model walks through; key(0) is before all of them.
const keySpace = 40

func modelKey(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%02d", n)
}

func keyNumber(rt *rapid.T, key string) int {
	n, err := strconv.Atoi("0" + key)
	if err != nil {
		rt.Fatal(err)
	}
	return n
}

// model is what the store must hold of one task: the simplest form of the same rules.
type model struct {
	gen      int64
	ranges   []oms.Range
	failures map[string]int64 // key to generation
	nextSeq  int64
}

// commit applies a checkpoint that is not broken, or reports that it is lost.
func (m *model) commit(p oms.Checkpoint) (held bool) {
	i := slices.IndexFunc(m.ranges, func(r oms.Range) bool { return r.Seq == p.Seq })
	if i < 0 || p.Generation != m.gen {
		return false
	}
	r := &m.ranges[i]
	if r.Done || r.Owner != p.Owner || r.Token != p.Token || p.Owner == "" {
		return false
	}
	if p.Cut != nil {
		tail := *r
		tail.Seq, tail.Start, tail.Cur, tail.Token, tail.Counters = p.Cut.Seq, p.Cut.At, p.Cut.At, 1, oms.Counters{}
		r.End = p.Cut.At
		defer func() { m.ranges = append(m.ranges, tail) }()
	}
	r.Cur, r.Done, r.Counters = p.Cur, p.Done, r.Counters.Add(p.Delta)
	if p.Done {
		r.Owner = ""
	}
	for _, key := range p.Resolved {
		delete(m.failures, key)
	}
	for _, f := range p.Failures {
		m.failures[f.Key] = p.Generation
	}
	return true
}

// drawCheckpoint draws a checkpoint of the range that keeps the books, with a lease that may be spoiled.
func (m *model) drawCheckpoint(rt *rapid.T, id int64, r oms.Range) oms.Checkpoint {
	p := checkpointOf(r, r.Cur, oms.Counters{})
	p.Generation = m.gen
	cur, end := keyNumber(rt, r.Cur), keySpace
	if r.End != "" {
		end = keyNumber(rt, r.End)
	}
	to := rapid.IntRange(cur, end).Draw(rt, "to")
	for n := cur + 1; n <= to; n++ {
		size := int64(n)
		one := oms.Counters{Listed: 1, ListedBytes: size}
		switch rapid.IntRange(0, 2).Draw(rt, "outcome") {
		case 0:
			one.Migrated, one.MigratedBytes, one.MovedBytes = 1, size, size
			p.Resolved = append(p.Resolved, modelKey(n))
		case 1:
			one.Failed, one.FailedBytes = 1, size
			p.Failures = append(p.Failures, oms.Failure{Key: modelKey(n)})
		case 2:
			one.Skipped, one.SkippedBytes = 1, size
		}
		p.Delta = p.Delta.Add(one)
	}
	p.TaskID, p.Cur = id, modelKey(to)
	p.Done = to == end && rapid.Bool().Draw(rt, "done")
	if to+1 < end && rapid.Bool().Draw(rt, "cut") {
		p.Cut = &oms.RangeTail{At: modelKey(rapid.IntRange(to+1, end-1).Draw(rt, "at")), Seq: m.nextSeq}
		m.nextSeq++
	}
	switch rapid.IntRange(0, 9).Draw(rt, "spoil") {
	case 0:
		p.Token--
	case 1:
		p.Generation--
	case 2:
		p.Owner = "stranger"
	}
	return p
}

// TestModel lets owners claim, commit, cut, give back and die in any order and compares the store with the model
// after every step: leases and tokens, positions and ends, counters that balance, failures, and ranges that tile
// the space (rules P1, P3, C1).
func TestModel(t *testing.T) {
	c := newClock()
	db := openDir(t, t.TempDir(), c.now)
	workers := []string{"v", "w"}
	rapid.Check(t, func(rt *rapid.T) {
		task := newRanges(t, db, modelKey(13), modelKey(26))
		if err := db.ReleaseAll(t.Context()); err != nil {
			rt.Fatal(err)
		}
		m := model{gen: task.Generation, ranges: mustRanges(t, db, task.ID), failures: map[string]int64{}, nextSeq: 4}
		released := func(owner string) {
			for i := range m.ranges {
				if owner == "" || m.ranges[i].Owner == owner {
					m.ranges[i].Owner = ""
				}
			}
		}
		owner := rapid.SampledFrom(workers)
		rt.Repeat(map[string]func(*rapid.T){
			"claim": func(rt *rapid.T) {
				who, limit := owner.Draw(rt, "owner"), rapid.IntRange(0, 3).Draw(rt, "limit")
				var want []oms.Range
				for i := range m.ranges {
					r := &m.ranges[i]
					if len(want) < limit && !r.Done && r.Owner == "" {
						r.Owner, r.Generation = who, m.gen
						r.Token++
						want = append(want, *r)
					}
				}
				diff(rt, "claimed", mustClaim(t, db, who, task.ID, limit), want)
			},
			"commit": func(rt *rapid.T) {
				var commit oms.Commit
				var lost []int
				for range rapid.IntRange(1, 4).Draw(rt, "checkpoints") {
					p := m.drawCheckpoint(rt, task.ID, rapid.SampledFrom(m.ranges).Draw(rt, "range"))
					if !m.commit(p) {
						lost = append(lost, len(commit.Checkpoints))
					}
					slices.SortFunc(m.ranges, func(a, b oms.Range) int { return int(a.Seq - b.Seq) })
					commit.Checkpoints = append(commit.Checkpoints, p)
				}
				got, err := db.Commit(t.Context(), commit)
				if err != nil {
					rt.Fatal(err)
				}
				diff(rt, "lost", got, lost)
			},
			"release": func(rt *rapid.T) {
				who := owner.Draw(rt, "owner")
				released(who)
				if err := db.ReleaseRanges(t.Context(), who, task.ID); err != nil {
					rt.Fatal(err)
				}
			},
			"die": func(rt *rapid.T) {
				alive := owner.Draw(rt, "alive")
				for _, w := range workers {
					if w != alive {
						released(w)
					}
				}
				c.advance(time.Minute)
				if err := db.Heartbeat(t.Context(), alive, time.Second); err != nil {
					rt.Fatal(err)
				}
			},
			"start again": func(*rapid.T) {
				m.gen++
				mustChange(t, db, task.ID, func(c *oms.TaskChange) { c.Task.Generation = m.gen })
			},
			"": func(rt *rapid.T) {
				got := mustRanges(t, db, task.ID)
				diff(rt, "ranges", got, m.ranges)
				checkTiles(rt, got)
				var sum oms.Counters
				for _, r := range got {
					sum = sum.Add(r.Counters)
				}
				counters := mustTask(t, db, task.ID).Counters
				diff(rt, "counters", counters, sum)
				if !counters.Balanced() {
					rt.Fatalf("the books do not balance: %+v", counters)
				}
				failures := map[string]int64{}
				for _, f := range mustFailures(t, db, task.ID) {
					failures[f.Key] = f.Gen
				}
				diff(rt, "failures", failures, m.failures)
			},
		})
	})
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
