-- Named credentials that people chose to keep, sealed under the master key.
CREATE TABLE connections (
    project_id  TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    cloud_type  TEXT   NOT NULL,
    region      TEXT   NOT NULL, -- where tasks that name none look for their bucket; '' for none
    description TEXT   NOT NULL,
    sealed      BLOB   NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (project_id, name)
);

-- For those who look for what changed, and for the tasks that may start next.
CREATE INDEX tasks_updated ON tasks (project_id, updated_at);
CREATE INDEX tasks_waiting ON tasks (status, project_id, priority, queued_at, id);
