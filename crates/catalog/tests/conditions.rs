//! The catalog while something is wrong around it: a foreign lock, a reader that stays, a file that is
//! damaged, gone or another.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use common::{id, pending, token};
use rusqlite::Connection;
use stepflow_catalog::{
    Catalog, CatalogError, Change, Fault, ListQuery, Options, Reader, Replaced, Role,
};

/// Longer than a machine that does other things takes for what needs no time.
const SLACK: Duration = Duration::from_secs(3);

fn wal_bytes(path: &Path) -> u64 {
    fs::metadata(path.with_extension("db-wal")).map_or(0, |wal| wal.len())
}

fn replace(catalog: &Catalog, fault: Fault) -> Replaced {
    let (sender, replaced) = mpsc::channel();
    catalog.writer().replace(
        fault,
        "now".to_owned(),
        Box::new(move |done| sender.send(done).unwrap()),
    );
    replaced.recv().unwrap().unwrap()
}

#[test]
fn behind_a_foreign_lock_nobody_waits_longer_than_the_busy_timeout_however_many_wait() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let within = Duration::from_millis(700);
    let options = Options { busy_timeout: within, ..Role::Server.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let waits: Vec<_> = (0..8)
        .map(|n| {
            let writer = catalog.writer();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100 * n));
                let begun = Instant::now();
                (writer.apply(vec![pending(n)]), begun.elapsed())
            })
        })
        .collect();
    for wait in waits {
        let (answer, took) = wait.join().unwrap();
        assert!(matches!(answer, Err(CatalogError::Busy { .. })), "{answer:?}");
        assert!(within / 2 < took && took < within + Duration::from_millis(600), "{took:?}");
    }
    // Meanwhile it can be read, and afterwards it holds what was acknowledged, which is nothing.
    assert!(catalog.reader().list(&ListQuery::default()).unwrap().is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    catalog.writer().apply(vec![pending(9)]).unwrap();
    assert_eq!(catalog.reader().list(&ListQuery::default()).unwrap().len(), 1);
}

#[test]
fn one_who_waits_gets_through_when_the_lock_is_let_go_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let catalog = Catalog::open(&path, Role::Server).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let writer = catalog.writer();
    let waits = thread::spawn(move || writer.apply(vec![pending(1)]));
    thread::sleep(Duration::from_millis(500));
    other.execute_batch("COMMIT").unwrap();
    waits.join().unwrap().unwrap();
}

/// Writes until the WAL would have grown far beyond its limit; the largest that it was.
fn write_much(catalog: &Catalog, path: &Path, bytes: u64) -> Result<u64, CatalogError> {
    let mut most = 0;
    let mut written = 0;
    for n in 0_u64.. {
        if written > bytes {
            break;
        }
        catalog.writer().apply((0..20).map(|at| pending(n * 20 + at)).collect())?;
        let now = wal_bytes(path);
        most = most.max(now);
        written += 20 * 4096; // At least a page each, with its indexes.
    }
    Ok(most)
}

#[test]
fn a_reader_that_stays_is_ended_and_the_wal_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let (wal_bytes_max, reader_within) = (1 << 20, Duration::from_millis(400));
    let options = Options { wal_bytes_max, reader_within, ..Role::Server.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    catalog.writer().apply((0..400).map(pending).collect()).unwrap();
    let (sender, begun) = mpsc::channel();
    let reader = catalog.reader();
    let stays = thread::spawn(move || {
        let started = Instant::now();
        let read = reader.times(i64::MIN..i64::MAX, |_| {
            let _ = sender.send(());
            thread::sleep(Duration::from_millis(50)); // 20 s for all.
        });
        (read, started.elapsed())
    });
    begun.recv().unwrap();
    let most = write_much(&catalog, &path, 16 << 20).unwrap();
    let (read, took) = stays.join().unwrap();
    assert!(matches!(read, Err(CatalogError::Ended { .. })), "{read:?}");
    assert!(took < reader_within + SLACK, "{took:?}");
    // Its limit, and what one transaction of ours adds.
    assert!(most < wal_bytes_max + (1 << 20), "{most}");
    assert!(catalog.reader().figures().readers_ended > 0);
    assert!(!catalog.reader().list(&ListQuery::default()).unwrap().is_empty(), "others read on");
}

