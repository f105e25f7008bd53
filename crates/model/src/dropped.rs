//! Output that is gone by policy.

use serde::{Deserialize, Serialize};

/// The middle of an output that outgrew its limit. Offsets and line numbers stay what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Output offset of the first byte that is gone.
    pub from: u64,
    /// Output offset just after the last one.
    pub to: u64,
    /// Lines that ended before `from`.
    pub lines_from: u64,
    /// Lines that ended before `to`.
    pub lines_to: u64,
}

impl Dropped {
    /// How many bytes are gone.
    pub const fn bytes(&self) -> u64 {
        self.to - self.from
    }

    /// How many line ends are gone.
    pub const fn lines(&self) -> u64 {
        self.lines_to - self.lines_from
    }

    /// Whether the byte at `offset` is gone.
    pub const fn holds(&self, offset: u64) -> bool {
        self.from <= offset && offset < self.to
    }

    /// Whether a byte from `from` up to `to` is gone. Of no bytes none is.
    pub const fn touches(&self, from: u64, to: u64) -> bool {
        from < to && from < self.to && self.from < to
    }
}

/// What stands in the place of the bytes, for people.
impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, lines) = (self.bytes(), self.lines());
        write!(
            f,
            "\u{2026} {bytes} bytes (from byte {} to {}, {lines} lines) were dropped: \
             log_max_bytes is reached \u{2026}",
            self.from, self.to
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_inside_of_a_gap_are_none_that_are_gone() {
        let gone = Dropped { from: 10, to: 20, lines_from: 1, lines_to: 2 };
        assert!(!gone.touches(15, 15) && !gone.touches(10, 10));
        assert!(gone.touches(15, 16) && gone.touches(0, 11) && gone.touches(19, 30));
        assert!(!gone.touches(0, 10) && !gone.touches(20, 30));
    }
}
