//! Which lines a dialect wants to see: decided from how a line begins and a few words in it, so that
//! a dialect that is not in use costs ordinary output nothing.

use std::sync::Arc;

use super::{literals::Literals, starts::Starts};

/// Words that are looked for anywhere in a line's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Needle {
    /// `##vso[`
    Vso,
    /// `##teamcity[`
    TeamCity,
    /// `section_`
    Section,
    /// `travis_`
    Travis,
    /// `ESC ]133`: an inline link or image.
    Inline,
    /// `%|`: a progress bar.
    Bar,
    /// `--- ` behind other text: a test result glued to unfinished output.
    Dashes,
    /// `ing...`: what is being done.
    Doing,
    /// `.. ` at a line's end or before `skipped: `: a test file of a harness.
    Dots,
    /// `error: ` or `warning: ` behind a number and a colon: a compiler's, also coloured. Looked for
    /// apart from the others.
    Diagnostic,
}

/// All needles, their texts, and the byte of each that is rarest in ordinary output.
const NEEDLES: [(Needle, &[u8], u8); 9] = [
    (Needle::Vso, b"##vso[", b'#'),
    (Needle::TeamCity, b"##teamcity[", b'#'),
    (Needle::Section, b"section_", b'_'),
    (Needle::Travis, b"travis_", b'_'),
    (Needle::Inline, b"\x1b]133", 0x1b),
    (Needle::Bar, b"%|", b'|'),
    (Needle::Dashes, b"--- ", b'-'),
    (Needle::Doing, b"ing...", b'.'),
    (Needle::Dots, b".. ", b'.'),
];

/// Of which one is in every line with a needle and its line feed, but for dashes and bars, of which
/// there are more than that.
const WORDS: [&[u8]; 10] = [
    b"##vso[",
    b"##teamcity[",
    b"section_",
    b"travis_",
    b"\x1b]133",
    b"ing...",
    b".. \n",
    b"skipped: ",
    b"error: ",
    b"warning: ",
];

/// The words to look for in whole pieces of output. `matchers`: what problem matchers look for.
pub(crate) fn literals<'a>(matchers: impl Iterator<Item = &'a str>) -> Literals {
    Literals::new(matchers.map(str::as_bytes), WORDS.into_iter())
}

/// Which lines a dialect wants to be offered, in its present state.
#[derive(Debug, Clone, Copy, Eq, Default)]
pub(crate) struct Watch {
    begins: &'static [&'static str],
    indented: &'static [&'static str],
    needles: u16,
    all: bool,
}

impl PartialEq for Watch {
    /// Asked after each line that a dialect sees; the lists are nearly always the very same ones.
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &'static [&'static str], other: &'static [&'static str]| {
            std::ptr::eq(one, other) || one == other
        };
        self.needles == other.needles
            && self.all == other.all
            && same(self.begins, other.begins)
            && same(self.indented, other.indented)
    }
}

impl Watch {
    /// None.
    pub(crate) const fn none() -> Self {
        Self { begins: &[], indented: &[], needles: 0, all: false }
    }

    /// Every line, empty ones included.
    pub(crate) const fn all() -> Self {
        Self { all: true, ..Self::none() }
    }

    /// Also lines whose visible text begins with one of these; ASCII, the first letter in this case,
    /// the others in any.
    pub(crate) const fn begins(self, begins: &'static [&'static str]) -> Self {
        Self { begins, ..self }
    }

    /// Also lines whose visible text begins with blanks and then one of these.
    pub(crate) const fn indented(self, indented: &'static [&'static str]) -> Self {
        Self { indented, ..self }
    }

    /// Also lines that hold this word.
    pub(crate) const fn needle(self, needle: Needle) -> Self {
        Self { needles: self.needles | 1 << needle as u16, ..self }
    }
}

