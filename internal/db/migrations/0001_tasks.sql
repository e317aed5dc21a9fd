-- Instants are microseconds since 1970 in UTC, 0 for none. Object keys and other foreign bytes are BLOB, so that
-- their order is that of their bytes.

CREATE TABLE sequences (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO sequences (name, value) VALUES ('task', 0);

CREATE TABLE tasks (
    id            BIGINT   NOT NULL PRIMARY KEY,
    project_id    TEXT     NOT NULL,
    name          TEXT     NOT NULL,
    group_id      TEXT     NOT NULL,
    group_type    TEXT     NOT NULL,
    spec          TEXT     NOT NULL, -- JSON
    priority      SMALLINT NOT NULL, -- rank of the priority in spec, 0 runs first
    status        SMALLINT NOT NULL,
    generation    BIGINT   NOT NULL,
    failed_only   BOOLEAN  NOT NULL,
    planned       BOOLEAN  NOT NULL,
    error_code    TEXT,              -- null: no error
    error_message TEXT,
    query_over    BOOLEAN  NOT NULL,
    list_result   BOOLEAN,           -- null: no failed list was written
    list_key      BLOB     NOT NULL,
    list_code     TEXT     NOT NULL,
    epoch         BIGINT   NOT NULL,
    created_at    BIGINT   NOT NULL,
    updated_at    BIGINT   NOT NULL,
    queued_at     BIGINT   NOT NULL,
    started_at    BIGINT   NOT NULL,
    run_for       BIGINT   NOT NULL  -- nanoseconds
);
CREATE INDEX tasks_project ON tasks (project_id, id);
CREATE INDEX tasks_name ON tasks (project_id, name);
CREATE INDEX tasks_group ON tasks (group_id);
CREATE INDEX tasks_status ON tasks (status, project_id);

-- When tasks were created, for the daily quota: a deleted task still counts.
CREATE TABLE task_creations (
    task_id    BIGINT NOT NULL PRIMARY KEY,
    project_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX task_creations_project ON task_creations (project_id, created_at);
CREATE INDEX task_creations_time ON task_creations (created_at);

CREATE TABLE credentials (
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    field   TEXT   NOT NULL,
    sealed  BLOB   NOT NULL,
    PRIMARY KEY (task_id, field)
);

CREATE TABLE ranges (
    task_id        BIGINT   NOT NULL REFERENCES tasks (id),
    seq            BIGINT   NOT NULL,
    generation     BIGINT   NOT NULL,
    kind           TEXT     NOT NULL,
    prefix         BLOB     NOT NULL,
    start_key      BLOB     NOT NULL,
    cur_key        BLOB     NOT NULL,
    end_key        BLOB     NOT NULL, -- empty: no upper bound
    done           BOOLEAN  NOT NULL,
    owner          TEXT     NOT NULL, -- empty: free
    token          BIGINT   NOT NULL,
    listed         BIGINT   NOT NULL,
    migrated       BIGINT   NOT NULL,
    failed         BIGINT   NOT NULL,
    skipped        BIGINT   NOT NULL,
    listed_bytes   BIGINT   NOT NULL,
    migrated_bytes BIGINT   NOT NULL,
    failed_bytes   BIGINT   NOT NULL,
    skipped_bytes  BIGINT   NOT NULL,
    moved_bytes    BIGINT   NOT NULL,
    PRIMARY KEY (task_id, seq)
);
CREATE INDEX ranges_free ON ranges (task_id, seq) WHERE done = FALSE AND owner = '';
CREATE INDEX ranges_owner ON ranges (owner) WHERE owner <> '';

CREATE TABLE failures (
    task_id    BIGINT   NOT NULL REFERENCES tasks (id),
    object_key BLOB     NOT NULL,
    generation BIGINT   NOT NULL,
    size       BIGINT   NOT NULL,
    kind       SMALLINT NOT NULL,
    code       TEXT     NOT NULL,
    message    TEXT     NOT NULL,
    failed_at  BIGINT   NOT NULL, -- milliseconds
    PRIMARY KEY (task_id, object_key)
);

CREATE TABLE uploads (
    task_id    BIGINT NOT NULL REFERENCES tasks (id),
    object_key BLOB   NOT NULL,
    upload_id  BLOB   NOT NULL,
    part_size  BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    etag       BLOB   NOT NULL,
    PRIMARY KEY (task_id, object_key, upload_id)
);

CREATE TABLE upload_parts (
    task_id    BIGINT NOT NULL,
    object_key BLOB   NOT NULL,
    upload_id  BLOB   NOT NULL,
    number     BIGINT NOT NULL,
    etag       BLOB   NOT NULL,
    crc32c     BIGINT NOT NULL,
    PRIMARY KEY (task_id, object_key, upload_id, number),
    FOREIGN KEY (task_id, object_key, upload_id) REFERENCES uploads (task_id, object_key, upload_id)
);

CREATE TABLE workers (
    owner     TEXT   NOT NULL PRIMARY KEY,
    last_seen BIGINT NOT NULL
);
