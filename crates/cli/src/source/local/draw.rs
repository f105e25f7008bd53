//! Lines of a record as a page shows them.

use stepflow_api::{Line, LineView, rfc3339_ns};
use stepflow_view::{Level, SHOWN_BYTES, View};

use super::{super::meta, BATCH, TEXT_BYTES_MAX};
use crate::{failure::Failure, text::why};

/// The levels that these words name.
pub(super) fn levels(words: &str) -> Result<[bool; 5], Failure> {
    let mut levels = [false; 5];
    for word in words.split(',') {
        let level = match word {
            "error" => Level::Error,
            "warning" => Level::Warning,
            "notice" => Level::Notice,
            "debug" => Level::Debug,
            "other" => Level::Other,
            _ => return Err(Failure::new(why::not_a_level(word))),
        };
        levels[level.index()] = true;
    }
    Ok(levels)
}

/// Lines from `from` on, as many as one answer takes.
pub(super) fn read(
    view: &View,
    from: u64,
    limit: usize,
) -> Result<Vec<stepflow_record::Line>, Failure> {
    let mut lines: Vec<stepflow_record::Line> = Vec::new();
    let mut text = 0;
    while lines.len() < limit && text < TEXT_BYTES_MAX {
        let next = lines.last().map_or(from.max(1), |line| line.number + 1);
        let asked = BATCH.min(limit - lines.len());
        let batch = view.log().lines(next, asked)?;
        let last = batch.len() < asked || batch.last().is_some_and(|line| line.partial);
        text += batch.iter().map(|line| line.text.len() as u64).sum::<u64>();
        lines.extend(batch);
        if last {
            break;
        }
    }
    Ok(lines)
}

/// Lines with what a page needs to know of each.
pub(super) fn dress(
    view: &View,
    lines: Vec<stepflow_record::Line>,
    owner: impl Fn(u64) -> Option<u32>,
) -> Result<Vec<Line>, Failure> {
    let dressed = view.dress(&lines).map_err(|error| Failure::from_error(&error))?;
    let line = |(mut line, dressed): (stepflow_record::Line, stepflow_view::Dressed)| {
        let length = line.text.len() as u64 + line.rest;
        // A page shows no more than this.
        let keep = (length - dressed.drawn.rest).min(SHOWN_BYTES as u64);
        line.text.truncate(line.text.len().min(keep as usize));
        line.rest = length - line.text.len() as u64;
        if line.partial || line.rest > 0 {
            // What has only begun comes with what follows: it is not shown as broken.
            let whole = complete(&line.text);
            if line.rest > 0 {
                line.rest += (line.text.len() - whole) as u64;
            }
            line.text.truncate(whole);
        }
        let (text, lossy) = match String::from_utf8(line.text) {
            Ok(text) => (text, false),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
        };
        Line {
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
            step: owner(line.offset),
            dropped: line.dropped.map(Into::into),
            view: Some(LineView {
                style: dressed.style.map(|style| style.params()),
                shown: dressed.drawn.shown,
                width: dressed.drawn.width,
                replaced: dressed.drawn.replaced,
                hidden: dressed.drawn.rest,
                level: meta::level(dressed.verdict.level),
                source: meta::source(dressed.verdict.finder),
                context: false,
            }),
        }
    };
    Ok(lines.into_iter().zip(dressed).map(line).collect())
}

/// Length of `text` without a character that has only begun.
fn complete(text: &[u8]) -> usize {
    let tail_at = text.len().saturating_sub(3);
    let begin = text[tail_at..].iter().rposition(|byte| byte & 0xc0 != 0x80);
    let Some(begin) = begin.map(|at| tail_at + at) else { return text.len() };
    match std::str::from_utf8(&text[begin..]) {
        Err(error) if error.error_len().is_none() => begin,
        _ => text.len(),
    }
}
