//! What is measured, in which unit, and what it should come to: one table.

use serde::Serialize;

/// A part of the bench; each can run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Requests over HTTP.
    Api,
    /// The catalog's writer and readers.
    Catalog,
    /// Output of one script.
    Capture,
    /// Many scripts at once, each with a viewer.
    Streams,
    /// Scripts that end at once.
    Start,
    /// Many viewers of one script.
    Fanout,
    /// A server that is killed, and one that finds much.
    Recovery,
    /// What executions take on the disk, and how fast a log is searched.
    Storage,
    /// Very many streams from elsewhere.
    Ingest,
}

impl Part {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Api,
        Self::Catalog,
        Self::Capture,
        Self::Streams,
        Self::Start,
        Self::Fanout,
        Self::Recovery,
        Self::Storage,
        Self::Ingest,
    ];

    /// As it is spelled.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Catalog => "catalog",
            Self::Capture => "capture",
            Self::Streams => "streams",
            Self::Start => "start",
            Self::Fanout => "fanout",
            Self::Recovery => "recovery",
            Self::Storage => "storage",
            Self::Ingest => "ingest",
        }
    }

    /// The part of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == word)
    }
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many a second.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// Millions of bytes a second.
    MbPerSecond,
    /// Millions of bytes.
    Mb,
    /// Hundredths.
    Percent,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
    /// How many times as much.
    Times,
}

/// What a figure should come to. Ratios compare with what the machine does without us in the same
/// run, since machines differ and are busy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// The figure itself, no less.
    AtLeast(f64),
    /// The figure itself, no more.
    AtMost(f64),
    /// Of the limit, no less.
    RatioAtLeast(f64),
    /// Of the limit, no more.
    RatioAtMost(f64),
}

/// So many times a bar is wrong at any size.
const FAR: f64 = 4.0;

/// Makes [`What`] of a table: variant, word, part, unit, bar.
macro_rules! figures {
    ($(#[doc = $about:literal] $what:ident $word:literal $part:ident $unit:ident $bar:expr;)+) => {
        /// What a figure is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum What {
            $(#[doc = $about] $what,)+
        }

        impl What {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$what),+];

            /// A stable word, for programs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$what => $word,)+ }
            }

            /// In a sentence, in English.
            pub fn about(self) -> &'static str {
                match self { $(Self::$what => $about.trim_start(),)+ }
            }

            /// Where it belongs.
            pub const fn part(self) -> Part {
                match self { $(Self::$what => Part::$part,)+ }
            }

            /// Its unit.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$what => Unit::$unit,)+ }
            }

            /// What it should come to; `None`: told for what it is.
            pub const fn bar(self) -> Option<Bar> {
                match self { $(Self::$what => $bar,)+ }
            }
        }
    };
}

