package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const (
	upsertRestore = `INSERT INTO restores (task_id, object_key, size, requests, asked_at, not_before)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (task_id, object_key) DO UPDATE SET size = EXCLUDED.size, requests = EXCLUDED.requests,
    asked_at = EXCLUDED.asked_at, not_before = EXCLUDED.not_before`
	updateRestore = `UPDATE restores SET size = $3, requests = $4, asked_at = $5, not_before = $6
WHERE task_id = $1 AND object_key = $2`
	deleteRestore = "DELETE FROM restores WHERE task_id = $1 AND object_key = $2"
)

// restores stores what a checkpoint changes about the objects that wait.
func (b *batch) restores(ctx context.Context, p oms.Checkpoint) error {
	for i, list := range [][]oms.Restore{p.Restores.Aside, p.Restores.Waits} {
		text := []string{upsertRestore, updateRestore}[i]
		for _, r := range list {
			if err := b.exec(ctx, text, p.TaskID, blob(r.Key), r.Size, r.Requests, micros(r.AskedAt), micros(r.NotBefore)); err != nil {
				return err
			}
		}
	}
	for _, r := range p.Restores.Ended {
		if err := b.exec(ctx, deleteRestore, p.TaskID, blob(r.Key)); err != nil {
			return err
		}
	}
	return nil
}

// RestoreWork returns what is to be done for the archived objects of the task, as owner sees it.
func (db *DB) RestoreWork(ctx context.Context, owner string, id int64, q oms.RestoreQuery) (w oms.RestoreWork, err error) {
	err = db.read(ctx, "read restores", func(tx *sql.Tx) error {
		asked := int64(0)
		if q.Asked {
			asked = 1
		}
		after := micros(q.After.NotBefore)
		w.Due, err = query(ctx, tx, scanRestore, `SELECT object_key, size, requests, asked_at, not_before FROM restores
WHERE task_id = $1 AND not_before <= $2 AND asked_at >= $3
    AND (not_before > $4 OR not_before = $4 AND object_key > $5) ORDER BY not_before, object_key LIMIT $6`,
			id, micros(q.Now), asked, after, blob(q.After.Key), max(q.Limit, 0))
		if err != nil {
			return err
		}
		var next int64
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(CASE WHEN not_before > $2 AND asked_at >= $3 THEN not_before END), 0)
FROM restores WHERE task_id = $1`, id, micros(q.Now), asked).Scan(&w.Left, &next)
		if err != nil {
			return err
		}
		w.Next = instant(next)
		var open, elsewhere int64
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*), COUNT(CASE WHEN owner <> $2 THEN 1 END)
FROM ranges WHERE task_id = $1 AND done = FALSE AND kind <> $3`, id, owner, oms.RangeRestores).Scan(&open, &elsewhere)
		w.Others, w.Elsewhere = open > 0, elsewhere > 0
		return err
	})
	return w, err
}

func scanRestore(s scanner) (r oms.Restore, err error) {
	var asked, notBefore int64
	err = s.Scan(&r.Key, &r.Size, &r.Requests, &asked, &notBefore)
	r.AskedAt, r.NotBefore = instant(asked), instant(notBefore)
	return r, err
}

// keptRestoreDays is for how many days what was asked for is kept.
const keptRestoreDays = 35

// SpendRestore books a restore of size bytes on the project's budget of the day in UTC that now lies in. It reports
// whether there was room; nothing is booked when there was none. What is booked stays booked, whether the store is
// asked or not.
func (db *DB) SpendRestore(ctx context.Context, project string, size int64, budget oms.RestoreBudget, now time.Time) (room bool, err error) {
	day := now.UTC().Unix() / int64(24*time.Hour/time.Second)
	err = db.write(ctx, "book restore", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `INSERT INTO restore_days (project_id, day, requests, bytes) VALUES ($1, $2, 0, 0)
ON CONFLICT (project_id, day) DO NOTHING`, project, day)
		if err != nil {
			return err
		}
		if n > 0 {
			if _, err := exec(ctx, tx, "DELETE FROM restore_days WHERE project_id = $1 AND day < $2", project, day-keptRestoreDays); err != nil {
				return err
			}
		}
		n, err = exec(ctx, tx, `UPDATE restore_days SET requests = requests + 1, bytes = bytes + $3
WHERE project_id = $1 AND day = $2 AND (CAST($4 AS BIGINT) <= 0 OR requests < $4)
    AND (CAST($5 AS BIGINT) <= 0 OR bytes + $3 <= $5 OR requests = 0)`, project, day, size, budget.Requests, budget.Bytes)
		room = n > 0
		return err
	})
	return room && err == nil, err
}
