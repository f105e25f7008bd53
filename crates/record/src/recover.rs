//! After a crash: keep what checksums prove, mark what they do not, set the rest aside.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use stepflow_model::EventKind;

use crate::{
    RecordError, gap,
    index::{ENTRY_BYTES, Entry, Flags, HEADER},
    journal::{self, JournalReader},
    layout::sync_dir,
    read::ENTRY_OUTPUT_LIMIT,
    short,
};

/// Output without an entry is indexed in pieces of this size.
const PIECE: usize = 64 * 1024;

/// What a recovery found. All zero: the record was whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Output bytes without an entry: kept, marked unverified.
    pub unverified_bytes: u64,
    /// Bytes of index and journal set aside in `*.aside`.
    pub set_aside_bytes: u64,
    /// Output bytes whose checksum does not hold, marked unverified.
    pub damaged_bytes: u64,
}

/// Brings a record whose recorder is gone into a consistent state. The caller holds its claim.
/// Running it again changes nothing.
pub fn recover(dir: &Path) -> Result<Recovery, RecordError> {
    let mut recovery = Recovery::default();
    if let Some((output, index)) = recover_output(dir, &mut recovery)? {
        let path = dir.join("output.idx");
        index
            .sync_all()
            .and_then(|()| output.sync_all())
            .map_err(RecordError::io("sync", &path))?;
    }
    recover_journal(dir, &mut recovery)?;
    complete_gap(dir)?;
    sync_dir(dir)?;
    Ok(recovery)
}

/// [`recover`] for a record that will be written on, by somebody who makes it durable together with
/// many others: what was found whole is not synced here.
pub fn recover_to_resume(dir: &Path) -> Result<Recovery, RecordError> {
    let mut recovery = Recovery::default();
    recover_output(dir, &mut recovery)?;
    recover_journal(dir, &mut recovery)?;
    complete_gap(dir)?;
    Ok(recovery)
}

/// What the journal says of dropped output holds, also where the writer was killed before the mark.
fn complete_gap(dir: &Path) -> Result<(), RecordError> {
    let told =
        journal::read_journal(dir)?.into_iter().rev().find_map(|(_, event)| match event.kind {
            EventKind::OutputDropped { dropped, .. } => Some(dropped),
            _ => None,
        });
    let marked = gap::load(dir)?.map_or(0, |gone| gone.to);
    match told {
        Some(dropped) if dropped.to > marked => gap::store(dir, dropped),
        _ => Ok(()),
    }
}

/// Sets aside the journal from offset `keep` on, where a line begins.
pub fn cut_journal(dir: &Path, keep: u64) -> Result<(), RecordError> {
    let path = dir.join(journal::NAME);
    match open(&path)? {
        Some(file) => set_aside(&file, &path, keep, &mut Recovery::default()),
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<Option<File>, RecordError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::io("open", path)(error)),
    }
}

fn recover_output(
    dir: &Path,
    recovery: &mut Recovery,
) -> Result<Option<(File, File)>, RecordError> {
    let output_path = dir.join("output.log");
    let index_path = dir.join("output.idx");
    let Some(output) = open(&output_path)? else { return Ok(None) };
    let index = if let Some(index) = open(&index_path)? {
        index
    } else {
        let kept = short::load(dir).unwrap_or_default().unwrap_or_default();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let made = options.open(&index_path);
        let index = made.map_err(RecordError::io("create", &index_path))?;
        index.write_all_at(&kept, 0).map_err(RecordError::io("write", &index_path))?;
        index
    };
    let read_output = RecordError::io("read", &output_path);
    let size = output.metadata().map_err(read_output)?.len();
    let index_size = index.metadata().map_err(RecordError::io("read", &index_path))?.len();

    let mut header = [0; 32];
    let header_good = index_size >= ENTRY_BYTES
        && index.read_exact_at(&mut header, 0).is_ok()
        && header == HEADER;
    let gone = gap::load(dir)?;
    let mut good = 0; // Entries that stay.
    let mut last = Entry { byte_end: 0, line_end: 0, time_ns: 0, flags: Flags::default(), crc: 0 };
    if header_good {
        let mut suspects: Vec<(u64, Entry, u64, u32)> = Vec::new();
        let mut previous = last;
        let mut buffer = Vec::new();
        for at in 0..index_size / ENTRY_BYTES - 1 {
            let mut bytes = [0; ENTRY_BYTES as usize];
            index
                .read_exact_at(&mut bytes, (at + 1) * ENTRY_BYTES)
                .map_err(RecordError::io("read", &index_path))?;
            let entry = Entry::decode(bytes);
            let len = entry.byte_end.wrapping_sub(previous.byte_end);
            let plausible = entry.byte_end > previous.byte_end
                && entry.byte_end <= size
                && entry.line_end >= previous.line_end
                && entry.line_end - previous.line_end <= len + 1
                && len <= ENTRY_OUTPUT_LIMIT;
            if !plausible {
                break; // A torn, zero-filled or garbage tail, or an index ahead of its output.
            }
            buffer.resize(len as usize, 0);
            output
                .read_exact_at(&mut buffer, previous.byte_end)
                .map_err(RecordError::io("read", &output_path))?;
            // Of what is gone by policy there is nothing to be proven.
            let is_gone = gone.is_some_and(|gone| gone.holds(previous.byte_end));
            if is_gone || entry.proves(&buffer) {
                // What came before a proven entry is damage in the middle, not a tail.
                for (at, mut entry, len, output_crc) in suspects.drain(..) {
                    recovery.damaged_bytes += len;
                    entry.flags.0 |= Flags::UNVERIFIED;
                    // Sealed anew, it proves that this is what was found, not that it is right.
                    entry.seal(output_crc, len);
                    index
                        .write_all_at(&entry.encode(), (at + 1) * ENTRY_BYTES)
                        .map_err(RecordError::io("write", &index_path))?;
                }
                good = at + 1;
                last = entry;
            } else {
                suspects.push((at, entry, len, crc32c::crc32c(&buffer)));
            }
            previous = entry;
        }
    }
    let keep = if header_good { (good + 1) * ENTRY_BYTES } else { 0 };
    set_aside(&index, &index_path, keep, recovery)?;
    if !header_good {
        index.write_all_at(&HEADER, 0).map_err(RecordError::io("write", &index_path))?;
    }
    complete(&output, &index, good, last, size, recovery)
        .map_err(RecordError::io("complete", &index_path))?;
    Ok(Some((output, index)))
}

