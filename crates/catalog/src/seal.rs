//! A checksum in each row: SQLite has none, and shows a bit that a disk has changed as if it had been
//! written. CRC-32C over the row's values in the order in which they are read; null in rows that an
//! earlier version wrote.

use rusqlite::{
    Row, ToSql, ffi,
    types::{ToSqlOutput, ValueRef},
};

/// The seal of a row with these values.
pub(crate) fn of(values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
    let mut crc = 0;
    for value in values {
        crc = match value.to_sql()? {
            ToSqlOutput::Borrowed(value) => add(crc, value),
            ToSqlOutput::Owned(value) => add(crc, ValueRef::from(&value)),
            _ => crc, // Pointers and the like, which no row has.
        };
    }
    Ok(i64::from(crc))
}

/// Holds a row, of which these columns are sealed, against its seal in the column `seal`.
///
/// # Errors
/// The one of a damaged file.
pub(crate) fn check(
    row: &Row<'_>,
    columns: impl IntoIterator<Item = usize>,
    seal: usize,
) -> rusqlite::Result<()> {
    let expected = row.get_ref(seal)?;
    if expected == ValueRef::Null {
        return Ok(());
    }
    let mut crc = 0;
    for column in columns {
        crc = add(crc, row.get_ref(column)?);
    }
    if expected == ValueRef::Integer(i64::from(crc)) {
        return Ok(());
    }
    Err(damaged("a row is not what was written"))
}

/// As SQLite says it.
pub(crate) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(what.to_owned()))
}

/// Goes on with one value. Its kind and length are part of it: what moves from one column to the next
/// is another row.
fn add(crc: u32, value: ValueRef<'_>) -> u32 {
    match value {
        // SQLite stores what is no number as null, and minus zero as zero.
        ValueRef::Real(number) if number.is_nan() => sized(crc, 0, &[]),
        ValueRef::Real(0.0) => sized(crc, 2, &0_u64.to_le_bytes()),
        ValueRef::Null => sized(crc, 0, &[]),
        ValueRef::Integer(number) => sized(crc, 1, &number.to_le_bytes()),
        ValueRef::Real(number) => sized(crc, 2, &number.to_bits().to_le_bytes()),
        ValueRef::Text(text) => sized(crc, 3, text),
        ValueRef::Blob(bytes) => sized(crc, 4, bytes),
    }
}

/// Most values are short: then kind, length and bytes are one piece for the checksum, whose cost is in
/// beginning.
fn sized(crc: u32, kind: u8, bytes: &[u8]) -> u32 {
    const HEAD: usize = 9;
    let mut piece = [0; 64];
    piece[0] = kind;
    piece[1..HEAD].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    let end = HEAD + bytes.len();
    if let Some(rest) = piece.get_mut(HEAD..end) {
        rest.copy_from_slice(bytes);
        return crc32c::crc32c_append(crc, &piece[..end]);
    }
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &piece[..HEAD]), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in every catalog: kind, length, bytes.
    #[test]
    fn a_seal_is_the_checksum_of_kinds_lengths_and_values_whatever_their_length() {
        for length in [0, 1, 54, 55, 56, 4_000] {
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
