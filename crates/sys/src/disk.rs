//! Files as the kernel sees them: synced by the thousand, held by whom.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, FcntlArg, PosixFadviseAdvice, fallocate, fcntl, posix_fadvise},
    libc,
    unistd::syncfs,
};

/// Flags to open a file that somebody else may have put there: no link is followed, nothing waited
/// for.
pub const NOFOLLOW_NONBLOCK: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Whether a file was not opened because it is a link.
pub fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// Makes everything durable that was written to the file system of `path`, by whomever.
///
/// For thousands of small files one such call costs what a few `fsync` do.
///
/// Source: Linux `syncfs(2)`; since Linux 5.8 it reports failed writes.
pub fn sync_filesystem(path: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(path)?)?)
}

/// Bytes of the file system of `path` that may still be used by whom we are.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    Ok(space(path)?.0)
}

/// The same, and the size of the file system.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    // Both are wide enough for any disk; on 32-bit systems the product would not be.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let bytes = |blocks| u64::from(blocks).saturating_mul(stat.fragment_size() as u64);
    Ok((bytes(stat.blocks_available()), bytes(stat.blocks())))
}

/// Keeps room for `bytes` behind the end of a file, of which `kept` are kept already: writing there
/// needs no free space. Its size stays.
///
/// Only what is missing is asked for: where that fails, tmpfs gives back all of the range that was not
/// written yet, also what an earlier call had kept (Linux, `shmem_fallocate`).
///
/// Source: Linux `fallocate(2)`, `FALLOC_FL_KEEP_SIZE`. File systems that copy on write either do not
/// have it (ZFS) or may need space for their own tables nevertheless (Btrfs).
pub fn keep_room(file: &File, kept: u64, bytes: u64) -> io::Result<()> {
    let look = file.metadata()?;
    let end = look.len();
    // Room comes in whole blocks: that of the last byte kept is ours.
    let from = if kept == 0 { end } else { (end + kept).next_multiple_of(look.blksize().max(1)) };
    let missing = (end + bytes).saturating_sub(from);
    if missing == 0 {
        return Ok(());
    }
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let missing = i64::try_from(missing).unwrap_or(i64::MAX);
    Ok(fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, from, missing)?)
}

/// Gives back what is kept behind the end of a file.
pub fn give_room_back(file: &File) -> io::Result<()> {
    file.set_len(file.metadata()?.len()) // The same size: only what is behind it goes.
}

/// Bytes that a file takes up on the disk; 0: it is not there.
pub fn blocks_of(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |meta| meta.blocks() * 512) // The unit of `st_blocks`.
}

/// Bytes of a file.
pub fn size_of(path: &Path) -> io::Result<u64> {
    Ok(fs::metadata(path)?.len())
}

/// Drops what the kernel keeps in memory of a synced file, so that the next read is the disk's.
pub fn forget_cached(file: &File) -> io::Result<()> {
    Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// Gives the blocks from `from` up to `to` back to the file system; the file's size stays, and
/// reading them gives zeros. `false`: this file system cannot.
///
/// Source: Linux `fallocate(2)`, `FALLOC_FL_PUNCH_HOLE`.
pub fn punch_hole(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let place = (i64::try_from(from), i64::try_from(to.saturating_sub(from)));
    let (Ok(offset), Ok(length)) = place else { return Err(io::ErrorKind::InvalidInput.into()) };
    if length == 0 {
        return Ok(true);
    }
    match fallocate(file, flags, offset, length) {
        Ok(()) => Ok(true),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the file system of `file` can do [`punch_hole`]: asked far behind the file's end, where
/// nothing is.
pub fn can_punch_hole(file: &File) -> io::Result<bool> {
    const AWAY: u64 = 1 << 30;
    let behind = (file.metadata()?.len() / 4096 + 1) * 4096 + AWAY;
    punch_hole(file, behind, behind + 4096)
}

/// A process that uses a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its pid, where the kernel tells.
    pub pid: Option<i32>,
    /// Its name, where it can be read.
    pub name: Option<String>,
}

/// Somebody else who holds a POSIX or open-file-description lock on `path`, as SQLite does on its
/// files. A missing file is not locked. Takes nothing.
pub fn locked_by(path: &Path) -> io::Result<Option<User>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut ask = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0, // To the end, wherever that is.
        l_pid: 0, // Must be 0 for OFD locks.
    };
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut ask))?;
    if libc::c_int::from(ask.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    // -1: a lock of an open file description, which belongs to no process.
    let pid = Some(ask.l_pid).filter(|pid| *pid > 0);
    Ok(Some(User { pid, name: pid.and_then(name) }))
}

/// Another process that has `path` open, as far as `/proc` shows: all for root, else our user's.
pub fn opened_by(path: &Path) -> Option<User> {
    let wanted = fs::metadata(path).ok()?;
    let me = std::process::id().to_string();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let text = entry.file_name().into_string().ok().filter(|text| *text != me)?;
        let pid: i32 = text.parse().ok()?;
        let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        open.any(|fd| {
            fs::metadata(fd.path())
                .is_ok_and(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
        })
        .then(|| User { pid: Some(pid), name: name(pid) })
    })
}

fn name(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn who_has_a_file_open_is_named() {
        let dir = std::env::temp_dir().join(format!("stepflow-disk-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("file");
        fs::write(&path, "x").unwrap();
        sync_filesystem(&dir).unwrap();
        assert_eq!((opened_by(&path), locked_by(&path).unwrap()), (None, None));

        let file = File::open(&path).unwrap();
        assert_eq!(opened_by(&path), None, "we ourselves do not count");
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::from(file)).spawn().unwrap();
        let user = opened_by(&path).unwrap();
        assert_eq!(user.pid, Some(child.id() as i32));
        child.kill().unwrap();
        child.wait().unwrap();

        let held = crate::lock::Lock::try_take(&path).unwrap().unwrap();
        assert_eq!(locked_by(&path).unwrap(), Some(User { pid: None, name: None }));
        drop(held);
        assert_eq!(locked_by(&path).unwrap(), None);
        fs::remove_dir_all(&dir).unwrap();
    }
}
