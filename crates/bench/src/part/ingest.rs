//! Very many streams from elsewhere at once, sent by a process of its own, some of them watched.

use std::{
    fs, io,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Run, streams::Viewers};
use crate::{
    BenchError, HELPER,
    figure::{Figure, What, percentile_ms},
    fill, http, process, server,
};

/// Of them so many have a viewer.
const WATCHED: u64 = 50;
const INTERVAL: Duration = Duration::from_secs(1);
/// From the head of a stream to its first line, and an interval.
const BEFORE: Duration = Duration::from_secs(2);
/// Streams that have not ended by so long after they should have never will.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn measure(run: &mut Run<'_>) -> Result<(), BenchError> {
    let streams = run.sizes.ingest;
    let lines = run.sizes.stream_time.as_secs();
    let [mut lost, mut slow, mut memory] = [vec![], vec![], vec![]];
    // All are there until the end: a file system that was just rid of many thousand files may be slow
    // to make new ones (ext4 gives no inode out again within a minute, and passes over each).
    let storages: Vec<_> = (0..run.options.runs)
        .map(|number| run.place.storage(&format!("ingest-{number}")))
        .collect();
    for storage in &storages {
        run.check()?;
        let ours = server::serve(run.place, storage)?;
        let to = ours.address;
        let first_us = fill::now_us();
        let mut load = run.place.stepflow();
        load.args([HELPER, "ingest", &to.to_string(), &streams.to_string(), &lines.to_string()]);
        load.arg(first_us.to_string()).stdout(Stdio::piped());
        let load = load.spawn().map_err(BenchError::io("start the load"))?;
        run.place.runs(load.id());
        let (seen, peak) = http::runtime()?.block_on(async {
            let watched: Vec<String> =
                (0..streams.min(WATCHED)).map(|number| id(first_us, number)).collect();
            for id in &watched {
                known(to, id).await?;
            }
            let mut viewers = Viewers::open(to, &watched).await?;
            let within = INTERVAL * lines as u32 + PATIENCE;
            let seen = viewers.ended(watched.len(), within).await?;
            Ok::<_, BenchError>((seen, process::anonymous_mb(ours.pid())))
        })?;
        let pid = load.id();
        let output = load.wait_with_output().map_err(BenchError::io("wait for the load"))?;
        run.place.ran(pid);
        let whole: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
        let watched = streams.min(WATCHED) * lines;
        let unseen = watched - seen.exact.min(watched) + seen.wrong;
        lost.push(((streams - whole.min(streams)) * lines + unseen) as f64);
        let mut delays = seen.delays_us;
        slow.push(percentile_ms(&mut delays, 0.99));
        memory.push(peak);
        drop(ours);
    }
    for storage in storages {
        let _ = fs::remove_dir_all(storage);
    }
    run.keep(Figure::new(What::IngestLost, Some(streams), lost));
    run.keep(Figure::new(What::IngestSlow, Some(streams), slow));
    run.keep(Figure::new(What::IngestMemory, Some(streams), memory));
    Ok(())
}

fn id(first_us: i64, number: u64) -> String {
    fill::id(number, first_us + number as i64 * 1_000).to_string()
}

/// Waits until the server has heard of it.
async fn known(to: SocketAddr, id: &str) -> Result<(), BenchError> {
    let asked = Instant::now();
    let request = http::get(to, &format!("/api/ingest/{id}"));
    while http::once(to, &request).await.is_err() {
        if asked.elapsed() > PATIENCE {
            return Err(BenchError::Server("streams do not begin".to_owned()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The load: each stream over a connection of its own, a line a second. Prints how many were taken
/// whole: the server says so, and how many lines they have.
pub(crate) async fn load(
    to: SocketAddr,
    streams: u64,
    lines: u64,
    first_us: i64,
) -> io::Result<u64> {
    let mut set = JoinSet::new();
    for number in 0..streams {
        set.spawn(send(to, number, lines, first_us));
        if number % 100 == 99 {
            sleep(Duration::from_millis(10)).await; // A listener's queue is finite.
        }
    }
    let mut whole = 0;
    while let Some(sent) = set.join_next().await {
        whole += u64::from(sent.is_ok_and(|sent| sent.unwrap_or(false)));
    }
    Ok(whole)
}

async fn send(to: SocketAddr, number: u64, lines: u64, first_us: i64) -> io::Result<bool> {
    let mut socket = TcpStream::connect(to).await?;
    let id = id(first_us, number);
    let head = format!(
        "PUT /api/ingest/{id}?name=bench HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await?;
    // Until viewers are there.
    sleep(BEFORE).await;
    for line in 1..=lines {
        sleep(INTERVAL).await;
        let text = format!("line {line} at {} of a stream from elsewhere\n", fill::now_us());
        socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
    }
    socket.write_all(b"0\r\n\r\n").await?;
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await??;
    Ok(answer.contains("\"status\":\"completed\"")
        && answer.contains(&format!("\"lines\":{lines}")))
}
