//! What a process uses: from `/proc`, so that nothing has to be counted.

use std::{fs, path::Path};

use nix::unistd::{SysconfVar, sysconf};

/// What a process uses now. Fields that could not be read are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Resident memory, bytes; mapped files included.
    pub resident_bytes: u64,
    /// Resident memory that belongs to the process alone, bytes: no mapped file.
    pub anonymous_bytes: u64,
    /// Virtual memory, bytes.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Threads.
    pub threads: u64,
    /// Time on processors, user and system, seconds.
    pub cpu_s: f64,
    /// When it was started: seconds since 1970.
    pub started_s: f64,
}

/// The kernel's name and release: `Linux 6.18.0`.
pub fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// What this process uses.
pub fn usage() -> Usage {
    usage_of("self").unwrap_or_default()
}

/// What the process with this id (or `self`) uses; `None`: there is none, or it is another user's.
pub fn usage_of(pid: &str) -> Option<Usage> {
    let dir = Path::new("/proc").join(pid);
    let stat = fs::read_to_string(dir.join("stat")).ok()?;
    let status = fs::read_to_string(dir.join("status")).ok()?;
    // The name in brackets may hold anything: what follows its last bracket counts.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    // Fields are numbered from 3 (state) behind the name. Source: proc_pid_stat(5).
    Some(Usage {
        resident_bytes: kib("VmRSS:"),
        anonymous_bytes: kib("RssAnon:"),
        virtual_bytes: kib("VmSize:"),
        open_fds: open_fds(&dir),
        threads: field(17),
        cpu_s: (field(11) + field(12)) as f64 / ticks,
        started_s: boot_s() + field(19) as f64 / ticks,
    })
}

/// The number of open descriptors: newer kernels tell it as the directory's size.
fn open_fds(dir: &Path) -> u64 {
    let fd = dir.join("fd");
    match fs::metadata(&fd) {
        Ok(meta) if meta.len() > 0 => meta.len(),
        _ => fs::read_dir(&fd).map_or(0, |entries| entries.count() as u64),
    }
}

/// When the host was started: seconds since 1970.
fn boot_s() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_what_it_uses() {
        let before = usage();
        assert!(before.resident_bytes >= before.anonymous_bytes && before.anonymous_bytes > 0);
        assert!(before.virtual_bytes > before.resident_bytes && before.threads >= 1);
        let now = crate::clock::wall_us() as f64 / 1e6;
        assert!(before.started_s > now - 86_400.0 && before.started_s <= now + 2.0, "{before:?}");
        let files: Vec<_> = (0..5).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open files as well: at least these are there.
        assert!(usage().open_fds >= files.len() as u64);
        assert_eq!(usage_of("no such process"), None);
    }
}
