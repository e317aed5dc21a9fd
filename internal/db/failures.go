package db

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
)

const (
	upsertFailure = `INSERT INTO failures (task_id, object_key, generation, size, kind, code, message, failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (task_id, object_key) DO UPDATE SET generation = EXCLUDED.generation, size = EXCLUDED.size,
    kind = EXCLUDED.kind, code = EXCLUDED.code, message = EXCLUDED.message, failed_at = EXCLUDED.failed_at`
	deleteFailure = "DELETE FROM failures WHERE task_id = $1 AND object_key = $2"
)

// Failures returns at most limit failures of the task after the key, in byte order; beforeGen > 0 limits to those
// of older runs.
func (db *DB) Failures(ctx context.Context, id int64, after string, limit int, beforeGen int64) ([]oms.Failure, error) {
	list, err := query(ctx, db.reader, scanFailure, `SELECT task_id, object_key, generation, size, kind, code, message, failed_at
FROM failures WHERE task_id = $1 AND object_key > $2 AND ($3 <= 0 OR generation < $3) ORDER BY object_key LIMIT $4`,
		id, blob(after), beforeGen, max(limit, 0))
	return list, wrap(ctx, "read failures", err)
}

// CountFailures returns how many failures the task has.
func (db *DB) CountFailures(ctx context.Context, id int64) (n int64, err error) {
	err = db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM failures WHERE task_id = $1", id).Scan(&n)
	return n, wrap(ctx, "count failures", err)
}

func scanFailure(s scanner) (f oms.Failure, err error) {
	err = s.Scan(&f.TaskID, &f.Key, &f.Gen, &f.Size, &f.Kind, &f.Code, &f.Message, &f.At)
	return f, err
}
