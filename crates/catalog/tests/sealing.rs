//! A changed bit is not taken for what was written; what is damaged is set aside, and what lives only
//! in the catalog goes over where it can be trusted.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "only for tests")]

mod common;

use std::fs;

use common::{artifact, id, scratch, step, summary, token};
use rusqlite::Connection;
use stepflow_catalog::{
    ArtifactQuery, Catalog, CatalogError, Change, Inspection, ListQuery, Reader, Role, SavedSearch,
    Session, TestRun, renew,
};
use stepflow_model::{
    Status, StepStatus,
    results::{Mark, Verdict},
};

fn fill(catalog: &Catalog) {
    let writer = catalog.writer();
    let mut execution = summary(1, Status::Completed);
    (execution.progress, execution.tags) = (Some(0.0), vec!["a".into(), "b".into(), "a".into()]);
    let session = Session {
        digest: [8; 32],
        token_id: Some("t1".into()),
        scope: "operator".into(),
        created_us: 1,
        last_seen_us: 1,
        expires_us: 99,
    };
    let search = SavedSearch { name: "mine".into(), query: "status:failed".into(), created_us: 1 };
    let mark = |key, verdict| Mark { key, verdict, flaky: false, duration_ms: Some(3) };
    let marks = [mark(1, Verdict::Passed), mark(2, Verdict::Failed)];
    let all = vec![
        Change::Execution(Box::new(execution.clone())),
        Change::Step(id(1), Box::new(step(0, StepStatus::Running))),
        Change::Artifact(id(1), Box::new(artifact(0))),
        Change::Tests(Box::new(TestRun::new(id(1), 1, &marks))),
        Change::TokenCreate(Box::new(token("t1", 7))),
        Change::TokenUsed { id: "t1".into(), at_us: 5 },
        Change::SessionCreate(Box::new(session)),
        Change::SessionSeen { digest: [8; 32], at_us: 6 },
        Change::SearchSave(Box::new(search)),
    ];
    writer.apply(all).unwrap();
    // Each way to update a row writes its seal anew.
    execution.position.seq += 1;
    execution.host = "other".into();
    writer.apply(vec![Change::Execution(Box::new(execution.clone()))]).unwrap();
    (execution.position.seq, execution.status) = (execution.position.seq + 1, Status::Failed);
    writer.apply(vec![Change::Execution(Box::new(execution.clone()))]).unwrap();
    (execution.position.seq, execution.pinned) = (execution.position.seq + 1, true);
    writer.apply(vec![Change::Execution(Box::new(execution))]).unwrap();
}

#[test]
fn what_was_written_is_whole_and_each_changed_value_is_found() {
    let (dir, catalog) = scratch();
    fill(&catalog);
    let path = dir.path().join("stepflow.db");
    assert_eq!(Inspection::open(&path).unwrap().damage(true).unwrap(), Vec::<String>::new());
    catalog.close().unwrap();
    type Read = fn(&Reader) -> Result<(), CatalogError>;
    let reads: [Read; 7] = [
        |reader| reader.list(&ListQuery::default()).map(drop),
        |reader| reader.steps(id(1)).map(drop),
        |reader| reader.artifacts_page(&ArtifactQuery { limit: 9, ..Default::default() }).map(drop),
        |reader| reader.test_run(id(1)).map(drop),
        |reader| reader.tokens().map(drop),
        |reader| reader.session_by_digest(&[8; 32]).map(drop),
        |reader| reader.searches(9).map(drop),
    ];
    let tables = ["execution", "step", "artifact", "test_run", "token", "session", "saved_search"];
    let whole = fs::read(&path).unwrap();
    let mut changed = 0;
    for (table, read) in tables.into_iter().zip(reads) {
        let columns: Vec<String> = Connection::open(&path)
            .unwrap()
            .prepare("SELECT name FROM pragma_table_info(?1)")
            .unwrap()
            .query_map([table], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        // What is looked for by its key is not found under another.
        let keys = ["origin_id", "execution_id", "digest"];
        for column in columns.iter().filter(|column| !keys.contains(&column.as_str())) {
            fs::write(&path, &whole).unwrap();
            let db = Connection::open(&path).unwrap();
            db.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
                .unwrap();
            let other = format!(
                "CASE typeof({column}) WHEN 'text' THEN {column} || 'x' WHEN 'null' THEN 1
                   WHEN 'blob' THEN zeroblob(length({column}))
                   ELSE {column} + 1 END"
            );
            db.execute(&format!("UPDATE {table} SET {column} = {other}"), []).unwrap();
            db.close().unwrap();
            let reader = Reader::open_existing(&path).unwrap();
            let error = read(&reader).expect_err(&format!("{table}.{column}"));
            assert!(error.is_corrupt(), "{table}.{column}: {error}");
            assert!(reader.fault().is_some(), "somebody will look");
            let found = Inspection::open(&path).unwrap().damage(true).unwrap();
            assert!(!found.is_empty(), "{table}.{column}");
            changed += 1;
        }
    }
    assert!(changed > 60, "{changed}");
}

/// Ways to break it, and whether what lives only there goes over.
#[test]
fn a_damaged_catalog_is_set_aside_and_what_can_be_trusted_goes_over() {
    for (sql, kept) in [
        ("DROP INDEX execution_by_name", true),
        ("DROP TABLE artifact", true),
        ("CREATE TRIGGER t AFTER UPDATE ON step BEGIN DELETE FROM step; END", true),
        ("UPDATE execution SET host = 'x'", true),
        ("UPDATE counter SET failed = failed + 1", true),
        ("DELETE FROM execution_tag", true),
        ("DROP INDEX test_run_by_name", true),
        ("UPDATE step SET execution_id = '0198c2aa-0000-7000-8000-000000000002'", true),
        ("DROP TABLE token", false),
        ("UPDATE token SET name = 'forged'", false),
        ("PRAGMA user_version = 0", false),
    ] {
        let (dir, catalog) = scratch();
        fill(&catalog);
        catalog.close().unwrap();
        let path = dir.path().join("stepflow.db");
        assert_eq!(renew(&path, "0").unwrap(), None, "it is whole");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
        drop(db);
        let before = fs::read(&path).unwrap();
        let renewed = renew(&path, "1").unwrap().expect(sql);
        assert_eq!(renewed.kept, kept, "{sql}: {}", renewed.what);
        assert!(fs::read(&renewed.aside).unwrap() == before, "{sql}: it is as it was");
        let catalog = Catalog::open(&path, Role::Command).unwrap();
        let reader = catalog.reader();
        assert_eq!(reader.statistics().unwrap().total, 0);
        let there = (
            reader.tokens().unwrap().len(),
            reader.session_by_digest(&[8; 32]).unwrap().is_some(),
            reader.searches(9).unwrap().len(),
        );
        assert_eq!(there, if kept { (1, true, 1) } else { (0, false, 0) }, "{sql}");
        catalog.close().unwrap();
        assert_eq!(renew(&path, "2").unwrap(), None, "what took its place is whole");
    }
}

#[test]
fn every_byte_of_the_header_that_matters_is_looked_at() {
    let (dir, catalog) = scratch();
    fill(&catalog);
    catalog.close().unwrap();
    let path = dir.path().join("stepflow.db");
    let whole = fs::read(&path).unwrap();
    for at in [0, 16, 18, 19, 20, 21, 22, 23, 47, 59] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let label = at.to_string();
        let renewed = renew(&path, &label).unwrap().unwrap_or_else(|| panic!("byte {at}"));
        assert!(!renewed.kept && fs::read(&renewed.aside).unwrap() == bytes, "byte {at}");
    }
}
