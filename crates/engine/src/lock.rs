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
