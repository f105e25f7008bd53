-- 0001: the first schema. Times are microseconds UTC. Ids are text in canonical form: new ones are
-- UUIDv7, so rows are added at the right edge of every tree that they lead.

-- One row per execution, replaced as a whole when its record has come further.
CREATE TABLE execution (
    id                TEXT    PRIMARY KEY NOT NULL CHECK (length(id) = 36),
    name              TEXT    NOT NULL,
    command           TEXT    NOT NULL,
    cwd               TEXT    NOT NULL,
    status            TEXT    NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    reason            TEXT,
    cancelling        INTEGER NOT NULL CHECK (cancelling IN (0, 1)),
    paused            INTEGER NOT NULL CHECK (paused IN (0, 1)),
    exit_code         INTEGER,
    signal            INTEGER,
    error_message     TEXT,
    created_us        INTEGER NOT NULL,
    started_us        INTEGER,
    ended_us          INTEGER,
    duration_us       INTEGER CHECK (0 <= duration_us),
    env               TEXT    NOT NULL,  -- JSON object
    user_name         TEXT    NOT NULL,
    tags              TEXT    NOT NULL,  -- JSON array; execution_tag has each of them
    total_steps       INTEGER NOT NULL,
    completed_steps   INTEGER NOT NULL,
    failed_steps      INTEGER NOT NULL,
    current_step      INTEGER,
    current_step_name TEXT,
    artifacts         INTEGER NOT NULL,
    warnings          INTEGER NOT NULL,
    metadata          TEXT    NOT NULL,  -- JSON object
    source            TEXT    NOT NULL CHECK (source IN ('cli', 'server')),
    containment       TEXT    NOT NULL,
    host              TEXT    NOT NULL,
    position_bytes    INTEGER NOT NULL,
    position_lines    INTEGER NOT NULL,
    position_seq      INTEGER NOT NULL
) STRICT;
CREATE INDEX execution_by_created ON execution (created_us, id);           -- every list, newest first
CREATE INDEX execution_by_status ON execution (status, created_us, id);    -- lists by status, unfinished
CREATE INDEX execution_by_user ON execution (user_name, created_us, id);   -- lists by user
CREATE INDEX execution_by_name ON execution (name, created_us, id);        -- lists by name

