//! TeamCity service messages.
//!
//! Source: JetBrains TeamCity help, "Service Messages".

mod message; // the grammar

use self::message::Message;
use super::{
    Annotation, Context, Dialect, Ending, Line, Severity, StepId, StepStatus, Taken, Test,
    TestStatus, Watch, glue,
    tree::{Label, hash},
    watch::Needle,
    words::{digits, some},
};

/// Flows beyond so many are part of the common one.
const FLOWS_MAX: usize = 1_000;
/// At most so many tests are started and not finished.
const TESTS_MAX: usize = 10_000;
/// So many bytes of names and messages are kept for them.
const TEST_BYTES_MAX: usize = 1024 * 1024;
/// A line with so many openings that are no message is searched no further.
const FALSE_OPENINGS_MAX: usize = 16;

const OPENING: &str = "##teamcity[";

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(TeamCity { armed: hinted, ..TeamCity::default() })
}

#[derive(Default)]
struct TeamCity {
    armed: bool,
    /// Messages are switched off.
    off: bool,
    flows: Vec<Flow>,
    tests: Vec<Pending>,
    test_bytes: usize,
}

/// A lane of its own.
struct Flow {
    lane: u64,
    /// What was innermost where it began.
    base: Option<StepId>,
}

/// A test that has started.
struct Pending {
    lane: u64,
    name: String,
    /// How it stands, and why.
    verdict: Option<(TestStatus, Option<String>)>,
}

impl Pending {
    fn bytes(&self) -> usize {
        let message = self.verdict.as_ref().and_then(|(_, message)| message.as_ref());
        self.name.len() + message.map_or(0, String::len)
    }
}

impl Dialect for TeamCity {
    fn watch(&self) -> Watch {
        Watch::none().needle(Needle::TeamCity)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.visible();
        let mut done = 0;
        let mut taken = Taken::No;
        let mut false_openings = 0;
        for (at, _) in text.match_indices(OPENING) {
            if at < done {
                continue;
            }
            // Behind another message it is as if at the line's beginning.
            let glued = taken == Taken::Yes && at == done;
            if !glued && !glue::allows(&text[..at], self.armed) {
                continue;
            }
            let Some((message, len)) = Message::parse(&text[at + OPENING.len()..]) else {
                false_openings += 1;
                if false_openings == FALSE_OPENINGS_MAX {
                    break;
                }
                continue;
            };
            let between = &text[done..at];
            if !between.trim().is_empty() {
                cx.log(between);
            }
            self.armed = true;
            taken = Taken::Yes;
            self.act(&message, cx);
            done = at + OPENING.len() + len;
        }
        if taken == Taken::Yes && !text[done..].trim().is_empty() {
            cx.log(&text[done..]);
        }
        taken
    }

    fn end(&mut self, _ending: Ending, cx: &mut Context<'_>) {
        for test in std::mem::take(&mut self.tests) {
            let step = self.step(test.lane, cx);
            let (status, message) = match test.verdict {
                Some((TestStatus::Failed, message)) => (TestStatus::Failed, message),
                _ => (TestStatus::Unknown, None),
            };
            cx.test_on(step, Test { message, ..Test::new(test.name, status) });
        }
    }
}

impl TeamCity {
    fn act(&mut self, message: &Message<'_>, cx: &mut Context<'_>) {
        match message.name {
            "disableServiceMessages" => self.off = true,
            "enableServiceMessages" => self.off = false,
            _ if self.off => {}
            _ => self.say(message, cx),
        }
    }

