//! A line's bytes as a terminal takes them: characters, controls, sequences.

use crate::draw::simple_length;

/// Longest escape sequence; a longer one counts as one that never ends.
pub(crate) const ESCAPE_BYTES_MAX: usize = 4096;

/// What stands at one place of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Bytes 0x20 to 0x7e.
    Ascii(&'a str),
    /// Another character.
    Char(char),
    /// Bytes that are no character; each maximal run that began like one counts once.
    Bad,
    /// Tab.
    Tab,
    /// Carriage return.
    Return,
    /// Backspace.
    Back,
    /// A style: the parameters.
    Style(&'a [u8]),
    /// Erase in line: 0 to the end, 1 to the cursor, 2 all.
    Erase(u16),
    /// To this column, from 0.
    Column(usize),
    /// Columns to the right, or to the left.
    Move(isize),
    /// A link begins, or ends with an empty target.
    Link(&'a str),
    /// A sequence that a page does not follow.
    Removed,
}

/// Cuts a line into tokens, each with the place behind it.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    /// The next token, where it begins and where it ends.
    pub(crate) fn next_token(&mut self) -> Option<(Token<'a>, usize, usize)> {
        let begin = self.at;
        let rest = &self.line[begin..];
        let (token, length) = match *rest.first()? {
            0x20..=0x7e => {
                let run = &rest[..simple_length(rest)];
                (Token::Ascii(std::str::from_utf8(run).unwrap_or_default()), run.len())
            }
            b'\t' => (Token::Tab, 1),
            b'\r' => (Token::Return, 1),
            0x08 => (Token::Back, 1),
            0x1b => escape(rest).unwrap_or((Token::Char('\x1b'), 1)),
            control @ (0..=0x1f | 0x7f) => (Token::Char(char::from(control)), 1),
            0x80.. => character(rest),
        };
        self.at = begin + length;
        Some((token, begin, self.at))
    }
}

/// The character at the beginning of `bytes`, which is none of ASCII.
fn character(bytes: &[u8]) -> (Token<'static>, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        // As `String::from_utf8_lossy` replaces them.
        Err(error) => return (Token::Bad, error.error_len().unwrap_or(head.len())),
    };
    match valid.chars().next() {
        Some(char) => (Token::Char(char), char.len_utf8()),
        None => (Token::Bad, 1),
    }
}

/// The sequence that `bytes` begins with; `None`: it does not end on this line, or is none.
fn escape(bytes: &[u8]) -> Option<(Token<'_>, usize)> {
    let bytes = &bytes[..bytes.len().min(ESCAPE_BYTES_MAX)];
    match *bytes.get(1)? {
        b'[' => {
            let params = bytes[2..].iter().position(|b| !(0x30..=0x3f).contains(b))? + 2;
            let last = bytes[params..].iter().position(|b| !(0x20..=0x2f).contains(b))? + params;
            let plain = last == params;
            let values = &bytes[2..params];
            let token = match bytes[last] {
                b'm' if plain => Token::Style(values),
                b'K' if plain => Token::Erase(value(values, 0)),
                b'G' if plain => Token::Column(usize::from(value(values, 1).max(1)) - 1),
                b'C' if plain => Token::Move(value(values, 1).max(1) as isize),
                b'D' if plain => Token::Move(-(value(values, 1).max(1) as isize)),
                0x40..=0x7e => Token::Removed,
                _ => return None,
            };
            Some((token, last + 1))
        }
        b']' => {
            let end = bytes[2..].iter().position(|b| matches!(b, 0x07 | 0x1b))? + 2;
            let length = match bytes[end] {
                0x07 => end + 1,
                _ if bytes.get(end + 1) == Some(&b'\\') => end + 2,
                _ => return None,
            };
            let link = bytes[2..end].strip_prefix(b"8;").and_then(|rest| {
                let target = &rest[memchr::memchr(b';', rest)? + 1..];
                std::str::from_utf8(target).ok()
            });
            Some((link.map_or(Token::Removed, Token::Link), length))
        }
        b'P' | b'X' | b'^' | b'_' => {
            let end = memchr::memchr(0x1b, &bytes[2..])? + 2;
            (bytes.get(end + 1) == Some(&b'\\')).then_some((Token::Removed, end + 2))
        }
        0x20..=0x2f => {
            let last = bytes[1..].iter().position(|b| !(0x20..=0x2f).contains(b))? + 1;
            (0x30..=0x7e).contains(&bytes[last]).then_some((Token::Removed, last + 1))
        }
        0x30..=0x7e => Some((Token::Removed, 2)),
        _ => None,
    }
}

/// The one parameter of a sequence. More than one, or a private one: as if there was none.
fn value(params: &[u8], default: u16) -> u16 {
    if params.is_empty() {
        return default;
    }
    std::str::from_utf8(params).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(line: &[u8]) -> Vec<Token<'_>> {
        let mut tokens = Tokens::new(line);
        std::iter::from_fn(|| tokens.next_token().map(|token| token.0)).collect()
    }

    #[test]
    fn sequences_are_told_from_text() {
        use Token::{Ascii, Back, Bad, Char, Column, Erase, Link, Move, Removed, Return, Tab};
        let cases: &[(&[u8], &[Token])] = &[
            (b"ab\tc", &[Ascii("ab"), Tab, Ascii("c")]),
            (b"\x1b[1;31mx\x1b[m", &[Token::Style(b"1;31"), Ascii("x"), Token::Style(b"")]),
            (b"\x1b[K\x1b[2K\x1b[G\x1b[5G", &[Erase(0), Erase(2), Column(0), Column(4)]),
            (b"\x1b[3D\x1b[C\r\x08", &[Move(-3), Move(1), Return, Back]),
            (b"\x1b]0;title\x07x", &[Removed, Ascii("x")]),
            (
                b"\x1b]8;id=1;https://a.b\x1b\\t\x1b]8;;\x07",
                &[Link("https://a.b"), Ascii("t"), Link("")],
            ),
            (b"\x1bPq\x1b\\x\x1b(B\x1b7", &[Removed, Ascii("x"), Removed, Removed]),
            (b"\x1b[31", &[Char('\x1b'), Ascii("[31")]),
            (b"\x1b]0;never", &[Char('\x1b'), Ascii("]0;never")]),
            (b"\x1b", &[Char('\x1b')]),
            (b"\x1b[?25l\x1b[>m", &[Removed, Token::Style(b">")]),
            ("é世".as_bytes(), &[Char('é'), Char('世')]),
            (b"\xff\xe4\xb8x\x00\x7f", &[Bad, Bad, Ascii("x"), Char('\0'), Char('\x7f')]),
        ];
        for (line, expected) in cases {
            assert_eq!(tokens(line), *expected, "{:?}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_exactly_one_token(
            line in proptest::collection::vec(prop_oneof![
                any::<u8>(), Just(0x1b), Just(b'['), Just(b']'), Just(b'm'), Just(b';'),
            ], 0..200),
        ) {
            let mut tokens = Tokens::new(&line);
            let mut at = 0;
            while let Some((_, begin, end)) = tokens.next_token() {
                prop_assert_eq!(begin, at);
                prop_assert!(end > begin);
                at = end;
            }
            prop_assert_eq!(at, line.len());
        }
    }
}
