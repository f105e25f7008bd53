//! Durations, counts, and text that is safe on a terminal.

use unicode_width::UnicodeWidthChar;

/// A duration for people: `0.4s`, `12.4s`, `1m 03s`, `2h 05m`.
pub fn duration(us: u64) -> String {
    let tenths = (us + 50_000) / 100_000;
    if tenths < 600 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let seconds = (us + 500_000) / 1_000_000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours == 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else {
        format!("{hours}h {:02}m", minutes % 60)
    }
}

/// A count with thousands separated: `48,201`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 line`, `2 lines`.
pub fn plural(number: u64, word: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {word}{s}", count(number))
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
    let mut cut = String::new();
    let mut used = 0;
    let mut chars = text.chars();
    let mut coloured = false;
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            coloured = true;
            cut.push(c);
            for c in chars.by_ref() {
                cut.push(c);
                if c == 'm' {
                    break;
                }
            }
            continue;
        }
        let wide = c.width().unwrap_or(0);
        if used + wide > width.saturating_sub(1) && !chars.as_str().is_empty() {
            cut.push('…');
            if coloured {
                cut.push_str("\x1b[0m");
            }
            return cut;
        }
        if used + wide > width {
            return cut;
        }
        used += wide;
        cut.push(c);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(cut("日本語テキスト", 7), "日本語…");
        assert_eq!(cut("short", 7), "short");
        assert_eq!(cut("\x1b[1m日本語\x1b[0m", 5), "\x1b[1m日本…\x1b[0m");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(duration(1_240_000), "1.2s");
        assert_eq!(duration(63_100_000), "1m 03s");
        assert_eq!(duration(7_500_000_000), "2h 05m");
        assert_eq!(count(1_048_201), "1,048,201");
    }
}
