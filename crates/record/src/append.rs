//! A file that is only ever appended to, and closed while nobody does.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Appends to one file of a record. Whoever writes many records at once closes those that are idle:
/// the next write opens the file again.
#[derive(Debug)]
pub(crate) struct Appender {
    name: &'static str,
    file: Option<File>,
}

impl Appender {
    /// Creates the file; it must not be there.
    pub(crate) fn create(dir: &Path, name: &'static str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(dir.join(name))?;
        Ok(Self { name, file: Some(file) })
    }

    /// Creates the file unless it is there.
    pub(crate) fn create_or_open(dir: &Path, name: &'static str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(dir.join(name))?;
        Ok(Self { name, file: Some(file) })
    }

    /// For a file that is there.
    pub(crate) fn closed(name: &'static str) -> Self {
        Self { name, file: None }
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
        file.write(bytes)
    }

    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }
}
