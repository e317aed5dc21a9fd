package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// fileName is the database in the data directory.
const fileName = "oms.db"

// readers is the number of connections that read.
const readers = 4

// Options say where the database is.
type Options struct {
	DataDir string           // required for the embedded database; created with mode 0700
	URL     string           // of a PostgreSQL database, see ParseURL; "" is the embedded one in DataDir
	Logger  *slog.Logger     // nil discards
	Clock   func() time.Time // nil means time.Now; the only source of stored instants and lease ages
}

// DB is an open database. All methods are safe for concurrent use. A method that changes something returns nil
// only after the change is committed and synced (rule P6).
type DB struct {
	writer, reader *sql.DB
	dialect        dialect
	place          string // file or URL; never shown, as it may hold a password
	log            *slog.Logger
	clock          func() time.Time
	hot            statements
	packers        sync.Pool // see batch
	group          group
	// wiped is set when secrets were deleted, until the log that may still hold their sealed form is emptied.
	wiped  atomic.Bool
	closed atomic.Bool
}

// Open opens the database in the data directory, creates it if there is none and brings its schema up to date. It
// refuses a database of a newer version and one whose safety settings do not take effect. The caller closes it.
func Open(ctx context.Context, opts Options) (*DB, error) {
	d := sqlite()
	if opts.URL != "" {
		d = postgres()
	}
	return open(ctx, opts, d, migrationFiles())
}

func open(ctx context.Context, opts Options, d dialect, files fs.FS) (*DB, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	db := &DB{dialect: d, log: opts.Logger, clock: opts.Clock, place: opts.URL}
	name := "on PostgreSQL"
	if opts.URL == "" {
		if opts.DataDir == "" {
			return nil, oms.Errorf(oms.Invalid, "", "open database: no data directory")
		}
		path, err := prepareFile(opts.DataDir)
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
		db.place, name = path, path
	}
	if err := db.connect(ctx, files); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", name, err), db.Close())
	}
	return db, nil
}

// Exists reports whether the data directory holds a database.
func Exists(dataDir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dataDir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// prepareFile makes the data directory and an empty database file that only this user may read; SQLite gives its
// log and index the same mode.
func prepareFile(dataDir string) (string, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

func (db *DB) connect(ctx context.Context, files fs.FS) error {
	writer, err := db.dialect.connector(db.place, writing)
	if err != nil {
		return err
	}
	reader, err := db.dialect.connector(db.place, reading)
	if err != nil {
		return err
	}
	db.writer = sql.OpenDB(writer)
	db.writer.SetMaxOpenConns(db.dialect.writers)
	db.writer.SetMaxIdleConns(db.dialect.writers)
	if err := db.writer.PingContext(ctx); err != nil {
		return wrap(ctx, "connect", err)
	}
	if err := db.migrate(ctx, files); err != nil {
		return err
	}
	if db.hot, err = db.prepare(ctx); err != nil {
		return err
	}
	db.wiped.Store(true) // a process that was killed may have left a log
	db.reader = sql.OpenDB(reader)
	db.reader.SetMaxOpenConns(readers)
	db.reader.SetMaxIdleConns(readers)
	return wrap(ctx, "connect", db.reader.PingContext(ctx))
}

// Ready returns nil when the database answers.
func (db *DB) Ready(ctx context.Context) error {
	var version int
	err := db.reader.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations").Scan(&version)
	return wrap(ctx, "check readiness", err)
}

// Check reads the whole database and returns Corrupt when its structure or a reference is broken. It takes time in
// proportion to the size of the database.
func (db *DB) Check(ctx context.Context) error {
	return wrap(ctx, "check database", db.dialect.check(ctx, db.reader))
}

// Close waits for transactions under way, empties the log into the database file and closes it. The DB must not
// be used afterwards; closing it again does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	var errs []error
	if db.reader != nil {
		errs = append(errs, db.reader.Close())
	}
	if db.writer != nil {
		errs = append(errs, db.hot.close(), db.dialect.flush(db.writer), db.writer.Close())
	}
	return errors.Join(errs...)
}

// querier is a database or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// write runs fn in a transaction and commits unless fn fails. SQLite holds the write lock from its beginning; elsewhere
// others write at the same time, fn locks the rows that it decides on, and is called again when the database asks for
// that or the connection was lost before the commit.
func (db *DB) write(ctx context.Context, op string, fn func(tx *sql.Tx) error) error {
	pause := againPause
	for attempt := 1; ; attempt++ {
		err := db.writeOnce(ctx, fn)
		if err == nil || attempt == againLimit || !again(err, attempt) {
			return wrap(ctx, op, err)
		}
		if rest(ctx, pause/2+rand.N(pause)) != nil { // so that those who got in each other's way do not again
			return wrap(ctx, op, err)
		}
		pause *= 2
	}
}

// A transaction is tried so often, with pauses that begin with againPause and double.
const (
	againLimit = 10
	againPause = 5 * time.Millisecond
)

// rest waits, or returns why ctx ended.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeOnce is one attempt. An error of a commit whose outcome was unknown is resolved by asking the database (rule
// P7): a commit that took place after all is none.
func (db *DB) writeOnce(ctx context.Context, fn func(tx *sql.Tx) error) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return refuse(conn, err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := fn(tx); err != nil {
		return refuse(conn, err)
	}
	var ticket sql.NullString
	if db.dialect.ticket != "" {
		if err := tx.QueryRowContext(ctx, db.dialect.ticket).Scan(&ticket); err != nil {
			return refuse(conn, err)
		}
	}
	err = tx.Commit()
	if err == nil || !ticket.Valid {
		return err
	}
	return db.resolve(ctx, ticket.String, err)
}

// read runs fn on one consistent state of the database.
func (db *DB) read(ctx context.Context, op string, fn func(tx *sql.Tx) error) error {
	tx, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.dialect.snapshot})
	if err != nil {
		return wrap(ctx, op, err)
	}
	defer func() { _ = tx.Rollback() }()
	return wrap(ctx, op, fn(tx))
}

// exec runs one statement in a transaction of its own and returns the number of rows it changed.
func (db *DB) exec(ctx context.Context, op, query string, args ...any) (n int64, err error) {
	err = db.write(ctx, op, func(tx *sql.Tx) error {
		n, err = exec(ctx, tx, query, args...)
		return err
	})
	return n, err
}

// exec runs one statement and returns the number of rows it changed.
func exec(ctx context.Context, q querier, query string, args ...any) (int64, error) {
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// scanner is a row or the current row of several.
type scanner interface{ Scan(dest ...any) error }

// query returns all rows of a query.
func query[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

// collect reads and closes rows.
func collect[T any](rows *sql.Rows, scan func(scanner) (T, error)) (list []T, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// now is the instant to store: UTC, whole microseconds.
func (db *DB) now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// micros is the stored form of an instant; the zero instant is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant is the inverse of micros.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// blob is the stored form of a key: never nil, which would be NULL, and never text, which sorts apart.
func blob(key string) []byte { return []byte(key) }
