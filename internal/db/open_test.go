package db

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

func TestOpenRefusesNoDirectory(t *testing.T) {
	if _, err := Open(t.Context(), Options{}); oms.KindOf(err) != oms.Invalid {
		t.Errorf("got %v, want invalid", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{DataDir: file}); err == nil {
		t.Error("a file was taken for a data directory")
	}
}

// TestOpenModes proves that nobody else may read the database, its log and its index (rule S4).
func TestOpenModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on this system")
	}
	dir := filepath.Join(t.TempDir(), "new?dir#%20", "data")
	db := openDir(t, dir, nil)
	mustCreate(t, db, waitingTask("p"))
	for name, want := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o700, fileName: 0o600, fileName + "-wal": 0o600, fileName + "-shm": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// TestSettingsAsserted makes each assertion of the start fail (reliability.md, section 2).
func TestSettingsAsserted(t *testing.T) {
	d := sqlite()
	for i, p := range d.settings {
		t.Run(p.name, func(t *testing.T) {
			broken := sqlite()
			broken.settings[i].want = "something else"
			_, err := open(t.Context(), Options{DataDir: t.TempDir()}, broken, migrationFiles())
			if err == nil || !strings.Contains(err.Error(), p.name) {
				t.Errorf("got %v, want a complaint about %s", err, p.name)
			}
		})
	}
	t.Run("version", func(t *testing.T) {
		broken := sqlite()
		broken.minVersion = "99.0"
		_, err := open(t.Context(), Options{DataDir: t.TempDir()}, broken, migrationFiles())
		if err == nil || !strings.Contains(err.Error(), "too old") {
			t.Errorf("got %v, want a complaint about the version", err)
		}
	})
	t.Run("not ignored", func(t *testing.T) { // a setting that does not take effect
		broken := sqlite()
		broken.settings = append(broken.settings, pragma{"synchronous", "OFF", "2"})
		if _, err := open(t.Context(), Options{DataDir: t.TempDir()}, broken, migrationFiles()); err == nil {
			t.Error("a database that does not sync was opened")
		}
	})
}

// TestEveryConnectionIsSafe reads the settings on all connections of both pools.
func TestEveryConnectionIsSafe(t *testing.T) {
	db := openDir(t, t.TempDir(), nil)
	pools := []struct {
		name      string
		pool      *sql.DB
		size      int
		queryOnly string
	}{{"writer", db.writer, 1, "0"}, {"reader", db.reader, readers, "1"}}
	for _, p := range pools {
		for range p.size {
			conn, err := p.pool.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}()
			for _, want := range append(sqlite().settings, pragma{name: "query_only", want: p.queryOnly}) {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+want.name).Scan(&got); err != nil || got != want.want {
					t.Errorf("%s: %s is %s, %v, want %s", p.name, want.name, got, err, want.want)
				}
			}
			if p.queryOnly == "1" {
				if _, err := conn.ExecContext(t.Context(), "DELETE FROM workers"); err == nil {
					t.Error("a reader could write")
				}
			}
		}
	}
}

func TestAtLeast(t *testing.T) {
	tests := []struct {
		version, least string
		want           bool
	}{
		{"3.51.3", "3.51.3", true},
		{"3.51.10", "3.51.3", true},
		{"3.52.0", "3.51.3", true},
		{"4.0", "3.51.3", true},
		{"3.51.3.1", "3.51.3", true},
		{"3.51.2", "3.51.3", false},
		{"3.6.99", "3.51.3", false},
		{"3.51", "3.51.3", false},
		{"2.99.99", "3.51.3", false},
		{"", "3.51.3", false},
		{"x.y.z", "3.51.3", false},
	}
	for _, tt := range tests {
		if got := atLeast(tt.version, tt.least); got != tt.want {
			t.Errorf("atLeast(%q, %q) = %v, want %v", tt.version, tt.least, got, tt.want)
		}
	}
}

// firstSteps returns the migrations up to a version, as an older program has them.
func firstSteps(t *testing.T, n int) fs.FS {
	t.Helper()
	steps, err := loadMigrations(migrationFiles())
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, s := range steps[:n] {
		files["migrations/"+s.name+".sql"] = &fstest.MapFile{Data: []byte(s.text)}
	}
	return files
}

