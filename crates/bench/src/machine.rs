//! Facts without which figures say nothing.

use std::{fs, path::Path, thread};

use serde::Serialize;

/// The machine that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// What they say they are.
    pub processor: String,
    /// Memory, megabytes.
    pub memory_mb: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The kind of file system of the directory.
    pub file_system: String,
    /// Programs that ran or waited for a processor in the minute before: 0 is an idle machine.
    pub load: f64,
}

impl Machine {
    /// The one that we are on; `dir` is on the disk that is measured.
    pub fn here(dir: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0);
        Self {
            cores: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: value(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory_mb: kib * 1024 / 1_000_000,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(dir, &read("/proc/self/mounts")),
            load,
        }
    }
}

/// The kind of the mount whose path is the longest beginning of `dir`.
fn file_system(dir: &Path, mounts: &str) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    // The last of several at one place is the one that is seen.
    let found = mounts.filter(|(at, _)| dir.starts_with(at)).max_by_key(|(at, _)| at.len());
    found.map(|(_, kind)| kind.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_on_the_innermost_mount() {
        let mounts = "a / ext4 rw 0 0\nb /tmp tmpfs rw 0 0\nc /tmpfoo xfs rw 0 0\n";
        for (dir, kind) in
            [("/tmp/x", "tmpfs"), ("/tmpfoo", "xfs"), ("/home", "ext4"), ("/tmpfo", "ext4")]
        {
            assert_eq!(file_system(Path::new(dir), mounts), kind, "{dir}");
        }
    }
}
