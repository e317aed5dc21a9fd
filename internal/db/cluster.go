package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Times by which processes share work.
const (
	requestLife = 5 * time.Second // a request for work that is not repeated is forgotten
	shareLife   = 6 * time.Second // a share of a bandwidth limit that is not renewed expires
)

// TakeLead makes owner the one worker that plans and ends the task in the run that the generation names, if it is that or
// nobody living is; taken tells whether it is.
func (db *DB) TakeLead(ctx context.Context, owner string, id, generation int64) (taken bool, err error) {
	err = db.write(ctx, "take the lead of a task", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `UPDATE tasks SET lead_owner = $1 WHERE id = $2 AND generation = $3
    AND (lead_owner IN ('', $1) OR lead_owner NOT IN (SELECT owner FROM workers))`, owner, id, generation)
		taken = n > 0
		if err != nil || !taken {
			return err
		}
		return db.registerWorker(ctx, tx, owner)
	})
	return taken && err == nil, err
}

// LeaveTask says that owner has no run of the task any more: it gives back ranges and the lead, and what it showed and
// asked for is forgotten.
func (db *DB) LeaveTask(ctx context.Context, owner string, id int64) error {
	return db.write(ctx, "leave task", func(tx *sql.Tx) error {
		for _, text := range []string{
			"UPDATE tasks SET lead_owner = '' WHERE id = $1 AND lead_owner = $2",
			"UPDATE ranges SET owner = '' WHERE task_id = $1 AND owner = $2 AND owner <> ''",
			"DELETE FROM run_progress WHERE task_id = $1 AND owner = $2",
			"DELETE FROM bandwidth_shares WHERE task_id = $1 AND owner = $2",
			"DELETE FROM work_requests WHERE task_id = $1 AND owner = $2",
		} {
			if _, err := tx.ExecContext(ctx, text, id, owner); err != nil {
				return err
			}
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeTasks})
	})
}

// TakeDuty makes owner the one worker that has the duty, if it has it already or nobody living has.
func (db *DB) TakeDuty(ctx context.Context, owner, name string) (taken bool, err error) {
	var has string
	err = db.reader.QueryRowContext(ctx, "SELECT owner FROM duties WHERE name = $1 AND owner IN (SELECT owner FROM workers)", name).Scan(&has)
	if err == nil {
		return has == owner, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return false, wrap(ctx, "look for a duty", err)
	}
	err = db.write(ctx, "take a duty", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `INSERT INTO duties (name, owner) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET owner = EXCLUDED.owner
WHERE duties.owner NOT IN (SELECT owner FROM workers)`, name, owner)
		taken = n > 0
		if err != nil || !taken {
			return err
		}
		return db.registerWorker(ctx, tx, owner)
	})
	return taken && err == nil, err
}

// NextBlock returns a number that no other call for the task got: the ranges that one job cuts off are numbered within it.
func (db *DB) NextBlock(ctx context.Context, id int64) (block int64, err error) {
	err = db.write(ctx, "number ranges", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "UPDATE tasks SET seq_blocks = seq_blocks + 1 WHERE id = $1 RETURNING seq_blocks", id).Scan(&block)
	})
	return block, err
}

