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
    let sized = |crc, kind: u8, bytes: &[u8]| {
        let crc = crc32c::crc32c_append(crc, &[kind]);
        let crc = crc32c::crc32c_append(crc, &(bytes.len() as u64).to_le_bytes());
        crc32c::crc32c_append(crc, bytes)
    };
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
