//! The lower end of a terminal: lines that stay, and an area below them that is drawn anew.
//!
//! One write a frame, between "begin" and "end of synchronized update" (DEC mode 2026). Nothing is
//! cleared first: each row is written over and its rest erased, so that nothing flickers where
//! that mode is unknown.

use std::io::{self, Write};

use crate::format::columns;

/// A frame: what leaves the live area for good, and what stands in it now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub settled: Vec<String>,
    pub live: Vec<String>,
}

/// What is on the screen below the scrollback.
#[derive(Debug)]
pub struct Canvas<W: Write> {
    out: W,
    /// The live rows that are on the screen, as they were written.
    drawn: Vec<String>,
    /// Columns of each of these rows that were ever written, in this frame or one before.
    used: Vec<usize>,
    /// Columns of the window when they were.
    width: usize,
    hidden: bool,
    /// What was erased counts as written when rows are broken for a narrower window.
    keeps_erased: bool,
}

impl<W: Write> Canvas<W> {
    pub fn new(out: W) -> Self {
        Self {
            out,
            drawn: Vec::new(),
            used: Vec::new(),
            width: 0,
            hidden: false,
            keeps_erased: false,
        }
    }

    /// On a terminal that keeps erased columns of a row when it breaks it, as tmux does (3.3:
    /// `grid_clear` leaves `cellused`); others forget them.
    #[must_use]
    pub fn keeping_erased(mut self, keeps_erased: bool) -> Self {
        self.keeps_erased = keeps_erased;
        self
    }

    /// Shows `frame` in a window of `rows` and `width` columns.
    ///
    /// No live line is wider than the window, whatever its characters: the terminal is told not to
    /// wrap them.
    pub fn show(&mut self, frame: &Frame, rows: usize, width: usize) -> io::Result<()> {
        if frame.settled.is_empty() && frame.live == self.drawn && width == self.width {
            return Ok(());
        }
        let above = self.rows_drawn(width).min(rows.saturating_sub(1));
        // Rows that were broken are known as such: what is written on one of them would be joined
        // with the next when the window grows again. So they are given up, and with them the first,
        // which may have gone into the scrollback already.
        let broken = self.keeps_erased && above > self.drawn.len();
        if width < self.width {
            self.used.clear();
        }
        let mut text = String::from("\x1b[?2026h");
        if !frame.live.is_empty() && !std::mem::replace(&mut self.hidden, true) {
            text.push_str("\x1b[?25l");
        }
        text.push('\r');
        if above > 0 {
            text.push_str(&format!("\x1b[{above}A"));
        }
        if broken {
            text.push_str("\x1b[J\r\n");
        }
        let mut used = std::mem::take(&mut self.used).into_iter();
        for line in &frame.settled {
            let rows = columns(line).div_ceil(width.max(1)).max(1);
            used.by_ref().take(rows).for_each(drop);
            text.push_str(line);
            // A row that is full to its last column has nothing to erase: behind it, "erase to the
            // end of the row" would take its last character.
            let wide = columns(line);
            text.push_str(if wide > 0 && wide.is_multiple_of(width.max(1)) {
                "\r\n"
            } else {
                "\x1b[K\r\n"
            });
        }
        if !frame.live.is_empty() {
            text.push_str("\x1b[?7l");
            for line in &frame.live {
                let before = used.next().unwrap_or_default();
                self.used.push(columns(line).min(width).max(before));
                text.push_str(line);
                let full = columns(line) >= width;
                text.push_str(if full { "\r\n" } else { "\x1b[K\r\n" });
            }
            text.push_str("\x1b[?7h");
        }
        text.push_str("\x1b[J");
        if frame.live.is_empty() && std::mem::take(&mut self.hidden) {
            text.push_str("\x1b[?25h");
        }
        text.push_str("\x1b[?2026l");
        self.drawn.clone_from(&frame.live);
        self.width = width;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Takes the live area away and gives the cursor back: somebody else will write now.
    pub fn leave(&mut self) -> io::Result<()> {
        if self.drawn.is_empty() && !self.hidden {
            return Ok(());
        }
        self.show(&Frame::default(), usize::MAX, self.width)
    }

    #[cfg(test)]
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Rows that the live area takes in a window that may have become narrower: terminals put what
    /// no longer fits into a row of its own.
    fn rows_drawn(&self, width: usize) -> usize {
        let rows = |columns: usize| columns.div_ceil(width.max(1)).max(1);
        match (width < self.width, self.keeps_erased) {
            (true, true) => self.used.iter().copied().map(rows).sum(),
            (true, false) => self.drawn.iter().map(|line| rows(columns(line))).sum(),
            (false, _) => self.drawn.len(),
        }
    }
}

impl<W: Write> Drop for Canvas<W> {
    /// However we end, a panic included, the cursor is visible and lines wrap.
    fn drop(&mut self) {
        if self.hidden {
            let _ = self.out.write_all(b"\x1b[?7h\x1b[?25h\x1b[?2026l");
            let _ = self.out.flush(); // The terminal may be gone.
        }
    }
}
