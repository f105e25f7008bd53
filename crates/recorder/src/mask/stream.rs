//! Replaces secrets in one stream, whatever the split into reads.

use std::{fmt, ops::Range};

use super::{MASK, SECRET_BYTES_MIN, Secrets, automaton::Place, secrets::Added};

/// Sits between read and append: bytes that may still become a secret are held back until that is
/// decided, or the stream ends; all others are let go at once.
///
/// Every byte of every occurrence of every form is replaced, occurrences that overlap as one: what
/// is left of a secret beside another never shows. Where none overlap, that is the leftmost, and of
/// those the longest. Its time and the bytes that it holds back do not depend on what the text looks
/// like: at most as many as the longest form has.
#[derive(Clone, Default)]
pub struct Masker {
    secrets: Secrets,
    /// One for each part of `secrets`: where its scan stands, behind all that is held.
    places: Vec<Place>,
    held: Vec<u8>,
    /// Occurrences in what is held: apart from each other, sorted.
    found: Vec<Range<usize>>,
    /// So many bytes of what is held belong to an occurrence whose mask is out.
    covered: usize,
    out: Vec<u8>,
    /// A secret becomes as many asterisks as it has bytes.
    keeps_length: bool,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secrets.
        f.debug_struct("Masker").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Masker {
    /// Masks `values` in all their forms. Those that are too short or too many are left out:
    /// [`Masker::is_too_short`], [`Masker::of`].
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::of(Secrets::new(values.into_iter().map(Into::into)).0)
    }

    /// Masks these.
    pub fn of(secrets: Secrets) -> Self {
        let places = vec![Place::default(); secrets.parts().len()];
        Self { secrets, places, ..Self::default() }
    }

    /// A masker that changes no offset: a secret becomes as many asterisks as it has bytes. For
    /// streams whose source counts bytes to know what it need not send again.
    #[must_use]
    pub fn keeping_length(mut self) -> Self {
        self.keeps_length = true;
        self
    }

    /// One for the same secrets, with nothing held back.
    #[must_use]
    pub fn forgetful(&self) -> Self {
        Self { keeps_length: self.keeps_length, ..Self::of(self.secrets.clone()) }
    }

    /// Masks `secret` as well from now on: in what is held back, and in all that comes. Costs about
    /// what its own forms do, however many there are.
    pub fn add(&mut self, secret: &[u8]) -> Added {
        let added = self.secrets.add(secret);
        if added.is_new() {
            self.begin_again();
        }
        added
    }

    /// Masks the secrets of another stream of the same source from now on.
    pub fn share(&mut self, other: &Self) {
        self.secrets = other.secrets.clone();
        self.begin_again();
    }

    /// Its secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Bytes that are held back now.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a value is too short to be masked, or nothing but white space.
    pub fn is_too_short(value: &[u8]) -> bool {
        value.len() < SECRET_BYTES_MIN || value.trim_ascii().is_empty()
    }

    /// Whether there is anything to mask.
    pub fn is_idle(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Takes the stream's next bytes; returns those that are decided, with secrets replaced.
    pub fn push<'a>(&'a mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.is_idle() {
            return bytes;
        }
        if !self.held.is_empty() || self.covered > 0 {
            let at = self.held.len();
            self.held.extend_from_slice(bytes);
            let decided = self.scan_held(at);
            return self.let_go(decided);
        }
        let undecided = scan(&self.secrets, &mut self.places, bytes, 0, &mut self.found);
        let (decided, rest) = bytes.split_at(bytes.len() - undecided);
        if self.found.is_empty() {
            self.held.extend_from_slice(rest);
            return decided;
        }
        let decided = decided.len();
        self.held.extend_from_slice(bytes);
        self.let_go(decided)
    }

    /// The stream has ended: what is held back cannot become a secret any more.
    pub fn finish(&mut self) -> &[u8] {
        self.places.fill(Place::default());
        self.let_go(self.held.len())
    }

    /// `text`, whole, with secrets replaced; no part of a stream.
    pub fn mask(&self, text: &[u8]) -> Vec<u8> {
        let mut masker = self.forgetful();
        let mut out = masker.push(text).to_vec();
        out.extend_from_slice(masker.finish());
        out
    }

    /// The same in place, for words of our own. Returns whether anything was replaced.
    pub fn mask_text(&self, text: &mut String) -> bool {
        if self.is_idle() {
            return false;
        }
        let masked = self.mask(text.as_bytes());
        let changed = masked != text.as_bytes();
        if changed {
            *text = String::from_utf8_lossy(&masked).into_owned();
        }
        changed
    }

    /// The secrets are others: what is held is looked at anew.
    fn begin_again(&mut self) {
        self.places.clear();
        self.places.resize(self.secrets.parts().len(), Place::default());
        self.found.clear();
        self.scan_held(0);
    }

