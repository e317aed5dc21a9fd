package db

import (
	"context"
	"database/sql"
	"encoding/binary"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of what is remembered of listings (rule C4).
const (
	maxHintBytes = 64 << 10 // of one key space
	maxHintRows  = 128      // key spaces of one project: the ones that were listed last
)

// KeyBounds returns the keys that divided the space evenly when it was last listed, ascending; none, and no error,
// when it is not known.
func (db *DB) KeyBounds(ctx context.Context, s oms.KeySpace) ([]string, error) {
	list, err := query(ctx, db.reader, scanBlob,
		"SELECT bounds FROM listing_hints WHERE project_id = $1 AND endpoint = $2 AND bucket = $3 AND prefix = $4",
		s.ProjectID, s.Endpoint, s.Bucket, blob(s.Prefix))
	if err != nil || len(list) == 0 {
		return nil, wrap(ctx, "read key bounds", err)
	}
	return unpackKeys(list[0]), nil
}

// KeepKeyBounds remembers the keys, ascending, for the next listing of the space, in the place of those of the one
// before; no keys forget the space. When there are too many bytes, every second key is left out until there are not;
// of too many spaces of a project, those that were listed longest ago are forgotten.
func (db *DB) KeepKeyBounds(ctx context.Context, s oms.KeySpace, bounds []string) error {
	packed := packKeys(bounds)
	for len(packed) > maxHintBytes {
		bounds = everySecond(bounds)
		packed = packKeys(bounds)
	}
	return db.write(ctx, "keep key bounds", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM listing_hints WHERE project_id = $1 AND endpoint = $2 AND bucket = $3 AND prefix = $4",
			s.ProjectID, s.Endpoint, s.Bucket, blob(s.Prefix))
		if err != nil || len(packed) == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO listing_hints (project_id, endpoint, bucket, prefix, bounds, kept_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (project_id, endpoint, bucket, prefix) DO UPDATE SET bounds = EXCLUDED.bounds, kept_at = EXCLUDED.kept_at`, s.ProjectID, s.Endpoint, s.Bucket, blob(s.Prefix), packed, micros(db.now()))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM listing_hints WHERE project_id = $1 AND kept_at < (
    SELECT COALESCE(MIN(kept_at), 0) FROM (SELECT kept_at FROM listing_hints WHERE project_id = $1 ORDER BY kept_at DESC LIMIT $2) AS latest)`,
			s.ProjectID, maxHintRows)
		return err
	})
}

// everySecond returns every second key, none of a single one.
func everySecond(keys []string) []string {
	var kept []string
	for i := 1; i < len(keys); i += 2 {
		kept = append(kept, keys[i])
	}
	return kept
}

// packKeys writes each key as the length of what it shares with the one before, the length of the rest and the rest.
func packKeys(keys []string) (packed []byte) {
	last := ""
	for _, k := range keys {
		shared := 0
		for shared < min(len(last), len(k)) && last[shared] == k[shared] {
			shared++
		}
		packed = binary.AppendUvarint(packed, uint64(shared))
		packed = binary.AppendUvarint(packed, uint64(len(k)-shared))
		packed = append(packed, k[shared:]...)
		last = k
	}
	return packed
}

// unpackKeys reads what packKeys wrote. What is damaged, and all behind it, is left out: these keys only save time.
func unpackKeys(packed []byte) (keys []string) {
	last, size := "", 0
	for len(packed) > 0 {
		shared, n := binary.Uvarint(packed)
		if n <= 0 || shared > uint64(len(last)) {
			return keys
		}
		packed = packed[n:]
		rest, n := binary.Uvarint(packed)
		if n <= 0 || rest > uint64(len(packed)-n) {
			return keys
		}
		packed = packed[n:]
		last = last[:shared] + string(packed[:rest])
		packed = packed[rest:]
		if size += len(last); size > maxUnpacked {
			return keys
		}
		keys = append(keys, last)
	}
	return keys
}

// maxUnpacked bounds the keys read back: what they share may make them much longer than what is stored.
const maxUnpacked = 4 << 20

func scanBlob(s scanner) (b []byte, err error) {
	err = s.Scan(&b)
	return b, err
}
