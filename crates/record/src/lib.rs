//! A record on disk: what one execution was asked to do, what it printed, what happened.
//!
//! ```text
//! <storage>/executions/<id>/  spec.json  claim  output.log  output.idx  journal.ndjson  notes.ndjson
//! <storage>/artifacts/<id>/<sha256>      <storage>/run/<id>.open, <id>.sock
//! ```
//! `output.log` leads: the bytes and nothing else. `output.idx` follows and commits: a byte is
//! *recorded* when a complete index entry covers it, and readers look at nothing beyond. The
//! formats: `docs/reference/record.md`. One place writes ([`Writer`]), one recovers ([`recover`]).
#![forbid(unsafe_code)]

mod error; // what can go wrong, with the path
mod index; // fixed-size entries: which bytes one read brought, when, from which stream
mod journal; // checked JSON lines, written and followed
mod layout; // where things are; creating a record
mod lines; // output read as lines
mod read; // output read by offset and by line number
mod recover; // after a crash: keep what checksums prove, set the rest aside
mod view; // the state of a record now: events and notes, folded
mod write; // the one place that appends

pub use crate::{
    error::RecordError,
    index::{ENTRY_BYTES, Entry, Flags},
    journal::{JournalReader, JournalWriter, append_note, read_notes},
    layout::{Created, Storage},
    lines::{LINE_TEXT_MAX, Line},
    read::LogReader,
    recover::{Recovery, recover},
    view::{Liveness, RecordView},
    write::Writer,
};
