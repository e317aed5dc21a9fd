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

// advance gives out the next number under the name, at least least. Others who want one wait until the transaction
// ends.
func advance(ctx context.Context, tx *sql.Tx, name string, least int64) (n int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE sequences SET value = CASE WHEN value + 1 > $2 THEN value + 1 ELSE $2 END
WHERE name = $1 RETURNING value`, name, least).Scan(&n)
	return n, err
}

// takeTurns lets only one transaction at a time go on from here among those that give the name of a sequence: what they
// count or look for is not changed meanwhile.
func takeTurns(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.ExecContext(ctx, "UPDATE sequences SET value = value WHERE name = $1", name)
	return err
}
