package db

import (
	"context"
	"database/sql"

	"github.com/openoms/openoms/internal/oms"
)

// Projects returns all projects, ordered by creation and then by id.
func (db *DB) Projects(ctx context.Context) ([]oms.Project, error) {
	list, err := query(ctx, db.reader, scanProject, "SELECT id, name, created_at FROM projects ORDER BY created_at, id")
	return list, wrap(ctx, "list projects", err)
}

// ProjectsOfUser returns the projects that the user is a member of, ordered by creation and then by id.
func (db *DB) ProjectsOfUser(ctx context.Context, userID string) ([]oms.Project, error) {
	list, err := query(ctx, db.reader, scanProject, `SELECT p.id, p.name, p.created_at FROM projects p
JOIN members m ON m.project_id = p.id WHERE m.user_id = $1 ORDER BY p.created_at, p.id`, userID)
	return list, wrap(ctx, "list projects of user", err)
}

// CreateProject stores a new project; Conflict when its id or name is taken.
func (db *DB) CreateProject(ctx context.Context, p oms.Project) error {
	return db.write(ctx, "create project", func(tx *sql.Tx) error { return insertProject(ctx, tx, p) })
}

// AddMember makes the user a member of the project; it does nothing when the user is one already, and is NotFound
// when there is no such project or user.
func (db *DB) AddMember(ctx context.Context, projectID, userID string) error {
	return db.write(ctx, "add member", func(tx *sql.Tx) error { return insertMember(ctx, tx, projectID, userID) })
}

func insertProject(ctx context.Context, tx *sql.Tx, p oms.Project) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3)", p.ID, p.Name, micros(p.CreatedAt))
	return err
}

func insertMember(ctx context.Context, tx *sql.Tx, projectID, userID string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO members (project_id, user_id) VALUES ($1, $2) ON CONFLICT (project_id, user_id) DO NOTHING",
		projectID, userID)
	return err
}

func scanProject(s scanner) (p oms.Project, err error) {
	var created int64
	err = s.Scan(&p.ID, &p.Name, &created)
	p.CreatedAt = instant(created)
	return p, err
}
