package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// selectGroups reads groups without what is summed over their tasks; a WHERE clause on g follows.
const selectGroups = `SELECT g.id, g.project_id, g.spec, g.status, g.generation, g.restart, g.error_code, g.error_message,
    g.split_over, g.split_step, g.owner, g.restart_from, g.restart_to, g.gone, g.created_at, g.updated_at, g.started_at, g.run_for,
    (SELECT n.code FROM notices n WHERE n.task_id = 0 AND n.group_id = g.id AND n.generation = g.generation)
FROM task_groups g `

// CreateGroup stores a new group, whose id the caller made, with its sealed credentials and the spans of its split, and
// returns it with times filled. More groups of the project in the last 24 hours than limits allow, deleted ones
// included, are a Conflict with OMS.1037.
func (db *DB) CreateGroup(ctx context.Context, g oms.Group, spans []oms.GroupSpan, limits oms.GroupLimits, sealed map[string][]byte) (oms.Group, error) {
	err := db.write(ctx, "create task group", func(tx *sql.Tx) (err error) {
		now := db.now()
		if err := recordGroupCreation(ctx, tx, g, limits, now); err != nil {
			return err
		}
		g.CreatedAt, g.UpdatedAt = now, now
		if err := insertGroup(ctx, tx, g); err != nil {
			return err
		}
		for _, s := range spans {
			if err := upsertSpan(ctx, tx, g.ID, s); err != nil {
				return err
			}
		}
		if err := insertGroupCredentials(ctx, tx, g.ID, sealed); err != nil {
			return err
		}
		if g, err = findGroup(ctx, tx, g.ProjectID, g.ID); err != nil {
			return err
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeGroups})
	})
	if err != nil {
		return oms.Group{}, err
	}
	return g, nil
}

// recordGroupCreation checks the daily quota, remembers the creation, and forgets what no window needs.
func recordGroupCreation(ctx context.Context, tx *sql.Tx, g oms.Group, limits oms.GroupLimits, now time.Time) error {
	if err := takeTurns(ctx, tx, "task"); err != nil {
		return err
	}
	begin := micros(now.Add(-creationWindow))
	if _, err := tx.ExecContext(ctx, "DELETE FROM group_creations WHERE created_at <= $1", begin); err != nil {
		return err
	}
	var n int
	err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM group_creations WHERE project_id = $1", g.ProjectID).Scan(&n)
	if err != nil {
		return err
	}
	if limits.CreatedPerDay > 0 && n >= limits.CreatedPerDay {
		return oms.Errorf(oms.Conflict, "OMS.1037", "at most %d task groups of a project may be created in 24 hours", limits.CreatedPerDay)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO group_creations (group_id, project_id, created_at) VALUES ($1, $2, $3)",
		g.ID, g.ProjectID, micros(now))
	return err
}

// Group returns one group of the project with the sums over its tasks; project "" is any. An unknown or foreign one is
// NotFound with OMS.1009.
func (db *DB) Group(ctx context.Context, project, id string) (g oms.Group, err error) {
	err = db.read(ctx, "read task group", func(tx *sql.Tx) error {
		g, err = findGroup(ctx, tx, project, id)
		return err
	})
	return g, err
}

