//! The log to take away: bytes, text or JSON lines; all of it or a part; a whole execution as one
//! HTML file. Made as fast as it is taken, a few lines at a time.

use std::{collections::VecDeque, io::Write as _, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use stepflow_api::rfc3339_ns;
use stepflow_engine::Handle;
use stepflow_record::Line;
use stepflow_view::View;

use crate::{
    app::App,
    extract::{Flag, Id, Params},
    problem::Problem,
    range,
    routes::{artifacts::disposition, log, view},
    selection::{self, Selection},
    views,
};

/// A chunk is sent when it has about this many bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often it is looked whether the whole log has been scanned.
const SCAN_POLL: Duration = Duration::from_millis(25);

/// The query of a download.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DownloadParams {
    /// `raw`: the recorded bytes; `text`: what a page shows, with times; `jsonl`: an object a line.
    #[schemars(extend("enum" = ["raw", "text", "jsonl"], "default" = "raw"))]
    format: Option<String>,
    /// Only lines of this step and the steps in it.
    step: Option<u32>,
    /// The first line.
    #[schemars(range(min = 1))]
    from_line: Option<u64>,
    /// The last line.
    to_line: Option<u64>,
    /// Only lines of these levels, separated by commas, ...
    level: Option<String>,
    /// ... from this stream: `stderr`, ...
    stream: Option<String>,
    /// ... and so many around each.
    context: Option<u64>,
    /// With `text`: `utc`, `relative` (to the start of the execution) or `off`.
    #[schemars(extend("enum" = ["utc", "relative", "off"], "default" = "utc"))]
    time: Option<String>,
    /// Packed with gzip.
    #[serde(default)]
    gzip: Flag,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Raw,
    Text(Time),
    JsonLines,
}

#[derive(Debug, Clone, Copy)]
enum Time {
    Utc,
    Since(i64),
    Off,
}

impl Format {
    fn of(params: &DownloadParams, started_us: i64) -> Result<Self, Problem> {
        let time = match params.time.as_deref() {
            None | Some("utc") => Time::Utc,
            Some("relative") => Time::Since(started_us.saturating_mul(1_000)),
            Some("off") => Time::Off,
            Some(_) => return Err(Problem::bad_request("`time` is utc, relative or off")),
        };
        match params.format.as_deref() {
            None | Some("raw") => Ok(Self::Raw),
            Some("text") => Ok(Self::Text(time)),
            Some("jsonl") => Ok(Self::JsonLines),
            Some(_) => Err(Problem::bad_request("`format` is raw, text or jsonl")),
        }
    }
}

/// `GET /api/executions/{id}/log/download`.
pub(crate) async fn download(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if params.from_line == Some(0) {
        return Err(Problem::bad_request("`from_line` counts from 1"));
    }
    let filter =
        log::lines_filter(params.level.as_deref(), params.stream.as_deref(), params.context)?;
    let handle = app.engine.execution(id).await?;
    let started = handle.read(|state| state.summary.started_us.unwrap_or(state.summary.created_us));
    let format = Format::of(&params, started)?;
    let name = file_name(&handle, &params, format);
    let whole = filter.is_none()
        && params.step.is_none()
        && params.from_line.is_none()
        && params.to_line.is_none();
    let mut response = if matches!(format, Format::Raw) && whole && !params.gzip.0 {
        log::raw_bytes(handle, &headers).await?
    } else {
        let all = Some(vec![(1, u64::MAX)]);
        let ranges = match params.step {
            Some(step) => handle.read(|state| selection::of_step(state, step)),
            None => all,
        };
        let Some(ranges) = ranges else {
            return Err(Problem::bad_request("there is no such step"));
        };
        let lines = scanned(&app, &handle, filter.is_some()).await?;
        let (from, to) = (params.from_line.unwrap_or(1), params.to_line.unwrap_or(u64::MAX));
        let selection = Selection::new(ranges, filter, from, to.min(lines));
        let losses = handle.read(|state| state.losses.clone());
        let mut parts = Parts::new(app, handle, selection, format, params.gzip.0);
        if matches!(format, Format::Raw) {
            let handle = Arc::clone(&parts.handle);
            let look = tokio::task::spawn_blocking(move || {
                handle.log()?.map_or(Ok(None), |log| log.dropped())
            });
            parts.said = look.await.unwrap_or(Ok(None))?;
        }
        let said = parts.said;
        let mut response = Response::new(parts.body());
        log::say_gap(&mut response, said);
        if matches!(format, Format::Raw) {
            log::say_losses(&mut response, &losses);
        }
        let kind = match (params.gzip.0, format) {
            (true, _) => "application/gzip",
            (false, Format::JsonLines) => "application/jsonl",
            (false, _) => "text/plain; charset=utf-8",
        };
        range::set(&mut response, header::CONTENT_TYPE, kind);
        response
    };
    range::set(&mut response, header::CONTENT_DISPOSITION, &disposition(&name));
    Ok(response)
}

