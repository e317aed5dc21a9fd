-- Archived objects that wait until they can be read, which the ranges that met them count as
-- listed and as nothing else yet.
CREATE TABLE restores (
    task_id    BIGINT NOT NULL REFERENCES tasks (id),
    object_key BLOB   NOT NULL, -- as in failures
    size       BIGINT NOT NULL,
    requests   BIGINT NOT NULL, -- how often the store was asked to restore it
    asked_at   BIGINT NOT NULL, -- when it was asked last, 0: not, or what it restored has expired
    not_before BIGINT NOT NULL, -- when it is looked at next
    PRIMARY KEY (task_id, object_key)
);
CREATE INDEX restores_due ON restores (task_id, not_before, object_key);

-- What the restores that a project asked for on a day in UTC add up to.
CREATE TABLE restore_days (
    project_id TEXT   NOT NULL,
    day        BIGINT NOT NULL, -- since 1970
    requests   BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    PRIMARY KEY (project_id, day)
);
