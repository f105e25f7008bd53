//! Which lines a dialect wants to see: decided from how a line begins and a few words in it, so that
//! a dialect that is not in use costs ordinary output nothing.

use std::sync::Arc;

use super::problems::Literals;

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

/// All needles, their texts, and the byte of each that is rarest in ordinary output. A new one needs
/// its last letters in `filter.rs` as well.
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
#[derive(Debug)]
pub(crate) struct Table {
    begins: Box<[Beginnings; 256]>,
    indented: Box<[Beginnings; 256]>,
    needles: [u32; NEEDLES.len() + 1],
    all: u32,
    /// The words that problem matchers look for, and the bit of these.
    literals: Option<(Arc<Literals>, u32)>,
    /// By first byte: whether the lists above have anything.
    may_begin: [bool; 256],
}

impl Table {
    /// `literals`: what the problem matchers look for, and their bit.
    pub(crate) fn new(watches: &[Watch], literals: Option<(Arc<Literals>, u32)>) -> Self {
        let empty = || Box::new(std::array::from_fn(|_| Vec::new()));
        let mut table = Self {
            begins: empty(),
            indented: empty(),
            needles: [0; NEEDLES.len() + 1],
            all: 0,
            literals,
            may_begin: [false; 256],
        };
        for (index, watch) in watches.iter().enumerate() {
            let bit = 1 << index;
            for (texts, table) in
                [(watch.begins, &mut table.begins), (watch.indented, &mut table.indented)]
            {
                for text in texts.iter().map(|text| text.as_bytes()) {
                    debug_assert!(text.len() <= super::filter::BEGINNING_BYTES_MAX);
                    if let Some(first) = text.first() {
                        table[usize::from(*first)].push((text, bit));
                    }
                }
            }
            let needles = NEEDLES.iter().map(|(needle, ..)| *needle);
            for needle in needles.chain([Needle::Diagnostic]) {
                if watch.needles & 1 << needle as u16 != 0 {
                    table.needles[needle as usize] |= bit;
                }
            }
            table.all |= if watch.all { bit } else { 0 };
        }
        let indented = table.indented.iter().any(|texts| !texts.is_empty());
        for (byte, may_begin) in table.may_begin.iter_mut().enumerate() {
            let blank = byte == usize::from(b' ') || byte == usize::from(b'\t');
            *may_begin = !table.begins[byte].is_empty() || (blank && indented);
        }
        table
    }

    /// The dialects that want every line.
    pub(crate) fn all(&self) -> u32 {
        self.all
    }

    /// The dialects that want a line with this visible text and these bytes.
    pub(crate) fn who(&self, visible: &[u8], bytes: &[u8]) -> u32 {
        self.all | self.by_beginning(visible) | self.by_needle(bytes) | self.by_literal(bytes)
    }

    fn by_literal(&self, bytes: &[u8]) -> u32 {
        match &self.literals {
            Some((literals, bit)) if literals.find(bytes, 0).is_some() => *bit,
            _ => 0,
        }
    }

    /// What problem matchers look for.
    pub(crate) fn literals(&self) -> Option<&Literals> {
        self.literals.as_ref().map(|(literals, _)| literals.as_ref())
    }

    /// The dialects that want a line because of how its visible text begins.
    pub(crate) fn by_beginning(&self, visible: &[u8]) -> u32 {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        match visible.first() {
            None => 0,
            Some(first) if blank(first) => {
                let blanks = visible.iter().take_while(|byte| blank(byte)).count();
                who(&self.begins, visible) | who(&self.indented, &visible[blanks..])
            }
            Some(_) => who(&self.begins, visible),
        }
    }

    /// Whether a line that begins with this byte may have a beginning that somebody wants.
    pub(crate) fn may_begin(&self, first: u8) -> bool {
        self.may_begin[usize::from(first)]
    }

    /// Whether somebody looks for dashes in the middle of lines.
    pub(crate) fn wants_dashes(&self) -> bool {
        self.needles[Needle::Dashes as usize] != 0
    }

    /// The dialects that want a line because of a word in it.
    pub(crate) fn by_needle(&self, bytes: &[u8]) -> u32 {
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
fn who(table: &[Beginnings; 256], text: &[u8]) -> u32 {
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
