//! Maven: a module a step, and in it a goal a step.
//!
//! Source: `apache/maven`, `ExecutionEventLogger.java`.

use super::{
    Annotation, Cause, Context, Dialect, Line, Severity, StepId, StepStatus, Taken, Watch,
    event::EventKind, tree::Label, words::digits,
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Maven { armed: hinted, ..Maven::default() })
}

#[derive(Default)]
struct Maven {
    /// A build is running.
    armed: bool,
    module: Option<StepId>,
    goal: Option<StepId>,
    /// A module that has ended had failed.
    failed: bool,
    /// Rows of the summary follow.
    summary: bool,
    /// The build has failed; lines that say why follow.
    explains: bool,
}

const IDLE: Watch = Watch::none().begins(&["[INFO] ---"]);
const ARMED: Watch = Watch::none().begins(&["[INFO] ", "[ERROR] ", "[WARNING] "]);

impl Dialect for Maven {
    fn watch(&self) -> Watch {
        if self.armed { ARMED } else { IDLE }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let Some((level, text)) = level(line.visible()) else { return Taken::No };
        if level == "INFO" {
            if let Some(project) = module(text) {
                return self.start_module(project, cx);
            }
            if let Some(goal) = Goal::parse(text) {
                return self.start_goal(&goal, cx);
            }
        }
        if !self.armed {
            return Taken::No;
        }
        self.inside(level, text, cx)
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        if self.explains {
            let goes_on = line.is_some_and(|line| {
                let text = line.visible();
                text.trim().is_empty() || level(text).is_some()
            });
            if goes_on {
                cx.await_next();
            } else {
                self.close(StepStatus::Failure, cx);
            }
        }
        Taken::No
    }
}

impl Maven {
    fn start_module(&mut self, project: &str, cx: &mut Context<'_>) -> Taken {
        self.end_module(cx);
        let name = project.rsplit(':').next().unwrap_or(project);
        let params = vec![("project".to_owned(), project.to_owned())];
        self.module = cx.start(Label::new("module", ""), name, params);
        self.armed |= self.module.is_some();
        if self.module.is_some() { Taken::Yes } else { Taken::No }
    }

    fn start_goal(&mut self, goal: &Goal<'_>, cx: &mut Context<'_>) -> Taken {
        if self.explains {
            self.close(StepStatus::Failure, cx);
        }
        self.end_goal(cx);
        let params = vec![
            ("version".to_owned(), goal.version.to_owned()),
            ("module".to_owned(), goal.module.to_owned()),
        ];
        self.goal = cx.start(Label::new("goal", ""), &goal.title(), params);
        self.armed |= self.goal.is_some();
        if self.goal.is_some() { Taken::Yes } else { Taken::No }
    }

    /// A line of a build that may be of any other program as well.
    fn inside(&mut self, level: &str, text: &str, cx: &mut Context<'_>) -> Taken {
        match (level, text.trim_end()) {
            ("INFO", "BUILD SUCCESS") => {
                self.end_module(cx);
                cx.meta("maven.result", "SUCCESS");
                self.close(StepStatus::Success, cx);
                return Taken::Yes;
            }
            ("INFO", "BUILD FAILURE") => {
                // With `--fail-at-end` the last module is not the one that failed.
                let open = self.goal.or(self.module);
                if self.failed && !open.is_some_and(|step| cx.has_failed(step)) {
                    self.end_module(cx);
                }
                // What is open stays so for the lines that say why.
                cx.meta("maven.result", "FAILURE");
                for step in [self.goal, self.module].into_iter().flatten() {
                    cx.settle(step, StepStatus::Failure);
                }
                self.summary = false;
                self.explains = true;
                cx.await_next();
                return Taken::Yes;
            }
            ("INFO", text) if text.starts_with("Reactor Summary") => {
                self.summary = true;
                return Taken::No;
            }
            ("INFO", text) if self.summary => {
                return if is_summary(text) { Taken::Yes } else { Taken::No };
            }
            _ => {}
        }
        if let Some(totals) = Totals::parse(text) {
            self.totals(&totals, cx);
            return Taken::Yes;
        }
        if level == "ERROR"
            && let Some((title, message)) = failed_goal(text)
        {
            cx.annotation(Annotation {
                message: message.to_owned(),
                title: Some(title),
                step: self.place(cx),
                ..Annotation::default()
            });
            return Taken::Yes;
        }
        // Below the result the compiler's errors are printed once more.
        let diagnostic = placed(text).filter(|_| level != "INFO" && !self.explains);
        let Some((file, line, col, message)) = diagnostic else { return Taken::No };
        let severity = if level == "ERROR" { Severity::Error } else { Severity::Warning };
        cx.annotation(Annotation {
            severity,
            message: message.to_owned(),
            step: self.place(cx),
            file: Some(file.to_owned()),
            line: Some(line),
            col: Some(col),
            ..Annotation::default()
        });
        if severity == Severity::Error {
            self.fail(cx);
        }
        Taken::Yes
    }

    fn totals(&mut self, totals: &Totals, cx: &mut Context<'_>) {
        let Totals { run, failures, errors, skipped } = *totals;
        let passed = run.saturating_sub(failures).saturating_sub(errors).saturating_sub(skipped);
        let mut counts = vec![("passed".to_owned(), passed), ("failed".to_owned(), failures)];
        if errors > 0 {
            counts.push(("error".to_owned(), errors));
        }
        counts.push(("skipped".to_owned(), skipped));
        let step = self.place(cx);
        cx.say(EventKind::TestSummary { counts, suite: None, status: None, step });
        if failures > 0 || errors > 0 {
            self.fail(cx);
        }
    }

