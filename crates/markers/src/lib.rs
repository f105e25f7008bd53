//! Finds StepFlow markers in script output. Bytes in, values out: no I/O, no clock.
#![forbid(unsafe_code)]
mod error;
mod marker;
pub use crate::{
    error::MarkerError,
    marker::{Found, Marker, Params, Value},
};

/// Longest line that is looked at, in bytes; longer lines are never markers.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest name, key or path, in bytes.
pub const NAME_BYTES_MAX: usize = 4 * 1024;

/// Finds markers in one stream, whatever its split into reads.
#[derive(Debug, Default)]
pub struct Scanner {}

impl Scanner {
    /// A scanner at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }
    /// Feeds the stream's next bytes, which stand at `offset` in the output.
    pub fn push(&mut self, bytes: &[u8], offset: u64, found: &mut dyn FnMut(Found)) {
        let _ = (bytes, offset, found);
    }
    /// The stream has ended: its last half line counts as whole.
    pub fn finish(&mut self, found: &mut dyn FnMut(Found)) {
        let _ = found;
    }
}

/// Parses one line, without its line end. `Ok(None)`: ordinary output.
pub fn parse(line: &[u8]) -> Result<Option<Marker>, MarkerError> {
    let _ = line;
    Ok(None)
}
