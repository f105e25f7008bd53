//! What only the kernel can do for us: locks that prove life, process trees, a fork or two.
//!
//! The one crate that may use `unsafe`; every block says why it is sound. Nothing here knows what
//! an execution is.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("StepFlow Monitor runs on Linux (kernel 5.10 or later) on x86_64 and aarch64 only");

pub mod cgroup; // control groups, version 2
pub mod clock; // wall and monotonic time that never runs backwards
pub mod disk; // a whole file system synced, who has a file open
pub mod fds; // descriptors handed to another process
pub mod fork; // a copy of this process, and what makes it its own
pub mod host; // boot id, host name, peer of a socket
pub mod keeper; // the recorder's second process: parent of the script, end of its tree
pub mod lock; // open-file-description locks: claim, writer lock
pub mod memory; // give back what was needed for a while
pub mod priority; // what the kernel does last
pub mod process; // what a process uses
pub mod pty; // pseudo terminals
pub mod spawn; // start the recorder with descriptors of our choice
pub mod tree; // find and signal the processes below one of ours
