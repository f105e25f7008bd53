//! Fills the catalog of a storage with executions that have ended, for measurements of lists and
//! figures at a size nobody waits for: a million executions of three steps over 90 days.
//!
//! `cargo run --release -p stepflow-bench --example fill DATABASE [EXECUTIONS]`

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: fill DATABASE [EXECUTIONS]")?;
    let count: u64 = args.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let began = Instant::now();
    stepflow_bench::fill(std::path::Path::new(&path), count, &|| Ok(()))?;
    println!("{count} executions in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
