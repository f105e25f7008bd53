//! `stepflow ls`, `reindex`: what the catalog knows.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use stepflow_api::{Execution, Zone, parse_time};
use stepflow_catalog::{Catalog, CatalogError, Order, Reader, Role, Without};
use stepflow_engine::{ProjectError, WriterLock};
use stepflow_model::Status;
use stepflow_record::Storage;
use stepflow_sys::clock;

use super::upgrade;
use crate::{
    args,
    failure::{self, Failure, chain},
    format::{clean, count, cut, duration, pad, pad_left},
    out::{Out, print},
    run::summary::{colour, paint},
    source::{Query, Source},
    text::{say, why},
};

/// Projects what the records know and the catalog does not, if nobody else is at it.
pub fn catch_up(storage: &Storage) -> Result<(), Failure> {
    let Some(_lock) = WriterLock::try_take(storage)? else { return Ok(()) };
    upgrade::bring_up(storage)?;
    let catalog = Catalog::open(&storage.database(), Role::Command).map_err(catalog_failure)?;
    let projected = match stepflow_engine::project_open(storage, &catalog) {
        // On a full disk one looks at what is there: the records tell more than the catalog.
        Err(ProjectError::Catalog(CatalogError::Full { .. })) => return Ok(()),
        projected => projected.map_err(|error| Failure::from_error(&error))?,
    };
    catalog.close().map_err(catalog_failure)?;
    for (id, error) in &projected.unreadable {
        let _ = Failure::new(why::of_execution(id, chain(error))).hint(why::doctor_looks()).print();
    }
    Ok(())
}

fn catalog_failure(error: CatalogError) -> Failure {
    let failure = Failure::from_error(&error);
    match error.hint() {
        Some(hint) => failure.hint(crate::text::hinted(hint)),
        None => failure,
    }
}

