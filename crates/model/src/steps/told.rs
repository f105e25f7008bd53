//! Problems, texts, tests and secrets: each kind has its limit, and past it there is one warning.

use stepflow_markers::dialects::{self, EventKind as Said};

use super::{At, Decision, warning};
use crate::{
    EventKind, ExecutionState, PROBLEMS_MAX, Problem, SECRETS_MAX, Severity, TESTS_MAX, TEXTS_MAX,
    TOLD_BYTES_MAX, Test, TestStatus, Text,
};

pub(super) fn decide(state: &ExecutionState, said: &dialects::Event) -> Decision {
    let dialect = said.dialect.to_string();
    let number = |step: Option<dialects::StepId>| step.map(|step| step.0);
    match &said.kind {
        Said::Annotation(told) => {
            let problem = problem(dialect, told);
            let room = TOLD_BYTES_MAX.saturating_sub(state.noted.bytes);
            if state.noted.problems >= PROBLEMS_MAX || problem.bytes() > room {
                return warning(state, "problem_limit", || {
                    format!(
                        "more than {PROBLEMS_MAX} problems, or too long ones: the rest is only in the log"
                    )
                });
            }
            Decision::just(At::LineStart, EventKind::Problem(Box::new(problem)))
        }
        Said::Summary { source, step } => {
            let mut text =
                Text { dialect, step: number(*step), markdown: None, path: None, name: None };
            match source {
                dialects::Summary::Markdown(markdown) => text.markdown = Some(markdown.clone()),
                dialects::Summary::File { path, name } => {
                    text.path = Some(path.clone());
                    text.name.clone_from(name);
                }
            }
            let room = TOLD_BYTES_MAX.saturating_sub(state.noted.bytes);
            if state.summaries.len() >= TEXTS_MAX || text.bytes() > room {
                return warning(state, "summary_limit", || {
                    format!(
                        "more than {TEXTS_MAX} summaries, or too long ones: the rest is not kept"
                    )
                });
            }
            Decision::just(At::LineStart, EventKind::Summary(Box::new(text)))
        }
        Said::Test(_) if state.noted.tests >= TESTS_MAX => test_limit(state),
        Said::TestSummary { .. } if state.noted.totals >= TESTS_MAX => test_limit(state),
        Said::Test(told) => {
            let test = Test {
                dialect,
                name: told.name.clone(),
                status: test_status(told.status),
                step: number(told.step),
                suite: told.suite.clone(),
                message: told.message.clone(),
                duration_ms: told.duration_ms,
                attempt: told.attempt,
                file: None,
                line: None,
                details: None,
            };
            Decision::just(At::LineStart, EventKind::Test(Box::new(test)))
        }
        Said::TestSummary { counts, suite, step, status: _ } => Decision::just(
            At::LineStart,
            EventKind::TestSummary {
                dialect,
                step: number(*step),
                suite: suite.clone(),
                counts: counts.iter().cloned().collect(),
            },
        ),
        Said::Mask { .. } if state.secrets as usize >= SECRETS_MAX => {
            warning(state, "secret_limit", || {
                format!(
                    "the output declares more than {SECRETS_MAX} secrets: the rest is not masked"
                )
            })
        }
        Said::Mask { .. } => Decision::just(At::LineStart, EventKind::SecretDeclared { dialect }),
        _ => Decision::default(),
    }
}

fn test_limit(state: &ExecutionState) -> Decision {
    warning(state, "test_limit", || format!("more than {TESTS_MAX} tests: the rest is not counted"))
}

/// What a file of results tells, with the limits of what output tells. `None`: too much was told, and
/// that is known.
pub fn from_file(state: &ExecutionState, told: EventKind) -> Option<EventKind> {
    let known = match told {
        EventKind::Test(_) => state.noted.tests,
        EventKind::TestSummary { .. } => state.noted.totals,
        _ => 0,
    };
    if known >= TESTS_MAX {
        return test_limit(state).events.pop().map(|(_, kind)| kind);
    }
    Some(told)
}

fn problem(dialect: String, told: &dialects::Annotation) -> Problem {
    Problem {
        dialect,
        level: match told.severity {
            dialects::Severity::Error => Severity::Error,
            dialects::Severity::Warning => Severity::Warning,
            dialects::Severity::Notice => Severity::Notice,
        },
        message: told.message.clone(),
        step: told.step.map(|step| step.0),
        file: told.file.clone(),
        line: told.line,
        col: told.col,
        end_line: told.end_line,
        end_col: told.end_col,
        title: told.title.clone(),
        code: told.code.clone(),
        details: told.details.clone(),
    }
}

fn test_status(status: dialects::TestStatus) -> TestStatus {
    match status {
        dialects::TestStatus::Passed => TestStatus::Passed,
        dialects::TestStatus::Failed => TestStatus::Failed,
        dialects::TestStatus::Error => TestStatus::Error,
        dialects::TestStatus::Skipped => TestStatus::Skipped,
        dialects::TestStatus::Todo => TestStatus::Todo,
        dialects::TestStatus::Xfailed => TestStatus::Xfailed,
        dialects::TestStatus::Xpassed => TestStatus::Xpassed,
        dialects::TestStatus::Unknown => TestStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, ExecutionId, Source, Spec};

    #[test]
    fn totals_take_no_room_from_tests_and_are_limited_themselves() {
        let id: ExecutionId = "0198c2aa-0000-7000-8000-000000000001".parse().unwrap();
        let mut state = ExecutionState::new(&Spec::new(id, Source::Cli, 1));
        let totals = EventKind::TestSummary {
            dialect: "pytest".to_owned(),
            step: None,
            suite: None,
            counts: std::iter::once(("passed".to_owned(), 1)).collect(),
        };
        let test = EventKind::Test(Box::new(Test {
            dialect: "pytest".to_owned(),
            name: "a".to_owned(),
            status: TestStatus::Passed,
            step: None,
            suite: None,
            message: None,
            duration_ms: None,
            attempt: None,
            file: None,
            line: None,
            details: None,
        }));
        for seq in 1..=TESTS_MAX as u64 {
            let kind = totals.clone();
            assert_eq!(from_file(&state, kind.clone()).as_ref(), Some(&kind));
            state.apply(&Event { seq, time_us: 1, at_us: 1, offset: 1, lines: 1, kind });
        }
        let is_limit = |told: &Option<EventKind>| matches!(told, Some(EventKind::Warning { code, .. }) if code == "test_limit");
        assert!(is_limit(&from_file(&state, totals)));
        assert_eq!(from_file(&state, test.clone()).as_ref(), Some(&test));
    }
}
