package db

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/openoms/openoms/internal/oms"
)

// maxAssessments is how many assessments of a project are kept: the latest.
const maxAssessments = 100

// KeepAssessment stores a new assessment, or the new state of one. Of too many of a project the oldest are forgotten.
func (db *DB) KeepAssessment(ctx context.Context, a oms.Assessment) error {
	content, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return db.write(ctx, "keep assessment", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO assessments (id, project_id, created_at, ended_at, content)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET ended_at = EXCLUDED.ended_at, content = EXCLUDED.content`,
			a.ID, a.ProjectID, micros(a.CreatedAt), micros(a.EndedAt), string(content))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM assessments WHERE project_id = $1 AND created_at < (
    SELECT COALESCE(MIN(created_at), 0) FROM (SELECT created_at FROM assessments WHERE project_id = $1 ORDER BY created_at DESC LIMIT $2) AS latest)`,
			a.ProjectID, maxAssessments)
		return err
	})
}

// Assessment returns an assessment of the project; oms.NotFound with OMS.1009 when there is none.
func (db *DB) Assessment(ctx context.Context, project, id string) (oms.Assessment, error) {
	list, err := query(ctx, db.reader, scanAssessment, "SELECT content FROM assessments WHERE project_id = $1 AND id = $2", project, id)
	if err != nil {
		return oms.Assessment{}, wrap(ctx, "read assessment", err)
	}
	if len(list) == 0 {
		return oms.Assessment{}, oms.Errorf(oms.NotFound, "OMS.1009", "there is no such assessment")
	}
	return list[0], nil
}

func scanAssessment(s scanner) (a oms.Assessment, err error) {
	var content string
	if err := s.Scan(&content); err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(content), &a); err != nil {
		return a, &oms.Error{Op: "read assessment", Kind: oms.Corrupt}
	}
	return a, nil
}
