package db

import (
	"context"
	"database/sql"

	"github.com/openoms/openoms/internal/oms"
)

// upsertFindings adds to the findings of a range.
const upsertFindings = `INSERT INTO range_findings (task_id, seq, filtered, filtered_bytes, absent, absent_bytes, differing,
    differing_bytes, unproved, unproved_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (task_id, seq) DO UPDATE SET filtered = range_findings.filtered + EXCLUDED.filtered,
    filtered_bytes = range_findings.filtered_bytes + EXCLUDED.filtered_bytes,
    absent = range_findings.absent + EXCLUDED.absent, absent_bytes = range_findings.absent_bytes + EXCLUDED.absent_bytes,
    differing = range_findings.differing + EXCLUDED.differing,
    differing_bytes = range_findings.differing_bytes + EXCLUDED.differing_bytes,
    unproved = range_findings.unproved + EXCLUDED.unproved,
    unproved_bytes = range_findings.unproved_bytes + EXCLUDED.unproved_bytes`

// findings stores what a checkpoint found out; most found nothing.
func (b *batch) findings(ctx context.Context, p oms.Checkpoint) error {
	f := p.Delta.Findings
	if f == (oms.Findings{}) {
		return nil
	}
	return b.exec(ctx, upsertFindings, p.TaskID, p.Seq, f.Filtered, f.FilteredBytes, f.Absent, f.AbsentBytes,
		f.Differing, f.DifferingBytes, f.Unproved, f.UnprovedBytes)
}

// rangeFindings are those of one range.
type rangeFindings struct {
	seq int64
	oms.Findings
}

func scanFindings(s scanner) (f rangeFindings, err error) {
	err = s.Scan(&f.seq, &f.Filtered, &f.FilteredBytes, &f.Absent, &f.AbsentBytes, &f.Differing, &f.DifferingBytes,
		&f.Unproved, &f.UnprovedBytes)
	return f, err
}

// findings returns the findings of a task's ranges, in order of seq, those that have any.
func (db *DB) findings(ctx context.Context, id int64) ([]rangeFindings, error) {
	return query(ctx, db.reader, scanFindings, `SELECT seq, filtered, filtered_bytes, absent, absent_bytes, differing,
    differing_bytes, unproved, unproved_bytes FROM range_findings WHERE task_id = $1 ORDER BY seq`, id)
}

// addFindings fills in what the ranges of a task found out.
func (db *DB) addFindings(ctx context.Context, id int64, list []oms.Range) error {
	found, err := db.findings(ctx, id)
	for i := 0; i < len(list) && len(found) > 0; i++ {
		if list[i].Seq == found[0].seq {
			list[i].Counters.Findings, found = found[0].Findings, found[1:]
		}
	}
	return err
}

// sumFindings fills in what the ranges of a task found out; tasks that can find out nothing are not asked.
func (db *DB) sumFindings(ctx context.Context, t *oms.Task) error {
	if t.Spec.Filters == nil && !t.Spec.ReadOnly() {
		return nil
	}
	found, err := db.findings(ctx, t.ID)
	for _, f := range found {
		t.Counters.Findings = t.Counters.Findings.Add(f.Findings)
	}
	return err
}

// forgetFindings are statements that forget what a task found out; each takes its id.
func forgetFindings() []string {
	return []string{"DELETE FROM range_findings WHERE task_id = $1", "DELETE FROM name_conflicts WHERE task_id = $1"}
}

// keepConflicts stores the conflicts of a task in the place of earlier ones.
func keepConflicts(ctx context.Context, tx *sql.Tx, id int64, list []oms.NameConflict) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM name_conflicts WHERE task_id = $1", id); err != nil {
		return err
	}
	for i, c := range list {
		_, err := tx.ExecContext(ctx, `INSERT INTO name_conflicts (task_id, position, reason, object_key, other_key, name)
VALUES ($1, $2, $3, $4, $5, $6)`, id, i, c.Reason, blob(c.Key), blob(c.Other), blob(c.Name))
		if err != nil {
			return err
		}
	}
	return nil
}

// NameConflicts returns the source keys that a task could not name, in order of name; none, and no error, when there are
// none or no such task.
func (db *DB) NameConflicts(ctx context.Context, id int64) ([]oms.NameConflict, error) {
	list, err := query(ctx, db.reader, scanConflict,
		"SELECT reason, object_key, other_key, name FROM name_conflicts WHERE task_id = $1 ORDER BY position", id)
	return list, wrap(ctx, "read name conflicts", err)
}

func scanConflict(s scanner) (c oms.NameConflict, err error) {
	err = s.Scan(&c.Reason, &c.Key, &c.Other, &c.Name)
	return c, err
}