/// Beginnings by their first byte, each with the dialects that want it.
type Beginnings = Vec<(&'static [u8], u32)>;

/// The watches of all dialects together; a dialect is a bit.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    begins: Box<[Beginnings; 256]>,
    indented: Box<[Beginnings; 256]>,
    /// The first two bytes of what is in these lists.
    begins_pairs: Pairs,
    indented_pairs: Pairs,
    /// Their first bytes, blanks for the second list.
    starts: Arc<Starts>,
    needles: [u32; NEEDLES.len() + 1],
    all: u32,
    /// What is looked for in whole pieces; `None`: there are no dialects.
    literals: Option<Arc<Literals>>,
    /// The bit of problem matchers; 0: there are none.
    matchers: u32,
}

/// A set of pairs of bytes.
#[derive(Debug, Clone)]
struct Pairs(Box<[u64; 1024]>);

impl Pairs {
    fn none() -> Self {
        Self(Box::new([0; 1024]))
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    fn insert(&mut self, first: u8, second: u8) {
        let pair = usize::from(first) << 8 | usize::from(second);
        self.0[pair >> 6] |= 1 << (pair & 63);
    }

    /// Whether a text may begin as one of the list: nearly none does by its first two bytes.
    #[inline]
    fn has(&self, text: &[u8]) -> bool {
        let Some(first) = text.first() else { return false };
        let pair = usize::from(*first) << 8 | usize::from(text.get(1).copied().unwrap_or(b'\n'));
        self.0[pair >> 6] & 1 << (pair & 63) != 0
    }

    /// The beginnings of texts, the second letter in any case.
    fn insert_text(&mut self, text: &[u8]) {
        match text {
            [] => {}
            [first] => (0..=u8::MAX).for_each(|second| self.insert(*first, second)),
            [first, second, ..] => {
                self.insert(*first, second.to_ascii_lowercase());
                self.insert(*first, second.to_ascii_uppercase());
            }
        }
    }
}

impl Table {
    /// `literals`: what [`literals`] says; `matchers`: the bit of problem matchers.
    pub(crate) fn new(watches: &[Watch], literals: Option<Arc<Literals>>, matchers: u32) -> Self {
        let empty = || Box::new(std::array::from_fn(|_| Vec::new()));
        let mut table = Self {
            begins: empty(),
            indented: empty(),
            begins_pairs: Pairs::none(),
            indented_pairs: Pairs::none(),
            starts: Arc::new(Starts::new(starts_of(watches))),
            needles: [0; NEEDLES.len() + 1],
            all: 0,
            literals,
            matchers,
        };
        table.fill(watches);
        table
    }

    /// The same for the watches of other states.
    pub(crate) fn set(&mut self, watches: &[Watch]) {
        self.begins.iter_mut().chain(self.indented.iter_mut()).for_each(Vec::clear);
        self.begins_pairs.clear();
        self.indented_pairs.clear();
        self.needles.fill(0);
        self.all = 0;
        let starts = starts_of(watches);
        if *self.starts.listed() != starts {
            self.starts = Arc::new(Starts::new(starts));
        }
        self.fill(watches);
    }

    fn fill(&mut self, watches: &[Watch]) {
        for (index, watch) in watches.iter().enumerate() {
            let bit = 1 << index;
            for (texts, list, pairs) in [
                (watch.begins, &mut self.begins, &mut self.begins_pairs),
                (watch.indented, &mut self.indented, &mut self.indented_pairs),
            ] {
                for text in texts.iter().map(|text| text.as_bytes()) {
                    debug_assert!(text.len() <= super::filter::BEGINNING_BYTES_MAX);
                    if let Some(first) = text.first() {
                        list[usize::from(*first)].push((text, bit));
                        pairs.insert_text(text);
                    }
                }
            }
            let needles = NEEDLES.iter().map(|(needle, ..)| *needle);
            for needle in needles.chain([Needle::Diagnostic]) {
                if watch.needles & 1 << needle as u16 != 0 {
                    self.needles[needle as usize] |= bit;
                }
            }
            self.all |= if watch.all { bit } else { 0 };
        }
    }

    /// In which bytes lines begin that are wanted because of how they begin.
    pub(crate) fn starts(&self) -> &Arc<Starts> {
        &self.starts
    }

    /// The dialects that want every line.
    pub(crate) fn all(&self) -> u32 {
        self.all
    }

    /// The dialects that want a line with this visible text and these bytes.
    pub(crate) fn who(&self, visible: &[u8], bytes: &[u8]) -> u32 {
        self.all | self.by_beginning(visible) | self.by_word(bytes)
    }

