//! Prints numbered, checksummed lines at a rate: the load of tests and benchmarks, without a
//! process per line. `printer LINES [LINES_PER_SECOND [STREAMS]]`; rate 0: as fast as possible;
//! with 2 streams odd lines go to standard error.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

fn main() -> io::Result<()> {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let lines = args.first().copied().unwrap_or(10);
    let rate = args.get(1).copied().unwrap_or(0);
    let streams = args.get(2).copied().unwrap_or(1);
    let begun = Instant::now();
    let mut fast = io::BufWriter::with_capacity(64 * 1024, io::stdout());
    for number in 1..=lines {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_micros());
        let body = format!("line {number} at {now}");
        let sum = body.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        let line = format!("{body} sum {sum:08x}\n");
        if streams == 2 && number % 2 == 1 {
            io::stderr().write_all(line.as_bytes())?;
        } else if rate == 0 && streams == 1 {
            fast.write_all(line.as_bytes())?;
        } else {
            let mut out = io::stdout();
            out.write_all(line.as_bytes())?;
            out.flush()?;
        }
        if let Some(due) = (number * 1_000_000).checked_div(rate) {
            thread::sleep(Duration::from_micros(due).saturating_sub(begun.elapsed()));
        }
    }
    fast.flush()
}
