package db

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func TestSQLiteCluster(t *testing.T) { testClusterSuite(t, openSQLite) }

// testClusterSuite is what every kind of database must pass for several processes.
func testClusterSuite(t *testing.T, open opener) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, db *DB, c *clock)
	}{
		{"lead", testLead},
		{"duty", testDuty},
		{"requests", testRequests},
		{"given ranges", testGiveRanges},
		{"bandwidth", testShareBandwidth},
		{"progress", testRunProgress},
		{"settings", testSettings},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			tt.run(t, open(t, c.now), c)
		})
	}
}

const dead = 10 * time.Second

func beat(t *testing.T, db *DB, owner string) {
	t.Helper()
	must(t, db.Heartbeat(t.Context(), owner, dead))
}

func testLead(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db)
	take := func(owner string, generation int64, want bool) {
		t.Helper()
		if got, err := db.TakeLead(t.Context(), owner, task.ID, generation); err != nil || got != want {
			t.Fatalf("%s leads: %v, %v, want %v", owner, got, err, want)
		}
	}
	take("a", 1, true)
	take("a", 1, true)
	take("b", 1, false)
	take("b", 2, false) // a run that is not there
	must(t, db.LeaveTask(t.Context(), "b", task.ID))
	take("b", 1, false)
	must(t, db.LeaveTask(t.Context(), "a", task.ID))
	take("b", 1, true)
	c.advance(dead + time.Second)
	beat(t, db, "a")
	take("a", 1, true) // b is dead
}

func testDuty(t *testing.T, db *DB, c *clock) {
	take := func(owner string, want bool) {
		t.Helper()
		if got, err := db.TakeDuty(t.Context(), owner, "start tasks"); err != nil || got != want {
			t.Fatalf("%s has the duty: %v, %v, want %v", owner, got, err, want)
		}
	}
	take("a", true)
	take("b", false)
	take("a", true)
	must(t, db.RemoveWorker(t.Context(), "a"))
	take("b", true)
	c.advance(dead + time.Second)
	beat(t, db, "a")
	take("a", true)
	take("b", false)
}

func testRequests(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db)
	asked := func(want ...oms.WorkRequest) {
		t.Helper()
		got, err := db.WorkRequests(t.Context(), "a")
		must(t, err)
		diff(t, "requests", got, want)
	}
	r := oms.WorkRequest{TaskID: task.ID, Owner: "b"}
	must(t, db.AskWork(t.Context(), r))
	must(t, db.AskWork(t.Context(), oms.WorkRequest{TaskID: task.ID, Owner: "a"}))
	asked(r)
	r.Whole = true
	must(t, db.AskWork(t.Context(), r))
	asked(r)
	c.advance(requestLife + time.Second)
	asked()
	must(t, db.AskWork(t.Context(), r))
	mustClaim(t, db, "b", task.ID, 1)
	asked() // it has what it asked for
}

func testGiveRanges(t *testing.T, db *DB, _ *clock) {
	task := newRanges(t, db, "g", "p")
	held := mustClaim(t, db, "a", task.ID, 10)
	old := held[1]
	old.Token--
	must(t, db.GiveRanges(t.Context(), "b", held))             // not its own
	must(t, db.GiveRanges(t.Context(), "a", []oms.Range{old})) // another lease
	must(t, db.GiveRanges(t.Context(), "a", []oms.Range{held[2]}))
	got := mustClaim(t, db, "b", task.ID, 10)
	if len(got) != 1 || got[0].Seq != held[2].Seq {
		t.Errorf("b got %v, want range %d", got, held[2].Seq)
	}
	one, err := db.NextBlock(t.Context(), task.ID)
	must(t, err)
	two, err := db.NextBlock(t.Context(), task.ID)
	must(t, err)
	if two <= one || one < 1 {
		t.Errorf("blocks %d, %d", one, two)
	}
}

