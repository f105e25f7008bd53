//! What a page shows of one line: text without control sequences, in a style, of a known width.

use crate::{
    picture::Picture,
    style::Style,
    token::{Token, Tokens},
    width::{TAB_COLUMNS, columns, symbol},
};

/// A page shows no more than this of a line; behind it stands a way to the rest.
pub const SHOWN_BYTES: usize = 16 * 1024;
/// Nor more columns than these.
pub const SHOWN_COLUMNS: usize = 16 * 1024;
/// Of a longer line only the first [`SHOWN_BYTES`] and the last bytes, this many, are looked at.
pub const LOOKED_BYTES: usize = 1 << 20;
/// A longer target of a link is left out.
const TARGET_BYTES_MAX: usize = 2048;

/// The bytes of one line, without its line end.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// All of them, at most [`LOOKED_BYTES`].
    Whole(&'a [u8]),
    /// Of a longer line.
    Ends {
        /// The first [`SHOWN_BYTES`], or more.
        head: &'a [u8],
        /// The last [`LOOKED_BYTES`].
        tail: &'a [u8],
        /// Length of the line in bytes.
        length: u64,
    },
}

/// A piece of a drawn line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The text to search in: a tab is a tab.
    pub(crate) plain: &'a str,
    /// The text on the page: a tab is spaces.
    pub(crate) shown: &'a str,
    /// How it looks.
    pub(crate) style: Style,
    /// Where it leads.
    pub(crate) link: Option<&'a str>,
}

/// What is known after drawing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What wrapping counts: all columns, less one if the last character has two.
    pub(crate) width: u32,
    /// Times that text was put over earlier text.
    pub(crate) replaced: u32,
    /// Bytes at the end of the line that are not shown.
    pub(crate) rest: u64,
    /// The line's own bytes, styles aside, are not what is shown.
    pub(crate) changed: bool,
}

/// A line as a page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The characters, without any sequence.
    pub text: String,
    /// The characters with SGR sequences where the style changes, from the line's first style on,
    /// and OSC 8 around links. `None`: the line's own bytes, cut by `rest`, show the same.
    pub shown: Option<String>,
    /// What wrapping counts: see [`crate::rows`].
    pub width: u32,
    /// Times that text was put over earlier text: updates that are not shown.
    pub replaced: u32,
    /// Bytes at the end of the line that are not shown.
    pub rest: u64,
}

/// Whether the bytes are all that is shown, one column each: all of 0x20 to 0x7e.
#[inline]
pub(crate) fn is_simple(line: &[u8]) -> bool {
    simple_length(line) == line.len()
}

/// How many simple bytes `line` begins with.
#[inline]
pub(crate) fn simple_length(line: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut at = 0;
    // Eight at once: a high bit, or one that a borrow or a carry sets, is no simple byte.
    while let Some(eight) = line[at..].first_chunk::<8>() {
        let word = u64::from_ne_bytes(*eight);
        let low = word.wrapping_sub(ONES * 0x20);
        let delete = (word & !HIGH).wrapping_add(ONES);
        if (word | low | delete) & HIGH != 0 {
            break;
        }
        at += 8;
    }
    let rest = line[at..].iter().position(|byte| !(0x20..0x7f).contains(byte));
    rest.map_or(line.len(), |rest| at + rest)
}

/// Draws one line that begins in `style`, which is moved on to the line's end.
pub fn draw(source: Source<'_>, style: &mut Style) -> Drawn {
    let mut drawn = Drawn::default();
    let mut shown = String::new();
    let first = *style;
    let mut at = first;
    let mut link: Option<String> = None;
    let extent = draw_with(source, style, &mut |piece| {
        drawn.text.push_str(piece.shown);
        if piece.link != link.as_deref() {
            shown.push_str(&format!("\x1b]8;;{}\x1b\\", piece.link.unwrap_or_default()));
            link = piece.link.map(str::to_owned);
        }
        if piece.style != at {
            at = piece.style;
            at.write(&mut shown);
        }
        shown.push_str(piece.shown);
    });
    if link.is_some() {
        shown.push_str("\x1b]8;;\x1b\\");
    }
    drawn.shown = extent.changed.then_some(shown);
    drawn.width = extent.width;
    drawn.replaced = extent.replaced;
    drawn.rest = extent.rest;
    drawn
}

