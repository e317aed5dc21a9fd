package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const (
	selectSyncQueue = "SELECT number, status, last_seq, pending FROM sync_tasks WHERE id = $1 AND project_id = $2"
	updateSyncQueue = "UPDATE sync_tasks SET last_seq = $2, pending = $3 WHERE number = $1"
	// A name that waits already keeps its place; one that waits for another attempt gets a new one at once. names is
	// 1 only for a new row.
	upsertSyncEvent = `INSERT INTO sync_events (sync_number, object_key, seq, pos, names, attempts, again, due_at)
VALUES ($1, $2, $3, $3, 1, 0, FALSE, 0)
ON CONFLICT (sync_number, object_key) DO UPDATE SET seq = EXCLUDED.seq, names = sync_events.names + 1, attempts = 0, due_at = 0,
    pos = CASE WHEN sync_events.due_at > 0 THEN EXCLUDED.pos ELSE sync_events.pos END
RETURNING names`
	upsertSyncStatistic = `INSERT INTO sync_statistics (sync_number, span, at, requests, successes, failures, skips, bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (sync_number, span, at) DO UPDATE SET requests = sync_statistics.requests + EXCLUDED.requests,
    successes = sync_statistics.successes + EXCLUDED.successes, failures = sync_statistics.failures + EXCLUDED.failures,
    skips = sync_statistics.skips + EXCLUDED.skips, bytes = sync_statistics.bytes + EXCLUDED.bytes`
	// lockSyncCommit succeeds once for each commit of the holder of the lease.
	lockSyncCommit = `UPDATE sync_tasks SET commits = $4 WHERE number = $1 AND owner = $2 AND token = $3 AND commits = $4 - 1
RETURNING last_seq, pending`
	deleteSyncEvent = "DELETE FROM sync_events WHERE sync_number = $1 AND object_key = $2 AND seq = $3"
	deferSyncEvent  = `UPDATE sync_events SET attempts = attempts + 1, again = TRUE, due_at = $4
WHERE sync_number = $1 AND object_key = $2 AND seq = $3`
	// A newer event of the name arrived while an older one was applied: it begins again behind the others.
	requeueSyncEvent = "UPDATE sync_events SET pos = $3, again = TRUE, due_at = 0 WHERE sync_number = $1 AND object_key = $2"
	insertSyncList   = `INSERT INTO sync_lists (sync_number, kind, seq, at, entries, lines) VALUES ($1, $2, $3, $4, $5, $6)`

	upsertSyncUpload = `INSERT INTO sync_uploads (sync_number, object_key, upload_id, part_size, size, etag) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sync_number, object_key, upload_id) DO UPDATE SET part_size = EXCLUDED.part_size, size = EXCLUDED.size, etag = EXCLUDED.etag`
	upsertSyncPart = `INSERT INTO sync_upload_parts (sync_number, object_key, upload_id, part_number, etag, crc32c)
SELECT $1, $2, $3, $4, $5, $6
WHERE EXISTS (SELECT 1 FROM sync_uploads WHERE sync_number = $1 AND object_key = $2 AND upload_id = $3)
ON CONFLICT (sync_number, object_key, upload_id, part_number) DO UPDATE SET etag = EXCLUDED.etag, crc32c = EXCLUDED.crc32c`
	deleteSyncParts  = "DELETE FROM sync_upload_parts WHERE sync_number = $1 AND object_key = $2 AND upload_id = $3"
	deleteSyncUpload = "DELETE FROM sync_uploads WHERE sync_number = $1 AND object_key = $2 AND upload_id = $3"
)

// syncStatements are those that are prepared once.
func syncStatements() []string {
	return []string{
		upsertSyncEvent, updateSyncQueue, upsertSyncStatistic, lockSyncCommit, deleteSyncEvent, deferSyncEvent,
		requeueSyncEvent, insertSyncList, upsertSyncUpload, upsertSyncPart, deleteSyncParts, deleteSyncUpload,
	}
}

// batch returns a batch over prepared statements in the transaction.
func (db *DB) batch(tx *sql.Tx) *batch {
	return &batch{tx: tx, hot: db.hot, bound: make(statements, len(db.hot)), now: db.clock().UnixMilli(), packers: &db.packers}
}