/// `build-0198c2aa-step-2-error.txt.gz`
fn file_name(handle: &Handle, params: &DownloadParams, format: Format) -> String {
    let mut name = base_name(handle);
    if let Some(step) = params.step {
        name.push_str(&format!("-step-{}", step + 1));
    }
    if let Some(level) = &params.level {
        name.push_str(&format!("-{}", level.replace(',', "-")));
    }
    if params.stream.is_some() {
        name.push_str("-stderr");
    }
    if params.from_line.is_some() || params.to_line.is_some() {
        name.push_str("-lines");
    }
    name.push_str(match format {
        Format::Raw => ".log",
        Format::Text(_) => ".txt",
        Format::JsonLines => ".jsonl",
    });
    if params.gzip.0 {
        name.push_str(".gz");
    }
    name
}

/// The execution's name, made a file's name, and the end of its id, which differs most.
pub(crate) fn base_name(handle: &Handle) -> String {
    let name: String = handle
        .read(|state| state.summary.name.clone())
        .chars()
        .map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let id = handle.id().to_string();
    format!("{}-{}", name.trim_matches(['.', '-']), &id[id.len() - 12..])
}

/// Waits until what is recorded now has been scanned, if that matters; the number of its last line.
pub(crate) async fn scanned(
    app: &App,
    handle: &Arc<Handle>,
    matters: bool,
) -> Result<u64, Problem> {
    let mut wanted = None;
    loop {
        let (lines, known) = views::ask(app, handle, |view, complete| {
            let Some(view) = view else { return Ok((0, u64::MAX)) };
            let (bytes, lines) = view.log().position()?;
            // A half line stands behind the ended ones.
            let half = u64::from(view.log().line_start(lines + 1)? < bytes);
            Ok((lines + half, if complete { u64::MAX } else { view.lines() }))
        })
        .await?;
        // What is printed meanwhile is not waited for.
        let wanted = *wanted.get_or_insert(lines);
        if !matters || known >= wanted {
            return Ok(wanted);
        }
        tokio::select! {
            () = app.over.cancelled() => return Err(Problem::closing()),
            () = tokio::time::sleep(SCAN_POLL) => {}
        }
    }
}

/// An answer that has begun cannot become a problem: it is cut off, which every client notices.
pub(crate) fn broken(problem: Problem) -> std::io::Error {
    std::io::Error::other(problem.cause.unwrap_or_default())
}

/// What is still to be sent.
struct Parts {
    app: App,
    handle: Arc<Handle>,
    selection: Selection,
    format: Format,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Bytes of the record that are still to come before the next lines.
    bytes: VecDeque<(u64, u64)>,
    /// What the answer's head says of output that is gone by policy.
    said: Option<stepflow_model::Dropped>,
}

