//! `ansible-playbook` with its default output: plays, tasks, what became of each host.
//!
//! Source: `ansible-core`, `plugins/callback/default.py` and `utils/display.py`.

mod line; // the grammar

use std::collections::BTreeMap;

use self::line::{Banner, Outcome, banner, outcome, recap};
use super::{
    Annotation, Cause, Context, Dialect, Ending, Line, Place, Severity, StepId, StepStatus, Stream,
    Taken, Watch,
    tree::{Label, hash},
    words::head,
};

/// Of one task so many failures wait for its end at most; more are told at once.
const PENDING_MAX: usize = 100;
/// So many hosts of a play are remembered as failed.
const HOSTS_MAX: usize = 10_000;

pub(super) fn new(_hinted: bool) -> Box<dyn Dialect> {
    Box::new(Ansible::default())
}

#[derive(Default)]
struct Ansible {
    play: Option<Play>,
    task: Option<Task>,
    /// Tasks so far.
    tasks: u64,
    /// By stream.
    lanes: [Lane; 2],
}

/// What the next line of a stream decides.
#[derive(Default)]
struct Lane {
    /// A failure that may be ignored.
    failure: Option<Failure>,
    /// Rows of a recap follow.
    recap: bool,
}

struct Play {
    step: StepId,
    /// Hosts that failed, by the hashes of their names, each with the task in which it did.
    failed: BTreeMap<u64, u64>,
}

struct Task {
    step: StepId,
    /// A host has done it.
    done: bool,
    skipped: bool,
    failed: bool,
    ignored: bool,
    /// Failures of a loop: whether they are ignored is said behind the last one of the host.
    pending: Vec<Failure>,
}

struct Failure {
    host: String,
    message: String,
    /// One of several of the host.
    of_loop: bool,
    place: Place,
}

impl Task {
    /// How it ends, as far as is known.
    fn status(&self) -> StepStatus {
        match self {
            Self { failed: true, .. } => StepStatus::Failure,
            Self { done: true, .. } | Self { ignored: true, .. } => StepStatus::Success,
            Self { skipped: true, .. } => StepStatus::Skipped,
            _ => StepStatus::Done,
        }
    }
}

impl Play {
    fn status(&self) -> StepStatus {
        if self.failed.is_empty() { StepStatus::Success } else { StepStatus::Failure }
    }
}

const BANNERS: [&str; 3] = ["PLAY ", "TASK [", "RUNNING HANDLER ["];
const IDLE: Watch = Watch::none().begins(&BANNERS);
const IN_TASK: Watch = Watch::none().begins(&[
    BANNERS[0],
    BANNERS[1],
    BANNERS[2],
    "NO MORE HOSTS LEFT ",
    "ok: [",
    "changed: [",
    "skipping: [",
    "fatal: [",
    "failed: [",
]);

impl Dialect for Ansible {
    fn watch(&self) -> Watch {
        if self.task.is_some() { IN_TASK } else { IDLE }
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        self.forget_closed(cx);
        let text = line.visible();
        match banner(text) {
            Some(Banner::Play(name)) => return self.start_play(name, cx),
            Some(Banner::Task(name)) => return self.start_task("task", name, cx),
            Some(Banner::Handler(name)) => return self.start_task("handler", name, cx),
            Some(Banner::NoMoreHosts) => {
                self.finish_task(cx);
                return Taken::Yes;
            }
            Some(Banner::Recap) => {
                self.finish_play(cx);
                self.lane(cx).recap = true;
                cx.await_next();
                return Taken::Yes;
            }
            None => {}
        }
        if let Some(outcome) = outcome(text)
            && self.task.is_some()
        {
            self.host(outcome, cx);
        }
        Taken::No // What hosts say is shown.
    }

    fn next(&mut self, line: Option<&Line<'_>>, cx: &mut Context<'_>) -> Taken {
        let text = line.map(Line::visible);
        if std::mem::take(&mut self.lane(cx).recap) {
            let Some((host, counts)) = text.and_then(recap) else { return Taken::No };
            cx.meta(&format!("ansible.recap.{host}"), &counts);
            self.lane(cx).recap = true;
            cx.await_next();
            return Taken::Yes;
        }
        let Some(failure) = self.lane(cx).failure.take() else { return Taken::No };
        self.forget_closed(cx);
        if text.is_some_and(|text| text.trim() == "...ignoring") {
            self.ignore(failure, cx);
            return Taken::Yes;
        }
        match &mut self.task {
            Some(task) if failure.of_loop && task.pending.len() < PENDING_MAX => {
                task.pending.push(failure);
            }
            _ => self.fail(failure, cx),
        }
        Taken::No
    }

    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        self.forget_closed(cx);
        if ending == Ending::Exit(0) {
            return self.finish_play(cx);
        }
        // No recap came: what ran then was ended.
        self.tell_pending(cx);
        if let Some(task) = self.task.take() {
            let status = if task.failed { StepStatus::Failure } else { ending.status() };
            cx.end_by(task.step, status, None, Cause::End);
        }
        if let Some(play) = self.play.take() {
            cx.end_by(play.step, ending.status(), None, Cause::End);
        }
    }
}

