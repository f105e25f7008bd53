//! A row of `executions`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use stepflow_model::{
    ExecutionId, ExecutionOrigin, Reason, Repairs, Source, Spec, Status, drain_default,
    grace_default,
};

use crate::{
    convert::{cut, size},
    time::Zone,
    value::{Kept, Row},
};

/// Said of what had no end.
const INTERRUPTED: &str =
    "the original server was interrupted while the script ran: how it ended cannot be known";
/// Said of what had no row.
const ROW_MISSING: &str =
    "the original server never saved this execution, only its steps: how it ended cannot be known";
/// Bytes of one execution's texts and metadata; more are cut, so that its spec can hold them.
const TEXTS_BYTES_MAX: usize = 512 * 1024;

/// A row, read.
#[derive(Debug)]
pub(crate) struct Execution {
    pub(crate) spec: Spec,
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) started_us: Option<i64>,
    pub(crate) ended_us: Option<i64>,
    pub(crate) origin: ExecutionOrigin,
    /// Total, completed and current steps, as the original counted them.
    pub(crate) counted: [Option<i64>; 3],
}

/// Reads a time; what is none is kept.
pub(crate) fn time(
    row: &mut Row,
    name: &str,
    zone: &Zone,
    not_before: Option<i64>,
    kept: &mut Kept,
) -> Option<i64> {
    let text = row.text(name)?;
    let time = zone.instant(&text, not_before);
    if time.is_none() && !text.is_empty() {
        kept.unreadable += 1;
        kept.extra.insert(name.to_owned(), Value::String(text));
    }
    time
}

/// The id under which an execution goes on: its own, if it is a UUID as we write them, else one
/// that is derived from it.
pub(crate) fn id_of(text: &str) -> ExecutionId {
    text.parse().unwrap_or_else(|_| {
        let digest: [u8; 32] = Sha256::digest(["stepflow-original:", text].concat()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        ExecutionId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    })
}

impl Execution {
    /// Reads a row. `first_sign` is the earliest time that steps or artifacts tell of.
    pub(crate) fn read(row: Option<Row>, id: &str, zone: &Zone, first_sign: Option<i64>) -> Self {
        let Some(mut row) = row else { return Self::missing(id, first_sign) };
        let mut kept = Kept::default();
        let created = time(&mut row, "created_at", zone, None, &mut kept);
        let started_us = time(&mut row, "started_at", zone, created, &mut kept);
        let ended_us = time(&mut row, "completed_at", zone, started_us.or(created), &mut kept);
        let created_us = created.or(started_us).or(first_sign).or(ended_us).unwrap_or(0);
        let (command, command_text) = command(row.text("command").unwrap_or_default());
        let env = kept.object(&mut row, "environment");
        let mut spec = Spec {
            id: id_of(id),
            name: row.text("name").unwrap_or_default(),
            command,
            cwd: row.text("working_directory").unwrap_or_default(),
            env: texts_of(env, &mut kept),
            env_inherited: Vec::new(),
            mask_env: Vec::new(),
            tags: kept.texts(&mut row, "tags"),
            metadata: kept.object(&mut row, "metadata"),
            user: row.text("user_name").unwrap_or_default(),
            created_us,
            source: Source::Import,
            bound: false,
            timeout_ms: None,
            grace_ms: grace_default(),
            drain_ms: drain_default(),
            stop_on_error: false,
            split_stderr: false,
            shell: false,
            pty: None,
            log_sync: stepflow_model::LogSync::default(),
            containment: stepflow_model::Containment::default(),
            leftover: stepflow_model::Leftover::default(),
            log_max_bytes: 0,
            log_full: stepflow_model::LogFull::default(),
            on_disk_full: stepflow_model::OnDiskFull::default(),
            dialect: stepflow_model::dialect_default(),
            junit: stepflow_model::JunitFiles::default(),
            rerun_of: None,
        };
        let exit_code = kept.integer(&mut row, "exit_code");
        let counted = ["total_steps", "completed_steps", "current_step_index"]
            .map(|name| kept.integer(&mut row, name));
        let error = row.text("error_message");
        let word = row.text("status").unwrap_or_default();
        let mut repairs = Repairs::default();
        let (status, reason, message) = match Status::from_word(&word) {
            Some(Status::Completed) => (Status::Completed, None, error),
            Some(Status::Cancelled) => (Status::Cancelled, Some(Reason::User), error),
            Some(Status::Failed) => {
                (Status::Failed, Some(reason(exit_code, error.as_deref())), error)
            }
            Some(Status::Pending | Status::Running) => {
                repairs.interrupted = true;
                kept.extra.insert("status".to_owned(), Value::String(word));
                let message = match error.as_deref().filter(|error| !error.is_empty()) {
                    Some(error) => format!("{INTERRUPTED}; it had said: {error}"),
                    None => INTERRUPTED.to_owned(),
                };
                (Status::Failed, Some(Reason::RecorderLost), Some(message))
            }
            None => {
                kept.unreadable += 1;
                kept.extra.insert("status".to_owned(), Value::String(word));
                (Status::Failed, Some(reason(exit_code, error.as_deref())), error)
            }
        };
        let mut message = message;
        if size(&spec.metadata) + spec.name.len() + spec.cwd.len() > TEXTS_BYTES_MAX
            || spec.command.iter().map(String::len).sum::<usize>() > TEXTS_BYTES_MAX
            || message.as_ref().is_some_and(|text| text.len() > TEXTS_BYTES_MAX / 8)
        {
            // Never seen; the database that is kept has it all.
            kept.unreadable += 1;
            cut(&mut spec.name);
            cut(&mut spec.cwd);
            spec.command.truncate(100);
            spec.command.iter_mut().for_each(cut);
            spec.metadata.clear();
            message.iter_mut().for_each(cut);
        }
        repairs.values_unreadable = kept.unreadable;
        let mut extra = row.rest();
        extra.extend(kept.extra);
        let origin = ExecutionOrigin {
            id: (spec.id.to_string() != id).then(|| id.to_owned()),
            command: command_text,
            repairs,
            extra,
        };
        Self { spec, status, reason, message, exit_code, started_us, ended_us, origin, counted }
    }

    /// What only steps or artifacts name: the original forgot such a row when a command was given
    /// as a list without a name.
    fn missing(id: &str, first_sign: Option<i64>) -> Self {
        let row = Row::empty();
        let zone = Zone::new(jiff::tz::TimeZone::UTC);
        let mut execution = Self::read(Some(row), id, &zone, first_sign);
        "(an execution that was not saved)".clone_into(&mut execution.spec.name);
        execution.message = Some(ROW_MISSING.to_owned());
        execution.reason = Some(Reason::RecorderLost);
        execution.origin.repairs = Repairs { row_missing: true, ..Repairs::default() };
        execution.origin.extra = Map::new();
        execution
    }
}

/// Why an execution failed, as far as the original's row tells.
fn reason(exit_code: Option<i32>, error: Option<&str>) -> Reason {
    match (exit_code, error) {
        (Some(code), _) if code < 0 => Reason::Signal,
        (_, Some(error)) if error.starts_with("Critical step failed") => Reason::StepError,
        (_, Some(error)) if error.starts_with("[Errno ") => Reason::StartFailed,
        (Some(_), _) => Reason::ExitCode,
        (None, _) => Reason::RecorderLost,
    }
}

/// The words of a command as the original split it, and its text if they do not give it back.
fn command(text: String) -> (Vec<String>, Option<String>) {
    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        words.push(String::new()); // A command is never empty.
    }
    let differs = words.join(" ") != text;
    (words, differs.then_some(text))
}