// AddSyncEvents stores object names of a task of the project that synchronizes, all or none, and counts them as
// requests. A name that waits already is not stored twice. When more than limit names (0: no bound) would wait, the
// refusal is Throttled with OMS.2004; a task that is not running refuses with OMS.1036, an unknown one with OMS.1009.
// Calls at the same time share a transaction.
func (db *DB) AddSyncEvents(ctx context.Context, project, id string, keys []string, limit int64) error {
	return db.grouped(ctx, "add events", func(ctx context.Context, tx *sql.Tx) error {
		t := oms.SyncTask{ID: id}
		var seq, pending int64
		err := tx.QueryRowContext(ctx, selectSyncQueue+db.dialect.forUpdate, id, project).Scan(&t.Number, &t.Status, &seq, &pending)
		if errors.Is(err, sql.ErrNoRows) {
			return noSync(id)
		}
		if err != nil {
			return err
		}
		if err := t.CheckEvents(); err != nil {
			return err
		}
		b, fresh := db.batch(tx), int64(0)
		for _, key := range keys {
			seq++
			var names int64
			row := b.stmt(ctx, upsertSyncEvent).QueryRowContext(ctx, t.Number, blob(key), seq) //nolint:sqlclosecheck // the transaction does
			if err := row.Scan(&names); err != nil {
				return err
			}
			if names == 1 {
				fresh++
			}
		}
		if limit > 0 && fresh > 0 && pending+fresh > limit {
			return oms.Errorf(oms.Throttled, "OMS.2004", "%d object names of the synchronization task are waiting, send the event later", pending)
		}
		if err := b.exec(ctx, updateSyncQueue, t.Number, seq, pending+fresh); err != nil {
			return err
		}
		if err := b.count(ctx, t.Number, db.now(), oms.SyncCounts{Requests: int64(len(keys))}); err != nil {
			return err
		}
		return db.notify(ctx, tx, oms.Wake{Topic: oms.WakeEvents, ID: id})
	})
}

// SyncEvents returns at most limit events that are due, in order of their place in the queue, behind the place.
func (db *DB) SyncEvents(ctx context.Context, number, after int64, limit int) ([]oms.SyncEvent, error) {
	list, err := query(ctx, db.reader, scanSyncEvent, `SELECT object_key, seq, pos, attempts, again FROM sync_events
WHERE sync_number = $1 AND due_at = 0 AND pos > $2 ORDER BY pos LIMIT $3`, number, after, max(limit, 0))
	return list, wrap(ctx, "read events", err)
}

// PromoteSyncEvents puts the events whose next attempt is due back into the queue, and returns how many it were.
func (db *DB) PromoteSyncEvents(ctx context.Context, number int64) (n int, err error) {
	const due = "FROM sync_events WHERE sync_number = $1 AND due_at > 0 AND due_at <= $2"
	now := micros(db.now())
	err = db.reader.QueryRowContext(ctx, "SELECT COUNT(*) "+due, number, now).Scan(&n)
	if err != nil || n == 0 {
		return 0, wrap(ctx, "look for due events", err)
	}
	err = db.write(ctx, "promote events", func(tx *sql.Tx) error {
		var last int64
		err := tx.QueryRowContext(ctx, "SELECT last_seq FROM sync_tasks WHERE number = $1"+db.dialect.forUpdate, number).Scan(&last)
		if err != nil {
			return err
		}
		list, err := query(ctx, tx, scanSyncEvent, "SELECT object_key, seq, pos, attempts, again "+due+" ORDER BY due_at, pos", number, now)
		if err != nil {
			return err
		}
		for _, e := range list {
			last++
			_, err := tx.ExecContext(ctx, "UPDATE sync_events SET pos = $3, due_at = 0 WHERE sync_number = $1 AND object_key = $2",
				number, blob(e.Key), last)
			if err != nil {
				return err
			}
		}
		n = len(list)
		_, err = tx.ExecContext(ctx, "UPDATE sync_tasks SET last_seq = $2 WHERE number = $1", number, last)
		return err
	})
	return n, err
}

// CommitSync stores what came of events, in one transaction. held is false when the lease is lost; nothing is stored
// then. A commit that is given again is stored once. An event that is done goes, unless a newer one of its name has
// arrived: that is due then, behind all others.
func (db *DB) CommitSync(ctx context.Context, c oms.SyncCommit) (held bool, err error) {
	err = db.write(ctx, "commit events", func(tx *sql.Tx) (err error) {
		b := db.batch(tx)
		var last, pending int64
		row := b.stmt(ctx, lockSyncCommit).QueryRowContext(ctx, c.Lease.Number, c.Lease.Owner, c.Lease.Token, c.Number) //nolint:sqlclosecheck // the transaction does
		err = row.Scan(&last, &pending)
		if errors.Is(err, sql.ErrNoRows) {
			held, err = b.storedBefore(ctx, c)
			return err
		}
		if err != nil {
			return err
		}
		held = true
		now := db.now()
		for _, o := range c.Outcomes {
			done, err := b.outcome(ctx, c.Lease.Number, o, last+1)
			switch {
			case err != nil:
				return err
			case done:
				pending--
			default:
				last++
			}
		}
		for _, l := range c.Lists {
			last++
			if err := b.exec(ctx, insertSyncList, c.Lease.Number, l.Kind, last, micros(now), l.Entries, l.Lines); err != nil {
				return err
			}
		}
		if err := b.syncUploads(ctx, c); err != nil {
			return err
		}
		if err := b.exec(ctx, updateSyncQueue, c.Lease.Number, last, pending); err != nil {
			return err
		}
		return b.count(ctx, c.Lease.Number, now, c.Counts)
	})
	return held && err == nil, err
}

