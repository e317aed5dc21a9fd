package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// selectTotals sums over the tasks of a group, a row for each state.
const selectTotals = `SELECT t.status, COUNT(*), MAX(t.id),
    CAST(SUM(CASE WHEN t.found > COALESCE(r.listed, 0) THEN t.found ELSE COALESCE(r.listed, 0) END) AS BIGINT),
    CAST(SUM(CASE WHEN t.found_bytes > COALESCE(r.listed_bytes, 0) THEN t.found_bytes ELSE COALESCE(r.listed_bytes, 0) END) AS BIGINT),
    CAST(COALESCE(SUM(r.listed), 0) AS BIGINT), CAST(COALESCE(SUM(r.migrated), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.failed), 0) AS BIGINT), CAST(COALESCE(SUM(r.skipped), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.listed_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(r.migrated_bytes), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.failed_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(r.skipped_bytes), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.moved_bytes), 0) AS BIGINT),
    COUNT(t.list_result), SUM(CASE WHEN t.list_result THEN 1 ELSE 0 END), MAX(t.list_code)
FROM tasks t LEFT JOIN (
    SELECT task_id, SUM(listed) AS listed, SUM(migrated) AS migrated, SUM(failed) AS failed, SUM(skipped) AS skipped,
        SUM(listed_bytes) AS listed_bytes, SUM(migrated_bytes) AS migrated_bytes, SUM(failed_bytes) AS failed_bytes,
        SUM(skipped_bytes) AS skipped_bytes, SUM(moved_bytes) AS moved_bytes
    FROM ranges WHERE task_id IN (SELECT id FROM tasks WHERE group_id = $1 AND group_id <> '') GROUP BY task_id
) r ON r.task_id = t.id
WHERE t.group_id = $1 AND t.group_id <> '' GROUP BY t.status`

// stateTotals is a row of selectTotals.
type stateTotals struct {
	status        oms.Status
	tasks         int64
	last          int64
	totals        oms.GroupTotals
	lists, usable int64 // failed lists that were written, and those fit for a retry
	listCode      string
}

func scanTotals(s scanner) (r stateTotals, err error) {
	c := &r.totals.Counters
	err = s.Scan(&r.status, &r.tasks, &r.last, &r.totals.Found, &r.totals.FoundBytes, &c.Listed, &c.Migrated, &c.Failed, &c.Skipped,
		&c.ListedBytes, &c.MigratedBytes, &c.FailedBytes, &c.SkippedBytes, &c.MovedBytes, &r.lists, &r.usable, &r.listCode)
	return r, err
}

// sumGroup fills what is summed over the tasks and the spans of g.
func sumGroup(ctx context.Context, q querier, g *oms.Group) error {
	rows, err := query(ctx, q, scanTotals, selectTotals, g.ID)
	if err != nil {
		return err
	}
	for _, r := range rows {
		g.Totals.Tasks.Count(r.status, r.tasks)
		g.Totals = addTotals(g.Totals, r.totals)
		g.LastTask = max(g.LastTask, r.last)
		if r.status == oms.StatusFailed && r.lists > 0 {
			usable := r.usable == r.lists
			g.FailedList = oms.FailedList{Result: &usable, Key: "oms/task_group/" + g.ID + "/failed_object_lists/", Code: r.listCode}
		}
	}
	return q.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(objects + tail_objects), 0) AS BIGINT),
    CAST(COALESCE(SUM(bytes + tail_bytes), 0) AS BIGINT) FROM group_spans WHERE group_id = $1`, g.ID).Scan(&g.Open, &g.OpenBytes)
}

// addTotals returns the sum of both, numbers of tasks apart.
func addTotals(a, b oms.GroupTotals) oms.GroupTotals {
	a.Found += b.Found
	a.FoundBytes += b.FoundBytes
	a.Counters = a.Counters.Add(b.Counters)
	return a
}

// countTasks fills the numbers of tasks of g.
func countTasks(ctx context.Context, q querier, g *oms.Group) error {
	scan := func(s scanner) (struct{}, error) {
		var status oms.Status
		var n, last int64
		err := s.Scan(&status, &n, &last)
		g.Totals.Tasks.Count(status, n)
		g.LastTask = max(g.LastTask, last)
		return struct{}{}, err
	}
	_, err := query(ctx, q, scan, "SELECT status, COUNT(*), MAX(id) FROM tasks WHERE group_id = $1 AND group_id <> '' GROUP BY status", g.ID)
	return err
}

// keepHistory adds a task that is being deleted to what its group, if it has one, remembers; lock is a row lock
// for the dialect or "".
func keepHistory(ctx context.Context, tx *sql.Tx, t oms.Task, lock string) error {
	if t.GroupType != oms.GroupGroup {
		return nil
	}
	var text string
	err := tx.QueryRowContext(ctx, "SELECT gone FROM task_groups WHERE id = $1"+lock, t.GroupID).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	var gone oms.GroupTotals
	if err := json.Unmarshal([]byte(text), &gone); err != nil {
		return &oms.Error{Op: "read task group", Key: t.GroupID, Kind: oms.Corrupt}
	}
	gone.Tasks.Count(t.Status, 1)
	gone = addTotals(gone, oms.GroupTotals{
		Found: max(t.Found, t.Counters.Listed), FoundBytes: max(t.FoundBytes, t.Counters.ListedBytes), Counters: t.Counters,
	})
	stored, err := json.Marshal(gone)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE task_groups SET gone = $2 WHERE id = $1", t.GroupID, string(stored))
	return err
}

// limitTasks gives the traffic limits to all tasks of the group that are not finished.
func limitTasks(ctx context.Context, tx *sql.Tx, id string, windows []oms.BandwidthWindow, now int64) error {
	type row struct {
		id   int64
		spec string
	}
	scan := func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.spec) }
	list, err := query(ctx, tx, scan, "SELECT id, spec FROM tasks WHERE group_id = $1 AND group_id <> '' AND status <> $2", id, oms.StatusSucceeded)
	if err != nil {
		return err
	}
	for _, r := range list {
		var spec oms.TaskSpec
		if err := json.Unmarshal([]byte(r.spec), &spec); err != nil {
			return &oms.Error{Op: "read task", Key: strconv.FormatInt(r.id, 10), Kind: oms.Corrupt}
		}
		spec.Bandwidth = windows
		text, err := encodeSpec(spec)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE tasks SET spec = $2, updated_at = $3 WHERE id = $1", r.id, text, now); err != nil {
			return err
		}
	}
	return nil
}

// GroupTasks returns tasks of a group in ascending order of id.
func (db *DB) GroupTasks(ctx context.Context, f oms.GroupTaskQuery) ([]oms.Task, error) {
	args := []any{f.GroupID, f.After, f.UpTo}
	where := "SELECT id FROM tasks WHERE group_id = $1 AND group_id <> '' AND id > $2 AND (CAST($3 AS BIGINT) = 0 OR id <= $3)"
	if len(f.Statuses) > 0 {
		where += " AND status IN (" + placeholders(len(args), len(f.Statuses)) + ")"
		args = append(args, values(f.Statuses)...)
	}
	where += " ORDER BY id LIMIT " + placeholders(len(args), 1)
	list, err := query(ctx, db.reader, scanTask, selectTasks+"WHERE t.id IN ("+where+")"+groupTasks+"ORDER BY t.id",
		append(args, max(f.Limit, 0))...)
	return list, wrap(ctx, "read tasks of a group", err)
}

// GroupReasons returns at most limit different reasons why tasks of the group failed.
func (db *DB) GroupReasons(ctx context.Context, id string, limit int) ([]oms.ErrorReason, error) {
	scan := func(s scanner) (r oms.ErrorReason, err error) { return r, s.Scan(&r.Code, &r.Message) }
	list, err := query(ctx, db.reader, scan, `SELECT COALESCE(error_code, ''), MIN(COALESCE(error_message, '')) FROM tasks
