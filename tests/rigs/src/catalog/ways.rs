//! Ways to scramble a catalog.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use stepflow_testkit::Rng;

use super::{Stage, failed};

/// What must become of what lives only in the catalog.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lone {
    /// Only what records give back is touched.
    Kept,
    /// All of it, or none: the file cannot be trusted.
    KeptOrLost,
    /// It is another catalog: nobody can know.
    Others,
}

type Scramble = fn(&Stage, &mut Rng) -> Result<(), String>;

/// One of them.
pub(super) struct Way {
    pub(super) what: &'static str,
    pub(super) lone: Lone,
    pub(super) scramble: Scramble,
}

const fn way(what: &'static str, lone: Lone, scramble: Scramble) -> Way {
    Way { what, lone, scramble }
}

/// All, with what they do.
pub(super) const ALL: [Way; 25] = [
    way("deleted", Lone::KeptOrLost, |stage, _| remove(&[stage.database()])),
    way("the directory deleted", Lone::KeptOrLost, |stage, _| {
        fs::remove_dir_all(stage.database().parent().ok_or("no directory")?).map_err(failed)
    }),
    way("the file deleted beside its WAL", Lone::KeptOrLost, |stage, _| {
        stage.put(&stage.killed)?;
        remove(&[stage.database()])
    }),
    way("the WAL deleted", Lone::KeptOrLost, |stage, _| {
        stage.put(&stage.killed)?;
        remove(&[beside(&stage.database(), "-wal"), beside(&stage.database(), "-shm")])
    }),
    way("noise in the WAL", Lone::Others, |stage, random| {
        stage.put(&stage.killed)?;
        noise(&beside(&stage.database(), "-wal"), 4, 64, random)
    }),
    way("cut short", Lone::KeptOrLost, |stage, random| {
        let size = fs::metadata(stage.database()).map_err(failed)?.len();
        cut(&stage.database(), random.below(size))
    }),
    way("cut in its header", Lone::KeptOrLost, |stage, random| {
        cut(&stage.database(), 1 + random.below(99))
    }),
    way("emptied", Lone::KeptOrLost, |stage, _| cut(&stage.database(), 0)),
    way("bits flipped", Lone::KeptOrLost, |stage, random| noise(&stage.database(), 40, 1, random)),
    way("pages of noise", Lone::KeptOrLost, |stage, random| {
        noise(&stage.database(), 3, 4096, random)
    }),
    way("its header overwritten", Lone::KeptOrLost, |stage, random| {
        let noise: Vec<u8> = (0..60).map(|_| random.number() as u8).collect();
        write_at(&stage.database(), &noise, 0)
    }),
    way("two pages swapped", Lone::KeptOrLost, swap),
    way("an older copy in its place", Lone::Others, |stage, _| stage.put(&stage.older)),
    way("that of another storage", Lone::Others, |stage, _| stage.put(&stage.other)),
    way("its main file from another storage", Lone::Others, |stage, _| {
        stage.put(&stage.killed)?;
        fs::copy(stage.other.join("stepflow.db"), stage.database()).map_err(failed).map(drop)
    }),
    way("rows deleted", Lone::Kept, |stage, random| {
        let third = random.below(3);
        sql(
            stage,
            &format!(
                "DELETE FROM artifact WHERE artifact_index % 2 = 0;
             DELETE FROM step WHERE step_index % 2 = {};
             DELETE FROM execution WHERE rowid % 3 = {third}",
                random.below(2)
            ),
        )
    }),
    way("rows without their parents", Lone::Kept, |stage, random| {
        sql(
            stage,
            &format!(
                "PRAGMA foreign_keys = OFF; DELETE FROM execution WHERE rowid % 2 = {}",
                random.below(2)
            ),
        )
    }),
    way("rows changed", Lone::Kept, |stage, random| {
        sql(
            stage,
            &format!(
            "UPDATE execution SET name = 'forged', status = 'failed', exit_code = {0}, pinned = 1,
               position_bytes = {0}, tags = '[\"forged\"]', created_us = created_us - {0};
             UPDATE step SET name = 'forged', first_line = {0};
             UPDATE artifact SET path = 'forged', size_bytes = {0}",
            random.below(1 << 30)
        ),
        )
    }),
    way("rows from the future", Lone::Kept, |stage, _| {
        sql(
            stage,
            "UPDATE execution SET position_seq = position_seq + 1000000, reason = 'sunspots'",
        )
    }),
    way("rows forged", Lone::Kept, |stage, random| {
        sql(
            stage,
            &format!(
                "CREATE TEMP TABLE forged AS SELECT * FROM execution;
             UPDATE forged SET id = substr(id, 1, 24) || printf('%012x', {} + rowid);
             INSERT INTO execution SELECT * FROM forged;",
                random.below(1 << 40)
            ),
        )
    }),
    way("a table dropped", Lone::Kept, |stage, random| {
        let table = ["artifact", "step", "execution_tag", "execution", "counter"];
        sql(
            stage,
            &format!("PRAGMA foreign_keys = OFF; DROP TABLE {}", table[random.below(5) as usize]),
        )
    }),
    way("indexes dropped", Lone::Kept, |stage, random| {
        let index = ["created", "status", "user", "name", "facts", "pinned", "duration"];
        sql(
            stage,
            &format!(
                "DROP INDEX execution_by_{}; DROP INDEX artifact_by_created",
                index[random.below(7) as usize]
            ),
        )
    }),
    way("counters and tags changed", Lone::Kept, |stage, random| {
        sql(
            stage,
            &format!(
                "UPDATE counter SET completed = completed + {}; DELETE FROM execution_tag WHERE tag = 'kept'",
                1 + random.below(9)
            ),
        )
    }),
    way("another version claimed", Lone::Kept, |stage, random| {
        sql(stage, &format!("PRAGMA user_version = {}", 1 + random.below(7)))
    }),
    way("a trigger that undoes", Lone::Kept, |stage, _| {
        sql(stage, "CREATE TRIGGER undo AFTER INSERT ON step BEGIN DELETE FROM step; END")
    }),
];

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(paths: &[PathBuf]) -> Result<(), String> {
    paths.iter().try_for_each(fs::remove_file).map_err(failed)
}