impl Parts {
    fn new(
        app: App,
        handle: Arc<Handle>,
        selection: Selection,
        format: Format,
        gzip: bool,
    ) -> Self {
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::default()));
        Self { app, handle, selection, format, gzip, bytes: VecDeque::new(), said: None }
    }

    fn body(self) -> Body {
        Body::from_stream(stream::try_unfold(Some(self), |parts| async move {
            let Some(mut parts) = parts else { return Ok(None) };
            let (app, handle) = (parts.app.clone(), Arc::clone(&parts.handle));
            let made = views::ask(&app, &handle, move |view, _| {
                let chunk = parts.chunk(view)?;
                Ok((chunk, parts))
            });
            let (chunk, parts) = made.await.map_err(broken)?;
            Ok::<_, std::io::Error>(Some(match chunk {
                (chunk, true) => (Bytes::from(chunk), Some(parts)),
                (chunk, false) => (Bytes::from(chunk), None),
            }))
        }))
    }

    /// The next bytes, and whether there is more.
    fn chunk(&mut self, view: Option<&View>) -> Result<(Vec<u8>, bool), Problem> {
        let mut plain = Vec::new();
        let mut more = view.is_some();
        while let Some(view) = view.filter(|_| more && plain.len() < CHUNK_BYTES) {
            more = self.fill(view, &mut plain)?;
        }
        let Some(gzip) = &mut self.gzip else { return Ok((plain, more)) };
        let write = gzip.write_all(&plain);
        let done = if more { Ok(()) } else { gzip.try_finish() };
        write.and(done).map_err(|error| Problem::internal(&error))?;
        Ok((std::mem::take(gzip.get_mut()), more))
    }

    /// Adds some lines; whether there may be more.
    fn fill(&mut self, view: &View, out: &mut Vec<u8>) -> Result<bool, Problem> {
        if let Some((from, to)) = self.bytes.pop_front() {
            let size = ((to - from) as usize).min(4 * CHUNK_BYTES);
            let at = out.len();
            out.resize(at + size, 0);
            view.log().read_at(&mut out[at..], from)?;
            log::unsaid(view.log(), self.said, from, from + size as u64)?;
            let from = from + size as u64;
            if from < to {
                self.bytes.push_front((from, to));
            }
            return Ok(true);
        }
        if let (Format::Raw, Some(ranges)) = (self.format, self.selection.ranges_alone()) {
            // Bytes are bytes: lines need not be looked for.
            let (bytes, lines) = view.log().position()?;
            for (first, last) in ranges {
                let begin = |line: u64| match line {
                    _ if line > lines + 1 => Ok(bytes),
                    _ => view.log().line_start(line),
                };
                let (from, to) = (begin(*first)?, begin(last.saturating_add(1))?);
                if from < to {
                    self.bytes.push_back((from, to));
                }
            }
            self.selection = Selection::new(Vec::new(), None, 1, 0);
            return Ok(!self.bytes.is_empty());
        }
        let lines = self.selection.next(view)?;
        match self.format {
            Format::Raw => {
                for line in &lines {
                    match self.bytes.back_mut() {
                        Some(last) if last.1 == line.offset => last.1 = line.end,
                        _ => self.bytes.push_back((line.offset, line.end)),
                    }
                }
            }
            Format::Text(time) => text(view, &lines, time, out)?,
            Format::JsonLines => self.json_lines(view, &lines, out)?,
        }
        Ok(!lines.is_empty())
    }

    fn json_lines(&self, view: &View, lines: &[Line], out: &mut Vec<u8>) -> Result<(), Problem> {
        let owners: Vec<Option<u32>> = self
            .handle
            .read(|state| lines.iter().map(|line| state.owner_of(line.offset)).collect());
        for ((line, dressed), step) in lines.iter().zip(view.dress_plain(lines)?).zip(owners) {
            let mut object = json!({
                "n": line.number,
                "t": rfc3339_ns(line.time_ns),
                "stream": line.stream,
                "step": step,
                "level": view::level(dressed.verdict.level),
                "source": view::source(dressed.verdict.finder),
                "text": String::from_utf8_lossy(&line.text),
                "rest": line.rest,
                "partial": line.partial,
            });
            if let Some(gone) = line.dropped {
                object["dropped"] = json!(stepflow_api::Dropped::from(gone));
            }
            serde_json::to_writer(&mut *out, &object).map_err(|error| Problem::internal(&error))?;
            out.push(b'\n');
        }
        Ok(())
    }
}

/// What a page shows of `lines`, each with its time.
fn text(view: &View, lines: &[Line], time: Time, out: &mut Vec<u8>) -> Result<(), Problem> {
    for (line, dressed) in lines.iter().zip(view.dress_plain(lines)?) {
        match time {
            Time::Utc => {
                out.extend_from_slice(format!("{}  ", rfc3339_ns(line.time_ns)).as_bytes());
            }
            Time::Since(start_ns) => {
                let ms = (line.time_ns - start_ns).max(0) / 1_000_000;
                let (s, ms) = (ms / 1_000, ms % 1_000);
                let clock = format!("+{}:{:02}:{:02}.{ms:03}  ", s / 3_600, s / 60 % 60, s % 60);
                out.extend_from_slice(clock.as_bytes());
            }
            Time::Off => {}
        }
        out.extend_from_slice(dressed.drawn.text.as_bytes());
        if dressed.drawn.rest > 0 {
            let note = format!(" [{} bytes more; format=raw has them]", dressed.drawn.rest);
            out.extend_from_slice(note.as_bytes());
        }
        out.push(b'\n');
    }
    Ok(())
}
