//! The original's database: whether it is in use, and its copy in one file.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use stepflow_sys::disk;

use crate::{
    UpgradeError,
    plan::{Paths, Print, Source, beside, remove},
};

/// Refuses a database that somebody has open: what they write would be lost.
///
/// A server in WAL mode holds a lock for as long as it has the database open. One of the older
/// version holds none while it waits, but has the file open.
pub(crate) fn refuse_if_in_use(paths: &Paths) -> Result<(), UpgradeError> {
    let shm = beside(&paths.database, "-shm");
    for path in [&shm, &paths.database] {
        let user = disk::locked_by(path).map_err(UpgradeError::io("look at", path))?;
        if let Some(user) = user.or_else(|| disk::opened_by(path)) {
            return Err(UpgradeError::InUse { path: path.clone(), user });
        }
    }
    Ok(())
}

/// Copies the database with what its WAL or rollback journal holds into one file beside it, checks
/// it, and returns the copy's name and what was copied. The original is only read.
pub(crate) fn copy(paths: &Paths, now: Timestamp) -> Result<(String, Print, Source), UpgradeError> {
    let before = Source::of(&paths.database)?;
    let unfinished = beside(&paths.database, ".original.unfinished");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        remove(&beside(&unfinished, suffix))?;
    }
    let copied = copy_files(paths, &unfinished).and_then(|()| {
        if Source::of(&paths.database)? != before {
            return Err(UpgradeError::Changed { path: paths.database.clone() });
        }
        settle(paths, &unfinished)
    });
    if let Err(error) = copied {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = remove(&beside(&unfinished, suffix)); // The error that matters is the first.
        }
        return Err(error);
    }
    let mut name = format!("stepflow.db.original-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    while paths.dir.join(&name).exists() {
        name.push_str("-again");
    }
    let backup = paths.dir.join(&name);
    fs::rename(&unfinished, &backup).map_err(UpgradeError::io("create", &backup))?;
    paths.sync()?;
    match Print::of(&backup)? {
        Some(print) => Ok((name, print, before)),
        None => Err(UpgradeError::Changed { path: backup }),
    }
}

fn copy_files(paths: &Paths, to: &Path) -> Result<(), UpgradeError> {
    for suffix in ["", "-wal", "-journal"] {
        let (from, to) = (beside(&paths.database, suffix), beside(to, suffix));
        match fs::copy(&from, &to) {
            Ok(_) => fs::set_permissions(&to, fs::Permissions::from_mode(0o600))
                .map_err(UpgradeError::io("set the mode of", &to))?,
            Err(error) if !suffix.is_empty() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(UpgradeError::io("copy to", &to)(error)),
        }
    }
    Ok(())
}

/// Moves the copy's WAL into it, and looks through it for damage.
fn settle(paths: &Paths, copy: &Path) -> Result<(), UpgradeError> {
    let sql = |doing| UpgradeError::sql(doing, &paths.database);
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(copy, flags).map_err(sql("open a copy of"))?;
        db.pragma_update(None, "mmap_size", 256 << 20).map_err(sql("read"))?;
        let finding: String =
            db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql("check"))?;
        if finding != "ok" {
            return Err(UpgradeError::Damaged { path: paths.database.clone(), what: finding });
        }
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sql("copy"))?;
        db.query_row("SELECT count(*) FROM executions LIMIT 1", [], |_| Ok(()))
            .map_err(sql("read"))?;
        db.close().map_err(|(_, error)| sql("copy")(error))?;
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&beside(copy, suffix))?;
    }
    File::open(copy).and_then(|file| file.sync_all()).map_err(UpgradeError::io("sync", copy))
}

/// Opens a file that nobody writes: no lock, and no file beside it.
pub(crate) fn open_immutable(path: &Path) -> Result<Connection, UpgradeError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", escaped(path.as_os_str()));
    let db = Connection::open_with_flags(uri, flags).map_err(UpgradeError::sql("open", path))?;
    db.pragma_update(None, "mmap_size", 1_i64 << 30).map_err(UpgradeError::sql("read", path))?;
    Ok(db)
}

/// A path as part of a URI.
fn escaped(path: &OsStr) -> String {
    use std::fmt::Write;
    path.as_bytes().iter().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}
