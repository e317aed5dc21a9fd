package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Heartbeat tells that the worker lives, and frees the ranges of workers unseen for longer than dead, by the
// clock of the database. A worker that was seen further than dead in the future counts as unseen too, so
// that a clock set back does not keep leases for ever.
func (db *DB) Heartbeat(ctx context.Context, owner string, dead time.Duration) error {
	if owner == "" {
		return oms.Errorf(oms.Invalid, "", "heartbeat: no owner")
	}
	err := db.write(ctx, "heartbeat", func(tx *sql.Tx) error {
		now, err := db.leaseTime(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO workers (owner, last_seen) VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET last_seen = $2",
			owner, micros(now))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM workers WHERE last_seen < $1 OR last_seen > $2", micros(now.Add(-dead)), micros(now.Add(dead)))
		if err != nil {
			return err
		}
		// A range that somebody has locked is freed the next time: a process that was stopped in the middle of a transaction
		// must not hold this one up.
		_, err = tx.ExecContext(ctx, `UPDATE ranges SET owner = '' WHERE owner <> '' AND (task_id, seq) IN (
    SELECT task_id, seq FROM ranges WHERE owner <> '' AND owner NOT IN (SELECT owner FROM workers)`+db.dialect.skipLocked+")")
		if err != nil {
			return err
		}
		if err := forgetDead(ctx, tx); err != nil {
			return err
		}
		return freeDeadGroups(ctx, tx)
	})
	if err == nil {
		db.scrubAgain(ctx)
	}
	return err
}

// leaseTime is the clock that leases age by: that of the database, which several processes share.
func (db *DB) leaseTime(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	if db.dialect.clock == "" {
		return db.now(), nil
	}
	var now int64
	err := tx.QueryRowContext(ctx, db.dialect.clock).Scan(&now)
	return instant(now), err
}

// RemoveWorker frees what the worker holds and forgets it.
func (db *DB) RemoveWorker(ctx context.Context, owner string) error {
	return db.write(ctx, "remove worker", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE ranges SET owner = '' WHERE owner = $1 AND owner <> ''", owner); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM workers WHERE owner = $1", owner); err != nil {
			return err
		}
		return freeDeadGroups(ctx, tx)
	})
}

// registerWorker makes a worker known that has not sent a heartbeat yet, so that its ranges are not taken for
// those of a dead one.
func (db *DB) registerWorker(ctx context.Context, tx *sql.Tx, owner string) error {
	now, err := db.leaseTime(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO workers (owner, last_seen) VALUES ($1, $2) ON CONFLICT (owner) DO NOTHING", owner, micros(now))
	return err
}
