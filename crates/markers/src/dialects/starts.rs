//! Finds the lines that begin in one of a few bytes, without a look at each of the others.

use aho_corasick::packed;

/// A search that ends within so many bytes has not been worth it: walking is cheaper where lines that
/// begin so are this close.
const NEAR_BYTES: usize = 256;
/// So many lines are walked through, one by one, behind each of those.
const WALK_LINES: u32 = 4;

/// Bytes in which lines begin that somebody may want.
#[derive(Debug)]
pub(crate) struct Starts {
    listed: [bool; 256],
    is_empty: bool,
    /// Looks for a line feed with one of them behind it; `None`: they are too many, or the machine
    /// has no such instructions.
    search: Option<packed::Searcher>,
}

impl Starts {
    pub(crate) fn new(listed: [bool; 256]) -> Self {
        let bytes = (0..=u8::MAX).filter(|byte| listed[usize::from(*byte)]);
        let search = packed::Searcher::new(bytes.map(|byte| [b'\n', byte]));
        Self { listed, is_empty: !listed.contains(&true), search }
    }

    /// The bytes.
    pub(crate) fn listed(&self) -> &[bool; 256] {
        &self.listed
    }
}

/// Goes from line to line, past those that begin in no listed byte.
#[derive(Debug, Default)]
pub(crate) struct Walker {
    /// So many lines are walked through before the next search.
    walk: u32,
}

impl Walker {
    /// Where one of the lines behind that at `at` begins, those between are not listed; the end of
    /// `bytes`, which are whole lines, if there is none.
    #[inline]
    pub(crate) fn next(&mut self, bytes: &[u8], at: usize, starts: &Starts) -> usize {
        if starts.is_empty {
            return bytes.len();
        }
        let rest = &bytes[at..];
        if let Some(search) = starts.search.as_ref().filter(|_| self.walk == 0) {
            let Some(found) = search.find(rest) else { return bytes.len() };
            self.walk = if found.start() < NEAR_BYTES { WALK_LINES } else { 0 };
            return at + found.start() + 1;
        }
        let next = memchr::memchr(b'\n', rest).map_or(bytes.len(), |feed| at + feed + 1);
        let is_listed = bytes.get(next).is_some_and(|byte| starts.listed[usize::from(*byte)]);
        self.walk = if is_listed { WALK_LINES } else { self.walk.saturating_sub(1) };
        next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_line_that_begins_in_a_listed_byte_is_passed_over(
            lines in prop::collection::vec("[a-e]{0,3}|[b-e]{100,300}", 0..100),
            many in any::<bool>(),
        ) {
            let mut listed = [false; 256];
            listed[usize::from(b'a')] = true;
            // More than there is a search for.
            listed[128..].fill(many);
            let (starts, mut walker) = (Starts::new(listed), Walker::default());
            let text = lines.join("\n") + "\n";
            let (bytes, mut at, mut seen) = (text.as_bytes(), 0, vec![]);
            while at < bytes.len() {
                seen.push(at);
                at = walker.next(bytes, at, &starts);
            }
            let mut begin = 0;
            for line in text.split_inclusive('\n') {
                prop_assert!(!line.starts_with('a') || seen.contains(&begin), "{begin}: {line:?}");
                begin += line.len();
            }
            prop_assert!(seen.iter().all(|at| *at == 0 || bytes[at - 1] == b'\n'));
        }
    }
}
