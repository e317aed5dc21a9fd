-- Templates of tasks that are created at the times of a cron expression.
CREATE TABLE schedules (
    project_id  TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    cron        TEXT    NOT NULL,
    zone        TEXT    NOT NULL, -- '' for the zone of the service
    template    BLOB    NOT NULL, -- body of CreateExtendedTask, without keys
    enabled     BOOLEAN NOT NULL,
    revision    BIGINT  NOT NULL, -- changes with every firing and every change, so that nobody fires what is no longer so
    next_due    BIGINT  NOT NULL, -- 0: never
    planned_at  BIGINT  NOT NULL, -- what the clock was when next_due was computed
    last_task   BIGINT  NOT NULL, -- 0: none yet
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    PRIMARY KEY (project_id, name)
);
CREATE INDEX schedules_due ON schedules (next_due);

-- What became of the latest due times of a schedule, each once.
CREATE TABLE schedule_firings (
    project_id TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    due        BIGINT NOT NULL,
    fired_at   BIGINT NOT NULL,
    outcome    TEXT   NOT NULL,
    task_id    BIGINT NOT NULL, -- 0: none
    code       TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    PRIMARY KEY (project_id, name, due)
);