-- Lists by tag. Carries the order of lists, so that a page of them is one walk.
CREATE TABLE execution_tag (
    tag                  TEXT    NOT NULL,
    execution_created_us INTEGER NOT NULL,
    execution_id         TEXT    NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    PRIMARY KEY (tag, execution_created_us, execution_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX execution_tag_by_execution ON execution_tag (execution_id);   -- replacing and deleting

CREATE TABLE step (
    execution_id  TEXT    NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    step_index    INTEGER NOT NULL CHECK (0 <= step_index),
    name          TEXT    NOT NULL,
    parent        INTEGER,
    step_key      TEXT,
    depth         INTEGER NOT NULL,
    status        TEXT    NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped', 'cancelled')),
    exit_code     INTEGER,
    error         TEXT,
    started_us    INTEGER NOT NULL,
    ended_us      INTEGER,
    started_at_us INTEGER NOT NULL,      -- monotonic, since the recorder's start
    duration_us   INTEGER,
    estimated_s   REAL,
    stop_on_error INTEGER NOT NULL CHECK (stop_on_error IN (0, 1)),
    metadata      TEXT    NOT NULL,      -- JSON object
    start_offset  INTEGER NOT NULL,
    end_offset    INTEGER,
    first_line    INTEGER NOT NULL,
    last_line     INTEGER,
    PRIMARY KEY (execution_id, step_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    execution_id   TEXT    NOT NULL REFERENCES execution (id) ON DELETE CASCADE,
    artifact_index INTEGER NOT NULL CHECK (0 <= artifact_index),
    step_index     INTEGER,
    path           TEXT    NOT NULL,     -- as the script wrote it
    description    TEXT    NOT NULL,
    created_us     INTEGER NOT NULL,
    sha256         TEXT,                 -- hex; the copy's name on disk
    size_bytes     INTEGER NOT NULL CHECK (0 <= size_bytes),
    changed        INTEGER NOT NULL CHECK (changed IN (0, 1)),
    problem        TEXT,
    settled        INTEGER NOT NULL CHECK (settled IN (0, 1)),
    PRIMARY KEY (execution_id, artifact_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifact_by_created ON artifact (created_us, execution_id, artifact_index);

-- What statistics need, kept by the writer in the transaction that changes the rows.
CREATE TABLE counter (
    id                        INTEGER PRIMARY KEY CHECK (id = 1),
    pending                   INTEGER NOT NULL DEFAULT 0 CHECK (0 <= pending),
    running                   INTEGER NOT NULL DEFAULT 0 CHECK (0 <= running),
    completed                 INTEGER NOT NULL DEFAULT 0 CHECK (0 <= completed),
    failed                    INTEGER NOT NULL DEFAULT 0 CHECK (0 <= failed),
    cancelled                 INTEGER NOT NULL DEFAULT 0 CHECK (0 <= cancelled),
    completed_duration_us_sum INTEGER NOT NULL DEFAULT 0 CHECK (0 <= completed_duration_us_sum),
    completed_duration_count  INTEGER NOT NULL DEFAULT 0 CHECK (0 <= completed_duration_count)
) STRICT;
INSERT INTO counter (id) VALUES (1);

-- Tokens and sessions live only here: no record can give them back. Digests, never secrets.
CREATE TABLE token (
    id           TEXT    PRIMARY KEY NOT NULL,
    prefix       TEXT    NOT NULL,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),  -- SHA-256
    name         TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER,
    last_used_us INTEGER,
    revoked_us   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_by_prefix ON token (prefix, id);
CREATE INDEX token_by_created ON token (created_us, id);

CREATE TABLE session (
    digest       BLOB    PRIMARY KEY NOT NULL CHECK (length(digest) = 32),  -- SHA-256
    token_id     TEXT,                   -- what it was opened with; it ends when that is revoked
    scope        TEXT    NOT NULL,
    created_us   INTEGER NOT NULL,
    last_seen_us INTEGER NOT NULL,
    expires_us   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_token ON session (token_id);
CREATE INDEX session_by_expires ON session (expires_us);
CREATE INDEX session_by_last_seen ON session (last_seen_us);

-- The tables of the original StepFlow Monitor, for queries that were written for it: same columns,
-- same order, times as text. Read only.
CREATE VIEW executions AS
SELECT
    id,
    name,
    command,
    cwd AS working_directory,
    status,
    exit_code,
    error_message,
    strftime('%Y-%m-%dT%H:%M:%S', created_us / 1000000, 'unixepoch')
        || printf('.%06dZ', created_us % 1000000) AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch')
        || printf('.%06dZ', started_us % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', ended_us / 1000000, 'unixepoch')
        || printf('.%06dZ', ended_us % 1000000) AS completed_at,
    env AS environment,
    user_name,
    tags,
    total_steps,
    completed_steps,
    coalesce(current_step, -1) AS current_step_index,
    metadata
FROM execution;

CREATE VIEW steps AS
SELECT
    execution_id || '-s' || step_index AS id,
    execution_id,
    name,
    '' AS description,
    step_index,
    status,
    exit_code,
    error AS error_message,
    strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch')
        || printf('.%06dZ', started_us % 1000000) AS created_at,
    strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch')
        || printf('.%06dZ', started_us % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', ended_us / 1000000, 'unixepoch')
        || printf('.%06dZ', ended_us % 1000000) AS completed_at,
    estimated_s AS estimated_duration,
    stop_on_error,
    metadata
FROM step;

-- As in the original: without a copy, the name and the type are empty and the path is as declared.
CREATE VIEW artifacts AS
SELECT
    execution_id || '-a' || artifact_index AS id,
    execution_id,
    execution_id || '-s' || step_index AS step_id,
    base_name AS name,
    description,
    CASE WHEN sha256 IS NULL THEN path
         ELSE 'storage/artifacts/' || execution_id || '/' || sha256 END AS file_path,
    CASE WHEN sha256 IS NULL THEN '' ELSE base_name END AS file_name,
    size_bytes AS file_size,
    CASE
        WHEN sha256 IS NULL THEN ''
        WHEN path LIKE '%.txt' OR path LIKE '%.log' THEN 'text/plain'
        WHEN path LIKE '%.html' THEN 'text/html'
        WHEN path LIKE '%.xml' THEN 'text/xml'
        WHEN path LIKE '%.json' THEN 'application/json'
        WHEN path LIKE '%.csv' THEN 'text/csv'
        WHEN path LIKE '%.pdf' THEN 'application/pdf'
        WHEN path LIKE '%.zip' THEN 'application/zip'
        WHEN path LIKE '%.tar' THEN 'application/x-tar'
        WHEN path LIKE '%.gz' THEN 'application/gzip'
        WHEN path LIKE '%.png' THEN 'image/png'
        WHEN path LIKE '%.jpg' OR path LIKE '%.jpeg' THEN 'image/jpeg'
        WHEN path LIKE '%.gif' THEN 'image/gif'
        ELSE 'application/octet-stream'
    END AS mime_type,
    'other' AS artifact_type,
    strftime('%Y-%m-%dT%H:%M:%S', created_us / 1000000, 'unixepoch')
        || printf('.%06dZ', created_us % 1000000) AS created_at,
    '[]' AS tags,
    1 AS is_public,
    NULL AS retention_days,
    '{}' AS metadata
FROM (
    -- rtrim() takes everything after the last slash away: what is left is the directory.
    SELECT *, substr(path, length(rtrim(path, replace(path, '/', ''))) + 1) AS base_name
    FROM artifact
);
