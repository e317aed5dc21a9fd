package db

import (
	"context"
	"database/sql"
	"time"
)

// creationWindow is the span of the daily quota.
const creationWindow = 24 * time.Hour

// countCreations returns how many tasks the project created in the window before now.
func countCreations(ctx context.Context, tx *sql.Tx, project string, now time.Time) (n int, err error) {
	err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM task_creations WHERE project_id = $1 AND created_at > $2",
		project, micros(now.Add(-creationWindow))).Scan(&n)
	return n, err
}

// recordCreation remembers that the task was created, and forgets what no window needs.
func recordCreation(ctx context.Context, tx *sql.Tx, id int64, project string, now time.Time) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM task_creations WHERE created_at <= $1", micros(now.Add(-creationWindow)))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO task_creations (task_id, project_id, created_at) VALUES ($1, $2, $3)",
		id, project, micros(now))
	return err
}
