//! A line's bytes to the text that a terminal shows of it.

use std::borrow::Cow;

/// `line` as text without escape sequences and control characters, carriage returns aside; a tab
/// becomes a space. Invalid UTF-8 becomes U+FFFD.
pub(crate) fn plain(line: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(line);
    if !text.contains(|c: char| c.is_control() && c != '\r') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_escape(&mut chars),
            '\t' => plain.push(' '),
            '\r' => plain.push('\r'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// What is left on the screen of a line with carriage returns: its last part that is not blank.
pub(crate) fn shown(text: &str) -> &str {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}'; // Some tools begin files with a BOM.
    text.split('\r')
        .map(|part| part.trim_matches(blank))
        .rfind(|part| !part.is_empty())
        .unwrap_or("")
}

/// Skips what follows an escape character. Source: ECMA-48, 5.4 and 8.3.
pub(crate) fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    // An escape that interrupts another begins anew.
    while chars.next_if_eq(&'\x1b').is_some() {}
    match chars.next_if(|c| *c != '\r') {
        // CSI: up to its final byte.
        Some('[') => {
            while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
            chars.next_if(|c| ('@'..='~').contains(c));
        }
        // Strings (OSC, DCS, …): up to BEL or ST.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(' '..='/') => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next();
        }
        Some(_) | None => {}
    }
}
