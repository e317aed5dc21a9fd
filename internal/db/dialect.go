package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/openoms/openoms/internal/oms"
)

// This file and dialect_postgres.go are the only ones that know which database it is. What is here is SQLite.

// dialect is what is special about a kind of database.
type dialect struct {
	minVersion string   // of the library (reliability.md, section 2); SQLite only
	settings   []pragma // of every connection, in order
	writers    int      // connections that write
	// Row locks that a statement needs where writers are not alone; SQLite's are.
	forUpdate, forShare, skipLocked string
	ofRange                         string // forUpdate on the ranges alone of a join with ranges r
	// clock is the database's clock in microseconds since 1970, which leases of several processes need; "" is the clock of
	// the process.
	clock string
	// snapshot is the isolation of a transaction that reads one state.
	snapshot sql.IsolationLevel
	// lockSchema makes migrations of several processes take turns; "" where a writer is alone.
	lockSchema string
	// hasSchema tells whether there is a schema_migrations table, without the right to make one.
	hasSchema string
	// types translates a migration.
	types func(text string) string
	// notify tells the other processes a text, listen waits for such texts; "" and nil where there is only one process.
	notify string
	listen func(ctx context.Context, place string, changed func(oms.Wake)) error
	// ticket reads what tells later whether a transaction was committed, NULL if it changed nothing; "" where a commit
	// that fails is known to have failed.
	ticket string

	connect   func(d dialect, place string, a access) (driver.Connector, error)
	integrity func(ctx context.Context, q querier) error
	empty     func(writer *sql.DB) error                              // the log, before the database is closed
	wipe      func(ctx context.Context, writer *sql.DB) (bool, error) // what is deleted from the log, at once
}

// pragma is a setting of a connection: how it is made and what it must read back as.
type pragma struct{ name, set, want string }

// access is what a connection may do.
type access uint8

const (
	writing access = iota + 1
	reading
)

// busyTimeout is how long a statement waits for another process that writes, in milliseconds.
const busyTimeout = "10000"

// sqlite returns the settings that rule P6 and secret hygiene need (reliability.md, section 2).
func sqlite() dialect {
	return dialect{
		minVersion: "3.51.3",
		writers:    1,
		hasSchema:  "SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
		types:      func(text string) string { return text },
		connect:    sqliteConnector,
		integrity:  sqliteCheck,
		empty:      sqliteFlush,
		wipe:       sqliteScrub,
		settings: []pragma{
			{"busy_timeout", busyTimeout, busyTimeout}, // in the name as well, since opening may have to wait
			{"journal_mode", "WAL", "wal"},
			{"synchronous", "FULL", "2"},
			{"foreign_keys", "ON", "1"},
			{"secure_delete", "ON", "1"},
			{"temp_store", "MEMORY", "2"},                  // save points must not write files
			{"journal_size_limit", "67108864", "67108864"}, // bytes
		},
	}
}

// connector makes connections to the place (a file or a URL) that have the settings, or fail.
func (d dialect) connector(place string, a access) (driver.Connector, error) {
	return d.connect(d, place, a)
}

// check returns Corrupt when the database's structure or a reference is broken.
func (d dialect) check(ctx context.Context, q querier) error { return d.integrity(ctx, q) }

// flush empties the log before the database is closed.
func (d dialect) flush(writer *sql.DB) error { return d.empty(writer) }

// scrub empties the log at once, so that nothing deleted stays in it; ok is false when a reader still needs it.
func (d dialect) scrub(ctx context.Context, writer *sql.DB) (ok bool, err error) {
	return d.wipe(ctx, writer)
}

func sqliteConnector(d dialect, path string, a access) (driver.Connector, error) {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	dsn := url.URL{Scheme: "file", Path: slashed, RawQuery: "_busy_timeout=" + busyTimeout + "&_txlock=immediate&_dqs=0&_defensive=1"}
	base, err := sqlitedriver.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	c := &connector{Connector: base, dialect: d}
	if a == reading {
		c.extra = []pragma{{"query_only", "ON", "1"}}
	}
	return c, nil
}