fn cut(path: &Path, size: u64) -> Result<(), String> {
    let file = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    file.set_len(size).map_err(failed)
}

fn write_at(path: &Path, bytes: &[u8], at: u64) -> Result<(), String> {
    let file = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    file.write_all_at(bytes, at).map_err(failed)
}

/// Noise at some places; of one byte a place: one bit.
fn noise(path: &Path, places: u64, size: u64, random: &mut Rng) -> Result<(), String> {
    let bytes = fs::read(path).map_err(failed)?;
    // The header of its own has ways of its own.
    let end = (bytes.len() as u64).saturating_sub(size).max(101);
    for _ in 0..places {
        let at = 100 + random.below(end - 100);
        let some: Vec<u8> = if size == 1 {
            vec![bytes[at as usize] ^ 1 << random.below(8)]
        } else {
            (0..size).map(|_| random.number() as u8).collect()
        };
        write_at(path, &some, at)?;
    }
    Ok(())
}

fn swap(stage: &Stage, random: &mut Rng) -> Result<(), String> {
    const PAGE: u64 = 4096;
    let bytes = fs::read(stage.database()).map_err(failed)?;
    let pages = bytes.len() as u64 / PAGE;
    let (a, b) = (1 + random.below(pages - 1), 1 + random.below(pages - 1));
    for (from, to) in [(a, b), (b, a)] {
        let page = &bytes[(from * PAGE) as usize..][..PAGE as usize];
        write_at(&stage.database(), page, to * PAGE)?;
    }
    Ok(())
}

/// With triggers, checks and keys out of the way.
fn sql(stage: &Stage, text: &str) -> Result<(), String> {
    let db = Connection::open(stage.database()).map_err(failed)?;
    db.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {text}")).map_err(failed)?;
    db.close().map_err(|(_, error)| failed(error))
}
