//! Finds the processes below one of ours, and signals them without ever hitting a stranger.
//!
//! The walk starts at a process that we have not reaped, so its pid cannot be a stranger's. Each
//! process found is opened as a pidfd first and its parent is looked up again after that: only if
//! the parent is still one of the tree does the pidfd name a process of the tree.

use std::{
    collections::HashMap,
    fs,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use nix::{errno::Errno, libc, unistd::Pid};

use crate::cgroup::Cgroup;

/// What the kernel says of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid.
    pub parent: i32,
    /// `R`, `S`, `Z`, …
    pub state: char,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Its name, at most 15 bytes.
    pub name: String,
}

/// Reads `/proc/<pid>/stat`; `None` if the process is gone.
pub fn info(pid: i32) -> Option<ProcessInfo> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name may hold spaces and brackets: it ends at the last one.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(ProcessInfo { pid, parent, state, start_ticks, name })
}

fn children_by_parent() -> HashMap<i32, Vec<ProcessInfo>> {
    let mut children: HashMap<i32, Vec<ProcessInfo>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return children };
    for entry in entries.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(process) = info(pid)
        {
            children.entry(process.parent).or_default().push(process);
        }
    }
    children
}

/// All living processes below `root`, `root` itself not included, parents before children.
/// Zombies are left out: they are dead already.
pub fn descendants(root: i32) -> Vec<ProcessInfo> {
    let mut by_parent = children_by_parent();
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(parent) = todo.pop() {
        for child in by_parent.remove(&parent).unwrap_or_default() {
            todo.push(child.pid);
            if child.state != 'Z' {
                found.push(child);
            }
        }
    }
    found
}

/// The same, and the members of `group`, which the kernel says are of the tree, each once.
pub fn members(root: i32, group: Option<&Cgroup>) -> Vec<ProcessInfo> {
    let mut found = descendants(root);
    for pid in group.map(Cgroup::members).unwrap_or_default() {
        if !found.iter().any(|known| known.pid == pid)
            && let Some(process) = info(pid)
            && process.state != 'Z'
            // Asked last: what was just read belongs to the group, or is no longer there.
            && group.is_some_and(|group| group.holds(pid))
        {
            found.push(process);
        }
    }
    found
}

/// Sends `signal` to every process below `root`. Returns how many got it.
///
/// `root` must be our own process or a child of ours that has not been reaped.
pub fn signal_descendants(root: i32, signal: i32) -> u32 {
    descendants(root).iter().filter(|process| signal_if_unchanged(process, signal)).count() as u32
}

/// Signals `process` unless another process has its pid by now.
pub fn signal_if_unchanged(process: &ProcessInfo, signal: i32) -> bool {
    let Some(handle) = pidfd_open(process.pid) else { return false };
    // The handle is fixed now; if what stands there still is what we found, it is ours.
    match info(process.pid) {
        Some(now) if now.start_ticks == process.start_ticks => pidfd_signal(&handle, signal),
        _ => false,
    }
}

/// Whether `pid` has the pipe with this inode open.
pub fn holds_pipe(pid: i32, inode: u64) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| fs::metadata(entry.path()).is_ok_and(|meta| meta.ino() == inode))
}

fn pidfd_open(pid: i32) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    // SAFETY: a non-negative result is a descriptor that nobody else owns.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn pidfd_signal(handle: &OwnedFd, signal: i32) -> bool {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open; a null siginfo means "as kill() would".
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, none, 0) };
    Errno::result(result).is_ok()
}

/// Kills everything below this process and reaps it, until nothing is left. Returns what it reaped:
/// pids and raw wait statuses.
///
/// The caller must be a child subreaper: then every orphan of the tree becomes its child, and no
/// pid below it can be a stranger's, because nobody else reaps.
pub fn kill_and_reap_all() -> Vec<(i32, i32)> {
    let me = Pid::this().as_raw();
    let mut reaped = Vec::new();
    loop {
        signal_descendants(me, libc::SIGKILL);
        loop {
            match wait_any() {
                Waited::Reaped(pid, status) => reaped.push((pid, status)),
                Waited::NoneYet => break,
                Waited::NoChildren => return reaped,
            }
        }
        // Not a wait for an event: a process that forked while we looked shows in the next look.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// What a wait for any child brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// A child ended: its pid and raw status.
    Reaped(i32, i32),
    /// There are children, none has ended.
    NoneYet,
    /// There are no children.
    NoChildren,
}

/// Reaps a child that has ended, if there is one; never waits.
pub fn wait_any() -> Waited {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for an int for the length of the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        match pid {
            0 => return Waited::NoneYet,
            pid if pid > 0 => return Waited::Reaped(pid, status),
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Waited::NoChildren,
        }
    }
}

/// Exit code, or signal and core flag, from a raw wait status.
pub fn decode_status(status: i32) -> (Option<i32>, Option<i32>, bool) {
    if libc::WIFEXITED(status) {
        (Some(libc::WEXITSTATUS(status)), None, false)
    } else if libc::WIFSIGNALED(status) {
        (None, Some(libc::WTERMSIG(status)), libc::WCOREDUMP(status))
    } else {
        (None, None, false)
    }
}
