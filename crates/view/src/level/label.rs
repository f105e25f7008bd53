//! A level where programs put one: behind a time, a place, a thread or a host, before a colon, a
//! bracket or two spaces.

use super::{
    Level,
    words::{self, Case, Word},
};

/// Tokens looked at.
const TOKENS_MAX: usize = 12;
/// Ordinary words that may stand between a time and the level: host, program, AM.
const WORDS_BEHIND_TIME: usize = 3;
/// A longer token is no part of a head.
const HEAD_TOKEN_MAX: usize = 96;

/// The level that the line's head names; `Other` for one that says of itself that it informs.
pub(super) fn level(text: &str) -> Option<Level> {
    let trimmed = text.trim_start();
    // `web_1  | ERROR: no`: what stands behind the first bar has a head of its own.
    if let Some(at) = trimmed.find(['|', '│']).filter(|at| *at <= 40) {
        let (before, rest) = trimmed.split_at(at);
        let rest = rest.trim_start_matches(['|', '│']);
        if before.split_whitespace().count() <= 3
            && let Some(level) = head(rest.trim_start())
        {
            return Some(level);
        }
    }
    head(trimmed)
}

fn head(text: &str) -> Option<Level> {
    let mut rest = text;
    let mut timed = false;
    let mut words = 0;
    for place in 0..TOKENS_MAX {
        rest = rest.trim_start_matches([' ', '\t', '|', '│']);
        let end = rest.find([' ', '\t', '|', '│']).unwrap_or(rest.len());
        let token = &rest[..end];
        if token.is_empty() || token.len() > HEAD_TOKEN_MAX {
            return None;
        }
        match label(token, &rest[end..], place == 0 && rest.len() == text.len()) {
            Some(Word::Level(level)) => return Some(level),
            Some(Word::Info) => return Some(Level::Other),
            None => {}
        }
        if let Some(level) = exception(token, &rest[end..]) {
            return Some(level);
        }
        match kind(token) {
            Kind::Head => timed |= token.contains(':') && has_digits(token, 3),
            Kind::Stop => return None,
            Kind::Word => {
                words += 1;
                if !timed || words > WORDS_BEHIND_TIME {
                    return None;
                }
            }
        }
        rest = skip(rest, token, end);
    }
    None
}

/// Behind the token, or behind the bracket that it opens: `[main thread]`.
fn skip<'a>(rest: &'a str, token: &str, end: usize) -> &'a str {
    let close = match token.as_bytes()[0] {
        b'[' => ']',
        b'(' => ')',
        _ => return &rest[end..],
    };
    if token.contains(close) || label(token, &rest[end..], false).is_some() {
        return &rest[end..];
    }
    // A level may stand in the bracket, behind a time: `[12:00:00 ERR] no`.
    let inner = rest[end..].find(close).filter(|at| *at < HEAD_TOKEN_MAX);
    match inner {
        Some(at) if !has_digits(token, 3) => &rest[end + at + close.len_utf8()..],
        _ => &rest[end..],
    }
}

enum Kind {
    /// Part of a head: a time, a place, brackets, signs.
    Head,
    /// Source code, a trace of the shell, a passed test: no head at all.
    Stop,
    /// An ordinary word.
    Word,
}

fn kind(token: &str) -> Kind {
    if matches!(token, "+" | "++" | "+++" | "$" | "//" | "/*" | "*" | "✓" | "✔" | "√") {
        return Kind::Stop;
    }
    let bare = token.trim_end_matches([':', '.', ',']);
    let stops = ["test", "ok", "pass", "passed", "echo", "it", "describe", "compiling", "checking"];
    if stops.iter().any(|stop| stop.eq_ignore_ascii_case(bare)) {
        return Kind::Stop;
    }
    let head = token.bytes().any(|byte| byte.is_ascii_digit())
        || !token.chars().any(char::is_alphanumeric)
        || token.starts_with(['[', '(', '<', '{'])
        || token.ends_with([':', ']', ')'])
        || is_date_word(bare);
    if head { Kind::Head } else { Kind::Word }
}

fn has_digits(token: &str, least: usize) -> bool {
    token.bytes().filter(u8::is_ascii_digit).count() >= least
}

fn is_date_word(word: &str) -> bool {
    const WORDS: [&str; 21] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Mon",
        "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "AM", "PM",
    ];
    WORDS.contains(&word)
}