// Groups returns a page of the project's groups with the sums over their tasks, newest first, and how many match.
func (db *DB) Groups(ctx context.Context, f oms.GroupFilter) (page []oms.Group, total int64, err error) {
	where, args := "WHERE g.project_id = $1", []any{f.ProjectID}
	if len(f.Statuses) > 0 {
		where += " AND g.status IN (" + placeholders(len(args), len(f.Statuses)) + ")"
		args = append(args, values(f.Statuses)...)
	}
	err = db.read(ctx, "list task groups", func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM task_groups g "+where, args...).Scan(&total); err != nil {
			return err
		}
		limits := placeholders(len(args), 1) + " OFFSET " + placeholders(len(args)+1, 1)
		page, err = query(ctx, tx, scanGroup, selectGroups+where+" ORDER BY g.created_at DESC, g.id DESC LIMIT "+limits,
			append(args, max(f.Limit, 0), max(f.Offset, 0))...)
		if err != nil {
			return err
		}
		for i := range page {
			if err := sumGroup(ctx, tx, &page[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return page, total, err
}

// PendingGroups returns the groups of all projects that the service itself moves on, the oldest first. Of the sums
// over their tasks only the numbers of tasks are filled.
func (db *DB) PendingGroups(ctx context.Context) (list []oms.Group, err error) {
	pending := slices.DeleteFunc(oms.GroupStatuses(), func(s oms.GroupStatus) bool { return !s.Pending() })
	err = db.read(ctx, "list pending task groups", func(tx *sql.Tx) error {
		list, err = query(ctx, tx, scanGroup, selectGroups+"WHERE g.status IN ("+placeholders(0, len(pending))+
			") ORDER BY g.created_at, g.id", values(pending)...)
		if err != nil {
			return err
		}
		for i := range list {
			if err := countTasks(ctx, tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// ChangeGroup reads the group with the sums over its tasks, lets change decide and stores what it returns, all in one
// transaction. Project, creation time and what is filled by the store never change. An error of change rolls back and
// is returned as it is. change must not call the DB.
func (db *DB) ChangeGroup(ctx context.Context, project, id string, change func(oms.Group) (oms.GroupChange, error)) (g oms.Group, err error) {
	var wiped bool
	err = db.write(ctx, "change task group", func(tx *sql.Tx) error {
		if g, err = db.lockGroup(ctx, tx, project, id); err != nil {
			return err
		}
		before := g.Status
		c, err := change(g)
		if err != nil {
			return callerError{err}
		}
		if err := updateGroup(ctx, tx, id, c.Group); err != nil {
			return err
		}
		if c.Limits {
			if err := limitTasks(ctx, tx, id, c.Group.Spec.Bandwidth, micros(db.now())); err != nil {
				return err
			}
		}
		if wiped, err = storeGroupCredentials(ctx, tx, id, c); err != nil {
			return err
		}
		if g, err = findGroup(ctx, tx, project, id); err != nil {
			return err
		}
		if n, ok := g.Notice(); ok && g.Status != before {
			if err := db.insertNotice(ctx, tx, n); err != nil {
				return err
			}
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeGroups})
	})
	if err != nil {
		return oms.Group{}, err
	}
	if wiped {
		db.scrub(ctx)
	}
	return g, nil
}

// lockGroup is findGroup for a transaction that changes the group.
func (db *DB) lockGroup(ctx context.Context, tx *sql.Tx, project, id string) (oms.Group, error) {
	if lock := db.dialect.forUpdate; lock != "" {
		if _, err := exec(ctx, tx, "SELECT id FROM task_groups WHERE id = $1"+lock, id); err != nil {
			return oms.Group{}, err
		}
	}
	return findGroup(ctx, tx, project, id)
}

// storeGroupCredentials replaces or destroys the credentials as the change says; wiped tells that some were deleted.
func storeGroupCredentials(ctx context.Context, tx *sql.Tx, id string, c oms.GroupChange) (wiped bool, err error) {
	if !c.Wipe && c.Credentials == nil {
		return false, nil
	}
	n, err := exec(ctx, tx, "DELETE FROM group_credentials WHERE group_id = $1", id)
	if err != nil || c.Wipe {
		return n > 0, err
	}
	return n > 0, insertGroupCredentials(ctx, tx, id, c.Credentials)
}

func insertGroupCredentials(ctx context.Context, tx *sql.Tx, id string, sealed map[string][]byte) error {
	for field, text := range sealed {
		_, err := tx.ExecContext(ctx, "INSERT INTO group_credentials (group_id, field, sealed) VALUES ($1, $2, $3)", id, field, text)
		if err != nil {
			return err
		}
	}
	return nil
}

// GroupCredentials returns the sealed credentials of the group by field; NotFound when it has none.
func (db *DB) GroupCredentials(ctx context.Context, id string) (map[string][]byte, error) {
	fields := make(map[string][]byte)
	scan := func(s scanner) (struct{}, error) {
		var field string
		var sealed []byte
		err := s.Scan(&field, &sealed)
		fields[field] = sealed
		return struct{}{}, err
	}
	if _, err := query(ctx, db.reader, scan, "SELECT field, sealed FROM group_credentials WHERE group_id = $1", id); err != nil {
		return nil, wrap(ctx, "read credentials of a task group", err)
	}
	if len(fields) == 0 {
		return nil, &oms.Error{Op: "read credentials of a task group", Key: id, Kind: oms.NotFound}
	}
	return fields, nil
}

// RemoveGroup removes a group that is being deleted and has no tasks any more; a Conflict otherwise.
func (db *DB) RemoveGroup(ctx context.Context, id string) error {
	err := db.write(ctx, "remove task group", func(tx *sql.Tx) error {
		g, err := db.lockGroup(ctx, tx, "", id)
		if err != nil {
			return err
		}
		if g.Status != oms.GroupDeleting || g.Totals.Tasks.All() > 0 {
			return &oms.Error{Op: "remove task group", Key: id, Kind: oms.Conflict, Code: "OMS.1036"}
		}
		if err := forgetNotices(ctx, tx, oms.NoticeRef{GroupID: id}); err != nil {
			return err
		}
		for _, text := range []string{
			"DELETE FROM group_credentials WHERE group_id = $1", "DELETE FROM group_spans WHERE group_id = $1",
			"DELETE FROM task_groups WHERE id = $1",
		} {
			if _, err := tx.ExecContext(ctx, text, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		db.scrub(ctx)
	}
	return err
}

// findGroup returns the group with the sums over its tasks, or OMS.1009.
func findGroup(ctx context.Context, q querier, project, id string) (oms.Group, error) {
	list, err := query(ctx, q, scanGroup, selectGroups+"WHERE g.id = $1 AND ($2 = '' OR g.project_id = $2)", id, project)
	if err != nil {
		return oms.Group{}, err
	}
	if len(list) == 0 {
		return oms.Group{}, noGroup(id)
	}
	return list[0], sumGroup(ctx, q, &list[0])
}

func insertGroup(ctx context.Context, tx *sql.Tx, g oms.Group) error {
	row, err := groupRow(g)
	if err != nil {
		return err
	}
	gone, err := json.Marshal(oms.GroupTotals{})
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO task_groups (id, project_id, created_at, gone, owner, spec, status, generation, restart,
    error_code, error_message, split_over, split_step, restart_from, restart_to, updated_at, started_at, run_for)
VALUES ($1, $2, $3, $4, '', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		append([]any{g.ID, g.ProjectID, micros(g.CreatedAt), string(gone)}, row...)...)
	return err
}

func updateGroup(ctx context.Context, tx *sql.Tx, id string, g oms.Group) error {
	row, err := groupRow(g)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE task_groups SET spec = $2, status = $3, generation = $4, restart = $5, error_code = $6,
    error_message = $7, split_over = $8, split_step = $9, restart_from = $10, restart_to = $11, updated_at = $12, started_at = $13, run_for = $14
WHERE id = $1`, append([]any{id}, row...)...)
	return err
}

// groupRow returns the columns that may change, from spec to run_for.
func groupRow(g oms.Group) ([]any, error) {
	spec, err := encodeSpec(g.Spec)
	if err != nil {
		return nil, err
	}
	var code, message any
	if g.Error != nil {
		code, message = g.Error.Code, g.Error.Message
	}
	return []any{
		spec, g.Status, g.Generation, g.Restart, code, message, g.SplitOver, g.SplitStep, g.RestartFrom, g.RestartTo,
		micros(g.UpdatedAt), micros(g.StartedAt), int64(g.RunFor),
	}, nil
}

func scanGroup(s scanner) (oms.Group, error) {
	var (
		g                         oms.Group
		spec, gone                string
		code, message, notice     sql.NullString
		created, updated, started int64
	)
	err := s.Scan(&g.ID, &g.ProjectID, &spec, &g.Status, &g.Generation, &g.Restart, &code, &message, &g.SplitOver,
		&g.SplitStep, &g.Owner, &g.RestartFrom, &g.RestartTo, &gone, &created, &updated, &started, &g.RunFor, &notice)
	if err != nil {
		return oms.Group{}, err
	}
	if errors.Join(json.Unmarshal([]byte(spec), &g.Spec), json.Unmarshal([]byte(gone), &g.Gone)) != nil {
		return oms.Group{}, &oms.Error{Op: "read task group", Key: g.ID, Kind: oms.Corrupt}
	}
	if code.Valid {
		g.Error = &oms.ErrorReason{Code: code.String, Message: message.String}
	}
	g.CreatedAt, g.UpdatedAt, g.StartedAt = instant(created), instant(updated), instant(started)
	g.NoticeCode = noticeCode(notice)
	return g, nil
}
