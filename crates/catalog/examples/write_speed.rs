//! How fast the catalog writes: row writes a second in groups, and the latency of one durable write.
//!
//! `cargo run --profile ci -p stepflow-catalog --example write_speed [ROWS] [DIRECTORY]`

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use stepflow_catalog::{Catalog, CatalogError, Change, ListQuery, Role, Token};
use stepflow_model::{ExecutionId, ExecutionState, IdError, Source, Spec, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let rows: u64 = args.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let parent = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(parent)?;

    for per_commit in [10, 500] {
        let path = dir.path().join(format!("{per_commit}.db"));
        let (inserts, updates) = rows_written(&path, rows, per_commit)?;
        println!("{per_commit:>3} a commit: {inserts:>7.0} new rows/s, {updates:>7.0} updates/s");
    }
    let path = dir.path().join("500.db");
    let catalog = Catalog::open(&path, Role::Server)?;
    println!("one durable write over {rows} rows: {}", durable(&catalog, 2_000)?);
    println!("one row written and committed:     {}", single(&catalog, rows)?);
    println!("64 callers, durable: {:.0} writes/s", callers(&catalog, 64, 200)?);
    println!("list of 50, newest first:          {}", lists(&catalog, 0)?);
    println!("list of 50 at offset {:>13}: {}", rows / 2, lists(&catalog, rows / 2)?);
    catalog.close()?;
    Ok(())
}

/// New rows a second, and updates of them to their end, committed `per_commit` at a time.
fn rows_written(
    path: &Path,
    rows: u64,
    per_commit: u64,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let catalog = Catalog::open(path, Role::Server)?;
    let mut rates = Vec::new();
    for status in [Status::Pending, Status::Completed] {
        let mut batches = Vec::new();
        for start in (0..rows).step_by(per_commit as usize) {
            let batch = (start..rows.min(start + per_commit))
                .map(|number| execution(number, status))
                .collect::<Result<Vec<_>, _>>()?;
            batches.push(batch);
        }
        let began = Instant::now();
        for batch in batches {
            catalog.writer().apply(batch)?; // One batch waits at a time: it is one commit.
        }
        rates.push(rows as f64 / began.elapsed().as_secs_f64());
    }
    catalog.close()?;
    Ok((rates[0], rates[1]))
}

fn durable(catalog: &Catalog, writes: u64) -> Result<String, CatalogError> {
    let mut times = Vec::new();
    for number in 0..writes {
        let began = Instant::now();
        catalog.writer().apply(vec![token(number)])?;
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

fn single(catalog: &Catalog, from: u64) -> Result<String, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for number in from..from + 5_000 {
        let change = execution(number, Status::Running)?;
        let began = Instant::now();
        catalog.writer().apply(vec![change])?;
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

fn callers(catalog: &Catalog, callers: u64, each: u64) -> Result<f64, CatalogError> {
    let began = Instant::now();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for caller in 0..callers {
            let (writer, sender) = (catalog.writer(), sender.clone());
            scope.spawn(move || {
                for turn in 0..each {
                    let number = 1_000_000 + caller * each + turn;
                    let _ = sender.send(writer.apply(vec![token(number)]));
                }
            });
        }
    });
    drop(sender);
    receiver.iter().collect::<Result<(), _>>()?;
    Ok((callers * each) as f64 / began.elapsed().as_secs_f64())
}

fn lists(catalog: &Catalog, offset: u64) -> Result<String, CatalogError> {
    let (reader, mut times) = (catalog.reader(), Vec::new());
    for _ in 0..500 {
        let began = Instant::now();
        reader.list(&ListQuery { offset, ..ListQuery::default() })?;
        times.push(began.elapsed());
    }
    Ok(percentiles(times))
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

fn token(number: u64) -> Change {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Change::TokenCreate(Box::new(Token {
        id: format!("{number:016x}"),
        prefix: format!("{number:08x}"),
        digest,
        name: "speed".to_owned(),
        scope: "admin".to_owned(),
        created_us: number as i64,
        expires_us: None,
        last_used_us: None,
        revoked_us: None,
    }))
}

/// Ids as UUIDv7 makes them: time first, the rest as good as random.
fn execution(number: u64, status: Status) -> Result<Change, IdError> {
    let millis = 1_795_377_552_000 + number;
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id: ExecutionId = format!(
        "{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        random & 0xfff,
        random >> 12 & 0xfff,
        random >> 16 & 0xffff_ffff_ffff
    )
    .parse()?;
    let spec = Spec {
        id,
        name: format!("build {}", number % 50),
        command: vec!["bash".to_owned(), "scripts/build.sh".to_owned()],
        cwd: "/srv/projects/example".to_owned(),
        env: [("TARGET".to_owned(), "release".to_owned())].into(),
        env_inherited: vec![],
        mask_env: vec![],
        tags: vec![],
        metadata: serde_json::Map::new(),
        user: "alice".to_owned(),
        created_us: millis as i64 * 1_000,
        source: Source::Server,
        bound: false,
        timeout_ms: None,
        grace_ms: 10_000,
        drain_ms: 5_000,
        stop_on_error: false,
        split_stderr: false,
        shell: false,
        pty: None,
        log_sync: stepflow_model::LogSync::default(),
        containment: stepflow_model::Containment::default(),
        leftover: stepflow_model::Leftover::default(),
        log_max_bytes: 0,
        log_full: stepflow_model::LogFull::default(),
        on_disk_full: stepflow_model::OnDiskFull::default(),
        dialect: stepflow_model::dialect_default(),
        junit: stepflow_model::JunitFiles::default(),
        rerun_of: None,
    };
    let mut summary = ExecutionState::new(&spec).summary;
    summary.status = status;
    summary.duration_us = status.is_end().then_some(1_000_000);
    Ok(Change::Execution(Box::new(summary)))
}
