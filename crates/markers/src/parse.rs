//! One line of output to a marker.

use std::borrow::Cow;

use crate::{
    LINE_BYTES_MAX, Marker, MarkerError, NAME_BYTES_MAX,
    boundary::{self, Word},
    params,
};

/// Parses one line, without its line end. `Ok(None)`: ordinary output.
///
/// # Errors
/// [`MarkerError::TooLong`] for a marker whose name, key or path is over [`NAME_BYTES_MAX`].
pub fn parse(line: &[u8]) -> Result<Option<Marker>, MarkerError> {
    // The word stands in the line's own bytes: the scanner's search sees no other, so an escape
    // sequence in its middle must not count here either.
    let may_hold = |colon| boundary::word_before(line, colon).is_some();
    if line.len() > LINE_BYTES_MAX || !memchr::memchr_iter(b':', line).any(may_hold) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(line);
    let text = without_escapes(&text);
    // What a terminal shows of a line with carriage returns is its last part.
    let shown = text.split('\r').map(str::trim).rfind(|part| !part.is_empty()).unwrap_or_default();
    for colon in memchr::memchr_iter(b':', shown.as_bytes()) {
        let Some((word, start)) = boundary::word_before(shown.as_bytes(), colon) else { continue };
        let content = shown[colon + 1..].trim();
        if !content.is_empty() && boundary::allows(&shown[..start], word, &shown[start..colon]) {
            return build(word, content);
        }
    }
    Ok(None)
}

fn build(word: Word, content: &str) -> Result<Option<Marker>, MarkerError> {
    Ok(match word {
        Word::StepStart => {
            let (name, params) = step(content)?;
            Some(Marker::StepStart { name, params })
        }
        Word::StepComplete => {
            let (name, params) = step(content)?;
            Some(Marker::StepComplete { name, params })
        }
        Word::StepError => Some(Marker::StepError {
            description: visible(content),
            params: params::parse(content).0,
        }),
        Word::Artifact => {
            let (path, description) = split_path(content);
            let path = bounded("artifact path", visible(path.trim()))?;
            let description = bounded("artifact description", visible(description.trim()))?;
            (!path.is_empty()).then_some(Marker::Artifact { path, description })
        }
        Word::Meta => {
            let Some((key, value)) = content.split_once(':') else { return Ok(None) };
            let (key, value) = (visible(key.trim()), visible(value.trim()));
            if key.is_empty() || value.is_empty() {
                return Ok(None);
            }
            Some(Marker::Meta { key: bounded("metadata key", key)?, value })
        }
    })
}

fn step(content: &str) -> Result<(String, crate::Params), MarkerError> {
    // One line is one marker: a second one ends the first one's name.
    let content = &content[..second_marker(content).unwrap_or(content.len())];
    let (params, end) = params::parse(content);
    let name = visible(content[..end].trim());
    let name = if name.is_empty() { visible(content.trim()) } else { name };
    Ok((bounded("step name", name)?, params))
}

fn second_marker(content: &str) -> Option<usize> {
    memchr::memchr_iter(b':', content.as_bytes()).find_map(|colon| {
        let (word, start) = boundary::word_before(content.as_bytes(), colon)?;
        let step = matches!(word, Word::StepStart | Word::StepComplete | Word::StepError);
        let apart = content[..start].ends_with(char::is_whitespace);
        (step && apart).then_some(start)
    })
}

/// Path and description, split at the first colon that is not a drive's or a URL's.
fn split_path(content: &str) -> (&str, &str) {
    let bytes = content.as_bytes();
    let mut from = 0;
    let drive = bytes.len() > 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    if drive {
        from = 2;
    } else if let Some(at) = content.find("://")
        && content[..at].bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        from = at + 3;
    }
    match content[from..].find(':') {
        Some(at) => (&content[..from + at], &content[from + at + 1..]),
        None => (content, ""),
    }
}

fn bounded(what: &'static str, text: String) -> Result<String, MarkerError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(MarkerError::TooLong { what, bytes: text.len(), limit: NAME_BYTES_MAX });
    }
    Ok(text)
}

/// `text` without control characters: a name is one line of visible text.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// `text` without escape sequences: colours are no part of a name.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            // CSI: up to its final byte.
            Some('[') => {
                while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
                chars.next_if(|c| ('@'..='~').contains(c));
            }
            // Strings (OSC, DCS, …): up to BEL or ST.
            Some(']' | 'P' | '_' | '^' | 'X') => {
                while let Some(c) = chars.next() {
                    if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            Some(' '..='/') => {
                while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
                chars.next();
            }
            Some(_) | None => {}
        }
    }
    Cow::Owned(plain)
}
