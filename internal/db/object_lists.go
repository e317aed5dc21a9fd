package db

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"database/sql"
	"errors"
	"io"
	"slices"

	"github.com/openoms/openoms/internal/oms"
)

const (
	// growList makes room in a list for a piece of $3 lines and $4 bytes and says where it goes. It returns no row when
	// lines of the generation $6 are dropped.
	growList = `INSERT INTO object_lists (task_id, kind, began_at, segment, segment_size, seq, entries, size, filed, stamp, code, stopped)
VALUES ($1, $2, $5, 1, $4, 1, $3, $4, 0, 0, '', 0)
ON CONFLICT (task_id, kind) DO UPDATE SET
    segment = object_lists.segment + CASE WHEN object_lists.segment_size + EXCLUDED.segment_size > $7 THEN 1 ELSE 0 END,
    segment_size = CASE WHEN object_lists.segment_size + EXCLUDED.segment_size > $7 THEN 0 ELSE object_lists.segment_size END
        + EXCLUDED.segment_size,
    seq = object_lists.seq + 1, entries = object_lists.entries + EXCLUDED.entries, size = object_lists.size + EXCLUDED.size
WHERE object_lists.stopped <> $6
RETURNING segment, seq`
	insertListPiece = `INSERT INTO object_list_pieces (task_id, kind, segment, seq, entries, size, packed)
VALUES ($1, $2, $3, $4, $5, $6, $7)`
	addUncarried = `INSERT INTO uncarried (task_id, kind, objects) VALUES ($1, $2, $3)
ON CONFLICT (task_id, kind) DO UPDATE SET objects = uncarried.objects + EXCLUDED.objects`
)

func objectListStatements() []string { return []string{growList, insertListPiece, addUncarried} }

// forgetObjectLists are the statements that remove the object lists of a task.
func forgetObjectLists() []string {
	return []string{
		"DELETE FROM object_list_pieces WHERE task_id = $1", "DELETE FROM object_list_segments WHERE task_id = $1",
		"DELETE FROM object_list_files WHERE task_id = $1", "DELETE FROM object_lists WHERE task_id = $1",
		"DELETE FROM uncarried WHERE task_id = $1",
	}
}

// taskOutcomes is what the checkpoints of one commit add to the object lists of a task.
type taskOutcomes struct {
	task, generation int64
	added            oms.Outcomes
}

// gather adds the outcomes of a checkpoint that is stored to those of its task.
func (b *batch) gather(p *oms.Checkpoint) {
	if p.Outcomes.Size() == 0 && p.Outcomes.Uncarried == (oms.UncarriedCounts{}) {
		return
	}
	for _, o := range b.outcomes {
		if o.task == p.TaskID {
			o.add(p)
			return
		}
	}
	o := &taskOutcomes{task: p.TaskID, generation: p.Generation}
	o.add(p)
	b.outcomes = append(b.outcomes, o)
}

// add takes a copy: the commit may be given again.
func (o *taskOutcomes) add(p *oms.Checkpoint) {
	for _, kind := range oms.RecordedLists() {
		from, to := p.Outcomes.Lines(kind), o.added.Lines(kind)
		to.Entries += from.Entries
		to.Text = append(to.Text, from.Text...)
	}
	for i, n := range p.Outcomes.Uncarried {
		o.added.Uncarried[i] += n
	}
}