// connector asserts the library's version and the settings on every connection it makes.
type connector struct {
	driver.Connector
	dialect dialect
	extra   []pragma
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.setUp(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c *connector) setUp(ctx context.Context, conn driver.Conn) error {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return errors.New("the driver cannot query a connection")
	}
	version, err := value(ctx, q, "SELECT sqlite_version()")
	if err != nil {
		return err
	}
	if !atLeast(version, c.dialect.minVersion) {
		return fmt.Errorf("SQLite %s is too old: %s or later is needed", version, c.dialect.minVersion)
	}
	for _, p := range slices.Concat(c.dialect.settings, c.extra) {
		if err := set(ctx, q, p); err != nil {
			return fmt.Errorf("set %s: %w", p.name, err)
		}
		got, err := value(ctx, q, "PRAGMA "+p.name)
		if err != nil {
			return fmt.Errorf("read %s: %w", p.name, err)
		}
		if got != p.want {
			return fmt.Errorf("setting %s is %s instead of %s", p.name, got, p.want)
		}
	}
	return nil
}

// Of several processes that open a new database at once, one changes the journal mode; SQLite refuses the others
// at once, whatever the busy timeout.
const (
	setPatience = 20 * time.Second
	setPause    = 20 * time.Millisecond
)

// set makes the setting, and tries again while another process is in the way.
func set(ctx context.Context, q driver.QueryerContext, p pragma) error {
	ctx, cancel := context.WithTimeout(ctx, setPatience)
	defer cancel()
	for {
		_, err := value(ctx, q, "PRAGMA "+p.name+" = "+p.set)
		if err == nil || kindOf(err) != oms.Transient {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(setPause):
		}
	}
}

// value runs text and returns the first column of its first row as text, "" when it has no row.
func value(ctx context.Context, q driver.QueryerContext, text string) (got string, err error) {
	rows, err := q.QueryContext(ctx, text, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	dest := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(dest); err != nil || len(dest) == 0 {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return "", err
	}
	return fmt.Sprint(dest[0]), nil
}

// atLeast compares dotted versions.
func atLeast(version, least string) bool {
	v, l := strings.Split(version, "."), strings.Split(least, ".")
	for i, want := range l {
		if i >= len(v) {
			return false
		}
		got, err := strconv.Atoi(v[i])
		need, err2 := strconv.Atoi(want)
		if err != nil || err2 != nil {
			return false
		}
		if got != need {
			return got > need
		}
	}
	return true
}

func sqliteCheck(ctx context.Context, q querier) error {
	text := func(s scanner) (v string, err error) { return v, s.Scan(&v) }
	found, err := query(ctx, q, text, "PRAGMA quick_check(1)")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0] != "ok" {
		return oms.Errorf(oms.Corrupt, "", "the database file is damaged")
	}
	var broken int
	if err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM pragma_foreign_key_check").Scan(&broken); err != nil {
		return err
	}
	if broken > 0 {
		return oms.Errorf(oms.Corrupt, "", "%d rows refer to rows that do not exist", broken)
	}
	return nil
}

func sqliteFlush(writer *sql.DB) error {
	_, err := writer.Exec("PRAGMA wal_checkpoint(TRUNCATE)") //nolint:noctx // closing must not depend on a caller's context
	return err
}

func sqliteScrub(ctx context.Context, writer *sql.DB) (ok bool, err error) {
	conn, err := writer.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil { // readers are not waited for
		return false, err
	}
	var busy, frames, moved int
	scrubErr := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = "+busyTimeout); err != nil {
		drop := func(any) error { return driver.ErrBadConn } // a connection that does not wait must not be used again
		return false, errors.Join(scrubErr, err, conn.Raw(drop))
	}
	return scrubErr == nil && busy == 0, scrubErr
}

// interrupted reports whether a statement ended because its context did.
func interrupted(err error) bool {
	e, ok := errors.AsType[*sqlitedriver.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_INTERRUPT || postgresState(err) == stateCancelled
}

// kindOf classifies an error of the driver.
func kindOf(err error) oms.Kind {
	e, ok := errors.AsType[*sqlitedriver.Error](err)
	if !ok {
		return postgresKind(err)
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return oms.Conflict
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return oms.NotFound // the row that is referred to
	}
	switch e.Code() & 0xff { // without the extension
	case sqlite3.SQLITE_FULL:
		return oms.Full
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return oms.Transient
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return oms.Corrupt
	}
	return oms.Other
}
