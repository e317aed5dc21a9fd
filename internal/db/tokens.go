package db

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// purgeBatch is the number of expired rows that one transaction deletes.
const purgeBatch = 1000

// SaveToken stores a new token; Conflict when its hash is taken, NotFound when there is no such user or project.
func (db *DB) SaveToken(ctx context.Context, t oms.Token) error {
	_, err := db.exec(ctx, "save token", "INSERT INTO tokens (hash, user_id, project_id, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
		t.Hash[:], t.UserID, t.ProjectID, micros(t.IssuedAt), micros(t.ExpiresAt))
	return err
}

// Token returns the token with the hash, expired ones included until they are purged.
func (db *DB) Token(ctx context.Context, hash [32]byte) (oms.Token, error) {
	t := oms.Token{Hash: hash}
	var issued, expires int64
	err := db.reader.QueryRowContext(ctx, "SELECT user_id, project_id, issued_at, expires_at FROM tokens WHERE hash = $1", hash[:]).
		Scan(&t.UserID, &t.ProjectID, &issued, &expires)
	if err != nil {
		return oms.Token{}, wrap(ctx, "find token", err)
	}
	t.IssuedAt, t.ExpiresAt = instant(issued), instant(expires)
	return t, nil
}

// DeleteToken deletes the token with the hash; it does nothing when there is none.
func (db *DB) DeleteToken(ctx context.Context, hash [32]byte) error {
	_, err := db.exec(ctx, "delete token", "DELETE FROM tokens WHERE hash = $1", hash[:])
	return err
}

// PurgeExpired deletes tokens and used signatures that expired before now, in batches that do not hold other
// writers up.
func (db *DB) PurgeExpired(ctx context.Context, now time.Time) error {
	if err := db.purge(ctx, "DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE expires_at < $1 LIMIT $2)", now); err != nil {
		return err
	}
	return db.purge(ctx, "DELETE FROM signatures WHERE digest IN (SELECT digest FROM signatures WHERE expires_at < $1 LIMIT $2)", now)
}

func (db *DB) purge(ctx context.Context, statement string, now time.Time) error {
	for {
		n, err := db.exec(ctx, "purge expired", statement, micros(now), purgeBatch)
		if err != nil || n < purgeBatch {
			return err
		}
	}
}