#[test]
fn a_reader_that_cannot_be_ended_stops_writes_at_the_limit_and_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let wal_bytes_max = 1 << 20;
    let busy_timeout = Duration::from_millis(200);
    let options = Options { wal_bytes_max, busy_timeout, ..Role::Server.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    catalog.writer().apply(vec![pending(0)]).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM execution").unwrap();
    let _: i64 = other.query_row("SELECT count(*) FROM execution", [], |row| row.get(0)).unwrap();
    let refused = write_much(&catalog, &path, 16 << 20).unwrap_err();
    assert!(matches!(refused, CatalogError::WalHeld { .. }), "{refused}");
    assert!(wal_bytes(&path) < wal_bytes_max + (1 << 20));
    other.execute_batch("COMMIT").unwrap();
    catalog.writer().apply(vec![pending(1)]).unwrap();
}

#[test]
fn a_damaged_file_is_set_aside_whole_and_an_empty_one_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let options = Options { mmap_bytes: 0, ..Role::Server.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    catalog.writer().apply((0..2_000).map(pending).collect()).unwrap();
    catalog.checkpoint_truncate().unwrap();
    assert_eq!(catalog.reader().fault(), None);
    // All but the first pages: what is cached may still be read, the rest says what it is.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    file.write_all_at(&vec![0x5a; (size - 8192) as usize], 8192).unwrap();
    let mut n = 2_000;
    let fault = loop {
        let _ = catalog.reader().list(&ListQuery { limit: 1000, ..ListQuery::default() });
        let _ = catalog.reader().execution(id(n % 2_000));
        n += 1;
        if let Some(fault) = catalog.reader().fault() {
            break fault;
        }
        assert!(n < 6_000, "nobody noticed");
    };
    assert_eq!(fault, Fault::Damaged);
    let damaged = fs::read(&path).unwrap();
    let Replaced { aside, empty } = replace(&catalog, fault);
    assert!(empty);
    assert_eq!(fs::read(aside.unwrap()).unwrap(), damaged, "byte for byte");
    assert_eq!(catalog.reader().fault(), None);
    assert!(catalog.reader().list(&ListQuery::default()).unwrap().is_empty());
    catalog.writer().apply(vec![pending(1)]).unwrap();
    assert_eq!(catalog.reader().list(&ListQuery::default()).unwrap().len(), 1);
    catalog.close().unwrap();
    assert!(Reader::open_existing(&path).unwrap().execution(id(1)).unwrap().is_some());
}

#[test]
fn a_file_that_is_cut_short_is_damaged_and_ends_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let catalog = Catalog::open(&path, Role::Server).unwrap();
    catalog.writer().apply((0..2_000).map(pending).collect()).unwrap();
    catalog.checkpoint_truncate().unwrap();
    let reader = catalog.reader();
    assert!(reader.execution(id(1_000)).unwrap().is_some());
    // Mapped, what is missing would be a signal and no error.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(8192).unwrap();
    let noticed = (0..4_000).any(|n| {
        let _ = reader.execution(id(n % 2_000));
        reader.fault().is_some()
    });
    assert!(noticed);
    assert_eq!(reader.fault(), Some(Fault::Damaged));
    assert!(replace(&catalog, Fault::Damaged).empty);
    catalog.writer().apply(vec![pending(1)]).unwrap();
    assert!(reader.execution(id(1)).unwrap().is_some());
}

#[test]
fn a_file_that_is_gone_or_another_is_written_again_whole() {
    for another in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stepflow.db");
        let catalog = Catalog::open(&path, Role::Server).unwrap();
        catalog.writer().apply((0..50).map(pending).collect()).unwrap();
        catalog.writer().apply(vec![Change::TokenCreate(Box::new(token("t", 1)))]).unwrap();
        fs::remove_file(&path).unwrap();
        if another {
            fs::write(&path, "something else").unwrap();
        }
        let fault = catalog.reader().fault();
        assert_eq!(fault, Some(Fault::Gone));
        let replaced = replace(&catalog, Fault::Gone);
        assert!(!replaced.empty);
        assert_eq!(replaced.aside.is_some(), another);
        if let Some(aside) = &replaced.aside {
            assert_eq!(fs::read(aside).unwrap(), b"something else");
        }
        assert_eq!(catalog.reader().fault(), None);
        catalog.writer().apply(vec![pending(50)]).unwrap();
        catalog.close().unwrap();
        let reader = Reader::open_existing(&path).unwrap();
        assert_eq!(
            reader.list(&ListQuery { limit: 100, ..ListQuery::default() }).unwrap().len(),
            51
        );
        assert_eq!(reader.tokens().unwrap().len(), 1, "what lives nowhere else is there");
    }
}
