//! Every statement that reads, in one list, so that a test can look at the plan of each.
//!
//! `INDEXED BY` makes the plan part of the statement: if an index went away, preparing fails,
//! instead of a list that gets slow with a million rows.

/// A statement of [`ALL`]. The reader takes nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query(&'static str);

impl Query {
    pub(crate) const fn sql(self) -> &'static str {
        self.0
    }
}

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: Query = Query($sql);)+
        /// All of them, by name.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, Query)] = &[$((stringify!($name), $name)),+];
    };
}

/// The columns of an execution, in the order of `row::summary`.
macro_rules! execution_columns {
    () => {
        "id, name, command, cwd, status, reason, cancelling, paused, exit_code, signal, \
         error_message, created_us, started_us, ended_us, duration_us, env, user_name, tags, \
         total_steps, completed_steps, failed_steps, current_step, current_step_name, artifacts, \
         warnings, metadata, source, containment, host, position_bytes, position_lines, position_seq, \
         skipped_steps, progress, progress_text, pty, rerun_of, \
         origin, pinned, crc"
    };
}
pub(crate) use execution_columns;

/// The columns of a step, in the order of `row::step`.
macro_rules! step_columns {
    () => {
        "step_index, name, parent, step_key, depth, status, exit_code, error, started_us, ended_us, \
         started_at_us, duration_us, estimated_s, stop_on_error, metadata, start_offset, end_offset, \
         first_line, last_line, progress, progress_text, origin, crc, execution_id"
    };
}
pub(crate) use step_columns;

/// The columns of an artifact, in the order of `row::artifact`.
macro_rules! artifact_columns {
    () => {
        "artifact_index, step_index, path, description, created_us, sha256, size_bytes, changed, \
         problem, settled, origin, crc, execution_id"
    };
}
pub(crate) use artifact_columns;

/// The columns of an execution's tests, in the order of `row::test_run`.
macro_rules! test_run_columns {
    () => {
        "execution_id, name, created_us, marks, crc"
    };
}
pub(crate) use test_run_columns;

/// An execution has the tag ?4, if one is given.
macro_rules! tag_condition {
    () => {
        " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM execution_tag WHERE tag = ?4
               AND execution_created_us = execution.created_us AND execution_id = execution.id))"
    };
}

/// What retention has to know of an execution.
macro_rules! kept_columns {
    () => {
        "id, created_us, ended_us, status, name, tags, pinned, position_bytes + coalesce(
           (SELECT sum(size_bytes) FROM artifact WHERE execution_id = execution.id), 0)"
    };
}

/// The columns of a token, in the order of `row::token`.
macro_rules! token_columns {
    () => {
        "id, prefix, digest, name, scope, created_us, expires_us, last_used_us, revoked_us, crc"
    };
}
pub(crate) use token_columns;

/// The columns of a session, in the order of `row::session`.
macro_rules! session_columns {
    () => {
        "digest, token_id, scope, created_us, last_seen_us, expires_us, crc"
    };
}
pub(crate) use session_columns;

/// The columns of a saved search, in the order of `row::search`.
macro_rules! search_columns {
    () => {
        "name, query, created_us, crc"
    };
}
pub(crate) use search_columns;

/// What no list walks an index for: it is looked at row by row, in this order; a part of the name,
/// which few rows have, comes first.
///
/// ?9 a part of the name, given in lower case: as ASCII goes, the case does not matter. Durations
/// between ?11 and ?12, the exit code ?13, any other than ?14, the source ?15; and what it must not
/// be: status ?16, tag ?17, user ?18, part of the name ?19, source ?20.
macro_rules! row_conditions {
    () => {
        " AND (?9 IS NULL OR instr(lower(name), ?9) > 0)
          AND (?11 IS NULL OR ?11 < duration_us) AND (?12 IS NULL OR duration_us < ?12)
          AND (?13 IS NULL OR exit_code = ?13) AND (?14 IS NULL OR exit_code <> ?14)
          AND (?15 IS NULL OR source = ?15) AND (?16 IS NULL OR status <> ?16)
          AND (?18 IS NULL OR user_name <> ?18) AND (?20 IS NULL OR source <> ?20)
          AND (?19 IS NULL OR instr(lower(name), ?19) = 0)
          AND (?17 IS NULL OR NOT EXISTS (SELECT 1 FROM execution_tag AS other
               WHERE other.tag = ?17 AND other.execution_created_us = execution.created_us
                 AND other.execution_id = execution.id))"
    };
}

