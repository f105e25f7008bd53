//! What stands under the path: nothing, ours, or something that must not be touched.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use common::{id, scratch, summary};
use rusqlite::Connection;
use stepflow_catalog::{Catalog, CatalogError, Change, Reader, Role, SCHEMA_VERSION, set_aside};
use stepflow_model::Status;

/// Every file of the directory with its content.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Opens `path` to write and to read, and checks that neither changed anything.
fn refused(path: &Path) -> (CatalogError, CatalogError) {
    let before = files(path.parent().unwrap());
    let writing = Catalog::open(path, Role::Server).unwrap_err();
    let reading = Reader::open_existing(path).unwrap_err();
    assert!(files(path.parent().unwrap()) == before, "the directory was changed");
    (writing, reading)
}

#[test]
fn a_catalog_survives_being_closed() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    let one = summary(1, Status::Completed);
    catalog.writer().apply(vec![Change::Execution(Box::new(one.clone()))]).unwrap();
    drop(catalog);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let catalog = Catalog::open(&path, Role::Server).unwrap();
    assert_eq!(catalog.reader().execution(id(1)).unwrap(), Some(one));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!dir.path().join("stepflow.db.new").exists());
}

#[test]
fn a_reader_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/stepflow.db");
    let missing = Reader::open_existing(&path).unwrap_err();
    assert!(matches!(missing, CatalogError::Missing { .. }));
    assert_eq!(files(dir.path()), []);
}

#[test]
fn an_interrupted_creation_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    for rest in ["stepflow.db", "stepflow.db.new-journal"] {
        fs::write(dir.path().join(rest), "").unwrap();
    }
    fs::write(dir.path().join("stepflow.db.new"), "half").unwrap();
    Catalog::open(&path, Role::Server).unwrap().close().unwrap();
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn the_wal_of_a_removed_database_is_not_replayed_into_a_new_one() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    let one = Change::Execution(Box::new(summary(1, Status::Running)));
    catalog.writer().apply(vec![one]).unwrap();
    let wal = fs::read(path.with_extension("db-wal")).unwrap();
    assert!(!wal.is_empty());
    drop(catalog);
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("db-wal"), &wal).unwrap();
    let catalog = Catalog::open(&path, Role::Server).unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().total, 0);
    assert!(fs::read(dir.path().join("stepflow.db-wal.orphan")).unwrap() == wal);
}

#[test]
fn the_original_is_recognised_and_left_alone() {
    for in_wal in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let db = Connection::open(&path).unwrap();
        if in_wal {
            // As the original leaves it: one page of header, and everything else in the WAL.
            let _: String = db.query_row("PRAGMA journal_mode=wal", [], |row| row.get(0)).unwrap();
        }
        db.execute_batch(
            "CREATE TABLE executions (id TEXT PRIMARY KEY, name TEXT NOT NULL);
             INSERT INTO executions VALUES ('x', 'y');",
        )
        .unwrap();
        let (writing, reading) = refused(&path);
        assert!(matches!(writing, CatalogError::Original { .. }), "{writing}");
        assert!(matches!(reading, CatalogError::Original { .. }), "{reading}");
        assert!(writing.hint().unwrap().contains("upgrade"));
        drop(db);
    }
}

#[test]
fn another_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    let (writing, _) = refused(&path);
    assert!(matches!(writing, CatalogError::Foreign { application_id: 0, .. }), "{writing}");
}

#[test]
fn what_is_no_database_is_left_alone() {
    for content in [&b"hello"[..], &[0; 4096], &b"SQLite format 3\0"[..]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        fs::write(&path, content).unwrap();
        let (writing, reading) = refused(&path);
        assert!(writing.is_corrupt() && reading.is_corrupt(), "{writing}");
        assert!(writing.hint().unwrap().contains("reindex"));
    }
}

#[test]
fn damage_behind_the_header_is_found_and_the_file_can_be_set_aside() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    for number in 0..200 {
        let one = Change::Execution(Box::new(summary(number, Status::Running)));
        catalog.writer().apply(vec![one]).unwrap();
    }
    drop(catalog);
    let mut bytes = fs::read(&path).unwrap();
    let (pages, page) = (bytes.len() / 4096, 4096);
    assert!(10 < pages);
    for at in 1..pages {
        bytes[at * page..][..64].fill(0xa5);
    }
    fs::write(&path, &bytes).unwrap();
    let damaged = Catalog::open(&path, Role::Server).and_then(|catalog| {
        catalog.reader().integrity()?;
        catalog.reader().list(&stepflow_catalog::ListQuery::default())?;
        Ok(())
    });
    assert!(damaged.unwrap_err().is_corrupt());

    let aside = set_aside(&path, "1").unwrap();
    assert!(!path.exists() && aside.exists());
    let catalog = Catalog::open(&path, Role::Server).unwrap();
    catalog.reader().integrity().unwrap();
    drop(catalog);
    assert!(set_aside(&path, "1").is_err(), "an older one is not overwritten");
}

#[test]
fn a_damaged_schema_page_is_a_typed_error_at_open() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    drop(catalog);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    assert!(Catalog::open(&path, Role::Server).unwrap_err().is_corrupt());
}

#[test]
fn other_versions_are_refused_by_those_who_cannot_read_them() {
    let (dir, catalog) = scratch();
    let path = dir.path().join("stepflow.db");
    drop(catalog);
    let set = |version: u32| {
        Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
    };
    set(SCHEMA_VERSION + 1);
    let writing = Catalog::open(&path, Role::Server).unwrap_err();
    let reading = Reader::open_existing(&path).unwrap_err();
    for error in [writing, reading] {
        assert!(matches!(error, CatalogError::TooNew { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    set(SCHEMA_VERSION - 1);
    let behind = Reader::open_existing(&path).unwrap_err();
    assert!(matches!(behind, CatalogError::Behind { .. }), "{behind}");
}

#[test]
fn a_row_with_an_unknown_word_is_an_error_and_not_a_default() {
    let (dir, catalog) = scratch();
    let one = Change::Execution(Box::new(summary(1, Status::Failed)));
    catalog.writer().apply(vec![one]).unwrap();
    let db = Connection::open(dir.path().join("stepflow.db")).unwrap();
    // As an earlier version wrote it: without a seal.
    db.execute("UPDATE execution SET reason = 'sunspots', crc = NULL", []).unwrap();
    let error = catalog.reader().execution(id(1)).unwrap_err();
    assert!(matches!(error, CatalogError::BadRow { .. }), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("sunspots"));
}
