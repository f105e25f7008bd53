//! The index: a header, then 32-byte little-endian entries.
//!
//! | bytes | field |
//! |---|---|
//! | 0–7 | output offset just after the entry's bytes |
//! | 8–15 | lines ended up to there |
//! | 16–23 | wall clock of the read, ns since 1970 UTC |
//! | 24–27 | flags |
//! | 28–31 | crc32c over bytes 0–27 followed by the entry's output bytes |

use stepflow_model::Stream;

/// Size of the header and of each entry.
pub const ENTRY_BYTES: u64 = 32;
/// The header: magic and version.
pub(crate) const HEADER: [u8; 32] = *b"stepflow-index\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What is known of an entry's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// The bytes came from standard error.
    pub const STDERR: u32 = 1;
    /// The first line goes on a piece of the same stream that the other stream cut.
    pub const CONTINUED: u32 = 1 << 1;
    /// The other stream's half line before this entry counts as ended.
    pub const BREAK: u32 = 1 << 2;
    /// Completed after a crash: nobody vouched for the bytes when they were written.
    pub const UNVERIFIED: u32 = 1 << 3;

    /// Whether `flag` is set.
    pub fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// The stream.
    pub fn stream(self) -> Stream {
        if self.has(Self::STDERR) { Stream::Stderr } else { Stream::Stdout }
    }
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Output offset just after its bytes.
    pub byte_end: u64,
    /// Lines ended up to there.
    pub line_end: u64,
    /// Wall clock, ns.
    pub time_ns: i64,
    /// See [`Flags`].
    pub flags: Flags,
    /// Checksum.
    pub crc: u32,
}

impl Entry {
    /// The checksum over the entry alone, to be gone on with over its bytes.
    pub(crate) fn crc_of_head(&self) -> u32 {
        crc32c::crc32c(&self.head())
    }

    fn head(&self) -> [u8; 28] {
        let mut head = [0; 28];
        head[0..8].copy_from_slice(&self.byte_end.to_le_bytes());
        head[8..16].copy_from_slice(&self.line_end.to_le_bytes());
        head[16..24].copy_from_slice(&self.time_ns.to_le_bytes());
        head[24..28].copy_from_slice(&self.flags.0.to_le_bytes());
        head
    }

    /// Sets the checksum from that of the `len` output bytes alone.
    pub(crate) fn seal(&mut self, output_crc: u32, len: u64) {
        self.crc = crc32c::crc32c_combine(crc32c::crc32c(&self.head()), output_crc, len as usize);
    }

    /// Sets the checksum from the output bytes themselves: cheaper, where they are at hand.
    pub(crate) fn seal_over(&mut self, output: &[u8]) {
        self.crc = crc32c::crc32c_append(crc32c::crc32c(&self.head()), output);
    }

    /// Whether the checksum holds for these output bytes.
    pub(crate) fn proves(&self, output: &[u8]) -> bool {
        crc32c::crc32c_append(crc32c::crc32c(&self.head()), output) == self.crc
    }

    pub(crate) fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..28].copy_from_slice(&self.head());
        bytes[28..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; 32]) -> Self {
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(eight)
        };
        Self {
            byte_end: number(0),
            line_end: number(8),
            time_ns: number(16) as i64,
            flags: Flags(number(24) as u32),
            crc: (number(24) >> 32) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_encoding_and_proves_only_its_bytes() {
        let mut entry = Entry {
            byte_end: 77,
            line_end: 3,
            time_ns: -5,
            flags: Flags(Flags::STDERR | Flags::BREAK),
            crc: 0,
        };
        entry.seal(crc32c::crc32c(b"hello"), 5);
        assert_eq!(Entry::decode(entry.encode()), entry);
        assert!(entry.proves(b"hello"));
        assert!(!entry.proves(b"hellp"));
    }
}
