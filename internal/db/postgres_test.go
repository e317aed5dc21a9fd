//go:build unix

package db

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/db/pgtest"
	"github.com/openoms/openoms/internal/oms"
)

// server is the one PostgreSQL of the package's tests, with a template that has the schema. It is started by the first test
// that wants it and stopped by TestMain.
var server struct {
	once     sync.Once
	running  *pgtest.Server
	template string
	err      error

	mu   sync.Mutex
	idle []string // databases that a test has left
}

// testPostgres is the dialect over a server that does not sync to disk, with leases by the clock of the test.
func testPostgres() dialect {
	d := postgres()
	d.settings = slices.DeleteFunc(d.settings, func(p pragma) bool { return p.set == "" })
	d.clock = ""
	return d
}

// startServer returns the server, or ends the test.
func startServer(tb testing.TB) *pgtest.Server {
	tb.Helper()
	if err := pgtest.Missing(); err != nil {
		pgtest.SkipOrFail(tb, err)
	}
	server.once.Do(func() {
		ctx := context.Background()
		if server.running, server.err = pgtest.Start(ctx); server.err != nil {
			return
		}
		if server.template, server.err = server.running.Database(ctx, ""); server.err != nil {
			return
		}
		var made *DB
		made, server.err = open(ctx, Options{URL: server.running.URL(server.template)}, testPostgres(), migrationFiles())
		if server.err == nil {
			server.err = made.Close()
		}
	})
	if server.err != nil {
		tb.Fatal(server.err)
	}
	return server.running
}

// stopServer ends the server if there is one.
func stopServer() error {
	if server.running == nil {
		return nil
	}
	return server.running.Close()
}

// newDatabase returns the URL of a database with the schema and without rows. It is used again when the test is over.
func newDatabase(tb testing.TB) string {
	tb.Helper()
	s := startServer(tb)
	server.mu.Lock()
	defer server.mu.Unlock()
	var name string
	if n := len(server.idle); n > 0 {
		name, server.idle = server.idle[n-1], server.idle[:n-1]
	} else {
		var err error
		if name, err = s.Database(tb.Context(), server.template); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		if err := s.Empty(context.Background(), name); err != nil {
			tb.Errorf("empty database: %v", err)
			return
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		server.idle = append(server.idle, name)
	})
	return s.URL(name)
}

// openPostgres is the opener of a database of its own on the server.
func openPostgres(t *testing.T, now func() time.Time) *DB {
	t.Helper()
	return openURL(t, newDatabase(t), now, testPostgres())
}

