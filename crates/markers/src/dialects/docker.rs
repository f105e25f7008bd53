//! `BuildKit`'s plain progress: a vertex a step, interleaved.
//!
//! Source: `moby/buildkit`, `util/progress/progressui/printer.go` and `display.go`.

use std::collections::BTreeMap;

use super::{
    Annotation, Cause, Context, Dialect, Ending, Line, Severity, StepId, StepStatus, Taken, Watch,
    tree::{Label, hash},
    words::{digits, split_while},
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Docker { armed: hinted, ..Docker::default() })
}

#[derive(Default)]
struct Docker {
    /// A line was seen that only a build prints.
    armed: bool,
    build: Build,
}

/// One build. A script may run several, and each counts its vertices from the start.
#[derive(Default)]
struct Build {
    /// What was innermost when it began.
    base: Option<StepId>,
    /// By number. No more than an execution has steps.
    vertices: BTreeMap<u32, Vertex>,
    /// A vertex failed or was stopped.
    failed: bool,
}

struct Vertex {
    step: StepId,
    /// A hash of the line that it began with.
    header: u64,
}

/// What a line says of its vertex.
enum Said<'a> {
    Ended(StepStatus, Option<&'static str>),
    Error(&'a str),
    Warning(&'a str),
    /// Its output goes on later, or its digest.
    Nothing,
    Text(&'a str),
}

const ARMED: Watch =
    Watch::none().begins(&["#0", "#1", "#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9"]);

impl Dialect for Docker {
    fn watch(&self) -> Watch {
        ARMED
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let Some((number, text)) = vertex(line.visible()) else { return Taken::No };
        let begins = is_beginning(text);
        self.armed |= begins;
        if !self.armed {
            return Taken::No;
        }
        if begins && self.is_another_build(number, text, cx) {
            self.forget(Cause::Next, cx);
        }
        match self.build.vertices.get(&number) {
            Some(vertex) if vertex.header == hash(text) => Taken::Yes,
            Some(vertex) => {
                let step = vertex.step;
                self.said(step, said(text), cx);
                Taken::Yes
            }
            None => self.first(number, text, cx),
        }
    }

    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        // What was running then did not fail: its build did.
        self.build.failed = ending != Ending::Exit(0);
        self.forget(Cause::End, cx);
    }
}

impl Docker {
    /// The first line of a vertex.
    fn first(&mut self, number: u32, text: &str, cx: &mut Context<'_>) -> Taken {
        // Results and output come later: this number is of something else.
        if !matches!(said(text), Said::Text(whole) if whole == text) {
            return Taken::No;
        }
        if self.build.vertices.is_empty() {
            self.build.base = cx.innermost();
        }
        let params = vec![("vertex".to_owned(), format!("#{number}"))];
        let label = Label::new("vertex", "").in_lane(u64::from(number));
        let Some(step) = cx.start_loose(label, text, params, self.build.base) else {
            return Taken::No;
        };
        self.build.vertices.insert(number, Vertex { step, header: hash(text) });
        Taken::Yes
    }

    /// A later line of a vertex. What ended it may be said again, or otherwise: the last counts.
    fn said(&mut self, step: StepId, said: Said<'_>, cx: &mut Context<'_>) {
        let open = cx.is_open(step).then_some(step);
        let end = |status, detail, cx: &mut Context<'_>| match open {
            Some(step) => cx.end(step, status, detail),
            None => cx.end_again(step, status, detail),
        };
        match said {
            Said::Ended(status, detail) => {
                self.build.failed |= status == StepStatus::Cancelled;
                end(status, detail, cx);
            }
            Said::Error(message) => {
                self.build.failed = true;
                let message = message.to_owned();
                cx.annotation(Annotation { message, step: open, ..Annotation::default() });
                end(StepStatus::Failure, None, cx);
            }
            Said::Warning(message) => cx.annotation(Annotation {
                severity: Severity::Warning,
                message: message.to_owned(),
                step: open,
                ..Annotation::default()
            }),
            Said::Nothing => {}
            Said::Text(text) => cx.log_on(Some(step), text, None),
        }
    }

    /// Whether this first line is one of the next build: it is known, and cannot come again.
    fn is_another_build(&self, number: u32, text: &str, cx: &Context<'_>) -> bool {
        if text.starts_with(BUILDING) {
            return self.build.vertices.contains_key(&number);
        }
        // Older builds do not name their builder. Vertices that have ended are printed again within
        // a build, but not the first one with nothing else left open.
        number == 1
            && self.build.vertices.contains_key(&1)
            && self.build.vertices.len() > 1
            && !self.build.vertices.contains_key(&0)
            && cx.find_kind("vertex").is_none()
    }

    /// Ends what is open of a build that is over.
    fn forget(&mut self, by: Cause, cx: &mut Context<'_>) {
        let build = std::mem::take(&mut self.build);
        let status = if build.failed { StepStatus::Cancelled } else { StepStatus::Success };
        for vertex in build.vertices.values().rev() {
            cx.end_by(vertex.step, status, None, by);
        }
    }
}

const BUILDING: &str = "building with \"";

/// `#N TEXT`: the number and the text.
fn vertex(line: &str) -> Option<(u32, &str)> {
    let (number, text) = split_while(line.strip_prefix('#')?, |c| c.is_ascii_digit())?;
    let text = text.strip_prefix(' ')?.trim_end();
    (!text.is_empty()).then_some((digits(number)?, text))
}

/// Whether only a build prints this.
fn is_beginning(text: &str) -> bool {
    const INTERNAL: [&str; 7] = [
        "load build definition",
        "load .dockerignore",
        "load build context",
        "load metadata for ",
        "load git source",
        "load local bake definitions",
        "load remote bake definitions",
    ];
    // With several targets: `[web internal] load ...`.
    let internal = text.strip_prefix('[').and_then(|text| text.split_once("] "));
    if let Some((stage, what)) = internal {
        return (stage == "internal" || stage.ends_with(" internal"))
            && INTERNAL.iter().any(|internal| what.starts_with(internal));
    }
    let instance = text.strip_prefix(BUILDING);
    instance.is_some_and(|text| text.contains("\" instance using ")) || is_digest(text)
}

fn is_digest(text: &str) -> bool {
    let digest = text.strip_prefix("sha256:").filter(|digest| digest.len() == 64);
    digest.is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn said(text: &str) -> Said<'_> {
    match text {
        "CACHED" => return Said::Ended(StepStatus::Success, Some("cached")),
        "CANCELED" => return Said::Ended(StepStatus::Cancelled, None),
        "DONE" => return Said::Ended(StepStatus::Success, None),
        "ERROR" => return Said::Error("failed"),
        "..." => return Said::Nothing,
        _ if is_digest(text) => return Said::Nothing,
        _ => {}
    }
    if let Some(time) = text.strip_prefix("DONE ").and_then(|text| text.strip_suffix('s'))
        && seconds(time) == Some("")
    {
        return Said::Ended(StepStatus::Success, None);
    }
    if let Some(message) = text.strip_prefix("ERROR: ") {
        return Said::Error(message);
    }
    if let Some(message) = text.strip_prefix("WARN: ") {
        return Said::Warning(message);
    }
    match seconds(text) {
        Some("") => Said::Text(""),
        Some(rest) => Said::Text(rest.strip_prefix(' ').unwrap_or(text)),
        None => Said::Text(text),
    }
}

/// What stands behind `SECONDS.FRACTION`.
fn seconds(text: &str) -> Option<&str> {
    let is_digit = |c: char| c.is_ascii_digit();
    let (_, rest) = split_while(text, is_digit)?;
    let (_, rest) = split_while(rest.strip_prefix('.')?, is_digit)?;
    Some(rest)
}
