//! A whole execution as one HTML file: own styles, no script, no request, everything escaped. The
//! caller brings the parts in the order of the log, so that no more than a part is ever held.

use std::fmt::Write as _;

use stepflow_model::Stream;
use stepflow_record::Line;

use crate::{
    View, ViewError,
    draw::{Piece, draw_with},
    level::{Level, verdict},
    scan::with_source,
    style::{Colour, Style},
    width::symbol,
};

const CSS: &str = include_str!("html.css");
/// The backgrounds of the file, for the contrast of colours that are not of the sixteen.
const LIGHT: [u8; 3] = [0xfb, 0xfc, 0xfc];
const DARK: [u8; 3] = [0x0b, 0x10, 0x15];
/// Least contrast of text, as WCAG has it.
const CONTRAST_MIN: f64 = 4.5;

/// What stands above the log.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The execution's name.
    pub title: &'a str,
    /// What is known of it: a word for people, and the value.
    pub facts: &'a [(&'a str, String)],
    /// All steps, in order, for the list that leads to them.
    pub steps: &'a [HtmlStep],
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlStep {
    /// Its name.
    pub name: String,
    /// Its status, a word without spaces.
    pub status: String,
    /// How long, why: for people.
    pub note: String,
    /// Where it begins.
    pub first_line: u64,
    /// Its parent's place in the list.
    pub parent: Option<usize>,
}

/// The file, part by part.
#[derive(Debug, Default)]
pub struct Html {
    /// Steps that are open, outermost first.
    open: Vec<usize>,
    /// Steps that were open before: what comes again goes on.
    seen: Vec<bool>,
    in_block: bool,
}

impl Html {
    /// Begins the file.
    pub fn head(heading: Heading<'_>, out: &mut String) -> Self {
        out.push_str(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>",
        );
        escape(heading.title, out);
        let _ = write!(out, "</title>\n<style>\n{CSS}</style></head><body>\n<header><h1>");
        escape(heading.title, out);
        out.push_str("</h1><dl>");
        for (word, value) in heading.facts {
            out.push_str("<dt>");
            escape(word, out);
            out.push_str("</dt><dd>");
            escape(value, out);
            out.push_str("</dd>");
        }
        out.push_str("</dl></header>\n");
        if !heading.steps.is_empty() {
            out.push_str("<nav aria-label=\"Steps\"><ol>");
            for step in heading.steps {
                let _ = write!(out, "<li><a href=\"#L{}\">", step.first_line);
                escape(&step.name, out);
                out.push_str("</a> <span class=\"note\">");
                escape(&step.status, out);
                out.push(' ');
                escape(&step.note, out);
                out.push_str("</span></li>\n");
            }
            out.push_str("</ol></nav>\n");
        }
        out.push_str("<main>\n");
        Self { open: Vec::new(), seen: vec![false; heading.steps.len()], in_block: false }
    }

    /// What follows belongs to the step `owner`: opens and closes steps as it takes.
    pub fn owner(&mut self, owner: Option<usize>, steps: &[HtmlStep], out: &mut String) {
        let mut path = Vec::new();
        let mut at = owner;
        // A parent comes before its children: this ends.
        while let Some(step) = at.filter(|at| *at < steps.len() && !path.contains(at)) {
            path.push(step);
            at = steps[step].parent;
        }
        path.reverse();
        let same = self.open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        if same == self.open.len() && same == path.len() {
            return;
        }
        self.end_block(out);
        for _ in same..self.open.len() {
            out.push_str("</details>\n");
        }
        self.open.truncate(same);
        for step in path.drain(same..) {
            let HtmlStep { name, status, note, .. } = &steps[step];
            out.push_str("<details open class=\"");
            escape(status, out);
            out.push_str("\"><summary>");
            escape(name, out);
            out.push_str(" <span class=\"note\">");
            escape(status, out);
            out.push(' ');
            escape(note, out);
            if std::mem::replace(&mut self.seen[step], true) {
                out.push_str(" (continued)");
            }
            out.push_str("</span></summary>\n");
            self.open.push(step);
        }
    }

    /// Lines are missing here; `how`: how to get them.
    pub fn left_out(&mut self, from: u64, to: u64, how: &str, out: &mut String) {
        self.end_block(out);
        let _ = write!(
            out,
            "<p class=\"gap\" role=\"note\">Lines {from} to {to} are not in this file, which \
             would be too large for a browser. To get them: <code>"
        );
        escape(how, out);
        out.push_str("</code></p>\n");
    }

