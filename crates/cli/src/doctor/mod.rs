//! `stepflow doctor`: looks for what is wrong, and says what to do. Changes nothing.

mod database; // the catalog's file: mode, version, damage, size, speed
mod host; // the server, its lock, limits, memory, clock, where it runs
mod records; // what is unfinished, dead, or not as the catalog has it
mod storage; // the directory: owner, modes, space, kind, sizes, leftovers, speed

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;
use stepflow_record::Storage;

use crate::{
    failure::Failure,
    run::summary::colour,
    text::{self, found},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it should be.
    Ok,
    /// Works; somebody should look.
    Warn,
    /// Does not work, or loses something.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// A stable word.
    id: &'static str,
    level: Level,
    /// What was found.
    detail: String,
    /// What to do; none when it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, id: &'static str, level: Level, detail: String, remedy: Option<String>) {
        self.0.push(Check { id, level, detail, remedy });
    }

    fn ok(&mut self, id: &'static str, detail: impl Into<String>) {
        self.add(id, Level::Ok, detail.into(), None);
    }

    fn warn(&mut self, id: &'static str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(id, Level::Warn, detail.into(), Some(remedy.into()));
    }

    fn fail(&mut self, id: &'static str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(id, Level::Fail, detail.into(), Some(remedy.into()));
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|check| check.level == level).count()
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    status: Level,
    version: &'static str,
    storage: String,
    ok: usize,
    warn: usize,
    fail: usize,
    checks: &'a [Check],
}

/// Looks at everything; exit code 1 if something failed.
pub fn doctor(storage: &Storage, full: bool, as_json: bool) -> Result<ExitCode, Failure> {
    // What programs read is the same for everybody.
    let report =
        if as_json { text::for_programs(|| look(storage, full)) } else { look(storage, full) };
    print(storage, &report, as_json)?;
    Ok(if report.worst() == Level::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn look(storage: &Storage, full: bool) -> Report {
    let mut report = Report::default();
    if storage::directory(storage, &mut report) {
        let server = host::server(storage, &mut report);
        storage::space(storage, &mut report);
        storage::kind(storage, &mut report);
        storage::speed(storage, &mut report);
        let catalog = database::check(storage, full, &mut report);
        records::check(storage, catalog.as_ref(), server, &mut report);
        storage::sizes(storage, &mut report);
        storage::leftovers(storage, &mut report);
        host::clock(storage, &mut report);
    }
    host::limits(&mut report);
    host::service(storage, &mut report);
    report
}

fn print(storage: &Storage, report: &Report, as_json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail].map(|level| report.count(level));
    if as_json {
        let json = Json {
            status: report.worst(),
            version: stepflow_server::VERSION,
            storage: storage.root().display().to_string(),
            ok,
            warn,
            fail,
            checks: &report.0,
        };
        let text = serde_json::to_string(&json)
            .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let colours = colour(std::io::stdout().is_terminal());
    writeln!(out, "{}", found::storage(storage.root().display()))?;
    for check in &report.0 {
        let (word, colour) = match check.level {
            Level::Ok => (found::good(), "32"),
            Level::Warn => (found::to_look_at(), "33"),
            Level::Fail => (found::bad(), "31"),
        };
        let word = if colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
        let detail = crate::format::clean(check.detail.as_bytes(), false);
        writeln!(out, "{word}  {:<22} {detail}", check.id)?;
        if let Some(remedy) = &check.remedy {
            writeln!(
                out,
                "      {:<22} -> {}",
                "",
                crate::format::clean(remedy.as_bytes(), false)
            )?;
        }
    }
    writeln!(out, "{}", found::result(ok, warn, fail))?;
    Ok(())
}

/// What makes an English noun plural.
fn s(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// Bytes for people: `12 B`, `4.0 KiB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// A duration for people, in milliseconds.
fn ms(took: std::time::Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}
