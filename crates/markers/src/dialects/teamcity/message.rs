//! The grammar of a service message.

/// One message.
pub(super) struct Message<'a> {
    pub(super) name: &'a str,
    /// Of a message with a single value.
    pub(super) value: Option<String>,
    attributes: Vec<(&'a str, String)>,
}

impl<'a> Message<'a> {
    /// Reads what stands behind the opening; gives its length with the closing bracket.
    pub(super) fn parse(text: &'a str) -> Option<(Self, usize)> {
        let mut reader = Reader { rest: text };
        reader.skip_blanks();
        let name = reader.word()?;
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let mut message = Self { name, value: None, attributes: Vec::new() };
        let mut apart = reader.skip_blanks();
        if apart && reader.rest.starts_with('\'') {
            message.value = Some(reader.value()?);
            reader.skip_blanks();
        } else {
            while !reader.rest.starts_with(']') {
                if !apart {
                    return None;
                }
                let key = reader.word()?;
                reader.skip_blanks();
                reader.rest = reader.rest.strip_prefix('=')?;
                reader.skip_blanks();
                message.attributes.push((key, reader.value()?));
                apart = reader.skip_blanks();
            }
        }
        reader.rest = reader.rest.strip_prefix(']')?;
        Some((message, text.len() - reader.rest.len()))
    }

    /// An attribute.
    pub(super) fn get(&self, key: &str) -> Option<String> {
        let found = self.attributes.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.clone())
    }

    /// The single value; empty if there is none.
    pub(super) fn text(&self) -> String {
        self.value.clone().unwrap_or_default()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Whether there were blanks.
    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest.trim_start();
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some
    }

    fn word(&mut self) -> Option<&'a str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let (word, rest) = crate::dialects::words::split_while(self.rest, is_word)?;
        self.rest = rest;
        Some(word)
    }

    fn value(&mut self) -> Option<String> {
        let mut rest = self.rest.strip_prefix('\'')?;
        let mut value = String::new();
        let mut high = None; // The first half of a pair of UTF-16 units.
        loop {
            let end = rest.find(['\'', '|'])?;
            if end > 0 {
                high = None;
            }
            value.push_str(&rest[..end]);
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix('\'') {
                self.rest = after;
                return Some(value);
            }
            rest = &rest[1..];
            if let Some(unit) = unit(rest) {
                push_unit(&mut value, &mut high, unit);
                rest = &rest[6..];
                continue;
            }
            high = None;
            let meaning = match rest.chars().next()? {
                'n' => '\n',
                'r' => '\r',
                'x' => '\u{85}',
                'l' => '\u{2028}',
                'p' => '\u{2029}',
                same @ ('\'' | '|' | '[' | ']') => same,
                // A bar before anything else is a bar.
                _ => {
                    value.push('|');
                    continue;
                }
            };
            value.push(meaning);
            rest = &rest[1..];
        }
    }
}

/// The UTF-16 unit that `0xNNNN` at the front of `text` stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x")?.get(..4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Appends a unit; the second half of a pair replaces what its first half left.
fn push_unit(value: &mut String, high: &mut Option<u16>, unit: u16) {
    let pair = high.take().and_then(|high| char::decode_utf16([high, unit]).next()?.ok());
    if let Some(c) = pair {
        value.pop();
        value.push(c);
    } else {
        value.push(char::from_u32(u32::from(unit)).unwrap_or('\u{fffd}'));
        *high = (0xd800..0xdc00).contains(&unit).then_some(unit);
    }
}
