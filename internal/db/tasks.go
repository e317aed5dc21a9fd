package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// taskIDStep leaves room for so many tasks with ids of one second: ids are max(last + 1, Unix seconds * step) and
// stay below 10^15 until the year 2286.
const taskIDStep = 100_000

// selectTasks reads tasks with their summed counters; a WHERE clause on t and groupTasks follow.
const selectTasks = `SELECT t.id, t.project_id, t.name, t.group_id, t.group_type, t.spec, t.status, t.generation,
    t.failed_only, t.planned, t.error_code, t.error_message, t.query_over, t.list_result, t.list_key, t.list_code,
    t.epoch, t.created_at, t.updated_at, t.queued_at, t.started_at, t.run_for,
    t.found, t.found_bytes, t.shown_bytes, CAST(COALESCE(SUM(r.listed), 0) AS BIGINT), CAST(COALESCE(SUM(r.migrated), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.failed), 0) AS BIGINT), CAST(COALESCE(SUM(r.skipped), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.listed_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(r.migrated_bytes), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.failed_bytes), 0) AS BIGINT), CAST(COALESCE(SUM(r.skipped_bytes), 0) AS BIGINT),
    CAST(COALESCE(SUM(r.moved_bytes), 0) AS BIGINT),
    (SELECT n.code FROM notices n WHERE n.task_id = t.id AND n.group_id = '' AND n.generation = t.generation),
    COALESCE((SELECT l.code FROM object_lists l WHERE l.task_id = t.id AND l.kind = 'success'), ''),
    COALESCE((SELECT l.code FROM object_lists l WHERE l.task_id = t.id AND l.kind = 'skip'), '')
FROM tasks t LEFT JOIN ranges r ON r.task_id = t.id `

// groupTasks ends every query that begins with selectTasks.
const groupTasks = ` GROUP BY t.id `

// whereFilter selects the tasks of an oms.TaskFilter: $1 project, $2 group or "", $3 status or 0, $4 name or "".
// REPLACE changes a name exactly when the text occurs in it, byte by byte, in every database.
const whereFilter = `WHERE project_id = $1 AND ($2 = '' OR group_id = $2)
    AND (CAST($3 AS SMALLINT) = 0 OR status = CAST($3 AS SMALLINT)) AND ($4 = '' OR REPLACE(name, $4, '') <> name)`

// CreateTask stores a new task with its sealed credentials, which seal makes for the id that is chosen, and
// returns it with ID, Name (when it has none) and times filled. Too many waiting tasks of the project are a
// Conflict with OMS.0077, too many created in the last 24 hours, deleted ones included, one with OMS.1021;
// quota.Running is not looked at. An error of seal is returned as it is.
func (db *DB) CreateTask(ctx context.Context, t oms.Task, quota oms.Quota, seal func(id int64) (map[string][]byte, error)) (created oms.Task, err error) {
	err = db.write(ctx, "create task", func(tx *sql.Tx) (err error) {
		created, err = db.createTask(ctx, tx, oms.TaskCreation{Task: t, Quota: quota, Seal: seal})
		return err
	})
	if err != nil {
		return oms.Task{}, err
	}
	return created, nil
}

// createTask does the work of CreateTask.
func (db *DB) createTask(ctx context.Context, tx *sql.Tx, c oms.TaskCreation) (t oms.Task, err error) {
	t = c.Task
	now := db.now()
	if t.ID, err = nextTaskID(ctx, tx, now); err != nil { // first: it makes others wait until the quota is used
		return oms.Task{}, err
	}
	if err := checkQuota(ctx, tx, t.ProjectID, c.Quota, now); err != nil {
		return oms.Task{}, err
	}
	if t.Name == "" {
		if t.Name, err = freeName(ctx, tx, t, now); err != nil {
			return oms.Task{}, err
		}
	}
	t.CreatedAt, t.UpdatedAt, t.QueuedAt = now, now, now
	if err := insertTask(ctx, tx, t); err != nil {
		return oms.Task{}, err
	}
	if err := recordCreation(ctx, tx, t.ID, t.ProjectID, now); err != nil {
		return oms.Task{}, err
	}
	sealed, err := c.Seal(t.ID)
	if err != nil {
		return oms.Task{}, callerError{err}
	}
	if err := insertCredentials(ctx, tx, t.ID, sealed); err != nil {
		return oms.Task{}, err
	}
	if t, err = findTask(ctx, tx, t.ProjectID, t.ID, ""); err != nil {
		return oms.Task{}, err
	}
	return t, db.notify(ctx, tx, oms.Wake{Topic: oms.WakeTasks})
}

