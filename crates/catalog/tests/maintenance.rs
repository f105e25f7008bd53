//! What the catalog counts about itself, and maintenance while others write.
#![allow(clippy::unwrap_used, reason = "only for tests")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::summary;
use rusqlite::Connection;
use stepflow_catalog::{Catalog, Change, Options, Role};
use stepflow_model::Status;

fn rows(from: usize, count: usize) -> Vec<Change> {
    (from..from + count)
        .map(|n| Change::Execution(Box::new(summary(n as u64, Status::Completed))))
        .collect()
}

#[test]
fn maintenance_gives_space_back_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let options = Options { idle_checkpoint: None, ..Role::Server.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    let writer = catalog.writer();
    for from in (0..8_000).step_by(500) {
        writer.apply(rows(from, 500)).unwrap();
    }
    catalog.reset_projection().unwrap();
    let full = catalog.reader().file().unwrap();
    assert!(full.free_pages > 500, "{full:?}");

    let stop = Arc::new(AtomicBool::new(false));
    // Several, so that one waits at every moment, however the threads take turns.
    let writing: Vec<_> = (1..=4)
        .map(|number| {
            let (writer, stop) = (catalog.writer(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    writer.apply(rows(100_000 * number + written, 1)).unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();
    while catalog.reader().statistics().unwrap().total == 0 {
        thread::yield_now();
    }
    let before = catalog.reader().statistics().unwrap().total;
    let done = catalog.optimize().unwrap();
    let during = catalog.reader().statistics().unwrap().total - before;
    stop.store(true, Ordering::Relaxed);
    let written: u64 = writing.into_iter().map(|thread| thread.join().unwrap() as u64).sum();

    assert!(done.pages_freed > 500, "{done:?}");
    assert!(done.after.pages < done.before.pages, "{done:?}");
    assert_eq!(done.analyzed, 7);
    // In slices of 64 pages, with writes between them.
    assert!(u64::from(done.slices) >= done.pages_freed / 64, "{done:?}");
    assert!(during >= 1, "no write during {done:?}");
    assert_eq!(catalog.reader().statistics().unwrap().total, written);
    catalog.reader().integrity().unwrap();
    assert_eq!(catalog.reader().figures().maintenances, 1);
    println!("{during} writes during {:?}, longest slice {:?}", done.took, done.longest_slice);
    catalog.close().unwrap();

    let db = Connection::open(&path).unwrap();
    let tables: i64 =
        db.query_row("SELECT count(DISTINCT tbl) FROM sqlite_stat1", [], |row| row.get(0)).unwrap();
    assert!(tables >= 1);
}

#[test]
fn an_idle_moment_after_many_changes_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { idle_checkpoint: Some(Duration::from_millis(10)), ..Role::Server.into() };
    let catalog = Catalog::open_with(&dir.path().join("stepflow.db"), options).unwrap();
    for from in (0..10_500).step_by(500) {
        catalog.writer().apply(rows(from, 500)).unwrap();
    }
    let begun = Instant::now();
    while catalog.reader().figures().maintenances == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "never maintained");
        thread::sleep(Duration::from_millis(3));
    }
    while catalog.wal_bytes() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the WAL stays");
        thread::sleep(Duration::from_millis(3));
    }
    assert_eq!(catalog.reader().statistics().unwrap().total, 10_500);
}

#[test]
fn every_write_and_read_is_counted_with_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepflow.db");
    let options = Options { busy_timeout: Duration::ZERO, ..Role::Command.into() };
    let catalog = Catalog::open_with(&path, options).unwrap();
    let (writer, reader) = (catalog.writer(), catalog.reader());
    for n in 0..20 {
        writer.apply(rows(n, 2)).unwrap();
    }
    for _ in 0..5 {
        reader.statistics().unwrap();
    }
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.apply(rows(100, 1)).unwrap_err();
    other.execute_batch("ROLLBACK").unwrap();

    let found = reader.figures();
    assert_eq!((found.batches, found.batches_failed, found.changes), (21, 1, 40));
    assert_eq!((found.commits, found.commit.count(), found.write.count()), (20, 20, 21));
    assert_eq!((found.read.count(), found.busy, found.queued), (5, 1, 0));
    assert_eq!((found.readers_open, found.readers_lent), (1, 0));
    assert_eq!(found.from_memory + found.from_disk, 25);
    assert!(found.cache_hit_ratio().unwrap() > 0.5, "just written: {found:?}");
    assert!(found.commit.quantile_s(1.0).is_some() && found.commit.sum_us > 0);
}
