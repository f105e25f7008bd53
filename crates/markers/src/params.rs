//! Parameters: all `[key=value]`, then all `{key:value}`, then all `--key=value`; a later find
//! replaces an earlier one. Linear time on any input.

use std::collections::HashSet;

use crate::{Params, Value};

/// The parameters in `content`, and where the name before them ends.
pub(crate) fn parse(content: &str) -> (Params, usize) {
    let mut params = Params::new();
    let mut name_end = content.len();
    for (open, separator, close) in [(b'[', b'=', b']'), (b'{', b':', b'}')] {
        name_end = name_end.min(enclosed(content, open, separator, close, &mut params));
    }
    for (at, _) in content.match_indices("--") {
        let bytes = content.as_bytes();
        if at > 0 && !bytes[at - 1].is_ascii_whitespace() {
            continue;
        }
        // Even without a value a flag ends the name, as in the original.
        if at > 0 {
            name_end = name_end.min(at);
        }
        let text = &content[at + 2..];
        let key_end = text.find(|c| !is_key(c)).unwrap_or(text.len());
        if let (1.., Some(value)) = (key_end, text[key_end..].strip_prefix('=')) {
            let value = value.split(char::is_whitespace).next().unwrap_or_default();
            if !value.is_empty() {
                params.push((text[..key_end].to_owned(), convert(value)));
            }
            name_end = name_end.min(at);
        }
    }
    (without_replaced(params), name_end)
}

/// `first`, then `later`; a key of `later` replaces the same of `first`.
pub(crate) fn joined(mut first: Params, later: Params) -> Params {
    first.extend(later);
    without_replaced(first)
}

fn enclosed(content: &str, open: u8, separator: u8, close: u8, params: &mut Params) -> usize {
    let bytes = content.as_bytes();
    let mut first = content.len();
    let mut closing = 0; // The first `close` at or behind the place we look at: found once each.
    let mut separating = 0; // The same for `separator`.
    let mut at = 0;
    while let Some(next) = memchr::memchr(open, &bytes[at..]) {
        let begin = at + next;
        at = begin + 1;
        if closing < at {
            match memchr::memchr(close, &bytes[at..]) {
                Some(next) => closing = at + next,
                None => break,
            }
        }
        if separating < at {
            match memchr::memchr(separator, &bytes[at..]) {
                Some(next) => separating = at + next,
                None => break,
            }
        }
        if separating > closing {
            continue; // `[unit]` is part of the name.
        }
        // Meant as a parameter, even if it is none: `[x=]`, `[two words=1]`.
        first = first.min(begin);
        let inner = &content[at..closing];
        let key_end = inner.find(|c| !is_key(c)).unwrap_or(inner.len());
        if key_end == 0 {
            continue;
        }
        let rest = inner[key_end..].trim_start();
        let Some(value) = rest.strip_prefix(char::from(separator)) else { continue };
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        params.push((inner[..key_end].to_owned(), convert(value)));
        at = closing + 1;
    }
    first
}

fn is_key(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Of several assignments to a key, the last.
fn without_replaced(mut params: Params) -> Params {
    // A set, not a search in the list: a line has room for 10,000 keys.
    let mut seen = HashSet::with_capacity(params.len());
    let keep: Vec<bool> = params.iter().rev().map(|(key, _)| seen.insert(key.as_str())).collect();
    let mut keep = keep.into_iter().rev();
    params.retain(|_| keep.next() == Some(true));
    params
}

fn convert(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if let Some((whole, part)) = digits.split_once('.') {
        let some = !whole.is_empty() || !part.is_empty();
        if some
            && plain(whole)
            && plain(part)
            && let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            return Value::Float(number);
        }
    } else if !digits.is_empty() && plain(digits) && (digits == "0" || !digits.starts_with('0'))
        // Leading zeros mean something to whoever wrote them: 007 stays text.
        && let Ok(number) = text.parse()
    {
        return Value::Int(number);
    }
    Value::Text(text.to_owned())
}