    /// The dialects that want a line because of a word in it.
    pub(crate) fn by_word(&self, bytes: &[u8]) -> u32 {
        let has_sure = |literals: &Literals| self.matchers != 0 && literals.has_sure(bytes);
        let matchers = if self.literals().is_some_and(has_sure) { self.matchers } else { 0 };
        matchers | self.by_needle(bytes)
    }

    /// What is looked for in whole pieces of output.
    pub(crate) fn literals(&self) -> Option<&Literals> {
        self.literals.as_deref()
    }

    /// The dialects that want a line because of how its visible text begins.
    #[inline]
    pub(crate) fn by_beginning(&self, visible: &[u8]) -> u32 {
        let mut who = 0;
        if self.begins_pairs.has(visible) {
            who = listed(&self.begins, visible);
        }
        if matches!(visible.first(), Some(b' ' | b'\t')) {
            let text = behind_blanks(visible);
            if self.indented_pairs.has(text) {
                who |= listed(&self.indented, text);
            }
        }
        who
    }

    /// Whether somebody may want a line with this visible text in front, at least two bytes behind
    /// blanks, because of how it begins.
    pub(crate) fn may_begin(&self, visible: &[u8]) -> bool {
        self.begins_pairs.has(visible) || self.indented_pairs.has(behind_blanks(visible))
    }

    /// Whether somebody looks for progress bars.
    pub(crate) fn wants_bars(&self) -> bool {
        self.needles[Needle::Bar as usize] != 0
    }

    /// Whether somebody looks for dashes in the middle of lines.
    pub(crate) fn wants_dashes(&self) -> bool {
        self.needles[Needle::Dashes as usize] != 0
    }

    fn by_needle(&self, bytes: &[u8]) -> u32 {
        let mut who = 0;
        for (needle, text, rare) in NEEDLES {
            let wanted = self.needles[needle as usize];
            let new = wanted & !who != 0;
            if new
                && memchr::memchr(rare, bytes).is_some()
                && memchr::memmem::find(bytes, text).is_some()
            {
                who |= wanted;
            }
        }
        let wanted = self.needles[Needle::Diagnostic as usize];
        if wanted & !who != 0 && is_diagnostic(bytes) {
            who |= wanted;
        }
        who
    }
}

/// In which bytes lines begin that these want because of how they begin.
fn starts_of(watches: &[Watch]) -> [bool; 256] {
    let mut starts = [false; 256];
    for watch in watches {
        for first in watch.begins.iter().filter_map(|text| text.as_bytes().first()) {
            starts[usize::from(*first)] = true;
        }
        if !watch.indented.is_empty() {
            starts[usize::from(b' ')] = true;
            starts[usize::from(b'\t')] = true;
        }
    }
    starts
}

/// What stands behind blanks.
fn behind_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

/// Whether `error: ` or `warning: ` stands behind a number and a colon. One look at each colon.
fn is_diagnostic(bytes: &[u8]) -> bool {
    let mut placed = false;
    for colon in memchr::memchr_iter(b':', bytes) {
        let (before, behind) = (&bytes[..colon], bytes.get(colon + 1));
        if placed
            && behind == Some(&b' ')
            && (before.ends_with(b"error") || before.ends_with(b"warning"))
        {
            return true;
        }
        placed |= before.last().is_some_and(u8::is_ascii_digit);
    }
    false
}

/// The dialects that want a text that begins so.
fn listed(table: &[Beginnings; 256], text: &[u8]) -> u32 {
    let Some(first) = text.first() else { return 0 };
    let second = text.get(1).map(u8::to_ascii_lowercase);
    let begins = |beginning: &[u8]| {
        // Most differ there.
        let may = beginning.get(1).is_none_or(|byte| second == Some(byte.to_ascii_lowercase()));
        may && text.get(..beginning.len()).is_some_and(|head| head.eq_ignore_ascii_case(beginning))
    };
    table[usize::from(*first)]
        .iter()
        .filter(|(beginning, _)| begins(beginning))
        .fold(0, |all, (_, who)| all | who)
}
