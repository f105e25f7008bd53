//! How far a long command is.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::run::dumb;

/// Between two lines of progress, when nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// Between two changes of the line, on a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Progress on standard error: one line that changes on a terminal, else one now and then.
pub struct Shown {
    terminal: bool,
    last: Instant,
    drawn: bool,
}

impl Default for Shown {
    fn default() -> Self {
        // What takes no time needs no progress.
        Self { terminal: io::stderr().is_terminal() && !dumb(), last: Instant::now(), drawn: false }
    }
}

impl Shown {
    /// Shows `text`, unless it is too early for another line.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let every = if self.terminal { DRAW_EVERY } else { LINE_EVERY };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        self.drawn = true;
        let text = text();
        let mut err = io::stderr();
        let _ = if self.terminal {
            write!(err, "\r\x1b[K{text}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{text}")
        };
    }

    /// Leaves an empty line on a terminal.
    pub fn clear(&mut self) {
        if self.terminal && self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
