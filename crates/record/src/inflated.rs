//! What was inflated of compressed logs, kept for a moment: a few megabytes for the whole process,
//! however many viewers there are.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use crate::RecordError;

/// Bytes that are kept for everybody: 32 frames.
const SHARED_BYTES: usize = 8 << 20;

/// A file as it was when it was opened: device, inode, time of its last change (s, ns).
pub(crate) type Identity = (u64, u64, i64, i64);

/// What was inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    /// Of the output.
    Frame(u64),
    /// Of the index.
    Piece(u64),
}

/// The blocks that were used last.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last stands last.
    blocks: VecDeque<(Identity, Block, Arc<[u8]>)>,
    bytes: usize,
}

impl Cache {
    /// Everybody's.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Cache>> = LazyLock::new(|| Cache::new(SHARED_BYTES));
        Arc::clone(&SHARED)
    }

    /// One for who must see what the disk has now, and reads in order.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, kept: Mutex::default() })
    }

    /// A block, inflated by `make` if it is not there. Two that ask for the same at once may both
    /// inflate it: nobody waits for another's disk.
    pub(crate) fn get(
        &self,
        file: Identity,
        block: Block,
        make: impl FnOnce() -> Result<Vec<u8>, RecordError>,
    ) -> Result<Arc<[u8]>, RecordError> {
        if let Some(known) = self.known(file, block) {
            return Ok(known);
        }
        let made: Arc<[u8]> = make()?.into();
        let mut kept = self.kept();
        kept.bytes += made.len();
        kept.blocks.push_back((file, block, Arc::clone(&made)));
        while kept.bytes > self.bytes_max && kept.blocks.len() > 1 {
            let gone = kept.blocks.pop_front();
            kept.bytes -= gone.map_or(0, |(_, _, bytes)| bytes.len());
        }
        Ok(made)
    }

    fn known(&self, file: Identity, block: Block) -> Option<Arc<[u8]>> {
        let mut kept = self.kept();
        let same = |known: &(Identity, Block, _)| (known.0, known.1) == (file, block);
        let at = kept.blocks.iter().rposition(same)?;
        let found = kept.blocks.remove(at)?;
        let bytes = Arc::clone(&found.2);
        kept.blocks.push_back(found);
        Some(bytes)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_no_more_than_allowed() {
        let cache = Cache::new(100);
        let (a, b) = ((1, 1, 0, 0), (1, 2, 0, 0));
        let get = |file, number, fill: Option<u8>| {
            cache.get(file, Block::Frame(number), || {
                Ok(vec![fill.expect("it was dropped, or never there"); 40])
            })
        };
        assert_eq!(get(a, 0, Some(1)).unwrap()[0], 1);
        assert_eq!(get(b, 0, Some(2)).unwrap()[0], 2, "another file's is another block");
        assert_eq!(get(a, 0, None).unwrap()[0], 1);
        assert_eq!(get(a, 1, Some(3)).unwrap()[0], 3);
        assert_eq!(get(b, 0, Some(4)).unwrap()[0], 4, "the one not used for longest went");
        assert!(cache.kept().bytes <= 100);
    }
}
