package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// selectSchedules reads schedules; a WHERE clause on s follows.
const selectSchedules = `SELECT s.project_id, s.name, s.description, s.cron, s.zone, s.template, s.enabled, s.revision, s.next_due,
    s.planned_at, s.last_task, COALESCE(t.status, 0), s.created_at, s.updated_at
FROM schedules s LEFT JOIN tasks t ON t.id = s.last_task `

// KeepSchedule stores a schedule, in the place of one of that name, whose history stays. What is due stays as well when
// expression, zone and Enabled do: NextDue and PlannedAt are then not looked at. More than oms.MaxSchedules of a project are
// a Conflict.
func (db *DB) KeepSchedule(ctx context.Context, s oms.Schedule) error {
	return db.write(ctx, "keep schedule", func(tx *sql.Tx) error {
		now := micros(db.now())
		n, err := exec(ctx, tx, `UPDATE schedules SET description = $3, template = $6, updated_at = $10, revision = revision + 1,
    next_due = CASE WHEN cron = $4 AND zone = $5 AND enabled = $7 THEN next_due ELSE $8 END,
    planned_at = CASE WHEN cron = $4 AND zone = $5 AND enabled = $7 THEN planned_at ELSE $9 END,
    cron = $4, zone = $5, enabled = $7
WHERE project_id = $1 AND name = $2`, s.ProjectID, s.Name, s.Description, s.Cron, s.Zone, s.Template, s.Enabled,
			micros(s.NextDue), micros(s.PlannedAt), now)
		if err != nil || n > 0 {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM schedules WHERE project_id = $1", s.ProjectID).Scan(&others); err != nil {
			return err
		}
		if others >= oms.MaxSchedules {
			return oms.Errorf(oms.Conflict, "OMS.1003", "at most %d schedules of a project may exist", oms.MaxSchedules)
		}
		// A revision that starts with the clock is none of an earlier schedule of that name.
		_, err = tx.ExecContext(ctx, `INSERT INTO schedules (project_id, name, description, cron, zone, template, enabled, next_due,
    planned_at, last_task, revision, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $10, $10)`,
			s.ProjectID, s.Name, s.Description, s.Cron, s.Zone, s.Template, s.Enabled, micros(s.NextDue), micros(s.PlannedAt), now)
		return err
	})
}

// Schedules returns the schedules of the project in order of name, without their history.
func (db *DB) Schedules(ctx context.Context, project string) ([]oms.Schedule, error) {
	list, err := query(ctx, db.reader, scanSchedule, selectSchedules+"WHERE s.project_id = $1 ORDER BY s.name", project)
	return list, wrap(ctx, "list schedules", err)
}

// Schedule returns one with its history; NotFound with OMS.1009 when the project has none of the name.
func (db *DB) Schedule(ctx context.Context, project, name string) (s oms.Schedule, err error) {
	err = db.read(ctx, "read schedule", func(tx *sql.Tx) error {
		list, err := query(ctx, tx, scanSchedule, selectSchedules+"WHERE s.project_id = $1 AND s.name = $2", project, name)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return noSchedule()
		}
		s = list[0]
		s.Firings, err = query(ctx, tx, scanFiring, `SELECT due, fired_at, outcome, task_id, code, reason FROM schedule_firings
WHERE project_id = $1 AND name = $2 ORDER BY due DESC`, project, name)
		return err
	})
	return s, err
}

// DeleteSchedule removes a schedule with its history; NotFound with OMS.1009 when there is none.
func (db *DB) DeleteSchedule(ctx context.Context, project, name string) error {
	return db.write(ctx, "delete schedule", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "DELETE FROM schedules WHERE project_id = $1 AND name = $2", project, name)
		if err == nil && n == 0 {
			err = noSchedule()
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM schedule_firings WHERE project_id = $1 AND name = $2", project, name)
		return err
	})
}

// DueSchedules returns up to limit schedules of all projects that are due at now, and those that were planned later than
// ahead, by a clock that was wrong.
func (db *DB) DueSchedules(ctx context.Context, now, ahead time.Time, limit int) ([]oms.Schedule, error) {
	list, err := query(ctx, db.reader, scanSchedule, selectSchedules+`WHERE s.next_due > 0 AND (s.next_due <= $1 OR s.planned_at > $2)
ORDER BY s.next_due, s.project_id, s.name LIMIT $3`, micros(now), micros(ahead), limit)
	return list, wrap(ctx, "list schedules that are due", err)
}

