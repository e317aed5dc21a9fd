package db

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/openoms/openoms/internal/oms"
)

// syncColumns are those of scanSync.
const syncColumns = `id, number, project_id, spec, status, generation, error_code, error_message, created_at, updated_at,
    started_at, pending`

// CreateSync stores a new synchronization task whose ID, ProjectID, Spec, Status and Generation are given, with its
// sealed credentials, which seal makes for the task as it is stored, and returns it with Number and times filled. A
// project that has quota tasks already (0: no bound) is a Conflict with OMS.0077. An error of seal is returned as it
// is.
func (db *DB) CreateSync(ctx context.Context, t oms.SyncTask, quota int, seal func(oms.SyncTask) (map[string][]byte, error)) (oms.SyncTask, error) {
	err := db.write(ctx, "create synchronization task", func(tx *sql.Tx) (err error) {
		now := db.now()
		if err := takeTurns(ctx, tx, "task"); err != nil {
			return err
		}
		if quota > 0 {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sync_tasks WHERE project_id = $1", t.ProjectID).Scan(&n); err != nil {
				return err
			}
			if n >= quota {
				return oms.Errorf(oms.Conflict, "OMS.0077", "a project may have at most %d synchronization tasks", quota)
			}
		}
		if t.Number, err = nextTaskID(ctx, tx, now); err != nil {
			return err
		}
		t.CreatedAt, t.UpdatedAt, t.StartedAt = now, now, now
		spec, err := encodeSpec(t.Spec)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO sync_tasks (id, number, project_id, spec, status, generation, created_at, updated_at,
    started_at, owner, token, commits, last_seq, pending)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7, '', 0, 0, 0, 0)`, t.ID, t.Number, t.ProjectID, spec, t.Status, t.Generation, micros(now))
		if err != nil {
			return err
		}
		sealed, err := seal(t)
		if err != nil {
			return callerError{err}
		}
		if err := insertSyncCredentials(ctx, tx, t.Number, sealed); err != nil {
			return err
		}
		if t, err = findSync(ctx, tx, t.ProjectID, t.ID, ""); err != nil {
			return err
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeSyncs})
	})
	if err != nil {
		return oms.SyncTask{}, err
	}
	return t, nil
}

// Sync returns one synchronization task of the project; project "" is any. An unknown or foreign one is NotFound with
// OMS.1009.
func (db *DB) Sync(ctx context.Context, project, id string) (oms.SyncTask, error) {
	t, err := findSync(ctx, db.reader, project, id, "")
	return t, wrap(ctx, "read synchronization task", err)
}

// Syncs returns a page of the project's synchronization tasks, newest first, and how many match in all.
func (db *DB) Syncs(ctx context.Context, f oms.SyncFilter) (page []oms.SyncTask, total int64, err error) {
	const where = " FROM sync_tasks WHERE project_id = $1 AND ($2 = '' OR status = $2)"
	err = db.read(ctx, "list synchronization tasks", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*)"+where, f.ProjectID, f.Status).Scan(&total); err != nil {
			return err
		}
		page, err = query(ctx, tx, scanSync, "SELECT "+syncColumns+where+" ORDER BY number DESC LIMIT $3 OFFSET $4",
			f.ProjectID, f.Status, max(f.Limit, 0), max(f.Offset, 0))
		return err
	})
	return page, total, err
}

// RunningSyncs returns the synchronization tasks of all projects that synchronize, oldest first.
func (db *DB) RunningSyncs(ctx context.Context) ([]oms.SyncTask, error) {
	list, err := query(ctx, db.reader, scanSync, "SELECT "+syncColumns+" FROM sync_tasks WHERE status = $1 ORDER BY number", oms.SyncRunning)
	return list, wrap(ctx, "list running synchronization tasks", err)
}

// ChangeSync reads the task, lets change decide and stores what it returns, all in one transaction. ID, number,
// project, creation time and waiting events never change. An error of change rolls back and is returned as it is.
// change must not call the DB.
func (db *DB) ChangeSync(ctx context.Context, project, id string, change func(oms.SyncTask) (oms.SyncChange, error)) (t oms.SyncTask, err error) {
	var wiped bool
	err = db.write(ctx, "change synchronization task", func(tx *sql.Tx) error {
		if t, err = findSync(ctx, tx, project, id, db.dialect.forUpdate); err != nil {
			return err
		}
		c, err := change(t)
		if err != nil {
			return callerError{err}
		}
		if err := updateSync(ctx, tx, t.Number, c.Task); err != nil {
			return err
		}
		if c.Wipe || c.Credentials != nil {
			n, err := exec(ctx, tx, "DELETE FROM sync_credentials WHERE sync_number = $1", t.Number)
			if err != nil {
				return err
			}
			wiped = n > 0
		}
		if !c.Wipe {
			if err := insertSyncCredentials(ctx, tx, t.Number, c.Credentials); err != nil {
				return err
			}
		}
		if t, err = findSync(ctx, tx, project, id, ""); err != nil {
			return err
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeSyncs})
	})
	if err != nil {
		return oms.SyncTask{}, err
	}
	if wiped {
		db.scrub(ctx)
	}
	return t, nil
}

// DeleteSync removes the task with its events, statistics, lists, uploads and credentials if check agrees; an error
// of check is returned as it is. check must not call the DB.
func (db *DB) DeleteSync(ctx context.Context, project, id string, check func(oms.SyncTask) error) error {
	err := db.write(ctx, "delete synchronization task", func(tx *sql.Tx) error {
		t, err := findSync(ctx, tx, project, id, db.dialect.forUpdate)
		if err != nil {
			return err
		}
		if err := check(t); err != nil {
			return callerError{err}
		}
		return execAll(ctx, tx, t.Number, "DELETE FROM sync_upload_parts WHERE sync_number = $1",
			"DELETE FROM sync_uploads WHERE sync_number = $1", "DELETE FROM sync_lists WHERE sync_number = $1",
			"DELETE FROM sync_statistics WHERE sync_number = $1", "DELETE FROM sync_events WHERE sync_number = $1",
			"DELETE FROM sync_credentials WHERE sync_number = $1", "DELETE FROM sync_tasks WHERE number = $1")
	})
	if err == nil {
		db.scrub(ctx)
	}
	return err
}

// SyncCredentials returns the sealed credentials of the task by field; NotFound when it has none.
func (db *DB) SyncCredentials(ctx context.Context, number int64) (map[string][]byte, error) {
	fields := make(map[string][]byte)
	scan := func(s scanner) (struct{}, error) {
		var (
			field  string
			sealed []byte
		)
		err := s.Scan(&field, &sealed)
		fields[field] = sealed
		return struct{}{}, err
	}
	_, err := query(ctx, db.reader, scan, "SELECT field, sealed FROM sync_credentials WHERE sync_number = $1", number)
	if err != nil {
		return nil, wrap(ctx, "read credentials", err)
	}
	if len(fields) == 0 {
		return nil, &oms.Error{Op: "read credentials of a synchronization task", Kind: oms.NotFound}
	}
	return fields, nil
}

// ClaimSync gives the right to apply the events of a running task in the generation to owner, from whoever had it and
// is no living worker any more. held is false when another one has it, or the task is not that any more.
func (db *DB) ClaimSync(ctx context.Context, owner string, number, generation int64) (lease oms.SyncLease, held bool, err error) {
	if owner == "" {
		return oms.SyncLease{}, false, oms.Errorf(oms.Invalid, "", "claim synchronization task: no owner")
	}
	lease = oms.SyncLease{Number: number, Owner: owner}
	err = db.write(ctx, "claim synchronization task", func(tx *sql.Tx) error {
		scan := func(s scanner) (struct{}, error) { return struct{}{}, s.Scan(&lease.Token, &lease.Since) }
		list, err := query(ctx, tx, scan, `UPDATE sync_tasks SET owner = $1, token = token + 1, commits = 0
WHERE number = $2 AND generation = $3 AND status = $4 AND (owner IN ('', $1) OR owner NOT IN (SELECT owner FROM workers))
RETURNING token, last_seq`, owner, number, generation, oms.SyncRunning)
		if err != nil || len(list) == 0 {
			return err
		}
		held = true
		return db.registerWorker(ctx, tx, owner)
	})
	return lease, held && err == nil, err
}

// ReleaseSync gives the lease back; it does nothing when it is lost.
func (db *DB) ReleaseSync(ctx context.Context, l oms.SyncLease) error {
	_, err := db.exec(ctx, "release synchronization task", "UPDATE sync_tasks SET owner = '' WHERE number = $1 AND owner = $2 AND token = $3",
		l.Number, l.Owner, l.Token)
	return err
}

// findSync returns the task or OMS.1009; lock is a row lock for the dialect or "".
func findSync(ctx context.Context, q querier, project, id, lock string) (oms.SyncTask, error) {
	list, err := query(ctx, q, scanSync, "SELECT "+syncColumns+" FROM sync_tasks WHERE id = $1 AND ($2 = '' OR project_id = $2)"+lock, id, project)
	if err != nil {
		return oms.SyncTask{}, err
	}
	if len(list) == 0 {
		return oms.SyncTask{}, noSync(id)
	}
	return list[0], nil
}

// noSync says that the project has no such synchronization task (OMS v2, 8, row 4).
func noSync(id string) error {
	return &oms.Error{Op: "find synchronization task", Key: id, Kind: oms.NotFound, Code: "OMS.1009", Msg: "resource not found"}
}

func updateSync(ctx context.Context, tx *sql.Tx, number int64, t oms.SyncTask) error {
	spec, err := encodeSpec(t.Spec)
	if err != nil {
		return err
	}
	var code, message any
	if t.Error != nil {
		code, message = t.Error.Code, t.Error.Message
	}
	_, err = tx.ExecContext(ctx, `UPDATE sync_tasks SET spec = $2, status = $3, generation = $4, error_code = $5, error_message = $6,
    updated_at = $7, started_at = $8
WHERE number = $1`, number, spec, t.Status, t.Generation, code, message, micros(t.UpdatedAt), micros(t.StartedAt))
	return err
}

func insertSyncCredentials(ctx context.Context, tx *sql.Tx, number int64, sealed map[string][]byte) error {
	for field, text := range sealed {
		_, err := tx.ExecContext(ctx, "INSERT INTO sync_credentials (sync_number, field, sealed) VALUES ($1, $2, $3)", number, field, text)
		if err != nil {
			return err
		}
	}
	return nil
}

func scanSync(s scanner) (oms.SyncTask, error) {
	var (
		t                           oms.SyncTask
		spec                        string
		code, message               sql.NullString
		created, updated, startedAt int64
	)
	err := s.Scan(&t.ID, &t.Number, &t.ProjectID, &spec, &t.Status, &t.Generation, &code, &message, &created, &updated, &startedAt, &t.Pending)
	if err != nil {
		return oms.SyncTask{}, err
	}
	if err := json.Unmarshal([]byte(spec), &t.Spec); err != nil {
		return oms.SyncTask{}, &oms.Error{Op: "read synchronization task", Key: t.ID, Kind: oms.Corrupt}
	}
	if code.Valid {
		t.Error = &oms.ErrorReason{Code: code.String, Message: message.String}
	}
	t.CreatedAt, t.UpdatedAt, t.StartedAt = instant(created), instant(updated), instant(startedAt)
	return t, nil
}
