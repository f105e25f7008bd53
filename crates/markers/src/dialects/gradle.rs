//! Gradle's plain and verbose console: a task a step, with its outcome.
//!
//! Source: `gradle/gradle`, `PrettyPrefixedLogHeaderFormatter.java`; Gradle's documentation, "Task
//! outcomes".

use super::{
    Annotation, Cause, Context, Dialect, Line, StepId, StepStatus, Stream, Taken, Watch,
    tree::{Label, hash},
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Gradle { armed: hinted, ..Gradle::default() })
}

#[derive(Default)]
struct Gradle {
    /// A build is running.
    armed: bool,
    /// The task whose header came last, and a hash of its path.
    open: Option<(StepId, u64)>,
    /// The task whose failure is explained in the next line; by stream.
    explains: [Option<String>; 2],
}

const IDLE: Watch = Watch::none().begins(&["> Task :"]);
const ARMED: Watch = Watch::none().begins(&[
    "> Task :",
    "> Configure project ",
    "Execution failed for tas",
    "BUILD SUCCESSFUL in ",
    "BUILD FAILED in ",
]);

impl Dialect for Gradle {
    fn watch(&self) -> Watch {
        if self.armed { ARMED } else { IDLE }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible().trim_end();
        if let Some((path, outcome)) = task(text) {
            return self.task(path, outcome, cx);
        }
        if !self.armed {
            return Taken::No;
        }
        if text.starts_with("> Configure project ") {
            self.close(cx);
            return Taken::Yes;
        }
        if let Some(path) = failed_task(text) {
            *self.lane(cx) = Some(path.to_owned());
            cx.await_next();
            return Taken::No;
        }
        let Some(result) = result(text) else { return Taken::No };
        self.close(cx);
        self.armed = false;
        cx.meta("gradle.result", result);
        Taken::Yes
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let Some(path) = self.lane(cx).take() else { return Taken::No };
        let reason = line.and_then(|line| line.visible().strip_prefix("> "));
        let Some(reason) = reason.map(str::trim).filter(|reason| !reason.is_empty()) else {
            return Taken::No;
        };
        cx.annotation(Annotation { message: format!("{path}: {reason}"), ..Annotation::default() });
        Taken::Yes
    }
}

impl Gradle {
    fn lane(&mut self, cx: &Context<'_>) -> &mut Option<String> {
        &mut self.explains[usize::from(cx.place.stream == Stream::Stderr)]
    }

    fn task(&mut self, path: &str, outcome: &str, cx: &mut Context<'_>) -> Taken {
        let key = hash(path);
        let again = self.open.filter(|(step, open)| *open == key && cx.is_open(*step));
        let again = again.map(|(step, _)| step).or_else(|| {
            self.close(cx);
            let step = cx.start(Label::new("task", path), path, Vec::new())?;
            self.open = Some((step, key));
            Some(step)
        });
        let Some(step) = again else { return Taken::No };
        self.armed = true;
        let status = match outcome {
            "" => return Taken::Yes,
            "FAILED" => StepStatus::Failure,
            "UP-TO-DATE" | "FROM-CACHE" => StepStatus::Success,
            _ => StepStatus::Skipped,
        };
        let detail = Some(outcome).filter(|_| status != StepStatus::Failure);
        cx.end(step, status, detail);
        self.open = None;
        Taken::Yes
    }

    /// Ends the task that is open: that it failed would have been said.
    fn close(&mut self, cx: &mut Context<'_>) {
        if let Some((step, _)) = self.open.take() {
            cx.end_by(step, StepStatus::Done, None, Cause::Next);
        }
    }
}

const OUTCOMES: [&str; 5] = ["UP-TO-DATE", "FROM-CACHE", "SKIPPED", "NO-SOURCE", "FAILED"];

/// `> Task :PATH[ OUTCOME]`: the path and the outcome, which may be empty.
fn task(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("> Task ")?;
    let (path, outcome) = text.split_once(' ').unwrap_or((text, ""));
    let known = outcome.is_empty() || OUTCOMES.contains(&outcome);
    (known && is_path(path)).then_some((path, outcome))
}

/// `:a:b`: colons, each before a name.
fn is_path(path: &str) -> bool {
    let names = path.strip_prefix(':');
    names.is_some_and(|names| names.split(':').all(|name| !name.is_empty()))
}

fn failed_task(text: &str) -> Option<&str> {
    let path = text.strip_prefix("Execution failed for task '")?;
    // Newer versions say in brackets what registered the task.
    let path = path.split_once('\'')?.0;
    is_path(path).then_some(path)
}

/// `BUILD SUCCESSFUL in 3s`: the word.
fn result(text: &str) -> Option<&str> {
    let (word, time) = text.strip_prefix("BUILD ")?.split_once(" in ")?;
    let is_time = time.starts_with(|c: char| c.is_ascii_digit());
    (is_time && matches!(word, "SUCCESSFUL" | "FAILED")).then_some(word)
}