    fn say(&mut self, message: &Message<'_>, cx: &mut Context<'_>) {
        let lane = self.lane(message, cx);
        let get = |key| message.get(key);
        let text = |key| message.get(key).unwrap_or_default();
        let step = self.step(lane, cx);
        match message.name {
            "blockOpened" => {
                let description = get("description").map(|text| ("description".to_owned(), text));
                self.open("block", lane, &text("name"), description, cx);
            }
            "blockClosed" => Self::close("block", lane, &text("name"), cx),
            "progressStart" => self.open("progress", lane, &message.text(), None, cx),
            "progressFinish" => Self::close("progress", lane, &message.text(), cx),
            "compilationStarted" => self.open("compilation", lane, &text("compiler"), None, cx),
            "compilationFinished" => Self::close("compilation", lane, &text("compiler"), cx),
            "testSuiteStarted" => self.open("suite", lane, &text("name"), None, cx),
            "testSuiteFinished" => {
                if let Some(step) = cx.find_label(Label::new("suite", &text("name")).in_lane(lane))
                {
                    let failed = cx.has_failed(step);
                    cx.end(
                        step,
                        if failed { StepStatus::Failure } else { StepStatus::Success },
                        None,
                    );
                }
            }
            "testStarted" => self.start_test(lane, text("name")),
            "testFailed" => self.judge(lane, &text("name"), TestStatus::Failed, get("message")),
            "testIgnored" => {
                let name = text("name");
                if self.pending(lane, &name).is_some() {
                    self.judge(lane, &name, TestStatus::Skipped, get("message"));
                } else {
                    let test = Test::new(name, TestStatus::Skipped);
                    cx.test_on(step, Test { message: get("message"), ..test });
                }
            }
            "testFinished" => self.finish_test(lane, &text("name"), get("duration"), cx),
            "testStdOut" | "testStdErr" => log_lines(&text("out"), step, cx),
            "message" => {
                let severity = match text("status").to_ascii_uppercase().as_str() {
                    "WARNING" => Severity::Warning,
                    "FAILURE" | "ERROR" => Severity::Error,
                    _ => return log_lines(&text("text"), step, cx),
                };
                cx.annotation(Annotation {
                    severity,
                    message: text("text"),
                    details: get("errorDetails").and_then(|details| some(&details)),
                    step,
                    ..Annotation::default()
                });
            }
            "buildProblem" => cx.annotation(Annotation {
                message: text("description"),
                title: get("identity"),
                step,
                ..Annotation::default()
            }),
            "inspection" => cx.annotation(Annotation {
                severity: match text("SEVERITY").to_ascii_uppercase().as_str() {
                    "ERROR" => Severity::Error,
                    "WARNING" => Severity::Warning,
                    _ => Severity::Notice,
                },
                message: text("message"),
                file: get("file"),
                line: get("line").and_then(|line| digits(&line)),
                code: get("typeId"),
                step,
                ..Annotation::default()
            }),
            "publishArtifacts" => {
                for rule in message.text().split([',', '\n']).map(str::trim) {
                    let (path, name) = rule.split_once("=>").unwrap_or((rule, ""));
                    cx.artifact(path.trim(), name.trim());
                }
            }
            "importData" => cx.artifact(text("path").trim(), &text("type")),
            "progressMessage" => cx.progress(step, None, &message.text()),
            "flowFinished" => self.finish_flow(lane, cx),
            _ => metadata(message, step, cx),
        }
    }

    /// The flow of a message; 0 is the common one.
    fn lane(&mut self, message: &Message<'_>, cx: &Context<'_>) -> u64 {
        let Some(id) = message.get("flowId").filter(|id| !id.is_empty()) else { return 0 };
        let lane = hash(&id);
        if self.flows.iter().any(|flow| flow.lane == lane) {
            return lane;
        }
        if self.flows.len() == FLOWS_MAX {
            return 0;
        }
        let parent = message.get("parent").map(|parent| hash(&parent));
        let parent = parent.filter(|parent| self.flows.iter().any(|flow| flow.lane == *parent));
        let base = match parent {
            Some(parent) => self.step(parent, cx),
            None => cx.innermost(),
        };
        self.flows.push(Flow { lane, base });
        lane
    }

