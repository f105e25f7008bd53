//! What processes take: memory and time of the processor, as the kernel counts them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Ticks of the processor's time a second, in `/proc`: fixed on Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// What some processes take together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// Proportional memory: shared pages count in parts, megabytes.
    pub(crate) proportional_mb: f64,
    /// Resident memory, shared pages counted each time.
    pub(crate) resident_mb: f64,
    /// Seconds of the processor, by process.
    seconds: BTreeMap<u32, f64>,
}

impl Taken {
    /// Hundredths of a core that those that were there both times took in between.
    pub(crate) fn percent_since(&self, before: &Self, seconds: f64) -> f64 {
        let both = self
            .seconds
            .iter()
            .filter_map(|(pid, now)| before.seconds.get(pid).map(|then| now - then));
        both.sum::<f64>() / seconds * 100.0
    }
}

/// Server, recorders and keepers of a storage: it stands in their command lines. Scripts do not count.
pub(crate) fn of_storage(storage: &Path) -> Taken {
    let mut taken = Taken::default();
    for pid in naming(storage) {
        let dir = PathBuf::from(format!("/proc/{pid}"));
        let rollup = fs::read_to_string(dir.join("smaps_rollup")).unwrap_or_default();
        taken.proportional_mb += megabytes(&rollup, "Pss:");
        taken.resident_mb += megabytes(&rollup, "Rss:");
        if let Some(seconds) = seconds(&dir) {
            taken.seconds.insert(pid, seconds);
        }
    }
    taken
}

/// Processes that name `path` in their command lines.
pub(crate) fn naming(path: &Path) -> Vec<u32> {
    let path = path.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let names = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        memchr::memmem::find(&line, path).is_some()
    };
    pids.filter(names).collect()
}

/// Anonymous resident memory of one process, megabytes.
pub(crate) fn anonymous_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    megabytes(&status, "RssAnon:")
}

fn megabytes(text: &str, key: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

fn seconds(dir: &Path) -> Option<f64> {
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    // The name, in parentheses, may have spaces in it.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}