figures! {
    /// `GET /api/health`, beside a bare route that answers the same bytes.
    Health "health" Api PerSecond Some(Bar::RatioAtLeast(0.8));
    /// `GET /api/executions?limit=10`.
    List "list" Api PerSecond Some(Bar::RatioAtLeast(0.4));
    /// The list of one status.
    ListOfStatus "list_of_status" Api PerSecond Some(Bar::RatioAtLeast(0.4));
    /// `GET /api/executions/statistics`.
    Statistics "statistics" Api PerSecond Some(Bar::RatioAtLeast(0.4));
    /// The list while executions start and end, median.
    BusyListMedian "busy_list_median" Api Ms Some(Bar::RatioAtMost(3.0));
    /// The same, the slowest hundredth.
    BusyListSlow "busy_list_slow" Api Ms Some(Bar::RatioAtMost(5.0));
    /// Executions that started and ended meanwhile.
    BusyStarts "busy_starts" Api PerSecond None;

    /// Six reads and four writes of ten operations.
    Mixed "mixed" Catalog PerSecond Some(Bar::RatioAtLeast(0.6));
    /// The slowest hundredth of those reads.
    MixedReadSlow "mixed_read_slow" Catalog Ms Some(Bar::AtMost(5.0));
    /// The slowest hundredth of those writes.
    MixedWriteSlow "mixed_write_slow" Catalog Ms Some(Bar::AtMost(5.0));
    /// Writes that are synced one by one before they are answered.
    Durable "durable" Catalog PerSecond Some(Bar::AtLeast(15_000.0));
    /// The slowest hundredth of them.
    DurableSlow "durable_slow" Catalog Ms Some(Bar::AtMost(10.0));

    /// `run --output quiet`, with markers, beside `cat FILE | cat > copy`.
    CaptureQuiet "capture_quiet" Capture Seconds Some(Bar::RatioAtMost(1.5));
    /// `run --output raw`, with markers.
    CaptureRaw "capture_raw" Capture Seconds Some(Bar::RatioAtMost(1.8));
    /// `run --output quiet`, without markers.
    CapturePlain "capture_plain" Capture Seconds Some(Bar::RatioAtMost(1.5));
    /// The first of them, beside a copy that is synced as well: `cat` alone leaves its bytes in memory.
    CaptureDurable "capture_durable" Capture Seconds Some(Bar::RatioAtMost(1.5));
    /// `run --log-sync never`, without markers: synced at its end alone, which `cat` is not.
    CaptureUnsynced "capture_unsynced" Capture Seconds None;
    /// `run --output quiet --dialect auto`, without markers, beside `--dialect none`.
    CaptureDialects "capture_dialects" Capture Seconds Some(Bar::RatioAtMost(1.3));
    /// The speed of the first of them.
    CaptureSpeed "capture_speed" Capture MbPerSecond None;

    /// Lines that a viewer did not get, got twice or in another order.
    StreamsLost "streams_lost" Streams Count Some(Bar::AtMost(0.0));
    /// From the script's print to the viewer, median.
    StreamsMedian "streams_median" Streams Ms None;
    /// The same, the slowest hundredth.
    StreamsSlow "streams_slow" Streams Ms Some(Bar::AtMost(250.0));
    /// Processor time of server and recorders.
    StreamsCpu "streams_cpu" Streams Percent None;
    /// Proportional memory (PSS) of server and recorders.
    StreamsMemory "streams_memory" Streams Mb None;
    /// The same for each script: 200 MB for 500.
    StreamMemory "stream_memory" Streams Mb Some(Bar::AtMost(0.4));
    /// Resident memory of server and recorders, shared pages counted each time.
    StreamsResident "streams_resident" Streams Mb None;

    /// Executions of `true` that were started and have ended.
    Start "start" Start PerSecond Some(Bar::AtLeast(150.0));
    /// Requests to start one, all at once, that failed.
    StartFailed "start_failed" Start Count Some(Bar::AtMost(0.0));

    /// Lines that a viewer did not get.
    FanoutLost "fanout_lost" Fanout Count Some(Bar::AtMost(0.0));
    /// From the script's print to the viewers, median.
    FanoutMedian "fanout_median" Fanout Ms None;
    /// The same, the slowest hundredth, a tenth of the viewers stopped.
    FanoutSlow "fanout_slow" Fanout Ms Some(Bar::AtMost(500.0));
    /// What viewers that stop reading cost the others: median delay, with against without them.
    FanoutStopped "fanout_stopped" Fanout Times Some(Bar::AtMost(1.05));

    /// From the start of a server that was killed to its first answer.
    Serving "serving" Recovery Seconds Some(Bar::AtMost(1.0));
    /// The same until it is where the scripts are.
    CaughtUp "caught_up" Recovery Seconds Some(Bar::AtMost(5.0));
    /// Scripts that did not live through it.
    RecoveryLost "recovery_lost" Recovery Count Some(Bar::AtMost(0.0));
    /// From a start over many executions to the first answer.
    ColdStart "cold_start" Recovery Seconds Some(Bar::AtMost(1.0));
    /// Anonymous memory of that server.
    Idle "idle" Recovery Mb Some(Bar::AtMost(30.0));

    /// The catalog's file, for each execution of three steps.
    CatalogBytes "catalog_bytes" Storage Bytes Some(Bar::AtMost(2_048.0));
    /// The record of an execution of three steps and twelve lines, whole blocks.
    RecordBytes "record_bytes" Storage Bytes Some(Bar::AtMost(16_384.0));
    /// The index of output at full speed, of the output.
    IndexShare "index_share" Storage Percent Some(Bar::AtMost(1.0));
    /// The one line of a log with a word in it, beside `rg` or `grep`.
    Search "search" Storage Seconds Some(Bar::RatioAtMost(2.0));
    /// What lets a search skip most of a log, of the output.
    FilterShare "filter_share" Storage Percent Some(Bar::AtMost(5.0));
    /// The one log of many with a word in it, beside `rg` or `grep` over files of the same bytes.
    SearchAll "search_all" Storage Seconds Some(Bar::RatioAtMost(0.2));

    /// Lines that the server does not have, or a viewer did not get.
    IngestLost "ingest_lost" Ingest Count Some(Bar::AtMost(0.0));
    /// From the sender to the viewers of some streams, the slowest hundredth.
    IngestSlow "ingest_slow" Ingest Ms Some(Bar::AtMost(500.0));
    /// Anonymous memory of the server meanwhile.
    IngestMemory "ingest_memory" Ingest Mb Some(Bar::AtMost(400.0));
}