func checkQuota(ctx context.Context, tx *sql.Tx, project string, quota oms.Quota, now time.Time) error {
	if quota.Waiting > 0 {
		var n int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM tasks WHERE status = $1 AND project_id = $2 AND group_type <> $3",
			oms.StatusWaiting, project, oms.GroupGroup).Scan(&n)
		if err != nil {
			return err
		}
		if n >= quota.Waiting {
			return oms.Errorf(oms.Conflict, "OMS.0077", "at most %d tasks of a project may wait", quota.Waiting)
		}
	}
	if quota.CreatedPerDay > 0 {
		n, err := countCreations(ctx, tx, project, now)
		if err != nil {
			return err
		}
		if n >= quota.CreatedPerDay {
			return oms.Errorf(oms.Conflict, "OMS.1021", "at most %d tasks of a project may be created in 24 hours", quota.CreatedPerDay)
		}
	}
	return nil
}

// nextTaskID returns an id that is greater than every one before, those of deleted tasks included, whatever the
// clock does.
func nextTaskID(ctx context.Context, tx *sql.Tx, now time.Time) (int64, error) {
	return advance(ctx, tx, "task", now.Unix()*taskIDStep)
}

// freeName returns "{source bucket}-{destination bucket}-{unix ms}" (OMS v2, 5.5), fit for a path. Object lists
// lie below the name, so two tasks of a project that are created in one millisecond get different ones.
func freeName(ctx context.Context, tx *sql.Tx, t oms.Task, now time.Time) (string, error) {
	src := t.Spec.Src.Bucket
	if src == "" && t.Spec.Src.ListFile != nil {
		src = t.Spec.Src.ListFile.Bucket
	}
	stem := pathSafe(src) + "-" + pathSafe(t.Spec.Dst.Bucket) + "-"
	for ms := now.UnixMilli(); ; ms++ {
		name := stem + strconv.FormatInt(ms, 10)
		var taken int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM tasks WHERE project_id = $1 AND name = $2", t.ProjectID, name).Scan(&taken)
		if err != nil || taken == 0 {
			return name, err
		}
	}
}

// maxNamePart bounds a bucket's share of a task name, so that the whole has at most 255 bytes.
const maxNamePart = 100

// pathSafe replaces all that is not a letter, a digit, "-", "_" or a "." inside by "_".
func pathSafe(s string) string {
	s = s[:min(len(s), maxNamePart)]
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, s)
	if strings.Trim(safe, ".") == "" {
		return strings.Repeat("_", len(safe))
	}
	return safe
}

// Task returns one task of the project with the counters summed over its ranges; project "" is any. An unknown or
// foreign one is NotFound with OMS.1009.
func (db *DB) Task(ctx context.Context, project string, id int64) (oms.Task, error) {
	t, err := findTask(ctx, db.reader, project, id, "")
	if err == nil {
		err = db.sumFindings(ctx, &t)
	}
	return t, wrap(ctx, "read task", err)
}

// Tasks returns a page of the project's tasks, newest first, and how many match in all.
func (db *DB) Tasks(ctx context.Context, f oms.TaskFilter) (page []oms.Task, total int64, err error) {
	err = db.read(ctx, "list tasks", func(tx *sql.Tx) error {
		args := []any{f.ProjectID, f.GroupID, f.Status, f.Name}
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM tasks "+whereFilter, args...).Scan(&total); err != nil {
			return err
		}
		page, err = query(ctx, tx, scanTask, selectTasks+"WHERE t.id IN (SELECT id FROM tasks "+whereFilter+
			" ORDER BY id DESC LIMIT $5 OFFSET $6)"+groupTasks+"ORDER BY t.id DESC", append(args, max(f.Limit, 0), max(f.Offset, 0))...)
		return err
	})
	return page, total, err
}

// mostChanged bounds what ChangedTasks returns.
const mostChanged = 1000

// ChangedTasks returns the tasks of the project that are active or were updated at the instant or later, in order of
// id; of more than 1,000 the newest.
func (db *DB) ChangedTasks(ctx context.Context, project string, since time.Time) ([]oms.Task, error) {
	list, err := query(ctx, db.reader, scanTask, selectTasks+`WHERE t.id IN (SELECT id FROM tasks
    WHERE project_id = $1 AND status IN ($2, $3, $4) UNION SELECT id FROM tasks WHERE project_id = $1 AND updated_at >= $5
    ORDER BY id DESC LIMIT $6)`+groupTasks+"ORDER BY t.id",
		project, oms.StatusRunning, oms.StatusRetrying, oms.StatusPausing, micros(since), mostChanged)
	return list, wrap(ctx, "list changed tasks", err)
}

