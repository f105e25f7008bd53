//! A parsed log as one JSON object.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stepflow_markers::dialects::{Choice, Selection};
use stepflow_model::{EventKind, Step, StepStatus};
use stepflow_recorder::offline::Offline;

/// The name of own markers in the place of a dialect's.
const OWN: &str = "own";

/// Everything; why each dialect was found or not, if `explained` is there.
pub fn whole(log: &Offline, explained: Option<&Selection>) -> Value {
    let state = log.state();
    let mut told = Told::default();
    for event in log.events() {
        told.take(&event.kind);
    }
    let problems = state.annotations.iter().filter_map(|annotation| annotation.problem.as_deref());
    let annotations: Vec<Value> = problems
        .map(|problem| {
            let mut object = json!({
                "dialect": problem.dialect, "level": problem.level.as_str(),
                "file": problem.file, "line": problem.line, "col": problem.col,
                "message": problem.message, "step": problem.step,
            });
            let more =
                [("title", &problem.title), ("code", &problem.code), ("details", &problem.details)];
            for (key, value) in more {
                put(&mut object, key, value.clone());
            }
            put(&mut object, "end_line", problem.end_line);
            put(&mut object, "end_col", problem.end_col);
            object
        })
        .collect();
    let steps: Vec<Value> = state.steps.iter().map(|step| told.step(step)).collect();
    let warnings = state.annotations.iter().filter(|annotation| annotation.problem.is_none());
    let warnings: Vec<Value> = warnings
        .map(|warning| json!({"code": warning.code, "message": warning.message, "line": warning.line}))
        .collect();
    let mut object = json!({
        "steps": steps,
        "annotations": annotations,
        "tests": state.tests.totals(),
        "artifacts": told.artifacts,
        "meta": told.meta,
        "masks": state.secrets,
        "summaries": state.summaries,
        "progress": told.progress.into_values().collect::<Vec<_>>(),
        "detected": state.detected,
        "warnings": warnings,
    });
    if let Some(selection) = explained {
        object["explain"] = explain(log, selection);
    }
    object
}

fn explain(log: &Offline, selection: &Selection) -> Value {
    let choices = selection.choices().into_iter().map(|(name, choice)| {
        let found = log.state().detected.iter().find(|found| found.dialect == name);
        let chosen = match choice {
            Choice::On => "auto",
            Choice::Known => "named",
            Choice::Off => "off",
            Choice::OptIn => "opt_in",
        };
        json!({"dialect": name, "choice": chosen, "line": found.map(|found| found.line)})
    });
    choices.collect()
}

/// What the state does not keep in this form.
#[derive(Default)]
struct Told {
    artifacts: Vec<Value>,
    meta: Vec<Value>,
    progress: BTreeMap<Option<u32>, Value>,
    /// Steps that nothing but the end of the log has ended.
    ended_by_end: Vec<u32>,
}

impl Told {
    fn take(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Artifact { step, path, description, dialect, .. } => {
                let name = match description.as_str() {
                    "" => path.rsplit('/').next().unwrap_or(path),
                    description => description,
                };
                self.artifacts.push(json!({
                    "path": path, "name": name, "step": step, "dialect": of(dialect.as_ref()),
                }));
            }
            EventKind::Meta { step, key, value, title, dialect } => {
                let dialect = of(dialect.as_ref());
                let mut object =
                    json!({"key": key, "value": value, "step": step, "dialect": dialect});
                put(&mut object, "title", title.clone());
                self.meta.push(object);
            }
            EventKind::Progress { step, percent, text } => {
                let mut object = json!({"step": step});
                put(&mut object, "value", *percent);
                put(&mut object, "text", Some(text.clone()).filter(|text| !text.is_empty()));
                self.progress.insert(*step, object);
            }
            EventKind::StepFinished { step, by, .. } if by == "end" => {
                self.ended_by_end.push(*step);
            }
            _ => {}
        }
    }

    fn step(&self, step: &Step) -> Value {
        let status = match step.status {
            StepStatus::Completed if step.done => "done",
            StepStatus::Completed => "success",
            StepStatus::Failed => "failure",
            StepStatus::Skipped => "skipped",
            StepStatus::Cancelled => "cancelled",
            StepStatus::Pending | StepStatus::Running => step.status.as_str(),
        };
        let said = step.detail.as_ref().or(step.error.as_ref());
        let detail = said.filter(|_| !self.ended_by_end.contains(&step.index));
        json!({
            "name": step.name, "status": status, "detail": detail, "parent": step.parent,
            "dialect": of(step.dialect.as_ref()),
        })
    }
}

fn of(dialect: Option<&String>) -> &str {
    dialect.map_or(OWN, String::as_str)
}

fn put<T: Into<Value>>(object: &mut Value, key: &str, value: Option<T>) {
    if let (Value::Object(object), Some(value)) = (object, value) {
        let object: &mut Map<String, Value> = object;
        object.insert(key.to_owned(), value.into());
    }
}
