package db

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
)

// Credentials returns the sealed credentials of the task by field; NotFound when it has none.
func (db *DB) Credentials(ctx context.Context, id int64) (map[string][]byte, error) {
	type sealedField struct {
		field  string
		sealed []byte
	}
	scan := func(s scanner) (f sealedField, err error) { return f, s.Scan(&f.field, &f.sealed) }
	list, err := query(ctx, db.reader, scan, "SELECT field, sealed FROM credentials WHERE task_id = $1", id)
	if err != nil {
		return nil, wrap(ctx, "read credentials", err)
	}
	if len(list) == 0 {
		return nil, &oms.Error{Op: "read credentials", Key: strconv.FormatInt(id, 10), Kind: oms.NotFound}
	}
	fields := make(map[string][]byte, len(list))
	for _, f := range list {
		fields[f.field] = f.sealed
	}
	return fields, nil
}

// SealedTexts returns at most limit of the sealed texts that are stored: secrets of access keys that are not
// revoked first, then credentials of tasks, of synchronization tasks, of task
// groups and of connections. None means that no stored row needs a master key.
func (db *DB) SealedTexts(ctx context.Context, limit int) ([][]byte, error) {
	scan := func(s scanner) (sealed []byte, err error) { return sealed, s.Scan(&sealed) }
	var list [][]byte
	err := db.read(ctx, "read sealed texts", func(tx *sql.Tx) error {
		keys, err := query(ctx, tx, scan, "SELECT sealed_sk FROM access_keys WHERE status <> $1 ORDER BY ak LIMIT $2", oms.KeyRevoked, limit)
		if err != nil {
			return err
		}
		tasks, err := query(ctx, tx, scan, "SELECT sealed FROM credentials ORDER BY task_id, field LIMIT $1", limit-len(keys))
		if err != nil {
			return err
		}
		list = append(keys, tasks...)
		syncs, err := query(ctx, tx, scan, "SELECT sealed FROM sync_credentials ORDER BY sync_number, field LIMIT $1", limit-len(list))
		if err != nil {
			return err
		}
		list = append(list, syncs...)
		groups, err := query(ctx, tx, scan, "SELECT sealed FROM group_credentials ORDER BY group_id, field LIMIT $1", limit-len(list))
		if err != nil {
			return err
		}
		list = append(list, groups...)
		connections, err := query(ctx, tx, scan, "SELECT sealed FROM connections ORDER BY project_id, name LIMIT $1", limit-len(list))
		list = append(list, connections...)
		return err
	})
	return list, err
}

func insertCredentials(ctx context.Context, tx *sql.Tx, id int64, sealed map[string][]byte) error {
	for field, text := range sealed {
		_, err := tx.ExecContext(ctx, "INSERT INTO credentials (task_id, field, sealed) VALUES ($1, $2, $3)", id, field, text)
		if err != nil {
			return err
		}
	}
	return nil
}

// scrub removes the traces of deleted secrets from the log (rule S4: destroyed within 60 s). The database file
// itself is overwritten by the deletion. What a reader prevents now is done at the next heartbeat; no caller needs
// to know.
func (db *DB) scrub(ctx context.Context) {
	db.wiped.Store(true)
	db.scrubAgain(ctx)
}

// scrubAgain does what an earlier scrub could not.
func (db *DB) scrubAgain(ctx context.Context) {
	if !db.wiped.CompareAndSwap(true, false) {
		return
	}
	ok, err := db.dialect.scrub(ctx, db.writer)
	if err != nil && !oms.Canceled(err) {
		db.log.WarnContext(ctx, "emptying the database log failed; it is tried again", "err", err)
	}
	if !ok {
		db.wiped.Store(true)
	}
}