// expiredAtOnce bounds the tasks that PendingTasks returns because they have waited too long.
const expiredAtOnce = 100

// PendingTasks returns the tasks of all projects that are active, and of those that wait only the ones that may start and
// the ones that have waited too long, by priority, then by QueuedAt. However many tasks wait, few are read; those of a
// project that has reached its bound do not stand before those of others.
func (db *DB) PendingTasks(ctx context.Context, f oms.PendingFilter) ([]oms.Task, error) {
	most := f.Running
	if most <= 0 {
		most = math.MaxInt32
	}
	list, err := query(ctx, db.reader, scanTask, selectTasks+`WHERE t.status IN ($1, $2, $3)
    OR t.id IN (SELECT id FROM tasks WHERE status = $4 AND queued_at < $5 ORDER BY queued_at LIMIT $6)
    OR t.id IN (SELECT w.id FROM (SELECT id, project_id, priority, queued_at,
            ROW_NUMBER() OVER (PARTITION BY project_id ORDER BY priority, queued_at, id) AS place
        FROM tasks WHERE status = $4) AS w
        LEFT JOIN (SELECT project_id, COUNT(*) AS active FROM tasks WHERE status IN ($1, $2, $3) GROUP BY project_id) AS a
            ON a.project_id = w.project_id
        WHERE w.place + COALESCE(a.active, 0) <= $7 ORDER BY w.priority, w.queued_at, w.id LIMIT $8)`+groupTasks+
		"ORDER BY t.priority, t.queued_at, t.id",
		oms.StatusRunning, oms.StatusRetrying, oms.StatusPausing, oms.StatusWaiting, micros(f.Expired), expiredAtOnce, most, max(f.Limit, 0))
	return list, wrap(ctx, "list pending tasks", err)
}

// ChangeTask reads the task, lets change decide and stores what it returns, all in one transaction. ID, project,
// creation time and counters of a task never change. An error of change rolls back and is returned as it is.
// change must not call the DB.
func (db *DB) ChangeTask(ctx context.Context, project string, id int64, change func(oms.Task) (oms.TaskChange, error)) (t oms.Task, err error) {
	var wiped bool
	err = db.write(ctx, "change task", func(tx *sql.Tx) error {
		t, wiped, err = db.changeTask(ctx, tx, project, id, change)
		return err
	})
	if err != nil {
		return oms.Task{}, err
	}
	if wiped {
		db.scrub(ctx)
	}
	return t, nil
}

// ChangeTasks does the same for several tasks, all or nothing: those with the ids, or, with a group, all tasks of
// the group. An id that is given twice is changed once. A group without tasks is NotFound with OMS.1009, as an unknown
// id is.
func (db *DB) ChangeTasks(ctx context.Context, project, group string, ids []int64, change func(oms.Task) (oms.TaskChange, error)) error {
	var wiped bool
	err := db.write(ctx, "change tasks", func(tx *sql.Tx) (err error) {
		if group != "" {
			ids, err = query(ctx, tx, scanInt64, "SELECT id FROM tasks WHERE group_id = $1 AND ($2 = '' OR project_id = $2) ORDER BY id",
				group, project)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				return noGroup(group)
			}
		}
		if err := db.lockTasks(ctx, tx, ids); err != nil {
			return err
		}
		for i, id := range ids {
			if slices.Contains(ids[:i], id) {
				continue
			}
			_, w, err := db.changeTask(ctx, tx, project, id, change)
			if err != nil {
				return err
			}
			wiped = wiped || w
		}
		return nil
	})
	if err == nil && wiped {
		db.scrub(ctx)
	}
	return err
}

// lockTasks locks several tasks in one order, so that changes of the same tasks do not wait for one another in a circle.
func (db *DB) lockTasks(ctx context.Context, tx *sql.Tx, ids []int64) error {
	if db.dialect.forUpdate == "" {
		return nil
	}
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if _, err := exec(ctx, tx, "SELECT id FROM tasks WHERE id = $1"+db.dialect.forUpdate, id); err != nil {
			return err
		}
	}
	return nil
}

