package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"

	"github.com/openoms/openoms/internal/oms"
)

// auditPage is the number of entries that VerifyAudit reads at a time.
const auditPage = 1000

// auditRow is an entry as it is stored.
type auditRow struct {
	seq, at int64
	entry   oms.AuditEntry
	hash    []byte
}

// sum chains the row to the hash of the row before. Every field goes in with its length, so that no two rows have
// the same form.
func (r auditRow) sum(before []byte) []byte {
	h := sha256.New()
	h.Write(before)
	var n [8]byte
	number := func(v int64) {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	number(r.seq)
	number(r.at)
	for _, text := range []string{r.entry.Project, r.entry.Actor, r.entry.Action, r.entry.Object, r.entry.Remote, r.entry.Result} {
		number(int64(len(text)))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

// AppendAudit adds an entry at the end of the audit log (rule S12). Its texts are capped and cleaned.
func (db *DB) AppendAudit(ctx context.Context, e oms.AuditEntry) error {
	return db.grouped(ctx, "append to audit log", func(ctx context.Context, tx *sql.Tx) error {
		seq, err := advance(ctx, tx, "audit", 1)
		if err != nil {
			return err
		}
		var before []byte
		if seq > 1 {
			if err := tx.QueryRowContext(ctx, "SELECT hash FROM audit WHERE seq = $1", seq-1).Scan(&before); err != nil {
				return err
			}
		}
		r := auditRow{seq: seq, at: micros(db.now()), entry: oms.AuditEntry{
			Project: oms.Clean(e.Project), Actor: oms.Clean(e.Actor), Action: oms.Clean(e.Action),
			Object: oms.Clean(e.Object), Remote: oms.Clean(e.Remote), Result: oms.Clean(e.Result),
		}}
		_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, project, actor, action, object, remote, result, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.seq, r.at, r.entry.Project, r.entry.Actor, r.entry.Action, r.entry.Object, r.entry.Remote, r.entry.Result, r.sum(before))
		return err
	})
}

// VerifyAudit reads the whole audit log and returns the number of entries; Corrupt with the place when an entry was
// changed, removed or put in between.
func (db *DB) VerifyAudit(ctx context.Context) (entries int64, err error) {
	err = db.read(ctx, "verify audit log", func(tx *sql.Tx) error {
		entries, err = verifyAudit(ctx, tx)
		return err
	})
	return entries, err
}

func verifyAudit(ctx context.Context, tx *sql.Tx) (int64, error) {
	want, err := sequence(ctx, tx, "audit")
	if err != nil {
		return 0, err
	}
	var rows int64
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM audit").Scan(&rows); err != nil {
		return 0, err
	}
	var (
		seq    int64
		before []byte
	)
	for seq < want {
		page, err := query(ctx, tx, scanAudit, `SELECT seq, at, project, actor, action, object, remote, result, hash FROM audit
WHERE seq > $1 ORDER BY seq LIMIT $2`, seq, auditPage)
		if err != nil {
			return 0, err
		}
		if len(page) == 0 {
			return 0, brokenAudit(seq + 1)
		}
		for _, r := range page {
			seq++
			if r.seq != seq || !bytes.Equal(r.hash, r.sum(before)) {
				return 0, brokenAudit(seq)
			}
			before = r.hash
		}
	}
	if rows != want {
		return 0, brokenAudit(want + 1)
	}
	return want, nil
}

func brokenAudit(seq int64) error {
	return oms.Errorf(oms.Corrupt, "", "the audit log is broken at entry %d", seq)
}

func scanAudit(s scanner) (r auditRow, err error) {
	e := &r.entry
	err = s.Scan(&r.seq, &r.at, &e.Project, &e.Actor, &e.Action, &e.Object, &e.Remote, &e.Result, &r.hash)
	return r, err
}
