//! One printer for errors: what, why, what next. One table of exit codes.

use std::{error::Error, io::Write, process::ExitCode};

use crate::text::why;

/// Our own failure: bad usage of ours, a record that cannot be written, a lost run.
pub const OWN: u8 = 125;
/// The time limit was reached.
pub const TIMED_OUT: u8 = 124;

/// A command failed: what to print and how to exit.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: Option<String>,
    code: u8,
    nobody_reads: bool,
}

/// Nobody reads what we print (`| head`): as any program in a pipe, we go without a word.
const NOBODY_READS: u8 = 128 + nix::libc::SIGPIPE as u8;

impl Failure {
    /// A failure with exit code 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, code: 1, nobody_reads: false }
    }

    /// A failure from an error, with its causes.
    pub fn from_error(error: &(dyn Error + 'static)) -> Self {
        Self::new(chain(error))
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Exits with this code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Whoever read our output has seen enough: nothing is said, and we end as a program does
    /// that a closed pipe ends.
    pub fn of_a_closed_pipe() -> Self {
        Self { nobody_reads: true, ..Self::new("nobody reads this") }
    }

    /// Whether it is no failure of ours: whoever read our output has seen enough.
    pub fn nobody_reads(&self) -> bool {
        self.nobody_reads
    }

    /// Prints it; returns its exit code.
    pub fn print(&self) -> ExitCode {
        if self.nobody_reads {
            return ExitCode::from(NOBODY_READS);
        }
        let _ = std::io::stderr().write_all(self.text().as_bytes());
        ExitCode::from(self.code)
    }

    /// What is printed.
    pub fn text(&self) -> String {
        let text = crate::text::text();
        let mut said = format!("{}{}{}\n", text.error, text.colon, self.what);
        if let Some(hint) = &self.hint {
            said.push_str(&format!("  {}{}{hint}\n", text.hint, text.colon));
        }
        said
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        at = cause.source();
    }
    text
}

impl From<stepflow_record::RecordError> for Failure {
    fn from(error: stepflow_record::RecordError) -> Self {
        use stepflow_record::RecordError as E;
        let failure = Self::from_error(&error);
        match &error {
            E::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                failure.hint(why::another_user())
            }
            E::TooNew { .. } => failure.hint(why::newer_version()),
            _ => failure,
        }
    }
}

impl From<stepflow_view::ViewError> for Failure {
    fn from(error: stepflow_view::ViewError) -> Self {
        Self::from_error(&error).hint(why::cache_can_go())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A terminal that was closed answers with EIO.
        let nobody_reads = error.kind() == std::io::ErrorKind::BrokenPipe
            || error.raw_os_error() == Some(nix::libc::EIO);
        Self { nobody_reads, ..Self::from_error(&error) }
    }
}
