//! From a path to connections: what is there, making what is not, and the settings of each side.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{CatalogError, Options, migration, queries};

/// "StFl", in the header of every catalog: tells ours from other databases without opening them.
pub(crate) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"StFl");

/// Least SQLite: earlier ones can damage the file when the WAL is reset under a reader.
///
/// Source: <https://sqlite.org/wal.html#walresetbug>.
const SQLITE_LEAST: i32 = 3_051_003;

/// The WAL file is cut to this size when it starts over.
pub(crate) const WAL_BYTES_MAX: u64 = 64 << 20;

/// Statements that a connection keeps prepared; more than there are.
const STATEMENTS_CACHED: usize = 64;

/// Refuses an SQLite with the WAL bug. `found` is [`rusqlite::version_number`].
pub(crate) fn check_sqlite(found: i32) -> Result<(), CatalogError> {
    if found < SQLITE_LEAST {
        return Err(CatalogError::SqliteTooOld { found, needed: SQLITE_LEAST });
    }
    Ok(())
}

/// The connection that writes, at the newest version. Makes directory and file where there is none.
pub(crate) fn writing(path: &Path, options: &Options) -> Result<Connection, CatalogError> {
    check_sqlite(rusqlite::version_number())?;
    if is_absent(path)? {
        create(path)?;
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|error| CatalogError::io("set the mode of", path, error))?;
    }
    let sql = |error| CatalogError::sql("open for writing", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(sql)?;
    keep_plans(&db).map_err(sql)?;
    db.busy_timeout(options.busy_timeout).map_err(sql)?;
    let mode: String =
        db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(CatalogError::NoWal { path: path.to_owned(), found: mode });
    }
    let Options { cache_pages, wal_autocheckpoint, .. } = options;
    db.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = {cache_pages};
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = {wal_autocheckpoint};
         PRAGMA journal_size_limit = {WAL_BYTES_MAX};
         PRAGMA foreign_keys = ON;"
    ))
    .map_err(sql)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    migration::migrate(&mut db, path, migration::MIGRATIONS)?;
    db.prepare(queries::STATISTICS.sql()).map_err(sql)?; // Reads the whole schema.
    Ok(db)
}

/// A connection that only reads. Never creates, never upgrades.
pub(crate) fn reading(path: &Path, options: &Options) -> Result<Connection, CatalogError> {
    check_sqlite(rusqlite::version_number())?;
    if is_absent(path)? {
        return Err(CatalogError::Missing { path: path.to_owned() });
    }
    let sql = |error| CatalogError::sql("open for reading", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    keep_plans(&db).map_err(sql)?;
    db.busy_timeout(options.busy_timeout).map_err(sql)?;
    // 2 MiB: what is cached is forgotten at each commit, and the kernel has the pages as well.
    db.execute_batch(&format!(
        "PRAGMA cache_size = -2048;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = {};",
        options.mmap_bytes
    ))
    .map_err(sql)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    let (found, needed) = (migration::version(&db).map_err(sql)?, crate::SCHEMA_VERSION);
    if found < needed {
        return Err(CatalogError::Behind { path: path.to_owned(), found, needed });
    }
    if needed < found {
        return Err(CatalogError::TooNew { path: path.to_owned(), found, supported: needed });
    }
    Ok(db)
}

/// A connection that only moves the WAL into the database, beside the one that writes.
pub(crate) fn checkpointing(path: &Path) -> Result<Connection, CatalogError> {
    let sql = |error| CatalogError::sql("open for checkpoints", path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    // With NORMAL the WAL is synced before anything of it is written to the database, and the database
    // before the WAL may begin anew. The one that writes is the last to close, and moves what is left.
    db.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;").map_err(sql)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
    // Opens the WAL, under whose name another might stand later.
    db.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(sql)?;
    Ok(db)
}

/// A statement is planned once, whatever values it is given.
///
/// Else SQLite plans one anew each time that values are bound to it if its plan could depend on them,
/// as it could for a table with a partial index: for a list that took longer than the list. Our
/// statements name their indexes.
///
/// Source: <https://sqlite.org/queryplanner-ng.html#qpstab>.
fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// `path` with `suffix` after its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// `path` as SQLite takes it with parameters behind it.
pub(crate) fn uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.to_str().unwrap_or_default().bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Makes an empty file that only its owner may read.
pub(crate) fn create_empty(path: &Path) -> Result<(), CatalogError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)))
        .map_err(|error| CatalogError::io("create", path, error))
}

