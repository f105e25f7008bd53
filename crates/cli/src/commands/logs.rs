//! `stepflow logs`: the recorded output as the page shows it, now or as it comes.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use stepflow_api::{ExecutionDetail, Line, Zone, parse_time};
use stepflow_model::ExecutionId;
use stepflow_record::LogReader;
use stepflow_sys::clock;
use stepflow_view::{Pattern, Syntax};

use crate::{
    args::{self, TimeMode},
    failure::Failure,
    format::count,
    line::{Shown, plain, text},
    out::Out,
    run::summary::colour,
    source::{LINES_MAX, Lines, Source},
    text::{say, why},
};

/// A server that went away is asked again after so long at first, and at last.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LAST: Duration = Duration::from_secs(15);
/// A server that still scans the log is asked again after this.
const SCANNING: Duration = Duration::from_millis(20);

/// Prints a log.
pub fn logs(source: &mut dyn Source, args: &args::Logs, pager: bool) -> Result<ExitCode, Failure> {
    let id = source.find(&args.id)?;
    let detail = source.detail(id)?;
    let mut out = Out::paged(pager && !args.follow && !args.json.json && !args.raw);
    let printed = if args.raw {
        raw(source, id, args.follow, &mut out)
    } else {
        Printer::new(source, id, args, detail, &mut out)?.print()
    };
    out.ended(printed)?;
    if out.is_broken() {
        // Left by a key of the pager: then nobody waits for an exit code.
        return Ok(ExitCode::SUCCESS);
    }
    drop(out);
    if !args.exit_status {
        return Ok(ExitCode::SUCCESS);
    }
    let execution = source.detail(id)?.execution;
    Ok(ExitCode::from(super::look::exit_code(&execution)))
}

/// The recorded bytes, now or until the end.
pub fn raw(
    source: &mut dyn Source,
    id: ExecutionId,
    follow: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut from = 0;
    let mut again = Again::default();
    loop {
        // Asked before the bytes: what had ended then is whole.
        let step = source.detail(id).and_then(|detail| {
            from += source.raw(id, from, out)?;
            out.flush()?;
            Ok(detail)
        });
        match step {
            Ok(detail) if detail.execution.completed_at.is_some() || !follow => {
                // Bytes cannot say what is missing between them.
                for loss in detail.annotations.iter().filter(|said| said.code == "output_lost") {
                    writeln!(io::stderr(), "{}", say::missing_here(&loss.message))?;
                }
                return Ok(());
            }
            Ok(_) => again = Again::default(),
            Err(failure) if out.is_broken() || !follow || !source.is_away() => {
                return Err(failure);
            }
            // What came before the break is not known: bytes are counted only when all came.
            Err(failure) => again.wait(&failure),
        }
        source.wait(id, Duration::from_secs(1))?;
    }
}

/// Waits for a server that went away, longer and longer, without end.
#[derive(Default)]
struct Again {
    times: u32,
}

impl Again {
    fn wait(&mut self, failure: &Failure) {
        if self.times == 0 {
            let _ = writeln!(io::stderr(), "stepflow: {}", say::trying_again(failure));
        }
        let base = AGAIN_FIRST.saturating_mul(1 << self.times.min(10)).min(AGAIN_LAST);
        // Many who wait for one server do not all come in the same moment.
        let jitter = (clock::wall_ns() as u64 % 1_000) as f64 / 1_000.0;
        thread::sleep(base.mul_f64(0.75 + jitter / 2.0));
        self.times += 1;
    }
}

/// Where the last `tail` lines begin.
pub(super) fn tail_offset(log: &LogReader, tail: u64) -> Result<u64, Failure> {
    let (bytes, lines) = log.position()?;
    let half = u64::from(!log.lines(lines + 1, 1)?.is_empty());
    let first = (lines + half + 1).saturating_sub(tail).max(1);
    Ok(log.lines(first, 1)?.first().map_or(bytes, |line| line.offset))
}

