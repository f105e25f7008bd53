//! Own markers in the tree that they share with the dialects.

use super::{
    context::Context,
    event::{Cause, EventKind, StepId, StepStatus},
    tree::{Label, OWN_STEPS, hash},
};
use crate::{Marker, Params, Value};

/// Carries out an own marker.
pub(crate) fn act(marker: &Marker, cx: &mut Context<'_>) {
    match marker {
        Marker::StepStart { name, params } => {
            start(name, params, cx);
        }
        Marker::StepComplete { name, params } => match addressed(name, params, cx) {
            Some(step) => cx.end(step, StepStatus::Success, None),
            None => cx.say(EventKind::Warning {
                code: "unmatched_complete",
                message: format!("STEP_COMPLETE:{name} matches no open step and has no effect"),
            }),
        },
        Marker::StepError { description, params } => {
            let step = match text(params, "id") {
                Some(key) => with_key(&key, cx),
                None => cx.innermost_own(),
            };
            match step {
                Some(step) => cx.end(step, StepStatus::Failure, Some(description)),
                None => cx.say(EventKind::Warning {
                    code: "error_outside_step",
                    message: format!("STEP_ERROR outside a step: {description}"),
                }),
            }
        }
        Marker::StepSkip { name, reason, params } => {
            if cx.shared.has_room(cx.out, cx.place) {
                let parent = parent(name, params, cx);
                let step = open(name, params, parent, cx);
                cx.end_by(step, StepStatus::Skipped, Some(reason), Cause::Skip);
            }
        }
        Marker::Artifact { path, description } => {
            let (path, name, step) = (path.clone(), description.clone(), cx.innermost());
            cx.say(EventKind::Artifact { path, name, step });
        }
        Marker::Meta { key, value } => cx.meta(key, value),
        Marker::Progress { percent, text: doing, params } => {
            let step = text(params, "id").and_then(|key| with_key(&key, cx));
            cx.progress(step.or_else(|| cx.innermost()), Some(*percent), doing);
        }
    }
}

fn start(name: &str, params: &Params, cx: &mut Context<'_>) {
    if !cx.shared.has_room(cx.out, cx.place) {
        return;
    }
    let parent = parent(name, params, cx);
    // A start ends its sibling, unless one of the two carries an id: those may run side by side.
    if text(params, "id").is_none() {
        let siblings: Vec<StepId> = cx
            .shared
            .tree
            .iter()
            .filter(|open| {
                open.owner == OWN_STEPS && open.id_key.is_none() && open.parent == parent
            })
            .map(|open| open.id)
            .collect();
        for sibling in siblings {
            cx.end_by(sibling, StepStatus::Success, None, Cause::Next);
        }
    }
    open(name, params, parent, cx);
}

fn open(name: &str, params: &Params, parent: Option<StepId>, cx: &mut Context<'_>) -> StepId {
    let key = text(params, "id");
    let label = label(name);
    let id_key = key.as_deref().map(hash);
    let step = cx.shared.tree.start(OWN_STEPS, label, parent, false, id_key);
    let (name, params) = (name.to_owned(), params.clone());
    cx.say(EventKind::StepStart { step, parent, name, key, params, loose: false });
    step
}

/// What tells an own step from others.
pub(crate) fn label(name: &str) -> Label {
    Label::new("step", name)
}

/// The open step that the marker names as parent; else the innermost one of a dialect, because own
/// steps are inside each other only where they say so.
fn parent(name: &str, params: &Params, cx: &mut Context<'_>) -> Option<StepId> {
    if let Some(wanted) = text(params, "parent") {
        if let Some(parent) = with_key(&wanted, cx) {
            return Some(parent);
        }
        cx.say(EventKind::Warning {
            code: "unknown_parent",
            message: format!(
                "step `{name}` names the parent `{wanted}`, which is not open: it starts at the top"
            ),
        });
    }
    cx.shared.tree.last(|open| open.owner != OWN_STEPS && !open.loose)
}

fn addressed(name: &str, params: &Params, cx: &Context<'_>) -> Option<StepId> {
    match text(params, "id") {
        Some(key) => with_key(&key, cx),
        None => named(name, cx),
    }
}

/// The newest open step with this id, else with this name.
fn with_key(wanted: &str, cx: &Context<'_>) -> Option<StepId> {
    let key = Some(hash(wanted));
    let found = cx.shared.tree.last(|open| open.owner == OWN_STEPS && open.id_key == key);
    found.or_else(|| named(wanted, cx))
}

fn named(name: &str, cx: &Context<'_>) -> Option<StepId> {
    cx.find_label(label(name))
}

fn text(params: &Params, key: &str) -> Option<String> {
    params.iter().find(|(known, _)| known == key).map(|(_, value)| shown(value))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}
