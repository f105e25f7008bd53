//! Records one script: spawn, read, mask, append, enforce, reap.
//!
//! A recorder is a process of its own, small, without async runtime, network or database: hundreds
//! of them run at once, and none may die of a dependency. It outlives the server that started it.
#![forbid(unsafe_code)]

mod artifact; // copies declared files, in a thread of its own
pub mod control; // what is said over its socket
mod doorbell; // the socket: callers and wake-ups
mod durable; // when output becomes safe
pub mod inflow; // output that nobody here started, recorded by its holder
mod launch; // how others start one
pub mod lifecycle; // when "cancel" becomes "kill": pure
pub mod mask; // keep secrets out of the record, whatever the split into reads
pub mod offline; // a log that is read and not recorded
mod pipe; // a recorder whose source is its standard input
mod progress; // thin out what scripts say about their progress
mod ready; // what a wait found
mod recording; // the way of a byte
mod results; // files of test results, read at the end
mod session; // one recorder's life
mod words; // secrets in what markers say
mod worker; // threads for what must not hold up the read loop
mod zygote; // what recorders of a server are forked from

pub use artifact::ARTIFACT_BYTES_MAX;
pub use launch::{COMMAND, Launch, Launched};
pub use session::{SessionError, record};
pub use zygote::{Starter, ZYGOTE, zygote};
