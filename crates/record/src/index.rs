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
        self.crc = crc_of_both(crc32c::crc32c(&self.head()), output_crc, len);
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

/// CRC-32C's polynomial, its bits reversed. Source: RFC 3720, appendix B.4.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x to the powers 1, 2, 4, 8, … modulo the polynomial.
const POWERS: [u32; 67] = {
    let mut powers = [1 << 30; 67];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = product(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
};

/// The checksum of two pieces that follow each other, the second of `len` bytes, from the checksum
/// of each.
///
/// Bytes behind a piece multiply what its checksum stands for by x^8 each, modulo the polynomial:
/// a dozen products for a read. (Squaring matrices, as `crc32c_combine` does, takes 20 us each time:
/// a tenth of a recorder's time.)
fn crc_of_both(first: u32, second: u32, len: u64) -> u32 {
    let mut shift = 1 << 31; // x^0
    let (mut left, mut power) = (len, 3); // x^8 is the power 2^3.
    while left != 0 {
        if left & 1 != 0 {
            shift = product(POWERS[power], shift);
        }
        left >>= 1;
        power += 1;
    }
    product(shift, first) ^ second
}

/// The product of two polynomials modulo the polynomial; the highest bit is x^0.
const fn product(a: u32, b: u32) -> u32 {
    let (mut sum, mut b, mut bit) = (0, b, 1 << 31);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit >>= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_checksum_of_two_pieces_is_that_of_both_together(a: Vec<u8>, b: Vec<u8>, more in 0..200_000_usize) {
            let b = [b, vec![7; more]].concat();
            let both = crc_of_both(crc32c::crc32c(&a), crc32c::crc32c(&b), b.len() as u64);
            prop_assert_eq!(both, crc32c::crc32c(&[a, b].concat()));
        }

        #[test]
        fn and_of_a_piece_of_any_length(first: u32, second: u32, len in 0..u64::MAX / 2) {
            let both = crc_of_both(first, second, len);
            prop_assert_eq!(both, crc32c::crc32c_combine(first, second, len as usize));
        }
    }

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
