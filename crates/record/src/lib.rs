//! A record on disk: what one execution was asked to do, what it printed, what happened.
//!
//! ```text
//! <storage>/executions/<id>/  spec.json  claim  output.log  output.idx  journal.ndjson  notes.ndjson
//!                             after the end: output.log.zst in place of output.log and output.idx
//! <storage>/artifacts/<id>/<sha256>      <storage>/run/<id>.open, <id>.sock
//! ```
//! `output.log` leads: the bytes and nothing else. `output.idx` follows and commits: a byte is
//! *recorded* when a complete index entry covers it, and readers look at nothing beyond. The
//! formats: `docs/reference/record.md`. One place writes ([`Writer`]), one recovers ([`recover`]).
#![forbid(unsafe_code)]

mod append; // a file that is only ever appended to
mod block; // output read in large pieces
mod changes; // what others than the recorder do to a record: mark, discard, purge
mod compress; // an ended log into its compressed form
mod copy; // a record copied while it may be written
mod error; // what can go wrong, with the path
mod filter; // what lets a search skip parts of a compressed log
mod gap; // output that is gone by policy
mod index; // fixed-size entries: which bytes one read brought, when, from which stream
mod inflated; // what was inflated, kept for a moment
mod journal; // checked JSON lines, written and followed
mod layout; // where things are; creating a record
mod lines; // output read as lines
mod pack; // a compressed log, written
mod packed; // a compressed log, read
mod range; // a range of the output, as a stream of bytes
mod read; // output read by offset and by line number
mod recover; // after a crash: keep what checksums prove, set the rest aside
mod results; // which tests a record tells of
mod room; // what must be free before a new execution is accepted
mod short; // the index of a short log, in the journal's end
mod verify; // a record held against its checksums
mod view; // the state of a record now: events and notes, folded
mod whole; // records that are over when they are made
mod write; // the one place that appends

pub use crate::{
    block::Block,
    compress::Compression,
    copy::Copied,
    error::RecordError,
    filter::{FILTER_BLOCK_BYTES, Filter, FilterGroup, FilteredBlock, Filtering, Grams, grams},
    index::{ENTRY_BYTES, Entry, Flags},
    journal::{JournalReader, JournalWriter, append_note, read_journal, read_notes},
    layout::{Created, Storage},
    lines::{LINE_TEXT_MAX, Line},
    range::LogRange,
    read::LogReader,
    recover::{Recovery, cut_journal, recover, recover_to_resume},
    results::{ResultsView, read_results},
    room::{MinFree, NoRoom},
    verify::{Flaw, Proof},
    view::{Liveness, RecordView, group_name},
    whole::{WholeBuffers, WholeRecord},
    write::Writer,
};
