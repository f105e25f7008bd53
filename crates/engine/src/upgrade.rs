//! A storage of the original StepFlow Monitor, upgraded before its catalog is opened.

use std::time::{Duration, Instant};

use stepflow_original::UpgradeError;
use stepflow_record::Storage;

/// Least time between two lines of the log.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Upgrades `storage` if it is one of the original, and says in the log how far it is. Blocks; the
/// caller holds the writer lock.
pub(crate) fn upgrade(storage: &Storage) -> Result<(), UpgradeError> {
    let mut said: Option<Instant> = None;
    let report = stepflow_original::upgrade(storage, &mut |progress| {
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            let (done, total) = (progress.done, progress.total);
            tracing::warn!(done, total, "upgrading a storage of the original StepFlow Monitor");
        }
    })?;
    if let Some(report) = report {
        tracing::warn!(
            executions = report.executions,
            steps = report.steps,
            lines = report.lines,
            artifacts = report.artifacts,
            backup = %report.backup.display(),
            "upgraded; going back means restoring the backup"
        );
    }
    Ok(())
}
