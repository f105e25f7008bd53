//! A checksum in each row: SQLite has none, and shows a bit that a disk has changed as if it had been
//! written. CRC-32C over the row's values in the order in which they are read; null in rows that an
//! earlier version wrote.

use rusqlite::{
    ToSql, ffi,
    types::{ToSqlOutput, ValueRef},
};

use crate::row::Columns;

/// The seal of a row with these values.
pub(crate) fn of(values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
    let mut sum = Sum::default();
    for value in values {
        match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => sum.add(value),
            ToSqlOutput::Owned(value) => sum.add(ValueRef::from(&value)),
            _ => {} // Pointers and the like, which no row has.
        }
    }
    Ok(i64::from(sum.end()))
}

/// Holds a row, of which these columns are sealed, against its seal in the column `seal`.
///
/// # Errors
/// The one of a damaged file.
pub(crate) fn check(
    row: &impl Columns,
    columns: impl IntoIterator<Item = usize>,
    seal: usize,
) -> rusqlite::Result<()> {
    let expected = row.value(seal)?;
    if expected == ValueRef::Null {
        return Ok(());
    }
    let mut sum = Sum::default();
    for column in columns {
        sum.add(row.value(column)?);
    }
    let found = sum.end();
    if expected == ValueRef::Integer(i64::from(found)) {
        return Ok(());
    }
    Err(damaged("a row is not what was written"))
}

/// As SQLite says it.
pub(crate) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

/// A checksum that grows value by value. Most values are short and the cost of a checksum is in its
/// beginning, so that what many values come to is one piece for it.
struct Sum {
    crc: u32,
    used: usize,
    piece: [u8; 1_024],
}

impl Default for Sum {
    fn default() -> Self {
        Self { crc: 0, used: 0, piece: [0; 1_024] }
    }
}

impl Sum {
    /// Goes on with one value. Its kind and length are part of it: what moves from one column to the
    /// next is another row.
    fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.sized(0, &[]),
            // SQLite stores what is no number as null, and minus zero as zero.
            ValueRef::Real(number) if number.is_nan() => self.sized(0, &[]),
            ValueRef::Real(0.0) => self.sized(2, &0_u64.to_le_bytes()),
            ValueRef::Integer(number) => self.sized(1, &number.to_le_bytes()),
            ValueRef::Real(number) => self.sized(2, &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => self.sized(3, text),
            ValueRef::Blob(bytes) => self.sized(4, bytes),
        }
    }

    #[inline]
    fn sized(&mut self, kind: u8, bytes: &[u8]) {
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        if self.piece.len() - self.used < head.len() + bytes.len() {
            self.flush();
        }
        self.put(&head);
        if !self.put(bytes) {
            self.flush();
            self.crc = crc32c::crc32c_append(self.crc, bytes);
        }
    }

    /// Adds to the piece; `false`: there is no room.
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.used + bytes.len();
        let Some(room) = self.piece.get_mut(self.used..end) else { return false };
        room.copy_from_slice(bytes);
        self.used = end;
        true
    }

    fn flush(&mut self) {
        self.crc = crc32c::crc32c_append(self.crc, &self.piece[..self.used]);
        self.used = 0;
    }

    fn end(mut self) -> u32 {
        self.flush();
        self.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in every catalog: kind, length, bytes.
    #[test]
    fn a_seal_is_the_checksum_of_kinds_lengths_and_values_whatever_their_length() {
        for length in [0, 1, 54, 986, 987, 1_014, 1_015, 1_016, 4_000] {
            let text = "x".repeat(length);
            let mut bytes = vec![3];
            bytes.extend((length as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend([1, 8, 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend((-7_i64).to_le_bytes());
            bytes.extend([0; 9]);
            let values: [&dyn ToSql; 3] = [&text, &-7_i64, &rusqlite::types::Null];
            assert_eq!(of(&values).unwrap(), i64::from(crc32c::crc32c(&bytes)), "{length}");
        }
    }
}
