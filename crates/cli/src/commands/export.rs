//! `stepflow export`: an execution as a file.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use serde_json::json;
use stepflow_api::ExecutionDetail;

use super::{logs::to_json, trace};
use crate::{
    args::{Export, ExportFormat},
    failure::Failure,
    out::Out,
    source::{LINES_MAX, Lines, Source},
    text::why,
};

/// Writes an execution to a file or to standard output.
pub fn export(source: &mut dyn Source, args: &Export) -> Result<ExitCode, Failure> {
    let id = source.find(&args.id)?;
    let detail = source.detail(id)?;
    let path = match &args.output {
        Some(path) if path == Path::new("-") => None,
        Some(path) => Some(path.clone()),
        None if io::stdout().is_terminal() => Some(default_name(&detail, args.format)),
        None => None,
    };
    let Some(path) = path else {
        if args.json.json {
            return Err(Failure::new(why::json_needs_file()).hint(why::name_or_no_json()));
        }
        let mut out = Out::plain();
        let written = write(source, &detail, args.format, &mut out).and_then(|()| Ok(out.flush()?));
        return out.ended(written).map(|()| ExitCode::SUCCESS);
    };
    let cannot = |error: io::Error| {
        Failure::new(why::cannot_write(path.display(), error)).hint(why::another_place())
    };
    let file = File::create(&path).map_err(cannot)?;
    let mut out = Counted { out: BufWriter::new(file), bytes: 0 };
    write(source, &detail, args.format, &mut out)?;
    out.flush().map_err(cannot)?;
    let shown = path.display().to_string();
    if args.json.json {
        writeln!(io::stdout(), "{}", json!({"id": id, "file": shown, "bytes": out.bytes}))?;
    } else {
        let size = stepflow_api::human_size(out.bytes);
        writeln!(io::stderr(), "{}  {size}", crate::format::clean(shown.as_bytes(), false))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn default_name(detail: &ExecutionDetail, format: ExportFormat) -> PathBuf {
    let end = match format {
        ExportFormat::Html => "html",
        ExportFormat::Trace => "trace.json",
        ExportFormat::Json => "json",
    };
    file_name(detail, end)
}

/// The execution's name, made a file's name, and the end of its id, which differs most.
pub fn file_name(detail: &ExecutionDetail, end: &str) -> PathBuf {
    let name: String = detail
        .execution
        .name
        .chars()
        .map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let id = detail.execution.id.to_string();
    PathBuf::from(format!("{}-{}.{end}", name.trim_matches(['.', '-']), &id[id.len() - 12..]))
}

fn write(
    source: &mut dyn Source,
    detail: &ExecutionDetail,
    format: ExportFormat,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match format {
        ExportFormat::Html => source.html(detail.execution.id, out),
        ExportFormat::Trace => Ok(writeln!(out, "{}", trace::trace(detail))?),
        ExportFormat::Json => everything(source, detail, out),
    }
}

/// Everything as one object, its lines written as they are read.
fn everything(
    source: &mut dyn Source,
    detail: &ExecutionDetail,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let id = detail.execution.id;
    let meta = loop {
        let meta = source.meta(id)?;
        if meta.complete {
            break meta;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let head = json!({
        "schema": "stepflow-export", "v": 1, "execution": detail.execution, "steps": detail.steps,
        "artifacts": detail.artifacts, "annotations": detail.annotations, "log": meta,
    });
    let head = head.to_string();
    write!(out, "{},\"lines\":[", head.strip_suffix('}').unwrap_or(&head))?;
    let mut next = 1;
    while next <= meta.lines {
        let asked = Lines { from: next, limit: LINES_MAX, ..Lines::default() };
        let range = source.lines(id, &asked)?;
        let Some(last) = range.lines.last() else { break };
        let behind = last.n + 1;
        for line in range.lines.iter().filter(|line| line.n <= meta.lines) {
            let comma = if line.n > 1 { "," } else { "" };
            write!(out, "{comma}\n{}", to_json(line))?;
        }
        next = behind;
    }
    Ok(writeln!(out, "\n]}}")?)
}

struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
