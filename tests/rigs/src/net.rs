//! Viewers behind a proxy that cuts, holds, delays and throttles, while the server is killed and
//! restarted; viewers that come late; how soon a line is there.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use stepflow_model::ExecutionId;
use stepflow_record::RecordView;
use stepflow_testkit::{PATIENCE, Rng, Scratch};

use crate::{
    Options, Outcome, oracle,
    served::Served,
    viewer::{Connection, Next, Transcript, Way},
};

/// The hidden commands that make this program a writer: of lines that tell the time, and of lines at
/// a pace.
pub(crate) const CLOCK: &str = "clock-write";
pub(crate) const PACE: &str = "pace-write";
/// Viewers behind the proxy.
const VIEWERS: u64 = 50;
/// A connection that brings nothing for this long is given up by its viewer: held ones are noticed.
const SILENT: Duration = Duration::from_millis(700);
/// Lines of the execution that is followed meanwhile, and the pause between them.
const LINES: u64 = 16_000;
const PAUSE_US: u64 = 250;
/// The contract's figure, four times.
const PROMPT_P99: Duration = Duration::from_secs(1);

pub(crate) fn run(options: &Options) -> Result<Outcome, String> {
    let cut = cut(options)?;
    let late = late(options)?;
    let prompt = prompt(options)?;
    Ok(Outcome::Held(format!("{cut}; {late}; {prompt}")))
}

fn me() -> Result<String, String> {
    Ok(std::env::current_exe().map_err(|error| error.to_string())?.display().to_string())
}

/// A proxy on a port of its own.
struct Proxy {
    address: String,
    connections: Arc<AtomicU64>,
}

/// What happens to a connection after so many bytes of the server's.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Cut,
    Hold,
    Delay,
    Throttle,
}

impl Proxy {
    fn start(target: Arc<Mutex<String>>, seed: u64) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            let mut random = Rng::new(seed);
            for client in listener.incoming().flatten() {
                counted.fetch_add(1, Relaxed);
                let plan = [Plan::Cut, Plan::Cut, Plan::Hold, Plan::Delay, Plan::Throttle]
                    [random.below(5) as usize];
                let bytes = 1 + random.below(60_000);
                let target = target.lock().expect("a lock").clone();
                thread::spawn(move || between(client, &target, plan, bytes));
            }
        });
        Ok(Self { address, connections })
    }
}

fn between(client: TcpStream, target: &str, plan: Plan, bytes: u64) {
    let Ok(server) = TcpStream::connect(target) else { return };
    let (Ok(mut up), Ok(mut from)) = (server.try_clone(), client.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut up);
        let _ = up.shutdown(Shutdown::Both);
    });
    let (mut server, mut client) = (server, client);
    let mut buffer = [0; 4096];
    let mut left = bytes;
    while left > 0 {
        let size = buffer.len().min(left as usize);
        let Ok(count @ 1..) = server.read(&mut buffer[..size]) else { break };
        match plan {
            Plan::Delay => thread::sleep(Duration::from_millis(left % 30)),
            Plan::Throttle => thread::sleep(Duration::from_millis(4)), // About 1 MB/s.
            Plan::Cut | Plan::Hold => {}
        }
        if client.write_all(&buffer[..count]).is_err() {
            break;
        }
        left -= count as u64;
    }
    if matches!(plan, Plan::Hold) {
        // Neither side hears of it: the viewer's patience ends first.
        thread::sleep(SILENT * 2);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// What one viewer went through.
struct Seen {
    cuts: u64,
    bytes: u64,
}

struct Follow {
    number: u64,
    seed: u64,
    id: ExecutionId,
    record: std::path::PathBuf,
    /// Where it goes first, so many times, and then.
    proxy: String,
    cuts: u64,
    target: Arc<Mutex<String>>,
    /// How many bytes there are, once that is known.
    total: Arc<AtomicU64>,
}

impl Follow {
    /// Reads to the end, from where it was each time.
    fn run(self) -> Result<Seen, String> {
        let way = Way::of(self.number);
        let mut random = Rng::new(self.seed ^ ((self.number + 1) * 7_919));
        let mut transcript = Transcript::new(&self.record)?;
        let mut cuts = 0;
        let mut moved = Instant::now();
        loop {
            let proxied = cuts < self.cuts;
            let address = if proxied {
                self.proxy.clone()
            } else {
                self.target.lock().map_err(|_| "a lock")?.clone()
            };
            let opened = Connection::open(&address, self.id, way, transcript.at, SILENT);
            let before = transcript.at;
            if let Ok(mut connection) = opened {
                // Two at once from the same place bring the same.
                if random.below(8) == 0
                    && let Ok(mut twin) =
                        Connection::open(&address, self.id, way, transcript.at, SILENT)
                {
                    while let Next::Nothing | Next::Bytes(..) = match twin.next()? {
                        Next::Bytes(offset, bytes) if offset == transcript.at => {
                            transcript.same(offset, &bytes)?;
                            Next::End
                        }
                        Next::Bytes(offset, _) => return Err(format!("the twin is at {offset}")),
                        other => other,
                    } {}
                }
                loop {
                    match connection.next()? {
                        Next::Bytes(offset, bytes) => {
                            transcript.take(offset, &bytes)?;
                            moved = Instant::now();
                        }
                        Next::Nothing => {}
                        Next::Gap(_) => return Err("a gap where nothing is gone".to_owned()),
                        Next::End | Next::Gone(_) => break,
                    }
                }
                cuts += u64::from(proxied);
            } else {
                thread::sleep(Duration::from_millis(20)); // The server is being restarted.
            }
            let total = self.total.load(Relaxed);
            if transcript.at == total {
                return Ok(Seen { cuts, bytes: total });
            }
            if transcript.at == before && way == Way::Range {
                thread::sleep(Duration::from_millis(20));
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("it stands at {} of {total}", transcript.at));
            }
        }
    }
}

