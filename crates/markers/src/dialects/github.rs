//! GitHub Actions workflow commands, and the files that actions write their results to.
//!
//! Source: `actions/runner`, `ActionCommand.cs`, `ActionCommandManager.cs`, `FileCommandManager.cs`.

mod files; // the environment files

pub use self::files::{EnvironmentFile, environment_file};

use super::{
    Annotation, Context, Dialect, Level, Line, Severity, StepStatus, Taken, Watch,
    tree::Label,
    words::{digits, unescape},
};

const NAMES: [&str; 15] = [
    "group",
    "endgroup",
    "error",
    "warning",
    "notice",
    "debug",
    "add-mask",
    "stop-commands",
    "echo",
    "set-output",
    "set-env",
    "add-path",
    "save-state",
    "add-matcher",
    "remove-matcher",
];

/// Legacy commands that Azure Pipelines has as well.
const SHARED: [&str; 6] = ["group", "endgroup", "error", "warning", "notice", "debug"];

pub(super) fn new(hinted: bool) -> Box<dyn Dialect> {
    Box::new(GitHub { armed: hinted, token: None })
}

struct GitHub {
    /// `##[group]` and the like are GitHub's and not Azure's.
    armed: bool,
    /// Commands are stopped until this word.
    token: Option<String>,
}

struct Command<'a> {
    name: String,
    properties: Vec<(String, String)>,
    data: &'a str,
    legacy: bool,
}

impl Dialect for GitHub {
    fn watch(&self) -> Watch {
        Watch::none().begins(&["::", "##["]).indented(&["::", "##["])
    }

    fn line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) -> Taken {
        let text = line.trimmed();
        let Some(command) = parse(text) else { return Taken::No };
        if let Some(token) = &self.token {
            if !command.name.eq_ignore_ascii_case(token) {
                return Taken::No;
            }
            self.token = None;
            cx.resume();
            return Taken::Yes;
        }
        if !is_known(&command.name) {
            return Taken::No;
        }
        if command.legacy && !self.armed && SHARED.contains(&command.name.as_str()) {
            return Taken::No;
        }
        self.armed = true;
        self.act(&command, cx);
        Taken::Yes
    }
}

/// What a line declares as secret, as it is and as it is written; whether it is a command at all.
/// `stopped`: the word until which commands are stopped.
pub(super) fn declared(
    text: &str,
    stopped: &mut Option<String>,
    secrets: &mut Vec<String>,
) -> bool {
    let Some(command) = parse(text) else { return false };
    if let Some(token) = stopped {
        if command.name.eq_ignore_ascii_case(token) {
            *stopped = None;
        }
        return true;
    }
    let data = command.text();
    match command.name.as_str() {
        "add-mask" => {
            for secret in [data.as_str(), command.data] {
                if !secret.trim().is_empty() && !secrets.iter().any(|known| known == secret) {
                    secrets.push(secret.to_owned());
                }
            }
        }
        "stop-commands" if is_token(&data) => *stopped = Some(data),
        name => return is_known(name) && !(command.legacy && SHARED.contains(&name)),
    }
    true
}

/// Whether commands can be stopped until this word.
fn is_token(token: &str) -> bool {
    !token.is_empty() && !is_known(token) && !token.eq_ignore_ascii_case("pause-logging")
}

impl GitHub {
    fn act(&mut self, command: &Command<'_>, cx: &mut Context<'_>) {
        let data = command.text();
        match command.name.as_str() {
            "group" => {
                let name = if data.trim().is_empty() { "group" } else { &data };
                cx.start(Label::new("group", ""), name, Vec::new());
            }
            "endgroup" => {
                if let Some(step) = cx.find_kind("group") {
                    cx.end(step, StepStatus::Done, None);
                }
            }
            "error" => cx.annotation(command.annotation(Severity::Error)),
            "warning" => cx.annotation(command.annotation(Severity::Warning)),
            "notice" => cx.annotation(command.annotation(Severity::Notice)),
            "debug" => cx.log_as(Level::Debug, &data),
            "add-mask" => {
                cx.mask(&data);
                if data.contains(['\r', '\n']) {
                    data.split(['\r', '\n']).for_each(|line| cx.mask(line.trim()));
                }
            }
            "stop-commands" => self.stop(&data, cx),
            "set-output" => command.meta("output", &data, cx),
            "set-env" => command.meta("env", &data, cx),
            "save-state" => command.meta("state", &data, cx),
            "add-path" => cx.meta("path", &data),
            "add-matcher" => cx.meta("matcher.add", &data),
            "remove-matcher" => cx.meta("matcher.remove", &data),
            _ => {} // `echo` is about what the runner shows.
        }
    }

    fn stop(&mut self, token: &str, cx: &mut Context<'_>) {
        if !is_token(token) {
            return cx.annotation(Annotation {
                severity: Severity::Warning,
                message: "invalid stop-commands token".to_owned(),
                ..Annotation::default()
            });
        }
        self.token = Some(token.to_owned());
        cx.suspend();
    }
}

impl Command<'_> {
    fn text(&self) -> String {
        if self.legacy { unescape(self.data, &LEGACY) } else { unescape(self.data, &DATA) }
    }

    fn property(&self, key: &str) -> Option<&str> {
        self.properties.iter().rfind(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<u32> {
        digits(self.property(key)?)
    }

    fn meta(&self, prefix: &str, value: &str, cx: &mut Context<'_>) {
        if let Some(name) = self.property("name") {
            cx.meta(&format!("{prefix}.{name}"), value);
        }
    }

    fn annotation(&self, severity: Severity) -> Annotation {
        let (mut line, mut end_line) = (self.number("line"), self.number("endline"));
        let (mut col, mut end_col) = (self.number("col"), self.number("endcolumn"));
        line = line.or(end_line);
        col = col.or(end_col);
        if line.is_none() || end_line.is_some_and(|end| Some(end) != line) {
            (col, end_col) = (None, None);
        }
        if end_line < line && end_line.is_some() {
            (line, end_line) = (None, None);
        }
        if end_col < col && end_col.is_some() {
            (col, end_col) = (None, None);
        }
        Annotation {
            severity,
            message: self.text(),
            file: self.property("file").map(str::to_owned),
            title: self.property("title").map(str::to_owned),
            line,
            col,
            end_line,
            end_col,
            ..Annotation::default()
        }
    }
}

fn is_known(name: &str) -> bool {
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn parse(text: &str) -> Option<Command<'_>> {
    let (head, data, separator, legacy) = if let Some(rest) = text.strip_prefix("::") {
        let (head, data) = rest.split_once("::")?;
        (head, data, ',', false)
    } else {
        let (head, data) = text.strip_prefix("##[")?.split_once(']')?;
        (head, data, ';', true)
    };
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let table: &[(&str, &str)] = if legacy { &LEGACY } else { &PROPERTY };
    let properties = properties
        .trim()
        .split(separator)
        .filter_map(|property| property.split_once('='))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (key.to_ascii_lowercase(), unescape(value, table)))
        .collect();
    Some(Command { name: name.to_ascii_lowercase(), properties, data, legacy })
}

// One after the other, the percent sign last.
const DATA: [(&str, &str); 3] = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
const PROPERTY: [(&str, &str); 5] =
    [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
const LEGACY: [(&str, &str); 5] =
    [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%")];