/// Indexes the output behind the last good entry.
fn complete(
    output: &File,
    index: &File,
    mut entries: u64,
    mut last: Entry,
    size: u64,
    recovery: &mut Recovery,
) -> io::Result<()> {
    while last.byte_end < size {
        let len = (size - last.byte_end).min(PIECE as u64);
        let mut piece = vec![0; len as usize];
        output.read_exact_at(&mut piece, last.byte_end)?;
        let mut entry = Entry {
            byte_end: last.byte_end + len,
            line_end: last.line_end + memchr::memchr_iter(b'\n', &piece).count() as u64,
            time_ns: last.time_ns,
            flags: Flags(Flags::UNVERIFIED | (last.flags.0 & Flags::STDERR)),
            crc: 0,
        };
        entry.seal(crc32c::crc32c(&piece), len);
        entries += 1;
        index.write_all_at(&entry.encode(), entries * ENTRY_BYTES)?;
        recovery.unverified_bytes += len;
        last = entry;
    }
    Ok(())
}

fn recover_journal(dir: &Path, recovery: &mut Recovery) -> Result<(), RecordError> {
    let path = dir.join(journal::NAME);
    let Some(mut file) = open(&path)? else { return Ok(()) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(RecordError::io("read", &path))?;
    // Up to the first line that does not prove itself: later events could hang in the air.
    let mut keep = 0;
    while let Some(end) = memchr::memchr(b'\n', &bytes[keep..]) {
        if journal::proven(&bytes[keep..keep + end]).is_none() {
            break;
        }
        keep += end + 1;
    }
    set_aside(&file, &path, keep as u64, recovery)?;
    if let Some(mut journal) = JournalReader::open(dir)? {
        journal.read_new()?; // A newer format is an error here, not a surprise later.
    }
    Ok(())
}

/// Moves what stands behind `keep` to `<name>.aside`, synced before it is cut off.
fn set_aside(
    file: &File,
    path: &Path,
    keep: u64,
    recovery: &mut Recovery,
) -> Result<(), RecordError> {
    let size = file.metadata().map_err(RecordError::io("look at", path))?.len();
    if size <= keep {
        // What its recorder kept behind the end for a full disk is not needed any more.
        let _ = stepflow_sys::disk::give_room_back(file);
        return Ok(());
    }
    let mut tail = vec![0; (size - keep) as usize];
    file.read_exact_at(&mut tail, keep).map_err(RecordError::io("read", path))?;
    let mut aside_path = path.as_os_str().to_owned();
    aside_path.push(".aside");
    let aside_path = Path::new(&aside_path);
    let mut aside = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(aside_path)
        .map_err(RecordError::io("create", aside_path))?;
    aside
        .write_all(&tail)
        .and_then(|()| aside.sync_all())
        .map_err(RecordError::io("write", aside_path))?;
    file.set_len(keep).and_then(|()| file.sync_all()).map_err(RecordError::io("cut", path))?;
    recovery.set_aside_bytes += size - keep;
    Ok(())
}
