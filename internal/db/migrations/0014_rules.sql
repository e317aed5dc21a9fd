-- What tasks with filters, and tasks that write nothing, found out beside their books. There is a row only where there is
-- something to say, so that other tasks cost nothing.
CREATE TABLE range_findings (
    task_id         BIGINT NOT NULL REFERENCES tasks (id),
    seq             BIGINT NOT NULL,
    filtered        BIGINT NOT NULL,
    filtered_bytes  BIGINT NOT NULL,
    absent          BIGINT NOT NULL,
    absent_bytes    BIGINT NOT NULL,
    differing       BIGINT NOT NULL,
    differing_bytes BIGINT NOT NULL,
    unproved        BIGINT NOT NULL,
    unproved_bytes  BIGINT NOT NULL,
    PRIMARY KEY (task_id, seq)
);

-- Source keys that cannot be migrated under the names that the rules of a task give them.
CREATE TABLE name_conflicts (
    task_id    BIGINT NOT NULL REFERENCES tasks (id),
    position   BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    object_key BLOB   NOT NULL,
    other_key  BLOB   NOT NULL, -- empty: none
    name       BLOB   NOT NULL,
    PRIMARY KEY (task_id, position)
);

-- Assessments of buckets, the latest of each project.
CREATE TABLE assessments (
    id         TEXT   NOT NULL PRIMARY KEY,
    project_id TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL, -- 0: it is under way
    content    TEXT   NOT NULL  -- JSON
);
CREATE INDEX assessments_project ON assessments (project_id, created_at);
