-- Append only. hash covers the row and the hash of the row before, so that a change, a gap or a swap shows; the
-- sequence tells how many rows there must be.
CREATE TABLE audit (
    seq     BIGINT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    project TEXT   NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    object  TEXT   NOT NULL,
    remote  TEXT   NOT NULL,
    result  TEXT   NOT NULL,
    hash    BLOB   NOT NULL
);
INSERT INTO sequences (name, value) VALUES ('audit', 0);