/// Waits for the end and says how long the log is.
fn total(scratch: &Scratch, id: ExecutionId, within: Duration) -> Result<u64, String> {
    let begun = Instant::now();
    loop {
        let view = RecordView::open(&scratch.storage, id).map_err(|error| error.to_string())?;
        if view.state.summary.status.is_end() {
            return Ok(view.state.summary.position.bytes);
        }
        if begun.elapsed() > within {
            return Err("it does not end".to_owned());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// G12: cut again and again, with the server killed meanwhile.
fn cut(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let mut random = Rng::new(options.seed);
    let mut server = Served::start(&scratch, &[])?;
    let target = Arc::new(Mutex::new(server.address.clone()));
    let proxy = Proxy::start(Arc::clone(&target), options.seed)?;
    let (lines, pause) = (LINES.to_string(), PAUSE_US.to_string());
    let id = scratch.detach(&[], &[&me()?, oracle::COMMAND, "0", "0", &lines, &pause]);
    scratch.pids(id);
    let length = Arc::new(AtomicU64::new(u64::MAX));
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|number| {
            let follow = Follow {
                number,
                seed: options.seed,
                id,
                record: scratch.storage.record_dir(id),
                proxy: proxy.address.clone(),
                cuts: options.viewer_cuts,
                target: Arc::clone(&target),
                total: Arc::clone(&length),
            };
            thread::spawn(move || follow.run().map_err(|why| format!("viewer {number}: {why}")))
        })
        .collect();
    let mut kills = 0;
    let mut all = None;
    while viewers.iter().any(|viewer| !viewer.is_finished()) {
        if all.is_none() || kills < 4 {
            thread::sleep(Duration::from_millis(400 + random.below(900)));
            server.kill();
            server = Served::start(&scratch, &[])?;
            target.lock().map_err(|_| "a lock")?.clone_from(&server.address);
            kills += 1;
        } else {
            thread::sleep(Duration::from_millis(20));
        }
        if all.is_none()
            && let Ok(bytes) = total(&scratch, id, Duration::ZERO)
        {
            all = Some(bytes);
            length.store(bytes, Relaxed);
        }
        if viewers.iter().any(JoinHandle::is_finished) && all.is_none() {
            break; // It can only have failed.
        }
    }
    let mut cuts = 0;
    let mut bytes = 0;
    for viewer in viewers {
        let seen = viewer.join().map_err(|_| "a viewer panicked")??;
        cuts += seen.cuts;
        bytes += seen.bytes;
    }
    if cuts < VIEWERS * options.viewer_cuts / 2 {
        return Err(format!("not a sweep: {cuts} cuts"));
    }
    Ok(format!(
        "{VIEWERS} viewers, {cuts} connections cut, held, delayed or throttled ({} through the proxy), \
         {kills} servers killed: {bytes} bytes, 0 missing, repeated or changed",
        proxy.connections.load(Relaxed)
    ))
}

/// G14: viewers that come at seeded moments under 5 MB/s.
fn late(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let mut random = Rng::new(options.seed ^ 0x14);
    let megabytes = 3;
    let id = scratch.detach(&[], &[&me()?, PACE, "5000000", &(megabytes << 20).to_string()]);
    scratch.pids(id);
    let begun = Instant::now();
    let mut moments: Vec<u64> = (0..options.viewers).map(|_| random.below(700)).collect();
    moments.sort_unstable();
    let viewers: Vec<_> = moments
        .into_iter()
        .zip(0..)
        .map(|(moment, number)| {
            thread::sleep(Duration::from_millis(moment).saturating_sub(begun.elapsed()));
            let (address, record) = (server.address.clone(), scratch.storage.record_dir(id));
            thread::spawn(move || {
                let mut transcript = Transcript::new(&record)?;
                let way = Way::of(number);
                let mut joined = None;
                loop {
                    let opened = Connection::open(&address, id, way, transcript.at, PATIENCE);
                    let mut connection = opened.map_err(|error| error.to_string())?;
                    joined.get_or_insert(
                        std::fs::metadata(record.join("output.log")).map_or(0, |m| m.len()),
                    );
                    loop {
                        match connection.next()? {
                            Next::Bytes(offset, bytes) => transcript.take(offset, &bytes)?,
                            Next::Nothing => {}
                            Next::Gap(_) => return Err("a gap where nothing is gone".to_owned()),
                            Next::End => return Ok((transcript.at, joined.unwrap_or(0))),
                            Next::Gone(_) if way == Way::Range => break,
                            Next::Gone(why) => return Err(why),
                        }
                    }
                    // A range is what there is: the next one, until all is there.
                    let length =
                        std::fs::metadata(record.join("output.log")).map_or(0, |m| m.len());
                    if transcript.at >= (megabytes << 20) && transcript.at == length {
                        return Ok((transcript.at, joined.unwrap_or(0)));
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            })
        })
        .collect();
    let bytes = total(&scratch, id, PATIENCE * 4)?;
    let mut joined = (u64::MAX, 0);
    for (number, viewer) in viewers.into_iter().enumerate() {
        let seen: Result<(u64, u64), String> = viewer.join().map_err(|_| "a viewer panicked")?;
        let (at, from) = seen.map_err(|why| format!("late viewer {number}: {why}"))?;
        if at != bytes {
            return Err(format!("late viewer {number} saw {at} of {bytes} bytes"));
        }
        joined = (joined.0.min(from), joined.1.max(from));
    }
    Ok(format!(
        "{} viewers joined under 5 MB/s when {} to {} bytes were there, each saw {bytes} bytes exactly",
        options.viewers, joined.0, joined.1
    ))
}

/// G17: from the write to the client's event.
fn prompt(options: &Options) -> Result<String, String> {
    let scratch = Scratch::new(&options.program);
    let server = Served::start(&scratch, &[])?;
    let id = scratch.detach(&[], &[&me()?, CLOCK, "4000"]);
    scratch.pids(id);
    let opened = Connection::open(&server.address, id, Way::WebSocket, 0, PATIENCE);
    let mut connection = opened.map_err(|error| error.to_string())?;
    let mut half = Vec::new();
    let mut took: Vec<Duration> = Vec::new();
    loop {
        match connection.next()? {
            Next::Bytes(_, bytes) => {
                let now = now();
                half.extend_from_slice(&bytes);
                let Some(end) = half.iter().rposition(|byte| *byte == b';') else { continue };
                for stamp in String::from_utf8_lossy(&half[..end]).split(';') {
                    let at: u64 = stamp.trim().parse().map_err(|_| format!("stamp {stamp:?}"))?;
                    took.push(Duration::from_nanos(now.saturating_sub(at)));
                }
                half.drain(..=end);
            }
            Next::Nothing => {}
            Next::Gap(_) => return Err("a gap where nothing is gone".to_owned()),
            Next::End => break,
            Next::Gone(why) => return Err(why),
        }
    }
    took.sort_unstable();
    let quantile = |of: f64| took[((took.len() - 1) as f64 * of) as usize];
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    if took.len() != 4_000 || p99 > PROMPT_P99 {
        return Err(format!("{} lines, p50 {p50:?}, p99 {p99:?}", took.len()));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(format!("1,000 lines/s, a tenth of them half: p50 {:.1} ms, p99 {:.1} ms", ms(p50), ms(p99)))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// `clock-write COUNT`: a thousand stamps a second, each tenth without the end of its line.
pub(crate) fn write_clock(args: &[String]) -> ExitCode {
    let Some(count) = args.first().and_then(|word| word.parse::<u64>().ok()) else {
        return ExitCode::from(2);
    };
    let mut out = std::io::stdout().lock();
    let begun = Instant::now();
    for n in 0..count {
        thread::sleep(Duration::from_millis(n).saturating_sub(begun.elapsed()));
        let end = if n % 10 == 3 { "" } else { "\n" };
        if write!(out, "{};{end}", now()).and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// `pace-write BYTES_PER_S BYTES`: lines of writer 0 at a pace.
pub(crate) fn write_paced(args: &[String]) -> ExitCode {
    let number = |at: usize| args.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(per_s), Some(bytes)) = (number(0), number(1)) else { return ExitCode::from(2) };
    let mut out = std::io::stdout().lock();
    let begun = Instant::now();
    let (mut n, mut sent) = (0, 0);
    while sent < bytes {
        let due = Duration::from_secs_f64(sent as f64 / per_s as f64);
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let lines: Vec<u8> = (n..n + 100).flat_map(|n| oracle::line(0, n)).collect();
        n += 100;
        sent += lines.len() as u64;
        if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
