//! Lines of the record to lines of the API: text that never breaks a character in two.

use stepflow_api::{Cursor, LineView, rfc3339_ns};
use stepflow_engine::Handle;
use stepflow_record::{Line, LogReader, RecordError};
use stepflow_view::{SHOWN_BYTES, View, ViewError};

use crate::routes::view;

/// Most text of one answer or message, about.
pub(crate) const TEXT_BYTES_MAX: u64 = 4 << 20;
/// Most text of one message of a stream, about, and most lines.
pub(crate) const MESSAGE_MAX: (u64, usize) = (32 * 1024, 256);
/// Most bytes of one message, about: an empty line takes two hundred to say, a control character six.
/// One piece of a long line may need more, up to six times [`stepflow_record::LINE_TEXT_MAX`].
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What a line takes besides its text.
const LINE_BYTES: usize = 220;
/// Messages that are made at once, each of which holds a few hundred KiB meanwhile: more threads
/// would not read faster.
pub(crate) const READS_AT_ONCE: usize = 16;
/// Lines that are read at once.
const BATCH: usize = 256;

/// Lines from number `from` on, at most `limit`, and no more than about [`TEXT_BYTES_MAX`]. Blocks.
pub(crate) fn by_number(
    log: &LogReader,
    from: u64,
    limit: usize,
) -> Result<Vec<Line>, RecordError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut text = 0;
    while lines.len() < limit && text < TEXT_BYTES_MAX {
        let next = lines.last().map_or(from, |line| line.number + 1);
        let asked = BATCH.min(limit - lines.len());
        let batch = log.lines(next, asked)?;
        let last = batch.len() < asked || batch.last().is_some_and(|line| line.partial);
        text += batch.iter().map(|line| line.text.len() as u64).sum::<u64>();
        lines.extend(batch);
        if last {
            break;
        }
    }
    Ok(lines)
}

/// Pieces of lines from offset `from` on, at most `max`, bytes (about) and lines, and where to go on. A
/// character that is cut at the end is left for the next call unless `whole`: nothing will be
/// added to what is there. Blocks.
pub(crate) fn by_offset(
    log: &LogReader,
    from: u64,
    max: (u64, usize),
    whole: bool,
) -> Result<(Vec<Line>, u64), RecordError> {
    let mut pieces = log.some_from_offset(from, max.0, max.1)?;
    // A line that is delivered in pieces may be cut inside a character: its head moves on.
    for at in 1..pieces.len() {
        let (before, after) = pieces.split_at_mut(at);
        let (Some(before), Some(after)) = (before.last_mut(), after.first_mut()) else { break };
        if before.partial && before.stream == after.stream && before.end == after.offset {
            let tail = before.text.split_off(complete(&before.text));
            before.end -= tail.len() as u64;
            after.offset -= tail.len() as u64;
            after.text.splice(0..0, tail);
        }
    }
    if let Some(last) = pieces.last_mut().filter(|last| last.partial && !whole) {
        let cut = last.text.len() - complete(&last.text);
        last.text.truncate(last.text.len() - cut);
        last.end -= cut as u64;
        if last.text.is_empty() {
            pieces.pop();
        }
    }
    let end = pieces.last().map_or(from, |last| last.end);
    Ok((pieces, end))
}

/// Length of `text` without a character that has only begun.
fn complete(text: &[u8]) -> usize {
    let tail_at = text.len().saturating_sub(3);
    // The first byte of the last character, if it is one of the last three.
    let begin = text[tail_at..].iter().rposition(|byte| byte & 0xc0 != 0x80);
    let Some(begin) = begin.map(|at| tail_at + at) else { return text.len() };
    match std::str::from_utf8(&text[begin..]) {
        Err(error) if error.error_len().is_none() => begin,
        _ => text.len(),
    }
}

/// One message's worth of pieces of lines from offset `from` on, and where to go on. What is recorded
/// behind offset `to` is left for later, where an entry of the index ends there. Blocks.
pub(crate) fn of_message(
    log: &LogReader,
    from: u64,
    to: u64,
    whole: bool,
) -> Result<(Vec<Line>, u64), RecordError> {
    let (bytes, count) = MESSAGE_MAX;
    let max = (bytes.min(to.saturating_sub(from)), count);
    let (mut pieces, end) = by_offset(log, from, max, whole)?;
    let mut bytes = 0;
    let fits = pieces.iter().take_while(|piece| {
        let fits = bytes < MESSAGE_BYTES_MAX;
        bytes += encoded_bytes(piece);
        fits
    });
    let fits = fits.count();
    if fits == pieces.len() {
        return Ok((pieces, end));
    }
    pieces.truncate(fits);
    let end = pieces.last().map_or(from, |last| last.end);
    Ok((pieces, end))
}

