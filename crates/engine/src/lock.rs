//! Who writes: the holder of `database/writer.lock`.

use std::{fs, io, os::unix::fs::FileExt, path::Path};

use stepflow_record::Storage;
use stepflow_sys::lock::Lock;

/// The right to write catalog and notes of one storage.
#[derive(Debug)]
pub struct WriterLock(Lock);

impl WriterLock {
    /// Takes it and writes our process id into it; `Ok(None)` if somebody else holds it.
    pub fn try_take(storage: &Storage) -> io::Result<Option<Self>> {
        let Some(lock) = Lock::try_take(&storage.writer_lock())? else { return Ok(None) };
        let file = lock.file();
        file.set_len(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Some(Self(lock)))
    }

    /// The process that holds it, as far as the file tells.
    pub fn holder(storage: &Storage) -> Option<u32> {
        holder(&storage.writer_lock())
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        let _ = self.0.file().set_len(0); // Who comes next writes its own id anyway.
    }
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
}
