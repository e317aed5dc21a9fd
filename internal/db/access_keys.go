package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const selectAccessKeys = "SELECT ak, sealed_sk, user_id, project_id, role, status, created_at, revoked_at FROM access_keys "

// AccessKey returns the key with the AK, revoked ones included.
func (db *DB) AccessKey(ctx context.Context, ak string) (oms.AccessKey, error) {
	k, err := scanAccessKey(db.reader.QueryRowContext(ctx, selectAccessKeys+"WHERE ak = $1", ak))
	return k, wrap(ctx, "find access key", err)
}

// AccessKeys returns all keys, revoked ones included, ordered by creation and then by AK.
func (db *DB) AccessKeys(ctx context.Context) ([]oms.AccessKey, error) {
	list, err := query(ctx, db.reader, scanAccessKey, selectAccessKeys+"ORDER BY created_at, ak")
	return list, wrap(ctx, "list access keys", err)
}

// CreateAccessKey stores a new key and makes its user a member of its project, in one transaction; Conflict when
// the AK is taken, NotFound when there is no such user or project.
func (db *DB) CreateAccessKey(ctx context.Context, k oms.AccessKey) error {
	return db.write(ctx, "create access key", func(tx *sql.Tx) error {
		if err := insertMember(ctx, tx, k.ProjectID, k.UserID); err != nil {
			return err
		}
		return insertAccessKey(ctx, tx, k)
	})
}

// RevokeAccessKey sets the key's state to oms.KeyRevoked and its RevokedAt to at, and destroys the sealed SK. A
// key that is revoked already stays as it is.
func (db *DB) RevokeAccessKey(ctx context.Context, ak string, at time.Time) error {
	err := db.write(ctx, "revoke access key", func(tx *sql.Tx) error {
		k, err := scanAccessKey(tx.QueryRowContext(ctx, selectAccessKeys+"WHERE ak = $1"+db.dialect.forUpdate, ak))
		if err != nil || k.Status == oms.KeyRevoked {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE access_keys SET status = $2, revoked_at = $3, sealed_sk = $4 WHERE ak = $1",
			ak, oms.KeyRevoked, micros(at), blob(""))
		return err
	})
	if err == nil {
		db.scrub(ctx)
	}
	return err
}

func insertAccessKey(ctx context.Context, tx *sql.Tx, k oms.AccessKey) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO access_keys (ak, sealed_sk, user_id, project_id, role, status, created_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.AK, append([]byte{}, k.SealedSK...), k.UserID, k.ProjectID, k.Role, k.Status, micros(k.CreatedAt), micros(k.RevokedAt))
	return err
}

func scanAccessKey(s scanner) (k oms.AccessKey, err error) {
	var created, revoked int64
	if err := s.Scan(&k.AK, &k.SealedSK, &k.UserID, &k.ProjectID, &k.Role, &k.Status, &created, &revoked); err != nil {
		return oms.AccessKey{}, err
	}
	if len(k.SealedSK) == 0 {
		k.SealedSK = nil // drivers differ
	}
	k.CreatedAt, k.RevokedAt = instant(created), instant(revoked)
	return k, nil
}
