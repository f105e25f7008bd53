//! The storage directory.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::{statfs::statfs, statvfs::statvfs},
    unistd::Uid,
};
use stepflow_record::Storage;

use super::{Report, bytes, ms, s};
use crate::{format::count, text::found};

/// Records whose modes are looked at; the newest ones.
const RECORDS_LOOKED_AT: usize = 2_000;
/// Looking for sizes ends after this long.
const SIZES_WITHIN: Duration = Duration::from_secs(10);
/// An operation of a disk should take this long at most; a disk that needs the second is too slow.
const SLOW: Duration = Duration::from_millis(5);
const TOO_SLOW: Duration = Duration::from_millis(250);
const TIMED: usize = 20;

/// Whether it is there, whose it is, and who may look into it. `false`: there is nothing to look
/// at.
pub(super) fn directory(storage: &Storage, report: &mut Report) -> bool {
    let root = storage.root();
    let meta = match fs::metadata(root) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            report.fail("storage", found::no_directory(), found::pass_another());
            return false;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.warn("storage", found::no_such_directory(), found::makes_it());
            return false;
        }
        Err(error) => {
            report.fail("storage", found::not_to_be_looked_at(error), found::run_as_owner());
            return false;
        }
    };
    let me = Uid::effective();
    if meta.uid() != me.as_raw() && !me.is_root() {
        report.fail("storage.owner", found::belongs_to(meta.uid(), me), found::run_as_that_user());
        return fs::read_dir(root).is_ok();
    }
    modes(storage, meta.uid(), report);
    true
}

fn modes(storage: &Storage, owner: u32, report: &mut Report) {
    let root = storage.root();
    let mut paths = vec![root.to_owned()];
    paths.extend(["database", "executions", "artifacts", "run"].map(|name| root.join(name)));
    for dir in ["database", "run"] {
        paths.extend(entries(&root.join(dir)));
    }
    let records = storage.executions().unwrap_or_default();
    for id in records.iter().rev().take(RECORDS_LOOKED_AT) {
        let dir = storage.record_dir(*id);
        paths.extend(entries(&dir));
        paths.push(dir);
    }
    let (mut open, mut foreign) = (Vec::new(), Vec::new());
    for path in &paths {
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        if meta.file_type().is_symlink() {
            continue;
        }
        if meta.mode() & 0o077 != 0 {
            open.push((path, meta.mode() & 0o777));
        }
        if meta.uid() != owner {
            foreign.push((path, meta.uid()));
        }
    }
    if let Some((path, mode)) = open.first() {
        report.fail(
            "storage.modes",
            found::open_to_others(
                some_files(open.len()),
                path.display(),
                format_args!("{mode:04o}"),
            ),
            format!("chmod -R go-rwx '{}'", root.display()),
        );
    } else {
        report.ok("storage.modes", found::closed_to_others());
    }
    if let Some((path, uid)) = foreign.first() {
        report.fail(
            "storage.owner",
            found::of_others(some_files(foreign.len()), path.display(), uid),
            found::chown(owner, root.display()),
        );
    } else {
        report.ok("storage.owner", found::user(owner));
    }
}

fn some_files(number: usize) -> String {
    found::files(count(number as u64), s(number))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map_or_else(|_| Vec::new(), |all| all.flatten().map(|e| e.path()).collect())
}

/// Space and inodes.
pub(super) fn space(storage: &Storage, report: &mut Report) {
    let disk = match statvfs(storage.root()) {
        Ok(disk) => disk,
        Err(error) => {
            report.fail("space", found::cannot_ask(error), found::look_at_disk());
            return;
        }
    };
    let size = disk.fragment_size();
    let (free, all) = (disk.blocks_available() * size, disk.blocks() * size);
    let share = free as f64 / all.max(1) as f64 * 100.0;
    let detail = found::space(bytes(free), bytes(all), format_args!("{share:.1}"));
    let remedy = found::free_space();
    let file = crate::config::file().ok().and_then(|file| file.disk_min_free);
    let least = crate::config::min_free(None, file.as_deref()).unwrap_or_default().of(all);
    if free < least {
        report.fail("space", found::space_refused(detail, bytes(least)), remedy);
    } else if free < 64 << 20 {
        report.fail("space", detail, remedy);
    } else if free < 1 << 30 || share < 5.0 {
        report.warn("space", detail, remedy);
    } else {
        report.ok("space", detail);
    }
    let (free, all) = (disk.files_available(), disk.files());
    // Some file systems have no fixed number of them and say 0.
    if all > 0 {
        let share = free as f64 / all as f64 * 100.0;
        let detail = found::inodes(free, all, format_args!("{share:.1}"));
        let remedy = found::more_inodes();
        if free < 1_000 {
            report.fail("inodes", detail, remedy);
        } else if share < 5.0 {
            report.warn("inodes", detail, remedy);
        } else {
            report.ok("inodes", detail);
        }
    }
}

