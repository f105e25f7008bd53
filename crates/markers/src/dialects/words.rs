//! Small readers that several grammars share.

/// `text` with the escapes of `table` replaced, one after the other.
pub(crate) fn unescape(text: &str, table: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    if text.contains('%') {
        for (escape, meaning) in table {
            text = text.replace(escape, meaning);
        }
    }
    text
}

/// A number written with digits alone, in range.
pub(crate) fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The characters at the front that are so, at least one, and the rest.
pub(crate) fn split_while(text: &str, is: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !is(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `text` without `prefix`, in any case of ASCII letters.
pub(crate) fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// `text`, unless it is empty.
pub(crate) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The beginning of `text`, at most so many bytes of it.
pub(crate) fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
