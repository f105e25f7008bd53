//! One printer for errors: what, why, what next. One table of exit codes.

use std::{error::Error, io::Write, process::ExitCode};

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
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, code: 1 }
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

    /// Prints it; returns its exit code.
    pub fn print(&self) -> ExitCode {
        let mut err = std::io::stderr();
        let _ = writeln!(err, "error: {}", self.what);
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "  hint: {hint}");
        }
        ExitCode::from(self.code)
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
                failure
                    .hint("another user owns the storage; run as that user or pass --storage DIR")
            }
            E::TooNew { .. } => failure.hint("a newer StepFlow wrote this; use that version"),
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(&error)
    }
}
