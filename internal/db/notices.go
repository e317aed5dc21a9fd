package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// whereNotice selects one message: $1 task, $2 group, $3 generation.
const whereNotice = " WHERE task_id = $1 AND group_id = $2 AND generation = $3"

// insertNotice stores a message that is to be sent at once, in the transaction of the end that it is about. What was
// settled about earlier ends of the same task or group goes.
func (db *DB) insertNotice(ctx context.Context, tx *sql.Tx, n oms.Notice) error {
	content, err := json.Marshal(n.Content)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO notices (task_id, group_id, generation, project_id, content, tries, code, next_at)
VALUES ($1, $2, $3, $4, $5, 0, NULL, $6) ON CONFLICT (task_id, group_id, generation) DO NOTHING`,
		n.TaskID, n.GroupID, n.Generation, n.ProjectID, string(content), micros(db.now()))
	if err != nil {
		return err
	}
	return dropSettled(ctx, tx, n.NoticeRef)
}

// dropSettled deletes settled messages about ends before the latest.
func dropSettled(ctx context.Context, tx *sql.Tx, ref oms.NoticeRef) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM notices WHERE task_id = $1 AND group_id = $2 AND next_at = 0
    AND generation < (SELECT MAX(generation) FROM notices WHERE task_id = $1 AND group_id = $2)`, ref.TaskID, ref.GroupID)
	return err
}

// forgetNotices deletes what was settled about a task or group that is being deleted; what is to be sent still is.
func forgetNotices(ctx context.Context, tx *sql.Tx, ref oms.NoticeRef) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM notices WHERE task_id = $1 AND group_id = $2 AND next_at = 0", ref.TaskID, ref.GroupID)
	return err
}

// ClaimNotices returns at most limit messages whose next attempt is due, and counts the attempt. Nobody else gets them
// for the time of the lease; then, if they are not settled, somebody does.
func (db *DB) ClaimNotices(ctx context.Context, limit int, lease time.Duration) (claimed []oms.Notice, err error) {
	var due int
	err = db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM notices WHERE next_at > 0 AND next_at <= $1", micros(db.now())).Scan(&due)
	if err != nil || due == 0 {
		return nil, wrap(ctx, "look for notices", err)
	}
	err = db.write(ctx, "claim notices", func(tx *sql.Tx) error {
		now, err := db.leaseTime(ctx, tx)
		if err != nil {
			return err
		}
		claimed, err = query(ctx, tx, scanNotice, `SELECT task_id, group_id, generation, project_id, content, tries, COALESCE(code, '')
FROM notices WHERE next_at > 0 AND next_at <= $1 ORDER BY next_at, task_id, group_id, generation LIMIT $2`+db.dialect.skipLocked,
			micros(now), limit)
		if err != nil {
			return err
		}
		for i, n := range claimed {
			_, err := tx.ExecContext(ctx, "UPDATE notices SET tries = tries + 1, next_at = $4"+whereNotice,
				n.TaskID, n.GroupID, n.Generation, micros(now.Add(lease)))
			if err != nil {
				return err
			}
			claimed[i].Tries++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// RetryNotice lets a claimed message be sent again after the pause. code is why the attempt failed; "" leaves what is
// known.
func (db *DB) RetryNotice(ctx context.Context, ref oms.NoticeRef, code string, pause time.Duration) error {
	_, err := db.exec(ctx, "retry notice", "UPDATE notices SET code = COALESCE(NULLIF($4, ''), code), next_at = $5"+whereNotice+" AND next_at > 0",
		ref.TaskID, ref.GroupID, ref.Generation, code, micros(db.now().Add(pause)))
	return err
}

// SettleNotice says that a message was sent, or with a code that it never will be.
func (db *DB) SettleNotice(ctx context.Context, ref oms.NoticeRef, code string) error {
	return db.write(ctx, "settle notice", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notices SET code = $4, next_at = 0"+whereNotice, ref.TaskID, ref.GroupID, ref.Generation, code)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM notices"+whereNotice+` AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = $1)
    AND NOT EXISTS (SELECT 1 FROM task_groups WHERE id = $2)`, ref.TaskID, ref.GroupID, ref.Generation)
		if err != nil {
			return err
		}
		return dropSettled(ctx, tx, ref)
	})
}

func scanNotice(s scanner) (n oms.Notice, err error) {
	var content string
	if err := s.Scan(&n.TaskID, &n.GroupID, &n.Generation, &n.ProjectID, &content, &n.Tries, &n.Code); err != nil {
		return oms.Notice{}, err
	}
	if err := json.Unmarshal([]byte(content), &n.Content); err != nil {
		return oms.Notice{}, &oms.Error{Op: "read notice", Kind: oms.Corrupt}
	}
	return n, nil
}

// noticeCode is the stored outcome as tasks and groups show it.
func noticeCode(code sql.NullString) *string {
	if !code.Valid {
		return nil
	}
	return &code.String
}
