//! XML without its bulk: whatever an XML parser must hold whole (a text, an attribute, a section of
//! CDATA) is cut to a length, so that a file of any size is parsed in little memory. Comments go.
//! Bytes that are no UTF-8 become U+FFFD: programs put all kinds of output into their reports.

use std::io::{self, Read};

/// No text, attribute or section of CDATA is longer, in bytes; a few more to end a character.
pub(super) const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Nor is a tag, or a declaration, after its attributes were cut.
const TAG_BYTES_MAX: usize = 256 * 1024;
/// So many bytes are asked for at once.
const READ_BYTES: usize = 32 * 1024;

/// Where in the XML the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between tags.
    Text { length: usize },
    /// Behind a `<`, as long as what follows may be more than a tag.
    Opening,
    /// In a tag or a declaration; `quote`: in an attribute's value of that length.
    Tag { quote: Option<(u8, usize)> },
    /// In a comment, of whose end so many bytes were seen.
    Comment { end: usize },
    /// In CDATA, of whose end so many bytes were seen and held back.
    Cdata { length: usize, end: usize },
}

/// What is read of `source`, with everything long cut.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    source: R,
    /// Bytes of a character whose rest has not been read.
    half: Vec<u8>,
    place: Place,
    /// The beginning of what stands behind a `<`, and the length of a tag.
    opening: Vec<u8>,
    tag: usize,
    /// Bytes that are ready, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            half: Vec::new(),
            place: Place::Text { length: 0 },
            opening: Vec::new(),
            tag: 0,
            ready: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        let mut bytes = std::mem::take(&mut self.half);
        let before = bytes.len();
        bytes.resize(before + READ_BYTES, 0);
        let got = loop {
            match self.source.read(&mut bytes[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        bytes.truncate(before + got);
        self.ended = got == 0;
        let mut rest = bytes.as_slice();
        for chunk in bytes.utf8_chunks() {
            rest = &rest[chunk.valid().len() + chunk.invalid().len()..];
            self.take(chunk.valid().as_bytes())?;
            // At the end of what was read it may be the beginning of a character.
            if rest.is_empty() && !self.ended && chunk.invalid().len() < 4 {
                self.half = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                self.take("\u{FFFD}".as_bytes())?;
            }
        }
        if self.ended && self.place == Place::Opening {
            self.ready.append(&mut self.opening);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            self.place = self.step(byte);
            if self.tag > TAG_BYTES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a tag has more than {TAG_BYTES_MAX} bytes"),
                ));
            }
        }
        Ok(())
    }

    /// Takes one byte; returns where the next one stands.
    fn step(&mut self, byte: u8) -> Place {
        match self.place {
            Place::Text { .. } if byte == b'<' => {
                self.opening.clear();
                self.opening.push(byte);
                Place::Opening
            }
            Place::Text { mut length } => {
                if has_room(&mut length, byte) {
                    self.ready.push(byte);
                }
                Place::Text { length }
            }
            Place::Opening => {
                self.opening.push(byte);
                self.opened()
            }
            Place::Tag { quote: None } => {
                self.ready.push(byte);
                self.tag += 1;
                match byte {
                    b'>' => Place::Text { length: 0 },
                    b'"' | b'\'' => Place::Tag { quote: Some((byte, 0)) },
                    _ => self.place,
                }
            }
            Place::Tag { quote: Some((quote, _)) } if byte == quote => {
                self.ready.push(byte);
                self.tag += 1;
                Place::Tag { quote: None }
            }
            Place::Tag { quote: Some((quote, mut length)) } => {
                if has_room(&mut length, byte) {
                    self.ready.push(byte);
                    self.tag += 1;
                }
                Place::Tag { quote: Some((quote, length)) }
            }
            Place::Comment { end } => match (byte, end) {
                (b'-', _) => Place::Comment { end: (end + 1).min(2) },
                (b'>', 2) => Place::Text { length: 0 },
                _ => Place::Comment { end: 0 },
            },
            Place::Cdata { length, end } => self.in_cdata(byte, length, end),
        }
    }

    /// What begins with the bytes of `opening`.
    fn opened(&mut self) -> Place {
        const COMMENT: &[u8] = b"<!--";
        const CDATA: &[u8] = b"<![CDATA[";
        let opening = self.opening.as_slice();
        if opening == COMMENT {
            return Place::Comment { end: 0 };
        }
        if opening == CDATA {
            self.ready.append(&mut self.opening);
            return Place::Cdata { length: 0, end: 0 };
        }
        if COMMENT.starts_with(opening) || CDATA.starts_with(opening) {
            return Place::Opening;
        }
        // A tag or a declaration, of which some bytes are here already.
        let begun = std::mem::take(&mut self.opening);
        self.ready.push(b'<');
        self.tag = 1;
        self.place = Place::Tag { quote: None };
        for &byte in &begun[1..] {
            self.place = self.step(byte);
        }
        self.place
    }

    fn in_cdata(&mut self, byte: u8, length: usize, end: usize) -> Place {
        match (byte, end) {
            (b'>', 2) => {
                self.ready.extend_from_slice(b"]]>");
                return Place::Text { length: 0 };
            }
            (b']', 0 | 1) => return Place::Cdata { length, end: end + 1 },
            _ => {}
        }
        // What looked like the end was none; of three brackets the last two may still be.
        let (held, end) = if byte == b']' { (1, 2) } else { (end, 0) };
        let mut length = length;
        let own = (byte != b']').then_some(byte);
        for byte in std::iter::repeat_n(b']', held).chain(own) {
            if has_room(&mut length, byte) {
                self.ready.push(byte);
            }
        }
        Place::Cdata { length, end }
    }
}

