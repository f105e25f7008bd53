//! `GET /api/executions/{id}`: one JSON object, with the steps' logs streamed from the record.

use std::{collections::HashSet, io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use stepflow_api::{Annotation, Artifact, Execution, Step, rfc3339_ns};
use stepflow_engine::Handle;
use stepflow_model::EventKind;
use stepflow_record::{LogReader, RecordError};
use stepflow_sys::clock;

use crate::{lines, problem::Problem};

/// Log bytes that are read for one chunk of the answer.
const CHUNK_BYTES: u64 = 64 * 1024;

/// The answer without logs.
pub(crate) fn whole(handle: &Handle) -> stepflow_api::ExecutionDetail {
    let now = clock::wall_us();
    handle.read(|state| {
        let id = state.summary.id;
        stepflow_api::ExecutionDetail {
            execution: Execution::new(&state.summary, now),
            steps: state.steps.iter().map(|step| Step::new(id, step, now)).collect(),
            artifacts: state.artifacts.iter().map(|file| Artifact::new(id, file)).collect(),
            annotations: state.annotations.iter().map(Annotation::from).collect(),
            status: 200,
        }
    })
}

/// Where the lines of markers that had an effect begin, or end: the journal says so.
#[derive(Default)]
struct Markers {
    starts: HashSet<u64>,
    ends: HashSet<u64>,
}

impl Markers {
    fn read(handle: &Handle) -> Result<Self, RecordError> {
        let mut markers = Self::default();
        let Some(mut journal) = handle.journal()? else { return Ok(markers) };
        loop {
            let events = journal.read_new()?;
            if events.is_empty() {
                return Ok(markers);
            }
            for event in events {
                match event.kind {
                    EventKind::StepStarted { .. }
                    | EventKind::Artifact { .. }
                    | EventKind::Meta { .. } => {
                        markers.starts.insert(event.offset);
                    }
                    EventKind::StepFinished { by, .. } if by == "marker" => {
                        markers.ends.insert(event.offset);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What is still to be sent. Only this much is held, however long the log is.
struct Logs {
    handle: Arc<Handle>,
    log: LogReader,
    markers: Markers,
    steps: std::vec::IntoIter<Step>,
    /// Parts of the log that belong to the step being sent, last first.
    parts: Vec<(u64, u64)>,
    /// End of the log when the answer began.
    end: u64,
    first_step: bool,
    first_entry: bool,
    in_step: bool,
    tail: Option<String>,
}

/// The answer with logs, chunk by chunk, as fast as it is taken.
pub(crate) fn streamed(handle: Arc<Handle>, log: LogReader) -> Result<Response, Problem> {
    let (end, _) = log.position()?;
    let mut detail = whole(&handle);
    let steps = std::mem::take(&mut detail.steps);
    let json = |value: serde_json::Result<String>| value.map_err(|e| Problem::internal(&e));
    let head =
        format!("{{\"execution\":{},\"steps\":[", json(serde_json::to_string(&detail.execution))?);
    let tail = format!(
        "],\"artifacts\":{},\"annotations\":{},\"status\":200}}",
        json(serde_json::to_string(&detail.artifacts))?,
        json(serde_json::to_string(&detail.annotations))?,
    );
    let logs = Logs {
        markers: Markers::read(&handle)?,
        handle,
        log,
        steps: steps.into_iter(),
        parts: Vec::new(),
        end,
        first_step: true,
        first_entry: true,
        in_step: false,
        tail: Some(tail),
    };
    let chunks = stream::try_unfold((Some(head), logs), |(head, mut logs)| async move {
        if let Some(head) = head {
            return Ok(Some((Bytes::from(head), (None, logs))));
        }
        let next = tokio::task::spawn_blocking(move || (logs.next(), logs));
        let (chunk, logs) = next.await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(chunk?.map(|chunk| (Bytes::from(chunk), (None, logs))))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Logs {
    /// The next part of the answer; `None`: that was all. Blocks.
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut chunk = String::new();
        while chunk.len() < CHUNK_BYTES as usize {
            if !self.in_step {
                let Some(step) = self.steps.next() else {
                    chunk.extend(self.tail.take());
                    break;
                };
                self.begin(&step, &mut chunk)?;
            } else if let Some((from, until)) = self.parts.pop() {
                self.part(from, until, &mut chunk)?;
            } else {
                chunk.push_str("]}");
                self.in_step = false;
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn begin(&mut self, step: &Step, chunk: &mut String) -> io::Result<()> {
        if !std::mem::replace(&mut self.first_step, false) {
            chunk.push(',');
        }
        let json = serde_json::to_string(step)?;
        // `logs` is the last field, and empty.
        chunk.push_str(json.strip_suffix("]}").unwrap_or(&json));
        self.in_step = true;
        self.first_entry = true;
        let (index, end) = (step.index, self.end);
        self.parts = self.handle.read(|state| {
            let owners = &state.owners;
            let ends = owners.iter().skip(1).map(|next| next.0).chain([end]);
            let parts = owners.iter().zip(ends).filter(|(owner, _)| owner.2 == Some(index));
            let mut parts: Vec<_> = parts.map(|(owner, until)| (owner.0, until.min(end))).collect();
            parts.reverse();
            parts
        });
        Ok(())
    }

    fn part(&mut self, from: u64, until: u64, chunk: &mut String) -> io::Result<()> {
        if from >= until {
            return Ok(());
        }
        let bytes = CHUNK_BYTES.min(until - from);
        let (pieces, next) =
            lines::by_offset(&self.log, from, bytes, true).map_err(io::Error::other)?;
        for piece in pieces.into_iter().filter(|piece| piece.offset < until) {
            // As in the original, a marker's line is not part of a step's log.
            if self.markers.starts.contains(&piece.offset) || self.markers.ends.contains(&piece.end)
            {
                continue;
            }
            if !std::mem::replace(&mut self.first_entry, false) {
                chunk.push(',');
            }
            let text = String::from_utf8_lossy(&piece.text);
            let text = text.strip_suffix('\r').unwrap_or(&text);
            chunk.push_str("{\"timestamp\":\"");
            chunk.push_str(&rfc3339_ns(piece.time_ns));
            chunk.push_str("\",\"content\":");
            chunk.push_str(&serde_json::to_string(text)?);
            chunk.push_str(",\"level\":\"info\"}");
        }
        if from < next && next < until {
            self.parts.push((next, until));
        }
        Ok(())
    }
}
