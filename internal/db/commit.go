package db

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/openoms/openoms/internal/oms"
)

const (
	shareTask = "SELECT id FROM tasks WHERE id = $1"
	// selectLease finds the range only while the lease, its token and the task's run are still those.
	selectLease = `SELECT r.cur_key, r.end_key FROM ranges r JOIN tasks t ON t.id = r.task_id
WHERE r.task_id = $1 AND r.seq = $2 AND r.owner = $3 AND r.token = $4 AND r.done = FALSE AND t.generation = $5`
	// cutRange makes the tail (at, end] of a range a range of its own, leased to the same owner.
	cutRange = `INSERT INTO ranges (task_id, seq, generation, kind, prefix, start_key, cur_key, end_key, done, owner, token,
    listed, migrated, failed, skipped, listed_bytes, migrated_bytes, failed_bytes, skipped_bytes, moved_bytes)
SELECT task_id, $3, generation, kind, prefix, $4, $4, end_key, FALSE, owner, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM ranges WHERE task_id = $1 AND seq = $2`
	advanceRange = `UPDATE ranges SET cur_key = $3, end_key = $4, done = $5, owner = $6,
    listed = listed + $7, migrated = migrated + $8, failed = failed + $9, skipped = skipped + $10,
    listed_bytes = listed_bytes + $11, migrated_bytes = migrated_bytes + $12, failed_bytes = failed_bytes + $13,
    skipped_bytes = skipped_bytes + $14, moved_bytes = moved_bytes + $15
WHERE task_id = $1 AND seq = $2`
)

// statements are those of a group commit by their text, prepared once.
type statements map[string]*sql.Stmt