    /// The innermost open step of a flow, or what it began in.
    fn step(&self, lane: u64, cx: &Context<'_>) -> Option<StepId> {
        if lane == 0 {
            return cx.innermost();
        }
        cx.find(|open| open.label.lane == lane).or_else(|| {
            let base = self.flows.iter().find(|flow| flow.lane == lane)?.base?;
            if cx.is_open(base) { Some(base) } else { cx.innermost() }
        })
    }

    fn open(
        &self,
        kind: &'static str,
        lane: u64,
        name: &str,
        param: Option<(String, String)>,
        cx: &mut Context<'_>,
    ) {
        let label = Label::new(kind, name).in_lane(lane);
        let shown = if name.trim().is_empty() { kind } else { name };
        let params = param.into_iter().collect();
        if lane == 0 {
            cx.start(label, shown, params);
        } else {
            cx.start_loose(label, shown, params, self.step(lane, cx));
        }
    }

    fn close(kind: &'static str, lane: u64, name: &str, cx: &mut Context<'_>) {
        if let Some(step) = cx.find_label(Label::new(kind, name).in_lane(lane)) {
            cx.end(step, StepStatus::Done, None);
        }
    }

    fn finish_flow(&mut self, lane: u64, cx: &mut Context<'_>) {
        if lane == 0 {
            return;
        }
        while let Some(step) = cx.find(|open| open.label.lane == lane) {
            cx.end(step, StepStatus::Done, None);
        }
        self.flows.retain(|flow| flow.lane != lane);
    }

    fn start_test(&mut self, lane: u64, name: String) {
        let room = self.tests.len() < TESTS_MAX && self.test_bytes + name.len() <= TEST_BYTES_MAX;
        if room && self.pending(lane, &name).is_none() {
            self.test_bytes += name.len();
            self.tests.push(Pending { lane, name, verdict: None });
        }
    }

    fn pending(&self, lane: u64, name: &str) -> Option<usize> {
        self.tests.iter().rposition(|test| test.lane == lane && test.name == name)
    }

    fn judge(&mut self, lane: u64, name: &str, status: TestStatus, message: Option<String>) {
        let Some(at) = self.pending(lane, name) else { return };
        let before = self.tests[at].bytes();
        let room = TEST_BYTES_MAX.saturating_sub(self.test_bytes);
        let message = message.filter(|message| message.len() <= room);
        self.tests[at].verdict = Some((status, message));
        self.test_bytes = self.test_bytes + self.tests[at].bytes() - before;
    }

    fn finish_test(
        &mut self,
        lane: u64,
        name: &str,
        duration: Option<String>,
        cx: &mut Context<'_>,
    ) {
        let Some(at) = self.pending(lane, name) else { return };
        let test = self.tests.remove(at);
        self.test_bytes -= test.bytes();
        let step = self.step(lane, cx);
        let (status, message) = test.verdict.unwrap_or((TestStatus::Passed, None));
        if let (TestStatus::Failed, Some(step)) = (status, step) {
            cx.fail(step);
        }
        let duration_ms = duration.and_then(|duration| digits(&duration));
        cx.test_on(step, Test { message, duration_ms, ..Test::new(test.name, status) });
    }
}

fn metadata(message: &Message<'_>, step: Option<StepId>, cx: &mut Context<'_>) {
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            cx.meta_on(step, key, &value, None);
        }
    };
    match message.name {
        "buildNumber" => say("build_number", message.value.clone()),
        "addBuildTag" => say("tag", message.value.clone()),
        "testCount" => say("test_count", message.get("count")),
        "buildStatus" => {
            say("status", message.get("status"));
            say("status_text", message.get("text"));
        }
        "buildStatisticValue" => {
            if let Some(key) = message.get("key") {
                say(&format!("stat.{key}"), message.get("value"));
            }
        }
        "setParameter" => {
            if let Some(name) = message.get("name") {
                say(&format!("param.{name}"), message.get("value"));
            }
        }
        _ => {} // Whatever else is said to the server of that system.
    }
}

fn log_lines(text: &str, step: Option<StepId>, cx: &mut Context<'_>) {
    for line in text.lines() {
        cx.log_on(step, line, None);
    }
}
