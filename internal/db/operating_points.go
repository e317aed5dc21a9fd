package db

import (
	"context"
	"database/sql"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// mostOperatingPoints bounds the table: beyond, the oldest rows go.
const mostOperatingPoints = 10_000

// OperatingPoints returns the newest points learned at or after the instant, at most limit.
func (db *DB) OperatingPoints(ctx context.Context, since time.Time, limit int) ([]oms.OperatingPoint, error) {
	points, err := query(ctx, db.reader, scanOperatingPoint, `SELECT endpoint, bucket, class, slots, settled, rate, per_slot, learned_at
FROM operating_points WHERE learned_at >= $1 ORDER BY learned_at DESC, endpoint, bucket, class LIMIT $2`, micros(since), limit)
	return points, wrap(ctx, "read operating points", err)
}

func scanOperatingPoint(s scanner) (p oms.OperatingPoint, err error) {
	var at int64
	err = s.Scan(&p.Endpoint, &p.Bucket, &p.Class, &p.Slots, &p.Settled, &p.Rate, &p.PerSlot, &at)
	p.LearnedAt = instant(at)
	return p, err
}

// SaveOperatingPoints stores points, each in place of the one with the same endpoint, bucket and class, and deletes
// the oldest beyond a bound.
func (db *DB) SaveOperatingPoints(ctx context.Context, points []oms.OperatingPoint) error {
	return db.write(ctx, "save operating points", func(tx *sql.Tx) error {
		for _, p := range points {
			_, err := tx.ExecContext(ctx, `INSERT INTO operating_points (endpoint, bucket, class, slots, settled, rate, per_slot, learned_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (endpoint, bucket, class)
DO UPDATE SET slots = $4, settled = $5, rate = $6, per_slot = $7, learned_at = $8`,
				p.Endpoint, p.Bucket, p.Class, p.Slots, p.Settled, p.Rate, p.PerSlot, micros(p.LearnedAt))
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM operating_points WHERE (endpoint, bucket, class) NOT IN (
SELECT endpoint, bucket, class FROM operating_points ORDER BY learned_at DESC, endpoint, bucket, class LIMIT $1)`, mostOperatingPoints)
		return err
	})
}
