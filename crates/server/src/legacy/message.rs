//! The messages' shapes: text, ready to be sent.

use serde_json::{Value, json};
use stepflow_api::{Artifact, Execution, Step, rfc3339, rfc3339_ns};
use stepflow_model::{ExecutionId, ExecutionState};
use stepflow_sys::clock;

fn now() -> String {
    rfc3339(clock::wall_us())
}

fn stamped(kind: &str, data: &Value) -> String {
    json!({"type": kind, "data": data, "timestamp": now()}).to_string()
}

pub(super) fn connection_established(client: u64, clients: usize) -> String {
    let data = json!({"client_id": client, "server_time": now(), "connected_clients": clients});
    json!({"type": "connection_established", "data": data}).to_string()
}

pub(super) fn pong() -> String {
    json!({"type": "pong", "data": {"timestamp": now()}}).to_string()
}

pub(super) fn server_status(clients: usize) -> String {
    let data = json!({"running": true, "connected_clients": clients, "timestamp": now()});
    json!({"type": "server_status", "data": data}).to_string()
}

pub(super) fn error(why: &str) -> String {
    stamped("error", &json!({"message": why}))
}

/// `execution_update`, and `execution_started` and `execution_completed`, which have the same data.
pub(super) fn execution(kind: &str, state: &ExecutionState) -> String {
    let execution = Execution::new(&state.summary, clock::wall_us());
    let mut data = serde_json::to_value(&execution).unwrap_or_default();
    if kind != "execution_update" {
        data["execution_id"] = json!(state.summary.id);
    }
    stamped(kind, &data)
}

pub(super) fn step(state: &ExecutionState, step: u32) -> Option<String> {
    let id = state.summary.id;
    let step = Step::new(id, state.steps.get(step as usize)?, clock::wall_us());
    let progress = state.summary.progress_percentage();
    let data = json!({"execution_id": id, "step": step, "execution_progress": progress});
    Some(stamped("step_update", &data))
}

pub(super) fn artifact(kind: &str, id: ExecutionId, file: &stepflow_model::Artifact) -> String {
    stamped(kind, &json!({"execution_id": id, "artifact": Artifact::new(id, file)}))
}

/// Lines of one step that came together. `content` has a line feed between them.
pub(super) fn log_entry(
    id: ExecutionId,
    step_id: Option<&str>,
    content: &str,
    time_ns: i64,
    lines: usize,
) -> String {
    let time = rfc3339_ns(time_ns);
    let data = json!({
        "execution_id": id, "step_id": step_id, "content": content, "timestamp": time,
        "level": "info", "lines": lines,
    });
    stamped("log_entry", &data)
}
