//! An execution as one HTML file, from its record: what `GET /api/executions/{id}/export` sends.

use std::io::Write;

use stepflow_api::ExecutionDetail;
use stepflow_view::{Heading, Html, HtmlStep, View};

use crate::failure::Failure;

/// Lines of the file, half of them from the beginning and half from the end of a longer log: a
/// browser opens that in a second or two.
const LINES_MAX: u64 = 100_000;
/// Lines that are read at once.
const LINES: u64 = 256;

/// Writes the file. `owners`: the first line of each owner, and the owner, ascending.
pub fn write(
    detail: &ExecutionDetail,
    owners: Vec<(u64, Option<u32>)>,
    view: Option<&View>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let place = |index: u32| detail.steps.iter().position(|step| step.index == index);
    let steps: Vec<HtmlStep> = detail
        .steps
        .iter()
        .map(|step| HtmlStep {
            name: step.name.clone(),
            status: step.status.clone(),
            note: note(step.duration_seconds, step.exit_code, step.error_message.as_deref()),
            first_line: step.first_line,
            parent: step.parent.and_then(place),
        })
        .collect();
    let execution = &detail.execution;
    let id = execution.id;
    let mut facts = vec![
        ("Status", execution.status.clone()),
        ("Command", execution.command.clone()),
        ("Directory", execution.working_directory.clone()),
        ("User", execution.user.clone()),
        ("Started", execution.started_at.clone().unwrap_or_default()),
        ("Ended", execution.completed_at.clone().unwrap_or_default()),
        ("Result", note(execution.duration_seconds, execution.exit_code, None)),
        ("Why", execution.error_message.clone().unwrap_or_default()),
        ("Tags", execution.tags.join(", ")),
        ("Lines", execution.lines.to_string()),
        ("Execution", id.to_string()),
    ];
    facts.retain(|fact| !fact.1.is_empty());
    let mut text = String::new();
    let heading = Heading { title: &execution.name, facts: &facts, steps: &steps };
    let mut html = Html::head(heading, &mut text);
    if let Some(view) = view {
        let (bytes, ended) = view.log().position()?;
        // A half line stands behind the ended ones.
        let lines = ended + u64::from(view.log().line_start(ended + 1)? < bytes);
        let left = (lines > LINES_MAX).then(|| (LINES_MAX / 2 + 1, lines - LINES_MAX / 2));
        let mut next = 1;
        while next <= lines {
            if let Some((from, to)) = left.filter(|left| left.0 == next) {
                let how = format!(
                    "GET /api/executions/{id}/log/download?format=text&from_line={from}&to_line={to}"
                );
                html.left_out(from, to, &how, &mut text);
                next = to + 1;
                continue;
            }
            let at = owners.partition_point(|owner| owner.0 <= next);
            let owner = at.checked_sub(1).and_then(|at| owners[at].1);
            // Up to the next owner, the gap, or the end, and no more than are read at once.
            let mut behind = owners.get(at).map_or(lines + 1, |owner| owner.0.min(lines + 1));
            if let Some((from, _)) = left.filter(|left| next < left.0) {
                behind = behind.min(from);
            }
            let count = (behind - next).min(LINES);
            let read = view.log().lines(next, count as usize)?;
            html.owner(owner.and_then(place), &steps, &mut text);
            html.lines(view, &read, &mut text).map_err(|error| Failure::from_error(&error))?;
            if read.is_empty() {
                break;
            }
            next += read.len() as u64;
            if text.len() > 64 * 1024 {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
    }
    html.foot(&mut text);
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn note(seconds: Option<f64>, exit_code: Option<i32>, error: Option<&str>) -> String {
    let mut parts = Vec::new();
    parts.extend(seconds.map(|seconds| format!("{seconds:.1} s")));
    parts.extend(exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}")));
    parts.extend(error.filter(|error| !error.is_empty()).map(str::to_owned));
    parts.join(", ")
}
