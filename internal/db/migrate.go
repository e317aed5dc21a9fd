package db

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migrationFiles returns the numbered steps of the schema.
func migrationFiles() fs.FS { return embedded }

// migration is one step of the schema.
type migration struct {
	version int
	name    string
	text    string
}

// loadMigrations returns the steps in order: migrations/0001_name.sql is version 1. Each has a number of its own.
func loadMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []migration
	last := 0
	for _, name := range names { // Glob sorts
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version <= last {
			return nil, oms.Errorf(oms.Other, "", "migration %s is out of order", name)
		}
		last = version
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{version, strings.TrimSuffix(path.Base(name), ".sql"), string(text)})
	}
	return steps, nil
}

// migrate brings the schema up to date, each step in a transaction of its own. Of several processes that do so at
// once, each step is made by one.
func (db *DB) migrate(ctx context.Context, files fs.FS) error {
	steps, err := loadMigrations(files)
	if err != nil {
		return err
	}
	for {
		made, err := db.madeSteps(ctx)
		if err != nil {
			return err
		}
		next, err := nextStep(steps, made)
		if err != nil || next == nil {
			return err
		}
		done, err := db.makeStep(ctx, steps)
		if err != nil {
			return err
		}
		if done != nil {
			db.log.InfoContext(ctx, "database migrated", "version", done.version, "name", done.name)
		}
	}
}

// nextStep returns the first step that is not made, nil when all are; Unsupported when one is made that this program
// does not know.
func nextStep(steps []migration, made []int64) (next *migration, err error) {
	known := make(map[int64]bool, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		version := int64(steps[i].version)
		known[version] = true
		if !slices.Contains(made, version) {
			next = &steps[i]
		}
	}
	for _, version := range made {
		if !known[version] {
			return nil, oms.Errorf(oms.Unsupported, "", "the database has schema version %d, which this program does not know: use a newer program", version)
		}
	}
	return next, nil
}

// madeSteps returns the steps made. It changes nothing, so that a schema that is up to date needs no right to make one.
func (db *DB) madeSteps(ctx context.Context) ([]int64, error) {
	var exists bool
	if err := db.writer.QueryRowContext(ctx, db.dialect.hasSchema).Scan(&exists); err != nil || !exists {
		return nil, wrap(ctx, "migrate", err)
	}
	made, err := query(ctx, db.writer, scanInt64, selectMade)
	return made, wrap(ctx, "migrate", err)
}

const selectMade = "SELECT version FROM schema_migrations ORDER BY version"

// makeStep makes the next step and returns it, nil when another process was faster.
func (db *DB) makeStep(ctx context.Context, steps []migration) (next *migration, err error) {
	err = db.write(ctx, "migrate", func(tx *sql.Tx) error {
		if db.dialect.lockSchema != "" {
			if _, err := tx.ExecContext(ctx, db.dialect.lockSchema); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
    version    BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    applied_at BIGINT NOT NULL
)`)
		if err != nil {
			return err
		}
		made, err := query(ctx, tx, scanInt64, selectMade)
		if err != nil {
			return err
		}
		if next, err = nextStep(steps, made); err != nil || next == nil {
			return err
		}
		return db.apply(ctx, tx, *next)
	})
	return next, err
}

func (db *DB) apply(ctx context.Context, tx *sql.Tx, m migration) error {
	if _, err := tx.ExecContext(ctx, db.dialect.types(m.text)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
		m.version, m.name, micros(db.now()))
	return err
}