// AskWork asks those who hold ranges of the task for some. It is repeated while there is nothing to do.
func (db *DB) AskWork(ctx context.Context, r oms.WorkRequest) error {
	return db.write(ctx, "ask for work", func(tx *sql.Tx) error {
		now, err := db.leaseTime(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO work_requests (task_id, owner, whole, asked_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (task_id, owner) DO UPDATE SET whole = EXCLUDED.whole, asked_at = EXCLUDED.asked_at`, r.TaskID, r.Owner, r.Whole, micros(now))
		if err != nil {
			return err
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeTasks})
	})
}

// WorkRequests returns what others than owner ask for.
func (db *DB) WorkRequests(ctx context.Context, owner string) (list []oms.WorkRequest, err error) {
	err = db.read(ctx, "read requests for work", func(tx *sql.Tx) error {
		now, err := db.leaseTime(ctx, tx)
		if err != nil {
			return err
		}
		scan := func(s scanner) (r oms.WorkRequest, err error) { return r, s.Scan(&r.TaskID, &r.Owner, &r.Whole) }
		list, err = query(ctx, tx, scan, "SELECT task_id, owner, whole FROM work_requests WHERE owner <> $1 AND asked_at > $2 ORDER BY task_id, owner",
			owner, micros(now.Add(-requestLife)))
		return err
	})
	return list, err
}

// GiveRanges gives back ranges that owner holds under their tokens, for those who asked.
func (db *DB) GiveRanges(ctx context.Context, owner string, rs []oms.Range) error {
	return db.write(ctx, "give ranges", func(tx *sql.Tx) error {
		for _, r := range rs {
			_, err := tx.ExecContext(ctx, "UPDATE ranges SET owner = '' WHERE task_id = $1 AND seq = $2 AND owner = $3 AND token = $4 AND owner <> ''",
				r.TaskID, r.Seq, owner, r.Token)
			if err != nil {
				return err
			}
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeTasks})
	})
}

// ShareBandwidth returns what owner may move of the task's limit for the next seconds, in bytes per second, having moved
// rate lately. Shares follow the rates; a worker that moves less than its part leaves the rest to others. The sum of all
// shares in force never exceeds the limit: who comes new gets what the others leave when they renew theirs. 0: nothing
// yet.
func (db *DB) ShareBandwidth(ctx context.Context, owner string, id, limit, rate int64) (share int64, err error) {
	err = db.write(ctx, "share bandwidth", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE tasks SET seq_blocks = seq_blocks WHERE id = $1", id); err != nil { // one at a time
			return err
		}
		now, err := db.leaseTime(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM bandwidth_shares WHERE task_id = $1 AND expires_at <= $2", id, micros(now)); err != nil {
			return err
		}
		var others, taken, moved int64
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*), CAST(COALESCE(SUM(share), 0) AS BIGINT), CAST(COALESCE(SUM(rate), 0) AS BIGINT)
FROM bandwidth_shares WHERE task_id = $1 AND owner <> $2`, id, owner).Scan(&others, &taken, &moved)
		if err != nil {
			return err
		}
		share = max(0, min(fairShare(limit, others, moved, rate), limit-taken))
		_, err = tx.ExecContext(ctx, `INSERT INTO bandwidth_shares (task_id, owner, share, rate, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (task_id, owner) DO UPDATE SET share = EXCLUDED.share, rate = EXCLUDED.rate, expires_at = EXCLUDED.expires_at`,
			id, owner, share, rate, micros(now.Add(shareLife)))
		return err
	})
	return share, err
}

// fairShare is the part of limit of a worker that moves rate beside others that together move moved: half of the limit is
// divided evenly, so that a slow worker can become faster, the other half by what each moves.
func fairShare(limit, others, moved, rate int64) int64 {
	even := float64(limit) / 2 / float64(others+1)
	if moved+rate == 0 {
		return int64(2 * even)
	}
	return int64(even + float64(limit)/2*float64(rate)/float64(moved+rate))
}

// progressStatement stores what a run knows beyond its checkpoints.
const progressStatement = `INSERT INTO run_progress (task_id, owner, generation, found, found_bytes, partial, speed, query_over)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (task_id, owner) DO UPDATE SET generation = EXCLUDED.generation, found = EXCLUDED.found,
    found_bytes = EXCLUDED.found_bytes, partial = EXCLUDED.partial, speed = EXCLUDED.speed, query_over = EXCLUDED.query_over`

func (b *batch) progress(ctx context.Context, list []oms.RunProgress) error {
	for _, p := range list {
		err := b.exec(ctx, progressStatement, p.TaskID, p.Owner, p.Generation, p.Found, p.FoundBytes, p.Partial, p.Speed, p.QueryOver)
		if err != nil {
			return err
		}
	}
	return nil
}

// RunProgress returns the sum of what living workers know of the task beyond its checkpoints.
func (db *DB) RunProgress(ctx context.Context, id, generation int64) (p oms.RunProgress, err error) {
	p = oms.RunProgress{TaskID: id, Generation: generation}
	err = db.reader.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(found), 0) AS BIGINT), CAST(COALESCE(SUM(found_bytes), 0) AS BIGINT),
    CAST(COALESCE(SUM(partial), 0) AS BIGINT), CAST(COALESCE(SUM(speed), 0) AS BIGINT)
