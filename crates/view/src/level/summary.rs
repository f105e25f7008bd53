//! Lines that count: `2 failed, 3 passed`, `Tests run: 3, Failures: 1`, `1 error generated.`

use super::Level;

const FAILURES: [&str; 8] =
    ["failed", "failing", "failures", "failure", "errors", "error", "fail", "error(s)"];
const WARNINGS: [&str; 3] = ["warnings", "warning", "warning(s)"];
/// A number behind one of these counts something else: `retry after 3 failed`.
const NOT_BEHIND: [&str; 16] = [
    "after", "of", "fixed", "fix", "ignored", "ignoring", "skipped", "skipping", "than", "least",
    "most", "max", "to", "from", "with", "expected",
];
/// What may follow in a sentence that reports.
const FOLLOWS: [&str; 10] =
    ["in", "generated", "found", "and", "emitted", "|", "(", "/", "detected", "occurred"];
/// Summaries are short.
const BYTES_MAX: usize = 400;

/// The level of a line that counts failures or warnings, none of them zero.
pub(super) fn level(text: &str) -> Option<Level> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut found = None;
    let mut tokens = text.split_whitespace().peekable();
    let (mut before, mut count): (&str, Option<bool>) = ("", None);
    let mut previous = "";
    while let Some(token) = tokens.next() {
        let next = tokens.peek().copied().unwrap_or_default();
        if let Some(counted) = count.take() {
            // `2 failed`: the word behind a number.
            let word = token.trim_matches(['(', ')', ',', '.', ';', ':', '=', '[', ']', '*']);
            let ended = word.len() < token.len()
                || next.is_empty()
                || FOLLOWS.iter().any(|follow| next.starts_with(follow));
            let reports = !NOT_BEHIND.iter().any(|word| word.eq_ignore_ascii_case(before));
            if counted && ended && reports {
                found = found.max(of(word));
            }
        }
        if let Some((word, number)) = pair(token, next) {
            // `failures=1`, `Errors: 2`, and of node `# fail 1`.
            if number {
                found = found.max(of(word));
            }
        } else if matches!(previous, "#" | "ℹ") && token == "fail" && is_count(next) == Some(true)
        {
            found = Some(Level::Error);
        }
        if let Some(number) = is_count(token) {
            before = previous;
            count = Some(number);
        }
        previous = token;
    }
    found
}

fn of(word: &str) -> Option<Level> {
    let is = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&FAILURES) { Some(Level::Error) } else { is(&WARNINGS).then_some(Level::Warning) }
}

/// A whole number; whether it is more than zero.
fn is_count(token: &str) -> Option<bool> {
    let digits = token.trim_start_matches(['(', '[', '=', '*']);
    let plain = !digits.is_empty()
        && digits.len() <= 12
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
        && !digits.ends_with(',');
    plain.then(|| digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte)))
}

/// A word with its number behind `=` or `:`.
fn pair<'a>(token: &'a str, next: &str) -> Option<(&'a str, bool)> {
    let token = token.trim_start_matches('(');
    if let Some((word, number)) = token.split_once('=') {
        let number = number.trim_end_matches([',', ')', ';']);
        // Plural only: `error=1` may be a code.
        let plural = ["failures", "errors", "failed"].contains(&word.to_ascii_lowercase().as_str());
        return Some((word, plural && is_count(number)?));
    }
    let word = token.strip_suffix(':')?;
    let plural = ["failures", "errors", "failed"].contains(&word.to_ascii_lowercase().as_str());
    let number = next.trim_end_matches([',', ')', ';', '.']);
    Some((word, plural && is_count(number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_not_zero_are_reported() {
        let (error, warning) = (Some(Level::Error), Some(Level::Warning));
        for (line, expected) in [
            ("== 2 failed, 2 passed, 1 skipped in 0.06s ==", error),
            ("Tests:       1 failed, 1 passed, 2 total", error),
            ("1 failing", error),
            ("1 error", error),
            ("2 warnings generated.", warning),
            ("0 errors, 2 warnings", warning),
            ("0 errors", None),
            ("0 failed, 3 passed", None),
            ("FAILED (failures=1, errors=1)", error),
            ("Tests run: 3, Failures: 1, Errors: 0", error),
            ("Tests run: 3, Failures: 0, Errors: 0, Skipped: 0", None),
            ("host : ok=3 changed=1 unreachable=0 failed=1", error),
            ("host : ok=3 changed=1 unreachable=0 failed=0", None),
            ("Found 3 errors in 1 file.", error),
            ("# fail 1", error),
            ("# fail 0", None),
            ("ℹ fail 1", error),
            ("10 errors so far", None),
            ("retry after 3 failed attempts", None),
            ("retry after 3 failed", None),
            ("fixed 3 errors", None),
            ("error=5", None),
            ("line 3 error handling", None),
            ("3 tests run: 2 passed, 1 failed, 1 skipped", error),
            ("1,204 errors", error),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }
}
