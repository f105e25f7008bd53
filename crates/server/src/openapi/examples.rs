//! One execution, folded from its events by the code that folds real ones: no example can differ
//! from what is sent.

use serde_json::{Value, json};
use stepflow_api as api;
use stepflow_model::{Event, ExecutionState, Spec};

const NOW_US: i64 = 1_795_377_612_500_000;

/// The example, as every answer shows it.
pub(crate) struct Examples {
    state: Option<ExecutionState>,
}

impl Examples {
    pub(crate) fn new() -> Self {
        Self { state: fold() }
    }

    pub(crate) fn execution(&self) -> Option<api::Execution> {
        self.state.as_ref().map(|state| api::Execution::new(&state.summary, NOW_US))
    }

    fn executions(&self) -> Vec<api::Execution> {
        self.execution().into_iter().collect()
    }

    fn artifacts(&self) -> Vec<api::Artifact> {
        let Some(state) = &self.state else { return Vec::new() };
        state.artifacts.iter().map(|a| api::Artifact::new(state.summary.id, a)).collect()
    }

    pub(crate) fn artifact(&self) -> Option<api::Artifact> {
        self.artifacts().into_iter().next()
    }

    pub(crate) fn artifact_list(&self) -> api::ArtifactList {
        let artifacts = self.artifacts();
        let count = artifacts.len();
        api::ArtifactList { artifacts, count, has_more: false, next_before: None }
    }

    pub(crate) fn detail(&self) -> Option<api::ExecutionDetail> {
        let state = self.state.as_ref()?;
        let id = state.summary.id;
        let steps = state.steps.iter().map(|step| {
            let mut step = api::Step::new(id, step, NOW_US);
            let line = json!({
                "timestamp": "2026-11-22T20:00:00.002000Z", "content": "compiling", "level": "info",
            });
            step.logs.push(line);
            step
        });
        Some(api::ExecutionDetail {
            execution: self.execution()?,
            steps: steps.collect(),
            artifacts: self.artifacts(),
            annotations: state.annotations.iter().map(api::Annotation::from).collect(),
            told: api::Told::of(state),
            logs: Vec::new(),
            stored_bytes: 8_192,
            compressed: true,
            status: 200,
        })
    }

    pub(crate) fn list(&self) -> api::ExecutionList {
        let executions = self.executions();
        api::ExecutionList {
            limit: 50,
            offset: 0,
            count: executions.len(),
            total_count: 1,
            has_more: false,
            next_before: None,
            executions,
            status: 200,
        }
    }

    pub(crate) fn active(&self) -> api::ActiveList {
        api::ActiveList::from(self.executions())
    }

    pub(crate) fn created(&self) -> Option<api::CreateAnswer> {
        let execution = self.execution()?;
        Some(api::CreateAnswer {
            id: execution.id,
            execution_id: execution.id,
            status: "running".to_owned(),
            message: "Execution started successfully".to_owned(),
            name: execution.name,
            created_at: execution.created_at,
        })
    }

    pub(crate) fn deleted(id: &str, message: &str) -> api::DeleteAnswer {
        api::DeleteAnswer { id: id.to_owned(), deleted: true, message: message.to_owned() }
    }

    pub(crate) fn cancelled(&self) -> Option<api::CancelAnswer> {
        Some(api::CancelAnswer {
            id: self.execution()?.id,
            status: "running".to_owned(),
            message: "Execution is being cancelled".to_owned(),
        })
    }
}

/// `example` as its own type: none, if it is not of that type; a test says which.
pub(crate) fn of<T: serde::de::DeserializeOwned>(example: Value) -> Option<T> {
    serde_json::from_value(example).ok()
}

fn fold() -> Option<ExecutionState> {
    let spec: Spec = of(json!({
        "id": "0198c2aa-0000-7000-8000-000000000001", "name": "nightly build",
        "command": ["bash", "build.sh"], "cwd": "/srv/project", "env": {"MODE": "release"},
        "tags": ["nightly"], "user": "ada", "created_us": 1_795_377_600_000_000_i64,
        "source": "server",
    }))?;
    let events = [
        json!({"kind": "started", "data": {"pid": 4711, "start_ticks": 1, "boot_id": "",
            "recorder_pid": 4709, "keeper_pid": 4710, "containment": "keeper", "host": "build-1"}}),
        json!({"kind": "step_started", "data": {"step": 0, "name": "Build"}}),
        json!({"kind": "artifact", "data": {"artifact": 0, "step": 0, "path": "out/report.txt",
            "description": "Report"}}),
        json!({"kind": "artifact_stored", "data": {"artifact": 0, "size": 29, "sha256":
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}),
        json!({"kind": "step_finished", "data": {"step": 0, "status": "completed", "exit_code": 0,
            "by": "marker"}}),
        json!({"kind": "exited", "data": {"status": "completed", "exit_code": 0, "digest": ""}}),
    ];
    let mut state = ExecutionState::new(&spec);
    for (at, mut event) in events.into_iter().enumerate() {
        let seq = at as u64 + 1;
        event["seq"] = json!(seq);
        event["at_us"] = json!(seq * 250_000);
        event["time_us"] = json!(spec.created_us + seq as i64 * 250_000);
        event["offset"] = json!(at * 20);
        event["lines"] = json!(at);
        state.apply(&of::<Event>(event)?);
    }
    Some(state)
}
