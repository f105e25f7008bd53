//! ninja: how far it is, and what failed. An edge is no step: there are thousands.
//!
//! Source: ninja manual, the status `[%f/%t] ` that is printed by default.

use super::{
    Annotation, Context, Dialect, Line, Place, StepId, StepStatus, Stream, Taken, Watch,
    tree::Label, words::split_while,
};

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Ninja::default())
}

#[derive(Default)]
struct Ninja {
    run: Option<Run>,
    /// By stream: a line `[1/T]` that counts if `[2/T]` follows at once.
    candidates: [Option<(Place, Edge)>; 2],
}

struct Run {
    step: StepId,
    /// As many edges have ended as there are.
    complete: bool,
    /// The directory was named and no edge has ended: a single edge counts.
    fresh: bool,
}

struct Edge {
    ended: u64,
    total: u64,
    text: String,
}

impl Edge {
    /// `[1/4] Resolving packages...`: how installers count their phases.
    fn is_phase(&self) -> bool {
        self.text.ends_with("...")
    }
}

const CLOSED: &[&str] = &["ninja: ", "[1/"];
const OPEN: &[&str] =
    &["ninja: ", "FAILED: ", "[1", "[2", "[3", "[4", "[5", "[6", "[7", "[8", "[9"];

impl Dialect for Ninja {
    fn watch(&self) -> Watch {
        Watch::none().begins(if self.run.is_some() { OPEN } else { CLOSED })
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        if self.run.as_ref().is_some_and(|run| !cx.is_open(run.step)) {
            self.run = None; // Ended with a step around it.
        }
        let text = line.visible();
        if let Some(text) = text.strip_prefix("ninja: ") {
            return self.said(text, cx);
        }
        if text.starts_with("FAILED: ") {
            let Some(run) = &self.run else { return Taken::No };
            cx.settle(run.step, StepStatus::Failure);
            problem(text.trim_end(), Some(run.step), cx);
            return Taken::Yes;
        }
        let Some(edge) = edge(text) else { return Taken::No };
        match &mut self.run {
            Some(run) if run.fresh || !run.complete => {
                run.advance(&edge, cx);
                Taken::Yes
            }
            _ if edge.ended == 1 && edge.total > 1 && !edge.is_phase() => {
                self.candidates[slot(cx.place.stream)] = Some((cx.place, edge));
                Taken::Held
            }
            _ => Taken::No,
        }
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let stream = cx.place.stream;
        let candidate = self.candidates[slot(stream)].take();
        let second = line.and_then(|line| edge(line.visible()));
        if let (Some((place, first)), Some(second)) = (candidate, second)
            && (second.ended, second.total) == (2, first.total)
            && !second.is_phase()
        {
            let here = std::mem::replace(&mut cx.place, place);
            let started = self.start(cx);
            if let (true, Some(run)) = (started, &mut self.run) {
                run.advance(&first, cx);
                cx.place = here;
                run.advance(&second, cx);
                cx.consume(stream);
                return Taken::Yes;
            }
            cx.place = here;
        }
        cx.release(stream);
        Taken::No
    }
}

impl Ninja {
    /// A new run; the one before, if it is open, has ended.
    fn start(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(run) = self.run.take().filter(|run| cx.is_open(run.step)) {
            let verdict = cx.get(run.step).and_then(|open| open.verdict);
            cx.end_by(run.step, verdict.unwrap_or(StepStatus::Done), None, super::Cause::Next);
        }
        let step = cx.start(Label::new("run", ""), "ninja", Vec::new());
        self.run = step.map(|step| Run { step, complete: false, fresh: true });
        self.run.is_some()
    }

    /// What ninja says of itself.
    fn said(&mut self, text: &str, cx: &mut Context<'_>) -> Taken {
        if text.starts_with("Entering directory ") {
            return if self.start(cx) { Taken::Yes } else { Taken::No };
        }
        let step = self.run.as_ref().map(|run| run.step);
        let status = if text == "no work to do." {
            if step.is_none() {
                return Taken::No;
            }
            StepStatus::Success
        } else if text.starts_with("build stopped: ") {
            problem(text, step, cx);
            StepStatus::Failure
        } else if let Some(text) =
            text.strip_prefix("error: ").or_else(|| text.strip_prefix("fatal: "))
        {
            problem(text, step, cx);
            StepStatus::Failure
        } else {
            return Taken::No;
        };
        if let Some(step) = step {
            cx.end(step, status, None);
            self.run = None;
        }
        Taken::Yes
    }
}

impl Run {
    fn advance(&mut self, edge: &Edge, cx: &mut Context<'_>) {
        self.fresh = false;
        self.complete = edge.ended == edge.total;
        let failed = cx.get(self.step).is_some_and(|open| open.verdict.is_some());
        if self.complete && !failed {
            // Whatever the script does afterwards, this has worked.
            cx.settle(self.step, StepStatus::Success);
        }
        let value = (edge.ended * 100 / edge.total) as f64;
        cx.progress(Some(self.step), Some(value), &edge.text);
    }
}

fn slot(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

fn problem(text: &str, step: Option<StepId>, cx: &mut Context<'_>) {
    cx.annotation(Annotation { message: text.to_owned(), step, ..Annotation::default() });
}

/// `[K/T] text`, with K from 1 to T.
fn edge(text: &str) -> Option<Edge> {
    let number = |text| split_while(text, |c: char| c.is_ascii_digit());
    let (ended, rest) = number(text.strip_prefix('[')?)?;
    let (total, rest) = number(rest.strip_prefix('/')?)?;
    let text = rest.strip_prefix("] ").filter(|text| !text.trim().is_empty())?;
    // ninja counts in 32 bits.
    let (ended, total) = (ended.parse::<u32>().ok()?, total.parse::<u32>().ok()?);
    let edge = Edge { ended: ended.into(), total: total.into(), text: text.to_owned() };
    (1..=edge.total).contains(&edge.ended).then_some(edge)
}