    /// The step that a line of a goal belongs to.
    fn place(&self, cx: &Context<'_>) -> Option<StepId> {
        self.goal.filter(|goal| cx.is_open(*goal)).or_else(|| cx.innermost())
    }

    /// The goal has failed; with `--fail-at-end` other modules still follow.
    fn fail(&mut self, cx: &mut Context<'_>) {
        if let Some(goal) = self.goal {
            cx.fail(goal);
        }
        for step in [self.goal, self.module].into_iter().flatten() {
            cx.settle(step, StepStatus::Failure);
        }
    }

    fn end_goal(&mut self, cx: &mut Context<'_>) {
        if let Some(goal) = self.goal.take() {
            end(goal, cx);
        }
    }

    fn end_module(&mut self, cx: &mut Context<'_>) {
        if self.explains {
            self.close(StepStatus::Failure, cx);
        }
        self.end_goal(cx);
        if let Some(module) = self.module.take() {
            self.failed |= cx.has_failed(module);
            end(module, cx);
        }
    }

    /// The build is over.
    fn close(&mut self, status: StepStatus, cx: &mut Context<'_>) {
        for step in [self.goal.take(), self.module.take()].into_iter().flatten() {
            cx.end_by(step, status, None, Cause::Next);
        }
        *self = Self::default();
    }
}

fn end(step: StepId, cx: &mut Context<'_>) {
    let failed = cx.has_failed(step);
    let status = if failed { StepStatus::Failure } else { StepStatus::Success };
    cx.end_by(step, status, None, Cause::Next);
}

/// `[LEVEL] text`: the level and the text, which may be empty.
fn level(line: &str) -> Option<(&str, &str)> {
    let (level, text) = line.strip_prefix('[')?.split_once(']')?;
    let known = matches!(level, "INFO" | "WARNING" | "ERROR");
    known.then(|| (level, text.strip_prefix(' ').unwrap_or(text)))
}

/// `---< GROUP:ARTIFACT >---`: what stands between.
fn module(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let project = text.trim_start_matches('-').strip_prefix("< ")?;
    let project = project.trim_end_matches('-').strip_suffix(" >")?;
    let (group, artifact) = project.split_once(':')?;
    let is_name = |name: &str| !name.is_empty() && !name.contains([' ', ':', '<', '>']);
    let lined = text.starts_with('-') && text.ends_with('-');
    (lined && is_name(group) && is_name(artifact)).then_some(project)
}

/// `--- PLUGIN:VERSION:GOAL (EXECUTION) @ MODULE ---`
struct Goal<'a> {
    plugin: &'a str,
    version: &'a str,
    name: &'a str,
    execution: &'a str,
    module: &'a str,
}

impl<'a> Goal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_end().strip_prefix("--- ")?.strip_suffix(" ---")?;
        let (what, module) = text.rsplit_once(" @ ")?;
        let (goal, execution) = what.split_once(" (")?;
        let execution = execution.strip_suffix(')')?;
        let (plugin, goal) = goal.split_once(':')?;
        let (version, name) = goal.split_once(':')?;
        let is_word = |word: &str| !word.is_empty() && !word.contains([' ', ':']);
        let words = [plugin, version, name, module].into_iter().all(is_word);
        words.then_some(Self { plugin, version, name, execution, module })
    }

    fn title(&self) -> String {
        format!("{}:{} ({})", self.plugin, self.name, self.execution)
    }
}

/// What tests came to, all classes together.
struct Totals {
    run: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
}

impl Totals {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.trim_end().split(", ");
        let mut field = |name: &str| digits(fields.next()?.strip_prefix(name)?);
        let totals = Self {
            run: field("Tests run: ")?,
            failures: field("Failures: ")?,
            errors: field("Errors: ")?,
            skipped: field("Skipped: ")?,
        };
        // The lines of single classes go on with the time they took.
        fields.next().is_none().then_some(totals)
    }
}

/// A row of the reactor's summary: a module, its result, and how long it took if it was run.
fn is_summary(text: &str) -> bool {
    let text = text.trim_end();
    let result = match text.rsplit_once(" [") {
        Some((row, time)) if time.ends_with(']') => row,
        _ => text,
    };
    ["SUCCESS", "FAILURE", "SKIPPED"].iter().any(|word| {
        result.strip_suffix(word).is_some_and(|row| row.ends_with(' ') && row.len() > 1)
    })
}

/// `Failed to execute goal GROUP:PLUGIN:VERSION:GOAL (EXECUTION) on project P: why`: the goal, why.
fn failed_goal(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix("Failed to execute goal ")?;
    let (what, rest) = rest.split_once(" on project ")?;
    let (_, why) = rest.split_once(": ")?;
    let why = why.trim_end();
    let why = why.rsplit_once(" -> [Help ").map_or(why, |(why, _)| why);
    let (goal, execution) = what.split_once(' ').unwrap_or((what, ""));
    let mut words = goal.split(':');
    let title = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(plugin), Some(_), Some(goal)) => format!("{plugin}:{goal} {execution}"),
        _ => what.to_owned(),
    };
    Some((title.trim_end().to_owned(), why))
}

/// `FILE:[LINE,COLUMN] text`
fn placed(text: &str) -> Option<(&str, u32, u32, &str)> {
    let (file, rest) = text.split_once(":[")?;
    let (place, message) = rest.split_once("] ")?;
    let (line, col) = place.split_once(',')?;
    let message = message.trim();
    (!file.is_empty() && !message.is_empty()).then_some((
        file,
        digits(line)?,
        digits(col)?,
        message,
    ))
}