/// Lists executions, newest first.
pub fn ls(source: &mut dyn Source, args: &args::Ls, pager: bool) -> Result<ExitCode, Failure> {
    let query = query(args)?;
    let list = source.list(&query)?;
    let mut out = Out::paged(pager && !args.json.json);
    print(&mut out, |out| {
        if args.json.json {
            return Ok(writeln!(out, "{}", serde_json::to_string(&list).unwrap_or_default())?);
        }
        if list.executions.is_empty() {
            let all = Query { limit: query.limit, ..Query::default() };
            let text = if query == all { say::nothing_here() } else { say::none_matches() };
            return Ok(writeln!(out, "{text}")?);
        }
        let terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size().filter(|_| terminal).map(|size| size.0.0);
        for execution in &list.executions {
            writeln!(out, "{}", row(execution, width.map(usize::from), colour(terminal)))?;
        }
        if terminal && list.has_more {
            let said = say::shown_of(count(list.count as u64), count(list.total_count));
            let said = match width {
                Some(width) => cut(&said, usize::from(width)),
                None => said,
            };
            writeln!(out, "{}", paint(colour(terminal), "2", &said))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the flags ask for.
fn query(args: &args::Ls) -> Result<Query, Failure> {
    Ok(Query {
        order: match args.sort {
            args::Sort::Newest => Order::Newest,
            args::Sort::Longest => Order::Longest,
            args::Sort::Shortest => Order::Shortest,
        },
        before: args.before.clone(),
        limit: args.limit,
        ..conditions(&args.which)?
    })
}

/// Which executions the flags ask for.
pub fn conditions(args: &args::Which) -> Result<Query, Failure> {
    let status = |word: &str| Status::from_word(word).ok_or_else(|| no_status(word));
    let from = |word: &str| way_in(word);
    let now = clock::wall_us();
    let time = |flag: &str, text: &Option<String>| {
        let read = |text: &str| {
            parse_time(text, now, Zone::System)
                .map_err(|_| Failure::new(why::not_a_time(flag, text)).hint(why::times()))
        };
        text.as_deref().map(read).transpose()
    };
    let mut without = Without::default();
    for (what, value) in &args.not {
        let word = value.as_str();
        match what.as_str() {
            "status" => without.status = Some(status(word)?),
            "user" => without.user = Some(value.clone()),
            "search" => without.name_contains = Some(value.clone()),
            "tag" => without.tag = Some(value.clone()),
            "exit" => {
                let code = word
                    .parse()
                    .map_err(|_| Failure::new(why::not_a_code(word)).hint(why::a_code()))?;
                without.exit_code = Some(code);
            }
            "source" => without.source = Some(from(word)?),
            _ => {
                return Err(Failure::new(why::not_a_condition(what))
                    .hint(why::one_of("status=, user=, search=, tag=, exit=, source=")));
            }
        }
    }
    Ok(Query {
        status: args.status.as_deref().map(status).transpose()?.map(|status| status.to_string()),
        user: args.user.clone(),
        tag: args.tag.clone(),
        name: args.name.clone(),
        name_contains: args.search.clone(),
        exit_code: args.exit,
        source: args.source.as_deref().map(from).transpose()?.map(|source| source.to_string()),
        longer_than: args.longer_than,
        shorter_than: args.shorter_than,
        without,
        since_us: time("--since", &args.since)?,
        until_us: time("--until", &args.until)?,
        pinned: args.pinned,
        ..Query::default()
    })
}

fn no_status(word: &str) -> Failure {
    let words: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
    Failure::new(why::not_a_status(word)).hint(why::one_of(words.join(", ")))
}

fn way_in(word: &str) -> Result<stepflow_model::Source, Failure> {
    stepflow_model::Source::from_word(word).ok_or_else(|| {
        let all = stepflow_model::Source::ALL;
        let words: Vec<_> = all.iter().map(|source| source.as_str()).collect();
        Failure::new(why::not_a_source(word)).hint(why::one_of(words.join(", ")))
    })
}

/// The word for a status, filled up to the longest one.
pub fn status_word(status: &str) -> String {
    pad(crate::text::status(status), crate::text::text().status_columns)
}

/// One execution in one line of at most `width` columns.
pub fn row(execution: &Execution, width: Option<usize>, on: bool) -> String {
    let status = paint(on, status_colour(&execution.status), &status_word(&execution.status));
    let started = execution
        .created_at
        .parse::<Timestamp>()
        .map(|time| time.to_zoned(TimeZone::system()))
        .ok();
    let took = execution.duration_seconds.map(took).unwrap_or_default();
    let took = pad_left(&took, 8);
    let steps = match execution.total_steps {
        0 => String::new(),
        total => format!("{}/{total}", execution.completed_steps),
    };
    let mut name = clean(execution.name.as_bytes(), false);
    if execution.paused {
        name =
            format!("{} {name}", paint(on, "33", &format!("[{}]", crate::text::text().disk_full)));
    }
    if execution.unresponsive {
        name = format!("{} {name}", paint(on, "33", &format!("[{}]", say::unresponsive())));
    }
    let id = execution.id.to_string();
    let line = match width {
        // The end of an id differs most, and is taken for one.
        Some(width) if width < 60 => {
            format!("{status} {} {took} {name}", paint(on, "2", &id[id.len() - 6..]))
        }
        Some(width) if width < 110 => {
            let started = started.map(|time| time.strftime("%m-%d %H:%M").to_string());
            let started = started.unwrap_or_default();
            let id = paint(on, "2", &id[id.len() - 12..]);
            format!("{status} {id} {started} {took} {steps:>5} {name}")
        }
        _ => {
            let started = started.map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
            let started = started.unwrap_or_default();
            format!("{status}  {}  {started}  {took}  {steps:>7}  {name}", paint(on, "2", &id))
        }
    };
    match width {
        Some(width) => cut(&line, width),
        None => line,
    }
}

/// The colour of a status, as the parameter of an SGR sequence.
pub fn status_colour(status: &str) -> &'static str {
    match status {
        "completed" => "32",
        "failed" => "31",
        "cancelled" => "33",
        "running" | "pending" => "36",
        _ => "2",
    }
}

/// Seconds, for people.
pub fn took(seconds: f64) -> String {
    duration((seconds.max(0.0) * 1e6) as u64)
}

/// The exit code of `stepflow run` for an execution that has ended.
pub fn exit_code(execution: &Execution) -> u8 {
    match (execution.reason.as_deref(), execution.exit_code, execution.signal) {
        (Some("timed_out"), ..) => failure::TIMED_OUT,
        // Stopped by a failed step, and the script made the best of it: still a failure.
        (Some("step_error" | "disk_full" | "disk_failed"), Some(0), _) => 1,
        (_, Some(code), _) => u8::try_from(code).unwrap_or(failure::OWN),
        (_, None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(failure::OWN),
        _ if execution.status == "completed" || execution.completed_at.is_none() => 0,
        _ => failure::OWN,
    }
}

/// Rebuilds the catalog from the records.
pub fn reindex(storage: &Storage, as_json: bool) -> Result<ExitCode, Failure> {
    let Some(_lock) = WriterLock::try_take(storage)? else {
        return Err(Failure::new(why::catalog_is_written()).hint(why::stop_server()));
    };
    upgrade::bring_up(storage)?;
    let renewed = stepflow_engine::renew(storage).map_err(catalog_failure)?;
    let catalog = Catalog::open(&storage.database(), Role::Command).map_err(catalog_failure)?;
    let report =
        stepflow_engine::reindex(storage, &catalog).map_err(|error| Failure::from_error(&error))?;
    catalog.close().map_err(catalog_failure)?;
    let unreadable: Vec<_> =
        report.unreadable.iter().map(|(id, why)| (id.to_string(), chain(why))).collect();
    let mut out = std::io::stdout().lock();
    if as_json {
        let mut said = json!({"executions": report.executions, "unreadable": unreadable});
        if let Some(renewed) = renewed {
            said["set_aside"] = json!(renewed.aside);
            said["tokens_kept"] = renewed.kept.into();
        }
        writeln!(out, "{said}")?;
    } else {
        if let Some(renewed) = renewed {
            writeln!(out, "{}", say::set_aside(renewed.aside.display(), renewed.what))?;
            if !renewed.kept {
                writeln!(out, "{}", say::tokens_lost())?;
            }
        }
        writeln!(out, "{}", say::indexed(count(report.executions as u64)))?;
        for (id, why) in &unreadable {
            writeln!(out, "{}", say::left_out(id, why))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The catalog, to read.
pub fn open(storage: &Storage) -> Result<Reader, Failure> {
    Reader::open_existing(&storage.database()).map_err(catalog_failure)
}
