//! `stepflow search`: one text in the logs of many executions.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use stepflow_api::{ContextLine, FoundLine, SearchEvent, SearchFound};
use stepflow_view::PATTERN_BYTES_MAX;

use super::look;
use crate::{
    args,
    failure::Failure,
    format::clean,
    out::{Out, print},
    run::summary::{colour, paint},
    source::{FindAll, Source},
    text::{say, why},
};

/// Something was not searched, or nothing was: as `grep` and `rg` exit.
const FAILED: u8 = 2;

/// Searches, and prints hits as they are found.
pub fn search(
    source: &mut dyn Source,
    args: &args::Find,
    pager: bool,
) -> Result<ExitCode, Failure> {
    all(source, args, pager)
        .map_err(|failure| if failure.nobody_reads() { failure } else { failure.code(FAILED) })
}

fn all(source: &mut dyn Source, args: &args::Find, pager: bool) -> Result<ExitCode, Failure> {
    if args.pattern.len() > PATTERN_BYTES_MAX {
        return Err(Failure::new(stepflow_view::PatternError::TooLarge.to_string()));
    }
    let asked = FindAll {
        text: args.pattern.clone(),
        regex: args.regex,
        case: !args.ignore_case,
        query: look::conditions(&args.which)?,
        step: args.step.clone(),
        context: args.context,
        each: args.max_count,
    };
    let is_terminal = std::io::stdout().is_terminal();
    let mut shown = Shown { json: args.json.json, on: colour(is_terminal), ..Shown::default() };
    let mut out = Out::paged(pager && !args.json.json);
    print(&mut out, |out| {
        let mut failed = None;
        source.search_all(&asked, &mut |event| {
            // A pager shows what is there; a program that reads us gets every line at once.
            failed = shown.event(&event, out).and_then(|()| Ok(out.flush()?)).err();
            failed.is_none() && !out.is_broken()
        })?;
        failed.map_or(Ok(()), Err)
    })?;
    Ok(match (shown.unreadable, shown.found) {
        (true, _) => ExitCode::from(FAILED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(1),
    })
}

/// What has been printed.
#[derive(Default)]
struct Shown {
    json: bool,
    /// In colour.
    on: bool,
    /// The execution, the step and the line that were printed last.
    last: Option<(stepflow_model::ExecutionId, Option<u32>, u64)>,
    found: bool,
    unreadable: bool,
}

impl Shown {
    fn event(&mut self, event: &SearchEvent, out: &mut Out) -> Result<(), Failure> {
        self.found |= matches!(event, SearchEvent::Found(_));
        if let SearchEvent::Unreadable { execution_id, why } = event {
            self.unreadable = true;
            if !self.json {
                let failure = Failure::new(why::of_execution(execution_id, why));
                let _ = failure.hint(why::doctor_looks()).print();
            }
        }
        if self.json {
            if !matches!(event, SearchEvent::Progress(_)) {
                writeln!(out, "{}", serde_json::to_string(event).unwrap_or_default())?;
            }
        } else if let SearchEvent::Found(found) = event {
            self.group(found, out)?;
        }
        Ok(())
    }

    /// The hits of one execution. A long search brings them in several parts.
    fn group(&mut self, found: &SearchFound, out: &mut Out) -> Result<(), Failure> {
        let id = found.execution.id;
        if self.last.is_none_or(|last| last.0 != id) {
            if self.last.is_some() {
                writeln!(out)?;
            }
            writeln!(out, "{}", look::row(&found.execution, None, self.on))?;
            self.last = Some((id, None, 0));
        }
        for (at, line) in found.lines.iter().enumerate() {
            let next = found.lines.get(at + 1).map_or(u64::MAX, |next| next.line);
            self.line(line, next, out)?;
        }
        if found.more {
            writeln!(out, "{}", paint(self.on, "2", &say::more_hits()))?;
        }
        Ok(())
    }

    /// A hit with what stands around it; `next` is the line of the one behind it.
    fn line(&mut self, found: &FoundLine, next: u64, out: &mut Out) -> Result<(), Failure> {
        let Some((id, step, seen)) = self.last else { return Ok(()) };
        let first = found.before.first().map_or(found.line, |line| line.line);
        let has_context = !found.before.is_empty() || !found.after.is_empty();
        if has_context && seen > 0 && first > seen + 1 {
            writeln!(out, "{}", paint(self.on, "2", "--"))?;
        }
        if let Some(name) = found.step_name.as_deref().filter(|_| found.step != step) {
            let name = format!("[{}]", clean(name.as_bytes(), false));
            writeln!(out, "{}", paint(self.on, "2", &name))?;
        }
        for line in found.before.iter().filter(|line| line.line > seen) {
            self.context(line, out)?;
        }
        let number = paint(self.on, "32", &found.line.to_string());
        writeln!(out, "{number}:{}", self.highlighted(found))?;
        // A line that has a hit itself is printed as one.
        let behind = || found.after.iter().take_while(|line| line.line < next);
        for line in behind() {
            self.context(line, out)?;
        }
        let last = behind().last().map_or(found.line, |line| line.line);
        self.last = Some((id, found.step, last));
        Ok(())
    }

    fn context(&self, line: &ContextLine, out: &mut Out) -> Result<(), Failure> {
        let number = paint(self.on, "32", &line.line.to_string());
        let cut = if line.cut { "…" } else { "" };
        Ok(writeln!(out, "{number}-{}{cut}", clean(line.text.as_bytes(), false))?)
    }

    /// The text with its matches in colour.
    fn highlighted(&self, found: &FoundLine) -> String {
        let units: Vec<u16> = found.text.encode_utf16().collect();
        let part = |from: usize, to: usize| {
            let to = to.min(units.len());
            clean(String::from_utf16_lossy(&units[from.min(to)..to]).as_bytes(), false)
        };
        let mut text = String::from(if found.cut_before { "…" } else { "" });
        let mut at = 0;
        for (from, to) in &found.spans {
            let (from, to) = ((*from as usize).max(at), *to as usize);
            text.push_str(&part(at, from));
            if from < to {
                text.push_str(&paint(self.on, "1;31", &part(from, to)));
            }
            at = to.max(from);
        }
        text.push_str(&part(at, usize::MAX));
        if found.cut_after {
            text.push('…');
        }
        text
    }
}
