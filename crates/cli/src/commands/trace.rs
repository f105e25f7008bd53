//! Steps as a Chrome trace: Perfetto and `chrome://tracing` open it.
//!
//! Source: "Trace Event Format", the JSON object format: complete events (`X`) on one thread must
//! lie within one another, so steps that overlap stand on threads of their own.

use jiff::Timestamp;
use serde_json::{Value, json};
use stepflow_api::{ExecutionDetail, Step};

/// The whole trace.
pub fn trace(detail: &ExecutionDetail) -> Value {
    let execution = &detail.execution;
    let created = us(Some(&execution.created_at)).unwrap_or(0);
    let started = us(execution.started_at.as_ref()).unwrap_or(created);
    let lasted = micros(execution.duration_seconds);
    let mut events = vec![
        json!({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": execution.name}}),
        json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": 0, "args": {"name": "execution"}}),
    ];
    if started > created {
        events.push(json!({
            "ph": "X", "name": "queued", "cat": "queue", "pid": 1, "tid": 0,
            "ts": created, "dur": started - created,
        }));
    }
    events.push(json!({
        "ph": "X", "name": execution.name, "cat": "execution", "pid": 1, "tid": 0,
        "ts": started, "dur": lasted,
        "args": {
            "id": execution.id, "command": execution.command, "status": execution.status,
            "exit_code": execution.exit_code, "reason": execution.reason,
        },
    }));
    let lanes = lanes(&detail.steps);
    for lane in 1..=lanes.iter().copied().max().unwrap_or(0) {
        let name = if lane == 1 { "steps".to_owned() } else { format!("steps {lane}") };
        events.push(json!({
            "ph": "M", "name": "thread_name", "pid": 1, "tid": lane, "args": {"name": name},
        }));
    }
    for (step, lane) in detail.steps.iter().zip(&lanes) {
        let Some(begun) = us(step.started_at.as_ref()) else { continue };
        events.push(json!({
            "ph": "X", "name": step.name, "cat": "step", "pid": 1, "tid": lane,
            "ts": begun, "dur": micros(step.duration_seconds),
            "args": {
                "status": step.status, "first_line": step.first_line, "last_line": step.last_line,
                "error": step.error_message, "index": step.index,
            },
        }));
    }
    for annotation in &detail.annotations {
        let at = us(Some(&annotation.time)).unwrap_or(started);
        events.push(json!({
            "ph": "i", "s": "p", "name": annotation.message, "cat": annotation.code, "pid": 1,
            "tid": 0, "ts": at, "args": {"line": annotation.line},
        }));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"source": "StepFlow Monitor", "execution": execution.id},
    })
}

fn us(time: Option<&String>) -> Option<i64> {
    time?.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

fn micros(seconds: Option<f64>) -> i64 {
    (seconds.unwrap_or(0.0) * 1e6) as i64
}

/// For each step, in order of start, the thread it stands on: the first one on which it lies within
/// what is open there, or behind all of it.
fn lanes(steps: &[Step]) -> Vec<u32> {
    // Ends of what is open, outermost first, for each thread.
    let mut open: Vec<Vec<i64>> = Vec::new();
    let mut lanes = Vec::with_capacity(steps.len());
    for step in steps {
        let begin = us(step.started_at.as_ref()).unwrap_or(0);
        let end = begin + micros(step.duration_seconds);
        let fits = |ends: &mut Vec<i64>| {
            while ends.last().is_some_and(|last| *last <= begin) {
                ends.pop();
            }
            ends.last().is_none_or(|last| end <= *last)
        };
        let lane = open.iter_mut().position(fits).unwrap_or_else(|| {
            open.push(Vec::new());
            open.len() - 1
        });
        open[lane].push(end);
        lanes.push(lane as u32 + 1);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(begin_s: i64, seconds: f64) -> Step {
        let id = "0198c2aa-0000-7000-8000-000000000001";
        let time = |s: i64| Timestamp::from_second(s).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let value = json!({
            "id": "x", "execution_id": id, "name": "s", "description": "", "index": 0,
            "status": "completed", "created_at": time(begin_s), "started_at": time(begin_s),
            "duration_seconds": seconds, "metadata": {}, "is_finished": true,
            "stop_on_error": false, "depth": 0, "first_line": 1, "start_offset": 0,
        });
        serde_json::from_value(value).expect("a step")
    }

    #[test]
    fn steps_on_one_thread_lie_within_one_another() {
        // A parent with two children, a step beside them that outlasts it, one behind all.
        let steps =
            [step(0, 10.0), step(1, 2.0), step(3, 4.0), step(5, 20.0), step(6, 1.0), step(30, 1.0)];
        assert_eq!(lanes(&steps), [1, 1, 1, 2, 1, 1]);
    }
}
