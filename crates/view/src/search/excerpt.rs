//! A line with a match in few words: what stands around the first one.

use stepflow_record::{LogReader, RecordError};

use super::{Hit, Pattern, spans};
use crate::{
    draw::{self, Source},
    scan::with_source,
    style::Style,
};

/// Part of the text that a page shows of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The characters.
    pub text: String,
    /// Where in `text` matches stand, in UTF-16 units. None: they are in a part of a long line that
    /// no page shows.
    pub spans: Vec<(u32, u32)>,
    /// Something stands before `text`, and behind it.
    pub cut: (bool, bool),
}

/// At most `chars_max` characters of a hit, a quarter of them before its first match.
pub fn excerpt(
    log: &LogReader,
    pattern: &Pattern,
    hit: Hit,
    chars_max: usize,
) -> Result<Excerpt, RecordError> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let drawn = with_source(log, hit.offset, hit.end, &mut head, &mut tail, |source| {
        draw::draw(source, &mut Style::default())
    })?;
    let found = spans(log, pattern, hit)?;
    let (mut excerpt, begin) =
        around(&drawn.text, found.first().map_or(0, |span| span.0), chars_max);
    excerpt.cut.1 |= drawn.rest > 0;
    let units = excerpt.text.encode_utf16().count() as u32;
    let within = |(from, to): (u32, u32)| {
        let (from, to) = (from.max(begin) - begin, to.max(begin) - begin);
        (from < units || from == to).then(|| (from.min(units), to.min(units)))
    };
    excerpt.spans = found.into_iter().filter_map(within).collect();
    Ok(excerpt)
}

/// The same of a line without a match: its beginning.
pub fn beginning(line: &[u8], chars_max: usize) -> Excerpt {
    let line = &line[..line.len().min(draw::LOOKED_BYTES)];
    let drawn = draw::draw(Source::Whole(line), &mut Style::default());
    let mut excerpt = around(&drawn.text, 0, chars_max).0;
    excerpt.cut.1 |= drawn.rest > 0;
    excerpt
}

/// Characters around place `at`; with the place of the first one, both in UTF-16 units.
fn around(text: &str, at: u32, chars_max: usize) -> (Excerpt, u32) {
    let chars = text.chars().count();
    if chars <= chars_max {
        return (Excerpt { text: text.to_owned(), ..Excerpt::default() }, 0);
    }
    let mut units = 0;
    let before = text.chars().take_while(|char| {
        units += char.len_utf16() as u32;
        units <= at
    });
    // No more room is left at the end than at the beginning is missing.
    let first = before.count().saturating_sub(chars_max / 4).min(chars - chars_max);
    let begin = text.chars().take(first).map(|char| char.len_utf16() as u32).sum();
    let part: String = text.chars().skip(first).take(chars_max).collect();
    let cut = (first > 0, first + chars_max < chars);
    (Excerpt { text: part, spans: Vec::new(), cut }, begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_long_line_has_the_match_in_it() {
        let text = format!("{}é😀needle{}", "a".repeat(100), "b".repeat(100));
        let at = 103; // In UTF-16 units.
        let (excerpt, begin) = around(&text, at, 40);
        assert_eq!(excerpt.text.chars().count(), 40);
        assert_eq!(excerpt.cut, (true, true));
        let units: Vec<u16> = excerpt.text.encode_utf16().collect();
        let from = (at - begin) as usize;
        assert_eq!(String::from_utf16(&units[from..from + 6]).unwrap(), "needle");
        assert_eq!(around("short", 2, 40).0.cut, (false, false));
        assert_eq!(around(&text, 0, 40).0.cut, (false, true));
        assert_eq!(around(&text, 205, 40).0.cut, (true, false));
        assert_eq!(beginning(b"\x1b[1mab\x1b[mcd", 3).text, "abc");
    }
}
