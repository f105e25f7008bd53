//! Room that must be left on the disk before a new execution is accepted.

use std::path::PathBuf;

use stepflow_sys::disk;

use crate::Storage;

/// Most that is wanted unless somebody says otherwise: 256 MiB.
const USUAL_MAX: u64 = 256 << 20;
/// And of a small disk no more than this part.
const USUAL_PART: u64 = 100;

/// How many bytes must be free before a new execution is accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinFree {
    /// 256 MiB, but no more than a hundredth of the file system.
    #[default]
    Usual,
    /// So many; 0: new executions are never refused.
    Bytes(u64),
}

/// There is too little room for a new execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the disk of `{path}` has {free} bytes free, and a new execution needs {wanted}")]
pub struct NoRoom {
    /// The storage.
    pub path: PathBuf,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that must be.
    pub wanted: u64,
}

impl MinFree {
    /// So many bytes, on a file system of `all`.
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::Usual => USUAL_MAX.min(all / USUAL_PART),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Storage {
    /// Whether there is room for a new execution. A disk that cannot be asked has some: writing will
    /// show. Executions that were accepted are not asked again.
    pub fn check_room(&self, least: MinFree) -> Result<(), NoRoom> {
        let Ok((free, all)) = disk::space(self.root()) else { return Ok(()) };
        let wanted = least.of(all);
        if free >= wanted {
            return Ok(());
        }
        Err(NoRoom { path: self.root().to_owned(), free, wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_needs_less_and_nothing_is_needed_where_it_is_off() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path()).unwrap();
        assert_eq!(MinFree::Usual.of(1 << 40), 256 << 20);
        assert_eq!(MinFree::Usual.of(16 << 20), (16 << 20) / 100);
        storage.check_room(MinFree::Bytes(0)).unwrap();
        let refused = storage.check_room(MinFree::Bytes(u64::MAX)).unwrap_err();
        assert_eq!(refused.wanted, u64::MAX);
        assert!(refused.to_string().contains(&format!("{} bytes free", refused.free)));
    }
}
