//! A whole execution as one HTML file that opens without network.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::Response,
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use stepflow_engine::Handle;
use stepflow_view::{Heading, Html, HtmlStep, View};

use crate::{
    app::App,
    detail,
    extract::{Id, Params},
    problem::Problem,
    range,
    routes::{artifacts::disposition, download},
    selection, views,
};

/// Lines of the file, half of them from the beginning and half from the end of a longer log: a
/// browser opens that in a second or two.
const LINES_MAX: u64 = 100_000;
/// Lines that are read at once.
const LINES: usize = 256;

/// The query of an export.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ExportParams {
    /// `html`.
    #[schemars(extend("enum" = ["html"], "default" = "html"))]
    format: Option<String>,
}

/// What comes next in the file.
enum Piece {
    Lines { from: u64, to: u64, owner: Option<usize> },
    Left { from: u64, to: u64 },
}

/// What is still to be sent.
struct Export {
    app: App,
    handle: Arc<Handle>,
    html: Html,
    head: String,
    steps: Vec<HtmlStep>,
    pieces: VecDeque<Piece>,
    how: String,
}

/// `GET /api/executions/{id}/export`.
pub(crate) async fn export(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    if params.format.as_deref().is_some_and(|format| format != "html") {
        return Err(Problem::bad_request("`format` can only be html"));
    }
    let handle = app.engine.execution(id).await?;
    let lines = download::scanned(&app, &handle, true).await?;
    let name = format!("{}.html", download::base_name(&handle));
    let detail = detail::whole(&handle);
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
    let mut head = String::new();
    let heading = Heading { title: &execution.name, facts: &facts, steps: &steps };
    let html = Html::head(heading, &mut head);
    let owners = handle.read(selection::owners);
    let owners = owners.into_iter().map(|(line, step)| (line, step.and_then(place))).collect();
    let pieces = pieces(owners, lines);
    let how = format!("GET /api/executions/{id}/log/download?format=text");
    let export = Export { app, handle, html, head, steps, pieces, how };
    let mut response = Response::new(export.body());
    range::set(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    range::set(&mut response, header::CONTENT_DISPOSITION, &disposition(&name));
    Ok(response)
}

fn note(seconds: Option<f64>, exit_code: Option<i32>, error: Option<&str>) -> String {
    let mut parts = Vec::new();
    parts.extend(seconds.map(|seconds| format!("{seconds:.1} s")));
    parts.extend(exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}")));
    parts.extend(error.filter(|error| !error.is_empty()).map(str::to_owned));
    parts.join(", ")
}

/// The log's ranges in order, its middle left out where there is too much.
fn pieces(owners: Vec<(u64, Option<usize>)>, lines: u64) -> VecDeque<Piece> {
    let left = (lines > LINES_MAX).then(|| (LINES_MAX / 2 + 1, lines - LINES_MAX / 2));
    let mut pieces = VecDeque::new();
    let mut told = false;
    for (at, (first, owner)) in owners.iter().enumerate() {
        let last = owners.get(at + 1).map_or(lines, |next| (next.0 - 1).min(lines));
        let mut add = |from: u64, to: u64| {
            if from <= to {
                pieces.push_back(Piece::Lines { from, to, owner: *owner });
            }
        };
        match left {
            Some((from, to)) if *first <= to && last >= from => {
                add(*first, from - 1);
                if !std::mem::replace(&mut told, true) {
                    pieces.push_back(Piece::Left { from, to });
                }
                // Borrowed anew: the piece between is no range of lines.
                if to < last {
                    pieces.push_back(Piece::Lines { from: to + 1, to: last, owner: *owner });
                }
            }
            _ => add(*first, last),
        }
    }
    pieces
}

impl Export {
    fn body(self) -> Body {
        Body::from_stream(stream::try_unfold(Some(self), |export| async move {
            let Some(mut export) = export else { return Ok(None) };
            let (app, handle) = (export.app.clone(), Arc::clone(&export.handle));
            let made = views::ask(&app, &handle, move |view, _| {
                let chunk = export.chunk(view)?;
                Ok((chunk, export))
            });
            let (chunk, export) = made.await.map_err(download::broken)?;
            let more = !export.pieces.is_empty();
            let mut chunk = chunk;
            let mut export = export;
            if !more {
                export.html.foot(&mut chunk);
            }
            Ok::<_, std::io::Error>(Some((Bytes::from(chunk), more.then_some(export))))
        }))
    }

    fn chunk(&mut self, view: Option<&View>) -> Result<String, Problem> {
        let mut out = std::mem::take(&mut self.head);
        let Some(view) = view else {
            self.pieces.clear();
            return Ok(out);
        };
        while out.len() < detail::SEND_BYTES {
            match self.pieces.pop_front() {
                None => break,
                Some(Piece::Left { from, to }) => {
                    let how = format!("{}&from_line={from}&to_line={to}", self.how);
                    self.html.left_out(from, to, &how, &mut out);
                }
                Some(Piece::Lines { from, to, owner }) => {
                    let count = (to - from + 1).min(LINES as u64) as usize;
                    let lines = view.log().lines(from, count)?;
                    self.html.owner(owner, &self.steps, &mut out);
                    self.html.lines(view, &lines, &mut out)?;
                    let next = from + lines.len() as u64;
                    if !lines.is_empty() && next <= to {
                        self.pieces.push_front(Piece::Lines { from: next, to, owner });
                    }
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(owners: Vec<(u64, Option<usize>)>, lines: u64) -> Vec<String> {
        let say = |piece| match piece {
            Piece::Lines { from, to, owner } => format!("{from}-{to} {owner:?}"),
            Piece::Left { from, to } => format!("left {from}-{to}"),
        };
        pieces(owners, lines).into_iter().map(say).collect()
    }

    #[test]
    fn the_middle_of_a_long_log_is_left_out_and_nothing_else() {
        let steps = vec![(1, None), (11, Some(0)), (200_001, Some(1))];
        assert_eq!(said(steps.clone(), 0), [""; 0]);
        assert_eq!(said(steps.clone(), 15), ["1-10 None", "11-15 Some(0)"]);
        assert_eq!(
            said(steps, 300_000),
            ["1-10 None", "11-50000 Some(0)", "left 50001-250000", "250001-300000 Some(1)",]
        );
        assert_eq!(
            said(vec![(1, None)], 100_001),
            ["1-50000 None", "left 50001-50001", "50002-100001 None"]
        );
    }
}
