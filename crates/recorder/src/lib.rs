//! Records one script: spawn, read, mask, append, enforce, reap.
//!
//! A recorder is a process of its own, small, without async runtime, network or database: hundreds
//! of them run at once, and none may die of a dependency. It outlives the server that started it.
#![forbid(unsafe_code)]

pub mod control; // what is said over its socket
mod launch; // how others start one
pub mod mask; // keep secrets out of the record, whatever the split into reads

pub use launch::{COMMAND, Launch, Launched};
