//! What lets a search skip parts of a compressed log: for each block of lines, which three bytes
//! follow each other somewhere in its text.
//!
//! A filter is a Bloom filter: it may say "perhaps" of what is not there, never "no" of what is.
//! Letters of ASCII count as small ones, so that one filter serves searches with and without case.

use crate::RecordError;

/// A block is the lines that begin within so many bytes of output: what one frame holds.
pub const FILTER_BLOCK_BYTES: u64 = 256 * 1024;
/// Bits for each trigram, while the block's share of room lasts. With three hashes a trigram that is
/// not there is taken for one with probability 0.09; a word of eight letters has six of them.
const BITS_EACH: usize = 5;
/// A filter takes no more than this part of its text: below the 5 % that all of it may take.
const SHARE_OF_TEXT: u64 = 25;
/// With fewer bits for each trigram a filter would say "perhaps" to nearly everything.
const BITS_EACH_MIN: f64 = 0.5;
/// Filters of so many blocks are read at once, and share a checksum.
pub(crate) const GROUP_BLOCKS: usize = 64;
/// A larger group is damage.
const GROUP_BYTES_MAX: u32 = 8 << 20;
/// The version of the section that this build writes and reads.
const VERSION: u32 = 1;
/// What begins the section: version, zero.
const HEAD_BYTES: usize = 8;
/// What a group takes in the section: place, size, checksum, where its first line begins, its number.
const GROUP_LINE: usize = 32;
/// What a block takes at the beginning of a group: offset, line, size of the filter, hashes.
const BLOCK_LINE: usize = 24;

/// Two characters that searches without case take for ASCII letters: `ſ` for `s`, the Kelvin sign
/// for `k`. A block that holds one of them is never skipped.
const ODD_LETTERS: [&str; 2] = ["\u{17f}", "\u{212a}"];

/// The trigrams of a text: three bytes of one line, letters of ASCII as small ones.
pub fn grams(text: &[u8]) -> impl Iterator<Item = u32> + '_ {
    text.windows(3).filter(|three| !three.contains(&b'\n')).map(|three| {
        three.iter().fold(0, |gram, byte| gram << 8 | u32::from(byte.to_ascii_lowercase()))
    })
}

/// Gathers the trigrams of a block. Takes 2 MiB, which are used again for the next one.
#[derive(Debug)]
pub struct Grams {
    /// A bit for each trigram that there can be.
    seen: Vec<u64>,
    list: Vec<u32>,
    has_odd_letters: bool,
}

impl Default for Grams {
    fn default() -> Self {
        Self { seen: vec![0; 1 << 18], list: Vec::new(), has_odd_letters: false }
    }
}

impl Grams {
    /// Adds those of a text as it is searched; a match never reaches from one call into the next.
    pub fn add(&mut self, text: &[u8]) {
        let mut gram = 0_u32;
        // How many bytes of the line stand before.
        let mut before = 0;
        for byte in text {
            if *byte == b'\n' {
                before = 0;
                continue;
            }
            gram = (gram << 8 | u32::from(byte.to_ascii_lowercase())) & 0xff_ffff;
            before += 1;
            if before >= 3 {
                let (word, bit) = ((gram >> 6) as usize, 1 << (gram & 63));
                if self.seen[word] & bit == 0 {
                    self.seen[word] |= bit;
                    self.list.push(gram);
                }
            }
        }
        self.has_odd_letters |=
            ODD_LETTERS.iter().any(|odd| memchr::memmem::find(text, odd.as_bytes()).is_some());
    }

    /// The filter of what was added, for a block of `text_bytes`; begins anew.
    pub fn take(&mut self, text_bytes: u64) -> Filter {
        let bits = self.filter(text_bytes);
        for gram in self.list.drain(..) {
            self.seen[(gram >> 6) as usize] = 0;
        }
        self.has_odd_letters = false;
        bits
    }

    fn filter(&self, text_bytes: u64) -> Filter {
        let room = (text_bytes.min(4 * FILTER_BLOCK_BYTES) / SHARE_OF_TEXT) as usize;
        let size = (self.list.len() * BITS_EACH).div_ceil(8).min(room);
        let each = (size * 8) as f64 / self.list.len().max(1) as f64;
        if self.has_odd_letters || each < BITS_EACH_MIN {
            return Filter::default();
        }
        // As many as leave half of the bits unset.
        let hashes = (each * std::f64::consts::LN_2).round().clamp(1.0, 3.0) as u32;
        let mut bits = vec![0; size];
        for gram in &self.list {
            for place in places(*gram, hashes, size) {
                bits[place / 8] |= 1 << (place % 8);
            }
        }
        Filter { hashes, bits }
    }
}

