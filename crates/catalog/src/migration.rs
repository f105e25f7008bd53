//! Numbered schema changes. `PRAGMA user_version` says how far a file is; a shipped migration is
//! never edited, the next one gets the next number.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, TransactionBehavior};

use crate::{CatalogError, open};

/// One step from a version to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// What it runs, in one transaction together with the new version.
    pub(crate) sql: &'static str,
    /// It changes or removes what is there: the file is copied before it.
    pub(crate) changes_data: bool,
}

/// All, in order: the first leads from nothing to version 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("../migrations/0001.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0002.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0003-source.sql"), changes_data: true },
    Migration { sql: include_str!("../migrations/0004-origin.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0005-facts.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0006-labels.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0007-names.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0008-seals.sql"), changes_data: false },
    Migration { sql: include_str!("../migrations/0009-tests.sql"), changes_data: false },
];

/// The version that `migrations` lead to.
pub(crate) const fn newest(migrations: &[Migration]) -> u32 {
    migrations.len() as u32
}

/// The version of the open file.
pub(crate) fn version(db: &Connection) -> rusqlite::Result<u32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Leads the file `path`, open as `db`, to the newest version.
///
/// Each migration commits on its own, so an interrupted upgrade goes on where it stopped. Before
/// the first one that changes data the file is copied to `<path>.backup-v<version>`.
pub(crate) fn migrate(
    db: &mut Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<(), CatalogError> {
    let doing = "read the version";
    let found = version(db).map_err(|error| CatalogError::sql(doing, path, error))?;
    let supported = newest(migrations);
    if supported < found {
        return Err(CatalogError::TooNew { path: path.to_owned(), found, supported });
    }
    // Made with its version in one transaction: a file of ours that has none but tables is damaged.
    if found == 0 {
        let count = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = db
            .query_row(count, [], |row| row.get(0))
            .map_err(|error| CatalogError::sql(doing, path, error))?;
        if tables > 0 {
            let what = "it has tables and no version".to_owned();
            return Err(CatalogError::Corrupt { path: path.to_owned(), what });
        }
    }
    let mut copied = false;
    for (at, migration) in migrations.iter().enumerate().skip(found as usize) {
        let to = at as u32 + 1;
        // A file without version is new: there is nothing to copy.
        if migration.changes_data && !copied && 0 < found {
            copy(db, path, to - 1)?;
            copied = true;
        }
        run(db, migration, to)
            .map_err(|error| CatalogError::sql("upgrade the tables", path, error))?;
    }
    Ok(())
}

fn run(db: &mut Connection, migration: &Migration, to: u32) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(migration.sql)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}

/// Where the copy of version `version` stands.
pub(crate) fn backup_path(path: &Path, version: u32) -> PathBuf {
    open::beside(path, &format!(".backup-v{version}"))
}

/// Copies the whole catalog, complete under its name or not there at all.
fn copy(db: &Connection, path: &Path, version: u32) -> Result<(), CatalogError> {
    let target = backup_path(path, version);
    let unfinished = open::beside(path, ".backup-unfinished");
    copy_into(db, path, &unfinished)?;
    fs::rename(&unfinished, &target)
        .map_err(|error| CatalogError::io("rename the copy to", &target, error))?;
    open::sync_directory(&target)
}

/// Copies all that is committed now into `target`, synced. Others may write meanwhile.
pub(crate) fn copy_into(db: &Connection, path: &Path, target: &Path) -> Result<(), CatalogError> {
    // VACUUM INTO accepts an empty file: made first, it gets our mode.
    open::create_empty(target)?;
    let name = target.to_str().ok_or_else(|| {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path is not UTF-8");
        CatalogError::io("copy the catalog to", target, error)
    })?;
    db.execute("VACUUM INTO ?1", [name])
        .map_err(|error| CatalogError::sql("copy everything", path, error))?;
    fs::File::open(target)
        .and_then(|file| file.sync_all())
        .map_err(|error| CatalogError::io("sync", target, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: &[Migration] = &[
        Migration { sql: "CREATE TABLE a (x TEXT) STRICT", changes_data: false },
        Migration { sql: "ALTER TABLE a ADD COLUMN y TEXT", changes_data: false },
        Migration { sql: "UPDATE a SET x = upper(x)", changes_data: true },
        Migration { sql: "UPDATE a SET y = x || x", changes_data: true },
    ];

    fn row(db: &Connection) -> String {
        db.query_row("SELECT x FROM a", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_file_is_copied_once_before_the_first_migration_that_changes_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.db");
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db, &path, &LATER[..1]).unwrap();
        db.execute("INSERT INTO a VALUES ('before')", []).unwrap();
        migrate(&mut db, &path, &LATER[..2]).unwrap();
        assert!(!backup_path(&path, 1).exists() && !backup_path(&path, 2).exists());

        migrate(&mut db, &path, LATER).unwrap();
        assert_eq!((row(&db).as_str(), version(&db).unwrap()), ("BEFORE", 4));
        let backup = Connection::open(backup_path(&path, 2)).unwrap();
        assert_eq!((row(&backup).as_str(), version(&backup).unwrap()), ("before", 2));
        assert!(!backup_path(&path, 3).exists());
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(backup_path(&path, 2)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_failing_migration_leaves_the_version_before_it() {
        const BROKEN: &[Migration] = &[
            LATER[0],
            Migration {
                sql: "INSERT INTO a VALUES ('half'); INSERT INTO nowhere VALUES (1)",
                changes_data: false,
            },
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.db");
        let mut db = Connection::open(&path).unwrap();
        assert!(matches!(migrate(&mut db, &path, BROKEN), Err(CatalogError::Sql { .. })));
        assert_eq!(version(&db).unwrap(), 1);
        let rows: i64 = db.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
        migrate(&mut db, &path, LATER).unwrap();
        assert_eq!(version(&db).unwrap(), 4);
    }

    #[test]
    fn a_new_file_goes_through_every_migration_without_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.db");
        migrate(&mut Connection::open(&path).unwrap(), &path, LATER).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.db");
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db, &path, LATER).unwrap();
        let refused = migrate(&mut db, &path, &LATER[..2]).unwrap_err();
        assert!(matches!(refused, CatalogError::TooNew { found: 4, supported: 2, .. }));
        assert!(refused.hint().is_some());
    }
}
