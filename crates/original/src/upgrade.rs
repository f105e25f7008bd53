//! The way in.

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rusqlite::Connection;
use stepflow_catalog::{Catalog, CatalogError, Role};
use stepflow_model::ExecutionId;
use stepflow_record::Storage;

use crate::{
    UpgradeError,
    convert::Context,
    pipeline::Work,
    plan::{Paths, Plan},
    report::{Phase, Progress, Report},
    rows,
    source::{self, open_immutable},
    swap,
    time::Zone,
};

/// Least time between two calls of `progress`.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Upgrades `storage` if its database is one of the original StepFlow Monitor, or goes on with an
/// upgrade that was interrupted. `Ok(None)`: there is nothing to upgrade; that takes a look at one
/// file's header.
///
/// The caller holds the storage's writer lock. `progress` is called several times a second.
pub fn upgrade(
    storage: &Storage,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Option<Report>, UpgradeError> {
    let paths = Paths::new(&storage.database());
    let is_original = match stepflow_catalog::is_original(&paths.database) {
        // No database any more, whose ever it was: whoever opens it decides.
        Err(CatalogError::Corrupt { .. }) => false,
        looked => looked?,
    };
    if !is_original {
        if Plan::exists(&paths) {
            swap::clean(&paths)?; // It was interrupted after its last step.
        }
        return Ok(None);
    }
    Upgrade { storage, paths, zone: Zone::system(), began: Instant::now() }.run(progress).map(Some)
}

struct Upgrade<'a> {
    storage: &'a Storage,
    paths: Paths,
    zone: Zone,
    began: Instant,
}

impl Upgrade<'_> {
    fn run(&self, progress: &mut dyn FnMut(&Progress)) -> Result<Report, UpgradeError> {
        let mut now = Progress {
            phase: Phase::Copying,
            done: 0,
            before: 0,
            total: 0,
            elapsed: Duration::ZERO,
        };
        progress(&now);
        source::refuse_if_in_use(&self.paths)?;
        let mut plan = self.plan()?;
        let backup = plan.backup(&self.paths);
        let mut kept = 0;
        if !(plan.swapping() && self.paths.building.exists()) {
            let original = open_immutable(&backup)?;
            now.total = rows::count(&original).map_err(UpgradeError::sql("read", &backup))?;
            drop(original);
            kept = self.convert(&backup, &mut now, progress)?;
        }
        (now.phase, now.elapsed) = (Phase::Finishing, self.began.elapsed());
        progress(&now);
        let report = {
            let db = open_immutable(&self.paths.building)?;
            self.mark_others(&db)?;
            Report::count(&db, kept, backup, self.began.elapsed())
                .map_err(UpgradeError::sql("read", &self.paths.building))?
        };
        swap::swap(&self.paths, &mut plan)?;
        Ok(Report { took: self.began.elapsed(), ..report })
    }

    /// The plan to go on with; a new one if there is none, or if it does not hold any more.
    fn plan(&self) -> Result<Plan, UpgradeError> {
        let zone = self.zone.label();
        if let Some(plan) = Plan::load(&self.paths)? {
            if plan.holds(&self.paths, &zone)? {
                return Ok(plan);
            }
            if !plan.swapping() {
                let stale = plan.backup(&self.paths);
                crate::plan::remove(&stale)?;
            }
        }
        Plan::remove(&self.paths)?;
        self.paths.discard_building()?;
        let (backup, print, source) = source::copy(&self.paths, Timestamp::now())?;
        let plan = Plan::new(zone, source, backup, print);
        plan.save(&self.paths)?;
        Ok(plan)
    }

    /// Brings everything that is left into records and into the catalog in the making.
    fn convert(
        &self,
        backup: &Path,
        now: &mut Progress,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<u64, UpgradeError> {
        let catalog = Catalog::open(&self.paths.building, Role::Command)?;
        let done = committed(&self.paths.building)?;
        (now.phase, now.done, now.before) =
            (Phase::Converting, done.len() as u64, done.len() as u64);
        progress(now);
        let work = Work {
            backup,
            context: Context { storage: self.storage, zone: &self.zone },
            catalog: &catalog,
            done: &done,
        };
        let mut said = Instant::now();
        let kept = work.run(&mut |more| {
            now.done += more;
            now.total = now.total.max(now.done); // Those without a row are not counted before.
            if said.elapsed() >= PROGRESS_EVERY {
                (said, now.elapsed) = (Instant::now(), self.began.elapsed());
                progress(now);
            }
        })?;
        catalog.close()?;
        Ok(kept)
    }

    /// Records of our own, made before somebody went back to the original: whoever opens the
    /// catalog next brings them into it.
    fn mark_others(&self, db: &Connection) -> Result<(), UpgradeError> {
        let imported = ids(db).map_err(UpgradeError::sql("read", &self.paths.building))?;
        for id in self.storage.executions()? {
            if !imported.contains(&id) && self.storage.record_dir(id).join("spec.json").exists() {
                let marker = self.storage.open_marker(id);
                File::create(&marker).map_err(UpgradeError::io("create", &marker))?;
            }
        }
        Ok(())
    }
}

/// What an earlier attempt has committed.
fn committed(building: &Path) -> Result<HashSet<ExecutionId>, UpgradeError> {
    let sql = |error| UpgradeError::sql("read", building)(error);
    fs::metadata(building).map_err(UpgradeError::io("look at", building))?;
    let db = Connection::open(building).map_err(sql)?;
    ids(&db).map_err(sql)
}

fn ids(db: &Connection) -> rusqlite::Result<HashSet<ExecutionId>> {
    let mut statement = db.prepare("SELECT id FROM execution")?;
    let ids = statement.query_map([], |row| {
        let id: String = row.get(0)?;
        Ok(id.parse::<ExecutionId>().ok())
    })?;
    Ok(ids.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}
