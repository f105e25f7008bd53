//! A line with SGR sequences as cells of the screen.

use ratatui::style::{Color, Modifier, Style};
use stepflow_view::columns;

/// One character on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    pub c: char,
    /// Columns it takes: CJK and emoji two, combining marks none.
    pub columns: u16,
    pub style: Style,
}

/// The characters of `text`, which begins in the style `begin` (parameters of an SGR sequence).
/// Sequences other than SGR, and controls, are left out: they steer nothing here. Without `colour`
/// bold, underlined and inverse text stays so.
pub fn cells(text: &str, begin: &str, colour: bool) -> Vec<Cell> {
    let mut style = apply(Style::default(), begin, colour);
    let mut cells = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            match chars.next() {
                Some('[') => {
                    let mut params = String::new();
                    for c in chars.by_ref() {
                        if ('\x40'..='\x7e').contains(&c) {
                            if c == 'm' {
                                style = apply(style, &params, colour);
                            }
                            break;
                        }
                        params.push(c);
                    }
                }
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            }
            continue;
        }
        if c.is_control() {
            continue;
        }
        cells.push(Cell { c, columns: columns(c) as u16, style });
    }
    cells
}

fn apply(mut style: Style, params: &str, colour: bool) -> Style {
    let numbers: Vec<u16> =
        params.split([';', ':']).map(|number| number.parse().unwrap_or(0)).collect();
    let mut at = 0;
    while at < numbers.len() {
        let number = numbers[at];
        at += 1;
        style = match number {
            0 => Style::default(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            8 => style.add_modifier(Modifier::HIDDEN),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            23 => style.remove_modifier(Modifier::ITALIC),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            28 => style.remove_modifier(Modifier::HIDDEN),
            29 => style.remove_modifier(Modifier::CROSSED_OUT),
            30..=37 | 90..=97 if colour => style.fg(sixteen(number)),
            40..=47 | 100..=107 if colour => style.bg(sixteen(number - 10)),
            39 => Style { fg: None, ..style },
            49 => Style { bg: None, ..style },
            38 | 48 => {
                let found = match numbers.get(at) {
                    Some(5) => {
                        let index = numbers.get(at + 1).copied().unwrap_or(0);
                        at += 2;
                        Some(Color::Indexed(index as u8))
                    }
                    Some(2) => {
                        let part = |i: usize| numbers.get(at + i).copied().unwrap_or(0) as u8;
                        let rgb = Color::Rgb(part(1), part(2), part(3));
                        at += 4;
                        Some(rgb)
                    }
                    _ => None,
                };
                match found.filter(|_| colour) {
                    Some(found) if number == 38 => style.fg(found),
                    Some(found) => style.bg(found),
                    None => style,
                }
            }
            _ => style,
        };
    }
    style
}

fn sixteen(number: u16) -> Color {
    const NAMES: [Color; 8] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
    ];
    match number {
        30..=37 => NAMES[usize::from(number - 30)],
        _ => Color::Indexed((number - 90 + 8) as u8),
    }
}

/// Breaks cells into rows of `width` columns: a row holds what begins in its columns, and what would
/// hang over the edge by one is drawn on the next.
pub fn wrap(cells: &[Cell], width: u16) -> Vec<&[Cell]> {
    let mut rows = Vec::new();
    let (mut from, mut used) = (0, 0);
    for (at, cell) in cells.iter().enumerate() {
        if used + cell.columns > width && at > from {
            rows.push(&cells[from..at]);
            (from, used) = (at, 0);
        }
        used += cell.columns;
    }
    rows.push(&cells[from..]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_nothing_else_acts() {
        let cells = cells("a\x1b[1;31mb\x1b[0m\x1b]52;c;AA\x07\x1b[2Jc日", "32", true);
        let said: Vec<_> = cells.iter().map(|cell| (cell.c, cell.columns)).collect();
        assert_eq!(said, [('a', 1), ('b', 1), ('c', 1), ('日', 2)]);
        assert_eq!(cells[0].style.fg, Some(Color::Green));
        assert_eq!(cells[1].style.fg, Some(Color::Red));
        assert!(cells[1].style.add_modifier.contains(Modifier::BOLD));
        assert_eq!(cells[2].style, Style::default());
    }

    #[test]
    fn without_colours_what_is_bold_stays_bold() {
        let cells = cells("\x1b[1;38;5;9;44mb", "", false);
        assert_eq!((cells[0].style.fg, cells[0].style.bg), (None, None));
        assert!(cells[0].style.add_modifier.contains(Modifier::BOLD));
    }

    #[test]
    fn a_wide_character_is_never_cut_in_two() {
        let text = cells("日本語ab", "", true);
        let rows = wrap(&text, 5);
        let rows: Vec<String> =
            rows.iter().map(|row| row.iter().map(|cell| cell.c).collect()).collect();
        assert_eq!(rows, ["日本", "語ab"]);
    }
}
