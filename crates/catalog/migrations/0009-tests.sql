-- 0009: how the tests of an execution ended, for what the past says of each: one row an execution, of
-- the last 50 of a name that had tests. A test is 13 bytes (`src/test_run.rs`), however long its name.
CREATE TABLE test_run (
    execution_id TEXT    PRIMARY KEY REFERENCES execution (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,  -- of the execution
    created_us   INTEGER NOT NULL,  -- of the execution
    marks        BLOB    NOT NULL,  -- by key, ascending
    crc          INTEGER
) STRICT;
CREATE INDEX test_run_by_name ON test_run (name, created_us, execution_id);