impl What {
    /// The least size, as in [`Figure::of`], that its bar is meant for; 0: any. In less, what stands at
    /// the beginning and at the end of each weighs more than what is measured.
    pub const fn bar_from(self) -> u64 {
        match self {
            Self::CaptureQuiet
            | Self::CaptureRaw
            | Self::CapturePlain
            | Self::CaptureDurable
            | Self::CaptureDialects => 1_000,
            Self::StreamMemory => 500,
            Self::SearchAll => 10_000,
            _ => 0,
        }
    }
}

impl Serialize for What {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// One figure: as often as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Of what.
    pub what: What,
    /// With so many connections, scripts, executions or megabytes, where that matters.
    pub of: Option<u64>,
    /// Each run.
    pub runs: Vec<f64>,
    /// What the machine does without us, in the same runs; none if there is no such thing.
    pub limits: Vec<f64>,
}

impl Figure {
    /// A figure without a limit.
    pub fn new(what: What, of: Option<u64>, runs: Vec<f64>) -> Self {
        Self { what, of, runs, limits: Vec::new() }
    }

    /// The median of the runs.
    pub fn median(&self) -> f64 {
        median(&self.runs)
    }

    /// The lowest and the highest run.
    pub fn spread(&self) -> (f64, f64) {
        let low = self.runs.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    }

    /// The median of the limits.
    pub fn limit(&self) -> Option<f64> {
        (!self.limits.is_empty()).then(|| median(&self.limits))
    }

    /// The median of what each run is of its limit. What else the machine does falls on both, so
    /// this says more than the two medians.
    pub fn ratio(&self) -> Option<f64> {
        if self.limits.is_empty() {
            return None;
        }
        let pairs = self.runs.iter().zip(&self.limits);
        let ratios: Vec<f64> =
            pairs.map(|(run, limit)| run / limit.max(f64::MIN_POSITIVE)).collect();
        Some(median(&ratios))
    }

    /// Whether it comes to what it should; `None`: there is no bar, or it does not come to one that is
    /// meant for more than was measured, though it is not [`FAR`] from it.
    pub fn is_met(&self) -> Option<bool> {
        let met = self.is_met_within(1.0)?;
        let judged = met || self.has_its_size() || self.is_met_within(FAR) == Some(false);
        judged.then_some(met)
    }

    /// Whether as much was measured as its bar is meant for.
    pub fn has_its_size(&self) -> bool {
        self.of.unwrap_or(0) >= self.what.bar_from()
    }

