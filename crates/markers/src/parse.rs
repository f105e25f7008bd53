//! One line of output to a marker. Linear time on any input: a candidate that turns out to be no
//! marker has cost no more than the way to the next one.

use crate::{
    LINE_BYTES_MAX, Marker, MarkerError, NAME_BYTES_MAX, Params,
    boundary::{self, Word},
    params, text,
};

/// So much of a line that is too long decides whether it began like a marker.
pub(crate) const HEAD_BYTES: usize = 1024;

/// Parses one line, without its line end. `Ok(None)`: ordinary output.
///
/// # Errors
/// [`MarkerError::TooLong`] for a marker whose name, key, path or description is over
/// [`NAME_BYTES_MAX`]; [`MarkerError::LineTooLong`] for a line over [`LINE_BYTES_MAX`] that begins
/// like one.
pub fn parse(line: &[u8]) -> Result<Option<Marker>, MarkerError> {
    // The word stands in the line's own bytes: the scanner's search sees no other, so an escape
    // sequence in its middle must not count here either.
    let may_hold = |colon| boundary::word_before(line, colon).is_some();
    if line.len() > LINE_BYTES_MAX {
        return too_long(line).map_or(Ok(None), Err);
    }
    if !memchr::memchr_iter(b':', line).any(may_hold) {
        return Ok(None);
    }
    let text = text::plain(line);
    let shown = text::shown(&text);
    if boundary::is_trace(shown) {
        return Ok(None);
    }
    for colon in memchr::memchr_iter(b':', shown.as_bytes()) {
        let Some((word, start)) = boundary::word_before(shown.as_bytes(), colon) else { continue };
        if !boundary::allows(&shown[..start], word, &shown[start..colon]) {
            continue;
        }
        if let Some(marker) = build(word, shown[colon + 1..].trim_start())? {
            return Ok(Some(marker));
        }
    }
    Ok(None)
}

/// What is said of a line over [`LINE_BYTES_MAX`] that begins like a marker: its first
/// [`HEAD_BYTES`] decide, so that they are all that must be known of it.
pub(crate) fn too_long(line: &[u8]) -> Option<MarkerError> {
    let head = &line[..line.len().min(HEAD_BYTES)];
    let may_hold = |colon| boundary::word_before(head, colon).is_some();
    if !memchr::memchr_iter(b':', head).any(may_hold) {
        return None;
    }
    let text = text::plain(head);
    let shown = text::shown(&text);
    if boundary::is_trace(shown) {
        return None;
    }
    memchr::memchr_iter(b':', shown.as_bytes()).find_map(|colon| {
        let (word, start) = boundary::word_before(shown.as_bytes(), colon)?;
        let is_one = boundary::allows(&shown[..start], word, &shown[start..colon])
            && !shown[colon + 1..].trim_start().is_empty();
        is_one.then_some(MarkerError::LineTooLong { word: word.text(), limit: LINE_BYTES_MAX })
    })
}

/// The marker that `word` and `content` make, if they say enough for one.
fn build(word: Word, content: &str) -> Result<Option<Marker>, MarkerError> {
    if content.is_empty() {
        return Ok(None);
    }
    Ok(Some(match word {
        Word::StepStart => {
            let (name, params) = step(content)?;
            Marker::StepStart { name, params }
        }
        Word::StepComplete => {
            let (name, params) = step(content)?;
            Marker::StepComplete { name, params }
        }
        Word::StepError => {
            Marker::StepError { description: content.to_owned(), params: params_of(content)?.0 }
        }
        Word::StepSkip => {
            let content = content[..second_marker(content).unwrap_or(content.len())].trim();
            let (params, _) = params_of(content)?;
            let (name, reason) = split_name(content);
            let reason = reason[..params::parse(reason).1].trim();
            let (name, _) = step(name)?;
            if name.is_empty() {
                return Ok(None);
            }
            Marker::StepSkip { name, reason: bounded("reason of a skipped step", reason)?, params }
        }
        Word::Progress => {
            let (percent, text) = content.split_once(':').unwrap_or((content, ""));
            let (params, end) = params_of(text)?;
            // `PROGRESS:40 [id=x]`: the parameters may stand where the text would.
            let (more, percent_end) = params_of(percent)?;
            let Some(percent) = percentage(&percent[..percent_end]) else { return Ok(None) };
            let text = bounded("text of a progress", text[..end].trim())?;
            Marker::Progress { percent, text, params: params::joined(more, params) }
        }
        Word::Artifact => {
            let (path, description) = split_path(content);
            if path.is_empty() {
                return Ok(None);
            }
            Marker::Artifact {
                path: bounded("artifact path", path)?,
                description: bounded("artifact description", description)?,
            }
        }
        Word::Meta => match content.split_once(':') {
            Some((key, value)) if !key.trim().is_empty() && !value.trim_start().is_empty() => {
                let key = bounded("metadata key", key.trim())?;
                Marker::Meta { key, value: value.trim().to_owned() }
            }
            _ => return Ok(None),
        },
    }))
}

