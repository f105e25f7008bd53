//! The file of a view: a header and pages of equal size. It holds nothing that the log does not
//! say: what does not prove itself is cut off and built anew.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use crate::{
    ViewError,
    page::{PAGE_BYTES, Page},
};

/// Grows with every change of the format, of the rules for levels and of widths.
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 64;
/// Pages read at once.
pub(crate) const BATCH: u64 = 32;
/// Without a file, this much is kept in memory: 6 million lines.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// The pages of one log, in a file, or in memory while there is no room for a file.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: Option<File>,
    memory: Vec<u8>,
    /// Pages in the file.
    filed: u64,
}

impl Store {
    /// Opens the file, or makes it. What it says of another log or version is thrown away.
    pub(crate) fn open(path: &Path) -> Self {
        let mut store = Self { path: path.to_owned(), file: None, memory: Vec::new(), filed: 0 };
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path);
        // No room, or no permission: a view without a file serves as well.
        let Ok(file) = opened else { return store };
        let mut header = [0; HEADER_BYTES];
        let known = file.read_exact_at(&mut header, 0).is_ok() && header == Self::header();
        let length = file.metadata().map_or(0, |meta| meta.len());
        if known {
            store.filed = length.saturating_sub(HEADER_BYTES as u64) / PAGE_BYTES as u64;
        } else if file.set_len(0).and_then(|()| file.write_all_at(&Self::header(), 0)).is_err() {
            return store;
        }
        // A page that was cut off by a crash.
        let whole = place(store.filed);
        if length != whole && known && file.set_len(whole).is_err() {
            return Self { filed: 0, ..store };
        }
        store.file = Some(file);
        store
    }

    fn header() -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..13].copy_from_slice(b"stepflow-view");
        header[16..20].copy_from_slice(&FORMAT.to_le_bytes());
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let length = version.len().min(32);
        header[20..20 + length].copy_from_slice(&version[..length]);
        let crc = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// How many pages there are.
    pub(crate) fn len(&self) -> u64 {
        self.filed + (self.memory.len() / PAGE_BYTES) as u64
    }

    /// Page `number`; `None`: it does not prove itself.
    pub(crate) fn page(&self, number: u64) -> Result<Option<Page>, ViewError> {
        let mut bytes = Vec::new();
        self.read(number, 1, &mut bytes)?;
        Ok(Page::decode(&bytes, number))
    }

    /// The bytes of `count` pages from `number` on, one behind the other.
    pub(crate) fn read(
        &self,
        number: u64,
        count: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ViewError> {
        bytes.clear();
        let in_file = self.filed.saturating_sub(number).min(count);
        if let (Some(file), 1..) = (&self.file, in_file) {
            bytes.resize(in_file as usize * PAGE_BYTES, 0);
            file.read_exact_at(bytes, place(number))
                .map_err(|source| ViewError::Read { path: self.path.clone(), source })?;
        }
        let first = (number + in_file - self.filed.min(number + in_file)) as usize * PAGE_BYTES;
        let length = (count - in_file) as usize * PAGE_BYTES;
        let end = (first + length).min(self.memory.len());
        bytes.extend_from_slice(self.memory.get(first..end).unwrap_or_default());
        Ok(())
    }

    /// Adds a page.
    pub(crate) fn push(&mut self, page: &Page) -> Result<(), ViewError> {
        let number = self.len();
        let bytes = page.encode(number);
        let written = match &self.file {
            Some(file) if self.memory.is_empty() => file.write_all_at(&bytes, place(number)),
            _ => Err(io::ErrorKind::StorageFull.into()),
        };
        match written {
            Ok(()) => self.filed += 1,
            // A full disk stops no viewer.
            Err(_) if self.memory.len() + PAGE_BYTES <= MEMORY_BYTES_MAX => {
                self.memory.extend_from_slice(&bytes);
            }
            Err(source) => return Err(ViewError::Write { path: self.path.clone(), source }),
        }
        Ok(())
    }

    /// Forgets all pages from `number` on.
    pub(crate) fn cut(&mut self, number: u64) {
        if number < self.filed {
            self.filed = number;
            if let Some(file) = &self.file
                && file.set_len(place(number)).is_err()
            {
                self.file = None;
                self.filed = 0;
            }
        }
        let kept = number.saturating_sub(self.filed) as usize * PAGE_BYTES;
        self.memory.truncate(kept);
    }
}

fn place(number: u64) -> u64 {
    HEADER_BYTES as u64 + number * PAGE_BYTES as u64
}
