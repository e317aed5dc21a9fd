-- Synchronization tasks. number names the task in its other tables and in the transfer; it comes from the same
-- sequence as the ids of migration tasks.
CREATE TABLE sync_tasks (
    id            TEXT   NOT NULL PRIMARY KEY, -- UUID
    number        BIGINT NOT NULL UNIQUE,
    project_id    TEXT   NOT NULL,
    spec          TEXT   NOT NULL, -- JSON
    status        TEXT   NOT NULL,
    generation    BIGINT NOT NULL,
    error_code    TEXT,            -- null: no error
    error_message TEXT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    started_at    BIGINT NOT NULL,
    owner         TEXT   NOT NULL, -- worker that applies the events; empty: free
    token         BIGINT NOT NULL, -- grows with every lease
    commits       BIGINT NOT NULL, -- stored under the present lease, so that none is stored twice
    last_seq      BIGINT NOT NULL, -- last number given to an event
    pending       BIGINT NOT NULL  -- rows of sync_events
);
CREATE INDEX sync_tasks_project ON sync_tasks (project_id, number);
CREATE INDEX sync_tasks_status ON sync_tasks (status);

CREATE TABLE sync_credentials (
    sync_number BIGINT NOT NULL REFERENCES sync_tasks (number),
    field       TEXT   NOT NULL,
    sealed      BLOB   NOT NULL,
    PRIMARY KEY (sync_number, field)
);

-- Accepted object names that are not applied yet, each name once.
CREATE TABLE sync_events (
    sync_number BIGINT  NOT NULL REFERENCES sync_tasks (number),
    object_key  BLOB    NOT NULL,
    seq         BIGINT  NOT NULL, -- of the newest event of the name: what was applied before it does not count for it
    pos         BIGINT  NOT NULL, -- place in the queue
    names       BIGINT  NOT NULL, -- events that the row stands for
    attempts    BIGINT  NOT NULL, -- that failed
    again       BOOLEAN NOT NULL, -- the destination may hold a copy that an earlier attempt left
    due_at      BIGINT  NOT NULL, -- of the next attempt after a failure; 0: at once, in order of pos
    PRIMARY KEY (sync_number, object_key)
);
CREATE INDEX sync_events_queue ON sync_events (sync_number, pos) WHERE due_at = 0;
CREATE INDEX sync_events_due ON sync_events (sync_number, due_at) WHERE due_at > 0;

-- span is the length of a period in seconds: 300, 3600, or 0 for a calendar month; at is its begin.
CREATE TABLE sync_statistics (
    sync_number BIGINT NOT NULL REFERENCES sync_tasks (number),
    span        BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    requests    BIGINT NOT NULL,
    successes   BIGINT NOT NULL,
    failures    BIGINT NOT NULL,
    skips       BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    PRIMARY KEY (sync_number, span, at)
);

-- Lines of object lists that are not written to the destination yet.
CREATE TABLE sync_lists (
    sync_number BIGINT NOT NULL REFERENCES sync_tasks (number),
    kind        TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    entries     BIGINT NOT NULL,
    lines       BLOB   NOT NULL,
    PRIMARY KEY (sync_number, kind, seq)
);

CREATE TABLE sync_uploads (
    sync_number BIGINT NOT NULL REFERENCES sync_tasks (number),
    object_key  BLOB   NOT NULL,
    upload_id   BLOB   NOT NULL,
    part_size   BIGINT NOT NULL,
    size        BIGINT NOT NULL,
    etag        BLOB   NOT NULL,
    PRIMARY KEY (sync_number, object_key, upload_id)
);

CREATE TABLE sync_upload_parts (
    sync_number BIGINT NOT NULL,
    object_key  BLOB   NOT NULL,
    upload_id   BLOB   NOT NULL,
    part_number BIGINT NOT NULL,
    etag        BLOB   NOT NULL,
    crc32c      BIGINT NOT NULL,
    PRIMARY KEY (sync_number, object_key, upload_id, part_number),
    FOREIGN KEY (sync_number, object_key, upload_id) REFERENCES sync_uploads (sync_number, object_key, upload_id)
);
