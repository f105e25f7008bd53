//! The picture that is left when later characters have been put over earlier ones.

use crate::{
    draw::{Extent, Piece, SHOWN_COLUMNS},
    style::Style,
    token::{Token, Tokens},
    width::{TAB_COLUMNS, columns, symbol},
};

/// Combining marks that a cell keeps.
const MARKS_MAX: usize = 2;

#[derive(Debug, Clone, Copy)]
struct Cell {
    /// `None`: the right half of the character before it.
    char: Option<char>,
    marks: [char; MARKS_MAX],
    style: Style,
}

const EMPTY: Cell = Cell { char: Some(' '), marks: ['\0'; MARKS_MAX], style: PLAIN };
const PLAIN: Style = Style::PLAIN;

/// One row of a terminal.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    cells: Vec<Cell>,
    column: usize,
    replaced: u32,
    /// The cursor went back, and what was put over since has not been counted.
    returned: bool,
}

impl Picture {
    /// Draws a line.
    pub(crate) fn draw(line: &[u8], style: &mut Style, sink: &mut dyn FnMut(Piece<'_>)) -> Extent {
        let mut picture = Self::default();
        let mut tokens = Tokens::new(line);
        while let Some((token, ..)) = tokens.next_token() {
            match token {
                Token::Style(params) => style.apply(params),
                Token::Ascii(run) => {
                    for char in run.chars() {
                        picture.put(char, 1, *style);
                    }
                }
                Token::Char(char) => match symbol(char) {
                    Some(text) => text.chars().for_each(|char| picture.put(char, 1, *style)),
                    None => picture.put(char, columns(char), *style),
                },
                Token::Bad => picture.put('\u{fffd}', 1, *style),
                // As on a terminal: a tab moves, and leaves what is there.
                Token::Tab => picture.go(picture.column / TAB_COLUMNS * TAB_COLUMNS + TAB_COLUMNS),
                Token::Return => picture.go(0),
                Token::Back => picture.go(picture.column.saturating_sub(1)),
                Token::Column(column) => picture.go(column),
                Token::Move(by) => picture.go(picture.column.saturating_add_signed(by)),
                Token::Erase(mode) => picture.erase(mode),
                Token::Link(_) | Token::Removed => {}
            }
        }
        picture.finish(sink)
    }

    fn go(&mut self, column: usize) {
        self.returned |= column < self.column;
        self.column = column.min(SHOWN_COLUMNS);
    }

    fn put(&mut self, char: char, wide: usize, style: Style) {
        if wide == 0 {
            // A mark belongs to the character before the cursor.
            let before = self.column.checked_sub(1).and_then(|at| self.cells.get_mut(at));
            if let Some(place) =
                before.and_then(|cell| cell.marks.iter_mut().find(|mark| **mark == '\0'))
            {
                *place = char;
            }
            return;
        }
        if self.column + wide > SHOWN_COLUMNS {
            return;
        }
        if self.returned && self.column < self.cells.len() {
            self.replaced += 1;
            self.returned = false;
        }
        if self.cells.len() < self.column + wide {
            self.cells.resize(self.column + wide, EMPTY);
        }
        // A wide character of which one half is put over loses the other.
        if self.cells[self.column].char.is_none() {
            self.cells[self.column - 1] = EMPTY;
        }
        let behind = self.column + wide;
        if self.cells.get(behind).is_some_and(|cell| cell.char.is_none()) {
            self.cells[behind] = EMPTY;
        }
        self.cells[self.column] = Cell { char: Some(char), marks: ['\0'; MARKS_MAX], style };
        if wide == 2 {
            self.cells[self.column + 1] = Cell { char: None, marks: ['\0'; MARKS_MAX], style };
        }
        self.column = behind;
    }

    fn erase(&mut self, mode: u16) {
        let range = match mode {
            0 => self.column.min(self.cells.len())..self.cells.len(),
            1 => 0..(self.column + 1).min(self.cells.len()),
            2 => 0..self.cells.len(),
            _ => return,
        };
        if range.is_empty() {
            return;
        }
        // A return and an erasure after it are one update.
        self.replaced += 1;
        self.returned = false;
        if self.cells[range.start].char.is_none() {
            self.cells[range.start - 1] = EMPTY;
        }
        if self.cells.get(range.end).is_some_and(|cell| cell.char.is_none()) {
            self.cells[range.end] = EMPTY;
        }
        if range.end == self.cells.len() {
            self.cells.truncate(range.start);
        } else {
            self.cells[range].fill(EMPTY);
        }
    }

    fn finish(self, sink: &mut dyn FnMut(Piece<'_>)) -> Extent {
        let mut run = String::new();
        let mut style = PLAIN;
        let mut last = 0;
        for cell in &self.cells {
            let Some(char) = cell.char else {
                last = 1;
                continue;
            };
            last = 0;
            if cell.style != style && !run.is_empty() {
                sink(Piece { plain: &run, shown: &run, style, link: None });
                run.clear();
            }
            style = cell.style;
            run.push(char);
            run.extend(cell.marks.iter().filter(|mark| **mark != '\0'));
        }
        if !run.is_empty() {
            sink(Piece { plain: &run, shown: &run, style, link: None });
        }
        Extent {
            width: (self.cells.len() - last) as u32,
            replaced: self.replaced,
            rest: 0,
            changed: true,
        }
    }
}
