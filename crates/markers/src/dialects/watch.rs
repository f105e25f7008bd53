//! Which lines a dialect wants to see: decided from a line's first bytes and a few words in it, so
//! that a dialect that is not in use costs ordinary output nothing.

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = [0; 4];
        let mut at = 0;
        while at < bytes.len() {
            set[(bytes[at] >> 6) as usize] |= 1 << (bytes[at] & 63);
            at += 1;
        }
        Self(set)
    }

    pub(crate) const fn has(self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & (1 << (byte & 63)) != 0
    }
}

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
}

/// All needles and their texts.
pub(crate) const NEEDLES: [(Needle, &[u8]); 7] = [
    (Needle::Vso, b"##vso["),
    (Needle::TeamCity, b"##teamcity["),
    (Needle::Section, b"section_"),
    (Needle::Travis, b"travis_"),
    (Needle::Inline, b"\x1b]133"),
    (Needle::Bar, b"%|"),
    (Needle::Dashes, b"--- "),
];

/// Which lines a dialect wants to be offered, in its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Watch {
    first: ByteSet,
    indented: ByteSet,
    needles: u8,
    all: bool,
}

impl Watch {
    /// None.
    pub(crate) const fn none() -> Self {
        Self { first: ByteSet([0; 4]), indented: ByteSet([0; 4]), needles: 0, all: false }
    }

    /// Every line, empty ones included.
    pub(crate) const fn all() -> Self {
        Self { all: true, ..Self::none() }
    }

    /// Also lines whose visible text begins with one of these bytes.
    pub(crate) const fn first(self, bytes: &[u8]) -> Self {
        Self { first: ByteSet::of(bytes), ..self }
    }

    /// Also lines whose visible text begins with blanks and then one of these bytes.
    pub(crate) const fn indented(self, bytes: &[u8]) -> Self {
        Self { indented: ByteSet::of(bytes), ..self }
    }

    /// Also lines that hold this word.
    pub(crate) const fn needle(self, needle: Needle) -> Self {
        Self { needles: self.needles | 1 << needle as u8, ..self }
    }
}

/// The watches of all dialects together; a dialect is a bit.
#[derive(Debug)]
pub(crate) struct Table {
    first: [u32; 256],
    indented: [u32; 256],
    needles: [u32; NEEDLES.len()],
    all: u32,
}

impl Table {
    pub(crate) fn new(watches: &[Watch]) -> Self {
        let mut table =
            Self { first: [0; 256], indented: [0; 256], needles: [0; NEEDLES.len()], all: 0 };
        for (index, watch) in watches.iter().enumerate() {
            let bit = 1 << index;
            for byte in 0..=u8::MAX {
                table.first[byte as usize] |= if watch.first.has(byte) { bit } else { 0 };
                table.indented[byte as usize] |= if watch.indented.has(byte) { bit } else { 0 };
            }
            for (needle, _) in NEEDLES {
                if watch.needles & 1 << needle as u8 != 0 {
                    table.needles[needle as usize] |= bit;
                }
            }
            table.all |= if watch.all { bit } else { 0 };
        }
        table
    }

    /// The dialects that want every line.
    pub(crate) fn all(&self) -> u32 {
        self.all
    }

    /// The dialects that want a line with this visible text and these bytes.
    pub(crate) fn who(&self, visible: &str, bytes: &[u8]) -> u32 {
        self.all | self.by_beginning(visible.as_bytes()) | self.by_needle(bytes)
    }

    /// The dialects that want a line because of how its visible text begins.
    pub(crate) fn by_beginning(&self, visible: &[u8]) -> u32 {
        match visible.first() {
            None => 0,
            Some(b' ' | b'\t') => {
                let next = visible.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
                self.first[visible[0] as usize]
                    | next.map_or(0, |byte| self.indented[*byte as usize])
            }
            Some(byte) => self.first[*byte as usize],
        }
    }

    fn by_needle(&self, bytes: &[u8]) -> u32 {
        let mut who = 0;
        for (needle, text) in NEEDLES {
            let wanted = self.needles[needle as usize];
            if wanted & !who != 0 && memchr::memmem::find(bytes, text).is_some() {
                who |= wanted;
            }
        }
        who
    }
}