// changeTask does the work of ChangeTask; wiped tells that credentials were deleted.
func (db *DB) changeTask(ctx context.Context, tx *sql.Tx, project string, id int64, change func(oms.Task) (oms.TaskChange, error)) (t oms.Task, wiped bool, err error) {
	t, err = findTask(ctx, tx, project, id, db.dialect.forUpdate)
	if err != nil {
		return oms.Task{}, false, err
	}
	before := t.Status
	c, err := change(t)
	if err != nil {
		return oms.Task{}, false, callerError{err}
	}
	if err := updateTask(ctx, tx, id, c.Task); err != nil {
		return oms.Task{}, false, err
	}
	if c.Fresh {
		// Uploads stay: the engine aborts them at the destination first.
		gone := append(append(forgetObjectLists(), forgetFindings()...), "DELETE FROM ranges WHERE task_id = $1", "DELETE FROM failures WHERE task_id = $1",
			"DELETE FROM restores WHERE task_id = $1")
		if err := execAll(ctx, tx, id, gone...); err != nil {
			return oms.Task{}, false, err
		}
	}
	if c.Conflicts != nil {
		if err := keepConflicts(ctx, tx, id, c.Conflicts); err != nil {
			return oms.Task{}, false, err
		}
	}
	for _, r := range c.Ranges {
		r.TaskID = id
		if err := db.insertRange(ctx, tx, r); err != nil {
			return oms.Task{}, false, err
		}
	}
	if c.Wipe || c.Credentials != nil {
		n, err := exec(ctx, tx, "DELETE FROM credentials WHERE task_id = $1", id)
		if err != nil {
			return oms.Task{}, false, err
		}
		wiped = n > 0
	}
	if !c.Wipe {
		if err := insertCredentials(ctx, tx, id, c.Credentials); err != nil {
			return oms.Task{}, false, err
		}
	}
	t, err = findTask(ctx, tx, t.ProjectID, id, "")
	if err != nil {
		return oms.Task{}, false, err
	}
	if n, ok := t.Notice(); ok && t.Status != before {
		if err := db.insertNotice(ctx, tx, n); err != nil {
			return oms.Task{}, false, err
		}
	}
	return t, wiped, db.notify(ctx, tx, oms.Wake{Topic: oms.WakeTasks})
}

// DeleteTask removes the task with its ranges, failures, uploads and credentials if check agrees; an error of
// check is returned as it is. Uploads that are still open at the destination must have been aborted before, since
// their rows and the keys go as well. check must not call the DB.
func (db *DB) DeleteTask(ctx context.Context, project string, id int64, check func(oms.Task) error) error {
	err := db.write(ctx, "delete task", func(tx *sql.Tx) error {
		t, err := findTask(ctx, tx, project, id, db.dialect.forUpdate)
		if err != nil {
			return err
		}
		if err := check(t); err != nil {
			return callerError{err}
		}
		if err := keepHistory(ctx, tx, t, db.dialect.forUpdate); err != nil {
			return err
		}
		if err := forgetNotices(ctx, tx, oms.NoticeRef{TaskID: id}); err != nil {
			return err
		}
		if err := execAll(ctx, tx, id, forgetObjectLists()...); err != nil {
			return err
		}
		if err := execAll(ctx, tx, id, forgetFindings()...); err != nil {
			return err
		}
		return execAll(ctx, tx, id, "DELETE FROM upload_parts WHERE task_id = $1", "DELETE FROM uploads WHERE task_id = $1",
			"DELETE FROM failures WHERE task_id = $1", "DELETE FROM restores WHERE task_id = $1", "DELETE FROM ranges WHERE task_id = $1",
			"DELETE FROM run_progress WHERE task_id = $1", "DELETE FROM bandwidth_shares WHERE task_id = $1",
			"DELETE FROM work_requests WHERE task_id = $1",
			"DELETE FROM credentials WHERE task_id = $1", "DELETE FROM tasks WHERE id = $1")
	})
	if err == nil {
		db.scrub(ctx)
	}
	return err
}

// execAll runs statements on one task.
func execAll(ctx context.Context, tx *sql.Tx, id int64, statements ...string) error {
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}

// findTask returns the task or OMS.1009; lock is a row lock for the dialect or "".
func findTask(ctx context.Context, q querier, project string, id int64, lock string) (oms.Task, error) {
	if lock != "" { // not allowed together with GROUP BY
		if _, err := exec(ctx, q, "SELECT id FROM tasks WHERE id = $1"+lock, id); err != nil {
			return oms.Task{}, err
		}
	}
	list, err := query(ctx, q, scanTask, selectTasks+"WHERE t.id = $1 AND ($2 = '' OR t.project_id = $2)"+groupTasks, id, project)
	if err != nil {
		return oms.Task{}, err
	}
	if len(list) == 0 {
		return oms.Task{}, noTask(id)
	}
	return list[0], nil
}

