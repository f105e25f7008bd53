//! Measures what this machine can carry: requests, the catalog, the output of one script and of many.
//!
//! Each figure stands beside what the machine does without us in the same run (a bare route, SQLite
//! alone, `cat`), since machines differ and are busy. Everything happens in a directory of its own, with
//! servers of its own on loopback; no storage of anybody is touched.
//!
//! Figures and their bars are one table: `figure.rs`.
#![forbid(unsafe_code)]

mod error; // why not
mod figure; // what is measured, and what it should come to
mod fill; // executions that never ran
mod helper; // this program as a script, or as a bare server
mod http; // requests, and many of them
mod machine; // facts
mod part; // the parts
mod place; // a directory of its own, removed whatever happens
mod process; // memory and time of processes
mod report; // all of it
mod server; // a server of ours, and a bare one
mod ws; // viewers

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Serialize, Serializer};

pub use crate::{
    error::BenchError,
    figure::{Bar, Figure, Part, Unit, What},
    fill::fill,
    helper::{HELPER, help, is_asked},
    machine::Machine,
    report::Report,
};
use crate::{part::Run, place::Place};

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Executions in the catalog.
    pub executions: u64,
    /// Scripts at once.
    pub streams: u64,
    /// Viewers of one script.
    pub viewers: u64,
    /// Output of one script.
    pub megabytes: u64,
    /// Streams from elsewhere.
    pub ingest: u64,
    /// Logs of a million bytes each that are searched at once.
    pub records: u64,
    /// How long each load of requests lasts.
    #[serde(serialize_with = "seconds")]
    pub request_time: Duration,
    /// How long each load of the catalog lasts.
    #[serde(serialize_with = "seconds")]
    pub catalog_time: Duration,
    /// How long scripts print.
    #[serde(serialize_with = "seconds")]
    pub stream_time: Duration,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

impl Sizes {
    /// All parts in about two minutes on two cores.
    pub const USUAL: Self = Self {
        executions: 100_000,
        streams: 200,
        viewers: 200,
        megabytes: 250,
        ingest: 500,
        records: 100,
        request_time: Duration::from_millis(300),
        catalog_time: Duration::from_secs(1),
        stream_time: Duration::from_secs(3),
    };

    /// A look, in a minute.
    pub const QUICK: Self = Self {
        executions: 10_000,
        streams: 50,
        viewers: 50,
        megabytes: 50,
        ingest: 100,
        records: 40,
        request_time: Duration::from_millis(150),
        catalog_time: Duration::from_millis(400),
        stream_time: Duration::from_secs(2),
    };
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which parts; in this order.
    pub parts: Vec<Part>,
    /// How much of everything.
    pub sizes: Sizes,
    /// How often each figure is taken.
    pub runs: usize,
    /// In which directory; what is made in it is removed.
    pub dir: PathBuf,
    /// Of the program, for the report.
    pub version: &'static str,
}

/// Measures, telling `progress` which part begins. Takes over Ctrl-C: what was made is removed, and the
/// process ends with 130.
///
/// # Errors
/// If something of it cannot be carried out; a figure that is not what it should be is no error.
pub fn bench(options: &Options, progress: &mut dyn FnMut(Part)) -> Result<Report, BenchError> {
    let begun = Instant::now();
    raise_files();
    let place = Place::new(&options.dir, room(options))?;
    watch(&place)?;
    let machine = Machine::here(place.dir());
    let mut figures = Vec::new();
    let measured = options.parts.iter().try_for_each(|part| {
        progress(*part);
        let run = &mut Run { place: &place, options, sizes: options.sizes, figures: &mut figures };
        match part {
            Part::Api => part::api::measure(run),
            Part::Catalog => part::catalog::measure(run),
            Part::Capture => part::capture::measure(run),
            Part::Streams => part::streams::measure(run),
            Part::Start => part::start::measure(run),
            Part::Fanout => part::fanout::measure(run),
            Part::Recovery => part::recovery::measure(run),
            Part::Storage => part::storage::measure(run),
            Part::Ingest => part::ingest::measure(run),
        }
    });
    if place.check().is_err() {
        // Who heard Ctrl-C ends the process when everything is removed; what went wrong meanwhile is
        // that it was removed.
        loop {
            thread::park();
        }
    }
    place.clear();
    measured?;
    Ok(Report {
        version: options.version,
        time_us: fill::now_us(),
        machine,
        sizes: options.sizes,
        seconds: begun.elapsed().as_secs_f64(),
        figures,
    })
}

/// As many open files as may be: each viewer is one.
fn raise_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard); // Too few fail with a hint.
    }
}

/// Bytes that are used at once, at most, and as much again.
fn room(options: &Options) -> u64 {
    let Sizes { executions, megabytes, streams, ingest, .. } = options.sizes;
    let has = |part| options.parts.contains(&part);
    let catalogs = if has(Part::Catalog) { 3 } else { 1 };
    let capture =
        if has(Part::Capture) || has(Part::Storage) { 4 * megabytes * 1_000_000 } else { 0 };
    let ingest = if has(Part::Ingest) { options.runs as u64 * ingest * 25_000 } else { 0 };
    2 * (catalogs * executions * 3_000 + capture + streams * 100_000 + ingest) + (256 << 20)
}

/// Ctrl-C leaves nothing behind.
fn watch(place: &Place) -> Result<(), BenchError> {
    let runtime = http::runtime()?;
    let place = place.clone();
    thread::Builder::new()
        .name("bench-signals".to_owned())
        .spawn(move || {
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                place.clear();
                std::process::exit(130);
            }
        })
        .map_err(BenchError::io("start a thread"))?;
    Ok(())
}