func openURL(tb testing.TB, place string, now func() time.Time, d dialect) *DB {
	tb.Helper()
	db, err := open(tb.Context(), Options{URL: place, Clock: now}, d, migrationFiles())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

func TestPostgres(t *testing.T)           { testSuite(t, openPostgres) }
func TestPostgresSync(t *testing.T)       { testSyncSuite(t, openPostgres) }
func TestPostgresTaskGroups(t *testing.T) { testGroupSuite(t, openPostgres) }
func TestPostgresCluster(t *testing.T)    { testClusterSuite(t, openPostgres) }

// TestPostgresURL reads URLs; no error shows any part of one (rule S4).
func TestPostgresURL(t *testing.T) {
	for _, text := range []string{
		"postgres://u:canary@h/d", "postgresql://u:canary@h:1/d?sslmode=disable", "postgres://u:canary@h1,h2/d",
		"postgres:///d?host=/run/postgresql", "postgres://u:canary@[::1]:5432/d",
	} {
		if err := ParseURL(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "canary", "mysql://u:canary@h/d", "postgres://u:canary@h:x/d", "postgres://u:canary@h/d?sslmode=canary",
		"postgres://u:canary@h/d?connect_timeout=canary", "postgres://u:canary@h/d?sslrootcert=/canary&sslmode=verify-full", "postgres://u:ca%zznary@h/d",
	} {
		err := ParseURL(text)
		wantKind(t, err, oms.Invalid, "")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: shows the URL", err)
		}
	}
	verified := map[string]bool{
		"postgres://h/d": true, "postgres://h1,127.0.0.1/d": true, "postgres://h/d?sslmode=require": false, "postgres://127.0.0.1/d": false,
		"postgres://localhost:5432/d": false, "postgres:///d?host=/run": false, "postgres://[::1]/d": false, "postgres://10.0.0.1/d": true,
	}
	for text, want := range verified {
		config, err := postgresConfig(text, writing)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := config.TLSConfig != nil && !config.TLSConfig.InsecureSkipVerify; got != want {
			t.Errorf("%s: the server must prove its name: %v, want %v", text, got, want)
		}
	}
}

// TestPostgresSettings: a server or connection that is not safe is refused.
func TestPostgresSettings(t *testing.T) {
	place := newDatabase(t)
	_, err := open(t.Context(), Options{URL: place}, postgres(), migrationFiles())
	if oms.KindOf(err) != oms.Unsupported || !strings.Contains(err.Error(), "fsync") {
		t.Errorf("a server that does not sync: %v", err)
	}
	if strings.Contains(err.Error(), pgtest.Password) {
		t.Error("the error shows the password")
	}
	d := testPostgres()
	for i := range d.settings {
		broken := testPostgres()
		broken.settings[i].want = "something else"
		if _, err := open(t.Context(), Options{URL: place}, broken, migrationFiles()); oms.KindOf(err) != oms.Unsupported {
			t.Errorf("%s: got %v, want a complaint", broken.settings[i].name, err)
		}
	}
	db := openURL(t, place, nil, testPostgres())
	if _, err := db.reader.ExecContext(t.Context(), "DELETE FROM workers"); postgresState(err) != stateReadOnly {
		t.Errorf("a reader could write: %v", err)
	}
}

// TestPostgresAway restarts the server as after a crash: what was committed is there, calls fail as temporary while it is
// away, and work again afterwards without being told.
func TestPostgresAway(t *testing.T) {
	s, err := pgtest.Start(t.Context(), "fsync=on", "full_page_writes=on")
	if err != nil {
		if pgtest.Missing() != nil {
			pgtest.SkipOrFail(t, err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	name, err := s.Database(t.Context(), "")
	must(t, err)
	db, err := Open(t.Context(), Options{URL: s.URL(name)})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	ctx, cancel := context.WithCancel(t.Context())
	woken := make(chan oms.Wake, 100)
	var listening sync.WaitGroup
	listening.Go(func() { db.Listen(ctx, func(w oms.Wake) { woken <- w }) })
	defer listening.Wait()
	defer cancel()
	task := newRanges(t, db)
	for w := range woken { // those of the start come first
		if w.Topic == oms.WakeSyncs {
			break
		}
	}

	must(t, s.Stop(syscall.SIGQUIT))
	_, err = db.Task(t.Context(), "", task.ID)
	wantKind(t, err, oms.Transient, "")
	_, err = db.ChangeTask(t.Context(), "", task.ID, func(task oms.Task) (oms.TaskChange, error) { return oms.TaskChange{Task: task}, nil })
	wantKind(t, err, oms.Transient, "")
	if strings.Contains(err.Error(), pgtest.Password) {
		t.Error("the error shows the password")
	}
	must(t, s.Run(t.Context()))

	mustTask(t, db, task.ID)
	held := mustClaim(t, db, "w", task.ID, 1) // on a connection that has died
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(held[0], "c", migrated(1, 1))}})
	for w := range woken { // it listens again
		if w.Topic == oms.WakeSyncs {
			break
		}
	}
	other, err := Open(t.Context(), Options{URL: s.URL(name)})
	must(t, err)
	defer func() { must(t, other.Close()) }()
	mustChange(t, other, task.ID, func(c *oms.TaskChange) { c.Task.Status = oms.StatusRunning })
	if w := <-woken; w.Topic != oms.WakeTasks {
		t.Errorf("woken for %v", w)
	}
	// Leases age by the clock of the server, whatever a process believes.
	skewed, err := Open(t.Context(), Options{URL: s.URL(name), Clock: func() time.Time { return time.Now().Add(time.Hour) }})
	must(t, err)
	defer func() { must(t, skewed.Close()) }()
	must(t, skewed.Heartbeat(t.Context(), "skewed", time.Minute))
	if owner := mustRanges(t, db, task.ID)[0].Owner; owner != "w" {
		t.Errorf("a skewed clock took the ranges of a living worker: %q", owner)
	}
}

// TestPostgresUnknownCommit cuts the connection between COMMIT and its answer, and before COMMIT: what took place is
// reported as success and what did not is done once more, so that neither is lost nor doubled (rule P7).
func TestPostgresUnknownCommit(t *testing.T) {
	db := openURL(t, newDatabase(t), nil, testPostgres())
	for _, late := range []bool{true, false} {
		p := newCutter(t, db.place)
		d := testPostgres()
		cut := openURL(t, p.url, nil, d)
		task := newRanges(t, db)
		held := mustClaim(t, db, "w", task.ID, 1)
		p.arm(late)
		lost, err := cut.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{checkpointOf(held[0], "c", migrated(1, 1))}})
		if err != nil || len(lost) > 0 {
			t.Errorf("cut after the commit %v: lost %v, %v", late, lost, err)
		}
		if !p.fired.Load() {
			t.Error("nothing was cut: the test proves nothing")
		}
		diff(t, "counters", mustTask(t, db, task.ID).Counters, migrated(1, 1))
	}
}

