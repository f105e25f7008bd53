//! The WAL under steady writes: it is moved beside them, begins anew, and its thread lets go in time.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{fs, path::Path, sync::mpsc};

use common::{id, pending, token};
use rusqlite::Connection;
use stepflow_catalog::{Catalog, Change, Fault, Options, Role};

/// Pages in the WAL at which some are moved: few, so that little need be written here.
const ROUND: u32 = 20;

fn open(path: &Path) -> Catalog {
    let options =
        Options { wal_autocheckpoint: ROUND, idle_checkpoint: None, ..Role::Server.into() };
    Catalog::open_with(path, options).unwrap()
}

/// Writes rows with these numbers, one in each transaction. Returns the largest WAL.
fn write(catalog: &Catalog, numbers: std::ops::Range<u64>) -> u64 {
    let mut most = 0;
    for number in numbers {
        catalog.writer().apply(vec![pending(number)]).unwrap();
        most = most.max(catalog.wal_bytes());
    }
    most
}

fn database_bytes(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn under_steady_writes_the_wal_is_moved_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let catalog = open(&path);
    let empty = database_bytes(&path);
    let most = write(&catalog, 0..2_000);
    // At least the page of the row and one of an index each: 2,000 x 2 x 4 KiB.
    assert!(most < 4 << 20, "{most} bytes in the WAL");
    assert!(database_bytes(&path) > empty, "nothing was moved");
    let figures = catalog.reader().figures();
    assert!(figures.checkpoints >= 2, "{figures:?}");
    catalog.reader().integrity().unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().total, 2_000);
}

#[test]
fn behind_a_slow_reader_the_wal_grows_and_begins_anew_once_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let catalog = open(&path);
    write(&catalog, 0..10);
    let slow = Connection::open(&path).unwrap();
    slow.execute_batch("BEGIN").unwrap();
    let count = |db: &Connection| -> i64 {
        db.query_row("SELECT count(*) FROM execution", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&slow), 10);
    let held = write(&catalog, 10..1_000);
    assert!(held > 4 << 20, "{held}: nothing was in the way");
    assert_eq!(count(&slow), 10, "what it sees stays as it was");
    assert!(catalog.reader().figures().checkpoints_blocked > 0);
    slow.execute_batch("COMMIT").unwrap();
    drop(slow);
    let after = write(&catalog, 1_000..3_000);
    // It begins anew after one more round; the file stays as large as it was, and grows no more.
    assert!(after < held + (2 << 20), "{held}, and then {after}");
    catalog.reader().integrity().unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().total, 3_000);
}

#[test]
fn a_catalog_that_is_closed_in_the_midst_of_it_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    for round in 0..20 {
        let catalog = open(&path);
        write(&catalog, round * 60..(round + 1) * 60);
        catalog.close().unwrap();
        // The last to close removes it: nobody else has the file open any more.
        assert!(!path.with_extension("db-wal").exists(), "round {round}");
    }
    let catalog = open(&path);
    catalog.reader().integrity().unwrap();
    assert_eq!(catalog.reader().statistics().unwrap().total, 1_200);
}

#[test]
fn a_file_that_is_gone_is_written_again_and_the_new_one_is_moved_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let catalog = open(&path);
    write(&catalog, 0..300);
    catalog.writer().apply(vec![Change::TokenCreate(Box::new(token("t", 1)))]).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(dir.path().join(format!("stepflow.db{suffix}"))).unwrap();
    }
    write(&catalog, 300..400); // Nobody has noticed yet: it goes on in the file without a name.
    assert_eq!(catalog.reader().fault(), Some(Fault::Gone));
    let (sender, replaced) = mpsc::channel();
    catalog.writer().replace(
        Fault::Gone,
        "now".to_owned(),
        Box::new(move |done| sender.send(done).unwrap()),
    );
    let replaced = replaced.recv().unwrap().unwrap();
    assert!(!replaced.empty && replaced.aside.is_none(), "{replaced:?}");
    let before = (database_bytes(&path), catalog.reader().figures().checkpoints);
    let most = write(&catalog, 400..2_400);
    assert!(most < 4 << 20, "{most} bytes in the WAL");
    assert!(database_bytes(&path) > before.0, "nothing was moved to the new file");
    assert!(catalog.reader().figures().checkpoints > before.1);
    assert!(catalog.reader().execution(id(350)).unwrap().is_some());
    assert_eq!(catalog.reader().statistics().unwrap().total, 2_400);
    catalog.reader().integrity().unwrap();
    catalog.close().unwrap();
    assert!(!path.with_extension("db-wal").exists());
}
