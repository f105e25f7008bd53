//! Flags of `bench`.

use std::{path::PathBuf, time::Duration};

use stepflow_bench::{Part, Sizes};

use super::Json;

#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Only these parts [default: all of them]
    #[arg(value_name = "PART", value_parser = words())]
    pub parts: Vec<String>,
    /// A look, in a minute: smaller, less exact
    #[arg(long)]
    pub quick: bool,
    /// Executions in the catalog [default: 100000; --quick: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    pub executions: Option<u64>,
    /// Scripts at once [default: 200; --quick: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub streams: Option<u64>,
    /// Viewers of one script [default: 200; --quick: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..=10_000))]
    pub viewers: Option<u64>,
    /// Output of one script, in millions of bytes [default: 250; --quick: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub megabytes: Option<u64>,
    /// Streams from elsewhere [default: 500; --quick: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub ingest: Option<u64>,
    /// Logs of a million bytes that are searched at once [default: 100; --quick: 40]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub records: Option<u64>,
    /// How long scripts print, at least 2 s [default: 3s; --quick: 2s]
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pub time: Option<Duration>,
    /// How often each figure is taken
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub runs: u64,
    /// A directory on the disk that is to carry the load; what is made in it is removed
    /// [default: beside the storage]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

fn words() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Part::ALL.map(Part::as_str))
}

impl Bench {
    /// The parts, in their own order.
    pub fn parts(&self) -> Vec<Part> {
        let chosen = |part: &Part| {
            self.parts.is_empty() || self.parts.iter().any(|word| word == part.as_str())
        };
        Part::ALL.into_iter().filter(chosen).collect()
    }

    /// How much of everything.
    pub fn sizes(&self) -> Sizes {
        let usual = if self.quick { Sizes::QUICK } else { Sizes::USUAL };
        Sizes {
            executions: self.executions.unwrap_or(usual.executions),
            streams: self.streams.unwrap_or(usual.streams),
            viewers: self.viewers.unwrap_or(usual.viewers),
            megabytes: self.megabytes.unwrap_or(usual.megabytes),
            ingest: self.ingest.unwrap_or(usual.ingest),
            records: self.records.unwrap_or(usual.records),
            stream_time: self
                .time
                .map_or(usual.stream_time, |time| time.max(Duration::from_secs(2))),
            ..usual
        }
    }
}
