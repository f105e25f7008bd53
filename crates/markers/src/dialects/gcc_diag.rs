//! Warnings and errors of GCC, Clang and the compilers that print them alike.
//!
//! Source: GNU coding standards, "Formatting error messages"; Clang user's manual,
//! "Formatting of diagnostics".

use super::{Annotation, Context, Dialect, Line, Severity, Taken, Watch, watch::Needle};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(GccDiag)
}

struct GccDiag;

/// What files are called that such a compiler reads.
const EXTENSIONS: &[&str] = &[
    "c", "cc", "cp", "cpp", "cxx", "c++", "i", "ii", "h", "hh", "hpp", "hxx", "h++", "inc", "inl",
    "ipp", "tcc", "tpp", "def", "m", "mm", "cu", "cuh", "cl", "s", "asm", "f", "for", "f77", "f90",
    "f95", "f03", "f08", "d", "di", "adb", "ads", "zig", "y", "yy", "l", "ll", "go", "swift",
    "ino", "cppm", "ixx", "mpp",
];

impl Dialect for GccDiag {
    fn watch(&self) -> Watch {
        Watch::none().needle(Needle::Diagnostic)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        match parse(line.visible()) {
            Some(annotation) => {
                cx.annotation(annotation);
                Taken::Yes
            }
            None => Taken::No,
        }
    }
}

/// `FILE:LINE[:COL]: SEVERITY: MESSAGE[ [FLAG]]`.
fn parse(text: &str) -> Option<Annotation> {
    let (severity, place, message) = [
        (Severity::Error, ": error: "),
        (Severity::Error, ": fatal error: "),
        (Severity::Warning, ": warning: "),
    ]
    .into_iter()
    .filter_map(|(severity, word)| text.split_once(word).map(|(a, b)| (severity, a, b)))
    .min_by_key(|(_, place, _)| place.len())?;
    let (rest, last) = number_at_end(place)?;
    let (file, line, col) = match number_at_end(rest) {
        Some((file, line)) => (file, line, Some(last)),
        None => (rest, last, None),
    };
    if !is_source(file) || message.trim().is_empty() {
        return None;
    }
    let (message, code) = flag(message.trim_end());
    Some(Annotation {
        severity,
        message: message.to_owned(),
        file: Some(file.to_owned()),
        line: Some(line),
        col,
        code: code.map(str::to_owned),
        ..Annotation::default()
    })
}

/// `rest:NUMBER`.
fn number_at_end(text: &str) -> Option<(&str, u32)> {
    let (rest, number) = text.rsplit_once(':')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((rest, number.parse().ok().filter(|_| is_number)?))
}

/// Whether this is the name of a source file, and nothing else stands before it.
fn is_source(file: &str) -> bool {
    let drive =
        matches!(file.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    let rest = if drive { &file[2..] } else { file };
    // A blank may be part of a path; elsewhere it separates the name from what stands before it.
    let is_path = rest.starts_with(['/', '\\', '.']);
    let strange = |c: char| {
        c.is_control()
            || matches!(c, ':' | '"' | '\'' | '`' | '<' | '>' | '|' | '*' | '?')
            || (c == ' ' && !is_path)
    };
    if rest.contains(strange) || rest.starts_with(['[', '(', '#', '-', '+']) {
        return false;
    }
    let name = rest.rsplit(['/', '\\']).next().unwrap_or(rest);
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        let is_it = |known: &&str| known.eq_ignore_ascii_case(extension);
        !stem.is_empty() && EXTENSIONS.iter().any(is_it)
    })
}

/// The option in brackets at the end that turns the warning on.
fn flag(message: &str) -> (&str, Option<&str>) {
    let split = || {
        let (message, flag) = message.strip_suffix(']')?.rsplit_once(" [")?;
        let is_flag = flag.starts_with('-') && !flag.contains([' ', ']']);
        is_flag.then_some((message, Some(flag)))
    };
    split().unwrap_or((message, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_in_a_source_file_counts() {
        let file = |text: &str| parse(text).and_then(|found| found.file);
        for (text, expected) in [
            ("C:\\w\\x.c:1:2: error: bad", "C:\\w\\x.c"),
            ("/w/my project/x.hpp:1:2: fatal error: bad", "/w/my project/x.hpp"),
            ("../x.F90:1: warning: bad", "../x.F90"),
        ] {
            assert_eq!(file(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "at x.c:1:2: error: bad",
            "2026-11-29 x.c:1: error: bad",
            "12:00:01: error: bad",
            "+x.c:1:2: error: bad",
            ".c:1:2: error: bad",
            "x.c:1:2: error: ",
            "x.c: error: bad",
            "x.c:1:2:3: error: bad",
            "http://h/x.c:1:2: error: bad",
        ] {
            assert_eq!(file(text), None, "{text}");
        }
    }

    #[test]
    fn a_flag_stands_at_the_end() {
        let found = parse("x.c:1:2: warning: 'a: error: b' unused [x] [-Werror=unused]").unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.message, "'a: error: b' unused [x]");
        assert_eq!(found.code.as_deref(), Some("-Werror=unused"));
        let found = parse("x.c:1:2: error: index [3]").unwrap();
        assert_eq!((found.message.as_str(), found.code), ("index [3]", None));
    }
}
