//! Why a line that begins like a marker is refused.

/// A line that begins like a marker and is none, in a way its author should hear about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// A name, key, path or description is longer than the limit.
    #[error("{what} of {bytes} bytes is over the limit of {limit}")]
    TooLong {
        /// Which part: `step name`, `artifact path`, …
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The line is longer than the longest that is looked at.
    #[error(
        "a line that begins with `{word}` is over the limit of {limit} bytes: it is plain output"
    )]
    LineTooLong {
        /// The marker's word.
        word: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}
