-- Messages about ends of tasks and task groups, written in the transaction of the end. A row whose next_at is 0 is
-- settled and stays as long as it tells of the latest end of something that exists.
CREATE TABLE notices (
    task_id    BIGINT NOT NULL, -- 0: of a group
    group_id   TEXT   NOT NULL, -- '': of a task
    generation BIGINT NOT NULL,
    project_id TEXT   NOT NULL,
    content    TEXT   NOT NULL, -- JSON
    tries      BIGINT NOT NULL, -- attempts that have begun
    code       TEXT,            -- null: nothing is known yet; '': sent; else why the latest attempt failed
    next_at    BIGINT NOT NULL, -- of the next attempt, 0 for none
    PRIMARY KEY (task_id, group_id, generation)
);
CREATE INDEX notices_due ON notices (next_at) WHERE next_at > 0;