/// Makes a rename next to `path` last.
pub(crate) fn sync_directory(path: &Path) -> Result<(), CatalogError> {
    let directory = directory_of(path);
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| CatalogError::io("sync", directory, error))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether `path` is a database of the original StepFlow Monitor. Touches nothing.
pub fn is_original(path: &Path) -> Result<bool, CatalogError> {
    match is_absent(path) {
        Ok(_) => Ok(false),
        Err(CatalogError::Original { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether there is no catalog yet; an error if something else is there, which is then untouched.
///
/// Looks at raw bytes only: SQLite would recover a WAL, and so change a database that is not ours.
pub(crate) fn is_absent(path: &Path) -> Result<bool, CatalogError> {
    let io = |error| CatalogError::io("read", path, error);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened.map_err(io)?,
    };
    let mut header = Vec::with_capacity(100);
    file.by_ref().take(100).read_to_end(&mut header).map_err(io)?;
    if header.is_empty() {
        return Ok(true);
    }
    // Source: <https://sqlite.org/fileformat.html#the_database_header>.
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        let what = "its header is not that of an SQLite database".to_owned();
        return Err(CatalogError::Corrupt { path: path.to_owned(), what });
    }
    let number = |at: usize| {
        header[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
    };
    let (version, application_id) = (number(60), number(68));
    if application_id == APPLICATION_ID {
        return Ok(false);
    }
    if (version, application_id) == (0, 0)
        && (declares_executions(path)? || declares_executions(&beside(path, "-wal"))?)
    {
        return Err(CatalogError::Original { path: path.to_owned() });
    }
    Err(CatalogError::Foreign { path: path.to_owned(), application_id })
}

/// Whether the original's first table is declared in this file: in the database, or, as it never
/// closes its database, often only in the WAL.
fn declares_executions(path: &Path) -> Result<bool, CatalogError> {
    /// The schema is at the start; a WAL with more before it was never checkpointed.
    const BYTES_MAX: u64 = 64 << 20;
    const DECLARATION: &[u8] = b"CREATE TABLE executions";
    let io = |error| CatalogError::io("read", path, error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(io)?,
    };
    let mut file = file.take(BYTES_MAX);
    let mut window = Vec::new();
    loop {
        let read = file.by_ref().take(1 << 20).read_to_end(&mut window).map_err(io)?;
        if window.windows(DECLARATION.len()).any(|bytes| bytes == DECLARATION) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        window.drain(..window.len().saturating_sub(DECLARATION.len() - 1));
    }
}

/// Makes a new catalog under another name and then renames it, so that whatever stands under
/// `path` is either whole and marked as ours, or not ours.
fn create(path: &Path) -> Result<(), CatalogError> {
    let directory = directory_of(path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CatalogError::io("create", directory, error))?;
    let new = beside(path, ".new");
    create_empty(&new)?;
    remove(&beside(&new, "-journal"))?;
    {
        let sql = |error| CatalogError::sql("create", &new, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&new, flags).map_err(sql)?;
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(sql)?;
        db.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
        migration::migrate(&mut db, &new, migration::MIGRATIONS)?;
    }
    // A WAL that outlived its database would be replayed into ours.
    let orphan = beside(path, "-wal");
    match fs::rename(&orphan, beside(path, "-wal.orphan")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CatalogError::io("set aside", &orphan, error));
        }
        _ => {}
    }
    remove(&beside(path, "-shm"))?;
    fs::rename(&new, path).map_err(|error| CatalogError::io("rename to", path, error))?;
    sync_directory(path)
}

pub(crate) fn remove(path: &Path) -> Result<(), CatalogError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CatalogError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    #[test]
    fn the_linked_sqlite_is_new_enough_and_an_older_one_is_refused() {
        check_sqlite(rusqlite::version_number()).unwrap();
        let refused = check_sqlite(3_051_002).unwrap_err();
        assert_eq!(refused.to_string(), "SQLite 3051002 is too old: 3051003 or newer is needed");
    }

    #[test]
    fn the_settings_are_those_of_the_design() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/stepflow.db");
        let db = writing(&path, &Role::Server.into()).unwrap();
        let get = |db: &Connection, name: &str| -> String {
            db.query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| {
                row.get(0)
            })
            .unwrap()
        };
        for (name, expected) in [
            ("journal_mode", "wal"),
            ("synchronous", "1"),
            ("cache_size", "10000"),
            ("temp_store", "2"),
            ("wal_autocheckpoint", "1000"),
            ("foreign_keys", "1"),
            ("application_id", &APPLICATION_ID.to_string()),
            ("user_version", &crate::SCHEMA_VERSION.to_string()),
            ("auto_vacuum", "2"),
        ] {
            let found = if name == "wal_autocheckpoint" || name == "temp_store" {
                db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
                    .unwrap()
                    .to_string()
            } else {
                get(&db, name)
            };
            assert_eq!(found, expected, "{name}");
        }
        let timeout: i64 = db.query_row("PRAGMA busy_timeout", [], |row| row.get(0)).unwrap();
        assert_eq!(timeout, 5_000);
        let reader = reading(&path, &Role::Server.into()).unwrap();
        let cache: i64 = reader.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
        let mmap: i64 = reader.query_row("PRAGMA mmap_size", [], |row| row.get(0)).unwrap();
        assert_eq!((cache, mmap), (-2048, 0));
        assert!(reader.execute("DELETE FROM token", []).is_err());

        for file in fs::read_dir(path.parent().unwrap()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.path());
        }
        let mode = fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
    }
}
