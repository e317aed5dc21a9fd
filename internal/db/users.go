package db

import (
	"context"
	"database/sql"

	"github.com/openoms/openoms/internal/oms"
)

const selectUsers = "SELECT id, name, password_hash, role, created_at FROM users "

// Bootstrap stores s in one transaction if there is no user yet, and reports whether it did. Of several processes
// that call it at once on one database, exactly one is told true.
func (db *DB) Bootstrap(ctx context.Context, s oms.Setup) (created bool, err error) {
	err = db.write(ctx, "bootstrap", func(tx *sql.Tx) error {
		created = false
		if err := takeTurns(ctx, tx, "audit"); err != nil {
			return err
		}
		some, err := hasUsers(ctx, tx)
		if err != nil || some {
			return err
		}
		if err := insertUser(ctx, tx, s.User); err != nil {
			return err
		}
		if err := insertProject(ctx, tx, s.Project); err != nil {
			return err
		}
		if err := insertMember(ctx, tx, s.Project.ID, s.User.ID); err != nil {
			return err
		}
		created = true
		return insertAccessKey(ctx, tx, s.Key)
	})
	return created && err == nil, err
}

// HasUsers reports whether there is at least one user.
func (db *DB) HasUsers(ctx context.Context) (bool, error) {
	some, err := hasUsers(ctx, db.reader)
	return some, wrap(ctx, "look for users", err)
}

func hasUsers(ctx context.Context, q querier) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&n)
	return n > 0, err
}

// User returns the user with the id.
func (db *DB) User(ctx context.Context, id string) (oms.User, error) {
	u, err := scanUser(db.reader.QueryRowContext(ctx, selectUsers+"WHERE id = $1", id))
	return u, wrap(ctx, "find user", err)
}

// UserByName returns the user with the name, compared byte by byte.
func (db *DB) UserByName(ctx context.Context, name string) (oms.User, error) {
	u, err := scanUser(db.reader.QueryRowContext(ctx, selectUsers+"WHERE name = $1", name))
	return u, wrap(ctx, "find user", err)
}

// CreateUser stores a new user; Conflict when its id or name is taken.
func (db *DB) CreateUser(ctx context.Context, u oms.User) error {
	return db.write(ctx, "create user", func(tx *sql.Tx) error { return insertUser(ctx, tx, u) })
}

// SetPasswordHash replaces the user's hash and deletes all tokens of the user in the same transaction.
func (db *DB) SetPasswordHash(ctx context.Context, userID, hash string) error {
	return db.write(ctx, "set password", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "UPDATE users SET password_hash = $2 WHERE id = $1", userID, hash)
		if err != nil {
			return err
		}
		if n == 0 {
			return sql.ErrNoRows
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM tokens WHERE user_id = $1", userID)
		return err
	})
}

func insertUser(ctx context.Context, tx *sql.Tx, u oms.User) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO users (id, name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5)",
		u.ID, u.Name, u.PasswordHash, u.Role, micros(u.CreatedAt))
	return err
}

func scanUser(s scanner) (u oms.User, err error) {
	var created int64
	if err := s.Scan(&u.ID, &u.Name, &u.PasswordHash, &u.Role, &created); err != nil {
		return oms.User{}, err
	}
	u.CreatedAt = instant(created)
	return u, nil
}
