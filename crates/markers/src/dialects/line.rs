//! One line and the four ways of looking at it.

use std::borrow::Cow;

use super::event::{Place, Stream};
use crate::text;

/// A line of output, without its line feed.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    raw: Cow<'a, str>,
    plain: Cow<'a, str>,
    /// The part of `plain` that stays on the screen.
    shown: (usize, usize),
    follows_blank: bool,
    /// Its stream and its bytes' place in the output.
    pub(crate) place: Place,
    /// The bytes of the line before it in its stream, where problem matchers are in use; empty if
    /// it was too long or there was none.
    pub(crate) before: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    pub(crate) fn new(bytes: &'a [u8], place: Place) -> Self {
        let raw = String::from_utf8_lossy(bytes);
        let plain = match &raw {
            Cow::Borrowed(raw) => plain(raw),
            Cow::Owned(raw) => Cow::Owned(plain(raw).into_owned()),
        };
        let shown = shown(&plain);
        Self { raw, plain, shown, follows_blank: false, place, before: None }
    }

    /// The same, where a blank line stands before it in its stream, or nothing.
    pub(crate) fn after_blank(self, follows_blank: bool) -> Self {
        Self { follows_blank, ..self }
    }

    /// As printed, a carriage return before the line feed included; invalid UTF-8 is U+FFFD.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// Without escape sequences and the carriage return before the line feed.
    pub(crate) fn plain(&self) -> &str {
        &self.plain
    }

    /// What stays on the screen: of a line that overwrites itself the last part that is not blank.
    pub(crate) fn visible(&self) -> &str {
        &self.plain[self.shown.0..self.shown.1]
    }

    /// [`Line::visible`] without blanks in front.
    pub(crate) fn trimmed(&self) -> &str {
        self.visible().trim_start()
    }

    /// Whether the line before it in its stream is blank, or there is none.
    pub(crate) fn follows_blank(&self) -> bool {
        self.follows_blank
    }

    /// Its stream.
    pub(crate) fn stream(&self) -> Stream {
        self.place.stream
    }
}

/// `raw` without escape sequences and without one carriage return at its end.
pub(crate) fn plain(raw: &str) -> Cow<'_, str> {
    let raw = raw.strip_suffix('\r').unwrap_or(raw);
    if !raw.contains('\x1b') {
        return Cow::Borrowed(raw);
    }
    let mut plain = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            text::skip_escape(&mut chars);
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

/// The last part between carriage returns that is not blank; empty if all are.
fn shown(plain: &str) -> (usize, usize) {
    if !plain.contains('\r') {
        return (0, plain.len());
    }
    let mut end = plain.len();
    for part in plain.rsplit('\r') {
        let start = end - part.len();
        if !part.trim().is_empty() {
            return (start, end);
        }
        end = start.saturating_sub(1);
    }
    (0, 0)
}

/// Text for a place that shows one line, such as a step's name: each run of control characters is a
/// space; at most [`crate::NAME_BYTES_MAX`] bytes.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(crate::NAME_BYTES_MAX));
    let mut after_control = false;
    for c in text.trim().chars() {
        if line.len() + c.len_utf8() > crate::NAME_BYTES_MAX {
            break;
        }
        if c.is_control() {
            if !after_control {
                line.push(' ');
            }
        } else {
            line.push(c);
        }
        after_control = c.is_control();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_view_leaves_out_what_it_says() {
        let line = Line::new(b"\x1b[1m 10%\r \x1b]0;t\x07 99%\xff\r \r\r", Place::default());
        assert_eq!(line.raw(), "\x1b[1m 10%\r \x1b]0;t\x07 99%\u{fffd}\r \r\r");
        assert_eq!(line.plain(), " 10%\r  99%\u{fffd}\r \r");
        assert_eq!(line.visible(), "  99%\u{fffd}");
        assert_eq!(line.trimmed(), "99%\u{fffd}");
        assert_eq!(Line::new(b"\r \r", Place::default()).visible(), "");
        assert_eq!(Line::new(b"a\x1b[3", Place::default()).plain(), "a", "unterminated: dropped");
    }

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(one_line(" two\r\nlines\t! "), "two lines !");
        let long = one_line(&"ä".repeat(3_000));
        assert_eq!(long.len(), 4_096);
    }
}