// FireSchedule stores what becomes of a due time and when the schedule is due next (NextDue, PlannedAt), all or nothing; s
// has the revision that was read, else it is a Conflict. With create a task is created in the same transaction, unless the
// one before still waits or runs, which makes the firing skipped. A due time that is in the history is not fired again. An
// outcome of "" only changes when the schedule is due. It returns the firing as it is stored.
func (db *DB) FireSchedule(ctx context.Context, s oms.Schedule, f oms.Firing, create *oms.TaskCreation) (oms.Firing, error) {
	var stored oms.Firing
	err := db.write(ctx, "fire schedule", func(tx *sql.Tx) error {
		stored = f
		n, err := exec(ctx, tx, `UPDATE schedules SET next_due = $1, planned_at = $2, revision = revision + 1
WHERE project_id = $3 AND name = $4 AND revision = $5`, micros(s.NextDue), micros(s.PlannedAt), s.ProjectID, s.Name, s.Revision)
		if err != nil || f.Outcome == "" {
			return err
		}
		if n == 0 {
			return oms.Errorf(oms.Conflict, "", "the schedule has changed")
		}
		known, err := query(ctx, tx, scanFiring, `SELECT due, fired_at, outcome, task_id, code, reason FROM schedule_firings
WHERE project_id = $1 AND name = $2 AND due = $3`, s.ProjectID, s.Name, micros(f.Due))
		if err != nil {
			return err
		}
		if len(known) > 0 {
			stored = known[0]
			return nil
		}
		if create != nil {
			if stored, err = db.createScheduled(ctx, tx, s, stored, *create); err != nil {
				return err
			}
		}
		return recordFiring(ctx, tx, s, stored)
	})
	return stored, err
}

// createScheduled creates the task of a firing, if the one before has ended.
func (db *DB) createScheduled(ctx context.Context, tx *sql.Tx, s oms.Schedule, f oms.Firing, create oms.TaskCreation) (oms.Firing, error) {
	var before oms.Status
	err := tx.QueryRowContext(ctx, `SELECT t.status FROM schedules s JOIN tasks t ON t.id = s.last_task
WHERE s.project_id = $1 AND s.name = $2`, s.ProjectID, s.Name).Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, err
	}
	if before.Unfinished() {
		f.Outcome, f.Reason = oms.FiringSkipped, oms.StillBusy
		return f, nil
	}
	t, err := db.createTask(ctx, tx, create)
	if err != nil {
		return f, err
	}
	f.TaskID = t.ID
	_, err = tx.ExecContext(ctx, "UPDATE schedules SET last_task = $1 WHERE project_id = $2 AND name = $3", t.ID, s.ProjectID, s.Name)
	return f, err
}

// recordFiring adds to the history, of which the latest oms.MaxFirings stay.
func recordFiring(ctx context.Context, tx *sql.Tx, s oms.Schedule, f oms.Firing) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO schedule_firings (project_id, name, due, fired_at, outcome, task_id, code, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, s.ProjectID, s.Name, micros(f.Due), micros(f.At), string(f.Outcome), f.TaskID, f.Code, f.Reason)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM schedule_firings WHERE project_id = $1 AND name = $2 AND due NOT IN (
    SELECT due FROM schedule_firings WHERE project_id = $1 AND name = $2 ORDER BY due DESC LIMIT $3)`, s.ProjectID, s.Name, oms.MaxFirings)
	return err
}

func noSchedule() error {
	return oms.Errorf(oms.NotFound, "OMS.1009", "The schedule does not exist.")
}

func scanSchedule(row scanner) (s oms.Schedule, err error) {
	var due, planned, created, updated int64
	err = row.Scan(&s.ProjectID, &s.Name, &s.Description, &s.Cron, &s.Zone, &s.Template, &s.Enabled, &s.Revision, &due, &planned,
		&s.LastTask, &s.LastStatus, &created, &updated)
	s.NextDue, s.PlannedAt, s.CreatedAt, s.UpdatedAt = instant(due), instant(planned), instant(created), instant(updated)
	return s, err
}

func scanFiring(row scanner) (f oms.Firing, err error) {
	var due, at int64
	err = row.Scan(&due, &at, &f.Outcome, &f.TaskID, &f.Code, &f.Reason)
	f.Due, f.At = instant(due), instant(at)
	return f, err
}
