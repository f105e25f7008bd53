//! Keeps declared secrets out of the record: bytes in, bytes out, no I/O and no clock.
//!
//! ```
//! # use stepflow_recorder::mask::Masker;
//! let mut masker = Masker::new([b"hunter22".to_vec()]);
//! assert_eq!(masker.push(b"token: hunt"), b"token: ");
//! assert_eq!(masker.push(b"er22, aHVudGVyMjI=, "), b"***, ***, ");
//! assert_eq!(masker.held(), 0);
//! ```
//!
//! The forms, and what is not promised: `docs/reference/masking.md`.

mod automaton; // every occurrence of many patterns, in one pass
mod forms; // what a secret looks like once it is encoded
mod secrets; // those of one record, with their limits
mod stream; // what of a stream may be let go

pub use self::{
    secrets::{Added, FORMS_BYTES_MAX, SECRET_BYTES_MAX, SECRETS_MAX, Secrets},
    stream::Masker,
};

/// What stands in the record instead of a secret.
pub const MASK: &[u8] = b"***";
/// Shorter values are not masked: they would hide ordinary output, and guessing them is no work.
pub const SECRET_BYTES_MIN: usize = 6;
