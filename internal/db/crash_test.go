package db

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/oms"
)

// crashDir names the environment variable that turns the test binary into the process to be killed.
const crashDir = "OPENOMS_DB_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := commitForEver(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := flag.Set("rapid.checks", "40"); err != nil { // the command line may ask for more
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := stopServer(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

// kills is how often TestKill kills.
const kills = 30

// crashKey is the key number n of the space that commitForEver walks through.
func crashKey(n int64) string { return fmt.Sprintf("%010d", n) }

// crashStep is what a checkpoint over three keys brings: the last of them failed.
func crashStep() oms.Counters { return migrated(2, 5).Add(failed(1)) }

// commitForEver takes all ranges of the one task and moves each by three keys in every commit, with a failure, an
// upload and now and then a cut. It writes "seq cur" for every checkpoint after the commit returned.
func commitForEver(ctx context.Context, dir string) error {
	db, err := Open(ctx, Options{DataDir: dir})
	if err != nil {
		return err
	}
	if err := db.ReleaseAll(ctx); err != nil {
		return err
	}
	tasks, err := db.PendingTasks(ctx, oms.PendingFilter{Limit: 1000})
	if err != nil {
		return err
	}
	id := tasks[0].ID
	leased, err := db.ClaimRanges(ctx, "child", id, 100)
	if err != nil {
		return err
	}
	all, err := db.Ranges(ctx, id)
	if err != nil {
		return err
	}
	next := int64(len(all))
	for round := 1; ; round++ {
		c := oms.Commit{Opened: []oms.Upload{{TaskID: id, Key: "k", UploadID: strconv.FormatInt(leased[0].Token, 10) + "/" + strconv.Itoa(round)}}}
		if round > 1 {
			c.Closed = []oms.UploadRef{{TaskID: id, Key: "k", UploadID: strconv.FormatInt(leased[0].Token, 10) + "/" + strconv.Itoa(round-1)}}
		}
		for i := range leased { // not over the ranges cut off in this round
			r := &leased[i]
			n, err := strconv.ParseInt("0"+r.Cur, 10, 64)
			if err != nil {
				return err
			}
			p := checkpointOf(*r, crashKey(n+3), crashStep())
			p.Failures = []oms.Failure{{Key: p.Cur}}
			r.Cur = p.Cur
			if round%5 == 0 && len(leased) < 12 && i == 0 && r.End != "" {
				end, err := strconv.ParseInt(r.End, 10, 64)
				if err != nil {
					return err
				}
				if at := (n + 3 + end) / 2; crashKey(at) > r.Cur && crashKey(at) < r.End {
					next++
					p.Cut = &oms.RangeTail{At: crashKey(at), Seq: next}
					tail := *r
					tail.Seq, tail.Start, tail.Cur, tail.Token = next, p.Cut.At, p.Cut.At, 1
					r.End = p.Cut.At
					leased = append(leased, tail)
				}
			}
			c.Checkpoints = append(c.Checkpoints, p)
		}
		lost, err := db.Commit(ctx, c)
		if err != nil || len(lost) > 0 {
			return fmt.Errorf("commit: lost %v: %w", lost, err)
		}
		var out strings.Builder
		for _, p := range c.Checkpoints {
			fmt.Fprintln(&out, p.Seq, p.Cur)
		}
		fmt.Print(out.String())
	}
}

// TestKill kills a process that commits, 30 times at a random moment. What it had been told is stored must be
// there, and the books must balance: every range's counters cover exactly its keys, the ranges tile the space, each
// failure has its row (rules P1, P3, P6).
func TestKill(t *testing.T) {
	const space = 9_000_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	db := openDir(t, dir, nil)
	task := newRanges(t, db, crashKey(space/3), crashKey(space/3*2), crashKey(space))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	acknowledged := make(map[int64]string)
	for range kills {
		runAndKill(t, dir, 1+rng.IntN(60), acknowledged)
		checkCrashed(t, dir, task.ID, acknowledged)
	}
	if len(acknowledged) < 5 {
		t.Errorf("only %d ranges moved: no cut was survived", len(acknowledged))
	}
}

// runAndKill kills a child after so many lines, which it adds to acknowledged.
func runAndKill(t *testing.T, dir string, lines int, acknowledged map[int64]string) {
	t.Helper()
	cmd := osexec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	killed := false
	for n := 0; scanner.Scan(); n++ { // to the end: what was written before the kill counts
		var seq int64
		var cur string
		if _, err := fmt.Sscan(scanner.Text(), &seq, &cur); err != nil || len(cur) != len(crashKey(0)) {
			break // the last line is torn
		}
		acknowledged[seq] = cur
		if n >= lines && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

func checkCrashed(t *testing.T, dir string, id int64, acknowledged map[int64]string) {
	t.Helper()
	db, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	ranges := mustRanges(t, db, id)
	var sum oms.Counters
	for _, r := range ranges {
		if got := acknowledged[r.Seq]; r.Cur < got {
			t.Fatalf("range %d is at %q, but %q was acknowledged", r.Seq, r.Cur, got)
		}
		start, _ := strconv.ParseInt("0"+r.Start, 10, 64)
		cur, _ := strconv.ParseInt("0"+r.Cur, 10, 64)
		var want oms.Counters
		for range (cur - start) / 3 {
			want = want.Add(crashStep())
		}
		diff(t, "counters of range "+strconv.FormatInt(r.Seq, 10), r.Counters, want)
		sum = sum.Add(want)
	}
	for seq := range acknowledged {
		if int(seq) > len(ranges) {
			t.Fatalf("range %d was acknowledged and is not there", seq)
		}
	}
	checkTiles(t, ranges)
	diff(t, "counters of the task", mustTask(t, db, id).Counters, sum)
	if n, err := db.CountFailures(t.Context(), id); err != nil || n != sum.Failed {
		t.Fatalf("%d failures, %v, want %d", n, err, sum.Failed)
	}
	if n := count(t.Context(), t, db, "uploads"); n > kills {
		t.Fatalf("%d open uploads, at most one of each killed process was expected", n)
	}
}

// checkTiles checks that the ranges cover the key space once, from its first key to its last.
func checkTiles(t fataler, ranges []oms.Range) {
	t.Helper()
	ends := make(map[string]string, len(ranges))
	for _, r := range ranges {
		if _, twice := ends[r.Start]; twice {
			t.Fatalf("two ranges start at %q", r.Start)
		}
		if r.Cur < r.Start || r.End != "" && r.Cur > r.End {
			t.Fatalf("range %d of (%q, %q] is at %q", r.Seq, r.Start, r.End, r.Cur)
		}
		ends[r.Start] = r.End
	}
	at, n := "", 0
	for {
		end, ok := ends[at]
		if !ok {
			t.Fatalf("no range starts at %q", at)
		}
		n++
		if end == "" {
			break
		}
		at = end
	}
	if n != len(ranges) {
		t.Fatalf("%d of %d ranges tile the space", n, len(ranges))
	}
}