// makeOld makes a database of an older version, whose program knew nothing of later tables, and stores a task in it.
func makeOld(t *testing.T, dir string, version int, task oms.Task) oms.Task {
	t.Helper()
	path, err := prepareFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	old := &DB{dialect: sqlite(), log: slog.New(slog.DiscardHandler), clock: time.Now}
	connector, err := old.dialect.connector(path, writing)
	if err != nil {
		t.Fatal(err)
	}
	old.writer = sql.OpenDB(connector)
	old.writer.SetMaxOpenConns(1)
	if err := old.migrate(t.Context(), firstSteps(t, version)); err != nil {
		t.Fatalf("version %d: %v", version, err)
	}
	task = createOld(t, old, task)
	if err := old.writer.Close(); err != nil {
		t.Fatal(err)
	}
	return task
}

// createOld stores a task with the columns of the first version.
func createOld(t *testing.T, db *DB, task oms.Task) oms.Task {
	t.Helper()
	row, err := taskRow(task)
	if err != nil {
		t.Fatal(err)
	}
	task.ID, task.Name = 17, "old"
	row[0] = task.Name
	_, err = db.exec(t.Context(), "create old task", `INSERT INTO tasks (id, project_id, created_at, name, group_id, group_type, spec, priority, status,
    generation, failed_only, planned, error_code, error_message, query_over, list_result, list_key, list_code, epoch, updated_at,
    queued_at, started_at, run_for)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		append([]any{task.ID, task.ProjectID, 0}, row[:20]...)...)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestMigrate opens databases of every older version, with rows in them.
func TestMigrate(t *testing.T) {
	steps, err := loadMigrations(migrationFiles())
	if err != nil {
		t.Fatal(err)
	}
	for from := 1; from <= len(steps); from++ {
		dir := t.TempDir()
		task := makeOld(t, dir, from, waitingTask("p"))
		db := openDir(t, dir, nil)
		diff(t, "task", mustTask(t, db, task.ID), task)
		if err := db.AppendAudit(t.Context(), oms.AuditEntry{}); err != nil {
			t.Errorf("version %d: %v", from, err)
		}
		if n := count(t.Context(), t, db, "schema_migrations"); n != len(steps) {
			t.Errorf("version %d: %d steps are recorded, want %d", from, n, len(steps))
		}
		if err := db.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrateRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := openDir(t, dir, nil).Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("newer database", func(t *testing.T) {
		_, err := open(t.Context(), Options{DataDir: dir}, sqlite(), firstSteps(t, 2))
		if oms.KindOf(err) != oms.Unsupported {
			t.Errorf("got %v, want unsupported", err)
		}
		openDir(t, dir, nil) // and left it as it was
	})
	tests := []struct {
		name  string
		files fstest.MapFS
	}{
		{"a number twice", fstest.MapFS{"migrations/0001_a.sql": {}, "migrations/0001_b.sql": {}}},
		{"no number", fstest.MapFS{"migrations/a.sql": {}}},
		{"a step that fails", fstest.MapFS{"migrations/0001_a.sql": {Data: []byte("CREATE TABLE a (b BIGINT); CREATE TABLE a (b BIGINT)")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := open(t.Context(), Options{DataDir: dir}, sqlite(), tt.files); err == nil {
				t.Fatal("migrated")
			}
			openDir(t, dir, nil) // nothing of the failed step is left
		})
	}
}

// TestOpenAtOnce lets several open and migrate one new database, as a server and a command line may.
func TestOpenAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			db, err := Open(t.Context(), Options{DataDir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.AppendAudit(t.Context(), oms.AuditEntry{}); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, err := openDir(t, dir, nil).VerifyAudit(t.Context()); err != nil || n != 4 {
		t.Errorf("%d entries, %v, want 4", n, err)
	}
}

// TestLock proves that a data directory is served once, while others may still write to the database.
func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); oms.KindOf(err) != oms.Conflict || !strings.Contains(err.Error(), "another process serves it") {
		t.Errorf("locked twice: %v", err)
	}
	serving, offline := openDir(t, dir, nil), openDir(t, dir, nil)
	mustCreate(t, serving, waitingTask("p"))
	if _, err := offline.Bootstrap(t.Context(), testSetup("1", newClock().now())); err != nil {
		t.Error(err)
	}
	if some, err := serving.HasUsers(t.Context()); err != nil || !some {
		t.Errorf("the serving process does not see the other's user: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	lock, err = Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestClose proves that everything is in the one file after closing.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	task := mustCreate(t, db, waitingTask("p"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != fileName {
		t.Errorf("left in the directory: %v, %v, want only %s", entries, err, fileName)
	}
	if err := db.Ready(t.Context()); err == nil {
		t.Error("a closed database is ready")
	}
	diff(t, "task", mustTask(t, openDir(t, dir, nil), task.ID).Name, task.Name)
}

// TestFull fills the disk: no result may be taken for stored, reads go on, and work goes on when there is space
// again (reliability.md, section 3: disk full).
func TestFull(t *testing.T) {
	db := openDir(t, t.TempDir(), nil)
	task := newRanges(t, db)
	r := mustClaim(t, db, "w", task.ID, 1)[0]
	limit := func(pages string) {
		if _, err := db.writer.ExecContext(t.Context(), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // SQLite makes it the present size
	stored, full := int64(0), false
	for i := range 2000 {
		p := checkpointOf(r, string([]byte{'a', byte(i >> 8), byte(i)}), failed(1))
		p.Failures = []oms.Failure{{Key: p.Cur, Message: strings.Repeat("x", 200)}}
		if _, err := db.Commit(t.Context(), oms.Commit{Checkpoints: []oms.Checkpoint{p}}); err != nil {
			wantKind(t, err, oms.Full, "")
			full = true
			break
		}
		stored++
	}
	if !full {
		t.Fatal("the disk never became full")
	}
	diff(t, "counters on a full disk", mustTask(t, db, task.ID).Counters, failed(stored))
	if n, err := db.CountFailures(t.Context(), task.ID); err != nil || n != stored {
		t.Errorf("%d failures, %v, want %d", n, err, stored)
	}
	limit("100000")
	p := checkpointOf(r, "b", failed(1))
	mustCommit(t, db, oms.Commit{Checkpoints: []oms.Checkpoint{p}})
	diff(t, "counters after", mustTask(t, db, task.ID).Counters, failed(stored+1))
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBusy lets another process hold the write lock for too long.
func TestBusy(t *testing.T) {
	dir := t.TempDir()
	db, other := openDir(t, dir, nil), openDir(t, dir, nil)
	if _, err := db.writer.ExecContext(t.Context(), "PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	err := other.write(t.Context(), "hold", func(*sql.Tx) error {
		_, err := db.CreateTask(t.Context(), waitingTask("p"), oms.Quota{}, noSeal)
		wantKind(t, err, oms.Transient, "")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, db, waitingTask("p"))
}

func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	task := newRanges(t, db, "m")
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A row without the one that it belongs to.
	conn, err := db.writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"PRAGMA foreign_keys = OFF", "DELETE FROM tasks", "PRAGMA foreign_keys = ON"} {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); oms.KindOf(err) != oms.Corrupt {
		t.Errorf("rows of a missing task %d: got %v, want corrupt", task.ID, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// Bytes of the file that were overwritten.
	path := filepath.Join(dir, fileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2 * 4096; i < len(content); i++ {
		content[i] = 0x5a
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err = Open(t.Context(), Options{DataDir: dir})
	if err == nil {
		err = errors.Join(db.Check(t.Context()), db.Close())
	}
	if !errors.Is(err, oms.Corrupt) {
		t.Errorf("damaged file: got %v, want corrupt", err)
	}
}

func TestWrap(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	own := &oms.Error{Kind: oms.Conflict, Code: "OMS.0066"}
	foreign := errors.New("disk on fire")
	tests := []struct {
		name  string
		ended bool // the context
		err   error
		is    error
		kind  oms.Kind
	}{
		{"domain error", false, own, own, oms.Conflict},
		{"caller's error", false, callerError{foreign}, foreign, oms.Other},
		{"no rows", false, sql.ErrNoRows, oms.NotFound, oms.NotFound},
		{"foreign", false, foreign, foreign, oms.Other},
		{"ended", true, context.Canceled, context.Canceled, oms.Other},
		{"ended, seen by the pool", true, sql.ErrTxDone, context.Canceled, oms.Other},
		{"done, but not ended", false, sql.ErrTxDone, sql.ErrTxDone, oms.Other},
	}
	for _, tt := range tests {
		ctx := t.Context()
		if tt.ended {
			ctx = ended
		}
		got := wrap(ctx, "op", tt.err)
		if !errors.Is(got, tt.is) || oms.KindOf(got) != tt.kind {
			t.Errorf("%s: got %v of kind %s", tt.name, got, oms.KindOf(got))
		}
	}
	if wrap(ended, "op", nil) != nil {
		t.Error("no error became one")
	}
}
