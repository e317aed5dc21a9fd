package db

import (
	"context"
	"database/sql"

	"github.com/openoms/openoms/internal/oms"
)

const connectionColumns = "project_id, name, cloud_type, region, description, created_at, updated_at"

// KeepConnection stores a connection with its sealed credentials, in the place of one of that name. More than
// oms.MaxConnections of a project are a Conflict.
func (db *DB) KeepConnection(ctx context.Context, c oms.Connection, sealed []byte) error {
	replaced := false
	err := db.write(ctx, "keep connection", func(tx *sql.Tx) error {
		var others, same int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(CASE WHEN name <> $2 THEN 1 END), COUNT(CASE WHEN name = $2 THEN 1 END)
FROM connections WHERE project_id = $1`, c.ProjectID, c.Name).Scan(&others, &same)
		if err != nil {
			return err
		}
		if others >= oms.MaxConnections {
			return oms.Errorf(oms.Conflict, "OMS.1003", "at most %d connections of a project may exist", oms.MaxConnections)
		}
		replaced = same > 0
		now := micros(db.now())
		_, err = tx.ExecContext(ctx, `INSERT INTO connections (`+connectionColumns+`, sealed) VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
ON CONFLICT (project_id, name) DO UPDATE SET cloud_type = EXCLUDED.cloud_type, region = EXCLUDED.region,
    description = EXCLUDED.description, updated_at = EXCLUDED.updated_at, sealed = EXCLUDED.sealed`,
			c.ProjectID, c.Name, string(c.CloudType), c.Region, c.Description, now, sealed)
		return err
	})
	if err == nil && replaced {
		db.scrub(ctx)
	}
	return err
}

// Connections returns the connections of the project in order of name.
func (db *DB) Connections(ctx context.Context, project string) ([]oms.Connection, error) {
	list, err := query(ctx, db.reader, scanConnection, "SELECT "+connectionColumns+" FROM connections WHERE project_id = $1 ORDER BY name", project)
	return list, wrap(ctx, "list connections", err)
}

// Connection returns a connection with its sealed credentials; NotFound with OMS.1009 when the project has none of the
// name.
func (db *DB) Connection(ctx context.Context, project, name string) (c oms.Connection, sealed []byte, err error) {
	scan := func(s scanner) (sealed []byte, err error) { return sealed, s.Scan(&sealed) }
	err = db.read(ctx, "read connection", func(tx *sql.Tx) error {
		const where = " FROM connections WHERE project_id = $1 AND name = $2"
		list, err := query(ctx, tx, scanConnection, "SELECT "+connectionColumns+where, project, name)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return noConnection()
		}
		c = list[0]
		texts, err := query(ctx, tx, scan, "SELECT sealed"+where, project, name)
		if err == nil {
			sealed = texts[0]
		}
		return err
	})
	return c, sealed, err
}

// DeleteConnection removes a connection and destroys its credentials; NotFound with OMS.1009 when there is none.
func (db *DB) DeleteConnection(ctx context.Context, project, name string) error {
	n, err := db.exec(ctx, "delete connection", "DELETE FROM connections WHERE project_id = $1 AND name = $2", project, name)
	if err != nil {
		return err
	}
	if n == 0 {
		return noConnection()
	}
	db.scrub(ctx)
	return nil
}

func noConnection() error {
	return oms.Errorf(oms.NotFound, "OMS.1009", "The connection does not exist.")
}

func scanConnection(s scanner) (c oms.Connection, err error) {
	var created, updated int64
	err = s.Scan(&c.ProjectID, &c.Name, &c.CloudType, &c.Region, &c.Description, &created, &updated)
	c.CreatedAt, c.UpdatedAt = instant(created), instant(updated)
	return c, err
}