/// Which trigrams one block may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    hashes: u32,
    /// None: there may be anything.
    bits: Vec<u8>,
}

impl Filter {
    /// Whether the text may hold the trigram; `false`: it does not.
    pub fn may_hold(&self, gram: u32) -> bool {
        may_hold(&self.bits, self.hashes, gram)
    }
}

/// The bits that stand for a trigram in a filter of `size` bytes.
fn places(gram: u32, hashes: u32, size: usize) -> impl Iterator<Item = usize> {
    // The finalizer of splitmix64 (Steele, Lea, Flood 2014): each bit of the trigram moves each of
    // the hash. Its halves make as many hashes as are asked for (Kirsch, Mitzenmacher 2006).
    let mut hash = u64::from(gram).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..hashes).map(move |number| {
        let hash = first.wrapping_add(number.wrapping_mul(step));
        ((u64::from(hash) * (size as u64 * 8)) >> 32) as usize
    })
}

fn may_hold(bits: &[u8], hashes: u32, gram: u32) -> bool {
    bits.is_empty()
        || places(gram, hashes, bits.len()).all(|place| bits[place / 8] & 1 << (place % 8) != 0)
}

/// A block of lines and its filter, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilteredBlock {
    /// Output offset of its first line.
    pub offset: u64,
    /// Number of its first line, from 1.
    pub line: u64,
    /// What its text may hold.
    pub filter: Filter,
}

/// The content of a group.
pub(crate) fn encode_group(blocks: &[FilteredBlock]) -> Vec<u8> {
    let mut bytes = (blocks.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    for FilteredBlock { offset, line, filter } in blocks {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&line.to_le_bytes());
        bytes.extend_from_slice(&(filter.bits.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&filter.hashes.to_le_bytes());
    }
    for block in blocks {
        bytes.extend_from_slice(&block.filter.bits);
    }
    bytes
}

/// Blocks that follow each other, and their filters: what is read at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterGroup {
    bytes: Vec<u8>,
    /// Offset and line of the first line, place and size of the filter, hashes.
    blocks: Vec<(u64, u64, usize, usize, u32)>,
}

impl FilterGroup {
    /// Reads the content of a group; `None`: it cannot be one.
    pub fn decode(bytes: Vec<u8>) -> Option<Self> {
        let count = word(&bytes, 0).filter(|count| (1..=GROUP_BLOCKS as u32).contains(count))?;
        let mut at = HEAD_BYTES + count as usize * BLOCK_LINE;
        let mut blocks: Vec<(u64, u64, usize, usize, u32)> = Vec::with_capacity(count as usize);
        for line in bytes.get(HEAD_BYTES..at)?.chunks_exact(BLOCK_LINE) {
            let (offset, number) = (long(line, 0)?, long(line, 8)?);
            let (size, hashes) = (word(line, 16)? as usize, word(line, 20)?);
            let follows = blocks.last().is_none_or(|last| last.0 < offset && last.1 < number);
            if !follows || number == 0 || (size > 0 && !(1..=16).contains(&hashes)) {
                return None;
            }
            blocks.push((offset, number, at, size, hashes));
            at = at.checked_add(size).filter(|end| *end <= bytes.len())?;
        }
        (at == bytes.len()).then_some(Self { bytes, blocks })
    }

    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are none: never of what was read.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Output offset and number of the first line of block `number`.
    pub fn start(&self, number: usize) -> (u64, u64) {
        let block = &self.blocks[number];
        (block.0, block.1)
    }

    /// Whether the text of block `number` may hold the trigram; `false`: it does not.
    pub fn may_hold(&self, number: usize, gram: u32) -> bool {
        let (_, _, at, size, hashes) = self.blocks[number];
        may_hold(&self.bytes[at..at + size], hashes, gram)
    }

    /// Bytes that filters take here.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Where a group is, and its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupPlace {
    pub(crate) place: u64,
    pub(crate) size: u32,
    pub(crate) crc: u32,
    pub(crate) offset: u64,
    pub(crate) line: u64,
}

