//! A file that is only ever appended to, and closed while nobody does.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use stepflow_sys::disk;

/// Appends to one file of a record. Whoever writes many records at once closes those that are idle:
/// the next write opens the file again.
#[derive(Debug)]
pub(crate) struct Appender {
    name: &'static str,
    file: Option<File>,
    /// Bytes to keep behind the end, for when the disk is full; 0: none.
    reserve: u64,
    /// How many of them are left.
    left: u64,
}

impl Appender {
    /// Creates the file; it must not be there.
    pub(crate) fn create(dir: &Path, name: &'static str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(dir.join(name))?;
        Ok(Self { name, file: Some(file), reserve: 0, left: 0 })
    }

    /// Creates the file unless it is there.
    pub(crate) fn create_or_open(dir: &Path, name: &'static str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(dir.join(name))?;
        Ok(Self { name, file: Some(file), reserve: 0, left: 0 })
    }

    /// For a file that is there.
    pub(crate) fn closed(name: &'static str) -> Self {
        Self { name, file: None, reserve: 0, left: 0 }
    }

    /// The file, opened if it was closed. Never created: a record that somebody removed stays
    /// removed.
    pub(crate) fn file(&mut self, dir: &Path) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(dir.join(self.name))?,
        };
        Ok(self.file.insert(file))
    }

    pub(crate) fn write(&mut self, dir: &Path, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.file(dir)?;
        let written = file.write(bytes)?;
        if self.reserve > 0 {
            self.left = self.left.saturating_sub(written as u64);
            self.fill_reserve();
        }
        Ok(written)
    }

    /// From now on keeps room for at least `bytes` behind the end. A disk that has none now is asked
    /// again with each write; a file system that cannot keep any is not.
    pub(crate) fn reserve(&mut self, bytes: u64) {
        if bytes > self.reserve {
            self.reserve = bytes;
            self.keep();
        }
    }

    /// Keeps all of it again. Whether there is as much as was asked for, or can be none.
    pub(crate) fn refill_reserve(&mut self) -> bool {
        self.keep();
        self.left == self.reserve
    }

    /// How much of what is kept is left.
    pub(crate) fn room(&self) -> u64 {
        self.left
    }

    fn fill_reserve(&mut self) {
        if self.left <= self.reserve / 2 {
            self.keep();
        }
    }

    fn keep(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.reserve > 0) else { return };
        match disk::keep_room(file, self.left, self.reserve) {
            Ok(()) => self.left = self.reserve,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                (self.reserve, self.left) = (0, 0);
            }
            Err(_) => {}
        }
    }

    /// Gives back what was kept: nothing more will be written.
    pub(crate) fn give_reserve_back(&mut self) {
        if std::mem::take(&mut self.reserve) > 0
            && let Some(file) = &self.file
        {
            let _ = disk::give_room_back(file); // A little more is taken up on the disk, that is all.
        }
    }

    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }
}
