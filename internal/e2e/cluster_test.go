//go:build unix

package e2e

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/db/pgtest"
	"github.com/openoms/openoms/internal/testcloud"
)

// cluster is a service without workers and workers of its own, on one PostgreSQL.
type cluster struct {
	*service
	server *pgtest.Server
	url    string
	state  *sql.DB
	slots  string // --concurrency of the workers
}

// member is a worker process.
type member struct {
	cmd   *exec.Cmd
	owner string // its name in leases
}

// newCluster starts the database and the service.
func newCluster(t *testing.T, src, dst store, slots string) *cluster {
	t.Helper()
	if err := pgtest.Missing(); err != nil {
		pgtest.SkipOrFail(t, err)
	}
	server, err := pgtest.Start(t.Context(), "fsync=on", "full_page_writes=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	name, err := server.Database(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{service: newService(t, src, dst), server: server, url: server.URL(name), slots: slots}
	if c.state, err = sql.Open("pgx", c.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.state.Close()
		c.mustHideSecrets(pgtest.Password)
	})
	c.args = []string{"--database", c.url, "--no-workers"}
	c.start()
	return c
}

// join starts a worker and waits until it is known.
func (c *cluster) join() *member {
	c.t.Helper()
	before := c.owners()
	m := &member{cmd: exec.Command(binary, "worker", "--database", c.url, "--master-key-file", filepath.Join(c.dir, "data", "master.key"),
		"--concurrency", c.slots, "--log-level", "debug")}
	m.cmd.Stderr = c.log
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if m.cmd.ProcessState == nil {
			_ = m.cmd.Process.Kill()
			_ = m.cmd.Wait()
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "working" {
		c.t.Fatalf("first line of a worker %q, %v\n%s", line, err, tail(c.log.String(), 3000))
	}
	within(c.t, 30*time.Second, "worker known", func() bool {
		for _, o := range c.owners() {
			if !slices.Contains(before, o) {
				m.owner = o
			}
		}
		return m.owner != ""
	})
	return m
}

// strings returns a column of a query.
func (c *cluster) strings(query string, args ...any) (list []string) {
	c.t.Helper()
	rows, err := c.state.QueryContext(c.t.Context(), query, args...)
	if err != nil {
		return nil // the database may be away
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			c.t.Fatal(err)
		}
		list = append(list, s)
	}
	if rows.Err() != nil { // likewise
		return nil
	}
	return list
}

func (c *cluster) owners() []string { return c.strings("SELECT owner FROM workers") }

// holds returns the ranges that a worker holds.
func (c *cluster) holds(m *member) []string {
	return c.strings("SELECT CAST(seq AS TEXT) FROM ranges WHERE owner = $1 AND done = FALSE", m.owner)
}

// takenOver waits until other workers hold or have finished all of the ranges, and returns how long that took.
func (c *cluster) takenOver(m *member, held []string, since time.Time) time.Duration {
	c.t.Helper()
	within(c.t, 40*time.Second, "ranges taken over", func() bool {
		left := c.strings("SELECT CAST(seq AS TEXT) FROM ranges WHERE done = FALSE AND owner IN ('', $1)", m.owner)
		return !slices.ContainsFunc(left, func(seq string) bool { return slices.Contains(held, seq) })
	})
	return time.Since(since)
}

// mustBalance checks that the books of a task balance in what is stored, and that no counter went back.
func (c *cluster) mustBalance(id int64, last *[4]int64) {
	c.t.Helper()
	var now [4]int64
	err := c.state.QueryRowContext(c.t.Context(), `SELECT COALESCE(SUM(listed), 0), COALESCE(SUM(migrated), 0), COALESCE(SUM(failed), 0),
COALESCE(SUM(skipped), 0) FROM ranges WHERE task_id = $1`, id).Scan(&now[0], &now[1], &now[2], &now[3])
	if err != nil {
		return // the database may be away
	}
	if now[0] != now[1]+now[2]+now[3] {
		c.t.Errorf("the books do not balance: %v", now)
	}
	for i := range now {
		if now[i] < last[i] {
			c.t.Errorf("counters go back: %v, then %v", *last, now)
		}
	}
	*last = now
}