struct Printer<'a> {
    source: &'a mut dyn Source,
    id: ExecutionId,
    args: &'a args::Logs,
    detail: ExecutionDetail,
    out: &'a mut Out,
    colour: bool,
    /// Numbers of the steps that are wanted.
    steps: Option<Vec<u32>>,
    pattern: Option<Pattern>,
    levels: Option<String>,
    /// The next line that has not been looked at.
    next: u64,
    since_us: Option<i64>,
    last_us: Option<i64>,
    gaps: VecDeque<(u64, String)>,
    /// A half line stands on the terminal and is drawn again when there is more of it.
    half_shown: bool,
}

impl<'a> Printer<'a> {
    fn new(
        source: &'a mut dyn Source,
        id: ExecutionId,
        args: &'a args::Logs,
        detail: ExecutionDetail,
        out: &'a mut Out,
    ) -> Result<Self, Failure> {
        let pattern = args.grep.as_deref().map(|text| {
            let syntax = Syntax { regex: true, case: !args.ignore_case };
            Pattern::new(text, syntax).map_err(|error| {
                Failure::new(why::bad_pattern(text, error)).hint(why::escape_pattern())
            })
        });
        let words = ["error", "warning", "notice", "debug", "other"];
        if let Some(wrong) = args.level.iter().find(|word| !words.contains(&word.as_str())) {
            return Err(Failure::new(why::not_a_level(wrong)).hint(why::one_of(words.join(", "))));
        }
        let levels = (!args.level.is_empty()).then(|| args.level.join(","));
        let mut printer = Self {
            source,
            id,
            args,
            colour: colour(io::stdout().is_terminal()),
            steps: None,
            pattern: pattern.transpose()?,
            levels,
            next: 1,
            since_us: None,
            last_us: None,
            gaps: VecDeque::new(),
            half_shown: false,
            detail,
            out,
        };
        if let Some(step) = &args.step {
            let (steps, first) = steps_of(&printer.detail, step)?;
            (printer.steps, printer.next) = (Some(steps), first);
        }
        if let Some(since) = &args.since {
            printer.begin(since)?;
        }
        let has_gap =
            |a: &stepflow_api::Annotation| matches!(a.code.as_str(), "recovered" | "output_lost");
        if !args.json.json && printer.detail.annotations.iter().any(has_gap) {
            let meta = printer.source.meta(id)?;
            printer.gaps = meta.gaps.into_iter().map(|gap| (gap.line, gap.message)).collect();
        }
        Ok(printer)
    }

    /// Moves to the line or the time that `--since` names.
    fn begin(&mut self, since: &str) -> Result<(), Failure> {
        let number = since.strip_prefix(['L', 'l']).unwrap_or(since);
        if let Ok(line) = number.parse::<u64>() {
            self.next = self.next.max(line);
            return Ok(());
        }
        let now = clock::wall_us();
        let today = Timestamp::from_microsecond(now)
            .map(|now| now.to_zoned(jiff::tz::TimeZone::system()).date().to_string())
            .unwrap_or_default();
        // A time of the day is one of today.
        let clock = since.contains(':') && !since.contains('-');
        let text = if clock { format!("{today}T{since}") } else { since.to_owned() };
        let since_us = parse_time(&text, now, Zone::System)
            .map_err(|_| Failure::new(why::neither_line_nor_time(since)))
            .map_err(|failure| failure.hint(why::lines_and_times()))?;
        self.since_us = Some(since_us);
        // Times never go back: halve until the first line of that time is found.
        let (mut low, mut high) = (self.next, self.total()? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let asked = Lines { from: middle, limit: 1, ..Lines::default() };
            let found = self.source.lines(self.id, &asked)?;
            match found.lines.first() {
                Some(line) if time_us(line) < since_us => low = middle + 1,
                _ => high = middle,
            }
        }
        self.next = low;
        Ok(())
    }

    /// Lines that are there, a half one included.
    fn total(&mut self) -> Result<u64, Failure> {
        let asked = Lines { from: u64::from(u32::MAX), limit: 1, ..Lines::default() };
        let ended = self.source.lines(self.id, &asked)?.total_lines;
        let behind = Lines { from: ended + 1, limit: 1, ..Lines::default() };
        let half = !self.source.lines(self.id, &behind)?.lines.is_empty();
        Ok(ended + u64::from(half))
    }

