//! Structured lines: logfmt, JSON, and the short forms of glog, syslog, logcat and Debian's apt.

use super::{
    Level,
    words::{self, Word},
};

/// Names of the field that holds the level.
const KEYS: [&str; 9] = [
    "level",
    "Level",
    "lvl",
    "severity",
    "Severity",
    "levelname",
    "loglevel",
    "log_level",
    "log.level",
];

/// The level that the line's own field or prefix names. A line that says of itself that it is
/// informational is `Other`, whatever else it says.
pub(super) fn level(text: &str) -> Option<Level> {
    let word = prefix(text).or_else(|| field(text))?;
    Some(match word {
        Word::Level(level) => level,
        Word::Info => Level::Other,
    })
}

fn prefix(text: &str) -> Option<Word> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| {
        bytes.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let first = *bytes.first()?;
    let of_letter = |letter| match letter {
        b'F' | b'E' => Some(Word::Level(Level::Error)),
        b'W' => Some(Word::Level(Level::Warning)),
        b'D' | b'V' => Some(Word::Level(Level::Debug)),
        b'I' => Some(Word::Info),
        _ => None,
    };
    // glog: E0322 10:00:00.123456 1 main.cc:3] ...
    if digits(1, 5) && bytes.get(5) == Some(&b' ') && digits(6, 8) && bytes.get(8) == Some(&b':') {
        return of_letter(first);
    }
    // logcat: E/ActivityManager( 123): ...
    if bytes.get(1) == Some(&b'/') && text[2..].find("):").is_some_and(|at| at < 64) {
        return of_letter(first);
    }
    // Debian's apt: E: Unable to locate package; Kotlin: e: file:///a.kt:3:1 ...
    if bytes.get(1..3) == Some(b": ") {
        let rest = &text[3..];
        let place = rest.starts_with("file:") || rest.starts_with('/');
        return match first {
            b'E' | b'W' => of_letter(first),
            b'e' | b'w' if place => of_letter(first.to_ascii_uppercase()),
            _ => None,
        };
    }
    // syslog's priority: <3>text
    let end =
        (first == b'<').then(|| text.find('>')).flatten().filter(|at| (2..=4).contains(at))?;
    let priority: u16 = text[1..end].parse().ok()?;
    Some(match priority % 8 {
        0..=3 => Word::Level(Level::Error),
        4 => Word::Level(Level::Warning),
        5 => Word::Level(Level::Notice),
        6 => Word::Info,
        _ => Word::Level(Level::Debug),
    })
}

fn field(text: &str) -> Option<Word> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['=', ':']).map(|at| from + at) {
        from = at + 1;
        let sign = text.as_bytes()[at];
        let before = &text[..at];
        let quoted = before.strip_suffix('"');
        if sign == b':' && quoted.is_none() {
            continue; // JSON only: in prose, `level: error` may be anything.
        }
        let name = quoted.unwrap_or(before);
        if !KEYS.iter().any(|key| is_key(name, key)) {
            continue;
        }
        let rest = text[at + 1..].trim_start_matches(' ');
        if sign == b':' && rest.starts_with(|c: char| c.is_ascii_digit()) {
            // pino and bunyan count in tens.
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            return match digits.parse::<u16>() {
                Ok(50 | 60) => Some(Word::Level(Level::Error)),
                Ok(40) => Some(Word::Level(Level::Warning)),
                Ok(30) => Some(Word::Info),
                Ok(10 | 20) => Some(Word::Level(Level::Debug)),
                _ => None,
            };
        }
        let value = rest.trim_start_matches(['"', '\'']);
        let value = value.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if let Some(word) = words::value(value) {
            return Some(word);
        }
    }
    None
}

/// Whether `text` ends in `key` as a name of its own.
fn is_key(text: &str, key: &str) -> bool {
    let Some(begin) = text.len().checked_sub(key.len()) else { return false };
    let Some((before, name)) = text.split_at_checked(begin) else { return false };
    name == key
        && before
            .chars()
            .next_back()
            .is_none_or(|c| matches!(c, ' ' | '{' | ',' | '[' | '"' | '\t' | '('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_prefixes_name_a_level() {
        let (error, warning) = (Some(Level::Error), Some(Level::Warning));
        for (line, expected) in [
            ("time=2026-11-22T20:00:00Z level=error msg=\"no\"", error),
            ("level=warning msg=x", warning),
            ("level=info msg=\"error: it broke\"", Some(Level::Other)),
            ("lvl=eror msg=x", error),
            ("lvl=dbug msg=x", Some(Level::Debug)),
            ("t=1 level=debug x=1", Some(Level::Debug)),
            (r#"{"level":"error","msg":"x"}"#, error),
            (r#"{"ts":1,"severity": "WARNING"}"#, warning),
            (r#"{"log.level":"info","error":"x"}"#, Some(Level::Other)),
            (r#"{"level":50,"msg":"x"}"#, error),
            (r#"{"level":30,"msg":"error: x"}"#, Some(Level::Other)),
            (r#"{"level":3,"name":"compression"}"#, None),
            ("--log-level=error --x", None),
            ("compression level=9", None),
            ("level: error", None),
            ("E0322 10:00:00.123456   1 main.cc:3] no", error),
            ("W1122 20:00:00.1 1 x.go:1] old", warning),
            ("I1122 20:00:00.1 1 x.go:1] error: all is well", Some(Level::Other)),
            ("E0308 is a code", None),
            ("E/AndroidRuntime( 123): FATAL EXCEPTION", error),
            ("E: Unable to locate package nope", error),
            ("W: Failed to fetch http://x", warning),
            ("e: file:///a.kt:3:1 no", error),
            ("e: sum of squares", None),
            ("<3>disk gone", error),
            ("<30>started", Some(Level::Other)),
            ("<b>bold</b>", None),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }
}
