package db

import (
	"context"
	"database/sql"
	"strconv"

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
	return db.FindFailures(ctx, id, oms.FailureFilter{After: after, Limit: limit, Before: beforeGen})
}

// FindFailures returns the failures of the task that the filter selects, in byte order.
func (db *DB) FindFailures(ctx context.Context, id int64, f oms.FailureFilter) ([]oms.Failure, error) {
	where, args := whereFailures(id, f)
	args = append(args, max(f.Limit, 0))
	list, err := query(ctx, db.reader, scanFailure, "SELECT "+failureColumns+" FROM failures"+where+
		" ORDER BY object_key LIMIT $"+strconv.Itoa(len(args)), args...)
	return list, wrap(ctx, "read failures", err)
}

// Causes sums up the failures of the task by their codes, the most frequent first; of the filter, prefix and codes
// count. It reads all of them once or twice.
func (db *DB) Causes(ctx context.Context, id int64, f oms.FailureFilter) (causes []oms.Cause, err error) {
	where, args := whereFailures(id, oms.FailureFilter{Prefix: f.Prefix, Codes: f.Codes})
	err = db.read(ctx, "sum up failures", func(tx *sql.Tx) error {
		causes, err = query(ctx, tx, scanCause, `SELECT code, COUNT(*), CAST(SUM(size) AS BIGINT), MIN(failed_at), MAX(failed_at)
FROM failures`+where+" GROUP BY code ORDER BY COUNT(*) DESC, code LIMIT "+strconv.Itoa(oms.MaxCauses), args...)
		if err != nil || len(causes) == 0 {
			return err
		}
		samples, err := query(ctx, tx, scanFailure, "SELECT "+failureColumns+" FROM (SELECT "+failureColumns+
			", ROW_NUMBER() OVER (PARTITION BY code ORDER BY object_key) AS place FROM failures"+where+
			") AS numbered WHERE place <= "+strconv.Itoa(oms.CauseSamples)+" ORDER BY code, object_key", args...)
		for i := range causes {
			for _, s := range samples {
				if s.Code == causes[i].Code {
					causes[i].Samples = append(causes[i].Samples, s)
				}
			}
		}
		return err
	})
	return causes, err
}

// failureColumns are those of scanFailure.
const failureColumns = "task_id, object_key, generation, size, kind, code, message, failed_at"

// whereFailures returns the condition of a filter with its arguments.
func whereFailures(id int64, f oms.FailureFilter) (where string, args []any) {
	args = []any{id}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where += condition + "$" + strconv.Itoa(len(args))
	}
	where = " WHERE task_id = $1"
	add(" AND object_key > ", blob(f.After))
	if f.Prefix != "" {
		add(" AND object_key >= ", blob(f.Prefix))
		if end := afterPrefix(f.Prefix); end != "" {
			add(" AND object_key < ", blob(end))
		}
	}
	if f.Before > 0 {
		add(" AND generation < ", f.Before)
	}
	for i, code := range f.Codes {
		if i == 0 {
			add(" AND (code = ", code)
			continue
		}
		add(" OR code = ", code)
	}
	if len(f.Codes) > 0 {
		where += ")"
	}
	return where, args
}

// afterPrefix returns the first key behind all that start with the prefix; "" when there is none.
func afterPrefix(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if c := prefix[i]; c < 0xff {
			return prefix[:i] + string([]byte{c + 1})
		}
	}
	return ""
}

func scanCause(s scanner) (c oms.Cause, err error) {
	return c, s.Scan(&c.Code, &c.Count, &c.Bytes, &c.First, &c.Last)
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
