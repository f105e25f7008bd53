//! The caller's terminal: its size, and every key for the script.

use std::io::{self, IsTerminal, Write};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use stepflow_model::TerminalSize;

/// Puts back what a program that was left in the middle may have switched on: colours, a hidden
/// cursor, the second screen, cursor and number keys, bracketed paste, focus and mouse reports.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1047l\x1b[?1l\x1b>\x1b[?2004l\x1b[?1004l\
                       \x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l";

/// The size of our terminal, if we have one; else of any.
pub fn size() -> TerminalSize {
    own_size().unwrap_or_default()
}

/// The size of our terminal, on whichever of the three streams it is.
pub fn own_size() -> Option<TerminalSize> {
    let (width, height) =
        terminal_size::terminal_size().or_else(|| terminal_size::terminal_size_of(io::stdin()))?;
    TerminalSize::new(width.0, height.0)
}

/// The terminal on standard input hands every key on as it is typed, and shows what it gets as it
/// is. Ends with the value: at a return, an error, a panic.
pub struct RawMode {
    before: Termios,
    left_in_the_middle: bool,
}

impl RawMode {
    /// Begins it, if standard input is a terminal.
    pub fn begin() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Some(Self { before, left_in_the_middle: true }))
    }

    /// The script has ended by itself: it left the screen as it wanted it.
    pub fn end_in_order(mut self) {
        self.left_in_the_middle = false;
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if self.left_in_the_middle && io::stdout().is_terminal() {
            let mut out = io::stdout().lock();
            let _ = out.write_all(LEAVE).and_then(|()| out.flush()); // It may be gone.
        }
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