impl Ansible {
    fn lane(&mut self, cx: &Context<'_>) -> &mut Lane {
        &mut self.lanes[usize::from(cx.place.stream == Stream::Stderr)]
    }

    /// Others may have closed the steps together with theirs.
    fn forget_closed(&mut self, cx: &mut Context<'_>) {
        if self.task.as_ref().is_some_and(|task| !cx.is_open(task.step)) {
            self.tell_pending(cx);
            self.task = None;
        }
        self.play = self.play.take().filter(|play| cx.is_open(play.step));
    }

    fn start_play(&mut self, name: &str, cx: &mut Context<'_>) -> Taken {
        self.finish_play(cx);
        let Some(step) = cx.start(Label::new("play", ""), name, kind("play")) else {
            return Taken::No;
        };
        self.play = Some(Play { step, failed: BTreeMap::new() });
        Taken::Yes
    }

    fn start_task(&mut self, what: &str, name: &str, cx: &mut Context<'_>) -> Taken {
        self.finish_task(cx);
        let Some(step) = cx.start(Label::new("task", ""), name, kind(what)) else {
            return Taken::No;
        };
        self.tasks += 1;
        self.task = Some(Task {
            step,
            done: false,
            skipped: false,
            failed: false,
            ignored: false,
            pending: Vec::new(),
        });
        Taken::Yes
    }

    /// A line about a host, in a task.
    fn host(&mut self, outcome: Outcome<'_>, cx: &mut Context<'_>) {
        let Some(task) = &mut self.task else { return };
        let host = match outcome {
            Outcome::Done(host) => {
                task.done = true;
                host
            }
            Outcome::Skipped(host) => {
                task.skipped = true;
                host
            }
            Outcome::Failed { host, message, item } => {
                let of_loop = item.is_some();
                let item = item.map_or_else(String::new, |item| format!(" (item={item})"));
                let mut message = format!("{host}{item}: {message}");
                if of_loop {
                    // Many of them may have to wait.
                    message.truncate(head(&message, crate::NAME_BYTES_MAX).len());
                }
                let place = cx.place;
                self.lane(cx).failure =
                    Some(Failure { host: host.to_owned(), message, of_loop, place });
                return cx.await_next();
            }
        };
        // A host that goes on in another task was rescued.
        if let Some(play) = &mut self.play
            && play.failed.get(&hash(host)).is_some_and(|task| *task != self.tasks)
        {
            play.failed.remove(&hash(host));
        }
        self.settle(cx);
    }

    /// A failure, and those before it of the same loop, are of no account.
    fn ignore(&mut self, failure: Failure, cx: &mut Context<'_>) {
        let mut ignored = Vec::new();
        if let Some(task) = &mut self.task {
            task.ignored = true;
            let (of_host, others) =
                std::mem::take(&mut task.pending).into_iter().partition(|f| f.host == failure.host);
            task.pending = others;
            ignored = of_host;
        }
        ignored.push(failure);
        for failure in ignored {
            self.annotate(failure, Severity::Warning, cx);
        }
        self.settle(cx);
    }

    fn fail(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if let Some(task) = &mut self.task {
            task.failed = true;
        }
        if let Some(play) = &mut self.play
            && play.failed.len() < HOSTS_MAX
        {
            play.failed.insert(hash(&failure.host), self.tasks);
        }
        self.annotate(failure, Severity::Error, cx);
        self.settle(cx);
    }

    fn annotate(&self, failure: Failure, severity: Severity, cx: &mut Context<'_>) {
        let step = self.task.as_ref().map(|task| task.step).filter(|step| cx.is_open(*step));
        let here = std::mem::replace(&mut cx.place, failure.place);
        let message = failure.message;
        cx.annotation(Annotation { severity, message, step, ..Annotation::default() });
        cx.place = here;
    }

    /// Failures of loops that nobody has ignored.
    fn tell_pending(&mut self, cx: &mut Context<'_>) {
        let pending = self.task.as_mut().map(|task| std::mem::take(&mut task.pending));
        for failure in pending.into_iter().flatten() {
            self.fail(failure, cx);
        }
    }

    /// Says how the steps end if something around them does.
    fn settle(&self, cx: &mut Context<'_>) {
        if let Some(task) = &self.task {
            cx.settle(task.step, task.status());
        }
        if let Some(play) = &self.play {
            cx.settle(play.step, play.status());
        }
    }

    fn finish_task(&mut self, cx: &mut Context<'_>) {
        self.tell_pending(cx);
        if let Some(task) = self.task.take() {
            let ignored = task.ignored && !task.failed;
            cx.end_by(task.step, task.status(), ignored.then_some("ignored"), Cause::Next);
        }
    }

    fn finish_play(&mut self, cx: &mut Context<'_>) {
        self.finish_task(cx);
        if let Some(play) = self.play.take() {
            cx.end_by(play.step, play.status(), None, Cause::Next);
        }
    }
}

fn kind(kind: &str) -> Vec<(String, String)> {
    vec![("kind".to_owned(), kind.to_owned())]
}
