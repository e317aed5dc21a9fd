-- Task groups. What the split of a group has not turned into tasks yet is in group_spans.
CREATE TABLE task_groups (
    id            TEXT     NOT NULL PRIMARY KEY, -- UUID
    project_id    TEXT     NOT NULL,
    spec          TEXT     NOT NULL, -- JSON
    status        SMALLINT NOT NULL,
    generation    BIGINT   NOT NULL,
    restart       TEXT     NOT NULL, -- which tasks this run starts
    error_code    TEXT,              -- null: no error
    error_message TEXT,
    split_over    BOOLEAN  NOT NULL,
    split_step    BIGINT   NOT NULL, -- commits of the split so far
    owner         TEXT     NOT NULL, -- process that splits; empty: none
    restart_from  BIGINT   NOT NULL, -- tasks with greater ids, up to restart_to, are still to be looked at
    restart_to    BIGINT   NOT NULL,
    gone          TEXT     NOT NULL, -- JSON: sums over tasks that were deleted
    created_at    BIGINT   NOT NULL,
    updated_at    BIGINT   NOT NULL,
    started_at    BIGINT   NOT NULL,
    run_for       BIGINT   NOT NULL  -- nanoseconds
);
CREATE INDEX task_groups_project ON task_groups (project_id, created_at, id);
CREATE INDEX task_groups_status ON task_groups (status, project_id);
CREATE INDEX task_groups_owner ON task_groups (owner) WHERE owner <> '';

-- When groups were created, for the daily quota: a deleted group still counts.
CREATE TABLE group_creations (
    group_id   TEXT   NOT NULL PRIMARY KEY,
    project_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX group_creations_project ON group_creations (project_id, created_at);
CREATE INDEX group_creations_time ON group_creations (created_at);

CREATE TABLE group_credentials (
    group_id TEXT NOT NULL REFERENCES task_groups (id),
    field    TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (group_id, field)
);

CREATE TABLE group_spans (
    group_id     TEXT   NOT NULL REFERENCES task_groups (id),
    seq          BIGINT NOT NULL,
    first_prefix BIGINT NOT NULL, -- prefixes are numbers of selected prefixes in ascending order
    start_key    BLOB   NOT NULL,
    prefix       BIGINT NOT NULL,
    cur_key      BLOB   NOT NULL,
    end_key      BLOB   NOT NULL, -- empty: the end of the prefix
    objects      BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    last_prefix  BIGINT NOT NULL,
    up_to_key    BLOB   NOT NULL, -- empty: the end of the prefix
    tail_objects BIGINT NOT NULL,
    tail_bytes   BIGINT NOT NULL,
    PRIMARY KEY (group_id, seq)
);

-- Tasks of a group by state and id.
CREATE INDEX tasks_group_status ON tasks (group_id, status, id) WHERE group_id <> '';