    /// Prints all, and goes on until the end if asked to.
    fn print(mut self) -> Result<(), Failure> {
        let filtered = self.steps.is_some() || self.pattern.is_some() || self.levels.is_some();
        let mut kept = None;
        if let Some(tail) = self.args.tail {
            if filtered {
                kept = Some(VecDeque::with_capacity(tail.min(LINES_MAX)));
            } else {
                let begin = (self.total()? + 1).saturating_sub(tail as u64);
                self.next = self.next.max(begin).max(1);
            }
        }
        let mut again = Again::default();
        loop {
            let (ended, more) = match self.some(&mut kept) {
                Ok(seen) => seen,
                Err(failure) if self.may_try_again() => {
                    again.wait(&failure);
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            again = Again::default();
            if more {
                continue;
            }
            if let Some(lines) = kept.take() {
                for line in lines {
                    self.line(&line)?;
                }
            }
            self.out.flush()?;
            if ended || !self.args.follow {
                break;
            }
            self.source.wait(self.id, Duration::from_secs(1))?;
        }
        if std::mem::take(&mut self.half_shown) {
            writeln!(self.out)?;
        }
        Ok(self.out.flush()?)
    }

    fn may_try_again(&self) -> bool {
        self.args.follow && self.source.is_away() && !self.out.is_broken()
    }

    /// Takes the next lines. Returns whether the execution had ended, and whether there may be more.
    fn some(&mut self, kept: &mut Option<VecDeque<Line>>) -> Result<(bool, bool), Failure> {
        let limit = if self.args.tail.is_some() && kept.is_none() { 512 } else { 2_048 };
        let asked = Lines { from: self.next, limit, levels: self.levels.clone(), skip: 0 };
        let range = self.source.lines(self.id, &asked)?;
        let scanned = range.filtered.is_none_or(|filtered| filtered.complete);
        // Colours that carry over, and levels, are known once the scan has come so far.
        let styled = |line: &Line| line.view.as_ref().is_some_and(|view| view.style.is_some());
        if !scanned || (self.colour && !range.lines.iter().all(styled)) {
            thread::sleep(SCANNING);
            return Ok((range.ended, true));
        }
        let full = range.lines.len() >= limit;
        let mut seen = false;
        for line in range.lines {
            if line.partial && !range.ended && self.args.follow {
                self.half(&line)?;
                break;
            }
            self.next = line.n + 1;
            seen = true;
            if !self.is_wanted(&line)? {
                continue;
            }
            match kept {
                Some(kept) => {
                    if kept.len() == self.args.tail.unwrap_or(0) {
                        kept.pop_front();
                    }
                    if self.args.tail != Some(0) {
                        kept.push_back(line);
                    }
                }
                None => self.line(&line)?,
            }
        }
        // An answer may hold fewer than asked for because they are long.
        let more = full || (seen && (self.next <= range.total_lines) && self.levels.is_none());
        Ok((range.ended, more || (seen && self.levels.is_some())))
    }

    fn is_wanted(&mut self, line: &Line) -> Result<bool, Failure> {
        if self.since_us.is_some_and(|since| time_us(line) < since) {
            return Ok(false);
        }
        if let Some(wanted) = &self.args.step {
            let known = |step: u32| self.detail.steps.iter().any(|known| known.index == step);
            if line.step.is_some_and(|step| !known(step)) {
                self.detail = self.source.detail(self.id)?;
                self.steps = Some(steps_of(&self.detail, wanted)?.0);
            }
            let steps = self.steps.as_deref().unwrap_or_default();
            if !line.step.is_some_and(|step| steps.contains(&step)) {
                return Ok(false);
            }
        }
        Ok(self.pattern.as_ref().is_none_or(|pattern| pattern.is_in(&plain(line))))
    }

    /// Shows a half line on a terminal, if it can be drawn again; elsewhere it waits for its end.
    fn half(&mut self, line: &Line) -> Result<(), Failure> {
        if self.args.json.json || !io::stdout().is_terminal() || !self.is_wanted(line)? {
            return Ok(());
        }
        let gutter = self.gutter(line, self.last_us);
        let columns = crate::run::terminal::own_size().map_or(80, |size| u64::from(size.cols));
        let width = line.view.as_ref().map_or(0, |view| u64::from(view.width));
        if width + gutter.len() as u64 >= columns {
            return Ok(());
        }
        write!(self.out, "\r\x1b[K{gutter}{}", text(line, self.shown()))?;
        self.half_shown = true;
        Ok(())
    }

    fn shown(&self) -> Shown {
        if self.colour { Shown::Coloured } else { Shown::Plain }
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        if self.args.json.json {
            return Ok(writeln!(self.out, "{}", to_json(line))?);
        }
        if std::mem::take(&mut self.half_shown) {
            write!(self.out, "\r\x1b[K")?;
        }
        while self.gaps.front().is_some_and(|gap| gap.0 <= line.n) {
            let Some((_, message)) = self.gaps.pop_front() else { break };
            writeln!(self.out, "{}", say::missing_here(message))?;
        }
        let gutter = self.gutter(line, self.last_us);
        self.last_us = Some(time_us(line));
        if let Some(gone) = line.dropped {
            let said = crate::text::found::dropped(gone.to - gone.from, gone.from, gone.to);
            return Ok(writeln!(self.out, "{gutter}{said}")?);
        }
        write!(self.out, "{gutter}{}", text(line, self.shown()))?;
        if line.rest > 0 {
            write!(self.out, " {}", say::bytes_more(count(line.rest)))?;
        }
        Ok(writeln!(self.out)?)
    }

    /// Number, time and stream of a line, as far as they are wanted.
    fn gutter(&self, line: &Line, last_us: Option<i64>) -> String {
        let mode = self.args.time.unwrap_or(TimeMode::Off);
        if mode == TimeMode::Off {
            return if self.args.number { format!("{:>7}  ", line.n) } else { String::new() };
        }
        let mark = if line.stream == stepflow_model::Stream::Stderr { '!' } else { ' ' };
        let time = crate::line::time(line, mode, &self.detail, last_us);
        format!("{:>7} {time}{mark} ", line.n)
    }
}

/// Numbers of the steps that `wanted` names and of those in them, and the first line of them all.
fn steps_of(detail: &ExecutionDetail, wanted: &str) -> Result<(Vec<u32>, u64), Failure> {
    let by_key = |step: &&stepflow_api::Step| step.key.as_deref() == Some(wanted);
    let mut named: Vec<_> = detail.steps.iter().filter(by_key).collect();
    if named.is_empty() {
        named = detail.steps.iter().filter(|step| step.name == wanted).collect();
    }
    let Some(first) = named.iter().map(|step| step.first_line).min() else {
        let names: Vec<_> = detail
            .steps
            .iter()
            .take(10)
            .map(|step| crate::format::clean(step.name.as_bytes(), false))
            .collect();
        let hint = match names.len() {
            0 => why::has_no_steps(),
            _ => why::steps_are(names.join(", ")),
        };
        return Err(Failure::new(why::no_step(wanted)).hint(hint));
    };
    let mut steps: Vec<u32> = named.iter().map(|step| step.index).collect();
    // A parent comes before its children.
    for step in &detail.steps {
        if step.parent.is_some_and(|parent| steps.contains(&parent)) {
            steps.push(step.index);
        }
    }
    Ok((steps, first))
}

/// When a line was read, in microseconds.
fn time_us(line: &Line) -> i64 {
    line.t.parse::<Timestamp>().map_or(0, Timestamp::as_microsecond)
}

/// One line as an object: `stepflow logs --json`.
pub fn to_json(line: &Line) -> serde_json::Value {
    let view = line.view.as_ref();
    json!({
        "number": line.n, "offset": line.offset, "bytes": line.bytes, "time": line.t,
        "stream": line.stream, "step": line.step,
        "level": view.map(|view| view.level), "level_source": view.map(|view| view.source),
        "text": line.text, "shown": view.and_then(|view| view.shown.as_deref()),
        "partial": line.partial, "continued": line.continued, "lossy": line.lossy,
        "rest": line.rest, "dropped": line.dropped,
    })
}
