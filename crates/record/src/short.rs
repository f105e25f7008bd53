//! The index of a short log, kept in the journal's end: one file less for most executions.
//!
//! A file takes at least a block of 4 KiB. A script that prints a dozen lines has an index of a few
//! hundred bytes, which fits behind the events in the journal's first block. So the end carries the
//! entries themselves, beside the digest over them, and once it is durable `output.idx` is removed.
//! Until then, and wherever it is there, `output.idx` is the index.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use stepflow_model::EventKind;

use crate::{
    RecordError,
    index::{ENTRY_BYTES, Entry, Flags, HEADER},
    journal,
    write::{ENTRY_OUTPUT_MAX, hex},
};

/// An index of more entries stays a file.
pub(crate) const ENTRIES_MAX: usize = 24;
/// Output of more bytes has more entries, each of which takes at most three times the usual.
const OUTPUT_BYTES_MAX: u64 = ENTRIES_MAX as u64 * 3 * ENTRY_OUTPUT_MAX;
/// What the end takes in the journal without the index, about.
const END_BYTES: u64 = 600;
const BLOCK_BYTES: u64 = 4096;
/// A journal that carries an index is no longer; others are not looked through.
const JOURNAL_BYTES_MAX: u64 = 1 << 20;

/// An index, wherever it is.
#[derive(Debug)]
pub(crate) enum Index {
    /// `output.idx`.
    File(File),
    /// The journal's end has it: the same bytes, header included.
    Kept(Vec<u8>),
    /// Neither has it: what a recovery would make of the output, none of it verified.
    Lost(Vec<u8>),
}

impl Index {
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => file.metadata().map(|meta| meta.len()),
            Self::Kept(bytes) | Self::Lost(bytes) => Ok(bytes.len() as u64),
        }
    }

    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, at),
            Self::Kept(bytes) | Self::Lost(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                let piece = rest.and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(piece.ok_or(ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// The entries as the end carries them, if that spares a block: `journal` is the length of the
/// journal before the end.
pub(crate) fn carried(entries: &[u8], journal: u64) -> Option<String> {
    let blocks = |more: u64| (journal + END_BYTES + more).div_ceil(BLOCK_BYTES);
    (blocks(entries.len() as u64 * 2) == blocks(0)).then(|| hex(entries))
}

/// The index that the journal in `dir` carries, as `output.idx` had it.
pub(crate) fn load(dir: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    let path = dir.join(journal::NAME);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() <= JOURNAL_BYTES_MAX => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RecordError::io("look at", &path)(error)),
    }
    let carried = journal::read_journal(dir)?.into_iter().rev().find_map(|(_, event)| {
        let EventKind::Exited { index, .. } = event.kind else { return None };
        index
    });
    let Some(index) = carried else { return Ok(None) };
    let damaged = || RecordError::Damaged {
        path: path.clone(),
        why: "the index that its end carries is not one".to_owned(),
    };
    let mut bytes = HEADER.to_vec();
    bytes.extend(unhex(&index).ok_or_else(damaged)?);
    if !(bytes.len() as u64).is_multiple_of(ENTRY_BYTES) {
        return Err(damaged());
    }
    Ok(Some(bytes))
}

/// An index for output whose own is gone with a damaged end: as [`crate::recover`] makes one, but that
/// nothing is written. `None`: there is no output, or more than a short log has.
pub(crate) fn made_up(output: &File) -> io::Result<Option<Vec<u8>>> {
    let size = output.metadata()?.len();
    if size == 0 || size > OUTPUT_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = HEADER.to_vec();
    let (mut from, mut line_end) = (0, 0);
    while from < size {
        let mut piece = vec![0; (size - from).min(ENTRY_OUTPUT_MAX) as usize];
        output.read_exact_at(&mut piece, from)?;
        from += piece.len() as u64;
        line_end += memchr::memchr_iter(b'\n', &piece).count() as u64;
        let flags = Flags(Flags::UNVERIFIED);
        let mut entry = Entry { byte_end: from, line_end, time_ns: 0, flags, crc: 0 };
        entry.seal_over(&piece);
        bytes.extend_from_slice(&entry.encode());
    }
    Ok(Some(bytes))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[a, b]| Some((digit(*a)? << 4 | digit(*b)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_carried_where_that_spares_a_block() {
        let entries = [0xab; 10 * ENTRY_BYTES as usize];
        let text = carried(&entries, 2000).unwrap();
        assert_eq!(unhex(&text).unwrap(), entries);
        assert_eq!(carried(&entries, 3400), None, "the journal would need another block");
        assert!(carried(&entries, 4000).is_some(), "it needs it anyway");
        assert_eq!((unhex("abc"), unhex("zz")), (None, None));
    }
}
