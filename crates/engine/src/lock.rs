//! Who writes: the holder of `database/writer.lock`.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
};

use stepflow_record::Storage;
use stepflow_sys::lock::Lock;

/// The right to write catalog and notes of one storage.
#[derive(Debug)]
pub struct WriterLock {
    lock: Lock,
    /// Another process has it as well, and has written its own id.
    given: bool,
}

impl WriterLock {
    /// Takes it and writes our process id into it; `Ok(None)` if somebody else holds it.
    pub fn try_take(storage: &Storage) -> io::Result<Option<Self>> {
        let Some(lock) = Lock::try_take(&storage.writer_lock())? else { return Ok(None) };
        Ok(Some(Self::noted(lock)?))
    }

    /// Takes it over from the process that holds it and has sent `fd`: it is never free.
    ///
    /// # Errors
    /// `InvalidInput`: `fd` is not this storage's lock, or does not hold it.
    pub fn receive(storage: &Storage, fd: OwnedFd) -> io::Result<Self> {
        Self::noted(Lock::received(fd, &storage.writer_lock())?)
    }

    /// The descriptor, to be sent to another process. From here on the note in the file is left to
    /// that process; [`WriterLock::keep`] takes it back.
    pub fn give(&mut self) -> BorrowedFd<'_> {
        self.given = true;
        self.lock.as_fd()
    }

    /// Nobody else has it any more.
    pub fn keep(self) -> io::Result<Self> {
        let mut kept = self;
        note(&kept.lock)?;
        kept.given = false;
        Ok(kept)
    }

    fn noted(lock: Lock) -> io::Result<Self> {
        match note(&lock) {
            // Who holds it is for people: on a full disk a look must still be possible.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            noted => noted?,
        }
        Ok(Self { lock, given: false })
    }

    /// The process that holds it, as far as the file tells.
    pub fn holder(storage: &Storage) -> Option<u32> {
        holder(&storage.writer_lock())
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        if !self.given {
            let _ = self.lock.file().set_len(0); // Who comes next writes its own id anyway.
        }
    }
}

/// The network file system that `path` is on, if it is one: SQLite's locks and shared memory do not
/// hold there between hosts.
pub(crate) fn network_file_system(path: &Path) -> Option<&'static str> {
    network(nix::sys::statfs::statfs(path).ok()?.filesystem_type().0)
}

/// By the magic number of a file system, as `statfs(2)` lists them. FUSE may be anything, also local.
fn network(magic: i64) -> Option<&'static str> {
    Some(match magic as u32 {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x7375_7245 => "Coda",
        _ => return None,
    })
}

/// Writes our process id into it.
fn note(lock: &Lock) -> io::Result<()> {
    let file = lock.file();
    file.set_len(0)?;
    file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)
}

fn holder(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let lock = WriterLock::try_take(&storage).unwrap().unwrap();
        assert!(WriterLock::try_take(&storage).unwrap().is_none());
        assert_eq!(WriterLock::holder(&storage), Some(std::process::id()));
        drop(lock);
        assert_eq!(WriterLock::holder(&storage), None);
        assert!(WriterLock::try_take(&storage).unwrap().is_some());
    }

    #[test]
    fn network_file_systems_are_known_and_local_ones_are_none() {
        for (magic, name) in [
            (0x6969, "NFS"),
            (0xff53_4d42, "CIFS"),
            (0xfe53_4d42, "SMB2"),
            // As a signed 32-bit number, which some kernels' structures have.
            (i64::from(0xfe53_4d42_u32 as i32), "SMB2"),
            (0x00c3_6400, "Ceph"),
        ] {
            assert_eq!(network(magic), Some(name), "{magic:#x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, FUSE.
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x6573_5546] {
            assert_eq!(network(magic), None, "{magic:#x}");
        }
        assert_eq!(network_file_system(std::env::temp_dir().as_path()), None);
    }

    #[test]
    fn a_lock_that_was_given_stays_held_and_its_note_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        let mut lock = WriterLock::try_take(&storage).unwrap().unwrap();
        let sent = lock.give().try_clone_to_owned().unwrap();
        let received = WriterLock::receive(&storage, sent).unwrap();
        drop(lock);
        assert_eq!(WriterLock::holder(&storage), Some(std::process::id()));
        assert!(WriterLock::try_take(&storage).unwrap().is_none());
        let kept = received.keep().unwrap();
        drop(kept);
        assert_eq!(WriterLock::holder(&storage), None);
        let file = fs::File::open(storage.writer_lock()).unwrap();
        let refused = WriterLock::receive(&storage, file.into()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
}