// The parameters of all lists: ?1 status, ?2 user, ?3 name, ?4 tag, ?5 and ?6 the cursor, ?7 limit,
// ?8 offset, ?10 the first time, and those of `row_conditions!`. Each list walks the index of its first
// condition in the list's order, no further than that time, and looks at the others row by row;
// rows that the offset skips are not read.
macro_rules! list {
    ($from:literal, $first:literal, $($rest:expr),+) => {
        concat!(
            "SELECT ",
            execution_columns!(),
            " FROM ",
            $from,
            " WHERE ",
            $first,
            "(created_us, id) < (?5, ?6) AND ?10 <= created_us",
            $($rest,)+
            row_conditions!(),
            " ORDER BY created_us DESC, id DESC LIMIT ?7 OFFSET ?8"
        )
    };
}

// By duration, of those that have one: ?1 to ?20 as above, but for the cursor, which is a duration and
// an id; ?21 the time behind the last one, ?22 whether only pinned ones. Walks one index and looks at
// all conditions row by row.
macro_rules! ranked {
    ($beyond:literal, $order:literal) => {
        concat!(
            "SELECT ",
            execution_columns!(),
            " FROM execution INDEXED BY execution_by_duration
              WHERE duration_us IS NOT NULL AND (duration_us, id) ",
            $beyond,
            " (?5, ?6) AND (?1 IS NULL OR status = ?1) AND ?10 <= created_us AND created_us < ?21
              AND (?2 IS NULL OR user_name = ?2) AND (?3 IS NULL OR name = ?3)
              AND pinned >= ?22",
            tag_condition!(),
            row_conditions!(),
            " ORDER BY duration_us ",
            $order,
            ", id ",
            $order,
            " LIMIT ?7 OFFSET ?8"
        )
    };
}

// ?1 to ?4 and ?9 to ?20 as above, ?5 the time behind the last one, ?7 the most that is counted.
macro_rules! total {
    ($from:literal, $first:literal, $($rest:expr),+) => {
        concat!(
            "SELECT count(*) FROM (SELECT 1 FROM ",
            $from,
            " WHERE ",
            $first,
            "created_us < ?5 AND ?10 <= created_us",
            $($rest,)+
            row_conditions!(),
            " LIMIT ?7)"
        )
    };
}

