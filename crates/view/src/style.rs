//! Colours and text style as SGR sequences set them; carried from line to line.

use std::fmt::Write as _;

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Colour {
    /// As the rest of the page.
    #[default]
    Default,
    /// One of the palette of 256.
    Indexed(u8),
    /// Of its own.
    Rgb(u8, u8, u8),
}

/// What SGR has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Style {
    /// Of the text.
    pub fg: Colour,
    /// Behind the text.
    pub bg: Colour,
    flags: u16,
}

impl Style {
    /// Size of [`Style::encode`].
    pub const BYTES: usize = 10;

    /// Nothing is set.
    pub const PLAIN: Self = Self { fg: Colour::Default, bg: Colour::Default, flags: 0 };

    const BOLD: u16 = 1;
    const FAINT: u16 = 1 << 1;
    const ITALIC: u16 = 1 << 2;
    const UNDERLINE: u16 = 1 << 3;
    const INVERSE: u16 = 1 << 4;
    const CONCEAL: u16 = 1 << 5;
    const STRIKE: u16 = 1 << 6;
    const ALL: u16 = (1 << 7) - 1;
    /// Flags with the parameter that sets each.
    const CODES: [(u16, u8); 7] = [
        (Self::BOLD, 1),
        (Self::FAINT, 2),
        (Self::ITALIC, 3),
        (Self::UNDERLINE, 4),
        (Self::INVERSE, 7),
        (Self::CONCEAL, 8),
        (Self::STRIKE, 9),
    ];

    /// What is set beside colours, a word each: `bold faint italic under inverse conceal strike`.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        const WORDS: [&str; 7] =
            ["bold", "faint", "italic", "under", "inverse", "conceal", "strike"];
        let flags = self.flags;
        Self::CODES.iter().zip(WORDS).filter(move |(code, _)| flags & code.0 != 0).map(|one| one.1)
    }

    /// Nothing is set.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Takes the parameters of one sequence: `1;31`. Unknown ones are passed over.
    pub fn apply(&mut self, params: &[u8]) {
        if !self.apply_simple(params) {
            self.apply_any(params);
        }
    }

    /// Takes what most sequences are: short numbers, no colour of its own. `false`: it is another
    /// one, and nothing has been done.
    fn apply_simple(&mut self, params: &[u8]) -> bool {
        let mut style = *self;
        let mut value = 0;
        for byte in params {
            match byte {
                b'0'..=b'9' if value < 100 => value = value * 10 + u16::from(byte - b'0'),
                b';' if value != 38 && value != 48 => {
                    style.code(value, None);
                    value = 0;
                }
                _ => return false,
            }
        }
        if value == 38 || value == 48 {
            return false;
        }
        style.code(value, None);
        *self = style;
        true
    }

    fn apply_any(&mut self, params: &[u8]) {
        if params.iter().any(|byte| matches!(byte, b'<' | b'=' | b'>' | b'?')) {
            return; // Private: not a style.
        }
        let mut rest = Some(params);
        let mut next = || -> Option<&[u8]> {
            let now = rest?;
            let end = memchr::memchr(b';', now);
            rest = end.map(|at| &now[at + 1..]);
            Some(&now[..end.unwrap_or(now.len())])
        };
        while let Some(param) = next() {
            let mut sub = param.split(|byte| *byte == b':');
            let code = number(sub.next().unwrap_or_default());
            let mut values = sub.map(number).collect::<Values>();
            match code {
                Some(38 | 48) => {
                    let colons = values.len > 0;
                    if !colons {
                        values.push(next().and_then(number));
                        let more = match values.get(0) {
                            Some(5) => 1,
                            Some(2) => 3,
                            _ => 0,
                        };
                        for _ in 0..more {
                            values.push(next().and_then(number));
                        }
                    }
                    if let Some(colour) = values.colour(colons) {
                        *(if code == Some(38) { &mut self.fg } else { &mut self.bg }) = colour;
                    }
                }
                Some(code) => self.code(code, values.get(0)),
                None => {}
            }
        }
    }

    fn code(&mut self, code: u16, sub: Option<u16>) {
        match code {
            0 => *self = Self::default(),
            1 => self.flags |= Self::BOLD,
            2 => self.flags |= Self::FAINT,
            3 => self.flags |= Self::ITALIC,
            4 if sub == Some(0) => self.flags &= !Self::UNDERLINE,
            4 | 21 => self.flags |= Self::UNDERLINE,
            7 => self.flags |= Self::INVERSE,
            8 => self.flags |= Self::CONCEAL,
            9 => self.flags |= Self::STRIKE,
            22 => self.flags &= !(Self::BOLD | Self::FAINT),
            23 => self.flags &= !Self::ITALIC,
            24 => self.flags &= !Self::UNDERLINE,
            27 => self.flags &= !Self::INVERSE,
            28 => self.flags &= !Self::CONCEAL,
            29 => self.flags &= !Self::STRIKE,
            30..=37 => self.fg = Colour::Indexed((code - 30) as u8),
            39 => self.fg = Colour::Default,
            40..=47 => self.bg = Colour::Indexed((code - 40) as u8),
            49 => self.bg = Colour::Default,
            90..=97 => self.fg = Colour::Indexed((code - 90 + 8) as u8),
            100..=107 => self.bg = Colour::Indexed((code - 100 + 8) as u8),
            _ => {}
        }
    }

    /// The parameters of one sequence that leads from nothing to this style; empty for none.
    pub fn params(&self) -> String {
        let mut text = String::new();
        let mut add = |part: String| {
            if !text.is_empty() {
                text.push(';');
            }
            text.push_str(&part);
        };
        for (flag, code) in Self::CODES {
            if self.flags & flag != 0 {
                add(code.to_string());
            }
        }
        for (colour, base) in [(self.fg, 30), (self.bg, 40)] {
            match colour {
                Colour::Default => {}
                Colour::Indexed(at @ 0..8) => add((base + u16::from(at)).to_string()),
                Colour::Indexed(at @ 8..16) => add((base + 52 + u16::from(at)).to_string()),
                Colour::Indexed(at) => add(format!("{};5;{at}", base + 8)),
                Colour::Rgb(r, g, b) => add(format!("{};2;{r};{g};{b}", base + 8)),
            }
        }
        text
    }

    /// Writes the sequence that leads from any style to this one.
    pub(crate) fn write(&self, out: &mut String) {
        let params = self.params();
        let _ =
            if params.is_empty() { write!(out, "\x1b[m") } else { write!(out, "\x1b[0;{params}m") };
    }

    /// As it stands in a checkpoint.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let colour = |colour| match colour {
            Colour::Default => [0, 0, 0, 0],
            Colour::Indexed(at) => [1, at, 0, 0],
            Colour::Rgb(r, g, b) => [2, r, g, b],
        };
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&colour(self.fg));
        bytes[4..8].copy_from_slice(&colour(self.bg));
        bytes[8..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// Reads what [`Style::encode`] wrote; `None`: it did not.
    pub fn decode(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let colour = |at: usize| match bytes[at..at + 4] {
            [0, 0, 0, 0] => Some(Colour::Default),
            [1, index, 0, 0] => Some(Colour::Indexed(index)),
            [2, r, g, b] => Some(Colour::Rgb(r, g, b)),
            _ => None,
        };
        let flags = u16::from_le_bytes([bytes[8], bytes[9]]);
        let known = flags & !Self::ALL == 0;
        Some(Self { fg: colour(0)?, bg: colour(4)?, flags }).filter(|_| known)
    }
}

