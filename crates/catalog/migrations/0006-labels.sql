-- 0006: executions that somebody pinned, newest first.
ALTER TABLE execution ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
CREATE INDEX execution_by_pinned ON execution (created_us, id) WHERE pinned = 1;
-- The longest and the shortest, of those that have ended.
CREATE INDEX execution_by_duration ON execution (duration_us, id, status)
    WHERE duration_us IS NOT NULL;

-- Queries of the list that somebody saved for everybody. No record has them: `reindex` keeps them.
CREATE TABLE saved_search (
    name       TEXT    PRIMARY KEY NOT NULL,
    query      TEXT    NOT NULL,        -- as written in the page's query line
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
