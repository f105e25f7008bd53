//! `stepflow ls`, `show`, `reindex`: what the catalog knows.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use stepflow_catalog::{Catalog, CatalogError, ListQuery, Reader, Role};
use stepflow_engine::WriterLock;
use stepflow_model::{Status, Summary};
use stepflow_record::{RecordView, Storage};
use stepflow_sys::clock;

use super::find;
use crate::{
    failure::{Failure, chain},
    format::{clean, cut, duration},
    run::summary::{colour, paint, step_line, summary_line},
};

/// Projects what the records know and the catalog does not, if nobody else is at it.
pub fn catch_up(storage: &Storage) -> Result<(), Failure> {
    let Some(_lock) = WriterLock::try_take(storage)? else { return Ok(()) };
    let catalog = Catalog::open(&storage.database(), Role::Command).map_err(catalog_failure)?;
    let projected = stepflow_engine::project_open(storage, &catalog)
        .map_err(|error| Failure::from_error(&error))?;
    catalog.close().map_err(catalog_failure)?;
    for (id, error) in &projected.unreadable {
        let _ = Failure::new(format!("execution {id}: {}", chain(error))).print();
    }
    Ok(())
}

fn catalog_failure(error: CatalogError) -> Failure {
    let failure = Failure::from_error(&error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Lists executions, newest first.
pub fn ls(
    storage: &Storage,
    status: Option<&str>,
    tag: Option<String>,
    name: Option<String>,
    limit: usize,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let status = match status {
        None => None,
        Some(word) => Some(Status::from_word(word).ok_or_else(|| {
            let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
            Failure::new(format!("`{word}` is not a status"))
                .hint(format!("one of {}", words.join(", ")))
        })?),
    };
    catch_up(storage)?;
    let reader = open(storage)?;
    let query = ListQuery {
        status,
        tag,
        name,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        ..ListQuery::default()
    };
    let found = reader.list(&query).map_err(|error| Failure::from_error(&error))?;
    let mut out = std::io::stdout().lock();
    if as_json {
        let now = clock::wall_us();
        let executions: Vec<_> =
            found.iter().map(|summary| stepflow_api::Execution::new(summary, now)).collect();
        writeln!(out, "{}", json!({"executions": executions, "count": executions.len()}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        writeln!(out, "nothing has run here yet: try `stepflow run -- CMD`")?;
        return Ok(ExitCode::SUCCESS);
    }
    let terminal = std::io::stdout().is_terminal();
    let on = colour(terminal);
    let width = terminal_size::terminal_size().filter(|_| terminal).map(|size| size.0.0);
    for summary in &found {
        let line = row(summary, on);
        let line = match width {
            Some(width) => cut(&line, usize::from(width)),
            None => line,
        };
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(summary: &Summary, on: bool) -> String {
    let colour = match summary.status {
        Status::Completed => "32",
        Status::Failed => "31",
        Status::Cancelled => "33",
        Status::Running | Status::Pending => "36",
    };
    let status = paint(on, colour, &format!("{:<9}", summary.status));
    let started = Timestamp::from_microsecond(summary.created_us)
        .map(|time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default();
    let took = summary.duration_us.map(duration).unwrap_or_default();
    let steps = match summary.total_steps {
        0 => String::new(),
        total => format!("{}/{total}", summary.completed_steps),
    };
    let name = clean(summary.name.as_bytes(), false);
    format!(
        "{status}  {}  {started}  {took:>8}  {steps:>7}  {name}",
        paint(on, "2", &summary.id.to_string())
    )
}

/// Shows one execution. The record answers, so it works with and without a server.
pub fn show(storage: &Storage, id: &str, as_json: bool) -> Result<ExitCode, Failure> {
    let id = find(storage, id)?;
    catch_up(storage)?;
    let mut view = RecordView::open(storage, id)?;
    view.liveness()?;
    let state = &view.state;
    let mut out = std::io::stdout().lock();
    if as_json {
        let now = clock::wall_us();
        let object = json!({
            "execution": stepflow_api::Execution::new(&state.summary, now),
            "steps": state.steps.iter().map(|step| stepflow_api::Step::new(id, step, now)).collect::<Vec<_>>(),
            "artifacts": state.artifacts.iter().map(|a| stepflow_api::Artifact::new(id, a)).collect::<Vec<_>>(),
            "annotations": state.annotations.iter().map(stepflow_api::Annotation::from).collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let on = colour(std::io::stdout().is_terminal());
    let summary = &state.summary;
    writeln!(out, "{}", paint(on, "1", &clean(summary.name.as_bytes(), false)))?;
    writeln!(out, "command    {}", clean(summary.command.as_bytes(), false))?;
    writeln!(out, "directory  {}", clean(summary.cwd.as_bytes(), false))?;
    if !summary.tags.is_empty() {
        writeln!(out, "tags       {}", clean(summary.tags.join(", ").as_bytes(), false))?;
    }
    for (key, value) in &summary.metadata {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(
            out,
            "meta       {} = {}",
            clean(key.as_bytes(), false),
            clean(text.as_bytes(), false)
        )?;
    }
    writeln!(out, "record     {}", storage.record_dir(id).display())?;
    for step in &state.steps {
        writeln!(out, "{}", step_line(step, on))?;
    }
    for artifact in &state.artifacts {
        let path = clean(artifact.path.as_bytes(), false);
        match (&artifact.problem, artifact.settled) {
            (Some(problem), _) => {
                writeln!(out, "artifact   {path}: {}", clean(problem.as_bytes(), false))?;
            }
            (None, true) => writeln!(out, "artifact   {path}  {} bytes", artifact.size)?,
            (None, false) => writeln!(out, "artifact   {path}  being copied")?,
        }
    }
    for annotation in &state.annotations {
        writeln!(
            out,
            "warning    line {}: {}",
            annotation.line,
            clean(annotation.message.as_bytes(), false)
        )?;
    }
    for left in &state.leftover {
        writeln!(out, "left over  {}", clean(left.as_bytes(), false))?;
    }
    writeln!(out, "{}", summary_line(summary, on))?;
    Ok(ExitCode::SUCCESS)
}

/// Rebuilds the catalog from the records.
pub fn reindex(storage: &Storage, as_json: bool) -> Result<ExitCode, Failure> {
    let Some(_lock) = WriterLock::try_take(storage)? else {
        return Err(Failure::new("a server, or another command, writes the catalog now")
            .hint("stop the server first; executions that run go on"));
    };
    let catalog = Catalog::open(&storage.database(), Role::Command).map_err(catalog_failure)?;
    let report =
        stepflow_engine::reindex(storage, &catalog).map_err(|error| Failure::from_error(&error))?;
    catalog.close().map_err(catalog_failure)?;
    let unreadable: Vec<_> =
        report.unreadable.iter().map(|(id, why)| (id.to_string(), chain(why))).collect();
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", json!({"executions": report.executions, "unreadable": unreadable}))?;
    } else {
        writeln!(out, "{} executions indexed", report.executions)?;
        for (id, why) in &unreadable {
            writeln!(out, "left out: {id}: {why}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(storage: &Storage) -> Result<Reader, Failure> {
    Reader::open_existing(&storage.database()).map_err(catalog_failure)
}
