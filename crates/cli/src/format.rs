//! Durations, counts, and text that is safe on a terminal.

use unicode_width::UnicodeWidthChar;

use crate::text::{self, Locale};

/// A duration for people: `0.4s`, `12.4s`, `1m 03s`, `2h 05m`.
pub fn duration(us: u64) -> String {
    duration_in(text::locale(), us)
}

/// The same in some locale.
pub fn duration_in(locale: &Locale, us: u64) -> String {
    let text = text::of(locale.language);
    let tenths = (us + 50_000) / 100_000;
    if tenths < 600 {
        return (text.seconds)(&tenths_in(locale, tenths));
    }
    let seconds = (us + 500_000) / 1_000_000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours == 0 {
        (text.minutes)(minutes, &format!("{:02}", seconds % 60))
    } else {
        (text.hours)(hours, minutes % 60)
    }
}

/// A duration of a step, below ten minutes to the tenth: `1m 03.1s`.
pub fn fine_duration_in(locale: &Locale, us: u64) -> String {
    let tenths = (us + 50_000) / 100_000;
    if !(600..6_000).contains(&tenths) {
        return duration_in(locale, us);
    }
    let seconds = tenths_in(locale, tenths % 600);
    let zero = if tenths % 600 < 100 { "0" } else { "" };
    (text::of(locale.language).minutes)(tenths / 600, &format!("{zero}{seconds}"))
}

fn tenths_in(locale: &Locale, tenths: u64) -> String {
    format!("{}{}{}", tenths / 10, locale.decimal, tenths % 10)
}

/// A count with thousands separated: `48,201`.
pub fn count(number: u64) -> String {
    count_in(text::locale(), number)
}

/// The same in some locale.
pub fn count_in(locale: &Locale, number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(locale.group);
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `2 lines`.
pub fn lines(number: u64) -> String {
    (text::text().lines)(&count(number), number == 1)
}

/// How far something is, in ten places: `[####......]  42%`.
pub fn bar(percent: f64) -> String {
    const PLACES: usize = 10;
    let full = ((percent / 100.0 * PLACES as f64) as usize).min(PLACES);
    // Rounded down: 100% is said when it is reached.
    format!("[{}{}] {:>3}%", "#".repeat(full), ".".repeat(PLACES - full), percent.floor())
}

/// Script text made safe for a terminal: colours stay (if `colour`), everything else that could
/// steer the terminal goes; controls and direction overrides become visible; a carriage return
/// leaves the last picture.
pub fn clean(bytes: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let text = text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    let mut clean = String::with_capacity(text.len());
    let mut coloured = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    let mut sequence = String::new();
                    let mut end = None;
                    for c in chars.by_ref() {
                        if ('\x40'..='\x7e').contains(&c) {
                            end = Some(c);
                            break;
                        }
                        sequence.push(c);
                    }
                    let plain =
                        sequence.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':');
                    if colour && end == Some('m') && plain {
                        clean.push_str("\x1b[");
                        clean.push_str(&sequence);
                        clean.push('m');
                        coloured = true;
                    }
                }
                // OSC, DCS, APC, PM, SOS: everything up to their end.
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    while let Some(c) = chars.next() {
                        if c == '\x07' || c == '\u{9c}' {
                            break;
                        }
                        if c == '\x1b' {
                            chars.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                Some(_) => {
                    // ESC, intermediates, one final: `ESC ( B`.
                    while chars.next().is_some_and(|c| (' '..='/').contains(&c)) {}
                }
                None => {}
            },
            '\t' => clean.push_str("    "),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                clean.push('\u{fffd}');
            }
            c if (c as u32) < 0x20 => {
                // The pictures of control characters stand in the same order from U+2400 on.
                clean.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'));
            }
            '\x7f' => clean.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    if coloured {
        clean.push_str("\x1b[0m");
    }
    clean
}

/// Cuts `text` (which may hold colours) to `width` columns.
pub fn cut(text: &str, width: usize) -> String {
    cut_with(text, width, if text::locale().utf8 { "…" } else { "..." })
}

/// The same with another sign for "there is more".
pub fn cut_with(text: &str, width: usize, more: &str) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    // A window narrower than the sign shows as much of the text as it can.
    let (room, more) = match width.checked_sub(columns(more)) {
        Some(room) => (room, more),
        None => (width, ""),
    };
    let mut cut = String::new();
    let mut used = 0;
    let mut coloured = false;
    for piece in pieces(text) {
        match piece {
            Piece::Colour(sequence) => {
                coloured = true;
                cut.push_str(sequence);
            }
            Piece::Char(c, wide) if used + wide <= room => {
                used += wide;
                cut.push(c);
            }
            Piece::Char(..) => break,
        }
    }
    cut.push_str(more);
    if coloured {
        cut.push_str("\x1b[0m");
    }
    cut
}

