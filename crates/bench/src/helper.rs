//! This program as something else, in a process of its own: a script that prints, a bare server.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing};
use tokio::{net::TcpListener, runtime::Builder};

use crate::{fill, part::ingest, raise_files};

/// The first argument that makes this program a helper of its own bench. Not for people.
pub const HELPER: &str = "__bench";

/// Is the helper that `args`, those after [`HELPER`], ask for, until it is done.
pub fn help(args: &[OsString]) -> io::Result<()> {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    raise_files();
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "not for people: `stepflow bench`");
    match words.as_slice() {
        ["print", lines, rate, gate] => {
            let number = |word: &str| word.parse::<u64>().map_err(|_| usage());
            print(number(lines)?, number(rate)?, gate)
        }
        ["ingest", to, streams, lines, first_us] => {
            let number = |word: &str| word.parse::<u64>().map_err(|_| usage());
            let to = to.parse().map_err(|_| usage())?;
            let (streams, lines) = (number(streams)?, number(lines)?);
            let first_us = first_us.parse().map_err(|_| usage())?;
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let whole = runtime.block_on(ingest::load(to, streams, lines, first_us))?;
            writeln!(io::stdout(), "{whole}")
        }
        ["bare", routes @ ..] => bare(routes),
        _ => Err(usage()),
    }
}

/// Prints so many lines, each with its number and the time, at a rate; from when somebody opens the
/// named pipe `gate` for writing, so that all scripts begin when all viewers are there.
fn print(lines: u64, rate: u64, gate: &str) -> io::Result<()> {
    drop(fs::File::open(gate)?);
    // Not all in the same moment: that would be one large burst each time.
    let apart_us = 1_000_000 / rate.max(1);
    thread::sleep(Duration::from_micros(fill::scattered(u64::from(std::process::id())) % apart_us));
    let begun = Instant::now();
    let mut out = io::stdout();
    for number in 1..=lines {
        let line = format!("line {number} at {} {:.>40}\n", fill::now_us(), "");
        out.write_all(line.as_bytes())?;
        out.flush()?;
        let due = Duration::from_micros(number * apart_us);
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(())
}

/// Serves each path with the bytes of a file, and says where. What `axum` can do at all here.
fn bare(routes: &[&str]) -> io::Result<()> {
    let mut router = Router::new();
    for pair in routes.chunks_exact(2) {
        let body = Bytes::from(fs::read(pair[1])?);
        let answer = move || {
            let body = body.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], body) }
        };
        router = router.route(pair[0], routing::get(answer));
    }
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut out = io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let parent = nix::unistd::getppid();
        let orphaned = async move {
            // Whoever started us may be killed: nobody else would end us.
            while nix::unistd::getppid() == parent {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        axum::serve(listener, router).with_graceful_shutdown(orphaned).await
    })
}

/// Whether this process was started as a helper.
pub fn is_asked() -> bool {
    env::args_os().nth(1).is_some_and(|first| first == HELPER)
}
