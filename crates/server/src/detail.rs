//! `GET /api/executions/{id}`: one JSON object, with the logs streamed from the record.

use std::{collections::HashMap, io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use stepflow_api::{Annotation, Artifact, Execution, Step};
use stepflow_engine::Handle;
use stepflow_record::LogReader;
use stepflow_sys::clock;

use crate::{
    entries::{self, Entries, Entry, Part},
    problem::Problem,
};

/// A chunk of an answer is sent when it has this many bytes.
pub(crate) const SEND_BYTES: usize = 64 * 1024;

/// Which part of each log is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    /// Entries of each log that are left out first.
    pub(crate) offset: u64,
    /// Most entries of each log.
    pub(crate) limit: u64,
}

impl Slice {
    pub(crate) const ALL: Self = Self { offset: 0, limit: u64::MAX };
}

/// The answer without logs. Looks at a few files.
pub(crate) fn whole(handle: &Handle) -> stepflow_api::ExecutionDetail {
    let now = clock::wall_us();
    let (stored_bytes, compressed) = handle.stored_log();
    handle.read(|state| {
        let id = state.summary.id;
        stepflow_api::ExecutionDetail {
            execution: Execution::new(&state.summary, now),
            steps: state.steps.iter().map(|step| Step::new(id, step, now)).collect(),
            artifacts: state.artifacts.iter().map(|file| Artifact::new(id, file)).collect(),
            annotations: state.annotations.iter().map(Annotation::from).collect(),
            told: stepflow_api::Told::of(state),
            logs: Vec::new(),
            stored_bytes,
            compressed,
            status: 200,
        }
    })
}

/// What is sent next.
enum Stage {
    /// This text, then the first step.
    Head(String),
    /// The log that is open goes on: these parts of it, last first.
    Log(Vec<Part>),
    /// The next step, or what follows the last.
    Step,
    Done,
}

/// What is still to be sent. Only a chunk is held, however long the log is.
struct Answer {
    entries: Entries,
    /// By step, last first.
    parts: HashMap<Option<u32>, Vec<Part>>,
    slice: Slice,
    steps: std::vec::IntoIter<Step>,
    stage: Stage,
    first_step: bool,
    /// Entries of the open log that were left out, and sent.
    skipped: u64,
    sent: u64,
    /// Between the steps and the log outside of them; taken when that is reached.
    middle: Option<String>,
}

/// The answer with logs, chunk by chunk, as fast as it is taken. Blocks.
pub(crate) fn streamed(
    handle: &Arc<Handle>,
    log: LogReader,
    slice: Slice,
) -> Result<Response, Problem> {
    let (end, _) = log.position()?;
    let mut detail = whole(handle);
    let steps = std::mem::take(&mut detail.steps);
    let json = |value: serde_json::Result<String>| value.map_err(|e| Problem::internal(&e));
    let head =
        format!("{{\"execution\":{},\"steps\":[", json(serde_json::to_string(&detail.execution))?);
    let told = match &detail.told {
        Some(told) => format!("\"told\":{},", json(serde_json::to_string(told))?),
        None => String::new(),
    };
    let middle = format!(
        "],\"stored_bytes\":{},\"compressed\":{},\"artifacts\":{},\"annotations\":{},{told}\"logs\":[",
        detail.stored_bytes,
        detail.compressed,
        json(serde_json::to_string(&detail.artifacts))?,
        json(serde_json::to_string(&detail.annotations))?,
    );
    let mut parts: HashMap<Option<u32>, Vec<Part>> = HashMap::new();
    for part in entries::parts(handle, end).into_iter().rev() {
        parts.entry(part.step).or_default().push(part);
    }
    let answer = Answer {
        entries: Entries::new(handle, log)?,
        parts,
        slice,
        steps: steps.into_iter(),
        stage: Stage::Head(head),
        first_step: true,
        skipped: 0,
        sent: 0,
        middle: Some(middle),
    };
    Ok(respond(answer, Answer::next))
}

/// A JSON answer that is made chunk by chunk on a blocking thread; `None`: it is complete.
pub(crate) fn respond<S: Send + 'static>(
    state: S,
    next: impl Fn(&mut S) -> io::Result<Option<String>> + Copy + Send + 'static,
) -> Response {
    let chunks = stream::try_unfold(state, move |mut state| async move {
        let made = tokio::task::spawn_blocking(move || {
            let chunk = next(&mut state)?;
            io::Result::Ok(chunk.map(|chunk| (Bytes::from(chunk), state)))
        });
        made.await.map_err(io::Error::other)?
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Answer {
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut chunk = String::new();
        while chunk.len() < SEND_BYTES {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done => break,
                Stage::Head(head) => {
                    chunk.push_str(&head);
                    self.stage = Stage::Step;
                }
                Stage::Step => self.begin(&mut chunk)?,
                Stage::Log(parts) => self.log(parts, &mut chunk)?,
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// Opens the next step's log, or the one outside all steps.
    fn begin(&mut self, chunk: &mut String) -> io::Result<()> {
        (self.skipped, self.sent) = (0, 0);
        let step = if let Some(step) = self.steps.next() {
            if !std::mem::replace(&mut self.first_step, false) {
                chunk.push(',');
            }
            let json = serde_json::to_string(&step)?;
            // `logs` is the last field, and empty.
            chunk.push_str(json.strip_suffix("]}").unwrap_or(&json));
            Some(step.index)
        } else {
            chunk.push_str(&self.middle.take().unwrap_or_default());
            None
        };
        self.stage = Stage::Log(self.parts.remove(&step).unwrap_or_default());
        Ok(())
    }

    fn log(&mut self, mut parts: Vec<Part>, chunk: &mut String) -> io::Result<()> {
        let full = self.sent >= self.slice.limit;
        let Some(part) = parts.pop().filter(|_| !full) else {
            if self.middle.is_some() {
                chunk.push_str("]}");
                self.stage = Stage::Step;
            } else {
                chunk.push_str("],\"status\":200}");
            }
            return Ok(());
        };
        let (entries, next) = self.entries.chunk(part).map_err(io::Error::other)?;
        for entry in entries {
            self.entry(&entry, chunk)?;
        }
        parts.extend(next.map(|from| Part { from, ..part }));
        self.stage = Stage::Log(parts);
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, chunk: &mut String) -> io::Result<()> {
        if self.skipped < self.slice.offset {
            self.skipped += 1;
            return Ok(());
        }
        if self.sent >= self.slice.limit {
            return Ok(());
        }
        if self.sent > 0 {
            chunk.push(',');
        }
        self.sent += 1;
        entry.open_json(chunk)?;
        chunk.push('}');
        Ok(())
    }
}