// storedBefore reports whether the commit is stored already.
func (b *batch) storedBefore(ctx context.Context, c oms.SyncCommit) (bool, error) {
	var n int
	err := b.tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sync_tasks WHERE number = $1 AND owner = $2 AND token = $3 AND commits >= $4",
		c.Lease.Number, c.Lease.Owner, c.Lease.Token, c.Number).Scan(&n)
	return n > 0, err
}

// outcome books one outcome; done is false when the row stays, with the place pos if it is due at once.
func (b *batch) outcome(ctx context.Context, number int64, o oms.SyncOutcome, pos int64) (done bool, err error) {
	args, text := []any{number, blob(o.Key), o.Seq}, deleteSyncEvent
	if !o.RetryAt.IsZero() {
		args, text = append(args, micros(o.RetryAt)), deferSyncEvent
	}
	res, err := b.stmt(ctx, text).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction does
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n > 0 {
		return o.RetryAt.IsZero(), err
	}
	return false, b.exec(ctx, requeueSyncEvent, number, blob(o.Key), pos)
}

func (b *batch) syncUploads(ctx context.Context, c oms.SyncCommit) error {
	n := c.Lease.Number
	for _, u := range c.Opened {
		if err := b.exec(ctx, upsertSyncUpload, n, blob(u.Key), blob(u.UploadID), u.PartSize, u.Size, blob(u.ETag)); err != nil {
			return err
		}
		for _, p := range u.Parts {
			c.Parts = append(c.Parts, oms.PartDone{Upload: u.Ref(), Part: p})
		}
	}
	for _, p := range c.Parts {
		err := b.exec(ctx, upsertSyncPart, n, blob(p.Upload.Key), blob(p.Upload.UploadID), p.Part.Number, blob(p.Part.ETag), p.Part.CRC32C)
		if err != nil {
			return err
		}
	}
	for _, u := range c.Closed {
		for _, text := range []string{deleteSyncParts, deleteSyncUpload} {
			if err := b.exec(ctx, text, n, blob(u.Key), blob(u.UploadID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// count adds to the statistics of the instant, in periods of every length.
func (b *batch) count(ctx context.Context, number int64, at time.Time, c oms.SyncCounts) error {
	if c == (oms.SyncCounts{}) {
		return nil
	}
	for _, span := range []oms.SyncSpan{oms.SpanFiveMinutes, oms.SpanHour, oms.SpanMonth} {
		err := b.exec(ctx, upsertSyncStatistic, number, span, micros(span.Begin(at)), c.Requests, c.Successes, c.Failures, c.Skips, c.Bytes)
		if err != nil {
			return err
		}
	}
	return nil
}

// RequeueSyncEvents makes the names due once more, without counting them as requests: a process that lost its lease
// while it wrote them cannot know whether it came before or after the next one. Names of a task that is gone are
// dropped.
func (db *DB) RequeueSyncEvents(ctx context.Context, number int64, keys []string) error {
	return db.write(ctx, "requeue events", func(tx *sql.Tx) error {
		var last, pending int64
		err := tx.QueryRowContext(ctx, "SELECT last_seq, pending FROM sync_tasks WHERE number = $1"+db.dialect.forUpdate, number).Scan(&last, &pending)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		b := db.batch(tx)
		for _, key := range keys {
			last++
			var names int64
			row := b.stmt(ctx, upsertSyncEvent).QueryRowContext(ctx, number, blob(key), last) //nolint:sqlclosecheck // the transaction does
			if err := row.Scan(&names); err != nil {
				return err
			}
			if names == 1 {
				pending++
			}
			if _, err := tx.ExecContext(ctx, "UPDATE sync_events SET again = TRUE WHERE sync_number = $1 AND object_key = $2", number, blob(key)); err != nil {
				return err
			}
		}
		return b.exec(ctx, updateSyncQueue, number, last, pending)
	})
}

// SyncStatistics returns the periods of the length that begin from from on and before to, oldest first, without those
// in which nothing happened.
func (db *DB) SyncStatistics(ctx context.Context, number int64, span oms.SyncSpan, from, to time.Time) ([]oms.SyncStatistic, error) {
	scan := func(s scanner) (p oms.SyncStatistic, err error) {
		var at int64
		err = s.Scan(&at, &p.Requests, &p.Successes, &p.Failures, &p.Skips, &p.Bytes)
		p.At = instant(at)
		return p, err
	}
	list, err := query(ctx, db.reader, scan, `SELECT at, requests, successes, failures, skips, bytes FROM sync_statistics
WHERE sync_number = $1 AND span = $2 AND at >= $3 AND at < $4 ORDER BY at`, number, span, from.UnixMicro(), to.UnixMicro())
	return list, wrap(ctx, "read statistics", err)
}

// PurgeSyncStatistics forgets the five-minute and hour periods of all tasks that began before the instants.
func (db *DB) PurgeSyncStatistics(ctx context.Context, fiveMinutes, hours time.Time) error {
	return db.write(ctx, "purge statistics", func(tx *sql.Tx) error {
		for span, before := range map[oms.SyncSpan]time.Time{oms.SpanFiveMinutes: fiveMinutes, oms.SpanHour: hours} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM sync_statistics WHERE span = $1 AND at < $2", span, micros(before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// SyncLists returns pieces of a list behind the piece seq, oldest first, at most limit.
func (db *DB) SyncLists(ctx context.Context, number int64, kind oms.SyncListKind, after int64, limit int) ([]oms.SyncList, error) {
	scan := func(s scanner) (l oms.SyncList, err error) {
		var at int64
		err = s.Scan(&l.Kind, &l.Seq, &at, &l.Entries, &l.Lines)
		l.At = instant(at)
		return l, err
	}
	list, err := query(ctx, db.reader, scan, `SELECT kind, seq, at, entries, lines FROM sync_lists
WHERE sync_number = $1 AND kind = $2 AND seq > $3 ORDER BY seq LIMIT $4`, number, kind, after, max(limit, 0))
	return list, wrap(ctx, "read object lists", err)
}

// SyncListSize returns how many entries and bytes the stored pieces of all lists of the task have.
func (db *DB) SyncListSize(ctx context.Context, number int64) (entries, bytes int64, err error) {
	err = db.reader.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT), CAST(COALESCE(SUM(LENGTH(lines)), 0) AS BIGINT)
FROM sync_lists WHERE sync_number = $1`, number).Scan(&entries, &bytes)
	return entries, bytes, wrap(ctx, "measure object lists", err)
}

// DropSyncLists removes the pieces of a list up to the piece seq.
func (db *DB) DropSyncLists(ctx context.Context, number int64, kind oms.SyncListKind, seq int64) error {
	_, err := db.exec(ctx, "drop object lists", "DELETE FROM sync_lists WHERE sync_number = $1 AND kind = $2 AND seq <= $3", number, kind, seq)
	return err
}

// SyncUploads returns the open uploads of the task with their proved parts in order, those of names that wait and
// those of names that do not, which nobody will complete.
func (db *DB) SyncUploads(ctx context.Context, number int64) (waiting, orphans []oms.Upload, err error) {
	err = db.read(ctx, "read uploads", func(tx *sql.Tx) error {
		list, err := query(ctx, tx, scanUpload, `SELECT sync_number, object_key, upload_id, part_size, size, etag FROM sync_uploads
WHERE sync_number = $1 ORDER BY object_key, upload_id`, number)
		if err != nil {
			return err
		}
		parts, err := query(ctx, tx, scanPart, `SELECT sync_number, object_key, upload_id, part_number, etag, crc32c FROM sync_upload_parts
WHERE sync_number = $1 ORDER BY object_key, upload_id, part_number`, number)
		if err != nil {
			return err
		}
		byRef := make(map[oms.UploadRef]*oms.Upload, len(list))
		for i := range list {
			byRef[list[i].Ref()] = &list[i]
		}
		for _, p := range parts {
			u := byRef[p.Upload] // the foreign key and the one snapshot ensure that it is there
			u.Parts = append(u.Parts, p.Part)
		}
		for _, u := range list {
			var n int
			err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sync_events WHERE sync_number = $1 AND object_key = $2", number, blob(u.Key)).Scan(&n)
			if err != nil {
				return err
			}
			if n > 0 {
				waiting = append(waiting, u)
			} else {
				orphans = append(orphans, u)
			}
		}
		return nil
	})
	return waiting, orphans, err
}

func scanSyncEvent(s scanner) (e oms.SyncEvent, err error) {
	err = s.Scan(&e.Key, &e.Seq, &e.Pos, &e.Attempts, &e.Again)
	return e, err
}
