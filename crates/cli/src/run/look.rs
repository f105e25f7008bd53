//! How things look here: colours or none, symbols or ASCII, which language.

use std::sync::OnceLock;

use stepflow_model::{Status, StepStatus};

use crate::{
    args::Color,
    format,
    text::{self, Locale, Text},
};

/// What `--color` says; unset: `auto`.
static CHOSEN: OnceLock<Color> = OnceLock::new();

/// Settles what `--color` says, once.
pub fn choose(color: Color) {
    let _ = CHOSEN.set(color);
}

/// Whether to colour what we print to a stream.
pub fn colour(is_terminal: bool) -> bool {
    let chosen = CHOSEN.get().copied().unwrap_or(Color::Auto);
    colours(chosen, &|name| std::env::var(name).ok(), is_terminal)
}

/// `NO_COLOR` (any value but an empty one, no-color.org) beats all but the flag; then
/// `CLICOLOR_FORCE` and `CLICOLOR` (bixense.com/clicolors), then what the terminal can do.
fn colours(chosen: Color, environment: &dyn Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    match chosen {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR").is_some() => false,
        Color::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Color::Auto if set("CLICOLOR").as_deref() == Some("0") => false,
        Color::Auto => is_terminal && set("TERM").as_deref() != Some("dumb"),
    }
}

/// A word in a colour, or plain.
pub fn paint(on: bool, code: &str, text: &str) -> String {
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// How one of our streams looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub colour: bool,
    pub locale: Locale,
    pub text: &'static Text,
}

impl Look {
    /// On a stream that is a terminal, or not.
    pub fn on(is_terminal: bool) -> Self {
        Self { colour: colour(is_terminal), locale: *text::locale(), text: text::text() }
    }

    pub fn paint(&self, code: &str, text: &str) -> String {
        paint(self.colour, code, text)
    }

    pub fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Between parts of a line.
    pub fn dot(&self) -> &'static str {
        if self.locale.utf8 { " · " } else { " . " }
    }

    /// Before a line of output in the live area.
    pub fn rule(&self) -> &'static str {
        if self.locale.utf8 { "│" } else { "|" }
    }

    /// Our own words, in characters that can be shown.
    pub fn own(&self, text: &str) -> String {
        if self.locale.utf8 { text.to_owned() } else { text.replace('…', "...") }
    }

    pub fn cut(&self, text: &str, width: usize) -> String {
        format::cut_with(text, width, if self.locale.utf8 { "…" } else { "..." })
    }

    pub fn duration(&self, us: u64) -> String {
        format::duration_in(&self.locale, us)
    }

    pub fn fine_duration(&self, us: u64) -> String {
        format::fine_duration_in(&self.locale, us)
    }

    pub fn count(&self, number: u64) -> String {
        format::count_in(&self.locale, number)
    }

    /// `214 lines`.
    pub fn lines(&self, number: u64) -> String {
        (self.text.lines)(&self.count(number), number == 1)
    }

    pub fn errors(&self, number: u64) -> String {
        (self.text.errors)(&self.count(number), number == 1)
    }

    /// `line 1206`, as the page numbers them.
    pub fn place(&self, line: u64) -> String {
        (self.text.line)(&line.to_string())
    }

    /// How far something is, in ten places: `[####......]  42%`.
    pub fn bar(&self, percent: f64) -> String {
        if !self.locale.utf8 {
            return format::bar(percent);
        }
        const PLACES: usize = 10;
        let full = ((percent / 100.0 * PLACES as f64) as usize).min(PLACES);
        // Rounded down: 100% is said when it is reached.
        format!("{}{} {:>3}%", "█".repeat(full), "░".repeat(PLACES - full), percent.floor())
    }

    /// The mark of a step's status: word first, colour second.
    pub fn mark(&self, status: StepStatus) -> String {
        match status {
            StepStatus::Completed => self.paint("32", "ok"),
            StepStatus::Failed => self.paint("31", "x "),
            StepStatus::Running => self.paint("36", " ~"),
            StepStatus::Cancelled => self.paint("33", "- "),
            StepStatus::Skipped => self.paint("2", "s "),
            StepStatus::Pending => self.paint("2", ". "),
        }
    }

    /// The word for how an execution ended.
    pub fn status(&self, status: Status) -> String {
        match status {
            Status::Completed => self.paint("32", self.text.completed),
            Status::Failed => self.paint("31", self.text.failed),
            Status::Cancelled => self.paint("33", self.text.cancelled),
            Status::Pending => self.text.pending.to_owned(),
            Status::Running => self.text.running.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_no_color_which_beats_everything_else() {
        let of = |chosen, pairs: &[(&str, &str)], is_terminal| {
            let set = |name: &str| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            colours(chosen, &set, is_terminal)
        };
        assert!(of(Color::Auto, &[("TERM", "xterm")], true));
        assert!(!of(Color::Auto, &[("TERM", "xterm")], false));
        assert!(!of(Color::Auto, &[("TERM", "dumb")], true));
        assert!(!of(Color::Auto, &[("NO_COLOR", "1")], true));
        assert!(of(Color::Auto, &[("NO_COLOR", "")], true), "empty is unset");
        assert!(of(Color::Auto, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], false));
        assert!(!of(Color::Auto, &[("CLICOLOR_FORCE", "0")], false));
        assert!(!of(Color::Auto, &[("CLICOLOR", "0")], true));
        assert!(!of(Color::Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(of(Color::Always, &[("NO_COLOR", "1")], false));
        assert!(!of(Color::Never, &[("CLICOLOR_FORCE", "1")], true));
    }
}
