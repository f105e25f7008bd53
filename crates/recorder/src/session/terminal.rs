//! The script's terminal: what is typed into it, and how large it is.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use stepflow_model::{Stream, TerminalSize};
use stepflow_sys::pty::Pty;

use super::{Output, Session, Source};
use crate::control::{Answer, STDIN_BYTES_MAX};

/// What was typed and the script has not taken. Past it the typist waits.
const TYPED_BYTES_MAX: usize = 64 * 1024;
/// A terminal that nobody has open may be opened again (`/dev/tty`): looked at this often.
pub(super) const AGAIN_US: u64 = 50_000;

/// Our side of the terminal.
pub(super) struct Terminal {
    pty: Pty,
    typed: VecDeque<u8>,
    last: u8,
}

impl Terminal {
    /// A terminal, its output, and the script's side.
    pub(super) fn open(size: TerminalSize) -> io::Result<(Self, Source, OwnedFd)> {
        let (pty, slave) = Pty::open(size.cols, size.rows)?;
        let source = Source::new(Stream::Stdout, pty.master.try_clone()?, Output::Pty(pty.id()));
        Ok((Self { pty, typed: VecDeque::new(), last: b'\n' }, source, slave))
    }

    /// The descriptor to wait on until there is room for what was typed.
    pub(super) fn waits_for_room(&self) -> Option<BorrowedFd<'_>> {
        (!self.typed.is_empty()).then(|| self.pty.master.as_fd())
    }

    /// Hands on what was typed, as far as there is room.
    pub(super) fn feed(&mut self) {
        let mut master: &File = &self.pty.master;
        while !self.typed.is_empty() {
            match master.write(self.typed.as_slices().0) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody has the terminal open: what is typed now reaches nobody.
                Err(_) => return self.typed.clear(),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Answer {
        if bytes.len() > STDIN_BYTES_MAX {
            return Answer::Error { error: format!("more than {STDIN_BYTES_MAX} bytes at once") };
        }
        if self.typed.len() + bytes.len() > TYPED_BYTES_MAX {
            return Answer::Full;
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.typed.extend(bytes);
        self.feed();
        Answer::Ok
    }

    fn end(&mut self) -> Answer {
        let Some(end) = self.pty.end_of_input() else { return Answer::Ok };
        // In the middle of a line the first one only hands the line over.
        let times = if self.last == b'\n' { 1 } else { 2 };
        self.take(&vec![end; times])
    }
}

impl Session {
    pub(super) fn typed(&mut self, bytes: Result<Vec<u8>, String>) -> Answer {
        match (self.terminal.as_mut(), bytes) {
            (None, _) => no_terminal(),
            (_, Err(error)) => Answer::Error { error },
            (Some(terminal), Ok(bytes)) => terminal.take(&bytes),
        }
    }

    pub(super) fn typed_all(&mut self) -> Answer {
        self.terminal.as_mut().map_or_else(no_terminal, Terminal::end)
    }

    pub(super) fn resized(&mut self, cols: u16, rows: u16) -> Answer {
        let Some(terminal) = &self.terminal else { return no_terminal() };
        let Some(size) = TerminalSize::new(cols, rows) else {
            let error = format!("no terminal has {cols} columns and {rows} rows");
            return Answer::Error { error };
        };
        match terminal.pty.resize(size.cols, size.rows) {
            Ok(()) => Answer::Ok,
            Err(error) => Answer::Error { error: error.to_string() },
        }
    }
}

fn no_terminal() -> Answer {
    Answer::Error { error: "this execution has no terminal: it was started without --pty".into() }
}