/// Draws one line, piece by piece.
pub(crate) fn draw_with(
    source: Source<'_>,
    style: &mut Style,
    sink: &mut dyn FnMut(Piece<'_>),
) -> Extent {
    match source {
        Source::Whole(line) => {
            let text = without_returns(line);
            let mut extent = if overwrites(text) {
                Picture::draw(text, style, sink)
            } else {
                straight(text, style, sink)
            };
            extent.changed |= text.len() < line.len();
            extent
        }
        Source::Ends { head, tail, length } => {
            let tail = without_returns(tail);
            if overwrites(tail) {
                // What stood before the first return in sight is not known, nor its column.
                let begin = memchr::memchr(b'\r', tail).unwrap_or(0);
                return Picture::draw(&tail[begin..], style, sink);
            }
            let mut extent = straight(head, &mut style.clone(), sink);
            let shown = head.len() as u64 - extent.rest;
            extent.rest = length - shown;
            skip(tail, style);
            extent
        }
    }
}

/// Moves `style` on over text that is not drawn.
pub(crate) fn skip(mut line: &[u8], style: &mut Style) {
    while let Some(at) = memchr::memchr(0x1b, line) {
        let mut tokens = Tokens::new(&line[at..]);
        let Some((token, _, end)) = tokens.next_token() else { break };
        if let Token::Style(params) = token {
            style.apply(params);
        }
        line = &line[at + end..];
    }
}

/// CR before LF is a line end, not a way back.
fn without_returns(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    &line[..end]
}

/// Whether later text can stand over earlier text.
pub(crate) fn overwrites(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(at) = memchr::memchr3(b'\r', 0x08, 0x1b, rest) {
        if rest[at] != 0x1b {
            return true;
        }
        match Tokens::new(&rest[at..]).next_token() {
            Some((Token::Erase(1 | 2) | Token::Column(_) | Token::Move(_), ..)) => return true,
            Some((.., end)) => rest = &rest[at + end..],
            None => break,
        }
    }
    false
}

/// Draws a line in which nothing stands over anything.
fn straight(line: &[u8], style: &mut Style, sink: &mut dyn FnMut(Piece<'_>)) -> Extent {
    let mut tokens = Tokens::new(line);
    let mut extent = Extent::default();
    let mut column = 0;
    let mut last = 0;
    let mut link = Link::default();
    let mut cut = None;
    while let Some((token, begin, end)) = tokens.next_token() {
        match token {
            Token::Style(params) => {
                style.apply(params);
                continue;
            }
            Token::Link(target) => {
                extent.changed = true;
                if cut.is_none() {
                    let beside = link.end(*style, sink);
                    if beside > 0 {
                        last = 0;
                    }
                    column += beside;
                    link.begin(target);
                }
                continue;
            }
            Token::Removed | Token::Erase(_) => {
                extent.changed = true;
                continue;
            }
            _ if cut.is_some() => continue,
            _ => {}
        }
        let mut buffer = [0; 4];
        let spaces;
        let sign;
        let (plain, shown, wide): (&str, &str, usize) = match token {
            Token::Ascii(run) => {
                let room = (SHOWN_BYTES - begin.min(SHOWN_BYTES)).min(SHOWN_COLUMNS - column);
                let run = &run[..run.len().min(room)];
                if run.len() < end - begin {
                    cut = Some(begin + run.len());
                }
                (run, run, run.len())
            }
            Token::Tab => {
                spaces = " ".repeat(TAB_COLUMNS - column % TAB_COLUMNS);
                extent.changed = true;
                ("\t", &spaces, spaces.len())
            }
            Token::Char(char) => {
                if let Some(text) = symbol(char) {
                    sign = text;
                    extent.changed = true;
                    (&sign, &sign, sign.len())
                } else {
                    let text = &*char.encode_utf8(&mut buffer);
                    (text, text, columns(char))
                }
            }
            _ => ("\u{fffd}", "\u{fffd}", 1),
        };
        if end > SHOWN_BYTES && cut.is_none() || column + wide > SHOWN_COLUMNS {
            cut = cut.or(Some(begin));
            continue;
        }
        link.seen(plain);
        sink(Piece { plain, shown, style: *style, link: link.target() });
        column += wide;
        if wide > 0 {
            last = if matches!(token, Token::Char(_)) && shown.len() == plain.len() && wide == 2 {
                usize::from(shown.chars().count() == 1)
            } else {
                0
            };
        }
    }
    let beside = link.end(*style, sink);
    if beside > 0 {
        last = 0;
    }
    extent.width = (column + beside - last).min(SHOWN_COLUMNS) as u32;
    extent.rest = cut.map_or(0, |at| (line.len() - at) as u64);
    extent
}

/// A link that has begun.
#[derive(Debug, Default)]
struct Link<'a> {
    target: Option<&'a str>,
    text: String,
}

impl<'a> Link<'a> {
    fn begin(&mut self, target: &'a str) {
        self.target = Some(target).filter(|target| is_safe(target));
        self.text.clear();
    }

    fn target(&self) -> Option<&'a str> {
        self.target
    }

    fn seen(&mut self, text: &str) {
        if self.target.is_some() {
            self.text.push_str(text);
        }
    }

    /// Says beside the link where it leads, unless its text does; returns the columns of that.
    fn end(&mut self, style: Style, sink: &mut dyn FnMut(Piece<'_>)) -> usize {
        let Some(target) = self.target.take() else { return 0 };
        if self.text.is_empty() || self.text.contains(target) {
            return 0;
        }
        let beside = format!(" ({target})");
        sink(Piece { plain: &beside, shown: &beside, style, link: None });
        beside.len()
    }
}

/// Whether a page may lead there: http or https, and nothing in it that could hide where.
fn is_safe(target: &str) -> bool {
    let lower = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://"))
        && target.len() <= TARGET_BYTES_MAX
        && target.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows;

    fn drawn(line: &[u8]) -> Drawn {
        draw(Source::Whole(line), &mut Style::default())
    }

    #[test]
    fn ordinary_lines_are_shown_as_they_are() {
        for (line, width) in [
            ("", 0),
            ("hello  world ", 13),
            ("\x1b[1;31mred\x1b[0m", 3),
            ("世界", 3), // The last one may hang over the edge.
            ("世界!", 5),
            ("e\u{301}", 1),
        ] {
            let drawn = drawn(line.as_bytes());
            assert_eq!((drawn.shown, drawn.width), (None, width), "{line:?}");
        }
    }

    #[test]
    fn others_are_shown_as_a_terminal_would() {
        for (line, shown, width, replaced) in [
            ("a\tb", "a       b", 9, 0),
            ("12345678\tb", "12345678        b", 17, 0),
            ("世\tb", "世      b", 9, 0),
            ("text\r", "text", 4, 0),
            ("nul\0 bell\x07", "nul^@ bell^G", 12, 0),
            ("abc\u{202e}def", "abc<202E>def", 12, 0),
            ("\x1b]0;title\x07x", "x", 1, 0),
            ("\x1b[31", "^[[31", 5, 0),
            ("10 %\r50 %\r100 %", "100 %", 5, 2),
            ("abcdef\rxy", "xycdef", 6, 1),
            ("abcdef\r\x1b[Kxy", "xy", 2, 1),
            ("abcdef\x1b[2Kxy", "      xy", 8, 1),
            ("abc\x08\x08X", "aXc", 3, 1),
            ("世界\rab", "ab界", 3, 1),
            ("世界\ra", "a 界", 3, 1),
            ("⠙ a\x1b[1G\x1b[0K⠹ b", "⠹ b", 3, 1),
            ("spin |\x1b[1D/\x1b[1D-", "spin -", 6, 2),
            ("abc\r\x1b[31mX", "\x1b[0;31mX\x1b[mbc", 3, 1),
        ] {
            let drawn = drawn(line.as_bytes());
            assert_eq!(drawn.shown.as_deref(), Some(shown), "{line:?}");
            assert_eq!((drawn.width, drawn.replaced), (width, replaced), "{line:?}");
        }
    }

    #[test]
    fn links_lead_only_where_they_say() {
        for (line, shown) in [
            (
                "\x1b]8;;https://a.b/c\x07docs\x1b]8;;\x07.",
                "\x1b]8;;https://a.b/c\x1b\\docs\x1b]8;;\x1b\\ (https://a.b/c).",
            ),
            (
                "\x1b]8;;https://a.b\x07see https://a.b\x1b]8;;\x07",
                "\x1b]8;;https://a.b\x1b\\see https://a.b\x1b]8;;\x1b\\",
            ),
            ("\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07", "x"),
            ("\x1b]8;;file:///etc/passwd\x07x\x1b]8;;\x07", "x"),
            ("\x1b]8;;https://a b\x07x\x1b]8;;\x07", "x"),
        ] {
            assert_eq!(drawn(line.as_bytes()).shown.as_deref(), Some(shown), "{line:?}");
        }
    }

    #[test]
    fn where_a_link_leads_is_counted_wherever_it_is_said() {
        for end in ["\x1b]8;;\x07", "\x1b]8;;https://x.y\x07", ""] {
            let line = format!("\x1b]8;;https://x.y\x07世{end}");
            assert_eq!(drawn(line.as_bytes()).width, 2 + " (https://x.y)".len() as u32, "{end:?}");
        }
    }

    #[test]
    fn styles_go_on_to_the_next_line() {
        let mut style = Style::default();
        draw(Source::Whole(b"\x1b[1;32mgreen"), &mut style);
        assert_eq!(style.params(), "1;32");
        draw(Source::Whole(b"10%\r\x1b[31m20%"), &mut style);
        assert_eq!(style.params(), "1;31");
        // What is not shown counts as well.
        let long = [vec![b'x'; SHOWN_BYTES], b"\x1b[0;4m".to_vec()].concat();
        draw(Source::Whole(&long), &mut style);
        assert_eq!(style.params(), "4");
    }

    #[test]
    fn a_long_line_is_cut_where_a_character_ends() {
        let line = [vec![b'x'; SHOWN_BYTES - 1], "é and more".as_bytes().to_vec()].concat();
        let cut = drawn(&line);
        assert_eq!((cut.text.len(), cut.rest), (SHOWN_BYTES - 1, 11));
        let tabs = vec![b'\t'; SHOWN_BYTES];
        let cut = drawn(&tabs);
        assert_eq!(cut.width as usize, SHOWN_COLUMNS);
        assert_eq!(cut.rest as usize, SHOWN_BYTES - SHOWN_COLUMNS / TAB_COLUMNS);
    }

    #[test]
    fn of_a_very_long_line_the_ends_are_looked_at() {
        let head = vec![b'h'; SHOWN_BYTES];
        let tail = [b"12 %\r50 %\r99".as_slice(), b"\x1b[31m"].concat();
        let mut style = Style::default();
        let source = Source::Ends { head: &head, tail: &tail, length: 5 << 20 };
        let progress = draw(source, &mut style);
        assert_eq!((progress.text.as_str(), progress.rest), ("99 %", 0));
        assert_eq!(style.params(), "31");
        let source = Source::Ends { head: &head, tail: b"ttt\x1b[m", length: 5 << 20 };
        let straight = draw(source, &mut style);
        assert_eq!(straight.rest, (5 << 20) - SHOWN_BYTES as u64);
        assert!(style.is_plain());
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[ -~]{0,6}".prop_map(String::into_bytes),
            "[世界éa\u{301}😀\u{202e}]{0,4}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..4),
            proptest::sample::select(vec![
                &b"\r"[..],
                b"\x08",
                b"\t",
                b"\x1b[K",
                b"\x1b[2K",
                b"\x1b[1K",
                b"\x1b[3G",
                b"\x1b[2D",
                b"\x1b[C",
                b"\x1b[31m",
                b"\x1b[m",
                b"\x1b]8;;https://x.y\x07",
                b"\x1b]8;;\x07",
            ])
            .prop_map(<[u8]>::to_vec),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn simple_bytes_are_counted_as_one_by_one(line: Vec<u8>, text in "[ -~]{0,40}") {
            for line in [line.clone(), [text.clone().into_bytes(), line].concat(), text.into_bytes()] {
                let expected = line.iter().position(|byte| !(0x20..0x7f).contains(byte));
                prop_assert_eq!(simple_length(&line), expected.unwrap_or(line.len()));
            }
        }

        #[test]
        fn what_is_shown_is_shown_as_itself(line in lines()) {
            let line: Vec<u8> = line.into_iter().filter(|byte| *byte != b'\n').collect();
            let mut style = Style::default();
            let once = draw(Source::Whole(&line), &mut style);
            if let Some(shown) = &once.shown {
                // Nothing is left that a page would have to act on, and links are already said.
                let plain = shown.split("\x1b]8;;").enumerate().map(|(at, part)| {
                    if at == 0 { part } else { part.split_once("\x1b\\").unwrap().1 }
                }).collect::<String>();
                let again = draw(Source::Whole(plain.as_bytes()), &mut Style::default());
                prop_assert_eq!(&again.shown, &None);
                prop_assert_eq!(&again.text, &once.text);
                prop_assert_eq!(again.width, once.width);
            }
            // Wrapped as documented, the text takes the rows that its width says.
            for columns in [1_usize, 2, 3, 7, 80] {
                let (mut column, mut last_row) = (0, 0);
                for char in once.text.chars() {
                    let wide = crate::width::columns(char);
                    if wide > 0 {
                        last_row = column / columns;
                    }
                    column += wide;
                }
                prop_assert_eq!(rows(once.width, columns as u32), last_row as u64 + 1);
            }
        }
    }
}