WHERE group_id = $1 AND group_id <> '' AND status = $2 GROUP BY error_code ORDER BY error_code LIMIT $3`, id, oms.StatusFailed, max(limit, 0))
	return list, wrap(ctx, "read reasons of a group", err)
}

// ChangeGroupTasks changes tasks of a group in one transaction, if the group still is in the run that the step names,
// and moves its RestartFrom. A change of nil leaves a task as it is; an error rolls back and is returned as it is.
// change must not call the DB.
func (db *DB) ChangeGroupTasks(ctx context.Context, step oms.GroupStep, change func(oms.Task) (*oms.TaskChange, error)) error {
	var wiped bool
	err := db.write(ctx, "change tasks of a group", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `UPDATE task_groups SET restart_from = CASE WHEN restart_from < $3 THEN $3 ELSE restart_from END
WHERE id = $1 AND generation = $2`, step.GroupID, step.Generation, step.RestartFrom)
		if err != nil {
			return err
		}
		if n == 0 {
			return groupMoved(step.GroupID)
		}
		for _, id := range step.Tasks {
			_, w, err := db.changeTask(ctx, tx, "", id, unlessNil(step.GroupID, change))
			wiped = wiped || w
			if errors.Is(err, oms.NotFound) || errors.Is(err, errLeave) {
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && wiped {
		db.scrub(ctx)
	}
	return err
}

// errLeave ends the change of a task that stays as it is.
var errLeave = errors.New("leave the task")

// unlessNil turns a change of nil into errLeave, and leaves tasks of other groups alone.
func unlessNil(group string, change func(oms.Task) (*oms.TaskChange, error)) func(oms.Task) (oms.TaskChange, error) {
	return func(t oms.Task) (oms.TaskChange, error) {
		if t.GroupID != group || t.GroupType != oms.GroupGroup {
			return oms.TaskChange{}, errLeave
		}
		c, err := change(t)
		switch {
		case err != nil:
			return oms.TaskChange{}, err
		case c == nil:
			return oms.TaskChange{}, errLeave
		}
		return *c, nil
	}
}

// groupMoved says that a group has gone on without the caller.
func groupMoved(id string) error {
	return &oms.Error{Op: "change task group", Key: id, Kind: oms.Conflict, Msg: "the task group has gone on without this run"}
}

// placeholders returns n parameters behind the first taken ones: "$3, $4".
func placeholders(taken, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "$" + strconv.Itoa(taken+i+1)
	}
	return strings.Join(names, ", ")
}

// values returns a list as arguments of a query.
func values[T any](list []T) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}
