//! GitLab CI sections.
//!
//! Source: `gitlabhq/gitlabhq`, `lib/gitlab/ci/ansi2json`, `lib/gitlab/regex.rb`.

use super::{
    Context, Dialect, Line, StepStatus, Taken, Watch, line::plain, tree::Label, watch::Needle,
    words::split_while,
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(GitLab)
}

/// More options than this are no option list.
const OPTIONS_MAX: usize = 32;

struct GitLab;

struct Marker<'a> {
    starts: bool,
    time: &'a str,
    name: &'a str,
    options: Vec<(String, String)>,
}

impl Dialect for GitLab {
    fn watch(&self) -> Watch {
        Watch::none().needle(Needle::Section)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let raw = line.raw();
        let mut open: Option<Marker<'_>> = None;
        let mut text_from = 0;
        let mut taken = Taken::No;
        for (at, _) in raw.match_indices("section_") {
            if at < text_from {
                continue;
            }
            let Some((marker, len)) = parse(&raw[at..]) else { continue };
            text(open.take(), &raw[text_from..at], cx);
            open = Some(marker);
            text_from = at + len;
            taken = Taken::Yes;
        }
        if taken == Taken::Yes {
            text(open, &raw[text_from..], cx);
        }
        taken
    }
}

/// Carries out a marker, and what is to be done with the text behind it.
fn text(marker: Option<Marker<'_>>, behind: &str, cx: &mut Context<'_>) {
    let behind = plain(behind);
    let behind = behind.trim();
    let Some(marker) = marker else { return log(behind, cx) };
    let label = Label::new("section", &normal(marker.name));
    if let Some(step) = cx.find_label(label) {
        cx.end(step, StepStatus::Done, None);
    }
    if marker.starts {
        let name = if behind.is_empty() { marker.name } else { behind };
        let mut params = vec![
            ("section".to_owned(), marker.name.to_owned()),
            ("ts".to_owned(), marker.time.to_owned()),
        ];
        params.extend(marker.options);
        cx.start(label, name, params);
    } else {
        log(behind, cx);
    }
}

fn log(text: &str, cx: &mut Context<'_>) {
    if !text.is_empty() {
        cx.log(text);
    }
}

/// Names are compared without case, and most characters are alike.
fn normal(name: &str) -> String {
    let lower = name.chars().map(|c| c.to_ascii_lowercase());
    lower.map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect()
}

/// The marker at the front of `text`, and its length.
fn parse(text: &str) -> Option<(Marker<'_>, usize)> {
    let rest = text.strip_prefix("section_")?;
    let (starts, rest) = match rest.strip_prefix("start:") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("end:")?),
    };
    let (time, rest) = split_while(rest, |c| c.is_ascii_digit())?;
    let rest = rest.strip_prefix(':')?;
    let (name, rest) =
        split_while(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))?;
    let mut options = Vec::new();
    let rest = match rest.strip_prefix('[') {
        Some(rest) => {
            let mut rest = rest;
            loop {
                let (key, after) = split_while(rest, is_word)?;
                let (value, after) = split_while(after.strip_prefix('=')?, is_word)?;
                if options.len() == OPTIONS_MAX {
                    return None;
                }
                options.retain(|(known, _)| known != key);
                options.push((key.to_owned(), value.to_owned()));
                match after.strip_prefix(',') {
                    Some(after) => rest = after.strip_prefix(' ').unwrap_or(after),
                    None => break after.strip_prefix(']')?,
                }
            }
        }
        None => rest,
    };
    let rest = rest.strip_prefix("\r\x1b[0K")?;
    Some((Marker { starts, time, name, options }, text.len() - rest.len()))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
