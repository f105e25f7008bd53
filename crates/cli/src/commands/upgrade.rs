//! `stepflow upgrade`, and what every command that writes does first: a storage of the original
//! StepFlow Monitor is upgraded in place.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;
use stepflow_engine::WriterLock;
use stepflow_original::{Phase, Progress, Report, UpgradeError};
use stepflow_record::Storage;

use super::progress::Shown;
use crate::{
    failure::Failure,
    text::{self, serving, why},
};

/// Upgrades the storage if it is one of the original. The caller holds the writer lock.
pub fn bring_up(storage: &Storage) -> Result<Option<Report>, Failure> {
    let mut shown = Shown::default();
    let report = stepflow_original::upgrade(storage, &mut |progress| shown.show(|| told(progress)));
    shown.clear();
    let report = report.map_err(refused)?;
    if let Some(report) = &report {
        let mut err = io::stderr();
        let seconds = format!("{:.1}", report.took.as_secs_f64());
        let backup = report.backup.display();
        let _ = writeln!(err, "{}", serving::upgraded(report.executions, seconds, backup));
    }
    Ok(report)
}

/// Upgrades before a server starts, so that whoever starts it sees how far it is.
pub fn before_serving(storage: &Storage) -> Result<(), Failure> {
    // Somebody else holds it: the server itself will say so.
    let Some(_lock) = WriterLock::try_take(storage)? else { return Ok(()) };
    if let Some(report) = bring_up(storage)? {
        tracing::warn!(
            executions = report.executions,
            steps = report.steps,
            lines = report.lines,
            artifacts = report.artifacts,
            backup = %report.backup.display(),
            "upgraded a storage of the original StepFlow Monitor"
        );
    }
    Ok(())
}

/// Says what to do when a command that only reads finds a storage of the original.
pub fn refuse_original(storage: &Storage) -> Result<(), Failure> {
    if stepflow_catalog::is_original(&storage.database()).unwrap_or(false) {
        return Err(Failure::new(why::not_yet_upgraded()).hint(why::run_upgrade()));
    }
    Ok(())
}

/// `stepflow upgrade`.
pub fn upgrade(storage: &Storage, as_json: bool) -> Result<ExitCode, Failure> {
    let Some(_lock) = WriterLock::try_take(storage)? else {
        let holder = WriterLock::holder(storage).map_or_else(why::another_process, why::process);
        return Err(Failure::new(why::storage_in_use(holder)).hint(why::server_upgrades()));
    };
    let report = bring_up(storage)?;
    let mut out = io::stdout().lock();
    let Some(report) = report else {
        if as_json {
            writeln!(out, "{}", json!({"upgraded": false}))?;
        } else {
            writeln!(out, "{}", serving::nothing_to_upgrade(storage.root().display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    if as_json {
        let object = json!({
            "upgraded": true,
            "executions": report.executions,
            "steps": report.steps,
            "lines": report.lines,
            "artifacts": report.artifacts,
            "artifact_files": report.artifact_files,
            "repaired": {
                "interrupted": report.interrupted,
                "rows_missing": report.rows_missing,
                "steps_closed": report.steps_closed,
                "steps_found": report.steps_found,
                "lines_without_time": report.lines_without_time,
                "logs_unreadable": report.logs_unreadable,
                "values_unreadable": report.values_unreadable,
            },
            "kept": report.kept,
            "backup": report.backup.display().to_string(),
            "seconds": report.took.as_secs_f64(),
        });
        writeln!(out, "{object}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", serving::executions(report.executions))?;
    writeln!(out, "{}", serving::steps(report.steps))?;
    writeln!(out, "{}", serving::log_lines(report.lines))?;
    writeln!(out, "{}", serving::artifacts(report.artifacts, report.artifact_files))?;
    for (count, what) in repaired(&report).into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{}", serving::repaired(what(), count))?;
    }
    writeln!(out, "{}", serving::to_go_back(report.backup.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn repaired(report: &Report) -> [(u64, fn() -> String); 8] {
    [
        (report.interrupted, serving::interrupted),
        (report.rows_missing, serving::rows_missing),
        (report.steps_closed, serving::steps_closed),
        (report.steps_found, serving::steps_found),
        (report.lines_without_time, serving::lines_without_time),
        (report.logs_unreadable, serving::logs_unreadable),
        (report.values_unreadable, serving::values_unreadable),
        (report.kept, serving::kept),
    ]
}

fn refused(error: UpgradeError) -> Failure {
    let failure = match &error {
        UpgradeError::InUse { path, user } => {
            let who = match (&user.name, user.pid) {
                (Some(name), Some(pid)) => why::named_process(pid, name),
                (None, Some(pid)) => why::process(pid),
                _ => why::another_process(),
            };
            Failure::new(why::original_in_use(path.display(), who))
        }
        UpgradeError::Changed { path } => Failure::new(why::original_changed(path.display())),
        UpgradeError::Damaged { path, what } => {
            Failure::new(why::original_damaged(path.display(), what))
        }
        _ => Failure::from_error(&error),
    };
    match error.hint() {
        Some(hint) => failure.hint(text::hinted(hint)),
        None => failure,
    }
}

fn told(progress: &Progress) -> String {
    match progress.phase {
        Phase::Copying => serving::copying(),
        Phase::Finishing => serving::finishing(progress.done),
        Phase::Converting => {
            let (done, total) = (progress.done, progress.total.max(1));
            let seconds = progress.elapsed.as_secs_f64().max(0.001);
            let rate = (done - progress.before) as f64 / seconds;
            let percent = format!("{:3.0}", done as f64 * 100.0 / total as f64);
            serving::converting(percent, done, total, format!("{rate:.0}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn progress_says_how_far_and_how_fast() {
        let progress = Progress {
            phase: Phase::Converting,
            done: 600,
            before: 100,
            total: 1000,
            elapsed: Duration::from_secs(2),
        };
        assert_eq!(told(&progress), "upgrading:  60 %  600 of 1000 executions, 250/s");
        crate::text::asked::chinese();
        assert_eq!(told(&progress), "正在升级： 60 %  600/1000 次执行，每秒 250 次");
    }
}
