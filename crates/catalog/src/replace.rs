//! Another file takes the place of one that is damaged or gone, while everybody goes on.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, config::DbConfig};

use crate::{
    CatalogError, Fault, Inspection, Role, check,
    checkpointer::Checkpointer,
    inspect::Damage,
    migration, open,
    queries::{search_columns, session_columns, token_columns},
    set_aside,
    writer::WriterThread,
};

/// What stands in a catalog's place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// What stood there before, under its new name; `None`: nothing did.
    pub aside: Option<PathBuf>,
    /// Nothing is in it: the records must be brought in again, and what lived only in the catalog
    /// (tokens, sessions, searches) is gone. Else it holds all that was committed.
    pub empty: bool,
}

/// What became of a damaged catalog that nobody had open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Under which name it stands now.
    pub aside: PathBuf,
    /// What lives only in the catalog (tokens, sessions, searches) was taken over into the new one.
    pub kept: bool,
    /// The first of what was found.
    pub what: String,
}

/// Looks a catalog through that nobody has open. One that is damaged is set aside, never removed, and
/// an empty one takes its place: the records must be brought in. `label` tells it from others that
/// were set aside, such as a time. `None`: nothing is damaged, or nothing is there.
///
/// Where only rows that records give back are changed, or tables or indexes are missing, what lives
/// only in the catalog is taken over, held against its seals. Where the file itself is damaged it is
/// not: an old page could bring back a token that was revoked.
///
/// # Errors
/// What is not a catalog of this build is left alone.
pub fn renew(path: &Path, label: &str) -> Result<Option<Renewed>, CatalogError> {
    let damage = match open::is_absent(path) {
        Ok(true) => return Ok(None),
        Ok(false) => Inspection::open(path).and_then(|inspection| inspection.damage_by_kind()),
        Err(error) => Err(error),
    };
    let Damage { structure, schema, rows } = match damage {
        Ok(damage) => damage,
        Err(CatalogError::Corrupt { what, .. }) => {
            Damage { structure: vec![what], ..Damage::default() }
        }
        Err(error) => return Err(error),
    };
    let Some(what) = structure.iter().chain(&schema).chain(&rows).next().cloned() else {
        return Ok(None);
    };
    let aside = set_aside(path, label)?;
    drop(open::writing(path, &Role::Command.into())?);
    let kept = structure.is_empty() && take_over(&aside, path).is_ok();
    Ok(Some(Renewed { aside, kept, what }))
}

/// Copies what lives only in the catalog `from`, all of it or nothing. Tables that are not ours are
/// an error.
fn take_over(from: &Path, to: &Path) -> Result<(), CatalogError> {
    let sql = |error| CatalogError::sql("take over from", from, error);
    let inspection = Inspection::open(from)?;
    if let Some(what) = check::lone_rows(&inspection.db).map_err(sql)?.pop() {
        return Err(CatalogError::Corrupt { path: from.to_owned(), what });
    }
    let copy = || {
        let mut db = Connection::open(to)?;
        // Not written: it stays as it was found.
        db.execute("ATTACH ?1 AS aside", [format!("{}?mode=ro", open::uri(from))])?;
        let transaction = db.transaction()?;
        for (table, columns) in [
            ("token", token_columns!()),
            ("session", session_columns!()),
            ("saved_search", search_columns!()),
        ] {
            transaction.execute_batch(&format!(
                "INSERT INTO {table} ({columns}) SELECT {columns} FROM aside.{table}"
            ))?;
        }
        transaction.commit()?;
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    };
    copy().map_err(sql)
}

/// Told when the file was replaced, on the writer thread; dropped when the catalog is closed before.
pub type ReplacedReply = Box<dyn FnOnce(Result<Replaced, CatalogError>) + Send>;

impl WriterThread {
    /// Puts another file in the place of one with this fault, and reads and writes that one from now
    /// on. What stood there is set aside, never removed.
    ///
    /// A file that is gone is still open here: it is written again, whole. What a damaged one still
    /// says is not trusted: an old page could bring back a token that was revoked.
    pub(crate) fn replace(&mut self, fault: Fault, label: &str) -> Result<Replaced, CatalogError> {
        drop(self.checkpointer.take()); // It lets go of the file.
        self.run = None; // Whoever asked for the maintenance hears that it was given up.
        if let Some(pool) = &self.pool {
            pool.renew();
        }
        let saved = match fault {
            Fault::Gone => self.save(),
            Fault::Damaged => None,
        };
        // Closed before its files get other names, and as it is: the last one to close would move the
        // WAL into the file, or remove by its name what is another's now.
        let _ = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        match Connection::open_in_memory() {
            Ok(nothing) => drop(std::mem::replace(&mut self.db, nothing)),
            Err(error) => return Err(CatalogError::sql("let go of", &self.path, error)),
        }
        let aside = if self.path.exists() { Some(set_aside(&self.path, label)?) } else { None };
        if let Some(saved) = &saved {
            put(saved, &self.path)?;
        }
        self.db = open::writing(&self.path, &self.options)?;
        (self.full_sync, self.dirty) = (false, true);
        if self.options.checkpoint_beside {
            let Self { db, path, options, stats, .. } = self;
            // Without it each commit that finds the WAL long moves pages: slower, and no reason to fail.
            self.checkpointer = Checkpointer::start(db, path, options, stats).ok().flatten();
        }
        self.stats.damaged.store(false, std::sync::atomic::Ordering::Relaxed);
        if let Some(pool) = &self.pool {
            pool.opened();
        }
        Ok(Replaced { aside, empty: saved.is_none() })
    }

    /// Writes all that is committed to a file beside the place of the one that is gone.
    fn save(&self) -> Option<PathBuf> {
        let target = open::beside(&self.path, ".saved");
        let directory = self.path.parent()?;
        let saved = fs::create_dir_all(directory)
            .map_err(|error| CatalogError::io("create", directory, error))
            .and_then(|()| migration::copy_into(&self.db, &self.path, &target));
        saved.ok().map(|()| target)
    }
}

/// Gives `saved` the name `path`, under which nothing stands.
fn put(saved: &Path, path: &Path) -> Result<(), CatalogError> {
    // A WAL that outlived its database would be replayed into ours. What it says is in `saved`.
    let orphan = open::beside(path, "-wal");
    match fs::rename(&orphan, open::beside(path, "-wal.orphan")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CatalogError::io("set aside", &orphan, error));
        }
        _ => {}
    }
    open::remove(&open::beside(path, "-shm"))?;
    fs::rename(saved, path).map_err(|error| CatalogError::io("rename to", path, error))?;
    open::sync_directory(path)
}
