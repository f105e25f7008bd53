//! Where the script's output arrives.

use std::{
    fs::File,
    io::{self, Read},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
};
use stepflow_model::Stream;
use stepflow_sys::{pty::PtyId, tree};

use super::{READ_BYTES, Session, terminal};
use crate::lifecycle::Input;

/// A pipe that brings at least this much, [`FULL_READS`] times running, is grown once, to
/// [`PIPE_BYTES`]: its writer is faster than 64 KiB at a time lets it be. (Waiting to see it quite
/// full would miss most of them: the reader takes while the writer fills.)
const BUSY_BYTES: usize = 16 * 1024;
const FULL_READS: u32 = 4;
const PIPE_BYTES: i32 = READ_BYTES as i32;

/// Where one of the script's streams arrives.
pub(super) struct Source {
    pub(super) stream: Stream,
    pub(super) file: File,
    output: Output,
    full_reads: u32,
    pub(super) ended: bool,
    /// Nobody had the terminal open; not looked at before this time.
    pub(super) again_at: Option<u64>,
}

/// What it arrives through: tells who still has the other end.
pub(super) enum Output {
    /// The pipe with this inode.
    Pipe(u64),
    Pty(PtyId),
}

impl Source {
    pub(super) fn new(stream: Stream, file: File, output: Output) -> Self {
        Self { stream, file, output, full_reads: 0, ended: false, again_at: None }
    }

    /// What there is, up to the length of `buffer`.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.output, Output::Pipe(_)) {
            return self.file.read(buffer);
        }
        // A terminal gives at most 4 KiB at a time.
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                // It is said again when there is nothing before it.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn grow_if_full(&mut self, count: usize) {
        if count < BUSY_BYTES {
            self.full_reads = 0;
            return;
        }
        self.full_reads += 1;
        if self.full_reads == FULL_READS {
            // EPERM: this user's share of pipe memory is used up; the pipe stays as it is.
            let _ = fcntl(&self.file, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        }
    }

    /// Whether `pid`, of the tree whose first process is `script`, has the other end.
    pub(super) fn is_held_by(&self, pid: i32, script: i32) -> bool {
        match self.output {
            Output::Pipe(inode) => tree::holds_pipe(pid, inode),
            Output::Pty(id) => id.is_held_by(pid, script),
        }
    }
}

impl Session {
    /// Takes what every open source has to give, at most a buffer of each.
    pub(super) fn read(&mut self, buffer: &mut [u8]) {
        let now = self.now();
        for at in 0..self.sources.len() {
            let source = &mut self.sources[at];
            // Once the script has ended, what nobody has open will not be opened again.
            if source.ended || source.again_at.is_some_and(|at| now < at && !self.main_exited) {
                continue;
            }
            if source.again_at.take().is_none() && !self.ready.has(&source.file) {
                continue;
            }
            match source.take(buffer) {
                Ok(0) => self.source_ended(at),
                Ok(count) => {
                    source.grow_if_full(count);
                    let stream = source.stream;
                    self.recording.take(stream, &buffer[..count]);
                }
                // A terminal that nobody has open. While the script runs it may open it again.
                Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                    if self.main_exited {
                        self.source_ended(at);
                    } else {
                        source.again_at = Some(now + terminal::AGAIN_US);
                    }
                }
                // Nothing there now, or interrupted: the next wait tells.
                Err(_) => {}
            }
        }
    }

    fn source_ended(&mut self, at: usize) {
        self.sources[at].ended = true;
        self.recording.end_stream(self.sources[at].stream);
        if self.sources.iter().all(|source| source.ended) {
            self.input(Input::OutputEnded);
        }
    }
}
