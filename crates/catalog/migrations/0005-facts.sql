-- 0005: lists by duration, exit code and source, and the headline of a time range, are answered from
-- one index: a million rows that do not belong there are passed over without being read.
CREATE INDEX execution_by_facts ON execution
    (created_us, id, status, duration_us, exit_code, source, user_name, position_bytes, started_us,
     reason);