/// Whether `byte` still belongs to what is kept of a text of this length, which is moved on. No
/// character is cut in its middle, and nothing comes behind what was dropped.
fn has_room(length: &mut usize, byte: u8) -> bool {
    let ends_character = byte & 0xC0 == 0x80 && *length < TEXT_BYTES_MAX + 4;
    let fits = *length < TEXT_BYTES_MAX || ends_character;
    *length = if fits { *length + 1 } else { usize::MAX };
    fits
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() && !self.ended {
            self.fill()?;
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounded(source: impl Read) -> io::Result<String> {
        let mut all = String::new();
        Bounded::new(source).read_to_string(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_is_short_stays_and_what_is_long_is_cut() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        let cut = "é".repeat(TEXT_BYTES_MAX / 2);
        let cases = [
            ("<a b='1'>x</a>".to_owned(), "<a b='1'>x</a>".to_owned()),
            ("<a><!-- <b> -- > -->x</a>".to_owned(), "<a>x</a>".to_owned()),
            ("<a><!----->x</a>".to_owned(), "<a>x</a>".to_owned()),
            ("<![CDATA[a]]]>b]] >]]]]>".to_owned(), "<![CDATA[a]]]>b]] >]]]]>".to_owned()),
            ("<a b='>'/>".to_owned(), "<a b='>'/>".to_owned()),
            ("<!DOCTYPE x>".to_owned(), "<!DOCTYPE x>".to_owned()),
            ("<".to_owned(), "<".to_owned()),
            (format!("<a>{long}</a>"), format!("<a>{cut}</a>")),
            (format!("<a b=\"{long}\"/>"), format!("<a b=\"{cut}\"/>")),
            (format!("<![CDATA[{long}]]]>x"), format!("<![CDATA[{cut}]]>x")),
        ];
        for (whole, expected) in cases {
            assert!(bounded(whole.as_bytes()).unwrap() == expected, "{whole:.60}");
        }
        assert_eq!(bounded(&b"<a>\xff\xc3</a>"[..]).unwrap(), "<a>\u{FFFD}\u{FFFD}</a>");
        let many = format!("<a {}>", "b='x' ".repeat(TAG_BYTES_MAX / 6 + 1));
        assert!(bounded(many.as_bytes()).unwrap_err().to_string().contains("a tag has more"));
    }

    /// Gives as much as it is told, whatever is asked for.
    struct Pieces<'a>(&'a [u8], Vec<usize>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size =
                self.1.pop().unwrap_or(usize::MAX).max(1).min(buffer.len()).min(self.0.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    proptest! {
        #[test]
        fn the_split_into_reads_changes_nothing(
            parts in proptest::collection::vec("<!--|-->|<!\\[CDATA\\[|\\]\\]>|\\]|<a b='|'>|é|x|\\PC", 0..40),
            sizes in proptest::collection::vec(1_usize..9, 0..80),
        ) {
            let whole = parts.concat();
            let pieces = bounded(Pieces(whole.as_bytes(), sizes)).unwrap();
            prop_assert_eq!(pieces, bounded(whole.as_bytes()).unwrap());
        }
    }
}