queries! {
    EXECUTION = concat!("SELECT ", execution_columns!(), " FROM execution WHERE id = ?1");
    LIST = list!("execution INDEXED BY execution_by_created", "", "");
    /// For conditions that this index can answer: rows that do not fulfil them are not read.
    LIST_FACTS = list!(
        "execution INDEXED BY execution_by_facts",
        "",
        " AND (?1 IS NULL OR status = ?1)"
    );
    LIST_STATUS = list!("execution INDEXED BY execution_by_status", "status = ?1 AND ", "");
    LIST_USER = list!(
        "execution INDEXED BY execution_by_user",
        "user_name = ?2 AND ",
        " AND (?1 IS NULL OR status = ?1)"
    );
    LIST_NAME = list!(
        "execution INDEXED BY execution_by_name",
        "name = ?3 AND ",
        " AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)",
        tag_condition!()
    );
    LIST_PINNED = list!(
        "execution INDEXED BY execution_by_pinned",
        "pinned = 1 AND ",
        " AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)
          AND (?3 IS NULL OR name = ?3)",
        tag_condition!()
    );
    LIST_LONGEST = ranked!("<", "DESC");
    LIST_SHORTEST = ranked!(">", "ASC");
    // CROSS JOIN: the walk over the tag comes first, whatever the planner thinks.
    LIST_TAG = concat!(
        "SELECT ",
        execution_columns!(),
        " FROM execution_tag CROSS JOIN execution ON id = execution_id
          WHERE tag = ?4 AND (execution_created_us, execution_id) < (?5, ?6)
            AND ?10 <= execution_created_us
            AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)",
        row_conditions!(),
        " ORDER BY execution_created_us DESC, execution_id DESC LIMIT ?7 OFFSET ?8"
    );
    TOTAL = total!("execution INDEXED BY execution_by_created", "", "");
    TOTAL_FACTS = total!(
        "execution INDEXED BY execution_by_facts",
        "",
        " AND (?1 IS NULL OR status = ?1)"
    );
    TOTAL_STATUS = total!("execution INDEXED BY execution_by_status", "status = ?1 AND ", "");
    TOTAL_USER = total!(
        "execution INDEXED BY execution_by_user",
        "user_name = ?2 AND ",
        " AND (?1 IS NULL OR status = ?1)"
    );
    TOTAL_NAME = total!(
        "execution INDEXED BY execution_by_name",
        "name = ?3 AND ",
        " AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)",
        tag_condition!()
    );
    TOTAL_PINNED = total!(
        "execution INDEXED BY execution_by_pinned",
        "pinned = 1 AND ",
        " AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)
          AND (?3 IS NULL OR name = ?3)",
        tag_condition!()
    );
    TOTAL_TAG = concat!(
        "SELECT count(*) FROM (
           SELECT 1 FROM execution_tag CROSS JOIN execution ON id = execution_id
           WHERE tag = ?4 AND execution_created_us < ?5 AND ?10 <= execution_created_us
             AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)",
        row_conditions!(),
        " LIMIT ?7)"
    );
    STATISTICS = "SELECT pending, running, completed, failed, cancelled,
                         completed_duration_us_sum, completed_duration_count
                  FROM counter WHERE id = 1";
    UNFINISHED = "SELECT id FROM execution INDEXED BY execution_by_status
                  WHERE status IN ('pending', 'running')";
    /// ?1 the prefix, ?2 the least text after all that begin with it.
    IDS_WITH_PREFIX = "SELECT id FROM execution WHERE ?1 <= id AND id < ?2 ORDER BY id LIMIT ?3";
    /// The newest passes among the last ?4 executions named ?1 before the cursor ?2, ?3. Bounded: a
    /// name that never passes is not walked to its beginning.
    USUAL = "SELECT id, duration_us FROM (
               SELECT id, status, duration_us FROM execution INDEXED BY execution_by_name
               WHERE name = ?1 AND (created_us, id) < (?2, ?3)
               ORDER BY created_us DESC, id DESC LIMIT ?4)
             WHERE status = 'completed' LIMIT ?5";
    /// The last ?2 executions named ?1, newest first.
    STRIP = "SELECT id, status, duration_us FROM execution INDEXED BY execution_by_name
             WHERE name = ?1 ORDER BY created_us DESC, id DESC LIMIT ?2";
    /// What the headline counts of each execution from ?1 on, before ?2; the index has all of it.
    OVERVIEW = "SELECT created_us, status, duration_us, position_bytes
                FROM execution INDEXED BY execution_by_facts
                WHERE ?1 <= created_us AND created_us < ?2";
    TIMES = "SELECT created_us, status, duration_us, position_bytes, started_us, reason
             FROM execution INDEXED BY execution_by_facts
             WHERE ?1 <= created_us AND created_us < ?2";
    /// ?1 and ?2 the cursor, ?3 limit.
    KEPT_OLDER = concat!(
        "SELECT ",
        kept_columns!(),
        " FROM execution INDEXED BY execution_by_created WHERE (created_us, id) < (?1, ?2)
          ORDER BY created_us DESC, id DESC LIMIT ?3"
    );
    KEPT_NEWER = concat!(
        "SELECT ",
        kept_columns!(),
        " FROM execution INDEXED BY execution_by_created WHERE (created_us, id) > (?1, ?2)
          ORDER BY created_us, id LIMIT ?3"
    );
    STEP_TIMES = "SELECT title, s.name, s.status, s.duration_us
                  FROM (SELECT id AS of_id, name AS title FROM execution
                        WHERE ?1 <= created_us AND created_us < ?2
                        ORDER BY created_us DESC, id DESC LIMIT ?3)
                  CROSS JOIN step AS s ON s.execution_id = of_id LIMIT ?4";
    /// ?1: before all names.
    SEARCHES = concat!(
        "SELECT ",
        search_columns!(),
        " FROM saved_search WHERE ?1 <= name ORDER BY name LIMIT ?2"
    );
    USUAL_STEPS = "SELECT step_index, name, parent, duration_us FROM step
                   WHERE execution_id = ?1 AND status = 'completed' ORDER BY step_index LIMIT ?2";
    STEPS = concat!(
        "SELECT ",
        step_columns!(),
        " FROM step WHERE execution_id = ?1 ORDER BY step_index"
    );
    ARTIFACTS = concat!(
        "SELECT ",
        artifact_columns!(),
        " FROM artifact WHERE execution_id = ?1 ORDER BY artifact_index"
    );
    ARTIFACT = concat!(
        "SELECT ",
        artifact_columns!(),
        " FROM artifact WHERE execution_id = ?1 AND artifact_index = ?2"
    );
    /// Which artifact was given this id by the original.
    ARTIFACT_BY_ORIGIN = "SELECT execution_id, artifact_index
                          FROM artifact INDEXED BY artifact_by_origin
                          WHERE origin_id = ?1 LIMIT 1";
    /// Which step was given this id by the original.
    STEP_BY_ORIGIN = "SELECT execution_id, step_index FROM step INDEXED BY step_by_origin
                      WHERE origin_id = ?1 LIMIT 1";
    /// ?1 to ?3 the cursor, ?4 limit, ?5 offset, ?6 a part of the path, in lower case.
    ARTIFACTS_PAGE = concat!(
        "SELECT ",
        artifact_columns!(),
        " FROM artifact INDEXED BY artifact_by_created
          WHERE (created_us, execution_id, artifact_index) < (?1, ?2, ?3)
            AND (?6 IS NULL OR instr(lower(path), ?6) > 0)
          ORDER BY created_us DESC, execution_id DESC, artifact_index DESC LIMIT ?4 OFFSET ?5"
    );
    /// The same of the execution ?1 and, unless it is null, its step ?2, the latest number first;
    /// ?3 the cursor's number.
    ARTIFACTS_PAGE_OF = concat!(
        "SELECT ",
        artifact_columns!(),
        " FROM artifact
          WHERE execution_id = ?1 AND artifact_index < ?3
            AND (?6 IS NULL OR instr(lower(path), ?6) > 0) AND (?2 IS NULL OR step_index = ?2)
          ORDER BY artifact_index DESC LIMIT ?4 OFFSET ?5"
    );
    TOKEN_BY_DIGEST = concat!("SELECT ", token_columns!(), " FROM token WHERE digest = ?1");
    TOKENS_BY_PREFIX =
        concat!("SELECT ", token_columns!(), " FROM token WHERE prefix = ?1 ORDER BY id LIMIT ?2");
    /// ?1: before all times.
    TOKENS = concat!(
        "SELECT ",
        token_columns!(),
        " FROM token INDEXED BY token_by_created WHERE ?1 <= created_us ORDER BY created_us, id"
    );
    TOKEN = concat!("SELECT ", token_columns!(), " FROM token WHERE id = ?1");
    TEST_RUN =
        concat!("SELECT ", test_run_columns!(), " FROM test_run WHERE execution_id = ?1");
    /// Of those named ?1 that were created before (?2, ?3) the last ?4, newest first.
    TEST_RUNS = concat!(
        "SELECT ",
        test_run_columns!(),
        " FROM test_run INDEXED BY test_run_by_name
          WHERE name = ?1 AND (created_us, execution_id) < (?2, ?3)
          ORDER BY created_us DESC, execution_id DESC LIMIT ?4"
    );
    TEST_RUN_IDS = "SELECT execution_id FROM test_run INDEXED BY test_run_by_name
                    WHERE name = ?1 AND (created_us, execution_id) < (?2, ?3)
                    ORDER BY created_us DESC, execution_id DESC LIMIT ?4";
    SESSION_BY_DIGEST = concat!("SELECT ", session_columns!(), " FROM session WHERE digest = ?1");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalog, Role};

    fn plan(db: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Parameters stay unbound: a plan does not depend on them.
        statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>().unwrap()
    }

    /// A walk over a table or an index without a bound; `SCAN (subquery-1)` walks a bounded result.
    fn is_slow(line: &str) -> bool {
        (line.contains("SCAN ") && !line.contains("SCAN (")) || line.contains("TEMP B-TREE")
    }

    #[test]
    fn every_query_is_served_by_an_index_and_needs_no_sorting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        Catalog::open(&path, Role::Command).unwrap().close().unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        for (name, query) in ALL {
            for line in plan(&db, query.sql()) {
                assert!(!is_slow(&line), "{name}: {line}");
            }
        }
        // The test itself can see both.
        assert!(plan(&db, "SELECT * FROM step").iter().any(|line| is_slow(line)));
        let unsorted = "SELECT id FROM execution WHERE status = 'x' ORDER BY host";
        assert!(plan(&db, unsorted).iter().any(|line| is_slow(line)));
    }

    #[test]
    fn c10_rows_that_do_not_count_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        Catalog::open(&path, Role::Command).unwrap().close().unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        // Every condition on a row, the part of its name included, is answered from the index.
        let plan = plan(&db, TOTAL_FACTS.sql());
        assert!(
            plan.iter().any(|line| line.contains("COVERING INDEX execution_by_facts")),
            "{plan:?}"
        );
    }

    #[test]
    fn the_plans_stay_when_the_planner_has_statistics() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        Catalog::open(&path, Role::Command).unwrap().close().unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        let plans = || -> Vec<_> { ALL.iter().map(|(_, query)| plan(&db, query.sql())).collect() };
        let before = plans();
        db.execute_batch("ANALYZE").unwrap();
        assert_eq!(plans(), before);
    }
}
