//! The files that actions write outputs, variables and summaries to instead of printing commands.

use crate::dialects::{Annotation, EventKind, Severity, Summary};

/// One of the files, by the variable that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentFile {
    /// `GITHUB_OUTPUT`
    Output,
    /// `GITHUB_ENV`
    Env,
    /// `GITHUB_STATE`
    State,
    /// `GITHUB_PATH`
    Path,
    /// `GITHUB_STEP_SUMMARY`
    StepSummary,
}

impl EnvironmentFile {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Output, Self::Env, Self::State, Self::Path, Self::StepSummary];

    /// The variable that tells a script where the file is.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Output => "GITHUB_OUTPUT",
            Self::Env => "GITHUB_ENV",
            Self::State => "GITHUB_STATE",
            Self::Path => "GITHUB_PATH",
            Self::StepSummary => "GITHUB_STEP_SUMMARY",
        }
    }
}

/// A summary is at most this long; GitHub's own limit.
const SUMMARY_BYTES_MAX: usize = 1024 * 1024;

/// What a file says once the script's first process has ended. Values are recorded, not applied.
///
/// A line of no known form is one error, and ends the file; what stands before it counts.
pub fn environment_file(file: EnvironmentFile, content: &[u8]) -> Vec<EventKind> {
    let text = String::from_utf8_lossy(content);
    let mut events = Vec::new();
    match file {
        EnvironmentFile::Path => {
            let lines = text.split('\n').filter(|line| !line.is_empty());
            events.extend(lines.map(|line| meta("path".to_owned(), line)));
        }
        EnvironmentFile::StepSummary if content.len() > SUMMARY_BYTES_MAX => {
            events.push(error(format!(
                "the summary of {} bytes is over the limit of {SUMMARY_BYTES_MAX}",
                content.len()
            )));
        }
        EnvironmentFile::StepSummary => {
            if !text.is_empty() {
                let source = Summary::Markdown(text.into_owned());
                events.push(EventKind::Summary { source, step: None });
            }
        }
        EnvironmentFile::Output => pairs("output", &text, &mut events),
        EnvironmentFile::Env => pairs("env", &text, &mut events),
        EnvironmentFile::State => pairs("state", &text, &mut events),
    }
    events
}

fn pairs(prefix: &str, text: &str, events: &mut Vec<EventKind>) {
    let mut rest = text;
    while !rest.is_empty() {
        match pair(&mut rest) {
            Ok(Some((name, value))) => events.push(meta(format!("{prefix}.{name}"), value)),
            Ok(None) => {}
            Err(message) => return events.push(error(message)),
        }
    }
}

/// Takes a name and its value from the front of `rest`; `None` for an empty line.
fn pair<'a>(rest: &mut &'a str) -> Result<Option<(&'a str, &'a str)>, String> {
    let (line, after) = rest.split_once('\n').unwrap_or((*rest, ""));
    *rest = after;
    if line.is_empty() {
        return Ok(None);
    }
    let invalid = || Err(format!("Invalid format '{line}'"));
    let equals = line.find('=');
    let heredoc = line.find("<<");
    match (equals, heredoc) {
        (Some(at), here) if here.is_none_or(|here| at < here) => {
            if at == 0 {
                return invalid();
            }
            Ok(Some((&line[..at], &line[at + 1..])))
        }
        (_, Some(at)) => {
            let (name, delimiter) = (&line[..at], &line[at + 2..]);
            if name.is_empty() || delimiter.is_empty() {
                return invalid();
            }
            let body = *rest;
            let mut end = 0;
            for line in body.split_inclusive('\n') {
                if line.strip_suffix('\n').unwrap_or(line) == delimiter {
                    *rest = &body[end + line.len()..];
                    let value = &body[..end];
                    return Ok(Some((name, value.strip_suffix('\n').unwrap_or(value))));
                }
                end += line.len();
            }
            Err(format!("Invalid value. Matching delimiter not found '{delimiter}'"))
        }
        _ => invalid(),
    }
}

fn meta(key: String, value: &str) -> EventKind {
    EventKind::Meta { key, value: value.to_owned(), title: None, step: None }
}

fn error(message: String) -> EventKind {
    EventKind::Annotation(Box::new(Annotation {
        severity: Severity::Error,
        message,
        ..Annotation::default()
    }))
}
