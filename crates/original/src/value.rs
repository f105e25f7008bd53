//! Columns that may hold anything: SQLite keeps what it is given, and the original gave it text
//! where the schema says number.

use std::sync::Arc;

use rusqlite::types::{Value as Cell, ValueRef};
use serde_json::{Map, Value};

/// A row with its columns' names; what is taken out is gone.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    columns: Arc<[String]>,
    cells: Vec<Cell>,
}

impl Row {
    pub(crate) fn read(columns: &Arc<[String]>, row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let cells = (0..columns.len())
            .map(|at| {
                Ok(match row.get_ref(at)? {
                    // Text that is not UTF-8 is shown as well as it can be.
                    ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Null => Cell::Null,
                    ValueRef::Integer(number) => Cell::Integer(number),
                    ValueRef::Real(number) => Cell::Real(number),
                    ValueRef::Blob(bytes) => Cell::Blob(bytes.to_owned()),
                })
            })
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { columns: Arc::clone(columns), cells })
    }

    /// A row without columns.
    pub(crate) fn empty() -> Self {
        Self { columns: Arc::new([]), cells: Vec::new() }
    }

    /// The column `name`, which becomes null; null if there is none.
    pub(crate) fn take(&mut self, name: &str) -> Cell {
        match self.columns.iter().position(|column| column == name) {
            Some(at) => std::mem::replace(&mut self.cells[at], Cell::Null),
            None => Cell::Null,
        }
    }

    /// The column as text; numbers as they are written.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            Cell::Null => None,
            Cell::Text(text) => Some(text),
            Cell::Integer(number) => Some(number.to_string()),
            Cell::Real(number) => Some(number.to_string()),
            Cell::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// Columns that nobody took and that hold something.
    pub(crate) fn rest(self) -> Map<String, Value> {
        let left = self.columns.iter().zip(self.cells).filter(|(_, cell)| *cell != Cell::Null);
        left.map(|(name, cell)| (name.clone(), json(&cell))).collect()
    }
}

/// What could not be read as what its column holds is kept under the column's name.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) extra: Map<String, Value>,
    pub(crate) unreadable: u64,
}

impl Kept {
    /// Keeps `cell` as unreadable.
    pub(crate) fn refuse(&mut self, name: &str, cell: &Cell) {
        self.unreadable += 1;
        self.extra.insert(name.to_owned(), json(cell));
    }

    /// A whole number that fits; else it is kept.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, row: &mut Row, name: &str) -> Option<T> {
        let cell = row.take(name);
        let number = match &cell {
            Cell::Null => return None,
            Cell::Integer(number) => Some(*number),
            Cell::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(*number as i64)
            }
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = number.and_then(|number| T::try_from(number).ok());
        if fits.is_none() {
            self.refuse(name, &cell);
        }
        fits
    }

    /// A finite number; else it is kept.
    pub(crate) fn float(&mut self, row: &mut Row, name: &str) -> Option<f64> {
        let cell = row.take(name);
        let number = match &cell {
            Cell::Null => return None,
            Cell::Integer(number) => Some(*number as f64),
            Cell::Real(number) => Some(*number),
            Cell::Text(text) => text.trim().parse().ok(),
            Cell::Blob(_) => None,
        };
        let finite = number.filter(|number: &f64| number.is_finite());
        if finite.is_none() {
            self.refuse(name, &cell);
        }
        finite
    }

    /// A switch: anything that is not null, zero or empty turns it on. A word is kept as well.
    pub(crate) fn flag(&mut self, row: &mut Row, name: &str) -> Option<bool> {
        Some(match row.take(name) {
            Cell::Null => return None,
            Cell::Integer(number) => number != 0,
            Cell::Real(number) => number != 0.0,
            Cell::Text(text) => {
                let on = !text.is_empty();
                self.extra.insert(name.to_owned(), Value::String(text));
                on
            }
            Cell::Blob(bytes) => !bytes.is_empty(),
        })
    }

    /// A JSON object; else it is kept.
    pub(crate) fn object(&mut self, row: &mut Row, name: &str) -> Map<String, Value> {
        let cell = row.take(name);
        match &cell {
            Cell::Null => return Map::new(),
            Cell::Text(text) if text.trim().is_empty() => return Map::new(),
            Cell::Text(text) => {
                if let Ok(object) = serde_json::from_str(text) {
                    return object;
                }
            }
            _ => {}
        }
        self.refuse(name, &cell);
        Map::new()
    }

    /// A JSON array of texts; else it is kept.
    pub(crate) fn texts(&mut self, row: &mut Row, name: &str) -> Vec<String> {
        let cell = row.take(name);
        match &cell {
            Cell::Null => return Vec::new(),
            Cell::Text(text) if text.trim().is_empty() => return Vec::new(),
            Cell::Text(text) => {
                if let Ok(texts) = serde_json::from_str(text) {
                    return texts;
                }
            }
            _ => {}
        }
        self.refuse(name, &cell);
        Vec::new()
    }
}

fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::from(*number),
        Cell::Real(number) => Value::from(*number),
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Blob(bytes) => Value::from(String::from_utf8_lossy(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cell: Cell) -> Row {
        Row { columns: ["c".to_owned()].into(), cells: vec![cell] }
    }

    #[test]
    fn a_column_may_hold_anything_and_nothing_of_it_is_lost() {
        let text = |text: &str| row(Cell::Text(text.to_owned()));
        let mut kept = Kept::default();
        assert_eq!(kept.float(&mut text("abc"), "c"), None);
        assert_eq!(kept.extra["c"], "abc");
        assert_eq!(kept.float(&mut text("2.5"), "c"), Some(2.5));
        assert_eq!(kept.float(&mut row(Cell::Real(f64::INFINITY)), "c"), None);
        assert_eq!(kept.flag(&mut text("yes"), "c"), Some(true));
        assert_eq!(kept.extra["c"], "yes");
        assert_eq!(kept.flag(&mut row(Cell::Integer(0)), "c"), Some(false));
        assert_eq!(kept.integer::<i32>(&mut row(Cell::Integer(1 << 40)), "c"), None);
        assert_eq!(kept.integer::<i32>(&mut row(Cell::Real(3.0)), "c"), Some(3));
        assert_eq!(kept.integer::<i32>(&mut text("-9"), "c"), Some(-9));
        assert_eq!(kept.object(&mut text("{\"a\": NaN}"), "c"), Map::new());
        assert_eq!(kept.extra["c"], "{\"a\": NaN}");
        assert_eq!(kept.object(&mut text("{\"a\": 1}"), "c")["a"], 1);
        assert_eq!(kept.texts(&mut text("[\"a\"]"), "c"), ["a"]);
        assert_eq!(kept.texts(&mut text("[1]"), "c"), Vec::<String>::new());
        assert_eq!(kept.unreadable, 5);
        assert_eq!(row(Cell::Integer(7)).rest()["c"], 7, "a column of a later version");
    }
}
