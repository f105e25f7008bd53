//! What is known of 512 lines: a checkpoint, a level and a width for each.
//!
//! | bytes | field, little-endian |
//! |---|---|
//! | 0–7 | output offset of its first line |
//! | 8–15 | output offset behind its last line |
//! | 16–25 | style at its beginning |
//! | 26–35 | lines of each level, u16 each: other, debug, notice, warning, error |
//! | 36–37 | the greatest width |
//! | 38–39 | lines from standard error |
//! | 40–43 | crc32c over the number of the page (u64) and all other bytes |
//! | 44–63 | zero |
//! | 64–1087 | a width for each line, u16: 15 bits, and bit 15 for standard error |
//! | 1088–1343 | a verdict for each line, 4 bits, the lower half first |

use crate::{
    level::{Level, Verdict},
    style::Style,
    width::rows,
};

/// Lines of a page.
pub const PAGE_LINES: usize = 512;
/// Size of a page in the file.
pub(crate) const PAGE_BYTES: usize = 64 + 2 * PAGE_LINES + PAGE_LINES / 2;
const STDERR: u16 = 1 << 15;

/// Lines of each level, by [`Level::index`].
pub type Counts = [u64; 5];

/// What is known of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LineInfo {
    /// What wrapping counts.
    pub(crate) width: u32,
    pub(crate) verdict: Verdict,
    pub(crate) stderr: bool,
}

/// At most [`PAGE_LINES`] lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Output offset of its first line.
    pub(crate) start: u64,
    /// Output offset behind its last line.
    pub(crate) end: u64,
    /// Style at its beginning.
    pub(crate) style: Style,
    counts: [u16; 5],
    width_max: u16,
    stderr: u16,
    len: usize,
    widths: Box<[u16; PAGE_LINES]>,
    verdicts: Box<[u8; PAGE_LINES / 2]>,
}

impl Page {
    pub(crate) fn new(start: u64, style: Style) -> Self {
        Self {
            start,
            end: start,
            style,
            counts: [0; 5],
            width_max: 0,
            stderr: 0,
            len: 0,
            widths: Box::new([0; PAGE_LINES]),
            verdicts: Box::new([0; PAGE_LINES / 2]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len == PAGE_LINES
    }

    /// Adds a line that ends before `end`. A full page takes none.
    pub(crate) fn push(&mut self, line: LineInfo, end: u64) {
        if self.is_full() {
            return;
        }
        let width = line.width.min(u32::from(!STDERR)) as u16;
        self.widths[self.len] = width | if line.stderr { STDERR } else { 0 };
        self.verdicts[self.len / 2] |= line.verdict.encode() << (4 * (self.len % 2));
        self.width_max = self.width_max.max(width);
        self.counts[line.verdict.level.index()] += 1;
        self.stderr += u16::from(line.stderr);
        self.len += 1;
        self.end = end;
    }

    /// What is known of line `at`, from 0.
    pub(crate) fn line(&self, at: usize) -> LineInfo {
        let verdict = self.verdicts[at / 2] >> (4 * (at % 2)) & 15;
        LineInfo {
            width: u32::from(self.widths[at] & !STDERR),
            verdict: Verdict::decode(verdict).unwrap_or_default(),
            stderr: self.widths[at] & STDERR != 0,
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = LineInfo> + '_ {
        (0..self.len).map(|at| self.line(at))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.map(u64::from)
    }

    /// Whether a line of it has this level.
    pub(crate) fn has(&self, level: Level) -> bool {
        self.counts[level.index()] > 0
    }

    /// Lines from standard error.
    pub(crate) fn stderr(&self) -> u64 {
        u64::from(self.stderr)
    }

    /// Rows of all lines on a page of `columns`.
    pub(crate) fn rows(&self, columns: u32) -> u64 {
        if u32::from(self.width_max) <= columns {
            return self.len as u64;
        }
        self.widths[..self.len].iter().map(|width| rows(u32::from(width & !STDERR), columns)).sum()
    }

    /// As page `number` of a file. Only full pages stand in files.
    pub(crate) fn encode(&self, number: u64) -> [u8; PAGE_BYTES] {
        let mut bytes = [0; PAGE_BYTES];
        bytes[0..8].copy_from_slice(&self.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.end.to_le_bytes());
        bytes[16..26].copy_from_slice(&self.style.encode());
        for (at, count) in self.counts.iter().enumerate() {
            bytes[26 + 2 * at..28 + 2 * at].copy_from_slice(&count.to_le_bytes());
        }
        bytes[36..38].copy_from_slice(&self.width_max.to_le_bytes());
        bytes[38..40].copy_from_slice(&self.stderr.to_le_bytes());
        for (at, width) in self.widths.iter().enumerate() {
            bytes[64 + 2 * at..66 + 2 * at].copy_from_slice(&width.to_le_bytes());
        }
        bytes[64 + 2 * PAGE_LINES..].copy_from_slice(&self.verdicts[..]);
        let crc = checksum(&bytes, number);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads page `number`; `None`: these are not its bytes.
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        if bytes.len() != PAGE_BYTES || bytes[40..44] != checksum(bytes, number).to_le_bytes() {
            return None;
        }
        let mut style = [0; Style::BYTES];
        style.copy_from_slice(&bytes[16..26]);
        let mut page = Self::new(eight(bytes, 0), Style::decode(style)?);
        page.end = eight(bytes, 8);
        page.len = PAGE_LINES;
        page.width_max = two(bytes, 36);
        page.stderr = two(bytes, 38);
        for at in 0..5 {
            page.counts[at] = two(bytes, 26 + 2 * at);
        }
        for (at, width) in page.widths.iter_mut().enumerate() {
            *width = two(bytes, 64 + 2 * at);
        }
        page.verdicts.copy_from_slice(&bytes[64 + 2 * PAGE_LINES..]);
        let lines: u64 = page.counts().iter().sum();
        (page.start <= page.end && lines == PAGE_LINES as u64).then_some(page)
    }
}

fn checksum(page: &[u8], number: u64) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &page[..40]), &page[44..])
}

fn two(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn eight(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> impl Strategy<Value = LineInfo> {
        (0..20_000_u32, 0..16_u8, any::<bool>()).prop_map(|(width, bits, stderr)| LineInfo {
            width,
            verdict: Verdict::decode(bits).unwrap_or_default(),
            stderr,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_page_is_read_as_it_was_written_and_no_damage_is_taken(
            lines in proptest::collection::vec(line(), PAGE_LINES),
            start in 0..u64::MAX / 2,
            number: u64,
            at in 0..PAGE_BYTES,
            flip in 1..=255_u8,
        ) {
            let mut page = Page::new(start, Style::default());
            for (line, end) in lines.iter().zip(start..) {
                page.push(*line, end);
            }
            prop_assert!(page.lines().eq(lines.iter().copied()));
            let mut bytes = page.encode(number);
            prop_assert_eq!(Page::decode(&bytes, number), Some(page));
            prop_assert_eq!(Page::decode(&bytes, number ^ 1), None);
            bytes[at] ^= flip;
            prop_assert_eq!(Page::decode(&bytes, number), None);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>, long: bool) {
            if long {
                bytes.resize(PAGE_BYTES, 7);
                let crc = checksum(&bytes, 0).to_le_bytes();
                bytes[40..44].copy_from_slice(&crc);
            }
            if let Some(page) = Page::decode(&bytes, 0) {
                page.lines().count();
            }
        }
    }
}
