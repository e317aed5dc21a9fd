package db

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// GroupSpans returns what the split of the group has not turned into tasks yet, in order of Seq.
func (db *DB) GroupSpans(ctx context.Context, id string) ([]oms.GroupSpan, error) {
	scan := func(s scanner) (v oms.GroupSpan, err error) {
		return v, s.Scan(&v.Seq, &v.First, &v.Start, &v.Prefix, &v.Cur, &v.End, &v.Objects, &v.Bytes, &v.Last, &v.UpTo, &v.TailObjects, &v.TailBytes)
	}
	list, err := query(ctx, db.reader, scan, `SELECT seq, first_prefix, start_key, prefix, cur_key, end_key, objects, bytes, last_prefix, up_to_key,
    tail_objects, tail_bytes FROM group_spans WHERE group_id = $1 ORDER BY seq`, id)
	return list, wrap(ctx, "read spans of a task group", err)
}

func upsertSpan(ctx context.Context, tx *sql.Tx, id string, v oms.GroupSpan) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO group_spans (group_id, seq, first_prefix, start_key, prefix, cur_key, end_key, objects, bytes,
    last_prefix, up_to_key, tail_objects, tail_bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (group_id, seq) DO UPDATE SET first_prefix = EXCLUDED.first_prefix, start_key = EXCLUDED.start_key, prefix = EXCLUDED.prefix,
    cur_key = EXCLUDED.cur_key, end_key = EXCLUDED.end_key, objects = EXCLUDED.objects, bytes = EXCLUDED.bytes,
    last_prefix = EXCLUDED.last_prefix, up_to_key = EXCLUDED.up_to_key, tail_objects = EXCLUDED.tail_objects, tail_bytes = EXCLUDED.tail_bytes`,
		id, v.Seq, v.First, blob(v.Start), v.Prefix, blob(v.Cur), blob(v.End), v.Objects, v.Bytes, v.Last, blob(v.UpTo), v.TailObjects, v.TailBytes)
	return err
}

// ClaimGroup makes owner the one who splits the group, if it is in the state of being split, in the run that the
// generation names, and nobody else does; it reports whether it did. A worker that dies loses its groups, see
// [DB.Heartbeat].
func (db *DB) ClaimGroup(ctx context.Context, owner, id string, generation int64) (claimed bool, err error) {
	if owner == "" {
		return false, oms.Errorf(oms.Invalid, "", "claim task group: no owner")
	}
	err = db.write(ctx, "claim task group", func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "UPDATE task_groups SET owner = $1 WHERE id = $2 AND generation = $3 AND status = $4 AND owner IN ('', $1)",
			owner, id, generation, oms.GroupCreating)
		if err != nil || n == 0 {
			return err
		}
		claimed = true
		return db.registerWorker(ctx, tx, owner)
	})
	return claimed && err == nil, err
}

// ReleaseGroup gives the group back, if owner has it.
func (db *DB) ReleaseGroup(ctx context.Context, owner, id string) error {
	_, err := db.exec(ctx, "release task group", "UPDATE task_groups SET owner = '' WHERE id = $1 AND owner = $2", id, owner)
	return err
}

// CommitSplit stores a step of the split of a group in one transaction: spans as they are now and the tasks cut out of
// them, whose credentials seal makes for their ids. It is a Conflict, and nothing is stored, unless the group is being
// split or pauses, in the run and at the step that the commit names: so none is stored twice, and after an error
// [DB.Group] tells by the step whether it was stored (rule P7).
func (db *DB) CommitSplit(ctx context.Context, c oms.SplitCommit, seal func(id int64) (map[string][]byte, error)) error {
	return db.write(ctx, "commit split", func(tx *sql.Tx) error {
		g, err := db.lockGroup(ctx, tx, "", c.GroupID)
		if err != nil {
			return err
		}
		splitting := g.Status == oms.GroupCreating || g.Status == oms.GroupPausing
		if !splitting || g.Generation != c.Generation || g.SplitStep != c.Step || g.SplitOver {
			return groupMoved(c.GroupID)
		}
		for _, seq := range c.Removed {
			if _, err := tx.ExecContext(ctx, "DELETE FROM group_spans WHERE group_id = $1 AND seq = $2", c.GroupID, seq); err != nil {
				return err
			}
		}
		for _, s := range c.Spans {
			if err := upsertSpan(ctx, tx, c.GroupID, s); err != nil {
				return err
			}
		}
		named := db.now()
		for _, p := range c.Pieces {
			if named, err = db.createGroupTask(ctx, tx, g.Task(p), named, seal); err != nil {
				return err
			}
		}
		g.SplitStep++
		if c.Over {
			if g, err = g.Apply(oms.GroupEvent{Type: oms.GroupEventSplit}, db.now()); err != nil {
				return err
			}
		}
		return updateGroup(ctx, tx, c.GroupID, g)
	})
}

// createGroupTask stores a task that the split of its group made, with a name that tells an instant not before named;
// it returns an instant for the next. Quotas of tasks do not count it.
func (db *DB) createGroupTask(ctx context.Context, tx *sql.Tx, t oms.Task, named time.Time, seal func(id int64) (map[string][]byte, error)) (next time.Time, err error) {
	now := db.now()
	if t.ID, err = nextTaskID(ctx, tx, now); err != nil {
		return named, err
	}
	if t.Name, err = freeName(ctx, tx, t, named); err != nil {
		return named, err
	}
	ms, err := strconv.ParseInt(t.Name[strings.LastIndexByte(t.Name, '-')+1:], 10, 64)
	if err != nil {
		return named, err
	}
	t.CreatedAt, t.UpdatedAt, t.QueuedAt = now, now, now
	if err := insertTask(ctx, tx, t); err != nil {
		return named, err
	}
	sealed, err := seal(t.ID)
	if err != nil {
		return named, callerError{err}
	}
	return time.UnixMilli(ms + 1), insertCredentials(ctx, tx, t.ID, sealed)
}

// freeDeadGroups frees the groups of workers that are not known any more.
func freeDeadGroups(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE task_groups SET owner = '' WHERE owner <> '' AND owner NOT IN (SELECT owner FROM workers)")
	return err
}
