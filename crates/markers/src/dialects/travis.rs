//! Travis CI folds and timers.
//!
//! Source: `travis-ci/travis-build`, `travis_fold.bash`, `travis_time_finish.bash`.

use super::{
    Context, Dialect, Line, StepStatus, Taken, Watch,
    line::plain,
    tree::Label,
    watch::Needle,
    words::{digits, split_while},
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Travis)
}

struct Travis;

enum Marker<'a> {
    FoldStart(&'a str),
    FoldEnd(&'a str),
    TimeStart,
    /// With the duration in nanoseconds, if it says one.
    TimeEnd(Option<u64>),
}

impl Dialect for Travis {
    fn watch(&self) -> Watch {
        Watch::none().needle(Needle::Travis)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let raw = line.raw();
        // A fold that has started and waits for its heading.
        let mut fold: Option<&str> = None;
        let mut text_from = 0;
        let mut taken = Taken::No;
        for (at, _) in raw.match_indices("travis_") {
            if at < text_from {
                continue;
            }
            let Some((marker, len)) = parse(&raw[at..]) else { continue };
            behind(&mut fold, &raw[text_from..at], cx);
            // A timer may stand between a fold and its heading.
            if let Some(name) = fold
                && !matches!(marker, Marker::TimeStart)
            {
                open(name, name, cx);
                fold = None;
            }
            match marker {
                Marker::FoldStart(name) => fold = Some(name),
                Marker::FoldEnd(name) => {
                    if let Some(step) = cx.find_label(Label::new("fold", name)) {
                        cx.end(step, StepStatus::Done, None);
                    }
                }
                Marker::TimeEnd(Some(ns)) => {
                    cx.meta("duration_ms", &(ns / 1_000_000).to_string());
                }
                Marker::TimeStart | Marker::TimeEnd(None) => {}
            }
            text_from = at + len;
            taken = Taken::Yes;
        }
        if taken == Taken::Yes {
            behind(&mut fold, &raw[text_from..], cx);
            if let Some(name) = fold {
                open(name, name, cx);
            }
        }
        taken
    }
}

/// Text behind a marker: the heading of a fold that waits for it, else a line of output.
fn behind(fold: &mut Option<&str>, text: &str, cx: &mut Context<'_>) {
    let text = plain(text);
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    match fold.take() {
        Some(name) => open(name, text, cx),
        None => cx.log(text),
    }
}

fn open(fold: &str, name: &str, cx: &mut Context<'_>) {
    cx.start(Label::new("fold", fold), name, vec![("fold".to_owned(), fold.to_owned())]);
}

/// The marker at the front of `text`, and its length.
fn parse(text: &str) -> Option<(Marker<'_>, usize)> {
    let rest = text.strip_prefix("travis_")?;
    let (marker, rest) = if let Some(rest) = rest.strip_prefix("fold:") {
        let (starts, rest) = starts(rest)?;
        let (name, rest) =
            split_while(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))?;
        (if starts { Marker::FoldStart(name) } else { Marker::FoldEnd(name) }, rest)
    } else {
        let (starts, rest) = starts(rest.strip_prefix("time:")?)?;
        let (_, rest) = split_while(rest, |c| c.is_ascii_hexdigit())?;
        let (duration, rest) = match rest.strip_prefix(":start=") {
            Some(rest) => duration(rest)?,
            None => (None, rest),
        };
        (if starts { Marker::TimeStart } else { Marker::TimeEnd(duration) }, rest)
    };
    let rest = rest.strip_prefix('\r')?;
    let rest = rest.strip_prefix("\x1b[0K").unwrap_or(rest);
    Some((marker, text.len() - rest.len()))
}

fn starts(text: &str) -> Option<(bool, &str)> {
    match text.strip_prefix("start:") {
        Some(rest) => Some((true, rest)),
        None => text.strip_prefix("end:").map(|rest| (false, rest)),
    }
}

/// `N,finish=N,duration=N[,event=word]`: the duration and the rest.
fn duration(text: &str) -> Option<(Option<u64>, &str)> {
    let number = |text| split_while(text, |c| c.is_ascii_digit());
    let (_, rest) = number(text)?;
    let (_, rest) = number(rest.strip_prefix(",finish=")?)?;
    let (duration, rest) = number(rest.strip_prefix(",duration=")?)?;
    let rest = match rest.strip_prefix(",event=") {
        Some(rest) => split_while(rest, |c| c.is_ascii_alphanumeric() || c == '_')?.1,
        None => rest,
    };
    Some((digits(duration), rest))
}
