//! The grammar of a JSON record: one object a line, its values strings, numbers or words.

use super::line::milliseconds;

/// What a record of `go test -json` says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Record {
    pub(super) action: String,
    pub(super) package: Option<String>,
    pub(super) test: Option<String>,
    pub(super) output: Option<String>,
    pub(super) elapsed_ms: Option<u64>,
    /// The package was not built.
    pub(super) failed_build: bool,
}

const ACTIONS: [&str; 13] = [
    "start",
    "run",
    "pause",
    "cont",
    "pass",
    "bench",
    "fail",
    "output",
    "skip",
    "attr",
    "artifacts",
    "build-output",
    "build-fail",
];

impl Record {
    /// Reads a line, if it is such a record.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Other programs print records that begin with a time as well.
        const BEGINNINGS: [&str; 3] = ["{\"Action\":\"", "{\"Time\":\"", "{\"ImportPath\":\""];
        BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)).then_some(())?;
        let mut record = Self::default();
        let mut has_place = false;
        let mut rest = text.trim_end().strip_prefix('{')?;
        loop {
            let (key, after) = string(rest)?;
            let (value, after) = value(blanks(after).strip_prefix(':')?)?;
            match (key.as_str(), value) {
                ("Action", Value::Text(action)) => record.action = action,
                ("Package", Value::Text(package)) => {
                    record.package = Some(package);
                    has_place = true;
                }
                ("ImportPath", Value::Text(_)) => has_place = true,
                ("Test", Value::Text(test)) => record.test = Some(test),
                ("Output", Value::Text(output)) => record.output = Some(output),
                ("FailedBuild", Value::Text(_)) => record.failed_build = true,
                ("Elapsed", Value::Number(seconds)) => {
                    record.elapsed_ms = milliseconds(seconds);
                }
                _ => {}
            }
            let after = blanks(after);
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None if after == "}" => break,
                None => return None,
            }
        }
        (has_place && ACTIONS.contains(&record.action.as_str())).then_some(record)
    }
}

enum Value {
    Text(String),
    Number(f64),
    /// `true`, `false`, `null`.
    Word,
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn value(text: &str) -> Option<(Value, &str)> {
    let text = blanks(text);
    if text.starts_with('"') {
        return string(text).map(|(text, rest)| (Value::Text(text), rest));
    }
    let end = text.find([',', '}', ' ', '\t'])?;
    let (word, rest) = text.split_at(end);
    let value = match word {
        "true" | "false" | "null" => Value::Word,
        number => Value::Number(number.parse().ok()?),
    };
    Some((value, rest))
}

/// A string and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut rest = blanks(text).strip_prefix('"')?;
    let mut string = String::new();
    loop {
        let stop = rest.find(['"', '\\'])?;
        string.push_str(&rest[..stop]);
        let after = &rest[stop + 1..];
        if rest.as_bytes()[stop] == b'"' {
            return Some((string, after));
        }
        let (c, after) = escape(after)?;
        string.push(c);
        rest = after;
    }
}

/// What follows a backslash.
fn escape(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let c = match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let (first, rest) = unit(chars.as_str())?;
            let low = rest.strip_prefix("\\u").and_then(unit);
            // Two halves of a character; a half alone is none.
            return Some(match (first, low) {
                (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, rest))) => {
                    let code = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(code).unwrap_or('\u{fffd}'), rest)
                }
                _ => (char::from_u32(first).unwrap_or('\u{fffd}'), rest),
            });
        }
        _ => return None,
    };
    Some((c, chars.as_str()))
}

/// Four hexadecimal digits.
fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u32::from_str_radix(digits, 16).ok()?, &text[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_nothing_else() {
        let line = r#"{"Time":"2026-11-29T18:09:26Z","Action":"output","Package":"p/a","Test":"TestX/\ud83d\ude00_\u003c","Output":"a\tb\\\n","OutputType":"frame"}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(record.package.as_deref(), Some("p/a"));
        assert_eq!(record.test.as_deref(), Some("TestX/😀_<"));
        assert_eq!(record.output.as_deref(), Some("a\tb\\\n"));
        let line = r#"{"Action":"fail","Package":"p","Elapsed":0.25,"FailedBuild":"p [p.test]"}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!((record.elapsed_ms, record.failed_build), (Some(250), true));
        for text in [
            r#"{"time":"2026-11-29T18:09:26Z","level":"INFO","Action":"run","Package":"p"}"#,
            r#"{"Time":"now","Action":"open","Package":"p"}"#,
            r#"{"Time":"now","Action":"run","Package":"p""#,
            r#"{"Time":"now","Action":"run","Package":"p"} and"#,
            r#"{"Time":"now","Action":"run"}"#,
            r#"{"Action":"run","Package":{"name":"p"}}"#,
            r#"{"Action":"run","Package":"\u12"}"#,
            r#"{"Action":"run","Package":"\ud83d","Elapsed":1e999}"#,
            "{\"Action\":\"",
        ] {
            let found = Record::parse(text);
            assert!(found.is_none() || text.contains("1e999"), "{text}: {found:?}");
        }
    }
}
