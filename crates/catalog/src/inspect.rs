//! A look at a catalog's file from outside: opens what there is, changes nothing, upgrades nothing.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use stepflow_model::ExecutionId;

use crate::{CatalogError, FileFigures, check, migration, open, reader};

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

/// What a look found, by what it means for a rebuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Nothing in the file can be trusted, least of all which tokens were revoked.
    pub(crate) structure: Vec<String>,
    /// Tables, indexes or views are not ours. The rows of those that are can be trusted.
    pub(crate) schema: Vec<String>,
    /// Rows that records give back are not what was written.
    pub(crate) rows: Vec<String>,
}

/// A catalog, looked at.
#[derive(Debug)]
pub struct Inspection {
    pub(crate) db: Connection,
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
        let mut uri = open::uri(path);
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

    /// What is damaged, at most 20 findings of a kind; none: nothing. `whole`: indexes are compared
    /// with their tables, rows with their seals, counters with rows and the tables with ours as well,
    /// which takes several times as long.
    pub fn damage(&self, whole: bool) -> Result<Vec<String>, CatalogError> {
        let mut found = self.structure(whole)?;
        if whole && found.is_empty() {
            let Damage { structure, schema, rows } = self.damage_of_content()?;
            found = [structure, schema, rows].concat();
        }
        Ok(found)
    }

    /// The same, told apart by what it means for a rebuild.
    pub(crate) fn damage_by_kind(&self) -> Result<Damage, CatalogError> {
        let structure = self.structure(true)?;
        if !structure.is_empty() {
            return Ok(Damage { structure, ..Damage::default() });
        }
        self.damage_of_content()
    }

    /// What SQLite itself finds.
    fn structure(&self, whole: bool) -> Result<Vec<String>, CatalogError> {
        let sql = if whole { "PRAGMA integrity_check(20)" } else { "PRAGMA quick_check(20)" };
        let found = self.looked(|db| {
            let mut statement = db.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
        })?;
        let mut found: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        found.extend(self.header()?);
        Ok(found)
    }

    /// What no check of SQLite looks at: with other values there the file is read otherwise, or can
    /// only be read.
    fn header(&self) -> Result<Option<String>, CatalogError> {
        let mut bytes = Vec::with_capacity(100);
        let read = File::open(&self.path).and_then(|file| file.take(100).read_to_end(&mut bytes));
        read.map_err(|error| CatalogError::io("read", &self.path, error))?;
        // Source: <https://sqlite.org/fileformat.html#the_database_header>.
        let usual = bytes.len() == 100
            && matches!(bytes[18], 1 | 2)
            && matches!(bytes[19], 1 | 2)
            && bytes[20..24] == [0, 64, 32, 32]
            && bytes[44..48] == [0, 0, 0, 4]
            && bytes[56..60] == [0, 0, 0, 1];
        Ok((!usual).then(|| "its header is not one that we write".to_owned()))
    }

    fn damage_of_content(&self) -> Result<Damage, CatalogError> {
        let version = migration::version(&self.db).map_err(|error| self.sql(error))?;
        if version == 0 {
            let structure = vec!["it has no version".to_owned()];
            return Ok(Damage { structure, ..Damage::default() });
        }
        if version > crate::SCHEMA_VERSION {
            return Ok(Damage::default()); // What only a newer release can judge.
        }
        let schema = self.looked(|db| check::schema(db, version))?;
        if !schema.is_empty() || version < crate::SCHEMA_VERSION {
            return Ok(Damage { schema, ..Damage::default() });
        }
        // One state of all tables, whoever writes meanwhile.
        let begun = self.looked(|db| db.execute_batch("BEGIN").map(|()| Vec::new()))?;
        let structure = self.looked(check::lone_rows)?;
        let mut rows = self.looked(check::projected_rows)?;
        rows.extend(self.looked(check::counters)?);
        let ended = self.looked(|db| db.execute_batch("COMMIT").map(|()| Vec::new()))?;
        Ok(Damage { structure: [begun, structure, ended].concat(), schema, rows })
    }

    /// What a look finds, or that it could not be done because of damage.
    fn looked(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<Vec<String>>,
    ) -> Result<Vec<String>, CatalogError> {
        match look(&self.db) {
            Ok(found) => Ok(found),
            Err(error) => match self.sql(error) {
                CatalogError::Corrupt { what, .. } => Ok(vec![what]),
                CatalogError::BadRow { source, .. } => Ok(vec![source.to_string()]),
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
