//! What we say to people, in their language, with their numbers. Programs (JSON) never get any of it.
//!
//! The run display has one [`Text`] a language; commands have a function a message, in [`say`] and
//! [`why`]. A message that one language lacks does not compile. Which one is asked for is read from
//! the environment once, as POSIX says: `LC_ALL`, then the category, then `LANG`.

/// Makes a function of each message: `name(parameters) { English, Chinese }`. One that lacks a
/// language does not compile, nor does one that nobody says.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($($told:ident),*) { $english:literal, $chinese:literal })*) => {$(
        $(#[$doc])*
        #[allow(clippy::useless_format, reason = "some messages tell of nothing")]
        pub fn $name($($told: impl std::fmt::Display),*) -> String {
            match crate::text::locale().language {
                crate::text::Language::English => format!($english),
                crate::text::Language::Chinese => format!($chinese),
            }
        }
    )*};
}

#[cfg(test)]
pub mod asked; // what a test asks for
mod en; // English
pub mod found; // what `doctor` finds
pub mod help; // `--help` in Chinese
mod hints; // what other parts of the program say to do, in Chinese
mod locale; // what the environment asks for
pub mod measured; // what `bench` measured
pub mod say; // what commands say of what they found and did
pub mod serving; // what `serve` and `upgrade` say of what they do
pub mod why; // why something failed, and what to do about it
mod zh; // Chinese, simplified

use std::cell::Cell;
#[cfg(not(test))]
use std::sync::OnceLock;

pub use locale::{Language, Locale};

/// All messages. Fields that end in a function take what they tell of, already formatted.
#[derive(Debug)]
pub struct Text {
    // States, as the last line of a run has them.
    pub completed: &'static str,
    pub failed: &'static str,
    pub cancelled: &'static str,
    pub pending: &'static str,
    pub running: &'static str,
    /// A skipped step; the reason, if there is one, follows a colon.
    pub skipped: &'static str,
    /// Between what something is and what is said of it.
    pub colon: &'static str,
    /// Of the longest word for the state of an execution.
    pub status_columns: usize,

    // Figures.
    /// Seconds, minutes and seconds, hours and minutes.
    pub seconds: fn(&str) -> String,
    pub minutes: fn(u64, &str) -> String,
    pub hours: fn(u64, u64) -> String,
    /// Tests that passed, failed, were skipped.
    pub tests: fn(&str, &str, &str) -> String,
    /// Steps done of all.
    pub steps: fn(u32, u32) -> String,
    pub some_failed: fn(&str) -> String,
    pub some_skipped: fn(&str) -> String,
    /// The number, and whether it is one.
    pub lines: fn(&str, bool) -> String,
    pub warnings: fn(&str, bool) -> String,
    pub errors: fn(&str, bool) -> String,
    /// A place in the log.
    pub line: fn(&str) -> String,
    pub exit: fn(i32) -> String,
    /// How long it took before.
    pub usually: fn(&str) -> String,
    /// How long the script expects it to take.
    pub of_about: fn(&str) -> String,

    // Below the tree.
    pub more_running: fn(usize) -> String,
    pub stops: &'static str,
    /// Asked to stop; it will be killed in this time.
    pub stopping: fn(&str) -> String,
    pub stopping_at_once: &'static str,
    pub killing: &'static str,
    pub ending_with_input: &'static str,
    pub ending: &'static str,
    pub disk_full: &'static str,

    // The end of a run.
    pub last_lines: fn(&str) -> String,
    pub last_lines_of_all: &'static str,
    pub first_error: fn(&str) -> String,
    pub more: &'static str,
    pub page: &'static str,

    // Events among the lines.
    pub warning: &'static str,
    pub hint: &'static str,
    pub error: &'static str,
    pub paused: fn(&str) -> String,
    pub resumed: &'static str,
    pub artifact_missing: fn(&str) -> String,
    /// A step that goes on after one nested in it.
    pub goes_on: fn(&str) -> String,

    // Asked by SIGUSR1.
    pub now: fn(&str, &str) -> String,
    pub between_steps: &'static str,
    pub has_run_for: fn(&str) -> String,
}

/// The messages of `language`.
pub fn of(language: Language) -> &'static Text {
    match language {
        Language::English => &en::TEXT,
        Language::Chinese => &zh::TEXT,
    }
}

thread_local! {
    /// What is said on this thread is for programs.
    static FOR_PROGRAMS: Cell<bool> = const { Cell::new(false) };
}

/// What `say` makes texts of is for programs: the same whatever the environment asks for.
pub fn for_programs<T>(say: impl FnOnce() -> T) -> T {
    let before = FOR_PROGRAMS.replace(true);
    let said = say();
    FOR_PROGRAMS.set(before);
    said
}

/// What the environment asks for; for programs always the same.
pub fn locale() -> &'static Locale {
    if FOR_PROGRAMS.get() { &Locale::OF_PROGRAMS } else { asked_for() }
}

#[cfg(test)]
fn asked_for() -> &'static Locale {
    asked::locale()
}

#[cfg(not(test))]
fn asked_for() -> &'static Locale {
    static LOCALE: OnceLock<Locale> = OnceLock::new();
    LOCALE.get_or_init(|| Locale::from(&|name| std::env::var(name).ok()))
}

/// The word for the state of an execution or a step, as records and JSON have it.
pub fn status(word: &str) -> &str {
    let text = text();
    match word {
        "completed" => text.completed,
        "failed" => text.failed,
        "cancelled" => text.cancelled,
        "pending" => text.pending,
        "running" => text.running,
        "skipped" => text.skipped,
        other => other,
    }
}

/// A sentence from a record, in the language that is asked for if it is one of ours.
pub fn recorded(sentence: &str) -> std::borrow::Cow<'_, str> {
    match locale().language {
        Language::English => sentence.into(),
        Language::Chinese => zh::recorded(sentence),
    }
}

/// What another part of the program says to do, in the language that is asked for.
pub fn hinted(hint: &str) -> std::borrow::Cow<'_, str> {
    match locale().language {
        Language::English => hint.into(),
        Language::Chinese => hints::chinese(hint),
    }
}

/// The messages that the environment asks for.
pub fn text() -> &'static Text {
    of(locale().language)
}