// testShareBandwidth: the sum of the shares in force never exceeds the limit, and who can use more gets more.
func testShareBandwidth(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db)
	const limit = 1000
	shares := make(map[string]int64)
	share := func(owner string, rate int64) int64 {
		t.Helper()
		got, err := db.ShareBandwidth(t.Context(), owner, task.ID, limit, rate)
		must(t, err)
		shares[owner] = got
		sum := int64(0)
		for _, s := range shares {
			sum += s
		}
		if sum > limit {
			t.Fatalf("%v exceed the limit", shares)
		}
		return got
	}
	if got := share("a", 0); got != limit {
		t.Errorf("alone: %d", got)
	}
	if got := share("b", 0); got != 0 {
		t.Errorf("b got %d although a has all", got)
	}
	for range 5 {
		c.advance(time.Second)
		share("a", shares["a"])
		share("b", shares["b"])
	}
	if shares["a"]+shares["b"] < limit*9/10 || shares["b"] < limit/4 {
		t.Errorf("both busy: %v", shares)
	}
	for range 20 {
		c.advance(time.Second)
		share("a", min(shares["a"], 100)) // it cannot use more
		share("b", shares["b"])
	}
	if shares["b"] < limit*6/10 {
		t.Errorf("a is slow: %v", shares)
	}
	c.advance(shareLife)
	delete(shares, "a") // it has died
	if got := share("b", 0); got != limit {
		t.Errorf("left alone: %d", got)
	}
}

func testRunProgress(t *testing.T, db *DB, c *clock) {
	task := newRanges(t, db, "m")
	mustChange(t, db, task.ID, func(ch *oms.TaskChange) { ch.Task.Status = oms.StatusRunning })
	held := mustClaim(t, db, "a", task.ID, 1)
	cp := checkpointOf(held[0], "c", migrated(3, 10))
	mustCommit(t, db, oms.Commit{
		Checkpoints: []oms.Checkpoint{cp},
		Progress:    []oms.RunProgress{{TaskID: task.ID, Generation: 1, Owner: "a", Found: 5, FoundBytes: 50, Partial: 7, Speed: 9, QueryOver: true}},
	})
	p, err := db.RunProgress(t.Context(), task.ID, 1)
	must(t, err)
	diff(t, "progress", p, oms.RunProgress{TaskID: task.ID, Generation: 1, Found: 5, FoundBytes: 50, Partial: 7, Speed: 9})
	must(t, db.KeepProgress(t.Context(), task.ID, 1))
	must(t, db.KeepProgress(t.Context(), task.ID, 2)) // another run
	got := mustTask(t, db, task.ID)
	if got.Found != 8 || got.FoundBytes != 80 || got.PartialBytes != 7 || got.QueryOver { // one range is free
		t.Errorf("kept %d objects, %d bytes, %d partial", got.Found, got.FoundBytes, got.PartialBytes)
	}
	c.advance(dead + time.Second)
	beat(t, db, "b")
	p, err = db.RunProgress(t.Context(), task.ID, 1)
	must(t, err)
	diff(t, "progress of the dead", p, oms.RunProgress{TaskID: task.ID, Generation: 1})
	must(t, db.KeepProgress(t.Context(), task.ID, 1))
	if got := mustTask(t, db, task.ID); got.Found != 8 || got.PartialBytes != 7 {
		t.Errorf("what was shown went back: %d objects, %d partial", got.Found, got.PartialBytes)
	}
}

func testSettings(t *testing.T, db *DB, _ *clock) {
	_, err := db.Setting(t.Context(), "s")
	wantKind(t, err, oms.NotFound, "")
	must(t, db.KeepSetting(t.Context(), "s", "1"))
	must(t, db.KeepSetting(t.Context(), "s", "2"))
	if got, err := db.Setting(t.Context(), "s"); err != nil || got != "2" {
		t.Errorf("got %q, %v", got, err)
	}
}
