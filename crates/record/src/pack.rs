//! A compressed log, written: output in, frames out, tables at the end.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    RecordError,
    filter::{FilteredBlock, GROUP_BLOCKS, GroupPlace, encode_group, encode_places},
    index::{ENTRY_BYTES, Entry},
    packed::{
        FOOTER_BYTES, FRAME_BYTES, MAGIC, PIECE_ENTRIES, SKIPPABLE, SKIPPABLE_HEAD, Summary,
        VERSION, section, to_planes,
    },
};

/// Compression level. Measured with `zstd -b1 -e6 -B262144`, blocks as large as our frames, on 8.6 MB
/// of `git log -p` and 0.6 MB of logs of dpkg and apt: level 1 makes them 3.38 and 9.05 times smaller,
/// 2: 3.55 and 9.23, 3: 3.61 and 9.22, 4: 3.82 and 9.73, 5: 3.89 and 9.85, 6: 3.92 and 10.08. Level 4
/// takes about twice the time of 3, and 6 three to seven times, for 6 to 9 % less; level 1 saves half
/// of the time and costs 2 to 7 %.
const LEVEL: i32 = 3;

/// Writes `output.log.zst`. Memory: one frame, one piece of the index, the tables.
pub(crate) struct Packer {
    path: PathBuf,
    file: BufWriter<File>,
    compressor: zstd::bulk::Compressor<'static>,
    /// Bytes of the file so far.
    at: u64,
    frame: Vec<u8>,
    compressed: Vec<u8>,
    frames: Vec<u8>,
    entries: Vec<u8>,
    /// Compressed pieces wait in the table's order until all frames are written: they are spilled
    /// to a file without a name.
    pieces: Pieces,
    filters: Filters,
    bytes: u64,
    count: u64,
    output_digest: Sha256,
    index_digest: Sha256,
}

struct Pieces {
    spilled: File,
    bytes: u64,
    /// Place among the spilled ones, size, checksum, last entry.
    table: Vec<(u64, u32, u32, [u8; ENTRY_BYTES as usize])>,
}

/// Filters wait among the spilled pieces.
#[derive(Default)]
struct Filters {
    /// Those of the group that is being gathered.
    blocks: Vec<FilteredBlock>,
    /// `place` is the one among what was spilled.
    groups: Vec<GroupPlace>,
}