func insertTask(ctx context.Context, tx *sql.Tx, t oms.Task) error {
	row, err := taskRow(t)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tasks (id, project_id, created_at, name, group_id, group_type, spec, priority, status,
    generation, failed_only, planned, error_code, error_message, query_over, list_result, list_key, list_code, epoch, updated_at,
    queued_at, started_at, run_for, found, found_bytes, shown_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`,
		append([]any{t.ID, t.ProjectID, micros(t.CreatedAt)}, row...)...)
	return err
}

func updateTask(ctx context.Context, tx *sql.Tx, id int64, t oms.Task) error {
	row, err := taskRow(t)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET name = $2, group_id = $3, group_type = $4, spec = $5, priority = $6, status = $7,
    generation = $8, failed_only = $9, planned = $10, error_code = $11, error_message = $12, query_over = $13, list_result = $14,
    list_key = $15, list_code = $16, epoch = $17, updated_at = $18, queued_at = $19, started_at = $20, run_for = $21,
    found = $22, found_bytes = $23, shown_bytes = $24
WHERE id = $1`, append([]any{id}, row...)...)
	return err
}

// taskRow returns the columns that may change, from name to shown_bytes.
func taskRow(t oms.Task) ([]any, error) {
	spec, err := encodeSpec(t.Spec)
	if err != nil {
		return nil, err
	}
	var code, message, result any
	if t.Error != nil {
		code, message = t.Error.Code, t.Error.Message
	}
	if t.FailedList.Result != nil {
		result = *t.FailedList.Result
	}
	var shown int64
	if t.PartialBytes > 0 {
		shown = t.Counters.MigratedBytes + t.Counters.SkippedBytes + t.PartialBytes
	}
	return []any{
		t.Name, t.GroupID, t.GroupType, spec, t.Spec.Priority.Rank(), t.Status, t.Generation, t.FailedOnly,
		t.Planned, code, message, t.QueryOver, result, blob(t.FailedList.Key), t.FailedList.Code,
		micros(t.Epoch), micros(t.UpdatedAt), micros(t.QueuedAt), micros(t.StartedAt), int64(t.RunFor),
		t.Found, t.FoundBytes, shown,
	}, nil
}

// encodeSpec returns the stored form. JSON cannot carry bytes that are not UTF-8: a spec that needs them is
// Unsupported rather than changed (rule D3).
func encodeSpec(s oms.TaskSpec) (string, error) {
	exact := append([]string{s.Src.Bucket, s.Dst.Bucket, s.Dst.SavePrefix}, s.Src.Keys...)
	if s.Src.ListFile != nil {
		exact = append(exact, s.Src.ListFile.Bucket, s.Src.ListFile.Key)
	}
	for _, text := range exact {
		if !utf8.ValidString(text) {
			return "", &oms.Error{Op: "store task", Key: text, Kind: oms.Unsupported, Msg: "a name in the task is not UTF-8"}
		}
	}
	text, err := json.Marshal(s)
	return string(text), err
}

func scanTask(s scanner) (oms.Task, error) {
	var (
		t                                          oms.Task
		spec                                       string
		code, message, notice                      sql.NullString
		result                                     sql.NullBool
		epoch, created, updated, queued, startedAt int64
		shown                                      int64
	)
	c := &t.Counters
	err := s.Scan(&t.ID, &t.ProjectID, &t.Name, &t.GroupID, &t.GroupType, &spec, &t.Status, &t.Generation,
		&t.FailedOnly, &t.Planned, &code, &message, &t.QueryOver, &result, &t.FailedList.Key, &t.FailedList.Code,
		&epoch, &created, &updated, &queued, &startedAt, &t.RunFor, &t.Found, &t.FoundBytes, &shown,
		&c.Listed, &c.Migrated, &c.Failed, &c.Skipped, &c.ListedBytes, &c.MigratedBytes, &c.FailedBytes, &c.SkippedBytes, &c.MovedBytes,
		&notice, &t.SuccessListCode, &t.SkipListCode)
	if err != nil {
		return oms.Task{}, err
	}
	if err := json.Unmarshal([]byte(spec), &t.Spec); err != nil {
		return oms.Task{}, &oms.Error{Op: "read task", Key: strconv.FormatInt(t.ID, 10), Kind: oms.Corrupt}
	}
	if code.Valid {
		t.Error = &oms.ErrorReason{Code: code.String, Message: message.String}
	}
	if result.Valid {
		t.FailedList.Result = &result.Bool
	}
	t.PartialBytes = max(0, shown-c.MigratedBytes-c.SkippedBytes)
	t.Epoch, t.CreatedAt, t.UpdatedAt = instant(epoch), instant(created), instant(updated)
	t.QueuedAt, t.StartedAt = instant(queued), instant(startedAt)
	t.NoticeCode = noticeCode(notice)
	return t, nil
}

func scanInt64(s scanner) (n int64, err error) { return n, s.Scan(&n) }