// storeOutcomes stores what gather brought together: the lines of a commit are one piece of their list, or a few.
func (b *batch) storeOutcomes(ctx context.Context) error {
	slices.SortFunc(b.outcomes, func(x, y *taskOutcomes) int { return cmp.Compare(x.task, y.task) })
	for _, o := range b.outcomes {
		for i, n := range o.added.Uncarried {
			if n == 0 {
				continue
			}
			if err := b.exec(ctx, addUncarried, o.task, oms.Uncarried(i).String(), n); err != nil {
				return err
			}
		}
		for _, kind := range oms.RecordedLists() {
			if err := b.storeLines(ctx, o, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) storeLines(ctx context.Context, o *taskOutcomes, kind oms.ListKind) error {
	text := o.added.Lines(kind).Text
	for len(text) > 0 {
		n := len(text)
		if n > oms.ListPieceBytes {
			n = bytes.LastIndexByte(text[:oms.ListPieceBytes], '\n') + 1
		}
		if n == 0 {
			return oms.Errorf(oms.Invalid, "", "a line of an object list is too long")
		}
		piece := text[:n]
		text = text[n:]
		entries := int64(bytes.Count(piece, []byte{'\n'}))
		var segment, seq int64
		row := b.stmt(ctx, growList).QueryRowContext(ctx, //nolint:sqlclosecheck // the transaction does
			o.task, kind, entries, n, b.now*1000, o.generation, oms.ListSegmentBytes)
		err := row.Scan(&segment, &seq)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // lines are dropped
		}
		if err != nil {
			return err
		}
		packed, err := b.pack(piece)
		if err != nil {
			return err
		}
		if err := b.exec(ctx, insertListPiece, o.task, kind, segment, seq, entries, n, packed); err != nil {
			return err
		}
	}
	return nil
}

// pack compresses the lines of a piece.
func (b *batch) pack(text []byte) ([]byte, error) {
	var buf bytes.Buffer
	w, ok := b.packers.Get().(*flate.Writer) // a new one is a megabyte of garbage for each piece
	if ok {
		w.Reset(&buf)
	} else {
		var err error
		if w, err = flate.NewWriter(&buf, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	defer b.packers.Put(w)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err := w.Close()
	return buf.Bytes(), err
}

// unpack undoes pack; size is that of the lines.
func unpack(packed []byte, size int64) ([]byte, error) {
	if size < 0 || size > oms.ListPieceBytes {
		return nil, oms.Errorf(oms.Corrupt, "", "a piece of an object list has an impossible size")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(packed)), text); err != nil {
		return nil, oms.Errorf(oms.Corrupt, "", "a piece of an object list cannot be unpacked")
	}
	return text, nil
}

// ObjectLists returns the object lists of the task that have lines, in order of their kind.
func (db *DB) ObjectLists(ctx context.Context, id int64) (lists []oms.ObjectList, err error) {
	err = db.read(ctx, "read object lists", func(tx *sql.Tx) error {
		lists, err = query(ctx, tx, scanObjectList, `SELECT kind, began_at, segment, entries, size, filed, stamp, code
FROM object_lists WHERE task_id = $1 ORDER BY kind`, id)
		if err != nil {
			return err
		}
		for i := range lists {
			lists[i].Files, err = query(ctx, tx, scanListFile, `SELECT object_key, entries, size FROM object_list_files
WHERE task_id = $1 AND kind = $2 ORDER BY number`, id, lists[i].Kind)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return lists, err
}

func scanObjectList(s scanner) (l oms.ObjectList, err error) {
	err = s.Scan(&l.Kind, &l.BeganAt, &l.Segment, &l.Entries, &l.Size, &l.Filed, &l.Stamp, &l.Code)
	return l, err
}

func scanListFile(s scanner) (f oms.ObjectListFile, err error) {
	err = s.Scan(&f.Key, &f.Entries, &f.Size)
	return f, err
}

// ListPieces returns at most limit pieces of a segment behind the piece seq, in order.
func (db *DB) ListPieces(ctx context.Context, id int64, kind oms.ListKind, segment, after int64, limit int) ([]oms.ListPiece, error) {
	list, err := query(ctx, db.reader, scanListPiece, `SELECT segment, seq, entries, size, packed FROM object_list_pieces
WHERE task_id = $1 AND kind = $2 AND segment = $3 AND seq > $4 ORDER BY seq LIMIT $5`, id, kind, segment, after, max(limit, 0))
	return list, wrap(ctx, "read pieces of an object list", err)
}

// PendingSegments returns the segments of a list that are only pieces, in order, without ETag and checksum.
func (db *DB) PendingSegments(ctx context.Context, id int64, kind oms.ListKind) ([]oms.ListSegment, error) {
	scan := func(s scanner) (l oms.ListSegment, err error) {
		err = s.Scan(&l.Number, &l.Entries, &l.Size)
		return l, err
	}
	list, err := query(ctx, db.reader, scan, `SELECT segment, CAST(SUM(entries) AS BIGINT), CAST(SUM(size) AS BIGINT)
FROM object_list_pieces WHERE task_id = $1 AND kind = $2 GROUP BY segment ORDER BY segment`, id, kind)
	return list, wrap(ctx, "read pending segments of an object list", err)
}

func scanListPiece(s scanner) (p oms.ListPiece, err error) {
	var packed []byte
	var size int64
	if err := s.Scan(&p.Segment, &p.Seq, &p.Entries, &size, &packed); err != nil {
		return p, err
	}
	p.Text, err = unpack(packed, size)
	return p, err
}

// ListSegments returns at most limit segments of a list behind the segment after, in order.
func (db *DB) ListSegments(ctx context.Context, id int64, kind oms.ListKind, after int64, limit int) ([]oms.ListSegment, error) {
	scan := func(s scanner) (l oms.ListSegment, err error) {
		err = s.Scan(&l.Number, &l.Entries, &l.Size, &l.ETag, &l.CRC32C)
		return l, err
	}
	list, err := query(ctx, db.reader, scan, `SELECT segment, entries, size, etag, crc32c FROM object_list_segments
WHERE task_id = $1 AND kind = $2 AND segment > $3 ORDER BY segment LIMIT $4`, id, kind, after, max(limit, 0))
	return list, wrap(ctx, "read segments of an object list", err)
}

// KeepSegment replaces the pieces of a segment by the segment, which is an object at the destination now. Doing it
// again changes nothing. A Conflict says that the task has gone on without that run.
func (db *DB) KeepSegment(ctx context.Context, id, generation int64, kind oms.ListKind, s oms.ListSegment) error {
	return db.write(ctx, "store segment of an object list", func(tx *sql.Tx) error {
		if err := db.ofGeneration(ctx, tx, id, generation); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO object_list_segments (task_id, kind, segment, entries, size, etag, crc32c)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (task_id, kind, segment) DO NOTHING`,
			id, kind, s.Number, s.Entries, s.Size, blob(s.ETag), int64(s.CRC32C))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM object_list_pieces WHERE task_id = $1 AND kind = $2 AND segment = $3", id, kind, s.Number)
		return err
	})
}

// StampList fixes what the files of a list are named after, once: it returns stamp, or the one that was fixed before.
func (db *DB) StampList(ctx context.Context, id, generation int64, kind oms.ListKind, stamp int64) (fixed int64, err error) {
	err = db.write(ctx, "name object list", func(tx *sql.Tx) error {
		if err := db.ofGeneration(ctx, tx, id, generation); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `UPDATE object_lists SET stamp = CASE WHEN stamp = 0 THEN $3 ELSE stamp END
WHERE task_id = $1 AND kind = $2 RETURNING stamp`, id, kind, stamp).Scan(&fixed)
	})
	return fixed, err
}

// FileList says that all lines of a list up to the segment are in the list files, which are added to those of earlier
// runs. Its segments stay until DropSegments.
func (db *DB) FileList(ctx context.Context, id, generation int64, kind oms.ListKind, segment int64, files []oms.ObjectListFile) error {
	return db.write(ctx, "store object list", func(tx *sql.Tx) error {
		if err := db.ofGeneration(ctx, tx, id, generation); err != nil {
			return err
		}
		// A list that lost lines stays incomplete; one that only could not be written is written now.
		n, err := exec(ctx, tx, `UPDATE object_lists SET filed = $3, segment = $3 + 1, segment_size = 0, stamp = 0,
    code = CASE WHEN stopped = 0 THEN '' ELSE code END
WHERE task_id = $1 AND kind = $2 AND segment = $3`, id, kind, segment)
		if err != nil {
			return err
		}
		if n == 0 {
			return oms.Errorf(oms.Conflict, "", "the object list has grown")
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM object_list_pieces WHERE task_id = $1 AND kind = $2", id, kind); err != nil {
			return err
		}
		var last int64
		err = tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(MAX(number), 0) AS BIGINT) FROM object_list_files
WHERE task_id = $1 AND kind = $2`, id, kind).Scan(&last)
		if err != nil {
			return err
		}
		for i, f := range files {
			_, err := tx.ExecContext(ctx, `INSERT INTO object_list_files (task_id, kind, number, object_key, entries, size)
VALUES ($1, $2, $3, $4, $5, $6)`, id, kind, last+int64(i)+1, blob(f.Key), f.Entries, f.Size)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DropSegments forgets the segments of a list up to the number.
func (db *DB) DropSegments(ctx context.Context, id int64, kind oms.ListKind, upTo int64) error {
	_, err := db.exec(ctx, "drop segments of an object list",
		"DELETE FROM object_list_segments WHERE task_id = $1 AND kind = $2 AND segment <= $3", id, kind, upTo)
	return err
}

// FailList records why a list was not written. Its lines stay.
func (db *DB) FailList(ctx context.Context, id int64, kind oms.ListKind, code string) error {
	_, err := db.exec(ctx, "mark object list",
		"UPDATE object_lists SET code = $3 WHERE task_id = $1 AND kind = $2 AND stopped = 0", id, kind, code)
	return err
}

// StopList drops the lines of a list that are no segment yet, and those of the generation that follow: the list is
// incomplete, which the code says from then on.
func (db *DB) StopList(ctx context.Context, id, generation int64, kind oms.ListKind, code string) error {
	return db.write(ctx, "stop object list", func(tx *sql.Tx) error {
		if err := db.ofGeneration(ctx, tx, id, generation); err != nil {
			return err
		}
		var entries, size int64
		err := tx.QueryRowContext(ctx, `SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT), CAST(COALESCE(SUM(size), 0) AS BIGINT)
FROM object_list_pieces WHERE task_id = $1 AND kind = $2`, id, kind).Scan(&entries, &size)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE object_lists SET code = $3, stopped = $4, entries = entries - $5, size = size - $6,
    segment = segment + 1, segment_size = 0 WHERE task_id = $1 AND kind = $2`, id, kind, code, generation, entries, size)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM object_list_pieces WHERE task_id = $1 AND kind = $2", id, kind)
		return err
	})
}

// ofGeneration returns Conflict unless the task is in that generation, in which it stays until the transaction ends.
func (db *DB) ofGeneration(ctx context.Context, tx *sql.Tx, id, generation int64) error {
	var now int64
	err := tx.QueryRowContext(ctx, "SELECT generation FROM tasks WHERE id = $1"+db.dialect.forUpdate, id).Scan(&now)
	if errors.Is(err, sql.ErrNoRows) {
		return noTask(id)
	}
	if err == nil && now != generation {
		err = oms.Errorf(oms.Conflict, "", "task %d is in another run", id)
	}
	return err
}

// Uncarried returns how many objects of the task lost what of their metadata.
func (db *DB) Uncarried(ctx context.Context, id int64) (counts oms.UncarriedCounts, err error) {
	type count struct {
		kind    string
		objects int64
	}
	scan := func(s scanner) (c count, err error) {
		err = s.Scan(&c.kind, &c.objects)
		return c, err
	}
	list, err := query(ctx, db.reader, scan, "SELECT kind, objects FROM uncarried WHERE task_id = $1", id)
	for _, c := range list {
		for kind := range oms.UncarriedKinds {
			if kind.String() == c.kind {
				counts[kind] = c.objects
			}
		}
	}
	return counts, wrap(ctx, "count metadata not carried", err)
}
