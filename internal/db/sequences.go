package db

import (
	"context"
	"database/sql"
)

// sequence returns the last number given out under the name.
func sequence(ctx context.Context, q querier, name string) (n int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT value FROM sequences WHERE name = $1", name).Scan(&n)
	return n, err
}

// setSequence stores the last number given out.
func setSequence(ctx context.Context, tx *sql.Tx, name string, n int64) error {
	_, err := tx.ExecContext(ctx, "UPDATE sequences SET value = $2 WHERE name = $1", name, n)
	return err
}
