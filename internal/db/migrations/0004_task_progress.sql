-- What a run had shown when it ended, so that a task at rest does not fall back to what its ranges have passed.
ALTER TABLE tasks ADD COLUMN found       BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN found_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN shown_bytes BIGINT NOT NULL DEFAULT 0; -- migrated, skipped or held in parts