/// The section's content.
pub(crate) fn encode_places(groups: &[GroupPlace]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 4]);
    for group in groups {
        bytes.extend_from_slice(&group.place.to_le_bytes());
        bytes.extend_from_slice(&group.size.to_le_bytes());
        bytes.extend_from_slice(&group.crc.to_le_bytes());
        bytes.extend_from_slice(&group.offset.to_le_bytes());
        bytes.extend_from_slice(&group.line.to_le_bytes());
    }
    bytes
}

/// Reads it; `None`: it cannot be one. A later version is as if there was none.
pub(crate) fn decode_places(bytes: &[u8]) -> Option<Vec<GroupPlace>> {
    if word(bytes, 0)? != VERSION {
        return (word(bytes, 0)? > VERSION).then(Vec::new);
    }
    let lines = bytes.get(HEAD_BYTES..)?;
    if lines.len() % GROUP_LINE != 0 {
        return None;
    }
    let mut groups: Vec<GroupPlace> = Vec::with_capacity(lines.len() / GROUP_LINE);
    for line in lines.chunks_exact(GROUP_LINE) {
        let group = GroupPlace {
            place: long(line, 0)?,
            size: word(line, 8)?,
            crc: word(line, 12)?,
            offset: long(line, 16)?,
            line: long(line, 24)?,
        };
        let follows = match groups.last() {
            Some(last) => last.offset < group.offset && last.line < group.line,
            None => (group.offset, group.line) == (0, 1),
        };
        if !follows || group.size > GROUP_BYTES_MAX {
            return None;
        }
        groups.push(group);
    }
    Some(groups)
}

/// How filters are made of an ended log: whoever knows how text is searched gives every block to
/// the second function, in order, all lines of the log in one of them. The first is asked now and
/// then; when it says no, the answer is `false`.
pub type Filtering = fn(
    &crate::LogReader,
    &mut dyn FnMut() -> bool,
    &mut dyn FnMut(FilteredBlock) -> Result<(), RecordError>,
) -> Result<bool, RecordError>;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group_of(texts: &[Vec<u8>]) -> FilterGroup {
        let mut gathered = Grams::default();
        let blocks: Vec<_> = texts
            .iter()
            .zip(0..)
            .map(|(text, at)| {
                gathered.add(text);
                // Room for all: that there is little of it is another test's.
                let filter = gathered.take(1 << 20);
                FilteredBlock { offset: at * 100, line: at + 1, filter }
            })
            .collect();
        FilterGroup::decode(encode_group(&blocks)).unwrap()
    }

    proptest! {
        #[test]
        fn what_a_text_holds_is_never_denied(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..9),
        ) {
            let group = group_of(&texts);
            for (number, text) in texts.iter().enumerate() {
                for line in text.split(|byte| *byte == b'\n') {
                    prop_assert!(grams(line).all(|gram| group.may_hold(number, gram)));
                }
            }
        }

        #[test]
        fn no_bytes_make_the_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            decode_places(&bytes);
            if let Some(group) = FilterGroup::decode(bytes) {
                for number in 0..group.len() {
                    group.may_hold(number, 0x61_62_63);
                }
            }
        }
    }

    #[test]
    fn most_of_what_is_not_there_is_denied_and_nothing_is_left_of_the_block_before() {
        let text: Vec<u8> =
            (0..5_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let group = group_of(&[text, b"quite another".to_vec()]);
        let others = || grams(b"abcdefghijklmnopqrstuvwxyz");
        let wrong = others().filter(|gram| group.may_hold(0, *gram)).count();
        assert!(wrong < others().count() / 3, "{wrong} of {} are not there", others().count());
        assert!(group.may_hold(0, grams(b"LIN").next().unwrap()), "case is not told apart");
        let left = grams(b"0123456789").filter(|gram| group.may_hold(1, *gram)).count();
        assert!(left < 6, "{left} of the block before");
    }

    #[test]
    fn a_filter_stays_within_its_share_and_gives_up_where_that_is_too_little() {
        let text: Vec<u8> =
            (0..60_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let mut gathered = Grams::default();
        gathered.add(&text);
        let filter = gathered.take(text.len() as u64);
        assert_eq!(filter, Filter::default(), "bytes without any order have too many trigrams");
        assert!(may_hold(&filter.bits, filter.hashes, 1));
        gathered.add(b"a few words");
        assert!(gathered.take(100).bits.len() <= 4);
        gathered.add("\u{212a}elvin".as_bytes());
        assert_eq!(gathered.take(10_000), Filter::default());
    }
}