    /// Scans what is held from `at` on. Returns how much of it is decided.
    fn scan_held(&mut self, at: usize) -> usize {
        let undecided = scan(&self.secrets, &mut self.places, &self.held, at, &mut self.found);
        self.held.len() - undecided
    }

    /// Takes the first `decided` bytes of what is held, with secrets replaced.
    fn let_go(&mut self, decided: usize) -> &[u8] {
        self.out.clear();
        let mut at = 0;
        let mut found = std::mem::take(&mut self.found);
        let out = |range: &Range<usize>, covered| range.start < decided || range.start < covered;
        let mut done = 0;
        while let Some(range) = found.get(done).filter(|range| out(range, self.covered)) {
            done += 1;
            if range.start >= self.covered {
                self.pass(at..range.start);
                at = range.start;
                if !self.keeps_length {
                    self.out.extend_from_slice(MASK);
                }
            }
            self.covered = self.covered.max(range.end);
        }
        self.pass(at..decided);
        found.drain(..done);
        for range in &mut found {
            *range = range.start - decided..range.end - decided;
        }
        self.found = found;
        self.covered = self.covered.saturating_sub(decided);
        self.held.drain(..decided);
        &self.out
    }

    /// Lets go of a part of what is held, but for what is covered.
    fn pass(&mut self, part: Range<usize>) {
        let clear = self.covered.clamp(part.start, part.end);
        if self.keeps_length {
            self.out.resize(self.out.len() + clear - part.start, b'*');
        }
        self.out.extend_from_slice(&self.held[clear..part.end]);
    }
}

/// Scans the end of `text`, from `at` on, with every part; brings `found` up to date. Returns how
/// many of the last bytes are undecided.
fn scan(
    secrets: &Secrets,
    places: &mut [Place],
    text: &[u8],
    at: usize,
    found: &mut Vec<Range<usize>>,
) -> usize {
    let mut told = false;
    let mut undecided = 0;
    for (part, place) in secrets.parts().iter().zip(places) {
        let automaton = part.automaton();
        *place = automaton.scan(*place, text, at, &mut |range| {
            told = true;
            join(found, range);
        });
        undecided = undecided.max(automaton.undecided(*place));
    }
    if told && secrets.parts().len() > 1 {
        // Each part tells in order; together they do not.
        found.sort_unstable_by_key(|range| range.start);
        let all = std::mem::take(found);
        for range in all {
            match found.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => found.push(range),
            }
        }
    }
    undecided
}

/// Adds a range that ends at or after those that are there, if one scan brought them.
fn join(found: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(last) = found.last() {
        if last.end <= range.start || last.end > range.end {
            break;
        }
        range.start = range.start.min(last.start);
        found.pop();
    }
    found.push(range);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str], input: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut masker = Masker::new(secrets.iter().map(|s| s.as_bytes().to_vec()));
        let mut out = Vec::new();
        let mut at = 0;
        for cut in cuts {
            let end = (at + cut).min(input.len());
            out.extend_from_slice(masker.push(&input[at..end]));
            at = end;
        }
        out.extend_from_slice(masker.push(&input[at..]));
        out.extend_from_slice(masker.finish());
        out
    }

    #[test]
    fn a_secret_is_replaced_even_when_it_comes_byte_by_byte() {
        let input = b"token=hunter22 ok";
        assert_eq!(mask(&["hunter22"], input, &[1; 17]), b"token=*** ok");
        assert_eq!(mask(&["hunter22"], b"hunter2", &[3]), b"hunter2", "a beginning is no secret");
        assert_eq!(mask(&["abcabcabd"], b"abcabcabcabd", &[]), b"abc***");
        assert_eq!(mask(&["secret", "secretsauce"], b"secretsauce secret!", &[7]), b"*** ***!");
    }

    #[test]
    fn a_mask_that_keeps_the_length_changes_no_offset() {
        let mut masker = Masker::new([b"hunter22".to_vec()]).keeping_length();
        assert_eq!(masker.push(b"a hunter2"), b"a ");
        assert_eq!(masker.held(), 7);
        assert_eq!(masker.push(b"2 b"), b"******** b");
    }

    #[test]
    fn short_values_are_not_masked_and_long_lines_of_a_value_are() {
        assert_eq!(mask(&["abc"], b"abcabc", &[]), b"abcabc");
        assert_eq!(mask(&["first-line\nsecond-line"], b"x second-line y", &[]), b"x *** y");
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_as_a_terminal_shows_it() {
        // Its lines are too short to be masked one by one.
        for shown in ["one\ntwo\nthree", "one\r\ntwo\r\nthree"] {
            let shown = format!("<{shown}>\r\n");
            assert_eq!(mask(&["one\ntwo\nthree"], shown.as_bytes(), &[1; 30]), b"<***>\r\n");
        }
        let windows = mask(&["one\r\ntwo\r\n"], b"one\r\ntwo\r\n.", &[]);
        assert_eq!(windows, b"***.");
    }
}
