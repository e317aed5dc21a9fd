-- Lists of migrated and skipped objects, and of objects whose metadata was not carried whole. Lines are kept here
-- until there are enough of them for a segment, which becomes an object at the destination; at the end of a run the
-- segments and what is left become list files. No row stands for a single object.
CREATE TABLE object_lists (
    task_id      BIGINT NOT NULL REFERENCES tasks (id),
    kind         TEXT   NOT NULL,
    began_at     BIGINT NOT NULL,
    segment      BIGINT NOT NULL, -- that lines are added to
    segment_size BIGINT NOT NULL, -- bytes of the lines in it
    seq          BIGINT NOT NULL, -- of the last piece
    entries      BIGINT NOT NULL, -- lines in all, written ones included
    size         BIGINT NOT NULL, -- bytes in all
    filed        BIGINT NOT NULL, -- segments up to this one are in list files
    stamp        BIGINT NOT NULL, -- names the list files that are being written, milliseconds; 0: none are
    code         TEXT   NOT NULL, -- why the list is incomplete or was not written
    stopped      BIGINT NOT NULL, -- generation whose further lines are dropped; 0: none
    PRIMARY KEY (task_id, kind)
);

CREATE TABLE object_list_pieces (
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    kind    TEXT   NOT NULL,
    segment BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    size    BIGINT NOT NULL, -- bytes of the lines
    packed  BLOB   NOT NULL, -- the lines, compressed
    PRIMARY KEY (task_id, kind, segment, seq)
);

CREATE TABLE object_list_segments (
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    kind    TEXT   NOT NULL,
    segment BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    size    BIGINT NOT NULL,
    etag    BLOB   NOT NULL,
    crc32c  BIGINT NOT NULL,
    PRIMARY KEY (task_id, kind, segment)
);

CREATE TABLE object_list_files (
    task_id    BIGINT NOT NULL REFERENCES tasks (id),
    kind       TEXT   NOT NULL,
    number     BIGINT NOT NULL,
    object_key BLOB   NOT NULL,
    entries    BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    PRIMARY KEY (task_id, kind, number)
);

-- How many objects lost what of their metadata.
CREATE TABLE uncarried (
    task_id BIGINT NOT NULL REFERENCES tasks (id),
    kind    TEXT   NOT NULL,
    objects BIGINT NOT NULL,
    PRIMARY KEY (task_id, kind)
);
