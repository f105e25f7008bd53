//! Events as the table of cases writes them.

use serde_json::{Map, Value, json};
use stepflow_markers::{
    Value as ParamValue,
    dialects::{Event, EventKind, Level, Severity, StepId, StepStatus, Summary, TestStatus},
};

/// An event as JSON; `None` for those that the table does not have.
pub fn event(event: &Event) -> Option<Value> {
    kind(&event.kind)
}

pub fn kind(kind: &EventKind) -> Option<Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    match kind {
        EventKind::StepStart { step, parent, name, params, .. } => {
            put("type", json!("step_start"));
            put("id", id(Some(*step)));
            put("parent", id(*parent));
            put("name", json!(name));
            if !params.is_empty() {
                let params = params.iter().map(|(k, v)| (k.clone(), json!(shown(v)))).collect();
                put("params", Value::Object(params));
            }
        }
        EventKind::StepEnd { step, status, detail, .. } => {
            put("type", json!("step_end"));
            put("id", id(Some(*step)));
            put("status", json!(step_status(*status)));
            optional(&mut put, "detail", detail.clone());
        }
        EventKind::Annotation(annotation) => {
            put("type", json!("annotation"));
            put(
                "level",
                json!(match annotation.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Notice => "notice",
                }),
            );
            put("message", json!(annotation.message));
            put("step", id(annotation.step));
            optional(&mut put, "file", annotation.file.clone());
            optional(&mut put, "line", annotation.line);
            optional(&mut put, "col", annotation.col);
            optional(&mut put, "end_line", annotation.end_line);
            optional(&mut put, "end_col", annotation.end_col);
            optional(&mut put, "title", annotation.title.clone());
            optional(&mut put, "code", annotation.code.clone());
            optional(&mut put, "details", annotation.details.clone());
        }
        EventKind::Artifact { path, name, step } => {
            put("type", json!("artifact"));
            put("path", json!(path));
            put("name", json!(name));
            put("step", id(*step));
        }
        EventKind::Meta { key, value, title, step } => {
            put("type", json!("meta"));
            put("key", json!(key));
            put("value", json!(value));
            put("step", id(*step));
            optional(&mut put, "title", title.clone());
        }
        EventKind::Mask { secret } => {
            put("type", json!("mask"));
            put("secret", json!(secret));
        }
        EventKind::Summary { source, step } => {
            put("type", json!("summary"));
            match source {
                Summary::Markdown(text) => put("markdown", json!(text)),
                Summary::File { path, name } => {
                    put("path", json!(path));
                    optional(&mut put, "name", name.clone());
                }
            }
            put("step", id(*step));
        }
        EventKind::Log { text, level, step } => {
            put("type", json!("log"));
            put("text", json!(text));
            put("step", id(*step));
            let level = level.map(|level| match level {
                Level::Debug => "debug",
                Level::Info => "info",
                Level::Notice => "notice",
                Level::Warning => "warning",
                Level::Error => "error",
                Level::Command => "command",
                Level::Section => "section",
            });
            optional(&mut put, "level", level);
        }
        EventKind::Test(test) => {
            put("type", json!("test"));
            put("name", json!(test.name));
            put(
                "status",
                json!(match test.status {
                    TestStatus::Passed => "passed",
                    TestStatus::Failed => "failed",
                    TestStatus::Error => "error",
                    TestStatus::Skipped => "skipped",
                    TestStatus::Todo => "todo",
                    TestStatus::Xfailed => "xfailed",
                    TestStatus::Xpassed => "xpassed",
                    TestStatus::Unknown => "unknown",
                }),
            );
            put("step", id(test.step));
            optional(&mut put, "suite", test.suite.clone());
            optional(&mut put, "message", test.message.clone());
            optional(&mut put, "duration_ms", test.duration_ms);
            optional(&mut put, "attempt", test.attempt);
        }
        EventKind::TestSummary { counts, suite, status, step } => {
            put("type", json!("test_summary"));
            let counts: Map<_, _> = counts.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            optional(&mut put, "counts", Some(counts).filter(|counts| !counts.is_empty()));
            put("step", id(*step));
            optional(&mut put, "suite", suite.clone());
            optional(&mut put, "status", status.map(step_status));
        }
        EventKind::Progress { value, text, step } => {
            put("type", json!("progress"));
            put("step", id(*step));
            // The table has whole numbers.
            optional(&mut put, "value", value.map(|value| value as i64));
            optional(&mut put, "text", text.clone());
        }
        EventKind::Detected | EventKind::Warning { .. } => return None,
    }
    Some(Value::Object(object))
}

fn shown(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(on) => on.to_string(),
        ParamValue::Int(number) => number.to_string(),
        ParamValue::Float(number) => number.to_string(),
        ParamValue::Text(text) => text.clone(),
    }
}

fn id(step: Option<StepId>) -> Value {
    step.map_or(Value::Null, |step| json!((step.0 + 1).to_string()))
}

fn step_status(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Success => "success",
        StepStatus::Failure => "failure",
        StepStatus::Skipped => "skipped",
        StepStatus::Cancelled => "cancelled",
        StepStatus::Done => "done",
    }
}

fn optional<T: Into<Value>>(put: &mut impl FnMut(&str, Value), key: &str, value: Option<T>) {
    if let Some(value) = value {
        put(key, value.into());
    }
}