    /// Ends the file.
    pub fn foot(&mut self, out: &mut String) {
        self.end_block(out);
        for _ in self.open.drain(..) {
            out.push_str("</details>\n");
        }
        out.push_str("</main></body></html>\n");
    }

    fn end_block(&mut self, out: &mut String) {
        if std::mem::take(&mut self.in_block) {
            out.push_str("</div>\n");
        }
    }

    /// Lines that follow one another as the log has them, all of one owner.
    pub fn lines(
        &mut self,
        view: &View,
        lines: &[Line],
        out: &mut String,
    ) -> Result<(), ViewError> {
        let Some(first) = lines.first() else { return Ok(()) };
        let mut style = view.style_at(first)?.unwrap_or_default();
        self.end_block(out);
        out.push_str("<div class=\"b\">\n");
        self.in_block = true;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        let (mut html, mut text) = (String::new(), String::new());
        for line in lines {
            html.clear();
            text.clear();
            let mut link = None;
            let mut sink = |piece: Piece<'_>| {
                text.push_str(piece.shown);
                write_piece(piece, &mut link, &mut html);
            };
            let end = line.offset + line.text.len() as u64 + line.rest;
            let extent = if line.rest == 0 {
                draw_with(crate::Source::Whole(&line.text), &mut style, &mut sink)
            } else {
                with_source(view.log(), line.offset, end, &mut head, &mut tail, |source| {
                    draw_with(source, &mut style, &mut sink)
                })?
            };
            if link.is_some() {
                html.push_str("</a>");
            }
            let number = line.number;
            let level = match verdict(&text).level {
                Level::Error => " error",
                Level::Warning => " warning",
                _ => "",
            };
            let stderr = if line.stream == Stream::Stderr { " err" } else { "" };
            let _ = write!(
                out,
                "<div class=\"l{level}{stderr}\" id=\"L{number}\"><a href=\"#L{number}\">{number}\
                 </a><span>{html}"
            );
            if extent.rest > 0 {
                let _ = write!(out, "<span class=\"r\"> [{} bytes more]</span>", extent.rest);
            }
            out.push_str("</span></div>\n");
        }
        Ok(())
    }
}

/// A piece of a line; a link to http or https is one here too, for a reader with a network.
fn write_piece(piece: Piece<'_>, link: &mut Option<String>, html: &mut String) {
    if piece.link != link.as_deref() {
        if link.is_some() {
            html.push_str("</a>");
        }
        *link = piece.link.map(str::to_owned);
        if let Some(target) = link {
            html.push_str("<a rel=\"noopener noreferrer\" target=\"_blank\" href=\"");
            escape(target, html);
            html.push_str("\">");
        }
    }
    if piece.style.is_plain() {
        escape(piece.shown, html);
        return;
    }
    html.push_str("<span");
    write_style(piece.style, html);
    html.push('>');
    escape(piece.shown, html);
    html.push_str("</span>");
}

fn write_style(mut style: Style, html: &mut String) {
    let mut words: Vec<&str> = style.words().collect();
    // With colours of its own, inverse is the two exchanged; without, a class does it.
    let coloured = style.fg != Colour::Default || style.bg != Colour::Default;
    if words.contains(&"inverse") && coloured {
        std::mem::swap(&mut style.fg, &mut style.bg);
    }
    if words.contains(&"conceal") {
        style.fg = Colour::Default;
    }
    words.sort_unstable();
    if !words.is_empty() {
        let _ = write!(html, " class=\"{}\"", words.join(" "));
    }
    let mut css = String::new();
    match style.bg {
        Colour::Default => {
            if let Some(text) = text_colour(style.fg) {
                let _ = write!(css, "color:{text};");
            }
        }
        Colour::Indexed(at @ 0..16) => {
            let _ = write!(css, "background:var(--a{at});color:var(--bg);");
        }
        ground => {
            // On a ground of its own the text is what can be read there.
            let ground = rgb(ground).unwrap_or(LIGHT);
            let text = rgb(style.fg).unwrap_or(if luminance(ground) > 0.18 {
                [16, 20, 24]
            } else {
                [246, 248, 249]
            });
            let _ =
                write!(css, "background:{};color:{};", hex(ground), hex(readable(text, ground)));
        }
    }
    if !css.is_empty() {
        let _ = write!(html, " style=\"{css}\"");
    }
}