impl Packer {
    /// Begins the file `path`, over one that was left there.
    pub(crate) fn create(path: &Path) -> Result<Self, RecordError> {
        let error = || RecordError::io("create", path);
        let mut options = OpenOptions::new();
        let made = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = made.map_err(error())?;
        let spilled = spill_beside(path).map_err(error())?;
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(error())?;
        compressor.include_checksum(true).map_err(error())?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(FRAME_BYTES, file),
            compressor,
            at: 0,
            frame: Vec::with_capacity(FRAME_BYTES),
            compressed: vec![0; zstd::zstd_safe::compress_bound(FRAME_BYTES)],
            frames: Vec::new(),
            entries: Vec::new(),
            pieces: Pieces { spilled, bytes: 0, table: Vec::new() },
            filters: Filters::default(),
            bytes: 0,
            count: 0,
            output_digest: Sha256::new(),
            index_digest: Sha256::new(),
        })
    }

    /// The next bytes of the output.
    pub(crate) fn output(&mut self, mut bytes: &[u8]) -> Result<(), RecordError> {
        self.output_digest.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let take = bytes.len().min(FRAME_BYTES - self.frame.len());
            self.frame.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.frame.len() == FRAME_BYTES {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    /// The next entry of the index.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), RecordError> {
        let encoded = entry.encode();
        self.index_digest.update(encoded);
        self.count += 1;
        self.entries.extend_from_slice(&encoded);
        if self.entries.len() == PIECE_ENTRIES * ENTRY_BYTES as usize {
            self.end_piece()?;
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), RecordError> {
        let size = self
            .compressor
            .compress_to_buffer(&self.frame, &mut self.compressed[..])
            .map_err(RecordError::io("compress into", &self.path))?;
        let crc = crc32c::crc32c(&self.compressed[..size]);
        self.frames.extend_from_slice(&(size as u32).to_le_bytes());
        self.frames.extend_from_slice(&crc.to_le_bytes());
        self.frame.clear();
        self.at += size as u64;
        self.file.write_all(&self.compressed[..size]).map_err(RecordError::io("write", &self.path))
    }

    fn end_piece(&mut self) -> Result<(), RecordError> {
        let mut last = [0; ENTRY_BYTES as usize];
        last.copy_from_slice(&self.entries[self.entries.len() - ENTRY_BYTES as usize..]);
        let piece = self
            .compressor
            .compress(&to_planes(&self.entries))
            .map_err(RecordError::io("compress into", &self.path))?;
        let (size, crc) = (piece.len() as u32, crc32c::crc32c(&piece));
        let place = self.spill(&piece)?;
        self.pieces.table.push((place, size, crc, last));
        self.entries.clear();
        Ok(())
    }

    /// Keeps bytes until all frames are written. Returns their place among what was spilled.
    fn spill(&mut self, bytes: &[u8]) -> Result<u64, RecordError> {
        self.pieces.spilled.write_all(bytes).map_err(RecordError::io("write", &self.path))?;
        self.pieces.bytes += bytes.len() as u64;
        Ok(self.pieces.bytes - bytes.len() as u64)
    }

    /// The next block's filter.
    pub(crate) fn filter(&mut self, block: FilteredBlock) -> Result<(), RecordError> {
        self.filters.blocks.push(block);
        if self.filters.blocks.len() == GROUP_BLOCKS { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<(), RecordError> {
        let Some(first) = self.filters.blocks.first() else { return Ok(()) };
        let (offset, line) = (first.offset, first.line);
        let content = encode_group(&self.filters.blocks);
        let (size, crc) = (content.len() as u32, crc32c::crc32c(&content));
        let place = self.spill(&content)?;
        self.filters.groups.push(GroupPlace { place, size, crc, offset, line });
        self.filters.blocks.clear();
        Ok(())
    }

    /// Writes what is left and the tables, and syncs the file.
    pub(crate) fn finish(mut self) -> Result<Summary, RecordError> {
        if !self.frame.is_empty() {
            self.end_frame()?;
        }
        if !self.entries.is_empty() {
            self.end_piece()?;
        }
        self.end_group()?;
        let summary = Summary {
            bytes: self.bytes,
            entries: self.count,
            sha256: self.output_digest.clone().finalize().into(),
            index_sha256: self.index_digest.clone().finalize().into(),
        };
        let table = self.append_pieces()?;
        let filters = self.append_filters()?;
        let mut frames = (FRAME_BYTES as u32).to_le_bytes().to_vec();
        frames.extend_from_slice(&[0; 4]);
        frames.append(&mut self.frames);
        let mut directory = Vec::new();
        let mut sections = vec![
            (section::FRAMES, frames),
            (section::PIECES, table),
            (section::SUMMARY, summary.encode()),
        ];
        sections.extend(filters.map(|filters| (section::FILTERS, filters)));
        for (kind, content) in sections {
            let offset = self.skippable(&content)?;
            directory.extend_from_slice(&kind.to_le_bytes());
            directory.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(&(content.len() as u64).to_le_bytes());
            directory.extend_from_slice(&[0; 8]);
        }
        let offset = self.skippable(&directory)?;
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend_from_slice(&offset.to_le_bytes());
        footer.extend_from_slice(&(directory.len() as u64).to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&directory).to_le_bytes());
        footer.extend_from_slice(&[0; 4]);
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        self.skippable(&footer)?;
        self.file.flush().map_err(RecordError::io("write", &self.path))?;
        self.file.get_ref().sync_all().map_err(RecordError::io("sync", &self.path))?;
        Ok(summary)
    }

    fn read_back(&self, place: u64, size: u32) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![0; size as usize];
        self.pieces
            .spilled
            .read_exact_at(&mut bytes, place)
            .map_err(RecordError::io("read back", &self.path))?;
        Ok(bytes)
    }

    /// Moves the filters behind the pieces, and returns the section that says where they are.
    fn append_filters(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let mut groups = std::mem::take(&mut self.filters.groups);
        for group in &mut groups {
            let content = self.read_back(group.place, group.size)?;
            group.place = self.skippable(&content)?;
        }
        Ok((!groups.is_empty()).then(|| encode_places(&groups)))
    }

    /// Moves the pieces behind the frames, and returns their table.
    fn append_pieces(&mut self) -> Result<Vec<u8>, RecordError> {
        let mut table = (PIECE_ENTRIES as u32).to_le_bytes().to_vec();
        table.extend_from_slice(&[0; 4]);
        for (place, size, crc, last) in std::mem::take(&mut self.pieces.table) {
            let piece = self.read_back(place, size)?;
            let offset = self.skippable(&piece)?;
            table.extend_from_slice(&offset.to_le_bytes());
            table.extend_from_slice(&size.to_le_bytes());
            table.extend_from_slice(&crc.to_le_bytes());
            table.extend_from_slice(&last);
        }
        Ok(table)
    }

    /// Appends a frame that decompressors skip. Returns where its content begins.
    fn skippable(&mut self, content: &[u8]) -> Result<u64, RecordError> {
        let mut head = [0; SKIPPABLE_HEAD as usize];
        head[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
        let size = u32::try_from(content.len()).map_err(|_| RecordError::Damaged {
            path: self.path.clone(),
            why: "a table of it is larger than 4 GiB".to_owned(),
        })?;
        head[4..].copy_from_slice(&size.to_le_bytes());
        self.file
            .write_all(&head)
            .and_then(|()| self.file.write_all(content))
            .map_err(RecordError::io("write", &self.path))?;
        let offset = self.at + SKIPPABLE_HEAD;
        self.at = offset + content.len() as u64;
        Ok(offset)
    }
}

/// A file that goes when it is closed, on the file system of `path`.
fn spill_beside(path: &Path) -> std::io::Result<File> {
    let name = path.with_extension("index");
    let mut options = OpenOptions::new();
    let made = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&name);
    let file = made?;
    std::fs::remove_file(&name)?;
    Ok(file)
}