/// What a line takes in JSON, about.
fn encoded_bytes(line: &Line) -> usize {
    let text: usize = line
        .text
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum();
    LINE_BYTES + text
}

/// Adds `lines` to `json` as the array that [`to_api`] would become, one after the other: no second
/// copy of all of them is held.
pub(crate) fn write_json(lines: Vec<Line>, handle: &Handle, json: &mut Vec<u8>) {
    let owners: Vec<Option<u32>> =
        handle.read(|state| lines.iter().map(|line| state.owner_of(line.offset)).collect());
    json.reserve_exact(lines.iter().map(encoded_bytes).sum::<usize>() + 16);
    json.push(b'[');
    for (at, (line, step)) in lines.into_iter().zip(owners).enumerate() {
        if at > 0 {
            json.push(b',');
        }
        let begun = json.len();
        if serde_json::to_writer(&mut *json, &line_to_api(line, step)).is_err() {
            json.truncate(begun); // Not possible: numbers and text, into memory.
            json.extend_from_slice(b"null");
        }
    }
    json.push(b']');
}

/// As they are sent.
pub(crate) fn to_api(lines: Vec<Line>, handle: &Handle) -> Vec<stepflow_api::Line> {
    let owners: Vec<Option<u32>> =
        handle.read(|state| lines.iter().map(|line| state.owner_of(line.offset)).collect());
    lines.into_iter().zip(owners).map(|(line, step)| line_to_api(line, step)).collect()
}

fn line_to_api(mut line: Line, step: Option<u32>) -> stepflow_api::Line {
    if line.partial || line.rest > 0 {
        // What has only begun comes with what follows: it is not shown as broken.
        let keep = complete(&line.text);
        if line.rest > 0 {
            line.rest += (line.text.len() - keep) as u64;
        }
        line.text.truncate(keep);
    }
    let (text, lossy) = match String::from_utf8(line.text) {
        Ok(text) => (text, false),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
    };
    stepflow_api::Line {
        n: line.number,
        t: rfc3339_ns(line.time_ns),
        stream: line.stream,
        offset: line.offset,
        bytes: line.end - line.offset,
        text,
        partial: line.partial,
        continued: line.continued,
        lossy,
        rest: line.rest,
        step,
        dropped: line.dropped.map(Into::into),
        view: None,
    }
}

/// As they are sent to a page that shows them: with what it needs to know of each. `hits`: which of
/// them a filter lets through, the others stand around them.
pub(crate) fn to_api_viewed(
    mut lines: Vec<Line>,
    handle: &Handle,
    view: &View,
    hits: Option<&[bool]>,
) -> Result<Vec<stepflow_api::Line>, ViewError> {
    let dressed = view.dress(&lines)?;
    for (line, dressed) in lines.iter_mut().zip(&dressed) {
        let length = line.text.len() as u64 + line.rest;
        // The page shows no more than this, so no more is sent.
        let keep = (length - dressed.drawn.rest).min(SHOWN_BYTES as u64);
        let keep = line.text.len().min(keep as usize);
        line.text.truncate(keep);
        line.rest = length - keep as u64;
    }
    let mut sent = to_api(lines, handle);
    for (at, (line, dressed)) in sent.iter_mut().zip(dressed).enumerate() {
        line.view = Some(LineView {
            style: dressed.style.map(|style| style.params()),
            shown: dressed.drawn.shown,
            width: dressed.drawn.width,
            replaced: dressed.drawn.replaced,
            hidden: dressed.drawn.rest,
            level: view::level(dressed.verdict.level),
            source: view::source(dressed.verdict.finder),
            context: hits.is_some_and(|hits| hits.get(at) == Some(&false)),
        });
    }
    Ok(sent)
}

/// The cursor behind `lines`, or `at` if there are none.
pub(crate) fn cursor_after(lines: &[stepflow_api::Line], at: u64, seq: u64) -> Cursor {
    Cursor { offset: lines.last().map_or(at, |line| line.offset + line.bytes), seq }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_has_only_begun_is_found() {
        let cases: &[(&[u8], usize)] = &[
            (b"", 0),
            (b"abc", 3),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"€".as_bytes()[..2], 0),
            (&"a😀".as_bytes()[..4], 1),
            (b"a\xff", 2),         // Never the beginning of anything.
            (b"a\x80\x80\x80", 4), // Only ends.
        ];
        for (text, length) in cases {
            assert_eq!(complete(text), *length, "{text:?}");
        }
    }
}
