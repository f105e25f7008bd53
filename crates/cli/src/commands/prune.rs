//! `stepflow prune`: deletes what is not to be kept; a server on the storage does it itself.

use std::{io::Write, process::ExitCode, time::Duration};

use serde::Deserialize;
use stepflow_api::{RetentionRule, RetentionSweepRequest, RetentionSwept, human_size, rfc3339};
use stepflow_catalog::{Catalog, Role};
use stepflow_client::Target;
use stepflow_engine::{Policy, Rule, WriterLock, project_open};
use stepflow_record::Storage;
use stepflow_sys::host::SocketDir;

use super::upgrade;
use crate::{
    args::{self, duration, size},
    config,
    failure::Failure,
    format::count,
    source::{Place, Remote},
    text::{say, why},
};

/// One rule of `stepflow.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    tag: Option<String>,
    name: Option<String>,
    /// A time, as in `30d`.
    max_age: Option<String>,
    max_count: Option<u64>,
    /// A size, as in `50G`.
    max_size: Option<Size>,
}

/// A number of bytes, or a text such as `50G`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

/// What `stepflow.toml` says is kept.
pub fn policy(rules: &[FileRule]) -> Result<Policy, Failure> {
    let wrong = |error: String| Failure::new(why::bad_settings_file(error));
    let rules = rules.iter().map(|rule| {
        Ok(Rule {
            tag: rule.tag.clone(),
            name: rule.name.clone(),
            max_age: rule.max_age.as_deref().map(duration).transpose().map_err(wrong)?,
            max_count: rule.max_count,
            max_bytes: match &rule.max_size {
                None => None,
                Some(Size::Bytes(bytes)) => Some(*bytes),
                Some(Size::Text(text)) => Some(size(text).map_err(wrong)?),
            },
        })
    });
    let rules = rules.collect::<Result<Vec<_>, Failure>>()?;
    Policy::new(rules).map_err(|error| {
        Failure::new(why::bad_settings_file(error)).hint(why::settings_are_listed())
    })
}

/// Deletes what the flags, or else `stepflow.toml`, let go of.
pub fn prune(place: Place, args: &args::Prune) -> Result<ExitCode, Failure> {
    let swept = match place {
        Place::There(mut server) => ask(&mut server, args)?,
        Place::Here(storage) => here(&storage, args)?,
    };
    let mut out = std::io::stdout().lock();
    if args.json.json {
        writeln!(out, "{}", serde_json::to_string(&swept).unwrap_or_default())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (deleted, bytes) = (count(swept.deleted), human_size(swept.bytes_freed));
    let line = match swept.dry_run {
        true if swept.stopped => say::at_least_would_be_deleted(deleted, bytes),
        true => say::would_be_deleted(deleted, bytes, count(swept.looked_at)),
        false => say::were_deleted(deleted, bytes, count(swept.looked_at)),
    };
    writeln!(out, "{line}")?;
    if swept.busy > 0 {
        writeln!(out, "{}", say::left_busy(count(swept.busy)))?;
    }
    if swept.unreadable > 0 {
        writeln!(out, "{}", say::left_unreadable(count(swept.unreadable)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The one rule of the flags; none if they say nothing.
fn given(args: &args::Prune) -> Option<RetentionRule> {
    let rule = RetentionRule {
        tag: args.tag.clone(),
        name: args.name.clone(),
        max_age_seconds: args.max_age.map(|age| age.as_secs()),
        max_count: args.max_count,
        max_bytes: args.max_size,
    };
    (rule != RetentionRule::default()).then_some(rule)
}

/// Asks a server, again and again until it is through.
fn ask(server: &mut Remote, args: &args::Prune) -> Result<RetentionSwept, Failure> {
    let rules = given(args).map(|rule| vec![rule]);
    let request = RetentionSweepRequest { dry_run: args.dry_run, rules };
    let mut all: Option<RetentionSwept> = None;
    loop {
        let mut swept: RetentionSwept = server.sweep(&request)?;
        if let Some(before) = all {
            swept.at = before.at;
            swept.looked_at = before.looked_at;
            swept.deleted += before.deleted;
            swept.bytes_freed += before.bytes_freed;
            swept.seconds += before.seconds;
        }
        if !swept.stopped || swept.dry_run {
            return Ok(swept);
        }
        all = Some(swept);
    }
}

fn here(storage: &Storage, args: &args::Prune) -> Result<RetentionSwept, Failure> {
    let Some(lock) = WriterLock::try_take(storage)? else {
        let dir = SocketDir::open(&storage.run_dir())?; // Its paths hold while it lives.
        return ask(&mut Remote::new(Target::Socket(dir.path("server.sock")), None), args);
    };
    let policy = match given(args) {
        None => policy(&config::file()?.retention)?,
        Some(RetentionRule { tag, name, max_age_seconds, max_count, max_bytes }) => {
            let max_age = max_age_seconds.map(Duration::from_secs);
            Policy::new(vec![Rule { tag, name, max_age, max_count, max_bytes }])
                .map_err(|error| Failure::from_error(&error))?
        }
    };
    if !policy.has_limits() {
        return Err(Failure::new(why::nothing_to_prune()).hint(why::give_a_limit()));
    }
    upgrade::bring_up(storage)?;
    let catalog = Catalog::open(&storage.database(), Role::Command)
        .map_err(|error| Failure::from_error(&error))?;
    project_open(storage, &catalog).map_err(|error| Failure::from_error(&error))?;
    let swept = lock.sweep(storage, &catalog, &policy, args.dry_run);
    let swept = swept.map_err(|error| Failure::from_error(&error))?;
    catalog.close().map_err(|error| Failure::from_error(&error))?;
    Ok(RetentionSwept {
        dry_run: swept.dry_run,
        at: rfc3339(swept.at_us),
        looked_at: swept.looked_at,
        deleted: swept.deleted,
        bytes_freed: swept.bytes_freed,
        busy: swept.busy,
        unreadable: swept.unreadable,
        seconds: swept.took.as_secs_f64(),
        stopped: swept.stopped,
    })
}
