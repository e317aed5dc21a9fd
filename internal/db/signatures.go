package db

import (
	"context"
	"database/sql"
	"time"
)

// UseSignature records digest until expires and reports true, or reports false when it is recorded already. Of
// several calls with one digest at the same time, exactly one is told true.
func (db *DB) UseSignature(ctx context.Context, digest [32]byte, expires time.Time) (first bool, err error) {
	var n int64
	err = db.grouped(ctx, "use signature", func(ctx context.Context, tx *sql.Tx) (err error) {
		n, err = exec(ctx, tx, "INSERT INTO signatures (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
			digest[:], micros(expires))
		return err
	})
	return n == 1, err
}
