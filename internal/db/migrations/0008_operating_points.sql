-- What the concurrency controller learned: where the next process starts. Losing these rows costs seconds, not data.
CREATE TABLE operating_points (
    endpoint   TEXT    NOT NULL,
    bucket     TEXT    NOT NULL,
    class      TEXT    NOT NULL, -- list, read or write
    slots      BIGINT  NOT NULL,
    settled    BOOLEAN NOT NULL,
    rate       DOUBLE PRECISION NOT NULL, -- requests per second; 0: no limit was seen
    per_slot   DOUBLE PRECISION NOT NULL, -- bytes per second
    learned_at BIGINT  NOT NULL,
    PRIMARY KEY (endpoint, bucket, class)
);
CREATE INDEX operating_points_age ON operating_points (learned_at);
