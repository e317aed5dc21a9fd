package db

import (
	"context"
	"database/sql"

	"github.com/openoms/openoms/internal/oms"
)

const (
	// A group commit must not fail because one of its tasks was deleted meanwhile: such an upload is not stored.
	upsertUpload = `INSERT INTO uploads (task_id, object_key, upload_id, part_size, size, etag)
SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM tasks WHERE id = $1)
ON CONFLICT (task_id, object_key, upload_id) DO UPDATE SET part_size = EXCLUDED.part_size, size = EXCLUDED.size, etag = EXCLUDED.etag`
	// A part of an upload that was closed meanwhile is of no use.
	upsertPart = `INSERT INTO upload_parts (task_id, object_key, upload_id, number, etag, crc32c)
SELECT $1, $2, $3, $4, $5, $6
WHERE EXISTS (SELECT 1 FROM uploads WHERE task_id = $1 AND object_key = $2 AND upload_id = $3)
ON CONFLICT (task_id, object_key, upload_id, number) DO UPDATE SET etag = EXCLUDED.etag, crc32c = EXCLUDED.crc32c`
	deleteParts  = "DELETE FROM upload_parts WHERE task_id = $1 AND object_key = $2 AND upload_id = $3"
	deleteUpload = "DELETE FROM uploads WHERE task_id = $1 AND object_key = $2 AND upload_id = $3"
)

// Uploads returns the open uploads of the task with their proved parts in order; id 0 means all tasks.
func (db *DB) Uploads(ctx context.Context, id int64) (list []oms.Upload, err error) {
	err = db.read(ctx, "read uploads", func(tx *sql.Tx) error {
		list, err = query(ctx, tx, scanUpload, `SELECT task_id, object_key, upload_id, part_size, size, etag FROM uploads
WHERE CAST($1 AS BIGINT) = 0 OR task_id = $1 ORDER BY task_id, object_key, upload_id`, id)
		if err != nil {
			return err
		}
		parts, err := query(ctx, tx, scanPart, `SELECT task_id, object_key, upload_id, number, etag, crc32c FROM upload_parts
WHERE CAST($1 AS BIGINT) = 0 OR task_id = $1 ORDER BY task_id, object_key, upload_id, number`, id)
		if err != nil {
			return err
		}
		byRef := make(map[oms.UploadRef]*oms.Upload, len(list))
		for i := range list {
			u := &list[i]
			byRef[oms.UploadRef{TaskID: u.TaskID, Key: u.Key, UploadID: u.UploadID}] = u
		}
		for _, p := range parts {
			u := byRef[p.Upload] // the foreign key and the one snapshot ensure that it is there
			u.Parts = append(u.Parts, p.Part)
		}
		return nil
	})
	return list, err
}

func scanUpload(s scanner) (u oms.Upload, err error) {
	err = s.Scan(&u.TaskID, &u.Key, &u.UploadID, &u.PartSize, &u.Size, &u.ETag)
	return u, err
}

func scanPart(s scanner) (p oms.PartDone, err error) {
	err = s.Scan(&p.Upload.TaskID, &p.Upload.Key, &p.Upload.UploadID, &p.Part.Number, &p.Part.ETag, &p.Part.CRC32C)
	return p, err
}