/// At most eight values behind a parameter; more are passed over.
#[derive(Default)]
struct Values {
    values: [Option<u16>; 8],
    len: usize,
}

impl Values {
    fn push(&mut self, value: Option<u16>) {
        if let Some(place) = self.values.get_mut(self.len) {
            *place = value;
            self.len += 1;
        }
    }

    fn get(&self, at: usize) -> Option<u16> {
        self.values.get(at).copied().flatten()
    }

    fn colour(&self, colons: bool) -> Option<Colour> {
        let byte = |at| self.get(at).and_then(|value| u8::try_from(value).ok());
        match self.get(0)? {
            5 => Some(Colour::Indexed(byte(1)?)),
            2 => {
                // With colons a colour space may stand before the three values.
                let from = if colons && self.len > 4 { 2 } else { 1 };
                Some(Colour::Rgb(byte(from)?, byte(from + 1)?, byte(from + 2)?))
            }
            _ => None,
        }
    }
}

impl FromIterator<Option<u16>> for Values {
    fn from_iter<I: IntoIterator<Item = Option<u16>>>(iter: I) -> Self {
        let mut values = Self::default();
        for value in iter {
            values.push(value);
        }
        values
    }
}

/// A parameter; an empty one is 0.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(params: &[&str]) -> Style {
        let mut style = Style::default();
        for params in params {
            style.apply(params.as_bytes());
        }
        style
    }

    #[test]
    fn a_style_is_said_in_one_sequence() {
        let cases: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["1;31"], "1;31"),
            (&["1", "38;5;9", "22"], "91"),
            (&["38;5;200;4"], "4;38;5;200"),
            (&["48;2;1;2;3", "97"], "97;48;2;1;2;3"),
            (&["38:2::1:2:3"], "38;2;1;2;3"),
            (&["38:2:1:2:3"], "38;2;1;2;3"),
            (&["4:3"], "4"),
            (&["4", "4:0"], ""),
            (&["1;31", ""], ""),
            (&["1;31;0;32"], "32"),
            (&["?25"], ""),
            (&["38;5"], ""),
            (&["38;2;300;0;0;1"], "1"),
            (&["999999;7"], "7"),
            (&["8;9;2;3"], "2;3;8;9"),
        ];
        for (params, expected) in cases {
            assert_eq!(after(params).params(), *expected, "{params:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_and_what_is_stored_lead_back(params in "[0-9;:]{0,30}") {
            let style = after(&[&params]);
            prop_assert_eq!(after(&[&style.params()]), style);
            prop_assert_eq!(Style::decode(style.encode()), Some(style));
        }

        #[test]
        fn both_ways_to_read_parameters_agree(params in "[0-9;]{0,12}") {
            let (mut one, mut other) = (after(&["1;31;44"]), after(&["1;31;44"]));
            one.apply(params.as_bytes());
            other.apply_any(params.as_bytes());
            prop_assert_eq!(one, other);
        }

        #[test]
        fn no_bytes_make_it_panic(params: Vec<u8>, stored: [u8; Style::BYTES]) {
            Style::default().apply(&params);
            if let Some(style) = Style::decode(stored) {
                prop_assert_eq!(style.encode(), stored);
            }
        }
    }
}
