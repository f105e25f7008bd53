//! Reports that have a form of their own: tracebacks, panics, failed tests, tools that use no label.

use super::{Level, words};

/// How a report begins.
const BEGINS: &[(&str, Level)] = &[
    ("Traceback (most recent call last)", Level::Error),
    ("Exception in thread", Level::Error),
    ("Caused by:", Level::Error),
    ("Uncaught ", Level::Error),
    ("Unhandled exception", Level::Error),
    ("[UnhandledPromiseRejection", Level::Error),
    ("terminate called ", Level::Error),
    ("panic: ", Level::Error),
    ("--- FAIL", Level::Error),
    ("FAILURE: ", Level::Error),
    ("BUILD FAILED", Level::Error),
    ("CMake Error", Level::Error),
    ("CMake Warning", Level::Warning),
    ("CMake Deprecation Warning", Level::Warning),
    ("PHP Fatal error", Level::Error),
    ("PHP Parse error", Level::Error),
    ("PHP Warning", Level::Warning),
    ("PHP Deprecated", Level::Warning),
    ("PHP Notice", Level::Notice),
    ("npm error", Level::Error),
    ("npm ERR!", Level::Error),
    ("npm warn", Level::Warning),
    ("npm WARN", Level::Warning),
    ("npm notice", Level::Notice),
    ("ERR_PNPM", Level::Error),
    ("failed: [", Level::Error),
    ("ninja: build stopped", Level::Error),
    ("Segmentation fault", Level::Error),
    ("[  FAILED  ]", Level::Error),
    ("TIMEOUT [", Level::Error),
    ("test result: FAILED", Level::Error),
    ("[WARNING]", Level::Warning),
    ("[DEPRECATION WARNING]", Level::Warning),
];

/// What stands anywhere in one.
const HOLDS: &[&str] = &[
    "BUILD FAILURE",
    "Segmentation fault",
    "undefined reference to ",
    "multiple definition of ",
    ": Assertion `",
    "Assertion failed: ",
    ": command not found",
    "runtime error: ",
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "ERROR: MemorySanitizer",
    "WARNING: ThreadSanitizer",
    "Out of memory: Killed",
    " ***: terminated",
    "***Failed",
    "***Exception",
    "***Timeout",
    "FAILED! =>",
    "internal compiler error",
    "BUILD FAILED",
];

/// How one ends.
const ENDS: &[&str] =
    &[" FAILED", "... FAIL", "... ERROR", ": No such file or directory", ": Permission denied"];

/// The level of a line that has such a form. `trimmed` has no blanks around it.
pub(super) fn level(text: &str, trimmed: &str) -> Option<Level> {
    if let Some((_, level)) = BEGINS.iter().find(|(begin, _)| trimmed.starts_with(begin)) {
        return Some(*level);
    }
    if HOLDS.iter().any(|part| trimmed.contains(part)) || is_panic(trimmed) {
        return Some(Level::Error);
    }
    if let Some(level) = failed_test(trimmed) {
        return Some(level);
    }
    if matches!(trimmed, "Killed" | "Aborted" | "Terminated" | "Bus error")
        || is_shell_death(trimmed)
        || is_make(trimmed)
        || is_go_place(trimmed)
        || (trimmed.starts_with("sh: ") && trimmed.ends_with(": not found"))
    {
        return Some(Level::Error);
    }
    // pytest's details: `E   assert 1 == 2`.
    if text.starts_with("E   ") && !trimmed[1..].trim().is_empty() {
        return Some(Level::Error);
    }
    // `Unhandled`, `raise` and the like before the name of an exception.
    let rest = trimmed.strip_prefix("[cause]: ").or_else(|| trimmed.strip_prefix("[Error: "))?;
    words::exception(rest.split([':', ' ']).next()?).or(Some(Level::Error))
}

fn is_panic(text: &str) -> bool {
    text.starts_with("thread '") && text.contains("panicked at")
}

/// `bash: line 3: 123 Killed   ./x`, as a shell tells of a child that a signal ended.
fn is_shell_death(text: &str) -> bool {
    let Some((head, rest)) = text.split_once(": line ") else { return false };
    let Some((line, rest)) = rest.split_once(": ") else { return false };
    let rest = rest.trim_start();
    let word = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    head.len() < 200
        && line.bytes().all(|b| b.is_ascii_digit())
        && word.len() < rest.len()
        && ["Killed ", "Aborted ", "Terminated ", "Bus error "].iter().any(|w| word.starts_with(w))
}