fn texts_of(object: Map<String, Value>, kept: &mut Kept) -> BTreeMap<String, String> {
    if object.values().any(|value| !value.is_string()) {
        kept.unreadable += 1;
        kept.extra.insert("environment".to_owned(), Value::Object(object.clone()));
    }
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_words_and_its_text() {
        let words = |text: &str| command(text.to_owned());
        assert_eq!(words("bash a.sh"), (vec!["bash".to_owned(), "a.sh".to_owned()], None));
        let (split, text) = words("a  'b c' ");
        assert_eq!((split.len(), text.as_deref()), (3, Some("a  'b c' ")));
        assert_eq!(words(""), (vec![String::new()], None));
    }

    #[test]
    fn an_id_stays_or_becomes_one_of_ours_always_the_same() {
        let id = "8ac7f164-0f10-44e2-a9c9-59a7209edb44";
        assert_eq!(id_of(id).to_string(), id);
        let other = id_of("../nightly");
        assert_eq!(other, id_of("../nightly"));
        assert_ne!(other, id_of("nightly"));
    }

    #[test]
    fn the_reason_is_read_from_code_and_message() {
        for (code, error, expected) in [
            (Some(-9), None, Reason::Signal),
            (Some(3), None, Reason::ExitCode),
            (Some(1), Some("Critical step failed with exit code 3: a"), Reason::StepError),
            (Some(1), Some("[Errno 2] No such file or directory: 'x'"), Reason::StartFailed),
            (None, None, Reason::RecorderLost),
        ] {
            assert_eq!(reason(code, error), expected, "{code:?} {error:?}");
        }
    }
}
