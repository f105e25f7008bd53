//! How wide characters are, and how many rows a line takes.

use unicode_width::UnicodeWidthChar;

/// Columns between tab stops.
pub(crate) const TAB_COLUMNS: usize = 8;

/// What a character that cannot be seen, or that moves others, is shown as; `None`: as itself.
///
/// Controls below 0x20 and DEL in caret notation, the others by number.
pub fn symbol(char: char) -> Option<String> {
    let code = u32::from(char);
    match code {
        0..0x20 | 0x7f => {
            let caret = char::from((code as u8) ^ 0x40);
            Some(format!("^{caret}"))
        }
        _ if is_hidden(char) => Some(format!("<{code:04X}>")),
        _ => None,
    }
}

/// Whether `char`, which is none of ASCII, is shown by its number.
fn is_hidden(char: char) -> bool {
    matches!(
        char,
        '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
    )
}

/// Columns of a character that is shown as itself: 0, 1 or 2.
pub fn columns(char: char) -> usize {
    char.width().unwrap_or(1).min(2)
}

/// Rows of a line of this `width` on a page of `columns`: at least one.
///
/// A row holds the characters that *begin* in its columns: one of two columns may hang over the
/// edge by one. That makes the count a division, whatever the columns; see `docs/reference/api.md`.
pub fn rows(width: u32, columns: u32) -> u64 {
    u64::from(width.div_ceil(columns.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        let cases = [
            ('\0', Some("^@")),
            ('\x1b', Some("^[")),
            ('\x7f', Some("^?")),
            ('\u{85}', Some("<0085>")),
            ('\u{202e}', Some("<202E>")),
            ('\u{feff}', Some("<FEFF>")),
            ('a', None),
            ('\u{301}', None),
            ('世', None),
        ];
        for (char, expected) in cases {
            assert_eq!(symbol(char).as_deref(), expected, "{char:?}");
        }
    }

    #[test]
    fn rows_are_at_least_one() {
        assert_eq!([rows(0, 80), rows(80, 80), rows(81, 80), rows(5, 0)], [1, 1, 2, 5]);
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        assert_eq!(['a', '世', '\u{301}', '😀', 'é', '\u{200d}'].map(columns), [1, 2, 0, 2, 1, 0]);
    }
}
