-- Several processes on one database.
ALTER TABLE tasks ADD COLUMN lead_owner TEXT   NOT NULL DEFAULT ''; -- worker that plans and ends the task; empty: none
ALTER TABLE tasks ADD COLUMN seq_blocks BIGINT NOT NULL DEFAULT 0;  -- blocks of numbers of ranges that were given out

-- What only one of all workers does, such as looking for tasks to start.
CREATE TABLE duties (
    name  TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL
);

-- Workers that have nothing to do ask those that hold the ranges of a task for some.
CREATE TABLE work_requests (
    task_id  BIGINT  NOT NULL,
    owner    TEXT    NOT NULL,
    whole    BOOLEAN NOT NULL, -- it needs all ranges of the task
    asked_at BIGINT  NOT NULL,
    PRIMARY KEY (task_id, owner)
);

-- What the run of a task in a process knows beyond what is stored of its ranges.
CREATE TABLE run_progress (
    task_id     BIGINT  NOT NULL,
    owner       TEXT    NOT NULL,
    generation  BIGINT  NOT NULL,
    found       BIGINT  NOT NULL, -- objects that were listed and are in no checkpoint
    found_bytes BIGINT  NOT NULL,
    partial     BIGINT  NOT NULL, -- bytes of unfinished large objects
    speed       BIGINT  NOT NULL, -- bytes per second
    query_over  BOOLEAN NOT NULL,
    PRIMARY KEY (task_id, owner)
);
CREATE INDEX run_progress_owner ON run_progress (owner);

-- Shares of the bandwidth limit of a task.
CREATE TABLE bandwidth_shares (
    task_id    BIGINT NOT NULL,
    owner      TEXT   NOT NULL,
    share      BIGINT NOT NULL, -- bytes per second
    rate       BIGINT NOT NULL, -- that the worker moved lately
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (task_id, owner)
);

-- What servers leave for workers.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