FROM run_progress WHERE task_id = $1 AND generation = $2 AND owner IN (SELECT owner FROM workers)`, id, generation).
		Scan(&p.Found, &p.FoundBytes, &p.Partial, &p.Speed)
	return p, wrap(ctx, "read progress", err)
}

// KeepProgress keeps what is shown of a task, objects found, bytes done and that all is listed, from going back when ranges
// change hands or a worker dies that knew of something beyond the checkpoints.
func (db *DB) KeepProgress(ctx context.Context, id, generation int64) error {
	return db.write(ctx, "keep progress", func(tx *sql.Tx) error {
		var found, bytes, shown, partial, workers, listing int64
		err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(r.listed, 0) + COALESCE(p.found, 0) AS BIGINT),
    CAST(COALESCE(r.listed_bytes, 0) + COALESCE(p.found_bytes, 0) AS BIGINT),
    CAST(COALESCE(r.done_bytes, 0) + COALESCE(p.partial, 0) AS BIGINT), CAST(COALESCE(p.partial, 0) AS BIGINT), p.workers,
    (SELECT COUNT(*) FROM ranges u WHERE u.task_id = $1 AND u.done = FALSE AND u.owner NOT IN (
        SELECT q.owner FROM run_progress q WHERE q.task_id = $1 AND q.generation = $2 AND q.query_over = TRUE))
FROM (SELECT SUM(listed) AS listed, SUM(listed_bytes) AS listed_bytes, SUM(migrated_bytes + skipped_bytes) AS done_bytes
    FROM ranges WHERE task_id = $1) r,
    (SELECT SUM(found) AS found, SUM(found_bytes) AS found_bytes, SUM(partial) AS partial,
        COUNT(*) AS workers FROM run_progress WHERE task_id = $1 AND generation = $2) p`,
			id, generation).Scan(&found, &bytes, &shown, &partial, &workers, &listing)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE tasks SET found = CASE WHEN found < $3 AND failed_only = FALSE THEN $3 ELSE found END,
    found_bytes = CASE WHEN found_bytes < $4 AND failed_only = FALSE THEN $4 ELSE found_bytes END,
    shown_bytes = CASE WHEN shown_bytes < $5 THEN $5 ELSE shown_bytes END, query_over = CASE WHEN CAST($9 AS BOOLEAN) THEN TRUE ELSE query_over END
WHERE id = $1 AND generation = $2 AND status IN ($6, $7)
    AND ((found < $3 OR found_bytes < $4) AND failed_only = FALSE OR shown_bytes < $5 AND CAST($8 AS BIGINT) > 0
        OR query_over = FALSE AND CAST($9 AS BOOLEAN))`,
			id, generation, found, bytes, shown, oms.StatusRunning, oms.StatusRetrying, partial, workers > 0 && listing == 0)
		return err
	})
}

// forgetDead removes what dead workers showed.
func forgetDead(ctx context.Context, tx *sql.Tx) error {
	for _, text := range []string{
		"DELETE FROM run_progress WHERE owner NOT IN (SELECT owner FROM workers)",
		"DELETE FROM work_requests WHERE owner NOT IN (SELECT owner FROM workers)",
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// notify wakes the processes that share the database, when the transaction is committed. One that misses it looks by
// itself soon enough.
func (db *DB) notify(ctx context.Context, tx *sql.Tx, w oms.Wake) error {
	if db.dialect.notify == "" {
		return nil
	}
	payload := string(w.Topic)
	if w.ID != "" {
		payload += ":" + w.ID
	}
	_, err := tx.ExecContext(ctx, db.dialect.notify, payload)
	return err
}

// Listen tells what other processes change, until ctx ends. After an interruption everything may have changed. An
// embedded database has nothing to tell.
func (db *DB) Listen(ctx context.Context, changed func(oms.Wake)) {
	if db.dialect.listen == nil {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		err := db.dialect.listen(ctx, db.place, changed)
		if ctx.Err() == nil {
			db.log.DebugContext(ctx, "listening for changes is interrupted", "err", err)
		}
		_ = rest(ctx, listenPause)
	}
}

// listenPause is the time between attempts to listen; meanwhile others are looked after by polling.
const listenPause = time.Second

// KeepSetting stores a value under the name, in place of the one before.
func (db *DB) KeepSetting(ctx context.Context, name, value string) error {
	_, err := db.exec(ctx, "keep setting", "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value",
		name, value)
	return err
}

// Setting returns the value under the name; NotFound when there is none.
func (db *DB) Setting(ctx context.Context, name string) (value string, err error) {
	err = db.reader.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = $1", name).Scan(&value)
	return value, wrap(ctx, "read setting", err)
}
