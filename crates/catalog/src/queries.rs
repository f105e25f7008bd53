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
         warnings, metadata, source, containment, host, position_bytes, position_lines, position_seq"
    };
}
pub(crate) use execution_columns;

/// The columns of a step, in the order of `row::step`.
macro_rules! step_columns {
    () => {
        "step_index, name, parent, step_key, depth, status, exit_code, error, started_us, ended_us, \
         started_at_us, duration_us, estimated_s, stop_on_error, metadata, start_offset, end_offset, \
         first_line, last_line"
    };
}
pub(crate) use step_columns;

/// The columns of an artifact, in the order of `row::artifact`.
macro_rules! artifact_columns {
    () => {
        "artifact_index, step_index, path, description, created_us, sha256, size_bytes, changed, \
         problem, settled"
    };
}
pub(crate) use artifact_columns;

macro_rules! token_columns {
    () => {
        "id, prefix, digest, name, scope, created_us, expires_us, last_used_us, revoked_us"
    };
}

// The parameters of all lists: ?1 status, ?2 user, ?3 name, ?4 tag, ?5 and ?6 the cursor, ?7 limit,
// ?8 offset. Each list walks the index of its first condition in the list's order and looks at the
// others row by row; rows that the offset skips are not read.
macro_rules! list {
    ($from:literal, $first:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            execution_columns!(),
            " FROM ",
            $from,
            " WHERE ",
            $first,
            "(created_us, id) < (?5, ?6)",
            $rest,
            " ORDER BY created_us DESC, id DESC LIMIT ?7 OFFSET ?8"
        )
    };
}

// ?1 to ?4 as above, ?5 the most that is counted.
macro_rules! total {
    ($from:literal, $where:literal) => {
        concat!("SELECT count(*) FROM (SELECT 1 FROM ", $from, " WHERE ", $where, " LIMIT ?5)")
    };
}

queries! {
    EXECUTION = concat!("SELECT ", execution_columns!(), " FROM execution WHERE id = ?1");
    LIST = list!("execution INDEXED BY execution_by_created", "", "");
    LIST_STATUS = list!("execution INDEXED BY execution_by_status", "status = ?1 AND ", "");
    LIST_USER = list!(
        "execution INDEXED BY execution_by_user",
        "user_name = ?2 AND ",
        " AND (?1 IS NULL OR status = ?1)"
    );
    LIST_NAME = list!(
        "execution INDEXED BY execution_by_name",
        "name = ?3 AND ",
        " AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)
          AND (?4 IS NULL OR EXISTS (SELECT 1 FROM execution_tag WHERE tag = ?4
               AND execution_created_us = execution.created_us AND execution_id = execution.id))"
    );
    // CROSS JOIN: the walk over the tag comes first, whatever the planner thinks.
    LIST_TAG = concat!(
        "SELECT ",
        execution_columns!(),
        " FROM execution_tag CROSS JOIN execution ON id = execution_id
          WHERE tag = ?4 AND (execution_created_us, execution_id) < (?5, ?6)
            AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)
          ORDER BY execution_created_us DESC, execution_id DESC LIMIT ?7 OFFSET ?8"
    );
    TOTAL_USER = total!(
        "execution INDEXED BY execution_by_user",
        "user_name = ?2 AND (?1 IS NULL OR status = ?1)"
    );
    TOTAL_NAME = total!(
        "execution INDEXED BY execution_by_name",
        "name = ?3 AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)
         AND (?4 IS NULL OR EXISTS (SELECT 1 FROM execution_tag WHERE tag = ?4
              AND execution_created_us = execution.created_us AND execution_id = execution.id))"
    );
    TOTAL_TAG = total!(
        "execution_tag CROSS JOIN execution ON id = execution_id",
        "tag = ?4 AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user_name = ?2)"
    );
    STATISTICS = "SELECT pending, running, completed, failed, cancelled,
                         completed_duration_us_sum, completed_duration_count
                  FROM counter WHERE id = 1";
    UNFINISHED = "SELECT id FROM execution INDEXED BY execution_by_status
                  WHERE status IN ('pending', 'running')";
    /// ?1 the prefix, ?2 the least text after all that begin with it.
    IDS_WITH_PREFIX = "SELECT id FROM execution WHERE ?1 <= id AND id < ?2 ORDER BY id LIMIT ?3";
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
    ARTIFACTS_PAGE = concat!(
        "SELECT ",
        artifact_columns!(),
        ", execution_id FROM artifact INDEXED BY artifact_by_created
          WHERE (created_us, execution_id, artifact_index) < (?1, ?2, ?3)
          ORDER BY created_us DESC, execution_id DESC, artifact_index DESC LIMIT ?4"
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
    SESSION_BY_DIGEST = "SELECT digest, token_id, scope, created_us, last_seen_us, expires_us
                         FROM session WHERE digest = ?1";
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
