//! Turborepo: a task of a package a step, interleaved.
//!
//! Source: the output of `turbo` 2 (`turborepo-run-summary` and the task visitor's prefixes).

use super::{
    Annotation, Cause, Context, Dialect, Ending, Line, StepId, StepStatus, Taken, Watch,
    tree::Label, words::digits,
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Turbo { armed: hinted, ..Turbo::default() })
}

#[derive(Default)]
struct Turbo {
    armed: bool,
    /// Tasks that nobody has said the end of, in order of their starts; loose steps, so not many.
    open: Vec<StepId>,
    /// How many were successful, once that is said.
    successful: Option<usize>,
}

const BANNER: &str = "\u{2022} turbo ";

impl Dialect for Turbo {
    fn watch(&self) -> Watch {
        // Any word may be the name of a package.
        if self.armed { Watch::all() } else { Watch::none().begins(&[BANNER]).indented(&[BANNER]) }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        if is_banner(text) {
            self.settle(StepStatus::Done, Cause::Next, cx);
            self.successful = None;
            self.armed = true;
            return Taken::Yes;
        }
        if !self.armed {
            return Taken::No;
        }
        if let Some((task, text)) = of_task(text) {
            return self.task(&task, text, cx);
        }
        let text = text.trim();
        if let Some(list) = text.strip_prefix("Failed: ") {
            return failed(list, cx);
        }
        let counts = text.strip_prefix("Tasks: ").map(str::trim);
        match counts.filter(|counts| counts.ends_with(" total")) {
            Some(counts) => {
                self.successful = counts.split_once(" successful").and_then(|(n, _)| digits(n));
                cx.meta("turbo.tasks", counts);
                Taken::Yes
            }
            None => Taken::No,
        }
    }

    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        self.open.retain(|step| cx.is_open(*step));
        let status = match self.successful {
            Some(count) if count == self.open.len() => StepStatus::Success,
            // Some of them were stopped, and nobody says which.
            Some(_) if ending != Ending::Cancelled => StepStatus::Done,
            _ => ending.status(),
        };
        self.settle(status, Cause::End, cx);
    }
}

impl Turbo {
    /// A line with the name of a task in front.
    fn task(&mut self, task: &str, text: &str, cx: &mut Context<'_>) -> Taken {
        let label = Label::new("task", task);
        let open = cx.find_label(label);
        if open.is_none()
            && let Some(cache) = begins(text)
        {
            let params = vec![("cache".to_owned(), cache.to_owned())];
            let Some(step) = cx.start_loose(label, task, params, cx.innermost()) else {
                return Taken::No;
            };
            self.open.retain(|step| cx.is_open(*step));
            self.open.push(step);
            return Taken::Yes;
        }
        let Some(step) = open else { return Taken::No };
        match text.trim_start().strip_prefix("ERROR ").filter(|_| text.starts_with(' ')) {
            Some(message) => {
                cx.annotation(Annotation {
                    message: message.trim().to_owned(),
                    step: Some(step),
                    ..Annotation::default()
                });
                cx.end(step, StepStatus::Failure, None);
            }
            None => cx.log_on(Some(step), text, None),
        }
        Taken::Yes
    }

    fn settle(&mut self, status: StepStatus, by: Cause, cx: &mut Context<'_>) {
        for step in std::mem::take(&mut self.open) {
            cx.end_by(step, status, None, by);
        }
    }
}

/// The tasks that failed, by name.
fn failed(list: &str, cx: &mut Context<'_>) -> Taken {
    let tasks = list.split(',').map(str::trim);
    if !tasks.clone().all(|task| task.contains('#') && !task.contains(' ')) {
        return Taken::No;
    }
    for task in tasks {
        if let Some(step) = cx.find_label(Label::new("task", task)) {
            cx.end(step, StepStatus::Failure, None);
        }
    }
    Taken::Yes
}

/// `• turbo 2.1.0`
fn is_banner(text: &str) -> bool {
    let version = text.trim_start().strip_prefix(BANNER);
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// `PACKAGE:TASK: text`, or with `#` where turbo itself speaks: the task as `PACKAGE#TASK`, the text.
fn of_task(text: &str) -> Option<(String, &str)> {
    let (task, text) = match text.split_once(": ") {
        Some(parts) => parts,
        None => (text.strip_suffix(':')?, ""),
    };
    let (package, name) = match task.split_once('#') {
        Some(parts) => parts,
        None => task.split_once(':')?,
    };
    let is_word = |word: &str| !word.is_empty() && !word.contains(char::is_whitespace);
    (is_word(package) && is_word(name)).then(|| (format!("{package}#{name}"), text))
}

/// What is said where a task begins: whether its result was known.
fn begins(text: &str) -> Option<&'static str> {
    let known = [
        ("cache miss, executing ", "miss"),
        ("cache hit, replaying logs ", "hit"),
        ("cache hit, suppressing logs ", "hit"),
        ("cache bypass, force executing ", "bypass"),
    ];
    known.into_iter().find_map(|(start, cache)| {
        let hash = text.strip_prefix(start)?.trim_end();
        let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(cache)
    })
}
