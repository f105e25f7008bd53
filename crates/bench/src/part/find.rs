//! How fast a word that stands in one of many logs is found, and what that costs on the disk.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::Run;
use crate::{
    BenchError,
    figure::{Figure, What},
    http, server,
};

/// In the middle of one log, and in no other.
const NEEDLE: &str = "quetzal-77";
/// Bytes of each log.
const LOG_BYTES: usize = 1_000_000;
/// Words that lines are made of.
const WORDS: usize = 2_000;
/// An answer takes no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The section of a compressed log that says where its filters are (`docs/reference/record.md`).
const SECTION_FILTERS: u32 = 4;

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let logs = run.sizes.records;
    let storage = run.place.storage("find");
    let raw = run.place.dir().join("raw");
    fs::create_dir_all(&raw).map_err(BenchError::io("make a directory"))?;
    send(run, &storage, &raw, logs)?;
    let mut stepflow = run.place.stepflow();
    let output = stepflow.arg("--storage").arg(&storage).arg("compress").output();
    let output = output.map_err(BenchError::io("compress logs"))?;
    if !output.status.success() {
        return Err(BenchError::Program {
            command: "stepflow compress".to_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    let share = filters(&storage.join("executions")) / (logs * LOG_BYTES as u64) as f64 * 100.0;
    let [mut search, mut grep] = [vec![], vec![]];
    for _ in 0..run.options.runs {
        run.check()?;
        grep.push(grepped(&raw)?);
        let ours = server::serve(run.place, &storage)?;
        search.push(searched(ours.address)?);
    }
    let _ = (fs::remove_dir_all(&raw), fs::remove_dir_all(&storage));
    run.keep(Figure::new(What::FilterShare, Some(logs), vec![share]));
    run.keep(Figure { limits: grep, ..Figure::new(What::SearchAll, Some(logs), search) });
    Ok(())
}

/// Makes executions of streams from elsewhere, the quickest way to have many, and keeps their bytes as
/// files beside.
fn send(run: &Run<'_>, storage: &Path, raw: &Path, logs: u64) -> Result<(), BenchError> {
    let ours = server::serve(run.place, storage)?;
    let mut text = Text::new();
    http::runtime()?.block_on(async {
        let opened = http::Connection::open(ours.address).await;
        let mut connection = opened.map_err(BenchError::io("send logs"))?;
        for number in 0..logs {
            run.check()?;
            let log = text.log((number == logs / 2).then_some(NEEDLE));
            fs::write(raw.join(format!("{number}.log")), &log)
                .map_err(BenchError::io("write a log"))?;
            let head = format!(
                "PUT /api/ingest?name=find HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
                ours.address,
                log.len()
            );
            let request = [head.as_bytes(), &log].concat();
            let (status, _) =
                connection.ask(&request).await.map_err(BenchError::io("send a log"))?;
            if status != 201 {
                return Err(BenchError::Server(format!("status {status} to a log")));
            }
        }
        Ok(())
    })
}

/// Lines as programs write them: a time, a level, words, numbers that never come again.
struct Text {
    state: u64,
    words: Vec<String>,
    line: u64,
}

impl Text {
    fn new() -> Self {
        let mut text = Self { state: 0x9e37_79b9_7f4a_7c15, words: Vec::new(), line: 0 };
        for _ in 0..WORDS {
            let length = 3 + text.below(8);
            let word = (0..length).map(|_| char::from(b'a' + text.below(26) as u8)).collect();
            text.words.push(word);
        }
        text
    }

    /// Xorshift (Marsaglia 2003): the same text in every run.
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }

    /// A log, with a word in its middle.
    fn log(&mut self, word: Option<&str>) -> Vec<u8> {
        let mut log = Vec::with_capacity(LOG_BYTES + 200);
        let mut word = word;
        while log.len() < LOG_BYTES {
            self.line += 1;
            let (second, worker, id) = (self.line / 100 % 60, self.below(16), self.below(1 << 40));
            let _ = write!(log, "2026-11-22T20:07:{second:02}.{:03}Z", self.line % 1_000);
            let _ = write!(log, " INFO [worker-{worker}] request {id:010x} took {} ms:", id % 977);
            for _ in 0..6 {
                let at = self.below(WORDS as u64) as usize;
                let _ = write!(log, " {}", self.words[at]);
            }
            if log.len() >= LOG_BYTES / 2
                && let Some(word) = word.take()
            {
                let _ = write!(log, " {word}");
            }
            log.push(b'\n');
        }
        log.truncate(LOG_BYTES - 1);
        log.push(b'\n');
        log
    }
}

/// Bytes that filters take in the compressed logs below `records`.
fn filters(records: &Path) -> f64 {
    let entries = fs::read_dir(records).into_iter().flatten().flatten();
    let logs = entries.map(|entry| entry.path().join("output.log.zst"));
    logs.filter_map(|path| filters_of(&path)).sum::<u64>() as f64
}

fn filters_of(path: &PathBuf) -> Option<u64> {
    let bytes = fs::read(path).ok()?;
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let footer = bytes.len().checked_sub(40)?;
    let (directory, size) = (long(footer)? as usize, long(footer + 8)? as usize);
    let section = (directory..directory + size)
        .step_by(32)
        .find(|line| word(*line) == Some(SECTION_FILTERS))?;
    let (place, size) = (long(section + 8)? as usize, long(section + 16)? as usize);
    let groups = (place + 8..place + size).step_by(32);
    Some(size as u64 + groups.filter_map(|group| word(group + 8)).map(u64::from).sum::<u64>())
}

/// Seconds that `rg`, or where there is none `grep`, takes to find the one file.
fn grepped(raw: &Path) -> Result<f64, BenchError> {
    for (program, flags) in [("rg", &["-l", "-F"][..]), ("grep", &["-r", "-l", "-F"])] {
        let mut command = Command::new(program);
        command.args(flags).arg(NEEDLE).arg(raw).stdin(Stdio::null());
        let begun = Instant::now();
        let Ok(output) = command.output() else { continue }; // Not here.
        if memchr::memchr_iter(b'\n', &output.stdout).count() == 1 {
            return Ok(begun.elapsed().as_secs_f64());
        }
        return Err(BenchError::Program {
            command: format!("{command:?}"),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(f64::INFINITY)
}

/// Seconds until a server that has just started has found it and says that there is no other.
fn searched(to: SocketAddr) -> Result<f64, BenchError> {
    let begun = Instant::now();
    let (mut cursor, mut found) = (String::new(), 0);
    loop {
        let answer = answer(to, &cursor).map_err(BenchError::io("search"))?;
        // A line of the answer is never in two chunks.
        found += answer.matches("\"kind\":\"found\"").count();
        let end = answer.lines().find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            (event["kind"] == "end").then(|| event["cursor"].as_str().map(str::to_owned))
        });
        match end {
            Some(Some(next)) => cursor = format!("&cursor={next}"),
            Some(None) if found == 1 => return Ok(begun.elapsed().as_secs_f64()),
            _ => return Err(BenchError::Server(format!("a search finds {found} logs, not 1"))),
        }
    }
}

fn answer(to: SocketAddr, cursor: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(to)?;
    connection.set_read_timeout(Some(ANSWER_WITHIN))?;
    let path = format!("/api/search?q={NEEDLE}&case=1{cursor}");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
