//! A line of a log as the page shows it, on a terminal.

use jiff::{Timestamp, tz::TimeZone};
use stepflow_api::{ExecutionDetail, Line};

use crate::args::TimeMode;

/// How a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// With the colours that the script chose.
    Coloured,
    /// Without any sequence.
    Plain,
}

/// What is shown of a line: no control character but SGR sequences, and those only in colour.
pub fn text(line: &Line, shown: Shown) -> String {
    match shown {
        Shown::Plain => plain(line),
        Shown::Coloured => {
            let own = sequences(raw(line), true);
            let style = line.view.as_ref().and_then(|view| view.style.as_deref());
            let mut text = String::with_capacity(own.len() + 16);
            let begins = style.filter(|style| !style.is_empty());
            if let Some(style) = begins.filter(|_| drawn(line).is_none()) {
                text.push_str(&format!("\x1b[{style}m"));
            }
            text.push_str(&own);
            if text.contains('\x1b') {
                text.push_str("\x1b[0m");
            }
            text
        }
    }
}

/// The same without colours.
pub fn plain(line: &Line) -> String {
    sequences(raw(line), false)
}

fn drawn(line: &Line) -> Option<&str> {
    line.view.as_ref().and_then(|view| view.shown.as_deref())
}

/// What the server drew, or the text whose only sequences are SGR.
pub fn raw(line: &Line) -> &str {
    drawn(line).unwrap_or(&line.text)
}

/// Leaves SGR sequences if `colour`, and no other. Nothing else steers a terminal after drawing; the
/// server may be another's, so that is not taken on trust.
fn sequences(text: &str, colour: bool) -> String {
    if !text.contains(|c: char| c.is_control()) {
        return text.to_owned();
    }
    crate::format::clean(text.as_bytes(), colour).trim_end_matches("\x1b[0m").to_owned()
}

/// When a line came, in ten to twelve columns.
pub fn time(line: &Line, mode: TimeMode, detail: &ExecutionDetail, last_us: Option<i64>) -> String {
    let Ok(time) = line.t.parse::<Timestamp>() else { return String::new() };
    let since = |text: Option<&String>| {
        let begun = text.and_then(|text| text.parse::<Timestamp>().ok());
        let begun = begun.map_or(time.as_microsecond(), Timestamp::as_microsecond);
        elapsed(time.as_microsecond() - begun)
    };
    match mode {
        TimeMode::Off => String::new(),
        TimeMode::Utc => time.strftime("%H:%M:%S%.3f").to_string(),
        TimeMode::Local => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        TimeMode::Relative => since(detail.execution.started_at.as_ref()),
        TimeMode::Step => {
            let step = line.step.and_then(|step| detail.steps.get(step as usize));
            since(
                step.map_or(detail.execution.started_at.as_ref(), |step| step.started_at.as_ref()),
            )
        }
        TimeMode::Delta => {
            let us = time.as_microsecond();
            elapsed(us - last_us.unwrap_or(us))
        }
    }
}

/// `0:02:03.004`, signed.
fn elapsed(us: i64) -> String {
    let ms = us.unsigned_abs() / 1_000;
    let (seconds, minutes, hours) = (ms / 1_000 % 60, ms / 60_000 % 60, ms / 3_600_000);
    let sign = if us < 0 { "-" } else { "" };
    format!("{:>12}", format!("{sign}{hours}:{minutes:02}:{seconds:02}.{:03}", ms % 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_pass_are_shown_in_one_width() {
        assert_eq!(elapsed(123_004_000), " 0:02:03.004");
        assert_eq!(elapsed(36_000_000_000), "10:00:00.000");
        assert_eq!(elapsed(-1_500), "-0:00:00.001".trim_start());
    }

    #[test]
    fn a_line_of_another_server_steers_nothing() {
        assert_eq!(sequences("\x1b]52;c;AAAA\x07\x1b[31mred\x1b[2J", true), "\x1b[31mred");
        assert_eq!(sequences("\x1b]52;c;AAAA\x07\x1b[31mred\x1b[2J", false), "red");
        assert_eq!(sequences("日本語 plain", false), "日本語 plain");
    }
}
