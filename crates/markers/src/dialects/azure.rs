//! Azure Pipelines logging commands.
//!
//! Source: `microsoft/azure-pipelines-agent`, `Command.cs`, `TaskCommandExtension.cs`.

use super::{
    Annotation, Context, Dialect, Level, Line, Severity, StepStatus, Summary, Taken, Watch, glue,
    tree::Label,
    watch::Needle,
    words::{digits, some, strip_prefix_any_case, unescape},
};

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(Azure { armed: hinted })
}

struct Azure {
    /// Commands count behind blanks and brackets too.
    armed: bool,
}

const OPENING: &str = "##vso[";

// One after the other, the percent sign last. A plain `%25` is text.
const ESCAPES: [(&str, &str); 5] =
    [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")];

const ACTIONS: [&str; 22] = [
    "artifact.associate",
    "artifact.upload",
    "build.addbuildtag",
    "build.updatebuildnumber",
    "build.uploadlog",
    "codecoverage.publish",
    "release.updatereleasename",
    "results.publish",
    "task.addattachment",
    "task.complete",
    "task.debug",
    "task.issue",
    "task.logdetail",
    "task.logissue",
    "task.prependpath",
    "task.setendpoint",
    "task.setprogress",
    "task.setsecret",
    "task.setvariable",
    "task.uploadfile",
    "task.uploadsummary",
    "telemetry.publish",
];

impl Dialect for Azure {
    fn watch(&self) -> Watch {
        Watch::none().begins(&["##["]).indented(&["##["]).needle(Needle::Vso)
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        if let Some((word, text)) =
            line.trimmed().strip_prefix("##[").and_then(|t| t.split_once(']'))
            && format(&word.to_ascii_lowercase(), text, cx)
        {
            self.armed = true;
            return Taken::Yes;
        }
        let text = line.visible();
        for (at, _) in text.match_indices(OPENING) {
            let before = &text[..at];
            if !glue::allows(before, self.armed) {
                continue;
            }
            let Some(command) = Command::parse(&text[at + OPENING.len()..]) else { continue };
            if !before.trim().is_empty() {
                cx.log(before);
            }
            self.armed = true;
            command.act(cx);
            return Taken::Yes;
        }
        Taken::No
    }
}

/// What a line declares as secret, as it is and as it is written.
pub(super) fn declared(text: &str, secrets: &mut Vec<String>) {
    for (at, _) in text.match_indices(OPENING) {
        let rest = &text[at + OPENING.len()..];
        if !glue::allows(&text[..at], true) {
            continue;
        }
        let Some(command) = Command::parse(rest) else { continue };
        let written = rest.split_once(']').map_or("", |(_, message)| message);
        if command.is_secret() {
            for secret in [command.message.as_str(), written] {
                if !secret.trim().is_empty() && !secrets.iter().any(|known| known == secret) {
                    secrets.push(secret.to_owned());
                }
            }
        }
        return;
    }
}

/// Carries out `##[word]text`; `false` if there is no such word.
fn format(word: &str, text: &str, cx: &mut Context<'_>) -> bool {
    let annotation =
        |severity| Annotation { severity, message: text.to_owned(), ..Annotation::default() };
    match word {
        "group" => {
            let name = if text.trim().is_empty() { "group" } else { text };
            cx.start(Label::new("group", ""), name, Vec::new());
        }
        "endgroup" => {
            if let Some(step) = cx.find_kind("group") {
                cx.end(step, StepStatus::Done, None);
            }
        }
        "section" => {
            if let Some(name) = text.strip_prefix("Starting: ") {
                cx.start(Label::new("section", name.trim()), name, Vec::new());
            } else if let Some(name) = text.strip_prefix("Finishing: ") {
                if let Some(step) = cx.find_label(Label::new("section", name.trim())) {
                    cx.end(step, StepStatus::Done, None);
                }
            } else {
                cx.log_as(Level::Section, text);
            }
        }
        "command" => cx.log_as(Level::Command, text),
        "debug" => cx.log_as(Level::Debug, text),
        "error" => cx.annotation(annotation(Severity::Error)),
        "warning" => cx.annotation(annotation(Severity::Warning)),
        "notice" => cx.annotation(annotation(Severity::Notice)),
        _ => return false,
    }
    true
}

struct Command<'a> {
    action: &'static str,
    properties: Vec<(&'a str, &'a str)>,
    message: String,
}

impl<'a> Command<'a> {
    /// What stands behind the opening.
    fn parse(text: &'a str) -> Option<Self> {
        // The name first: a line full of openings must not be searched to its end for each.
        let action = ACTIONS.into_iter().find(|action| {
            strip_prefix_any_case(text, action).is_some_and(|rest| rest.starts_with([' ', ']']))
        })?;
        let (head, message) = text.split_once(']')?;
        let properties = head[action.len()..]
            .split(';')
            .filter_map(|property| property.split_once('='))
            .map(|(key, value)| (key.trim(), value))
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
            .collect();
        Some(Self { action, properties, message: unescape(message, &ESCAPES) })
    }