// prepare returns the statements, to be closed by the caller.
func (db *DB) prepare(ctx context.Context) (statements, error) {
	s := make(statements)
	for _, text := range append([]string{
		shareTask, progressStatement, selectLease, cutRange, advanceRange, upsertFindings, upsertFailure, deleteFailure,
		upsertUpload, upsertPart, deleteParts, deleteUpload, upsertRestore, updateRestore, deleteRestore,
	}, append(syncStatements(), objectListStatements()...)...) {
		full := text
		switch text {
		case selectLease:
			full += db.dialect.ofRange
		case shareTask:
			full += db.dialect.forShare
		}
		stmt, err := db.writer.PrepareContext(ctx, full) //nolint:sqlclosecheck // close does
		if err != nil {
			return nil, errors.Join(wrap(ctx, "prepare statements", err), s.close())
		}
		s[text] = stmt
	}
	return s, nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range s {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// Commit stores a group commit in one transaction: checkpoints in their order, then opened uploads, parts, closed
// uploads. lost holds the indices of checkpoints whose lease, token or generation no longer holds; nothing of
// those is stored, and the rest is (rule C1). A range that is done gives its lease back.
//
// A checkpoint that holds its lease but breaks the books makes the whole commit Invalid and nothing is stored: a
// position behind the stored one or beyond the end, counters that do not balance or move without the position
// (rules P1, P3), a cut that is not between position and end.
//
// After another error it may be unknown whether the commit took place (rule P7): [DB.Ranges] tells, and giving the
// same commit again is refused or lost where it did.
func (db *DB) Commit(ctx context.Context, c oms.Commit) (lost []int, err error) {
	err = db.write(ctx, "commit", func(tx *sql.Tx) error {
		lost = nil
		b := batch{tx: tx, hot: db.hot, bound: make(statements, len(db.hot)), now: db.clock().UnixMilli(), packers: &db.packers}
		if err := db.shareTasks(ctx, &b, c); err != nil {
			return err
		}
		for i, p := range c.Checkpoints {
			held, err := b.checkpoint(ctx, p)
			if err != nil {
				return err
			}
			if !held {
				lost = append(lost, i)
				continue
			}
			b.gather(&c.Checkpoints[i])
		}
		if err := b.storeOutcomes(ctx); err != nil {
			return err
		}
		if err := b.progress(ctx, c.Progress); err != nil {
			return err
		}
		return b.uploads(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// shareTasks keeps the tasks of the commit from changing until it is stored, where others write at the same time: the
// generation that a checkpoint is checked against must not grow meanwhile. Other commits are not held up.
func (db *DB) shareTasks(ctx context.Context, b *batch, c oms.Commit) error {
	if db.dialect.forShare == "" {
		return nil
	}
	ids := make([]int64, 0, 8)
	for _, p := range c.Checkpoints {
		ids = append(ids, p.TaskID)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) { // in one order, so that commits and changes never wait for one another in a circle
		if err := b.exec(ctx, shareTask, id); err != nil {
			return err
		}
	}
	return nil
}

// batch is a group commit under way.
type batch struct {
	tx    *sql.Tx
	hot   statements
	bound statements // those of hot that were used in tx, which closes them
	now   int64      // milliseconds

	packers  *sync.Pool      // of *flate.Writer
	outcomes []*taskOutcomes // of the checkpoints that are stored
}

// stmt returns a prepared statement bound to the transaction.
func (b *batch) stmt(ctx context.Context, text string) *sql.Stmt {
	s := b.bound[text]
	if s == nil {
		s = b.tx.StmtContext(ctx, b.hot[text])
		b.bound[text] = s
	}
	return s
}

// exec runs a prepared statement.
func (b *batch) exec(ctx context.Context, text string, args ...any) error {
	_, err := b.stmt(ctx, text).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction does
	return err
}

// checkpoint stores one checkpoint; held is false when the lease is lost.
func (b *batch) checkpoint(ctx context.Context, p oms.Checkpoint) (held bool, err error) {
	if p.Owner == "" {
		return false, nil // nobody holds a free range
	}
	var cur, end string
	row := b.stmt(ctx, selectLease).QueryRowContext(ctx, p.TaskID, p.Seq, p.Owner, p.Token, p.Generation) //nolint:sqlclosecheck // the transaction does
	err = row.Scan(&cur, &end)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := checkBooks(p, cur, end); err != nil {
		return false, err
	}
	if p.Cut != nil {
		if err := b.exec(ctx, cutRange, p.TaskID, p.Seq, p.Cut.Seq, blob(p.Cut.At)); err != nil {
			return false, err
		}
		end = p.Cut.At
	}
	owner := p.Owner
	if p.Done {
		owner = ""
	}
	d := p.Delta
	err = b.exec(ctx, advanceRange, p.TaskID, p.Seq, blob(p.Cur), blob(end), p.Done, owner,
		d.Listed, d.Migrated, d.Failed, d.Skipped, d.ListedBytes, d.MigratedBytes, d.FailedBytes, d.SkippedBytes, d.MovedBytes)
	if err != nil {
		return false, err
	}
	if err := b.findings(ctx, p); err != nil {
		return false, err
	}
	if err := b.restores(ctx, p); err != nil {
		return false, err
	}
	return true, b.failures(ctx, p)
}

// checkBooks returns Invalid for a checkpoint that must not be stored over a range at cur with the end.
func checkBooks(p oms.Checkpoint, cur, end string) error {
	var msg string
	switch {
	case p.Cur < cur:
		msg = "the position goes back"
	case end != "" && p.Cur > end:
		msg = "the position is beyond the end"
	case !p.Balanced():
		msg = "the counters do not balance"
	case p.Cur == cur && (p.Delta != oms.Counters{} || len(p.Failures) > 0 || len(p.Resolved) > 0 || !p.Restores.Empty()):
		msg = "results without a new position"
	case p.Cut != nil && (p.Cut.At < p.Cur || p.Cut.At == p.Cur && !p.Done || end != "" && p.Cut.At >= end):
		msg = "the cut is not between position and end"
	default:
		return nil
	}
	return &oms.Error{
		Op: "store checkpoint", Key: strconv.FormatInt(p.TaskID, 10) + "/" + strconv.FormatInt(p.Seq, 10), Kind: oms.Invalid, Msg: msg,
	}
}

func (b *batch) failures(ctx context.Context, p oms.Checkpoint) error {
	for _, key := range p.Resolved {
		if err := b.exec(ctx, deleteFailure, p.TaskID, blob(key)); err != nil {
			return err
		}
	}
	for _, f := range p.Failures {
		at := f.At
		if at == 0 {
			at = b.now
		}
		err := b.exec(ctx, upsertFailure, p.TaskID, blob(f.Key), p.Generation, f.Size, f.Kind, oms.Clean(f.Code), oms.Clean(f.Message), at)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) uploads(ctx context.Context, c oms.Commit) error {
	for _, u := range c.Opened {
		err := b.exec(ctx, upsertUpload, u.TaskID, blob(u.Key), blob(u.UploadID), u.PartSize, u.Size, blob(u.ETag))
		if err != nil {
			return err
		}
		for _, p := range u.Parts {
			ref := oms.UploadRef{TaskID: u.TaskID, Key: u.Key, UploadID: u.UploadID}
			if err := b.part(ctx, oms.PartDone{Upload: ref, Part: p}); err != nil {
				return err
			}
		}
	}
	for _, p := range c.Parts {
		if err := b.part(ctx, p); err != nil {
			return err
		}
	}
	for _, u := range c.Closed {
		if err := b.exec(ctx, deleteParts, u.TaskID, blob(u.Key), blob(u.UploadID)); err != nil {
			return err
		}
		if err := b.exec(ctx, deleteUpload, u.TaskID, blob(u.Key), blob(u.UploadID)); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) part(ctx context.Context, p oms.PartDone) error {
	return b.exec(ctx, upsertPart, p.Upload.TaskID, blob(p.Upload.Key), blob(p.Upload.UploadID),
		p.Part.Number, blob(p.Part.ETag), p.Part.CRC32C)
}