// finish waits for success and compares the stores.
func (c *cluster) finish(id int64, src, dst *testcloud.Bucket, want int64, limit time.Duration) {
	c.t.Helper()
	var last [4]int64
	found := int64(0)
	within(c.t, limit, "task done", func() bool {
		c.mustBalance(id, &last)
		task := c.show(id)
		if task.Status == 4 {
			c.t.Fatalf("task failed: %+v", task.ErrorReason)
		}
		if task.TotalNum < found {
			c.t.Errorf("%d objects found, then %d", found, task.TotalNum)
		}
		found = task.TotalNum
		return task.Status == 5
	})
	task := c.show(id)
	if task.TotalNum != want || task.SuccessfulNum != want || task.FailedNum != 0 || task.SkippedNum != 0 {
		c.t.Errorf("%d listed, %d migrated, %d failed, %d skipped, want all %d migrated", task.TotalNum, task.SuccessfulNum, task.FailedNum, task.SkippedNum, want)
	}
	if diff := testcloud.Compare(src, dst, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		c.t.Fatalf("the destination differs: %v", diff)
	}
	if open := dst.Uploads(); len(open) > 0 {
		c.t.Errorf("uploads left open: %v", open)
	}
}

// smallPages makes a store whose listings are cut into pieces that a few workers can share.
func smallPages(t *testing.T, region, bucket string) (*testcloud.Cloud, *testcloud.Bucket, store) {
	t.Helper()
	profile := testcloud.AWS()
	profile.MaxKeys = 50
	c := testcloud.New(testcloud.Options{AccessKey: storeAK, SecretKey: storeSK, Region: region, Profile: profile, RecordLimit: 200_000})
	url, stop, err := c.Start(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, c.CreateBucket(bucket), store{url: url, region: region, ak: storeAK, sk: storeSK, bucket: bucket}
}

// TestClusterTakeover kills one of two workers, stops the other with SIGSTOP and brings it back, and restarts the database:
// what each held goes on elsewhere within 20 s, late writes count nothing, and in the end every object is there and counted
// once (rules C1, P1, P3, P8; reliability section 3).
func TestClusterTakeover(t *testing.T) {
	const small, large = 3000, 2
	_, src, srcStore := smallPages(t, "lab-a", "source")
	dstCloud, dst, dstStore := smallPages(t, "lab-b", "destination")
	old := time.Now().Add(-time.Hour)
	for i := range small {
		src.PutAt(fmt.Sprintf("small/%02d/%05d", i%37, i), content(i%2000, uint64(i)), testcloud.Attrs{}, old)
	}
	for i := range large {
		src.PutAt(fmt.Sprintf("large/%d", i), content(60<<20, uint64(i)), testcloud.Attrs{}, old)
	}
	dstCloud.Faults.On(testcloud.PutObject, testcloud.Delay(50*time.Millisecond))
	dstCloud.Faults.On(testcloud.UploadPart, testcloud.Delay(time.Second))

	c := newCluster(t, srcStore, dstStore, "4")
	one := c.join()
	id := c.create(srcStore, dstStore, nil)
	within(t, 30*time.Second, "first worker at work", func() bool { return len(c.holds(one)) > 0 })
	two := c.join()
	within(t, 30*time.Second, "second worker at work", func() bool { return len(c.holds(two)) > 0 })

	held := c.holds(one)
	began := time.Now()
	if err := one.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = one.cmd.Wait()
	mustBeQuick(t, "kill -9", c.takenOver(one, held, began))

	three := c.join()
	within(t, 30*time.Second, "third worker at work", func() bool { return len(c.holds(three)) > 0 })
	held = c.holds(two)
	began = time.Now()
	if err := two.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mustBeQuick(t, "SIGSTOP", c.takenOver(two, held, began))
	if err := two.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	if err := c.server.Stop(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.ShowTask(t.Context(), id); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("without a database: %v, want 503", err)
	}
	if err := c.server.Run(t.Context()); err != nil {
		t.Fatal(err)
	}

	// A worker that is asked to leaves in order.
	began = time.Now()
	if err := three.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := three.cmd.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the worker took %s to leave", d)
	}
	if held := c.holds(three); len(held) > 0 {
		t.Errorf("the worker left with ranges: %v", held)
	}
	c.finish(id, src, dst, small+large, 4*time.Minute)
}

// mustBeQuick checks and prints a takeover (20 s).
func mustBeQuick(t *testing.T, what string, d time.Duration) {
	t.Helper()
	t.Logf("taken over after %s: %s", what, d.Round(10*time.Millisecond))
	if d > 20*time.Second {
		t.Errorf("taking over after %s took %s", what, d)
	}
}
