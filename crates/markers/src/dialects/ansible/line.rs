//! One line of a playbook's output.

use crate::dialects::words::split_while;

/// No host has a longer name: that of the domain name system has at most 253 bytes.
const HOST_BYTES_MAX: usize = 255;

/// A line of stars behind what begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Banner<'a> {
    Play(&'a str),
    Task(&'a str),
    Handler(&'a str),
    NoMoreHosts,
    Recap,
}

/// What became of a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    Done(&'a str),
    Skipped(&'a str),
    /// `item`: which one of a loop, as printed.
    Failed {
        host: &'a str,
        message: String,
        item: Option<&'a str>,
    },
}

pub(super) fn banner(text: &str) -> Option<Banner<'_>> {
    let text = text.trim_end();
    let head = text.trim_end_matches('*');
    if text.len() - head.len() < 3 {
        return None;
    }
    let head = head.strip_suffix(' ')?;
    match head {
        "PLAY RECAP" => return Some(Banner::Recap),
        "NO MORE HOSTS LEFT" => return Some(Banner::NoMoreHosts),
        _ => {}
    }
    let head = head.strip_suffix(" [CHECK MODE]").unwrap_or(head);
    let (what, name) = head.strip_suffix(']')?.split_once('[')?;
    if name.trim().is_empty() {
        return None;
    }
    match what {
        "PLAY " => Some(Banner::Play(name)),
        "TASK " => Some(Banner::Task(name)),
        "RUNNING HANDLER " => Some(Banner::Handler(name)),
        _ => None,
    }
}

pub(super) fn outcome(text: &str) -> Option<Outcome<'_>> {
    let (word, rest) = text.split_once(": [")?;
    let (name, rest) = rest.split_once(']')?;
    // What was done elsewhere for a host counts for the host.
    let host = name.split(" -> ").next().unwrap_or(name);
    if host.is_empty() || host.len() > HOST_BYTES_MAX || host.contains(char::is_whitespace) {
        return None;
    }
    match word {
        "ok" | "changed" => Some(Outcome::Done(host)),
        "skipping" => Some(Outcome::Skipped(host)),
        "fatal" | "failed" => {
            let item = rest.strip_prefix(" (item=").and_then(|rest| rest.split_once(") => "));
            let item = item.map(|(item, _)| item);
            if item.is_none() && !rest.contains("FAILED!") && !rest.contains("UNREACHABLE!") {
                return None;
            }
            let result = rest.split_once("=> ").and_then(|(_, json)| string(json, "msg"));
            let message = result.unwrap_or_else(|| rest.trim_start_matches([':', ' ']).to_owned());
            Some(Outcome::Failed { host, message, item })
        }
        _ => None,
    }
}

/// A row of the recap: the host and its counts.
pub(super) fn recap(text: &str) -> Option<(&str, String)> {
    let (host, counts) = text.split_once(" : ")?;
    let host = host.trim_end();
    let is_count = |word: &str| {
        let count = word.split_once('=').and_then(|(_, n)| split_while(n, |c| c.is_ascii_digit()));
        count.is_some_and(|(_, rest)| rest.is_empty())
    };
    let words: Vec<&str> = counts.split_whitespace().collect();
    let is_row = words.first().is_some_and(|word| word.starts_with("ok="));
    (is_row && words.iter().all(|word| is_count(word)) && !host.is_empty())
        .then(|| (host, words.join(" ")))
}

/// The string of this key in a JSON object, not in what is inside it.
fn string(json: &str, key: &str) -> Option<String> {
    let mut rest = json.trim_start().strip_prefix('{')?.trim_start();
    loop {
        let (name, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        if name == key {
            return quoted(rest).map(|(text, _)| text);
        }
        rest = after_value(rest)?.trim_start().strip_prefix(',')?.trim_start();
    }
}

/// A JSON string, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut string = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((string, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => string.push('\n'),
                't' => string.push('\t'),
                'r' => string.push('\r'),
                'b' | 'f' => {}
                'u' => {
                    let mut unit = || {
                        let digits = chars.as_str().get(..4)?;
                        let unit = u16::from_str_radix(digits, 16).ok()?;
                        chars.nth(3)?;
                        Some(unit)
                    };
                    let first = unit()?;
                    let mut units = vec![first];
                    if (0xd800..0xdc00).contains(&first) && chars.as_str().starts_with("\\u") {
                        chars.nth(1)?;
                        let digits = chars.as_str().get(..4)?;
                        units.push(u16::from_str_radix(digits, 16).ok()?);
                        chars.nth(3)?;
                    }
                    string.push_str(&String::from_utf16_lossy(&units));
                }
                other => string.push(other),
            },
            c => string.push(c),
        }
    }
    None
}

/// What stands behind a JSON value.
fn after_value(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b'}' if depth == 0 => return Some(&text[at..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_runs_to_its_last_bracket() {
        assert_eq!(banner("TASK [a [b]] ***"), Some(Banner::Task("a [b]")));
        assert_eq!(banner("PLAY [a] [CHECK MODE] ****"), Some(Banner::Play("a")));
        for text in ["PLAY [x] **", "PLAY [x]***", "PLAY [x]", "TASK [] ***", "TASK ***", "*****"] {
            assert_eq!(banner(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_is_the_one_of_the_result_itself() {
        let text = r#"{"cmd": ["a", "}"], "in": {"msg": "no"}, "n": 3, "msg": "\"a\"\n\u00e4\ud83d\ude00"}"#;
        assert_eq!(string(text, "msg").as_deref(), Some("\"a\"\nä😀"));
        for text in ["", "{", "{}", "{\"msg\"", "{\"msg\": 3}", "{\"msg\": \"\\u12", "{\"a\": \"\\"]
        {
            assert_eq!(string(text, "msg"), None, "{text}");
        }
    }

    #[test]
    fn a_failure_without_a_message_says_what_the_line_says() {
        let failed = |message: &str, item| {
            Some(Outcome::Failed { host: "a", message: message.to_owned(), item })
        };
        assert_eq!(outcome("fatal: [a]: FAILED! => {"), failed("FAILED! => {", None));
        assert_eq!(
            outcome("failed: [a -> b] (item=x) => {\"msg\": \"m\"}"),
            failed("m", Some("x"))
        );
        assert_eq!(outcome("failed: [a] to start"), None);
        assert_eq!(outcome("ok: [a b]"), None);
        assert_eq!(outcome(&format!("ok: [{}]", "a".repeat(256))), None);
    }
}