    /// Whether it comes to what it should with a bar that is so many times as easy, whatever its size.
    pub fn is_met_within(&self, slack: f64) -> Option<bool> {
        let of_limit = self.ratio().unwrap_or(f64::NAN);
        Some(match self.what.bar()? {
            Bar::AtLeast(bar) => self.median() >= bar / slack,
            Bar::AtMost(bar) => self.median() <= bar * slack,
            Bar::RatioAtLeast(bar) => of_limit >= bar / slack,
            Bar::RatioAtMost(bar) => of_limit <= bar * slack,
        })
    }
}

/// A figure as programs read it.
#[derive(Serialize)]
struct Written<'a> {
    part: Part,
    what: What,
    about: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    unit: Unit,
    median: f64,
    min: f64,
    max: f64,
    runs: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar: Option<Bar>,
    /// The bar is meant for so much and more.
    #[serde(skip_serializing_if = "is_any")]
    bar_from: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_any(size: &u64) -> bool {
    *size == 0
}

impl Serialize for Figure {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (min, max) = self.spread();
        let (what, of, runs) = (self.what, self.of, &self.runs);
        Written {
            part: what.part(),
            what,
            about: what.about(),
            of,
            unit: what.unit(),
            median: self.median(),
            min,
            max,
            runs,
            limit: self.limit(),
            ratio: self.ratio(),
            bar: what.bar(),
            bar_from: what.bar_from(),
            met: self.is_met(),
        }
        .serialize(to)
    }
}

/// The middle value; of an even number the lower of the two in the middle, which was measured.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this share of them does not exceed, of microseconds, in milliseconds. Sorts them.
pub(crate) fn percentile_ms(micros: &mut [u64], share: f64) -> f64 {
    micros.sort_unstable();
    let last = micros.len().saturating_sub(1);
    let at = ((micros.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
    micros.get(at).map_or(f64::NAN, |micros| *micros as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_values_that_were_measured() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
        let mut micros: Vec<u64> = (1..=100).rev().map(|ms| ms * 1_000).collect();
        for (share, ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            assert!((percentile_ms(&mut micros, share) - ms).abs() < f64::EPSILON, "{share}");
        }
    }

    #[test]
    fn a_ratio_is_that_of_runs_side_by_side() {
        // The machine was three times as busy in the last run: the medians alone would say 0.25.
        let figure = Figure {
            limits: vec![100.0, 120.0, 40.0],
            ..Figure::new(What::List, None, vec![50.0, 60.0, 20.0])
        };
        assert_eq!(figure.ratio(), Some(0.5));
        assert_eq!(figure.is_met(), Some(true));
        let slow = Figure { runs: vec![25.0, 30.0, 10.0], ..figure };
        assert_eq!((slow.is_met(), slow.is_met_within(2.0)), (Some(false), Some(true)));
    }

    #[test]
    fn a_bar_says_nothing_against_less_than_it_is_meant_for() {
        let of = |megabytes, ratio| Figure {
            limits: vec![1.0],
            ..Figure::new(What::CaptureQuiet, Some(megabytes), vec![ratio])
        };
        assert_eq!(of(1_000, 1.6).is_met(), Some(false));
        assert_eq!(of(250, 1.6).is_met(), None);
        assert_eq!(of(250, 1.4).is_met(), Some(true));
        assert_eq!(of(250, 6.1).is_met(), Some(false), "this far at any size");
        assert_eq!(of(250, 3.1).is_met_within(2.0), Some(false));
    }

    #[test]
    fn without_a_limit_a_ratio_is_not_met_and_words_are_unique() {
        let figure = Figure::new(What::Health, None, vec![1.0]);
        assert_eq!((figure.ratio(), figure.is_met()), (None, Some(false)));
        let mut words: Vec<_> = What::ALL.iter().map(|what| what.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), What::ALL.len());
        for part in Part::ALL {
            assert_eq!(Part::from_word(part.as_str()), Some(part));
            assert!(What::ALL.iter().any(|what| what.part() == part), "{part:?}");
        }
    }
}