/// Whether `token` is a level in the form of a label. `begins`: nothing stands before it, not even
/// a space.
fn label(token: &str, behind: &str, begins: bool) -> Option<Word> {
    let stripped = token.trim_start_matches(['[', '(', '<']);
    let opened = stripped.len() < token.len();
    // Apache's `[core:error]`, Laravel's `production.ERROR:`.
    let stripped = match stripped.split_once([':', '.']) {
        Some((module, rest))
            if (opened || rest.ends_with(':'))
                && !module.is_empty()
                && module.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') =>
        {
            rest
        }
        _ => stripped,
    };
    let end = stripped.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(stripped.len());
    let (word, case) = words::word(&stripped[..end])?;
    let upper = case == Case::Upper;
    let mut after = stripped[end..].chars();
    let sign = after.next();
    let next = after.next();
    let is_label = match sign {
        Some(':') if next.is_none() => !behind.trim().trim_end_matches('.').eq("0"),
        Some(':') => upper && next != Some(':'),
        Some(']' | ')' | '>') => opened || upper,
        Some('!') => upper,
        // error[E0308]: ..., ERRO[0012] ...
        Some('[') => next.is_some_and(|c| c.is_ascii_digit() || c.is_ascii_uppercase()),
        None => {
            let gap = behind.starts_with("  ") || behind.starts_with('\t');
            let mut words = behind.split_whitespace();
            let next = words.next().unwrap_or_default();
            upper
                || opened
                || (gap && !next.is_empty())
                || is_code(next)
                || (word == Word::Level(Level::Error) && next.eq_ignore_ascii_case("error:"))
                // yarn: error Command failed ...
                || (begins && next.starts_with(|c: char| c.is_ascii_uppercase() || c == '"')
                    && stripped.starts_with(|c: char| c.is_ascii_lowercase()))
        }
        _ => false,
    };
    is_label.then_some(word)
}

/// The number of a message: `TS2322:`, `LNK2019`, `C2065:`.
fn is_code(text: &str) -> bool {
    let code = text.trim_end_matches(':');
    let digits = code.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let letters = code.len() - digits.len();
    (1..=5).contains(&letters)
        && (2..=6).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `KeyError: 'k'`, `AssertionError [ERR_ASSERTION]: ...`, a name that ends the line.
fn exception(token: &str, behind: &str) -> Option<Level> {
    let name = token.strip_suffix(':');
    let ends = behind.trim().is_empty();
    if name.is_none() && !ends && !behind.starts_with(" [") {
        return None;
    }
    words::exception(name.unwrap_or(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_behind_a_head() {
        let (error, warning) = (Some(Level::Error), Some(Level::Warning));
        for (line, expected) in [
            ("error: no", error),
            ("Error: no", error),
            ("ERROR no", error),
            ("[ERROR] no", error),
            ("[error] no", error),
            ("(EE) no", None),
            ("error[E0308]: mismatched types", error),
            ("warning: unused", warning),
            ("ERRO[0012] no", error),
            ("src/main.c:3:4: error: no", error),
            ("src/main.c:3:4: fatal error: no.h: No such file", error),
            ("src/a.ts(1,7): error TS2322: no", error),
            ("src/a.ts:1:7 - error TS2322: no", error),
            ("cl.cpp(3): warning C4101: x", warning),
            ("  1:5  error  'x' is unused  no-unused-vars", error),
            ("  2:1  warning  Unexpected", warning),
            ("2026-11-22 20:00:00,123 ERROR [main] c.f.Foo - no", error),
            ("2026-11-22T20:00:00Z  WARN app::x: old", warning),
            ("20:00:00.123 [main thread] ERROR com.foo - no", error),
            ("[12:00:00 ERR] no", error),
            ("[12:00:00 INF] error: all is well", Some(Level::Other)),
            ("Nov 22 20:00:00 host app[12]: ERROR no", error),
            ("2026-11-22 20:00:00.0|WARN|Foo|old", warning),
            ("web_1  | ERROR: no", error),
            ("│ Error: Invalid reference", error),
            ("#12 1.234 error: no", error),
            ("ERROR:root:no", error),
            ("error Command failed with exit code 1.", error),
            ("INFO: 3 errors were ignored", Some(Level::Other)),
            ("note: error handling is on", Some(Level::Other)),
            ("[Sun Nov 22 20:00:00.1 2026] [core:error] [pid 12] no", error),
            ("[2026-11-22 20:00:00] production.ERROR: no", error),
            ("KeyError: 'k'", error),
            ("java.lang.IllegalStateException: x", error),
            ("AssertionError [ERR_ASSERTION]: 1 == 2", error),
            ("a.py:4: DeprecationWarning: old", warning),
            ("KeyError", error),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }

    #[test]
    fn a_word_alone_is_no_label() {
        for line in [
            "error_handler.c compiled",
            "0 errors",
            "no warnings",
            "error: 0",
            "error handling is on",
            "error::tests::parses ok",
            "Compiling thiserror v1.0",
            "gcc -Wall -Werror -c error.c",
            "test error::parse: ERROR ... ok",
            "PASS src/error.test.js",
            "+ echo ERROR: no",
            "if err != nil { return err }",
            "throw new Error('no')",
            "Errors are handled",
            "the error: it was here",
            "// error: see above",
            "warnings: 0",
            "KeyError is raised when",
            "✓ ERROR is shown",
            "Terror: a film",
        ] {
            assert_eq!(level(line), None, "{line}");
        }
    }
}
