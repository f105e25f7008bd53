//! What an upgrade that was begun has to go on with: `database/upgrade.json`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::UpgradeError;

/// The files of an upgrade.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
    /// The catalog in the making.
    pub(crate) building: PathBuf,
    plan: PathBuf,
}

impl Paths {
    pub(crate) fn new(database: &Path) -> Self {
        let dir = database.parent().unwrap_or(Path::new("/")).to_owned();
        Self {
            building: beside(database, ".upgrading"),
            plan: dir.join("upgrade.json"),
            database: database.to_owned(),
            dir,
        }
    }

    /// Makes renames in the directory last.
    pub(crate) fn sync(&self) -> Result<(), UpgradeError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(UpgradeError::io("sync", &self.dir))
    }

    /// Removes the catalog in the making.
    pub(crate) fn discard_building(&self) -> Result<(), UpgradeError> {
        for suffix in ["", "-wal", "-shm", "-journal", ".new", ".new-journal", "-wal.orphan"] {
            remove(&beside(&self.building, suffix))?;
        }
        Ok(())
    }
}

/// `path` with something behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> Result<(), UpgradeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(UpgradeError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// What tells a file that was written since from one that was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print {
    size: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Print {
    /// Looks; `None`: there is no such file.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>, UpgradeError> {
        match fs::metadata(path) {
            Ok(file) => Ok(Some(Self {
                size: file.len(),
                modified_s: file.mtime(),
                modified_ns: file.mtime_nsec(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(UpgradeError::io("look at", path)(error)),
        }
    }
}

/// The original's database and what SQLite keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    database: Option<Print>,
    wal: Option<Print>,
    journal: Option<Print>,
}

impl Source {
    /// Looks.
    pub(crate) fn of(database: &Path) -> Result<Self, UpgradeError> {
        Ok(Self {
            database: Print::of(database)?,
            wal: Print::of(&beside(database, "-wal"))?,
            journal: Print::of(&beside(database, "-journal"))?,
        })
    }
}

/// An upgrade that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    v: u32,
    /// In which times without offset are read.
    zone: String,
    /// What was copied.
    source: Source,
    /// The copy's name in the directory.
    backup: String,
    /// The copy.
    print: Print,
    /// Everything is converted; the catalog is about to take the database's place.
    swapping: bool,
}

impl Plan {
    pub(crate) fn new(zone: String, source: Source, backup: String, print: Print) -> Self {
        Self { v: 1, zone, source, backup, print, swapping: false }
    }

    /// Reads it; what cannot be read is as good as none.
    pub(crate) fn load(paths: &Paths) -> Result<Option<Self>, UpgradeError> {
        let text = match fs::read(&paths.plan) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(UpgradeError::io("read", &paths.plan))?,
        };
        Ok(serde_json::from_slice(&text).ok().filter(|plan: &Self| plan.v == 1))
    }

    /// Writes it, durably, whole or not at all.
    pub(crate) fn save(&self, paths: &Paths) -> Result<(), UpgradeError> {
        let new = beside(&paths.plan, ".new");
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .map_err(UpgradeError::io("write", &new))?;
        fs::rename(&new, &paths.plan).map_err(UpgradeError::io("create", &paths.plan))?;
        paths.sync()
    }

    /// Whether there is one, without reading it.
    pub(crate) fn exists(paths: &Paths) -> bool {
        paths.plan.exists()
    }

    /// Removes it: there is nothing to go on with.
    pub(crate) fn remove(paths: &Paths) -> Result<(), UpgradeError> {
        remove(&beside(&paths.plan, ".new"))?;
        remove(&paths.plan)
    }

    /// Where the copy is.
    pub(crate) fn backup(&self, paths: &Paths) -> PathBuf {
        paths.dir.join(&self.backup)
    }

    pub(crate) fn swapping(&self) -> bool {
        self.swapping
    }

    pub(crate) fn set_swapping(&mut self) {
        self.swapping = true;
    }

    /// Whether the upgrade can go on: nobody wrote the database, or its copy, since, and times are
    /// read in the same zone.
    pub(crate) fn holds(&self, paths: &Paths, zone: &str) -> Result<bool, UpgradeError> {
        if self.zone != zone || self.backup.contains('/') {
            return Ok(false);
        }
        if Print::of(&self.backup(paths))?.as_ref() != Some(&self.print) {
            return Ok(false);
        }
        let now = Source::of(&paths.database)?;
        if !self.swapping {
            return Ok(now == self.source);
        }
        // The copy may have taken the database's place already, and the WAL may be gone.
        let same = |now: &Option<Print>, then: &Option<Print>| now.is_none() || now == then;
        let database =
            now.database == self.source.database || now.database.as_ref() == Some(&self.print);
        Ok(database && same(&now.wal, &self.source.wal) && same(&now.journal, &self.source.journal))
    }
}
