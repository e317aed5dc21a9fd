-- Keys that divided a key space evenly when it was last listed, so that the next listing runs in parallel from its
-- first page on. They are key names: each project has its own.
CREATE TABLE listing_hints (
    project_id TEXT   NOT NULL,
    endpoint   TEXT   NOT NULL,
    bucket     TEXT   NOT NULL,
    prefix     BLOB   NOT NULL,
    bounds     BLOB   NOT NULL, -- ascending, each as what it does not share with the one before
    kept_at    BIGINT NOT NULL,
    PRIMARY KEY (project_id, endpoint, bucket, prefix)
);
CREATE INDEX listing_hints_age ON listing_hints (project_id, kept_at);