// cutter is a proxy that cuts one connection around its next COMMIT.
type cutter struct {
	url   string
	mode  atomic.Int32 // 0 passes, 1 cuts before the server sees COMMIT, 2 after it has answered
	fired atomic.Bool
}

func (p *cutter) arm(late bool) { //nolint:revive // the two ways to cut
	p.mode.Store(1)
	if late {
		p.mode.Store(2)
	}
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	address := u.Host
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u.Host = ln.Addr().String()
	p := &cutter{url: u.String()}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				continue
			}
			conns.Go(func() { p.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		conns.Wait()
	})
	return p
}

// pass passes bytes both ways until one side ends.
func (p *cutter) pass(client, server net.Conn) {
	var both sync.WaitGroup
	var drop atomic.Bool // what the server answers
	both.Go(func() {
		defer func() { _, _ = client.Close(), server.Close() }()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit")) {
				switch p.mode.Swap(0) {
				case 1:
					p.fired.Store(true)
					return
				case 2:
					drop.Store(true)
				}
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer func() { _, _ = client.Close(), server.Close() }()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if drop.Load() {
				p.fired.Store(true)
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	both.Wait()
}

// TestPostgresDeadlock lets transactions wait for one another in a circle: each is tried again and takes place once.
func TestPostgresDeadlock(t *testing.T) {
	place := newDatabase(t)
	one, two := openURL(t, place, nil, testPostgres()), openURL(t, place, nil, testPostgres())
	a, b := newRanges(t, one), newRanges(t, one)
	count := func(db *DB, ids ...int64) error {
		return db.write(t.Context(), "count", func(tx *sqlTx) error {
			for _, id := range ids {
				if _, err := tx.ExecContext(t.Context(), "UPDATE tasks SET found = found + 1 WHERE id = $1", id); err != nil {
					return err
				}
			}
			return nil
		})
	}
	const rounds = 20
	var wg sync.WaitGroup
	for _, run := range []func() error{
		func() error { return count(one, a.ID, b.ID) }, func() error { return count(two, b.ID, a.ID) },
	} {
		wg.Go(func() {
			for range rounds {
				if err := run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range []int64{a.ID, b.ID} {
		if got := mustTask(t, one, id).Found; got != 2*rounds {
			t.Errorf("counted %d, want %d", got, 2*rounds)
		}
	}
}