/// What kind of file system it is.
pub(super) fn kind(storage: &Storage, report: &mut Report) {
    let Ok(disk) = statfs(storage.root()) else { return };
    // Source: statfs(2), linux/magic.h.
    let (name, problem): (_, Option<fn() -> String>) =
        match disk.filesystem_type().0 as u64 & 0xffff_ffff {
            0x0102_1994 => ("tmpfs", Some(found::emptied_by_restart)),
            0x8584_58f6 => ("ramfs", Some(found::emptied_by_restart)),
            0x6969 => ("NFS", Some(found::needs_local_locks)),
            0xff53_4d42 | 0xfe53_4d42 | 0x517b => ("SMB", Some(found::needs_local_locks)),
            0x6573_5546 => ("FUSE", Some(found::may_not_honour)),
            0x0102_1997 => ("9p", Some(found::may_not_honour)),
            0x794c_7630 => ("overlay", None),
            0xef53 => ("ext4", None),
            0x5846_5342 => ("XFS", None),
            0x9123_683e => ("Btrfs", None),
            0x2fc1_2fc1 => ("ZFS", None),
            0xf2f5_2010 => ("F2FS", None),
            _ => ("", None),
        };
    match problem {
        Some(why) => {
            report.warn("filesystem", found::filesystem(name, why()), found::use_local_disk());
        }
        None if name.is_empty() => report.ok("filesystem", found::another_kind()),
        None => report.ok("filesystem", name),
    }
}

/// How long a durable append to a file takes, as a record needs it.
pub(super) fn speed(storage: &Storage, report: &mut Report) {
    let path = storage.root().join(format!(".doctor-{}", std::process::id()));
    let timed = (|| {
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        let mut took = Vec::with_capacity(TIMED);
        for _ in 0..TIMED {
            let begun = Instant::now();
            file.write_all(&[b'.'; 4096])?;
            file.sync_data()?;
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        io::Result::Ok(took)
    })();
    let _ = fs::remove_file(&path); // Ours alone, and empty of anything that matters.
    judge("speed.files", &found::append_and_sync(), timed.map_err(|e| e.to_string()), report);
}

/// Reports the median and the longest of some operations, sorted.
pub(super) fn judge(
    id: &'static str,
    what: &str,
    timed: Result<Vec<Duration>, String>,
    report: &mut Report,
) {
    match timed {
        Err(error) => report.fail(id, found::not_timed(what, error), found::disk_and_mode()),
        Ok(took) => {
            let median = took.get(took.len() / 2).copied().unwrap_or_default();
            let longest = took.last().copied().unwrap_or_default();
            let detail = found::timed(what, ms(median), ms(longest));
            let remedy = found::slow_disk();
            if median > TOO_SLOW {
                report.fail(id, detail, remedy);
            } else if median > SLOW {
                report.warn(id, detail, remedy);
            } else {
                report.ok(id, detail);
            }
        }
    }
}

/// What takes how much, and the largest executions.
pub(super) fn sizes(storage: &Storage, report: &mut Report) {
    let begun = Instant::now();
    let size = |dir: &Path| -> u64 {
        entries(dir).iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
    };
    let records = storage.executions().unwrap_or_default();
    let mut all = Vec::with_capacity(records.len());
    let (mut logs, mut artifacts, mut whole) = (0, 0, true);
    for id in records.iter().rev() {
        let (log, copies) = (size(&storage.record_dir(*id)), size(&storage.artifact_dir(*id)));
        logs += log;
        artifacts += copies;
        all.push((log + copies, *id));
        if begun.elapsed() > SIZES_WITHIN {
            whole = false;
            break;
        }
    }
    all.sort_unstable_by(|a, b| b.cmp(a));
    let largest: Vec<String> =
        all.iter().take(3).map(|(size, id)| format!("{id} {}", bytes(*size))).collect();
    let database = size(&storage.root().join("database"));
    let part = if whole { String::new() } else { found::newest_only() };
    let executions = found::executions(count(all.len() as u64), s(all.len()));
    let mut detail = found::sizes(bytes(database), bytes(logs), bytes(artifacts), executions, part);
    if !largest.is_empty() {
        detail.push_str(&found::largest(largest.join(", ")));
    }
    report.ok("sizes", detail);
}

/// What earlier programs, and broken moments, have left.
pub(super) fn leftovers(storage: &Storage, report: &mut Report) {
    let root = storage.root();
    let mut left = Vec::new();
    for path in entries(&root.join("database")).into_iter().chain(entries(root)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".damaged-") || name.contains(".orphan") || name.starts_with(".doctor-") {
            left.push(name);
        }
    }
    let backups = entries(&root.join("database"))
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.contains(".original-") || name.contains(".backup-")
        })
        .count();
    let sockets = entries(&storage.run_dir())
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.strip_suffix(".sock").and_then(|id| id.parse().ok()).is_some_and(|id| {
                !storage.open_marker(id).exists() && !storage.is_alive(id).unwrap_or(true)
            })
        })
        .count();
    if sockets > 0 {
        left.push(found::sockets_left(sockets, s(sockets)));
    }
    if left.is_empty() {
        report.ok("leftovers", found::nothing_left(backups, s(backups)));
    } else {
        report.warn("leftovers", left.join(", "), found::remove_leftovers());
    }
}