/// `make: *** [all] Error 2`.
fn is_make(text: &str) -> bool {
    let Some(at) = text.find(": *** ") else { return false };
    !text[..at].contains(' ') && !text.ends_with("Waiting for unfinished jobs....")
}

/// `./main.go:5:2: undefined: x`: Go's compiler and vet use no label.
fn is_go_place(text: &str) -> bool {
    let Some(at) = text.find(".go:") else { return false };
    if text[..at].contains([' ', '\t']) {
        return false;
    }
    let mut parts = text[at + 4..].splitn(3, ':');
    let number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|r| r.starts_with(' '))
}

fn failed_test(text: &str) -> Option<Level> {
    // Of Go, unittest, jest, nextest: FAIL as the first word; of pytest: FAILED, ERROR.
    for word in ["FAIL", "FAILED"] {
        if let Some(rest) = text.strip_prefix(word)
            && (rest.is_empty() || rest.starts_with([' ', '\t', ':', '(']))
        {
            return Some(Level::Error);
        }
    }
    if let Some(rest) = text.strip_prefix("not ok ") {
        let upper = rest.to_ascii_uppercase();
        return (!upper.contains("# TODO") && !upper.contains("# SKIP")).then_some(Level::Error);
    }
    // `x::test_y FAILED   [ 50%]`.
    let end = match text.rfind('[') {
        Some(at) if text.ends_with("%]") => text[..at].trim_end(),
        _ => text,
    };
    if ENDS.iter().any(|ending| end.ends_with(ending))
        || (end.contains("::") && end.ends_with(" ERROR"))
    {
        return Some(Level::Error);
    }
    let mut chars = text.chars();
    let sign = chars.next()?;
    let rest = chars.as_str();
    match sign {
        '✕' | '✗' | '✘' | '✖' | '×' | '❌' => {
            // eslint: ✖ 2 problems (0 errors, 2 warnings).
            let spaced = rest.trim_start_matches('\u{fe0f}').starts_with(' ');
            let level = if rest.contains("(0 errors") { Level::Warning } else { Level::Error };
            spaced.then_some(level)
        }
        '●' => rest.contains(" › ").then_some(Level::Error),
        '⚠' => Some(Level::Warning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_their_own_are_known() {
        let (error, warning) = (Some(Level::Error), Some(Level::Warning));
        for (line, expected) in [
            ("Traceback (most recent call last):", error),
            ("Exception in thread \"main\" java.lang.X", error),
            ("thread 'main' (12) panicked at src/main.rs:3:5:", error),
            ("panic: runtime error: index out of range", error),
            ("--- FAIL: TestX (0.00s)", error),
            ("FAIL\tpkg\t0.01s", error),
            ("FAIL", error),
            ("FAILS sometimes", None),
            ("./main.go:5:2: undefined: x", error),
            ("\t/src/main.go:5 +0x1d", None),
            ("main_test.go:10: seen", None),
            ("not ok 2 - adds", error),
            ("not ok 2 - adds # TODO later", None),
            ("test tests::wrong ... FAILED", error),
            ("test parse_error ... ok", None),
            ("a.py::test_x FAILED             [ 50%]", error),
            ("a.py::test_x ERROR", error),
            ("a.py::test_error PASSED         [ 50%]", None),
            ("> Task :compileJava FAILED", error),
            ("make: *** [Makefile:5: bad.o] Error 1", error),
            ("make: *** Waiting for unfinished jobs....", None),
            ("CMake Error at CMakeLists.txt:3 (message):", error),
            ("CMake Warning (dev) at x:1:", warning),
            ("✕ is wrong (5 ms)", error),
            ("✓ throws an error (2 ms)", None),
            ("✖ 2 problems (1 error, 1 warning)", error),
            ("✖ 2 problems (0 errors, 2 warnings)", warning),
            ("×3 faster", None),
            ("bash: line 1: 21359 Segmentation fault      ./segv", error),
            ("gen.sh: line 33: 21356 Aborted                 ./thr", error),
            ("bash: line 1: nope: command not found", error),
            ("sh: 1: nope: not found", error),
            ("ls: cannot access '/nope': No such file or directory", error),
            ("checking for error.h... not found", None),
            ("x.c:3:5: runtime error: signed integer overflow", error),
            ("==12==ERROR: AddressSanitizer: heap-use-after-free", error),
            ("fatal: [host]: FAILED! => {}", error),
            ("npm warn deprecated x", warning),
            ("npm notice New version", Some(Level::Notice)),
        ] {
            assert_eq!(level(line, line.trim()), expected, "{line}");
        }
    }
}