    fn get(&self, key: &str) -> Option<String> {
        let found = self.properties.iter().rfind(|(known, _)| known.eq_ignore_ascii_case(key));
        found.map(|(_, value)| unescape(value, &ESCAPES))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        digits(&self.get(key)?)
    }

    /// Whether the message is a secret.
    fn is_secret(&self) -> bool {
        let says = |key, word| self.get(key).is_some_and(|value| value.eq_ignore_ascii_case(word));
        match self.action {
            "task.setsecret" => true,
            "task.setvariable" => says("issecret", "true"),
            "task.setendpoint" => says("field", "authParameter"),
            _ => false,
        }
    }

    fn act(&self, cx: &mut Context<'_>) {
        let message = self.message.as_str();
        match self.action {
            "task.debug" => cx.log_as(Level::Debug, message),
            "task.issue" | "task.logissue" => self.issue(cx),
            "task.logdetail" => self.record(cx),
            "task.setprogress" => {
                let value = self.number::<u32>("value").map(|value| f64::from(value.min(100)));
                cx.progress(cx.innermost(), value, message);
            }
            "task.complete" => {
                if let Some(result) = self.get("result") {
                    cx.meta("result", &result);
                }
                if !message.is_empty() {
                    cx.meta("result_message", message);
                }
            }
            "task.setvariable" => {
                let secret = self.is_secret();
                if secret {
                    cx.mask(message);
                }
                if let Some(name) = self.get("variable") {
                    cx.meta(&format!("var.{name}"), if secret { "***" } else { message });
                }
            }
            "task.setsecret" | "task.setendpoint" if self.is_secret() => cx.mask(message),
            "task.uploadsummary" => summary(message, None, cx),
            "task.addattachment"
                if self
                    .get("type")
                    .is_some_and(|t| t.eq_ignore_ascii_case("Distributedtask.Core.Summary")) =>
            {
                summary(message, self.get("name"), cx);
            }
            "results.publish" | "codecoverage.publish" => {
                let files = self.get("resultfiles").or_else(|| self.get("summaryfile"));
                let name = self.name();
                for path in files.as_deref().unwrap_or(message).split(',').map(str::trim) {
                    cx.artifact(path, &name);
                }
            }
            "task.addattachment" | "task.uploadfile" | "build.uploadlog" | "artifact.upload"
            | "artifact.associate" => cx.artifact(message.trim(), &self.name()),
            "build.addbuildtag" => cx.meta("tag", message),
            "build.updatebuildnumber" => cx.meta("build_number", message),
            "release.updatereleasename" => cx.meta("release_name", message),
            "task.prependpath" => cx.meta("path", message),
            _ => {} // Telemetry is nobody's business here.
        }
    }

    /// The name of an artifact; empty: its file's.
    fn name(&self) -> String {
        ["name", "artifactname", "runtitle"]
            .iter()
            .find_map(|key| self.get(key))
            .unwrap_or_default()
    }

    fn issue(&self, cx: &mut Context<'_>) {
        let severity = match self.get("type").unwrap_or_default().to_ascii_lowercase().as_str() {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => return cx.log(&self.message),
        };
        cx.annotation(Annotation {
            severity,
            message: self.message.clone(),
            file: self.get("sourcepath"),
            line: self.number("linenumber"),
            col: self.number("columnnumber"),
            code: self.get("code"),
            ..Annotation::default()
        });
    }

    /// A record of the timeline: a step that is addressed by its id.
    fn record(&self, cx: &mut Context<'_>) {
        let Some(id) = self.get("id") else { return cx.log(&self.message) };
        let label = |id: &str| Label::new("record", &id.to_ascii_lowercase());
        let step = match (cx.find_label(label(&id)), self.get("name"), self.get("type")) {
            (Some(step), ..) => step,
            (None, Some(name), Some(kind)) => {
                let parent = self.get("parentid").and_then(|parent| cx.find_label(label(&parent)));
                let parent = parent.or_else(|| cx.innermost());
                let params = vec![("type".to_owned(), kind), ("record".to_owned(), id.clone())];
                match cx.start_loose(label(&id), &name, params, parent) {
                    Some(step) => step,
                    None => return cx.log(&self.message),
                }
            }
            _ => return cx.log(&self.message),
        };
        if let Some(value) = self.number::<u32>("progress") {
            cx.progress(Some(step), Some(f64::from(value.min(100))), &self.message);
        }
        let result = self.get("result");
        let completed = self.get("state").is_some_and(|s| s.eq_ignore_ascii_case("completed"));
        if completed || result.is_some() || self.get("finishtime").is_some() {
            let (status, detail) = match result.unwrap_or_default().to_ascii_lowercase().as_str() {
                "succeededwithissues" => (StepStatus::Success, Some("issues")),
                "failed" => (StepStatus::Failure, None),
                "canceled" | "cancelled" | "abandoned" => (StepStatus::Cancelled, None),
                "skipped" => (StepStatus::Skipped, None),
                _ => (StepStatus::Success, None),
            };
            cx.end(step, status, detail);
        }
    }
}

fn summary(path: &str, name: Option<String>, cx: &mut Context<'_>) {
    if let Some(path) = some(path.trim()) {
        cx.summary(Summary::File { path, name });
    }
}
