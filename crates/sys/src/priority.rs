//! Work that nobody waits for.

use std::io;

use nix::{errno::Errno, libc};

/// Gives the calling thread, and it alone, the lowest ordinary priority: for the processor nice 19,
/// and for the disk what follows from that. It cannot be taken back.
///
/// Not an idle class: under a load that never ends, such a thread would never end either.
///
/// Source: Linux `setpriority(2)`, C library differences: it acts on one thread; `ioprio_set(2)`:
/// without a class of its own, the disk's priority follows the nice value.
pub fn lowest() -> io::Result<()> {
    // SAFETY: `setpriority` takes numbers and touches no memory; 0 names the calling thread.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_calling_thread_alone_becomes_nice() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, rest) = stat.rsplit_once(')').unwrap();
            rest.split_whitespace().nth(16).unwrap().to_owned()
        };
        let before = nice();
        let lowered = std::thread::spawn(move || {
            super::lowest().unwrap();
            nice()
        });
        assert_eq!(lowered.join().unwrap(), "19");
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, rest) = stat.rsplit_once(')').unwrap();
        assert_eq!(rest.split_whitespace().nth(16).unwrap(), before);
    }
}