/// A step's name, never empty, and parameters.
fn step(content: &str) -> Result<(String, Params), MarkerError> {
    // One line is one marker: a second one ends the first one's name.
    let content = content[..second_marker(content).unwrap_or(content.len())].trim();
    let (params, end) = params_of(content)?;
    let name = content[..end].trim();
    Ok((bounded("step name", if name.is_empty() { content } else { name })?, params))
}

fn params_of(content: &str) -> Result<(Params, usize), MarkerError> {
    let (params, name_end) = params::parse(content);
    for (key, _) in &params {
        within_limit("parameter key", key)?;
    }
    Ok((params, name_end))
}

/// Where a second step marker begins, apart from what stands before it.
fn second_marker(content: &str) -> Option<usize> {
    memchr::memchr_iter(b':', content.as_bytes()).find_map(|colon| {
        let (word, start) = boundary::word_before(content.as_bytes(), colon)?;
        let step = !matches!(word, Word::Artifact | Word::Meta | Word::Progress);
        let apart = content[..start].ends_with(char::is_whitespace);
        (step && apart).then_some(start)
    })
}

/// Name and reason, split at the first colon that stands in no parameter.
fn split_name(content: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(next) = content[from..].find(':') {
        let colon = from + next;
        match param_around(content, from, colon) {
            Some(end) => from = end,
            None => return (&content[..colon], &content[colon + 1..]),
        }
    }
    (content, "")
}

/// Where the parameter ends that holds `colon` and begins at `from` or later, if there is one.
fn param_around(content: &str, from: usize, colon: usize) -> Option<usize> {
    let before = &content[from..colon];
    for (open, separator, close) in [('[', '=', ']'), ('{', ':', '}')] {
        let Some(begin) = before.rfind(open).filter(|at| !before[*at..].contains(close)) else {
            continue;
        };
        let Some(end) = content[colon..].find(close).map(|at| colon + at) else { continue };
        if content[from + begin..end].contains(separator) {
            return Some(end + 1);
        }
    }
    let word = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = before.get(word..).unwrap_or_default();
    (word.starts_with("--") && word.contains('=')).then(|| {
        let rest = &content[colon..];
        colon + rest.find(char::is_whitespace).unwrap_or(rest.len())
    })
}

/// 0 to 100, with or without a part behind the point and a percent sign.
fn percentage(text: &str) -> Option<f64> {
    let text = text.trim();
    let text = text.strip_suffix('%').unwrap_or(text).trim_end();
    // What `f64` reads besides (`inf`, `1e2`, `+5`) nobody prints as a percentage.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}

/// Path and description, split at the first colon that is not a drive's or a URL's; both trimmed.
fn split_path(content: &str) -> (&str, &str) {
    let scheme = content.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let rest = &content.as_bytes()[scheme..];
    let from = match scheme {
        0 => 0,
        1 if matches!(rest, [b':', b'\\' | b'/', ..]) => 2,
        _ if rest.starts_with(b"://") => scheme + 3,
        _ => 0,
    };
    match content[from..].find(':') {
        Some(at) => (content[..from + at].trim(), content[from + at + 1..].trim()),
        None => (content.trim(), ""),
    }
}

fn bounded(what: &'static str, text: &str) -> Result<String, MarkerError> {
    within_limit(what, text)?;
    Ok(text.to_owned())
}

fn within_limit(what: &'static str, text: &str) -> Result<(), MarkerError> {
    if text.len() > NAME_BYTES_MAX {
        return Err(MarkerError::TooLong { what, bytes: text.len(), limit: NAME_BYTES_MAX });
    }
    Ok(())
}
