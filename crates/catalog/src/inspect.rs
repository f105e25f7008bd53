//! A look at a catalog's file from outside: opens what there is, changes nothing, upgrades nothing.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use stepflow_model::ExecutionId;

use crate::{CatalogError, FileFigures, open, reader};

/// What the first bytes of a database file say, without SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// In WAL mode; else a rollback journal is used.
    pub wal: bool,
    /// The schema's version.
    pub version: u32,
    /// Ours, another program's, or 0.
    pub application_id: u32,
}

impl Header {
    /// Reads it; `Ok(None)`: the file is empty, or no SQLite database.
    pub fn read(path: &Path) -> Result<Option<Self>, CatalogError> {
        let io = |error| CatalogError::io("read", path, error);
        let mut bytes = Vec::with_capacity(100);
        File::open(path).map_err(io)?.take(100).read_to_end(&mut bytes).map_err(io)?;
        // Source: <https://sqlite.org/fileformat.html#the_database_header>.
        if bytes.len() < 100 || !bytes.starts_with(b"SQLite format 3\0") {
            return Ok(None);
        }
        let number = |at: usize| {
            bytes[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
        };
        Ok(Some(Self { wal: bytes[18] == 2, version: number(60), application_id: number(68) }))
    }

    /// Whether a StepFlow Monitor of this line made the file.
    pub fn is_ours(self) -> bool {
        self.application_id == open::APPLICATION_ID
    }
}

/// A catalog, looked at.
#[derive(Debug)]
pub struct Inspection {
    db: Connection,
    path: PathBuf,
}

impl Inspection {
    /// Opens a file for reading only, whatever its version is. Without a WAL beside it the file is
    /// taken for unchanging, so that none is made.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        let sql = |error| CatalogError::sql("open for reading", path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let text = path.to_str().unwrap_or_default();
        let mut uri = "file:".to_owned();
        for byte in text.bytes() {
            match byte {
                b'/' | b'-' | b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                    uri.push(char::from(byte));
                }
                byte => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        if !open::beside(path, "-wal").exists() {
            uri.push_str("?immutable=1");
        }
        let db = Connection::open_with_flags(uri, flags).map_err(sql)?;
        db.busy_timeout(Duration::from_secs(2)).map_err(sql)?;
        db.execute_batch("PRAGMA temp_store = MEMORY").map_err(sql)?;
        Ok(Self { db, path: path.to_owned() })
    }

    fn sql(&self, error: rusqlite::Error) -> CatalogError {
        CatalogError::sql("read", &self.path, error)
    }

    /// What the files are.
    pub fn file(&self) -> Result<FileFigures, CatalogError> {
        reader::file_figures(&self.db, &self.path).map_err(|error| self.sql(error))
    }

    /// What is damaged, at most 20 findings; none: nothing. `whole`: indexes are compared with
    /// their tables as well, which takes several times as long.
    pub fn damage(&self, whole: bool) -> Result<Vec<String>, CatalogError> {
        let sql = if whole { "PRAGMA integrity_check(20)" } else { "PRAGMA quick_check(20)" };
        let check = || {
            let mut statement = self.db.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        };
        match check() {
            Ok(found) => Ok(found.into_iter().filter(|line| line != "ok").collect()),
            Err(error) => match self.sql(error) {
                CatalogError::Corrupt { what, .. } => Ok(vec![what]),
                error => Err(error),
            },
        }
    }

    /// All executions in the catalog, each with whether it has ended.
    pub fn executions(&self) -> Result<Vec<(ExecutionId, bool)>, CatalogError> {
        let list = || {
            let mut statement = self.db.prepare(
                "SELECT id, status IN ('completed', 'failed', 'cancelled') FROM execution",
            )?;
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        let rows = list().map_err(|error| self.sql(error))?;
        Ok(rows.into_iter().filter_map(|(id, ended)| Some((id.parse().ok()?, ended))).collect())
    }

    /// How long the newest page of the list takes, the statement's preparation left out.
    pub fn time_list(&self) -> Result<Duration, CatalogError> {
        let list = || {
            let mut statement = self
                .db
                .prepare("SELECT * FROM execution ORDER BY created_us DESC, id DESC LIMIT 50")?;
            let mut took = Duration::MAX;
            for _ in 0..3 {
                let begun = Instant::now();
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
                took = took.min(begun.elapsed());
            }
            Ok(took)
        };
        list().map_err(|error| self.sql(error))
    }
}

/// How long durable single writes to a database in `directory` take: to a file of its own, which is
/// removed. Sorted, shortest first.
pub fn time_writes(directory: &Path, count: usize) -> Result<Vec<Duration>, CatalogError> {
    let path = directory.join(format!(".doctor-{}.db", std::process::id()));
    let timed = (|| {
        open::create_empty(&path)?;
        let sql = |error| CatalogError::sql("try to write", &path, error);
        let db = Connection::open(&path).map_err(sql)?;
        db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).map_err(sql)?;
        db.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE t (x TEXT)").map_err(sql)?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            db.execute("INSERT INTO t VALUES (?1)", ["x".repeat(500)]).map_err(sql)?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        Ok(took)
    })();
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = open::remove(&open::beside(&path, suffix)); // Ours alone; the next run says if not.
    }
    timed
}