/// Columns that `text` (which may hold colours) takes.
pub fn columns(text: &str) -> usize {
    pieces(text).map(|piece| if let Piece::Char(_, wide) = piece { wide } else { 0 }).sum()
}

/// `text` with blanks behind it to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// `text` with blanks before it to `width` columns.
pub fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(columns(text))))
}

enum Piece<'a> {
    /// `ESC [ … m`: takes no room.
    Colour(&'a str),
    /// A character, and how many columns it adds.
    Char(char, usize),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut last = 0;
    std::iter::from_fn(move || {
        let c = rest.chars().next()?;
        if c == '\x1b' {
            let length = rest.find('m').map_or(rest.len(), |at| at + 1);
            let (sequence, behind) = rest.split_at(length);
            rest = behind;
            return Some(Piece::Colour(sequence));
        }
        rest = &rest[c.len_utf8()..];
        let wide = match c {
            // "As an emoji": what was one column wide is two.
            '\u{fe0f}' if last == 1 => 1,
            c => c.width().unwrap_or(0),
        };
        last = if c == '\u{fe0f}' { 0 } else { wide };
        Some(Piece::Char(c, wide))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Language;

    #[test]
    fn nothing_that_steers_a_terminal_comes_through() {
        for (raw, expected) in [
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b[2J\x1b[Hhome", "home"),
            ("\x1b[6n\x1bc\x1b(Bx", "x"),
            ("10%\r50%\r100%\r", "100%"),
            ("a\x07b\x00c", "a\u{2407}b\u{2400}c"),
            ("evil\u{202e}txt", "evil\u{fffd}txt"),
        ] {
            assert_eq!(clean(raw.as_bytes(), true), expected, "{raw:?}");
        }
        assert_eq!(clean(b"\x1b[31mred\x1b[0m", false), "red");
    }

    #[test]
    fn lines_are_cut_by_columns_not_characters() {
        for (text, width, expected) in [
            ("日本語テキスト", 7, "日本語…"),
            ("日本語テキスト", 8, "日本語…"), // The fourth would stand half outside.
            ("short", 7, "short"),
            ("exactly", 7, "exactly"),
            ("\x1b[1m日本語\x1b[0m", 5, "\x1b[1m日本…\x1b[0m"),
            ("\x1b[1m日本語\x1b[0m", 6, "\x1b[1m日本語\x1b[0m"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"), // Marks take no room.
            ("\u{2764}\u{fe0f}\u{2764}\u{fe0f}", 3, "\u{2764}\u{fe0f}…"),
            ("👍👍👍", 5, "👍👍…"),
            ("anything", 1, "…"),
            ("anything", 0, ""),
        ] {
            assert_eq!(cut_with(text, width, "…"), expected, "{text:?} {width}");
        }
        assert_eq!(cut_with("anything", 6, "..."), "any...");
        assert_eq!(cut_with("anything", 2, "..."), "an");
    }

    #[test]
    fn figures_read_well() {
        let c = Locale::C;
        assert_eq!(duration_in(&c, 1_240_000), "1.2s");
        assert_eq!(duration_in(&c, 63_100_000), "1m 03s");
        assert_eq!(duration_in(&c, 7_500_000_000), "2h 05m");
        assert_eq!(fine_duration_in(&c, 1_240_000), "1.2s");
        assert_eq!(fine_duration_in(&c, 63_100_000), "1m 03.1s");
        assert_eq!(fine_duration_in(&c, 599_960_000), "10m 00s");
        assert_eq!(count_in(&c, 1_048_201), "1,048,201");
        let german = Locale { decimal: ',', group: '.', ..c };
        assert_eq!(duration_in(&german, 1_240_000), "1,2s");
        assert_eq!(count_in(&german, 1_048_201), "1.048.201");
        let chinese = Locale { language: Language::Chinese, ..c };
        assert_eq!(duration_in(&chinese, 12_400_000), "12.4秒");
        assert_eq!(fine_duration_in(&chinese, 63_100_000), "1分03.1秒");
        assert_eq!(duration_in(&chinese, 7_500_000_000), "2小时05分");
        assert_eq!(bar(0.0), "[..........]   0%");
        assert_eq!(bar(42.9), "[####......]  42%");
        assert_eq!(bar(99.99), "[#########.]  99%");
        assert_eq!(bar(100.0), "[##########] 100%");
    }
}
