//! The last step: the catalog takes the database's place.

use std::{
    fs::{self, File, FileTimes},
    io,
    path::Path,
};

use crate::{
    UpgradeError,
    plan::{Paths, Plan, beside, remove},
};

/// Puts the catalog in the database's place. Whenever it is interrupted, a whole database stands
/// under the name: the original's, the same checkpointed, or the catalog.
pub(crate) fn swap(paths: &Paths, plan: &mut Plan) -> Result<(), UpgradeError> {
    plan.set_swapping();
    plan.save(paths)?;
    let rest = ["-wal", "-journal", "-shm"].map(|suffix| beside(&paths.database, suffix));
    if rest.iter().any(|path| path.exists()) {
        // A WAL must never stand beside a database that it does not belong to: it would be played
        // into it. Beside the checkpointed copy it changes nothing, so that comes first.
        let place = beside(&paths.database, ".swap");
        remove(&place)?;
        second_name(&plan.backup(paths), &place)?;
        fs::rename(&place, &paths.database)
            .map_err(UpgradeError::io("replace", &paths.database))?;
        paths.sync()?;
        for path in &rest {
            remove(path)?;
        }
        paths.sync()?;
    }
    fs::rename(&paths.building, &paths.database)
        .map_err(UpgradeError::io("replace", &paths.database))?;
    paths.sync()?;
    clean(paths)
}

/// Removes what an upgrade leaves when it was interrupted after its last step.
pub(crate) fn clean(paths: &Paths) -> Result<(), UpgradeError> {
    paths.discard_building()?;
    remove(&beside(&paths.database, ".swap"))?;
    Plan::remove(paths)?;
    paths.sync()
}

/// Another name for the file; where there is no such thing, a copy with the same time.
fn second_name(from: &Path, to: &Path) -> Result<(), UpgradeError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copy = || -> io::Result<()> {
        fs::copy(from, to)?;
        let times = FileTimes::new().set_modified(fs::metadata(from)?.modified()?);
        let file = File::options().write(true).open(to)?;
        file.set_times(times)?;
        file.sync_all()
    };
    copy().map_err(UpgradeError::io("copy to", to))
}
