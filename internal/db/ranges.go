package db

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/openoms/openoms/internal/oms"
)

// rangeColumns are those of scanRange.
const rangeColumns = `task_id, seq, generation, kind, prefix, start_key, cur_key, end_key, done, owner, token,
    listed, migrated, failed, skipped, listed_bytes, migrated_bytes, failed_bytes, skipped_bytes, moved_bytes`

// ClaimRanges leases at most limit unfinished free ranges of the task to owner, the lowest first: each gets token
// + 1 and the task's generation. No ranges, and no error, when there are none or no such task.
func (db *DB) ClaimRanges(ctx context.Context, owner string, id int64, limit int) (list []oms.Range, err error) {
	if owner == "" {
		return nil, oms.Errorf(oms.Invalid, "", "claim ranges: no owner")
	}
	err = db.write(ctx, "claim ranges", func(tx *sql.Tx) error {
		list, err = query(ctx, tx, scanRange, `WITH free AS MATERIALIZED (
    SELECT seq FROM ranges WHERE task_id = $2 AND done = FALSE AND owner = '' ORDER BY seq LIMIT $3`+db.dialect.skipLocked+`)
UPDATE ranges SET owner = $1, token = token + 1, generation = (SELECT generation FROM tasks WHERE id = $2)
WHERE task_id = $2 AND seq IN (SELECT seq FROM free)
RETURNING `+rangeColumns, owner, id, max(limit, 0))
		if err != nil || len(list) == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE run_progress SET query_over = FALSE WHERE task_id = $1 AND owner = $2", id, owner) // until its run says so again
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM work_requests WHERE task_id = $1 AND owner = $2", id, owner); err != nil {
			return err
		}
		return db.registerWorker(ctx, tx, owner)
	})
	slices.SortFunc(list, func(a, b oms.Range) int { return cmp.Compare(a.Seq, b.Seq) })
	return list, err
}

// Ranges returns all ranges of the task in order of Seq.
func (db *DB) Ranges(ctx context.Context, id int64) ([]oms.Range, error) {
	list, err := query(ctx, db.reader, scanRange, "SELECT "+rangeColumns+" FROM ranges WHERE task_id = $1 ORDER BY seq", id)
	if err == nil {
		err = db.addFindings(ctx, id, list)
	}
	return list, wrap(ctx, "read ranges", err)
}

// ReleaseRanges gives back all ranges of the task that owner holds.
func (db *DB) ReleaseRanges(ctx context.Context, owner string, id int64) error {
	_, err := db.exec(ctx, "release ranges", "UPDATE ranges SET owner = '' WHERE task_id = $1 AND owner = $2 AND owner <> ''", id, owner)
	return err
}

// ReleaseAll frees the ranges of all workers and forgets the workers. Only for a process that holds the [Lock] of
// the data directory when it starts: then whoever held a lease is gone.
func (db *DB) ReleaseAll(ctx context.Context) error {
	return db.write(ctx, "release all ranges", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE ranges SET owner = '' WHERE owner <> ''"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM workers"); err != nil {
			return err
		}
		return freeDeadGroups(ctx, tx)
	})
}

// insertRange stores a new range; a leased one makes its owner known.
func (db *DB) insertRange(ctx context.Context, tx *sql.Tx, r oms.Range) error {
	c := r.Counters
	_, err := tx.ExecContext(ctx, "INSERT INTO ranges ("+rangeColumns+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		r.TaskID, r.Seq, r.Generation, r.Kind, blob(r.Prefix), blob(r.Start), blob(r.Cur), blob(r.End), r.Done, r.Owner, r.Token,
		c.Listed, c.Migrated, c.Failed, c.Skipped, c.ListedBytes, c.MigratedBytes, c.FailedBytes, c.SkippedBytes, c.MovedBytes)
	if err != nil || r.Owner == "" {
		return err
	}
	return db.registerWorker(ctx, tx, r.Owner)
}

func scanRange(s scanner) (r oms.Range, err error) {
	c := &r.Counters
	err = s.Scan(&r.TaskID, &r.Seq, &r.Generation, &r.Kind, &r.Prefix, &r.Start, &r.Cur, &r.End, &r.Done, &r.Owner, &r.Token,
		&c.Listed, &c.Migrated, &c.Failed, &c.Skipped, &c.ListedBytes, &c.MigratedBytes, &c.FailedBytes, &c.SkippedBytes, &c.MovedBytes)
	return r, err
}
