//! Finds StepFlow markers in script output. Bytes in, values out: no I/O, no clock.
//!
//! ```
//! # use stepflow_markers::{Marker, parse};
//! let marker = parse(b"STEP_START:Build").unwrap();
//! assert_eq!(marker, Some(Marker::StepStart { name: "Build".into(), params: vec![] }));
//! assert_eq!(parse(b"compiling foo.c"), Ok(None)); // Ordinary output is not an error.
//! ```
//! [`Scanner`] finds them in a stream, whatever its split into reads; ordinary lines cost it no
//! allocation. The grammar, and what we promise about it: `docs/reference/markers.md`.
#![forbid(unsafe_code)]

pub mod dialects; // what scripts print for other systems
pub mod junit; // files of test results

mod boundary; // what may stand before a marker
mod error; // why a line that begins like a marker is refused
mod marker; // the vocabulary
mod params; // [k=v], {k:v}, --k=v
mod parse; // one line -> Marker
mod scan; // a stream -> the lines that may hold one
mod text; // bytes -> what a terminal shows of them

pub use crate::{
    error::MarkerError,
    marker::{Found, Marker, Params, Value},
    parse::parse,
    scan::Scanner,
};

/// Longest line that is looked at, in bytes; longer lines are never markers; those that
/// begin like one are refused.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest name, key or path, in bytes.
pub const NAME_BYTES_MAX: usize = 4 * 1024;
