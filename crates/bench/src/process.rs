//! What processes take: memory and time of the processor, as the kernel counts them.

use std::{collections::BTreeMap, fs, path::Path, thread, time::Duration};

/// Ticks of the processor's time a second, in `/proc`: fixed on Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// Memory of some processes together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Proportional: shared pages count in parts, megabytes.
    pub(crate) proportional_mb: f64,
    /// Resident, shared pages counted each time.
    pub(crate) resident_mb: f64,
}

impl Memory {
    /// Of these processes, one after the other within `time`: the kernel looks at every page of each,
    /// which hundreds at once would feel in what else is measured. Blocks.
    pub(crate) fn of(pids: &[u32], time: Duration) -> Self {
        let mut memory = Self::default();
        for pid in pids {
            let rollup =
                fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            memory.proportional_mb += megabytes(&rollup, "Pss:");
            memory.resident_mb += megabytes(&rollup, "Rss:");
            thread::sleep(time / pids.len() as u32);
        }
        memory
    }
}

/// Time of the processor that some processes have taken, in seconds each.
#[derive(Debug, Clone)]
pub(crate) struct Times(BTreeMap<u32, f64>);

impl Times {
    /// Of these processes, as far as they are there.
    pub(crate) fn of(pids: &[u32]) -> Self {
        Self(pids.iter().filter_map(|pid| Some((*pid, seconds(*pid)?))).collect())
    }

    /// Hundredths of a core that those that were there both times took in between.
    pub(crate) fn percent_since(&self, before: &Self, seconds: f64) -> f64 {
        let both = self.0.iter().filter_map(|(pid, now)| before.0.get(pid).map(|then| now - then));
        both.sum::<f64>() / seconds * 100.0
    }
}

/// Processes that name `path` in their command lines. Of a storage these are server, recorders and
/// keepers; scripts do not.
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

fn seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have spaces in it.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}