fn text_colour(colour: Colour) -> Option<String> {
    if let Colour::Indexed(at @ 0..16) = colour {
        return Some(format!("var(--a{at})"));
    }
    let own = rgb(colour)?;
    Some(format!("light-dark({},{})", hex(readable(own, LIGHT)), hex(readable(own, DARK))))
}

/// A colour that is not one of the theme's sixteen.
fn rgb(colour: Colour) -> Option<[u8; 3]> {
    match colour {
        Colour::Default | Colour::Indexed(0..16) => None,
        Colour::Rgb(r, g, b) => Some([r, g, b]),
        Colour::Indexed(at @ 232..) => Some([8 + (at - 232) * 10; 3]),
        Colour::Indexed(at) => {
            let level = |value: u8| if value == 0 { 0 } else { 55 + value * 40 };
            let cube = at - 16;
            Some([level(cube / 36), level(cube / 6 % 6), level(cube % 6)])
        }
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Relative luminance (WCAG 2.2).
fn luminance(colour: [u8; 3]) -> f64 {
    let [r, g, b] = colour.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// `text`, moved towards black or white as far as it takes to be read on `ground`.
fn readable(text: [u8; 3], ground: [u8; 3]) -> [u8; 3] {
    // Above this luminance black stands out more than white.
    let to = if luminance(ground) > 0.179 { 0.0 } else { 255.0 };
    let mixed = |part: u32| {
        let part = f64::from(part) / 20.0;
        text.map(|value| (f64::from(value) * (1.0 - part) + to * part).round() as u8)
    };
    (0..=20).map(mixed).find(|mixed| contrast(*mixed, ground) >= CONTRAST_MIN).unwrap_or(mixed(20))
}

/// `text` as text of HTML, in an attribute too; what cannot be seen is shown.
fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => match symbol(char) {
                Some(symbol) => escape(&symbol, out),
                None => out.push(char),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_whatever_they_hold() {
        let mut out = String::new();
        let steps = [HtmlStep {
            name: "<img src=x onerror=alert(1)>\u{202e}\u{1b}".to_owned(),
            status: "\"><script>".to_owned(),
            note: "&".to_owned(),
            first_line: 1,
            parent: Some(0), // A circle ends.
        }];
        let heading = Heading {
            title: "</title><script>alert(1)</script>",
            facts: &[("Command", "'\"<b>".to_owned())],
            steps: &steps,
        };
        let mut html = Html::head(heading, &mut out);
        html.owner(Some(0), &steps, &mut out);
        html.left_out(2, 9, "<how>", &mut out);
        html.owner(None, &steps, &mut out);
        html.owner(Some(0), &steps, &mut out);
        html.foot(&mut out);
        assert!(!out.contains("<script") && !out.contains("<img") && !out.contains("<b>"), "{out}");
        assert!(!out.contains('\u{202e}') && !out.contains('\u{1b}'));
        assert!(out.contains("&lt;202E&gt;^["));
        assert_eq!(out.matches("<details").count(), out.matches("</details>").count());
        assert_eq!(out.matches("(continued)").count(), 1);
    }

    #[test]
    fn every_colour_can_be_read_on_every_ground() {
        for at in 16..=255 {
            let own = rgb(Colour::Indexed(at)).unwrap_or_default();
            for ground in [LIGHT, DARK, [0, 0, 0], [255, 255, 255], [128, 128, 128], own] {
                let ratio = contrast(readable(own, ground), ground);
                assert!(ratio >= CONTRAST_MIN, "{at} on {ground:?}: {ratio}");
            }
        }
        // What can be read is left as it is.
        assert_eq!(readable([200, 0, 0], LIGHT), [200, 0, 0]);
    }

    #[test]
    fn a_style_is_classes_and_colours() {
        let cases = [
            ("1;31", " class=\"bold\" style=\"color:var(--a1);\""),
            ("7", " class=\"inverse\""),
            ("41", " style=\"background:var(--a1);color:var(--bg);\""),
            ("48;2;255;255;255", " style=\"background:#ffffff;color:#101418;\""),
            ("8;31", " class=\"conceal\""),
        ];
        for (params, expected) in cases {
            let mut style = Style::default();
            style.apply(params.as_bytes());
            let mut out = String::new();
            write_style(style, &mut out);
            assert_eq!(out, expected, "{params}");
        }
    }
}
