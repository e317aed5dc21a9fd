package db

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"path"
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

// loadMigrations returns the steps in order: migrations/0001_name.sql is version 1, and none is missing.
func loadMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []migration
	for i, name := range names { // Glob sorts
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, oms.Errorf(oms.Other, "", "migration %s is out of order", name)
		}
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
		version, err := db.madeVersion(ctx)
		if err == nil && version < len(steps) {
			version, err = db.makeStep(ctx, steps)
		}
		switch {
		case err != nil:
			return err
		case version > len(steps):
			return oms.Errorf(oms.Unsupported, "", "the database has schema version %d, this program knows %d: use a newer program", version, len(steps))
		case version == len(steps):
			return nil
		}
		db.log.InfoContext(ctx, "database migrated", "version", steps[version].version, "name", steps[version].name)
	}
}

// madeVersion returns the last step made, or 0; it changes nothing, so that a schema that is up to date needs no right to
// make one.
func (db *DB) madeVersion(ctx context.Context) (version int, err error) {
	if db.dialect.hasSchema == "" {
		return 0, nil // whoever opens the file may change it
	}
	var made bool
	if err := db.writer.QueryRowContext(ctx, db.dialect.hasSchema).Scan(&made); err != nil || !made {
		return 0, wrap(ctx, "migrate", err)
	}
	err = db.writer.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations").Scan(&version)
	return version, wrap(ctx, "migrate", err)
}

// makeStep makes the step that is next, if there is one, and returns the version before it.
func (db *DB) makeStep(ctx context.Context, steps []migration) (version int, err error) {
	err = db.write(ctx, "migrate", func(tx *sql.Tx) error {
		if db.dialect.lockSchema != "" {
			if _, err := tx.ExecContext(ctx, db.dialect.lockSchema); err != nil {
				return err
			}
		}
		if version, err = schemaVersion(ctx, tx); err != nil {
			return err
		}
		if version >= len(steps) {
			return nil
		}
		return db.apply(ctx, tx, steps[version])
	})
	return version, err
}

// schemaVersion returns the last step made, 0 in an empty database.
func schemaVersion(ctx context.Context, tx *sql.Tx) (version int, err error) {
	_, err = tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
    version    BIGINT NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    applied_at BIGINT NOT NULL
)`)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_migrations").Scan(&version)
	return version, err
}

func (db *DB) apply(ctx context.Context, tx *sql.Tx, m migration) error {
	if _, err := tx.ExecContext(ctx, db.dialect.types(m.text)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
		m.version, m.name, micros(db.now()))
	return err
}
