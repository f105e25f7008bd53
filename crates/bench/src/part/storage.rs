//! What executions take on the disk, and how fast a log is searched.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use super::Run;
use crate::{
    BenchError,
    figure::{Figure, What},
    http, server,
};

/// Twelve lines, three steps.
const SCRIPT: &str = "for s in Fetch Build Test; do echo STEP_START:$s; echo $s begins; \
                      echo $s goes on; echo STEP_COMPLETE:$s; done";
/// In no line but the last.
const NEEDLE: &str = "zebra";

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let executions = run.sizes.executions;
    let database = run.filled()?.join("database/stepflow.db");
    let bytes = fs::metadata(&database).map_err(BenchError::io("look at the catalog"))?.len();
    run.keep(Figure::new(
        What::CatalogBytes,
        Some(executions),
        vec![bytes as f64 / executions as f64],
    ));

    let storage = run.place.storage("storage");
    let large = run.place.dir().join("large");
    super::capture::write(&large, run.sizes.megabytes, false)
        .and_then(|()| append(&large, format!("the {NEEDLE} is only here\n").as_bytes()))
        .map_err(BenchError::io("write a large file"))?;
    let [mut record, mut index, mut search, mut grep] = [vec![], vec![], vec![], vec![]];
    for _ in 0..run.options.runs {
        run.check()?;
        let _ = fs::remove_dir_all(&storage);
        record.push(on_disk(&recorded(run, &storage, &["sh", "-c", SCRIPT])?));
        let dir = recorded(run, &storage, &["cat", &large.to_string_lossy()])?;
        let log = dir.join("output.log");
        let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len()) as f64;
        index.push(size(&dir.join("output.idx")) / size(&log).max(1.0) * 100.0);
        grep.push(grepped(&log)?);
        search.push(searched(run, &storage, &dir)?);
    }
    let _ = (fs::remove_file(&large), fs::remove_dir_all(&storage));
    run.keep(Figure::new(What::RecordBytes, None, record));
    run.keep(Figure::new(What::IndexShare, None, index));
    let megabytes = Some(run.sizes.megabytes);
    run.keep(Figure { limits: grep, ..Figure::new(What::Search, megabytes, search) });
    super::find::measure(run)
}

fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).open(path)?.write_all(bytes)
}

/// Runs a command to its end; the directory of its record.
fn recorded(run: &Run<'_>, storage: &Path, command: &[&str]) -> Result<PathBuf, BenchError> {
    let records = storage.join("executions");
    let all = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&records).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let before = all();
    let mut stepflow = run.place.stepflow();
    stepflow.arg("--storage").arg(storage).args(["run", "--output", "quiet", "--"]).args(command);
    let output = stepflow.output().map_err(BenchError::io("run a program"))?;
    let new = all().into_iter().find(|path| !before.contains(path));
    new.filter(|_| output.status.success()).ok_or_else(|| BenchError::Program {
        command: command.join(" "),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Bytes of the blocks that a directory and its files take.
fn on_disk(dir: &Path) -> f64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let paths = entries.chain([dir.to_owned()]);
    let blocks = paths.filter_map(|path| fs::symlink_metadata(path).ok()).map(|meta| meta.blocks());
    (blocks.sum::<u64>() * 512) as f64 // The unit of `st_blocks`.
}

/// Seconds that `rg`, or where there is none `grep`, takes to find the one line.
fn grepped(log: &Path) -> Result<f64, BenchError> {
    let mut best = f64::INFINITY;
    for program in ["rg", "grep"] {
        let mut command = Command::new(program);
        command.args(["-c", "-F", NEEDLE]).arg(log).stdin(Stdio::null()).stdout(Stdio::piped());
        let begun = Instant::now();
        match command.output() {
            Ok(output) if output.stdout.starts_with(b"1") => {
                best = best.min(begun.elapsed().as_secs_f64());
            }
            Ok(output) => {
                return Err(BenchError::Program {
                    command: format!("{command:?}"),
                    said: String::from_utf8_lossy(&output.stderr).into_owned(),
                });
            }
            Err(_) => {} // Not here.
        }
    }
    Ok(best)
}

/// Seconds until a server that has just started has found it and says that there is no other.
fn searched(run: &Run<'_>, storage: &Path, record: &Path) -> Result<f64, BenchError> {
    let ours = server::serve(run.place, storage)?;
    let id = record.file_name().unwrap_or_default().to_string_lossy().into_owned();
    http::runtime()?.block_on(async {
        let begun = Instant::now();
        let (mut cursor, mut lines) = (String::new(), 0);
        loop {
            let path = format!("/api/executions/{id}/log/search?q={NEEDLE}&case=1{cursor}");
            let found = http::once(ours.address, &http::get(ours.address, &path)).await?;
            lines += found["lines"].as_u64().unwrap_or(0);
            if found["complete"] == true {
                break;
            }
            cursor = format!("&cursor={}", found["cursor"].as_str().unwrap_or_default());
        }
        if lines == 1 {
            Ok(begun.elapsed().as_secs_f64())
        } else {
            Err(BenchError::Server(format!("a search finds {lines} lines instead of 1")))
        }
    })
}
