//! Which warnings an execution's output has given rise to, so that no output makes the journal grow
//! without bound.

use crate::{EventKind, WARNINGS_MAX};

/// Said once, and not counted.
const ONCE: [&str; 9] = [
    "step_limit",
    "artifact_limit",
    "marker_line_limit",
    "meta_limit",
    "problem_limit",
    "summary_limit",
    "test_limit",
    "secret_limit",
    NO_MORE,
];
/// Said as often as there is reason to, up to [`WARNINGS_MAX`] together.
const COUNTED: [&str; 4] =
    ["unmatched_complete", "error_outside_step", "unknown_parent", "marker_refused"];
/// Said when the last of those has been said.
const NO_MORE: &str = "warning_limit";

/// What was said already. The annotations cannot tell: they hold only so many.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Noted {
    once: [bool; ONCE.len()],
    counted: usize,
    metas: usize,
    /// Problems, and bytes of problems and texts.
    pub(crate) problems: usize,
    pub(crate) bytes: usize,
    pub(crate) tests: usize,
    /// Totals of tests.
    pub(crate) totals: usize,
}

impl Noted {
    /// A warning with this code is in the journal.
    pub(super) fn take(&mut self, code: &str) {
        if let Some(at) = ONCE.iter().position(|once| *once == code) {
            self.once[at] = true;
        }
        self.counted += usize::from(COUNTED.contains(&code));
    }

    /// One more change of metadata is in the journal.
    pub(super) fn take_meta(&mut self) {
        self.metas += 1;
    }

    /// How many there are.
    pub(crate) fn metas(&self) -> usize {
        self.metas
    }

    /// The warning, unless it has been said, or enough has been.
    pub(crate) fn warning(
        &self,
        code: &str,
        message: impl FnOnce() -> String,
    ) -> Option<EventKind> {
        let said = |code| ONCE.iter().position(|once| *once == code).map(|at| self.once[at]);
        match said(code) {
            Some(true) => None,
            None if self.counted >= WARNINGS_MAX => {
                (said(NO_MORE) == Some(false)).then(|| EventKind::Warning {
                    code: NO_MORE.to_owned(),
                    message: format!(
                        "more than {WARNINGS_MAX} warnings about markers: the rest is not noted"
                    ),
                })
            }
            _ => Some(EventKind::Warning { code: code.to_owned(), message: message() }),
        }
    }
}
